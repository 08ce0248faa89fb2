// SPDX-License-Identifier: GPL-2.0-or-later
//! A file that lines are logged to. Its storage may hang, for ever, and no action must hang with it: so a process of its own
//! (`log_writer.rs`) opens and writes it, from the first line on, and is waited for a moment when the action has ended.

use crate::sys::child::feed::Fed;
use crate::sys::text::shown;
use crate::sys::time::Deadline;
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The first argument that makes the executable write lines; what follows is the file.
pub(super) const WORD: &str = "__log";
/// The word for a file that lines are added to, each for itself: it may be put aside in between.
pub(super) const APPENDED: &str = "append";
/// How long the storage may take for the last lines, unless nothing but its turn keeps the process from writing them.
const STORAGE: Duration = Duration::from_secs(1);

/// A file, before and while it gets lines.
#[derive(Debug)]
pub(super) struct LogFile {
    /// That it cannot be written, in words.
    trouble: String,
    /// What it is, in the words of the process that writes it.
    words: Vec<OsString>,
    writer: Mutex<LogWriter>,
}

#[derive(Debug)]
enum LogWriter {
    /// There was no line yet.
    NotYet,
    /// It runs; whether it has taken every line.
    Runs(Fed, bool),
    /// It could not be started, or has ended: why it has not taken what it was to.
    Over(String),
}

impl LogFile {
    /// One that lines are added to, each for itself.
    pub(super) fn appended(path: &OsStr) -> Self {
        Self::of(format!("the log file {} cannot be written", shown(path)), vec![APPENDED.into(), path.into()])
    }

    /// One that `words` mean to the traces.
    pub(super) fn of(trouble: String, words: Vec<OsString>) -> Self {
        Self { trouble, words, writer: Mutex::new(LogWriter::NotYet) }
    }

    /// Adds a line, and does not wait for that.
    pub(super) fn add(&self, line: &str) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*writer, LogWriter::NotYet) {
            *writer = match Fed::start(WORD, &self.words) {
                Ok(fed) => LogWriter::Runs(fed, true),
                Err(error) => LogWriter::Over(error.to_string()),
            };
        }
        if let LogWriter::Runs(fed, all) = &mut *writer {
            *all &= fed.give(line);
        }
    }

    /// No more lines come: they are waited for a moment, and not beyond the deadline. Gives what is wrong with it.
    pub(super) fn end(&self, deadline: Deadline) -> Option<String> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let why = match std::mem::replace(&mut *writer, LogWriter::Over(String::new())) {
            LogWriter::NotYet => String::new(),
            LogWriter::Over(why) => why,
            LogWriter::Runs(fed, all) => match fed.end(STORAGE, deadline) {
                Some(said) if !all && said.is_empty() => "it takes lines too slowly".to_owned(),
                Some(said) => said,
                None => "its storage does not answer".to_owned(),
            },
        };
        (!why.is_empty()).then(|| format!("{}: {}", self.trouble, why.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_line_costs_nothing_and_is_not_told_of() {
        let file = LogFile::appended("/nowhere/log".as_ref());
        assert_eq!(file.end(Deadline::after(Duration::ZERO)), None);
    }
}
