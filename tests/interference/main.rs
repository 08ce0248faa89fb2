// SPDX-License-Identifier: GPL-2.0-or-later
//! Who gets in the way of whom: two agents at one virtual machine, signals, a person and the cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

#[path = "../common/mod.rs"]
mod common;

use common::*;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The agent's process on the host, which a call that is under way has started.
fn agent(host: &Host, action: &str) -> Process {
    until(10, "the agent's process", || {
        let is_agent = |args: &[Vec<u8>]| {
            args.first().is_some_and(|program| program.ends_with(b"/vm") || program.ends_with(b"/vm.sh"))
                && args.get(1).is_some_and(|word| word == action.as_bytes())
        };
        host.processes(is_agent).into_iter().next()
    })
}

#[test]
fn a_signal_ends_a_stop_tidily_with_a_reason_and_the_machine_runs_on() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    for (dialect, signal) in [(Dialect::Pacemaker, Signal::TERM), (Dialect::Rgmanager, Signal::INT)] {
        let presses = || host.console("a").matches("button ").count();
        let before = presses();
        let stop = vm.call(dialect, "stop").timeout(60.0).spawn();
        until(20, "a request to shut down", || (presses() > before).then_some(()));
        agent(&host, "stop").signal(signal);
        let answer = stop.answer().says(&["interrupted", "running"]).within(15.0);
        assert_eq!(answer.code, 1, "{answer}");
        assert!(vm.lives());
    }
    assert!(host.processes(|args| args.iter().any(|arg| arg == b"__child")).is_empty(), "a launcher is left");
}

#[test]
fn of_two_starts_at_once_one_starts_and_both_answer_0() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let calls: Vec<Running<'_>> = [Dialect::Pacemaker, Dialect::Rgmanager, Dialect::Pacemaker]
        .into_iter()
        .map(|dialect| vm.call(dialect, "start").spawn())
        .collect();
    for call in calls {
        let answer = call.answer();
        assert_eq!(answer.code, 0, "{answer}");
    }
    let emulators = host.processes(|args| args.iter().any(|arg| arg.starts_with(b"guest=a,")));
    assert_eq!(emulators.len(), 1);
}

#[test]
fn a_start_waits_for_a_stop_that_is_under_way_and_a_stop_for_a_start() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    let stop = vm.call(Dialect::Pacemaker, "stop").timeout(8.0).spawn();
    agent(&host, "stop");
    let start = vm.call(Dialect::Rgmanager, "start").timeout(30.0).spawn();
    assert_eq!(stop.answer().code, 0);
    assert_eq!(start.answer().code, 0);
    assert_eq!(vm.state(), "running");
}

#[test]
fn a_stop_goes_on_without_its_turn_when_another_agent_hangs() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    let hanging = vm.call(Dialect::Rgmanager, "stop").param("no_kill", "yes").timeout(60.0).spawn();
    let process = agent(&host, "stop");
    process.signal(Signal::STOP);
    vm.call(Dialect::Pacemaker, "stop").timeout(10.0).gives(0).within(10.0);
    assert_eq!(vm.state(), "absent");
    // Whoever runs a program in the host stops with it, so the answer itself cannot be waited for.
    process.signal(Signal::CONT);
    assert!(process.ended_within(std::time::Duration::from_secs(20)), "it did not see that the machine is gone");
    hanging.kill();
}

#[test]
fn what_a_stop_has_called_stopped_is_not_brought_up_by_a_start_that_was_waiting_for_libvirt() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in [Dialect::Pacemaker, Dialect::Rgmanager] {
        host.service("freeze", "libvirtd");
        let start = vm.call(Dialect::Human, "start").timeout(60.0).spawn();
        let holder = || host.run("sh", &["-c", "cat /run/vm-agent/a.lock 2>/dev/null || true"]);
        until(10, "turn of the start", || holder().starts_with("start").then_some(()));
        let stop = vm.call(dialect, "stop").timeout(20.0).run();
        println!("{dialect:?} {} {:.1} s: {}", stop.code, stop.took.as_secs_f32(), stop.reason);
        host.service("thaw", "libvirtd");
        until(90, "end of the start", || {
            assert!(stop.code != 0 || !vm.lives(), "it came up after {stop}");
            (!start.runs()).then_some(())
        });
        assert!(stop.code != 0 || !vm.lives(), "it came up after {stop}");
        start.kill();
        // Now nothing is in the way of a stop, whatever the first one said.
        vm.call(dialect, "stop").timeout(4.0).gives(0);
        assert_eq!(vm.state(), "absent");
    }
}

/// libvirt goes on with a start that it was asked for, whatever becomes of who asked.
#[test]
fn a_stop_waits_for_a_start_that_libvirt_is_at_and_ends_what_came_up() {
    let host = Host::up();
    let vm = host.guest("a").written();
    // libvirt looks for its hooks when it starts.
    host.run("mkdir", &["-p", "/etc/libvirt/hooks"]);
    let hook = "printf '#!/bin/sh\\n[ \"$2\" != prepare ] || { touch /run/preparing; sleep 8; }\\n' >$0; chmod 755 $0";
    host.run("sh", &["-c", hook, "/etc/libvirt/hooks/qemu"]);
    host.service("stop", "libvirtd");
    host.service("start", "libvirtd");
    for dialect in [Dialect::Pacemaker, Dialect::Rgmanager] {
        let start = vm.call(Dialect::Human, "start").timeout(60.0).spawn();
        until(10, "libvirt's start", || {
            host.run("sh", &["-c", "ls /run/preparing 2>&1 || true"]).starts_with("/run").then_some(())
        });
        let stop = vm.call(dialect, "stop").timeout(30.0).gives(0).within(30.0);
        println!("{dialect:?} {:.1} s: {}", stop.took.as_secs_f32(), stop.reason);
        assert!(!start.runs(), "the start goes on after {stop}");
        // It ran when the start ended, and the stop has ended it since.
        start.answer();
        assert_eq!((vm.state().as_str(), vm.lives()), ("absent", false));
        host.run("rm", &["/run/preparing"]);
    }
}

#[test]
fn a_copy_of_its_definition_under_another_name_is_another_machine() {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call(Dialect::Rgmanager, "start").gives(0);
    let (uuid, copy) = (host.virsh(&["domuuid", "a"]), vm.live_xml());
    assert!(copy.contains("instance=") && copy.contains("vm:a"), "it bears no mark: {copy}");
    vm.call(Dialect::Rgmanager, "kill").gives(0);
    let copy = copy.replace("<name>a</name>", "<name>b</name>").replace(&uuid, "11111111-2222-4333-8444-555555555555");
    let copy = host.file("copy.xml", &copy.replace("console-a.log", "console-b.log"));
    host.virsh(&["create", copy.to_str().unwrap()]);
    vm.call(Dialect::Rgmanager, "stop").gives(0);
    vm.call(Dialect::Rgmanager, "status").gives(7);
    assert_eq!(host.state("b"), "running");
    vm.call(Dialect::Rgmanager, "start").gives(0);
    assert_eq!((host.state("a").as_str(), host.state("b").as_str()), ("running", "running"));
}

/// Two hosts with a Pacemaker.
struct Cluster(tempfile::TempDir);

impl Cluster {
    fn up() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let bind = Path::new(AGENT).parent().unwrap();
        let output = this.lab("up").args(["2", "--with", "libvirt,cluster"]).env("LAB_BIND", bind).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        this
    }

    fn lab(&self, verb: &str) -> Command {
        let mut command = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/lab"));
        command.arg(verb).arg(self.0.path());
        command
    }

    /// Runs a program on the first host: its exit code, and all that it printed.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let output = self.lab("exec").args(["h1", "--"]).args(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    fn must(&self, words: &[&str]) -> String {
        let (code, text) = self.run(words);
        assert_eq!(code, 0, "{words:?}: {text}");
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.lab("down").output();
    }
}

#[test]
fn a_person_is_sent_to_the_cluster_that_manages_the_machine() {
    drop(Host::up());
    let cluster = Cluster::up();
    let definition = cluster.lab("guest").args(["foo", "--variant", "none"]).output().unwrap().stdout;
    let file = cluster.0.path().join("shared/foo.xml");
    std::fs::write(&file, definition).unwrap();
    let copy = file.with_file_name("copy.xml");
    std::fs::copy(&file, &copy).unwrap();
    let config = format!("config={}", file.display());
    cluster.must(&["/bin/mkdir", "-p", "/usr/lib/ocf/resource.d/vm-agent"]);
    cluster.must(&["/bin/ln", "-s", AGENT, "/usr/lib/ocf/resource.d/vm-agent/vm"]);
    cluster.must(&["pcs", "resource", "create", "web", "ocf:vm-agent:vm", "name=foo", &config]);
    cluster.must(&["pcs", "constraint", "location", "web", "prefers", "node1"]);
    cluster.must(&["crm_resource", "--wait"]);
    until(60, "the machine on node1", || {
        (cluster.run(&["virsh", "-q", "domstate", "foo"]).1.trim() == "running").then_some(())
    });
    for (words, instead) in [
        (vec!["stop", "foo"], "pcs resource disable web"),
        (vec!["stop", "--xmlfile", copy.to_str().unwrap()], "pcs resource disable web"),
        (vec!["kill", "foo"], "pcs resource disable web"),
        (vec!["restart", "foo"], "pcs resource restart web"),
        (vec!["migrate", "foo", "node2"], "pcs resource move web NODE"),
    ] {
        let (code, text) = cluster.run(&[&[AGENT][..], &words].concat());
        assert_eq!(code, 4, "{words:?}: {text}");
        assert!(text.contains("nothing was done") && text.contains(instead), "{words:?}: {text}");
    }
    assert_eq!(cluster.run(&["virsh", "-q", "domstate", "foo"]).1.trim(), "running");
    // What only looks is never refused, and an unmanaged resource is left to people.
    cluster.must(&[AGENT, "status", "foo"]);
    cluster.must(&["pcs", "resource", "unmanage", "web"]);
    cluster.must(&[AGENT, "stop", "foo", "-o", "force_stop=yes"]);
    cluster.must(&["pcs", "resource", "manage", "web"]);
    until(60, "the machine that the cluster started again", || {
        (cluster.run(&["virsh", "-q", "domstate", "foo"]).1.trim() == "running").then_some(())
    });
    cluster.must(&[AGENT, "stop", "foo", "--force", "-o", "force_stop=yes"]);
}
