// SPDX-License-Identifier: GPL-2.0-or-later
//! One change at a time: two agents that act on one virtual machine (a person's and the cluster's) take turns.
//!
//! The lock is the kernel's and ends with its holder, however that ends; the file in /run that it hangs on means nothing.

use crate::run_dir;
use crate::time::Deadline;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// Between two tries: the kernel has no lock with a deadline.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// A turn; dropping it ends it.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    _file: std::fs::File,
}

/// Why there is no turn.
#[derive(Debug)]
pub enum NoTurn {
    /// Another agent has it; what it said of itself.
    Taken(String),
    /// The file cannot be made or locked.
    Impossible(std::io::Error),
}

/// Waits for a turn at the virtual machine `name`, for `action`.
///
/// # Errors
/// No turn until the deadline.
pub fn take(run: &Path, name: &str, action: &str, deadline: Deadline) -> Result<Turn, NoTurn> {
    let impossible = |errno: Errno| NoTurn::Impossible(errno.into());
    let folder = run_dir::open(run).map_err(impossible)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&folder, format!("{name}.lock"), flags, Mode::RUSR | Mode::WUSR).map_err(impossible)?;
    let mut file = std::fs::File::from(file);
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK | Errno::INTR) if !deadline.passed() && !crate::interrupt::requested() => {
                std::thread::sleep(TRY_AGAIN.min(deadline.left()));
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                let mut holder = String::new();
                let _ = (&mut file).take(200).read_to_string(&mut holder);
                return Err(NoTurn::Taken(holder.trim().to_owned()));
            }
            Err(errno) => return Err(impossible(errno)),
        }
    }
    // For the message of whoever waits; losing it costs a word.
    let _ = file.set_len(0);
    let _ = write!(file, "{action}, process {}", std::process::id());
    Ok(Turn { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_for_the_first_and_learns_who_it_is() {
        let run = tempfile::tempdir().unwrap();
        let soon = || Deadline::after(Duration::from_millis(50));
        let first = take(run.path(), "a b", "stop", soon()).unwrap();
        let Err(NoTurn::Taken(holder)) = take(run.path(), "a b", "start", soon()) else { panic!("a second turn") };
        assert_eq!(holder, format!("stop, process {}", std::process::id()));
        drop(first);
        let _turn = take(run.path(), "a b", "start", soon()).unwrap();
    }

    #[test]
    fn a_link_in_the_folders_place_is_not_followed() {
        let run = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", run.path().join("vm-agent")).unwrap();
        assert!(matches!(take(run.path(), "a", "stop", Deadline::after(Duration::ZERO)), Err(NoTurn::Impossible(_))));
    }
}
