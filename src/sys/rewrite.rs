// SPDX-License-Identifier: GPL-2.0-or-later
//! Writing a file of somebody else's anew: whole or not at all, only if it is as it was when it was read, and as its owner
//! has it (owner, mode, extended attributes). Nothing outside of its folder is followed or touched.
//!
//! Any of these calls may wait for ever on storage that is silent: to be called aside.

use crate::sys::files::{open_file, open_folder};
use crate::sys::text::sha256_hex;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, fsync,
    openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// What is put behind a file's name for the text that was not written into it.
pub(crate) const BESIDE: &str = ".vm-agent-new";
/// The bits of a mode by which everybody may use a file.
const EVERYBODY: u32 = 0o007;
/// A longer file is none of ours.
const LONGEST: u64 = 16 << 20;
/// A longer extended attribute is none.
const LONGEST_XATTR: usize = 64 * 1024;

/// What became of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rewritten {
    /// It is the file's.
    Over,
    /// It is in a file beside it, for root alone, since the file is not what was expected: why.
    Beside(String),
    /// It is nowhere, and everything is as it was: why.
    Failed(String),
}

/// Writes `text` into the file at `path` whose bytes have this hash; where they have not, or there is no hash, beside it.
/// What is `secret` nobody but the owner and the group shall read.
pub(crate) fn rewrite(path: &Path, expected: Option<&str>, secret: bool, text: &[u8]) -> Rewritten {
    let done = FilePlace::of(path).and_then(|place| match expected {
        Some(expected) => place.over(expected, secret, text),
        None => place.beside(text).map(|()| Rewritten::Beside(String::new())),
    });
    done.unwrap_or_else(Rewritten::Failed)
}

/// Writes `text` as the file at `path`, which everybody may read, whether there was one or not. What is no regular file is
/// left as it is.
pub(crate) fn put(path: &Path, text: &[u8]) -> Rewritten {
    let done = FilePlace::of(path).and_then(|place| {
        match statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if FileType::from_raw_mode(there.st_mode) != FileType::RegularFile => {
                return Err("there is something that is no regular file".into());
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(said("it cannot be looked at", errno)),
        }
        let readable = |new: &OwnedFd| {
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
            fchmod(new, mode).map_err(|errno| said("its mode cannot be set", errno))
        };
        place.put(text, place.name, readable).map(|()| Rewritten::Over)
    });
    done.unwrap_or_else(Rewritten::Failed)
}

fn said(what: &str, errno: Errno) -> String {
    format!("{what}: {errno}")
}

/// A file's place.
struct FilePlace<'a> {
    folder: OwnedFd,
    name: &'a OsStr,
}

impl<'a> FilePlace<'a> {
    fn of(path: &'a Path) -> Result<Self, String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(format!("{} is no file's path", path.display()));
        };
        // A name alone is one of the working folder.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let folder = open_folder(parent).map_err(|errno| said("its folder", errno))?;
        Ok(Self { folder, name })
    }

    fn over(&self, expected: &str, secret: bool, text: &[u8]) -> Result<Rewritten, String> {
        let instead = |why: &str| self.beside(text).map(|()| Rewritten::Beside(why.to_owned()));
        let file = match open_file(&self.folder, self.name) {
            Ok(file) => file,
            Err(Errno::LOOP) => return instead("it is a symbolic link"),
            Err(errno) => return Err(said("it cannot be read", errno)),
        };
        let before = fstat(&file).map_err(|errno| said("it cannot be read", errno))?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return instead("it is no regular file");
        }
        let mut bytes = Vec::new();
        let read = file.try_clone().map(File::from).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        read.map_err(|error| format!("it cannot be read: {error}"))?;
        if sha256_hex(&bytes) != expected {
            return instead("it was edited meanwhile");
        }
        let temporary = self.temporary();
        let new = self.create(&temporary)?;
        let written = self.fill(&new, text, |new| keep(&file, &before, secret, new));
        // Somebody may have saved it in the meantime; what he did between here and the renaming nobody could see.
        let moved = written.and_then(|()| match self.is_still(&before) {
            true => renameat(&self.folder, &temporary, &self.folder, self.name)
                .map(|()| true)
                .map_err(|errno| said("it cannot be replaced", errno)),
            false => Ok(false),
        });
        if moved != Ok(true) {
            let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        if !moved? {
            return instead("it was edited meanwhile");
        }
        // It is written; whether it outlives a crash of the host is all that is left open.
        let _ = fsync(&self.folder);
        Ok(Rewritten::Over)
    }

    fn beside(&self, text: &[u8]) -> Result<(), String> {
        self.put(text, &named(self.name, BESIDE), |_| Ok(()))
    }

    /// Puts a new file there under a name, in the place of what has it.
    fn put(
        &self,
        text: &[u8],
        name: &OsStr,
        see_to: impl FnOnce(&OwnedFd) -> Result<(), String>,
    ) -> Result<(), String> {
        let temporary = self.temporary();
        let new = self.create(&temporary)?;
        let moved = self.fill(&new, text, see_to).and_then(|()| {
            renameat(&self.folder, &temporary, &self.folder, name)
                .map_err(|errno| said("it cannot be put in its place", errno))
        });
        if moved.is_err() {
            let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        moved
    }

    fn temporary(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(named(self.name, ".vm-agent-tmp"));
        name
    }

    /// A new file for root alone. One that an agent has left that was killed is nobody's.
    fn create(&self, name: &OsStr) -> Result<OwnedFd, String> {
        let _ = unlinkat(&self.folder, name, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| said("no file can be made in its folder", errno))
    }

    fn fill(
        &self,
        new: &OwnedFd,
        text: &[u8],
        and_then: impl FnOnce(&OwnedFd) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut file = new.try_clone().map(File::from).map_err(|error| error.to_string())?;
        file.write_all(text).map_err(|error| format!("its new text cannot be written: {error}"))?;
        and_then(new)?;
        fsync(new).map_err(|errno| said("its new text cannot be written", errno))
    }

    /// Whether the same file is there, as it was.
    fn is_still(&self, before: &Stat) -> bool {
        let told = |stat: &Stat| {
            (
                stat.st_dev,
                stat.st_ino,
                stat.st_size,
                stat.st_mtime,
                stat.st_mtime_nsec,
                stat.st_ctime,
                stat.st_ctime_nsec,
            )
        };
        statat(&self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|now| told(&now) == told(before))
    }
}

fn named(name: &OsStr, end: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(end);
    name
}

/// Gives the new file what the old one has.
fn keep(old: &OwnedFd, before: &Stat, secret: bool, new: &OwnedFd) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(before.st_uid), Gid::from_raw(before.st_gid));
    fchown(new, Some(uid), Some(gid)).map_err(|errno| said("its owner cannot be kept", errno))?;
    let mut names = vec![0; LONGEST_XATTR];
    let length = match flistxattr(old, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(said("its extended attributes cannot be kept", errno)),
    };
    let mut value = vec![0; LONGEST_XATTR];
    let listed = names.get(..length).unwrap_or_default();
    for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let kept = fgetxattr(old, name, value.as_mut_slice())
            .and_then(|length| fsetxattr(new, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()));
        kept.map_err(|errno| said("its extended attributes cannot be kept", errno))?;
    }
    // At last: an access list has changed the mode.
    let mode = if secret { before.st_mode & !EVERYBODY } else { before.st_mode };
    fchmod(new, Mode::from_raw_mode(mode)).map_err(|errno| said("its mode cannot be kept", errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, metadata, read_to_string, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_as_it_was_is_replaced_and_keeps_its_mode_and_attributes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.xml");
        write(&file, "old").unwrap();
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let attribute = rustix::fs::setxattr(&file, "user.note", b"x", XattrFlags::empty());
        // Left by an agent that was killed.
        write(folder.path().join(".a.xml.vm-agent-tmp"), "half").unwrap();
        assert_eq!(rewrite(&file, Some(&sha256_hex(b"old")), false, b"new"), Rewritten::Over);
        assert_eq!((read_to_string(&file).unwrap().as_str(), mode(&file)), ("new", 0o644));
        if attribute.is_ok() {
            let mut value = [0; 8];
            assert_eq!(rustix::fs::getxattr(&file, "user.note", &mut value), Ok(1));
        }
        assert_eq!(rewrite(&file, Some(&sha256_hex(b"new")), true, b"secret"), Rewritten::Over);
        assert_eq!(mode(&file), 0o640);
        assert_eq!(names(folder.path()), ["a.xml"]);
    }

    #[test]
    fn what_was_edited_and_what_is_a_link_stays_and_the_text_is_put_beside_it_for_root_alone() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = folder.path().join("a.xml");
        let beside = folder.path().join("a.xml.vm-agent-new");
        write(&file, "edited").unwrap();
        let linked = other.path().join("linked");
        write(&linked, "old").unwrap();
        // Who prepares a link there gains nothing.
        symlink(&linked, &beside).unwrap();
        let hash = sha256_hex(b"old");
        assert!(matches!(rewrite(&file, Some(&hash), false, b"new"), Rewritten::Beside(why) if why.contains("edited")));
        assert_eq!((read_to_string(&file).unwrap(), read_to_string(&beside).unwrap()), ("edited".into(), "new".into()));
        assert_eq!((mode(&beside), read_to_string(&linked).unwrap().as_str()), (0o600, "old"));
        let link = folder.path().join("link.xml");
        symlink(&linked, &link).unwrap();
        assert!(matches!(rewrite(&link, Some(&hash), false, b"new"), Rewritten::Beside(why) if why.contains("link")));
        assert_eq!(read_to_string(&linked).unwrap(), "old");
        assert_eq!(rewrite(&file, None, false, b"whole"), Rewritten::Beside(String::new()));
        assert_eq!(read_to_string(&beside).unwrap(), "whole");
        assert_eq!(names(folder.path()), ["a.xml", "a.xml.vm-agent-new", "link.xml", "link.xml.vm-agent-new"]);
    }

    #[test]
    fn a_file_that_is_put_is_new_or_replaced_whole_and_readable_to_all_and_nothing_but_a_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.prom");
        for text in ["one", "two"] {
            assert_eq!(put(&file, text.as_bytes()), Rewritten::Over);
            assert_eq!((read_to_string(&file).unwrap().as_str(), mode(&file)), (text, 0o644));
        }
        let link = folder.path().join("link");
        symlink("/dev/stdout", &link).unwrap();
        for there in [link.as_path(), folder.path(), Path::new("/dev/null"), Path::new("/"), &file.join("b")] {
            assert!(matches!(put(there, b"three"), Rewritten::Failed(_)), "{}", there.display());
        }
        assert_eq!(names(folder.path()), ["a.prom", "link"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a.xml");
        assert!(matches!(rewrite(&missing, Some("x"), false, b"new"), Rewritten::Failed(_)));
        assert!(matches!(rewrite(&folder.path().join("no/a.xml"), None, false, b"new"), Rewritten::Failed(_)));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
