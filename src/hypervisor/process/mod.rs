// SPDX-License-Identifier: GPL-2.0-or-later
//! Second evidence about a domain, without libvirt: its process in this host's process table.
//!
//! A process counts as the domain's, and may be ended in its name, only when all of this is true:
//! - its arguments hold, as whole elements, `-name` and this very name (`--name` for a container's controller), or
//!   libvirt's own files say that it is its domain of this UUID, under another name: a definition's name may be changed
//!   while its machine runs;
//! - it is an emulator by the file that it runs, not a shell, an editor or a tracer with those words in its arguments;
//! - it is root's, or belongs to the user that libvirt runs emulators as; it is not of a user's own `qemu:///session`;
//! - it lives in our PID namespace, so it is not of a libvirt inside a container;
//! - libvirt's own files say so: its pid file names the process, or the arguments name the domain's home in libvirt's
//!   folder and the process is of the right user. One that was started by hand is a namesake, whatever its arguments are.
//!
//! Absence is only said when the whole table was read and nothing could hide in it; everything else is `Unknown`.
//! This is about the domains of the system's libvirt. For `qemu:///session` it must not be asked.

mod argv;
mod host;
mod judge;

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sys::files::{open_file, open_folder};
use crate::sys::proc::{self as table, ProcessDir, is_gone};
use crate::sys::roots::Roots;
pub(crate) use judge::Verdict;

/// The kinds of domains, by how they show in a process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A domain is a QEMU process.
    Qemu,
    /// A domain is a process tree below a `libvirt_lxc`.
    Lxc,
    /// A domain is the hypervisor's: it is in xenstore, and has no process that proves anything (see `hypervisor::xen`).
    Xen,
    /// Nothing on the host proves anything of a domain.
    Other,
}

impl Driver {
    /// Where libvirt keeps this driver's pid files and status files, below `/run`.
    pub(crate) fn folder(self) -> Option<&'static str> {
        match self {
            Self::Qemu => Some("libvirt/qemu"),
            Self::Lxc => Some("libvirt/lxc"),
            Self::Xen | Self::Other => None,
        }
    }
}

/// The domain that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its name, exactly.
    pub name: &'a str,
    /// Its UUID, where it is known.
    pub uuid: Option<[u8; 16]>,
    /// Its kind.
    pub driver: Driver,
}

/// How a process was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundBy {
    /// libvirt's pid file names it.
    PidFile,
    /// It was met in the process table.
    Scan,
}

/// A process that is the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot: together with the pid it names the process for ever.
    pub start_time_ticks: u64,
    /// It was started to receive a migration or a saved state. It keeps that argument for life, so this does not say
    /// that the domain is still arriving; only that an emulator without it is no migration's target.
    pub incoming: bool,
    /// It is on its way to its end: it was killed, or ends by itself, and a thread of it may hang in a call. It has its
    /// disks open still.
    pub ending: bool,
    /// How it was found.
    pub found_by: FoundBy,
    /// The name in its arguments. It differs from the one asked for when a definition's name was changed while the domain
    /// ran; then the UUID is the same.
    pub name: String,
    /// The UUID in its arguments. It differs from the one asked for when the definition was replaced while the domain
    /// ran.
    pub uuid: Option<[u8; 16]>,
}

/// What the process table says about a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It runs (or is paused: the process lives).
    Alive(Alive),
    /// A process may be the domain, for this reason: an emulator that is ending shows no arguments any more.
    MayBe(String),
    /// It has no process on this host, but one that libvirt did not start is called like it; which.
    Namesake(String),
    /// The whole table was read, and nothing could hide: it has no process on this host.
    Absent,
    /// Nothing is proven, for this reason.
    Unknown(String),
}

/// Looks for the domain's process: first the one that libvirt's pid file names, then all. It may wait for a process whose
/// memory is locked, for ever: see `host::aside`.
#[cfg(test)]
pub(crate) fn find(roots: &Roots, who: &Identity<'_>) -> Evidence {
    find_by(roots, who, &mut |pids, found_by| examine(roots, who, pids, found_by))
}

/// The same, with other hands to examine what may be an emulator; all else is read here, and waits for nothing.
pub(crate) fn find_by(
    roots: &Roots,
    who: &Identity<'_>,
    examine: &mut dyn FnMut(&[u32], FoundBy) -> Vec<Verdict>,
) -> Evidence {
    let mut findings = Findings::default();
    let named = read_pid_file(roots, who);
    if let Some(pid) = named {
        findings.add(who, examine(&[pid], FoundBy::PidFile));
    }
    if findings.alive.is_none() {
        let (mut candidates, doubt) = candidates(roots, who.driver);
        findings.doubt = findings.doubt.or(doubt);
        candidates.retain(|pid| named != Some(*pid));
        if !candidates.is_empty() {
            findings.add(who, examine(&candidates, FoundBy::Scan));
        }
    }
    match findings.evidence() {
        // Whatever an administrator's emulator is called, and whatever it shows: the lock on its pid file is libvirt's.
        seen @ (Evidence::Absent | Evidence::Namesake(_)) => held_by_libvirt(roots, who).map_or(seen, Evidence::Alive),
        seen @ (Evidence::Alive(_) | Evidence::MayBe(_) | Evidence::Unknown(_)) => seen,
    }
}

/// The process that libvirt's pid file names, if it lives and is the domain. Its absence proves nothing.
#[cfg(test)]
pub(crate) fn by_pid_file(roots: &Roots, who: &Identity<'_>) -> Option<Alive> {
    let pid = read_pid_file(roots, who)?;
    let mut findings = Findings::default();
    findings.add(who, examine(roots, who, &[pid], FoundBy::PidFile));
    findings.alive
}

/// What each of these processes is to the domain. Waits for those whose memory is locked.
pub(crate) fn examine(roots: &Roots, who: &Identity<'_>, pids: &[u32], found_by: FoundBy) -> Vec<Verdict> {
    let mut buffer = Vec::new();
    pids.iter().map(|pid| judge::examine(roots, who, *pid, found_by, &mut buffer)).collect()
}

/// The emulator that libvirt's pid file names and that keeps its lock on that file (since libvirt 6): the domain's for
/// certain, and nothing of it had to be read that could be waited for. It does not say whether it received a migration.
#[must_use]
pub(crate) fn held_by_libvirt(roots: &Roots, who: &Identity<'_>) -> Option<Alive> {
    let (pid, file) = open_pid_file(roots, who)?;
    let process = ProcessDir::open(&roots.proc, pid).ok()?;
    let stat = process.stat().ok().filter(|stat| !stat.has_ended() && !stat.kernel_thread)?;
    let held = host::holder(&file) == Some(pid) && host::is_in_our_namespace(roots, &process).ok()?;
    held.then(|| Alive {
        pid,
        start_time_ticks: stat.start_time_ticks,
        incoming: false,
        ending: process.is_ending(&stat),
        found_by: FoundBy::PidFile,
        name: who.name.to_owned(),
        uuid: None,
    })
}

/// Whether a process that was known to live is on its way to its end.
#[must_use]
pub(crate) fn is_ending(roots: &Roots, pid: u32) -> bool {
    let look =
        ProcessDir::open(&roots.proc, pid).and_then(|process| process.stat().map(|stat| process.is_ending(&stat)));
    look.unwrap_or(false)
}

/// What a process is that does not say what it runs: a thread of it holds the lock of its memory, while it waits for
/// storage perhaps. It is libvirt's own files that are asked for it.
pub(crate) fn silent(roots: &Roots, who: &Identity<'_>, pid: u32, found_by: FoundBy) -> Verdict {
    match held_by_libvirt(roots, who) {
        Some(alive) if alive.pid == pid => return Verdict::Alive(Alive { found_by, ..alive }),
        Some(_) | None => {}
    }
    if host::is_named_for_another(roots, who, pid) {
        return Verdict::Foreign;
    }
    let comm = match ProcessDir::open(&roots.proc, pid).and_then(|process| process.stat()) {
        Ok(stat) if !stat.has_ended() => String::from_utf8_lossy(&stat.comm).into_owned(),
        // It has ended while it was waited for.
        Ok(_) => return Verdict::Gone,
        Err(error) if is_gone(error) => return Verdict::Gone,
        Err(_) => String::new(),
    };
    Verdict::MayBe(format!(
        "process {pid} ({comm}) hangs with its memory locked, so that it does not show its arguments,"
    ))
}

/// What the processes come down to.
#[derive(Default)]
struct Findings {
    alive: Option<Alive>,
    may_be: Option<String>,
    doubt: Option<String>,
    namesake: Option<String>,
}

impl Findings {
    fn add(&mut self, who: &Identity<'_>, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                // An emulator between fork and exec shows its parent's arguments; the older one is the domain. One of
                // this name is it rather than one under another.
                Verdict::Alive(next) => {
                    let rank = |alive: &Alive| (alive.name != who.name, alive.start_time_ticks);
                    if self.alive.as_ref().is_none_or(|first| rank(&next) < rank(first)) {
                        self.alive = Some(next);
                    }
                }
                Verdict::MayBe(why) => drop(self.may_be.get_or_insert(why)),
                Verdict::Namesake(why) => drop(self.namesake.get_or_insert(why)),
                Verdict::Unsure(why) => drop(self.doubt.get_or_insert(why)),
                Verdict::Foreign | Verdict::Gone => {}
            }
        }
    }

    fn evidence(self) -> Evidence {
        match (self.alive, self.may_be, self.doubt, self.namesake) {
            (Some(alive), ..) => Evidence::Alive(alive),
            (None, Some(why), ..) => Evidence::MayBe(why),
            (None, None, Some(why), _) => Evidence::Unknown(why),
            (None, None, None, Some(why)) => Evidence::Namesake(why),
            (None, None, None, None) => Evidence::Absent,
        }
    }
}

/// The processes of this host that may be emulators, and why there may be others. Nothing here takes a lock that a
/// process can hold for long.
fn candidates(roots: &Roots, driver: Driver) -> (Vec<u32>, Option<String>) {
    if matches!(driver, Driver::Xen | Driver::Other) {
        return (Vec::new(), Some("domains of this hypervisor have no process of their own to look for".into()));
    }
    let table = match open_folder(&roots.proc) {
        Ok(table) => table,
        Err(error) => return (Vec::new(), Some(format!("{} cannot be opened: {error}", roots.proc.display()))),
    };
    let mut doubt = host::what_could_hide(roots, &table);
    let mut found = Vec::new();
    let entries = match rustix::fs::Dir::read_from(&table) {
        Ok(entries) => entries,
        Err(error) => return (found, Some(format!("{} cannot be read: {error}", roots.proc.display()))),
    };
    let mut buffer = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else {
            doubt.get_or_insert_with(|| format!("{} cannot be read to its end", roots.proc.display()));
            break;
        };
        let Some(pid) = table::number::<u32>(entry.file_name().to_bytes()) else { continue };
        if may_be_an_emulator(&table, pid, driver, &mut buffer) && judge::may_be_of_this_libvirt(roots, pid) {
            found.push(pid);
        }
    }
    (found, doubt)
}

/// Cheap, and false for nearly every process: by the file that it runs, or where that cannot be seen (it is ending, or not
/// ours to look into) by its short name.
fn may_be_an_emulator(table: &OwnedFd, pid: u32, driver: Driver, buffer: &mut Vec<u8>) -> bool {
    let like_one = |name: &[u8]| match driver {
        Driver::Qemu => [b"qemu".as_slice(), b"kvm"].iter().any(|part| name.windows(part.len()).any(|it| it == *part)),
        Driver::Lxc => name.starts_with(b"libvirt_lxc"),
        Driver::Xen | Driver::Other => false,
    };
    match rustix::fs::readlinkat(table, format!("{pid}/exe"), std::mem::take(buffer)) {
        Ok(path) => {
            *buffer = path.into_bytes();
            return like_one(buffer.rsplit(|byte| *byte == b'/').next().unwrap_or(buffer));
        }
        Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => {}
        Err(error) => return !is_gone(error),
    }
    match table::read_at(table, &format!("{pid}/comm"), buffer, 64) {
        Ok(_) if !like_one(buffer) => return false,
        Ok(_) => {}
        Err(error) => return !is_gone(error),
    }
    // Most of them are the kernel's own.
    let stat = table::read_at(table, &format!("{pid}/stat"), buffer, 4096).map(|_| table::parse_stat(buffer));
    !matches!(stat, Ok(Some(stat)) if stat.kernel_thread || stat.has_ended())
}

/// What a process that libvirt's pid file names is like, as far as that can be seen without waiting for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// It lives, or nothing says otherwise.
    Beats,
    /// It is on its way to its end, and stays there perhaps: its number and its start.
    Ending(u32, u64),
    /// It has ended; its number.
    Ended(u32),
}

/// Looks at the process that libvirt's pid file names for a domain of which libvirt says that it is active. Three system
/// calls where it lives.
#[must_use]
pub(crate) fn pulse(roots: &Roots, who: &Identity<'_>) -> Pulse {
    let Some((pid, file)) = open_pid_file(roots, who) else { return Pulse::Beats };
    match ProcessDir::open(&roots.proc, pid).and_then(|process| process.stat().map(|stat| (process, stat))) {
        Ok((_, stat)) if stat.has_ended() => Pulse::Ended(pid),
        Ok((process, stat)) if process.is_ending(&stat) => Pulse::Ending(pid, stat.start_time_ticks),
        Ok(_) => Pulse::Beats,
        // The number may be another PID namespace's; then somebody there holds the file, or things are not as on a host.
        Err(error) if is_gone(error) && !host::is_held(&file) => {
            let all = open_folder(&roots.proc).is_ok_and(|table| host::what_could_hide(roots, &table).is_none());
            if all { Pulse::Ended(pid) } else { Pulse::Beats }
        }
        Err(_) => Pulse::Beats,
    }
}

fn read_pid_file(roots: &Roots, who: &Identity<'_>) -> Option<u32> {
    open_pid_file(roots, who).map(|(pid, _)| pid)
}

/// The number in libvirt's pid file of the domain, and the file.
fn open_pid_file(roots: &Roots, who: &Identity<'_>) -> Option<(u32, OwnedFd)> {
    if who.name.is_empty() || who.name.contains(['/', '\0']) {
        return None;
    }
    let folder = open_folder(&roots.run.join(who.driver.folder()?)).ok()?;
    number_in(&folder, format!("{}.pid", who.name))
}

/// The number in a pid file. Only a small regular file of root's (or ours) is read.
fn number_in(folder: &OwnedFd, name: impl rustix::path::Arg) -> Option<(u32, OwnedFd)> {
    let file = open_file(folder, name).ok()?;
    let facts = rustix::fs::fstat(&file).ok()?;
    let regular = rustix::fs::FileType::from_raw_mode(facts.st_mode) == rustix::fs::FileType::RegularFile;
    let trusted = facts.st_uid == 0 || facts.st_uid == rustix::process::geteuid().as_raw();
    if !regular || !trusted || facts.st_size > 32 {
        return None;
    }
    let mut text = [0; 32];
    let length = rustix::io::read(&file, &mut text).ok()?;
    let pid = table::number(text.get(..length)?.trim_ascii()).filter(|pid| *pid > 0)?;
    Some((pid, file))
}
