// SPDX-License-Identifier: GPL-2.0-or-later
//! Bridges, devices and ports that a definition needs, as the kernel shows them.

use crate::model::definition::{ConsolePort, Need};
use crate::model::lack::{Lack, LackKind};
use crate::sys::connecting::{self, Listening};
use crate::sys::roots::Roots;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// What of them is missing, or is in other hands.
pub(super) fn look(needs: &[Need], roots: &Roots) -> Vec<Lack> {
    let address = |need: &'_ Need| if let Need::Pci { address, .. } = need { Some(address.clone()) } else { None };
    let wanted: Vec<String> = needs.iter().filter_map(address).collect();
    let lacks = needs.iter().filter_map(|need| match need {
        Need::Bridge { name, openvswitch } => bridge(name, *openvswitch, &roots.sys),
        Need::NetworkDevice(name) => {
            let sentence = || format!("this host has no network device '{name}': set it up here");
            (!exists(&roots.sys, "class/net", name)?)
                .then(|| Lack::new(LackKind::NetworkDeviceMissing, name, sentence()))
        }
        Need::Pci { address, managed, vfio } => pci(address, *managed, *vfio, &wanted, &roots.sys),
        Need::Usb { model, place } => usb(*model, *place, &roots.sys),
        Need::Mdev(uuid) => (!exists(&roots.sys, "bus/mdev/devices", uuid)?).then(|| {
            let sentence = format!("this host has no device mdev {uuid}: create it ('mdevctl start -u UUID')");
            Lack::new(LackKind::MdevMissing, uuid, sentence)
        }),
        Need::Scsi(address) => (!exists(&roots.sys, "bus/scsi/devices", address)?).then(|| {
            let sentence = format!("this host has no device scsi {address}: 'lsscsi' lists those that it has");
            Lack::new(LackKind::ScsiMissing, address, sentence)
        }),
        // Not while the domain itself may have it.
        Need::Port(_)
        | Need::Path(..)
        | Need::Nvram { .. }
        | Need::TpmEmulator
        | Need::Virtiofsd
        | Need::XenDeviceModel => None,
    });
    lacks.collect()
}

/// The ports of its consoles that somebody else has.
pub(super) fn ports(needs: &[Need], roots: &Roots) -> Vec<Lack> {
    let wanted = needs.iter().filter_map(|need| if let Need::Port(port) = need { Some(port) } else { None });
    let wanted: Vec<&ConsolePort> = wanted.collect();
    let listening = if wanted.is_empty() { Vec::new() } else { connecting::listening(&roots.proc) };
    wanted.into_iter().filter_map(|port| in_use(port, &listening, &roots.proc)).collect()
}

/// Whether the kernel shows something of this name in a folder; nothing, where it shows no devices at all. A name that is
/// none is no device's.
fn exists(sys: &Path, folder: &str, name: &str) -> Option<bool> {
    let is_name = !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
    match (is_name, sys.join(folder).join(name).symlink_metadata()) {
        (false, _) => Some(false),
        (true, Ok(_)) => Some(true),
        (true, Err(error)) if error.kind() == ErrorKind::NotFound => shows_devices(sys).then_some(false),
        (true, Err(_)) => None,
    }
}

fn shows_devices(sys: &Path) -> bool {
    sys.join("bus").is_dir()
}

fn bridge(name: &str, openvswitch: Option<bool>, sys: &Path) -> Option<Lack> {
    if !exists(sys, "class/net", name)? {
        let sentence = format!("this host has no bridge '{name}': set it up here");
        return Some(Lack::new(LackKind::BridgeMissing, name, sentence));
    }
    let is_kernels = sys.join("class/net").join(name).join("bridge").exists();
    let sentence = match (openvswitch?, is_kernels) {
        (false, true) | (true, false) => return None,
        (false, false) => format!(
            "the network device '{name}' is no bridge: correct <source bridge>, or say <virtualport type='openvswitch'/>"
        ),
        (true, true) => format!("'{name}' is a bridge of the kernel's, not of Open vSwitch: take <virtualport> away"),
    };
    Some(Lack::new(LackKind::BridgeKind, name, sentence))
}

fn pci(address: &str, managed: bool, vfio: bool, wanted: &[String], sys: &Path) -> Option<Lack> {
    let lack = |kind: LackKind, sentence: String| Some(Lack::new(kind, address, sentence));
    if !exists(sys, "bus/pci/devices", address)? {
        let sentence = format!("this host has no device pci {address}: 'lspci -D' lists those that it has");
        return lack(LackKind::PciMissing, sentence);
    }
    if !vfio {
        return None;
    }
    let device = sys.join("bus/pci/devices").join(address);
    if device.join("iommu_group").symlink_metadata().is_err() {
        let sentence =
            format!("the device pci {address} has no IOMMU group: enable VT-d or AMD-Vi, and intel_iommu=on");
        return lack(LackKind::PciNoIommu, sentence);
    }
    let driver = driver(&device);
    if !managed && !driver.as_deref().is_some_and(|driver| driver.contains("vfio")) {
        let has = driver.map_or_else(|| "has no driver".to_owned(), |driver| format!("has the driver {driver}"));
        let node = address.replace([':', '.'], "_");
        let way_out = format!("say managed='yes', or 'virsh nodedev-detach pci_{node}'");
        return lack(LackKind::PciNotDetached, format!("the device pci {address} {has}, not vfio-pci: {way_out}"));
    }
    let other = others(&device).into_iter().find(|(other, _)| !wanted.contains(other))?;
    let sentence = format!(
        "the device pci {address} shares its IOMMU group with {}, which has the driver {}: QEMU may be refused the group",
        other.0, other.1
    );
    lack(LackKind::PciGroupShared, sentence)
}

/// The driver of a device.
fn driver(device: &Path) -> Option<String> {
    let link = std::fs::read_link(device.join("driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// The devices of its IOMMU group that a driver of the host has. What the kernel leaves out of account is left out: a port
/// of the bus, and a device that is only held.
fn others(device: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(device.join("iommu_group/devices")) else { return Vec::new() };
    let mut others: Vec<(String, String)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.to_owned(), driver(&entry.path())?)))
        .filter(|(_, driver)| !driver.contains("vfio") && driver != "pcieport" && driver != "pci-stub")
        .collect();
    others.sort();
    others
}

fn usb(model: Option<(u32, u32)>, place: Option<(u32, u32)>, sys: &Path) -> Option<Lack> {
    let entries = match std::fs::read_dir(sys.join("bus/usb/devices")) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound && shows_devices(sys) => None,
        Err(_) => return None,
    };
    let says = |at: &PathBuf, file: &str, radix: u32, number: u32| {
        std::fs::read_to_string(at.join(file)).is_ok_and(|text| u32::from_str_radix(text.trim(), radix) == Ok(number))
    };
    let fits = |at: &PathBuf| {
        model.is_none_or(|(vendor, product)| says(at, "idVendor", 16, vendor) && says(at, "idProduct", 16, product))
            && place.is_none_or(|(bus, device)| says(at, "busnum", 10, bus) && says(at, "devnum", 10, device))
    };
    let found = entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(fits).count();
    let model = model.map(|(vendor, product)| format!("{vendor:04x}:{product:04x}"));
    let at = place.map(|(bus, device)| format!("bus {bus} device {device}"));
    let what = model.into_iter().chain(at).collect::<Vec<_>>().join(" ");
    match found {
        0 => {
            let sentence = format!("this host has no device usb {what}: connect it ('lsusb' lists those that it has)");
            Some(Lack::new(LackKind::UsbMissing, &what, sentence))
        }
        1 => None,
        count => {
            let sentence = format!("this host has {count} devices usb {what}: name one by <address bus= device=>");
            Some(Lack::new(LackKind::UsbAmbiguous, &what, sentence))
        }
    }
}

/// A port at which somebody else takes connections.
fn in_use(port: &ConsolePort, listening: &[Listening], proc: &Path) -> Option<Lack> {
    let taken = listening.iter().find(|socket| socket.at.port() == port.port && meets(port, socket.at.ip()))?;
    let by = taken.owner(proc).map(|(name, pid)| format!(", by {name} (pid {pid})")).unwrap_or_default();
    let (kind, number) = (&port.kind, port.port);
    let sentence = format!("its {kind} port {number} is in use on this host{by}: end that, or choose another port");
    Some(Lack::new(LackKind::PortInUse, &number.to_string(), sentence))
}

/// Whether who listens at this address keeps the console from its own. Without one libvirt chooses the loopback, unless its
/// configuration says something else.
fn meets(port: &ConsolePort, other: IpAddr) -> bool {
    let Ok(own) = port.address.as_deref().map_or(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), str::parse) else {
        return other.is_unspecified();
    };
    // Every address of the sixth version means those of the fourth, too.
    let everywhere = |one: IpAddr, of: IpAddr| one.is_unspecified() && (one.is_ipv6() || of.is_ipv4());
    own == other || everywhere(own, other) || everywhere(other, own)
}
