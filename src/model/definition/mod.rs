// SPDX-License-Identifier: GPL-2.0-or-later
//! A definition's text and the facts in it that the agent uses. Pure.
//!
//! Must not open a file, ask libvirt or change a definition beyond the mark, a TPM's persistence and what was changed in the
//! running domain. What libvirt itself
//! checks (that the pieces fit together) is left to libvirt; a value that libvirt refuses in a place read here is refused
//! here too.

mod changes;
mod devices;
mod error;
mod facts;
mod host;
mod mark;
mod marking;
mod names;
mod needs;
mod strict;
mod text;
mod tpm;
mod xl;

pub use changes::{Changed, say_the_same, sections, with_changes, without_ours};
pub use devices::{Disk, DiskDevice, DiskKind, Filesystem, Interface, teamed};
pub use error::DefinitionError;
pub use facts::{DefinedDomain, Recorded, parse, status_file};
pub use host::{Need, Role, needs};
pub use mark::{BY_HAND, MARK_NAMESPACE, Mark, Switched, sources, switched};
pub use marking::with_mark;
pub use names::Attribute;
pub use needs::{ConsolePort, SecretName, console_files, console_ports, huge_pages, secrets};
pub use strict::{Element, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, decode, read, read_large};
pub use text::{DefinitionText, Language};
pub use tpm::{EMPTY_TPM, TpmState, with_kept_tpm};
pub use xl::parse_xl;
