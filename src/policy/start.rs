// SPDX-License-Identifier: GPL-2.0-or-later
//! start. Pure.

use super::guard;
use super::history::History;
use super::memory::{after_a_restore, how_to_start};
use super::step::{Delay, Next, Query, Step};
use super::words::{
    advice, as_process, end_of, ending, has_saved_memory, its_process, no_definition, still_starting, stray,
};
use super::{PAUSE_BETWEEN_CHECKS, answer, fail, guest_check, meant_is_unknown, ok, over, refused, share, wait_or};
use crate::model::budget::Share;
use crate::model::call::Invocation;
use crate::model::facts::{
    Definition, Domain, Fact, Facts, GuestAgent, Libvirt, Place, Process, Silence, SilenceKind, Tools,
};
use crate::model::failure::{Failure, FailureKind};
use crate::model::outcome::{Code, Outcome};
use crate::model::params::{Guard, SavedMemory, StartedWhen};
use crate::model::presence::Presence;
use crate::model::saved_state::SavedState;
use crate::model::state::{Pause, State};
use crate::policy::health::{self, Health};
use std::time::Duration;

/// Refuses to start, or to stop for a start, with parameters that the start needs and cannot use.
pub(super) fn refusal(inv: &Invocation) -> Option<Outcome> {
    refused(inv.params.problems.iter().filter(|problem| problem.hinders_start()))
}

pub(super) fn start(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    let word = share(inv, done, Share::Word);
    // What runs is left running, whatever the parameters are: any other answer would have it stopped.
    match seen.here.presence() {
        Presence::Active(domain) => match end_of(seen, domain) {
            Some(ends) => {
                wait_or(done, share(inv, done, Share::ClearsUp), || format!("not started: {ends}; stop it first"))
            }
            None => start_active(inv, domain, seen, done),
        },
        Presence::Blind { incoming: true, .. } if done.waited < word && !done.left.is_zero() => {
            Next::Wait(Delay::UntilChange(word - done.waited))
        }
        Presence::Blind { run, name, ending: true, silence, .. } => wait_or(done, inv.timeout, || {
            let its = its_process(run, name, seen.here.label());
            format!("not started: {its} {}; {}", ending(run), silence.why)
        }),
        // To call that started would leave a machine that never runs, and that every monitor calls well.
        Presence::Blind { ran: false, run, name, silence, .. } => {
            wait_or(done, inv.timeout, || still_starting(seen.here.label(), (run, name), silence))
        }
        Presence::Blind { run, name, silence, .. } => {
            let as_process = as_process(run, name, seen.here.label());
            ok(format!("'{}' already runs {as_process}, though {}", seen.here.label(), silence.why))
        }
        Presence::Stray { run, name, .. } => wait_or(done, share(inv, done, Share::ClearsUp), || {
            let how = "still runs though libvirt says it does not";
            format!("{}; not starting a second copy", stray(seen, (run, name), how))
        }),
        Presence::Unknown(why) => {
            // Waiting does not mend a parameter or a definition, and these cannot tell which domain is meant.
            if let Some(refusal) = refusal(inv).filter(|_| meant_is_unknown(seen)) {
                return over(refusal);
            }
            if let (Libvirt::Ambiguous(_), Definition::Bad(outcome)) = (&seen.here.libvirt, &seen.definition) {
                return over(outcome.clone());
            }
            wait_or(
                done,
                inv.timeout,
                || if seen.here.starting.is_some() { why } else { format!("not started: {why}") },
            )
        }
        Presence::Off(_) => refusal(inv).map_or_else(|| start_off(inv, seen, done), over),
    }
}

fn start_active(inv: &Invocation, domain: &Domain, seen: &Facts, done: &History) -> Next {
    let name = &domain.name;
    let state = domain.state;
    match (state, health::health(state, domain.motion)) {
        (State::InShutdown, _) => wait_or(done, inv.timeout, || format!("'{name}' is still {state}; not started")),
        (_, Health::Arriving | Health::Elsewhere) => wait_or(done, inv.timeout, || {
            format!("'{name}' is migrating and was left alone; it was not running here in time")
        }),
        // rgmanager re-adopts what runs by a start after any change of its configuration: whoever paused the machine
        // has not asked for it to run on. Only a pause that an agent made for a migration, and did not live to undo, is
        // ours to end: libvirt gives both the same reason, so it counts that the agent has put it on record before.
        (State::Paused(Pause::User), _) if done.outward.was_cut_short() => match &done.resume {
            None => Next::Do(Step::Resume),
            Some(Ok(())) => fail(format!("'{name}' was resumed but is {state} again")),
            Some(Err(why)) => failed(why, format!("'{name}' is {state} and could not be resumed: {why}")),
        },
        (State::Paused(Pause::User | Pause::FromSnapshot), _) => {
            ok(format!("'{name}' is {state} and was left so{}", advice(seen.here.tools, domain, Health::Degraded)))
        }
        // An agent that saved its memory did not live to end that: it ends, or runs on.
        (State::Paused(Pause::Save), _) if inv.params.snapshot.is_some() => {
            wait_or(done, inv.timeout, || format!("'{name}' is {state}; stop it first, then start it again"))
        }
        (State::Paused(Pause::Migration), _) => wait_or(done, share(inv, done, Share::SecondLook), || {
            format!("'{name}' is {state}{}", advice(seen.here.tools, domain, Health::Failed))
        }),
        (State::Paused(Pause::StartingUp), _) => {
            wait_or(done, inv.timeout, || format!("'{name}' is {state} and did not begin to run in time"))
        }
        (_, Health::Failed) => fail(format!("'{name}' is {state}; stop it first, then start it again")),
        (_, health @ (Health::Well | Health::Degraded | Health::Off)) => {
            match (readiness(inv, seen, done), done.left > PAUSE_BETWEEN_CHECKS) {
                (Readiness::Ready, _) => ok(started(domain, health, seen, done)),
                (Readiness::Unasked(query), _) => Next::Ask(query),
                (Readiness::NotYet(_, why), true) if done.waited.is_zero() => {
                    log::debug!("not ready yet: {why}");
                    Next::Wait(Delay::UntilChange(PAUSE_BETWEEN_CHECKS))
                }
                (Readiness::NotYet(query, _), true) => Next::Ask(query),
                (Readiness::NotYet(_, why), false) => fail(format!("'{name}' runs, but {why}")),
            }
        }
    }
}

/// How far a machine that runs is on its way to what its start waits for.
enum Readiness {
    Ready,
    /// This must be asked first.
    Unasked(Query),
    /// It was not ready when this was asked; why.
    NotYet(Query, String),
}

fn readiness(inv: &Invocation, seen: &Facts, done: &History) -> Readiness {
    match inv.params.started_when {
        // What runs already is not stopped because its agent is silent: that is a monitor's to judge.
        Some(StartedWhen::Agent) if done.start.is_some() => match &seen.answers.agent {
            Fact::NotAsked => Readiness::Unasked(Query::Agent),
            Fact::Known(GuestAgent::Answers | GuestAgent::Excused(_)) => Readiness::Ready,
            Fact::Known(GuestAgent::NeverYet(why) | GuestAgent::Silent { why, .. })
            | Fact::Silent(Silence { why, .. }) => {
                Readiness::NotYet(Query::Agent, format!("its guest agent has not answered yet: {why}"))
            }
        },
        Some(StartedWhen::Running | StartedWhen::Agent) => Readiness::Ready,
        Some(StartedWhen::Checks) | None if guest_check(inv) => match &seen.answers.guest {
            Fact::NotAsked => Readiness::Unasked(Query::Guest),
            Fact::Known(()) => Readiness::Ready,
            Fact::Silent(silence) => Readiness::NotYet(Query::Guest, format!("its check still fails: {}", silence.why)),
        },
        Some(StartedWhen::Checks) | None => Readiness::Ready,
    }
}

fn started(domain: &Domain, health: Health, seen: &Facts, done: &History) -> String {
    let Domain { name, state, .. } = domain;
    let seconds = done.spent.as_secs_f32();
    if matches!(done.restored, Some(Ok(()))) {
        let saved = match &seen.answers.state {
            Fact::Known(SavedState::Fits { saved, .. }) => saved.as_str(),
            Fact::Known(SavedState::Nothing | SavedState::Unfit { .. }) | Fact::NotAsked | Fact::Silent(_) => {
                "saved here"
            }
        };
        format!("'{name}' was restored from its memory ({saved}) and is {state} after {seconds:.1} s")
    } else if let (Some(_), Some(Ok(aside))) = (&done.start, &done.set_aside) {
        format!("'{name}' was started afresh and is {state} after {seconds:.1} s; {aside}")
    } else if done.start.is_some() && seen.answers.saved == Fact::Known(true) {
        format!("'{name}' was restored from its saved memory and is {state} after {seconds:.1} s")
    } else if done.start.is_some() {
        format!("'{name}' was started and is {state} after {seconds:.1} s")
    } else if done.resume.is_some() {
        format!("'{name}' was paused for a migration that was cut short; it was resumed and is {state}")
    } else {
        format!("'{name}' is already {state}{}", advice(seen.here.tools, domain, health))
    }
}

fn start_off(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    let name = seen.here.label();
    if let Libvirt::Silent(silence) = &seen.here.libvirt {
        let why = format!("'{name}' was not started: {}", silence.why);
        // Another node may have it.
        if silence.kind == SilenceKind::Missing {
            return answer(Code::Installed, why);
        }
        let patience = match silence.kind {
            SilenceKind::Dead => share(inv, done, Share::DaemonRefuses),
            SilenceKind::Hung | SilenceKind::Busy => share(inv, done, Share::DaemonAnswers),
            SilenceKind::Refused | SilenceKind::Missing => Duration::ZERO,
        };
        return wait_or(done, patience, || why);
    }
    if done.may_be_over(seen) && !seen.answers.queue_passed.is_asked() && !done.left.is_zero() {
        return Next::Ask(Query::Queue);
    }
    match &done.start {
        // libvirt has not come to what this start asked it for, and will.
        Some(Err(why)) if seen.here.starting.is_some() => {
            return fail(format!("libvirt may still start '{name}', as it was asked to: {why}"));
        }
        Some(Err(why)) => match after_a_restore(inv, name, why, done) {
            Some(next) => return next,
            None => return failed(why, format!("'{name}' was not started: {why}")),
        },
        Some(Ok(())) => {
            let now = match &seen.here.libvirt {
                Libvirt::Domain(domain) => domain.state.to_string(),
                Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => "gone".into(),
            };
            return fail(format!(
                "'{name}' was started, but is {now} again; see its log in {}",
                seen.here.tools.logs()
            ));
        }
        None => {}
    }
    if let Some(Err(why)) = &done.resources {
        return failed(why, format!("'{name}' was not started: {}", why.said));
    }
    if let Libvirt::Unusable(why) = &seen.here.libvirt {
        return answer(Code::Configured, why.clone());
    }
    if let Some(hindrance) = &seen.hindrance {
        return fail(format!("'{name}' was not started: {hindrance}"));
    }
    // A cluster manager may have lost sight of a migration that succeeded. Silence there does not hinder a failover.
    match (&done.moved_to, seen.answers.elsewhere.as_ref().map(Place::presence)) {
        (Some(_), None) => return Next::Ask(Query::Elsewhere),
        (Some(uri), Some(Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. })) => {
            return fail(format!("'{name}' was not started: it migrated to {uri} and runs there; stop it there first"));
        }
        (Some(_), Some(Presence::Off(_) | Presence::Unknown(_))) | (None, _) => {}
    }
    // Both may write the same disks, for all that can be seen; that it is another machine only a UUID tells.
    if let (Process::Namesake(why), Definition::File(_) | Definition::None { .. }) =
        (&seen.here.process, &seen.definition)
    {
        return wait_or(done, share(inv, done, Share::ClearsUp), || {
            format!("'{name}' was not started: {why}; end that process first")
        });
    }
    if matches!(seen.definition, Definition::File(_) | Definition::None { .. })
        && let Some(next) = guard::members(inv, seen, done)
    {
        return next;
    }
    match (&seen.definition, &seen.here.libvirt) {
        (Definition::NotLooked | Definition::Unchanged { .. }, _) => Next::Ask(Query::Definition),
        (Definition::Bad(outcome), _) => over(outcome.clone()),
        (Definition::File(_), Libvirt::Domain(_)) => unless_saved(inv, seen, done, Step::Create),
        (
            Definition::File(_),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_),
        ) => unless_open_elsewhere(inv, seen, done, Step::Create),
        (Definition::None { .. }, Libvirt::Domain(_)) => unless_saved(inv, seen, done, Step::StartDefined),
        (
            Definition::None { looked_at },
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_),
        ) => answer(Code::Installed, no_definition(name, looked_at)),
    }
}

/// `start`, once it is clear what becomes of memory that libvirt has saved (virsh managedsave, libvirt-guests): its own
/// definition would be started with it, a file beside it would leave it behind for the start after that.
fn unless_saved(inv: &Invocation, seen: &Facts, done: &History, start: Step) -> Next {
    let name = seen.here.label();
    match (&seen.answers.saved, inv.params.saved_memory, &done.dropped) {
        (Fact::NotAsked, _, _) => Next::Ask(Query::Saved),
        (Fact::Known(false), _, _) => unless_open_elsewhere(inv, seen, done, start),
        (Fact::Silent(silence), _, _) => fail(format!("'{name}' was not started: {}", silence.why)),
        (Fact::Known(true), SavedMemory::Refuse, _) => fail(format!("{}; it was not started", has_saved_memory(name))),
        (Fact::Known(true), SavedMemory::Use, _) => unless_open_elsewhere(inv, seen, done, Step::StartDefined),
        (Fact::Known(true), SavedMemory::Drop, None) => Next::Do(Step::DropSaved),
        (Fact::Known(true), SavedMemory::Drop, Some(dropped)) => {
            let sentence = |why| format!("'{name}' was not started: its saved memory could not be discarded: {why}");
            match dropped {
                Ok(()) => fail(sentence("libvirt still has it")),
                Err(why) => failed(why, sentence(&why.said)),
            }
        }
    }
}

/// `start`, unless its storage says that somebody else has one of its disks open: a second copy would destroy them. What
/// the storage does not say is no evidence, and hinders only a start that was told to be strict.
fn unless_open_elsewhere(inv: &Invocation, seen: &Facts, done: &History, start: Step) -> Next {
    let name = seen.here.label();
    match (inv.params.guard, &seen.answers.open_elsewhere) {
        (Guard::Off, _) | (Guard::Try | Guard::Strict, Fact::Known(None)) | (Guard::Try, Fact::Silent(_)) => {
            match how_to_start(inv, seen, done, start) {
                Ok(start) => with_resources(inv, seen, done, start),
                Err(first) => first,
            }
        }
        (Guard::Try | Guard::Strict, Fact::NotAsked) => Next::Ask(Query::Storage),
        (Guard::Try | Guard::Strict, Fact::Known(Some(open))) => {
            fail(format!("'{name}' was not started: {open}; find out where it runs, and stop it there"))
        }
        // Of a pool that is not there nobody can tell; once it is, it is asked about again.
        (Guard::Strict, Fact::Silent(silence))
            if silence.kind == SilenceKind::Missing
                && inv.params.start_resources
                && done.resources.is_none()
                && seen.here.tools == Tools::Libvirt =>
        {
            Next::Do(Step::StartResources)
        }
        (Guard::Strict, Fact::Silent(silence)) => fail(format!(
            "'{name}' was not started (guard is strict): who has its disks open is not known: {}",
            silence.why
        )),
    }
}

/// `start`, behind the networks and storage pools that it needs: the last that is done before it, so that nothing comes up
/// for a start that is refused. The storage is asked again then: of a pool that was not there it could not tell.
fn with_resources(inv: &Invocation, seen: &Facts, done: &History, start: Step) -> Next {
    match (&done.resources, inv.params.start_resources, seen.here.tools) {
        (None, true, Tools::Libvirt) => Next::Do(Step::StartResources),
        (None | Some(_), _, _) => Next::Do(start),
    }
}

/// A change that this start needs has failed. What is not installed here may be so on another node.
fn failed(why: &Failure, sentence: String) -> Next {
    let code = match why.kind {
        FailureKind::Missing => Code::Installed,
        FailureKind::Refused(_) | FailureKind::TimedOut | FailureKind::Crashed | FailureKind::Garbled => Code::Generic,
    };
    answer(code, sentence)
}
