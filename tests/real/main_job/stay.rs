// SPDX-License-Identifier: GPL-2.0-or-later
//! `monitor_wait`: a recurring monitor that stays with a machine that runs well, and tells of a change when it comes.

use crate::common::*;
use rustix::process::Signal;
use std::time::Duration;

/// Pacemaker's recurring monitor, which may stay so many seconds; its timeout is more than twice that.
fn monitor<'a>(vm: &Vm<'a>, seconds: u32) -> Call<'a> {
    let call = vm.watch(Pacemaker).param("monitor_wait", seconds.to_string());
    call.timeout(f64::from(seconds) * 2.0 + 10.0).var("HA_debug", "1")
}

/// One that stays: the first of a run has answered.
fn stays<'a>(vm: &Vm<'a>, seconds: u32) -> Running<'a> {
    let mut running = monitor(vm, seconds).spawn();
    // It takes the record and asks for libvirt's events, looks once more, and then stays.
    running.says("for what may happen to it\nDEBUG: seen after");
    running
}

fn first(vm: &Vm<'_>) {
    let answer = monitor(vm, 20).gives(0);
    assert!(answer.took < Duration::from_secs(20), "the first monitor has stayed: {answer}");
}

#[test]
fn the_first_monitor_of_a_run_answers_at_once_and_the_next_one_stays() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    first(&vm);
    let stayed = |seconds| {
        let answer = monitor(&vm, seconds).gives(0);
        assert!(answer.took >= Duration::from_secs(seconds.into()), "it has not stayed: {answer}");
    };
    stayed(2);
    stayed(2);
    // Another run of it.
    vm.destroy();
    first(&vm.created());
}

#[test]
fn after_a_probe_and_after_a_monitor_that_was_killed_the_next_one_answers_at_once() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    first(&vm);
    vm.call(Pacemaker, "monitor").param("monitor_wait", "20").gives(0);
    first(&vm);
    stays(&vm, 20).kill();
    first(&vm);
}

#[test]
fn an_end_is_told_when_it_comes() {
    let host = Host::up();
    for (name, how) in [("a", "killed"), ("b", "destroyed"), ("c", "shut down by its guest"), ("d", "suspended")] {
        let vm = host.guest(name).polite().written().created();
        vm.ticks();
        first(&vm);
        let running = stays(&vm, 100);
        let code = match how {
            "killed" => {
                vm.qemu().signal(Signal::KILL);
                7
            }
            "destroyed" => {
                vm.destroy();
                7
            }
            "suspended" => {
                host.virsh(&["suspend", name]);
                190
            }
            _ => {
                // A guest that has only just booted may miss the button.
                until(60, "the guest's end", || {
                    let _ = host.command("virsh").args(["shutdown", name]).output();
                    (!vm.lives()).then_some(())
                });
                7
            }
        };
        let answer = running.answer();
        assert_eq!(answer.code, code, "{how}: {answer}");
        assert!(answer.took < Duration::from_secs(100), "{how}: {answer}");
    }
}

#[test]
fn a_reboot_and_a_libvirtd_that_restarts_are_no_end() {
    let host = Host::up();
    let vm = host.guest("a").polite().written().created();
    vm.ticks();
    first(&vm);
    let running = stays(&vm, 10);
    host.virsh(&["reset", "a"]);
    host.service("kill", "libvirtd");
    host.service("start", "libvirtd");
    let answer = running.answer();
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.took >= Duration::from_secs(10), "it has not stayed: {answer}");
}

#[test]
fn an_end_is_told_also_while_libvirtd_is_dead() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    first(&vm);
    let running = stays(&vm, 100);
    let qemu = vm.qemu();
    host.service("kill", "libvirtd");
    qemu.signal(Signal::KILL);
    let answer = running.answer();
    assert_eq!(answer.code, 7, "{answer}");
    assert!(answer.took < Duration::from_secs(100), "{answer}");
}
