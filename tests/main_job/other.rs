// SPDX-License-Identifier: GPL-2.0-or-later
//! restart, recover, reload and the actions that do not work yet.

use crate::common::*;

#[test]
fn restart_stops_and_starts() {
    let host = Host::up();
    for dialect in [Rgmanager, Pacemaker, Human] {
        let vm = host.guest("a").written();
        let call = || vm.call(dialect, "restart").param("force_stop", "1");
        call().gives(0);
        let first = vm.qemu().pid;
        call().gives(0);
        assert_ne!(vm.qemu().pid, first);
        assert_eq!(vm.state(), "running");
        vm.destroy();
    }
}

#[test]
fn a_restart_that_could_not_start_again_does_not_stop() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let first = vm.qemu().pid;
    for dialect in BOTH {
        let broken = host.file("broken.xml", "<domain><name>a</name>");
        for action in ["restart", "recover"] {
            if action == "recover" {
                host.virsh(&["suspend", "a"]);
            }
            vm.call(dialect, action).param("force_stop", "1").param("config", &broken).gives(5);
            vm.call(dialect, action).param("force_stop", "1").param("no_kill", "perhaps").gives(6);
            assert_eq!(vm.qemu().pid, first);
        }
        host.virsh(&["resume", "a"]);
    }
}

#[test]
fn recover_restarts_only_a_machine_that_does_not_run_well() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").crashing().written();
        vm.call(dialect, "recover").gives(0);
        let first = vm.qemu().pid;
        vm.call(dialect, "recover").gives(0);
        assert_eq!(vm.qemu().pid, first);
        vm.becomes("crashed");
        vm.call(dialect, "recover").gives(0);
        assert_ne!(vm.qemu().pid, first);
        assert_eq!(vm.state(), "running");
        vm.destroy();
    }
}

#[test]
fn reload_touches_nothing() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        for action in ["reload", "reload-agent", "reconfig"] {
            vm.call(dialect, action).gives(0).within(1.0);
            assert!(!vm.lives());
        }
    }
    let vm = vm.created();
    let (first, xml) = (vm.qemu().pid, vm.live_xml());
    for dialect in [Rgmanager, Pacemaker, Human] {
        for action in ["reload", "reload-agent", "reconfig"] {
            vm.call(dialect, action).param("no_kill", "yes").gives(0).within(1.0);
            assert_eq!((vm.qemu().pid, vm.live_xml()), (first, xml.clone()));
        }
    }
}

#[test]
fn a_migration_to_nowhere_leaves_the_machine_alone() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let first = vm.qemu().pid;
    vm.call(Rgmanager, "migrate").arg("nowhere").timeout(20.0).gives(150);
    vm.call(Pacemaker, "migrate_to").var("OCF_RESKEY_CRM_meta_migrate_target", "nowhere").timeout(20.0).gives(1);
    assert_eq!((vm.state().as_str(), vm.qemu().pid), ("running", first));
}

#[test]
fn two_agents_at_one_machine_take_turns() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let starts: Vec<Running> = [Rgmanager, Pacemaker, Human].map(|dialect| vm.call(dialect, "start").spawn()).into();
    for start in starts {
        let answer = start.answer();
        assert_eq!(answer.code, 0, "{answer}");
    }
    let stop = |dialect| vm.call(dialect, "stop").param("force_stop", "1").spawn();
    for stop in [Rgmanager, Pacemaker].map(stop) {
        let answer = stop.answer();
        assert_eq!(answer.code, 0, "{answer}");
    }
    assert_eq!(vm.state(), "absent");
}
