// SPDX-License-Identifier: GPL-2.0-or-later
//! One process as `/proc` shows it. Read through the process's own folder, which never comes to mean another process
//! when the number is used again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::Pid;

/// A longer command line is not read to its end.
pub(crate) const LONGEST_COMMAND_LINE: usize = 1 << 20;

/// The folder of one process.
pub(crate) struct ProcessDir {
    folder: OwnedFd,
    pid: u32,
}

/// `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) comm: Vec<u8>,
    pub(crate) state: u8,
    pub(crate) parent: u32,
    /// 0: the group's leader is outside of this PID namespace.
    pub(crate) group: u32,
    pub(crate) kernel_thread: bool,
    /// It has begun to end: its memory is given back, its files are closed, one after the other.
    pub(crate) exiting: bool,
    pub(crate) threads: u64,
    pub(crate) start_time_ticks: u64,
}

/// The processes of our PID namespace whose names are such, each with its folder. Containers of this host have their own.
pub(crate) fn named_here(proc: &Path, is_such: impl Fn(&str) -> bool) -> Vec<(PathBuf, String)> {
    let namespace = |folder: &Path| std::fs::read_link(folder.join("ns/pid")).ok();
    let ours = namespace(&proc.join("self"));
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let numbered = entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let named = numbered.filter_map(|entry| {
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?.trim_end().to_owned();
        let is_here = |folder: &Path| match namespace(folder) {
            Some(its) => Some(its) == ours,
            None => ours.is_none() || has_one_number(folder),
        };
        (is_such(&name) && is_here(&entry.path())).then(|| (entry.path(), name))
    });
    named.collect()
}

/// Whether a process is in no namespace below that of this table: what its link tells root alone, its numbers tell everybody.
fn has_one_number(folder: &Path) -> bool {
    let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().count() == 1)
}

impl Stat {
    /// Whether nothing of the process runs any more: it only waits to be reaped. (A first thread that has ended while
    /// others go on is shown as a zombie too.)
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x') && self.threads <= 1
    }
}

/// What of a command line was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandLine {
    Whole,
    /// Longer than any that is read.
    TooLong,
}

/// `/proc/PID/status`: the real user, the process's numbers in its nested namespaces, and whether it was sent SIGKILL and
/// has not come to notice it.
pub(crate) struct ProcessStatus {
    pub(crate) uid: u32,
    pub(crate) namespaces: usize,
    pub(crate) killed: bool,
}

/// Whether the error says that the process is not there (any more).
pub(crate) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH)
}

impl ProcessDir {
    pub(crate) fn open(proc: &Path, pid: u32) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(proc.join(pid.to_string()), flags, Mode::empty())?;
        Ok(Self { folder, pid })
    }

    /// Our own process, by a name that also holds in a tree made by a test.
    pub(crate) fn open_self(proc: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(proc.join("self"), flags, Mode::empty())?;
        Ok(Self { folder, pid: 0 })
    }

    pub(crate) fn stat(&self) -> rustix::io::Result<Stat> {
        let mut text = Vec::new();
        self.read("stat", &mut text, 4096)?;
        parse_stat(&text).ok_or(Errno::INVAL)
    }

    /// The arguments, each ended by a NUL, into `buffer`. Empty: a kernel thread, or a process that is ending. Whoever
    /// asks waits for the lock of the process's memory: for ever, if one of its threads waits for storage with it.
    pub(crate) fn command_line(&self, buffer: &mut Vec<u8>) -> rustix::io::Result<CommandLine> {
        let read = self.read_command_line("cmdline", buffer)?;
        if buffer.is_empty() && read == CommandLine::Whole {
            self.command_line_of_a_thread(buffer);
        }
        Ok(read)
    }

    /// Where the first thread has ended another one may not have: as long as it hangs in a call it keeps the memory, and
    /// with it the arguments.
    fn command_line_of_a_thread(&self, buffer: &mut Vec<u8>) {
        let Ok(threads) =
            openat(&self.folder, "task", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        else {
            return;
        };
        let Ok(entries) = rustix::fs::Dir::read_from(&threads) else { return };
        for entry in entries.flatten() {
            let Some(thread) = number::<u32>(entry.file_name().to_bytes()) else { continue };
            let read = self.read_command_line(&format!("task/{thread}/cmdline"), buffer);
            if read.is_ok_and(|read| read == CommandLine::Whole) && !buffer.is_empty() {
                return;
            }
        }
        buffer.clear();
    }

    fn read_command_line(&self, name: &str, buffer: &mut Vec<u8>) -> rustix::io::Result<CommandLine> {
        let whole = self.read(name, buffer, LONGEST_COMMAND_LINE)?;
        Ok(if whole { CommandLine::Whole } else { CommandLine::TooLong })
    }

    /// Whether it is on its way to its end, and may be stuck there: it ends, or it was sent SIGKILL in the middle of a
    /// call that hangs.
    pub(crate) fn is_ending(&self, stat: &Stat) -> bool {
        stat.exiting || stat.state == b'D' && self.status().is_ok_and(|status| status.killed)
    }

    pub(crate) fn status(&self) -> rustix::io::Result<ProcessStatus> {
        let mut text = Vec::new();
        self.read("status", &mut text, 16384)?;
        parse_status(&text).ok_or(Errno::INVAL)
    }

    /// The file that the process runs.
    pub(crate) fn executable(&self) -> rustix::io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.folder, "exe", Vec::new())?.into_bytes())
    }

    pub(crate) fn pid_namespace(&self) -> rustix::io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.folder, "ns/pid", Vec::new())?.into_bytes())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    fn read(&self, name: &str, buffer: &mut Vec<u8>, limit: usize) -> rustix::io::Result<bool> {
        read_at(&self.folder, name, buffer, limit)
    }
}

/// Most of what is read is shorter. A vector doubles its room for more.
const SHORT: usize = 1024;

/// Reads at most `limit` bytes of a file into `buffer`; whether that was all of it.
pub(crate) fn read_at(folder: &OwnedFd, name: &str, buffer: &mut Vec<u8>, limit: usize) -> rustix::io::Result<bool> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?;
    buffer.clear();
    loop {
        if buffer.len() >= limit {
            return Ok(false);
        }
        if buffer.len() == buffer.capacity() {
            buffer.reserve(SHORT);
        }
        match rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The start time of a process of this host, in clock ticks since boot; none if there is no such process.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn start_time(pid: u32) -> io::Result<Option<u64>> {
    match ProcessDir::open(Path::new("/proc"), pid).and_then(|process| process.stat()) {
        Ok(stat) => Ok(Some(stat.start_time_ticks)),
        Err(error) if is_gone(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process of this host wants nothing but its turn.
pub(crate) fn is_runnable(pid: u32) -> bool {
    ProcessDir::open(Path::new("/proc"), pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state == b'R')
}

/// The parent of a process of this host.
pub(crate) fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = ProcessDir::open(Path::new("/proc"), pid.as_raw_nonzero().get().unsigned_abs()).ok()?.stat().ok()?;
    Pid::from_raw(i32::try_from(stat.parent).ok()?)
}

/// Our own process group, if it has a number here: it has none in a PID namespace that was entered by a process of a
/// group outside (`nsenter`, a container's exec).
pub(crate) fn own_group() -> Option<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let stat = ProcessDir::open(Path::new("/proc"), own).ok()?.stat().ok()?;
    Pid::from_raw(i32::try_from(stat.group).ok()?)
}

/// The children of a process of this host, as far as they can be seen at once.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    children_by_file(parent).unwrap_or_else(|| children_by_scan(parent))
}

/// The processes that a process of this host has started, and that these have started, as far as they can be seen at once.
pub(crate) fn descendants_of(root: Pid) -> Vec<Pid> {
    let mut found = children_of(root);
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(children_of(parent));
        at += 1;
    }
    found
}

/// From the lists that the kernel keeps, one a thread, where it was built with them.
pub(crate) fn children_by_file(parent: Pid) -> Option<Vec<Pid>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero())).ok()? {
        let list = std::fs::read_to_string(thread.ok()?.path().join("children"));
        match list {
            Ok(list) => children.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?))),
            // The thread has ended; its children are another thread's.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            Err(_) => return None,
        }
    }
    Some(children)
}

pub(crate) fn children_by_scan(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The name in the second field may hold anything, parentheses and blanks too: it ends at the last parenthesis.
pub(crate) fn parse_stat(text: &[u8]) -> Option<Stat> {
    const KERNEL_THREAD: u64 = 0x0020_0000;
    const EXITING: u64 = 0x0000_0004;
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    let parent = number(fields.next()?)?;
    let group = number(fields.next()?)?;
    let flags: u64 = number(fields.nth(3)?)?;
    let threads = number(fields.nth(10)?)?;
    let start_time_ticks = number(fields.nth(1)?)?;
    let comm = text.get(open + 1..close)?.to_vec();
    let kernel_thread = flags & KERNEL_THREAD != 0;
    let exiting = flags & EXITING != 0 || matches!(state, b'Z' | b'X' | b'x');
    Some(Stat { comm, state, parent, group, kernel_thread, exiting, threads, start_time_ticks })
}

pub(crate) fn parse_status(text: &[u8]) -> Option<ProcessStatus> {
    let field = |name: &[u8]| text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name));
    let killed = |field: &[u8]| {
        let mask = std::str::from_utf8(field).ok().and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> 8 & 1 == 1)
    };
    let values = |field: &'_ [u8]| field.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()).count();
    let uid = field(b"Uid:")?.split(u8::is_ascii_whitespace).find(|part| !part.is_empty())?;
    // Kernels before 4.1 do not say, and have one number to give.
    Some(ProcessStatus {
        uid: number(uid)?,
        namespaces: field(b"NSpid:").map_or(1, values),
        killed: [b"SigPnd:".as_slice(), b"ShdPnd:"].iter().any(|name| field(name).is_some_and(killed)),
    })
}

pub(crate) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (parse_stat(&text), parse_status(&text));
        }

        #[test]
        fn a_name_of_any_bytes_does_not_shift_the_fields(comm in proptest::collection::vec(any::<u8>(), 0..16)) {
            let mut text = b"300 (".to_vec();
            text.extend(&comm);
            text.extend(b") S 7 3 3 0 -1 2097216 0 0 0 0 1 1 0 0 20 0 5 0 4242 9 9\n");
            let stat = parse_stat(&text).unwrap();
            let expected = Stat {
                comm,
                state: b'S',
                parent: 7,
                group: 3,
                kernel_thread: true,
                exiting: false,
                threads: 5,
                start_time_ticks: 4242,
            };
            prop_assert_eq!(stat, expected);
        }
    }

    #[test]
    fn both_ways_to_the_children_of_a_process_agree() {
        let own = rustix::process::getpid();
        let (tx, rx) = std::sync::mpsc::channel::<()>();
        // Children belong to the thread that made them, and are listed there.
        let other = std::thread::spawn(move || {
            #[allow(clippy::disallowed_methods, reason = "a test of its own children")]
            let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            rx.recv().unwrap_err();
            child
        });
        let seen = |list: Vec<Pid>| list.into_iter().any(|pid| parent_of(pid) == Some(own));
        while !seen(children_by_scan(own)) {
            std::thread::yield_now();
        }
        let by_file = children_by_file(own).map(seen);
        drop(tx);
        let mut child = other.join().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(by_file, Some(false));
        assert_eq!(start_time(u32::MAX).unwrap(), None);
    }
}
