// SPDX-License-Identifier: GPL-2.0-or-later
//! Hosts with Debian 13's packages and libvirt's modular daemons, and beside them hosts with Debian 12's. `make test` plays
//! these, and `make test-trixie` on such hosts the tests of the main job, of faults and of a cluster too.

use crate::common::*;
use std::time::Duration;

/// One host whose libvirt is virtqemud, with virtproxyd beside it.
fn modular() -> Host {
    Host::with("libvirt,trixie")
}

/// The first host has Debian 12 and libvirtd, the second Debian 13 and virtqemud; each has its release's own QEMU.
fn mixed() -> Cluster {
    Cluster::with("ssh,libvirt,mixed")
}

#[test]
fn both_managers_start_watch_and_stop_a_machine_of_virtqemud() {
    let host = modular();
    let daemons = |name: &str| host.processes(|args| args[0].ends_with(name.as_bytes())).len();
    assert_eq!(["virtqemud", "virtproxyd", "libvirtd"].map(daemons), [1, 1, 0]);
    let version = host.virsh(&["version", "--daemon"]);
    assert!(version.contains("daemon: 11.") && version.contains("QEMU 10."), "{version}");
    let vm = host.guest("a").polite().written();
    for dialect in BOTH {
        vm.watch(dialect).gives(7);
        vm.call(dialect, "start").gives(0);
        vm.watch(dialect).gives(0);
        vm.call(Human, "status").gives(0).shows(&["a: running"]);
        // Whoever asks virtqemud by the old name.
        vm.watch(dialect).param("hypervisor_uri", "qemu:///system?mode=legacy").gives(0);
        vm.call(dialect, "start").gives(0);
        vm.becomes("running").ticks();
        vm.call(dialect, "stop").gives(0);
        assert!(!vm.lives());
        vm.watch(dialect).gives(7);
    }
}

#[test]
fn virtproxyd_that_answers_for_a_dead_virtqemud_is_a_daemon_that_does_not_run() {
    let host = modular();
    let vm = host.guest("a").polite().written().created();
    // By SIGKILL the sockets stay, by SIGTERM they are taken away.
    for end in ["kill", "stop"] {
        host.service(end, "libvirtd");
        for dialect in BOTH {
            vm.watch(dialect).gives(0);
        }
        vm.call(Human, "status").gives(0).shows(&["libvirt's daemon does not run (", "virtqemud-sock"]);
        let legacy = vm.call(Human, "status").param("hypervisor_uri", "qemu:///system?mode=legacy");
        legacy.gives(0).shows(&["libvirt's daemon does not run (", "virtqemud-sock"]);
        let other = host.guest("b").polite().written();
        other.call(Pacemaker, "start").timeout(3.0).gives(1).says(&["was not started: libvirt's daemon does not run"]);
        // It is back within the ten seconds that a start waits for it.
        let start = other.call(Pacemaker, "start").timeout(30.0).spawn();
        std::thread::sleep(Duration::from_secs(1));
        assert!(start.runs(), "it was given up");
        host.service("start", "libvirtd");
        let answer = start.answer();
        assert_eq!(answer.code, 0, "{answer}");
        other.call(Pacemaker, "stop").gives(0);
    }
    // Nobody needs virtproxyd where virtqemud listens itself.
    for end in ["freeze", "kill"] {
        host.service(end, "virtproxyd");
        for dialect in BOTH {
            vm.watch(dialect).gives(0);
            vm.call(dialect, "start").gives(0);
        }
    }
    for dialect in BOTH {
        vm.call(dialect, "stop").gives(0);
        vm.watch(dialect).gives(7);
        vm.call(dialect, "start").gives(0);
    }
}

/// virtnetworkd and virtstoraged have what a machine of virtqemud needs to be started, and nothing that it needs to run.
#[test]
fn a_daemon_of_networks_or_of_storage_that_is_dead_or_hangs_costs_a_start_and_nothing_of_what_runs() {
    let host = modular();
    super::main_job::resources::has_resources(&host);
    let vm = super::main_job::resources::needs_both(host.guest("a").polite(), "volume").written();
    for (dialect, (daemon, what)) in BOTH.into_iter().zip([("virtnetworkd", "lan"), ("virtstoraged", "images")]) {
        for (end, back, says) in [
            ("freeze", "thaw", "libvirt did not answer within"),
            ("kill", "start", "does not run (Connection refused): start it"),
        ] {
            let call = |action: &str| vm.call(dialect, action).param("start_resources", "1").timeout(8.0);
            host.service(end, daemon);
            let answer = call("start").gives(1);
            let told = ["'a' was not started: ", &format!("'{what}'"), says];
            assert!(told.iter().all(|words| answer.stderr.contains(words)), "{answer}");
            assert!(!vm.lives());
            host.service(back, daemon);
            call("start").gives(0);
            vm.becomes("running").ticks();
            host.service(end, daemon);
            vm.watch(dialect).gives(0);
            vm.call(Human, "status").gives(0).shows(&["a: running"]);
            call("start").gives(0);
            call("stop").gives(0);
            assert!(!vm.lives());
            host.service(back, daemon);
            until(10, "libvirt's end of it", || (vm.watch(dialect).run().code == 7).then_some(()));
        }
    }
}

#[test]
fn a_machine_moves_from_libvirtd_to_virtqemud_and_one_that_is_too_new_for_the_way_back_runs_on() {
    let cluster = mixed();
    let old = cluster.travels("a");
    old.moved(1, 2, &[]);
    cluster.host(2).call(Pacemaker, "monitor").named("a").param("path", &old.folder).gives(0);
    // The older QEMU has its type of machine, so the way back is open.
    old.moves(Pacemaker, 2, 1).gives(0);
    old.arrives(2, 1).gives(0);
    old.runs_only_on(1);
    let new = cluster.departs(cluster.host(2).guest("b").polite());
    for dialect in BOTH {
        let answer = new.moves(dialect, 2, 1).run();
        assert!(answer.code != 0, "{answer}");
        if dialect == Pacemaker {
            answer.says(&["not moved, runs on here: ", "QEMU on node1 has no machine type 'pc-"]);
        }
        new.runs_only_on(2);
        assert_eq!(cluster.host(1).state("b"), "absent");
    }
    new.call(2, Pacemaker, "stop").gives(0);
    old.call(1, Pacemaker, "stop").gives(0);
}
