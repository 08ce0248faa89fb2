// SPDX-License-Identifier: GPL-2.0-or-later
//! The emulator is stopped or killed.

use super::trial::{After::*, Fault, expect};
use crate::common::*;
use rustix::process::Signal;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

#[test]
fn a_machine_whose_emulator_is_stopped_runs_and_is_ended_in_time() {
    let host = Host::up();
    Fault::new(&host, 9, "QEMU stopped (SIGSTOP)")
        .set(|_, qemu| qemu.unwrap().signal(Signal::STOP))
        .watch(expect(&[0], (0.5, 4.0), Lives, &[]))
        .by_hand(expect(&[0], (3.0, 4.0), Lives, &[]))
        .start_running(expect(&[0], (6.0, 8.0), Lives, &["is already running"]))
        .stop(expect(&[0], (12.0, 12.0), Gone, &[]))
        .play();
}

#[test]
fn thirty_calls_that_hang_on_a_stopped_emulator_do_not_delay_a_monitor() {
    let host = Host::up();
    let calls: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let set = |host: &Host, qemu: Option<&Process>| {
        qemu.unwrap().signal(Signal::STOP);
        let call = |_| {
            let mut command = host.command("sh");
            // Under another name than virsh, since a virsh that is left behind is an agent's.
            let line = format!(
                "exec python3 -c 'import os,sys; os.execv(\"/usr/bin/virsh\", [\"blocked\"] + sys.argv[1:])' {ARGS}"
            );
            command.args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::null());
            command.env("PATH", "/usr/bin:/bin").spawn().unwrap()
        };
        *calls.lock().unwrap() = (0..30).map(call).collect();
        let blocked = || host.processes(|args| args[0] == b"blocked").len();
        until(30, "30 blocked calls", || (blocked() == 30).then_some(()));
        std::thread::sleep(Duration::from_millis(500));
    };
    let clear = |_: &Host| {
        for mut call in calls.lock().unwrap().drain(..) {
            let _ = call.kill();
            let _ = call.wait();
        }
    };
    Fault::new(&host, 10, "30 calls hang on a stopped QEMU")
        .set(set)
        .clear(clear)
        .watch(expect(&[0], (0.5, 4.0), Lives, &[]))
        .by_hand(expect(&[0], (3.0, 4.0), Lives, &[]))
        .start_running(expect(&[0], (6.0, 8.0), Lives, &["is already running"]))
        .stop(expect(&[0], (12.0, 12.0), Gone, &[]))
        .play();
}

const ARGS: &str = "-q -c qemu:///system qemu-monitor-command a query-status";

#[test]
fn a_machine_whose_emulator_was_killed_does_not_run() {
    let host = Host::up();
    let set = |host: &Host, qemu: Option<&Process>| {
        if let Some(qemu) = qemu {
            qemu.signal(Signal::KILL);
            until(10, "end in libvirt's eyes", || host.virsh(&["list", "--name"]).trim().is_empty().then_some(()));
        }
    };
    Fault::new(&host, 11, "QEMU killed (SIGKILL)")
        .set(set)
        .watch(expect(&[7], (0.5, 6.0), Gone, &[]))
        .monitor(expect(&[7], (0.5, 6.0), Gone, &["'a' is not running"]))
        .stop(expect(&[0], (0.5, 6.0), Gone, &[]))
        .probe_off(expect(&[7], (0.5, 6.0), Gone, &[]))
        .start(expect(&[0], (5.0, 30.0), Started, &["was started and is running"]))
        .play();
}

#[test]
fn a_machine_whose_emulator_was_killed_behind_a_stopped_daemon_does_not_run() {
    let host = Host::up();
    let set = |host: &Host, qemu: Option<&Process>| {
        host.service("freeze", "libvirtd");
        if let Some(qemu) = qemu {
            qemu.signal(Signal::KILL);
            qemu.end();
        }
    };
    Fault::new(&host, 12, "QEMU killed, libvirtd stopped")
        .set(set)
        .clear(|host| host.service("thaw", "libvirtd"))
        .watch(expect(&[7], (1.0, 4.0), Gone, &[]))
        .monitor(expect(&[7], (3.5, 4.0), Gone, &["it has no process"]))
        // By others libvirt may have been asked to start it, so it is waited for.
        .stop(expect(&[0], (7.0, 12.0), Gone, &["it has no process"]))
        .play();
}
