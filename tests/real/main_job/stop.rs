// SPDX-License-Identifier: GPL-2.0-or-later
//! stop and kill.

use crate::common::*;
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

fn forget_console(host: &Host, name: &str) {
    let _ = std::fs::remove_file(host.shared().join(format!("console-{name}.log")));
}

#[test]
fn stop_shuts_the_guest_down_and_a_second_stop_answers_0() {
    let host = Host::up();
    for dialect in [Rgmanager, Pacemaker, Human] {
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        vm.call(dialect, "stop").gives(0);
        assert_eq!(vm.state(), "absent");
        assert!(host.console("a").contains("button "), "it was not asked");
        vm.call(dialect, "stop").gives(0).within(2.0);
        forget_console(&host, "a");
    }
}

#[test]
fn stop_of_a_name_that_nobody_knows_answers_0() {
    let host = Host::up();
    for dialect in [Rgmanager, Pacemaker, Ocf, Human] {
        host.call(dialect, "stop").named("nobody").gives(0).within(2.0);
    }
}

#[test]
fn a_guest_that_still_boots_is_asked_again_until_it_hears() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().slow_to_boot(3).written();
        vm.call(dialect, "start").gives(0);
        let answer = vm.call(dialect, "stop").gives(0).within(20.0);
        assert!(host.console("a").contains("button "), "it was destroyed: {answer}");
        forget_console(&host, "a");
    }
}

#[test]
fn a_stubborn_guest_is_asked_more_than_once_and_destroyed_within_the_timeout() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").stubborn().written().created();
        vm.ticks();
        let answer = vm.call(dialect, "stop").var("HA_debug", "1").timeout(20.0).gives(0);
        let asked = answer.stderr.matches("step: ask the guest").count();
        assert!(asked > 1, "it was not asked again: {answer}");
        // It tells of each on its console, but may not have come to that when it is destroyed.
        assert!((1..=asked).contains(&host.console("a").matches("button ").count()), "it did not hear: {answer}");
        assert!(answer.stderr.contains("was destroyed after"), "{answer}");
        forget_console(&host, "a");
    }
}

#[test]
fn a_paused_guest_is_resumed_so_that_it_can_shut_down() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        host.virsh(&["suspend", "a"]);
        vm.call(dialect, "stop").gives(0).within(10.0);
        assert!(host.console("a").contains("button "), "it was not asked");
        forget_console(&host, "a");
    }
}

#[test]
fn no_kill_fails_at_the_end_and_the_machine_runs_on() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        for paused in [false, true] {
            if paused {
                host.virsh(&["suspend", "a"]);
            }
            let answer = vm.call(dialect, "stop").param("no_kill", "yes").timeout(4.0).gives(1);
            // On a busy host no time may be left to ask libvirt once more: then its process is told of.
            answer.says(&["'a'", " still ", "no_kill forbids"]);
            // A paused guest is let run, since it could not answer otherwise.
            assert_eq!(vm.state(), "running");
        }
    }
    vm.call(Human, "stop").param("no_kill", "yes").timeout(4.0).gives(1).says(&["no_kill"]);
    // The action kill is what a person asks for by name.
    vm.call(Human, "kill").param("no_kill", "yes").gives(0);
}

#[test]
fn no_kill_shuts_a_polite_guest_down() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        vm.call(dialect, "stop").param("no_kill", "1").gives(0).within(10.0);
        forget_console(&host, "a");
    }
}

#[test]
fn force_stop_and_kill_do_not_ask_the_guest() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().written();
        for (action, force) in [("kill", "no"), ("stop", "1")] {
            vm.call(dialect, "start").gives(0);
            vm.ticks();
            vm.call(dialect, action).param("force_stop", force).gives(0).within(3.0);
            assert!(!host.console("a").contains("button "), "it was asked");
            vm.call(dialect, action).param("force_stop", force).gives(0).within(2.0);
            forget_console(&host, "a");
        }
    }
}

#[test]
fn a_way_to_shut_down_that_the_guest_lacks_is_followed_by_the_next() {
    let host = Host::up();
    for (dialect, modes) in
        [(Rgmanager, "acpi"), (Pacemaker, "agent,acpi"), (Rgmanager, "agent acpi"), (Human, "agent")]
    {
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        vm.call(dialect, "stop").param("shutdown_mode", modes).gives(0).within(10.0);
        assert!(host.console("a").contains("button "), "it was not asked");
        forget_console(&host, "a");
    }
}

#[test]
fn stop_answers_at_the_guests_end_and_does_not_poll() {
    let host = Host::up();
    let mut after = Vec::new();
    for dialect in [Rgmanager, Pacemaker, Human, Rgmanager, Pacemaker] {
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        let (qemu, mut events) = (vm.qemu(), Events::of(&vm));
        let stop = vm.call(dialect, "stop").spawn();
        let process_end = qemu.end();
        let end = events.wait("Stopped");
        let answer = stop.answer().ended;
        println!("{dialect:?}: answered {:?} after libvirt's word", answer.since(end));
        println!("  and {:?} after the process's end", answer.since(process_end));
        after.push(answer.since(end));
        forget_console(&host, "a");
    }
    after.sort();
    // An agent that polled each second would need half of one; the middle one of several forgives a busy machine.
    assert!(after[2] < Duration::from_millis(50), "{after:?}");
}

#[test]
fn stop_notices_an_end_that_it_did_not_cause() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").written().created();
        let mut events = Events::of(&vm);
        let mut stop = vm.call(dialect, "stop").var("HA_debug", "1").timeout(60.0).spawn();
        stop.says("step: ask the guest");
        vm.destroy();
        let end = events.wait("Stopped");
        let answer = stop.answer();
        assert_eq!(answer.code, 0, "{answer}");
        let after = answer.ended.since(end);
        println!("{dialect:?}: answered {after:?} after libvirt's word");
        assert!(after < Duration::from_millis(500), "{after:?} {answer}");
    }
}

/// libvirt's events about a machine, as virsh prints them.
struct Events {
    virsh: std::process::Child,
    lines: std::sync::mpsc::Receiver<(Moment, String)>,
}

impl Events {
    fn of(vm: &Vm<'_>) -> Self {
        let mut command = vm.host.command("stdbuf");
        command.args(["-oL", "virsh", "-q", "-c", "qemu:///system", "event", "--loop", "--event", "lifecycle"]);
        let mut virsh = command.args(["--domain", &vm.name]).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let stdout = BufReader::new(virsh.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send((Moment::now(), line));
            }
        });
        let events = Self { virsh, lines };
        // Nothing tells that virsh listens, but an event that it hears.
        until(10, "event", || {
            vm.host.virsh(&["suspend", &vm.name]);
            vm.host.virsh(&["resume", &vm.name]);
            events.lines.try_recv().ok()
        });
        events
    }

    fn wait(&mut self, word: &str) -> Moment {
        loop {
            let (when, line) = self.lines.recv_timeout(Duration::from_secs(60)).unwrap();
            if line.contains(word) {
                return when;
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.virsh.kill();
        let _ = self.virsh.wait();
    }
}

#[test]
fn a_qemu_that_hangs_is_ended_within_the_timeout() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    vm.qemu().signal(Signal::STOP);
    vm.watch(Rgmanager).gives(0).within(2.0);
    vm.watch(Pacemaker).gives(0).within(2.0);
    vm.call(Pacemaker, "stop").timeout(30.0).gives(0);
}

#[test]
fn stop_of_a_machine_that_is_not_there_needs_no_daemon() {
    let host = Host::up();
    let vm = host.guest("a").written();
    host.service("kill", "libvirtd");
    for dialect in [Rgmanager, Pacemaker, Human] {
        vm.call(dialect, "stop").gives(0).within(3.0);
        vm.call(dialect, "monitor").timeout(3.0).gives(7);
    }
    vm.watch(Pacemaker).timeout(3.0).gives(7).within(3.0);
}

#[test]
fn without_the_daemon_a_running_machine_is_seen_and_stopped_by_its_process() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").written().created();
        host.service("kill", "libvirtd");
        vm.watch(dialect).gives(0);
        vm.call(dialect, "start").gives(0);
        vm.call(dialect, "stop").param("no_kill", "yes").timeout(4.0).gives(1).says(&["no_kill"]);
        assert!(vm.lives());
        vm.call(dialect, "stop").timeout(8.0).gives(0);
        host.service("start", "libvirtd");
        until(20, "libvirtd", || (host.state("a") == "absent").then_some(()));
    }
}

#[test]
fn a_guest_that_begins_anew_when_it_is_asked_to_shut_down_is_destroyed_in_its_firmware() {
    let host = Host::up();
    let restarts = |name| {
        let guest = host.guest(name).polite().slow_to_boot(6);
        guest.edit("<on_poweroff>destroy", "<on_poweroff>restart").written()
    };
    let vm = restarts("a");
    let boots = || host.console("a").matches("boot ").count();
    for (dialect, created) in [(Rgmanager, false), (Pacemaker, false), (Pacemaker, true)] {
        let before = boots();
        if created {
            host.virsh(&["create", vm.file.to_str().unwrap()]);
        } else {
            vm.call(dialect, "start").gives(0);
        }
        until(60, "its boot", || (boots() > before).then_some(()));
        std::thread::sleep(std::time::Duration::from_secs(1));
        let answer = vm.call(dialect, "stop").timeout(90.0).gives(0).within(20.0);
        assert!(answer.stderr.contains("rebooted when it was asked") || dialect == Rgmanager, "{answer}");
        assert_eq!(boots(), before + 1, "it came up again: {answer}");
        // no_kill forbids it.
        if created {
            let again = restarts("b").created();
            again.ticks();
            again.call(dialect, "stop").param("no_kill", "yes").timeout(8.0).gives(1).says(&["no_kill forbids"]);
            assert!(again.lives());
        }
    }
}
