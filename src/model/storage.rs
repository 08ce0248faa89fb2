// SPDX-License-Identifier: GPL-2.0-or-later
//! What storage tells of a machine's disks: whether somebody else has one open. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A disk that somebody else has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenDisk {
    /// Its name in the guest.
    pub disk: String,
    /// Where it is.
    pub place: String,
    /// By whom, or how that is known: a sentence.
    pub by: String,
    /// Whether that may end by itself: what a dead host has left lapses.
    pub lapses: bool,
}

impl fmt::Display for OpenDisk {
    /// Who has it open stands before the path, which may be long: a reason is cut at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk, place, by, .. } = self;
        write!(f, "{disk} is open elsewhere: {by} ({place})")
    }
}
