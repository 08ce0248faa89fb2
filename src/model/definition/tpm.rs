// SPDX-License-Identifier: GPL-2.0-or-later
//! The emulated TPMs of a definition, whose state libvirt keeps in a folder of the host. Pure.
//!
//! libvirt deletes that state when a transient domain ends, unless the definition says that it is persistent. What is
//! sealed with it is then lost, so that a definition that says nothing about it is given the word.

use super::devices::each;
use super::error::DefinitionError;
use super::strict::{self, Element};

/// The attribute that keeps the state; libvirt knows it since 7.0.0.
const KEEPS: &str = "persistent_state";

/// What a definition is told of that has an emulated TPM and no UUID, which names the folder of its state.
pub const EMPTY_TPM: &str = "has an emulated TPM and no <uuid>: each start gives it a new, empty one";

/// The backends of the emulated TPMs.
fn emulated<'a>(root: &'a Element<'_>) -> impl Iterator<Item = &'a Element<'a>> {
    each(root, "tpm").filter_map(|tpm| tpm.first("backend")).filter(|e| e.attribute("type") == Some("emulator"))
}

/// What a definition says about the state of its emulated TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TpmState {
    /// It is kept.
    Kept,
    /// It is deleted when a transient domain ends.
    Deleted,
    /// Nothing: libvirt then deletes it, too.
    Unsaid,
}

/// The state of the emulated TPM, if there is one.
pub(super) fn state(root: &Element<'_>) -> Option<TpmState> {
    emulated(root).next().map(|backend| match backend.attribute(KEEPS) {
        Some("yes") => TpmState::Kept,
        Some(_) => TpmState::Deleted,
        None => TpmState::Unsaid,
    })
}

/// `text` with the state of its emulated TPMs kept, and every other byte as it was; `None` when there is nothing to add.
/// What the definition itself says about the state counts.
///
/// # Errors
/// `text` is no document that is read.
pub fn with_kept_tpm(text: &str) -> Result<Option<String>, DefinitionError> {
    let root = strict::read(text)?;
    let places = emulated(&root).filter(|backend| backend.attribute(KEEPS).is_none());
    let places: Vec<usize> = places
        .map(|backend| backend.start_tag.end - if backend.end_tag.is_empty() { "/>".len() } else { ">".len() })
        .collect();
    if places.is_empty() {
        return Ok(None);
    }
    let mut kept = text.to_owned();
    for place in places.into_iter().rev() {
        kept.insert_str(place, &format!(" {KEEPS}='yes'"));
    }
    strict::check_size(kept.len())?;
    Ok(Some(kept))
}
