// SPDX-License-Identifier: GPL-2.0-or-later
//! A block device as `/sys` shows it.

use std::path::{Path, PathBuf};

/// A block device of this host.
pub(super) struct Device {
    /// The kernel's name: `sda`, `dm-3`, `drbd0`.
    pub(super) name: String,
    /// Its minor number.
    pub(super) minor: u32,
    /// Its folder below `/sys`.
    folder: PathBuf,
}

impl Device {
    pub(super) fn of(sys: &Path, (major, minor): (u32, u32)) -> Option<Self> {
        Self::at(&sys.join(format!("dev/block/{major}:{minor}")), minor)
    }

    fn at(path: &Path, minor: u32) -> Option<Self> {
        let folder = path.canonicalize().ok()?;
        let name = folder.file_name()?.to_str()?.to_owned();
        Some(Self { name, minor, folder })
    }

    pub(super) fn line(&self, file: &str) -> Option<String> {
        Some(std::fs::read_to_string(self.folder.join(file)).ok()?.trim().to_owned())
    }

    /// The names of what is in one of its folders.
    fn listed(&self, folder: &str) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.join(folder)).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// The SCSI disk that it is, or one of those that it is made of as a multipath device.
    pub(super) fn scsi(&self) -> Option<String> {
        if self.name.starts_with("sd") {
            return Some(self.name.clone());
        }
        let multipath = self.line("dm/uuid").is_some_and(|uuid| uuid.starts_with("mpath-"));
        let slaves = if multipath { self.listed("slaves") } else { Vec::new() };
        slaves.iter().find_map(|slave| Some(slave.file_name()?.to_str()?.to_owned()))
    }

    /// Itself, and what it lies on.
    pub(super) fn below(&self) -> Vec<Self> {
        let mut found: Vec<Self> = Self::at(&self.folder, self.minor).into_iter().collect();
        let mut next = 0;
        while let Some(device) = found.get(next).filter(|_| next < 64) {
            let below: Vec<Self> = device.listed("slaves").iter().filter_map(|path| Self::at_own(path)).collect();
            found.extend(below);
            next += 1;
        }
        found
    }

    /// By its folder, which tells its numbers.
    fn at_own(path: &Path) -> Option<Self> {
        let numbers = std::fs::read_to_string(path.join("dev")).ok()?;
        Self::at(path, numbers.trim().split_once(':')?.1.parse().ok()?)
    }

    /// Itself, its partitions, and what is stacked upon them.
    pub(super) fn stack(&self) -> Vec<Self> {
        let mut found: Vec<Self> = Self::at(&self.folder, self.minor).into_iter().collect();
        let mut next = 0;
        // A stack of devices is never this deep, and a made-up one may be a circle.
        while let Some(device) = found.get(next).filter(|_| next < 64) {
            let partitions = device.listed("").into_iter().filter(|path| path.join("partition").exists());
            let above: Vec<Self> =
                partitions.chain(device.listed("holders")).filter_map(|path| Self::at(&path, 0)).collect();
            found.extend(above);
            next += 1;
        }
        found
    }
}

/// sda with a partition, upon which the volume group of a guest was activated; and a multipath device of sdb.
#[cfg(test)]
pub(super) fn made() -> tempfile::TempDir {
    use std::os::unix::fs::symlink;
    let sys = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = sys.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file("devices/sda/dev", "8:0\n");
    file("devices/sda/sda1/dev", "8:1\n");
    file("devices/sda/sda1/partition", "1\n");
    file("devices/dm-0/dev", "253:0\n");
    file("devices/dm-1/dev", "253:1\n");
    file("devices/dm-1/dm/uuid", "mpath-3600140\n");
    file("devices/sdb/dev", "8:16\n");
    file("devices/dm-2/dev", "253:2\n");
    file("devices/drbd3/dev", "147:3\n");
    for folder in ["dev/block", "devices/sda/sda1/holders", "devices/dm-1/slaves", "devices/dm-2/slaves"] {
        std::fs::create_dir_all(sys.path().join(folder)).unwrap();
    }
    for (link, target) in [
        ("dev/block/8:0", "devices/sda"),
        ("dev/block/253:1", "devices/dm-1"),
        ("devices/sda/sda1/holders/dm-0", "devices/dm-0"),
        ("devices/dm-1/slaves/sdb", "devices/sdb"),
        ("dev/block/253:2", "devices/dm-2"),
        ("devices/dm-2/slaves/drbd3", "devices/drbd3"),
    ] {
        symlink(sys.path().join(target), sys.path().join(link)).unwrap();
    }
    sys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_lies_on_is_found_with_its_number() {
        let sys = made();
        let below = Device::of(sys.path(), (253, 2)).unwrap().below();
        let below: Vec<_> = below.iter().map(|device| (device.name.as_str(), device.minor)).collect();
        assert_eq!(below, [("dm-2", 2), ("drbd3", 3)]);
    }

    #[test]
    fn a_scsi_disk_is_known_also_below_a_multipath_device() {
        let sys = made();
        let scsi = |numbers| Device::of(sys.path(), numbers).unwrap().scsi();
        assert_eq!(scsi((8, 0)).as_deref(), Some("sda"));
        assert_eq!(scsi((253, 1)).as_deref(), Some("sdb"));
        assert!(Device::of(sys.path(), (9, 9)).is_none());
    }
}
