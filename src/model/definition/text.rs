// SPDX-License-Identifier: GPL-2.0-or-later
//! The text of a definition, as it is handed on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// What a definition is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// libvirt's XML, to judge by its first character.
    #[default]
    Xml,
    /// A file of `xl`: text with an assignment.
    Xl,
}

/// The text of a definition. It may hold passwords (a console's, a guest's own), so it is never shown: not even in a log
/// that tells everything else.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefinitionText(String);

impl fmt::Debug for DefinitionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Deref for DefinitionText {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl DerefMut for DefinitionText {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

impl From<String> for DefinitionText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for DefinitionText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
