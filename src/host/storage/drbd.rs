// SPDX-License-Identifier: GPL-2.0-or-later
//! DRBD: a peer that is Primary while we are Secondary has the device open. Where both are Primary, the role tells nothing:
//! it is made so beforehand, for live migration; and neither does a peer that is not connected.

use super::device::Device;
use super::tool;
use super::word::Word;
use crate::sys::time::Deadline;
use serde::Deserialize;

pub(super) fn ask(device: &Device, deadline: Deadline) -> Word {
    // DRBD 8 tells it without a program.
    let by_kernel = std::fs::read_to_string("/proc/drbd").ok().and_then(|text| kernels(&text, device.minor));
    by_kernel
        .unwrap_or_else(|| tool::ask("drbdsetup", &["status", "--json"], deadline, |text| tools(text, device.minor)))
}

/// What the roles say: this host's, and those of the peers with their names.
fn word<'a>(own: &str, peers: impl Iterator<Item = (&'a str, &'a str)>) -> Word {
    let mut sum = Word::Free;
    for (peer, role) in peers {
        match role {
            "Primary" if own != "Primary" => return Word::Open(format!("its DRBD is Primary on {peer}"), true),
            "Primary" => sum = Word::Untold(format!("its DRBD is Primary here and on {peer}")),
            "Secondary" => {}
            _ => sum = Word::Untold(format!("{peer} of its DRBD does not tell its role")),
        }
    }
    sum
}

/// ` 0: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----`
fn kernels(text: &str, minor: u32) -> Option<Word> {
    let number = format!("{minor}:");
    let line = text.lines().map(str::trim_start).find(|line| line.starts_with(&number))?;
    let (own, peer) = line.split(' ').find_map(|word| word.strip_prefix("ro:"))?.split_once('/')?;
    Some(word(own, std::iter::once(("the peer", peer))))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DrbdResource {
    role: String,
    devices: Vec<Volume>,
    #[serde(default)]
    connections: Vec<DrbdConnection>,
}

#[derive(Deserialize)]
struct Volume {
    minor: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DrbdConnection {
    name: String,
    peer_role: String,
}

fn tools(text: &str, minor: u32) -> Option<Word> {
    let resources: Vec<DrbdResource> = serde_json::from_str(text).ok()?;
    let resource = resources.iter().find(|one| one.devices.iter().any(|volume| volume.minor == minor))?;
    let peers = resource.connections.iter().map(|peer| (peer.name.as_str(), peer.peer_role.as_str()));
    Some(word(&resource.role, peers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As drbd-utils 9 prints it, less what is not read.
    fn status(own: &str, peer: &str) -> String {
        format!(
            r#"[{{"name":"web","node-id":2,"role":"{own}","suspended":false,
            "devices":[{{"volume":0,"minor":2,"disk-state":"UpToDate","client":false,"size":409600}}],
            "connections":[{{"peer-node-id":1,"name":"n1","connection-state":"Connected","peer-role":"{peer}",
            "peer_devices":[{{"volume":0,"replication-state":"Established"}}]}}]}}]"#
        )
    }

    #[test]
    fn a_peer_has_it_open_that_is_primary_where_we_are_not() {
        let expected = |own: &str, peer: &str, name: &str| match (own, peer) {
            ("Primary", "Primary") => Word::Untold(format!("its DRBD is Primary here and on {name}")),
            (_, "Primary") => Word::Open(format!("its DRBD is Primary on {name}"), true),
            (_, "Unknown") => Word::Untold(format!("{name} of its DRBD does not tell its role")),
            (_, _) => Word::Free,
        };
        for (own, peer) in [
            ("Secondary", "Primary"),
            ("Primary", "Primary"),
            ("Primary", "Secondary"),
            ("Secondary", "Secondary"),
            ("Secondary", "Unknown"),
            ("Primary", "Unknown"),
        ] {
            let expected = |name| Some(expected(own, peer, name));
            assert_eq!(tools(&status(own, peer), 2), expected("n1"), "{own} {peer}");
            let kernel = format!(
                "version: 8.4.11 (api:1/proto:86-101)\n 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n    \
                 ns:0 nr:0\n 2: cs:Connected ro:{own}/{peer} ds:UpToDate/UpToDate C r-----\n"
            );
            assert_eq!(kernels(&kernel, 2), expected("the peer"), "{own} {peer}");
        }
        assert_eq!(tools(&status("Secondary", "Primary"), 3), None);
        assert_eq!(tools("", 2), None);
        assert_eq!(kernels("version: 9.1.4 (api:2/proto:86-121)\n", 2), None);
    }
}
