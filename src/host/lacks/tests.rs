// SPDX-License-Identifier: GPL-2.0-or-later
//! Each row: what is needed, and the sentence where a made-up host does not have it. Paths are looked at by processes of
//! the agent's own, so what is at them is told on real hosts.

use super::*;
use crate::host::aside::There;
use crate::model::definition::{ConsolePort, DiskKind, Role};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

struct Made(tempfile::TempDir);

impl Made {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        for folder in ["class/net", "bus/pci/devices", "bus/usb/devices", "bus/mdev/devices", "bus/scsi/devices"] {
            made.folder(&format!("sys/{folder}"));
        }
        made
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.0.path().join(path)).unwrap();
    }

    fn file(&self, path: &str, text: &str) {
        self.folder(Path::new(path).parent().unwrap().to_str().unwrap());
        fs::write(self.0.path().join(path), text).unwrap();
    }

    fn link(&self, path: &str, to: &str) {
        self.folder(Path::new(path).parent().unwrap().to_str().unwrap());
        symlink(to, self.0.path().join(path)).unwrap();
    }

    /// A PCI device with a group, and perhaps a driver.
    fn pci(&self, address: &str, driver: Option<&str>) {
        let device = format!("sys/bus/pci/devices/{address}");
        self.link(&format!("{device}/iommu_group"), "../../../../kernel/iommu_groups/7");
        self.link(
            &format!("sys/kernel/iommu_groups/7/devices/{address}"),
            &format!("../../../../bus/pci/devices/{address}"),
        );
        if let Some(driver) = driver {
            self.link(&format!("{device}/driver"), &format!("../../drivers/{driver}"));
        }
    }

    fn roots(&self) -> Roots {
        let at = |name: &str| self.0.path().join(name);
        Roots { proc: at("proc"), sys: at("sys"), run: at("run"), lib: at("lib") }
    }

    fn lacks(&self, need: Need) -> Vec<(&'static str, String)> {
        let lacks = devices::look(&[need], &self.roots());
        lacks.into_iter().map(|lack| (lack.kind.code(), lack.sentence)).collect()
    }

    /// The one lack: its code and a part of its sentence.
    fn is_told(&self, need: Need, code: &str, words: &str) {
        let lacks = self.lacks(need);
        let [(found, sentence)] = lacks.as_slice() else { panic!("{lacks:?}") };
        assert!(*found == code && sentence.contains(words), "{found}: {sentence}");
    }

    fn has_all(&self, need: Need) {
        assert_eq!(self.lacks(need), []);
    }
}

fn bridge(name: &str, openvswitch: Option<bool>) -> Need {
    Need::Bridge { name: name.into(), openvswitch }
}

fn pci(address: &str, managed: bool) -> Need {
    Need::Pci { address: address.into(), managed, vfio: true }
}

#[test]
fn bridges_exist_and_are_of_the_kind_that_is_meant() {
    let made = Made::new();
    made.folder("sys/class/net/br0/bridge");
    made.folder("sys/class/net/eth0");
    made.has_all(bridge("br0", Some(false)));
    made.has_all(bridge("eth0", Some(true)));
    made.has_all(bridge("eth0", None));
    made.is_told(bridge("br7", Some(false)), "bridge-missing", "this host has no bridge 'br7': set it up");
    made.is_told(bridge("eth0", Some(false)), "bridge-kind", "'eth0' is no bridge");
    made.is_told(bridge("br0", Some(true)), "bridge-kind", "'br0' is a bridge of the kernel's, not of Open vSwitch");
    made.has_all(Need::NetworkDevice("eth0".into()));
    made.is_told(Need::NetworkDevice("eth1".into()), "network-device-missing", "no network device 'eth1'");
    for hostile in ["../../etc", "/etc", ".", "..", "", "br0/bridge", "a\u{0}b"] {
        made.is_told(bridge(hostile, Some(false)), "bridge-missing", "no bridge");
    }
}

#[test]
fn a_host_that_does_not_show_its_devices_lacks_none() {
    let made = Made::new();
    let needs = [Need::Usb { model: Some((1, 2)), place: None }, Need::Mdev("c21".into()), pci("0000:01:00.0", true)];
    for bus in ["usb", "mdev", "pci"] {
        fs::remove_dir_all(made.0.path().join("sys/bus").join(bus)).unwrap();
    }
    // A bus that is not there has no devices; without any nothing is shown.
    assert_eq!(devices::look(&needs, &made.roots()).len(), 3);
    fs::remove_dir_all(made.0.path().join("sys")).unwrap();
    assert_eq!(devices::look(&needs, &made.roots()), []);
}

#[test]
fn each_path_is_what_the_definition_takes_it_for() {
    let told = |role: &Role, there: There| {
        let need = Need::Path(role.clone(), "/a".into());
        files::judge(&need, &[there]).map(|lack| (lack.kind.code(), lack.sentence))
    };
    let code = |role: &Role, there: There| told(role, there).map(|(code, _)| code);
    let disk = |kind: DiskKind| Role::Disk(Some(kind));
    let all = [
        (Role::Emulator, "emulator-missing"),
        (Role::Firmware, "firmware-missing"),
        (Role::Kernel, "boot-file-missing"),
        (Role::InitialRamDisk, "boot-file-missing"),
        (disk(DiskKind::File), "disk-missing"),
        (Role::Disk(None), "disk-missing"),
        (Role::SharedFolder, "folder-missing"),
        (Role::Shared, "folder-missing"),
        (Role::Virtiofsd, "virtiofsd-missing"),
        (Role::Tpm, "tpm-device-missing"),
        (Role::Device, "device-file-missing"),
    ];
    for (role, missing) in &all {
        assert_eq!(code(role, There::Nothing), Some(*missing), "{role:?}");
        assert_eq!(code(role, There::Silent), Some("storage-silent"), "{role:?}");
        assert_eq!(code(role, There::Unseen), Some("unseen"), "{role:?}");
    }
    // One of the usual places is enough, and what cannot be seen is no lack.
    let model = |found: &[There]| files::judge(&Need::XenDeviceModel, found).map(|lack| lack.kind.code());
    assert_eq!(model(&[There::Nothing, There::Nothing]), Some("device-model-missing"));
    for there in [There::Program, There::Silent, There::Unseen] {
        assert_eq!(model(&[There::Nothing, there]), None, "{there:?}");
    }
    for (role, there, expected) in [
        (Role::Emulator, There::Program, None),
        (Role::Emulator, There::File, Some("emulator-not-executable")),
        (Role::Emulator, There::Folder, Some("emulator-not-executable")),
        (disk(DiskKind::File), There::File, None),
        (disk(DiskKind::File), There::Program, None),
        (disk(DiskKind::File), There::Block, Some("disk-kind")),
        (disk(DiskKind::File), There::Folder, Some("disk-is-folder")),
        (disk(DiskKind::Block), There::Block, None),
        (disk(DiskKind::Block), There::Other, None),
        (disk(DiskKind::Block), There::File, Some("disk-kind")),
        (disk(DiskKind::Block), There::Folder, Some("disk-is-folder")),
        (disk(DiskKind::Dir), There::Folder, None),
        (Role::Disk(None), There::File, None),
        (Role::SharedFolder, There::Folder, None),
        (Role::SharedFolder, There::File, Some("folder-missing")),
        (Role::Shared, There::Other, None),
        (Role::Tpm, There::Other, None),
    ] {
        assert_eq!(code(&role, there), expected, "{role:?} at {there:?}");
    }
    let (_, sentence) = told(&disk(DiskKind::File), There::Nothing).unwrap();
    assert_eq!(sentence, "the definition's disk /a does not exist: make its storage reach this host");
}

#[test]
fn variables_of_a_firmware_are_there_or_can_be_made() {
    let told = |path: Option<&str>, template: Option<&str>, found: &[There]| {
        let (path, template) = (path.map(str::to_owned), template.map(str::to_owned));
        files::judge(&Need::Nvram { path, name: "a".into(), template }, found).map(|lack| lack.sentence)
    };
    let (none, file, folder) = (There::Nothing, There::File, There::Folder);
    assert_eq!(told(None, None, &[none, none]), None);
    assert_eq!(told(Some("/v/a.fd"), Some("/no"), &[file, folder, none]), None);
    assert_eq!(told(Some("/v/a.fd"), Some("/yes"), &[none, folder, file]), None);
    assert_eq!(told(None, Some("/yes"), &[none, none, file]), None);
    assert_eq!(
        told(None, Some("/no"), &[none, none, none]).as_deref(),
        Some("the definition's NVRAM template /no does not exist, nor does its file: install the firmware")
    );
    let sentence = told(Some("/v/a.fd"), None, &[none, none]).unwrap();
    assert_eq!(sentence, "the folder /v of the definition's NVRAM does not exist: create or mount it here");
    assert!(told(Some("/v/a.fd"), None, &[There::Silent, There::Silent]).unwrap().contains("does not answer"));
    assert_eq!(told(Some("/v/a.fd"), Some("/no"), &[There::Unseen, folder, none]), None);
}

#[test]
fn pci_devices_exist_in_a_group_that_the_guest_can_have() {
    let made = Made::new();
    let (one, other) = ("0000:01:00.0", "0000:01:00.1");
    made.is_told(pci(one, true), "pci-missing", "this host has no device pci 0000:01:00.0: 'lspci -D'");
    made.folder("sys/bus/pci/devices/0000:02:00.0");
    made.is_told(pci("0000:02:00.0", true), "pci-no-iommu", "no IOMMU group: enable VT-d or AMD-Vi");
    made.has_all(Need::Pci { address: "0000:02:00.0".into(), managed: true, vfio: false });
    made.pci(one, None);
    made.has_all(pci(one, true));
    made.is_told(pci(one, false), "pci-not-detached", "has no driver, not vfio-pci");
    made.pci(other, Some("snd_hda_intel"));
    made.is_told(pci(other, false), "pci-not-detached", "'virsh nodedev-detach pci_0000_01_00_1'");
    made.is_told(
        pci(one, true),
        "pci-group-shared",
        "shares its IOMMU group with 0000:01:00.1, which has the driver snd",
    );
    // The guest gets both.
    assert_eq!(devices::look(&[pci(one, true), pci(other, true)], &made.roots()), []);
    made.pci("0000:01:00.2", Some("pcieport"));
    made.pci("0000:01:00.3", Some("vfio-pci"));
    let words = "0000:01:00.3 shares its IOMMU group with 0000:01:00.1";
    made.is_told(pci("0000:01:00.3", false), "pci-group-shared", words);
}

#[test]
fn usb_devices_are_one_each() {
    let made = Made::new();
    let device = |name: &str, number: &str| {
        for (file, text) in [("idVendor", "046d\n"), ("idProduct", "c52b\n"), ("busnum", "1\n"), ("devnum", number)] {
            made.file(&format!("sys/bus/usb/devices/{name}/{file}"), text);
        }
    };
    made.folder("sys/bus/usb/devices/1-0:1.0");
    let model = Some((0x46d, 0xc52b));
    let words = "this host has no device usb 046d:c52b: connect it";
    made.is_told(Need::Usb { model, place: None }, "usb-missing", words);
    device("1-1", "4\n");
    made.has_all(Need::Usb { model, place: None });
    made.has_all(Need::Usb { model: None, place: Some((1, 4)) });
    made.is_told(Need::Usb { model, place: Some((1, 5)) }, "usb-missing", "usb 046d:c52b bus 1 device 5");
    device("1-2", "5\n");
    made.is_told(Need::Usb { model, place: None }, "usb-ambiguous", "2 devices usb 046d:c52b: name one by <address");
    made.has_all(Need::Usb { model, place: Some((1, 5)) });
}

#[test]
fn mediated_and_scsi_devices_exist() {
    let made = Made::new();
    made.is_told(Need::Mdev("c21".into()), "mdev-missing", "no device mdev c21");
    made.is_told(Need::Scsi("0:0:1:2".into()), "scsi-missing", "no device scsi 0:0:1:2");
    made.folder("sys/bus/mdev/devices/c21");
    made.folder("sys/bus/scsi/devices/0:0:1:2");
    made.has_all(Need::Mdev("c21".into()));
    made.has_all(Need::Scsi("0:0:1:2".into()));
}

#[test]
fn a_consoles_port_is_in_use_where_its_address_is() {
    let made = Made::new();
    let table = |address: &str, state: &str| {
        let line = format!("1: {address} 00000000:0000 {state} 1:0 01:0 0 0 0 4711 2 0\n");
        let name = if address.len() > 20 { "tcp6" } else { "tcp" };
        let _ = fs::remove_dir_all(made.0.path().join("proc/self"));
        made.file(&format!("proc/self/net/{name}"), &format!("  sl\n{line}"));
    };
    made.file("proc/7/comm", "x11vnc\n");
    made.link("proc/7/fd/3", "socket:[4711]");
    let port = |address: Option<&str>| {
        let address = address.map(str::to_owned);
        let port = Need::Port(ConsolePort { kind: "vnc".into(), port: 5901, address, fixed: true });
        let lacks = ports(&[port], &made.roots());
        lacks.into_iter().map(|lack| lack.sentence).next()
    };
    let told = "its vnc port 5901 is in use on this host, by x11vnc (pid 7): end that, or choose another port";
    if cfg!(target_endian = "big") {
        return;
    }
    table("0100007F:170D", "0A");
    for address in [None, Some("127.0.0.1"), Some("0.0.0.0"), Some("::")] {
        assert_eq!(port(address).as_deref(), Some(told), "{address:?}");
    }
    for address in ["10.0.0.1", "::1", "a.host"] {
        assert_eq!(port(Some(address)), None, "{address}");
    }
    table("0100007F:170D", "01");
    assert_eq!(port(None), None);
    table("0100007F:170E", "0A");
    assert_eq!(port(None), None);
    for everywhere in ["00000000:170D", "00000000000000000000000000000000:170D"] {
        table(everywhere, "0A");
        for address in [None, Some("10.0.0.1"), Some("a.host")] {
            assert_eq!(port(address).as_deref(), Some(told), "{address:?} beside {everywhere}");
        }
    }
}

#[test]
fn what_both_say_is_said_once() {
    let lack = |kind, what: &str, words: &str| Lack::new(kind, what, words.into());
    let here = vec![lack(LackKind::BridgeMissing, "br7", "here"), lack(LackKind::EmulatorMissing, "/no/qemu", "none")];
    let libvirts = vec![
        lack(LackKind::BridgeMissing, "br7", "there"),
        lack(LackKind::BridgeMissing, "br8", "there"),
        lack(LackKind::MachineType, "pc", "cannot execute /no/qemu"),
        lack(LackKind::MachineType, "pc", "no machine pc"),
    ];
    let told: Vec<String> = together(here, libvirts).into_iter().map(|lack| lack.sentence).collect();
    assert_eq!(told, ["here", "none", "there", "no machine pc"]);
}
