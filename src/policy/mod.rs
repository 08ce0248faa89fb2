// SPDX-License-Identifier: GPL-2.0-or-later
//! The policy: what was asked, what is seen and what was done so far give the next step, or the answer.
//!
//! Pure. The engine asks again after each step with fresh facts, so that success is what is observed; `explain` and the
//! stories ask with imagined ones. No arm may turn "unknown" into "not running".

mod agent;
pub(crate) mod converge;
pub(crate) mod copies;
mod ended;
mod guard;
pub(crate) mod health;
mod history;
pub(crate) mod hope;
mod memory;
pub(crate) mod migrate;
mod monitor;
pub(crate) mod moving;
pub(crate) mod outward;
mod paused;
mod progress;
mod receive;
mod restart;
pub(crate) mod settle;
mod start;
mod step;
mod stop;
pub(crate) mod tell;
mod words;
mod world;

use crate::model::budget::Share;
use crate::model::call::{Action, Caller, Invocation};
use crate::model::facts::{Domain, Fact, Facts, Libvirt};
use crate::model::outcome::{Code, Outcome};
use crate::model::params::Problem;
use crate::model::presence::Presence;
use crate::model::state::{Motion, Pause, State};
use copies::Holds;
use health::Health;
pub(crate) use history::History;
use std::time::Duration;
pub(crate) use step::{CRITICAL, Delay, Next, Query, Step, Tidy};
pub(crate) use words::{has_saved_memory, no_definition};
pub(crate) use world::{Look, World};

/// Between two checks of a guest that is booting.
const PAUSE_BETWEEN_CHECKS: Duration = Duration::from_secs(1);

/// The next step of `inv`, or its answer.
#[must_use]
pub(crate) fn next(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    if inv.action.moves() {
        return migrate::migrate(inv, seen, done);
    }
    match decide(inv, seen, done) {
        Next::Answer(outcome, _) => conclude(inv, seen, done, outcome),
        next @ (Next::Ask(_) | Next::Do(_) | Next::Wait(_)) if done.left.is_zero() => {
            let (action, seconds) = (inv.action.word(), inv.timeout.as_secs_f32());
            fail(format!("{action} was not finished within {seconds:.0} s; next: {next}"))
        }
        Next::Ask(_) | Next::Do(_) | Next::Wait(_) if done.interrupted => interrupted(inv, seen),
        next @ (Next::Ask(_) | Next::Do(_) | Next::Wait(_)) => next,
    }
}

/// The answer of an action that could not begin.
#[must_use]
pub(crate) fn not_begun(inv: &Invocation, why: String) -> Outcome {
    if inv.action.moves() {
        settle::outcome(settle::End::Stayed(why), inv.caller)
    } else {
        Outcome::new(Code::Generic, why)
    }
}

/// The answer, and what follows from it; or what must be known before it is true.
fn conclude(inv: &Invocation, seen: &Facts, done: &History, outcome: Outcome) -> Next {
    let well = outcome.code == Code::Ok;
    if let (true, Some(starter)) = (well, &done.beside) {
        return match done.locked_at_last {
            None if !done.left.is_zero() => Next::Do(Step::TakeLock),
            None | Some(_) => fail(format!(
                "not stopped for certain: another vm-agent ({starter}) may still start it; end that process ({})",
                outcome.reason
            )),
        };
    }
    if well && inv.may_stay() && done.first_monitor != Some(true) {
        let longest = share(inv, done, Share::Stay).min(Duration::from_secs(inv.params.monitor_wait));
        if let Some(longest) = longest.checked_sub(done.spent).filter(|longest| !longest.is_zero()) {
            return Next::Wait(Delay::Stay(longest));
        }
    }
    let runs = well || outcome.code == Code::Degraded;
    let looks = runs && guard::looks_for_a_second(inv) && copies::holds(&seen.here) == Holds::Copy;
    if looks && !seen.answers.peers.is_asked() && !done.left.is_zero() {
        return Next::Ask(Query::Members);
    }
    let watches = well && inv.recurring && inv.action.watches();
    if watches && !seen.answers.switched.is_asked() && !done.left.is_zero() {
        return Next::Ask(Query::Switched);
    }
    let mut tidies = Vec::new();
    // A probe may be a refresh's, and the operation may have the parameter that the probe has not.
    if inv.may_stay() || inv.probe() || inv.action == Action::Reload {
        tidies.push(Tidy::NoteMonitor { answered: well && inv.may_stay() });
    }
    if well && matches!(inv.action, Action::Stop | Action::Kill) {
        tidies.push(Tidy::ForgetStart);
    }
    if well && done.has_asked_or_forced() && inv.action == Action::Stop && inv.params.saves_config() && !done.saved {
        let name = done.name.as_deref().unwrap_or_else(|| seen.here.label());
        let why = "it could not be asked before its end";
        tidies.push(Tidy::Warn(format!("what was changed in '{name}' while it ran was not saved: {why}")));
    }
    if inv.params.snapshot.is_some() && well {
        tidies.extend(memory::left(inv, seen, done));
    }
    if worth_a_warning(inv, well, seen, done) {
        tidies.push(Tidy::Warn(outcome.reason.clone()));
    }
    if well && done.start.is_some() {
        tidies.extend(guard::unheard(seen).into_iter().map(Tidy::Warn));
    }
    let takes_over = matches!(inv.action, Action::Start | Action::Restart | Action::Recover | Action::MigrateFrom);
    if well && takes_over {
        tidies.push(Tidy::ForgetTarget);
    }
    if runs {
        tidies.push(Tidy::Mark { takes_over, started: done.start.is_some() });
    }
    // Nobody waits for the answer of a machine that runs well, but for the first, which the world passes by.
    if watches && inv.caller == Caller::Pacemaker && matches!(seen.here.presence(), Presence::Active(_)) {
        tidies.push(Tidy::KeepUtilization);
    }
    if runs && inv.action.watches() && inv.check_level >= 10 {
        tidies.push(Tidy::TellDrift);
    }
    if looks && let Some(sentence) = guard::second_copy(seen) {
        tidies.push(Tidy::Alert(sentence.clone()));
        return Next::Answer(Outcome::new(degraded(inv), sentence), tidies);
    }
    let outcome = match &seen.answers.switched {
        Fact::Known(Some(sentence)) if watches => {
            tidies.push(Tidy::Warn(sentence.clone()));
            Outcome::new(degraded(inv), format!("{}, but {sentence}", outcome.reason))
        }
        Fact::Known(_) | Fact::NotAsked | Fact::Silent(_) => outcome,
    };
    Next::Answer(outcome, tidies)
}

/// Whether the answer should be read even though it is a success: libvirt is silent, what was started stands still, a
/// monitor has resumed it or leaves it paused by its disk, or its guest is silent.
fn worth_a_warning(inv: &Invocation, well: bool, seen: &Facts, done: &History) -> bool {
    match seen.here.presence() {
        Presence::Blind { .. } => true,
        Presence::Active(domain) if inv.action.watches() => {
            well && (done.resume.is_some() || agent::is_silent(seen) || domain.state == State::Paused(Pause::IoError))
        }
        Presence::Active(domain) => {
            inv.action == Action::Start && health::health(domain.state, domain.motion) == Health::Degraded
        }
        Presence::Stray { .. } | Presence::Off(_) | Presence::Unknown(_) => false,
    }
}

/// The answer to SIGTERM or SIGINT: where things stand.
fn interrupted(inv: &Invocation, seen: &Facts) -> Next {
    let now = match seen.here.presence() {
        Presence::Active(domain) => format!("'{}' is {}", domain.name, domain.state),
        Presence::Blind { run, .. } | Presence::Stray { run, .. } => format!("its {run} runs"),
        Presence::Off(why) | Presence::Unknown(why) => why,
    };
    fail(format!("{} was interrupted by a signal; {now}", inv.action.word()))
}

fn decide(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    match inv.action {
        Action::Status | Action::Monitor => monitor::monitor(inv, seen, done),
        Action::Start => start::start(inv, seen, done),
        Action::Stop | Action::Kill => stop::stop(inv, seen, done),
        Action::Restart | Action::Recover => restart::restart(inv, seen, done),
        Action::Reload => match (refused(inv.params.problems.iter()), inv.caller) {
            // A manager would answer a failed reload by stopping a healthy machine.
            (Some(refusal), Caller::Pacemaker | Caller::Rgmanager) => ok(format!(
                "the virtual machine was not touched, but correct this before it is next started or moved: {}",
                refusal.reason
            )),
            (Some(refusal), Caller::Ocf | Caller::Human) => over(refusal),
            (None, _) => ok("the parameters are taken over; the virtual machine was not touched".into()),
        },
        Action::MigrateFrom => receive::receive(inv, seen, done),
        Action::Migrate | Action::MigrateTo | Action::MetaData | Action::ValidateAll | Action::Usage => {
            over(Outcome::new(Code::Generic, format!("{} is not decided here", inv.action.word())))
        }
    }
}

/// Whether libvirt shows a domain that it was asked to start, and has not told to run: its emulator may wait for a disk.
fn starting_up(seen: &Facts, domain: &Domain) -> bool {
    seen.here.starting.is_some() && domain.motion == Motion::None && domain.state == State::Paused(Pause::StartingUp)
}

/// Whether what was changed in the running machine is to be saved now: once, and not in the middle of a move.
fn saves_now(inv: &Invocation, domain: &Domain, done: &History) -> bool {
    let stands = match health::health(domain.state, domain.motion) {
        Health::Well | Health::Degraded | Health::Failed => domain.motion == Motion::None,
        Health::Arriving | Health::Elsewhere | Health::Off => false,
    };
    inv.params.saves_config() && !done.saved && stands && inv.action != Action::Kill
}

/// Whether nothing tells which machine of this host is meant.
fn meant_is_unknown(seen: &Facts) -> bool {
    seen.here.name.is_none() || matches!(seen.here.libvirt, Libvirt::Ambiguous(_))
}

fn guest_check(inv: &Invocation) -> bool {
    inv.params.status_program.is_some() || inv.params.monitor_scripts.is_some()
}

/// Runs, but not as it should: only Pacemaker's recurring monitor has a word for it.
fn degraded(inv: &Invocation) -> Code {
    if inv.caller == Caller::Pacemaker && inv.recurring { Code::Degraded } else { Code::Ok }
}

/// A healthy machine is told of with the first parameter that cannot be used: a later start or migration will need it.
fn with_problems(inv: &Invocation, code: Code, sentence: String) -> Next {
    match (code, inv.params.problems.first()) {
        (Code::Ok, Some(problem)) => answer(degraded(inv), format!("{sentence}, but {problem}")),
        (_, _) => answer(code, sentence),
    }
}

/// The first of these problems, and how many more there are.
fn refused<'a>(mut problems: impl Iterator<Item = &'a Problem>) -> Option<Outcome> {
    let first = problems.next()?;
    let more = match problems.count() {
        0 => String::new(),
        n => format!(" (and {n} more; see validate-all)"),
    };
    Some(Outcome::new(Code::Configured, format!("{first}{more}")))
}

/// A share of the action's time.
fn share(inv: &Invocation, done: &History, share: Share) -> Duration {
    inv.budget().share(share, done.left)
}

/// Waits for a change as long as there is time (and at most `longest`), then fails with the sentence.
fn wait_or(done: &History, longest: Duration, sentence: impl FnOnce() -> String) -> Next {
    wait_or_else(done, longest, || fail(sentence()))
}

/// Waits for a change as long as there is time (and at most `longest`), then does what is said.
fn wait_or_else(done: &History, longest: Duration, then: impl FnOnce() -> Next) -> Next {
    if done.waited < longest && !done.left.is_zero() {
        Next::Wait(Delay::UntilChange((longest - done.waited).min(done.left)))
    } else {
        then()
    }
}

/// An answer, without what follows from it yet.
fn over(outcome: Outcome) -> Next {
    Next::Answer(outcome, Vec::new())
}

fn answer(code: Code, reason: String) -> Next {
    over(Outcome::new(code, reason))
}

fn ok(reason: String) -> Next {
    answer(Code::Ok, reason)
}

fn fail(reason: String) -> Next {
    answer(Code::Generic, reason)
}
