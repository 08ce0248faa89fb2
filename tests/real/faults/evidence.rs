// SPDX-License-Identifier: GPL-2.0-or-later
//! What the processes say where libvirt knows nothing, or says what is not true any more.

use super::trial::machines;
use crate::common::*;
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

#[test]
fn a_definition_on_silent_storage_keeps_nobody_from_an_answer_and_a_start_waits_for_it() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    let vm = host.guest("a").written();
    std::fs::copy(&vm.file, storage.folder.join("a.xml")).unwrap();
    let file = storage.point.join("a.xml");
    let by_file = |dialect, action: &str| host.call(dialect, action).instance("rsc").param("config", &file);
    let by_name = |dialect, action: &str| host.call(dialect, action).named("a").param("path", &storage.point);
    by_file(VirtualDomain, "start").gives(0);
    storage.hangs("all");
    // Found by its mark.
    by_file(VirtualDomain, "monitor").recurring().timeout(20.0).gives(0).within(7.0);
    by_file(Pacemaker, "monitor").timeout(20.0).gives(0).within(7.0);
    by_file(Rgmanager, "status").timeout(20.0).gives(0).within(4.0);
    by_name(Rgmanager, "status").timeout(20.0).gives(0).within(1.0);
    by_name(Human, "status").timeout(20.0).gives(0).within(6.0);
    by_file(Pacemaker, "validate-all").timeout(20.0).gives(1).within(12.0).says(&["its storage hangs"]);
    by_file(Pacemaker, "stop").timeout(16.0).gives(0).within(16.0);
    assert_eq!(machines(&host), [0; 0]);
    // It is silent for longer than any share, and then a start has its definition.
    for call in [by_file(Pacemaker, "start"), by_name(Pacemaker, "start")] {
        by_name(Pacemaker, "start").timeout(6.0).gives(1).within(6.0).says(&["its storage hangs"]);
        let start = call.timeout(60.0).spawn();
        std::thread::sleep(std::time::Duration::from_secs(14));
        assert!(start.runs(), "it did not wait");
        storage.answers();
        let answer = start.answer();
        assert_eq!(answer.code, 0, "{answer}");
        storage.hangs("all");
        by_name(Pacemaker, "stop").timeout(16.0).gives(0);
    }
}

/// A program that waits for its file with the lock of its memory held: whoever wants to know its arguments waits too.
const LOCKED: &str = r#"
import ctypes, os, sys, threading, time
file = os.open(sys.argv[1], os.O_RDONLY)
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file, ctypes.c_long(0))
_, pipe = os.pipe()
threading.Thread(target=lambda: libc.write(pipe, ctypes.c_void_p(at), ctypes.c_size_t(1)), daemon=True).start()
time.sleep(0.5)
print("locked", flush=True)
libc.mmap(None, ctypes.c_size_t(4096), 1, 34, -1, ctypes.c_long(0))
time.sleep(1000)
"#;

/// What the agent answers, and after how many seconds. (A `Call` looks at the processes itself, and would wait.)
fn asked(host: &Host, vm: &Vm<'_>, action: &str) -> (i32, f32, String) {
    let began = Moment::now();
    let mut command = host.command(host.shared().join("bin/vm"));
    command.arg(action).env("OCF_RESKEY_name", "a").env("OCF_RESKEY_path", &vm.folder);
    command
        .env("OCF_RESKEY_CRM_meta_timeout", "5000")
        .env("OCF_RESOURCE_INSTANCE", "a")
        .env("OCF_ROOT", "/usr/lib/ocf");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), began.elapsed().as_secs_f32(), text)
}

#[test]
fn a_process_whose_memory_is_locked_makes_no_action_wait_for_it() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    std::fs::write(storage.folder.join("mapped"), vec![0; 4096]).unwrap();
    let vm = host.guest("a").written();
    let program = host.file("locked.py", LOCKED);
    // A copy of the interpreter that looks like an emulator.
    let copy = host.shared().join("qemu-system-x86_64");
    std::fs::copy(std::fs::canonicalize("/usr/bin/python3").unwrap(), &copy).unwrap();
    let file = storage.point.join("mapped");
    // As long as it is locked nobody on this machine can list processes with their arguments: so for seconds only.
    let locked = |user: u32, exe: &std::path::Path| {
        let words = [exe, &program, &file].map(|path| path.display().to_string()).join(" ");
        let line = format!("exec setpriv --reuid {user} --clear-groups {words} -name guest=a");
        let mut command = host.command("sh");
        command.args(["-c", &line]).env("PATH", "/usr/bin:/bin").stdout(Stdio::piped()).stderr(Stdio::null());
        storage.hangs("fault");
        let mut child = command.spawn().unwrap();
        let mut word = [0; 7];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
        child
    };
    let ended = |mut child: Child| {
        storage.answers();
        child.kill().unwrap();
        child.wait().unwrap();
        // One that has become another user does not end with whoever entered the host for it.
        for process in host.processes(|args| args.iter().any(|arg| arg == b"guest=a")) {
            process.signal(Signal::KILL);
            process.end();
        }
    };
    host.service("kill", "libvirtd");
    // Another user's, or no emulator: not even asked.
    for (user, exe) in [(65534, copy.as_path()), (0, std::path::Path::new("/usr/bin/python3"))] {
        let child = locked(user, exe);
        let answers = ["monitor", "stop"].map(|action| asked(&host, &vm, action));
        ended(child);
        assert_eq!(answers.each_ref().map(|(code, ..)| *code), [7, 0], "{answers:?}");
        assert!(answers.iter().all(|(_, took, _)| *took < 4.0), "{answers:?}");
    }
    // One of root's that cannot be asked may be the machine: nobody says that it is not, and everybody answers.
    host.service("start", "libvirtd");
    let child = locked(0, &copy);
    let answers = ["monitor", "stop", "start"].map(|action| asked(&host, &vm, action));
    ended(child);
    for (code, took, text) in &answers {
        assert!(*code == 1 && *took < 5.5 && text.contains("does not show its arguments"), "{answers:?}");
    }
    eprintln!("{answers:?}");
    assert_eq!(asked(&host, &vm, "monitor").0, 7);
}

#[test]
fn libvirts_running_is_not_believed_when_its_pid_file_names_nobody() {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call(Pacemaker, "start").gives(0);
    // As after a kill that libvirt did not notice; the file's lock is the real process's, so it is another file.
    let swap = "cd /run/libvirt/qemu && cp -p a.pid kept && echo 3999999 >a.new && mv a.new a.pid";
    host.run("sh", &["-c", swap]);
    for dialect in BOTH {
        vm.watch(dialect).timeout(6.0).gives(1).within(4.0).says(&["the process of 'a' is gone, but libvirt says"]);
    }
    by_hand_says(&vm, 1, "the process of 'a' is gone");
    vm.call(Pacemaker, "start").timeout(4.0).gives(1).says(&["is gone, but libvirt says"]);
    host.run("sh", &["-c", "cd /run/libvirt/qemu && mv kept a.pid"]);
    for dialect in BOTH {
        vm.watch(dialect).timeout(6.0).gives(0).within(1.0);
    }
    vm.call(Pacemaker, "stop").timeout(6.0).gives(0);
}
