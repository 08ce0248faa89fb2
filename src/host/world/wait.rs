// SPDX-License-Identifier: GPL-2.0-or-later
//! Waiting for what changes a virtual machine: libvirt's events, the end of its process, of a call, or of the time.

use super::Host;
use crate::host::records;
use crate::hypervisor::backend::Call;
use crate::hypervisor::rpc::{LifecycleEvent, REBOOTED};
use crate::model::facts::{Facts, Process, RunId};
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::policy::History;
use crate::sys::held::Held;
use crate::sys::interrupt;
use crate::sys::time::{Deadline, timespec};
use rustix::event::{PollFd, PollFlags, poll};
use std::time::Duration;

/// `virDomainEventType`: the domain was started.
const EVENT_STARTED: i32 = 2;
/// `virDomainEventStartedDetailType`: it woke from a suspension of its own.
const WOKE: i32 = 4;
/// `virDomainEventType`: the domain is off.
const EVENT_STOPPED: i32 = 5;
/// `virDomainEventType`: the guest suspended itself.
const EVENT_PMSUSPENDED: i32 = 7;
/// `virDomainEventType`: the guest crashed.
const EVENT_CRASHED: i32 = 8;
/// Where nothing tells of a change, how long to wait before the first look again, and at most.
pub(super) const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something changed, or may have.
    Change,
    /// The call that was watched has ended.
    CallEnded,
    /// Time is over.
    Time,
}

impl Host<'_> {
    /// What came before the first request to shut down is no answer to it.
    pub(super) fn forget_reboots(&mut self, done: &mut History) {
        if !done.asked.is_empty() {
            return;
        }
        done.rebooted = false;
        if let Some(connection) = self.looker.connection() {
            let _ = connection.read_available();
            connection.forget_events(rebooted);
        }
    }

    /// Waits for the end of the domain after `call` asked for it; a call that was refused ends the wait. Where the guest
    /// was
    /// `asked`, a reboot is its answer, too.
    pub(super) fn await_end(
        &mut self,
        seen: &Facts,
        mut call: Call,
        until: Deadline,
        asked: bool,
    ) -> Result<(), Failure> {
        let ends = |event: &LifecycleEvent| {
            matches!(event.event, EVENT_STOPPED | EVENT_PMSUSPENDED | EVENT_CRASHED) || (asked && rebooted(event))
        };
        match self.wait_for(seen, Some(&mut call), until, ends) {
            Woken::CallEnded => {
                call.answer(until)?;
                while self.wait_for(seen, None, until, ends) == Woken::Change
                    && !self.looker.watching()
                    && !until.passed()
                    && !interrupt::requested()
                {
                    // Where nothing tells of the end it is looked for: the guest is not asked anew meanwhile.
                    let now = self.observe(until);
                    let ended = seen.here.process.run().is_some()
                        && matches!(now.here.process, Process::Gone | Process::NoDomain);
                    if ended || !matches!(now.here.presence(), Presence::Active(_)) {
                        break;
                    }
                }
                Ok(())
            }
            // What the call would say is of no interest: dropping it ends it.
            Woken::Change => Ok(()),
            // libvirt has the request, and waits for the guest's agent: that is no refusal.
            Woken::Time if asked => {
                log::info!("{} has not answered yet whether the guest was asked to shut down", self.looker.tools());
                Ok(())
            }
            Woken::Time => call.answer(Deadline::after(Duration::ZERO)).map(drop),
        }
    }

    /// Stays with a machine that runs well, unless this is the first monitor of its run: Pacemaker's transition waits for
    /// the answer to that one. A machine whose process is not known is not stayed with.
    pub(super) fn stay(&mut self, longest: Duration, seen: &Facts, done: &mut History) {
        let answered = || match (self.looker.name(), seen.here.process.run()) {
            (Some(name), Some(process)) => records::take_monitor(&self.looker.roots.run, name, process),
            (_, _) => false,
        };
        let first = done.first_monitor.unwrap_or_else(|| !answered());
        done.first_monitor = Some(first);
        if !first {
            // A guest that reboots runs well.
            self.wait_for(seen, None, self.deadline.at_most(longest), |event| !rebooted(event));
        }
    }

    /// Puts on record whether the next monitor may stay.
    pub(super) fn note_monitor(&self, answered: bool, seen: &Facts) {
        let Some(name) = self.looker.name() else { return };
        match seen.here.process.run().filter(|_| answered) {
            Some(process) => records::note_monitor(&self.looker.roots.run, name, process),
            None => records::forget_monitor(&self.looker.roots.run, name),
        }
    }

    /// Waits for a lifecycle event that `matters`, the end of the process, the end of `call`, or the deadline. Where
    /// libvirt sends no events and no call is watched it comes back after a while, so that the caller looks again.
    pub(super) fn wait_for(
        &mut self,
        seen: &Facts,
        mut call: Option<&mut Call>,
        until: Deadline,
        matters: impl Fn(&LifecycleEvent) -> bool,
    ) -> Woken {
        let watching = self.looker.watching();
        if !watching && call.is_none() && self.looker.watch(until) {
            // What changed before the events began to flow would be missed.
            return Woken::Change;
        }
        let process = seen.here.process.run().and_then(RunId::process);
        let held = match process.map(|(pid, start)| Held::open(pid, start)) {
            Some(Ok(Some(held))) => Some(held),
            Some(Ok(None)) => return Woken::Change,
            Some(Err(_)) | None => None,
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
    fn events(&mut self, matters: &impl Fn(&LifecycleEvent) -> bool) -> Option<Woken> {
        let uuid = self.looker.last().map(|domain| domain.uuid);
        let connection = self.looker.connection()?;
        let late = connection.is_late();
        if let Err(error) = connection.read_available() {
            log::debug!("the connection to libvirt ended while waiting: {error}");
            self.looker.hang_up();
            return Some(Woken::Change);
        }
        while let Some(event) = connection.take_queued_event() {
            if Some(event.uuid) == uuid && matters(&event) {
                self.rebooted |= rebooted(&event);
                self.over = event.event == EVENT_STOPPED;
                return Some(Woken::Change);
            }
        }
        // libvirt is done with whatever kept it from answering.
        (late && !connection.is_late()).then_some(Woken::Change)
    }
}

/// Whether an event says that the guest began anew; Xen makes a new domain for that.
const fn rebooted(event: &LifecycleEvent) -> bool {
    match event.event {
        REBOOTED => true,
        EVENT_STARTED => event.detail != WOKE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_woke_has_not_begun_anew() {
        let told = |event, detail| rebooted(&LifecycleEvent { uuid: [0; 16], event, detail });
        assert!(told(REBOOTED, 0) && told(EVENT_STARTED, 0));
        assert!(!told(EVENT_STARTED, WOKE) && !told(EVENT_STOPPED, 0));
    }
}
