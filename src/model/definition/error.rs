// SPDX-License-Identifier: GPL-2.0-or-later
//! What is wrong with a definition, and where. Never holds a text's content beyond a name: definitions have passwords.

use std::fmt;

/// Why a text is not a definition: one sentence, with the place where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    place: Option<(usize, usize)>,
    what: String,
}

impl DefinitionError {
    /// An error of the text as a whole.
    pub(super) fn of_file(what: impl Into<String>) -> Self {
        Self { place: None, what: what.into() }
    }

    /// An error at the byte `at` of `text`.
    pub(super) fn at(text: &str, at: usize, what: impl Into<String>) -> Self {
        let mut end = at.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = text.get(..end).unwrap_or_default();
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Self { place: Some((line, column)), what: what.into() }
    }

    /// Line and column (in characters), both from 1, where the error has a place.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for DefinitionError {}

/// `text` for a message: on one line and at most about forty characters.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        short.push_str("...");
    }
    short
}
