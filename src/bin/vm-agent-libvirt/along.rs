// SPDX-License-Identifier: GPL-2.0-or-later
//! What a domain has besides its memory, and whether the other host has it too: devices, disks, firmware's variables, a TPM's
//! state. All of it is said, and nothing of it stands in the way: whether it can move is the hypervisor's to say.

use std::path::Path;
use virt::connect::Connect;
use virt::sys;
use vm_agent::model::change::{Flag, Migrate};
use vm_agent::model::definition::{DefinedDomain, DiskKind, Need};
use vm_agent::sys::image_lock::is_local;
use vm_agent::sys::text::uuid_text;

/// libvirt's error number for a device that a host does not have.
const NO_NODE_DEVICE: u32 = 53;

/// The devices of this host that the other one does not have.
pub(crate) fn host_devices(other: &Connect, needs: &[Need], there: &str) -> Vec<String> {
    let lacks = |need: &Need| match need {
        Need::Pci { address, .. } => {
            let name = format!("pci_{}", address.replace([':', '.'], "_"));
            let found = other.lookup_node_device_by_name(&name);
            let missing = found.is_err_and(|error| error.code().to_raw() == NO_NODE_DEVICE);
            missing.then(|| format!("{there} has no device pci {address}"))
        }
        Need::Usb { model: Some((vendor, product)), .. } => {
            let devices = other.list_all_node_devices(sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV).ok()?;
            let [vendor_id, product_id] = [vendor, product].map(|id| format!("id='0x{id:04x}'"));
            let is = |xml: String| xml.contains(&vendor_id) && xml.contains(&product_id);
            let found = devices.iter().any(|device| device.xml_desc(0).is_ok_and(is));
            (!found).then(|| format!("{there} has no device usb {vendor:04x}:{product:04x}"))
        }
        Need::Usb { model: None, .. }
        | Need::Mdev(_)
        | Need::Scsi(_)
        | Need::Path(..)
        | Need::Nvram { .. }
        | Need::TpmEmulator
        | Need::Virtiofsd
        | Need::XenDeviceModel
        | Need::Bridge { .. }
        | Need::NetworkDevice(_)
        | Need::Port(_) => None,
    };
    needs.iter().filter_map(lacks).collect()
}

/// What is on file systems that only this host has mounted.
pub(crate) fn own_files(facts: &DefinedDomain, migrate: &Migrate, there: &str) -> Vec<String> {
    let copies = [Flag::NonSharedDisk, Flag::NonSharedInc].iter().any(|flag| migrate.flags.contains(flag));
    let mut found = Vec::new();
    for disk in facts.disks.iter().filter(|disk| disk.kind == DiskKind::File && !disk.read_only) {
        let (Some(path), Some(target)) = (&disk.source, &disk.target) else { continue };
        let copied = copies && (migrate.migrate_disks.is_empty() || migrate.migrate_disks.contains(target));
        if !copied && is_local(Path::new(path)) {
            found.push(format!(
                "its disk {target}, {path}, is on a file system of this host's own: unless {there} has the very same file, \
                 say --copy-storage-all in migrate_options"
            ));
        }
    }
    let own = "of this host's own: it goes with the guest, and what stays here is what a later start here finds";
    if let Some(path) = facts.nvram.as_deref().filter(|path| facts.has_nvram && is_local(Path::new(path))) {
        found.push(format!("the file of its UEFI variables, {path}, is on a file system {own}"));
    }
    if let (Some(_), Some(uuid)) = (facts.vtpm, &facts.uuid) {
        let path = format!("/var/lib/libvirt/swtpm/{}", uuid_text(uuid));
        if is_local(Path::new(&path)) {
            found.push(format!("the state of its TPM, {path}, is on a file system {own}"));
        }
    }
    found
}

/// What the other host makes the firmware's variables from, where it has none of the domain.
pub(crate) fn template(need: &Need, there: &str) -> Option<String> {
    let Need::Nvram { template: Some(template), .. } = need else { return None };
    Some(format!("whether {there} has the template of its NVRAM, {template}"))
}
