// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking at a file without ever waiting for its storage: only by what the kernel has in memory, and only on file systems
//! of this host. Everything else is "would wait", and is then looked at aside.
//!
//! Opening by a path takes cached names only, and opens nothing yet (O_PATH), so that no file system is asked. Which one it
//! is the mount table tells; asking the file system (statfs) could be the first thing that hangs.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat2, statx};
use rustix::io::{Errno, ReadWriteFlags};

use super::{FolderLook, Instead, MissingFolder};
use crate::model::definition::MAX_BYTES;

/// File systems whose names and contents are on this host: no other machine is asked for them. The storage of the first
/// ones may be silent nevertheless (a disk that is gone), so they are read from memory only.
const ON_DISK: [&[u8]; 6] = [b"ext4", b"xfs", b"btrfs", b"ext3", b"ext2", b"f2fs"];
const IN_MEMORY: [&[u8]; 3] = [b"tmpfs", b"overlay", b"ramfs"];

/// How much of the mount table is read at first: a few lines.
const PIECE: usize = 512;

/// A change within this many seconds of another one need not show in a file's times: the kernel's clock for them goes by
/// ticks, and that of an old file system by seconds.
const SETTLED: u64 = 3;

/// What the stamp of a block device begins with.
const DEVICE: &str = "device ";

/// What is known of a path at once.
enum Seen {
    Local(Local),
    Nothing,
}

/// Something on a file system of this host.
struct Local {
    there: OwnedFd,
    kind: FileType,
    facts: Box<Statx>,
    /// Whether it may be read from memory only.
    on_disk: bool,
}

/// What is at `path`; none if that cannot be told without waiting, or is an error that is worth a closer look.
pub(super) fn look(path: &Path) -> Option<FolderLook> {
    let Seen::Local(Local { there, kind, facts, on_disk }) = see(path, OFlags::empty())? else {
        // The name of a link that leads nowhere is taken.
        let nothing = matches!(see(path, OFlags::NOFOLLOW)?, Seen::Nothing);
        return nothing.then_some(FolderLook::Not(Instead::Nothing));
    };
    if kind == FileType::Directory {
        return Some(FolderLook::Not(Instead::Folder));
    }
    if kind != FileType::RegularFile || facts.stx_size > MAX_BYTES as u64 {
        return None;
    }
    // The same file, whatever has been put in its place meanwhile.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(format!("/proc/self/fd/{}", there.as_raw_fd()), flags, Mode::empty()).ok()?;
    read(&file, usize::try_from(facts.stx_size).ok()?, on_disk).map(FolderLook::File)
}

/// Whether there is no such folder.
pub(super) fn is_missing(folder: &Path) -> Option<MissingFolder> {
    match see(folder, OFlags::empty())? {
        Seen::Local(Local { kind: FileType::Directory, .. }) => Some(MissingFolder::No),
        // It would have to be read.
        Seen::Local(Local { kind: FileType::BlockDevice, .. }) => None,
        Seen::Local(_) | Seen::Nothing => Some(MissingFolder::Yes),
    }
}

/// What a file is known by as long as nobody changes it: which one it is, how long, and the times of its last changes.
/// Whoever writes it, or puts another one in its place, changes that; the time of the last change of its inode cannot be
/// set. Tells nothing of a file system: whether it may be trusted in this was found out when the stamp was first taken. A
/// block device has one stamp whatever is on it: its definition is read by a start, and not by who watches.
pub(crate) fn stamp(path: &Path) -> Option<String> {
    let (_, facts) = reach(path, OFlags::empty()).ok()?;
    Some(device_stamp(&facts).unwrap_or_else(|| stamp_of(&facts)))
}

/// Whether a stamp is a block device's.
pub(crate) fn is_device(stamp: &str) -> bool {
    stamp.starts_with(DEVICE)
}

fn device_stamp(facts: &Statx) -> Option<String> {
    let is_one = FileType::from_raw_mode(facts.stx_mode.into()) == FileType::BlockDevice;
    is_one.then(|| format!("{DEVICE}{}:{}", facts.stx_rdev_major, facts.stx_rdev_minor))
}

/// The same, of a file of this host that has not been changed just now: its next change gives it another stamp.
pub(crate) fn lasting_stamp(path: &Path) -> Option<String> {
    if let Some(device) = reach(path, OFlags::empty()).ok().and_then(|(_, facts)| device_stamp(&facts)) {
        return Some(device);
    }
    let Seen::Local(Local { kind: FileType::RegularFile, facts, .. }) = see(path, OFlags::empty())? else {
        return None;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let changed = u64::try_from(facts.stx_ctime.tv_sec).ok()?;
    (changed.saturating_add(SETTLED) < now).then(|| stamp_of(&facts))
}

fn stamp_of(facts: &Statx) -> String {
    let (written, changed) = (facts.stx_mtime, facts.stx_ctime);
    format!(
        "{} {}:{} {} {} {}.{} {}.{}",
        facts.stx_mnt_id,
        facts.stx_dev_major,
        facts.stx_dev_minor,
        facts.stx_ino,
        facts.stx_size,
        written.tv_sec,
        written.tv_nsec,
        changed.tv_sec,
        changed.tv_nsec
    )
}

/// Why something was not reached at once.
enum Unreached {
    /// There is nothing.
    Nothing,
    /// Not in memory, an old kernel, no right: let it be found out aside.
    Unknown,
}

/// What is at `path`, as far as the kernel has it in memory.
fn reach(path: &Path, more: OFlags) -> Result<(OwnedFd, Statx), Unreached> {
    let there = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC | more, Mode::empty(), ResolveFlags::CACHED);
    let there = there.map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Unreached::Nothing,
        _ => Unreached::Unknown,
    })?;
    let asked = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::MNT_ID;
    let asked = asked | StatxFlags::INO | StatxFlags::MTIME | StatxFlags::CTIME;
    let facts = statx(&there, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, asked);
    let facts = facts.map_err(|_| Unreached::Unknown)?;
    let told = StatxFlags::from_bits_retain(facts.stx_mask);
    if told.contains(asked) { Ok((there, facts)) } else { Err(Unreached::Unknown) }
}

fn see(path: &Path, more: OFlags) -> Option<Seen> {
    let (there, facts) = match reach(path, more) {
        Ok(reached) => reached,
        Err(Unreached::Nothing) => return Some(Seen::Nothing),
        Err(Unreached::Unknown) => return None,
    };
    let (on_disk, in_memory) =
        type_of_mount(facts.stx_mnt_id, |system| (ON_DISK.contains(&system), IN_MEMORY.contains(&system)))?;
    let kind = FileType::from_raw_mode(facts.stx_mode.into());
    let local = Local { there, kind, facts: Box::new(facts), on_disk };
    (on_disk || in_memory).then_some(Seen::Local(local))
}

/// What `told` makes of the type of the mounted file system of this number. The kernel writes the mount table line by line
/// as it is read, and most definitions lie on one of the first: so no more of it is read than is needed.
fn type_of_mount<T>(id: u64, told: impl Fn(&[u8]) -> T) -> Option<T> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let table = rustix::fs::open("/proc/self/mountinfo", flags, Mode::empty()).ok()?;
    let mut text = Vec::with_capacity(PIECE);
    loop {
        text.reserve(PIECE);
        match rustix::io::read(&table, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        if let Some(system) = type_of(text.get(..whole)?, id) {
            return Some(told(system));
        }
    }
}

/// The type of the mounted file system of this number, out of a `mountinfo`.
fn type_of(mounts: &[u8], id: u64) -> Option<&[u8]> {
    let id = format!("{id} ");
    let line = mounts.split(|byte| *byte == b'\n').find(|line| line.starts_with(id.as_bytes()))?;
    line.split(|byte| *byte == b' ').skip_while(|field| *field != b"-").nth(1)
}

/// All of a file of this length; none if a part of it is not in memory, or it changes meanwhile.
fn read(file: &OwnedFd, length: usize, from_memory_only: bool) -> Option<Vec<u8>> {
    let flags = if from_memory_only { ReadWriteFlags::NOWAIT } else { ReadWriteFlags::empty() };
    let mut text = vec![0; length];
    let mut done = 0;
    while done < length {
        let rest = text.get_mut(done..)?;
        let mut into = [std::io::IoSliceMut::new(rest)];
        match rustix::io::preadv2(file, &mut into, u64::try_from(done).ok()?, flags) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    text.truncate(done);
    (done == length).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_mount_is_found_by_its_number() {
        let mounts = b"22 1 0:21 / / rw shared:1 - ext4 /dev/root rw\n221 22 0:25 / /a rw master:2 - fuse.sshfs x rw\n";
        assert_eq!(type_of(mounts, 22), Some(b"ext4".as_slice()));
        assert_eq!(type_of(mounts, 221), Some(b"fuse.sshfs".as_slice()));
        assert_eq!(type_of(mounts, 2), None);
    }

    #[test]
    fn what_was_just_written_is_read_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        assert!(matches!(look(&path), Some(FolderLook::File(text)) if text == b"text"));
        assert!(matches!(look(folder.path()), Some(FolderLook::Not(Instead::Folder))));
        assert_eq!(is_missing(folder.path()), Some(MissingFolder::No));
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        // That there is something in the way is told by whoever looks closer.
        assert!(look(&folder.path().join("link")).is_none());
        // A name is only known to be free once it was looked for.
        let free = folder.path().join("b");
        assert!(!free.exists());
        assert!(matches!(look(&free), Some(FolderLook::Not(Instead::Nothing))));
    }

    #[test]
    fn a_file_that_was_written_or_replaced_bears_another_stamp_whatever_its_length_and_date() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let facts = std::fs::metadata(&path).unwrap();
        let before = stamp(&path).unwrap();
        assert_eq!(stamp(&path), Some(before.clone()));
        // As soon as the kernel's clock for files has gone on: until then the file is not one that is known by its stamp.
        loop {
            std::fs::write(&path, "two").unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(facts.modified().unwrap()).unwrap();
            let now = std::fs::metadata(&path).unwrap();
            if (now.ctime(), now.ctime_nsec()) != (facts.ctime(), facts.ctime_nsec()) {
                break;
            }
        }
        let written = stamp(&path).unwrap();
        assert_ne!(written, before);
        let other = folder.path().join("b");
        std::fs::write(&other, "six").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(stamp(&path), Some(written));
    }

    #[test]
    fn only_a_file_that_has_been_left_alone_has_a_stamp_that_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(lasting_stamp(&path), None);
        assert_eq!(lasting_stamp(folder.path()), None);
        assert_eq!(lasting_stamp(&folder.path().join("b")), None);
        // This program was built a while ago.
        let program = std::env::current_exe().unwrap();
        if let Some(lasting) = lasting_stamp(&program) {
            assert_eq!(stamp(&program), Some(lasting));
        }
    }
}
