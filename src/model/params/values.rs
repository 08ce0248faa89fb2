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
        one_of([("refuse", Self::Refuse), ("use", Self::Use), ("drop", Self::Drop)], word)
    }
}

/// Whether a start asks who else may have the machine before it creates anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// It does not.
    Off,
    /// It fails where somebody is known to have it.
    #[default]
    Try,
    /// It fails where somebody may have it: also where one who was asked does not answer.
    Strict,
}

impl Guard {
    pub(super) fn parse(word: &str) -> Option<Self> {
        one_of([("off", Self::Off), ("try", Self::Try), ("strict", Self::Strict)], word)
    }
}

/// What a monitor makes of a machine that a failed disk has paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnIoError {
    /// It is failed.
    #[default]
    Fail,
    /// A recurring monitor has it run on as soon as its disk works again; it is failed where that takes too long.
    Resume,
    /// It is left as it is, and told of.
    Leave,
}

impl OnIoError {
    pub(super) fn parse(word: &str) -> Option<Self> {
        one_of([("fail", Self::Fail), ("resume", Self::Resume), ("leave", Self::Leave)], word)
    }
}

/// What a monitor makes of a machine that its own guest has powered off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnGuestPoweroff {
    /// It does not run, as after any other end: the cluster starts it again.
    #[default]
    Fail,
    /// The cluster is told to keep it stopped.
    Stopped,
}

impl OnGuestPoweroff {
    pub(super) fn parse(word: &str) -> Option<Self> {
        one_of([("fail", Self::Fail), ("stopped", Self::Stopped)], word)
    }
}

/// What a monitor makes of a machine that somebody has paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPause {
    /// It is told of.
    #[default]
    Warn,
    /// A recurring monitor has it run on.
    Resume,
    /// It is failed.
    Fail,
}

impl OnPause {
    pub(super) fn parse(word: &str) -> Option<Self> {
        one_of([("warn", Self::Warn), ("resume", Self::Resume), ("fail", Self::Fail)], word)
    }
}

/// When a start is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedWhen {
    /// When the machine runs.
    Running,
    /// When its guest's agent has answered.
    Agent,
    /// When the guest's checks succeed.
    Checks,
}

impl StartedWhen {
    pub(super) fn parse(word: &str) -> Option<Self> {
        one_of([("running", Self::Running), ("agent", Self::Agent), ("checks", Self::Checks)], word)
    }
}

fn one_of<T, const N: usize>(words: [(&str, T); N], word: &str) -> Option<T> {
    words.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, value)| value)
}
