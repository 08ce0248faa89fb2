// SPDX-License-Identifier: GPL-2.0-or-later
//! Which machine is meant: its definition is edited or out of reach, its resource's parameters are changed or mistyped,
//! and strangers' machines run beside it. One machine is found once, and nobody else's is touched.

use crate::common::*;

/// Changes the name in a definition's file, and what is named by it.
fn rename(vm: &Vm<'_>, name: &str) {
    let text = std::fs::read_to_string(&vm.file).unwrap();
    let old = format!("<name>{}</name>", vm.name);
    assert!(text.contains(&old));
    std::fs::write(&vm.file, text.replace(&old, &format!("<name>{name}</name>"))).unwrap();
}

/// Watched and stopped as what it is called while it runs.
fn is_watched_and_stopped_as_old(vm: &Vm<'_>) {
    let first = vm.qemu().pid;
    vm.call_by_file("monitor").gives(0);
    vm.call_by_file("monitor").recurring().gives(0);
    vm.call_by_file("start").gives(0).tells(&["'old' is already running"]);
    assert_eq!(vm.qemu().pid, first);
    vm.call_by_file("stop").param("force_stop", "yes").timeout(20.0).gives(0).tells(&["'old' was destroyed"]);
    assert!(!vm.lives());
    vm.call_by_file("monitor").gives(7);
}

#[test]
fn a_machine_whose_name_is_edited_is_found_by_its_uuid_though_nobody_marked_it() {
    let host = Host::up();
    let vm = host.guest("old").written().created();
    rename(&vm, "new");
    is_watched_and_stopped_as_old(&vm);
}

#[test]
fn an_inactive_definition_of_the_new_name_ends_no_search() {
    let host = Host::up();
    let vm = host.guest("old").written().created();
    // libvirt takes no second definition of the same UUID.
    let other = host.guest("new").edit("<memory", "<description>another</description><memory").written();
    let (old_uuid, new_uuid) =
        (tag(&vm.live_xml(), "uuid"), tag(&std::fs::read_to_string(&other.file).unwrap(), "uuid"));
    assert_ne!(old_uuid, new_uuid);
    host.virsh(&["define", other.file.to_str().unwrap()]);
    rename(&vm, "new");
    is_watched_and_stopped_as_old(&vm);
}

#[test]
fn a_renamed_machine_is_known_without_libvirt() {
    let host = Host::up();
    let vm = host.guest("old").written().created();
    vm.call_by_file("monitor").gives(0);
    rename(&vm, "new");
    host.service("kill", "libvirtd");
    vm.call_by_file("monitor").recurring().gives(0);
    vm.call_by_file("stop").timeout(20.0).gives(0);
    assert!(!vm.lives());
    vm.call_by_file("monitor").gives(7);
}

#[test]
fn the_lock_is_the_machines_whatever_its_definition_calls_it_by_now() {
    let host = Host::up();
    let vm = host.guest("old").stubborn().written();
    vm.call_by_file("start").gives(0);
    vm.ticks();
    rename(&vm, "new");
    let stop = vm.call_by_file("stop").timeout(30.0).spawn();
    let lock = || host.run("sh", &["-c", "cat /run/vm-agent/old.lock 2>/dev/null || true"]);
    until(10, "lock of the machine's own name", || lock().starts_with("stop").then_some(()));
    // A person who knows it by its name comes second.
    host.call(Human, "start").named("old").timeout(2.0).gives(1).says(&["another vm-agent"]);
    assert_eq!(stop.answer().code, 0);
    assert!(!vm.lives());
}

#[test]
fn a_strangers_machine_is_none_of_a_resources_whose_definition_is_out_of_reach() {
    let host = Host::up();
    let strangers = ["stranger", "b"].map(|name| host.guest(name).written().created());
    let missing = host.shared().join("not-mounted/web.xml");
    let call = |action: &str| host.call(VirtualDomain, action).instance("rsc").param("config", &missing).timeout(8.0);
    for libvirtd in ["runs", "is dead"] {
        call("monitor").gives(7);
        call("monitor").recurring().gives(7);
        call("stop").gives(0);
        if libvirtd == "runs" {
            call("start").gives(5);
            host.service("kill", "libvirtd");
        }
    }
    host.service("start", "libvirtd");
    // One that is named like the file may be it: that is said, and no probe fails for it.
    let namesake = host.guest("web").written().created();
    call("monitor").gives(5).says(&["'web', which runs here, may be"]);
    call("stop").timeout(2.0).gives(1).says(&["'web'"]);
    assert!(namesake.lives() && strangers.iter().all(Vm::lives));
}

#[test]
fn a_machine_that_was_known_once_is_known_when_its_definition_is_out_of_reach() {
    let host = Host::up();
    let stranger = host.guest("stranger").written().created();
    // Neither the file nor the resource is called like it.
    let machine = host.guest("machine").written().created();
    let file = host.folder("mounted").join("web.xml");
    std::fs::copy(&machine.file, &file).unwrap();
    let call = |action: &str| host.call(VirtualDomain, action).instance("rsc").param("config", &file).timeout(8.0);
    let mark =
        || host.run("sh", &["-c", "virsh -q metadata machine https://vm-agent.org/xmlns/domain/1.0 2>&1 || true"]);
    assert!(!mark().contains("instance="), "it has a mark: {}", mark());
    // Whoever sees it first puts the mark on, once.
    call("monitor").gives(0);
    assert!(mark().contains("instance=\"rsc\""), "no mark: {}", mark());
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).unwrap();
    call("monitor").gives(0);
    call("monitor").recurring().gives(0);
    // Also without the mark: it is remembered what the file defined.
    host.virsh(&["metadata", "machine", "https://vm-agent.org/xmlns/domain/1.0", "--live", "--remove"]);
    call("monitor").gives(0);
    host.service("kill", "libvirtd");
    call("monitor").recurring().gives(0);
    host.service("start", "libvirtd");
    call("stop").param("force_stop", "yes").timeout(20.0).gives(0).tells(&["'machine' was destroyed"]);
    assert!(!machine.lives() && stranger.lives());
    call("monitor").gives(7);
}

/// Parameters that name no machine, or nothing that could run one.
const MISTYPED: [(&str, &str); 10] = [
    ("hypervisor", "/system"),
    ("hypervisor", "foo"),
    ("hypervisor", "qemus:///system"),
    ("hypervisor", "qemu//system"),
    ("hypervisor", "qemu:///sysem"),
    ("hypervisor", "vbox:///system"),
    ("hypervisor", "vbox"),
    ("hypervisor", "xen"),
    ("name", "a/b"),
    ("config", "a.xml"),
];

#[test]
fn a_mistyped_parameter_is_refused_by_start_and_fences_nobody() {
    let host = Host::up();
    let bystander = host.guest("b").written().created();
    let vm = host.guest("a").written();
    for (name, value) in MISTYPED {
        let call = |action: &str| vm.call_by_file(action).param(name, value).timeout(8.0);
        println!("{name}={value}");
        call("validate-all").gives(6);
        call("monitor").gives(7);
        call("stop").gives(0);
        call("start").gives(6);
        assert!(bystander.lives() && !vm.lives());
    }
    // Neither name nor config.
    for (action, code) in [("monitor", 7), ("stop", 0), ("start", 6), ("validate-all", 6)] {
        host.call(VirtualDomain, action).instance("rsc").timeout(8.0).gives(code);
    }
    // What was started before the slip is found by its mark, and can be stopped.
    for (name, value) in MISTYPED {
        vm.call_by_file("start").gives(0);
        let call = |action: &str| vm.call_by_file(action).param(name, value).timeout(20.0);
        println!("{name}={value}, running");
        call("monitor").gives(0);
        // Whether a driver is there only libvirt can tell, which is asked for the mark then.
        let judged_by_libvirt = matches!(value, "vbox:///system" | "xen");
        call("monitor").recurring().gives(if judged_by_libvirt { 0 } else { 190 });
        call("start").gives(0).tells(&["WARN"]);
        call("stop").param("force_stop", "yes").gives(0).tells(&["'a' was destroyed"]);
        assert!(bystander.lives() && !vm.lives());
    }
}

fn of_vm1<'a>(vm: &Vm<'a>, action: &str) -> Call<'a> {
    vm.call(Pacemaker, action).instance("vm1").timeout(20.0)
}

#[test]
fn a_resource_that_gets_another_name_leaves_its_former_machine_alone_and_tells_of_it() {
    let host = Host::up();
    let (alpha, beta) = (host.guest("alpha").written(), host.guest("beta").written());
    of_vm1(&alpha, "start").gives(0);
    of_vm1(&beta, "monitor").gives(7);
    of_vm1(&beta, "start").gives(1).says(&["'beta' was not started: 'alpha' runs here and bears this resource's mark"]);
    of_vm1(&beta, "stop").gives(0).tells(&["a start would be refused: 'alpha' runs here"]);
    assert!(alpha.lives() && !beta.lives());
    // The way out that README tells.
    host.virsh(&["metadata", "alpha", "https://vm-agent.org/xmlns/domain/1.0", "--live", "--remove"]);
    of_vm1(&beta, "start").gives(0);
    of_vm1(&beta, "stop").param("force_stop", "yes").gives(0).tells(&["'beta' was destroyed"]);
    assert!(alpha.lives() && !beta.lives());
}

/// libvirt holds a domain's lock while it starts, and whoever lists all domains waits for it.
#[test]
fn a_machine_that_hangs_in_its_start_keeps_no_other_from_starting() {
    let host = Host::up();
    host.run("mkdir", &["-p", "/etc/libvirt/hooks"]);
    let hook = "printf '#!/bin/sh\\n[ \"$1 $2\" != \"slow prepare\" ] || { touch /run/preparing; sleep 40; }\\n' >$0; chmod 755 $0";
    host.run("sh", &["-c", hook, "/etc/libvirt/hooks/qemu"]);
    host.service("stop", "libvirtd");
    host.service("start", "libvirtd");
    let slow = host.guest("slow").written();
    let start = slow.call(Pacemaker, "start").timeout(60.0).spawn();
    until(10, "libvirt's start", || {
        host.run("sh", &["-c", "ls /run/preparing 2>&1 || true"]).starts_with("/run").then_some(())
    });
    for (name, by_file) in [("b", false), ("c", true)] {
        let vm = host.guest(name).written();
        let call =
            |action: &str| if by_file { vm.call_by_file(action) } else { vm.call(Pacemaker, action) }.timeout(25.0);
        call("monitor").gives(7);
        call("start").gives(0);
        call("stop").param("force_stop", "yes").gives(0);
        call("monitor").gives(7);
    }
    assert!(start.runs(), "the slow start has ended: nothing was tried");
    start.kill();
}
