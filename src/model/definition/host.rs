// SPDX-License-Identifier: GPL-2.0-or-later
//! What a definition needs of the host that starts it, as far as the host itself can be looked at. Pure.
//!
//! What only libvirt can tell (networks, pools, secrets, kinds of machines) is the worker's to ask. What libvirt refuses by
//! itself, as a number that is none, is no need.

use super::devices::{DiskKind, each, pci_address};
use super::facts::DefinedDomain;
use super::needs::{ConsolePort, console_ports};
use super::strict::Element;

/// More than this of one definition is not looked at: each costs the host a look.
const MOST: usize = 1000;

/// One thing that a domain needs of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Something at a path.
    Path(Role, String),
    /// A file for the variables of the firmware.
    Nvram {
        /// The file; else libvirt's own, by the name.
        path: Option<String>,
        /// The domain's name.
        name: String,
        /// What it is made from.
        template: Option<String>,
    },
    /// What emulates a TPM.
    TpmEmulator,
    /// What serves shared folders, where libvirt is to find it.
    Virtiofsd,
    /// What emulates the hardware of an HVM guest of Xen's, where Xen is to find it.
    XenDeviceModel,
    /// A bridge; Open vSwitch's or the kernel's, where that is said.
    Bridge {
        /// Its name.
        name: String,
        /// Whether it is Open vSwitch's.
        openvswitch: Option<bool>,
    },
    /// A network device under macvtap.
    NetworkDevice(String),
    /// A PCI device.
    Pci {
        /// `0000:01:00.0`.
        address: String,
        /// Whether it is detached from the host by libvirt.
        managed: bool,
        /// Whether it is given to the guest by VFIO.
        vfio: bool,
    },
    /// A USB device.
    Usb {
        /// Vendor and product.
        model: Option<(u32, u32)>,
        /// Bus and device.
        place: Option<(u32, u32)>,
    },
    /// A mediated device, by UUID.
    Mdev(String),
    /// A SCSI device: `0:0:1:2`.
    Scsi(String),
    /// A fixed port of a console.
    Port(ConsolePort),
}

/// What a path is to the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The emulator.
    Emulator,
    /// The firmware.
    Firmware,
    /// The kernel that is booted directly.
    Kernel,
    /// Its initial RAM disk.
    InitialRamDisk,
    /// A disk, whose kind counts where the hypervisor looks at it.
    Disk(Option<DiskKind>),
    /// A folder that QEMU shares with the guest.
    SharedFolder,
    /// Something else that is shared with the guest.
    Shared,
    /// What serves a shared folder.
    Virtiofsd,
    /// The host's TPM.
    Tpm,
    /// Another device.
    Device,
}

/// All that the domain of these `facts` needs, each once; `root` is its document, if it is XML.
#[must_use]
pub fn needs(facts: &DefinedDomain, root: Option<&Element<'_>>) -> Vec<Need> {
    let qemu = matches!(facts.domain_type.as_str(), "qemu" | "kvm");
    let mut needs = Vec::new();
    for (role, path) in [
        (Role::Emulator, &facts.emulator),
        (Role::Firmware, &facts.loader),
        (Role::Kernel, &facts.kernel),
        (Role::InitialRamDisk, &facts.initrd),
    ] {
        needs.extend(path.as_deref().and_then(|path| at(role, path)));
    }
    // Without a medium that is optional libvirt starts it as well.
    for disk in facts.disks.iter().filter(|disk| !disk.may_be_missing) {
        if matches!(disk.kind, DiskKind::File | DiskKind::Block | DiskKind::Dir) {
            let role = Role::Disk(qemu.then(|| disk.kind.clone()));
            needs.extend(disk.source.as_deref().map(|path| Need::Path(role, path.to_owned())));
        }
    }
    for shared in &facts.filesystems {
        let role = if qemu && shared.kind == "mount" { Role::SharedFolder } else { Role::Shared };
        needs.extend(shared.source.as_deref().and_then(|path| at(role, path)));
    }
    if facts.domain_type == "xen" && facts.os_type.as_deref() == Some("hvm") && facts.emulator.is_none() {
        needs.push(Need::XenDeviceModel);
    }
    match root {
        Some(root) => of_document(facts, root, qemu, &mut needs),
        None => of_xl(facts, &mut needs),
    }
    let mut once: Vec<Need> = Vec::new();
    for need in needs {
        if once.len() == MOST {
            break;
        }
        if !once.contains(&need) {
            once.push(need);
        }
    }
    once
}

/// A path of the host's.
fn at(role: Role, path: &str) -> Option<Need> {
    path.starts_with('/').then(|| Need::Path(role, path.to_owned()))
}

/// An xl file says no more of its devices than the facts do.
fn of_xl(facts: &DefinedDomain, needs: &mut Vec<Need>) {
    for name in facts.interfaces.iter().filter(|interface| interface.kind == "bridge") {
        needs.extend(name.source.clone().map(|name| Need::Bridge { name, openvswitch: None }));
    }
    for device in &facts.hostdevs {
        if let Some(("pci", address)) = device.split_once(' ') {
            needs.push(Need::Pci { address: address.to_owned(), managed: true, vfio: false });
        }
    }
}

fn of_document(facts: &DefinedDomain, root: &Element<'_>, qemu: bool, needs: &mut Vec<Need>) {
    if let Some(nvram) = root.first("os").and_then(|os| os.first("nvram")) {
        let of_file = matches!(nvram.attribute("type"), None | Some("file"));
        let template = nvram.attribute("template").filter(|path| path.starts_with('/')).map(str::to_owned);
        if of_file {
            needs.push(Need::Nvram { path: facts.nvram.clone(), name: facts.name.clone(), template });
        }
    }
    for backend in each(root, "tpm").filter_map(|tpm| tpm.first("backend")) {
        match backend.attribute("type") {
            Some("emulator") => needs.push(Need::TpmEmulator),
            Some("passthrough") => {
                let path = backend.first("device").and_then(|device| device.attribute("path"));
                needs.push(Need::Path(Role::Tpm, path.unwrap_or("/dev/tpm0").to_owned()));
            }
            Some(_) | None => {}
        }
    }
    for shared in each(root, "filesystem") {
        let served = shared.first("driver").and_then(|driver| driver.attribute("type")) == Some("virtiofs");
        let by_libvirt = shared.first("source").is_none_or(|source| source.attribute("socket").is_none());
        match shared.first("binary").and_then(|binary| binary.attribute("path")) {
            Some(path) => needs.extend(at(Role::Virtiofsd, path)),
            None if served && by_libvirt => needs.push(Need::Virtiofsd),
            None => {}
        }
    }
    for interface in each(root, "interface") {
        interface_needs(interface, qemu, needs);
    }
    for device in each(root, "hostdev") {
        needs.extend(hostdev(device, qemu));
    }
    for disk in each(root, "disk").filter(|disk| disk.attribute("type") == Some("nvme")) {
        let source = disk.first("source");
        needs.extend(source.and_then(|source| pci(source, source.attribute("managed"), qemu)));
    }
    for path in devices(root) {
        needs.extend(at(Role::Device, path));
    }
    needs.extend(console_ports(root).into_iter().filter(|port| port.fixed).map(Need::Port));
}

/// Which bridge a network has is that host's own affair, and libvirt's to tell.
fn interface_needs(interface: &Element<'_>, qemu: bool, needs: &mut Vec<Need>) {
    let Some(source) = interface.first("source").filter(|source| source.attribute("network").is_none()) else { return };
    let named = |name: &str| source.attribute(name).filter(|name| !name.is_empty()).map(str::to_owned);
    match interface.attribute("type") {
        Some("bridge") => {
            let port = interface.first("virtualport").and_then(|port| port.attribute("type"));
            let openvswitch = Some(port == Some("openvswitch"));
            needs.extend(named("bridge").map(|name| Need::Bridge { name, openvswitch }));
        }
        Some("direct") => needs.extend(named("dev").map(Need::NetworkDevice)),
        Some("hostdev") => needs.extend(pci(source, interface.attribute("managed"), qemu)),
        Some("vdpa") => needs.extend(named("dev").and_then(|path| at(Role::Device, &path))),
        Some(_) | None => {}
    }
}

fn hostdev(device: &Element<'_>, qemu: bool) -> Option<Need> {
    let source = device.first("source")?;
    let address = source.first("address");
    let part = |name: &str| address?.attribute(name).and_then(number);
    match device.attribute("type")? {
        "pci" => pci(source, device.attribute("managed"), qemu),
        // Without one that is optional libvirt starts it as well.
        "usb" if source.attribute("startupPolicy") == Some("optional") => None,
        "usb" => {
            let id = |name: &str| source.first(name).and_then(|id| number(id.attribute("id")?));
            let (model, place) = (id("vendor").zip(id("product")), part("bus").zip(part("device")));
            (model.is_some() || place.is_some()).then_some(Need::Usb { model, place })
        }
        "mdev" => address?.attribute("uuid").map(|uuid| Need::Mdev(uuid.to_owned())),
        "scsi" => {
            let adapter = source.first("adapter")?.attribute("name")?.strip_prefix("scsi_host")?;
            let host = number(adapter)?;
            let [bus, target, unit] = ["bus", "target", "unit"].map(part);
            Some(Need::Scsi(format!("{host}:{}:{}:{}", bus.unwrap_or(0), target.unwrap_or(0), unit?)))
        }
        "storage" => at(Role::Device, &source.text_of("block")?),
        "misc" => at(Role::Device, &source.text_of("char")?),
        _ => None,
    }
}

fn pci(source: &Element<'_>, managed: Option<&str>, qemu: bool) -> Option<Need> {
    let address = source.first("address")?;
    // Of a kind that is said, it is this one.
    address.attribute("type").is_none_or(|kind| kind == "pci").then(|| Need::Pci {
        address: pci_address(address),
        managed: managed == Some("yes"),
        vfio: qemu,
    })
}

/// A number as libvirt writes it: `0x1a` or `26`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The devices of the host that are named by their files alone.
fn devices<'a>(root: &'a Element<'_>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for random in each(root, "rng").filter_map(|rng| rng.first("backend")) {
        found.extend(Some(random.text.as_str()).filter(|_| random.attribute("model") == Some("random")));
    }
    for port in ["serial", "parallel"].into_iter().flat_map(|name| each(root, name)) {
        let source = port.first("source").filter(|_| port.attribute("type") == Some("dev"));
        found.extend(source.and_then(|source| source.attribute("path")));
    }
    for input in each(root, "input").filter_map(|input| input.first("source")) {
        found.extend(input.attribute("evdev").or_else(|| input.attribute("dev")));
    }
    found
}

#[cfg(test)]
mod tests;
