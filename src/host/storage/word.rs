// SPDX-License-Identifier: GPL-2.0-or-later
//! The answer of a witness.

/// What a witness says of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nobody else has it open, as far as this witness sees.
    Free,
    /// Somebody has: how that is known, and whether it may end by itself.
    Open(String, bool),
    /// Cannot be told, and why.
    Unknown(String),
    /// There is nobody who could tell, and why. Only who wants to be certain is hindered by that.
    Untold(String),
}
