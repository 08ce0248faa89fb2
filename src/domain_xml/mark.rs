// SPDX-License-Identifier: GPL-2.0-or-later
//! Our mark in a domain's `<metadata>`: which resource started it, from which definition. Pure.
//!
//! libvirt keeps one element of each namespace there and carries it along with the domain, also through a migration. So
//! the mark is one element of a namespace of its own, and declares that namespace itself. Nothing else of a definition
//! is touched.

use super::devices::{Disk, DiskDevice};
use super::error::XmlError;
use super::facts;
use super::names::is_xml_char;
use super::strict::{self, Element};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The namespace of the mark.
pub const MARK_NAMESPACE: &str = "https://vm-agent.org/xmlns/domain/1.0";

/// The instance of a mark that no cluster resource has made.
pub const BY_HAND: &str = "by hand";

/// Who started a domain, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The instance of the cluster resource, or [`BY_HAND`]; never empty.
    pub instance: String,
    /// The name of the domain that was started: a copy of its XML under another name is not it.
    pub name: String,
    /// The path of the definition; empty for a definition of libvirt's own.
    pub source: String,
    /// The SHA-256 of the definition's bytes.
    pub sha256: String,
    /// When it was started: RFC 3339, in UTC.
    pub started: String,
    /// The node on which it was started.
    pub node: String,
    /// The sources of its disks at that time, by their names in the guest, as a JSON object: a disk that runs from something
    /// else later was switched behind the definition's back.
    pub disks: String,
}

/// A disk that runs from something else than at its start: from an overlay that a snapshot made, or a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// Its name in the guest: `vda`.
    pub target: String,
    /// What it runs from.
    pub now: String,
    /// What it ran from at its start, which the definition still says.
    pub then: String,
}

/// The disks' sources, as a mark keeps them. Removable media come and go, and are no part of it.
#[must_use]
pub fn sources(disks: &[Disk]) -> String {
    let sources: BTreeMap<&str, &str> = disks
        .iter()
        .filter(|disk| disk.device == DiskDevice::Disk)
        .filter_map(|disk| Some((disk.target.as_deref()?, disk.source.as_deref()?)))
        .collect();
    serde_json::to_string(&sources).unwrap_or_default()
}

/// The disks of a running domain that were switched since its mark was made.
#[must_use]
pub fn switched(disks: &[Disk], mark: &Mark) -> Vec<Switched> {
    let then: BTreeMap<String, String> = serde_json::from_str(&mark.disks).unwrap_or_default();
    disks
        .iter()
        .filter_map(|disk| {
            let (target, now) = (disk.target.clone()?, disk.source.clone()?);
            let then = then.get(&target).filter(|then| **then != now)?.clone();
            Some(Switched { target, now, then })
        })
        .collect()
}

/// The mark of a document: only a child of the root's first `<metadata>`, as libvirt sees it.
pub(super) fn of(root: &Element<'_>) -> Option<Mark> {
    let element = root.first("metadata")?.children.iter().find(|child| is_ours(child))?;
    let value = |name: &str| element.attribute(name).unwrap_or_default().to_owned();
    let mark = Mark {
        instance: value("instance"),
        name: value("name"),
        source: value("source"),
        sha256: value("sha256"),
        started: value("started"),
        node: value("node"),
        disks: value("disks"),
    };
    (element.name == "managed" && !mark.instance.is_empty()).then_some(mark)
}

fn is_ours(element: &Element<'_>) -> bool {
    element.namespace.as_deref() == Some(MARK_NAMESPACE)
}

/// `text` with `mark` in it, and every other byte as it was. An older mark is replaced.
///
/// A character that XML cannot hold becomes U+FFFD in the mark.
///
/// # Errors
/// `text` is no definition that [`facts::parse`] accepts, or would grow beyond what is read.
pub fn with_mark(text: &str, mark: &Mark) -> Result<String, XmlError> {
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
fn space_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    before.get(before.trim_end_matches(super::names::is_space).len()..).unwrap_or_default()
}

impl Mark {
    /// The mark as an element without prefix or namespace: what `virDomainSetMetadata` takes beside both.
    #[must_use]
    pub fn bare_element(&self) -> String {
        with_attributes("<managed".to_owned(), self)
    }
}

fn element(mark: &Mark) -> String {
    with_attributes(format!("<vm-agent:managed xmlns:vm-agent=\"{MARK_NAMESPACE}\""), mark)
}

fn with_attributes(mut element: String, mark: &Mark) -> String {
    for (name, value) in [
        ("instance", &mark.instance),
        ("name", &mark.name),
        ("source", &mark.source),
        ("sha256", &mark.sha256),
        ("started", &mark.started),
        ("node", &mark.node),
        ("disks", &mark.disks),
    ] {
        if name == "disks" && value.is_empty() {
            continue;
        }
        element.push(' ');
        element.push_str(name);
        element.push_str("=\"");
        escape(value, &mut element);
        element.push('"');
    }
    element.push_str("/>");
    element
}

/// Appends `value` so that a reader gets the same characters back, line breaks and tabs included.
fn escape(value: &str, to: &mut String) {
    for c in value.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\t' => to.push_str("&#9;"),
            '\n' => to.push_str("&#10;"),
            '\r' => to.push_str("&#13;"),
            c if is_xml_char(c) => to.push(c),
            _ => to.push('\u{fffd}'),
        }
    }
}
