// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine that is asked about, as each member finds it: its definition, its disks, what it needs. Pure.

use super::told;
use crate::callers::operator::by_hand::meant;
use crate::callers::operator::doctor::facts::{ExamSeen, HostExam, MachineDisk, MachineSeen};
use crate::callers::operator::doctor::finding::CheckFound;
use crate::callers::operator::doctor::table::ExamCheck;
use crate::model::lack::{Hinders, LackKind};
use crate::sys::disk_identity::{DiskSeen, Storage};
use crate::sys::text::shell_word;

/// The first QEMU that can let go of a host's cache, so that libvirt moves a disk that has one.
const DROPS_CACHE: u32 = 4_000_000;

/// A member with what it knows of the machine.
struct Finder<'a> {
    node: &'a str,
    exam: &'a HostExam,
    machine: &'a MachineSeen,
}

pub(super) fn judge(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let finders: Vec<Finder<'_>> = told(seen)
        .filter_map(|(member, exam)| Some(Finder { node: &member.node, exam, machine: exam.machine.as_ref()? }))
        .collect();
    let name = seen.name.as_deref().unwrap_or("the machine");
    definition(seen, name, &finders, found);
    for it in &finders {
        for lack in &it.machine.lacks {
            let text = format!("on {}: {} ({})", it.node, lack.sentence, lack.kind.code());
            found.push(CheckFound::at(check_of(lack.kind), it.node, text));
        }
    }
    let Some(first) = finders.iter().find(|it| it.machine.file.is_some()) else { return };
    for disk in &first.machine.disks {
        cache(first, disk, found);
    }
    if finders.len() > 1 {
        for disk in first.machine.disks.iter().filter(|disk| disk.written) {
            same_disk(first, disk, &finders, found);
        }
        own_state(name, first, &finders, found);
    }
    if first.machine.on_poweroff.as_deref() == Some("restart") {
        let text = format!("on_poweroff of '{name}' is restart");
        found.push(CheckFound::of_all(ExamCheck::GuestRestarts, text));
    }
    for it in &finders {
        let total =
            it.exam.libvirt.as_ref().and_then(|libvirt| libvirt.host.memory_kib.get("total")).map(|kib| kib >> 10);
        if let (Some(total), Some(needs)) = (total, first.machine.memory_mib)
            && total < needs
        {
            let text = format!("{} has {total} MiB of memory, '{name}' needs {needs}", it.node);
            found.push(CheckFound::at(ExamCheck::SmallMember, it.node, text));
        }
    }
    if !first.machine.hostdevs.is_empty() {
        let text = format!("'{name}' has {}, which may not be able to move", first.machine.hostdevs.join(", "));
        found.push(CheckFound::of_all(ExamCheck::HostDevice, text));
    }
}

/// By which check a lack is told.
fn check_of(kind: LackKind) -> ExamCheck {
    match kind.hinders() {
        Hinders::Passing => return ExamCheck::LackingNow,
        Hinders::Perhaps => return ExamCheck::PerhapsLacking,
        Hinders::Lasting => {}
    }
    match kind {
        LackKind::DomainType
        | LackKind::MachineType
        | LackKind::EmulatorMissing
        | LackKind::EmulatorNotExecutable
        | LackKind::DeviceModelMissing => ExamCheck::NoEmulator,
        LackKind::NetworkMissing
        | LackKind::NetworkInactive
        | LackKind::BridgeMissing
        | LackKind::BridgeKind
        | LackKind::NetworkDeviceMissing => ExamCheck::NoNetwork,
        LackKind::PoolMissing
        | LackKind::PoolInactive
        | LackKind::VolumeMissing
        | LackKind::DiskMissing
        | LackKind::DiskKind
        | LackKind::DiskIsFolder
        | LackKind::FolderMissing
        | LackKind::VirtiofsdMissing
        | LackKind::StorageSilent
        | LackKind::Unseen => ExamCheck::NoStorage,
        LackKind::FirmwareKind
        | LackKind::FirmwareMissing
        | LackKind::BootFileMissing
        | LackKind::NvramTemplateMissing
        | LackKind::NvramFolderMissing => ExamCheck::NoFirmware,
        LackKind::TpmEmulatorMissing | LackKind::TpmDeviceMissing => ExamCheck::NoTpm,
        LackKind::DeviceFileMissing
        | LackKind::PciMissing
        | LackKind::PciNoIommu
        | LackKind::PciNotDetached
        | LackKind::PciGroupShared
        | LackKind::UsbMissing
        | LackKind::UsbAmbiguous
        | LackKind::MdevMissing
        | LackKind::ScsiMissing => ExamCheck::NoHostDevice,
        LackKind::CpuIncompatible => ExamCheck::LesserCpu,
        LackKind::SecretMissing => ExamCheck::NoSecret,
        LackKind::HugePages | LackKind::PortInUse => ExamCheck::LackingNow,
    }
}

fn definition(seen: &ExamSeen, name: &str, finders: &[Finder<'_>], found: &mut Vec<CheckFound>) {
    let missing = || finders.iter().filter_map(|it| Some((it, it.machine.no_file.as_ref()?)));
    match missing().next() {
        Some((_, why)) if finders.len() > 1 && finders.iter().all(|it| it.machine.no_file.as_ref() == Some(why)) => {
            let text = format!("no member has a definition of '{name}': {why}{}", mistyped(seen, name));
            found.push(CheckFound::of_all(ExamCheck::FileMissing, text));
        }
        Some(_) | None => {
            for (it, why) in missing() {
                let text = format!("{} has no definition of '{name}': {why}{}", it.node, mistyped(seen, name));
                found.push(CheckFound::at(ExamCheck::FileMissing, it.node, text));
            }
        }
    }
    let mut files = finders.iter().filter_map(|it| Some((it.node, it.machine.file.as_ref()?)));
    let Some((node, (path, sha256))) = files.next() else { return };
    for (there, (other, _)) in files.filter(|(_, (_, its))| its != sha256) {
        let text = format!("{path} on {node} and {other} on {there} are not the same definition of '{name}'");
        let mut one = CheckFound::at(ExamCheck::FileDiffers, there, text);
        if path.starts_with('/') && path == other {
            one = one.mend(format!("scp -p root@{}:{} {1}", shell_word(node), shell_word(path)));
        }
        found.push(one);
    }
    if let Some(it) = finders.iter().find(|it| it.machine.file.is_some() && !it.machine.has_uuid) {
        let text = format!("the definition of '{name}' has no <uuid>");
        found.push(CheckFound::at(ExamCheck::NoUuid, it.node, text).mend("uuidgen"));
    }
}

/// Whom one may have meant by a name that nobody has.
fn mistyped(seen: &ExamSeen, name: &str) -> String {
    let domains = seen.members.iter().filter_map(|member| member.domains.as_ref().ok()).flatten();
    let resources = seen.cluster.iter().flatten().flat_map(|cluster| &cluster.machines);
    let mut known: Vec<&str> = domains.map(|it| it.facts.name.as_str()).collect();
    known.extend(resources.filter_map(|machine| machine.param("name")));
    known.sort_unstable();
    known.dedup();
    if known.contains(&name) { String::new() } else { meant(name, known.into_iter()) }
}

fn cache(it: &Finder<'_>, disk: &MachineDisk, found: &mut Vec<CheckFound>) {
    let qemu = it.exam.libvirt.as_ref().and_then(|libvirt| libvirt.host.hypervisor_version);
    let old = qemu.is_some_and(|version| version < DROPS_CACHE);
    let cache = disk.cache.as_deref().unwrap_or("default");
    let bad = match cache {
        "unsafe" => true,
        "none" | "directsync" => false,
        _ => old && disk.seen.storage != Storage::Local,
    };
    if bad && disk.written {
        let text = format!("the disk {} ({}) has cache='{cache}'", disk.target, disk.path);
        found.push(CheckFound::of_all(ExamCheck::CacheMode, text));
    }
}

/// Whether the others find the same disk at this path.
fn same_disk(first: &Finder<'_>, disk: &MachineDisk, finders: &[Finder<'_>], found: &mut Vec<CheckFound>) {
    let MachineDisk { target, path, seen, .. } = disk;
    for it in finders.iter().filter(|it| it.node != first.node) {
        let Some(theirs) = it.machine.disks.iter().find(|its| its.path == *path) else { continue };
        let theirs = &theirs.seen;
        // That it is missing is told by what the member lacks.
        if seen.there == Some(false) || theirs.there == Some(false) {
            continue;
        }
        let unknown = |why: &str| {
            let text = format!(
                "whether {path} ({target}) is the same disk on {} and {} is not known: {why}",
                first.node, it.node
            );
            CheckFound::at(ExamCheck::NotKnown, it.node, text)
        };
        if seen.there.is_none() || theirs.there.is_none() {
            found.push(unknown("its storage does not answer"));
            continue;
        }
        let other = || {
            let text = format!("{path} ({target}) is not the same disk on {} as on {}", it.node, first.node);
            CheckFound::at(ExamCheck::OtherDisk, it.node, text)
        };
        // Hosts of one kernel number devices and inodes alike.
        if it.exam.boot == first.exam.boot && !it.exam.boot.is_empty() {
            if seen.numbers != theirs.numbers {
                found.push(other());
            }
            continue;
        }
        match (seen.storage, theirs.storage) {
            (Storage::Local, _) | (_, Storage::Local) => {
                let (node, kind) =
                    if theirs.storage == Storage::Local { (it.node, &theirs.kind) } else { (first.node, &seen.kind) };
                let text = format!("{path} ({target}) is on {kind} of {node} alone");
                found.push(CheckFound::at(ExamCheck::LocalDisk, node, text));
            }
            (Storage::Device, Storage::Device) => match (&seen.identity, &theirs.identity) {
                (Some(one), Some(two)) if one != two => found.push(other()),
                (Some(_), Some(_)) => {}
                (_, _) => found.push(unknown("the device does not say which it is")),
            },
            (Storage::Shared, Storage::Shared) => {
                if seen.numbers.1 != theirs.numbers.1 || seen.kind != theirs.kind {
                    found.push(other());
                }
            }
            (Storage::Unknown, Storage::Unknown) => {
                found.push(unknown(&format!("nothing is known of {}", seen.kind)));
            }
            (
                Storage::Unknown | Storage::Device | Storage::Shared,
                Storage::Unknown | Storage::Device | Storage::Shared,
            ) => {
                found.push(other());
            }
        }
    }
}

/// Whether all members find one folder there, on storage that they share.
fn is_shared(first: &Finder<'_>, finders: &[Finder<'_>], folder: fn(&MachineSeen) -> &DiskSeen) -> bool {
    let one = folder(first.machine);
    finders.iter().filter(|it| it.node != first.node).all(|it| {
        let other = folder(it.machine);
        let alike = if it.exam.boot == first.exam.boot && !it.exam.boot.is_empty() {
            one.numbers == other.numbers
        } else {
            let shared = [one, other].iter().all(|it| it.storage == Storage::Shared);
            shared && one.kind == other.kind && one.numbers.1 == other.numbers.1
        };
        one.there == Some(true) && other.there == Some(true) && alike
    })
}

fn own_state(name: &str, first: &Finder<'_>, finders: &[Finder<'_>], found: &mut Vec<CheckFound>) {
    if let Some(path) = &first.machine.nvram
        && !is_shared(first, finders, |it| &it.nvram_folder)
    {
        let path = if path.is_empty() { "a file that libvirt chooses" } else { path };
        let text = format!("'{name}' keeps its firmware's variables in {path}, on each member for itself");
        found.push(CheckFound::of_all(ExamCheck::OwnNvram, text));
    }
    if first.machine.tpm && !is_shared(first, finders, |it| &it.tpm_folder) {
        let text = format!("'{name}' has an emulated TPM, whose state is each member's own");
        found.push(CheckFound::of_all(ExamCheck::OwnTpm, text));
    }
}
