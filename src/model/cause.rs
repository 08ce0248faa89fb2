// SPDX-License-Identifier: GPL-2.0-or-later
//! What more is known of a machine that stands still, or has ended: since when, and by what. Pure.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A machine that has run on for so long after it was resumed had a disk that worked: what comes then is another trouble.
const LASTED: Duration = Duration::from_secs(600);

/// What more is known of it than its state. Nothing of that is certain to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    /// Since when, or when it ended.
    pub since: Option<Since>,
    /// Its disks that have failed, each with the error.
    pub disks: Option<String>,
    /// How it has ended, in libvirt's word in the emulator's log.
    pub ended: Option<String>,
    /// What was tried to have it run on, in this run of it; `None`, where it cannot be told which run this is.
    pub tried: Option<Tries>,
}

/// When something began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Since {
    /// The time, in words.
    pub at: String,
    /// How long ago that is.
    pub ago: Duration,
}

/// How often it was tried to have it run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tries {
    /// How often.
    pub count: u32,
    /// How long ago the last time was.
    pub last: Duration,
}

impl Cause {
    /// Whether it has ended because its guest shut down.
    #[must_use]
    pub(crate) fn is_by_its_guest(&self) -> bool {
        self.ended.as_deref() == Some("shutdown")
    }

    /// The tries that count: those since it last ran for a while.
    #[must_use]
    pub(crate) fn tries(&self) -> Option<Tries> {
        let tried = self.tried?;
        let ran = self.since.as_ref().map_or(Duration::ZERO, |since| tried.last.saturating_sub(since.ago));
        Some(if ran >= LASTED { Tries::default() } else { tried })
    }

    /// In brackets, behind the state: ` (vda: ENOSPC, since 2026-11-22T04:50:00Z)`.
    #[must_use]
    pub(crate) fn told(&self) -> String {
        let since = self.since.as_ref().map(|since| format!("since {}", since.at));
        let parts: Vec<String> = self.disks.clone().into_iter().chain(since).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_count_anew_when_it_has_run_for_a_while_after_them() {
        let tried = Tries { count: 3, last: Duration::from_secs(700) };
        let counted = |ago| {
            let since = Some(Since { at: String::new(), ago: Duration::from_secs(ago) });
            Cause { since, tried: Some(tried), ..Cause::default() }.tries().unwrap().count
        };
        assert_eq!((counted(690), counted(101), counted(100), counted(5)), (3, 3, 0, 0));
        assert_eq!(Cause { tried: Some(tried), ..Cause::default() }.tries(), Some(tried));
        assert_eq!(Cause::default().tries(), None);
    }
}
