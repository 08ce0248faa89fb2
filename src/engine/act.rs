// SPDX-License-Identifier: GPL-2.0-or-later
//! The loop of an action: look, decide, carry out one step, look again, until `decide` has the answer.
//!
//! Nothing is decided here. Every step ends by itself before the deadline; whether it worked is seen by looking.

use super::turn::{Taken, noted, take_turn};
use crate::host::disks;
use crate::host::guest_check;
use crate::host::look::{Depth, Looker};
use crate::hypervisor::backend::{self, Backend, Call, Verb};
use crate::hypervisor::rpc::REBOOTED;
use crate::model::call::{Action, Environment, Invocation};
use crate::model::definition::{self, Mark};
use crate::model::facts::{Blind, Defined, Definition, Libvirt, NoAnswer, Observation, Process};
use crate::model::outcome::{Code, Outcome};
use crate::model::worker::Who;
use crate::policy::health::{self, Health};
use crate::policy::settle::{self, There};
use crate::policy::{self, History, Next, Presence, Step};
use crate::sys::held::Held;
use crate::sys::interrupt;
use crate::sys::lock;
use crate::sys::roots::Roots;
use crate::sys::run_dir;
use crate::sys::time::{Deadline, timespec, utc};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use std::time::{Duration, Instant, SystemTime};

/// `virDomainEventType`: the domain was started.
const EVENT_STARTED: i32 = 2;
/// `virDomainEventType`: the domain is off.
const EVENT_STOPPED: i32 = 5;
/// `virDomainEventType`: the guest suspended itself.
const EVENT_PMSUSPENDED: i32 = 7;
/// `virDomainEventType`: the guest crashed.
const EVENT_CRASHED: i32 = 8;
/// Where nothing tells of a change, how long to wait before the first look again, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// libvirt forgets a domain some moments after its process has ended, and after it has sent the event: how long to wait
/// for that, at most, and before each look.
const FORGETS: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(5));
/// How long reading and setting a mark may take: the domain runs as well without.
const MARKING: Duration = Duration::from_secs(5);
/// What is kept of a destroy's time for ending the process without libvirt.
const KILL_RESERVE: Duration = Duration::from_secs(5);

/// Carries out an action that needs facts, and answers before the caller's timeout.
#[must_use]
pub fn run(inv: &Invocation, env: &Environment, roots: Roots) -> Outcome {
    let began = Instant::now();
    let deadline = Deadline::after(inv.timeout.saturating_sub(inv.margin()));
    // A step may use its time up. The answer is still a fact, not the silence of a daemon that was given no time.
    let last_look = Deadline::after(inv.timeout.saturating_sub(inv.margin() / 2));
    let mut looker = Looker::new(inv, env, roots);
    let mut turn = match take_turn(inv, &mut looker, deadline) {
        Ok(turn) => turn,
        Err(outcome) => return outcome,
    };
    let backend = Backend { uri: looker.uri.clone(), use_virsh: inv.params.use_virsh };
    let mut actor = Actor {
        inv,
        looker,
        backend,
        deadline,
        done: History::default(),
        waiting: None,
        look_again: LOOK_AGAIN.0,
        over: false,
        disks_recorded: false,
    };
    if !matches!(inv.action, Action::Status | Action::Monitor) {
        let noted = noted(&actor.looker);
        actor.done.unfinished = noted.as_ref().is_some_and(|noted| !noted.finished);
        actor.done.move_cut_short = actor.done.unfinished;
        if let Taken::Turn(_, before) = &turn
            && noted.as_ref().is_some_and(|noted| noted.finished)
            && *before != noted
        {
            // It was moved while this waited for its turn, so it was here when this was asked for.
            (actor.done.leaving, actor.done.driven, actor.done.unfinished) = (true, true, true);
        }
        actor.done.moved_to = noted.map(|noted| noted.uri);
    }
    let depth = Depth::of(inv.action);
    let mut known: Option<Libvirt> = None;
    loop {
        let late = deadline.passed();
        let mut seen = actor.look(depth, last_look);
        // A daemon that was given hardly any time has not been silent: what it said before a step that changed nothing
        // still counts.
        if let (Some(known), Libvirt::NoAnswer(NoAnswer { kind: Blind::Hung | Blind::Busy, .. }), true) =
            (known.take(), &seen.libvirt, late || last_look.passed())
        {
            seen.libvirt = known;
        }
        log::debug!("seen after {:.3} s: {seen:?}", began.elapsed().as_secs_f32());
        actor.done.left = deadline.left();
        actor.done.spent = began.elapsed();
        actor.done.waited = actor.waiting.map_or(Duration::ZERO, |since| since.elapsed());
        actor.done.remember(&seen);
        actor.settle_start(&mut seen);
        if actor.done.settled && matches!(turn, Taken::Turn(..)) {
            // It is here, and no agent takes it away: the note tells of an earlier migration.
            actor.forget_target();
        }
        match policy::next(inv, &seen, &actor.done) {
            Next::Answer(outcome) => {
                if outcome.code == Code::Ok
                    && let Some(starter) = turn.starter()
                {
                    let Some(taken) = actor.take_turn_at_last() else {
                        let why = format!("another vm-agent ({starter}) may still start it; end that process");
                        let sentence = format!("not stopped for certain: {why} ({})", outcome.reason);
                        return Outcome::new(Code::Generic, sentence);
                    };
                    // What the other agent did until now has not been seen yet.
                    turn = taken;
                    actor.done.queue_passed = None;
                    continue;
                }
                if outcome.code == Code::Ok && matches!(inv.action, Action::Stop | Action::Kill) {
                    actor.looker.forget_start();
                }
                if worth_a_warning(inv, &seen) {
                    log::warn!("{}", outcome.reason);
                }
                let takes_over =
                    matches!(inv.action, Action::Start | Action::Restart | Action::Recover | Action::MigrateFrom);
                // Once it was started here, or was found to run here, where it once went is of no interest any more.
                if outcome.code == Code::Ok && takes_over {
                    actor.forget_target();
                }
                if matches!(outcome.code, Code::Ok | Code::Degraded) {
                    actor.take_over(&seen, takes_over);
                }
                if outcome.code == Code::Ok && inv.recurring && matches!(inv.action, Action::Status | Action::Monitor) {
                    let switched = actor.looker.newly_switched(deadline);
                    let name = actor.looker.name().unwrap_or_default();
                    if let Some(sentence) = disks::told(name, &switched) {
                        log::warn!("{sentence}");
                        return policy::with_switched(inv, outcome, &sentence);
                    }
                }
                return outcome;
            }
            Next::Do(step) if deadline.passed() => {
                // It may have passed since it was asked for: then there is an answer that says why.
                actor.done.left = Duration::ZERO;
                let sentence = format!(
                    "{} was not finished within {:.0} s; next: {step}",
                    inv.action.word(),
                    inv.timeout.as_secs_f32()
                );
                return match policy::next(inv, &seen, &actor.done) {
                    Next::Answer(outcome) => outcome,
                    Next::Do(_) => Outcome::new(Code::Generic, sentence),
                };
            }
            Next::Do(_) if interrupt::requested() => return interrupted(inv, &seen),
            Next::Do(step) => {
                log::debug!("step: {step}");
                if matches!(step, Step::Ask { .. } | Step::Destroy | Step::KillProcess { .. }) {
                    actor.record_switched_disks();
                }
                known = matches!(step, Step::Wait { .. } | Step::CheckGuest).then(|| seen.libvirt.clone());
                actor.carry_out(&step, &seen);
            }
        }
    }
}

/// Whether the answer should be read even though it is a success: libvirt is silent, or what was started stands still.
fn worth_a_warning(inv: &Invocation, seen: &Observation) -> bool {
    match policy::presence(seen) {
        Presence::Blind { .. } => true,
        Presence::Active(domain) => {
            inv.action == Action::Start && health::health(domain.state, domain.motion) == Health::Degraded
        }
        Presence::Stray { .. } | Presence::Off(_) | Presence::Unknown(_) => false,
    }
}

/// The answer to SIGTERM or SIGINT: where things stand.
fn interrupted(inv: &Invocation, seen: &Observation) -> Outcome {
    let now = match policy::presence(seen) {
        Presence::Active(domain) => format!("'{}' is {}", domain.name, domain.state),
        Presence::Blind { pid, .. } | Presence::Stray { pid, .. } => format!("its process {pid} runs"),
        Presence::Off(why) | Presence::Unknown(why) => why,
    };
    Outcome::new(Code::Generic, format!("{} was interrupted by a signal; {now}", inv.action.word()))
}

/// libvirt's share of the time: what a silent daemon may cost one look.
fn patience(inv: &Invocation, deadline: Deadline) -> Duration {
    let most = match inv.action {
        Action::Status | Action::Monitor => Duration::from_secs(3),
        Action::Start
        | Action::Stop
        | Action::Kill
        | Action::MetaData
        | Action::ValidateAll
        | Action::Reload
        | Action::Restart
        | Action::Recover
        | Action::Migrate
        | Action::MigrateTo
        | Action::MigrateFrom
        | Action::Usage => Duration::from_secs(5),
    };
    // Never all that is left: what comes next may be the end of a process, which needs no libvirt.
    most.min(inv.timeout / 4).min(deadline.left() / 2)
}

struct Actor<'a> {
    inv: &'a Invocation,
    looker: Looker,
    backend: Backend,
    deadline: Deadline,
    done: History,
    /// Since when it has done nothing but wait and look: a look at a daemon that hangs takes its time too.
    waiting: Option<Instant>,
    look_again: Duration,
    /// The last wait was ended by the end of the process, or of the domain.
    over: bool,
    /// Whether it has been recorded which disks were switched.
    disks_recorded: bool,
}

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Something changed, or may have.
    Change,
    /// The call that was watched has ended.
    CallEnded,
    /// Time is over.
    Time,
}

impl Actor<'_> {
    /// Looks; after an end, until libvirt has taken note of it.
    fn look(&mut self, depth: Depth, deadline: Deadline) -> Observation {
        let seen = self.look_until_noted(depth, deadline);
        // A machine that is known by its mark alone is acted on where it was found.
        self.backend.uri.clone_from(&self.looker.uri);
        seen
    }

    fn look_until_noted(&mut self, depth: Depth, deadline: Deadline) -> Observation {
        let forgets = deadline.at_most(FORGETS.0);
        let over = std::mem::take(&mut self.over);
        loop {
            let seen = self.looker.look(self.inv, depth, patience(self.inv, deadline), deadline);
            if !(over && matches!(policy::presence(&seen), Presence::Active(_))) || forgets.passed() {
                return seen;
            }
            std::thread::sleep(FORGETS.1);
        }
    }

    /// Takes a start off the record when what came of it is seen: the machine runs; or it does not, and libvirt has begun
    /// with what this agent asked it for. An agent that has not asked cannot know that, see `Step::PassQueue`.
    fn settle_start(&mut self, seen: &mut Observation) {
        let off = matches!(seen.libvirt, Libvirt::Domain(_) | Libvirt::NoDomain)
            && matches!(policy::presence(seen), Presence::Off(_));
        let over = policy::shows_the_start(seen)
            || (off
                && seen.starting.is_some()
                && self.done.start.is_some()
                && self.looker.pass_the_queue(self.deadline).is_ok());
        if over {
            self.looker.forget_start();
            seen.starting = None;
        }
    }

    /// Where it once went is of no interest any more.
    fn forget_target(&mut self) {
        if self.done.moved_to.take().is_some() {
            for name in self.looker.names() {
                run_dir::forget_target(&self.looker.roots.run, name);
            }
        }
    }

    /// Marks a domain that was found running, and whose name came from a file, so that it can be found without that file:
    /// once in each run of it. Only an action that takes the machine over puts its mark in the place of another resource's.
    fn take_over(&mut self, seen: &Observation, takes_over: bool) {
        let (Definition::File(defined), Libvirt::Domain(domain)) = (&seen.definition, &seen.libvirt) else { return };
        if !self.looker.is_mark_due() {
            return;
        }
        let well = health::health(domain.state, domain.motion) == Health::Well;
        if self.done.start.is_none() && well {
            let patience = self.deadline.at_most(MARKING.min(self.deadline.left() / 4));
            let other = self.looker.mark(patience).filter(|mark| mark.name == domain.name);
            let ours = other.as_ref().is_some_and(|mark| mark.instance == self.inv.instance);
            let free = other.is_none_or(|mark| mark.instance == definition::BY_HAND);
            if !ours && (free || takes_over) {
                let mark = self.mark(domain.name.clone(), Some(defined));
                self.set_mark(&seen.who(), &mark, patience);
            }
        }
        self.looker.mark_seen_to();
    }

    /// Before the machine ends, and with it the knowledge: which of its disks do not run from what the definition says.
    fn record_switched_disks(&mut self) {
        if std::mem::replace(&mut self.disks_recorded, true) {
            return;
        }
        let Some(name) = self.looker.name().map(str::to_owned) else { return };
        let patience = self.deadline.at_most(MARKING.min(self.deadline.left() / 8));
        let Some(switched) = self.looker.switched(patience) else { return };
        if let Some(sentence) = disks::told(&name, &switched) {
            log::error!("{sentence}; a start here will be refused until then");
        }
        disks::record(&self.looker.roots, &name, &switched);
    }

    /// Waits for the turn that this stop went on without.
    fn take_turn_at_last(&self) -> Option<Taken> {
        let name = self.looker.name()?;
        lock::take(&self.looker.roots, name, self.inv.action.word(), self.deadline)
            .ok()
            .map(|turn| Taken::Turn(turn, None))
    }

    fn carry_out(&mut self, step: &Step, seen: &Observation) {
        if let Step::Wait { longest } = step {
            self.waiting.get_or_insert_with(Instant::now);
            self.wait(seen, None, self.deadline.at_most(*longest), |_| true);
            return;
        }
        self.waiting = None;
        self.look_again = LOOK_AGAIN.0;
        let who = seen.who();
        match step {
            Step::ReadDefinition => self.looker.read_definition(self.inv),
            Step::AskKept => {
                let silent = || "libvirt does not say whether it keeps a definition to start it from".to_owned();
                self.done.kept = Some(self.looker.kept(&who, self.deadline).ok_or_else(silent));
            }
            Step::AskSaved => {
                let silent = || "libvirt does not say whether it has saved memory of it".to_owned();
                self.done.saved = Some(self.looker.saved(&who, self.deadline).ok_or_else(silent));
            }
            Step::DropSaved => {
                log::warn!("saved memory of the virtual machine is discarded, since saved_memory is drop");
                self.done.dropped = Some(self.backend.call(Verb::DropSaved, &who, self.deadline));
                // Whether it worked is asked again.
                self.done.saved = None;
            }
            Step::AskElsewhere => self.done.elsewhere = Some(self.runs_elsewhere(&who)),
            Step::Create => {
                self.looker.expect_a_new_machine();
                self.done.start = Some(self.create(seen));
            }
            Step::StartDefined => {
                self.looker.note_start();
                if self.done.saved == Some(Ok(true)) {
                    log::warn!("saved memory of the virtual machine is restored, since saved_memory is use");
                }
                let result = self.backend.call(Verb::Start, &who, self.deadline);
                if result.is_ok() {
                    self.mark_running(&who, seen.name.clone().unwrap_or_default());
                }
                self.done.start = Some(result);
            }
            Step::Resume => self.done.resume = Some(self.backend.call(Verb::Resume, &who, self.deadline)),
            Step::Wake => self.done.woken = Some(self.backend.call(Verb::Wake, &who, self.deadline)),
            Step::Ask { mode, wait } => {
                // Watched before it is asked, so that no end is missed.
                self.looker.watch(self.deadline);
                self.forget_reboots();
                let until = self.deadline.at_most(*wait);
                let result = match self.backend.spawn(Verb::Shutdown(*mode), &who, until) {
                    Ok(call) => self.await_end(seen, call, until, true),
                    Err(error) => Err(error),
                };
                if let Err(error) = &result {
                    log::warn!("the guest was not asked to shut down (mode {}): {error}", mode.word());
                }
                self.done.asked.push((*mode, result));
            }
            Step::Destroy => {
                self.looker.watch(self.deadline);
                let until = match seen.process {
                    Process::Alive { .. } => self.deadline.less(KILL_RESERVE.min(self.deadline.left() / 3)),
                    Process::NotLooked
                    | Process::MayBe(_)
                    | Process::Namesake(_)
                    | Process::Gone
                    | Process::Unknown(_) => self.deadline,
                };
                let result = match self.backend.spawn(Verb::Destroy, &who, until) {
                    Ok(call) => self.await_end(seen, call, until, false),
                    Err(error) => Err(error),
                };
                self.done.destroyed.push(result);
            }
            Step::AbortJob => {
                // Where libvirt did not say whether there is a job, there hardly is one.
                let most = Duration::from_secs(if self.done.leaving { 10 } else { 3 });
                let patience = self.deadline.at_most(most.min(self.deadline.left() / 3));
                self.done.aborted = Some(self.backend.call(Verb::AbortJob, &who, patience));
            }
            Step::StopAtTarget { only_half } => self.done.at_target = Some(self.stop_at_target(seen, *only_half)),
            Step::KillProcess { pid, start } => {
                let result = self.kill(*pid, *start);
                if result.is_ok() && seen.starting.as_ref().is_some_and(|starting| starting.made(*start)) {
                    self.looker.forget_start();
                }
                self.done.killed.push(result);
            }
            Step::CheckGuest => self.done.guest = Some(guest_check::run(&self.inv.params, self.deadline)),
            Step::PassQueue => self.done.queue_passed = Some(self.looker.pass_the_queue(self.deadline)),
            Step::TurnToStart => {
                self.looker.forget_start();
                self.done.turn_to_start();
            }
            Step::Wait { .. } => {}
        }
    }

    /// Whether it runs where it last migrated to; a host that is dead must not cost a failover much.
    fn runs_elsewhere(&self, who: &Who) -> Result<bool, String> {
        let uri = self.done.moved_to.as_deref().unwrap_or_default();
        let patience = Duration::from_secs(10).min(self.deadline.left() / 4);
        let until = self.deadline.at_most(patience);
        // It keeps its UUID, whatever name its definition has by now.
        let uuids = self.looker.uuids().into_iter().map(|uuid| Who::Uuid(crate::sys::text::uuid_text(&uuid)));
        let whos: Vec<Who> = uuids.chain(std::iter::once(who.clone())).collect();
        let found = whos.iter().try_fold(false, |found, who| {
            if found { Ok(true) } else { there(uri, who, until).map(|there| there != There::Off) }
        });
        found.inspect_err(|error| {
            log::warn!("it last migrated away from here, and whether it runs there is not known: {error}");
        })
    }

    /// Ends the domain where its migration went, or only what `only_half` of it is there. The note of the target is the
    /// migrating agent's.
    fn stop_at_target(&self, seen: &Observation, only_half: bool) -> Result<String, String> {
        let name = seen.name.clone().unwrap_or_default();
        // The record of a finished migration tells of an earlier one, unless it has finished in the meantime.
        let noted = noted(&self.looker).filter(|noted| !noted.finished || self.done.unfinished);
        let uri = noted.ok_or("where it went is not known here; look for it on the other nodes")?.uri;
        let who = self.looker.last().map_or(Who::Name(name), |d| Who::Uuid(crate::sys::text::uuid_text(&d.uuid)));
        let ask = || there(&uri, &who, self.deadline.at_most(Duration::from_secs(10)));
        match ask()? {
            There::Off => return Ok(format!("it does not run at {uri} either")),
            found if only_half && found.is_whole() => return Ok(format!("at {uri} {found}; that was left alone")),
            There::Running(_) | There::Arriving | There::Unknown(_) => {}
        }
        let backend = Backend { uri: uri.clone(), use_virsh: false };
        let destroyed = backend.call(Verb::Destroy, &who, self.deadline);
        // It may have ended by itself meanwhile: what counts is what is there now.
        if ask()? == There::Off {
            return Ok(format!("it was ended at {uri}"));
        }
        Err(destroyed.err().unwrap_or_else(|| format!("it still runs at {uri}")))
    }

    /// Creates the domain from the definition that was read, with our mark in its metadata, and so that libvirt does not
    /// delete the state of an emulated TPM at its end.
    fn create(&mut self, seen: &Observation) -> Result<(), String> {
        let Definition::File(defined) = &seen.definition else { return Err("there is no definition".into()) };
        let kept = definition::with_kept_tpm(&defined.text).map_err(|error| error.to_string())?;
        if kept.is_some() {
            self.looker.keeps_tpms(self.deadline)?;
            if defined.uuid.is_none() {
                log::warn!(
                    "'{}' has an emulated TPM and no <uuid>: each start gives it a new, empty one",
                    defined.name
                );
            }
        }
        let mark = self.mark(defined.name.clone(), Some(defined));
        let text = definition::with_mark(kept.as_deref().unwrap_or(&defined.text), &mark)
            .map_err(|error| error.to_string())?;
        self.looker.note_start();
        self.backend.call(Verb::Create(&text), &Who::Name(defined.name.clone()), self.deadline)
    }

    /// Marks a domain that was started from libvirt's own definition. Without a mark it runs as well.
    fn mark_running(&self, who: &Who, name: String) {
        self.set_mark(who, &self.mark(name, None), self.deadline.at_most(MARKING));
    }

    fn set_mark(&self, who: &Who, mark: &Mark, patience: Deadline) {
        let element = mark.bare_element();
        if let Err(error) = self.backend.call(Verb::SetMark(&element), who, patience) {
            log::warn!("the domain runs, but could not be marked as this resource's: {error}");
        }
    }

    /// The mark of a domain of this name, from a definition's file; without one, from libvirt's own definition, which
    /// libvirt itself keeps true.
    fn mark(&self, name: String, defined: Option<&Defined>) -> Mark {
        let facts = defined.and_then(|defined| definition::parse(defined.text.as_bytes()).ok());
        let node = self.inv.node.clone();
        Mark {
            instance: if self.inv.instance.is_empty() { definition::BY_HAND.into() } else { self.inv.instance.clone() },
            name,
            source: defined.map(|defined| defined.path.to_string_lossy().into_owned()).unwrap_or_default(),
            sha256: defined.map(Defined::sha256).unwrap_or_default(),
            disks: facts.map(|facts| definition::sources(&facts.disks)).unwrap_or_default(),
            started: utc(SystemTime::now()),
            node: node.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned()),
        }
    }

    /// What came before the first request to shut down is no answer to it.
    fn forget_reboots(&mut self) {
        if let Some(connection) = self.looker.connection().filter(|_| self.done.asked.is_empty()) {
            let _ = connection.read_available();
            connection.forget_events(|event| rebooted(event.event));
        }
    }

    /// Waits for the end of the domain after `call` asked for it; a call that was refused ends the wait. Where the guest was
    /// `asked`, a reboot is its answer, too.
    fn await_end(&mut self, seen: &Observation, mut call: Call, until: Deadline, asked: bool) -> Result<(), String> {
        let ends = |event: i32| {
            matches!(event, EVENT_STOPPED | EVENT_PMSUSPENDED | EVENT_CRASHED) || (asked && rebooted(event))
        };
        match self.wait(seen, Some(&mut call), until, ends) {
            Woken::CallEnded => {
                call.result(until)?;
                while self.wait(seen, None, until, ends) == Woken::Change
                    && !self.looker.watching()
                    && !until.passed()
                    && !interrupt::requested()
                {
                    // Where nothing tells of the end it is looked for: the guest is not asked anew meanwhile.
                    let now = self.look(Depth::of(self.inv.action), until);
                    if !matches!(policy::presence(&now), Presence::Active(_)) {
                        break;
                    }
                }
                Ok(())
            }
            // What the call would say is of no interest: dropping it ends it.
            Woken::Change => Ok(()),
            Woken::Time => call.result(Deadline::after(Duration::ZERO)),
        }
    }

    /// Waits for a lifecycle event that `matters`, the end of the process, the end of `call`, or the deadline. Where
    /// libvirt sends no events and no call is watched it comes back after a while, so that the caller looks again.
    fn wait(
        &mut self,
        seen: &Observation,
        mut call: Option<&mut Call>,
        until: Deadline,
        matters: impl Fn(i32) -> bool,
    ) -> Woken {
        let watching = self.looker.watching();
        if !watching && call.is_none() && self.looker.watch(until) {
            // What changed before the events began to flow would be missed.
            return Woken::Change;
        }
        let held = match seen.process {
            Process::Alive { pid, start, .. } => match Held::open(pid, start) {
                Ok(Some(held)) => Some(held),
                Ok(None) => return Woken::Change,
                Err(_) => None,
            },
            Process::NotLooked | Process::MayBe(_) | Process::Namesake(_) | Process::Gone | Process::Unknown(_) => None,
        };
        // Only an idle wait is cut short: a call needs its time, the more so where libvirt is slow or far away.
        let whole = watching || call.is_some();
        let until = if whole {
            until
        } else {
            let pause = self.look_again;
            self.look_again = (pause * 2).min(LOOK_AGAIN.1);
            until.at_most(pause)
        };
        loop {
            if let Some(woken) = self.events(&matters) {
                return woken;
            }
            if let Some(call) = call.as_deref_mut()
                && call.ended()
            {
                return Woken::CallEnded;
            }
            if held.as_ref().is_some_and(Held::ended) {
                self.over = true;
                return Woken::Change;
            }
            if interrupt::requested() {
                return Woken::Change;
            }
            if until.passed() {
                return if whole { Woken::Time } else { Woken::Change };
            }
            let mut fds = Vec::with_capacity(4);
            if let Some(signals) = interrupt::descriptor() {
                fds.push(PollFd::from_borrowed_fd(signals, PollFlags::IN));
            }
            if let Some(connection) = self.looker.connection() {
                fds.push(PollFd::new(connection, PollFlags::IN));
            }
            if let Some(held) = &held {
                fds.push(PollFd::new(held, PollFlags::IN));
            }
            if let Some(call) = &call {
                fds.push(PollFd::new(call.running(), PollFlags::IN));
            }
            let _ = poll(&mut fds, Some(&timespec(until.left())));
        }
    }

    /// Takes in what libvirt has sent; a broken connection is a change too.
    fn events(&mut self, matters: &impl Fn(i32) -> bool) -> Option<Woken> {
        let uuid = self.looker.last().map(|domain| domain.uuid);
        let connection = self.looker.connection()?;
        let late = connection.is_late();
        if let Err(error) = connection.read_available() {
            log::debug!("the connection to libvirt ended while waiting: {error}");
            self.looker.hang_up();
            return Some(Woken::Change);
        }
        while let Some(event) = connection.take_queued_event() {
            if Some(event.uuid) == uuid && matters(event.event) {
                self.done.rebooted |= rebooted(event.event);
                self.over = event.event == EVENT_STOPPED;
                return Some(Woken::Change);
            }
        }
        // libvirt is done with whatever kept it from answering.
        (late && !connection.is_late()).then_some(Woken::Change)
    }

    /// Ends the process by its identity, first with SIGTERM, which lets QEMU close its disks, then with SIGKILL.
    fn kill(&self, pid: u32, start: u64) -> Result<(), String> {
        let held = match Held::open(pid, start) {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(()),
            Err(error) => return Err(format!("it cannot be taken hold of: {error}")),
        };
        let left = self.deadline.left();
        for (signal, patience) in [(Signal::TERM, Duration::from_secs(5)), (Signal::KILL, Duration::from_secs(10))] {
            log::warn!("sending {} to process {pid}", if signal == Signal::TERM { "SIGTERM" } else { "SIGKILL" });
            held.signal(signal).map_err(|error| format!("it cannot be signalled: {error}"))?;
            if held.wait_end(self.deadline.at_most(patience.min(left / 3))) {
                return Ok(());
            }
        }
        Err("it is still there after SIGKILL: it waits for a device, or for storage that is gone".into())
    }
}

/// Whether an event says that the guest began anew; Xen makes a new domain for that.
const fn rebooted(event: i32) -> bool {
    matches!(event, REBOOTED | EVENT_STARTED)
}

/// How the domain is at another host.
fn there(uri: &str, who: &Who, deadline: Deadline) -> Result<There, String> {
    let lookup =
        backend::lookup(uri, who.clone(), deadline).map_err(|error| format!("{uri} cannot be asked: {error}"))?;
    Ok(settle::there(&lookup))
}
