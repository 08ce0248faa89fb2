// SPDX-License-Identifier: GPL-2.0-or-later
//! What an xl file says of disks (xl-disk-configuration(5)), interfaces and devices of the host. Pure.

use super::super::devices::{Disk, DiskDevice, DiskKind, Interface};

/// The words that may stand before a target and tell its format, or who serves it; all are outdated, and common.
const PREFIXES: [(&str, Option<&str>); 16] = [
    ("phy:", None),
    ("file:", Some("raw")),
    ("raw:", Some("raw")),
    ("aio:", Some("raw")),
    ("ioemu:", None),
    ("tap:", None),
    ("tap2:", None),
    ("tapdisk:", None),
    ("tdio:", None),
    ("qcow:", Some("qcow")),
    ("qcow2:", Some("qcow2")),
    ("vhd:", Some("vhd")),
    ("qed:", Some("qed")),
    ("sync:", None),
    ("vmdk:", Some("vmdk")),
    ("ram:", None),
];

/// What is told of a disk so far.
#[derive(Default)]
struct DiskWords<'a> {
    target: Option<&'a str>,
    format: Option<&'a str>,
    /// A prefix stood before the target: then no format follows it.
    prefixed: bool,
    physical: bool,
    script: Option<&'a str>,
    vdev: Option<&'a str>,
    access: Option<&'a str>,
    cdrom: bool,
}

/// Reads a disk's words.
///
/// # Errors
/// What is wrong with them.
pub(super) fn disk(words: &str) -> Result<Disk, String> {
    let mut told = DiskWords::default();
    let mut rest = Some(words);
    while let Some(words) = rest {
        let word = words.trim_start();
        // The target may hold commas, so it is the last when it is named.
        if let Some(target) = word.strip_prefix("target=") {
            told.target = Some(target.trim_end());
            break;
        }
        let (word, more) = word.split_once(',').map_or((word, None), |(word, more)| (word, Some(more)));
        rest = more;
        match word
            .trim_end()
            .split_once('=')
            .filter(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        {
            Some((key, value)) => named(&mut told, key, value)?,
            None => by_place(&mut told, word.trim_end())?,
        }
    }
    finished(&told)
}

fn named<'a>(told: &mut DiskWords<'a>, key: &str, value: &'a str) -> Result<(), String> {
    match key {
        "format" => told.format = Some(value),
        "vdev" => told.vdev = Some(value),
        "access" => told.access = Some(value),
        "devtype" => told.cdrom = value == "cdrom",
        "script" => told.script = Some(value),
        "backendtype" => told.physical = value == "phy",
        "backend" | "backend-kind" | "colo-host" | "colo-port" | "colo-export" | "active-disk" | "hidden-disk"
        | "specification" | "transport" | "irq" | "base" | "grant_usage" | "trusted" | "virtio" => {}
        other => return Err(format!("a disk has nothing that is called '{other}'")),
    }
    Ok(())
}

/// A word without a name means what its place says.
fn by_place<'a>(told: &mut DiskWords<'a>, word: &'a str) -> Result<(), String> {
    match word {
        "cdrom" => told.cdrom = true,
        "direct-io-safe" | "discard" | "no-discard" | "colo" => {}
        _ if told.target.is_none() => {
            let mut target = word;
            while let Some((prefix, format)) = PREFIXES.iter().find(|(prefix, _)| target.starts_with(prefix)) {
                target = target.get(prefix.len()..).unwrap_or_default();
                told.prefixed = true;
                told.physical |= *prefix == "phy:";
                told.format = format.or(told.format);
            }
            if let Some(resource) = target.strip_prefix("drbd:") {
                (target, told.prefixed, told.script) = (resource, true, Some("block-drbd"));
            }
            told.target = Some(target);
        }
        _ if told.format.is_none() && !told.prefixed => told.format = Some(word),
        _ if told.vdev.is_none() => told.vdev = Some(word),
        _ if told.access.is_none() => told.access = Some(word),
        "" => {}
        _ => return Err("a disk's words are target, format, vdev and access; here are more".into()),
    }
    Ok(())
}

fn finished(told: &DiskWords<'_>) -> Result<Disk, String> {
    let (vdev, old_cdrom) = match told.vdev.unwrap_or_default().split_once(':') {
        Some((vdev, "cdrom")) => (vdev, true),
        Some((vdev, "disk")) => (vdev, false),
        Some(_) => return Err("a disk's vdev has a ':' that is not ':cdrom'".into()),
        None => (told.vdev.unwrap_or_default(), false),
    };
    if vdev.is_empty() {
        return Err("a disk has no vdev (its name in the guest, such as xvda)".into());
    }
    let cdrom = told.cdrom || old_cdrom;
    let (writes, shareable) = match told.access.unwrap_or("rw") {
        "" | "rw" | "w" => (true, false),
        "r" | "ro" => (false, false),
        "w!" | "!" => (true, true),
        _ => return Err("a disk's access is none of r, ro, w, rw".into()),
    };
    if !matches!(told.format, None | Some("" | "raw" | "qcow" | "qcow2" | "vhd" | "qed" | "vmdk" | "none" | "empty")) {
        return Err("a disk's format is none of raw, qcow, qcow2, vhd, qed".into());
    }
    let target = told.target.filter(|target| !target.is_empty());
    let kind = match (told.script, target) {
        (Some(script), _) => DiskKind::Other(script.to_owned()),
        (None, Some(target)) if told.physical || target.starts_with("/dev/") => DiskKind::Block,
        (None, _) => DiskKind::File,
    };
    let source = target.map(|target| match &kind {
        // Xen looks for these below /dev.
        DiskKind::Block if !target.starts_with('/') => format!("/dev/{target}"),
        DiskKind::Other(script) => format!("{script}:{target}"),
        DiskKind::File | DiskKind::Block | DiskKind::Dir | DiskKind::Network | DiskKind::Volume => target.to_owned(),
    });
    Ok(Disk {
        device: if cdrom { DiskDevice::Cdrom } else { DiskDevice::Disk },
        kind,
        source,
        target: Some(vdev.to_owned()),
        format: told.format.filter(|format| !format.is_empty()).map(str::to_owned),
        read_only: cdrom || !writes,
        shareable,
        transient: false,
        may_be_missing: false,
        hosts: Vec::new(),
        user: None,
    })
}

/// Reads an interface's words (xl-network-configuration(5)).
///
/// # Errors
/// What is wrong with them.
pub(super) fn interface(words: &str) -> Result<Interface, String> {
    let mut interface = Interface { kind: "bridge".into(), source: None, network: None, mac: None, model: None };
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let Some((key, value)) = word.split_once('=') else {
            return Err("an interface's words are each key=value".into());
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key.trim() {
            "bridge" => interface.source = value,
            "mac" => interface.mac = value,
            "model" => interface.model = value,
            // What else there is does not matter here, and Xen's releases differ in it.
            _ => {}
        }
    }
    Ok(interface)
}

/// A device of the host in the words of the other definitions: "pci 0000:01:00.0".
///
/// # Errors
/// It is no device's address.
pub(super) fn pci(words: &str) -> Result<String, String> {
    let first = words.split(',').next().unwrap_or_default().trim();
    let address = first.split_once('=').map_or(first, |(_, address)| address).split('@').next().unwrap_or_default();
    let with_domain = if address.matches(':').count() == 1 { format!("0000:{address}") } else { address.to_owned() };
    let plain = with_domain.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'*'));
    if !plain || with_domain.matches(':').count() != 2 {
        return Err("a device's address is like 0000:01:00.0".into());
    }
    Ok(format!("pci {}", with_domain.to_ascii_lowercase()))
}
