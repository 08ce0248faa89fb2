// SPDX-License-Identifier: GPL-2.0-or-later
//! Values that are one of a few words.

/// How the guest is asked to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// What libvirt does by itself.
    Default,
    /// The power button.
    Acpi,
    /// The guest agent.
    Agent,
    /// `/dev/initctl` of a container.
    Initctl,
    /// A signal to a container's init.
    Signal,
    /// Xen's control interface.
    Paravirt,
}

impl ShutdownMode {
    /// The word that `virsh shutdown --mode` takes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Acpi => "acpi",
            Self::Agent => "agent",
            Self::Initctl => "initctl",
            Self::Signal => "signal",
            Self::Paravirt => "paravirt",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Default, Self::Acpi, Self::Agent, Self::Initctl, Self::Signal, Self::Paravirt]
            .into_iter()
            .find(|m| m.word() == word)
    }
}

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
