// SPDX-License-Identifier: GPL-2.0-or-later
//! Parameters that cannot be used: each hinders what uses it, and nothing else; and what runs is left running.

use crate::common::*;

/// Values that only a stop, a watch or a migration uses, or that a predecessor reads in its own way.
const NOT_FOR_A_START: [(&str, &str); 12] = [
    ("migrate_options", "--bandwidth '60"),
    ("tunnelled", "maybe"),
    ("migrate", "Live"),
    ("migration_mapping", "node1"),
    ("migration_mapping", "node2:fd00::2"),
    ("migration_mapping", "node2:a:b"),
    ("migration_speed", "1G"),
    ("migration_tls", "perhaps"),
    ("no_kill", "perhaps"),
    ("shutdown_mode", "softly"),
    ("hypervisor", "QEMU"),
    ("autoset_utilization_cpu", "true"),
];

/// Of these, what is as good as any other spelling.
fn means_something(name: &str, value: &str) -> bool {
    matches!(
        (name, value),
        ("migrate", "Live")
            | ("hypervisor", "QEMU")
            | ("migration_mapping", "node2:fd00::2")
            | ("autoset_utilization_cpu", "true")
    )
}

#[test]
fn a_start_of_a_running_machine_answers_0_whatever_its_parameters() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let first = vm.qemu().pid;
    let for_a_start = [("snapshot", "lib/states"), ("use_virsh", "perhaps"), ("stateless", "true")];
    for dialect in BOTH {
        for (name, value) in NOT_FOR_A_START.into_iter().chain(for_a_start) {
            let answer = vm.call(dialect, "start").param(name, value).gives(0);
            let loud = answer.stderr.contains(&format!("WARNING: {name}: "));
            assert!(loud || means_something(name, value) || dialect == Rgmanager, "no warning: {answer}");
            assert_eq!((vm.qemu().pid, vm.state().as_str()), (first, "running"), "{answer}");
            let reload = if dialect == Rgmanager { "reconfig" } else { "reload-agent" };
            vm.call(dialect, reload).param(name, value).gives(0);
            let watched = vm.watch(dialect).param(name, value).run();
            let told = dialect == Pacemaker && !means_something(name, value);
            assert_eq!(watched.code, if told { 190 } else { 0 }, "{watched}");
            assert!(!told || watched.reason.contains(&format!("'a' is running, but {name}: ")), "{watched}");
        }
        // A probe and rgmanager know no 190.
        vm.call(dialect, if dialect == Rgmanager { "status" } else { "monitor" })
            .param("migration_speed", "1G")
            .gives(0);
    }
}

#[test]
fn a_start_refuses_only_what_it_uses() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        for (name, value) in NOT_FOR_A_START {
            vm.call(dialect, "start").param(name, value).gives(0);
            assert!(vm.lives());
            vm.call(dialect, "stop").param(name, value).param("force_stop", "1").gives(0);
            let checked = vm.call(dialect, "validate-all").param(name, value).run();
            assert_eq!(checked.code, if means_something(name, value) { 0 } else { 6 }, "{checked}");
        }
    }
}

#[test]
fn a_move_refuses_only_what_it_uses_and_the_machine_runs_on() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let first = vm.qemu().pid;
    // To a host that is not there, so that what is not refused ends there.
    let to = |dialect: Dialect| match dialect {
        Rgmanager => vm.call(dialect, "migrate").arg("nowhere.invalid"),
        Pacemaker | VirtualDomain | Ocf | Human => {
            vm.call(dialect, "migrate_to").var("OCF_RESKEY_CRM_meta_migrate_target", "nowhere.invalid")
        }
    };
    for dialect in BOTH {
        // rgmanager leaves a service as it is after 6 and after 150; Pacemaker knows only one failure of a move.
        let (refused, stayed) = if dialect == Rgmanager { (6, 150) } else { (1, 1) };
        for (name, value) in [("migration_speed", "1G"), ("migration_tls", "perhaps"), ("migration_mapping", "n:a:b")] {
            to(dialect).param(name, value).timeout(20.0).gives(refused).says(&[&format!("{name}: ")]);
            assert_eq!((vm.qemu().pid, vm.state().as_str()), (first, "running"));
        }
        for (name, value) in
            [("tunnelled", "maybe"), ("migration_mapping", "node1"), ("migrate", "Live"), ("no_kill", "perhaps")]
        {
            let answer = to(dialect).param(name, value).timeout(20.0).gives(stayed);
            assert!(!answer.reason.contains(&format!("{name}: ")), "{answer}");
            assert_eq!((vm.qemu().pid, vm.state().as_str()), (first, "running"));
        }
    }
}
