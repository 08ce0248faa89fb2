// SPDX-License-Identifier: GPL-2.0-or-later
//! Who holds a disk image's locks. A lock is only asked for, and never taken: nobody else is kept out by the question.
//!
//! QEMU locks single bytes of an image, and never more than shared: one from 100 for each thing that it does with the
//! image, one from 200 for each that it allows nobody else (`block/file-posix.c`). libvirt's virtlockd locks byte 0. The
//! locks hold between hosts where their file system carries them: NFSv4, GFS2, OCFS2.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

use crate::sys::file_system;

/// What a file that is about to be written is used for already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InUse {
    /// There is nothing at this path.
    Missing,
    /// No lock keeps a writer out.
    No,
    /// None of this host does; on a file system of this kind, which may carry no locks between hosts.
    NotHere(String),
    /// Somebody's lock does.
    Locked {
        /// How it is used.
        by: LockedBy,
        /// The number and name of a process of this host that has it open, if one is seen.
        process: Option<(u32, String)>,
        /// Whether only this host uses the file system: the holder lives, then.
        local: bool,
    },
    /// It is a block device: its numbers.
    Device(u32, u32),
    /// Cannot be told, and why.
    Unknown(String),
}

/// How the holder of a lock uses a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockedBy {
    /// A QEMU may write it.
    Writer,
    /// A QEMU reads it, and allows no writer.
    Reader,
    /// virtlockd has leased it to a domain.
    Lease,
}

/// The first byte of what QEMU does with an image, and the first of what it allows nobody else.
const PERMISSIONS: [i64; 2] = [100, 200];
/// Of both, the bit of writing (`BLK_PERM_WRITE`).
const WRITE: i64 = 1;

/// The bytes whose locks keep a writer out.
const BYTES: [(i64, LockedBy); 3] =
    [(PERMISSIONS[0] + WRITE, LockedBy::Writer), (PERMISSIONS[1] + WRITE, LockedBy::Reader), (0, LockedBy::Lease)];

/// Whether a path is on a file system that only this host has mounted. It may never come to an end, on storage that hangs.
#[must_use]
pub fn is_local(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|fs| file_system::is_local(fs.f_type))
}

/// Asks. It may never come to an end, on storage that hangs.
#[must_use]
pub fn of(path: &Path) -> InUse {
    look(path).unwrap_or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound { InUse::Missing } else { InUse::Unknown(error.to_string()) }
    })
}

fn look(path: &Path) -> io::Result<InUse> {
    let metadata = std::fs::metadata(path)?;
    if metadata.file_type().is_block_device() {
        let device = metadata.rdev();
        return Ok(InUse::Device(rustix::fs::major(device), rustix::fs::minor(device)));
    }
    if !metadata.is_file() {
        return Ok(InUse::No);
    }
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    for (byte, by) in BYTES {
        let Some(holder) = holder(&file, byte)? else { continue };
        // Others may hold a shared lock on all of a file; virtlockd's is its alone.
        if by == LockedBy::Lease && i32::from(holder.l_type) != libc::F_WRLCK {
            continue;
        }
        let local = rustix::fs::fstatfs(&file).is_ok_and(|fs| file_system::is_local(fs.f_type));
        return Ok(InUse::Locked { by, process: process(&file, holder.l_pid), local });
    }
    Ok(match file_system::without_others_locks(rustix::fs::fstatfs(&file)?.f_type) {
        Some(kind) => InUse::NotHere(kind.to_owned()),
        None => InUse::No,
    })
}

/// The lock that would keep out one who wants this byte for himself.
fn holder(file: &File, byte: i64) -> io::Result<Option<libc::flock>> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok((i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock))
}

/// The process of this host that holds it: an open file's lock does not tell whose it is, so by who has it open. No file is
/// touched by that but the process table's.
fn process(file: &File, pid: i32) -> Option<(u32, String)> {
    let proc = Path::new("/proc");
    let path = std::fs::read_link(proc.join("self/fd").join(file.as_raw_fd().to_string())).ok()?;
    let own = std::process::id();
    let told = u32::try_from(pid).ok().filter(|pid| *pid > 0);
    let pids = std::fs::read_dir(proc).ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pid = told.or_else(|| pids.filter(|pid| *pid != own).find(|pid| has_open(proc, *pid, &path)))?;
    let name = std::fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok()?;
    Some((pid, name.trim_end().to_owned()))
}

fn has_open(proc: &Path, pid: u32, path: &PathBuf) -> bool {
    let files = std::fs::read_dir(proc.join(pid.to_string()).join("fd")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|open| open == *path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    fn lock(file: &File, kind: i32, byte: i64, length: i64) {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: byte,
            l_len: length,
            l_pid: 0,
        };
        fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    }

    #[test]
    fn a_lock_that_keeps_a_writer_out_is_seen_and_any_other_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        std::fs::write(&path, "disk").unwrap();
        let how = || match of(&path) {
            InUse::Locked { by, .. } => Some(by),
            InUse::No => None,
            other @ (InUse::Missing | InUse::NotHere(_) | InUse::Device(..) | InUse::Unknown(_)) => {
                unreachable!("{other:?}")
            }
        };
        // As QEMU 7.2 was seen to lock: a guest's raw disk, one that it shares, a reader, virtlockd, a reader of all.
        for (locks, expected) in [
            (&[(libc::F_RDLCK, 100, 2), (libc::F_RDLCK, 201, 1)][..], Some(LockedBy::Writer)),
            (&[(libc::F_RDLCK, 100, 2)], Some(LockedBy::Writer)),
            (&[(libc::F_RDLCK, 100, 1), (libc::F_RDLCK, 201, 1)], Some(LockedBy::Reader)),
            (&[(libc::F_RDLCK, 100, 1)], None),
            (&[(libc::F_WRLCK, 0, 1)], Some(LockedBy::Lease)),
            (&[(libc::F_RDLCK, 0, 1)], None),
            (&[(libc::F_WRLCK, 1, 1)], None),
        ] {
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            for (kind, byte, length) in locks {
                lock(&file, *kind, *byte, *length);
            }
            assert_eq!(how(), expected, "{locks:?}");
            drop(file);
            assert_eq!(how(), None);
        }
    }

    #[test]
    fn what_is_no_file_of_ours_to_ask_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of(&folder.path().join("nothing")), InUse::Missing);
        assert_eq!(of(folder.path()), InUse::No);
        assert!(matches!(of(Path::new("/dev/null/x")), InUse::Unknown(_)));
    }
}
