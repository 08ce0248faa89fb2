// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts of a definition.

use vm_agent::model::definition::{DefinedDomain, DiskDevice, DiskKind, Mark, TpmState, parse, with_mark};
use vm_agent::sys::text::sha256_hex;

/// A definition with everything that is read, and with what must not mislead.
pub const FULL: &str = include_str!("full.xml");

pub fn facts(text: &str) -> DefinedDomain {
    match parse(text.as_bytes()) {
        Ok(facts) => facts,
        Err(error) => panic!("{error}\n{text}"),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_full_definition_gives_every_fact() {
    let d = facts(FULL);
    assert_eq!(d.name, "web & <db>");
    assert_eq!(d.uuid.map(|u| (u[0], u[15])), Some((0x4d, 0x5e)));
    assert_eq!(d.domain_type, "kvm");
    assert_eq!(d.title, some("Shop, front end"));
    assert_eq!((d.vcpus_max, d.vcpus_current), (Some(8), Some(2)));
    assert_eq!((d.memory_max_kib, d.memory_current_kib), (Some(4 << 20), Some(1_953_125)));
    assert_eq!(d.emulator, some("/usr/bin/qemu-system-x86_64"));
    assert_eq!((d.os_type, d.arch, d.machine), (some("hvm"), some("x86_64"), some("q35")));
    assert_eq!(d.loader, some("/usr/share/OVMF/OVMF_CODE.fd"));
    assert_eq!(d.nvram, some("/var/lib/libvirt/qemu/nvram/web_VARS.fd"));
    assert_eq!((d.kernel, d.initrd), (some("/boot/vmlinuz"), some("/boot/initrd")));
    assert_eq!((d.on_poweroff, d.on_reboot, d.on_crash), (some("destroy"), some("restart"), some("preserve")));
    assert_eq!(d.channels, ["org.qemu.guest_agent.0", "com.redhat.spice.0"]);
    assert_eq!(d.vtpm, Some(TpmState::Unsaid));
    assert_eq!(d.mark, None);
}

#[test]
fn disks_say_what_they_are_and_where() {
    let disks = facts(FULL).disks;
    let sources: Vec<_> = disks.iter().map(|d| (d.target.as_deref(), d.kind.clone(), d.source.as_deref())).collect();
    assert_eq!(
        sources,
        [
            (Some("vda"), DiskKind::File, Some("/images/web 1.qcow2")),
            (Some("vdb"), DiskKind::Block, Some("/dev/vg/web")),
            (Some("vdc"), DiskKind::Network, Some("rbd:pool/web")),
            (Some("vdd"), DiskKind::Volume, Some("default/web.img")),
            (Some("vde"), DiskKind::Other("nvme".into()), Some("pci 0000:01:00.0")),
            (Some("sda"), DiskKind::File, None),
            (Some("fda"), DiskKind::Dir, Some("/floppy")),
            (Some("sdb"), DiskKind::Block, Some("/dev/sg1")),
        ]
    );
    let devices: Vec<_> = disks.iter().map(|d| d.device.clone()).collect();
    let disk = DiskDevice::Disk;
    assert_eq!(devices[..5], [disk.clone(), disk.clone(), disk.clone(), disk.clone(), disk]);
    assert_eq!(devices[5..], [DiskDevice::Cdrom, DiskDevice::Floppy, DiskDevice::Lun]);
    assert_eq!(disks[0].format.as_deref(), Some("qcow2"));
    assert_eq!(disks.iter().map(|d| d.read_only).collect::<Vec<_>>()[4..], [false, true, true, false]);
    assert!(disks[1].shareable && !disks[0].shareable);
    assert!(disks[6].may_be_missing && !disks[0].may_be_missing);
}

#[test]
fn interfaces_say_what_they_are_connected_to() {
    let interfaces = facts(FULL).interfaces;
    let all: Vec<_> = interfaces.iter().map(|i| (i.kind.as_str(), i.source.as_deref(), i.mac.as_deref())).collect();
    assert_eq!(
        all,
        [
            ("network", Some("default"), Some("52:54:00:00:00:01")),
            ("bridge", Some("br0"), None),
            ("direct", Some("eth0"), None),
            ("user", None, None),
            ("hostdev", None, None),
        ]
    );
    assert_eq!(interfaces[0].model.as_deref(), Some("virtio"));
}

#[test]
fn devices_of_the_host_are_described_in_a_few_words() {
    assert_eq!(
        facts(FULL).hostdevs,
        [
            "pci 0000:3b:00.1",
            "usb 1234:beef",
            "usb bus 3 device 4",
            "scsi scsi_host0 0:1:2",
            "scsi_host naa.5001405df3e54061",
            "mdev c2177883-f1bb-47f0-914d-32a22e3a8804",
            "storage /dev/sdx",
            "pci 0000:04:10.2 (network)",
            "tpm /dev/tpm0",
        ]
    );
}

#[test]
fn a_device_that_is_in_a_team_leaves_the_guest_before_it_moves() {
    let device = |teaming: &str| {
        format!(
            "<hostdev type='pci'><source><address bus='1'/></source>{teaming}</hostdev>\
             <interface type='hostdev'><source><address bus='2'/></source>{teaming}</interface>"
        )
    };
    let teamed = |devices: &str| {
        let text = format!("<domain type='kvm'><devices>{devices}<interface type='user'/></devices></domain>");
        vm_agent::model::definition::teamed(&vm_agent::model::definition::read(&text).unwrap())
    };
    let both = ["pci 0000:01:00.0", "pci 0000:02:00.0 (network)"];
    assert_eq!(teamed(&device("<teaming type='transient' persistent='ua-lan'/>")), both);
    assert_eq!(teamed(&device("")), [""; 0]);
    assert_eq!(teamed(&device("<teaming type='persistent'/>")), [""; 0]);
}

#[test]
fn shared_folders_say_what_is_shared() {
    let shared = facts(FULL).filesystems;
    assert_eq!(shared.len(), 1);
    assert_eq!(shared[0].driver.as_deref(), Some("virtiofs"));
    assert_eq!((shared[0].source.as_deref(), shared[0].target.as_deref()), (Some("/srv/share"), Some("share")));
}

#[test]
fn what_a_definition_leaves_out_is_unknown() {
    let d = facts("<domain type='lxc'><name>c1</name><vcpu placement='auto'/><memory unit='b'/></domain>");
    assert_eq!((d.uuid, d.title, d.vcpus_max, d.vcpus_current), (None, None, None, None));
    assert_eq!((d.memory_max_kib, d.memory_current_kib, d.emulator, d.nvram), (None, None, None, None));
    assert!(d.disks.is_empty() && d.interfaces.is_empty() && d.hostdevs.is_empty() && d.vtpm.is_none());
}

#[test]
fn memory_is_rounded_up_to_kibibytes() {
    let kib = |memory: &str| facts(&format!("<domain type='a'><name>n</name>{memory}</domain>")).memory_max_kib;
    assert_eq!(kib("<memory>5</memory>"), Some(5));
    assert_eq!(kib("<memory unit='b'>1</memory>"), Some(1));
    assert_eq!(kib("<memory unit='bytes'>1025</memory>"), Some(2));
    assert_eq!(kib("<memory unit='MB'>1</memory>"), Some(977));
    assert_eq!(kib("<memory unit='MiB'>1</memory>"), Some(1024));
    assert_eq!(kib("<memory unit='TiB'>1</memory>"), Some(1 << 30));
}

#[test]
fn what_is_in_use_at_start_is_all_unless_said_otherwise() {
    let d = facts("<domain type='a'><name>n</name><vcpu> 4 </vcpu><memory>8</memory></domain>");
    assert_eq!((d.vcpus_max, d.vcpus_current), (Some(4), Some(4)));
    assert_eq!((d.memory_max_kib, d.memory_current_kib), (Some(8), Some(8)));
}

#[test]
fn white_space_and_line_ends_are_those_of_xml() {
    let d = facts(
        "<domain type='a'><name>n</name><title>a\r\nb\rc&#13;d</title><os><type arch='a\r\nb\tc&#9;d'/></os></domain>",
    );
    assert_eq!(d.title, some("a\nb\nc\rd"));
    assert_eq!(d.arch, some("a b c\td"));
}

#[test]
fn the_hash_is_that_of_the_bytes() {
    assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_marked_definition_has_the_same_facts_and_the_mark() {
    let mark = Mark { instance: "vm-web".into(), source: "/a \"b\"/<&>\t.xml".into(), ..Mark::default() };
    let mut marked = facts(&with_mark(FULL, &mark).unwrap());
    assert_eq!(marked.mark.take(), Some(mark));
    assert_eq!(marked, facts(FULL));
}
