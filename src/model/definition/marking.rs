// SPDX-License-Identifier: GPL-2.0-or-later
//! Writing the mark into a definition's text. Pure.

use super::error::DefinitionError;
use super::facts;
use super::mark::{Mark, element, is_ours};
use super::strict::{self, Element};

/// `text` with `mark` in it, and every other byte as it was. An older mark is replaced.
///
/// A character that XML cannot hold becomes U+FFFD in the mark.
///
/// # Errors
/// `text` is no definition that [`facts::parse`] accepts, or would grow beyond what is read.
pub fn with_mark(text: &str, mark: &Mark) -> Result<String, DefinitionError> {
    let root = strict::read(text)?;
    facts::facts(text, &root)?;
    let element = element(mark);
    let edits = match root.first("metadata") {
        Some(metadata) => in_metadata(text, metadata, &element),
        None => root
            .first("name")
            .map(|name| {
                let indent = space_before(text, name.start_tag.start);
                (name.end_tag.end..name.end_tag.end, format!("{indent}<metadata>{element}</metadata>"))
            })
            .into_iter()
            .collect(),
    };
    let mut marked = String::with_capacity(text.len() + element.len() + 64);
    let mut done = 0;
    for (range, new) in edits {
        marked.push_str(text.get(done..range.start).unwrap_or_default());
        marked.push_str(&new);
        done = range.end;
    }
    marked.push_str(text.get(done..).unwrap_or_default());
    strict::check_size(marked.len())?;
    Ok(marked)
}

/// The edits, in the order of the text.
fn in_metadata(text: &str, metadata: &Element<'_>, element: &str) -> Vec<(std::ops::Range<usize>, String)> {
    let mut old = metadata.children.iter().filter(|child| is_ours(child)).map(Element::span);
    if let Some(first) = old.next() {
        // libvirt would keep the first of our namespace only.
        let others = old.map(|range| (range, String::new()));
        return std::iter::once((first, element.to_owned())).chain(others).collect();
    }
    let start = metadata.start_tag.end;
    if metadata.end_tag.is_empty() {
        return vec![(start - "/>".len()..start, format!(">{element}</metadata>"))];
    }
    let inside = text.get(start..metadata.end_tag.start).unwrap_or_default();
    let indent: String = inside.chars().take_while(|&c| super::names::is_space(c)).collect();
    vec![(start..start, format!("{indent}{element}"))]
}

/// The white space directly before the byte `at`.
pub(super) fn space_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    before.get(before.trim_end_matches(super::names::is_space).len()..).unwrap_or_default()
}
