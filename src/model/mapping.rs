// SPDX-License-Identifier: GPL-2.0-or-later
//! `migration_mapping`: which host a node is reached by. Pure.

use std::net::Ipv6Addr;

/// The pairs of a `migration_mapping`: exact node names and hosts; blanks are ignored, IPv6 hosts may stand in brackets. A
/// node without a host is reached by its own name.
///
/// # Errors
/// A sentence about the entry that is no pair.
pub fn mapping(text: &str) -> Result<Vec<(&str, &str)>, String> {
    entries(text).filter(|entry| entry.contains(':')).map(pair).collect()
}

/// A sentence about the first entry of a `migration_mapping` that names a node and no host.
#[must_use]
pub fn without_host(text: &str) -> Option<String> {
    let entry = entries(text).find(|entry| !entry.contains(':'))?;
    let shown = crate::sys::text::ascii_line(entry, 40);
    Some(format!("'{shown}' names no host and is left out; expected node:host"))
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn pair(entry: &str) -> Result<(&str, &str), String> {
    let shown = crate::sys::text::ascii_line(entry, 40);
    let wrong = || format!("'{shown}' is not a pair; expected node:host, an IPv6 host as node:[address]");
    let (node, host) = entry.split_once(':').ok_or_else(wrong)?;
    let (node, host) = (node.trim(), host.trim());
    let host = bare(host).filter(|host| usable(host)).ok_or_else(wrong)?;
    if node.is_empty() { Err(wrong()) } else { Ok((node, host)) }
}

/// A host without the brackets that it may have if it is an IPv6 address, and must have if that names a zone.
pub(super) fn bare(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.contains(':')),
        None => (!host.contains('%')).then_some(host),
    }
}

/// Whether a text can stand for a host in a URI and on ssh's command line: a name, or an address. Only an IPv6 address
/// has a '%', before its zone: elsewhere it would be the beginning of another character.
#[must_use]
pub fn usable(host: &str) -> bool {
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if !host.contains(':') {
        return !host.is_empty() && !host.starts_with('-') && word(host);
    }
    let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty() && word(zone))
}
