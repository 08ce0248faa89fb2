// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of the parameters on who else may have the machine, and on how it is watched and traced.

use super::Params;
use super::mapping::usable;
use super::table::Concern::{Nothing, Start, Watch};
use super::table::Setter::{Bytes, Flag, Number, Text};
use super::table::{Param, ValueKind, Wrong, row};
use super::values::Guard;
use std::ffi::OsStr;
use std::path::Path;

pub(super) static ROWS: &[Param] = &[
    row(Start, "guard", Text(guard))
        .kind(ValueKind::Select(&["off", "try", "strict"]))
        .default("try")
        .told(
            "Guard against a second copy",
            "Whether a start asks, before it creates anything, who else may have the virtual machine: the cluster's other \
             nodes, if it runs there (over libvirt, as a migration would connect), and its storage, if somebody else has \
             one of its writable disks open (QEMU's and virtlockd's locks, RBD watchers, DRBD, LVM, SCSI reservations, \
             mounts of this host). try: it fails where that is so, and where a node is \
             silent of which the cluster does not know that it runs nothing; strict: it fails also where that cannot be \
             told, as of a disk that no witness knows (most block devices); off: it does not ask.",
        )
        .readme("Whether a start asks the other nodes if it runs there, and the storage if its disks are open elsewhere: try, strict (fails also where that cannot be told) or off")
        .vm_sh(
            24,
            "string",
            None,
            "Guard against a second copy",
            "Whether a start asks, before it creates anything, who else may have the virtual machine: the cluster's other \
             nodes, if it runs there, and its storage, if somebody else has one of its writable disks open. try (the \
             default): it fails where that is so, and where a node is silent of which the cluster does not know that it \
             runs nothing; strict: it fails also where that cannot be told; off: it does not ask.",
        )
        .reconfig(),
    row(Start, "guard_nodes", Text(guard_nodes))
        .told(
            "Nodes to ask before a start",
            "The nodes that a start asks whether the virtual machine runs there, separated by commas or blanks, in \
             place of the cluster's own members.",
        )
        .readme("The nodes that it asks, in place of the cluster's members"),
    row(Watch, "guard_monitor", Flag(|p| &mut p.guard_monitor))
        .default("no")
        .told(
            "Look for a second copy in each monitor",
            "yes: every recurring monitor asks the cluster's other nodes whether the virtual machine runs there too, and \
             answers \"degraded\" (190) where it does; no: only one of depth 10 does. Nobody's silence is a fault, and \
             with guard=off nobody is asked.",
        )
        .readme("Every recurring monitor looks for a second copy on the other nodes, not only one of depth 10"),
    row(Watch, "degraded_when_blind", Flag(|p| &mut p.degraded_when_blind))
        .default("no")
        .told(
            "Show a silent libvirt as degraded",
            "yes: a recurring monitor answers \"degraded\" (190) instead of 0 while libvirt does not answer and only \
             the process of the virtual machine can be seen.",
        )
        .readme("Answer 190 while only the process can be seen"),
    row(Watch, "monitor_wait", Number(|p| &mut p.monitor_wait, 86_400, "seconds, 0 to answer at once, up to 86400"))
        .default("0")
        .told(
            "Seconds that a healthy monitor stays",
            "A recurring monitor that sees the virtual machine run well stays so many seconds (at most half of its \
             timeout), and answers the moment something happens to it: an end is known at once, not at the next \
             interval. Recommended: 30, with op monitor interval=1s timeout=60s. The first monitor after a start, a \
             migration or a refresh answers at once, and so does one of depth 10.",
        )
        .readme("Seconds that a healthy recurring monitor stays, to answer the moment something happens"),
    row(Nothing, "trace_ra", Flag(|p| &mut p.trace))
        .default("no")
        .told(
            "Write a trace",
            "Whether each action leaves a file with everything that is logged, below the folder trace_dir. OCF_TRACE_RA \
             in the environment, as debuggers of clusters set it, counts before it.",
        )
        .readme("Each action leaves a file with everything that is logged"),
    row(Nothing, "trace_dir", Bytes(trace_dir))
        .told(
            "Folder of the traces",
            "Folder below which trace_ra writes, as TYPE/INSTANCE.ACTION.DATE.TIME; by default \
             /var/lib/heartbeat/trace_ra.",
        )
        .readme("The folder of these files; by default /var/lib/heartbeat/trace_ra"),
];

fn trace_dir(params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
    let folder = Path::new(value);
    if !folder.is_absolute() {
        return Err(Wrong::expected(value, "an absolute path"));
    }
    params.trace_dir = Some(folder.to_owned());
    Ok(())
}

fn guard(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.guard = Guard::parse(text).ok_or_else(|| Wrong::expected(text, "off, try or strict"))?;
    Ok(())
}

fn guard_nodes(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let nodes: Vec<String> = text.split([',', ' ', '\t']).filter(|node| !node.is_empty()).map(str::to_owned).collect();
    if nodes.is_empty() || !nodes.iter().all(|node| usable(node)) {
        return Err(Wrong::expected(text, "names of nodes, separated by commas"));
    }
    params.guard_nodes = nodes;
    Ok(())
}
