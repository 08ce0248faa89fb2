// SPDX-License-Identifier: GPL-2.0-or-later
//! validate-all.

use crate::common::*;

#[test]
fn level_0_looks_at_the_parameters_and_at_a_definition_that_is_there() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let other = host.file("other.xml", &host.guest("other").xml());
    for dialect in BOTH {
        vm.call(dialect, "validate-all").gives(0);
        let call = || host.call(dialect, "validate-all").named("a");
        call().gives(0);
        call().param("config", "/not/here.xml").gives(0);
        call().param("config", &other).gives(5).says(&["'other'", "'a'"]);
        call().param("config", "relative.xml").gives(6).says(&["config", "full path"]);
        call().param("path", "/a:relative").gives(6).says(&["path", "relative"]);
        call().param("no_kill", "yes").param("force_stop", "yes").gives(6).says(&["no_kill", "force_stop"]);
        call().param("monitor_scripts", "'/no/end").gives(6).says(&["monitor_scripts"]);
    }
    host.call(Pacemaker, "validate-all").gives(6).says(&["name", "config"]);
    // Level 0 asks nobody.
    host.service("kill", "libvirtd");
    vm.call(Pacemaker, "validate-all").gives(0).within(1.0);
}

#[test]
fn all_findings_are_told_and_the_last_line_counts_them_and_names_the_worst() {
    let host = Host::up();
    for dialect in BOTH {
        let call = host.call(dialect, "validate-all").named("a").param("no_kill", "x").param("force_stop", "perhaps");
        let answer = call.param("config", "relative").gives(6).says(&["3 problems"]);
        for finding in ["no_kill: 'x'", "force_stop: 'perhaps'", "config: "] {
            assert_eq!(answer.stderr.matches(finding).count(), 1, "{finding} in {answer}");
        }
        assert!(answer.stderr.trim_end().lines().last().unwrap().starts_with("ocf-exit-reason:3 problems"), "{answer}");
    }
}

#[test]
fn level_10_looks_at_the_host() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        let call = || vm.call(dialect, "validate-all").depth(10);
        call().gives(0);
        let disk = host.file("disk.xml", &host.guest("a").option("--disk", "/no/disk.img").xml());
        call().param("config", &disk).gives(5).says(&["disk /no/disk.img does not exist"]);
        let emulator = host.guest("a").edit("/usr/bin/qemu-system-x86_64", "/no/emulator").xml();
        call().param("config", host.file("emulator.xml", &emulator)).gives(5).says(&["emulator /no/emulator"]);
        call().param("config", "/not/here.xml").gives(5).says(&["/not/here.xml"]);
        call().param("monitor_scripts", "/no/script").gives(5).says(&["/no/script"]);
        host.call(dialect, "validate-all").named("b").depth(10).gives(5).says(&["'b' has no definition"]);
        host.virsh(&["define", vm.file.to_str().unwrap()]);
        call().gives(0);
        // What would end it at a shutdown of the host is told of, and is no fault of the resource's.
        let wants = "/etc/systemd/system/multi-user.target.wants";
        host.run("mkdir", &["-p", wants]);
        host.run("ln", &["-sf", "/lib/systemd/system/libvirt-guests.service", wants]);
        host.run("sh", &["-c", "echo 'auto_shutdown_poweroff = \"all\"' >>/etc/libvirt/qemu.conf"]);
        call().gives(0).tells(&["libvirt-guests.service is enabled", "auto_shutdown_poweroff to \"none\""]);
        host.virsh(&["autostart", "a"]);
        call().gives(1).says(&["virsh autostart --disable a"]);
        host.virsh(&["undefine", "a"]);
        assert!(!vm.lives());
    }
    vm.call(Human, "validate-all").depth(10).gives(0);
    host.service("kill", "libvirtd");
    vm.call(Rgmanager, "validate-all").depth(10).gives(5).says(&["daemon does not run"]);
    vm.call(Pacemaker, "validate-all").depth(10).gives(5).says(&["daemon does not run"]);
}

#[test]
fn what_this_host_lacks_for_a_definition_is_told_once_each() {
    let host = Host::up();
    let with = |name: &str, devices: &str| {
        host.file(
            &format!("{name}.xml"),
            &host.guest("a").edit("<panic model", &format!("{devices}<panic model")).xml(),
        )
    };
    let call = |file: &std::path::Path| host.call(Pacemaker, "validate-all").named("a").param("config", file).depth(10);
    let drive = "<disk type='file' device='cdrom'><source file='/no/cd.iso' startupPolicy='POLICY'/>\
                 <target dev='sda' bus='sata'/></disk>";
    call(&with("optional", &drive.replace("POLICY", "optional"))).gives(0);
    call(&with("mandatory", &drive.replace("POLICY", "mandatory"))).gives(5).says(&["/no/cd.iso does not exist"]);
    let pci = "<hostdev mode='subsystem' type='pci'><source><address domain='0x00ff' bus='0x01' slot='0' function='0'/>\
               </source></hostdev>";
    let folder = "<filesystem type='mount'><source dir='/no/folder'/><target dir='t'/></filesystem>";
    for (name, devices, words) in [
        ("network", "<interface type='network'><source network='lan'/></interface>", "this host has no network 'lan'"),
        ("bridge", "<interface type='bridge'><source bridge='br7'/></interface>", "this host has no bridge 'br7'"),
        ("device", pci, "this host has no device pci 00ff:01:00.0"),
        ("folder", folder, "shared folder /no/folder does not exist"),
    ] {
        let answer = call(&with(name, devices)).gives(5).says(&[words]);
        assert_eq!(answer.stderr.matches(words).count(), 1, "{answer}");
    }
    let kvm = host.file("kvm.xml", &host.guest("a").edit("type='qemu'", "type='kvm'").xml());
    call(&kvm).gives(5).says(&["cannot run a domain of type 'kvm', only of these: qemu"]);
    // A person asks about this host, and means the file that is named.
    host.call(Human, "validate-all").named("a").arg("--xmlfile").arg("/not/here.xml").gives(5).says(&["/not/here.xml"]);
}

/// The findings and warnings of one answer, without what can be read in any order.
fn told(answer: &Answer) -> Vec<String> {
    let lines = answer.stderr.lines().filter_map(|line| line.strip_prefix("vm-agent: ")).map(str::to_owned);
    // What the machine under the tests does at its shutdown is another matter.
    let mut told: Vec<String> =
        lines.filter(|line| !line.starts_with("note: ") && !line.contains("at a shutdown")).collect();
    told.push(answer.reason.split_once("the worst: ").map_or(answer.reason.as_str(), |(_, worst)| worst).to_owned());
    told.sort();
    told
}

#[test]
fn a_definition_full_of_faults_gives_exactly_their_list_and_a_whole_one_none() {
    let host = Host::up();
    let plain = host.file("plain.img", "").display().to_string();
    host.run("ip", &["link", "add", "br0", "type", "bridge"]);
    let network = |name: &str, bridge: &str| {
        let text = format!("<network><name>{name}</name><forward mode='bridge'/><bridge name='{bridge}'/></network>");
        let file = host.file(&format!("{name}.net"), &text).display().to_string();
        host.virsh(&["net-define", &file]);
        host.virsh(&["net-start", name]);
    };
    network("whole", "br0");
    network("halved", "br8");
    let disk = |kind: &str, source: &str, target: &str| {
        format!("<disk type='{kind}'><source {source}/><target dev='{target}' bus='virtio'/></disk>")
    };
    let bridge = |name: &str| format!("<interface type='bridge'><source bridge='{name}'/></interface>");
    let of_network = |name: &str| format!("<interface type='network'><source network='{name}'/></interface>");
    let optional = "<disk type='file' device='cdrom'><source file='/no/cd.iso' startupPolicy='optional'/><target dev='sdz'/></disk>";
    let console = "<graphics type='vnc' port='5988' autoport='no' listen='127.0.0.1'/>";
    let other = host.guest("w").edit("<panic model", &format!("{console}<panic model")).written().created();
    let faults = [
        disk("file", "file='/no/disk.img'", "vdb"),
        disk("file", "file='/etc'", "vdc"),
        disk("block", &format!("dev='{plain}'"), "vdd"),
        optional.into(),
        [bridge("br7"), bridge("lo"), of_network("lan"), of_network("halved")].concat(),
        "<interface type='direct'><source dev='eth9' mode='bridge'/></interface>".into(),
        "<hostdev mode='subsystem' type='pci'><source><address domain='0xff' bus='1' slot='0'/></source></hostdev>"
            .into(),
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0xfefe'/><product id='0xfefe'/></source></hostdev>"
            .into(),
        "<filesystem type='mount'><source dir='/no/folder'/><target dir='t'/></filesystem>".into(),
        "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm9'/></backend></tpm>".into(),
        console.into(),
    ]
    .concat();
    let nvram = "<loader readonly='yes' type='pflash'>/etc/hostname</loader><nvram template='/no/vars.fd'>/no/a.fd</nvram></os>";
    let definition = |name: &str, devices: &str, os: &str, machine: &str| {
        let guest = host.guest("a").edit("<panic model", &format!("{devices}<panic model")).edit("</os>", os);
        host.file(name, &guest.edit("machine='pc'", machine).xml())
    };
    let call = |file: &std::path::Path| host.call(Pacemaker, "validate-all").named("a").param("config", file).depth(10);
    let answer = call(&definition("faults.xml", &faults, nvram, "machine='nonesuch'")).gives(5);
    let found = told(&answer);
    println!("{found:#?}");
    let expected = [
        "its vnc port 5988 is in use on this host, by qemu-system-x86 (pid ",
        "the definition's NVRAM template /no/vars.fd does not exist",
        "the definition's TPM /dev/tpm9 does not exist",
        "the definition's disk /etc is a folder",
        "the definition's disk /no/disk.img does not exist",
        "the definition's shared folder /no/folder does not exist",
        "the network device 'lo' is no bridge",
        "this host cannot run this kind of machine",
        "this host has no bridge 'br7'",
        "this host has no bridge 'br8', which the network 'halved' names",
        "this host has no device pci 00ff:01:00.0",
        "this host has no device usb fefe:fefe",
        "this host has no network 'lan'",
        "this host has no network device 'eth9'",
        &format!("warning: the definition's disk {plain} is a file, which QEMU may refuse as a block device"),
    ];
    assert_eq!(found.len(), expected.len(), "{answer}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "'{expected}' expected instead of '{found}'");
    }
    // Without the faults nothing is told, and it starts.
    let whole = [disk("file", &format!("file='{plain}'"), "vdb"), optional.into(), bridge("br0"), of_network("whole")];
    other.destroy();
    let file = definition("whole.xml", &(whole.concat() + console), "</os>", "machine='pc'");
    let answer = call(&file).gives(0);
    assert_eq!(told(&answer), [""], "{answer}");
    host.call(Pacemaker, "start").named("a").param("config", &file).gives(0);
    // The port is its own now.
    assert_eq!(told(&call(&file).gives(0)), [""]);
    host.virsh(&["destroy", "a"]);
    if !std::path::Path::new("/usr/share/qemu/firmware").exists() {
        let chosen = host.file("efi.xml", &host.guest("a").edit("<os>", "<os firmware='efi'>").xml());
        call(&chosen).gives(5).says(&["libvirt on this host finds no firmware 'efi': install its package"]);
    }
    // What only libvirt has is looked at as well.
    host.virsh(&["define", definition("own.xml", &bridge("br7"), "</os>", "machine='pc'").to_str().unwrap()]);
    let own = host.call(Pacemaker, "validate-all").named("a").depth(10).gives(5);
    assert!(own.reason.starts_with("this host has no bridge 'br7'"), "{own}");
}

#[test]
fn storage_that_hangs_hides_nothing_else_that_is_missing() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    std::fs::write(storage.folder.join("disk.img"), "").unwrap();
    let path = storage.point.join("disk.img").display().to_string();
    let devices = "<interface type='bridge'><source bridge='br7'/></interface><panic model";
    let xml = host.guest("a").option("--disk", &path).edit("<panic model", devices).xml();
    let file = host.file("a.xml", &xml);
    let call = || host.call(Pacemaker, "validate-all").named("a").param("config", &file).depth(10).timeout(20.0);
    let missing = "this host has no bridge 'br7': set it up here";
    assert_eq!(told(&call().gives(5)), [missing]);
    storage.hangs("all");
    let silent = format!("the definition's disk {path} is on storage that does not answer");
    assert_eq!(told(&call().gives(5)), [silent.as_str(), missing]);
}
