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
            vm.call(dialect, action).param("force_stop", "1").param("use_virsh", "perhaps").gives(6);
            assert_eq!(vm.qemu().pid, first);
        }
        host.virsh(&["resume", "a"]);
    }
}

#[test]
fn a_restart_of_a_machine_that_is_defined_nowhere_any_more_does_not_stop() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let (first, away) = (vm.qemu().pid, host.shared().join("away"));
    for folder_is_away in [false, true] {
        if folder_is_away {
            std::fs::rename(&vm.folder, &away).unwrap();
        }
        for dialect in [Rgmanager, Pacemaker, Human] {
            for (action, state) in [("restart", "running"), ("recover", "paused")] {
                if action == "recover" {
                    host.virsh(&["suspend", "a"]);
                }
                let call = if folder_is_away { vm.call(dialect, action) } else { vm.call_by_name(dialect, action) };
                let answer = call.param("force_stop", "1").gives(5);
                assert!(vm.lives(), "it was stopped: {answer}");
                assert_eq!((vm.qemu().pid, vm.state().as_str()), (first, state), "{answer}");
                // A manager shows the begin of it, and there the news must be.
                assert!(answer.stderr.contains("could not be started again"), "{answer}");
                answer.says(&["not stopped"]);
            }
            host.virsh(&["resume", "a"]);
        }
    }
}

#[test]
fn a_restart_without_a_file_starts_the_definition_that_libvirt_keeps() {
    let host = Host::up();
    let vm = host.guest("a").written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    host.virsh(&["start", "a"]);
    let empty = host.folder("empty");
    for dialect in [Rgmanager, Pacemaker, Human] {
        for path in [None, Some(&empty)] {
            for action in ["restart", "recover"] {
                let first = vm.qemu().pid;
                if action == "recover" {
                    host.virsh(&["suspend", "a"]);
                }
                let call = vm.call_by_name(dialect, action).param("force_stop", "1");
                let call = if let Some(path) = path { call.param("path", path) } else { call };
                let answer = call.gives(0);
                assert_ne!(vm.qemu().pid, first, "{answer}");
                assert_eq!(vm.state(), "running");
            }
        }
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

/// All tests on hosts are made so: see `LAB_BELOW` in tests/common.
#[test]
fn a_host_shows_nothing_of_another_version_that_is_installed_on_the_machine() {
    let host = Host::up();
    let seen =
        host.run("sh", &["-c", "find /usr -xdev \\( -name 'vm-agent*' -o -name vm.sh -o -name another-version \\)"]);
    let ours = env!("CARGO_MANIFEST_DIR");
    let seen: Vec<&str> = seen.lines().filter(|path| !path.starts_with(ours)).collect();
    assert_eq!(seen, ["/usr/share/another-version"]);
}
