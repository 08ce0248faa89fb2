// SPDX-License-Identifier: GPL-2.0-or-later
//! A definition may hold passwords. Nothing that the agent says, to whomever and however much was asked for, shows one.

use super::log::{syslog, waiting_lines};
use crate::common::*;

/// As long as a password of VNC may be.
const SECRET: &str = "kwort-XZ";

/// A guest with a secret in each place where libvirt takes one, or anything.
fn with_secrets<'a>(host: &'a Host, name: &str) -> Guest<'a> {
    let beside_name = format!(
        "</uuid><title>{SECRET}</title><description>{SECRET}</description>\
         <metadata><n:note xmlns:n='urn:note' key='{SECRET}'>{SECRET}</n:note></metadata>\
         <sysinfo type='smbios'><oemStrings><entry>key:{SECRET}</entry></oemStrings></sysinfo>"
    );
    let behind = format!(
        "</devices><commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><env name='KEY' value='{SECRET}'/>\
         </commandline>"
    );
    host.guest(name)
        .polite()
        .edit("</uuid>", &beside_name)
        .edit("<os>", "<os><smbios mode='sysinfo'/>")
        .edit(
            "<memballoon",
            &format!(
                "<graphics type='vnc' port='-1' passwd='{SECRET}'/><video><model type='none'/></video><memballoon"
            ),
        )
        .edit("</devices>", &behind)
}

/// Makes the call with every channel open as far as it goes.
fn loud<'a>(host: &Host, call: Call<'a>) -> Call<'a> {
    let call = call.var("HA_debug", "1").var("HA_LOGFACILITY", "local3").var("OCF_TRACE_RA", "1");
    call.var("HA_LOGFILE", host.shared().join("ha.log"))
        .var("HA_DEBUGLOG", host.shared().join("debug.log"))
        .var("OCF_TRACE_FILE", host.shared().join("trace.log"))
}

/// What the channels of a host hold.
fn told(host: &Host, syslog: &std::os::unix::net::UnixDatagram) -> Vec<(&'static str, String)> {
    let read = |name: &str| std::fs::read_to_string(host.shared().join(name)).unwrap_or_default();
    vec![
        ("HA_LOGFILE", read("ha.log")),
        ("HA_DEBUGLOG", read("debug.log")),
        ("the trace", read("trace.log")),
        ("syslog", waiting_lines(syslog)),
    ]
}

#[test]
fn no_password_of_a_definition_is_told_anywhere_in_a_whole_life() {
    let cluster = Cluster::up();
    let (here, there) = (cluster.host(1), cluster.host(2));
    let logs = [syslog(here), syslog(there)];
    let vm = with_secrets(here, "a").written();
    let mut said: Vec<(String, String)> = Vec::new();
    let mut answers = |what: &str, answer: &Answer| {
        said.push((format!("{what}, stdout"), answer.stdout.clone()));
        said.push((format!("{what}, stderr"), answer.stderr.clone()));
    };
    for dialect in [Pacemaker, Rgmanager, Human] {
        let call = |host: &Host, action: &str| {
            let call = loud(host, host.call(dialect, action)).named("a").param("path", &vm.folder).timeout(120.0);
            if dialect == Human { call.arg("-v").gives(0) } else { call.gives(0) }
        };
        answers("start", &call(here, "start"));
        assert!(vm.live_xml().matches(SECRET).count() > 4, "{}", vm.live_xml());
        let watch = if dialect == Pacemaker { "monitor" } else { "status" };
        answers(watch, &call(here, watch));
        let moves = if dialect == Pacemaker { "migrate_to" } else { "migrate" };
        let target = there.node();
        let moving = loud(here, here.call(dialect, moves)).named("a").param("path", &vm.folder).timeout(120.0);
        let moving = match dialect {
            Human => moving.arg("-v").arg(&target),
            Rgmanager => moving.arg(&target),
            Pacemaker | VirtualDomain | Ocf => moving.var("OCF_RESKEY_CRM_meta_migrate_target", &target),
        };
        answers(moves, &moving.gives(0));
        answers("stop", &call(there, "stop"));
    }
    let explained = vm.call(Human, "explain start").arg("-v").gives(0);
    answers("explain", &explained);
    // What cannot be read, and what libvirt refuses, is told of without its text.
    let whole = std::fs::read_to_string(&vm.file).unwrap();
    for broken in [whole.replace("</devices>", ""), whole.replace("port='-1'", "port='x'")] {
        std::fs::write(&vm.file, broken).unwrap();
        let answer = loud(here, vm.call(Pacemaker, "start")).run();
        assert!(matches!(answer.code, 1 | 5), "{answer}");
        answers("start of what is broken", &answer);
    }
    for (host, log) in [here, there].into_iter().zip(&logs) {
        for (channel, text) in told(host, log) {
            assert!(!text.is_empty(), "{channel} got nothing on {}", host.name());
            said.push((format!("{channel} on {}", host.name()), text));
        }
    }
    for (channel, text) in said {
        assert!(!text.contains(SECRET), "{channel}: {text}");
    }
}
