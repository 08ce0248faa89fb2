// SPDX-License-Identifier: GPL-2.0-or-later
//! Machines that stand still or end by themselves, and what their parameters make of that: `on_io_error`, `on_pause`,
//! `on_guest_poweroff`, `reboot_grace`.

use crate::common::*;
use rustix::process::Signal;
use std::path::Path;
use std::process::Stdio;

/// What a recurring monitor calls a machine that is alive, and not as it should be.
fn degraded(dialect: Dialect) -> i32 {
    if dialect == Pacemaker { 190 } else { 0 }
}

/// A guest whose disk lies on a file system that is full before the disk is.
fn on_a_small_disk<'a>(host: &'a Host, name: &str) -> Vm<'a> {
    host.run("mkdir", &["-p", "/small"]);
    host.run("mount", &["-t", "tmpfs", "-o", "size=1m", "small", "/small"]);
    host.run("truncate", &["-s", "4M", "/small/disk.img"]);
    host.guest(name).writing_on(Path::new("/small/disk.img")).written()
}

fn is_paused_by_its_disk(vm: &Vm<'_>) {
    until(60, "I/O error", || vm.host.virsh(&["domstate", "--reason", &vm.name]).contains("I/O error").then_some(()));
}

#[test]
fn a_machine_that_a_full_disk_has_paused_runs_on_when_there_is_room_again() {
    let host = Host::up();
    for (dialect, name) in [(Rgmanager, "a"), (Pacemaker, "b")] {
        let vm = on_a_small_disk(&host, name).created();
        is_paused_by_its_disk(&vm);
        let watch = || vm.watch(dialect).param("on_io_error", "resume");
        let paused = [&format!("'{name}' is paused by a disk I/O error (vda: ENOSPC, since 20")];
        // As it was before there was such a parameter, but for the words.
        vm.watch(dialect).gives(1).says(&[paused[0], "repair the storage"]);
        vm.watch(dialect).param("on_io_error", "leave").gives(degraded(dialect)).tells(&[paused[0]]);
        for call in [vm.call(Pacemaker, "monitor"), vm.call(Human, "monitor")] {
            call.param("on_io_error", "resume").gives(0).tells(&[paused[0], "a recurring monitor resumes it"]);
        }
        assert_eq!(vm.state(), "paused", "somebody but a recurring monitor has resumed it");
        watch().gives(degraded(dialect)).tells(&[paused[0], "again; try 2 of 12 to resume it in 10 s"]);
        assert_eq!(vm.state(), "paused");
        watch().gives(degraded(dialect)).tells(&[paused[0], "; try 2 of 12 to resume it in "]);
        host.run("mount", &["-o", "remount,size=16m", "/small"]);
        let wrote = host.console(name).matches("wrote").count();
        let answer = until(60, "try that is due", || {
            let answer = watch().run();
            (answer.code == 0 && vm.state() == "running").then_some(answer)
        });
        answer.tells(&[&format!("'{name}' runs again: it was paused (vda: ENOSPC, since 20"), "and was resumed"]);
        until(60, "work of the guest", || (host.console(name).matches("wrote").count() > wrote + 2).then_some(()));
        watch().gives(0);
        assert!(!host.console(name).contains("failed"), "the guest has seen an error");
        vm.call(dialect, "stop").param("force_stop", "yes").gives(0);
        host.run("umount", &["/small"]);
    }
}

#[test]
fn a_machine_whose_disk_stays_full_is_given_up_after_twelve_tries_and_its_next_run_has_tries_of_its_own() {
    let host = Host::up();
    let vm = on_a_small_disk(&host, "a").created();
    is_paused_by_its_disk(&vm);
    let watch = |dialect| vm.watch(dialect).param("on_io_error", "resume");
    watch(Pacemaker).gives(190).says(&["try 2 of 12"]);
    let record = host.run("cat", &["/run/vm-agent/a.resumed"]);
    let (run, count) = record.rsplit_once(' ').unwrap().0.rsplit_once(' ').unwrap();
    assert_eq!(count, "1");
    let noted = |count: u32, ago: u64| {
        let now: u64 = host.run("date", &["+%s"]).parse().unwrap();
        host.run("sh", &["-c", &format!("echo -n '{run} {count} {}' >/run/vm-agent/a.resumed", now - ago)]);
    };
    noted(11, 200);
    watch(Pacemaker).gives(190).says(&["try 12 of 12 to resume it in "]);
    noted(11, 300);
    watch(Pacemaker).gives(190).says(&["again; that was the last try"]);
    for dialect in BOTH {
        watch(dialect).gives(1).says(&["it was resumed 12 times in vain"]);
    }
    vm.call(Pacemaker, "monitor").param("on_io_error", "resume").gives(1);
    vm.call(Pacemaker, "stop").gives(0);
    let vm = vm.created();
    is_paused_by_its_disk(&vm);
    vm.watch(Pacemaker).param("on_io_error", "resume").gives(190).says(&["try 2 of 12"]);
}

#[test]
fn a_monitor_resumes_nothing_beside_another_agent() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    host.virsh(&["suspend", "a"]);
    host.run("sh", &["-c", "mkdir -p -m 700 /run/vm-agent; echo -n 'migrate, process 1' >/run/vm-agent/a.lock"]);
    let mut holder = host.command("flock");
    holder.args(["/run/vm-agent/a.lock", "sh", "-c", "echo held; exec sleep 1000"]).stdout(Stdio::piped());
    let mut holder = holder.env("PATH", "/usr/bin:/bin").spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    for dialect in BOTH {
        let answer = vm.watch(dialect).param("on_pause", "resume").gives(degraded(dialect));
        answer.tells(&["'a' is paused by request", "was not resumed: another vm-agent is at it (migrate, process 1)"]);
    }
    assert_eq!(vm.state(), "paused");
    let sleeps = host.processes(|args| args.iter().any(|arg| arg == b"1000"));
    sleeps.iter().for_each(|process| process.signal(Signal::KILL));
    holder.wait().unwrap();
    vm.watch(Pacemaker).param("on_pause", "resume").gives(0);
    assert_eq!(vm.state(), "running");
}

#[test]
fn a_machine_that_somebody_has_paused_is_told_of_resumed_or_failed() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        host.virsh(&["suspend", "a"]);
        vm.watch(dialect).param("on_pause", "warn").gives(degraded(dialect));
        vm.watch(dialect).param("on_pause", "fail").gives(1).says(&["'a' is paused by request (on_pause is fail)"]);
        vm.call(Pacemaker, "monitor").param("on_pause", "resume").gives(0);
        vm.call(Human, "status").param("on_pause", "resume").gives(0);
        assert_eq!(vm.state(), "paused", "somebody but a recurring monitor has resumed it");
        let answer = vm.watch(dialect).param("on_pause", "resume").gives(0);
        answer.tells(&["'a' runs again: it was paused and was resumed"]);
        assert_eq!(vm.state(), "running");
    }
}

#[test]
fn a_guest_that_powers_itself_off_is_told_from_one_that_is_ended() {
    let host = Host::up();
    let watch = |vm: &Vm<'_>| vm.watch(Pacemaker).gives(7);
    let powers_off = |vm: &Vm<'_>| {
        vm.ticks();
        // By QEMU's own hand, so that libvirt has not asked for anything. A guest that has only just booted may miss it.
        until(60, "the guest's end", || {
            let words = ["-q", "qemu-monitor-command", &vm.name, "--hmp", "system_powerdown"];
            let _ = host.command("virsh").args(words).env("PATH", "/usr/bin:/bin").output();
            (!vm.lives() && vm.state() != "running").then_some(())
        });
    };
    let vm = host.guest("a").polite().written().created();
    powers_off(&vm);
    watch(&vm).says(&["'a' was shut down by its guest at 20"]);
    // Where no cluster runs that could be told.
    let answer = vm.watch(Pacemaker).param("on_guest_poweroff", "stopped").gives(7);
    answer.says(&["'a' was shut down by its guest at 20", "the cluster may start it again: crm_resource"]);
    // Others ask about machines that may run anywhere.
    vm.watch(Rgmanager).param("on_guest_poweroff", "stopped").gives(7).says(&["libvirt knows no such domain"]);
    vm.call(Pacemaker, "monitor").gives(7).says(&["libvirt knows no such domain"]);
    for how in ["destroyed", "killed"] {
        let vm = host.guest("a").written().created();
        if how == "killed" {
            let qemu = vm.qemu();
            qemu.signal(Signal::KILL);
            qemu.end();
        } else {
            vm.destroy();
        }
        let answer = vm.watch(Pacemaker).param("on_guest_poweroff", "stopped").gives(7).says(&["no such domain"]);
        assert!(!format!("{answer}").contains("by its guest"), "{how}: {answer}");
    }
    let vm = host.guest("b").polite().written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    host.virsh(&["start", "b"]);
    powers_off(&vm);
    watch(&vm).says(&["'b' was shut down by its guest at 20"]);
    // Without its log libvirt's own word is left.
    host.run("rm", &["/var/log/libvirt/qemu/b.log"]);
    watch(&vm).says(&["'b' is shut off (the guest shut down)"]);
}

#[test]
fn a_machine_that_is_gone_is_looked_for_as_long_as_its_grace_says() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        let mut monitor = vm.watch(dialect).param("reboot_grace", "30").var("HA_debug", "1").spawn();
        monitor.says("wait up to 30 s for a change");
        host.virsh(&["create", vm.file.to_str().unwrap()]);
        let answer = monitor.answer();
        assert_eq!(answer.code, 0, "{answer}");
        vm.destroy();
        let answer = vm.watch(dialect).param("reboot_grace", "1").gives(7);
        assert!(answer.took.as_secs() >= 1, "it was not looked for: {answer}");
        // The answer comes before the timeout.
        vm.watch(dialect).timeout(3.0).param("reboot_grace", "30").gives(7).within(3.0);
        vm.watch(dialect).gives(7).within(2.0);
    }
    vm.call(Pacemaker, "monitor").param("reboot_grace", "30").gives(7).within(2.0);
    vm.call(Human, "status").param("reboot_grace", "30").gives(7).within(2.0);
}
