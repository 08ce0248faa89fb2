// SPDX-License-Identifier: GPL-2.0-or-later
//! status and monitor: the table of states and answers, as far as real machines can be brought into these states.

use crate::common::*;
use std::process::{Command, Stdio};

/// What each caller is told, in this order: rgmanager's status, a probe, a recurring monitor, another OCF caller's
/// monitor, a person's status and monitor.
fn told(vm: &Vm<'_>) -> [i32; 6] {
    [
        vm.call(Rgmanager, "status"),
        vm.call(Pacemaker, "monitor"),
        vm.call(VirtualDomain, "monitor").recurring(),
        vm.call(Ocf, "monitor"),
        vm.call(Human, "status"),
        vm.call(Human, "monitor"),
    ]
    .map(|call| call.run().within(3.5).code)
}

#[test]
fn a_running_machine_answers_0_and_an_absent_or_shut_off_one_7() {
    let host = Host::up();
    let vm = host.guest("a").written();
    assert_eq!(told(&vm), [7; 6]);
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    assert_eq!(told(&vm), [7; 6]);
    vm.watch(Pacemaker).gives(7).within(1.5).says(&["shut off"]);
    host.virsh(&["start", "a"]);
    assert_eq!(told(&vm), [0; 6]);
}

#[test]
fn a_machine_paused_by_its_user_is_degraded_to_a_recurring_monitor_and_running_to_all_others() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    host.virsh(&["suspend", "a"]);
    assert_eq!(told(&vm), [0, 0, 190, 0, 0, 0]);
    vm.watch(Pacemaker).gives(190).says(&["'a' is paused by request", "virsh resume"]);
    assert_eq!(vm.state(), "paused", "a monitor has changed something");
}

#[test]
fn a_crashed_machine_that_is_preserved_answers_1_and_stop_ends_it_at_once() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").crashing().written().created();
        vm.becomes("crashed");
        assert_eq!(told(&vm), [1; 6]);
        vm.watch(dialect).gives(1).says(&["crashed"]);
        vm.call(dialect, "start").gives(1).says(&["stop it first"]);
        vm.call(dialect, "stop").gives(0).within(5.0);
        assert_eq!(vm.state(), "absent");
    }
}

#[test]
fn a_machine_that_suspended_itself_is_degraded_and_stop_wakes_and_asks_it_and_ends_it_in_time() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").suspending().written().created();
        vm.becomes("pmsuspended");
        assert_eq!(told(&vm), [0, 0, 190, 0, 0, 0]);
        vm.watch(Pacemaker).gives(190).says(&["dompmwakeup"]);
        // Awake, this guest hears no button.
        vm.call(dialect, "stop").timeout(10.0).gives(0).within(10.0);
        assert!(!vm.lives());
    }
}

#[test]
fn a_machine_paused_by_an_io_error_answers_1_and_stop_ends_it_at_once() {
    let host = Host::up();
    let (disk, socket) = (host.file("disk.img", &"\0".repeat(1 << 20)), host.shared().join("disk.socket"));
    for dialect in BOTH {
        let mut server = Command::new("qemu-nbd");
        let mut server =
            server.args(["-f", "raw", "-t", "-k"]).arg(&socket).arg(&disk).stdin(Stdio::null()).spawn().unwrap();
        until(10, "server of the disk", || socket.exists().then_some(()));
        let vm = host.guest("a").with_network_disk(&socket).written();
        host.virsh(&["create", "--paused", vm.file.to_str().unwrap()]);
        server.kill().unwrap();
        server.wait().unwrap();
        std::fs::remove_file(&socket).unwrap();
        host.virsh(&["resume", "a"]);
        until(30, "I/O error", || host.virsh(&["domstate", "--reason", "a"]).contains("I/O error").then_some(()));
        assert_eq!(told(&vm), [1; 6]);
        vm.watch(dialect).gives(1).says(&["disk I/O error (vda, since 20", "repair the storage"]);
        vm.call(dialect, "start").gives(1).says(&["stop it first"]);
        vm.call(dialect, "stop").gives(0).within(5.0);
    }
}

/// A guest that begins anew keeps its process, so no monitor takes that for an end.
#[test]
fn a_guest_that_reboots_while_the_monitor_looks_is_not_reported_as_stopped() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let qemu = vm.qemu().pid;
    for dialect in BOTH {
        for _ in 0..5 {
            host.virsh(&["reset", "a"]);
            vm.watch(dialect).gives(0);
        }
    }
    assert_eq!(vm.qemu().pid, qemu);
}

#[test]
fn a_machine_without_a_process_does_not_run_and_nobody_waits_to_say_so() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        vm.watch(dialect).timeout(30.0).gives(7).within(2.0);
    }
    vm.call(Pacemaker, "monitor").gives(7).within(2.0);
    vm.call(Ocf, "monitor").gives(7).within(2.0);
    vm.call(Human, "status").gives(7).within(2.0);
}

#[test]
fn a_qemu_that_was_killed_is_reported_as_stopped() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").written().created();
        let qemu = vm.qemu();
        qemu.signal(rustix::process::Signal::KILL);
        qemu.end();
        vm.watch(dialect).gives(7).within(3.5);
        vm.call(dialect, "stop").gives(0).within(2.0);
    }
}

#[test]
fn the_name_of_another_machine_that_begins_the_same_is_not_ours() {
    let host = Host::up();
    let other = host.guest("web-1").written().created();
    for dialect in BOTH {
        for name in ["web", "web-", "eb-1", "web.1", "WEB-1"] {
            let watch = if dialect == Rgmanager { "status" } else { "monitor" };
            host.call(dialect, watch).named(name).gives(7).within(1.5);
            host.call(dialect, "stop").named(name).gives(0);
        }
    }
    assert!(other.lives());
}
