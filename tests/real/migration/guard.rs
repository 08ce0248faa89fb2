// SPDX-License-Identifier: GPL-2.0-or-later
//! Before a start, and by deep monitors, the other members are asked: never two copies. The guests have no disks, so nothing
//! but that hinders one.

use super::unhurried;
use crate::common::*;
use rustix::process::Signal;

/// A start on a host, that asks both nodes; each gets all of the 10 s that it may take to answer.
fn guarded<'a>(vm: &Traveller<'a>, on: usize, dialect: Dialect) -> Call<'a> {
    vm.call(on, dialect, "start").param("guard_nodes", "node1,node2").timeout(60.0)
}

#[test]
fn what_runs_on_another_node_is_not_started_here() {
    let cluster = Cluster::up();
    let mut vm = cluster.travels("a");
    for dialect in [Pacemaker, Rgmanager, Human] {
        guarded(&vm, 2, dialect).gives(1).says(&["'a' was not started", "is running on node1"]);
        vm.runs_only_on(1);
    }
    // There it is started already.
    guarded(&vm, 1, Pacemaker).gives(0).tells(&["already running"]);
    cluster.host(1).virsh(&["suspend", "a"]);
    guarded(&vm, 2, Pacemaker).gives(1).says(&["is paused by request on node1"]);
    assert_eq!(vm.processes(), [1]);
    cluster.host(1).virsh(&["destroy", "a"]);
    guarded(&vm, 2, Pacemaker).gives(0);
    vm.boot = vm.new_boot();
    vm.runs_only_on(2);
}

#[test]
fn a_machine_that_has_another_name_there_is_known_by_its_uuid() {
    let cluster = Cluster::up();
    let vm = cluster.host(2).guest("a").written();
    let renamed = std::fs::read_to_string(&vm.file).unwrap().replace("<name>a</name>", "<name>b</name>");
    let file = cluster.host(1).file("b.xml", &renamed);
    cluster.host(1).virsh(&["create", file.to_str().unwrap()]);
    let start = || vm.call(Pacemaker, "start").param("guard_nodes", "node1");
    start().gives(1).says(&["is running on node1"]);
    assert!(!vm.lives());
    start().param("guard", "off").gives(0);
}

#[test]
fn a_node_that_does_not_answer_is_waited_for_and_is_not_taken_for_one_that_runs_nothing() {
    let cluster = Cluster::up();
    let vm = cluster.travels("a");
    let there = cluster.host(1);
    there.service("kill", "libvirtd");
    let refused = |answer: Answer| {
        assert_eq!(answer.code, 1, "{answer}");
        answer.says(&["whether it runs on node1 is not known"]);
        assert_eq!(vm.processes(), [1]);
    };
    refused(guarded(&vm, 2, Pacemaker).run());
    // It answers while it is waited for.
    let running = guarded(&vm, 2, Pacemaker).spawn();
    there.service("start", "libvirtd");
    let answer = running.answer();
    assert_eq!(answer.code, 1, "{answer}");
    answer.says(&["is running on node1"]);
    there.service("freeze", "libvirtd");
    refused(guarded(&vm, 2, Rgmanager).run());
    there.service("thaw", "libvirtd");
    vm.runs_only_on(1);
}

#[test]
fn a_node_that_lets_nobody_in_hinders_only_a_strict_start() {
    let cluster = Cluster::up();
    let vm = cluster.host(2).guest("a").written();
    let start = |guard: &str| vm.call(Pacemaker, "start").param("guard_nodes", "nowhere.invalid").param("guard", guard);
    start("strict").gives(1).says(&["whether it runs on nowhere.invalid is not known"]);
    assert!(!vm.lives());
    start("try").gives(0).tells(&["nowhere.invalid could not be asked about 'a'"]);
    vm.qemu().signal(Signal::KILL);
}

#[test]
fn a_node_that_is_called_alike_is_another_one_unless_its_address_is_the_same() {
    let cluster = Cluster::up();
    let (vm, here) = (cluster.travels("a"), cluster.host(2));
    let named = |name: &str, node: &str| {
        here.run("sh", &["-c", &format!("echo $(getent ahosts {node} | cut -d ' ' -f 1) {name} >>/etc/hosts")]);
    };
    named("node2.dr.example", "node1");
    named("node2.lab.example", "node2");
    let start = |nodes: &str| vm.call(2, Pacemaker, "start").param("guard_nodes", nodes).param("guard", "strict");
    let mapping = "node2.dr.example:node1";
    let other = || start("node2,node2.dr.example").param("migration_mapping", mapping);
    other().gives(1).says(&["is running on node2.dr.example"]);
    vm.runs_only_on(1);
    cluster.host(1).virsh(&["destroy", "a"]);
    // Nobody could log in there by this name.
    start("node2.lab.example").gives(0);
    here.virsh(&["destroy", "a"]);
    other().gives(0);
}

/// The second copy is one that an administrator started by virsh.
#[test]
fn a_second_copy_is_found_by_a_deep_monitor() {
    let cluster = Cluster::up();
    let vm = cluster.travels("a");
    let watch = |dialect, depth: u32| {
        let action = if dialect == Rgmanager { "status" } else { "monitor" };
        let call = vm.call(1, dialect, action).recurring().depth(depth).timeout(20.0);
        call.param("guard_nodes", "node1,node2")
    };
    watch(Pacemaker, 10).gives(0);
    let file = vm.folder.join("a.xml");
    cluster.host(2).virsh(&["create", file.to_str().unwrap()]);
    let two = &["'a' runs here, and is running on node2 too", "stop one of the two at once"];
    let answer = watch(Pacemaker, 10).gives(190).says(two).tells(&["CRITICAL: 'a' runs here"]);
    println!("{:.2} s: {}", answer.took.as_secs_f32(), answer.reason);
    watch(Rgmanager, 10).gives(0).tells(&["CRITICAL: 'a' runs here, and is running on node2 too"]);
    watch(Pacemaker, 0).param("guard_monitor", "yes").gives(190).says(two);
    // Nobody is asked.
    watch(Pacemaker, 0).gives(0);
    watch(Pacemaker, 10).param("guard", "off").gives(0);
    // One that does not answer says nothing.
    cluster.host(2).service("freeze", "libvirtd");
    let answer = watch(Pacemaker, 10).gives(0).within(12.0);
    println!("frozen: {:.2} s", answer.took.as_secs_f32());
    cluster.host(2).service("thaw", "libvirtd");
}

#[test]
fn a_machine_that_moves_is_no_second_copy_to_a_deep_monitor() {
    let cluster = Cluster::up();
    let vm = cluster.travels("a");
    for (from, to) in [(1, 2), (2, 1)] {
        let moving = unhurried(vm.moves(Rgmanager, from, to)).spawn();
        let mut looks = 0;
        while moving.runs() {
            // At the target it is the placeholder at first, and at the source it is gone at last.
            for host in [1, 2] {
                let call =
                    vm.call(host, Pacemaker, "monitor").recurring().depth(10).param("guard_nodes", "node1,node2");
                let answer = call.run();
                assert!(matches!(answer.code, 0 | 7), "{answer}");
                looks += 1;
            }
        }
        let moved = moving.answer();
        assert_eq!(moved.code, 0, "{moved}");
        assert!(looks > 4, "{looks} looks: {moved}");
    }
    vm.runs_only_on(1);
}
