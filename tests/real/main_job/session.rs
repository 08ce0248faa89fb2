// SPDX-License-Identifier: GPL-2.0-or-later
//! `qemu:///session`: a machine of an ordinary user, by that user's own libvirt and hand.

use crate::common::*;
use std::process::Command;

/// The user, a number that nothing else has, and the user's folder for what lasts until the logout.
const UID: &str = "1500";
const RUN: &str = "/run/user/1500";

/// A host without a daemon, and a user on it.
fn host_with_a_user() -> Host {
    let host = Host::with("");
    host.run("useradd", &["-m", "-u", UID, "u"]);
    host.run("install", &["-d", "-m", "700", "-o", UID, "-g", UID, RUN]);
    // The host's folder is root's alone; what the user is to use is nobody's secret.
    host.run("chmod", &["o+rx", host.shared().parent().unwrap().to_str().unwrap()]);
    host
}

/// What `program` says to the user.
fn said(host: &Host, program: &str, args: &[&str]) -> (i32, String) {
    let mut command: Command = host.command("setpriv");
    command.args(["--reuid", UID, "--regid", UID, "--clear-groups", program]).args(args);
    command.envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/home/u"), ("XDG_RUNTIME_DIR", RUN)]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap(), said)
}

/// virsh and the agent see the same machines, whoever had to start the user's daemon; locks and records are the user's.
#[test]
fn a_users_own_machine_is_started_watched_and_stopped_by_the_user_and_root_sees_another_libvirt() {
    let host = host_with_a_user();
    let console = format!("{}/console-", host.shared().display());
    let text = host.guest("own").polite().edit(&console, "/home/u/console-").xml();
    let file = host.file("own.xml", &text);
    let config = format!("config={}", file.display());
    let agent = host.agent("vm-agent");
    let call = |action: &str, more: &[&str]| {
        let words = [&[action, "own", "-c", "qemu:///session"], more].concat();
        said(&host, agent.to_str().unwrap(), &words)
    };
    let virsh = || said(&host, "virsh", &["-q", "-c", "qemu:///session", "domstate", "own"]).1.trim().to_owned();

    // Nobody has started a daemon yet.
    let (code, told) = call("status", &[]);
    assert!(code == 7 && told.starts_with("own: not running\n"), "{code}: {told}");
    let (code, told) = call("start", &["-o", &config, "--timeout", "60"]);
    assert!(code == 0 && told.contains("'own' was started"), "{code}: {told}");
    assert_eq!(virsh(), "running");
    let (code, told) = call("status", &[]);
    assert!(code == 0 && told.starts_with("own: running\n"), "{code}: {told}");
    // By the worker it is told as root's machines are.
    let started = format!("  started     from {}, unchanged since\n", file.display());
    assert!(told.contains(&started) && told.contains(" for 'by hand'\n") && told.contains(" vCPU, "), "{told}");
    let (_, text) = said(&host, "virsh", &["-q", "-c", "qemu:///session", "dumpxml", "own"]);
    assert!(text.contains("instance=\"by hand\""), "it bears no mark: {text}");
    let (code, told) = call("start", &["-o", &config]);
    assert!(code == 0 && told.contains("already running"), "{code}: {told}");
    let locks = host.run("stat", &["-c", "%U %n", &format!("{RUN}/vm-agent/own.lock")]);
    assert_eq!(locks, format!("u {RUN}/vm-agent/own.lock"));
    host.run("test", &["!", "-e", "/run/vm-agent"]);

    // The process that is stopped is the user's, and what is told about it is the truth.
    said(&host, "virsh", &["-q", "-c", "qemu:///session", "suspend", "own"]);
    let (_, told) = call("status", &[]);
    assert!(told.contains("paused by request"), "{told}");
    said(&host, "virsh", &["-q", "-c", "qemu:///session", "resume", "own"]);
    until(30, "the guest", || host.run("cat", &["/home/u/console-own.log"]).contains("tick").then_some(()));
    let (code, told) = call("stop", &["--timeout", "40"]);
    assert!(code == 0 && told.contains("'own' shut down"), "{code}: {told}");
    assert!(host.qemu("own").is_none());
    let (code, told) = call("status", &[]);
    assert!(code == 7 && told.starts_with("own: not running\n"), "{code}: {told}");
}
