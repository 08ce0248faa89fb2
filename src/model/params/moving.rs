// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what says how, and where to, a virtual machine moves.

use super::Params;
use super::mapping::{self, Mapping};
use super::options::Options;
use super::table::Concern::Migration;
use super::table::Setter::{Flag, LaxFlag, Number, Text};
use super::table::{Param, ValueKind, Wrong, boolean, row};
use crate::sys::text::shown;

pub(super) static ROWS: &[Param] = &[
    row(Migration, "migrate", Text(migrate))
        .default("live")
        .told(
            "Way of migration (live or pause)",
            "live: it keeps running while its memory moves; pause: it stands still meanwhile, which takes less time \
             in all.",
        )
        .readme("live or pause")
        .vm_sh(
            9,
            "string",
            Some("live"),
            "Way of migration (live or pause)",
            "live: keeps running while its memory moves (default); pause: stands still meanwhile, which takes less \
             time in all.",
        ),
    row(Migration, "migration_mapping", Text(hosts))
        .told(
            "Migration hosts of the nodes",
            "Host to migrate to for a node's name, as node:host,node:host; a node that is not listed is used as it \
             is. An IPv6 address may stand in brackets, and must if it names a zone.",
        )
        .readme("Host for a node: `node:host,node:host`")
        .vm_sh(
            6,
            "string",
            None,
            "Migration hosts of the members",
            "Host to migrate to for a member's name, as member:host,member:host; a member that is not listed is used \
             as it is.",
        )
        .reconfig(),
    row(Migration, "migration_network_suffix", Text(suffix))
        .told(
            "Suffix of the migration network",
            "Put behind the host part of the target's name, so that a migration uses another network: node2.example \
             and -mig make node2-mig.example. A migration_mapping wins. Beside migration_uri or remoteuri it only says \
             where the memory is sent.",
        )
        .readme("Behind the target's host name: `-mig`"),
    row(Migration, "migration_uri", Text(uri))
        .default("auto")
        .told(
            "Target's libvirt URI",
            "auto, or the libvirt URI of the target, where %s or %n stands for its name. auto is \
             qemu+ssh://%s/system, or xen+ssh://%s/system.",
        )
        .readme("Target's libvirt URI; `%s` or `%n` is its name")
        .vm_sh(
            21,
            "string",
            Some("auto"),
            "Target host's URI",
            "auto, or the libvirt URI of the target host, where %s stands for its name.",
        ),
    row(Migration, "remoteuri", Text(uri))
        .told("Target's libvirt URI", "The same as migration_uri, by VirtualDomain's name for it.")
        .readme("The same, by VirtualDomain's name"),
    row(Migration, "migration_transport", Text(transport))
        .told("Transport to the target", "How libvirt is reached at the target: ssh, tls or tcp. Unset, it is ssh.")
        .readme("ssh (if unset), tls or tcp"),
    row(Migration, "migration_user", Text(user))
        .told("User at the target", "The user at the target. Unset, libvirt chooses.")
        .readme("User at the target"),
    row(Migration, "migrateuri", Text(data_uri))
        .told(
            "Where the memory is sent",
            "Where the memory is sent, as tcp://%n:49152, where %n or %s stands for the target's name, with \
             migration_network_suffix if the connection has it. It wins over --migrateuri in migrate_options. Unset, \
             libvirt chooses, unless migration_mapping or migration_network_suffix does.",
        )
        .readme("Where the memory is sent"),
    row(Migration, "migrateport", Text(port))
        .kind(ValueKind::Integer)
        .told(
            "Port that the memory is sent to",
            "Port that the memory is sent to, with migration_network_suffix or migration_mapping; without one of them \
             it counts for nothing. Unset, libvirt chooses.",
        )
        .readme("Port that the memory is sent to, with a suffix or a mapping"),
    row(Migration, "migrate_options", Text(options))
        .told(
            "Further migration options",
            "Further options, as virsh migrate spells them. Where one is not known here, virsh carries out the \
             migration with all of them. In --migrateuri %n or %s stands for the target's name.",
        )
        .readme("Further options, as `virsh migrate` spells them; virsh gets them where it alone knows one")
        .vm_sh(
            10,
            "string",
            None,
            "Further migration options",
            "Further options of a migration, as virsh migrate spells them. Where one is not known here, virsh \
             carries out the migration with all of them.",
        ),
    row(Migration, "migrate_backend", Text(backend))
        .default("libvirt")
        .told(
            "What carries out a migration",
            "libvirt; or virsh, to hand migrate_options to virsh migrate word by word in any case.",
        )
        .readme("Or virsh, always"),
    row(Migration, "migration_speed", Number(|p| &mut p.migration.speed, u64::MAX, "MiB/s, 0 for no limit"))
        .default("0")
        .told("Limit of the speed", "Limit in MiB/s, for each migration; 0 is no limit.")
        .readme("Limit in MiB/s"),
    row(
        Migration,
        "migration_downtime",
        Number(|p| &mut p.migration.downtime, u64::MAX, "milliseconds, 0 for the hypervisor's default"),
    )
    .default("0")
    .told(
        "Downtime allowed at first",
        "How many milliseconds it may stand still at the end of a migration, at first; 0 is the hypervisor's own \
             value.",
    )
    .readme("ms allowed at first; 0 is the hypervisor's value"),
    row(Migration, "migration_downtime_max", Number(|p| &mut p.migration.downtime_max, u64::MAX, "milliseconds"))
        .default("2000")
        .told(
            "Downtime allowed at last",
            "How many milliseconds it may stand still at last: while a migration makes no progress, the downtime is \
             raised up to this, in steps.",
        )
        .readme("ms allowed at last"),
    row(Migration, "migration_auto_converge", Flag(|p| &mut p.migration.auto_converge))
        .default("yes")
        .told(
            "Slow the guest down if needed",
            "yes: the hypervisor may slow the guest down when its memory changes faster than it can be sent.",
        )
        .readme("The guest may be slowed down"),
    row(Migration, "migration_allow_pause", Flag(|p| &mut p.migration.allow_pause))
        .default("no")
        .told(
            "Pause the guest if needed",
            "yes: a migration that would not end in time pauses the guest until it has moved; no: it is given up, \
             and the guest runs on where it is.",
        )
        .readme("The guest may be paused until it has moved"),
    row(Migration, "migration_postcopy", Flag(|p| &mut p.migration.postcopy))
        .default("no")
        .told(
            "Post-copy if needed",
            "yes: when more downtime does not help, the guest runs at the target before all its memory is there; if \
             the network or the source fails then, the guest is lost.",
        )
        .readme("It may run at the target before its memory is there"),
    row(Migration, "migration_p2p", Flag(|p| &mut p.migration.p2p))
        .default("no")
        .told(
            "Daemon to daemon",
            "yes: the libvirt daemon of the source connects to the target, in place of the agent. On Xen it always does.",
        )
        .readme("The source's libvirtd connects to the target (on Xen always)"),
    row(Migration, "tunnelled", LaxFlag(|p| &mut p.migration.tunnelled))
        .default("no")
        .told("Tunnel the memory", "yes: the memory goes through the connection between the libvirt daemons.")
        .readme("Memory goes through libvirt's connection")
        .vm_sh(
            11,
            "string",
            Some(""),
            "Tunnel the migration's data",
            "yes: the migration's data go through the connection between the libvirt daemons.",
        ),
    row(Migration, "migration_tls", Flag(|p| &mut p.migration.tls))
        .default("no")
        .told("Encrypt the memory", "yes: the memory is encrypted by TLS; both hosts need certificates for QEMU.")
        .readme("Memory is encrypted by TLS"),
    row(
        Migration,
        "migration_parallel",
        Number(|p| &mut p.migration.parallel, 255, "a number of connections, up to 255"),
    )
    .default("0")
    .told("Parallel connections", "Number of connections that carry the memory at once; 0 is one plain connection.")
    .readme("Connections that carry the memory"),
    row(Migration, "migration_compression", Text(compression))
        .told(
            "Compression of the memory",
            "xbzrle or mt; or, with migration_parallel, zlib or zstd. Unset, nothing is compressed.",
        )
        .readme("xbzrle or mt; zlib or zstd with parallel connections"),
];

/// vm.sh takes every other word for "not live".
fn migrate(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.migration.live = text.eq_ignore_ascii_case("live");
    if params.migration.live || text.eq_ignore_ascii_case("pause") {
        return Ok(());
    }
    Err(Wrong::Used(format!("'{}' is read as pause; expected live or pause", shown(text.as_ref()))))
}

fn options(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.migration.options = Options::parse(text).map_err(Wrong::Refused)?;
    Ok(())
}

fn hosts(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.migration.mapping = Mapping::parse(text).map_err(Wrong::Refused)?;
    mapping::without_host(text).map_or(Ok(()), |why| Err(Wrong::Used(why)))
}

/// For `remoteuri` too, which is the later row, and wins.
fn uri(params: &mut Params, text: &str) -> Result<(), Wrong> {
    if text != "auto" {
        params.migration.uri = Some(text.to_owned());
    }
    Ok(())
}

fn data_uri(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.migration.data_uri = Some(text.to_owned());
    Ok(())
}

fn suffix(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.migration.suffix = Some(text.to_owned());
    Ok(())
}

fn port(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let port: u16 = text.trim().parse().map_err(|_| Wrong::expected(text, "a port from 1 to 65535"))?;
    params.migration.port = (port > 0).then_some(port);
    Ok(())
}

fn transport(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let word = text.trim_start_matches('+');
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Wrong::expected(text, "a transport as ssh, tls or tcp"));
    }
    params.migration.transport = Some(word.to_ascii_lowercase());
    Ok(())
}

fn user(params: &mut Params, text: &str) -> Result<(), Wrong> {
    if text.starts_with('-') || !text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(Wrong::expected(text, "a user's name"));
    }
    params.migration.user = Some(text.to_owned());
    Ok(())
}

fn compression(params: &mut Params, text: &str) -> Result<(), Wrong> {
    if boolean(text) == Some(false) || text == "none" {
        return Ok(());
    }
    if !matches!(text, "xbzrle" | "zlib" | "zstd" | "mt") {
        return Err(Wrong::expected(text, "xbzrle, zlib, zstd or mt"));
    }
    params.migration.compression = Some(text.to_owned());
    Ok(())
}

fn backend(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.migration.by_virsh = match text {
        "libvirt" => false,
        "virsh" => true,
        _ => return Err(Wrong::expected(text, "libvirt or virsh")),
    };
    Ok(())
}
