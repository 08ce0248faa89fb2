// SPDX-License-Identifier: GPL-2.0-or-later
//! Files, folders and programs that a definition needs, as they are found at their paths.

use crate::host::aside::{self, There};
use crate::model::definition::{DiskKind, Need, Role};
use crate::model::lack::{Lack, LackKind};
use crate::sys::child::find_program;
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use std::path::{Path, PathBuf};

/// Where QEMU's companions say what they serve.
const VHOST_USER: [&str; 2] = ["/usr/share/qemu/vhost-user", "/etc/qemu/vhost-user"];

/// Where the device model of Xen's HVM guests is: in Debian, with a QEMU that is also KVM's, and where Xen itself puts it.
const DEVICE_MODELS: [&str; 7] = [
    "/usr/libexec/xen-qemu-system-i386",
    "/usr/bin/qemu-system-i386",
    "/usr/bin/qemu-system-x86_64",
    "/usr/lib/xen/bin/qemu-system-i386",
    "/usr/lib64/xen/bin/qemu-system-i386",
    "/usr/libexec/xen/bin/qemu-system-i386",
    "/usr/local/lib/xen/bin/qemu-system-i386",
];

/// What of them is missing, or is something else.
pub(super) fn look(needs: &[Need], roots: &Roots, patience: Deadline) -> Vec<Lack> {
    let asked: Vec<PathBuf> = needs.iter().flat_map(|need| paths(need, roots)).collect();
    let asked: Vec<&Path> = asked.iter().map(PathBuf::as_path).collect();
    let mut there = aside::what_is_at(&asked, patience).into_iter();
    let mut lacks = Vec::new();
    for need in needs {
        let found: Vec<There> = there.by_ref().take(paths(need, roots).len()).collect();
        lacks.extend(judge(need, &found));
    }
    lacks
}

/// What is looked at for it.
fn paths(need: &Need, roots: &Roots) -> Vec<PathBuf> {
    match need {
        Need::Path(_, path) => vec![path.into()],
        Need::Nvram { path, name, template } => {
            let own = || roots.lib.join(format!("libvirt/qemu/nvram/{name}_VARS.fd"));
            let file = path.as_ref().map_or_else(own, PathBuf::from);
            let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
            [file, folder].into_iter().chain(template.as_ref().map(PathBuf::from)).collect()
        }
        Need::XenDeviceModel => DEVICE_MODELS.map(PathBuf::from).into(),
        Need::TpmEmulator
        | Need::Virtiofsd
        | Need::Bridge { .. }
        | Need::NetworkDevice(_)
        | Need::Pci { .. }
        | Need::Usb { .. }
        | Need::Mdev(_)
        | Need::Scsi(_)
        | Need::Port(_) => Vec::new(),
    }
}

pub(super) fn judge(need: &Need, found: &[There]) -> Option<Lack> {
    match need {
        Need::Path(role, path) => at_path(role, path, *found.first()?),
        Need::Nvram { path, template, .. } => variables(path.as_deref(), template.as_deref(), found),
        Need::TpmEmulator => {
            let missing = ["swtpm", "swtpm_setup"].into_iter().find(|program| find_program(program).is_none())?;
            let sentence = format!("its TPM is emulated by {missing}, which this host does not have: install swtpm");
            Some(Lack::new(LackKind::TpmEmulatorMissing, missing, sentence))
        }
        Need::Virtiofsd => {
            let tells = |folder: &str| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
            (!VHOST_USER.into_iter().any(tells)).then(|| {
                let sentence = "its shared folder is served by virtiofsd, which this host does not have: install it";
                Lack::new(LackKind::VirtiofsdMissing, "virtiofsd", sentence.into())
            })
        }
        Need::XenDeviceModel => found.iter().all(|there| *there == There::Nothing).then(|| {
            let [usual, ..] = DEVICE_MODELS;
            let sentence = format!(
                "an HVM guest needs a device model (QEMU for Xen), and this host has none in the usual places \
                 ({usual}, ...): install it (qemu-system-xen), or name it"
            );
            Lack::new(LackKind::DeviceModelMissing, usual, sentence)
        }),
        Need::Bridge { .. }
        | Need::NetworkDevice(_)
        | Need::Pci { .. }
        | Need::Usb { .. }
        | Need::Mdev(_)
        | Need::Scsi(_)
        | Need::Port(_) => None,
    }
}

/// What it is called, the kind of its lack, and the way out.
const fn words(role: &Role) -> (&'static str, LackKind, &'static str) {
    match role {
        Role::Emulator => ("emulator", LackKind::EmulatorMissing, "install it, or correct <emulator>"),
        Role::Firmware => ("firmware", LackKind::FirmwareMissing, "install its package, or correct <loader>"),
        Role::Kernel => ("kernel", LackKind::BootFileMissing, "put it on this host, too"),
        Role::InitialRamDisk => ("initial RAM disk", LackKind::BootFileMissing, "put it on this host, too"),
        Role::Disk(_) => ("disk", LackKind::DiskMissing, "make its storage reach this host"),
        Role::SharedFolder | Role::Shared => ("shared folder", LackKind::FolderMissing, "create or mount it here"),
        Role::Virtiofsd => ("virtiofsd", LackKind::VirtiofsdMissing, "install it, or correct <binary>"),
        Role::Tpm => ("TPM", LackKind::TpmDeviceMissing, "enable it in the firmware, load its driver"),
        Role::Device => ("device", LackKind::DeviceFileMissing, "connect it, load its driver"),
    }
}

fn at_path(role: &Role, path: &str, there: There) -> Option<Lack> {
    let (word, missing, way_out) = words(role);
    let lack =
        |kind: LackKind, rest: &str| Some(Lack::new(kind, path, format!("the definition's {word} {path} {rest}")));
    match (there, role) {
        (There::Nothing, _) => lack(missing, &format!("does not exist: {way_out}")),
        (There::Silent, _) => lack(LackKind::StorageSilent, "is on storage that does not answer"),
        (There::Unseen, _) => lack(LackKind::Unseen, "could not be looked at: its storage refuses that"),
        (There::File, Role::Emulator) => {
            lack(LackKind::EmulatorNotExecutable, &format!("cannot be executed: make it so (chmod), {way_out}"))
        }
        (There::Folder | There::Block | There::Other, Role::Emulator) => {
            lack(LackKind::EmulatorNotExecutable, &format!("is no program: {way_out}"))
        }
        (There::Folder, Role::Disk(Some(DiskKind::File | DiskKind::Block))) => {
            lack(LackKind::DiskIsFolder, "is a folder: correct its <source>")
        }
        (There::Block, Role::Disk(Some(DiskKind::File))) => {
            lack(LackKind::DiskKind, "is a block device, which QEMU may refuse as a file: say <disk type='block'>")
        }
        (There::File | There::Program, Role::Disk(Some(DiskKind::Block))) => {
            lack(LackKind::DiskKind, "is a file, which QEMU may refuse as a block device: say <disk type='file'>")
        }
        (There::File | There::Program | There::Block, Role::SharedFolder) => {
            lack(missing, "is no folder: correct its <source>")
        }
        (There::File | There::Program | There::Folder | There::Block | There::Other, _) => None,
    }
}

/// The variables of the firmware: a file that is there, or what it is made from.
fn variables(path: Option<&str>, template: Option<&str>, found: &[There]) -> Option<Lack> {
    let [file, folder, rest @ ..] = found else { return None };
    if *file != There::Nothing {
        let silent = *file == There::Silent;
        return path.filter(|_| silent).map(|path| {
            let sentence = format!("the definition's NVRAM {path} is on storage that does not answer");
            Lack::new(LackKind::StorageSilent, path, sentence)
        });
    }
    let file = path.unwrap_or("its file");
    if let (Some(template), Some(There::Nothing)) = (template, rest.first()) {
        let sentence =
            format!("the definition's NVRAM template {template} does not exist, nor does {file}: install the firmware");
        return Some(Lack::new(LackKind::NvramTemplateMissing, template, sentence));
    }
    // libvirt creates none but its own.
    if let (Some(path), There::Nothing) = (path, folder) {
        let folder = Path::new(path).parent().unwrap_or(Path::new("/")).display().to_string();
        let sentence = format!("the folder {folder} of the definition's NVRAM does not exist: create or mount it here");
        return Some(Lack::new(LackKind::NvramFolderMissing, &folder, sentence));
    }
    None
}
