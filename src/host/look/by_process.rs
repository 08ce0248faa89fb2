// SPDX-License-Identifier: GPL-2.0-or-later
//! What the process table says of the domain.

use super::{Depth, Looker};
use crate::host::aside::{self};
use crate::hypervisor::process::{self, Driver, Evidence, Identity, Pulse};
use crate::hypervisor::status_files;
use crate::model::facts::{Libvirt, Process, RunId};
use crate::sys::held::Held;
use crate::sys::time::Deadline;
use std::time::SystemTime;

impl Looker {
    pub(super) fn process(&self, libvirt: &Libvirt, depth: Depth, deadline: Deadline) -> Process {
        let (name, uuid, active) = match libvirt {
            Libvirt::Domain(domain) => (Some(domain.name.as_str()), Some(domain.uuid), domain.state.active()),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
                (self.name(), None, false)
            }
        };
        let Some(name) = name else {
            return match libvirt {
                Libvirt::Silent(_) => self.process_by_ties(deadline),
                Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => {
                    Process::NotLooked
                }
            };
        };
        // Where a name was given, a definition that was read tells its UUID all the same.
        let uuid = uuid.or_else(|| self.sought_uuids().into_iter().next()).or_else(|| self.defined_uuid());
        let who = Identity { name, uuid, driver: self.driver };
        let answered = !matches!(libvirt, Libvirt::Silent(_));
        if answered && self.driver == Driver::Other {
            return Process::NotLooked;
        }
        if self.is_anothers && !active {
            // The process of that name is known, and is not this machine's; one that libvirt found by its UUID or by its
            // mark is not that one.
            return Process::Gone;
        }
        if self.driver == Driver::Xen {
            return if active && !depth.process && !depth.hardware {
                Process::NotLooked
            } else {
                self.xen_domain(libvirt, &who, depth, deadline)
            };
        }
        if active {
            // libvirt may not have noticed its end.
            match process::pulse(&self.roots, &who) {
                Pulse::Ended(_) => return Process::Gone,
                Pulse::Ending(pid, start) => {
                    let run = RunId::Process { pid, start };
                    return Process::Alive { run, incoming: false, name: name.to_owned(), ending: true };
                }
                Pulse::Beats if !depth.process => return Process::NotLooked,
                Pulse::Beats => {}
            }
            if let Some(found) = process::held_by_libvirt(&self.roots, &who) {
                return alive(found);
            }
        }
        match aside::process(&self.roots, &who, deadline) {
            Evidence::Alive(found) => alive(found),
            Evidence::MayBe(why) => Process::MayBe(why),
            Evidence::Namesake(_) | Evidence::Absent if active => {
                Process::Unknown("it is not among the processes that can be seen here".into())
            }
            Evidence::Namesake(why) => Process::Namesake(why),
            Evidence::Absent => Process::Gone,
            Evidence::Unknown(why) => Process::Unknown(why),
        }
    }

    /// The run of the active domain of this name, where libvirt's own files tell its process.
    pub(crate) fn run_of(&self, name: &str, uuid: [u8; 16]) -> Option<RunId> {
        let who = Identity { name, uuid: Some(uuid), driver: self.driver };
        let found = process::held_by_libvirt(&self.roots, &who)?;
        Some(RunId::Process { pid: found.pid, start: found.start_time_ticks })
    }

    /// When libvirt last noted a change of the active domain of this name.
    pub(crate) fn changed(&self, name: &str) -> Option<SystemTime> {
        self.has_status_files.then(|| status_files::changed(&self.roots, self.driver, name)).flatten()
    }

    /// A process that was seen to be the domain's stays it until its end: while it ends, stuck in the kernel perhaps, it
    /// shows nothing any more that it could be known by, and still has the disks open.
    pub(super) fn unless_it_lives(&mut self, process: Process, libvirt: &Libvirt) -> Process {
        let active = matches!(libvirt, Libvirt::Domain(domain) if domain.state.active());
        match (&process, &self.process) {
            (Process::Alive { run, name, .. }, _) => {
                self.process = run.process().map(|process| (process, name.clone()))
            }
            (Process::NotLooked, _) | (_, None) => {}
            (
                Process::MayBe(_) | Process::Namesake(_) | Process::Gone | Process::NoDomain | Process::Unknown(_),
                Some(((pid, start), name)),
            ) => match Held::open(*pid, *start) {
                Ok(Some(_)) => {
                    let (run, name) = (RunId::Process { pid: *pid, start: *start }, name.clone());
                    let ending = process::is_ending(&self.roots, *pid);
                    return Process::Alive { run, incoming: false, name, ending };
                }
                // That is why it is not found, though libvirt has not noticed yet.
                Ok(None) if active && matches!(process, Process::Unknown(_)) => return Process::Gone,
                Ok(None) => self.process = None,
                Err(error) => {
                    return Process::Unknown(format!(
                        "process {pid} of '{name}' ran, and whether it does still cannot be told: {error}"
                    ));
                }
            },
        }
        process
    }
}

fn alive(found: process::Alive) -> Process {
    Process::Alive {
        run: RunId::Process { pid: found.pid, start: found.start_time_ticks },
        incoming: found.incoming,
        name: found.name,
        ending: found.ending,
    }
}
