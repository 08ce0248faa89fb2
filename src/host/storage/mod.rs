// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether somebody else has a machine's disks open, as far as their storage knows. Nothing is changed or locked by asking.
//!
//! Each witness is a file of its own: it says that a disk is open, that it is not, or that it cannot tell. What is no
//! evidence of a second writer is none here: a device that is merely known to other layers, a peer that is Primary beside
//! us, an old record in a lease. sanlock's leases are left to sanlock, which alone knows whether their owner lives. A disk
//! of which no witness knows anything is untold, which is no more than silence to who wants to be certain.

mod block;
mod device;
mod drbd;
mod files;
mod lvm;
mod rbd;
mod scsi;
mod tool;
mod word;

use crate::host::aside;
use crate::model::definition::{Disk, DiskKind};
use crate::model::facts::{Fact, Silence, SilenceKind};
use crate::model::storage::OpenDisk;
use crate::sys::image_lock::InUse;
use crate::sys::time::Deadline;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use word::Word;

/// Asks about the disks that a machine alone is to write. The first that is open is the answer; without one, that
/// something could not be told, or (as missing) that there is nobody who could, as of a volume of a pool, for the reason in
/// `unlocated`.
pub(crate) fn open_elsewhere(
    disks: &[Disk],
    unlocated: &BTreeMap<String, String>,
    deadline: Deadline,
) -> Fact<Option<OpenDisk>> {
    let disks: Vec<&Disk> = disks.iter().filter(|disk| disk.has_one_writer()).collect();
    let lockspace = files::lockspace();
    let mut asked: Vec<(&Disk, PathBuf)> = Vec::new();
    for disk in &disks {
        let Some(path) = disk.path().filter(|path| path.is_absolute()) else { continue };
        asked.push((disk, path.to_owned()));
        asked.extend(lockspace.as_ref().map(|folder| (*disk, files::lease(folder, path))));
    }
    let paths: Vec<&Path> = asked.iter().map(|(_, path)| path.as_path()).collect();
    let in_use = if paths.is_empty() { Vec::new() } else { aside::in_use(&paths, deadline) };
    let words = asked.iter().zip(in_use).map(|((disk, path), in_use)| (*disk, said(path, in_use, deadline)));
    let others = disks.iter().filter(|disk| disk.path().is_none_or(|path| !path.is_absolute()));
    summed_up(words.chain(others.map(|disk| (*disk, without_path(disk, unlocated, deadline)))))
}

/// What is known of a disk that has no path on this host.
fn without_path(disk: &Disk, unlocated: &BTreeMap<String, String>, deadline: Deadline) -> Word {
    match &disk.kind {
        DiskKind::Network => rbd::ask(disk, deadline),
        DiskKind::File | DiskKind::Block | DiskKind::Dir | DiskKind::Volume | DiskKind::Other(_) => {
            let why = disk.source.as_ref().and_then(|name| unlocated.get(name));
            Word::Untold(why.map_or("no witness for disks of this kind", String::as_str).to_owned())
        }
    }
}

/// What is known of a path, and of the device that it is.
fn said(path: &Path, in_use: InUse, deadline: Deadline) -> Word {
    match in_use {
        InUse::No => Word::Free,
        InUse::NotHere(kind) => Word::Untold(format!("no witness of other hosts' locks on {kind}")),
        InUse::Missing => lvm::ask(path, deadline),
        InUse::Locked { by, process, local } => files::word(by, process, local),
        InUse::Device(major, minor) => block::ask((major, minor), deadline),
        InUse::Unknown(why) => Word::Unknown(why),
    }
}

fn summed_up<'a>(words: impl Iterator<Item = (&'a Disk, Word)>) -> Fact<Option<OpenDisk>> {
    let (mut unknown, mut untold) = (None, None);
    for (disk, word) in words {
        let (name, place) = (disk.target.clone(), disk.source.clone().unwrap_or_default());
        let name = name.unwrap_or_else(|| "a disk".into());
        match word {
            Word::Free => {}
            Word::Open(by, lapses) => return Fact::Known(Some(OpenDisk { disk: name, place, by, lapses })),
            Word::Unknown(why) => drop(unknown.get_or_insert(format!("{name}: {why} ({place})"))),
            Word::Untold(why) => drop(untold.get_or_insert(format!("{name}: {why} ({place})"))),
        }
    }
    match (unknown, untold) {
        (Some(why), _) => Fact::Silent(Silence::refused(why)),
        (None, Some(why)) => Fact::Silent(Silence { kind: SilenceKind::Missing, why }),
        (None, None) => Fact::Known(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::parse;

    fn disks(devices: &str) -> Vec<Disk> {
        let text = format!("<domain type='kvm'><name>a</name><devices>{devices}</devices></domain>");
        parse(text.as_bytes()).unwrap().disks
    }

    #[test]
    fn what_several_may_use_or_nobody_writes_is_no_witness() {
        for (disk, asked) in [
            ("<disk><source file='/a'/></disk>", true),
            ("<disk device='lun' type='block'><source dev='/dev/sda'/></disk>", true),
            ("<disk><source file='/a'/><shareable/></disk>", false),
            ("<disk><source file='/a'/><readonly/></disk>", false),
            ("<disk><source file='/a'/><transient/></disk>", false),
            ("<disk device='cdrom'><source file='/a'/></disk>", false),
            ("<disk device='floppy'><source file='/a'/></disk>", false),
            ("<disk device='disk'/>", false),
        ] {
            assert_eq!(disks(disk)[0].has_one_writer(), asked, "{disk}");
        }
    }

    #[test]
    fn a_disk_that_is_open_counts_more_than_one_that_cannot_be_told() {
        let disks = disks("<disk><source file='/a'/><target dev='vda'/></disk><disk><source file='/b'/></disk>");
        let [one, two] = [&disks[0], &disks[1]];
        let unknown = || Word::Unknown("it hangs".into());
        assert_eq!(summed_up([(one, Word::Free), (two, Word::Free)].into_iter()), Fact::Known(None));
        let said = summed_up([(one, unknown()), (two, Word::Free)].into_iter());
        assert_eq!(said, Fact::Silent(Silence::refused("vda: it hangs (/a)")));
        let untold = || Word::Untold("nobody knows".into());
        let said = summed_up([(one, untold()), (two, unknown())].into_iter());
        assert_eq!(said, Fact::Silent(Silence::refused("a disk: it hangs (/b)")));
        let said = summed_up([(one, Word::Free), (two, untold())].into_iter());
        let missing = Silence { kind: SilenceKind::Missing, why: "a disk: nobody knows (/b)".into() };
        assert_eq!(said, Fact::Silent(missing));
        let open = summed_up([(one, unknown()), (two, Word::Open("its lock".into(), true))].into_iter());
        let Fact::Known(Some(open)) = open else { unreachable!("{open:?}") };
        assert_eq!((open.to_string().as_str(), open.lapses), ("a disk is open elsewhere: its lock (/b)", true));
    }
}
