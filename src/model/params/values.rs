// SPDX-License-Identifier: GPL-2.0-or-later
//! Values that are one of a few words.

/// What a start does with memory that libvirt has saved of the machine (virsh managedsave).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SavedMemory {
    /// It starts nothing.
    #[default]
    Refuse,
    /// It restores it.
    Use,
    /// It deletes it.
    Drop,
}

impl SavedMemory {
    pub(super) fn parse(word: &str) -> Option<Self> {
        let words = [("refuse", Self::Refuse), ("use", Self::Use), ("drop", Self::Drop)];
        words.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, value)| value)
    }
}
