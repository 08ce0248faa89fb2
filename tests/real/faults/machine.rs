// SPDX-License-Identifier: GPL-2.0-or-later
//! The host itself: full file systems, processes that only look like the machine, a process table that hides some.

use super::daemon::well;
use super::trial::{After::*, Fault, LEFT, expect};
use crate::common::*;
use std::process::{Child, Stdio};

#[test]
fn full_file_systems_keep_nothing_but_libvirts_start_from_working() {
    let host = Host::up();
    // Before the first start, so that libvirt has written nothing below them yet.
    host.run(
        "sh",
        &["-c", "mount -t tmpfs -o size=2m full /var/log/libvirt/qemu && mount -t tmpfs -o size=2m full /var/tmp"],
    );
    let set = |host: &Host, _: Option<&Process>| {
        let fill = "for folder in /run /tmp; do mount -o remount,size=$(($(du -skx $folder | cut -f1) + 64))k $folder; done\n\
                    for folder in /run /tmp /var/tmp /var/log/libvirt/qemu; do\n\
                    cat /dev/zero >$folder/fill; for i in 1 2 3; do printf x >>$folder/fill; done; done 2>/dev/null; true";
        host.run("sh", &["-c", fill]);
        assert!(
            !host.command("sh").args(["-c", "echo x >/run/x"]).env("PATH", "/bin").output().unwrap().status.success()
        );
    };
    let clear = |host: &Host| {
        let empty = "for folder in /run /tmp; do mount -o remount,size=50% $folder; done\n\
                     rm -f /run/fill /tmp/fill /var/tmp/fill /var/log/libvirt/qemu/fill /run/x";
        host.run("sh", &["-c", empty]);
    };
    well(Fault::new(&host, 24, "/run, /tmp, /var full"))
        .set(set)
        .clear(clear)
        .start(expect(&[1], (5.0, 30.0), Gone, &["/run/libvirt/qemu is full"]))
        .play();
}

/// Programs that have the machine's arguments and are not it.
fn impostors(host: &Host) -> Vec<Child> {
    let xml = host.guest("a").xml();
    let (_, uuid) = xml.split_once("<uuid>").unwrap();
    let uuid = &uuid[..36];
    let args = format!("-name guest=a -uuid {uuid}");
    let lines = [
        // A shell that was started with the words, by root.
        format!("exec bash -c 'sleep {LEFT}; :' qemu-system-x86_64 {args}"),
        // An editor's or a grep's words.
        format!("exec python3 -c 'import time; time.sleep({LEFT})' -name guest=a"),
        // A real emulator of that name, of another user.
        format!(
            "exec setpriv --reuid 65534 --clear-groups qemu-system-x86_64 {args} -S -display none -nodefaults -machine none"
        ),
        // A name that only begins so, by root.
        format!("exec qemu-system-x86_64 -name guest=ab -S -display none -nodefaults -machine none # {LEFT}"),
    ];
    let start = |line: &String| {
        let mut command = host.command("bash");
        command.args(["-c", line]).env("PATH", "/usr/bin:/bin").stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let children = lines.iter().map(start).collect();
    let count = || host.processes(|args| args.iter().any(|arg| arg.starts_with(b"guest=a"))).len();
    until(20, "impostors", || (count() >= 4).then_some(()));
    children
}

#[test]
fn processes_with_the_machines_arguments_are_neither_believed_nor_ended() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let mut children = impostors(&host);
    let mut unharmed =
        || assert!(children.iter_mut().all(|child| child.try_wait().unwrap().is_none()), "one was ended");
    for fault in ["", "kill"] {
        if !fault.is_empty() {
            host.service(fault, "libvirtd");
        }
        for dialect in [Pacemaker, Rgmanager, Ocf] {
            vm.call(dialect, "monitor").timeout(4.0).gives(7);
            vm.call(dialect, "stop").timeout(4.0).gives(0);
            unharmed();
        }
    }
    host.service("start", "libvirtd");
    vm.call(Pacemaker, "start").gives(0);
    assert_eq!(vm.state(), "running");
    vm.call(Pacemaker, "stop").timeout(4.0).gives(0);
    assert_eq!(vm.state(), "absent");
    unharmed();
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn a_process_table_that_hides_others_proves_no_absence() {
    let host = Host::up();
    let set = |host: &Host, _: Option<&Process>| {
        host.service("kill", "libvirtd");
        host.run("mount", &["-o", "remount,hidepid=2", "/proc"]);
        // An agent without the right to see all, as in a container.
        let bin = host.shared().join("bin");
        for name in ["vm", "vm.sh", "vm-agent"] {
            let _ = std::fs::remove_file(bin.join(name));
            host.script(&format!("bin/{name}"), &format!("exec setpriv --bounding-set=-sys_ptrace {AGENT} \"$@\""));
        }
    };
    let clear = |host: &Host| {
        for name in ["vm", "vm.sh", "vm-agent"] {
            let link = host.shared().join("bin").join(name);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(AGENT, link).unwrap();
        }
        host.run("mount", &["-o", "remount,hidepid=0", "/proc"]);
        host.service("start", "libvirtd");
    };
    // libvirt's pid file still names the process, and root may look at it.
    Fault::new(&host, 25, "libvirtd killed, /proc hides processes (hidepid)")
        .set(set)
        .clear(clear)
        .watch(expect(&[0], (0.5, 4.0), Lives, &[]))
        .start_running(expect(&[0], (0.5, 6.0), Lives, &["already runs (process"]))
        .stop(expect(&[0], (4.0, 8.0), Gone, &[]))
        .probe_off(expect(&[1], (4.0, 4.0), Gone, &["hides the processes of other users"]))
        .start(expect(&[1], (4.0, 4.0), Gone, &["not started"]))
        .play();
}
