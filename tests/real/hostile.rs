// SPDX-License-Identifier: GPL-2.0-or-later
//! What nobody should do: hostile environments and definitions through the real executable on a real host.

use crate::common::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use vm_agent::model::params::table;

/// As many hostile calls of each kind.
const CALLS: usize = 110;

const ACTIONS: [&str; 16] = [
    "start",
    "stop",
    "kill",
    "monitor",
    "status",
    "validate-all",
    "reload",
    "reload-agent",
    "recover",
    "restart",
    "migrate",
    "migrate_to",
    "migrate_from",
    "meta-data",
    "usage",
    "bogus",
];

/// Values that have broken some program.
fn value() -> impl Strategy<Value = OsString> {
    const KNOWN: [&str; 38] = [
        "",
        " ",
        "0",
        "1",
        "-1",
        "yes",
        "99999999999999999999",
        "1e9",
        "NaN",
        "0x10",
        "true\n",
        "$(touch /evaluated)",
        "`touch /evaluated`",
        "; touch /evaluated",
        "| touch /evaluated",
        "a\"b'c",
        "%s%n%s%n",
        "../../etc/passwd",
        "/",
        "/dev/zero",
        "/dev/tty",
        "/proc/self/mem",
        "/proc/kmsg",
        "/etc/passwd",
        "relative/path",
        "/a:/b::/c:",
        "::::",
        "*",
        "[",
        "\u{202e}\u{1f600}",
        "\n\nocf-exit-reason:forged",
        "qemu:///session",
        "test:///default",
        "xen",
        "lxc:///",
        "qemu+unix:///system?socket=/dev/null",
        "no://such/driver",
        "qemu:///system?socket=/run/none",
    ];
    prop_oneof![
        6 => proptest::sample::select(&KNOWN[..]).prop_map(OsString::from),
        2 => proptest::collection::vec(1..=255u8, 0..40).prop_map(OsString::from_vec),
        1 => (1..100_000usize).prop_map(|length| "A".repeat(length).into()),
    ]
}

fn variable() -> impl Strategy<Value = OsString> {
    // status_program is bash by contract, and evaluates.
    let params = table().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()));
    let params = params.filter(|name| *name != "status_program").map(|name| format!("OCF_RESKEY_{name}"));
    let others = [
        "OCF_CHECK_LEVEL",
        "OCF_RESOURCE_INSTANCE",
        "OCF_RESKEY_CRM_meta_interval",
        "OCF_RESKEY_CRM_meta_on_node",
        "OCF_RESKEY_CRM_meta_migrate_target",
        "OCF_RESKEY_CRM_meta_migrate_source",
        "OCF_RESKEY_",
        "OCF_ROOT",
        "HA_LOGFACILITY",
        "HA_debug",
        "LIBVIRT_DEFAULT_URI",
        "LANG",
        "PATH",
        "HOME",
        "OCF_OUTPUT_FORMAT",
    ];
    let names: Vec<OsString> = params.map(OsString::from).chain(others.map(OsString::from)).collect();
    proptest::sample::select(names)
}

fn dialect() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(&[Rgmanager, Pacemaker, VirtualDomain][..])
}

/// The host with a machine that nobody may touch, and a check that nobody did.
struct Watched {
    host: Host,
    pid: i32,
}

impl Watched {
    fn up() -> Self {
        let host = Host::up();
        let pid = host.guest("guard").written().created().qemu().pid;
        Self { host, pid }
    }

    fn check(&self) {
        assert_eq!(self.host.qemu("guard").map(|process| process.pid), Some(self.pid), "the other machine was touched");
        assert!(!self.host.run("ls", &["/"]).lines().any(|name| name == "evaluated"), "a value was evaluated");
    }
}

#[test]
fn hostile_environments_end_in_a_code_and_touch_nothing() {
    let watched = Watched::up();
    let host = &watched.host;
    let mut random = TestRunner::deterministic();
    let calls =
        (dialect(), proptest::sample::select(&ACTIONS[..]), proptest::collection::vec((variable(), value()), 1..12));
    for _ in 0..CALLS {
        let (dialect, action, vars) = calls.new_tree(&mut random).unwrap().current();
        let call = host.call(dialect, action).named("a").timeout(2.0);
        vars.into_iter().fold(call, |call, (name, value)| call.var(name, value)).run();
        assert_eq!(host.virsh(&["list", "--all", "--name"]), "guard");
    }
    watched.check();
}

/// Ways to spoil a definition.
fn spoilt(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    const PARTS: [&str; 22] = [
        "<name>",
        "</name>",
        "<!-- ",
        " -->",
        "<![CDATA[",
        "]]>",
        "&lt;",
        "&#0;",
        "&#x110000;",
        "&a;",
        "<?xml version='1.0'?>",
        "<!DOCTYPE domain [<!ENTITY a \"&b;&b;\"><!ENTITY b SYSTEM \"/etc/passwd\">]>",
        "<domain>",
        "</domain>",
        "\0",
        "\u{feff}",
        "xmlns='http://x/'",
        "<metadata><m:managed xmlns:m='https://vm-agent.org/xmlns/domain/1.0' instance='x'/>",
        "<name>guard</name>",
        "<a b='1' b='2'/>",
        "\u{202e}",
        "<x:y/>",
    ];
    let length = good.len();
    let insert = (0..length, proptest::sample::select(&PARTS[..]));
    prop_oneof![
        3 => (0..length).prop_map({
            let good = good.clone();
            move |end| good[..end].to_vec()
        }),
        6 => proptest::collection::vec(insert, 1..4).prop_map({
            let good = good.clone();
            move |edits| edits.into_iter().fold(good.clone(), |mut text, (at, part)| {
                text.splice(at..at, part.bytes());
                text
            })
        }),
        3 => proptest::collection::vec((0..length, any::<u8>()), 1..6).prop_map({
            let good = good.clone();
            move |bytes| bytes.into_iter().fold(good.clone(), |mut text, (at, byte)| {
                text[at] = byte;
                text
            })
        }),
        1 => (1..20_000usize).prop_map(|depth| "<domain>".repeat(depth).into_bytes()),
        1 => (1..20_000usize).prop_map(|depth| format!("<domain><name>a</name>{}", "<a>".repeat(depth)).into_bytes()),
        1 => (1..1_000_000usize).prop_map(|length| format!("<domain><name>{}</name></domain>", "a".repeat(length)).into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..2000),
        1 => Just([b"\xff\xfe".to_vec(), good.iter().flat_map(|byte| [*byte, 0]).collect()].concat()),
    ]
}

#[test]
fn hostile_definitions_start_nothing_but_the_machine_that_was_named() {
    let watched = Watched::up();
    let host = &watched.host;
    let good = host.guest("a").xml();
    let mut random = TestRunner::deterministic();
    let calls = (dialect(), proptest::sample::select(&["start", "validate-all", "monitor", "stop"][..]), any::<bool>());
    let texts = spoilt(good.into_bytes());
    let file = host.file("a.xml", "");
    let mut started = 0;
    for _ in 0..CALLS {
        let (dialect, action, nameless) = calls.new_tree(&mut random).unwrap().current();
        let text = texts.new_tree(&mut random).unwrap().current();
        std::fs::write(&file, &text).unwrap();
        // For whoever wants to repeat a call that failed.
        std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/hostile.xml"), &text).unwrap();
        let call = host.call(dialect, action).instance("a").timeout(4.0).param("config", &file);
        let call = if nameless && dialect != Rgmanager { call } else { call.named("a") };
        let answer = call.run();
        let shown = String::from_utf8_lossy(&text).chars().take(3000).collect::<String>();
        let running = host.virsh(&["list", "--all", "--name"]);
        match (action, answer.code) {
            // Some damage is harmless: then that machine runs, and no other.
            ("start", 0) => {
                started += 1;
                assert_eq!(running.lines().count(), 2, "{answer}\n{shown}");
                let name = running.lines().find(|name| *name != "guard").unwrap();
                assert!(name == "a" || nameless, "'{name}' was started: {answer}\n{shown}");
                host.virsh(&["destroy", name]);
            }
            _ => assert_eq!(running, "guard", "{answer}\n{shown}"),
        }
    }
    println!("{started} of the definitions were harmless");
    watched.check();
}

#[test]
fn a_forged_line_in_a_value_does_not_become_the_reason() {
    let name = OsStr::from_bytes(b"a\nocf-exit-reason:all is well\n");
    for dialect in [Rgmanager, Pacemaker] {
        let answer = Call::new(None, dialect, "start").named(name).timeout(1.0).run();
        let forged = answer.stderr.lines().any(|line| line.starts_with("ocf-exit-reason:all is well"));
        assert!(!forged, "{answer}");
    }
}
