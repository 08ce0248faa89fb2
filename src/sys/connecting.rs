// SPDX-License-Identifier: GPL-2.0-or-later
//! TCP of this host, as the kernel lists it: who waits for a peer's first answer, and for how long; and who listens.
//! That answer is the peer's kernel's: one that lives gives it in milliseconds, however busy its programs are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// `TCP_SYN_SENT`.
const SYN_SENT: &str = "02";
/// `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// A connection that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connecting {
    /// Our end.
    pub(crate) local: SocketAddr,
    /// The end that has not answered yet.
    pub(crate) remote: SocketAddr,
    /// Its socket's.
    inode: u64,
}

/// What is being connected to, and since when.
#[derive(Debug, Default)]
pub(crate) struct Watch(Vec<(Connecting, Instant)>);

impl Watch {
    /// Looks at the connections that are being made now; gives those that have had no answer for `patience` since a look
    /// first saw them.
    pub(crate) fn unanswered(&mut self, proc: &Path, patience: Duration) -> impl Iterator<Item = Connecting> {
        let now: Vec<Connecting> = tables(proc).iter().flat_map(|text| in_state(text, SYN_SENT)).collect();
        self.0.retain(|(known, _)| now.contains(known));
        for new in now {
            if !self.0.iter().any(|(known, _)| *known == new) {
                self.0.push((new, Instant::now()));
            }
        }
        self.0.iter().filter(move |(_, since)| since.elapsed() >= patience).map(|(connecting, _)| *connecting)
    }
}

impl Connecting {
    /// Whether it is made by the process with this folder in `/proc`.
    pub(crate) fn is_of(&self, process: &Path) -> bool {
        has_socket(process, self.inode)
    }
}

/// Whether the process with this folder in `/proc` has that socket open.
fn has_socket(process: &Path, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return false };
    let mut links = descriptors.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    links.any(|link| link.as_os_str() == wanted.as_str())
}

/// A socket that takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Where.
    pub(crate) at: SocketAddr,
    inode: u64,
}

impl Listening {
    /// Whose it is: the program's name and its process id, where that is to be seen. Looks through the process table.
    pub(crate) fn owner(&self, proc: &Path) -> Option<(String, u32)> {
        let pids = std::fs::read_dir(proc).ok()?.flatten();
        let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let pid = pids.find(|pid| has_socket(&proc.join(pid.to_string()), self.inode))?;
        let name = std::fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok()?;
        Some((name.trim_end().to_owned(), pid))
    }
}

/// All that listen on this host.
pub(crate) fn listening(proc: &Path) -> Vec<Listening> {
    let all = tables(proc);
    let sockets = all.iter().flat_map(|text| in_state(text, LISTEN));
    sockets.map(|socket| Listening { at: socket.local, inode: socket.inode }).collect()
}

fn tables(proc: &Path) -> [String; 2] {
    ["tcp", "tcp6"].map(|name| std::fs::read_to_string(proc.join("self/net").join(name)).unwrap_or_default())
}

#[cfg(test)]
impl Connecting {
    /// One between these addresses.
    pub(crate) fn between(local: &str, remote: &str) -> Self {
        Self { local: local.parse().unwrap(), remote: remote.parse().unwrap(), inode: 0 }
    }
}

/// The sockets of a `/proc/net/tcp` that are in this state.
fn in_state(table: &str, state: &str) -> Vec<Connecting> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (address(words.get(1)?)?, address(words.get(2)?)?);
        (*words.get(3)? == state).then_some(())?;
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
        let found = in_state(table, SYN_SENT);
        let (local, remote) = ("10.1.1.1:57776".parse().unwrap(), "10.1.1.2:49152".parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(found, [Connecting { local, remote, inode: 4711 }]);
        }
    }

    #[test]
    fn an_address_of_the_sixth_version_is_read() {
        if cfg!(target_endian = "little") {
            let text = "000000FD000000000000000002000000:C000";
            assert_eq!(address(text), Some("[fd00::2]:49152".parse().unwrap()));
        }
        assert_eq!(address("0102:1"), None);
    }

    #[test]
    fn a_connection_is_unanswered_once_it_has_been_seen_for_so_long() {
        let proc = tempfile::tempdir().unwrap();
        let process = proc.path().join("7");
        let net = proc.path().join("self/net");
        std::fs::create_dir_all(&net).unwrap();
        std::fs::create_dir_all(process.join("fd")).unwrap();
        std::os::unix::fs::symlink("socket:[4711]", process.join("fd/3")).unwrap();
        let table = |state: &str| {
            let line = format!("1: 0101010A:E1B0 0201010A:0016 {state} 1:0 01:000000C8 00000004 0 0 4711 2 0\n");
            std::fs::write(net.join("tcp"), format!("  sl\n{line}")).unwrap();
        };
        let mut watch = Watch::default();
        table("02");
        assert_eq!(watch.unanswered(proc.path(), Duration::from_secs(3600)).count(), 0);
        let found: Vec<Connecting> = watch.unanswered(proc.path(), Duration::ZERO).collect();
        assert!(matches!(found.as_slice(), [one] if one.is_of(&process) && !one.is_of(proc.path())), "{found:?}");
        table("01");
        assert_eq!(watch.unanswered(proc.path(), Duration::ZERO).count(), 0);
    }
}
