// SPDX-License-Identifier: GPL-2.0-or-later
//! What the agent and its libvirt worker say to each other: a typed request that becomes arguments and standard input,
//! and the lines that come back. Pure: no I/O here, and nothing of libvirt but its numbers, which pass through unread.
//!
//! `vm-agent-libvirt VERB --uri=URI [--uuid=U | --name=N] [--option[=value]]...`; XML comes on standard input; the answer
//! is one JSON object a line, `{"progress":...}` any number of times and then exactly one `{"result":...}`.

mod argv;
mod migration;
mod reply;

pub use migration::{Flag, Migrate, Rehearsal, same_host};
pub use reply::{Answer, DomainFacts, End, ErrorReply, HostFacts, Lacks, Line, Lookup, Progress, Reply, Step};

use super::definition::DefinitionText;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The XML namespace of our mark in a domain's `<metadata>`.
pub const MARK_NAMESPACE: &str = "https://vm-agent.org/xmlns/domain/1.0";
/// The prefix under which libvirt writes our mark.
pub const MARK_PREFIX: &str = "vm-agent";

/// libvirt's error number for "no such domain": the only error that is evidence of absence.
pub const NO_DOMAIN: u32 = 42;
/// libvirt's error number for a call that the hypervisor's driver does not have.
pub const NO_SUPPORT: u32 = 3;

/// One call of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The libvirt connection: any URI that libvirt takes, of this host or another.
    pub uri: String,
    /// What is asked.
    pub ask: Ask,
    /// The worker's own last resort (it answers with an error and exits); the caller's deadline should end before it.
    pub timeout: Option<Duration>,
    /// The caller's process id: the worker ends at once when its parent is another by the time it looks. (It dies with
    /// the thread that started it, so start it from a thread that outlives it.)
    pub parent: Option<u32>,
}

/// A verb, and the domain that it is about if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// About the host, or about a domain that XML describes.
    Host(HostVerb),
    /// About a domain that libvirt knows.
    Domain(Who, DomainVerb),
}

/// A domain, by what identifies it. A name is taken literally (never as an id, as virsh does).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By UUID.
    Uuid(String),
    /// By exact name.
    Name(String),
}

/// What can be asked of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum HostVerb {
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
        /// Without leaving the file in the host's cache.
        #[serde(default)]
        bypass_cache: bool,
    },
    /// The definition of the domain that is in a file of saved memory, as XML.
    SavedXml {
        /// The file.
        path: String,
    },
    /// Versions, UUID, name and memory of the host.
    Host,
    /// What the host lacks for a domain.
    Check {
        /// Its definition; on standard input.
        #[serde(skip)]
        xml: DefinitionText,
    },
}

/// What can be asked about a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum DomainVerb {
    /// Whether it exists, and in which state.
    State,
    /// Its XML.
    Xml {
        /// The definition for the next start, not the running one.
        #[serde(default)]
        inactive: bool,
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
        mode: Mode,
    },
    /// End it without asking the guest.
    Destroy,
    /// Write its memory to a file, and end it.
    Save {
        /// The file; an existing one is overwritten.
        path: String,
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
        #[serde(deserialize_with = "argv::text")]
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

/// How a guest is asked to shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    Default,
    Acpi,
    Agent,
    Initctl,
    Signal,
    Paravirt,
}

/// How a saved domain comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wake {
    Running,
    Paused,
}
