// SPDX-License-Identifier: GPL-2.0-or-later
//! What an action answers: an exit code and one sentence for the administrator. Pure.

use serde::{Deserialize, Serialize};

/// The exit codes that this agent gives (OCF resource agent API 1.1; 150 is rgmanager's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Code {
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
    pub(crate) const fn number(self) -> u8 {
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The exit code.
    pub code: Code,
    /// One sentence; shown as exit reason, in the log and at the terminal.
    pub reason: String,
}

impl Outcome {
    /// An outcome of `code` with its sentence.
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}
