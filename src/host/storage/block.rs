// SPDX-License-Identifier: GPL-2.0-or-later
//! Block devices: which witnesses know one, and whether this host itself uses it or what is stacked upon it.
//!
//! A holder alone is no use of it: hosts activate what they find in a guest's disk all the time. A mounted one is.

use super::device::Device;
use super::word::Word;
use super::{drbd, scsi};
use crate::sys::time::Deadline;
use std::path::Path;

/// A witness: which devices it knows, and what it says of one, also for other hosts.
struct Witness {
    knows: fn(&Device) -> bool,
    ask: fn(&Device, Deadline) -> Word,
}

const WITNESSES: [Witness; 2] = [
    Witness { knows: |device| device.name.starts_with("drbd"), ask: drbd::ask },
    Witness { knows: |device| device.scsi().is_some(), ask: scsi::ask },
];

/// Asks this host, and all witnesses that know the device of these numbers or what it lies on (LVM on DRBD). One that is
/// open counts more than one that cannot tell.
pub(super) fn ask(numbers: (u32, u32), deadline: Deadline) -> Word {
    let Some(device) = Device::of(Path::new("/sys"), numbers) else {
        return Word::Unknown("its device is not found in /sys".into());
    };
    let here = mounted(&device, Path::new("/proc"));
    if matches!(here, Word::Open(..)) {
        return here;
    }
    let mut sum = None;
    for part in device.below() {
        for witness in WITNESSES.iter().filter(|witness| (witness.knows)(&part)) {
            let replaced = matches!(sum, None | Some(Word::Free));
            match (witness.ask)(&part, deadline) {
                open @ Word::Open(..) => return open,
                unknown @ Word::Unknown(_) => sum = Some(unknown),
                word @ (Word::Free | Word::Untold(_)) if replaced => sum = Some(word),
                Word::Free | Word::Untold(_) => {}
            }
        }
    }
    sum.unwrap_or_else(|| Word::Untold(format!("no witness for {}", device.name)))
}

/// Whether a file system that lies on it is mounted here. A mount names a device by its numbers, but for file systems over
/// several devices (btrfs), which have numbers of their own and name one by its path.
fn mounted(device: &Device, proc: &Path) -> Word {
    let Ok(mounts) = std::fs::read_to_string(proc.join("self/mountinfo")) else { return Word::Free };
    for used in device.stack() {
        let Some(numbers) = used.line("dev") else { continue };
        let paths =
            [Some(format!("/dev/{}", used.name)), used.line("dm/name").map(|name| format!("/dev/mapper/{name}"))];
        let point = mounts.lines().find_map(|line| {
            let (mount, source) = line.split_once(" - ")?;
            let mut words = mount.split(' ').skip(2);
            let (device, _, point) = (words.next()?, words.next()?, words.next()?);
            let source = source.split(' ').nth(1);
            let by_path = paths.iter().flatten().any(|path| source == Some(path));
            (device == numbers || by_path).then_some(point)
        });
        if let Some(point) = point {
            return Word::Open(format!("this host has {} mounted at {point}", used.name), false);
        }
    }
    Word::Free
}

#[cfg(test)]
mod tests {
    use super::super::device::made;
    use super::*;

    #[test]
    fn a_device_is_open_where_it_or_what_is_stacked_upon_it_is_mounted() {
        let (sys, proc) = (made(), tempfile::tempdir().unwrap());
        std::fs::create_dir(proc.path().join("self")).unwrap();
        let sda = || Device::of(sys.path(), (8, 0)).unwrap();
        for (line, expected) in [
            ("36 35 254:0 / / rw - ext4 /dev/vda rw", None),
            ("37 35 8:0 / /mnt rw - ext4 /dev/sda rw", Some("this host has sda mounted at /mnt")),
            ("37 35 8:1 / /mnt rw - ext4 /dev/sda1 rw", Some("this host has sda1 mounted at /mnt")),
            ("37 35 253:0 / /srv rw - xfs /dev/mapper/vg-root rw", Some("this host has dm-0 mounted at /srv")),
            ("37 35 0:45 / /srv rw - btrfs /dev/sda1 rw", Some("this host has sda1 mounted at /srv")),
            ("37 35 0:46 / /srv rw - nfs4 server:/dev/sda1 rw", None),
        ] {
            std::fs::write(proc.path().join("self/mountinfo"), format!("{line}\n")).unwrap();
            let expected = expected.map_or(Word::Free, |by| Word::Open(by.into(), false));
            assert_eq!(mounted(&sda(), proc.path()), expected);
        }
    }
}
