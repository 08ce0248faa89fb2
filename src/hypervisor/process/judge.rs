// SPDX-License-Identifier: GPL-2.0-or-later
//! What one process is to the domain. Everything about it is read between two looks at its start time, so that the
//! answer is about one process.
//!
//! What cannot block comes first: only processes that may be libvirt's emulators are asked for their arguments, because
//! whoever reads those waits for the lock of that process's memory.

use std::borrow::Cow;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::argv::{self, Home};
use super::host::{self, Owner};
use super::{Alive, Driver, FoundBy, Identity};
use crate::sys::proc::{CommandLine, ProcessDir, Stat, is_gone};
use crate::sys::roots::Roots;

/// What one process is to the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// It is the domain.
    Alive(Alive),
    /// It may be the domain, for this reason, and nobody can tell.
    MayBe(String),
    /// It is called like the domain, but libvirt did not start it.
    Namesake(String),
    /// It is another's.
    Foreign,
    /// It has ended.
    Gone,
    /// It cannot be looked at.
    Unsure(String),
}

/// A process under examination.
struct Judge<'a> {
    roots: &'a Roots,
    who: &'a Identity<'a>,
    process: ProcessDir,
    stat: Stat,
    found_by: FoundBy,
}

pub(super) fn examine(roots: &Roots, who: &Identity<'_>, pid: u32, found_by: FoundBy, buffer: &mut Vec<u8>) -> Verdict {
    let look = ProcessDir::open(&roots.proc, pid).and_then(|process| {
        let stat = process.stat()?;
        Judge { roots, who, process, stat, found_by }.verdict(buffer)
    });
    match look {
        Ok(verdict) => verdict,
        Err(error) if is_gone(error) => Verdict::Gone,
        Err(error) => Verdict::Unsure(format!("process {pid} cannot be looked at: {error}")),
    }
}

/// Whether a process is in our PID namespace and of a user whose processes count, or that cannot be seen: what can be told
/// of it without waiting for anything.
pub(super) fn may_be_of_this_libvirt(roots: &Roots, pid: u32) -> bool {
    let look = ProcessDir::open(&roots.proc, pid).and_then(|process| {
        Ok(host::is_in_our_namespace(roots, &process)? && host::may_be_libvirts(roots, process.status()?.uid))
    });
    look.unwrap_or_else(|error| !is_gone(error))
}

impl Judge<'_> {
    fn verdict(&self, buffer: &mut Vec<u8>) -> rustix::io::Result<Verdict> {
        if self.stat.has_ended() {
            return Ok(Verdict::Gone);
        }
        if self.stat.kernel_thread || !host::is_in_our_namespace(self.roots, &self.process)? {
            return Ok(Verdict::Foreign);
        }
        // The pid file is root's word that this process is the domain, whoever it runs as.
        if self.found_by == FoundBy::Scan && !host::may_be_libvirts(self.roots, self.process.status()?.uid) {
            return Ok(Verdict::Foreign);
        }
        let verdict = match self.process.command_line(buffer)? {
            // The memory of a process, and with it its arguments, is given back before its files are closed. For a
            // large guest that takes seconds, in which it still holds its disks; where its storage hangs, for ever. (It
            // is the same for an instant at its start.)
            CommandLine::Whole if buffer.is_empty() => self.without_arguments("is starting or ending")?,
            CommandLine::Whole => match self.who.driver {
                Driver::Qemu => self.qemu(buffer)?,
                Driver::Lxc => self.lxc(buffer)?,
                Driver::Xen | Driver::Other => Verdict::Foreign,
            },
            CommandLine::TooLong => self.without_arguments("has too long a command line")?,
        };
        let after = self.process.stat()?;
        let same = after.start_time_ticks == self.stat.start_time_ticks && !after.has_ended();
        Ok(if same { verdict } else { Verdict::Gone })
    }

    fn without_arguments(&self, why: &str) -> rustix::io::Result<Verdict> {
        let pid = self.process.pid();
        if !self.runs_an_emulator()? || host::is_named_for_another(self.roots, self.who, pid) {
            return Ok(Verdict::Foreign);
        }
        let may_be = Verdict::MayBe(format!("process {pid} ({}) {why}", self.comm()));
        Ok(self.foreign(Home::Unmarked, self.found_by == FoundBy::PidFile)?.unwrap_or(may_be))
    }

    fn qemu(&self, arguments: &[u8]) -> rustix::io::Result<Verdict> {
        let Some(claim) = argv::qemu(arguments) else { return Ok(Verdict::Foreign) };
        let same_name = *claim.name == *self.who.name.as_bytes();
        let same_uuid = self.who.uuid.is_some() && self.who.uuid == claim.uuid;
        let other_uuid = self.who.uuid.is_some() && claim.uuid.is_some() && !same_uuid;
        if !same_name && !same_uuid || claim.home == Home::Session {
            return Ok(Verdict::Foreign);
        }
        // A pid file speaks of the domain of its name only.
        let by_pid_file = self.found_by == FoundBy::PidFile && same_name;
        if let Some(verdict) = self.foreign(claim.home, by_pid_file)? {
            return Ok(verdict);
        }
        let name = String::from_utf8_lossy(&claim.name).into_owned();
        let its = format!("process {} ({})", self.process.pid(), self.comm());
        let by_libvirt = by_pid_file || claim.home != Home::Unmarked;
        let emulator = self.runs_an_emulator()?;
        Ok(match (by_libvirt, emulator) {
            (true, true) => self.alive(name, claim.incoming, claim.uuid),
            // A tracer of the domain, or an emulator under a name that nobody knows: only libvirt writes all of that, and its
            // pid file.
            (true, false) if by_pid_file || same_name && (self.who.uuid.is_none() || same_uuid) => {
                Verdict::MayBe(format!("{its} has its arguments, but is no known emulator"))
            }
            // Started by hand, as another machine.
            (false, true) if other_uuid => Verdict::Foreign,
            // Never alive: what is ended by its process must be libvirt's.
            (false, true) if same_uuid => {
                Verdict::MayBe(format!("{its} runs a machine of this UUID, named {name}, and libvirt did not start it"))
            }
            (false, true) => Verdict::Namesake(format!("{its} has this name, and libvirt did not start it")),
            (true | false, false) => Verdict::Foreign,
        })
    }

    fn lxc(&self, arguments: &[u8]) -> rustix::io::Result<Verdict> {
        if argv::lxc(arguments) != Some(self.who.name.as_bytes()) || !self.runs_an_emulator()? {
            return Ok(Verdict::Foreign);
        }
        let by_pid_file = self.found_by == FoundBy::PidFile;
        let alive = || self.alive(self.who.name.to_owned(), false, None);
        Ok(self.foreign(Home::Unmarked, by_pid_file)?.unwrap_or_else(alive))
    }

    fn alive(&self, name: String, incoming: bool, uuid: Option<[u8; 16]>) -> Verdict {
        let (pid, start_time_ticks) = (self.process.pid(), self.stat.start_time_ticks);
        let ending = self.process.is_ending(&self.stat);
        Verdict::Alive(Alive { pid, start_time_ticks, incoming, ending, found_by: self.found_by, name, uuid })
    }

    /// Whether it is not of this host's libvirt, by whom it runs as. None: it is.
    fn foreign(&self, home: Home<'_>, by_pid_file: bool) -> rustix::io::Result<Option<Verdict>> {
        if by_pid_file {
            return Ok(None);
        }
        let uid = self.process.status()?.uid;
        Ok(match host::owner(self.roots, uid, home) {
            Owner::Libvirt => None,
            Owner::Other => Some(Verdict::Foreign),
            Owner::CannotTell => {
                let (pid, comm) = (self.process.pid(), self.comm());
                Some(Verdict::Unsure(format!(
                    "process {pid} ({comm}) is of user {uid}, who may or may not be libvirt's"
                )))
            }
        })
    }

    /// Whether the file that it runs is an emulator (or a container's controller). A wrapper script that ends in `exec`
    /// shows the emulator itself; one that does not is a shell, and its child is the emulator.
    fn runs_an_emulator(&self) -> rustix::io::Result<bool> {
        match self.process.executable() {
            Ok(path) => Ok(self.is_emulator(path.rsplit(|byte| *byte == b'/').next().unwrap_or(&path))),
            // The right to follow the link is missing, or the process is ending and has let go of its file.
            Err(Errno::ACCESS | Errno::PERM | Errno::NOENT) => Ok(self.is_emulator(&self.stat.comm)),
            Err(error) => Err(error),
        }
    }

    fn is_emulator(&self, name: &[u8]) -> bool {
        // An update of its package replaces the file of a running emulator; some distributions hide the real file.
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        let name = name.strip_prefix(b".").unwrap_or(name);
        match self.who.driver {
            Driver::Qemu => {
                // libvirt may be told to set a process's own name to `qemu:` and the domain's.
                name.starts_with(b"qemu-system-")
                    || name.starts_with(b"qemu:")
                    || [b"qemu-kvm".as_slice(), b"qemu", b"kvm"].contains(&name)
            }
            Driver::Lxc => name == b"libvirt_lxc",
            Driver::Xen | Driver::Other => false,
        }
    }

    fn comm(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stat.comm)
    }
}
