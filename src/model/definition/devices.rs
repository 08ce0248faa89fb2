// SPDX-License-Identifier: GPL-2.0-or-later
//! The devices of a definition, as far as checks, `status` and a migration need them. Pure.

use super::strict::Element;
use std::path::Path;

/// What a disk looks like to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDevice {
    /// An ordinary disk.
    Disk,
    /// A CD or DVD drive.
    Cdrom,
    /// A floppy drive.
    Floppy,
    /// A SCSI LUN passed through.
    Lun,
    /// Something that this agent does not know.
    Other(String),
}

/// What a disk is to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// A file.
    File,
    /// A block device.
    Block,
    /// A folder shown as a file system.
    Dir,
    /// A network protocol, such as Ceph RBD or iSCSI.
    Network,
    /// A volume of one of libvirt's pools.
    Volume,
    /// Something else: `nvme`, `vhostuser`, ...
    Other(String),
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What it looks like to the guest.
    pub device: DiskDevice,
    /// What it is to the host.
    pub kind: DiskKind,
    /// A path for `File`, `Block` and `Dir`; else words ("rbd:pool/image", "pool/volume"). `None`: an empty drive.
    pub source: Option<String>,
    /// The name in the guest: `vda`.
    pub target: Option<String>,
    /// The image's format: `qcow2`, `raw`.
    pub format: Option<String>,
    /// Whether the guest may only read it; always so for a CD drive.
    pub read_only: bool,
    /// Whether several guests may use it at once.
    pub shareable: bool,
    /// Whether what is written to it is forgotten at the domain's end.
    pub transient: bool,
    /// Whether libvirt starts the domain without it (`startupPolicy='optional'`).
    pub may_be_missing: bool,
    /// The servers of `Network`, each as `name` or `name:port`.
    pub hosts: Vec<String>,
    /// Whom these know us as.
    pub user: Option<String>,
}

impl Disk {
    /// Whether the domain writes it, and nobody else may.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        let written = matches!(self.device, DiskDevice::Disk | DiskDevice::Lun) && !self.read_only && !self.transient;
        written && !self.shareable && self.source.is_some()
    }

    /// The same disk by the file or device that its volume is here.
    pub(crate) fn set_path(&mut self, path: String) {
        self.kind = if path.starts_with("/dev/") { DiskKind::Block } else { DiskKind::File };
        self.source = Some(path);
    }

    /// Its path on this host, if it has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        let local = matches!(self.kind, DiskKind::File | DiskKind::Block);
        self.source.as_deref().filter(|_| local).map(Path::new)
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `network`, `bridge`, `direct`, `user`, `hostdev`, ...
    pub kind: String,
    /// The name of the network, the bridge or the host's device.
    pub source: Option<String>,
    /// The name of libvirt's network, also where a running domain shows the bridge behind it.
    pub network: Option<String>,
    /// The MAC address.
    pub mac: Option<String>,
    /// The device's model: `virtio`.
    pub model: Option<String>,
}

/// A folder of the host in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// `mount`, `template`, `ram`, ...
    pub kind: String,
    /// `virtiofs`, `path`, ...
    pub driver: Option<String>,
    /// The folder of the host.
    pub source: Option<String>,
    /// The tag or folder in the guest.
    pub target: Option<String>,
}

/// All devices `name`, in order.
pub(super) fn each<'a>(root: &'a Element<'_>, name: &'a str) -> impl Iterator<Item = &'a Element<'a>> {
    root.all("devices").flat_map(move |devices| devices.all(name))
}

/// The attribute `name` of the first `child`, unless it is empty.
fn of(element: &Element<'_>, child: &str, name: &str) -> Option<String> {
    element.first(child)?.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

pub(super) fn disks(root: &Element<'_>) -> Vec<Disk> {
    each(root, "disk")
        .map(|disk| {
            let device = match disk.attribute("device") {
                None | Some("disk") => DiskDevice::Disk,
                Some("cdrom") => DiskDevice::Cdrom,
                Some("floppy") => DiskDevice::Floppy,
                Some("lun") => DiskDevice::Lun,
                Some(other) => DiskDevice::Other(other.to_owned()),
            };
            let kind = match disk.attribute("type") {
                None | Some("file") => DiskKind::File,
                Some("block") => DiskKind::Block,
                Some("dir") => DiskKind::Dir,
                Some("network") => DiskKind::Network,
                Some("volume") => DiskKind::Volume,
                Some(other) => DiskKind::Other(other.to_owned()),
            };
            let start_policy = of(disk, "source", "startupPolicy");
            Disk {
                read_only: disk.first("readonly").is_some() || device == DiskDevice::Cdrom,
                device,
                kind,
                source: disk.first("source").and_then(source),
                target: of(disk, "target", "dev"),
                format: of(disk, "driver", "type"),
                shareable: disk.first("shareable").is_some(),
                transient: disk.first("transient").is_some(),
                hosts: disk.first("source").map(servers).unwrap_or_default(),
                user: of(disk, "auth", "username").or_else(|| of(disk.first("source")?, "auth", "username")),
                may_be_missing: start_policy.as_deref() == Some("optional"),
            }
        })
        .collect()
}

/// The servers that a `<source>` names.
fn servers(source: &Element<'_>) -> Vec<String> {
    let server = |host: &Element<'_>| {
        let name = host.attribute("name").filter(|name| !name.is_empty())?;
        Some(host.attribute("port").map_or(name.to_owned(), |port| format!("{name}:{port}")))
    };
    source.all("host").filter_map(server).collect()
}

/// What a `<source>` points at.
pub(super) fn source(source: &Element<'_>) -> Option<String> {
    let value = |name: &str| source.attribute(name).filter(|value| !value.is_empty());
    // libvirt's files about what runs have a volume's path too, from some version on; a definition has not.
    if let (Some(pool), Some(volume)) = (value("pool"), value("volume")) {
        return Some(format!("{pool}/{volume}"));
    }
    if let Some(path) = ["file", "dev", "dir", "path"].into_iter().find_map(value) {
        return Some(path.to_owned());
    }
    match value("protocol") {
        Some(protocol) => Some(format!("{protocol}:{}", value("name").unwrap_or_default())),
        None => source.first("address").map(pci_address).map(|address| format!("pci {address}")),
    }
}

pub(super) fn interfaces(root: &Element<'_>) -> Vec<Interface> {
    each(root, "interface")
        .map(|interface| Interface {
            kind: interface.attribute("type").unwrap_or_default().to_owned(),
            source: ["network", "bridge", "dev", "path", "name"]
                .into_iter()
                .find_map(|name| of(interface, "source", name)),
            network: of(interface, "source", "network"),
            mac: of(interface, "mac", "address"),
            model: of(interface, "model", "type"),
        })
        .collect()
}

/// `<hostdev>`, interfaces that are devices of the host, and a TPM of the host.
pub(super) fn hostdevs(root: &Element<'_>) -> Vec<String> {
    let mut found: Vec<String> = each(root, "hostdev").map(hostdev).collect();
    found.extend(each(root, "interface").filter(|e| e.attribute("type") == Some("hostdev")).map(of_network));
    for backend in each(root, "tpm").filter_map(|tpm| tpm.first("backend")) {
        if backend.attribute("type") == Some("passthrough") {
            let device = of(backend, "device", "path").unwrap_or_else(|| "/dev/tpm0".to_owned());
            found.push(format!("tpm {device}"));
        }
    }
    found
}

/// Those devices of the host that libvirt takes from the guest before it moves, and gives back after: the guest has
/// another one in a team with each.
#[must_use]
pub fn teamed(root: &Element<'_>) -> Vec<String> {
    let is = |device: &&Element<'_>| device.first("teaming").is_some_and(|t| t.attribute("type") == Some("transient"));
    let interfaces = each(root, "interface").filter(|e| e.attribute("type") == Some("hostdev")).filter(is);
    each(root, "hostdev").filter(is).map(hostdev).chain(interfaces.map(of_network)).collect()
}

/// An interface that is a device of the host.
fn of_network(interface: &Element<'_>) -> String {
    let address = interface.first("source").and_then(|source| source.first("address"));
    format!("pci {} (network)", address.map(pci_address).unwrap_or_default())
}

fn hostdev(hostdev: &Element<'_>) -> String {
    let kind = hostdev.attribute("type").unwrap_or("device");
    let Some(source) = hostdev.first("source") else { return kind.to_owned() };
    let address = source.first("address");
    let plain = |name: &str| address.and_then(|address| address.attribute(name)).map(str::to_owned);
    let words = match kind {
        "pci" => address.map(pci_address),
        "mdev" => plain("uuid"),
        "usb" => match (of(source, "vendor", "id"), of(source, "product", "id")) {
            (Some(vendor), Some(product)) => Some(format!("{}:{}", hex(&vendor), hex(&product))),
            _ => plain("bus").zip(plain("device")).map(|(bus, device)| format!("bus {bus} device {device}")),
        },
        "scsi" => of(source, "adapter", "name").map(|adapter| {
            let part = |name: &str| plain(name).unwrap_or_else(|| "0".to_owned());
            format!("{adapter} {}:{}:{}", part("bus"), part("target"), part("unit"))
        }),
        "scsi_host" => source.attribute("wwpn").map(str::to_owned),
        // Devices of a container: a block device, a character device, a network device.
        _ => ["block", "char", "interface"].into_iter().find_map(|name| source.text_of(name)),
    };
    match words {
        Some(words) => format!("{kind} {words}"),
        None => kind.to_owned(),
    }
}

/// A number as libvirt writes it, `0x1a` or `26`, for people.
fn hex(number: &str) -> &str {
    number.strip_prefix("0x").unwrap_or(number)
}

/// `0000:01:00.0`.
pub(super) fn pci_address(address: &Element<'_>) -> String {
    let part = |name: &str| {
        let written = address.attribute(name).unwrap_or("0");
        match written.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).unwrap_or(0),
            None => written.parse().unwrap_or(0),
        }
    };
    format!("{:04x}:{:02x}:{:02x}.{:x}", part("domain"), part("bus"), part("slot"), part("function"))
}

pub(super) fn filesystems(root: &Element<'_>) -> Vec<Filesystem> {
    each(root, "filesystem")
        .map(|filesystem| Filesystem {
            kind: filesystem.attribute("type").unwrap_or("mount").to_owned(),
            driver: of(filesystem, "driver", "type"),
            source: ["dir", "file", "dev", "name", "socket", "pool"]
                .into_iter()
                .find_map(|name| of(filesystem, "source", name)),
            target: of(filesystem, "target", "dir"),
        })
        .collect()
}

pub(super) fn channels(root: &Element<'_>) -> Vec<String> {
    each(root, "channel").filter_map(|channel| of(channel, "target", "name")).collect()
}
