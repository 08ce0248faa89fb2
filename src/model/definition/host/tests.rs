// SPDX-License-Identifier: GPL-2.0-or-later
//! What definitions need of a host, as it is read from them.

use super::*;
use crate::model::definition::{parse, parse_xl, read};

fn of(text: &str) -> Vec<Need> {
    let (facts, root) = (parse(text.as_bytes()).unwrap(), read(text).unwrap());
    needs(&facts, Some(&root))
}

fn path(role: Role, path: &str) -> Need {
    Need::Path(role, path.into())
}

#[test]
fn each_need_of_a_full_definition_is_read_once() {
    let full = include_str!("../../../../tests/unit/definitions/full.xml");
    let pci = |address: &str| Need::Pci { address: address.into(), managed: true, vfio: true };
    let expected = [
        path(Role::Emulator, "/usr/bin/qemu-system-x86_64"),
        path(Role::Firmware, "/usr/share/OVMF/OVMF_CODE.fd"),
        path(Role::Kernel, "/boot/vmlinuz"),
        path(Role::InitialRamDisk, "/boot/initrd"),
        path(Role::Disk(Some(DiskKind::File)), "/images/web 1.qcow2"),
        path(Role::Disk(Some(DiskKind::Block)), "/dev/vg/web"),
        path(Role::Disk(Some(DiskKind::Block)), "/dev/sg1"),
        path(Role::SharedFolder, "/srv/share"),
        Need::Nvram {
            path: Some("/var/lib/libvirt/qemu/nvram/web_VARS.fd".into()),
            name: parse(full.as_bytes()).unwrap().name,
            template: None,
        },
        Need::TpmEmulator,
        path(Role::Tpm, "/dev/tpm0"),
        Need::Virtiofsd,
        Need::Bridge { name: "br0".into(), openvswitch: Some(false) },
        Need::NetworkDevice("eth0".into()),
        pci("0000:04:10.2"),
        pci("0000:3b:00.1"),
        Need::Usb { model: Some((0x1234, 0xbeef)), place: None },
        Need::Usb { model: None, place: Some((3, 4)) },
        Need::Scsi("0:0:1:2".into()),
        Need::Mdev("c2177883-f1bb-47f0-914d-32a22e3a8804".into()),
        path(Role::Device, "/dev/sdx"),
        pci("0000:01:00.0"),
    ];
    assert_eq!(of(full), expected);
    let twice = full.replace("<interface type='user'/>", "<interface type='bridge'><source bridge='br0'/></interface>");
    assert_eq!(of(&twice).len(), expected.len());
}

#[test]
fn what_may_be_absent_is_no_need() {
    let needs = of("<domain type='qemu'><name>a</name><devices>\
         <disk type='file' device='cdrom'><source file='/cd.iso' startupPolicy='optional'/><target dev='sda'/></disk>\
         <hostdev type='usb' mode='subsystem'><source startupPolicy='optional'><vendor id='1'/><product id='2'/></source>\
         </hostdev><interface type='network'><source network='lan'/></interface>\
         <graphics type='vnc' port='5901' autoport='yes'/><graphics type='vnc' port='-1'/>\
         <filesystem type='mount'><driver type='virtiofs'/><source socket='/run/fs.sock'/><target dir='t'/></filesystem>\
         <hostdev mode='subsystem' type='usb'/><tpm model='x'/><interface type='bridge'/><rng/></devices></domain>");
    assert_eq!(needs, [path(Role::SharedFolder, "/run/fs.sock")]);
}

#[test]
fn a_definition_says_whose_bridge_it_means_and_who_detaches_a_device() {
    let needs = of("<domain type='kvm'><name>a</name><devices>\
         <interface type='bridge'><source bridge='ovs'/><virtualport type='openvswitch'/></interface>\
         <hostdev mode='subsystem' type='pci' managed='no'><source><address bus='0x5'/></source></hostdev>\
         <graphics type='spice' port='5901' tlsPort='5902' autoport='no'/>\
         <rng model='virtio'><backend model='random'>/dev/hwrng</backend></rng>\
         <serial type='dev'><source path='/dev/ttyS1'/></serial></devices></domain>");
    let port = |port| ConsolePort { kind: "spice".into(), port, address: None, fixed: true };
    assert_eq!(
        needs,
        [
            Need::Bridge { name: "ovs".into(), openvswitch: Some(true) },
            Need::Pci { address: "0000:05:00.0".into(), managed: false, vfio: true },
            path(Role::Device, "/dev/hwrng"),
            path(Role::Device, "/dev/ttyS1"),
            Need::Port(port(5901)),
            Need::Port(port(5902)),
        ]
    );
}

#[test]
fn an_xl_file_needs_its_disks_bridges_and_devices() {
    let text = "name = 'a'\ndisk = ['/dev/vg/a,raw,xvda,w']\nvif = ['bridge=xenbr0']\npci = ['01:00.0']\n";
    let needs = needs(&parse_xl(text.as_bytes()).unwrap(), None);
    assert_eq!(
        needs,
        [
            path(Role::Disk(None), "/dev/vg/a"),
            Need::Bridge { name: "xenbr0".into(), openvswitch: None },
            Need::Pci { address: "0000:01:00.0".into(), managed: true, vfio: false },
        ]
    );
}

#[test]
fn an_hvm_guest_of_xens_needs_a_device_model_unless_it_names_one() {
    let model = |needs: Vec<Need>| needs.contains(&Need::XenDeviceModel);
    let xl = |text: &str| model(needs(&parse_xl(format!("name = 'a'\n{text}\n").as_bytes()).unwrap(), None));
    assert!(xl("type = 'hvm'") && xl("builder = 'hvm'"));
    assert!(!xl("type = 'pv'") && !xl("type = 'pvh'") && !xl("type = 'hvm'\ndevice_model_override = '/q'"));
    let xml = |domain: &str, os: &str, more: &str| {
        let os = format!("<os><type>{os}</type></os>");
        model(of(&format!("<domain type='{domain}'><name>a</name>{os}<devices>{more}</devices></domain>")))
    };
    assert!(xml("xen", "hvm", "") && !xml("xen", "hvm", "<emulator>/q</emulator>"));
    assert!(!xml("xen", "xenpvh", "") && !xml("xen", "linux", "") && !xml("kvm", "hvm", ""));
}

#[test]
fn of_a_definition_without_measure_only_so_much_is_looked_at() {
    let disk = |number: usize| format!("<disk><source file='/{number}'/><target dev='a{number}'/></disk>");
    let disks: String = (0..2 * MOST).map(disk).collect();
    let needs = of(&format!("<domain type='qemu'><name>a</name><devices>{disks}</devices></domain>"));
    assert_eq!(needs.len(), MOST);
}
