// SPDX-License-Identifier: GPL-2.0-or-later
//! `path`: the folders to search for a definition. A path is data: no entry is split, expanded or evaluated beyond its
//! colons.

use crate::sys::text::ascii_line;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A path specification, `/a:/b`: the folders to search, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSpec(Vec<PathBuf>);

impl PathSpec {
    /// Reads `/a:/b`. Empty entries are ignored; everything else is taken literally.
    ///
    /// # Errors
    /// A sentence about the entry that is not absolute.
    pub fn parse(spec: &OsStr) -> Result<Self, String> {
        let entries = spec.as_bytes().split(|&b| b == b':').filter(|entry| !entry.is_empty()).map(OsStr::from_bytes);
        let folders = entries.map(|entry| match PathBuf::from(entry) {
            folder if folder.is_absolute() => Ok(folder),
            // In its quotes, so that a blank before it is seen.
            _ => {
                let quoted = ascii_line(&format!("'{}'", entry.to_string_lossy()), 60);
                Err(format!("the path entry {quoted} is not absolute; expected /folder:/folder"))
            }
        });
        folders.collect::<Result<_, _>>().map(Self)
    }

    /// The folders, in order.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.0
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> OsString {
        let folders: Vec<&OsStr> = self.0.iter().map(|folder| folder.as_os_str()).collect();
        folders.join(OsStr::new(":"))
    }
}
