// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what the predecessors have and this agent does not: parameters that rgmanager alone reads, and what is
//! refused. The OCF meta-data publish them as deprecated, so that a resource of a predecessor's is taken as it is.

use super::table::Concern::{Nothing, Start};
use super::table::Setter::{Manager, Refused};
use super::table::{Param, ValueKind, row};

pub(super) static ROWS: &[Param] = &[
    row(Start, "backingfile", Refused("give the disk a transient element in the definition"))
        .told(
            "Base of an overlay",
            "Image of which an overlay is made at a start. Refused for good, by start: such an overlay is each node's \
             own, and nothing tells which node has the newest. Give the disk the element transient in its definition: \
             libvirt makes an overlay at each start, and removes it at the end.",
        )
        .readme("Refused: libvirt makes the overlay of a disk with `<transient/>` in its definition"),
    row(Start, "stateless", Refused("a disk with a transient element forgets its changes at each stop"))
        .kind(ValueKind::Boolean)
        .told(
            "Make overlays anew",
            "Whether each start makes the overlay of backingfile anew. Refused for good, by start: a disk with the \
             element transient in its definition loses its changes at each stop.",
        )
        .readme("Refused: a disk with `<transient/>` in its definition loses its changes at each stop"),
    row(
        Start,
        "copyindirs",
        Refused("put the files into the image, or give them to the guest as a CD or a filesystem"),
    )
    .told(
        "Folders for the overlay",
        "Folders that are copied into the overlay of backingfile at a start. Refused for good, by start: it would \
             write a guest's file system from outside. Put the files into the image, or give them to the guest as a CD \
             or a filesystem in its definition.",
    )
    .readme("Refused: files belong into the image, or to a CD or `<filesystem>` of the definition"),
    row(Nothing, "domain", Manager)
        .told(
            "Failover domain (rgmanager)",
            "Members that may run the virtual machine. Read by rgmanager alone; Pacemaker has location constraints.",
        )
        .vm_sh(
            2,
            "string",
            None,
            "Failover domain",
            "Failover domain: the members that may run the virtual machine when its host fails. Read by rgmanager.",
        )
        .reconfig(),
    row(Nothing, "autostart", Manager)
        .kind(ValueKind::Boolean)
        .told(
            "Start with the cluster (rgmanager)",
            "Whether it is started when the cluster gains quorum. Read by rgmanager alone; Pacemaker has the meta \
             attribute target-role.",
        )
        .vm_sh(
            3,
            "boolean",
            Some("1"),
            "Start when the cluster gains quorum",
            "Whether the virtual machine is started when the cluster gains quorum; otherwise it waits in the state \
             disabled. Read by rgmanager.",
        )
        .reconfig(),
    row(Nothing, "exclusive", Manager)
        .kind(ValueKind::Boolean)
        .told(
            "Wants a host of its own (rgmanager)",
            "Whether it wants a host without other services. Read by rgmanager alone; Pacemaker has colocation \
             constraints and utilization.",
        )
        .vm_sh(
            4,
            "boolean",
            Some("0"),
            "Wants a host of its own",
            "Whether after a failure only a member without other services is chosen, and other services avoid its \
             host. Read by rgmanager.",
        )
        .reconfig(),
    row(Nothing, "recovery", Manager)
        .told(
            "Recovery policy (rgmanager)",
            "What follows a failure. Read by rgmanager alone; Pacemaker has migration-threshold, and on-fail for \
             each operation.",
        )
        .vm_sh(
            5,
            "string",
            None,
            "Recovery policy",
            "After a failure: restart (here first, the default), relocate (elsewhere at once) or disable. Read by \
             rgmanager.",
        )
        .reconfig(),
    row(Nothing, "depend", Manager)
        .told(
            "Service this one depends on (rgmanager)",
            "Service that must run before. Read by rgmanager alone; Pacemaker has order constraints.",
        )
        .vm_sh(
            14,
            "string",
            None,
            "Service this one depends on",
            "Service that must run before this one is started, as service:name. Read by rgmanager.",
        ),
    row(Nothing, "depend_mode", Manager)
        .told(
            "Kind of dependency (rgmanager)",
            "Whether it is stopped with the service it depends on. Read by rgmanager alone; Pacemaker has order \
             constraints, with symmetrical=false for soft.",
        )
        .vm_sh(
            15,
            "string",
            Some("hard"),
            "Kind of dependency (soft or hard)",
            "hard: started and stopped with the service it depends on; soft: needs it only when starting. Read by \
             rgmanager.",
        ),
    row(Nothing, "max_restarts", Manager)
        .told(
            "Restarts before relocation (rgmanager)",
            "Restarts on one member before it is relocated. Read by rgmanager alone; Pacemaker has the meta \
             attribute migration-threshold.",
        )
        .vm_sh(
            16,
            "string",
            Some("0"),
            "Restarts before relocation",
            "Restarts on one member, within restart_expire_time, before it is relocated. Read by rgmanager.",
        )
        .reconfig(),
    row(Nothing, "restart_expire_time", Manager)
        .told(
            "Time after which a restart is forgotten (rgmanager)",
            "Time after which a restart is forgotten. Read by rgmanager alone; Pacemaker has the meta attribute \
             failure-timeout.",
        )
        .vm_sh(
            17,
            "string",
            Some("0"),
            "Time after which a restart is forgotten",
            "Time after which a restart is forgotten. Read by rgmanager.",
        )
        .reconfig(),
];
