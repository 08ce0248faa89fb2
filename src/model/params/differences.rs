// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a parameter of a predecessor's means something else here, on purpose: what docs/PARAMETERS.md tells beside the rows.

/// By the parameter's name.
pub const DIFFERENCES: &[(&str, &str)] = &[
    ("name", "A definition of another name is refused; vm.sh starts it, and then does not find it"),
    (
        "config",
        "Only a start needs the file: VirtualDomain's stop says 0 without one, and looks at nothing. A definition that \
         libvirt has stays; VirtualDomain undefines it",
    ),
    ("path", "Nothing in it is run or expanded; only a start needs the file, with vm.sh every action does"),
    ("hypervisor", "Also a driver's word. One connection for everything"),
    ("hypervisor_uri", "One connection for everything; vm.sh has it for `virsh start` alone"),
    ("use_virsh", "Without it libvirt is called directly; vm.sh then takes xm. What is xl's an xl file says"),
    ("no_kill", "Holds for a paused machine too, which vm.sh destroys"),
    ("shutdown_mode", "Works: VirtualDomain reads a misspelt variable. Takes several ways, in order"),
    (
        "status_program",
        "Bounded by the action's time. Its exit code does not become the answer: 7 would be \"not running\"",
    ),
    ("monitor_scripts", "Run by monitors of depth 10; VirtualDomain runs them in each. With arguments, in quotes"),
    ("autoset_utilization_cpu", "Written when it differs; VirtualDomain asks the cluster in each monitor"),
    ("autoset_utilization_host_memory", "The same; under the name `vm` not on Xen"),
    ("autoset_utilization_hv_memory", "The same; under the name `vm` on Xen alone"),
    (
        "save_config_on_stop",
        "Writes only the sections that were changed, and leaves an edited file; VirtualDomain overwrites the file with all \
         that libvirt shows, in each monitor too",
    ),
    ("sync_config_on_stop", "A csync2 that is missing is a warning; VirtualDomain then fails every action"),
    ("start_resources", "Only where nothing else hinders the start. That another has just started it is no failure"),
    (
        "migration_mapping",
        "Whole names are compared; vm.sh finds node2 in xnode2, and takes the first entry for a node that is not listed",
    ),
    ("migration_transport", "Unset it is ssh; VirtualDomain leaves it to libvirt, which takes TLS"),
    ("migration_user", "For the connection; VirtualDomain writes it into %n of migrateuri too"),
    ("migrateport", "Unset libvirt finds a free port; VirtualDomain draws one by lot, which may be taken"),
    (
        "migration_downtime",
        "Set at the begin; VirtualDomain sets it two seconds later. Raised up to migration_downtime_max",
    ),
    ("migration_speed", "For this migration alone; VirtualDomain sets it for good"),
    ("migrate_options", "Where they are known they are libvirt's own parameters; else virsh gets all of them"),
];
