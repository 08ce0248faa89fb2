// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent's own folder, `/run/vm-agent`: locks, and notes whose loss costs nothing but a word. Only root may look in,
//! and nothing is followed out of it.

use rustix::fs::{Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens the folder below `run`, and makes it when it is missing.
///
/// # Errors
/// It cannot be made, or something else is in its place.
pub fn open(run: &Path) -> Result<OwnedFd, Errno> {
    let run = rustix::fs::open(run, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match mkdirat(&run, "vm-agent", Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    openat(&run, "vm-agent", OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// A migration from this host that is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The target's connection URI.
    pub uri: String,
    /// Whether it was seen to have ended, with the machine at the target.
    pub finished: bool,
}

/// Where a migration of `name` goes, or went: what a `stop` or `start` needs that finds it gone.
pub fn note_target(run: &Path, name: &str, noted: &Noted) {
    let write = || -> Result<(), Errno> {
        let folder = open(run)?;
        let (new, final_name) = (format!("{name}.target.{}", std::process::id()), format!("{name}.target"));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
        let word = if noted.finished { "finished" } else { "begun" };
        file.write_all(format!("{word} {}", noted.uri).as_bytes()).map_err(|_| Errno::IO)?;
        renameat(&folder, &new, &folder, &final_name)
    };
    if let Err(errno) = write() {
        log::debug!("the migration's target was not noted: {errno}");
        if noted.finished {
            // An untrue note is worse than none.
            forget_target(run, name);
        }
    }
}

/// The target that was noted.
#[must_use]
pub fn noted_target(run: &Path, name: &str) -> Option<Noted> {
    let folder = open(run).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, format!("{name}.target"), flags, Mode::empty()).ok()?);
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    let (word, uri) = text.split_once(' ')?;
    Some(Noted { uri: uri.to_owned(), finished: word == "finished" })
}

/// Forgets the target: the migration is over, and where the machine is has been seen.
pub fn forget_target(run: &Path, name: &str) {
    if let Ok(folder) = open(run) {
        let _ = unlinkat(&folder, format!("{name}.target"), rustix::fs::AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noted_target_is_read_until_it_is_forgotten() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(noted_target(run.path(), "a b"), None);
        for finished in [false, true] {
            let noted = Noted { uri: "qemu+ssh://n2/system".into(), finished };
            note_target(run.path(), "a b", &noted);
            assert_eq!(noted_target(run.path(), "a b"), Some(noted));
        }
        forget_target(run.path(), "a b");
        assert_eq!(noted_target(run.path(), "a b"), None);
    }
}
