// SPDX-License-Identifier: GPL-2.0-or-later
//! What a disk's file or device is, beyond its path: so that it can be told whether two hosts mean the same one. Nothing is
//! opened. Storage may hang: it is asked aside.

use crate::sys::file_system::{self, FileSystem, Hosts};
use rustix::fs::{Stat, stat, statfs};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Who may use what lies on a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// It is not known which file system it is, or who may use it.
    #[default]
    Unknown,
    /// This host alone.
    Local,
    /// All hosts that have it mounted, under the same numbers of inodes.
    Shared,
    /// No file system: a device.
    Device,
}

/// A disk as a host sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskSeen {
    /// Whether there is something at the path; nothing where its storage does not answer.
    pub there: Option<bool>,
    /// Where it lies.
    pub storage: Storage,
    /// The file system's or the device's kind, in words.
    pub kind: String,
    /// The numbers of the device that it is on, or is, and of its inode; they are this kernel's own.
    pub numbers: (u64, u64),
    /// The size of a file.
    pub size: u64,
    /// What the device calls itself, wherever it is attached: a WWID, LVM's or multipath's name.
    pub identity: Option<String>,
}

/// What is at a path. It may take for ever.
#[must_use]
pub fn of(path: &Path) -> DiskSeen {
    let Ok(found) = stat(path) else { return DiskSeen { there: Some(false), ..DiskSeen::default() } };
    if rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::BlockDevice {
        return device(&found, Path::new("/sys"));
    }
    let number = statfs(path).map_or(0, |it| file_system::number(it.f_type));
    let (kind, storage) = match file_system::of_type(number) {
        None => (format!("a file system of type {number:#x}"), Storage::Unknown),
        Some(FileSystem { name, hosts: Hosts::One }) => ((*name).to_owned(), Storage::Local),
        Some(FileSystem { name, hosts: Hosts::Several }) => ((*name).to_owned(), Storage::Unknown),
        Some(FileSystem { name, hosts: Hosts::SeveralAlike }) => ((*name).to_owned(), Storage::Shared),
    };
    let size = u64::try_from(found.st_size).unwrap_or_default();
    DiskSeen { there: Some(true), storage, kind, numbers: (found.st_dev, found.st_ino), size, identity: None }
}

fn device(found: &Stat, sys: &Path) -> DiskSeen {
    let (major, minor) = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    let folder = sys.join(format!("dev/block/{major}:{minor}"));
    let line = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let name = folder.canonicalize().ok().and_then(|at| Some(at.file_name()?.to_str()?.to_owned()));
    let name = name.unwrap_or_else(|| format!("{major}:{minor}"));
    // A partition's identity is its disk's, with its number.
    let whole = line("partition").and_then(|number| {
        let text = ["../wwid", "../device/wwid"].iter().find_map(|file| line(file))?;
        Some(format!("{text} partition {number}"))
    });
    let identity = ["dm/uuid", "md/uuid", "wwid", "device/wwid"].iter().find_map(|file| line(file)).or(whole);
    // DRBD's devices are numbered by its configuration, which all of its nodes share.
    let identity = identity.or_else(|| name.starts_with("drbd").then(|| name.clone()));
    DiskSeen { there: Some(true), storage: Storage::Device, kind: name, numbers: (found.st_rdev, 0), size: 0, identity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_inode_and_a_missing_one_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (one, link) = (folder.path().join("one"), folder.path().join("link"));
        std::fs::write(&one, "abc").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let seen = of(&one);
        assert_eq!((seen.there, seen.size), (Some(true), 3));
        assert_eq!(of(&link), seen);
        assert_eq!(of(&folder.path().join("none")).there, Some(false));
        assert_eq!(of(Path::new("/proc/self/status")).storage, Storage::Unknown);
    }

    #[test]
    fn a_device_is_known_by_what_it_calls_itself() {
        let sys = tempfile::tempdir().unwrap();
        let made = |numbers: &str, file: &str, text: &str| {
            let path = sys.path().join("dev/block").join(numbers).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        made("253:1", "dm/uuid", "LVM-abc\n");
        made("8:0", "device/wwid", "naa.5000\n");
        made("7:0", "size", "1\n");
        let at = |major, minor| {
            let mut found = stat(sys.path()).unwrap();
            found.st_rdev = rustix::fs::makedev(major, minor);
            device(&found, sys.path()).identity
        };
        assert_eq!(at(253, 1).as_deref(), Some("LVM-abc"));
        assert_eq!(at(8, 0).as_deref(), Some("naa.5000"));
        assert_eq!(at(7, 0), None);
    }
}
