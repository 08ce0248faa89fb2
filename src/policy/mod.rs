// SPDX-License-Identifier: GPL-2.0-or-later
//! The policy: what was asked, what is seen and what was done so far give the next step, or the answer.
//!
//! Pure. `act` asks again after each step with fresh facts, so that success is what is observed; `explain` and the
//! scenario tests ask with imagined ones. No arm may turn "unknown" into "not running".

pub mod converge;
pub mod health;
pub mod hope;
pub mod settle;
pub mod tell;

use crate::model::call::{Action, Caller, Invocation};
use crate::model::facts::{Blind, Definition, Domain, Libvirt, NoAnswer, Observation, Process};
use crate::model::outcome::{Code, Outcome};
use crate::model::params::{Problem, SavedMemory, ShutdownMode};
use crate::model::state::Motion;
use crate::model::state::{Pause, State};
use health::Health;
use std::time::Duration;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Carry this out, look again and ask again.
    Do(Step),
    /// The action is over.
    Answer(Outcome),
}

/// One thing to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find and read the definition's file.
    ReadDefinition,
    /// Ask libvirt whether it keeps a definition of the active domain.
    AskKept,
    /// Ask the host where it last migrated to, whether it runs there.
    AskElsewhere,
    /// Ask libvirt whether it has saved memory of the domain, which its next start would restore.
    AskSaved,
    /// Delete that saved memory.
    DropSaved,
    /// Create a transient domain from the definition that was read.
    Create,
    /// Start the definition that libvirt keeps.
    StartDefined,
    /// Let a paused domain run on.
    Resume,
    /// Wake a guest that was suspended by its own power management.
    Wake,
    /// Ask the guest to shut down, then wait for its end, at most so long.
    Ask {
        /// How to ask.
        mode: ShutdownMode,
        /// How long to wait for the end.
        wait: Duration,
    },
    /// Let libvirt end the domain at once.
    Destroy,
    /// Abort the migration that takes it away.
    AbortJob,
    /// It left by a migration in spite of that: end it at the target.
    StopAtTarget {
        /// Only the half of a post-copy, or the shell; a whole one there is not what was ended here.
        only_half: bool,
    },
    /// End the domain's process by its number.
    KillProcess {
        /// The process.
        pid: u32,
        /// Its start, which with its number is its identity.
        start: u64,
    },
    /// Wait for the domain or its process to change, at most so long, then look again.
    Wait {
        /// The longest wait.
        longest: Duration,
    },
    /// Wait until libvirt has begun with all that it was asked for: a start may stand in its queue.
    PassQueue,
    /// Run the guest's checks (status_program or monitor_scripts).
    CheckGuest,
    /// The stop is done; go on with the start (restart and recover).
    TurnToStart,
}

/// What was done so far, and the time.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What is left until this agent must have answered.
    pub left: Duration,
    /// Since the action began.
    pub spent: Duration,
    /// The host that it last migrated to from here, if that is noted.
    pub moved_to: Option<String>,
    /// Whether that migration is on record as begun, and not as finished.
    pub unfinished: bool,
    /// Whether a migration from here was on record as begun when this action began: its agent may have paused the guest.
    pub move_cut_short: bool,
    /// Whether it was seen leaving during this action.
    pub leaving: bool,
    /// Whether its migration's job was seen during this action, with the whole machine still here.
    pub driven: bool,
    /// Whether it was seen in post-copy: then a half of it is at the target.
    pub half: bool,
    /// Whether libvirt has said during this action that no migration takes it away.
    pub settled: bool,
    /// Whether it runs there, when asked; an error when nobody answered.
    pub elsewhere: Option<Result<bool, String>>,
    /// Whether libvirt keeps a definition of it, when asked; an error when it did not say.
    pub kept: Option<Result<bool, String>>,
    /// Whether libvirt has saved memory of it, when asked; an error when it did not say.
    pub saved: Option<Result<bool, String>>,
    /// Result of deleting that, when tried.
    pub dropped: Option<Result<(), String>>,
    /// Result of creating or starting, when tried.
    pub start: Option<Result<(), String>>,
    /// Result of resuming, when tried.
    pub resume: Option<Result<(), String>>,
    /// Result of waking the guest, when tried.
    pub woken: Option<Result<(), String>>,
    /// Requests to shut down, with the mode and, when refused, libvirt's words.
    pub asked: Vec<(ShutdownMode, Result<(), String>)>,
    /// Whether the guest began anew after it was asked to shut down.
    pub rebooted: bool,
    /// Result of aborting an outgoing migration, when tried.
    pub aborted: Option<Result<(), String>>,
    /// Result of ending it at the target of that migration, when tried; a sentence either way.
    pub at_target: Option<Result<String, String>>,
    /// Whether libvirt has begun with all that it was asked for, when that was waited for; an error when it has not.
    pub queue_passed: Option<Result<(), String>>,
    /// Results of destroying.
    pub destroyed: Vec<Result<(), String>>,
    /// Results of ending the process.
    pub killed: Vec<Result<(), String>>,
    /// Since the first `Wait` after the last other step; zero when that was no `Wait`.
    pub waited: Duration,
    /// Result of the last guest check.
    pub guest: Option<Result<(), String>>,
    /// Whether restart and recover are past their stop.
    pub stopped: bool,
}

impl History {
    /// Remembers of an observation what later ones may not show any more.
    pub fn remember(&mut self, seen: &Observation) {
        if let Libvirt::Domain(domain) = &seen.libvirt {
            let half = matches!(domain.state, State::Paused(Pause::PostCopy | Pause::PostCopyFailed));
            let between = half || domain.state == State::Paused(Pause::Migration);
            if domain.motion == Motion::Arriving {
                (self.leaving, self.driven) = (false, false);
            } else if domain.motion == Motion::Leaving || between {
                self.leaving = true;
                self.driven |= domain.motion == Motion::Leaving && !half;
                self.half |= half;
            } else if domain.state.active() && domain.motion == Motion::None {
                // It is here, and nothing takes it away: what was begun did not come to its end.
                (self.leaving, self.driven, self.half, self.unfinished) = (false, false, false, false);
                self.settled = true;
            }
        }
    }

    /// The stop of a restart is done: what was tried in it does not count for its start.
    pub fn turn_to_start(&mut self) {
        let moved_to = self.moved_to.take();
        *self = Self { left: self.left, spent: self.spent, moved_to, stopped: true, ..Self::default() };
    }
}

/// How certain it is where the domain is; what `Observation` comes down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence<'a> {
    /// libvirt says that it is active.
    Active(&'a Domain),
    /// Only its process can be seen, since libvirt does not answer.
    Blind {
        /// The process.
        pid: u32,
        /// Its identity.
        start: u64,
        /// Whether it was started to receive a migration.
        incoming: bool,
        /// The name that it was started under.
        name: &'a str,
        /// Whether it is on its way to its end.
        ending: bool,
        /// Whether the guest was ever told to run: an emulator that libvirt has only made is no running machine.
        ran: bool,
        /// Why libvirt does not answer.
        no_answer: &'a NoAnswer,
    },
    /// libvirt says that it is not active, but its process lives.
    Stray {
        /// The process.
        pid: u32,
        /// Its identity.
        start: u64,
        /// The name that it was started under.
        name: &'a str,
    },
    /// It is not running here, by evidence; the sentence says which.
    Off(String),
    /// Nobody can tell, and why. Never to be taken for `Off`.
    Unknown(String),
}

/// Brings the facts together.
#[must_use]
pub fn presence(seen: &Observation) -> Presence<'_> {
    let name = label(seen);
    match (&seen.libvirt, &seen.process) {
        (Libvirt::Domain(domain), _) if domain.state.active() => Presence::Active(domain),
        (Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_), Process::Alive { pid, start, name, .. }) => {
            Presence::Stray { pid: *pid, start: *start, name }
        }
        (Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_), Process::MayBe(why)) => {
            Presence::Unknown(format!("{why} and may be '{name}', of which libvirt says that it does not run"))
        }
        (Libvirt::Domain(domain), Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::Unknown(_)) => {
            Presence::Off(format!("'{name}' is {}", domain.state))
        }
        (Libvirt::NoDomain, Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::Unknown(_)) => {
            Presence::Off(format!("'{name}' is not running: libvirt knows no such domain"))
        }
        (Libvirt::Unusable(why), Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::Unknown(_)) => {
            Presence::Off(format!("not running, since it can never have been started: {why}"))
        }
        (Libvirt::Ambiguous(why), _) => Presence::Unknown(why.clone()),
        (Libvirt::NoAnswer(no_answer), Process::Alive { pid, start, incoming, name, ending }) => {
            let ran = seen.told_to_run.unwrap_or(seen.starting.is_none());
            Presence::Blind { pid: *pid, start: *start, incoming: *incoming, name, ending: *ending, ran, no_answer }
        }
        // It has no process yet. Whoever asked for the start may be gone; libvirt goes on with it.
        (Libvirt::NoAnswer(NoAnswer { kind: Blind::Busy, .. }), Process::Gone | Process::Namesake(_))
            if seen.starting.is_some() =>
        {
            Presence::Unknown(format!(
                "libvirt is still starting '{name}' and does not answer for it; see what it waits for (storage, a hook)"
            ))
        }
        (Libvirt::NoAnswer(no_answer), Process::Gone | Process::Namesake(_)) if seen.starting.is_some() => {
            Presence::Unknown(format!("libvirt is still starting '{name}', as far as is known: {}", no_answer.why))
        }
        (Libvirt::NoAnswer(NoAnswer { kind: Blind::Busy, why }), Process::Gone | Process::Namesake(_)) => {
            Presence::Unknown(format!("cannot tell whether '{name}' is running: {why}"))
        }
        (Libvirt::NoAnswer(no_answer), Process::Gone | Process::Namesake(_)) => {
            Presence::Off(format!("'{name}' is not running: it has no process ({})", no_answer.why))
        }
        (Libvirt::NoAnswer(no_answer), Process::Unknown(why) | Process::MayBe(why)) => {
            Presence::Unknown(format!("whether '{name}' runs cannot be told: {}; {why}", no_answer.why))
        }
        (Libvirt::NoAnswer(no_answer), Process::NotLooked) => {
            Presence::Unknown(format!("whether '{name}' runs cannot be told: {}", no_answer.why))
        }
    }
}

/// Whether libvirt shows a domain that it was asked to start, and has not told to run: its emulator may wait for a disk.
fn starting_up(seen: &Observation, domain: &Domain) -> bool {
    seen.starting.is_some() && domain.motion == Motion::None && domain.state == State::Paused(Pause::StartingUp)
}

/// Whether libvirt shows what came of a start that is on record: the machine runs, or at least was told to.
#[must_use]
pub fn shows_the_start(seen: &Observation) -> bool {
    seen.starting.is_some()
        && matches!(&seen.libvirt, Libvirt::Domain(domain)
            if domain.state.active() && domain.state != State::Paused(Pause::StartingUp))
}

fn label(seen: &Observation) -> &str {
    match &seen.libvirt {
        Libvirt::Domain(domain) if domain.state.active() => &domain.name,
        // What is off may be the definition of its new name, and not what ran.
        Libvirt::Domain(domain) => seen.name.as_deref().unwrap_or(&domain.name),
        Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::NoAnswer(_) => {
            seen.name.as_deref().unwrap_or("the virtual machine")
        }
    }
}

/// The next step of `inv`, or its answer.
#[must_use]
pub fn next(inv: &Invocation, seen: &Observation, done: &History) -> Next {
    match inv.action {
        Action::Status | Action::Monitor => monitor(inv, seen, done),
        Action::Start => start(inv, seen, done),
        Action::Stop | Action::Kill => stop(inv, seen, done),
        Action::Restart | Action::Recover => {
            if done.stopped {
                return start(inv, seen, done);
            }
            if inv.action == Action::Recover
                && let Presence::Active(domain) = presence(seen)
                && health::health(domain.state, domain.motion) == Health::Well
            {
                return ok(format!("'{}' is {}; nothing to recover", domain.name, domain.state));
            }
            if let Some(refusal) = refusal(inv) {
                return Next::Answer(refusal);
            }
            // A restart that cannot start again is a stop: so the definition is read first.
            if seen.definition == Definition::NotLooked {
                return Next::Do(Step::ReadDefinition);
            }
            if let Some(next) = startable_again(seen, done).or_else(|| saved_before_stop(inv, seen, done)) {
                return next;
            }
            if let (Presence::Active(_), Some(hindrance)) = (presence(seen), &seen.hindrance) {
                return fail(format!("not stopped, since it could not be started again: {hindrance}"));
            }
            match stop(inv, seen, done) {
                Next::Answer(outcome) if outcome.code == Code::Ok => Next::Do(Step::TurnToStart),
                next @ (Next::Do(_) | Next::Answer(_)) => next,
            }
        }
        Action::Reload => match (refused(inv.params.problems.iter()), inv.caller) {
            // A manager would answer a failed reload by stopping a healthy machine.
            (Some(refusal), Caller::Pacemaker | Caller::Rgmanager) => ok(format!(
                "the virtual machine was not touched, but correct this before it is next started or moved: {}",
                refusal.reason
            )),
            (Some(refusal), Caller::Ocf | Caller::Human) => Next::Answer(refusal),
            (None, _) => ok("the parameters are taken over; the virtual machine was not touched".into()),
        },
        Action::MigrateFrom => migrate_from(inv, seen, done),
        Action::Migrate | Action::MigrateTo | Action::MetaData | Action::ValidateAll | Action::Usage => {
            Next::Answer(Outcome::new(Code::Generic, format!("{} is not decided here", inv.action.word())))
        }
    }
}

/// What keeps a restart from its stop: nothing to start from afterwards, as far as is known.
fn startable_again(seen: &Observation, done: &History) -> Option<Next> {
    let looked_at = match &seen.definition {
        Definition::Bad(outcome) => return Some(Next::Answer(outcome.clone())),
        Definition::None { looked_at } => looked_at,
        Definition::NotLooked | Definition::File(_) => return None,
    };
    let name = label(seen);
    match (presence(seen), &done.kept) {
        (Presence::Active(_), None) => Some(Next::Do(Step::AskKept)),
        (Presence::Active(_), Some(Ok(false))) => {
            let why = no_definition(name, looked_at);
            Some(answer(Code::Installed, format!("{why}; it was not stopped, since it could not be started again")))
        }
        (Presence::Active(_), Some(Err(why))) => Some(fail(format!("'{name}' was not stopped: {why}"))),
        (Presence::Blind { no_answer, .. }, None) => Some(wait_or(done, RESTARTING, || {
            format!("'{name}' was not stopped, since it may have no definition to start from: {}", no_answer.why)
        })),
        (Presence::Active(_), Some(Ok(true)))
        | (Presence::Blind { .. }, Some(_))
        | (Presence::Stray { .. } | Presence::Off(_) | Presence::Unknown(_), _) => None,
    }
}

/// What else keeps a restart from its stop: saved memory, for which its start would be refused.
fn saved_before_stop(inv: &Invocation, seen: &Observation, done: &History) -> Option<Next> {
    let (Presence::Active(domain), SavedMemory::Refuse) = (presence(seen), inv.params.saved_memory) else {
        return None;
    };
    match &done.saved {
        None => Some(Next::Do(Step::AskSaved)),
        Some(Ok(false)) => None,
        Some(Ok(true)) => Some(fail(format!("{}; it was not stopped", has_saved_memory(&domain.name)))),
        Some(Err(why)) => Some(fail(format!("'{}' was not stopped: {why}", domain.name))),
    }
}

/// Old memory on disks that were written since destroys them; so it is neither restored nor passed by without being told
/// to.
#[must_use]
pub fn has_saved_memory(name: &str) -> String {
    format!(
        "'{name}' has saved memory: restore it (virsh start, saved_memory=use) or discard it (virsh managedsave-remove, =drop)"
    )
}

/// A wait of a recurring monitor before it says "not running": a guest may just be rebooting.
const SECOND_LOOK: Duration = Duration::from_secs(3);
/// How long a process may outlive libvirt's word that the domain is gone, before it is ended or reported.
const STRAY: Duration = Duration::from_secs(3);
/// How long to wait, at most, for a daemon that may just be restarting, before the process is ended without it.
const RESTARTING: Duration = Duration::from_secs(10);
/// How long a start waits for a daemon that refuses connections, before another node may try.
const DAEMON_RETURNS: Duration = Duration::from_secs(10);
/// How long it waits for one that does not answer.
const DAEMON_ANSWERS: Duration = Duration::from_secs(60);
/// How long a guest may take to wake.
const WAKES: Duration = Duration::from_secs(5);
/// Between the first two requests to shut down; a guest that is still booting misses the first. Doubled up to `ASK_SLOWLY`.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long libvirt may take from beginning with a start until questions about the domain show it.
const QUEUE_SHOWS: Duration = Duration::from_secs(1);
/// Between two requests to a guest that was asked often.
const ASK_SLOWLY: Duration = Duration::from_secs(10);

fn monitor(inv: &Invocation, seen: &Observation, done: &History) -> Next {
    let second_look = || {
        let longest = SECOND_LOOK.min(inv.timeout / 3);
        (done.waited < longest).then(|| Next::Do(Step::Wait { longest: longest - done.waited }))
    };
    match presence(seen) {
        Presence::Active(domain) if starting_up(seen, domain) => wait_or(done, inv.timeout / 2, || {
            format!("libvirt is still starting '{}', which is {}", domain.name, domain.state)
        }),
        Presence::Active(domain) => {
            let health = health::health(domain.state, domain.motion);
            let code = health::code(health, inv);
            // The last moments of a migration that somebody else drives look like one that is stuck.
            if domain.state == State::Paused(Pause::Migration)
                && health == Health::Failed
                && let Some(look) = second_look()
            {
                return look;
            }
            // "Not running" needs libvirt's word on where it comes from, which it may give at the next look.
            if domain.motion == Motion::Unknown
                && code == Code::NotRunning
                && let Some(look) = second_look()
            {
                return look;
            }
            // libvirt notices an end within milliseconds, unless it hangs.
            if let Some(ends) = end_of(seen, domain) {
                return second_look().unwrap_or_else(|| answer(Code::Generic, ends));
            }
            if health == Health::Well && inv.check_level >= 10 && guest_check(inv) {
                match &done.guest {
                    None => return Next::Do(Step::CheckGuest),
                    Some(Err(why)) => {
                        return answer(Code::Generic, format!("'{}' runs, but its check failed: {why}", domain.name));
                    }
                    Some(Ok(())) => {}
                }
            }
            with_problems(inv, code, format!("'{}' is {}{}", domain.name, domain.state, advice(domain, health)))
        }
        // It may be the shell of a machine that runs elsewhere: a probe does not claim it as long as libvirt may still tell.
        Presence::Blind { incoming: true, .. } if inv.probe() && done.waited < inv.timeout / 2 => {
            Next::Do(Step::Wait { longest: inv.timeout / 2 - done.waited })
        }
        Presence::Blind { pid, name, ending: true, no_answer, .. } => second_look().unwrap_or_else(|| {
            let its = its_process(pid, name, label(seen));
            answer(Code::Generic, format!("{its} was killed or ends, and has not come to its end; {}", no_answer.why))
        }),
        Presence::Blind { ran: false, pid, name, no_answer, .. } => {
            wait_or(done, inv.timeout / 2, || still_starting(label(seen), (pid, name), no_answer))
        }
        Presence::Blind { pid, name, no_answer, .. } => {
            let runs = format!("'{}' runs {}", label(seen), as_process(pid, name, label(seen)));
            if let Some(Err(why)) = &done.guest {
                return answer(Code::Generic, format!("{runs}, but its check failed: {why}"));
            }
            let code = if inv.params.degraded_when_blind { degraded(inv) } else { Code::Ok };
            answer(code, format!("{runs}, but {}", no_answer.why))
        }
        Presence::Stray { pid, name, .. } => second_look().unwrap_or_else(|| {
            let its = its_process(pid, name, label(seen));
            answer(Code::Generic, format!("{its} runs, but libvirt lost the domain; stop it to clean up"))
        }),
        Presence::Off(_) if seen.starting.is_some() && !queue_passed(inv, done) => pass_queue(label(seen), done),
        Presence::Off(why) => match second_look() {
            Some(look) if inv.recurring => look,
            Some(_) | None => answer(Code::NotRunning, why),
        },
        // Which machine is meant cannot be told here, where its definition is out of reach. A failed probe would have it
        // stopped here, which fails for the same reason and has this node fenced; Pacemaker takes 5 for "not here".
        Presence::Unknown(why) if inv.probe() && meant_is_unknown(seen) => answer(Code::Installed, why),
        // libvirt is at it, and will be through: a probe that answers 1 may cost a healthy copy elsewhere.
        Presence::Unknown(why) if busy(seen) => wait_or(done, inv.timeout / 2, || why),
        // A short wait covers a daemon that is restarting.
        Presence::Unknown(why) => second_look().unwrap_or_else(|| answer(Code::Generic, why)),
    }
}

/// Whether nothing tells which machine of this host is meant.
fn meant_is_unknown(seen: &Observation) -> bool {
    seen.name.is_none() || matches!(seen.libvirt, Libvirt::Ambiguous(_))
}

/// The target's side: the source has said that it moved, so it runs, or is about to.
fn migrate_from(inv: &Invocation, seen: &Observation, done: &History) -> Next {
    match presence(seen) {
        Presence::Active(domain) => match health::health(domain.state, domain.motion) {
            Health::Well | Health::Degraded => ok(format!("'{}' has arrived and is {}", domain.name, domain.state)),
            Health::Arriving | Health::Elsewhere => wait_or(done, inv.timeout, || {
                format!("'{}' is still arriving: its memory did not come in time", domain.name)
            }),
            Health::Failed | Health::Off => fail(format!("'{}' has arrived, but is {}", domain.name, domain.state)),
        },
        Presence::Blind { ran: false, pid, name, no_answer, .. } => wait_or(done, inv.timeout, || {
            let label = label(seen);
            format!("'{label}' is still arriving: {}, and {}", not_told_to_run(pid, name, label), no_answer.why)
        }),
        Presence::Blind { pid, name, no_answer, .. } => wait_or_else(done, inv.timeout / 2, || {
            let as_process = as_process(pid, name, label(seen));
            ok(format!("'{}' has arrived {as_process}, though {}", label(seen), no_answer.why))
        }),
        Presence::Stray { pid, name, .. } => wait_or(done, RESTARTING, || {
            format!("{} runs, but libvirt does not know it", its_process(pid, name, label(seen)))
        }),
        Presence::Off(why) => wait_or(done, SECOND_LOOK, || format!("{why}; it did not arrive")),
        Presence::Unknown(why) => wait_or(done, inv.timeout, || why),
    }
}

fn advice(domain: &Domain, health: Health) -> &'static str {
    match (domain.state, health) {
        (_, Health::Well | Health::Arriving | Health::Elsewhere | Health::Off) => "",
        (State::Paused(Pause::User | Pause::Unknown | Pause::FromSnapshot), _) => "; resume it with 'virsh resume'",
        (State::PmSuspended, _) => "; wake it with 'virsh dompmwakeup'",
        (State::Paused(Pause::Migration), _) => {
            "; nobody drives that migration any more: see where it runs, stop it here or 'virsh resume' it"
        }
        (State::Paused(Pause::IoError), _) => "; see 'virsh domblkerror', repair the storage",
        (_, Health::Degraded | Health::Failed) => "",
    }
}

/// That the process of a domain which libvirt calls active has ended, or is about to: what is wrong with it, in words.
fn end_of(seen: &Observation, domain: &Domain) -> Option<String> {
    let Domain { name, state, .. } = domain;
    match &seen.process {
        Process::Gone => Some(format!("the process of '{name}' is gone, but libvirt says that it is {state}")),
        Process::Alive { pid, ending: true, .. } => Some(format!(
            "process {pid} of '{name}' was killed or ends, and has not come to its end: it waits for a device, or for \
             storage that is gone; libvirt says that it is {state}"
        )),
        Process::Alive { ending: false, .. }
        | Process::NotLooked
        | Process::MayBe(_)
        | Process::Namesake(_)
        | Process::Unknown(_) => None,
    }
}

/// Its process in a sentence, with the name that it was started under if that is another.
fn its_process(pid: u32, name: &str, label: &str) -> String {
    match name == label {
        true => format!("process {pid} of '{label}'"),
        false => format!("process {pid} of '{label}' (under the name '{name}')"),
    }
}

fn still_starting(label: &str, (pid, name): (u32, &str), no_answer: &NoAnswer) -> String {
    format!("libvirt is still starting '{label}': {}, and {}", not_told_to_run(pid, name, label), no_answer.why)
}

/// What an emulator is that libvirt has made and not told to run.
fn not_told_to_run(pid: u32, name: &str, label: &str) -> String {
    let under = if name == label { String::new() } else { format!(" (under the name '{name}')") };
    format!("its process {pid}{under} was not told to run yet")
}

/// The same in brackets, after the name.
fn as_process(pid: u32, name: &str, label: &str) -> String {
    match name == label {
        true => format!("(process {pid})"),
        false => format!("(process {pid}, under the name '{name}')"),
    }
}

/// A healthy machine is told of with the first parameter that cannot be used: a later start or migration will need it.
fn with_problems(inv: &Invocation, code: Code, sentence: String) -> Next {
    match (code, inv.params.problems.first()) {
        (Code::Ok, Some(problem)) => answer(degraded(inv), format!("{sentence}, but {problem}")),
        (_, _) => answer(code, sentence),
    }
}

/// The answer of a monitor that finds all well, but for disks that were switched since the machine's start.
#[must_use]
pub fn with_switched(inv: &Invocation, outcome: Outcome, sentence: &str) -> Outcome {
    Outcome::new(degraded(inv), format!("{}, but {sentence}", outcome.reason))
}

/// Runs, but not as it should: only Pacemaker's recurring monitor has a word for it.
fn degraded(inv: &Invocation) -> Code {
    if inv.caller == Caller::Pacemaker && inv.recurring { Code::Degraded } else { Code::Ok }
}

/// Refuses to start, or to stop for a start, with parameters that the start needs and cannot use.
fn refusal(inv: &Invocation) -> Option<Outcome> {
    refused(inv.params.problems.iter().filter(|problem| problem.hinders_start()))
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

fn start(inv: &Invocation, seen: &Observation, done: &History) -> Next {
    // What runs is left running, whatever the parameters are: any other answer would have it stopped.
    match presence(seen) {
        Presence::Active(domain) => match end_of(seen, domain) {
            Some(ends) => wait_or(done, RESTARTING, || format!("not started: {ends}; stop it first")),
            None => start_active(inv, domain, done),
        },
        Presence::Blind { incoming: true, .. } if done.waited < inv.timeout / 2 && !done.left.is_zero() => {
            Next::Do(Step::Wait { longest: inv.timeout / 2 - done.waited })
        }
        Presence::Blind { pid, name, ending: true, no_answer, .. } => wait_or(done, inv.timeout, || {
            let its = its_process(pid, name, label(seen));
            format!("not started: {its} was killed or ends, and has not come to its end; {}", no_answer.why)
        }),
        // To call that started would leave a machine that never runs, and that every monitor calls well.
        Presence::Blind { ran: false, pid, name, no_answer, .. } => {
            wait_or(done, inv.timeout, || still_starting(label(seen), (pid, name), no_answer))
        }
        Presence::Blind { pid, name, no_answer, .. } => {
            let as_process = as_process(pid, name, label(seen));
            ok(format!("'{}' already runs {as_process}, though {}", label(seen), no_answer.why))
        }
        Presence::Stray { pid, name, .. } => wait_or(done, RESTARTING, || {
            let its = its_process(pid, name, label(seen));
            format!("{its} still runs though libvirt says it does not; not starting a second copy")
        }),
        Presence::Unknown(why) => {
            // Waiting does not mend a parameter or a definition, and these cannot tell which domain is meant.
            if let Some(refusal) = refusal(inv).filter(|_| meant_is_unknown(seen)) {
                return Next::Answer(refusal);
            }
            if let (Libvirt::Ambiguous(_), Definition::Bad(outcome)) = (&seen.libvirt, &seen.definition) {
                return Next::Answer(outcome.clone());
            }
            wait_or(done, inv.timeout, || if seen.starting.is_some() { why } else { format!("not started: {why}") })
        }
        Presence::Off(_) => refusal(inv).map_or_else(|| start_off(inv, seen, done), Next::Answer),
    }
}

fn start_active(inv: &Invocation, domain: &Domain, done: &History) -> Next {
    let name = &domain.name;
    let state = domain.state;
    match (state, health::health(state, domain.motion)) {
        (State::InShutdown, _) => wait_or(done, inv.timeout, || format!("'{name}' is still {state}; not started")),
        (_, Health::Arriving | Health::Elsewhere) => wait_or(done, inv.timeout, || {
            format!("'{name}' is migrating and was left alone; it was not running here in time")
        }),
        // rgmanager re-adopts what runs by a start after any change of its configuration: whoever paused the machine
        // has not asked for it to run on. Only a pause that an agent made for a migration, and did not live to undo, is
        // ours to end.
        (State::Paused(Pause::User), _) if done.move_cut_short => match &done.resume {
            None => Next::Do(Step::Resume),
            Some(Ok(())) => fail(format!("'{name}' was resumed but is {state} again")),
            Some(Err(why)) => fail(format!("'{name}' is {state} and could not be resumed: {why}")),
        },
        (State::Paused(Pause::User | Pause::FromSnapshot), _) => {
            ok(format!("'{name}' is {state} and was left so{}", advice(domain, Health::Degraded)))
        }
        (State::Paused(Pause::Migration), _) => {
            wait_or(done, SECOND_LOOK, || format!("'{name}' is {state}{}", advice(domain, Health::Failed)))
        }
        (State::Paused(Pause::StartingUp), _) => {
            wait_or(done, inv.timeout, || format!("'{name}' is {state} and did not begin to run in time"))
        }
        (_, Health::Failed) => fail(format!("'{name}' is {state}; stop it first, then start it again")),
        (_, health @ (Health::Well | Health::Degraded | Health::Off)) => match (&done.guest, guest_check(inv)) {
            (_, false) | (Some(Ok(())), true) => ok(started(domain, health, done)),
            (None, true) => Next::Do(Step::CheckGuest),
            (Some(Err(why)), true) if done.left > PAUSE_BETWEEN_CHECKS && done.waited.is_zero() => {
                log::debug!("the guest's check failed: {why}");
                Next::Do(Step::Wait { longest: PAUSE_BETWEEN_CHECKS })
            }
            (Some(Err(_)), true) if done.left > PAUSE_BETWEEN_CHECKS => Next::Do(Step::CheckGuest),
            (Some(Err(why)), true) => fail(format!("'{name}' runs, but its check still fails: {why}")),
        },
    }
}

/// Between two checks of a guest that is booting.
const PAUSE_BETWEEN_CHECKS: Duration = Duration::from_secs(1);

fn guest_check(inv: &Invocation) -> bool {
    inv.params.status_program.is_some() || inv.params.monitor_scripts.is_some()
}

fn started(domain: &Domain, health: Health, done: &History) -> String {
    let Domain { name, state, .. } = domain;
    let seconds = done.spent.as_secs_f32();
    if done.start.is_some() && done.saved == Some(Ok(true)) {
        format!("'{name}' was restored from its saved memory and is {state} after {seconds:.1} s")
    } else if done.start.is_some() {
        format!("'{name}' was started and is {state} after {seconds:.1} s")
    } else if done.resume.is_some() {
        format!("'{name}' was paused for a migration that was cut short; it was resumed and is {state}")
    } else {
        format!("'{name}' is already {state}{}", advice(domain, health))
    }
}

fn start_off(inv: &Invocation, seen: &Observation, done: &History) -> Next {
    let name = label(seen);
    if let Libvirt::NoAnswer(no_answer) = &seen.libvirt {
        let why = format!("'{name}' was not started: {}", no_answer.why);
        let patience = match no_answer.kind {
            Blind::Dead => DAEMON_RETURNS,
            Blind::Hung | Blind::Busy => DAEMON_ANSWERS,
            Blind::Refused => Duration::ZERO,
        };
        return wait_or(done, patience, || why);
    }
    match &done.start {
        // libvirt has not come to what this start asked it for, and will.
        Some(Err(why)) if seen.starting.is_some() => {
            return fail(format!("libvirt may still start '{name}', as it was asked to: {why}"));
        }
        Some(Err(why)) => return fail(format!("'{name}' was not started: {why}")),
        Some(Ok(())) => {
            let now = match &seen.libvirt {
                Libvirt::Domain(domain) => domain.state.to_string(),
                Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::NoAnswer(_) => {
                    "gone".into()
                }
            };
            return fail(format!("'{name}' was started, but is {now} again; see its log in /var/log/libvirt"));
        }
        None => {}
    }
    if let Libvirt::Unusable(why) = &seen.libvirt {
        return answer(Code::Configured, why.clone());
    }
    if let Some(hindrance) = &seen.hindrance {
        return fail(format!("'{name}' was not started: {hindrance}"));
    }
    // A cluster manager may have lost sight of a migration that succeeded. Silence there does not hinder a failover.
    match (&done.moved_to, &done.elsewhere) {
        (Some(_), None) => return Next::Do(Step::AskElsewhere),
        (Some(uri), Some(Ok(true))) => {
            return fail(format!("'{name}' was not started: it migrated to {uri} and runs there; stop it there first"));
        }
        (Some(_), Some(Ok(false) | Err(_))) | (None, _) => {}
    }
    // Both may write the same disks, for all that can be seen; that it is another machine only a UUID tells.
    if let (Process::Namesake(why), Definition::File(_) | Definition::None { .. }) = (&seen.process, &seen.definition) {
        return wait_or(done, RESTARTING, || format!("'{name}' was not started: {why}; end that process first"));
    }
    match (&seen.definition, &seen.libvirt) {
        (Definition::NotLooked, _) => Next::Do(Step::ReadDefinition),
        (Definition::Bad(outcome), _) => Next::Answer(outcome.clone()),
        (Definition::File(_), Libvirt::Domain(_)) => unless_saved(inv, name, done, Step::Create),
        (
            Definition::File(_),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::NoAnswer(_),
        ) => Next::Do(Step::Create),
        (Definition::None { .. }, Libvirt::Domain(_)) => unless_saved(inv, name, done, Step::StartDefined),
        (
            Definition::None { looked_at },
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::NoAnswer(_),
        ) => answer(Code::Installed, no_definition(name, looked_at)),
    }
}

/// `start`, once it is clear what becomes of memory that libvirt has saved (virsh managedsave, libvirt-guests): its own
/// definition would be started with it, a file beside it would leave it behind for the start after that.
fn unless_saved(inv: &Invocation, name: &str, done: &History, start: Step) -> Next {
    match (&done.saved, inv.params.saved_memory, &done.dropped) {
        (None, _, _) => Next::Do(Step::AskSaved),
        (Some(Ok(false)), _, _) => Next::Do(start),
        (Some(Err(why)), _, _) => fail(format!("'{name}' was not started: {why}")),
        (Some(Ok(true)), SavedMemory::Refuse, _) => fail(format!("{}; it was not started", has_saved_memory(name))),
        (Some(Ok(true)), SavedMemory::Use, _) => Next::Do(Step::StartDefined),
        (Some(Ok(true)), SavedMemory::Drop, None) => Next::Do(Step::DropSaved),
        (Some(Ok(true)), SavedMemory::Drop, Some(dropped)) => {
            let why = dropped.as_ref().err().map_or("libvirt still has it", String::as_str);
            fail(format!("'{name}' was not started: its saved memory could not be discarded: {why}"))
        }
    }
}

/// The sentence for a virtual machine that is defined nowhere.
#[must_use]
pub fn no_definition(name: &str, looked_at: &[std::path::PathBuf]) -> String {
    let places: Vec<String> = looked_at.iter().map(|p| p.display().to_string()).collect();
    if places.is_empty() {
        format!("'{name}' has no definition: libvirt knows none, and neither path nor config is set")
    } else {
        format!("'{name}' has no definition: libvirt knows none, and there is no {}", places.join(", "))
    }
}

/// What is kept of a stop's time for destroying: libvirt needs 10 s for a QEMU that hangs, and its process must end.
#[must_use]
pub fn destroy_reserve(timeout: Duration) -> Duration {
    if timeout >= Duration::from_secs(40) { Duration::from_secs(20) } else { timeout / 2 }
}

fn stop(inv: &Invocation, seen: &Observation, done: &History) -> Next {
    let ended = done.destroyed.iter().chain(&done.killed).any(Result::is_ok);
    let acted = !done.destroyed.is_empty() || !done.killed.is_empty() || !done.asked.is_empty();
    let name = label(seen);
    match presence(seen) {
        Presence::Off(_) if seen.starting.is_some() && !queue_passed(inv, done) => pass_queue(name, done),
        // Whatever a silent daemon was asked for by others it may still begin with.
        Presence::Off(_) if hung(seen) && !ended && !force(inv) && !patience(inv, done).is_zero() => {
            Next::Do(Step::Wait { longest: patience(inv, done) })
        }
        // It was leaving: it may have arrived, and a copy there is still a copy.
        Presence::Off(_) if done.leaving => gone_while_leaving(name, ended, done),
        // It is not here. If it has arrived there, it is that host's; this note may be old.
        Presence::Off(_) if done.unfinished && !acted => {
            let uri = done.moved_to.as_deref().unwrap_or("another host");
            ok(format!("'{name}' does not run here; a migration to {uri} was begun once, see whether it runs there"))
        }
        Presence::Off(_) if acted => ok(format!("'{name}' {} after {:.1} s", how(done), done.spent.as_secs_f32())),
        Presence::Off(why) => match &seen.hindrance {
            Some(hindrance) => ok(format!("{why}; a start would be refused: {hindrance}")),
            None => ok(why),
        },
        Presence::Active(domain) => stop_active(inv, domain, seen, done),
        Presence::Blind { pid, start, name: own, no_answer, .. } => {
            let patience = match no_answer.kind {
                // It may be restarting.
                Blind::Dead | Blind::Refused => RESTARTING.min(inv.timeout / 4).saturating_sub(done.waited),
                // There is no guest yet that could be asked.
                Blind::Hung | Blind::Busy if seen.told_to_run == Some(false) => {
                    RESTARTING.min(inv.timeout / 4).saturating_sub(done.waited)
                }
                // It is there, and only with it can the guest be asked: what a slow guest gets, a slow daemon gets too.
                Blind::Hung | Blind::Busy => patience(inv, done),
            };
            // After a destroy there is nothing to be patient for: libvirt itself waits for the process, and blocks looks.
            if !patience.is_zero() && !force(inv) && done.destroyed.is_empty() && done.killed.is_empty() {
                return Next::Do(Step::Wait { longest: patience });
            }
            end_process(inv, name, (pid, start, own), done, &no_answer.why)
        }
        Presence::Stray { pid, start, name: own } => {
            if done.waited < a_moment(inv) {
                return Next::Do(Step::Wait { longest: a_moment(inv) - done.waited });
            }
            end_process(inv, name, (pid, start, own), done, "libvirt says that it does not run")
        }
        // Its process was seen to end, and libvirt, which could have made another, does not run.
        Presence::Unknown(_) if ended_by_killing(done) && dead(seen) && seen.starting.is_none() => {
            ok(format!("'{name}' {} after {:.1} s", how(done), done.spent.as_secs_f32()))
        }
        // What was asked here has ended it; libvirt gives back what it held.
        Presence::Unknown(_)
            if (ended || !done.destroyed.is_empty() || !done.asked.is_empty())
                && seen.starting.is_none()
                && clearing_up(seen) =>
        {
            until_let_go(inv, name, done, inv.timeout)
        }
        Presence::Unknown(why) => wait_or(done, inv.timeout, || match seen.starting {
            Some(_) => why,
            None => format!("not stopped: {why}"),
        }),
    }
}

/// Its process is gone by what was done here, and libvirt has not let go of it yet: as long as it does not answer it runs
/// hooks, which give storage back. It is waited for, at most so long and as long as there is time; then the process counts.
fn until_let_go(inv: &Invocation, name: &str, done: &History, longest: Duration) -> Next {
    // What may have to be ended at the target of its migration needs time too.
    let reserve = if done.leaving { destroy_reserve(inv.timeout) / 2 } else { Duration::ZERO };
    let patience = done.left.saturating_sub(reserve).min(longest.saturating_sub(done.waited));
    if !patience.is_zero() {
        return Next::Do(Step::Wait { longest: patience });
    }
    if done.leaving {
        return gone_while_leaving(name, true, done);
    }
    let seconds = done.spent.as_secs_f32();
    ok(format!("'{name}' {} after {seconds:.1} s; its process is gone, libvirt is not through with it yet", how(done)))
}

/// Whether libvirt, which says that the domain is off, has begun with every start that it was asked for before, and had a
/// moment since to let it be seen.
fn queue_passed(inv: &Invocation, done: &History) -> bool {
    matches!(done.queue_passed, Some(Ok(()))) && done.waited >= QUEUE_SHOWS.min(inv.timeout / 8)
}

/// Makes sure of it. A start whose agent is gone may stand in libvirt's queue behind others that wait for storage, while
/// questions, which overtake, are answered that there is no such domain.
fn pass_queue(name: &str, done: &History) -> Next {
    match &done.queue_passed {
        Some(Ok(())) => Next::Do(Step::Wait { longest: QUEUE_SHOWS }),
        Some(Err(_)) if done.waited.is_zero() && !done.left.is_zero() => {
            Next::Do(Step::Wait { longest: PAUSE_BETWEEN_CHECKS })
        }
        None | Some(Err(_)) if !done.left.is_zero() => Next::Do(Step::PassQueue),
        None => fail(format!("libvirt may still start '{name}', as it was asked to")),
        Some(Err(why)) => fail(format!("libvirt may still start '{name}', as it was asked to: {why}")),
    }
}

/// What a stop has until it must begin to end the machine by force.
fn patience(inv: &Invocation, done: &History) -> Duration {
    done.left.saturating_sub(reserve(inv))
}

/// What is kept of a stop's time.
fn reserve(inv: &Invocation) -> Duration {
    if matches!(inv.action, Action::Restart | Action::Recover) {
        // The start that follows needs its time too.
        inv.timeout / 2
    } else {
        destroy_reserve(inv.timeout)
    }
}

/// It was taken away by a migration, and then it was gone, or was `ended` here.
fn gone_while_leaving(name: &str, ended: bool, done: &History) -> Next {
    if !ended {
        return match &done.at_target {
            None => Next::Do(Step::StopAtTarget { only_half: false }),
            Some(Ok(there)) => ok(format!("'{name}' does not run here; {there}")),
            Some(Err(why)) => fail(format!("'{name}' has left by a migration, and was not stopped: {why}")),
        };
    }
    let how = format!("'{name}' {} after {:.1} s", how(done), done.spent.as_secs_f32());
    match &done.at_target {
        // A copy that nobody drove is not what went elsewhere: that one is whoever's it is by now.
        None if !done.driven && !done.half => {
            ok(format!("{how}; it was migrating once, see whether it runs elsewhere"))
        }
        None if done.left.is_zero() => ok(how),
        None => Next::Do(Step::StopAtTarget { only_half: !done.driven }),
        // Here it is ended for certain. A target that does not answer is the cluster's to fence.
        Some(Ok(there) | Err(there)) => ok(format!("{how}; {there}")),
    }
}

fn a_moment(inv: &Invocation) -> Duration {
    STRAY.min(inv.timeout / 4)
}

fn ended_by_killing(done: &History) -> bool {
    matches!(done.killed.last(), Some(Ok(())))
}

fn dead(seen: &Observation) -> bool {
    silent(seen) == Some(Blind::Dead)
}

fn hung(seen: &Observation) -> bool {
    silent(seen) == Some(Blind::Hung)
}

fn busy(seen: &Observation) -> bool {
    silent(seen) == Some(Blind::Busy)
}

/// Whether libvirt is at something with a domain that has no process.
fn clearing_up(seen: &Observation) -> bool {
    busy(seen) && matches!(seen.process, Process::Gone | Process::Namesake(_))
}

fn silent(seen: &Observation) -> Option<Blind> {
    match &seen.libvirt {
        Libvirt::NoAnswer(no_answer) => Some(no_answer.kind),
        Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => None,
    }
}

fn force(inv: &Invocation) -> bool {
    inv.action == Action::Kill || inv.params.force_stop
}

fn how(done: &History) -> &'static str {
    if !done.killed.is_empty() {
        "was ended by ending its process,"
    } else if !done.destroyed.is_empty() && done.rebooted {
        "rebooted when it was asked to shut down, and was destroyed in its firmware"
    } else if !done.destroyed.is_empty() {
        "was destroyed"
    } else {
        "shut down"
    }
}

/// Ends the process (its number, its start, its own name) of `label`.
fn end_process(inv: &Invocation, label: &str, process: (u32, u64, &str), done: &History, why: &str) -> Next {
    let (pid, start, name) = process;
    let its = || its_process(pid, name, label);
    if inv.params.no_kill && inv.action != Action::Kill {
        return wait_or(done, inv.timeout, || format!("{} still runs, no_kill forbids ending it, and {why}", its()));
    }
    match done.killed.last() {
        // It ends when its storage answers: that is waited for, and nothing else.
        Some(Err(error)) if done.left < Duration::from_secs(1) || done.killed.len() > 2 => {
            wait_or(done, inv.timeout, || format!("{} could not be ended: {error}", its()))
        }
        None | Some(Ok(()) | Err(_)) => Next::Do(Step::KillProcess { pid, start }),
    }
}

fn stop_active(inv: &Invocation, domain: &Domain, seen: &Observation, done: &History) -> Next {
    let name = &domain.name;
    let state = domain.state;
    let health = health::health(state, domain.motion);
    let may_leave = match domain.motion {
        Motion::Leaving => true,
        // One answer that did not come does not unsay an earlier one.
        Motion::Unknown => !done.settled && !done.left.is_zero(),
        Motion::None | Motion::Arriving => false,
    };
    if may_leave && state != State::Paused(Pause::PostCopy) && done.aborted.is_none() {
        return Next::Do(Step::AbortJob);
    }
    let forbidden = inv.params.no_kill && inv.action != Action::Kill && domain.motion != Motion::Arriving;
    // It has ended, and libvirt, in the middle of something else, has not taken note of it.
    let gone = seen.process == Process::Gone;
    // What has no process any more, or one that is ending, hears nothing.
    let deaf = end_of(seen, domain).is_some();
    let beyond_asking = deaf
        || starting_up(seen, domain)
        || match health {
            Health::Failed | Health::Arriving | Health::Elsewhere => true,
            // One that does not wake cannot answer. Why the other is paused may be a migration: it is not resumed to be asked.
            Health::Degraded => {
                let sleeps_on = || matches!(&done.woken, Some(woken) if woken.is_err() || done.waited >= WAKES);
                (state == State::PmSuspended && sleeps_on()) || state == State::Paused(Pause::Unknown)
            }
            Health::Well | Health::Off => false,
        };
    let patience = if forbidden { done.left } else { patience(inv, done) };
    // The target runs it, and may still need memory from here.
    let needed = state == State::Paused(Pause::PostCopy) || domain.motion == Motion::Leaving;
    if needed && !gone && !force(inv) && !patience.is_zero() {
        // No event tells of a job's end, so it is looked for again soon.
        let soon = PAUSE_BETWEEN_CHECKS.min(patience);
        return Next::Do(Step::Wait { longest: soon });
    }
    // A guest that was asked and begins anew (on_poweroff=restart, updates) would be destroyed at some time while it boots
    // or runs. In its firmware it has not touched its disks yet.
    let begins_anew = done.rebooted && !forbidden;
    let ask = !force(inv) && !beyond_asking && !begins_anew && done.destroyed.is_empty();
    if ask && !patience.is_zero() {
        // A guest that is paused cannot answer: it is let run, so that it may end in an orderly way.
        if matches!(state, State::Paused(Pause::User | Pause::FromSnapshot)) && done.resume.is_none() {
            return Next::Do(Step::Resume);
        }
        // One that sleeps cannot either: it is woken.
        if state == State::PmSuspended {
            return Next::Do(match done.woken {
                None => Step::Wake,
                Some(_) => Step::Wait { longest: PAUSE_BETWEEN_CHECKS.min(patience) },
            });
        }
        return ask_guest(&inv.params.shutdown_modes, patience, done);
    }
    if forbidden {
        return wait_or(done, inv.timeout, || {
            format!("'{name}' is still {state}: it did not shut down in time, and no_kill forbids destroying it")
        });
    }
    destroy(inv, name, seen, done)
}

/// The modes in order, each again and again; a mode that is refused is followed by the next one at once.
fn ask_guest(modes: &[ShutdownMode], patience: Duration, done: &History) -> Next {
    let refused = |mode: ShutdownMode| done.asked.iter().any(|(m, result)| *m == mode && result.is_err());
    let mut usable: Vec<ShutdownMode> = modes.iter().copied().filter(|m| !refused(*m)).collect();
    if usable.is_empty() {
        usable.push(ShutdownMode::Default);
    }
    let accepted = done.asked.iter().filter(|(_, result)| result.is_ok()).count();
    let mode = usable.get(accepted % usable.len()).copied().unwrap_or(ShutdownMode::Default);
    // Refused even so: not at once again.
    let refused_last = matches!(done.asked.last(), Some((last, Err(_))) if *last == mode);
    if refused_last && done.waited.is_zero() {
        return Next::Do(Step::Wait { longest: PAUSE_BETWEEN_CHECKS.min(patience) });
    }
    let doublings = u32::try_from(accepted).unwrap_or(u32::MAX).min(5);
    Next::Do(Step::Ask { mode, wait: (ASK_AGAIN * 2_u32.pow(doublings)).min(ASK_SLOWLY).min(patience) })
}

fn destroy(inv: &Invocation, name: &str, seen: &Observation, done: &History) -> Next {
    match (done.destroyed.as_slice(), &seen.process) {
        ([], _) => Next::Do(Step::Destroy),
        // All processes were read, and it has none any more: what libvirt still says of it is old.
        // It may be stuck, as in a migration to a port that a firewall drops (TCP gives up after two minutes).
        ([.., _], Process::Gone) => until_let_go(inv, name, done, RESTARTING),
        ([.., _], Process::Alive { pid, start, name: own, .. }) => {
            let why = match done.destroyed.last() {
                Some(Err(error)) => error.as_str(),
                Some(Ok(())) | None => "libvirt's destroy did not end it",
            };
            end_process(inv, name, (*pid, *start, own), done, why)
        }
        ([.., last], Process::NotLooked | Process::MayBe(_) | Process::Namesake(_) | Process::Unknown(_)) => {
            if done.destroyed.len() < 3 && done.left > Duration::from_secs(2) {
                if done.waited.is_zero() {
                    return Next::Do(Step::Wait { longest: PAUSE_BETWEEN_CHECKS });
                }
                return Next::Do(Step::Destroy);
            }
            let why = last.as_ref().err().map_or("libvirt's destroy did not end it", String::as_str);
            // libvirt may still be about to notice the end of the process.
            wait_or(done, STRAY, || format!("'{name}' could not be stopped: {why}"))
        }
    }
}

/// Waits for a change as long as there is time (and at most `longest`), then fails with the sentence.
fn wait_or(done: &History, longest: Duration, sentence: impl FnOnce() -> String) -> Next {
    wait_or_else(done, longest, || fail(sentence()))
}

/// Waits for a change as long as there is time (and at most `longest`), then does what is said.
fn wait_or_else(done: &History, longest: Duration, then: impl FnOnce() -> Next) -> Next {
    if done.waited < longest && !done.left.is_zero() {
        Next::Do(Step::Wait { longest: (longest - done.waited).min(done.left) })
    } else {
        then()
    }
}

fn answer(code: Code, reason: String) -> Next {
    Next::Answer(Outcome::new(code, reason))
}

fn ok(reason: String) -> Next {
    answer(Code::Ok, reason)
}

fn fail(reason: String) -> Next {
    answer(Code::Generic, reason)
}
