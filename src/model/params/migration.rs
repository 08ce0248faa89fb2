// SPDX-License-Identifier: GPL-2.0-or-later
//! How and where to migrate, and which values do not go together.

use super::mapping::Mapping;
use super::options::Options;

/// How and where to migrate: the parameters' values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a parameter of its own")]
pub struct Migration {
    /// It keeps running while its memory moves.
    pub live: bool,
    /// Further options, in virsh's words.
    pub options: Options,
    /// Through the connection between the daemons.
    pub tunnelled: bool,
    /// Hosts for nodes.
    pub mapping: Mapping,
    /// The attribute of Pacemaker's nodes that holds the host by which one is reached.
    pub node_attribute: Option<String>,
    /// The target's connection URI, with `%s` or `%n` for its name (`migration_uri` or `remoteuri`).
    pub uri: Option<String>,
    /// Where the hypervisor sends the memory, with `%n` or `%s`.
    pub data_uri: Option<String>,
    /// The port that the memory is sent to.
    pub port: Option<u16>,
    /// ssh, tls, tcp, ...
    pub transport: Option<String>,
    /// The user at the target.
    pub user: Option<String>,
    /// Put behind the host part of the target's name.
    pub suffix: Option<String>,
    /// MiB/s; 0 is no limit.
    pub speed: u64,
    /// Milliseconds allowed at first; 0 is the hypervisor's default.
    pub downtime: u64,
    /// Milliseconds allowed at last.
    pub downtime_max: u64,
    /// The guest may be slowed down.
    pub auto_converge: bool,
    /// The target may run it before all memory is there.
    pub postcopy: bool,
    /// The guest may be paused until it is moved.
    pub allow_pause: bool,
    /// The daemons talk to each other.
    pub p2p: bool,
    /// The memory is encrypted.
    pub tls: bool,
    /// Connections in parallel; 0 is one plain connection.
    pub parallel: u64,
    /// A compression method.
    pub compression: Option<String>,
    /// `migrate_options` go to virsh word by word.
    pub by_virsh: bool,
}

impl Migration {
    /// What fits together badly, as (parameter, what is wrong).
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut both = |name, bad: bool, text: &str| {
            if bad {
                wrong.push((name, text.to_owned()));
            }
        };
        both("migration_parallel", self.parallel > 0 && self.tunnelled, "cannot go with tunnelled; unset one of them");
        let xbzrle = matches!(self.compression.as_deref(), Some("xbzrle" | "mt"));
        let zlib = matches!(self.compression.as_deref(), Some("zlib" | "zstd"));
        both("migration_compression", xbzrle && self.parallel > 0, "xbzrle and mt cannot go with migration_parallel");
        both("migration_compression", zlib && self.parallel == 0, "zlib and zstd need migration_parallel");
        both("migration_tls", self.tls && self.tunnelled, "cannot go with tunnelled; unset one of them");
        both(
            "migration_postcopy",
            self.postcopy && (self.tunnelled || !self.live),
            "needs migrate=live, not tunnelled",
        );
        // virsh says so itself.
        if let (false, Some(why)) = (self.by_virsh, &self.options.wrong) {
            wrong.push(("migrate_options", why.clone()));
        }
        wrong
    }
}
