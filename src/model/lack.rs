// SPDX-License-Identifier: GPL-2.0-or-later
//! What a host lacks for a domain: each kind with a code that stays, and how much it hinders. Pure.

use serde::{Deserialize, Serialize};

/// One thing that a host lacks for a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// The kind.
    pub kind: LackKind,
    /// What is lacking, by its name or path.
    pub what: String,
    /// What it is, why it matters where that is not plain, and what to do.
    pub sentence: String,
}

impl Lack {
    /// One of `kind`.
    #[must_use]
    pub fn new(kind: LackKind, what: &str, sentence: String) -> Self {
        Self { kind, what: what.to_owned(), sentence }
    }
}

/// How much a lack hinders a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hinders {
    /// No start succeeds here until somebody has put it right.
    Lasting,
    /// A start would fail at this moment.
    Passing,
    /// A start may fail.
    Perhaps,
}

/// A kind of lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LackKind {
    /// A network of libvirt's is not defined.
    NetworkMissing,
    /// A network of libvirt's is not active.
    NetworkInactive,
    /// A storage pool is not defined.
    PoolMissing,
    /// A storage pool is not active.
    PoolInactive,
    /// A pool does not know a volume.
    VolumeMissing,
    /// A bridge does not exist.
    BridgeMissing,
    /// A network device is no bridge, or not of the kind that the definition names.
    BridgeKind,
    /// A network device does not exist.
    NetworkDeviceMissing,
    /// A secret of libvirt's is not defined.
    SecretMissing,
    /// libvirt cannot run this `<domain type>`.
    DomainType,
    /// The emulator cannot run this kind of machine.
    MachineType,
    /// libvirt finds no firmware of this kind.
    FirmwareKind,
    /// The CPU lacks something.
    CpuIncompatible,
    /// Too few huge pages are free.
    HugePages,
    /// A console's port is in use.
    PortInUse,
    /// The emulator's file does not exist.
    EmulatorMissing,
    /// The emulator's file cannot be executed.
    EmulatorNotExecutable,
    /// No device model of Xen's is where its packages put it.
    DeviceModelMissing,
    /// The firmware's file does not exist.
    FirmwareMissing,
    /// The kernel or the initial RAM disk does not exist.
    BootFileMissing,
    /// There is neither the file of the UEFI variables nor the template from which it is made.
    NvramTemplateMissing,
    /// The folder for the file of the UEFI variables does not exist.
    NvramFolderMissing,
    /// What emulates a TPM is not installed.
    TpmEmulatorMissing,
    /// The host's TPM does not exist.
    TpmDeviceMissing,
    /// A disk's file or device does not exist.
    DiskMissing,
    /// What is at a disk's path is of another kind.
    DiskKind,
    /// There is a folder at a disk's path.
    DiskIsFolder,
    /// A shared folder does not exist, or is none.
    FolderMissing,
    /// What serves a shared folder is not installed.
    VirtiofsdMissing,
    /// A device's file does not exist.
    DeviceFileMissing,
    /// A path is on storage that does not answer.
    StorageSilent,
    /// What is at a path is not to be seen.
    Unseen,
    /// A PCI device does not exist.
    PciMissing,
    /// A PCI device has no IOMMU group.
    PciNoIommu,
    /// A PCI device that libvirt is not to detach is not detached.
    PciNotDetached,
    /// A PCI device shares its IOMMU group with one that the host uses.
    PciGroupShared,
    /// A USB device does not exist.
    UsbMissing,
    /// There are several such USB devices.
    UsbAmbiguous,
    /// A mediated device does not exist.
    MdevMissing,
    /// A SCSI device does not exist.
    ScsiMissing,
}

impl LackKind {
    /// The code, which stays: a word for scripts and for documents.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// How much it hinders a start.
    #[must_use]
    pub const fn hinders(self) -> Hinders {
        self.row().1
    }

    const fn row(self) -> (&'static str, Hinders) {
        use Hinders::{Lasting, Passing, Perhaps};
        match self {
            Self::NetworkMissing => ("network-missing", Lasting),
            Self::NetworkInactive => ("network-inactive", Lasting),
            Self::PoolMissing => ("pool-missing", Lasting),
            Self::PoolInactive => ("pool-inactive", Lasting),
            Self::VolumeMissing => ("volume-missing", Lasting),
            Self::BridgeMissing => ("bridge-missing", Lasting),
            Self::BridgeKind => ("bridge-kind", Lasting),
            Self::NetworkDeviceMissing => ("network-device-missing", Lasting),
            Self::SecretMissing => ("secret-missing", Lasting),
            Self::DomainType => ("domain-type", Lasting),
            Self::MachineType => ("machine-type", Lasting),
            Self::FirmwareKind => ("firmware-kind", Lasting),
            Self::CpuIncompatible => ("cpu-incompatible", Lasting),
            Self::HugePages => ("huge-pages", Passing),
            Self::PortInUse => ("port-in-use", Passing),
            Self::EmulatorMissing => ("emulator-missing", Lasting),
            Self::EmulatorNotExecutable => ("emulator-not-executable", Lasting),
            Self::DeviceModelMissing => ("device-model-missing", Perhaps),
            Self::FirmwareMissing => ("firmware-missing", Lasting),
            Self::BootFileMissing => ("boot-file-missing", Lasting),
            Self::NvramTemplateMissing => ("nvram-template-missing", Lasting),
            Self::NvramFolderMissing => ("nvram-folder-missing", Lasting),
            Self::TpmEmulatorMissing => ("tpm-emulator-missing", Lasting),
            Self::TpmDeviceMissing => ("tpm-device-missing", Lasting),
            Self::DiskMissing => ("disk-missing", Lasting),
            Self::DiskKind => ("disk-kind", Perhaps),
            Self::DiskIsFolder => ("disk-is-folder", Lasting),
            Self::FolderMissing => ("folder-missing", Lasting),
            Self::VirtiofsdMissing => ("virtiofsd-missing", Lasting),
            Self::DeviceFileMissing => ("device-file-missing", Lasting),
            Self::StorageSilent => ("storage-silent", Lasting),
            Self::Unseen => ("unseen", Perhaps),
            Self::PciMissing => ("pci-missing", Lasting),
            Self::PciNoIommu => ("pci-no-iommu", Lasting),
            Self::PciNotDetached => ("pci-not-detached", Lasting),
            Self::PciGroupShared => ("pci-group-shared", Perhaps),
            Self::UsbMissing => ("usb-missing", Lasting),
            Self::UsbAmbiguous => ("usb-ambiguous", Lasting),
            Self::MdevMissing => ("mdev-missing", Lasting),
            Self::ScsiMissing => ("scsi-missing", Lasting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word on the wire is the code, and no two kinds have one.
    #[test]
    fn every_kind_has_a_code_of_its_own() {
        let text = include_str!("lack.rs");
        let rows = text.lines().filter(|line| line.contains("=> (\""));
        let codes: Vec<&str> = rows.filter_map(|line| line.split('"').nth(1)).collect();
        assert!(codes.len() > 35, "{codes:?}");
        for code in &codes {
            let kind: LackKind = serde_json::from_value((*code).into()).unwrap();
            assert_eq!((kind.code(), codes.iter().filter(|other| *other == code).count()), (*code, 1));
        }
    }
}
