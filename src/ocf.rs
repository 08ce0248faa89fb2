// SPDX-License-Identifier: GPL-2.0-or-later
//! What an action answers: an exit code and one sentence for the administrator. Pure.

/// The exit codes that this agent gives (OCF resource agent API 1.1; 150 is rgmanager's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done, or running.
    Ok,
    /// Failed, or not knowable.
    Generic,
    /// The arguments are wrong for this host.
    Args,
    /// No such action.
    Unimplemented,
    /// Not allowed.
    Perm,
    /// Something needed is not installed on this host.
    Installed,
    /// The parameters are wrong on every host. Pacemaker stops the resource everywhere: only for start and validate-all.
    Configured,
    /// Cleanly not running: only ever with evidence.
    NotRunning,
    /// rgmanager: the migration failed, and the service runs on its original owner.
    StayedHere,
    /// Pacemaker: running, but not as it should be.
    Degraded,
}

impl Code {
    /// The number given to `exit`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Generic => 1,
            Self::Args => 2,
            Self::Unimplemented => 3,
            Self::Perm => 4,
            Self::Installed => 5,
            Self::Configured => 6,
            Self::NotRunning => 7,
            Self::StayedHere => 150,
            Self::Degraded => 190,
        }
    }
}

/// The end of an action: its code, and the sentence that says what happened, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code.
    pub code: Code,
    /// One sentence; shown as exit reason, in the log and at the terminal.
    pub reason: String,
}

impl Outcome {
    /// An outcome of `code` with its sentence.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// `text` as one printable ASCII line of at most `limit` characters: Pacemaker 2.1 cuts exit reasons at 128 and breaks
/// its own messages on other characters.
#[must_use]
pub fn ascii_line(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit));
    for c in text.trim().chars() {
        let c = match c {
            ' '..='~' => c,
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            c if c.is_whitespace() => ' ',
            c if c.is_control() => continue,
            _ => '?',
        };
        if c == ' ' && line.ends_with(' ') {
            continue;
        }
        line.push(c);
    }
    if line.len() > limit {
        line.truncate(limit.saturating_sub(3));
        line.truncate(line.trim_end().len());
        line.push_str("...");
    }
    line
}
