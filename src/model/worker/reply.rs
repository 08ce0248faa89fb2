// SPDX-License-Identifier: GPL-2.0-or-later
//! The lines that the worker prints. Pure. Numbers are libvirt's own (states, reasons, events, errors): the worker does
//! not interpret them, so that there is one place that does.

use crate::model::definition::{DefinitionText, Mark};
use crate::model::lack::Lack;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the worker's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Something on the way; more lines follow.
    Progress {
        /// What.
        progress: Progress,
    },
    /// The last line.
    End(Reply),
}

impl Line {
    /// The line that `text` is.
    ///
    /// # Errors
    /// It is none: whatever printed it is no worker, or one that broke down.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|why| why.to_string())
    }
}

/// How a call ended. The exit status says the same: 0 or 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Reply {
    /// libvirt said yes.
    Ok(Box<Answer>),
    /// libvirt said no, or was not asked.
    Error(ErrorReply),
}

/// Why a call failed. Good for a sentence, not for a decision: a call that failed may have worked, so look again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// libvirt's `virErrorNumber`; 0 when the failure is not libvirt's.
    pub code: u32,
    /// libvirt's `virErrorDomain`: which part of it spoke.
    pub domain: u32,
    /// What was being done.
    pub during: CallStep,
    /// libvirt's own message, or the worker's.
    pub message: String,
}

/// What the worker was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStep {
    /// Understanding its arguments.
    Arguments,
    /// Reading its standard input.
    Input,
    /// Connecting to the URI.
    Connect,
    /// Connecting to the destination of a migration.
    ConnectDestination,
    /// Finding the domain.
    Lookup,
    /// Checking both ends before a migration: nothing has been touched.
    Preflight,
    /// The same, and all that stands in the way is what an earlier migration left at the destination.
    Leftover,
    /// The call itself.
    Call,
    /// Anything, beyond its own deadline.
    Deadline,
}

/// What a call found out. Which parts there are depends on the verb; a verb that only does something has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The domain: state, xml, create, start; as it is at the destination: migrate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// XML: xml, saved-xml, cpu.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xml: Option<DefinitionText>,
    /// The host: host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostFacts>,
    /// The domains' names: names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// The domains: domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<DomainListed>>,
    /// What this host lacks: check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Lacks>,
    /// The paths of volumes, or why one is not told: volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, Result<String, String>>>,
}

/// What a host lacks for a domain, a sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lacks {
    /// What libvirt says is missing.
    pub missing: Vec<Lack>,
    /// What libvirt did not tell.
    pub unknown: Vec<String>,
}

/// Whether libvirt knows the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lookup {
    /// libvirt said that it does not.
    Absent,
    /// It does.
    Found(DomainFacts),
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainFacts {
    /// Its name.
    pub name: String,
    /// Its UUID, with hyphens.
    pub uuid: String,
    /// Its number while it runs.
    pub id: Option<u32>,
    /// `virDomainState`.
    pub state: i32,
    /// The reason; its meaning depends on the state.
    pub reason: i32,
    /// Whether it has a persistent definition, if libvirt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// Whether libvirt starts it by itself, if libvirt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// Whether its memory is saved, and its next start will restore it, if libvirt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<bool>,
    /// What its job does (`virDomainJobOperation`, 0 without a job), if libvirt said in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_operation: Option<i32>,
    /// libvirt's error number for the question about its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_error: Option<i32>,
}

/// One of a host's domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainListed {
    /// All but its job, which may take long to tell.
    #[serde(flatten)]
    pub facts: DomainFacts,
    /// Its mark, where it runs and bears one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// The addresses of its network interfaces, where that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<String>,
    /// How many snapshots it has, where that was asked and told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<u32>,
}

/// A host, as far as its hypervisor tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// Version of the worker's libvirt (1000000 * major + 1000 * minor + release), as all versions here.
    pub client_version: Option<u32>,
    /// Version of the daemon's libvirt.
    pub daemon_version: Option<u32>,
    /// libvirt's name of the hypervisor (`QEMU`).
    pub hypervisor: Option<String>,
    /// Its version.
    pub hypervisor_version: Option<u32>,
    /// The host's name, as it would tell it to migrating peers.
    pub hostname: Option<String>,
    /// The host's UUID; equal ones forbid migration.
    pub uuid: Option<String>,
    /// The canonical URI.
    pub uri: Option<String>,
    /// Number of CPUs.
    pub cpus: Option<u32>,
    /// KiB of memory by kind (`total`, `free`, `buffers`, `cached`).
    pub memory_kib: BTreeMap<String, u64>,
}

/// Something on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Something that a person should know, and that does not stand in the way.
    Warning(String),
    /// What is being done: where it does not go on, this is what it hangs at.
    Doing(String),
    /// Which end is asked before a migration: where it does not go on, that one is silent.
    Asking(Side),
    /// Bytes a second that the guest makes dirty, measured before its migration.
    DirtyRate(u64),
    /// All checks are passed: from now on the migration is libvirt's.
    Begun,
    /// A connection is gone (`virConnectCloseReason`); that of the destination ends a migration.
    Lost {
        /// Which.
        end: Side,
        /// Why.
        reason: i32,
    },
}

/// An end of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Where the domain is, or the only one.
    Source,
    /// Where it goes.
    Destination,
}
