// SPDX-License-Identifier: GPL-2.0-or-later
//! A definition may hold passwords. Nothing that the agent says, to whomever and however much was asked for, shows one.

use super::log::{syslog, waiting_lines};
use crate::common::*;

/// As long as a password of VNC may be.
const SECRET: &str = "kwort-XZ";

/// A guest with a secret in each place where a machine that runs here can have one.
fn with_secrets<'a>(host: &'a Host, name: &str) -> Guest<'a> {
    let beside_name = format!(
        "</uuid><title>{SECRET}</title><description>{SECRET}</description>\
         <metadata><n:note xmlns:n='urn:note' key='{SECRET}'>{SECRET}</n:note></metadata>\
         <sysinfo type='smbios'><bios><entry name='version'>{SECRET}</entry></bios>\
         <system><entry name='serial'>ds=nocloud;s=http://u:{SECRET}@h/</entry></system>\
         <chassis><entry name='asset'>{SECRET}</entry></chassis>\
         <oemStrings><entry>io.systemd.credential:key={SECRET}</entry></oemStrings></sysinfo>\
         <sysinfo type='fwcfg'><entry name='opt/org.example/key'>{SECRET}</entry></sysinfo>"
    );
    let behind = format!(
        "</devices><commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><env name='KEY' value='{SECRET}'/>\
         <arg value='-fw_cfg'/><arg value='name=opt/org.example/more,string={SECRET}'/>\
         <arg value='-object'/><arg value='secret,id=more,data={SECRET}'/></commandline>"
    );
    host.guest(name)
        .polite()
        .edit("</uuid>", &beside_name)
        .edit("<os>", "<os><smbios mode='sysinfo'/>")
        .edit("</cmdline>", &format!(" token={SECRET}</cmdline>"))
        .edit(
            "<memballoon",
            &format!(
                "<graphics type='vnc' port='-1' passwd='{SECRET}' passwdValidTo='2099-01-01T00:00:00'/>\
                 <video><model type='none'/></video><memballoon"
            ),
        )
        .edit("</devices>", &behind)
}

/// The same, and in each further place that libvirt takes one: this host cannot run it.
fn with_all_secrets<'a>(host: &'a Host, name: &str) -> Guest<'a> {
    let disk = |bus: usize, source: &str| {
        format!(
            "<disk type='network' device='disk'><driver name='qemu' type='raw'/>{source}<target dev='vd{}'/></disk>",
            ['x', 'y', 'z'][bus]
        )
    };
    let https = disk(
        0,
        &format!(
            "<source protocol='https' name='a.img'><host name='h.invalid'/>\
             <cookies><cookie name='c'>{SECRET}</cookie></cookies></source>"
        ),
    );
    let auth = format!("<auth username='{SECRET}'><secret type='ceph' usage='of-a-client'/></auth>");
    let rbd = disk(1, &format!("{auth}<source protocol='rbd' name='pool/image'><host name='h.invalid'/></source>"));
    let auth = format!("<auth username='{SECRET}'><secret type='iscsi' usage='of-a-client'/></auth>");
    let iscsi = format!(
        "{auth}<source protocol='iscsi' name='iqn.2026-11.org.example:target/1'><host name='h.invalid'/></source>"
    );
    let spice = format!("<graphics type='spice' autoport='yes' passwd='{SECRET}'/>");
    let devices = format!("{https}{rbd}{}{spice}</devices>", disk(2, &iscsi));
    with_secrets(host, name).edit("</devices>", &devices).edit(
        "</devices>",
        &format!(
            "</devices><launchSecurity type='sev'><cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits>\
             <policy>0x1</policy><dhCert>{SECRET}</dhCert><session>{SECRET}</session></launchSecurity>"
        ),
    )
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
        assert!(vm.live_xml().matches(SECRET).count() > 10, "{}", vm.live_xml());
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
    // What QEMU refuses, it repeats word by word.
    let refused = whole.replace("name=opt/org.example/more", "nonsense=1,name=opt/org.example/more");
    std::fs::write(&vm.file, refused).unwrap();
    for dialect in [Pacemaker, Human] {
        answers("start that QEMU refuses", &loud(here, vm.call(dialect, "start")).gives(1).says(&["nonsense"]));
    }
    let all = with_all_secrets(here, "b").written();
    for action in ["start", "monitor", "explain start", "status", "validate-all", "stop", "migrate"] {
        for dialect in [Pacemaker, Human] {
            let call = loud(here, all.call(dialect, action)).var("OCF_CHECK_LEVEL", "10").timeout(30.0);
            let call = if dialect == Human { call.arg("-v") } else { call };
            answers(&format!("{action} of what cannot run"), &call.run());
        }
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
