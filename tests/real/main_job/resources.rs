// SPDX-License-Identifier: GPL-2.0-or-later
//! Networks and storage pools that a definition names, brought up by a start and by a move at its target
//! (`start_resources`): when, by several at once, and where one cannot come up or hangs.

use crate::common::*;
use std::path::Path;

const PARAM: &str = "start_resources";

/// The network 'lan', for which there is a bridge, and the pool 'images' with a volume, both defined and not active.
pub fn has_resources(host: &Host) {
    let net = host.file("net.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>");
    host.run("ip", &["link", "add", "br0", "type", "bridge"]);
    host.virsh(&["net-define", net.to_str().unwrap()]);
    let pool = host.folder("pool");
    std::fs::write(pool.join("volume"), vec![0; 1 << 20]).unwrap();
    host.virsh(&["pool-define-as", "images", "dir", "--target", pool.to_str().unwrap()]);
}

fn with_lan<'a>(guest: Guest<'a>) -> Guest<'a> {
    let interface = "<interface type='network'><source network='lan'/><model type='virtio'/></interface><panic model";
    guest.edit("<panic model", interface)
}

/// A guest that needs both.
pub fn needs_both<'a>(guest: Guest<'a>, volume: &str) -> Guest<'a> {
    let guest = guest.option("--disk", "/volume").edit("type='file' device", "type='volume' device");
    with_lan(guest.edit("file='/volume'", &format!("pool='images' volume='{volume}'")))
}

fn active(host: &Host) -> (bool, bool) {
    let lists = |what: &str, name: &str| host.virsh(&[what, "--name"]).lines().any(|line| line.trim() == name);
    (lists("net-list", "lan"), lists("pool-list", "images"))
}

fn down(host: &Host) {
    host.virsh(&["net-destroy", "lan"]);
    host.virsh(&["pool-destroy", "images"]);
}

#[test]
fn a_start_brings_up_the_networks_and_pools_that_the_definition_names() {
    let host = Host::up();
    has_resources(&host);
    let vm = needs_both(host.guest("a"), "volume").written();
    vm.call(Pacemaker, "start").gives(1);
    let lacking = vm.call(Pacemaker, "validate-all").depth(10).gives(5);
    assert!(lacking.stderr.contains("'lan' is not active"), "{lacking}");
    vm.call(Pacemaker, "validate-all").depth(10).param(PARAM, "yes").gives(0);
    assert_eq!(active(&host), (false, false));
    for (dialect, use_virsh) in [(Rgmanager, "no"), (VirtualDomain, "no"), (Human, "no"), (Pacemaker, "yes")] {
        let call = |action: &str| vm.call(dialect, action).param(PARAM, "1").param("use_virsh", use_virsh);
        call("start").gives(0);
        assert_eq!(active(&host), (true, true));
        call("stop").param("force_stop", "yes").gives(0);
        assert_eq!(active(&host), (true, true), "others may use them");
        call("start").gives(0);
        vm.destroy();
        down(&host);
    }
    // libvirt's own definition names them as well.
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    vm.call_by_name(Pacemaker, "start").param(PARAM, "1").gives(0);
    assert_eq!(active(&host), (true, true));
}

#[test]
fn a_volume_that_was_made_since_the_pool_was_looked_through_is_found() {
    let host = Host::up();
    has_resources(&host);
    host.virsh(&["pool-start", "images"]);
    std::fs::write(host.folder("pool").join("younger"), vec![0; 1 << 20]).unwrap();
    let vm = needs_both(host.guest("a"), "younger").written();
    host.virsh(&["net-start", "lan"]);
    vm.call(Pacemaker, "start").gives(1).says(&["younger"]);
    vm.call(Pacemaker, "start").param(PARAM, "1").gives(0);
}

#[test]
fn what_is_not_defined_or_cannot_come_up_fails_the_start_by_its_name_and_nothing_is_created() {
    let host = Host::up();
    let vm = with_lan(host.guest("a")).written();
    for dialect in BOTH {
        let start = || vm.call(dialect, "start").param(PARAM, "yes");
        start().gives(1).says(&["'a' was not started: this host has no network 'lan': define it there"]);
        // Its bridge has the address of a host's device that is there.
        let taken =
            "<network><name>lan</name><bridge name='lo'/><ip address='127.0.0.1' netmask='255.0.0.0'/></network>";
        host.virsh(&["net-define", host.file("taken.xml", taken).to_str().unwrap()]);
        start().gives(1).says(&["the network 'lan' of this host cannot be started: "]);
        assert_eq!(vm.state(), "absent");
        host.virsh(&["net-undefine", "lan"]);
        // What runs is left running, whatever it names.
        vm.call(dialect, "monitor").param(PARAM, "yes").gives(7);
    }
}

#[test]
fn nothing_comes_up_for_a_start_that_is_refused() {
    let hosts = Host::several(2, "libvirt");
    has_resources(&hosts[0]);
    let disk = hosts[0].shared().join("disk.img");
    hosts[0].run("qemu-img", &["create", "-q", "-f", "raw", disk.to_str().unwrap(), "1M"]);
    let other = hosts[1].guest("a").option("--disk", disk.to_str().unwrap()).written().created();
    let vm = with_lan(hosts[0].guest("b").option("--disk", disk.to_str().unwrap())).written();
    for dialect in BOTH {
        vm.call(dialect, "start").param(PARAM, "1").gives(1).says(&["is open elsewhere"]);
        vm.call(dialect, "start")
            .param(PARAM, "1")
            .param("shutdown_mode", "")
            .param("hypervisor", "qemu:///nowhere")
            .gives(6);
        assert!(!active(&hosts[0]).0);
    }
    other.destroy();
    vm.call(Pacemaker, "start").param(PARAM, "1").gives(0);
    assert!(active(&hosts[0]).0);
}

#[test]
fn two_that_start_one_network_and_one_pool_at_the_same_time_both_start() {
    let host = Host::up();
    has_resources(&host);
    std::fs::write(host.folder("pool").join("other"), vec![0; 1 << 20]).unwrap();
    let vms = [needs_both(host.guest("a"), "volume").written(), needs_both(host.guest("b"), "other").written()];
    for _ in 0..4 {
        let calls: Vec<_> = vms.iter().map(|vm| vm.call(Pacemaker, "start").param(PARAM, "1").spawn()).collect();
        for call in calls {
            let answer = call.answer();
            assert_eq!(answer.code, 0, "{answer}");
        }
        vms.iter().for_each(Vm::destroy);
        down(&host);
    }
}

#[test]
fn a_pool_on_storage_that_hangs_fails_the_start_in_time_by_its_name_and_others_start_meanwhile() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    std::fs::write(storage.folder.join("volume"), vec![0; 1 << 20]).unwrap();
    has_resources(&host);
    host.virsh(&["pool-define-as", "silent", "dir", "--target", storage.point.to_str().unwrap()]);
    let guest = host.guest("a").option("--disk", "/volume").edit("type='file' device", "type='volume' device");
    let vm = guest.edit("file='/volume'", "pool='silent' volume='volume'").written();
    let other = needs_both(host.guest("b"), "volume").written();
    storage.hangs("all");
    for dialect in BOTH {
        let answer = vm.call(dialect, "start").param(PARAM, "1").timeout(16.0).gives(1);
        answer.says(&["'a' was not started", "the storage pool 'silent'"]);
        vm.watch(dialect).param(PARAM, "1").gives(7);
        vm.call(dialect, "stop").param(PARAM, "1").gives(0);
        other.call(dialect, "start").param(PARAM, "1").gives(0);
        other.destroy();
    }
    // What libvirt was asked for comes to its end with the storage.
    storage.answers();
    let is_up = || host.virsh(&["pool-list", "--name"]).lines().any(|line| line.trim() == "silent").then_some(());
    until(20, "the pool", is_up);
}

#[test]
fn a_move_brings_them_up_at_its_target_and_a_rehearsal_does_not() {
    let cluster = Cluster::up();
    cluster.hosts().iter().for_each(has_resources);
    let vm = needs_both(cluster.host(1).guest("a").polite(), "volume").written();
    vm.call(Pacemaker, "start").param(PARAM, "1").gives(0);
    let mut guest = Traveller { cluster: &cluster, name: "a".into(), folder: vm.folder.clone(), boot: String::new() };
    guest.boot = guest.new_boot();
    let there = || active(cluster.host(2));
    guest.moves(Human, 1, 2).arg("--rehearse").gives(1).says(&["is not active on node2"]);
    guest.moves(Human, 1, 2).arg("--rehearse").param(PARAM, "1").gives(0);
    guest.moves(Pacemaker, 1, 2).gives(1).says(&["is not active on node2"]);
    assert_eq!(there(), (false, false));
    guest.moved(1, 2, &[(PARAM, "yes")]);
    assert_eq!(there(), (true, true));
    down(cluster.host(1));
    guest.moved(2, 1, &[(PARAM, "yes"), ("use_virsh", "yes")]);
    assert_eq!(active(cluster.host(1)), (true, true));
    // One that cannot come up there leaves the machine here.
    down(cluster.host(2));
    cluster.host(2).virsh(&["pool-undefine", "images"]);
    let target = Path::new("/no/such/folder").to_str().unwrap();
    cluster.host(2).virsh(&["pool-define-as", "images", "dir", "--target", target]);
    guest.moves(Pacemaker, 1, 2).param(PARAM, "yes").gives(1).says(&["the storage pool 'images' of node2"]);
    guest.runs_only_on(1);
}
