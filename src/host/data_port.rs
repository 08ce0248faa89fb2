// SPDX-License-Identifier: GPL-2.0-or-later
//! A migration whose memory cannot reach the target: a firewall drops what is sent to the port that the hypervisor listens
//! on there, and nobody says so for two minutes, in which libvirt's daemon answers no question about the domain's job.
//!
//! The kernel knows: a connection of libvirt's daemon or of an emulator that has been waiting for the target's first answer
//! since it was made. Cutting it gives libvirt its error at once.

use crate::sys::child::{Child, find_program};
use crate::sys::time::Deadline;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// A connection that has no answer for so long has none: it was asked for four times by then.
const STUCK: Duration = Duration::from_secs(8);
/// `TCP_SYN_SENT`.
const SYN_SENT: &str = "02";
/// The ports that libvirt's QEMU driver listens on, unless its configuration says otherwise.
const PORTS: std::ops::RangeInclusive<u16> = 49152..=49215;

/// A connection that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connecting {
    local: SocketAddr,
    remote: SocketAddr,
    inode: u64,
}

/// What is being connected to, and since when.
#[derive(Debug, Default)]
pub(crate) struct Watch(Vec<(Connecting, Instant)>);

impl Watch {
    /// Looks at the connections that are being made now; gives one of libvirt's or of an emulator that gets no answer.
    pub(crate) fn stuck(&mut self, proc: &Path) -> Option<Connecting> {
        let read = |name: &str| std::fs::read_to_string(proc.join("self/net").join(name)).unwrap_or_default();
        let now: Vec<Connecting> = [read("tcp"), read("tcp6")].iter().flat_map(|text| connecting(text)).collect();
        self.0.retain(|(known, _)| now.contains(known));
        for new in now {
            if !self.0.iter().any(|(known, _)| *known == new) {
                self.0.push((new, Instant::now()));
            }
        }
        let old = self.0.iter().filter(|(_, since)| since.elapsed() >= STUCK).map(|(connecting, _)| *connecting);
        old.into_iter().find(|connecting| is_libvirts(proc, connecting.inode))
    }
}

impl Connecting {
    /// Why there is no migration: what to do is said first.
    #[must_use]
    pub(crate) fn sentence(&self, node: &str) -> String {
        let (address, port) = (self.remote.ip(), self.remote.port());
        let ports = if PORTS.contains(&port) { "49152-49215".to_owned() } else { port.to_string() };
        format!("{node} ({address}) answers nothing on port {port}: open TCP {ports} in the firewall there")
    }

    /// Ends it, so that libvirt goes on; whether it is gone. An old kernel cannot do that.
    #[must_use]
    pub(crate) fn cut(&self, proc: &Path, deadline: Deadline) -> bool {
        let Some(ss) = find_program("ss") else { return false };
        let (local, remote) = (self.local.to_string(), self.remote.to_string());
        let words = ["-K", "-H", "-t", "-n", "state", "syn-sent", "src", &local, "dst", &remote];
        if let Err(error) = Child::new(&ss).args(words).run(deadline) {
            log::debug!("ss: {error}");
        }
        let mut after = Watch::default();
        let _ = after.stuck(proc);
        !after.0.iter().any(|(known, _)| known == self)
    }
}

/// The connections of a `/proc/net/tcp` that wait for their first answer.
fn connecting(table: &str) -> Vec<Connecting> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (address(words.get(1)?)?, address(words.get(2)?)?);
        (*words.get(3)? == SYN_SENT).then_some(())?;
        Some(Connecting { local, remote, inode: words.get(9)?.parse().ok()? })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// An address as the kernel prints it: words of four bytes, each in the machine's own order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..address.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match (<[u8; 4]>::try_from(bytes.as_slice()), <[u8; 16]>::try_from(bytes.as_slice())) {
        (Ok(v4), _) => IpAddr::V4(Ipv4Addr::from(v4)),
        (_, Ok(v6)) => IpAddr::V6(Ipv6Addr::from(v6)),
        (Err(_), Err(_)) => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether a socket belongs to a daemon of libvirt or to an emulator.
fn is_libvirts(proc: &Path, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(processes) = std::fs::read_dir(proc) else { return false };
    processes.flatten().map(|process| process.path()).any(|process| {
        let comm = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
        let ours = ["libvirtd", "virtqemud", "virtxend", "qemu"].iter().any(|name| comm.starts_with(name));
        let holds = || {
            let descriptors = std::fs::read_dir(process.join("fd")).ok()?;
            let mut links = descriptors.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
            links.any(|link| link.as_os_str() == wanted.as_str()).then_some(())
        };
        ours && holds().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waits_for_its_first_answer_is_taken_from_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 01014D0A:E1B0 0201 4D0A:C000 02 00000000:00000000\n\
            1: 0101010A:E1B0 0201010A:C000 02 00000001:00000000 01:000000C8 00000004     0        0 4711 2 0\n\
            2: 0101010A:E1B1 0201010A:C000 01 00000001:00000000 01:000000C8 00000004     0        0 4712 2 0\n\
            3: 000000000000000000000000 01000000:0016 junk\n";
        let found = connecting(table);
        let (local, remote) = ("10.1.1.1:57776".parse().unwrap(), "10.1.1.2:49152".parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(found, [Connecting { local, remote, inode: 4711 }]);
        }
        let said = Connecting { local, remote, inode: 4711 }.sentence("node2");
        assert_eq!(said, "node2 (10.1.1.2) answers nothing on port 49152: open TCP 49152-49215 in the firewall there");
        let other = Connecting { local, remote: "10.1.1.2:4000".parse().unwrap(), inode: 1 };
        assert!(other.sentence("n").contains("open TCP 4000 in"));
    }

    #[test]
    fn an_address_of_the_sixth_version_is_read() {
        if cfg!(target_endian = "little") {
            let text = "000000FD000000000000000002000000:C000";
            assert_eq!(address(text), Some("[fd00::2]:49152".parse().unwrap()));
        }
        assert_eq!(address("0102:1"), None);
    }
}
