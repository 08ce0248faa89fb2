// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirt's daemon is stopped, killed, silent, full, restarting, or elsewhere.

use super::trial::{After::*, Fault, expect, machines};
use crate::common::*;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;

/// What becomes of a fault of the daemon that makes it hang: a quarter of the timeout is spent on it.
fn hung(fault: Fault<'_>) -> Fault<'_> {
    fault
        .watch(expect(&[0], (1.0, 4.0), Lives, &[]))
        .start_running(expect(&[0], (1.5, 6.0), Lives, &["already runs (process"]))
        .stop(expect(&[0], (7.0, 8.0), Gone, &["SIGTERM"]))
        .probe_off(expect(&[7], (1.0, 4.0), Gone, &[]))
        .start(expect(&[1], (3.0, 3.0), Gone, &["was not started: libvirt's daemon does not answer"]))
}

/// What becomes of a fault of the daemon that makes it absent.
fn dead(fault: Fault<'_>) -> Fault<'_> {
    fault
        .watch(expect(&[0], (0.5, 4.0), Lives, &[]))
        .start_running(expect(&[0], (0.5, 6.0), Lives, &["already runs (process"]))
        .stop(expect(&[0], (4.0, 8.0), Gone, &["SIGTERM"]))
        .probe_off(expect(&[7], (0.5, 4.0), Gone, &[]))
        .start(expect(&[1], (3.0, 3.0), Gone, &["was not started: libvirt's daemon does not run"]))
}

/// The host's `/run/libvirt`, seen from here.
pub fn folder(host: &Host) -> PathBuf {
    let pid = std::fs::read_to_string(host.shared().parent().unwrap().join("h1/pid")).unwrap();
    PathBuf::from(format!("/proc/{}/root/run/libvirt", pid.split_whitespace().next().unwrap()))
}

fn hide_sockets(host: &Host) {
    for socket in host.daemon().1 {
        std::fs::rename(folder(host).join(socket), folder(host).join(format!("{socket}.away"))).unwrap();
    }
}

fn show_sockets(host: &Host) {
    for socket in host.daemon().1 {
        let _ = std::fs::rename(folder(host).join(format!("{socket}.away")), folder(host).join(socket));
    }
}

#[test]
fn a_daemon_that_is_stopped_costs_seconds_and_no_machine() {
    let host = Host::up();
    let fault = Fault::new(&host, 1, "libvirtd stopped (SIGSTOP)");
    hung(fault.set(|host, _| host.service("freeze", "libvirtd")).clear(|host| host.service("thaw", "libvirtd"))).play();
}

#[test]
fn a_daemon_that_was_killed_is_told_from_a_machine_that_is_gone() {
    let host = Host::up();
    let fault = Fault::new(&host, 2, "libvirtd killed (SIGKILL)");
    dead(fault.set(|host, _| host.service("kill", "libvirtd")).clear(|host| host.service("start", "libvirtd"))).play();
    host.service("kill", "libvirtd");
    let start = host.guest("b").written().call(Pacemaker, "start").timeout(2.0).gives(1);
    start.says(&[&format!("nobody listens at /run/libvirt/{}", host.daemon().1[1])]);
}

#[test]
fn a_daemon_that_was_killed_leaves_it_unknown_in_a_pid_namespace_without_the_hosts_processes() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let ask = |action: &str| {
        let mut command = host.command("unshare");
        command.args(["-pf", "--mount-proc", AGENT, action, "a", "--timeout", "6"]);
        let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(ask("monitor").0, 0);
    host.service("kill", "libvirtd");
    for action in ["monitor", "stop"] {
        let (code, text) = ask(action);
        assert!(code == 1 && text.contains("a.pid belongs to a process outside"), "{action}: {code} {text}");
    }
    assert!(vm.lives());
    // The host itself sees it.
    vm.call(Pacemaker, "monitor").gives(0);
}

#[test]
fn a_daemon_that_restarts_again_and_again_is_waited_for() {
    let host = Host::up();
    let restarting: Mutex<Option<Child>> = Mutex::new(None);
    let set = |host: &Host, _: Option<&Process>| {
        host.service("kill", "libvirtd");
        let lines = "touch /run/lab/looping; while [ -e /run/lab/looping ]; do /usr/sbin/libvirtd >/dev/null 2>&1 &\n\
                     sleep 0.7; kill -KILL $!; wait $!; sleep 0.4; done";
        let mut command = host.command("bash");
        command.args(["-c", lines]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        *restarting.lock().unwrap() = Some(command.spawn().unwrap());
    };
    let clear = |host: &Host| {
        host.run("rm", &["-f", "/run/lab/looping"]);
        if let Some(mut child) = restarting.lock().unwrap().take() {
            child.wait().unwrap();
        }
        host.service("start", "libvirtd");
    };
    Fault::new(&host, 3, "libvirtd killed and started in a loop")
        .set(set)
        .clear(clear)
        .watch(expect(&[0], (2.0, 8.0), Lives, &[]))
        .start_running(expect(&[0], (4.0, 8.0), Lives, &[]))
        .stop(expect(&[0], (20.0, 20.0), Gone, &[]))
        .probe_off(expect(&[7], (2.0, 8.0), Gone, &[]))
        .start(expect(&[0, 1], (20.0, 20.0), AtMostOne, &[]))
        .play();
}

#[test]
fn no_monitor_is_wrong_while_the_daemon_restarts() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    std::thread::scope(|scope| {
        let daemon = scope.spawn(|| {
            for _ in 0..4 {
                host.service("kill", "libvirtd");
                host.service("start", "libvirtd");
            }
        });
        while !daemon.is_finished() {
            vm.call(Pacemaker, "monitor").timeout(8.0).gives(0);
            vm.call(Rgmanager, "status").timeout(8.0).gives(0);
        }
    });
}

#[test]
fn sockets_that_were_removed_are_a_daemon_that_does_not_run() {
    let host = Host::up();
    let fault = Fault::new(&host, 4, "libvirtd's sockets removed");
    dead(fault.set(|host, _| hide_sockets(host)).clear(show_sockets)).play();
}

#[test]
fn a_socket_that_accepts_and_is_silent_costs_its_share_of_the_timeout() {
    let host = Host::up();
    let silent: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let set = |host: &Host, _: Option<&Process>| {
        hide_sockets(host);
        let listen = |socket: &str| UnixListener::bind(folder(host).join(socket)).unwrap();
        *silent.lock().unwrap() = host.daemon().1.map(listen).into();
    };
    let clear = |host: &Host| {
        silent.lock().unwrap().clear();
        show_sockets(host);
    };
    hung(Fault::new(&host, 5, "a socket that accepts and is silent").set(set).clear(clear)).play();
}

#[test]
fn a_silent_daemon_costs_a_monitor_three_seconds_at_most() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    host.service("freeze", "libvirtd");
    for (timeout, most) in [(60.0, 3.0), (4.0, 1.0), (1.0, 0.25)] {
        vm.call(Pacemaker, "monitor").timeout(timeout).gives(0).within(most + 0.7);
        vm.call(Pacemaker, "monitor").recurring().timeout(timeout).gives(0).within(most + 0.7);
        vm.call(Rgmanager, "status").timeout(timeout).gives(0).within(most + 0.7);
    }
    let blind = vm.call(Pacemaker, "monitor").recurring().timeout(4.0).param("degraded_when_blind", "yes");
    blind.gives(190).says(&["'a' runs (process ", "does not answer"]);
    vm.call(Rgmanager, "status").timeout(4.0).param("degraded_when_blind", "yes").gives(0);
}

#[test]
fn a_stop_with_a_daemon_that_hangs_ends_the_machine_when_only_the_time_to_destroy_it_is_left() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for (timeout, least) in [(60.0, 35.0), (6.0, 2.0)] {
        vm.call(Pacemaker, "start").gives(0);
        host.service("freeze", "libvirtd");
        let stop = vm.call(Pacemaker, "stop").timeout(timeout).gives(0).within(timeout);
        assert!(stop.took.as_secs_f64() > least, "the daemon was given up early: {stop}");
        assert_eq!(machines(&host), [0; 0]);
        host.service("thaw", "libvirtd");
        vm.becomes("absent");
    }
}

#[test]
fn no_kill_is_respected_without_libvirt() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for (fault, repair) in [("kill", "start"), ("freeze", "thaw")] {
        host.service(fault, "libvirtd");
        for dialect in BOTH {
            let answer = vm.call(dialect, "stop").param("no_kill", "yes").timeout(4.0).gives(1);
            answer.says(&["still runs, no_kill forbids ending it"]);
            assert!(vm.lives());
        }
        host.service(repair, "libvirtd");
    }
    host.service("kill", "libvirtd");
    vm.call(Human, "kill").param("no_kill", "yes").timeout(8.0).gives(0);
    assert!(!vm.lives());
}

#[test]
fn a_daemon_without_room_for_another_client_is_one_that_hangs() {
    let host = Host::up();
    let conf = "printf 'max_clients = 6\\nmax_anonymous_clients = 0\\n' >>/etc/libvirt/$1.conf";
    host.run("sh", &["-c", conf, "sh", host.daemon().0]);
    host.service("kill", "libvirtd");
    host.service("start", "libvirtd");
    let clients: Mutex<Vec<UnixStream>> = Mutex::new(Vec::new());
    let set = |host: &Host, _: Option<&Process>| {
        let connect = |at: usize| UnixStream::connect(folder(host).join(host.daemon().1[at % 2])).unwrap();
        *clients.lock().unwrap() = (0..16).map(connect).collect();
    };
    let clear = |_: &Host| {
        clients.lock().unwrap().clear();
    };
    hung(Fault::new(&host, 6, "libvirtd full (max_clients)").set(set).clear(clear)).play();
}

#[test]
fn the_hypervisors_own_daemon_is_asked_where_it_has_a_socket() {
    let host = Host::up();
    // The reads of virtqemud, and no libvirt-sock-ro; the worker still finds libvirt-sock.
    let set = |host: &Host, _: Option<&Process>| {
        std::fs::rename(folder(host).join("libvirt-sock-ro"), folder(host).join("virtqemud-sock-ro")).unwrap();
    };
    let clear = |host: &Host| {
        let _ = std::fs::rename(folder(host).join("virtqemud-sock-ro"), folder(host).join("libvirt-sock-ro"));
    };
    well(Fault::new(&host, 7, "modular sockets (virtqemud-sock-ro)").set(set).clear(clear)).play();
}

#[test]
fn a_stale_socket_of_a_modular_daemon_does_not_hide_libvirtd() {
    let host = Host::up();
    let set = |host: &Host, _: Option<&Process>| {
        drop(UnixListener::bind(folder(host).join("virtqemud-sock-ro")).unwrap());
    };
    let clear = |host: &Host| {
        let _ = std::fs::remove_file(folder(host).join("virtqemud-sock-ro"));
    };
    well(Fault::new(&host, 8, "stale socket of virtqemud beside libvirtd").set(set).clear(clear)).play();
}

/// A fault that costs nothing.
pub fn well(fault: Fault<'_>) -> Fault<'_> {
    fault
        .watch(expect(&[0], (0.5, 4.0), Lives, &[]))
        .start_running(expect(&[0], (0.5, 6.0), Lives, &["is already running"]))
        .stop(expect(&[0], (6.0, 6.0), Gone, &["was destroyed after"]))
        .probe_off(expect(&[7], (0.5, 4.0), Gone, &[]))
        .start(expect(&[0], (5.0, 30.0), Started, &["was started and is running"]))
}
