// SPDX-License-Identifier: GPL-2.0-or-later
//! The process of a domain, found in tables made for the purpose.

mod host;
mod made_tables;
mod visibility;

use vm_agent::hypervisor::process::{Driver, Identity};

/// The UUID of the domains here, as text and as bytes.
pub(crate) const UUID: &str = "a88015e5-1a69-4a1a-bcd5-8bf2406b3f34";
pub(crate) const UUID_BYTES: [u8; 16] =
    [0xa8, 0x80, 0x15, 0xe5, 0x1a, 0x69, 0x4a, 0x1a, 0xbc, 0xd5, 0x8b, 0xf2, 0x40, 0x6b, 0x3f, 0x34];

pub(crate) fn qemu(name: &str) -> Identity<'_> {
    Identity { name, uuid: Some(UUID_BYTES), driver: Driver::Qemu }
}

pub(crate) fn without_uuid(name: &str) -> Identity<'_> {
    Identity { uuid: None, ..qemu(name) }
}
