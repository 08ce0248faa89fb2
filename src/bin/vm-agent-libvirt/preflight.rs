// SPDX-License-Identifier: GPL-2.0-or-later
//! What must be true before a domain moves: everything that would make the migration fail, found while nothing has
//! happened yet, over the connections that the migration uses.
//!
//! Only what is certain stands in the way. What libvirt or QEMU alone can know (whether a device can move, whether memory
//! can be found), and what the other host does not answer, is a warning: their own checks still come. A thorough rehearsal
//! asks for what libvirt itself would see to at the begin, and names what nobody can be asked.

use crate::capabilities::Capabilities;
use crate::lacks::Check;
use crate::{along, connect, ffi, output, resources};
use std::net::ToSocketAddrs;
use virt::connect::Connect;
use virt::domain::Domain;
use vm_agent::model::change::{Flag, Migrate, Rehearsal, same_host};
use vm_agent::model::definition::{self, Disk, DiskKind};
use vm_agent::model::state::{Pause, State};
use vm_agent::model::worker::{CallStep, DomainFacts, ErrorReply, Lacks, Lookup, Progress, Side, Who};
use vm_agent::sys::text::uuid_text;

/// Looks at both ends. Removes the empty placeholder that an earlier attempt left at the destination, unless this is a
/// rehearsal.
///
/// # Errors
/// One sentence: all that stands in the way.
pub(crate) fn check(
    source: &Connect,
    domain: &Domain,
    destination: &Connect,
    migrate: &Migrate,
) -> Result<(), ErrorReply> {
    output::progress(Progress::Asking(Side::Source));
    let leaving = ffi::job(domain).is_ok_and(|job| job.running());
    let mut ends = Ends {
        source,
        domain,
        destination,
        migrate,
        may_clear: migrate.rehearse.is_none() && !leaving,
        failures: Vec::new(),
        leftovers: 0,
    };
    if leaving {
        ends.fail(
            "it has a job running, a migration perhaps: wait for its end, or abort it with 'virsh domjobabort'".into(),
        );
    }
    let text = domain.xml_desc(0);
    output::progress(Progress::Asking(Side::Destination));
    let there = destination.hostname().unwrap_or_else(|_| "the target".into());
    match text {
        Ok(text) => ends.compare(&text, &there),
        Err(error) => warn(format!("the domain was not checked: {}", error.message())),
    }
    if ends.failures.is_empty() {
        return Ok(());
    }
    let during = if ends.failures.len() == ends.leftovers { CallStep::Leftover } else { CallStep::Preflight };
    Err(ErrorReply { code: 0, domain: 0, during, message: ends.failures.join("; ") })
}

fn warn(sentence: String) {
    output::progress(Progress::Warning(sentence));
}

struct Ends<'a> {
    source: &'a Connect,
    domain: &'a Domain,
    destination: &'a Connect,
    migrate: &'a Migrate,
    /// A placeholder at the destination is nobody's: nothing here is on its way there, and this is no rehearsal.
    may_clear: bool,
    failures: Vec<String>,
    /// How many of them an earlier migration left behind: libvirt clears them up by itself at last.
    leftovers: usize,
}

impl Ends<'_> {
    fn fail(&mut self, sentence: String) {
        self.failures.push(sentence);
    }

    fn compare(&mut self, text: &str, there: &str) {
        let (root, facts) = match (definition::read(text), definition::parse(text.as_bytes())) {
            (Ok(root), Ok(facts)) => (root, facts),
            (Err(error), _) | (_, Err(error)) => return warn(format!("the domain was not checked: {error}")),
        };
        let thorough = self.migrate.rehearse == Some(Rehearsal::Thorough);
        // libvirt says it well at the begin, but not from daemon to daemon, and virsh's words are not explained.
        if self.migrate.rehearse.is_some() || self.migrate.flags.contains(&Flag::P2p) {
            self.same_host(there);
        }
        if thorough {
            self.here(&facts.disks, &facts.name);
            self.address(there);
        }
        self.twins(&facts.name, facts.uuid.as_ref().map(uuid_text).unwrap_or_default(), there);
        let teamed = definition::teamed(&root);
        for device in facts.hostdevs.iter().filter(|device| !teamed.contains(device)) {
            warn(format!("it has the host device {device}, which may not be able to migrate: then detach it first"));
        }
        let connection = self.destination;
        let starts = self.migrate.start_resources;
        let mut asked = Check { connection, facts: &facts, root: &root, text, there, starts, lacks: Lacks::default() };
        if thorough {
            asked.everything();
            asked.huge_pages();
            asked.ports();
        } else {
            asked.networks();
            asked.pools();
        }
        let lacks = asked.lacks;
        self.failures.extend(lacks.missing.into_iter().map(|lack| lack.sentence));
        lacks.unknown.into_iter().for_each(warn);
        let huge_pages = definition::huge_pages(&root).is_some();
        if let (Some(needed), false) = (facts.memory_current_kib, huge_pages) {
            self.memory(needed, &facts.name, there);
        }
        if thorough {
            if matches!(facts.domain_type.as_str(), "kvm" | "qemu") {
                self.versions(there);
            }
            let needs = definition::needs(&facts, Some(&root));
            along::host_devices(connection, &needs, there).into_iter().for_each(warn);
            along::own_files(&facts, self.migrate, there).into_iter().for_each(warn);
            let mut unasked = unasked(&facts.disks, there);
            unasked.extend(needs.iter().filter_map(|need| along::template(need, there)));
            if huge_pages {
                unasked.push(format!("whether hugetlbfs is mounted on {there}"));
            }
            let ports = definition::console_ports(&root).into_iter().filter(|port| port.fixed);
            unasked.extend(ports.map(|port| format!("whether a program on {there} uses port {}", port.port)));
            if !unasked.is_empty() {
                warn(format!("not checked, as libvirt cannot be asked: {}", unasked.join("; ")));
            }
        } else if starts && self.failures.is_empty() {
            // Nothing is started there for a move that is refused anyway.
            if let Err(why) = resources::start(self.destination, &facts, there) {
                self.fail(why);
            }
        }
    }

    fn same_host(&mut self, there: &str) {
        let uuid = |connection: &Connect| Capabilities::of(connection).ok()?.uuid;
        if let (Some(here), Some(other)) = (uuid(self.source), uuid(self.destination))
            && here == other
        {
            self.fail(same_host(there, &here));
        }
    }

    /// What keeps libvirt here from letting it go.
    fn here(&mut self, disks: &[Disk], name: &str) {
        match self.domain.num_snapshots(0) {
            Ok(0) => {}
            Ok(count) => self.fail(format!(
                "it has {count} snapshot(s), with which libvirt moves no domain: 'virsh snapshot-delete {name} SNAPSHOT' \
                 merges one, '--metadata' only forgets it"
            )),
            Err(error) => warn(format!("whether it has snapshots is not known: {}", error.message())),
        }
        for target in disks.iter().filter_map(|disk| disk.target.as_deref()) {
            // An empty drive is an error, and can have none.
            if let Ok(true) = ffi::has_block_job(self.domain, target) {
                self.fail(format!(
                    "its disk {target} has a block job: wait for its end, or end it with 'virsh blockjob {name} {target}'"
                ));
            }
        }
        // The hypervisor holds it open here, whatever became of its name.
        for (disk, path) in files(disks) {
            if let (Ok(false), false) = (std::fs::exists(path), disk.may_be_missing) {
                let target = disk.target.as_deref().unwrap_or_default();
                self.fail(format!(
                    "the file of its disk {target}, {path}, was removed here: eject it with 'virsh change-media', or put it \
                     back"
                ));
            }
        }
    }

    /// Without another address the target's own name says where the memory is sent, and the source resolves it.
    fn address(&mut self, there: &str) {
        if self.migrate.migrate_uri.is_some() || self.migrate.flags.contains(&Flag::Tunnelled) {
            return;
        }
        let way_out = "set migration_network_suffix, or migrate_host in its qemu.conf";
        if there.starts_with("localhost") {
            return self.fail(format!("the target calls itself '{there}', where nothing can be sent: {way_out}"));
        }
        let Ok(addresses) = (there, 0).to_socket_addrs() else {
            return self.fail(format!("the target calls itself '{there}', which this host does not know: {way_out}"));
        };
        if addresses.map(|address| address.ip().to_canonical()).all(|address| address.is_loopback()) {
            self.fail(format!("the target calls itself '{there}', which is this host itself here: {way_out}"));
        }
    }

    /// No domain of that name or UUID may be there, but for a definition of its own.
    fn twins(&mut self, name: &str, uuid: String, there: &str) {
        for who in [Who::Name(name.to_owned()), Who::Uuid(uuid.clone())] {
            match connect::look(self.destination, &who) {
                Ok(Lookup::Absent) => {}
                Ok(Lookup::Found(other)) if other.uuid != uuid => {
                    self.fail(format!("{there} has another '{name}' (UUID {}): rename it there", other.uuid))
                }
                Ok(Lookup::Found(other)) => {
                    if self.twin(&other, there) {
                        return;
                    }
                }
                Err(failure) => warn(format!("whether {there} has a '{name}' is not known: {}", failure.message)),
            }
        }
    }

    /// Judges a domain of the same UUID there; whether it is in the way.
    fn twin(&mut self, other: &DomainFacts, there: &str) -> bool {
        let state = State::from_numbers(other.state, other.reason);
        if !state.active() {
            return false;
        }
        if !matches!(state, State::Paused(Pause::Migration | Pause::StartingUp)) {
            self.fail(format!("{there} already has '{}' ({state}): stop one of the two at once", other.name));
            return true;
        }
        if !self.may_clear {
            warn(format!("{there} has the empty placeholder of a migration"));
            return true;
        }
        match connect::find(self.destination, &Who::Uuid(other.uuid.clone()))
            .and_then(|placeholder| placeholder.destroy())
        {
            Ok(()) => warn(format!("{there} had the empty placeholder of an earlier migration; it was removed")),
            Err(error) => {
                self.leftovers += 1;
                self.fail(format!(
                    "{there} has the placeholder of an earlier migration, which cannot be removed: {}",
                    error.message()
                ));
            }
        }
        true
    }

    fn memory(&self, needed: u64, name: &str, there: &str) {
        let Ok(memory) = ffi::memory(self.destination) else { return };
        let kib = |kind: &str| memory.get(kind).copied().unwrap_or(0);
        let free = kib("free") + kib("buffers") + kib("cached");
        if free > 0 && free < needed {
            let (free, needed) = (free / 1024, needed / 1024);
            warn(format!("{there} has {free} MiB of memory free, '{name}' may come to need {needed} MiB there"));
        }
    }

    fn versions(&self, there: &str) {
        for (what, here, other) in [
            ("libvirt", self.source.lib_version(), self.destination.lib_version()),
            ("QEMU", self.source.hyp_version(), self.destination.hyp_version()),
        ] {
            if let (Ok(here), Ok(other)) = (here, other)
                && other / 1000 < here / 1000
            {
                let (here, other) = (version(here), version(other));
                warn(format!("{there} has {what} {other}, older than {here} here"));
            }
        }
    }
}

/// What libvirt there has no question for.
fn unasked(disks: &[Disk], there: &str) -> Vec<String> {
    let paths: Vec<&str> = files(disks).map(|(_, path)| path).collect();
    if paths.is_empty() { Vec::new() } else { vec![format!("whether {there} can open {}", paths.join(", "))] }
}

fn files(disks: &[Disk]) -> impl Iterator<Item = (&Disk, &str)> {
    let local = |disk: &&Disk| matches!(disk.kind, DiskKind::File | DiskKind::Block | DiskKind::Dir);
    disks.iter().filter(local).filter_map(|disk| Some((disk, disk.source.as_deref()?)))
}

fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}
