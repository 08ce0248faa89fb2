// SPDX-License-Identifier: GPL-2.0-or-later
//! Who calls. Three places may care: the reading of the call, the mapping of exit codes, the channel of the log.

/// Who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// rgmanager, which executes `vm.sh`.
    Rgmanager,
    /// Pacemaker, known by its `CRM_meta` variables.
    Pacemaker,
    /// Any other caller of OCF agents.
    Ocf,
    /// A person.
    Human,
}

impl Caller {
    /// The word for it in `VM_AGENT_CALLER` and in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rgmanager => "rgmanager",
            Self::Pacemaker => "pacemaker",
            Self::Ocf => "ocf",
            Self::Human => "human",
        }
    }

    /// The caller called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Rgmanager, Self::Pacemaker, Self::Ocf, Self::Human].into_iter().find(|c| c.word() == word)
    }
}
