// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether this process table can be believed when it does not show a process, and whose processes count.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::{Identity, argv::Home};
use crate::sys::files::{open_file, open_folder};
use crate::sys::proc::{self as table, ProcessDir, read_at};
use crate::sys::roots::Roots;

/// The first PID namespace of a kernel always has this number.
const FIRST_PID_NAMESPACE: &[u8] = b"pid:[4026531836]";
const CAP_SYS_PTRACE: u32 = 19;

/// Says why a process could run on this host without being seen here.
pub(super) fn what_could_hide(roots: &Roots, table: &OwnedFd) -> Option<String> {
    let mut mounts = Vec::new();
    if read_at(table, "self/mountinfo", &mut mounts, 8 << 20).ok() != Some(true) {
        return Some(format!("{} does not show this process itself", roots.proc.display()));
    }
    let Some((kind, options)) = mount_of(&mounts, roots.proc.as_os_str().as_encoded_bytes()) else {
        return Some(format!("{} is not a mounted proc file system", roots.proc.display()));
    };
    if kind != b"proc" {
        return Some(format!("{} is of type {}", roots.proc.display(), String::from_utf8_lossy(kind)));
    }
    if hides_processes(options) && !sees_everything(table) {
        return Some(format!("{} hides the processes of other users (hidepid)", roots.proc.display()));
    }
    let Ok(first) = ProcessDir::open(&roots.proc, 1).and_then(|process| process.stat()) else {
        return Some(format!("{} does not show process 1", roots.proc.display()));
    };
    drop(first);
    // A container that was given the host's libvirt sees the domains' files, not their processes.
    let run = roots.run.join("libvirt");
    let borrowed = is_borrowed(&mounts, run.as_os_str().as_encoded_bytes());
    let namespace = rustix::fs::readlinkat(table, "self/ns/pid", Vec::new()).map(|link| link.into_bytes());
    if namespace.as_deref() == Ok(FIRST_PID_NAMESPACE) {
        return None;
    }
    if borrowed {
        return Some(format!("{} is mounted into this container from elsewhere", run.display()));
    }
    let held = ["qemu", "lxc"].iter().find_map(|driver| held_elsewhere(&run.join(driver)))?;
    Some(format!("{} belongs to a process outside of this PID namespace", held.display()))
}

/// The first pid file in libvirt's folder that is locked by a process without a number in our PID namespace. A domain's
/// process keeps the lock on its own pid file to its end, libvirt's daemon on `driver.pid` (both since libvirt 6), and
/// the kernel tells the holder by its number where we are.
fn held_elsewhere(folder: &Path) -> Option<PathBuf> {
    let folder_fd = open_folder(folder).ok()?;
    let mut entries = rustix::fs::Dir::read_from(&folder_fd).ok()?;
    entries.find_map(|entry| {
        let entry = entry.ok().filter(|entry| entry.file_name().to_bytes().ends_with(b".pid"))?;
        let file = open_file(&folder_fd, entry.file_name()).ok()?;
        let lock = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
        lock.pid.is_none().then(|| folder.join(OsStr::from_bytes(entry.file_name().to_bytes())))
    })
}

/// Whether some process keeps a lock on a pid file.
pub(super) fn is_held(file: &OwnedFd) -> bool {
    !matches!(fcntl_getlk(file, &Flock::from(FlockType::WriteLock)), Ok(None))
}

/// The process that keeps a lock on a pid file, if it has a number here.
pub(super) fn holder(file: &OwnedFd) -> Option<u32> {
    let lock = fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok()??;
    lock.pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Whether libvirt's pid file of another domain names this process.
pub(super) fn is_named_for_another(roots: &Roots, who: &Identity<'_>, pid: u32) -> bool {
    let own = format!("{}.pid", who.name);
    let Some(folder) = who.driver.folder().and_then(|folder| open_folder(&roots.run.join(folder)).ok()) else {
        return false;
    };
    let Ok(mut entries) = rustix::fs::Dir::read_from(&folder) else { return false };
    entries.any(|entry| {
        let Ok(entry) = entry else { return false };
        let name = entry.file_name();
        name.to_bytes().ends_with(b".pid")
            && name.to_bytes() != own.as_bytes()
            && super::number_in(&folder, name).is_some_and(|(number, _)| number == pid)
    })
}

/// The type and the options of the last mount on `point`, out of a `mountinfo`.
fn mount_of<'a>(mounts: &'a [u8], point: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    mounts.split(|byte| *byte == b'\n').rev().find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        if fields.nth(4)? != point {
            return None;
        }
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = fields.next()?;
        Some((kind, fields.nth(1)?))
    })
}

/// Whether a part of another file system's tree is mounted on the folder, or below it. (A file system of its own there
/// is no sign of anything.)
fn is_borrowed(mounts: &[u8], folder: &[u8]) -> bool {
    mounts.split(|byte| *byte == b'\n').any(|line| {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else { return false };
        let below = point.strip_prefix(folder);
        root != b"/" && below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

fn hides_processes(options: &[u8]) -> bool {
    let mut options = options.split(|byte| *byte == b',');
    options.any(|option| option.strip_prefix(b"hidepid=").is_some_and(|value| value != b"0" && value != b"off"))
}

/// Whether nothing is hidden from us: we may look into every process, as the host's root and not a container's.
fn sees_everything(table: &OwnedFd) -> bool {
    let mut text = Vec::new();
    if read_at(table, "self/status", &mut text, 16384).ok() != Some(true) {
        return false;
    }
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"CapEff:"));
    let capabilities = line.and_then(|hex| std::str::from_utf8(hex).ok());
    let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    if capabilities >> CAP_SYS_PTRACE & 1 == 0 || read_at(table, "self/uid_map", &mut text, 4096).ok() != Some(true) {
        return false;
    }
    let map: Vec<&[u8]> = text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
    map == [b"0".as_slice(), b"0", b"4294967295"]
}

/// Whose process it is, as far as this libvirt's domains are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Root, or the user that libvirt gives its domains to.
    Libvirt,
    /// Somebody else.
    Other,
    /// libvirt's folders, which would tell, cannot be read.
    CannotTell,
}

/// libvirt gives its own folder and each domain's folder below it to the user that the emulator runs as; no other user
/// can create a folder there. So those folders tell the users whose processes count, whatever arguments a process was
/// given.
pub(super) fn owner(roots: &Roots, uid: u32, home: Home<'_>) -> Owner {
    if uid == 0 {
        return Owner::Libvirt;
    }
    let folder = roots.lib.join("libvirt/qemu");
    let own = match home {
        Home::System(name) => std::str::from_utf8(name).ok().map(|name| folder.join(name)),
        Home::Session | Home::Unmarked => None,
    };
    let by_domain = own.as_deref().and_then(owner_of);
    let by_libvirt = owner_of(&folder);
    if by_domain == Some(uid) || by_libvirt == Some(uid) {
        Owner::Libvirt
    } else if by_libvirt.is_none() && !has_no_libvirt(roots) {
        Owner::CannotTell
    } else {
        Owner::Other
    }
}

/// Whether a user's processes are worth a closer look: root's, libvirt's, those of a user that it gave a domain to. (Where
/// that cannot be told, everybody's.)
pub(super) fn may_be_libvirts(roots: &Roots, uid: u32) -> bool {
    let folder = roots.lib.join("libvirt/qemu");
    let by_libvirt = owner_of(&folder);
    if uid == 0 || by_libvirt == Some(uid) {
        return true;
    }
    let Ok(entries) = std::fs::read_dir(&folder) else { return !has_no_libvirt(roots) };
    let domains = entries.flatten().filter(|entry| entry.file_name().as_bytes().starts_with(b"domain-"));
    domains.into_iter().any(|entry| owner_of(&entry.path()) == Some(uid))
}

fn owner_of(folder: &Path) -> Option<u32> {
    std::fs::symlink_metadata(folder).ok().filter(|it| it.is_dir()).map(|it| it.uid())
}

/// Whether this host has no folder of libvirt's at all: then nobody's process is a domain of it.
fn has_no_libvirt(roots: &Roots) -> bool {
    [roots.lib.join("libvirt/qemu"), roots.run.join("libvirt/qemu")]
        .iter()
        .all(|folder| std::fs::symlink_metadata(folder).is_err_and(|error| error.kind() == ErrorKind::NotFound))
}

/// Whether the process lives in the same PID namespace as we do: a container's own libvirt may well run a domain of
/// the same name, and its processes show in the host's table.
pub(super) fn is_in_our_namespace(roots: &Roots, process: &ProcessDir) -> rustix::io::Result<bool> {
    let ours = ProcessDir::open_self(&roots.proc)?;
    match (ours.pid_namespace(), process.pid_namespace()) {
        (Ok(our), Ok(its)) => Ok(our == its),
        (_, Err(error)) if table::is_gone(error) => Err(error),
        // Without the right to follow the link, the number of nested namespaces is what everybody may read.
        _ => Ok(ours.status()?.namespaces == process.status()?.namespaces),
    }
}
