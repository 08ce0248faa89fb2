// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent's own folder, `/run/vm-agent`: locks, and notes whose loss costs nothing but a word. Only root may look in,
//! and nothing is followed out of it.

use crate::sys::text::parse_uuid;
use crate::sys::text::sha256_hex;
use crate::sys::text::uuid_text;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, readlinkat, renameat, symlinkat, unlinkat};
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
    in_run(&run)
}

fn existing(run: &Path) -> Result<OwnedFd, Errno> {
    in_run(&rustix::fs::open(run, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn in_run(run: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(run, "vm-agent", OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Writes a file of the folder whole, or leaves what was there.
///
/// # Errors
/// The folder or the file cannot be made or written.
pub fn write(run: &Path, name: &str, text: &str) -> Result<(), Errno> {
    let folder = open(run)?;
    let new = format!("{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(text.as_bytes()).map_err(|_| Errno::IO);
    let moved = written.and_then(|()| renameat(&folder, &new, &folder, name));
    if moved.is_err() {
        let _ = unlinkat(&folder, &new, AtFlags::empty());
    }
    moved
}

/// Reads a file of the folder, which is not made for that.
#[must_use]
pub fn read(run: &Path, name: &str) -> Option<String> {
    let folder = existing(run).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::empty()).ok()?);
    // All of it at once, as it is a few words: each further read is a call of the system.
    let mut text = String::with_capacity(256);
    file.take(4096).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Keeps a few words under a name of the folder, as a link's target: that takes no block of a file system that is full.
///
/// # Errors
/// The folder or the link cannot be made.
pub fn keep(run: &Path, name: &str, words: &str) -> Result<(), Errno> {
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
pub fn kept(run: &Path, name: &str) -> Option<String> {
    let folder = existing(run).ok()?;
    readlinkat(&folder, name, Vec::new()).ok()?.into_string().ok()
}

/// Removes a file of the folder.
pub fn remove(run: &Path, name: &str) {
    if let Ok(folder) = existing(run) {
        let _ = unlinkat(&folder, name, AtFlags::empty());
    }
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
    let word = if noted.finished { "finished" } else { "begun" };
    if let Err(errno) = write(run, &format!("{name}.target"), &format!("{word} {}", noted.uri)) {
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
    let text = read(run, &format!("{name}.target"))?;
    let (word, uri) = text.split_once(' ')?;
    Some(Noted { uri: uri.to_owned(), finished: word == "finished" })
}

/// Forgets the target: the migration is over, and where the machine is has been seen.
pub fn forget_target(run: &Path, name: &str) {
    remove(run, &format!("{name}.target"));
}

/// The machine that a definition's file was last seen to mean. Its loss costs only this: while the file cannot be read,
/// a machine that bears no mark is not known by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its UUID, if one was told.
    pub uuid: Option<[u8; 16]>,
    /// libvirt's id of the run whose mark has been seen to; -1: none.
    pub marked: i32,
}

/// A path may be longer than a file's name.
fn known_file(config: &Path) -> String {
    let hash = sha256_hex(config.as_os_str().as_encoded_bytes());
    format!("{}.known", hash.get(..32).unwrap_or(&hash))
}

/// What is known of the machine that `config` defines.
#[must_use]
pub fn known(run: &Path, config: &Path) -> Option<Known> {
    let text = read(run, &known_file(config))?;
    let mut parts = text.splitn(3, ' ');
    let (uuid, marked, name) = (parts.next()?, parts.next()?, parts.next()?);
    let uuid = if uuid == "-" { None } else { Some(parse_uuid(uuid)?) };
    Some(Known { name: name.to_owned(), uuid, marked: marked.parse().ok()? })
}

/// Remembers the machine that `config` defines.
pub fn remember(run: &Path, config: &Path, known: &Known) {
    let uuid = known.uuid.map_or_else(|| "-".to_owned(), |uuid| uuid_text(&uuid));
    let text = format!("{uuid} {} {}", known.marked, known.name);
    if let Err(errno) = write(run, &known_file(config), &text) {
        log::debug!("the machine of {} was not remembered: {errno}", config.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_was_remembered_is_known_by_its_file_and_by_no_other() {
        let run = tempfile::tempdir().unwrap();
        let file = Path::new("/vms/a b.xml");
        for uuid in [None, Some([7; 16])] {
            let known_as = Known { name: "a b".into(), uuid, marked: -1 };
            remember(run.path(), file, &known_as);
            assert_eq!(known(run.path(), file), Some(known_as));
        }
        assert_eq!(known(run.path(), Path::new("/vms/a.xml")), None);
    }

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
