// SPDX-License-Identifier: GPL-2.0-or-later
//! A change of a domain: one word from the policy to the wire. Pure.

mod migration;
mod texts;

pub use migration::{Flag, Migrate, Rehearsal, same_host};

use super::definition::DefinitionText;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One change of a domain, as libvirt names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Start a transient domain.
    Create {
        /// The definition; on standard input.
        #[serde(skip)]
        xml: DefinitionText,
    },
    /// Bring a domain back from the file that its memory was saved to.
    Restore {
        /// The file; libvirt leaves it where it is.
        path: String,
        /// Running, or paused; else as it was when it was saved.
        wake: Option<Wake>,
        /// So many channels that read it at once: for a sparse image only.
        #[serde(default, deserialize_with = "texts::maybe_text")]
        channels: Option<u32>,
        /// Without leaving the file in the host's cache.
        #[serde(default)]
        bypass_cache: bool,
    },
    /// Start the persistent definition.
    Start,
    /// Let a paused domain run on.
    Resume,
    /// Wake one that was suspended by its own power management.
    Wake,
    /// Pause it.
    Suspend,
    /// Ask the guest to shut down; answers when the request is made. The guest agent's answer is waited for by libvirt
    /// itself (a minute at most), unless the caller ends the worker sooner.
    Shutdown {
        /// How to ask.
        #[serde(default)]
        mode: ShutdownMode,
    },
    /// End it without asking the guest.
    Destroy,
    /// End it, if it still waits for its memory, as at the target of a migration. virsh and xl, which stand in for a worker
    /// that is missing, cannot look before: by them it is ended as it is.
    DestroyWaiting,
    /// Write its memory to a file, and end it.
    Save {
        /// The file; an existing one is overwritten.
        path: String,
        /// As a sparse image that so many channels write at once; else in the form that libvirt's configuration names.
        #[serde(default, deserialize_with = "texts::maybe_text")]
        channels: Option<u32>,
        /// Without leaving the file in the host's cache.
        #[serde(default)]
        bypass_cache: bool,
    },
    /// Delete its saved memory, which its next start would restore.
    DropSaved,
    /// Abort its running job (an outgoing migration, a save, a dump).
    AbortJob,
    /// The downtime that a running migration may cost.
    SetDowntime {
        /// Milliseconds.
        #[serde(deserialize_with = "texts::text")]
        ms: u64,
    },
    /// Switch a running migration to post-copy.
    StartPostcopy,
    /// Set our mark in the metadata of the running domain.
    SetMark {
        /// The mark, an element without prefix; on standard input.
        #[serde(skip)]
        xml: DefinitionText,
    },
    /// Move it to another host.
    Migrate(Box<Migrate>),
}

/// How the guest is asked to shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShutdownMode {
    /// What libvirt does by itself.
    #[default]
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

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Default, Self::Acpi, Self::Agent, Self::Initctl, Self::Signal, Self::Paravirt]
            .into_iter()
            .find(|m| m.word() == word)
    }
}

/// How a saved domain comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wake {
    Running,
    Paused,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { .. } => f.write_str("create it from the definition"),
            Self::Restore { path, .. } => write!(f, "restore it from {path}"),
            Self::Start => f.write_str("start libvirt's own definition"),
            Self::Resume => f.write_str("resume it"),
            Self::Wake => f.write_str("wake the guest"),
            Self::Suspend => f.write_str("pause the guest"),
            Self::Shutdown { mode } => write!(f, "ask the guest to shut down (mode {})", mode.word()),
            Self::Destroy => f.write_str("destroy it"),
            Self::DestroyWaiting => f.write_str("destroy it if it still waits for its memory"),
            Self::Save { path, .. } => write!(f, "save its memory to {path}"),
            Self::DropSaved => f.write_str("discard its saved memory"),
            Self::AbortJob => f.write_str("abort the migration"),
            Self::SetDowntime { ms } => write!(f, "allow {ms} ms of downtime"),
            Self::StartPostcopy => f.write_str("switch to post-copy"),
            Self::SetMark { .. } => f.write_str("set its mark"),
            Self::Migrate(migrate) => write!(f, "move it to {}", migrate.dest_uri),
        }
    }
}
