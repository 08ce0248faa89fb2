// SPDX-License-Identifier: GPL-2.0-or-later
//! Image files: the locks of QEMU and of libvirt's virtlockd.

use super::word::Word;
use crate::sys::image_lock::LockedBy;
use crate::sys::text::sha256_hex;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where virtlockd's settings are.
const LOCKD_CONF: &str = "/etc/libvirt/qemu-lockd.conf";

/// What a lock says.
pub(super) fn word(by: LockedBy, process: Option<(u32, String)>, local: bool) -> Word {
    let who = process.map_or("a QEMU".to_owned(), |(pid, name)| format!("process {pid} here ({name})"));
    let sentence = match by {
        LockedBy::Writer => format!("{who} writes it"),
        LockedBy::Reader => format!("{who} reads it, and allows no writer"),
        LockedBy::Lease => "virtlockd has leased it".into(),
    };
    Word::Open(sentence, !local)
}

/// The folder of virtlockd's leases, where it does not lock the disks themselves.
pub(super) fn lockspace() -> Option<PathBuf> {
    folder(&std::fs::read_to_string(LOCKD_CONF).ok()?)
}

fn folder(settings: &str) -> Option<PathBuf> {
    let value = settings.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "file_lockspace_dir").then_some(value)
    })?;
    let folder = value.trim().trim_matches('"');
    folder.starts_with('/').then(|| folder.into())
}

/// The lease of a disk there.
pub(super) fn lease(folder: &Path, disk: &Path) -> PathBuf {
    folder.join(sha256_hex(disk.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_between_hosts_may_lapse_and_one_of_this_host_does_not() {
        let Word::Open(by, lapses) = word(LockedBy::Writer, Some((12, "qemu-nbd".into())), true) else {
            unreachable!()
        };
        assert_eq!(by, "process 12 here (qemu-nbd) writes it");
        assert!(!lapses);
        assert!(matches!(word(LockedBy::Lease, None, false), Word::Open(_, true)));
    }

    #[test]
    fn leases_lie_where_virtlockd_is_told_to_put_them() {
        let settings =
            "# file_lockspace_dir = \"/no\"\nauto_disk_leases = 1\nfile_lockspace_dir = \"/var/lib/libvirt/lockd\"\n";
        let folder = folder(settings).unwrap();
        // The name that virtlockd 9.0 gave the lease of this disk.
        let name = "b9543c6575300f1902d342128b12d382e6ea84deb50220629d398a76092d1f2f";
        assert_eq!(lease(&folder, Path::new("/tmp/storage/labV3E1/shared/d.img")), folder.join(name));
        assert_eq!(super::folder("auto_disk_leases = 1\n"), None);
    }
}
