// SPDX-License-Identifier: GPL-2.0-or-later
//! The programs that know a kind of storage, where they are installed.

use super::word::Word;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;

/// What a program's output says. Where it is not installed, nobody can tell.
pub(super) fn ask(name: &str, args: &[&str], deadline: Deadline, read: impl Fn(&str) -> Option<Word>) -> Word {
    let Some(program) = find_program(name) else {
        return Word::Untold(format!("{name}, which would tell, is missing"));
    };
    let finished = match Child::new(&program).args(args.iter().copied()).run(deadline) {
        Ok(finished) => finished,
        Err(error) => return Word::Unknown(error.to_string()),
    };
    match finished.ended {
        Ended::Exited(0) => read(&String::from_utf8_lossy(&finished.stdout))
            .unwrap_or_else(|| Word::Unknown(format!("{name} says nothing that is understood"))),
        Ended::Exited(code) => {
            let said = String::from_utf8_lossy(&finished.stderr);
            let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            Word::Unknown(format!("{name} ended with {code} ({})", ascii_line(last, 200)))
        }
        Ended::Signalled(signal) => Word::Unknown(format!("{name} was killed by signal {signal}")),
        Ended::TimedOut => Word::Unknown(format!("{name} did not answer in time")),
    }
}
