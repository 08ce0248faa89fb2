// SPDX-License-Identifier: GPL-2.0-or-later
//! migrate and migrate_to: move the virtual machine, and find out where it is, whatever the call said. Pure.
//!
//! A migration never becomes a stop: until it is proven that the machine runs at the target, nothing here ends it at the
//! source; and it is resumed at the source only when it is proven that the target does not run it.
//!
//! ```text
//!            here, fit to move              call ended
//!  source ----------------------> moving -------------> settling --- both ends looked at ---> moved, not here, unclear
//!   |  ^                                                   |
//!   |  '------------- waiting (a reason that passes) <-----+---> stayed (a reason that lasts, or no time)
//!   '---> gone, busy, paused, unknown: answered without a move
//! ```

use super::health::{self, Health};
use super::history::History;
use super::hope::{self, Hope};
use super::moving::{NEVER, Tried};
use super::settle::{self, AtSource, AtTarget, End, Then, at_source, at_target};
use super::step::{Delay, Next, Query, Step, Tidy};
use super::tell;
use super::{saves_now, share};
use crate::model::budget::Share;
use crate::model::call::{Caller, Invocation};
use crate::model::change::Change;
use crate::model::facts::{Domain, Fact, Facts, Place};
use crate::model::outcome::Outcome;
use crate::model::presence::Presence;
use crate::model::state::{Motion, Pause, State};
use crate::model::target::{self, Target};
use crate::model::worker::Side;
use crate::sys::text::shown;
use std::time::Duration;

/// Between two looks at both ends while it is not clear where the machine is.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// With less time than this no more looks are taken.
const LAST: Duration = Duration::from_secs(2);

/// The target that a call names, for a source named `own` at `uri`.
///
/// # Errors
/// The answer: the call makes no sense, or there is nothing to do.
pub(crate) fn destination(inv: &Invocation, own: &str, uri: &str) -> Result<Target, Outcome> {
    let impossible = |why: String| settle::outcome(End::Impossible(why), inv.caller);
    // A bad parameter that a migration does not use must not turn it into a stop.
    if let Some(problem) = inv.params.problems.iter().find(|problem| problem.hinders_migration()) {
        return Err(impossible(problem.to_string()));
    }
    let Some(node) = inv.target.as_ref() else {
        return Err(impossible("where to? the call names no target node".into()));
    };
    let Some(node) = node.to_str() else {
        return Err(impossible(format!("'{}' is not a node's name", shown(node))));
    };
    // Only the very same name is this node: another site may have a node1 too.
    if node.eq_ignore_ascii_case(inv.node.as_deref().unwrap_or(own)) {
        let moved = End::Moved(format!("'{node}' is this node; there is nothing to do"));
        return Err(settle::outcome(moved, inv.caller));
    }
    let plain_data = inv.caller == Caller::Rgmanager;
    target::find(node, &inv.params.migration, uri, plain_data).map_err(impossible)
}

/// The next step of a migration. At the end of the time what is known is the answer.
pub(super) fn migrate(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    let next = match &done.moving.tried {
        None => source(inv, seen, done),
        Some(tried) => settling(inv, seen, done, tried),
    };
    match next {
        Next::Ask(_) | Next::Do(_) | Next::Wait(_) if done.left.is_zero() => {
            let there = seen.answers.target.clone().unwrap_or_else(|| Place::silent("it was not asked in time"));
            let name =
                done.moving.tried.as_ref().map_or_else(|| seen.here.label().to_owned(), |tried| tried.name.clone());
            over(inv, End::Unclear(tell::unclear(&name, node(done), &seen.here, &there, None)), Vec::new())
        }
        next @ (Next::Ask(_) | Next::Do(_) | Next::Wait(_) | Next::Answer(..)) => next,
    }
}

/// Before a try: the machine is here and fit to move, or it is not.
fn source(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    let moving = &done.moving;
    if let (true, Some(why)) = (done.interrupted, &moving.gave_up) {
        return stay(inv, format!("{why}; the wait was interrupted by a signal"));
    }
    let blind = match seen.here.presence() {
        Presence::Active(domain) => return fit_to_move(inv, domain, seen, done),
        Presence::Off(why) => return gone(inv, &why, seen, done),
        Presence::Blind { run, silence, .. } => {
            End::Stayed(format!("not moved: it runs here ({run}), but {}", silence.why))
        }
        Presence::Stray { run, .. } => {
            End::Stayed(format!("not moved: {run} runs here, but {} lost the domain", seen.here.tools))
        }
        Presence::Unknown(why) => End::Unclear(format!("not moved: {why}")),
    };
    // A short wait covers a daemon that is restarting.
    let patience = share(inv, done, Share::Begin).saturating_sub(done.waited).min(done.left);
    if patience.is_zero() || done.interrupted {
        return over(inv, blind, Vec::new());
    }
    Next::Wait(Delay::Fixed(LOOK_AGAIN.min(patience)))
}

fn fit_to_move(inv: &Invocation, domain: &Domain, seen: &Facts, done: &History) -> Next {
    let (name, state, moving) = (&domain.name, domain.state, &done.moving);
    if domain.motion == Motion::Leaving {
        let what_to_do = "wait for its end, or abort it with 'virsh domjobabort'";
        return stay(inv, format!("'{name}' is already migrating: {what_to_do}"));
    }
    // Asleep it would arrive, and be called running, which it is not.
    if state == State::PmSuspended && !moving.rehearse {
        return match &done.woken {
            None => Next::Do(Step::Wake),
            Some(Ok(())) if done.waited < share(inv, done, Share::Wake) && !done.interrupted => {
                Next::Wait(Delay::Fixed(LOOK_AGAIN))
            }
            Some(Ok(())) => stay(inv, tell::asleep(name, "it does not wake")),
            Some(Err(why)) => stay(inv, tell::asleep(name, &why.said)),
        };
    }
    match (health::health(state, domain.motion), &seen.answers.rehearsed) {
        (Health::Well | Health::Degraded, _) if done.interrupted => {
            stay(inv, tell::stayed(name, "it was interrupted by a signal"))
        }
        (Health::Well | Health::Degraded, Fact::NotAsked) if moving.rehearse => Next::Ask(Query::Rehearsal),
        (Health::Well | Health::Degraded, Fact::NotAsked) if saves_now(inv, domain, done) => {
            Next::Do(Step::SaveDefinition)
        }
        (Health::Well | Health::Degraded, Fact::NotAsked) => Next::Do(Step::Move),
        (Health::Well | Health::Degraded, Fact::Known(())) => {
            let node = node(done);
            let could = format!("'{name}' could be moved to {node}: nothing that can be asked stands in the way");
            over(inv, End::Moved(could), Vec::new())
        }
        (Health::Well | Health::Degraded, Fact::Silent(silence)) => {
            stay(inv, format!("'{name}' could not be moved: {}", silence.why))
        }
        (Health::Arriving | Health::Elsewhere, _) => {
            over(inv, End::NotHere(format!("'{name}' is only arriving here; not moved")), Vec::new())
        }
        (Health::Failed | Health::Off, _) => {
            stay(inv, format!("'{name}' is {state}, and was not moved: stop and start it"))
        }
    }
}

/// It does not run here. A repeated call: it may have been moved already.
fn gone(inv: &Invocation, why: &str, seen: &Facts, done: &History) -> Next {
    let node = node(done);
    let Some(there) = &seen.answers.target else { return Next::Ask(Query::Target) };
    match at_target(there) {
        Presence::Active(AtTarget::Whole(state) | AtTarget::Half(state)) => {
            over(inv, End::Moved(format!("it is already {state} on {node}")), vec![Tidy::NoteMoved])
        }
        Presence::Active(AtTarget::Arriving) | Presence::Off(_) => {
            over(inv, End::NotHere(format!("{why}, and it is not on {node} either")), Vec::new())
        }
        Presence::Blind { .. } | Presence::Stray { .. } | Presence::Unknown(_) => {
            let error = there.why_unknown();
            over(inv, End::NotHere(format!("{why}; {node} cannot be asked: {error}")), Vec::new())
        }
    }
}

/// After a try: finds out where the machine is, and puts right what can be put right safely.
fn settling(inv: &Invocation, seen: &Facts, done: &History, tried: &Tried) -> Next {
    let (moving, name) = (&done.moving, &tried.name);
    let here = at_source(&seen.here);
    // The order to pause it until it has moved came too late, and nobody else takes it back.
    let paused_by_us = tried.paused && here == Presence::Active(AtSource::Runs(State::Paused(Pause::User)));
    if let (Presence::Active(AtSource::Runs(_)), Some(failed)) = (&here, &tried.failed)
        && failed.looks != NEVER
        && !paused_by_us
    {
        return match moving.looks < failed.looks {
            true => Next::Wait(Delay::Fixed(LOOK_AGAIN)),
            false => stayed(inv, done, failed.hope, false, tell::stayed(name, &failed.why)),
        };
    }
    // Nothing was sent, so it cannot run there.
    if let (Some(failed), Presence::Active(AtSource::Unclear(State::Running(_)) | AtSource::Leaving(State::Running(_)))) =
        (&tried.failed, &here)
        && failed.held
    {
        let why = format!("{}; libvirt here is held up until TCP gives up", failed.why);
        return stayed(inv, done, failed.hope, false, tell::stayed(name, &why));
    }
    let target = match &seen.answers.target {
        Some(target) => target.clone(),
        None if done.left.is_zero() => Place::silent("no time was left to ask it"),
        None => return Next::Ask(Query::Target),
    };
    let there = at_target(&target);
    log::debug!(
        "after the migration: here {}, there {}",
        tell::in_words_here(&seen.here),
        tell::in_words_there(&target)
    );
    let unsure = matches!(there, Presence::Unknown(_)) || matches!(here, Presence::Active(AtSource::Leaving(_)));
    // Gone from here, and nobody there to ask: the manager must know soon, so that it can fence that host.
    let asking = done.spent.saturating_sub(tried.ended);
    let silent = matches!((&here, &there), (Presence::Off(_), Presence::Unknown(_)))
        && asking > share(inv, done, Share::Silence);
    let why = tried.failed.as_ref().map(|failed| failed.why.as_str());
    let node = node(done);
    match settle::judge(&here, &there, moving.looks, silent || done.left < LAST) {
        Then::Moved => {
            let note = why.map(|why| format!(" (though libvirt said: {why})")).unwrap_or_default();
            let seconds = done.spent.saturating_sub(tried.began).as_secs_f32();
            let moved = format!("'{name}' was moved to {node} in {seconds:.1} s{note}");
            // Where it went stays on record: a start here asks there first.
            over(inv, End::Moved(moved), vec![Tidy::NoteMoved])
        }
        Then::Stayed if paused_by_us && done.left >= LAST && matches!(there, Presence::Off(_)) => {
            put_right(Side::Source, Change::Resume)
        }
        Then::Stayed => {
            let why = why.unwrap_or("libvirt said that it moved, but it did not");
            let hope = tried.failed.as_ref().map_or(Hope::Lost, |failed| failed.hope);
            let sentence = match &here {
                Presence::Blind { .. } | Presence::Stray { .. } => {
                    format!("'{name}' not moved ({why}), runs on here: {}", tell::in_words_here(&seen.here))
                }
                Presence::Active(_) | Presence::Off(_) | Presence::Unknown(_) if paused_by_us => {
                    let resume = seen.here.tools.resume();
                    format!("'{name}' not moved ({why}), and is still paused here for that: '{resume}' it")
                }
                Presence::Active(_) | Presence::Off(_) | Presence::Unknown(_) => tell::stayed(name, why),
            };
            stayed(inv, done, hope, unsure, sentence)
        }
        Then::NotHere => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            over(inv, End::NotHere(format!("'{name}' runs neither here nor on {node}{why}")), Vec::new())
        }
        Then::Unclear => over(inv, End::Unclear(tell::unclear(name, node, &seen.here, &target, why)), Vec::new()),
        Then::LookAgain => Next::Wait(Delay::Fixed(LOOK_AGAIN)),
        Then::ResumeHere if moving.may_have_booted() => over(
            inv,
            End::Unclear(tell::may_have_run(name, node, moving.was_silent, seen.here.tools.resume())),
            Vec::new(),
        ),
        Then::ResumeHere => put_right(Side::Source, Change::Resume),
        Then::DestroyHere => put_right(Side::Source, Change::Destroy),
        Then::DestroyThere => put_right(Side::Destination, Change::DestroyWaiting),
        Then::AbortHere => put_right(Side::Source, Change::AbortJob),
    }
}

const fn put_right(at: Side, change: Change) -> Next {
    Next::Do(Step::PutRight { at, change })
}

/// It runs on here. It is tried again as long as there is time and hope, and nobody is `unsure` whether the target has it.
fn stayed(inv: &Invocation, done: &History, hope: Hope, unsure: bool, why: String) -> Next {
    let moving = &done.moving;
    let pause = hope::pause(moving.tries);
    let trying = done.spent.saturating_sub(moving.first_try);
    let dead = hope == Hope::Silent && trying + pause > share(inv, done, Share::Silence);
    let over_soon = done.left < pause + hope::ENOUGH;
    if hope != Hope::Lost && !unsure && !dead && !over_soon && !done.interrupted {
        return Next::Do(Step::TryAgain { pause, why });
    }
    let tried = match moving.tries {
        0 | 1 => String::new(),
        tries => format!("; tried {tries} times in {} s", trying.as_secs()),
    };
    let tidies = if unsure { Vec::new() } else { vec![Tidy::ForgetTarget] };
    over(inv, End::Stayed(format!("{why}{tried}")), tidies)
}

fn stay(inv: &Invocation, why: String) -> Next {
    over(inv, End::Stayed(why), Vec::new())
}

fn over(inv: &Invocation, end: End, tidies: Vec<Tidy>) -> Next {
    Next::Answer(settle::outcome(end, inv.caller), tidies)
}

fn node(done: &History) -> &str {
    done.moving.target.as_ref().map_or("the target", |target| target.node.as_str())
}
