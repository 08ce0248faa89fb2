// SPDX-License-Identifier: GPL-2.0-or-later
//! What the agent and its libvirt worker say to each other: a typed request that becomes arguments and standard input,
//! and the lines that come back. Pure: no I/O here, and nothing of libvirt but its numbers, which pass through unread.
//!
//! `vm-agent-libvirt WORD --uri=URI [--uuid=U | --name=N] [--option[=value]]...`; XML comes on standard input; the answer
//! is one JSON object a line, `{"progress":...}` any number of times and then exactly one `{"result":...}`.

mod argv;
mod reply;

pub use reply::{
    Answer, CallStep, DomainFacts, DomainListed, ErrorReply, HostFacts, Lacks, Line, Lookup, Progress, Reply, Side,
};

use super::change::Change;
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

/// libvirt's error numbers for a guest's agent that is not there, or does not answer; the second since libvirt 11.2, to what
/// follows the greeting.
pub const AGENT_SILENT: [u32; 2] = [86, 112];
/// Seconds that libvirt waits for the guest's agent. Meanwhile others wait for libvirt with what they have for the agent.
pub const AGENT_PATIENCE: u32 = 5;

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

/// What the worker is called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To tell something, of a domain where one is named.
    Question(Option<Who>, Question),
    /// To change a domain.
    Change(Who, Change),
    /// To change the host, for a domain.
    Host(HostChange),
}

/// A domain, by what identifies it. A name is taken literally (never as an id, as virsh does).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By UUID.
    Uuid(String),
    /// By exact name.
    Name(String),
}

/// What can be asked. Nothing is changed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// Whether a domain exists, and in which state.
    State {
        /// Where the one that is named is not active: the domain of this UUID, if that is.
        #[serde(default)]
        or_uuid: Option<String>,
    },
    /// A domain's XML, and its state.
    Xml {
        /// The definition for the next start, not the running one.
        #[serde(default)]
        inactive: bool,
    },
    /// A domain's XML for the next start, with its passwords.
    NextXml,
    /// The definition of the domain that is in a file of saved memory, as XML.
    SavedXml {
        /// The file.
        path: String,
    },
    /// The libvirt XML of a definition in a hypervisor's own language.
    FromNative {
        /// Which language: `xen-xl`.
        format: String,
        /// The definition; on standard input.
        #[serde(skip)]
        text: DefinitionText,
    },
    /// Where volumes of storage pools are on the host.
    Volumes {
        /// Each as `pool/volume` on a line; on standard input.
        #[serde(skip)]
        names: DefinitionText,
    },
    /// Whether the guest's agent gives a sign of life, within [`AGENT_PATIENCE`].
    PingAgent,
    /// Versions, UUID, name and memory of the host.
    Host,
    /// The CPU that the host's hypervisor can give, as far as others have it too; alone, with every feature.
    Cpu {
        /// `<cpus>` with those of other hosts, if any; on standard input.
        #[serde(skip)]
        others: DefinitionText,
    },
    /// The names of all domains of the host.
    Names,
    /// All domains of the host, each with the mark that it bears.
    Domains {
        /// Each with the addresses of its network interfaces too, and the number of its snapshots.
        #[serde(default)]
        whole: bool,
    },
    /// What the host lacks for a domain.
    Check {
        /// Its definition; on standard input.
        #[serde(skip)]
        xml: DefinitionText,
        /// Networks and storage pools that are not active will be started.
        #[serde(default)]
        starts: bool,
    },
}

/// What can be changed on a host, and is no domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum HostChange {
    /// Start the networks and storage pools that a definition names and that are not active.
    StartResources {
        /// The definition; on standard input.
        #[serde(skip)]
        xml: DefinitionText,
    },
}

impl HostChange {
    /// The words that begin one.
    const WORDS: [&str; 1] = ["start-resources"];
}

impl Question {
    /// The words that begin a question; every other one begins a change.
    const WORDS: [&str; 12] = [
        "state",
        "xml",
        "next-xml",
        "saved-xml",
        "from-native",
        "volumes",
        "ping-agent",
        "host",
        "cpu",
        "names",
        "domains",
        "check",
    ];

    /// Whether a domain exists, and in which state.
    pub const STATE: Self = Self::State { or_uuid: None };

    const fn is_of_a_domain(&self) -> bool {
        match self {
            Self::State { .. } | Self::Xml { .. } | Self::NextXml | Self::PingAgent => true,
            Self::SavedXml { .. }
            | Self::FromNative { .. }
            | Self::Volumes { .. }
            | Self::Host
            | Self::Cpu { .. }
            | Self::Names
            | Self::Domains { .. }
            | Self::Check { .. } => false,
        }
    }
}
