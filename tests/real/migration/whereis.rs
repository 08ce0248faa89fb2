// SPDX-License-Identifier: GPL-2.0-or-later
//! whereis: on which hosts a machine runs, by the word of each.

use super::unhurried;
use crate::common::*;
use serde_json::Value;

fn asked<'a>(vm: &Traveller<'a>, on: usize) -> Call<'a> {
    vm.call(on, Human, "whereis").arg("--nodes").arg("node1,node2")
}

/// The answer's JSON, and what the host of this number says.
fn json(call: Call<'_>, code: i32, node: &str) -> (Value, Value) {
    let answer = call.arg("--json").gives(code);
    let all: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let host = all["hosts"].as_array().unwrap().iter().find(|host| host["node"] == node).cloned();
    (all, host.unwrap_or_else(|| panic!("no {node} in {answer}")))
}

#[test]
fn whereis_tells_none_one_several_and_unknown_apart() {
    let cluster = Cluster::up();
    let vm = cluster.travels("a");
    let alone = vm.call(2, Human, "whereis").gives(7).stdout;
    assert!(alone.starts_with("a: runs nowhere\n") && alone.contains("this host alone was asked"), "{alone}");
    let one = asked(&vm, 2).gives(0).stdout;
    for part in
        ["a: runs on node1\n", "  node1       RUNS (running), for 'a' from ", "  node2       'a' is not running"]
    {
        assert!(one.contains(part), "no '{part}' in {one}");
    }
    assert!(!one.contains("WARNING"), "{one}");
    let (all, there) = json(asked(&vm, 2), 0, "node1");
    assert_eq!((&all["copies"], &there["runs"], &there["defined"]), (&"one".into(), &true.into(), &false.into()));
    assert_eq!((&there["mark"]["resource"], &there["mark"]["sha256"]), (&"a".into(), &all["file"]["sha256"]));
    // The guest has no disk that could hinder it.
    let file = vm.folder.join("a.xml");
    cluster.host(2).virsh(&["create", file.to_str().unwrap()]);
    for host in [1, 2] {
        let both = asked(&vm, host).gives(190).stdout;
        assert!(both.contains("stop all but one at once"), "{both}");
    }
    // Another name of this host, or of another, is no other host.
    cluster.host(2).virsh(&["destroy", "a"]);
    let own = cluster.host(1).run("getent", &["hosts", "node1"]);
    let own = own.split_whitespace().next().unwrap();
    let alone = vm.call(1, Human, "whereis").arg("--nodes").arg(format!("{own},node2")).gives(0).stdout;
    assert!(alone.starts_with("a: runs on node1\n") && !alone.contains(own), "{alone}");
    // What leads back here, where it may be meant for another host, is not known.
    let (all, here) = json(vm.call(1, Human, "whereis").arg("--nodes").arg("localhost,node2"), 1, "localhost");
    assert_eq!((&all["copies"], &here["runs"]), (&"unknown".into(), &Value::Null), "{all}");
    assert!(here["state"].as_str().unwrap().contains("no address here but this host's own"), "{all}");
    let doctor = vm.call(1, Human, "doctor").arg("--nodes").arg("localhost").run().stdout;
    assert!(!doctor.contains("stop one of the two"), "{doctor}");
    let twice = vm.call(2, Human, "whereis").arg("--nodes").arg(format!("node1,NODE1,{own}")).gives(0).stdout;
    assert!(twice.starts_with("a: runs on node1\n"), "{twice}");
    cluster.host(2).virsh(&["create", file.to_str().unwrap()]);
    // A second copy is one, whoever else is silent.
    vm.call(2, Human, "whereis").arg("--nodes").arg("node1,nowhere.invalid").gives(190);
    cluster.host(1).virsh(&["destroy", "a"]);
    asked(&vm, 1).gives(0);
    cluster.host(2).service("freeze", "libvirtd");
    let (all, there) = json(asked(&vm, 1).timeout(6.0), 1, "node2");
    assert_eq!((&all["copies"], &there["runs"]), (&"unknown".into(), &Value::Null), "{all}");
    // Here its process tells.
    assert_eq!(json(vm.call(2, Human, "whereis").timeout(6.0), 0, "node2").1["runs"], true);
    cluster.host(2).service("thaw", "libvirtd");
    cluster.host(2).virsh(&["destroy", "a"]);
    asked(&vm, 1).gives(7);
}

#[test]
fn whereis_compares_what_the_hosts_have_of_it() {
    let cluster = Cluster::up();
    let vm = cluster.departs(cluster.host(1).guest("a").polite().persistent());
    let file = vm.folder.join("a.xml");
    cluster.host(2).virsh(&["define", file.to_str().unwrap()]);
    let (all, there) = json(asked(&vm, 1), 0, "node2");
    assert_eq!(
        (&all["differ"], &there["defined"], &there["runs"]),
        (&false.into(), &true.into(), &false.into()),
        "{all}"
    );
    let changed = std::fs::read_to_string(&file).unwrap().replace("<vcpu>1<", "<vcpu>2<");
    std::fs::write(&file, changed).unwrap();
    cluster.host(2).virsh(&["define", file.to_str().unwrap()]);
    let told = asked(&vm, 1).gives(0).stdout;
    assert!(told.contains("libvirt's own definitions of it differ"), "{told}");
    assert_eq!(json(asked(&vm, 1), 0, "node2").0["differ"], true);
    cluster.host(1).virsh(&["destroy", "a"]);
}

#[test]
fn a_machine_that_moves_is_one_at_every_moment() {
    let cluster = Cluster::up();
    let vm = cluster.travels("a");
    for (from, to) in [(1, 2), (2, 1)] {
        let moving = unhurried(vm.moves(Rgmanager, from, to)).spawn();
        let mut asks = 0;
        while moving.runs() {
            asked(&vm, from).gives(0);
            asks += 1;
        }
        let moved = moving.answer();
        assert_eq!(moved.code, 0, "{moved}");
        assert!(asks > 2, "asked {asks} times: {moved}");
        asked(&vm, from).gives(0);
    }
    vm.runs_only_on(1);
}
