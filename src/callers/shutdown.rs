// SPDX-License-Identifier: GPL-2.0-or-later
//! What else on this host ends virtual machines at its shutdown, or starts them at its boot: libvirt's own services, beside
//! any cluster. Files are read, and nothing is asked.

use super::qemu_conf::QemuConf;
use std::fs::{read_dir, read_link};
use std::path::Path;

const GUESTS: &str = "libvirt-guests.service";

/// A sentence for each; `qemu`: the machine is QEMU's.
pub(super) fn warnings(root: &Path, qemu: bool) -> Vec<String> {
    let mut found = Vec::new();
    if ends_guests(root) {
        found.push(format!(
            "{GUESTS} is enabled: at a shutdown of this host it ends the machines beside the cluster, and may start them at \
             the next boot: run 'systemctl disable libvirt-guests' (not with --now, which ends them at once)"
        ));
    }
    let set = if qemu { QemuConf::read(root).ends_machines() } else { Vec::new() };
    if !set.is_empty() {
        found.push(format!(
            "libvirt ends the machines at a shutdown of this host, beside the cluster: set {} to \"none\" in \
             /etc/libvirt/qemu.conf",
            set.join(" and ")
        ));
    }
    found
}

/// Whether libvirt's service for guests is enabled.
pub(super) fn ends_guests(root: &Path) -> bool {
    is_enabled(&root.join("etc/systemd/system"))
}

/// Whether something of systemd's wants the service, and it is not masked.
fn is_enabled(units: &Path) -> bool {
    if read_link(units.join(GUESTS)).is_ok_and(|to| to == Path::new("/dev/null")) {
        return false;
    }
    let mut wanting = read_dir(units).into_iter().flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".wants") || name.ends_with(".requires")
    });
    wanting.any(|folder| folder.path().join(GUESTS).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, remove_file, write};
    use std::os::unix::fs::symlink;

    #[test]
    fn what_ends_machines_beside_the_cluster_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let (units, libvirt) = (root.path().join("etc/systemd/system"), root.path().join("etc/libvirt"));
        create_dir_all(units.join("multi-user.target.wants")).unwrap();
        create_dir_all(&libvirt).unwrap();
        let told = |qemu| warnings(root.path(), qemu).join("\n");
        assert_eq!(told(true), "");
        symlink("/lib/systemd/system/libvirt-guests.service", units.join("multi-user.target.wants").join(GUESTS))
            .unwrap();
        assert!(told(false).contains("systemctl disable libvirt-guests"), "{}", told(false));
        symlink("/dev/null", units.join(GUESTS)).unwrap();
        assert_eq!(told(true), "");
        remove_file(units.join(GUESTS)).unwrap();
        assert_eq!(told(true).lines().count(), 1);
        remove_file(units.join("multi-user.target.wants").join(GUESTS)).unwrap();
        write(libvirt.join("qemu.conf"), "auto_shutdown_try_save=\"persistent\"\nauto_shutdown_poweroff = 'all'\n")
            .unwrap();
        assert!(told(true).contains("set auto_shutdown_try_save and auto_shutdown_poweroff to"), "{}", told(true));
        // It is QEMU's driver that does so.
        assert_eq!(told(false), "");
    }
}
