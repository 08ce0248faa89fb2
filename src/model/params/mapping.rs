// SPDX-License-Identifier: GPL-2.0-or-later
//! `migration_mapping`: which host a node is reached by. Pure.

use std::net::Ipv6Addr;

/// The hosts of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(Vec<(String, String)>);

impl Mapping {
    /// Reads `node:host,node:host`: exact names of nodes, and hosts; blanks are ignored, IPv6 hosts may stand in brackets.
    /// A node without a host is reached by its own name.
    ///
    /// # Errors
    /// A sentence about the entry that is no pair.
    pub fn parse(text: &str) -> Result<Self, String> {
        entries(text).filter(|entry| entry.contains(':')).map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// The same, where this node is reached by this host; nothing, where that is none.
    #[must_use]
    pub(crate) fn with(&self, node: &str, host: &str) -> Option<Self> {
        let host = bare(host.trim()).filter(|host| usable(host))?;
        Some(Self(std::iter::once((node.to_owned(), host.to_owned())).chain(self.0.iter().cloned()).collect()))
    }

    /// The host that a node is reached by, when it is listed; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self, node: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == node).map(|(_, host)| host.as_str())
    }
}

/// A sentence about the first entry of a `migration_mapping` that names a node and no host.
#[must_use]
pub(super) fn without_host(text: &str) -> Option<String> {
    let entry = entries(text).find(|entry| !entry.contains(':'))?;
    let shown = crate::sys::text::ascii_line(entry, 40);
    Some(format!("'{shown}' names no host and is left out; expected node:host"))
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn pair(entry: &str) -> Result<(String, String), String> {
    let shown = crate::sys::text::ascii_line(entry, 40);
    let wrong = || format!("'{shown}' is not a pair; expected node:host, an IPv6 host as node:[address]");
    let (node, host) = entry.split_once(':').ok_or_else(wrong)?;
    let (node, host) = (node.trim(), host.trim());
    let host = bare(host).filter(|host| usable(host)).ok_or_else(wrong)?;
    if node.is_empty() { Err(wrong()) } else { Ok((node.to_owned(), host.to_owned())) }
}

/// A host without the brackets that it may have if it is an IPv6 address, and must have if that names a zone.
pub(in crate::model) fn bare(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.contains(':')),
        None => (!host.contains('%')).then_some(host),
    }
}

/// Whether a text can stand for a host in a URI and on ssh's command line: a name, or an address. Only an IPv6 address
/// has a '%', before its zone: elsewhere it would be the beginning of another character.
#[must_use]
pub(in crate::model) fn usable(host: &str) -> bool {
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if !host.contains(':') {
        return !host.is_empty() && !host.starts_with('-') && word(host);
    }
    let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty() && word(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_that_is_none_says_which_entry() {
        let bad =
            ["node1:", ":a", "n:[a]", "n:-oProxyCommand=x", "n:a b", "n:%2DoProxyCommand=x", "n:a%41", "n:fd00::g"];
        for bad in bad.into_iter().chain(["n:fe80::1%eth0", "n:[fe80::1%]", "n:a:b", "n:[fe80::1%a%2Db]"]) {
            assert!(Mapping::parse(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_mapping_of_vm_sh_is_understood_where_it_can_be() {
        let mapping = Mapping::parse("node1, n:fd00::1").unwrap();
        assert_eq!((mapping.host("n"), mapping.host("node1")), (Some("fd00::1"), None));
        assert!(without_host("n:a, node1").unwrap().contains("'node1'"));
        assert_eq!(without_host("n:fd00::1"), None);
    }
}
