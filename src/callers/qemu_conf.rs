// SPDX-License-Identifier: GPL-2.0-or-later
//! What this host's qemu.conf sets, as libvirt's QEMU driver reads it. One that cannot be read sets nothing.

use std::fs::read_to_string;
use std::path::Path;

/// What libvirt 11.2 and newer may do by itself when the host is shut down; all three are "none" for the system's daemon.
const BY_ITSELF: [&str; 3] = ["auto_shutdown_try_save", "auto_shutdown_try_shutdown", "auto_shutdown_poweroff"];
/// The ports that libvirt gives migrations, unless it is told others.
const PORTS: (u16, u16) = (49152, 49215);

/// The file's text.
pub(super) struct QemuConf(String);

impl QemuConf {
    pub(super) fn read(root: &Path) -> Self {
        Self(read_to_string(root.join("etc/libvirt/qemu.conf")).unwrap_or_default())
    }

    /// What it sets; the last one counts.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let lines = self.0.lines().map(str::trim_start);
        let mut values = lines.filter_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
        let value = values.next_back().map(|value| value.split('#').next().unwrap_or(value))?;
        Some(value.trim().trim_matches(['"', '\'']))
    }

    /// The settings by which libvirt ends machines at the host's shutdown.
    pub(super) fn ends_machines(&self) -> Vec<&'static str> {
        let is_set = |key: &&str| self.value(key).is_some_and(|value| !matches!(value, "none" | ""));
        BY_ITSELF.into_iter().filter(is_set).collect()
    }

    /// The first and the last of the ports that libvirt gives migrations.
    pub(super) fn ports(&self) -> (u16, u16) {
        let port = |key: &str| self.value(key).and_then(|text| text.parse().ok());
        let (from, to) = (port("migration_port_min").unwrap_or(PORTS.0), port("migration_port_max").unwrap_or(PORTS.1));
        if from <= to { (from, to) } else { PORTS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_have_libvirts_ports_or_those_that_it_is_told() {
        let ports = |text: &str| QemuConf(text.to_owned()).ports();
        assert_eq!(ports("#migration_port_min = 1\n"), PORTS);
        assert_eq!(ports("migration_port_min = 5000\n migration_port_max=5010 # few\n"), (5000, 5010));
        assert_eq!(ports("migration_port_min = 50000\n"), PORTS);
    }

    #[test]
    fn what_ends_machines_at_a_shutdown_is_what_is_not_none() {
        let ends = |text: &str| QemuConf(text.to_owned()).ends_machines();
        for off in ["", "#auto_shutdown_poweroff = \"all\"\n", "auto_shutdown_poweroff = \"none\" # all\n"] {
            assert_eq!(ends(off), [""; 0], "{off}");
        }
        let on = "  auto_shutdown_try_save=\"persistent\"\nauto_shutdown_wait = 30\nauto_shutdown_poweroff = 'all'\n";
        assert_eq!(ends(on), ["auto_shutdown_try_save", "auto_shutdown_poweroff"]);
    }
}
