// SPDX-License-Identifier: GPL-2.0-or-later
//! This host's own name; the addresses of a name, and whether two names are one host's, by what the system's own resolver
//! says of them.

use super::child::{Child, Ended, find_program};
use super::time::Deadline;
use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};

/// The most that is read of a resolver's answer.
const MOST: usize = 64 * 1024;

/// This host's name, by its kernel.
pub(crate) fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether two names are one host's: they are equal; or one is the other with a domain, and both have the same addresses. A
/// host of another site may have the same short name, so a likeness alone is none.
pub(crate) fn are_one(a: &str, b: &str, until: Deadline) -> bool {
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    if !are_alike(a, b) {
        return false;
    }
    // Of this host's own addresses its resolver may know another one by each name.
    let others = |name| -> BTreeSet<Option<IpAddr>> {
        addresses(name, until).into_iter().map(|address| Some(address).filter(|address| !is_own(*address))).collect()
    };
    let (a, b) = (others(a), others(b));
    !a.is_empty() && a == b
}

/// Whether one is the other's name with its domain.
fn are_alike(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let longer = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'));
    longer(&a, &b) || longer(&b, &a)
}

/// The addresses of a name: none, if it has none or nobody says in time. A static program cannot ask the resolver itself,
/// and the name service may hang.
pub(crate) fn addresses(name: &str, until: Deadline) -> Vec<IpAddr> {
    let Some(getent) = find_program("getent") else { return Vec::new() };
    match Child::new(&getent).args(["ahosts", "--", name]).capture(MOST).run(until) {
        Ok(done) if done.ended == Ended::Exited(0) => {
            let text = String::from_utf8_lossy(&done.stdout);
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
        }
        Ok(_) => Vec::new(),
        Err(error) => {
            log::debug!("{name} was not resolved: {error}");
            Vec::new()
        }
    }
}

/// Whether who connects by this name gets to this host.
pub(crate) fn leads_here(name: &str, until: Deadline) -> bool {
    all(name, until, is_own)
}

/// Whether a name is one of this host's. Where it leads to a loopback, that may be left over from another host's files.
pub(crate) fn is_ours(name: &str, until: Deadline) -> bool {
    all(name, until, |address| is_own(address) && !address.to_canonical().is_loopback())
}

/// Whether all addresses of a name are such ones.
fn all(name: &str, until: Deadline, such: impl Fn(IpAddr) -> bool) -> bool {
    let all = addresses(name, until);
    !all.is_empty() && all.into_iter().all(such)
}

/// Whether an address is this host's: the kernel sends to it from it.
fn is_own(address: IpAddr) -> bool {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let from = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    address.is_loopback() || from().is_ok_and(|local| local.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_likeness_is_not_enough() {
        let one = |a, b| are_one(a, b, Deadline::after(Duration::from_secs(20)));
        assert!(one("node1", "Node1"));
        for (a, b) in [("node1", "node10"), ("node1", "node1.dr.invalid"), ("n.a.invalid", "n.b.invalid")] {
            assert!(!one(a, b) && !one(b, a), "{a} {b}");
        }
    }

    #[test]
    fn own_addresses_are_known_as_such() {
        assert!(is_own("127.0.0.1".parse().unwrap()) && is_own("127.0.1.1".parse().unwrap()));
        assert!(is_own("::1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()) && !is_own("2001:db8::1".parse().unwrap()));
    }
}
