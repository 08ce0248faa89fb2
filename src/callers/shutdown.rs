// SPDX-License-Identifier: GPL-2.0-or-later
//! What else on this host ends virtual machines at its shutdown, or starts them at its boot: libvirt's own services, beside
//! any cluster. Files are read, and nothing is asked.

use std::fs::{read_dir, read_link, read_to_string};
use std::path::Path;

const GUESTS: &str = "libvirt-guests.service";
/// What libvirt 11.2 and newer may do by itself when the host is shut down; all three are "none" for the system's daemon.
const BY_ITSELF: [&str; 3] = ["auto_shutdown_try_save", "auto_shutdown_try_shutdown", "auto_shutdown_poweroff"];

/// A sentence for each; `qemu`: the machine is QEMU's.
pub(super) fn warnings(root: &Path, qemu: bool) -> Vec<String> {
    let mut found = Vec::new();
    if ends_guests(root) {
        found.push(format!(
            "{GUESTS} is enabled: at a shutdown of this host it ends the machines beside the cluster, and may start them at \
             the next boot: run 'systemctl disable libvirt-guests' (not with --now, which ends them at once)"
        ));
    }
    let set = if qemu { by_itself(root) } else { Vec::new() };
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

/// The settings by which libvirt ends machines at the host's shutdown.
pub(super) fn by_itself(root: &Path) -> Vec<&'static str> {
    let conf = read_to_string(root.join("etc/libvirt/qemu.conf")).unwrap_or_default();
    BY_ITSELF.into_iter().filter(|key| is_set(&conf, key)).collect()
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

/// Whether a setting of libvirt's is something else than "none".
fn is_set(conf: &str, key: &str) -> bool {
    value(conf, key).is_some_and(|value| !matches!(value, "none" | ""))
}

/// What libvirt's configuration sets; the last one counts.
pub(super) fn value<'a>(conf: &'a str, key: &str) -> Option<&'a str> {
    let mut lines =
        conf.lines().map(str::trim_start).filter_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
    let value = lines.next_back().map(|value| value.split('#').next().unwrap_or(value))?;
    Some(value.trim().trim_matches(['"', '\'']))
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
        let conf = |text: &str| write(libvirt.join("qemu.conf"), text).unwrap();
        for off in ["", "#auto_shutdown_poweroff = \"all\"\n", "auto_shutdown_poweroff = \"none\" # all\n"] {
            conf(off);
            assert_eq!(told(true), "", "{off}");
        }
        conf("  auto_shutdown_try_save=\"persistent\"\nauto_shutdown_wait = 30\nauto_shutdown_poweroff = 'all'\n");
        assert!(told(true).contains("set auto_shutdown_try_save and auto_shutdown_poweroff to"), "{}", told(true));
        // It is QEMU's driver that does so.
        assert_eq!(told(false), "");
    }
}
