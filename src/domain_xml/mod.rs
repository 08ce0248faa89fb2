// SPDX-License-Identifier: GPL-2.0-or-later
//! A definition's text and the facts in it that the agent uses. Pure.
//!
//! Must not open a file, ask libvirt or change a definition beyond the mark and a TPM's persistence. What libvirt itself checks (that the pieces
//! fit together) is left to libvirt; a value that libvirt refuses in a place read here is refused here too.

mod devices;
mod error;
mod facts;
mod mark;
mod names;
mod strict;
mod tpm;

pub use devices::{Disk, DiskDevice, DiskKind, Filesystem, Interface};
pub use error::XmlError;
pub use facts::{DomainXml, Recorded, parse, parse_uuid, status_file};
pub use mark::{BY_HAND, MARK_NAMESPACE, Mark, Switched, sources, switched, with_mark};
pub use names::Attribute;
pub use strict::{Element, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, decode, read, read_large};
pub use tpm::{EMPTY_TPM, TpmState, with_kept_tpm};

use sha2::{Digest, Sha256};

/// The SHA-256 of a definition's bytes, as 64 hexadecimal digits: what a mark holds.
#[must_use]
pub fn sha256_hex(text: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A UUID as people and libvirt write it.
#[must_use]
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(36);
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}
