// SPDX-License-Identifier: GPL-2.0-or-later
//! What a monitor makes of a machine that is paused, as its parameters say: where a disk has failed, or somebody has paused
//! it. Pure.
//!
//! Only a recurring monitor has a machine run on: it is asked again and again, and its cluster wants the machine to run. That
//! a disk works again is seen by resuming: QEMU repeats the request that has failed, and pauses once more where it fails.

use super::history::History;
use super::step::{Delay, Next, Query, Step};
use super::words::advice;
use super::{answer, degraded, with_problems};
use crate::model::call::Invocation;
use crate::model::facts::{Cause, Domain, Fact, Facts, Tries};
use crate::model::outcome::Code;
use crate::model::params::{OnIoError, OnPause};
use crate::model::state::{Pause, State};
use crate::policy::health::Health;
use std::time::Duration;

/// How often a machine is resumed before it counts as failed.
const TRIES: u32 = 12;
/// The first pause between two tries; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long a machine that was resumed is looked at before it is called running.
const HOLDS: Duration = Duration::from_secs(1);

/// The next step, or the answer, where a parameter or what was done says more than the state.
pub(super) fn paused(inv: &Invocation, domain: &Domain, health: Health, seen: &Facts, done: &History) -> Option<Next> {
    let name = &domain.name;
    match domain.state {
        State::Running(_) if health == Health::Well => ran_on(inv, domain, seen, done),
        State::Paused(Pause::IoError) => Some(match &seen.answers.cause {
            Fact::NotAsked if !done.left.is_zero() => Next::Ask(Query::Cause),
            // Nothing is known of it but that there was no time to ask, which fails nothing that is to be resumed.
            Fact::NotAsked | Fact::Silent(_) if inv.params.on_io_error == OnIoError::Resume => {
                answer(degraded(inv), format!("'{name}' is {}; no time was left to resume it", domain.state))
            }
            Fact::NotAsked | Fact::Silent(_) => io_error(inv, domain, seen, done, &Cause::default()),
            Fact::Known(cause) => io_error(inv, domain, seen, done, cause),
        }),
        State::Paused(Pause::User | Pause::FromSnapshot | Pause::Unknown) => {
            match (inv.params.on_pause, &done.resume) {
                (OnPause::Warn, _) => None,
                (OnPause::Fail, _) => {
                    Some(answer(Code::Generic, format!("'{name}' is {} (on_pause is fail)", domain.state)))
                }
                // What nobody knows the reason of may be half of something.
                (OnPause::Resume, _) if !inv.recurring || domain.state == State::Paused(Pause::Unknown) => None,
                (OnPause::Resume, None) => Some(Next::Do(Step::Resume)),
                (OnPause::Resume, Some(Ok(()))) => {
                    Some(answer(degraded(inv), format!("'{name}' was resumed, but is {} again", domain.state)))
                }
                (OnPause::Resume, Some(Err(why))) => {
                    Some(answer(degraded(inv), format!("'{name}' is {}, and was not resumed: {why}", domain.state)))
                }
            }
        }
        State::Running(_)
        | State::Paused(_)
        | State::Blocked
        | State::InShutdown
        | State::ShutOff(_)
        | State::Crashed(_)
        | State::PmSuspended
        | State::NoState
        | State::Other(_) => None,
    }
}

/// What is said of a machine that this monitor has resumed, once that has held for a moment.
fn ran_on(inv: &Invocation, domain: &Domain, seen: &Facts, done: &History) -> Option<Next> {
    done.resume.as_ref()?.as_ref().ok()?;
    if let Some(longer) = HOLDS.checked_sub(done.waited).filter(|longer| !longer.is_zero() && !done.left.is_zero()) {
        return Some(Next::Wait(Delay::UntilChange(longer.min(done.left))));
    }
    let told = match &seen.answers.cause {
        Fact::Known(cause) => cause.told(),
        Fact::NotAsked | Fact::Silent(_) => String::new(),
    };
    let sentence = format!("'{}' runs again: it was paused{told} and was resumed", domain.name);
    Some(with_problems(inv, Code::Ok, sentence))
}

fn io_error(inv: &Invocation, domain: &Domain, seen: &Facts, done: &History, cause: &Cause) -> Next {
    let is = format!("'{}' is {}{}", domain.name, domain.state, cause.told());
    let advice = match cause.disks {
        Some(_) => "; repair the storage".to_owned(),
        None => advice(seen.here.tools, domain, Health::Failed),
    };
    match (inv.params.on_io_error, cause.tries()) {
        (OnIoError::Fail, _) => answer(Code::Generic, format!("{is}{advice}")),
        (OnIoError::Leave, _) => answer(degraded(inv), format!("{is}{advice}")),
        (OnIoError::Resume, None) => {
            answer(Code::Generic, format!("{is}; it is not resumed, since its process cannot be told"))
        }
        (OnIoError::Resume, Some(tries)) => match &done.resume {
            None if tries.count >= TRIES => {
                answer(Code::Generic, format!("{is}; it was resumed {TRIES} times in vain{advice}"))
            }
            None if !inv.recurring => answer(Code::Ok, format!("{is}; a recurring monitor resumes it")),
            None => match until_due(tries) {
                None => Next::Do(Step::Resume),
                Some(wait) => answer(degraded(inv), format!("{is}; {}", later(tries.count, wait))),
            },
            Some(Ok(())) => {
                let count = tries.count + 1;
                let wait = pause_after(count);
                let rest = if count >= TRIES { "that was the last try".to_owned() } else { later(count, wait) };
                answer(degraded(inv), format!("{is} again; {rest}"))
            }
            Some(Err(why)) => answer(degraded(inv), format!("{is}; not resumed: {why}")),
        },
    }
}

fn later(count: u32, wait: Duration) -> String {
    format!("try {} of {TRIES} to resume it in {} s", count + 1, wait.as_secs())
}

/// How long it is before the next try; nothing, where that is due.
fn until_due(tries: Tries) -> Option<Duration> {
    pause_after(tries.count).checked_sub(tries.last).filter(|wait| !wait.is_zero())
}

/// Before the try that follows so many.
fn pause_after(count: u32) -> Duration {
    match count.checked_sub(1) {
        None => Duration::ZERO,
        Some(doubled) => FIRST_PAUSE.saturating_mul(1 << doubled.min(16)).min(LONGEST_PAUSE),
    }
}
