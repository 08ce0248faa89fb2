// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent's own folder, `/run/vm-agent`: locks, and notes whose loss costs nothing but a word; and its like below
//! `/var/lib`, for what must outlive a boot. Only root may look in, and nothing is followed out of it.

use crate::sys::child::{Child, Ended, find_program};
use crate::sys::time::Deadline;
use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, Stat, flock, fstat, mkdir, openat, readlinkat, renameat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const FOLDER: &str = "vm-agent";

/// Opens the folder below `run`, and makes it when it is missing.
///
/// # Errors
/// It cannot be made, or something else is in its place.
pub(crate) fn open(run: &Path) -> Result<OwnedFd, Errno> {
    match existing(run) {
        Err(Errno::NOENT) => {}
        opened => return opened,
    }
    let made = match mkdir(run.join(FOLDER), Mode::RWXU) {
        // A user's folders need not be there yet.
        Err(Errno::NOENT) => {
            let parents = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run);
            parents.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            mkdir(run.join(FOLDER), Mode::RWXU)
        }
        made => made,
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => existing(run),
        Err(errno) => Err(errno),
    }
}

/// One call of the system: each look needs some of these files.
fn existing(run: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(run.join(FOLDER), flags, Mode::empty())
}

/// Writes a file of the folder whole, or leaves what was there.
///
/// # Errors
/// The folder or the file cannot be made or written.
pub(crate) fn write(run: &Path, name: &str, text: &str) -> Result<(), Errno> {
    replace(run, name, text, |_| {})
}

/// The same, and so that it outlives a crash of the host, where the disk manages that before the deadline: a program syncs
/// it, which can be left behind when the disk hangs.
///
/// # Errors
/// As of `write`.
pub(crate) fn write_synced(run: &Path, name: &str, text: &str, deadline: Deadline) -> Result<(), Errno> {
    let sync = |path: &Path| {
        let Some(program) = find_program("sync") else { return };
        match Child::new(&program).args([path]).run(deadline) {
            Ok(finished) if finished.ended == Ended::Exited(0) => {}
            Ok(finished) => log::debug!("{} was not synced: {:?}", path.display(), finished.ended),
            Err(error) => log::debug!("{} was not synced: {error}", path.display()),
        }
    };
    let folder = run.join(FOLDER);
    replace(run, name, text, |new| sync(&folder.join(new)))?;
    sync(&folder);
    Ok(())
}

/// Writes a new file, sees to it, and puts it in the place of the old one.
fn replace(run: &Path, name: &str, text: &str, see_to: impl FnOnce(&str)) -> Result<(), Errno> {
    let folder = open(run)?;
    let new = format!("{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(text.as_bytes()).map_err(|_| Errno::IO);
    let moved = written.and_then(|()| {
        see_to(&new);
        renameat(&folder, &new, &folder, name)
    });
    if moved.is_err() {
        let _ = unlinkat(&folder, &new, AtFlags::empty());
    }
    moved
}

/// Adds a line to a file of the folder. One that has become longer than `most` is put aside before, as `NAME.1`, in the place
/// of what was put aside last.
///
/// # Errors
/// The folder or the file cannot be made or written.
pub(crate) fn append(run: &Path, name: &str, line: &str, most: u64) -> Result<(), Errno> {
    let folder = open(run)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = || openat(&folder, name, flags, Mode::RUSR | Mode::WUSR).map(File::from);
    let mut file = opened()?;
    let is_full = |stat: &Stat| u64::try_from(stat.st_size).is_ok_and(|size| size > most);
    // Of several agents one puts it aside; what the others still write goes to where it is then.
    if is_full(&fstat(&file)?) && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        if statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_full(&stat)) {
            renameat(&folder, name, &folder, format!("{name}.1"))?;
        }
        file = opened()?;
    }
    // In one write, so that no other agent's comes between.
    file.write_all(format!("{line}\n").as_bytes()).map_err(|_| Errno::IO)
}

/// Reads a file of the folder to its end; nothing, where there is none.
///
/// # Errors
/// It is there, and cannot be read.
pub(crate) fn read_whole(run: &Path, name: &str) -> Result<Option<String>, Errno> {
    let file = match file(run, name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let mut text = String::new();
    file.take(1024 * 1024).read_to_string(&mut text).map_err(|_| Errno::IO)?;
    Ok(Some(text))
}

/// Reads a file of the folder, which is not made for that.
#[must_use]
pub(crate) fn read(run: &Path, name: &str) -> Option<String> {
    // All of it at once, as it is a few words: each further read is a call of the system.
    let mut text = String::with_capacity(256);
    file(run, name).ok()?.take(4096).read_to_string(&mut text).ok()?;
    Some(text)
}

fn file(run: &Path, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&existing(run)?, name, flags, Mode::empty()).map(File::from)
}

/// The names of the folder's files, as far as they are text; none, where there is no folder.
#[must_use]
pub(crate) fn names(run: &Path) -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(run.join(FOLDER), flags, Mode::empty()).and_then(|folder| Dir::read_from(&folder));
    let entries = folder.into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).collect()
}

/// Keeps a few words under a name of the folder, as a link's target: that takes no block of a file system that is full.
///
/// # Errors
/// The folder or the link cannot be made.
pub(crate) fn keep(run: &Path, name: &str, words: &str) -> Result<(), Errno> {
    let folder = open(run)?;
    let new = format!("{name}.{}", std::process::id());
    let _ = unlinkat(&folder, &new, AtFlags::empty());
    symlinkat(words, &folder, &new)?;
    renameat(&folder, &new, &folder, name).inspect_err(|_| {
        let _ = unlinkat(&folder, &new, AtFlags::empty());
    })
}

/// The words that are kept under a name of the folder.
#[must_use]
pub(crate) fn kept(run: &Path, name: &str) -> Option<String> {
    let folder = existing(run).ok()?;
    readlinkat(&folder, name, Vec::new()).ok()?.into_string().ok()
}

/// The path of a file of the folder, where there is one.
#[must_use]
pub(crate) fn path_of(run: &Path, name: &str) -> Option<PathBuf> {
    file(run, name).ok().map(|_| run.join(FOLDER).join(name))
}

/// Removes a file of the folder.
pub(crate) fn remove(run: &Path, name: &str) {
    if let Ok(folder) = existing(run) {
        let _ = unlinkat(&folder, name, AtFlags::empty());
    }
}
