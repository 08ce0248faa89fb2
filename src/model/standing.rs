// SPDX-License-Identifier: GPL-2.0-or-later
//! How a cluster sees its members. Pure.

use serde::{Deserialize, Serialize};

/// How the cluster sees a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Online,
    /// It left, or was lost and fenced.
    Offline,
    /// It left or was lost, and this cluster fences nobody: it may still run what it ran.
    Unfenced,
    /// It was lost, and is not fenced yet: it may still run what it ran.
    Unclean,
    /// The cluster does not say.
    Unknown,
}

impl Standing {
    /// Whether the cluster does without the member, so that its silence counts for nothing.
    #[must_use]
    pub const fn is_away(self) -> bool {
        match self {
            Self::Offline | Self::Unfenced => true,
            Self::Online | Self::Unclean | Self::Unknown => false,
        }
    }
}
