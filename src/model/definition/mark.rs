// SPDX-License-Identifier: GPL-2.0-or-later
//! Our mark in a domain's `<metadata>`: which resource started it, from which definition. Pure.
//!
//! libvirt keeps one element of each namespace there and carries it along with the domain, also through a migration. So
//! the mark is one element of a namespace of its own, and declares that namespace itself. Nothing else of a definition
//! is touched.

use super::devices::{Disk, DiskDevice};
use super::names::is_xml_char;
use super::strict::Element;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The namespace of the mark.
pub const MARK_NAMESPACE: &str = "https://vm-agent.org/xmlns/domain/1.0";

/// The instance of a mark that no cluster resource has made.
pub const BY_HAND: &str = "by hand";

/// Who started a domain, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The number of this run among those of its folder for saved memory; 0: it has none.
    #[serde(default)]
    pub generation: u64,
    /// The sources of its disks at that time, by their names in the guest, as a JSON object: a disk that runs from
    /// something else later was switched behind the definition's back.
    pub disks: String,
    /// Where its definition is to be saved: how libvirt showed it right after its start, to tell what was changed since
    /// ([`super::sections`], behind libvirt's version).
    #[serde(default)]
    pub base: String,
    /// The SHA-256 of the bytes that it was started from, where an agent has saved its definition since: `sha256` is then
    /// that of the bytes that were saved.
    #[serde(default)]
    pub first: String,
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

/// The disks' sources, as a mark keeps them. Removable media come and go, and are no part of it, nor is a disk whose writes
/// are forgotten: libvirt itself puts an overlay above it at each start.
#[must_use]
pub fn sources(disks: &[Disk]) -> String {
    let sources: BTreeMap<&str, &str> = disks
        .iter()
        .filter(|disk| disk.device == DiskDevice::Disk && !disk.transient)
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
        generation: value("generation").parse().unwrap_or(0),
        disks: value("disks"),
        base: value("base"),
        first: value("first"),
    };
    (element.name == "managed" && !mark.instance.is_empty()).then_some(mark)
}

pub(super) fn is_ours(element: &Element<'_>) -> bool {
    element.namespace.as_deref() == Some(MARK_NAMESPACE)
}

impl Mark {
    /// The mark as an element without prefix or namespace: what `virDomainSetMetadata` takes beside both.
    #[must_use]
    pub fn bare_element(&self) -> String {
        with_attributes("<managed".to_owned(), self)
    }
}

pub(super) fn element(mark: &Mark) -> String {
    with_attributes(format!("<vm-agent:managed xmlns:vm-agent=\"{MARK_NAMESPACE}\""), mark)
}

fn with_attributes(mut element: String, mark: &Mark) -> String {
    let generation = if mark.generation == 0 { String::new() } else { mark.generation.to_string() };
    for (name, value) in [
        ("instance", &mark.instance),
        ("name", &mark.name),
        ("source", &mark.source),
        ("sha256", &mark.sha256),
        ("started", &mark.started),
        ("node", &mark.node),
        ("generation", &generation),
        ("disks", &mark.disks),
        ("base", &mark.base),
        ("first", &mark.first),
    ] {
        if matches!(name, "disks" | "generation" | "base" | "first") && value.is_empty() {
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
