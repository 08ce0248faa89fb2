// SPDX-License-Identifier: GPL-2.0-or-later
//! What the processes say where libvirt knows nothing, or says what is not true any more.

use crate::common::*;
use crate::trial::machines;
use rustix::process::Signal;
use std::process::{Child, Stdio};

/// An emulator that root started by hand, of the machine's name.
fn by_hand(host: &Host, more: &str) -> Child {
    let line = format!("exec qemu-system-x86_64 -name a {more} -S -display none -nodefaults -machine none");
    let mut command = host.command("bash");
    command.args(["-c", &line]).env("PATH", "/usr/bin:/bin").stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    until(20, "the emulator", || (!named(host).is_empty()).then_some(()));
    child
}

/// The emulators that are called like the machine, and not as libvirt does it.
fn named(host: &Host) -> Vec<i32> {
    let such = |args: &[Vec<u8>]| args[0].ends_with(b"qemu-system-x86_64") && args.iter().any(|arg| arg == b"a");
    host.processes(such).iter().map(|process| process.pid).collect()
}

#[test]
fn an_emulator_that_libvirt_did_not_start_is_never_ended_and_hinders_at_most_a_start() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let other = "-uuid 00000000-1a69-4a1a-bcd5-8bf2406b3f34";
    for (more, hinders) in [("", true), (other, false)] {
        let mut child = by_hand(&host, more);
        let process = named(&host);
        for fault in ["", "kill"] {
            if !fault.is_empty() {
                host.service(fault, "libvirtd");
            }
            for dialect in BOTH {
                vm.call(dialect, "monitor").timeout(6.0).gives(7);
                vm.call(dialect, "stop").timeout(6.0).gives(0);
            }
            vm.call(Human, "status").timeout(6.0).gives(7);
            assert_eq!(named(&host), process, "it was ended");
        }
        host.service("start", "libvirtd");
        if hinders {
            vm.call(Pacemaker, "start").timeout(4.0).gives(1).says(&["and libvirt did not start it"]);
            assert_eq!(named(&host), process, "it was ended");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        until(20, "its end", || named(&host).is_empty().then_some(()));
        vm.call(Pacemaker, "start").gives(0);
        vm.call(Pacemaker, "stop").timeout(4.0).gives(0);
    }
}

/// A person's status, on its screen.
fn by_hand_says(vm: &Vm<'_>, code: i32, word: &str) {
    let answer = vm.call(Human, "status").timeout(4.0).gives(code);
    assert!(answer.stdout.contains(word), "no '{word}' in {answer}");
}

#[test]
fn a_machine_that_libvirt_has_lost_is_seen_by_its_process_and_ended_by_a_stop() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for (dialect, action) in [(Pacemaker, "monitor"), (Rgmanager, "status")] {
        vm.call(Pacemaker, "start").gives(0);
        // What libvirt knows of running domains is below /run, which somebody cleaned up.
        host.service("kill", "libvirtd");
        host.run("sh", &["-c", "rm -rf /run/libvirt/qemu"]);
        host.service("start", "libvirtd");
        assert_eq!(vm.state(), "absent");
        let running = machines(&host);
        assert_eq!(running.len(), 1);
        vm.call(dialect, action).timeout(4.0).gives(1).says(&["libvirt lost the domain"]);
        vm.watch(dialect).timeout(4.0).gives(1).says(&["libvirt lost the domain"]);
        by_hand_says(&vm, 1, "would answer 1");
        vm.call(Pacemaker, "start").timeout(4.0).gives(1).says(&["not starting a second copy"]);
        assert_eq!(machines(&host), running);
        vm.call(dialect, "stop").timeout(12.0).gives(0);
        assert_eq!(machines(&host), [0; 0]);
        by_hand_says(&vm, 7, "would answer 7");
    }
}

#[test]
fn an_emulator_that_hangs_in_its_end_is_no_healthy_machine_and_no_stopped_one() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    std::fs::write(storage.folder.join("disk.img"), vec![0; 1 << 20]).unwrap();
    let disk = storage.point.join("disk.img");
    let vm = host.guest("a").option("--disk", disk.to_str().unwrap()).written();
    vm.call(Pacemaker, "start").gives(0);
    storage.hangs("write");
    let write = r#"qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "aio_write -P 0xab 0 4096""#;
    host.virsh(&["qemu-monitor-command", "a", "--hmp", write]);
    let qemu = vm.qemu();
    qemu.signal(Signal::KILL);
    // libvirt cannot end it either; what it says then differs with the moment.
    for dialect in BOTH {
        vm.watch(dialect).timeout(6.0).gives(1).says(&["has not come to its end"]);
    }
    by_hand_says(&vm, 1, "has not come to its end");
    vm.call(Pacemaker, "stop").timeout(12.0).gives(1).within(12.0);
    vm.call(Pacemaker, "start").timeout(4.0).gives(1).says(&["not started"]);
    // libvirt has no word of it left: only the process shows that a write is still on its way.
    host.service("kill", "libvirtd");
    host.run("sh", &["-c", "rm -rf /run/libvirt/qemu"]);
    host.service("start", "libvirtd");
    assert_eq!(vm.state(), "absent");
    for dialect in BOTH {
        vm.call(dialect, "monitor").timeout(4.0).gives(1);
        vm.call(dialect, "stop").timeout(8.0).gives(1).within(8.0);
    }
    let stop = vm.call(Pacemaker, "stop").timeout(40.0).spawn();
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert!(stop.runs(), "a write is on its way still");
    assert_eq!(std::fs::read(storage.folder.join("disk.img")).unwrap()[0], 0);
    storage.answers();
    let answer = stop.answer();
    assert_eq!(answer.code, 0, "{answer}");
    assert_eq!(
        std::fs::read(storage.folder.join("disk.img")).unwrap()[0],
        0xab,
        "the late write was before the answer"
    );
}
