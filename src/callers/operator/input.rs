// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person gives a command to read: a file, whose storage may hang, or standard input; and no more of it than is taken.

use crate::sys::child::{Child, Ended, find_program};
use crate::sys::text::{ascii_line, shown};
use crate::sys::time::Deadline;
use std::ffi::OsString;
use std::fmt;
use std::io::{Read, stdin};
use std::path::Path;

/// What standard input is called.
const STDIN: &str = "-";
/// What programs say of a file that is not there.
const MISSING: &str = "No such file or directory";

/// How it is called, for people.
pub(super) fn name(file: &Path) -> String {
    if file == Path::new(STDIN) { "standard input".to_owned() } else { shown(file.as_os_str()) }
}

/// Why nothing was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// There is no such file.
    Missing,
    /// In a few words.
    Why(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => MISSING,
            Self::Why(why) => why,
        })
    }
}

/// What is called so; `-` is standard input. A file is read by a program, until the deadline; a person's own pipe is waited
/// for. Of what is longer than `most` one byte more is read.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(file: &Path, most: usize, until: Deadline) -> Result<Vec<u8>, Unread> {
    let most = most.saturating_add(1);
    let why = |why: &dyn fmt::Display| Unread::Why(why.to_string());
    if file == Path::new(STDIN) {
        let mut bytes = Vec::new();
        let read = stdin().lock().take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes);
        return read.map(|_| bytes).map_err(|error| why(&error));
    }
    let head = find_program("head").ok_or_else(|| why(&"head is not installed"))?;
    let count = OsString::from(most.to_string());
    let child = Child::new(&head).args(["-c".as_ref(), &*count, "--".as_ref(), file.as_os_str()]).capture(most);
    let done = child.run(until).map_err(|error| why(&error))?;
    match done.ended {
        Ended::Exited(0) => Ok(done.stdout),
        Ended::Exited(_) => {
            let said = ascii_line(&String::from_utf8_lossy(&done.stderr), 200);
            let last = said.rsplit(": ").next().unwrap_or(&said);
            Err(if last == MISSING { Unread::Missing } else { why(&last) })
        }
        Ended::TimedOut | Ended::Signalled(_) => Err(why(&"its storage did not answer in time")),
    }
}
