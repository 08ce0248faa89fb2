// SPDX-License-Identifier: GPL-2.0-or-later
//! start.

use crate::common::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

#[test]
fn start_creates_the_machine_and_a_second_start_leaves_it_alone() {
    let host = Host::up();
    for dialect in [Rgmanager, Pacemaker, VirtualDomain, Ocf, Human] {
        let vm = host.guest("a").written();
        vm.call(dialect, "start").gives(0);
        let first = vm.qemu().pid;
        vm.call(dialect, "start").gives(0).within(2.0);
        assert_eq!((vm.state().as_str(), vm.qemu().pid), ("running", first));
        assert_eq!(host.virsh(&["list", "--persistent", "--all", "--name"]), "", "a definition was left with libvirt");
        vm.destroy();
    }
}

/// rgmanager starts what runs already after each change of its configuration; that must not undo what a person did.
#[test]
fn start_leaves_a_machine_paused_that_a_person_paused() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in [Rgmanager, Pacemaker, Human] {
        host.virsh(&["suspend", "a"]);
        let before = vm.qemu().pid;
        let answer = vm.call(dialect, "start").gives(0);
        assert_eq!((vm.state().as_str(), vm.qemu().pid), ("paused", before), "{answer}");
        assert!(answer.to_string().contains("left so; resume it with 'virsh resume'"), "{answer}");
        if dialect != Human {
            assert!(answer.stderr.contains("WARNING"), "no warning: {answer}");
        }
        host.virsh(&["resume", "a"]);
    }
}

/// What is left of a migration looks like this too, so it is a person's to resume.
#[test]
fn start_leaves_alone_a_machine_that_is_paused_for_a_reason_that_nobody_knows() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in [Rgmanager, Pacemaker, Human] {
        // QEMU is told behind libvirt's back, which cannot know why it stands still.
        host.virsh(&["qemu-monitor-command", "--hmp", "a", "stop"]);
        is_paused(&vm, "paused (unknown)");
        let before = vm.qemu().pid;
        let answer = vm.call(dialect, "start").gives(0);
        assert!(answer.to_string().contains("resume it with 'virsh resume'"), "{answer}");
        assert_eq!((vm.state().as_str(), vm.qemu().pid), ("paused", before), "{answer}");
        host.virsh(&["resume", "a"]);
    }
}

#[test]
fn start_leaves_a_machine_paused_that_was_restored_paused_from_a_snapshot() {
    let host = Host::up();
    let disk = host.shared().join("disk.qcow2");
    host.run("qemu-img", &["create", "-q", "-f", "qcow2", disk.to_str().unwrap(), "1M"]);
    let vm = host.guest("a").option("--disk", disk.to_str().unwrap()).written().created();
    host.virsh(&["snapshot-create-as", "a", "earlier"]);
    for dialect in [Rgmanager, Pacemaker, Human] {
        host.virsh(&["snapshot-revert", "a", "earlier", "--paused"]);
        is_paused(&vm, "paused (from snapshot)");
        let before = vm.qemu().pid;
        let answer = vm.call(dialect, "start").gives(0);
        assert_eq!((vm.state().as_str(), vm.qemu().pid), ("paused", before), "{answer}");
        assert!(answer.to_string().contains("left so; resume it with 'virsh resume'"), "{answer}");
    }
}

/// An agent pauses a guest that cannot be moved otherwise, and resumes it; one that was killed meanwhile did not. It puts on
/// record that it will: what a person has paused beside a move that was cut short stays so.
#[test]
fn start_resumes_a_machine_that_was_paused_for_a_migration_whose_agent_is_gone_and_no_other() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for (stage, state) in [("pausing", "running"), ("begun", "paused")] {
        for dialect in [Rgmanager, Pacemaker, Human] {
            vm.call(dialect, "start").gives(0);
            let record = format!("printf '{stage} qemu+ssh://node2/system' >/run/vm-agent/a.target");
            host.run("sh", &["-c", &record]);
            host.virsh(&["suspend", "a"]);
            let before = vm.qemu().pid;
            let answer = vm.call(dialect, "start").gives(0);
            assert_eq!((vm.state().as_str(), vm.qemu().pid), (state, before), "{stage}: {answer}");
            vm.destroy();
        }
    }
}

fn is_paused(vm: &Vm<'_>, how: &str) {
    until(10, how, || (vm.host.virsh(&["domstate", "--reason", &vm.name]) == how).then_some(()));
}

#[test]
fn a_start_that_libvirt_refuses_says_so_in_libvirts_words() {
    let host = Host::up();
    let vm = host.guest("a").edit("/usr/bin/qemu-system-x86_64", "/no/such/emulator").written();
    for dialect in BOTH {
        vm.call(dialect, "start").gives(1).says(&["'a' was not started", "/no/such/emulator"]);
        vm.watch(dialect).gives(7).within(1.5);
    }
}

#[test]
fn start_refuses_parameters_that_cannot_be_used_and_stop_and_monitor_do_not_care() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        for (name, value, expected) in [
            ("use_virsh", "perhaps", "expected yes or no"),
            ("snapshot", "lib/states", "is not a full path"),
            ("stateless", "true", "refused for good"),
        ] {
            vm.call(dialect, "start").param(name, value).gives(6).says(&[name, value, expected]);
            vm.call(dialect, "validate-all").param(name, value).gives(6).says(&[name]);
            assert_eq!(vm.state(), "absent");
            vm.call(dialect, "start").gives(0);
            vm.watch(dialect).param(name, value).gives(if dialect == Pacemaker { 190 } else { 0 });
            vm.call(dialect, "stop").param(name, value).timeout(8.0).gives(0);
            vm.call(dialect, "stop").param(name, value).gives(0);
        }
    }
}

#[test]
fn start_waits_until_the_guests_check_succeeds() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let count = host.shared().join("count");
    let script = format!("echo >>{0}; [ $(wc -l <{0}) -ge 3 ]", count.display());
    let program = host.script("third-time", &script);
    for (dialect, param) in
        [(Rgmanager, "status_program"), (Pacemaker, "status_program"), (Pacemaker, "monitor_scripts")]
    {
        let value = if param == "status_program" { script.clone().into() } else { program.clone().into_os_string() };
        vm.call(dialect, "start").param(param, value).gives(0);
        assert_eq!(std::fs::read_to_string(&count).unwrap().lines().count(), 3);
        std::fs::remove_file(&count).unwrap();
        vm.destroy();
    }
}

#[test]
fn a_start_whose_check_never_succeeds_fails_in_time() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        for (program, said) in [("echo not yet >&2; exit 7", "not yet"), ("sleep 271828", "did not end")] {
            let call = vm.call(dialect, "start").param("status_program", program).timeout(4.0);
            call.gives(1).says(&["check", said]);
            assert!(vm.lives());
            vm.destroy();
        }
    }
}

const SILENT: &str = "test+unix:///default?socket=/nowhere";

#[test]
fn nothing_is_started_while_it_cannot_be_known_whether_it_runs() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        // No daemon for this hypervisor answers here, and no process could prove anything.
        let call = |action: &str| vm.call_by_name(dialect, action).param("hypervisor", SILENT).timeout(2.0);
        call("start").gives(1);
        call("stop").gives(1);
        call(if dialect == Rgmanager { "status" } else { "monitor" }).gives(1);
        assert!(!vm.lives());
    }
    vm.call_by_name(Pacemaker, "monitor").param("hypervisor", SILENT).recurring().timeout(3.0).gives(1);
}

#[test]
fn a_process_that_libvirt_has_lost_keeps_a_second_copy_from_being_started_and_stop_ends_it() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").written().created();
        host.service("kill", "libvirtd");
        host.run("sh", &["-c", "rm -f /run/libvirt/qemu/a.xml"]);
        host.service("start", "libvirtd");
        until(20, "libvirtd that has lost it", || (host.state("a") == "absent").then_some(()));
        let before = vm.qemu().pid;
        vm.call(dialect, "start").timeout(3.0).gives(1).says(&["second copy"]);
        vm.watch(dialect).timeout(3.0).gives(1);
        assert_eq!(vm.qemu().pid, before);
        vm.call(dialect, "stop").timeout(10.0).gives(0);
    }
}

/// What libvirt puts in front of it (the time, the emulator's name, a command line) is cut off by no manager any more.
#[test]
fn a_refused_start_says_the_cause() {
    let host = Host::up();
    let disk = host.file("disk.img", &"x".repeat(1 << 20));
    let guest = |name: &str| host.guest(name).option("--disk", disk.to_str().unwrap());
    let (first, second) = (guest("a").written(), guest("b").written());
    // What this one says is still on its way to the log when libvirt has seen its end.
    let late = host.folder("late").join("qemu");
    let text = "#!/bin/bash\nlater() {\n\
                for fd in /proc/self/fd/*; do [ ${fd##*/} -lt 3 ] || eval \"exec ${fd##*/}>&-\"; done\n\
                words=$(cat); sleep 0.5; echo \"$words\" >&2\n}\n\
                [[ $* != *guest=c* ]] || exec 2> >(later)\n\
                exec /usr/bin/qemu-system-x86_64 \"$@\"\n";
    std::fs::write(&late, text).unwrap();
    std::fs::set_permissions(&late, Permissions::from_mode(0o755)).unwrap();
    let emulator = |path: &str| format!("<emulator>{path}</emulator>");
    let late = guest("c").edit(&emulator("/usr/bin/qemu-system-x86_64"), &emulator(late.to_str().unwrap())).written();
    first.call(Pacemaker, "start").gives(0);
    let refused = |vm: &Vm<'_>, use_virsh: &str, by_name: bool| {
        let start = if by_name { vm.call_by_name(Pacemaker, "start") } else { vm.call(Pacemaker, "start") };
        let answer = start.param("guard", "off").param("use_virsh", use_virsh).gives(1);
        assert!(!answer.reason.contains("qemu-system"), "{answer}");
        answer.says(&[&format!("{} is open elsewhere (QEMU's lock on it)", disk.display())]);
    };
    for use_virsh in ["no", "yes"] {
        refused(&second, use_virsh, false);
        refused(&late, use_virsh, false);
    }
    host.virsh(&["define", late.file.to_str().unwrap()]);
    refused(&late, "no", true);
    first.destroy();
    host.run(
        "sh",
        &[
            "-c",
            "mkdir -p /etc/libvirt/hooks && cp \"$1\" /etc/libvirt/hooks/qemu",
            "sh",
            host.script("hook", "echo no storage today >&2; exit 1").to_str().unwrap(),
        ],
    );
    host.service("stop", "libvirtd");
    host.service("start", "libvirtd");
    for use_virsh in ["no", "yes"] {
        let answer = second.call(Pacemaker, "start").param("use_virsh", use_virsh).gives(1);
        answer.says(&["a hook of libvirt's refused it: ", "no storage today"]);
    }
}
