// SPDX-License-Identifier: GPL-2.0-or-later
//! Second evidence about a domain, without libvirt: its process in this host's process table.
//!
//! A process counts as the domain's only when all of this is true:
//! - its arguments hold, as whole elements, `-name` and this very name (`--name` for a container's controller), or
//!   libvirt's own files say that it is its domain of this UUID, under another name: a definition's name may be changed
//!   while its machine runs;
//! - it is an emulator by the file that it runs, not a shell, an editor or a tracer with those words in its arguments;
//! - it is root's, or belongs to the user that libvirt runs emulators as; it is not of a user's own `qemu:///session`;
//! - it lives in our PID namespace, so it is not of a libvirt inside a container;
//! - when both UUIDs are known they are equal, or libvirt's own files say that the process is its domain of this name.
//!
//! Absence is only said when the whole table was read and nothing could hide in it; everything else is `Unknown`.
//! This is about the domains of the system's libvirt. For `qemu:///session` it must not be asked.

mod argv;
mod host;
mod judge;
mod table;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use judge::Verdict;
use table::{CommandLine, is_gone};
pub(crate) use table::{children_of, own_group, parent_of, start_time};

/// Where to look: the host's own folders, or a tree made by a test.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The process table: `/proc`.
    pub proc: PathBuf,
    /// Where libvirt keeps pid files: `/run`.
    pub run: PathBuf,
    /// Where libvirt keeps its domains' files: `/var/lib`.
    pub lib: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), run: "/run".into(), lib: "/var/lib".into() }
    }
}

/// The kinds of domains, by how they show in a process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A domain is a QEMU process.
    Qemu,
    /// A domain is a process tree below a `libvirt_lxc`.
    Lxc,
    /// A domain has no process that proves anything (Xen).
    Other,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// libvirt's pid file names it.
    PidFile,
    /// It was met in the process table.
    Scan,
}

/// A process that is the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot: together with the pid it names the process for ever.
    pub start_time_ticks: u64,
    /// It was started to receive a migration or a saved state. It keeps that argument for life, so this does not say
    /// that the domain is still arriving; only that an emulator without it is no migration's target.
    pub incoming: bool,
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
    /// The whole table was read, and nothing could hide: it has no process on this host.
    Absent,
    /// Nothing is proven, for this reason.
    Unknown(String),
}

/// Looks for the domain's process: first the one that libvirt's pid file names, then all.
#[must_use]
pub fn find(roots: &Roots, who: &Identity<'_>) -> Evidence {
    let doubt = match named_by_pid_file(roots, who) {
        Verdict::Alive(alive) => return Evidence::Alive(alive),
        Verdict::Unsure(why) => Some(why),
        Verdict::Foreign | Verdict::Gone => None,
    };
    match (scan(roots, who), doubt) {
        (Evidence::Absent, Some(why)) => Evidence::Unknown(why),
        (evidence, _) => evidence,
    }
}

/// The process that libvirt's pid file names, if it lives and is the domain. Its absence proves nothing.
#[must_use]
pub fn by_pid_file(roots: &Roots, who: &Identity<'_>) -> Option<Alive> {
    match named_by_pid_file(roots, who) {
        Verdict::Alive(alive) => Some(alive),
        Verdict::Foreign | Verdict::Gone | Verdict::Unsure(_) => None,
    }
}

fn named_by_pid_file(roots: &Roots, who: &Identity<'_>) -> Verdict {
    read_pid_file(roots, who)
        .map_or(Verdict::Gone, |pid| judge::examine(roots, who, pid, FoundBy::PidFile, &mut Vec::new()))
}

/// Looks at every process of the host.
#[must_use]
pub fn scan(roots: &Roots, who: &Identity<'_>) -> Evidence {
    if who.driver == Driver::Other {
        return Evidence::Unknown("domains of this hypervisor have no process of their own to look for".into());
    }
    let table = match open_folder(&roots.proc) {
        Ok(table) => table,
        Err(error) => return Evidence::Unknown(format!("{} cannot be opened: {error}", roots.proc.display())),
    };
    let mut doubt = host::what_could_hide(roots, &table);
    let entries = match rustix::fs::Dir::read_from(&table) {
        Ok(entries) => entries,
        Err(error) => return Evidence::Unknown(format!("{} cannot be read: {error}", roots.proc.display())),
    };
    let mut found: Option<Alive> = None;
    let mut buffer = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else {
            doubt.get_or_insert_with(|| format!("{} cannot be read to its end", roots.proc.display()));
            break;
        };
        let Some(pid) = table::number::<u32>(entry.file_name().to_bytes()) else { continue };
        if !may_be_a_domain(&table, pid, &mut buffer) {
            continue;
        }
        match judge::examine(roots, who, pid, FoundBy::Scan, &mut buffer) {
            // An emulator between fork and exec shows its parent's arguments; the older one is the domain. One of this
            // name is it rather than one under another.
            Verdict::Alive(next) => {
                let rank = |alive: &Alive| (alive.name != who.name, alive.start_time_ticks);
                if found.as_ref().is_none_or(|first| rank(&next) < rank(first)) {
                    found = Some(next);
                }
            }
            Verdict::Foreign | Verdict::Gone => {}
            Verdict::Unsure(why) => {
                doubt.get_or_insert(why);
            }
        }
    }
    match (found, doubt) {
        (Some(alive), _) => Evidence::Alive(alive),
        (None, Some(why)) => Evidence::Unknown(why),
        (None, None) => Evidence::Absent,
    }
}

/// Cheap, and false for nearly every process: whether it is worth a closer look.
fn may_be_a_domain(table: &OwnedFd, pid: u32, buffer: &mut Vec<u8>) -> bool {
    match table::read_command_line(table, &format!("{pid}/cmdline"), buffer) {
        Ok(CommandLine::Whole) => buffer.is_empty() || argv::has_a_name(buffer),
        Ok(CommandLine::TooLong) => true,
        Err(error) => !is_gone(error),
    }
}

fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a file that may be anything, without waiting for it.
fn open_file(folder: &OwnedFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// The number in libvirt's pid file. Only a small regular file of root's (or ours) is read.
fn read_pid_file(roots: &Roots, who: &Identity<'_>) -> Option<u32> {
    let folder = match who.driver {
        Driver::Qemu => "libvirt/qemu",
        Driver::Lxc => "libvirt/lxc",
        Driver::Other => return None,
    };
    if who.name.is_empty() || who.name.contains(['/', '\0']) {
        return None;
    }
    let folder = open_folder(&roots.run.join(folder)).ok()?;
    let file = open_file(&folder, format!("{}.pid", who.name)).ok()?;
    let facts = rustix::fs::fstat(&file).ok()?;
    let regular = rustix::fs::FileType::from_raw_mode(facts.st_mode) == rustix::fs::FileType::RegularFile;
    let trusted = facts.st_uid == 0 || facts.st_uid == rustix::process::geteuid().as_raw();
    if !regular || !trusted || facts.st_size > 32 {
        return None;
    }
    let mut text = [0; 32];
    let length = rustix::io::read(&file, &mut text).ok()?;
    table::number(text.get(..length)?.trim_ascii()).filter(|pid| *pid > 0)
}
