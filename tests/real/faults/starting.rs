// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirt takes its time: in the middle of a start, behind a domain that has ended, or for everybody.

use crate::common::*;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A hook of libvirt's that says where it is, and stays there as long as it is held.
fn hooked(host: &Host) {
    let hook = "echo \"$2 $1\" >>/run/hooks\nwhile [ -e \"/run/hold-$2-$1\" ]; do sleep 0.05; done\necho \"$2 $1 done\" >>/run/hooks";
    let script = host.script("hook", hook);
    host.run("mkdir", &["-p", "/etc/libvirt/hooks"]);
    host.run("cp", &[script.to_str().unwrap(), "/etc/libvirt/hooks/qemu"]);
    restart(host);
}

/// libvirt looks for its hooks, and reads its configuration, when it starts.
fn restart(host: &Host) {
    host.service("stop", "libvirtd");
    host.service("start", "libvirtd");
}

fn hold(host: &Host, hook: &str) {
    host.run("sh", &["-c", &format!(": >/run/hooks; touch /run/hold-{hook}")]);
}

fn release(host: &Host, hook: &str) {
    host.run("rm", &["-f", &format!("/run/hold-{hook}")]);
}

fn hooks(host: &Host) -> String {
    host.run("sh", &["-c", "cat /run/hooks 2>/dev/null; true"])
}

/// Waits until libvirt is at a hook.
fn at(host: &Host, hook: &str) {
    let line = hook.replacen('-', " ", 1);
    until(20, &format!("{hook} hook"), || hooks(host).lines().any(|said| said == line).then_some(()));
}

/// A start at which libvirt is, and whose agent was killed.
fn loses_its_agent(host: &Host, vm: &Vm<'_>, dialect: Dialect) {
    hold(host, "prepare-a");
    let start = vm.call(dialect, "start").spawn();
    at(host, "prepare-a");
    start.kill_group();
}

fn on_record(host: &Host) -> bool {
    !host.run("sh", &["-c", "ls /run/vm-agent/a.starting 2>/dev/null; true"]).is_empty()
}

#[test]
fn a_start_that_libvirt_is_still_at_is_no_stopped_machine() {
    let host = Host::up();
    hooked(&host);
    let vm = host.guest("a").written();
    for dialect in BOTH {
        hold(&host, "prepare-a");
        let start = vm.call(dialect, "start").timeout(10.0).gives(1);
        start.says(&["libvirt is still starting 'a'", "storage, a hook"]);
        assert!(on_record(&host));
        let busy = ["libvirt is still starting 'a'"];
        vm.call(dialect, "stop").timeout(8.0).gives(1).says(&busy);
        vm.call(dialect, "start").timeout(4.0).gives(1).says(&busy);
        vm.call(Pacemaker, "monitor").timeout(6.0).gives(1).says(&busy);
        assert!(on_record(&host) && !vm.lives());
        // What a stop had called stopped would come up now.
        release(&host, "prepare-a");
        vm.becomes("running");
        vm.watch(dialect).gives(0);
        assert!(!on_record(&host), "it was seen to run");
        vm.call(dialect, "stop").timeout(8.0).gives(0);
        assert_eq!(vm.state(), "absent");
    }
}

#[test]
fn a_stop_that_waits_for_a_start_whose_agent_was_killed_ends_what_comes_up() {
    let host = Host::up();
    hooked(&host);
    let vm = host.guest("a").written();
    for dialect in BOTH {
        loses_its_agent(&host, &vm, dialect);
        until(10, "end of the worker", || {
            let worker = |args: &[Vec<u8>]| args[0].ends_with(b"vm-agent-libvirt");
            host.processes(worker).is_empty().then_some(())
        });
        vm.call(dialect, "stop").timeout(6.0).gives(1).says(&["libvirt is still starting 'a'"]);
        let stop = vm.call(dialect, "stop").timeout(40.0).spawn();
        std::thread::sleep(Duration::from_secs(6));
        assert!(stop.runs() && on_record(&host));
        release(&host, "prepare-a");
        assert_eq!(stop.answer().code, 0);
        assert_eq!((vm.state().as_str(), vm.lives(), on_record(&host)), ("absent", false, false));
    }
}

#[test]
fn a_daemon_that_is_silent_in_the_middle_of_a_start_proves_nothing_until_it_has_ended() {
    let host = Host::up();
    hooked(&host);
    let vm = host.guest("a").written();
    for dialect in BOTH {
        loses_its_agent(&host, &vm, dialect);
        host.service("freeze", "libvirtd");
        vm.call(dialect, "stop")
            .timeout(8.0)
            .gives(1)
            .says(&["libvirt is still starting 'a'", "daemon does not answer"]);
        // A start ends with its daemon, however silent the next one is.
        host.service("kill", "libvirtd");
        if dialect == Pacemaker {
            release(&host, "prepare-a");
            host.service("start", "libvirtd");
            host.service("freeze", "libvirtd");
        }
        vm.call(dialect, "stop").timeout(8.0).gives(0);
        assert!(!on_record(&host));
        release(&host, "prepare-a");
        host.service(if dialect == Pacemaker { "thaw" } else { "start" }, "libvirtd");
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!((vm.state().as_str(), vm.lives()), ("absent", false));
    }
}

/// libvirt answers at once that it knows no such domain, and makes it when one of its workers gets free.
#[test]
fn a_start_that_stands_in_libvirts_queue_is_not_over() {
    let host = Host::up();
    let conf = "printf 'min_workers = 1\\nmax_workers = 1\\n' >>/etc/libvirt/libvirtd.conf";
    host.run("sh", &["-c", conf]);
    hooked(&host);
    let (vm, other) = (host.guest("a").written(), host.guest("b").written());
    hold(&host, "prepare-b");
    let before = vm.call(Human, "start").timeout(60.0).named("b").param("path", &other.folder).spawn();
    at(&host, "prepare-b");
    let start = vm.call(Human, "start").spawn();
    // One of libvirt's own that hangs with the first start would take the second one.
    let queued = || host.run("virt-admin", &["-q", "srv-threadpool-info", "libvirtd"]);
    let waits = |line: &str| line.starts_with("jobQueueDepth") && line.trim_end().ends_with(": 1");
    until(20, "a start in libvirt's queue", || queued().lines().any(waits).then_some(()));
    assert!(on_record(&host));
    start.kill_group();
    vm.call(Human, "stop").timeout(6.0).gives(1).says(&["libvirt may still start 'a'"]);
    for dialect in BOTH {
        vm.call(dialect, "stop").timeout(6.0).gives(1);
        vm.call(Pacemaker, "monitor").timeout(6.0).gives(1);
    }
    let stop = vm.call(Pacemaker, "stop").timeout(40.0).spawn();
    std::thread::sleep(Duration::from_secs(2));
    release(&host, "prepare-b");
    assert_eq!(stop.answer().code, 0);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((vm.state().as_str(), vm.lives(), on_record(&host)), ("absent", false, false));
    assert_eq!(before.answer().code, 0);
}

#[test]
fn an_emulator_that_was_never_told_to_run_is_no_running_machine() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        let start = vm.call(dialect, "start").timeout(12.0).spawn();
        until(20, "emulator", || vm.lives().then_some(()));
        host.service("freeze", "libvirtd");
        let start = start.answer();
        assert_eq!(start.code, 1, "{start}");
        let words = ["libvirt is still starting 'a': its process", "not told to run"];
        let start = start.says(&words);
        println!("{dialect:?} {:.1} s: {}", start.took.as_secs_f32(), start.reason);
        vm.call(dialect, "start").timeout(4.0).gives(1).says(&words);
        vm.call(Pacemaker, "monitor").timeout(6.0).gives(1).says(&words);
        vm.watch(dialect).timeout(6.0).gives(1).says(&words);
        let stop = vm.call(dialect, "stop").timeout(12.0).gives(0);
        println!("{dialect:?} {:.1} s: {}", stop.took.as_secs_f32(), stop.reason);
        assert!(!on_record(&host));
        host.service("thaw", "libvirtd");
        vm.becomes("absent");
        assert!(!vm.lives());
    }
}

/// The emulator waits for its disk, and libvirt for the emulator.
#[test]
fn an_emulator_that_waits_for_its_disk_is_no_running_machine_and_a_stop_ends_it() {
    let host = Host::up();
    let fifo = host.shared().join("disk.fifo");
    host.run("mkfifo", &[fifo.to_str().unwrap()]);
    let vm = host.guest("a").option("--disk", fifo.to_str().unwrap()).written();
    for dialect in BOTH {
        let start = vm.call(dialect, "start").timeout(8.0).gives(1).says(&["is paused while it is being started"]);
        println!("{dialect:?} {:.1} s: {}", start.took.as_secs_f32(), start.reason);
        vm.call(Pacemaker, "monitor").timeout(6.0).gives(1).says(&["libvirt is still starting 'a'"]);
        vm.watch(dialect).timeout(6.0).gives(1).says(&["libvirt is still starting 'a'"]);
        let stop = vm.call(dialect, "stop").timeout(30.0).gives(0);
        println!("{dialect:?} {:.1} s: {}", stop.took.as_secs_f32(), stop.stderr.trim());
        vm.becomes("absent");
        assert!(!vm.lives() && !on_record(&host));
    }
}

#[test]
fn a_start_waits_for_a_daemon_that_is_silent_in_the_middle_of_it() {
    let host = Host::up();
    let vm = host.guest("a").polite().written();
    for dialect in BOTH {
        let start = vm.call(dialect, "start").timeout(40.0).spawn();
        until(20, "emulator", || vm.lives().then_some(()));
        host.service("freeze", "libvirtd");
        std::thread::sleep(Duration::from_secs(8));
        assert!(start.runs());
        host.service("thaw", "libvirtd");
        assert_eq!(start.answer().code, 0);
        assert!(!on_record(&host));
        // It runs by libvirt's own word, which lasts.
        host.service("freeze", "libvirtd");
        vm.watch(dialect).timeout(6.0).gives(0);
        vm.call(dialect, "start").timeout(6.0).gives(0);
        host.service("thaw", "libvirtd");
        vm.destroy();
    }
}

#[test]
fn a_stop_waits_until_libvirt_has_cleared_up_behind_the_machine() {
    let host = Host::up();
    hooked(&host);
    for hook in ["stopped-a", "release-a"] {
        for (dialect, force) in [(Pacemaker, "no"), (Rgmanager, "yes")] {
            let vm = host.guest("a").polite().written();
            let _ = std::fs::remove_file(host.shared().join("console-a.log"));
            vm.call(dialect, "start").gives(0);
            vm.ticks();
            hold(&host, hook);
            let stop = vm.call(dialect, "stop").param("force_stop", force).timeout(40.0).spawn();
            at(&host, hook);
            until(5, "end of the process", || (!vm.lives()).then_some(()));
            // A start does not go ahead beside it.
            let start = vm.call(Human, "start").timeout(60.0).spawn();
            std::thread::sleep(Duration::from_secs(7));
            assert!(stop.runs() && start.runs() && !vm.lives());
            release(&host, hook);
            let stop = stop.answer();
            assert_eq!(stop.code, 0, "{stop}");
            assert!(hooks(&host).contains("release a done"), "{}", hooks(&host));
            assert!(!stop.stderr.contains("not through with it"), "{stop}");
            assert_eq!(start.answer().code, 0);
            assert_eq!(vm.state(), "running");
            vm.destroy();
        }
    }
}

#[test]
fn a_stop_says_at_its_deadline_that_libvirt_is_still_clearing_up_and_a_start_waits_for_that() {
    let host = Host::up();
    hooked(&host);
    let vm = host.guest("a").written();
    for dialect in BOTH {
        vm.call(dialect, "start").gives(0);
        hold(&host, "release-a");
        let stop = vm.call(dialect, "stop").param("force_stop", "yes").timeout(8.0).gives(0);
        assert!(stop.to_string().contains("its process is gone, libvirt is not through with it yet"), "{stop}");
        assert!(!vm.lives() && !hooks(&host).contains("release a done"));
        vm.call(dialect, "start").timeout(4.0).gives(1).says(&["cannot tell whether 'a' is running: libvirt is busy"]);
        let start = vm.call(dialect, "start").timeout(30.0).spawn();
        std::thread::sleep(Duration::from_secs(2));
        assert!(start.runs() && !vm.lives());
        release(&host, "release-a");
        assert_eq!(start.answer().code, 0);
        vm.destroy();
    }
}

/// A slow daemon gets what a slow guest gets: only with it can the guest be asked.
#[test]
fn a_guest_is_asked_when_libvirt_was_silent_for_a_part_of_the_stop() {
    let host = Host::up();
    host.run("sh", &["-c", "printf 'max_clients = 30\\n' >>/etc/libvirt/libvirtd.conf"]);
    restart(&host);
    for (dialect, full) in [(Pacemaker, false), (Rgmanager, true)] {
        let _ = std::fs::remove_file(host.shared().join("console-a.log"));
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        let clients: Vec<UnixStream> = if full {
            let socket = super::daemon::folder(&host).join("libvirt-sock-ro");
            (0..40).map(|_| UnixStream::connect(&socket).unwrap()).collect()
        } else {
            host.service("freeze", "libvirtd");
            Vec::new()
        };
        let began = Instant::now();
        let stop = vm.call(dialect, "stop").timeout(40.0).spawn();
        // More than a quarter of the timeout.
        std::thread::sleep(Duration::from_secs(14));
        assert!(vm.lives(), "it was ended after {:?}", began.elapsed());
        drop(clients);
        if !full {
            host.service("thaw", "libvirtd");
        }
        let stop = stop.answer();
        assert_eq!(stop.code, 0, "{stop}");
        assert!(stop.stderr.contains("shut down after") && !stop.stderr.contains("SIGTERM"), "{stop}");
        assert_eq!(vm.state(), "absent");
    }
}

#[test]
fn a_read_only_socket_that_does_not_serve_leaves_the_other() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let socket = super::daemon::folder(&host).join("libvirt-sock-ro");
    let away = socket.with_extension("away");
    for silent in [false, true] {
        std::fs::rename(&socket, &away).unwrap();
        let listener = silent.then(|| std::os::unix::net::UnixListener::bind(&socket).unwrap());
        for dialect in BOTH {
            vm.call(dialect, "start").gives(0);
            vm.watch(dialect).timeout(8.0).gives(0);
            let probe = vm.call(Human, "status").gives(0);
            assert!(probe.stdout.contains("state       running"), "{probe}");
            let stop = vm.call(dialect, "stop").param("force_stop", "yes").timeout(20.0).gives(0);
            assert!(stop.stderr.contains("was destroyed after") && !stop.stderr.contains("SIGTERM"), "{stop}");
        }
        drop(listener);
        std::fs::rename(&away, &socket).unwrap();
    }
}
