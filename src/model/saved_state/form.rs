// SPDX-License-Identifier: GPL-2.0-or-later
//! The form of an image: which forms a host knows, and the room that one takes. Pure.

use crate::model::worker::HostFacts;

/// Why a host neither writes nor reads sparse images, if that is so.
#[must_use]
pub(crate) fn sparse_hindrance(host: &HostFacts) -> Option<String> {
    // Whoever calls libvirt must know the words, too.
    let libvirt = host.daemon_version.min(host.client_version);
    [("libvirt", libvirt, 11_002_000), ("QEMU", host.hypervisor_version, 9_000_000)].into_iter().find_map(
        |(whose, version, since)| match version {
            Some(version) if version >= since => None,
            Some(version) => Some(format!("{whose} {} has no sparse images, {} has", shown(version), shown(since))),
            None => Some(format!("{whose} does not say whether its version has sparse images")),
        },
    )
}

/// A version as libvirt counts it.
fn shown(version: u32) -> String {
    let thousands = version.div_euclid(1000);
    format!("{}.{}", thousands.div_euclid(1000), thousands.rem_euclid(1000))
}

/// What an image of so much memory may take: the devices' states and the guest's video memory come on top.
#[must_use]
pub(crate) const fn room_for(memory_kib: u64) -> u64 {
    const MARGIN_KIB: u64 = 32 * 1024;
    memory_kib.saturating_add(memory_kib >> 5).saturating_add(MARGIN_KIB).saturating_mul(1024)
}

/// That the parameter is not used, which hinders nothing.
#[must_use]
pub(crate) fn not_by_channels(wanted: impl std::fmt::Display, why: &str) -> String {
    format!("snapshot_channels={wanted} is not used, memory is saved in the usual form: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_images_are_of_hosts_whose_libvirt_and_hypervisor_both_have_them() {
        let host = |daemon_version, client_version, hypervisor_version| {
            let host = HostFacts { daemon_version, client_version, hypervisor_version, ..HostFacts::default() };
            sparse_hindrance(&host)
        };
        let (old, new, qemu) = (Some(9_000_000), Some(11_002_000), Some(9_000_000));
        assert_eq!(host(new, new, qemu), None);
        for libvirts in [(old, new), (new, old)] {
            let why = host(libvirts.0, libvirts.1, qemu).unwrap();
            assert_eq!(why, "libvirt 9.0 has no sparse images, 11.2 has");
        }
        assert_eq!(host(new, new, Some(8_002_002)).unwrap(), "QEMU 8.2 has no sparse images, 9.0 has");
        assert!(host(new, None, qemu).is_some() && host(new, new, None).is_some());
    }
}
