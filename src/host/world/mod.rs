// SPDX-License-Identifier: GPL-2.0-or-later
//! The real world that a policy is played on: this host, and what it does to its virtual machine.
//!
//! Nothing is decided here. Every step ends by itself before the deadline; whether it worked is seen by looking.

mod agent;
mod counting;
mod create;
mod drift;
mod elsewhere;
mod memory;
mod moving;
mod saving;
mod steps;
mod storage;
mod trouble;
mod utilization;
mod wait;

use super::disks;
use super::guest_check;
use super::look::{Depth, Looker};
use super::peers;
use super::records;
use super::taking::{Taken, noted, take_lock};
use crate::hypervisor::backend::Backend;
use crate::hypervisor::xen;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::{Fact, Facts, NotedStage, Process, RunId, Silence};
use crate::model::failure::{Failure, FailureKind};
use crate::model::outcome::Outcome;
use crate::model::presence::Presence;
use crate::policy::migrate;
use crate::policy::moving::Moving;
use crate::policy::{self, CRITICAL, Delay, History, Look, Query, Step, Tidy, World};
use crate::sys::held::Held;
use crate::sys::hosts;
use crate::sys::interrupt;
use crate::sys::lock;
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use rustix::process::Signal;
use std::time::{Duration, Instant};
use wait::LOOK_AGAIN;

/// libvirt forgets a domain some moments after its process has ended, and after it has sent the event: how long to wait
/// for that, at most, and before each look.
const FORGETS: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(5));

/// Before members that were silent are asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// This host, for one action.
pub(crate) struct Host<'a> {
    pub(super) inv: &'a Invocation,
    pub(super) looker: Looker,
    pub(super) backend: Backend,
    pub(super) deadline: Deadline,
    /// Until when may be looked. A step may use its time up: the answer is still a fact then.
    pub(super) last_look: Deadline,
    pub(super) began: Instant,
    lock: Taken,
    /// A migration is only rehearsed.
    rehearses: bool,
    /// How long an idle wait is, where nothing tells of a change.
    pub(super) look_again: Duration,
    /// The last wait was ended by the end of the process, or of the domain.
    pub(super) over: bool,
    /// The guest began anew since a step looked for that.
    pub(super) rebooted: bool,
    /// Whether it has been recorded which disks were switched.
    disks_recorded: bool,
    /// The number of the run that this start makes, among those of the folder of `snapshot`; 0 without that.
    generation: u64,
    /// By how many channels the memory that this start restores was written, if by several.
    channels: Option<u32>,
    /// The hash of the definition, where this stop has saved into its file what was changed in the machine.
    rewritten: Option<String>,
    /// When this restart has seen its machine's end.
    turned_to_start: Option<Instant>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(inv: &'a Invocation, env: &Environment, roots: Roots) -> Self {
        let looker = Looker::new(inv, env, roots);
        Self {
            inv,
            backend: Backend { uri: looker.uri.clone(), use_virsh: inv.params.use_virsh },
            looker,
            deadline: inv.budget().deadline(),
            last_look: Deadline::after(inv.budget().time_to_look()),
            began: Instant::now(),
            lock: Taken::Needless,
            rehearses: false,
            look_again: LOOK_AGAIN.0,
            over: false,
            rebooted: false,
            disks_recorded: false,
            generation: 0,
            channels: None,
            rewritten: None,
            turned_to_start: None,
        }
    }

    /// The same, for a migration that is only rehearsed.
    pub(crate) const fn rehearsing(mut self) -> Self {
        self.rehearses = true;
        self
    }

    /// From now on so much time is left.
    pub(super) fn count_anew(&mut self, left: Duration) {
        self.deadline = Deadline::after(left);
        self.last_look = Deadline::after(left + self.inv.budget().share(Share::LastLook, self.inv.timeout));
    }

    /// The end of a share that begins now.
    pub(super) fn until(&self, share: Share) -> Deadline {
        self.inv.budget().until(share, self.deadline)
    }

    /// Looks; after an end, until libvirt has taken note of it.
    pub(super) fn observe(&mut self, deadline: Deadline) -> Facts {
        let seen = self.look_until_noted(deadline);
        // A machine that is known by its mark alone is acted on where it was found.
        self.backend.uri.clone_from(&self.looker.uri);
        seen
    }

    fn look_until_noted(&mut self, deadline: Deadline) -> Facts {
        let depth = Depth::of(self.inv);
        let forgets = deadline.at_most(FORGETS.0);
        let over = std::mem::take(&mut self.over);
        loop {
            let patience = self.inv.budget().share(Share::Look, deadline.left());
            let seen = self.looker.look(self.inv, depth, patience, deadline);
            if !(over && matches!(seen.here.presence(), Presence::Active(_))) || forgets.passed() {
                return seen;
            }
            std::thread::sleep(FORGETS.1);
        }
    }

    /// Where it once went is of no interest any more.
    fn forget_target(&mut self) {
        for name in self.looker.names() {
            records::forget_target(&self.looker.roots.run, name);
        }
    }

    /// Before the machine ends, and with it the knowledge: which of its disks do not run from what the definition says.
    fn record_switched_disks(&mut self) {
        if std::mem::replace(&mut self.disks_recorded, true) {
            return;
        }
        let Some(name) = self.looker.name().map(str::to_owned) else { return };
        let Some(switched) = self.looker.switched(self.until(Share::Switched)) else { return };
        if let Some(sentence) = disks::told(&name, &switched) {
            log::error!("{sentence}; a start here will be refused until then");
        }
        disks::record(&self.looker.roots, &name, &switched, self.until(Share::Switched));
    }

    /// Waits for the lock that this stop went on without.
    fn take_lock_at_last(&self) -> Option<Taken> {
        let name = self.looker.name()?;
        let lock = lock::take(&self.looker.roots, name, self.inv.action.word(), self.deadline).ok()?;
        Some(Taken::Lock(lock, None))
    }

    /// Until when it may be ended here: at the target of its migration it may have to be ended too.
    fn end_here(&self, done: &History) -> Deadline {
        if done.outward.is_leaving() {
            self.inv.budget().keeping(Share::ThenThere, self.deadline)
        } else {
            self.deadline
        }
    }

    fn end_run(&self, run: RunId, seen: &Facts, until: Deadline) -> Result<(), Failure> {
        match (run, &seen.here.process) {
            (RunId::Process { pid, start }, _) => self.kill(pid, start, until),
            (RunId::XenDomain(id), Process::Alive { name, .. }) => {
                log::warn!("destroying Xen domain {id} ('{name}') by xl");
                xen::end(id, name, until)
            }
            (RunId::XenDomain(_), _) => Ok(()),
        }
    }

    /// Ends the process by its identity, first with SIGTERM, which lets QEMU close its disks, then with SIGKILL.
    fn kill(&self, pid: u32, start: u64, until: Deadline) -> Result<(), Failure> {
        let held = match Held::open(pid, start) {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(()),
            Err(error) => return Err(Failure::refused(format!("it cannot be taken hold of: {error}"))),
        };
        for (signal, share) in [(Signal::TERM, Share::Sigterm), (Signal::KILL, Share::Sigkill)] {
            log::warn!("sending {} to process {pid}", if signal == Signal::TERM { "SIGTERM" } else { "SIGKILL" });
            held.signal(signal).map_err(|error| Failure::refused(format!("it cannot be signalled: {error}")))?;
            if held.wait_end(self.inv.budget().until(share, until)) {
                return Ok(());
            }
        }
        let said = "it is still there after SIGKILL: it waits for a device, or for storage that is gone";
        Err(Failure::new(FailureKind::TimedOut, said))
    }
}

/// Waits so long, whatever happens.
fn pause(duration: Duration, deadline: Deadline) {
    std::thread::sleep(duration.min(deadline.left()));
}

impl World for Host<'_> {
    fn begin(&mut self) -> Result<History, Outcome> {
        let moves = self.inv.action.moves();
        self.looker.choose_tools(self.inv);
        let destination = || {
            let own = hosts::own_name();
            migrate::destination(&self.addressed(), &own, &self.looker.uri)
        };
        let target = moves.then(destination).transpose()?;
        let lock = take_lock(self.inv, &mut self.looker, self.deadline);
        self.lock = lock.map_err(|why| policy::not_begun(self.inv, why))?;
        if moves {
            let moving = Moving { target, rehearse: self.rehearses, ..Moving::default() };
            return Ok(History { locked: true, moving, ..History::default() });
        }
        if self.inv.action.watches() {
            return Ok(History::default());
        }
        let before = match &self.lock {
            Taken::Lock(_, before) => Some(before.clone()),
            Taken::Needless | Taken::Beside(_) => None,
        };
        let locked = before.is_some();
        let mut done = History { locked, ..History::on_record(noted(&self.looker), before) };
        done.beside = self.lock.starter().map(str::to_owned);
        Ok(done)
    }

    fn look(&mut self) -> Look {
        let late = self.deadline.passed();
        let seen = self.observe(self.last_look);
        log::debug!("seen after {:.3} s: {seen}", self.began.elapsed().as_secs_f32());
        Look { facts: seen, hurried: late || self.last_look.passed() }
    }

    fn ask(&mut self, query: Query, facts: &mut Facts, done: &History) {
        self.look_again = LOOK_AGAIN.0;
        match query {
            Query::Definition => self.looker.read_definition(self.inv),
            Query::Kept => facts.answers.kept = self.looker.kept(&facts.here.who(), self.deadline),
            Query::Saved => facts.answers.saved = self.looker.saved(&facts.here.who(), self.deadline),
            Query::State => facts.answers.state = self.saved_state(facts),
            Query::OwnSave => facts.answers.own_save = self.own_save(),
            Query::Elsewhere => facts.answers.elsewhere = Some(self.ask_elsewhere(&facts.here.who(), done)),
            Query::Members => {
                if facts.answers.peers.is_asked() {
                    pause(ASK_AGAIN, self.deadline);
                }
                let until = self.until(Share::Guard);
                facts.answers.peers = peers::in_the_cluster(self.inv, &self.looker, &facts.here.libvirt, until).into();
            }
            Query::Storage => facts.answers.open_elsewhere = self.open_elsewhere(facts),
            Query::Target => facts.answers.target = Some(self.ask_target(facts, done)),
            Query::Rehearsal => {
                facts.answers.rehearsed = self.rehearse(facts, done).map_err(Silence::refused).into();
            }
            Query::Switched => {
                let found = self.looker.newly_switched();
                let name = self.looker.name().unwrap_or_default();
                let record =
                    |switched: &Vec<_>| disks::record(&self.looker.roots, name, switched, self.until(Share::Switched));
                // The machine may end without an action of ours that would still see it.
                if let Some((switched, seen)) = &found
                    && switched.as_ref().is_none_or(record)
                {
                    self.looker.switched_seen(seen);
                }
                let switched = found.and_then(|(switched, _)| switched);
                facts.answers.switched = Fact::Known(switched.and_then(|switched| disks::told(name, &switched)));
            }
            Query::Guest => {
                facts.answers.guest = guest_check::run(self.inv, self.deadline).map_err(Silence::refused).into();
            }
            Query::Agent => facts.answers.agent = self.ask_agent(facts),
            Query::Cause => facts.answers.cause = Fact::Known(self.cause(facts)),
            Query::Queue => facts.answers.queue_passed = self.looker.pass_the_queue(self.deadline).into(),
        }
    }

    fn wait(&mut self, delay: Delay, facts: &Facts, done: &mut History) {
        match delay {
            Delay::UntilChange(longest) => {
                self.wait_for(facts, None, self.deadline.at_most(longest), |_| true);
            }
            Delay::Fixed(duration) => {
                self.look_again = LOOK_AGAIN.0;
                pause(duration, self.deadline);
            }
            Delay::Stay(longest) => self.stay(longest, facts, done),
        }
        done.rebooted |= std::mem::take(&mut self.rebooted);
    }

    fn carry_out(&mut self, step: &Step, seen: &Facts, done: &mut History) {
        self.look_again = LOOK_AGAIN.0;
        self.take_step(step, seen, done);
        done.rebooted |= std::mem::take(&mut self.rebooted);
    }

    fn tidy(&mut self, tidy: &Tidy, seen: &Facts, done: &History) {
        match tidy {
            Tidy::ForgetStart => self.looker.forget_start(),
            Tidy::ForgetTarget => self.forget_target(),
            Tidy::Mark { takes_over, started } => {
                if *started {
                    self.note_base(seen);
                }
                self.take_over(seen, *takes_over, *started);
            }
            Tidy::NoteMonitor { answered } => self.note_monitor(*answered, seen),
            Tidy::KeepUtilization => self.keep_utilization(),
            Tidy::TellDrift => self.tell_drift(seen),
            Tidy::NoteMoved => self.note_target(seen, done, NotedStage::Finished),
            Tidy::DropState => self.drop_state(),
            Tidy::ClearState => self.clear_state(),
            Tidy::Warn(sentence) => log::warn!("{sentence}"),
            Tidy::Alert(sentence) => log::error!(target: CRITICAL, "{sentence}"),
        }
    }

    fn time(&self) -> (Duration, Duration) {
        (self.began.elapsed(), self.deadline.left())
    }

    fn interrupted(&self) -> bool {
        interrupt::requested()
    }
}
