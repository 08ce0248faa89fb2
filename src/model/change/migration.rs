// SPDX-License-Identifier: GPL-2.0-or-later
//! A migration as the agent orders it, and what it may say while it runs. Pure.

use super::texts;
use crate::model::definition::DefinitionText;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What stands in the way where both ends are one host to libvirt; said by the check, and of libvirt's own refusal.
#[must_use]
pub fn same_host(there: &str, uuid: &str) -> String {
    format!("{there} has this host's UUID {uuid}: set host_uuid in one libvirtd.conf, or name another host")
}

/// A migration: libvirt's typed parameters, by libvirt's names where they are words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Migrate {
    /// Only check both ends, and move nothing.
    pub rehearse: Option<Rehearsal>,
    /// Start the networks and storage pools at the other host that it needs there and that are not active.
    pub start_resources: bool,
    /// Measure how fast the guest makes its memory dirty.
    pub measure: bool,
    /// The other host's libvirt: connected to by the worker, or by the source's daemon with [`Flag::P2p`].
    pub dest_uri: String,
    /// libvirt's flags.
    #[serde(with = "texts::list")]
    pub flags: BTreeSet<Flag>,
    /// Where the hypervisor sends the guest's memory (`tcp://host:port`).
    pub migrate_uri: Option<String>,
    /// The address that the destination listens on.
    pub listen_address: Option<String>,
    /// The greatest downtime, in milliseconds; not a parameter in libvirt, set as early as libvirt takes it.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub downtime_ms: Option<u64>,
    /// MiB/s.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub bandwidth: Option<u64>,
    /// MiB/s in the post-copy phase.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub bandwidth_postcopy: Option<u64>,
    /// Number of connections, with [`Flag::Parallel`].
    #[serde(deserialize_with = "texts::maybe_text")]
    pub parallel_connections: Option<i32>,
    /// Method, with [`Flag::Compressed`] (`xbzrle`, `mt`, `zlib`, `zstd`).
    pub compression: Option<String>,
    /// Level of the method `mt`.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub compression_mt_level: Option<i32>,
    /// Threads of the method `mt`.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub compression_mt_threads: Option<i32>,
    /// Threads of the method `mt` at the destination.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub compression_mt_dthreads: Option<i32>,
    /// Bytes of cache of the method `xbzrle`.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub compression_xbzrle_cache: Option<u64>,
    /// Percent of CPU time taken from the guest first, with [`Flag::AutoConverge`].
    #[serde(deserialize_with = "texts::maybe_text")]
    pub auto_converge_initial: Option<i32>,
    /// Percent more, each time.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub auto_converge_increment: Option<i32>,
    /// The name in the destination's certificate, with [`Flag::Tls`].
    pub tls_destination: Option<String>,
    /// Where disks are sent.
    pub disks_uri: Option<String>,
    /// The port that disks are sent to.
    #[serde(deserialize_with = "texts::maybe_text")]
    pub disks_port: Option<i32>,
    /// The disks to send (targets: `vda`), with [`Flag::NonSharedDisk`] or [`Flag::NonSharedInc`].
    #[serde(with = "texts::list")]
    pub migrate_disks: BTreeSet<String>,
    /// Where clients of the graphics console are sent.
    pub graphics_uri: Option<String>,
    /// The definition to arrive with, where virsh moves it; the worker makes its own.
    #[serde(skip)]
    pub dest_xml: Option<DefinitionText>,
    /// virsh is to move it, with these further words as their caller wrote them.
    #[serde(skip)]
    pub by_virsh: Option<Vec<String>>,
}

/// How both ends are checked where nothing is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rehearsal {
    /// As before each migration.
    Brief,
    /// With all that libvirt itself would see to at its begin.
    Thorough,
}

/// libvirt's migration flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    Live,
    P2p,
    Tunnelled,
    PersistDest,
    UndefineSource,
    Paused,
    NonSharedDisk,
    NonSharedInc,
    NonSharedSynchronousWrites,
    ChangeProtection,
    Unsafe,
    Offline,
    Compressed,
    AbortOnError,
    AutoConverge,
    RdmaPinAll,
    Postcopy,
    PostcopyResume,
    Tls,
    Parallel,
    Zerocopy,
}
