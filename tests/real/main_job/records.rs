// SPDX-License-Identifier: GPL-2.0-or-later
//! Records of actions on a real host: in the journal's place, in the file where there is no journal, shown and replayed.

use crate::common::*;
use serde_json::{Map, Value};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The rows of `vm-agent history`, without the time and the seconds.
fn history(vm: &Vm<'_>) -> Vec<[String; 3]> {
    let shown = vm.call_by_name(Human, "history").gives(0).stdout;
    let rows = shown.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let [time, node, action, code, seconds, reason] = cells[..] else { panic!("{line}") };
        assert!(time.starts_with("20") && time.ends_with('Z') && node == "node1", "{line}");
        assert!(seconds.parse::<f64>().is_ok(), "{line}");
        [action, code, reason].map(str::to_owned)
    });
    rows.collect()
}

/// What replaying a file comes to.
fn replayed(host: &Host, file: &Path) -> (i32, String) {
    let output = host.command(AGENT).arg("replay").arg(file).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

/// A place where the agent finds the journal, and which nothing but the test listens at.
fn journal(host: &Host) -> (UnixDatagram, PathBuf) {
    host.run("mkdir", &["-p", "/run/systemd/journal"]);
    let path = format!("/proc/{}/root/run/systemd/journal/socket", host.first_process().unwrap());
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, path.into())
}

/// The records that have come in, as journalctl would print them.
fn taken(socket: &UnixDatagram) -> Vec<Map<String, Value>> {
    let mut buffer = vec![0; 256 * 1024];
    let mut records = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let fields = text.lines().map(|line| line.split_once('=').unwrap());
        records.push(fields.map(|(name, value)| (name.to_owned(), value.into())).collect());
    }
    records
}

#[test]
fn each_action_is_on_record_and_decided_the_same_again_and_a_monitor_that_is_as_usual_is_not() {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call(Pacemaker, "monitor").gives(7);
    vm.call(Rgmanager, "status").gives(7);
    vm.call(Pacemaker, "start").gives(0);
    for _ in 0..2 {
        vm.watch(Pacemaker).gives(0);
        vm.watch(Rgmanager).gives(0);
    }
    host.virsh(&["suspend", "a"]);
    for _ in 0..3 {
        vm.watch(Pacemaker).gives(190);
    }
    host.virsh(&["resume", "a"]);
    vm.watch(Pacemaker).gives(0);
    vm.call(Human, "stop").param("force_stop", "yes").gives(0);
    vm.watch(Pacemaker).gives(7);
    let rows = history(&vm);
    let told: Vec<String> = rows.iter().map(|[action, code, reason]| format!("{action} {code} {reason}")).collect();
    let expected =
        ["start 0 'a' was started", "monitor 190 'a' is paused", "stop 0 'a' ", "monitor 7 'a' is not running"];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(told.iter().zip(expected).all(|(told, part)| told.starts_with(part)), "{told:#?}");
    assert_eq!(host.run("stat", &["-c", "%a %U", "/run/vm-agent/records"]), "600 root");

    let json = vm.call_by_name(Human, "history").arg("--json").gives(0).stdout;
    let file = host.file("history.json", &json);
    let (code, text) = replayed(&host, &file);
    assert!(code == 0 && text.matches("decided the same at each look (").count() == 4, "{text}");
    assert!(text.contains("create it from the definition") && !text.contains("OTHERWISE"), "{text}");
    // The last monitor found nothing that would have told it.
    assert_eq!(json.matches("\"VM_UUID\":").count(), 3, "{json}");
    let altered = json.replacen("\\\"NoDomain\\\"", "{\\\"Unusable\\\":\\\"name: it is none\\\"}", 1);
    assert_ne!(altered, json);
    let (code, text) = replayed(&host, &host.file("altered.json", &altered));
    assert!(code == 1 && text.contains("DECIDED OTHERWISE") && text.contains("        today: "), "{text}");
    for (name, bytes) in [("cut", &json[..json.len() / 2]), ("empty", ""), ("none", "{\"MESSAGE\":\"x\"}")] {
        let (code, text) = replayed(&host, &host.file(name, bytes));
        assert!(code == 2 && text.lines().last().unwrap().contains(&format!("{name}: ")), "{code} {text}");
    }
    let answer = host.call(Human, "history").named("nobody").gives(1);
    assert!(answer.stdout.contains("nobody: nothing is on record here"), "{answer}");
}

#[test]
fn where_the_journal_takes_them_records_go_to_it_alone() {
    let host = Host::up();
    let (socket, _) = journal(&host);
    let vm = host.guest("a").written();
    vm.call(Rgmanager, "start").gives(0);
    let started = taken(&socket);
    vm.watch(Rgmanager).gives(0);
    vm.watch(Pacemaker).gives(0);
    assert!(taken(&socket).is_empty(), "a monitor that is as usual was put on record");
    let uuid = host.virsh(&["domuuid", "a"]);
    vm.call(Pacemaker, "stop").param("force_stop", "yes").gives(0);
    let stopped = taken(&socket);
    for (records, action, caller) in [(&started, "start", "rgmanager"), (&stopped, "stop", "pacemaker")] {
        let [record] = &records[..] else { panic!("{records:?}") };
        for (name, value) in [
            ("VM_NAME", "a"),
            ("VM_UUID", &uuid),
            ("OCF_ACTION", action),
            ("OCF_RC", "0"),
            ("NODE", "node1"),
            ("CALLER", caller),
            ("SYSLOG_IDENTIFIER", "vm-agent"),
        ] {
            assert_eq!(record[name], value, "{name} of {action}");
        }
        let file = host.file(action, &Value::Object(record.clone()).to_string());
        let (code, text) = replayed(&host, &file);
        assert!(code == 0 && text.contains("decided the same"), "{text}");
    }
    host.run("test", &["!", "-e", "/run/vm-agent/records"]);
    // A journal that nobody reads any more takes no more than fits, and is not waited for.
    let mut calls = 0;
    while host.run("find", &["/run/vm-agent", "-name", "records"]).is_empty() {
        calls += 1;
        assert!(calls < 100, "the journal's socket is never full");
        vm.call(Pacemaker, "stop").gives(0).within(5.0);
    }
}

#[test]
fn the_systems_own_journal_has_them_and_gives_them_to_history_and_replay() {
    let host = Host::up();
    // It wants to tell of each sender's control group.
    host.run("sh", &["-c", "mount -t cgroup2 none /sys/fs/cgroup; mkdir -p /run/systemd/journal /run/log/journal"]);
    let mut journald = host.command("/usr/lib/systemd/systemd-journald").stderr(Stdio::null()).spawn().unwrap();
    let begun = || host.run("find", &["/run/log/journal", "-name", "*.journal"]);
    until(20, "journal", || (!begun().is_empty()).then_some(()));
    for (action, code) in [("stop", 0), ("start", 5)] {
        host.call(Pacemaker, action).named("a").param("config", "/nowhere/a.xml").gives(code);
    }
    host.run("test", &["!", "-e", "/run/vm-agent/records"]);
    host.run("journalctl", &["--sync"]);
    let vm = host.guest("a").written();
    let rows = history(&vm);
    assert!(rows.len() == 2 && rows[0][..2] == ["stop", "0"] && rows[1][..2] == ["start", "5"], "{rows:?}");
    let words = ["--all", "--output=json", "--no-pager", "VM_NAME=a"];
    let file = host.file("journal.json", &host.run("journalctl", &words));
    let (code, text) = replayed(&host, &file);
    assert!(code == 0 && text.matches("decided the same").count() == 2, "{text}");
    let _ = journald.kill();
    let _ = journald.wait();
}
