// SPDX-License-Identifier: GPL-2.0-or-later
//! A machine that stands still or has ended: since when and by what, having it run on, and having the cluster keep it stopped.
//! Nothing of this is looked at while a machine runs well.

use super::Host;
use crate::cluster;
use crate::host::records;
use crate::hypervisor::backend::SYSTEM_QEMU;
use crate::hypervisor::emulator_log;
use crate::hypervisor::rpc::DiskError;
use crate::model::budget::Share;
use crate::model::change::Change;
use crate::model::facts::{Cause, Domain, Fact, Facts, Libvirt, Since};
use crate::model::failure::Failure;
use crate::model::state::{Pause, State};
use crate::sys::child::{Child, find_program};
use crate::sys::lock::{self, NotLocked};
use crate::sys::time::{Deadline, utc};
use std::time::{Duration, SystemTime};

/// A log whose last end is older is not of what a recurring monitor has watched until now: libvirt could not write it since.
const OF_THIS_RUN: Duration = Duration::from_secs(3600);

impl Host<'_> {
    /// Since when it stands still, or is off, and by what.
    pub(super) fn cause(&mut self, seen: &Facts) -> Cause {
        match &seen.here.libvirt {
            Libvirt::Domain(domain) if domain.state.active() => self.cause_of_standstill(domain),
            Libvirt::Domain(_) | Libvirt::NoDomain => self.cause_of_end(),
            Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => Cause::default(),
        }
    }

    fn cause_of_standstill(&mut self, domain: &Domain) -> Cause {
        let run = self.looker.run_of(&domain.name, domain.uuid);
        let tried = run.map(|run| records::tries(&self.looker.roots.run, &domain.name, run));
        let disks = if domain.state == State::Paused(Pause::IoError) {
            let until = self.until(Share::Question);
            self.looker.ask_last(until, |connection, domain| connection.disk_errors(domain)).and_then(failed_disks)
        } else {
            None
        };
        Cause { since: self.looker.changed(&domain.name).map(since), disks, ended: None, tried }
    }

    fn cause_of_end(&self) -> Cause {
        let Some(name) = self.looker.name().filter(|_| self.looker.uri == SYSTEM_QEMU) else { return Cause::default() };
        let Some(ended) = emulator_log::end(name, self.until(Share::Question)) else { return Cause::default() };
        let since = since(ended.at);
        if since.ago < OF_THIS_RUN {
            Cause { since: Some(since), ended: Some(ended.reason), ..Cause::default() }
        } else {
            Cause::default()
        }
    }

    /// Has it run on. Who watches holds no lock: it takes that only if nobody is at the machine, and looks again with it,
    /// since whoever was there may have left the machine as it should be.
    pub(super) fn resume(&mut self, seen: &Facts) -> Result<(), Failure> {
        let who = seen.here.who();
        if !self.inv.action.watches() {
            return self.backend.call(&Change::Resume, &who, self.until(Share::Resume));
        }
        let Libvirt::Domain(domain) = &seen.here.libvirt else {
            return Err(Failure::refused("libvirt does not show it"));
        };
        let at_once = Deadline::after(Duration::ZERO);
        let _lock = match lock::take(&self.looker.roots, &domain.name, self.inv.action.word(), at_once) {
            Ok(lock) => Some(lock),
            Err(NotLocked::Taken(holder)) => {
                return Err(Failure::refused(format!("another vm-agent is at it ({holder})")));
            }
            Err(NotLocked::Impossible(error)) => {
                log::debug!("acting without a lock: {error}");
                None
            }
        };
        let now = self.observe(self.deadline);
        if now.here.libvirt != seen.here.libvirt {
            return Err(Failure::refused("it has changed meanwhile"));
        }
        if let (State::Paused(Pause::IoError), Fact::Known(cause)) = (domain.state, &seen.answers.cause) {
            let run = self.looker.run_of(&domain.name, domain.uuid);
            let run = run.ok_or_else(|| Failure::refused("its process cannot be told"))?;
            let count = cause.tries().unwrap_or_default().count + 1;
            // What is not on record would be tried for ever.
            records::note_tries(&self.looker.roots.run, &domain.name, run, count)
                .map_err(|errno| Failure::refused(format!("that it is tried cannot be noted: {errno}")))?;
        }
        log::warn!("'{}' is {}; it is resumed", domain.name, domain.state);
        let resumed = self.backend.call(&Change::Resume, &who, self.until(Share::Resume));
        if resumed.is_ok() {
            self.count_resumed(seen);
        }
        resumed
    }

    /// Has the cluster keep it stopped; not when this host goes down, which ends every guest.
    pub(super) fn keep_stopped(&self) -> Result<(), Failure> {
        let until = self.until(Share::KeepStopped);
        if goes_down(until) {
            return Err(Failure::refused("this host is shutting down"));
        }
        log::warn!("the guest of '{}' has shut down; its target-role is set to Stopped", self.inv.instance);
        cluster::keep_stopped(&self.inv.instance, until).map_err(Failure::refused)
    }
}

fn since(at: SystemTime) -> Since {
    Since { at: utc(at), ago: SystemTime::now().duration_since(at).unwrap_or_default() }
}

fn failed_disks(errors: Vec<DiskError>) -> Option<String> {
    // libvirt has no word for other errors than this.
    let word = |error: &DiskError| format!("{}{}", error.disk, if error.no_space { ": ENOSPC" } else { "" });
    let words: Vec<String> = errors.iter().map(word).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Whether systemd is on its way to the host's end.
fn goes_down(until: Deadline) -> bool {
    let Some(systemctl) = find_program("systemctl") else { return false };
    let asked = Child::new(&systemctl).args(["is-system-running"]).run(until);
    asked.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim() == "stopping")
}
