// SPDX-License-Identifier: GPL-2.0-or-later
//! A migration whose memory cannot reach the target: a firewall drops what is sent to the port that the hypervisor listens
//! on there, and nobody says so for two minutes, in which libvirt's daemon answers no question about the domain's job.
//!
//! The kernel knows: a connection of libvirt's daemon to the target, or of the domain's own emulator, that has been waiting
//! for the first answer since it was made. Cutting it gives libvirt its error at once. Other machines' connections (another
//! migration, network disks) are none of ours.

use crate::sys::child::{Child, find_program};
use crate::sys::connecting::{Connecting, Watch};
use crate::sys::hosts;
use crate::sys::time::Deadline;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// A connection that has no answer for so long has none: it was asked for four times by then.
const STUCK: Duration = Duration::from_secs(8);
/// The ports that libvirt's QEMU driver listens on, unless its configuration says otherwise.
const PORTS: std::ops::RangeInclusive<u16> = 49152..=49215;

/// A migration's own connections, looked at again and again.
pub(crate) struct DataPort {
    connections: Watch,
    /// The hosts that its memory may be sent to.
    hosts: Vec<String>,
    /// Their addresses, once they were asked for and told.
    addresses: Vec<IpAddr>,
}

impl DataPort {
    /// Of a migration that sends its memory to one of these hosts.
    pub(crate) fn of(hosts: Vec<String>) -> Self {
        Self { connections: Watch::default(), hosts, addresses: Vec::new() }
    }

    /// Looks at the connections that are being made now; gives one that gets no answer, of the domain's own emulator or of
    /// libvirt's daemon to one of the hosts.
    pub(crate) fn stuck(&mut self, proc: &Path, emulator: Option<u32>, deadline: Deadline) -> Option<Connecting> {
        let unanswered: Vec<Connecting> = self.connections.unanswered(proc, STUCK).collect();
        let emulator = emulator.map(|pid| proc.join(pid.to_string()));
        if let Some(found) = unanswered.iter().find(|it| emulator.as_ref().is_some_and(|process| it.is_of(process))) {
            return Some(*found);
        }
        let daemons: Vec<Connecting> = unanswered.into_iter().filter(|it| is_libvirts(it, proc)).collect();
        if !daemons.is_empty() && self.addresses.is_empty() {
            self.addresses = self.hosts.iter().flat_map(|host| hosts::addresses(host, deadline)).collect();
        }
        daemons.into_iter().find(|connecting| self.addresses.contains(&connecting.remote.ip()))
    }
}

/// Why there is no migration: what to do is said first.
#[must_use]
pub(crate) fn sentence(stuck: &Connecting, node: &str) -> String {
    let (address, port) = (stuck.remote.ip(), stuck.remote.port());
    let ports = if PORTS.contains(&port) { "49152-49215".to_owned() } else { port.to_string() };
    format!("{node} ({address}) answers nothing on port {port}: open TCP {ports} in the firewall there")
}

/// Ends it, so that libvirt goes on; whether it is gone. An old kernel cannot do that.
#[must_use]
pub(crate) fn cut(stuck: &Connecting, proc: &Path, deadline: Deadline) -> bool {
    let Some(ss) = find_program("ss") else { return false };
    let (local, remote) = (stuck.local.to_string(), stuck.remote.to_string());
    let words = ["-K", "-H", "-t", "-n", "state", "syn-sent", "src", &local, "dst", &remote];
    if let Err(error) = Child::new(&ss).args(words).run(deadline) {
        log::debug!("ss: {error}");
    }
    !Watch::default().unanswered(proc, Duration::ZERO).any(|left| left == *stuck)
}

/// Whether it is of a daemon of libvirt.
fn is_libvirts(connecting: &Connecting, proc: &Path) -> bool {
    let Ok(processes) = std::fs::read_dir(proc) else { return false };
    processes.flatten().map(|process| process.path()).any(|process| {
        let comm = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
        let ours = ["libvirtd", "virtqemud", "virtxend"].iter().any(|name| comm.starts_with(name));
        ours && connecting.is_of(&process)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_to_open_are_named() {
        let said = |remote: &str| sentence(&Connecting::between("10.1.1.1:57776", remote), "node2");
        let range = "node2 (10.1.1.2) answers nothing on port 49152: open TCP 49152-49215 in the firewall there";
        assert_eq!(said("10.1.1.2:49152"), range);
        assert!(said("10.1.1.2:4000").contains("open TCP 4000 in"));
    }
}
