// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of a file: read by a program, since the disk may hang.

use super::{Child, Ended, find_program};
use crate::sys::time::Deadline;

/// The last bytes of the file at `path`, at most so many; nothing where it is not there, or cannot be read in time.
pub(crate) fn end_of_file(path: &str, most: usize, deadline: Deadline) -> Option<String> {
    let tail = find_program("tail")?;
    let words = ["-c".to_owned(), most.to_string(), "--".to_owned(), path.to_owned()];
    let finished = Child::new(&tail).args(words).capture(most).run(deadline).ok()?;
    (finished.ended == Ended::Exited(0)).then(|| String::from_utf8_lossy(&finished.stdout).into_owned())
}
