// SPDX-License-Identifier: GPL-2.0-or-later
//! The start of a launcher, tried again while the host has no process to give.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::sys::time::Deadline;

/// Where no process can be made: for how long that is tried again, and how often.
const START_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(100));

/// Starts the launcher of a program. A host that has no process to give at this moment, or no memory for one, may have it
/// in the next moment: nothing was started yet, so it is tried again.
pub(super) fn in_time<T>(
    program: &Path,
    deadline: Deadline,
    mut start: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let until = deadline.at_most(START_AGAIN.0);
    let mut told = false;
    loop {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !until.passed() => {
                if !std::mem::replace(&mut told, true) {
                    log::warn!("{} cannot be started at this moment: {error}; it is tried again", program.display());
                }
                std::thread::sleep(START_AGAIN.1.min(until.left()));
            }
            started => return started,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_process_that_cannot_be_made_is_tried_again_for_a_while_and_what_is_refused_is_not() {
        let program = Path::new("/bin/true");
        let in_time = |deadline, failures: u32, errno: Errno| {
            let mut tries = 0;
            let started = in_time(program, deadline, || {
                tries += 1;
                if tries > failures { Ok(tries) } else { Err(io::Error::from(errno)) }
            });
            (started.map_err(|error| error.kind()), tries)
        };
        let minute = || Deadline::after(Duration::from_secs(60));
        assert_eq!(in_time(minute(), 2, Errno::AGAIN), (Ok(3), 3));
        assert_eq!(in_time(minute(), 2, Errno::ACCESS), (Err(io::ErrorKind::PermissionDenied), 1));
        let over = Deadline::after(Duration::ZERO);
        assert_eq!(in_time(over, 2, Errno::AGAIN), (Err(io::ErrorKind::WouldBlock), 1));
    }
}
