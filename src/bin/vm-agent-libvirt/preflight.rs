// SPDX-License-Identifier: GPL-2.0-or-later
//! What must be true before a domain moves: everything that would make the migration fail, found while nothing has
//! happened yet, over the connections that the migration uses.
//!
//! Only what is certain stands in the way. What libvirt or QEMU alone can know (whether a device can move, whether memory
//! can be found), and what the other host does not answer, is a warning: their own checks still come.

use crate::{connect, ffi, output};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use vm_agent::model::definition::{self, DomainXml};
use vm_agent::model::state::{Pause, State};
use vm_agent::model::worker::{DomainFacts, End, Failure, Lookup, Progress, Step, Who, same_host};

/// libvirt's error numbers for a kind of machine that a host does not have: invalid argument, internal (a missing
/// emulator), configuration not supported.
const REFUSALS: [u32; 3] = [8, 1, 67];
/// libvirt's error number for a CPU that lacks something.
const CPU_INCOMPATIBLE: u32 = 91;

/// Looks at both ends. Removes the empty shell that an earlier attempt left at the destination, and nothing else.
/// A `rehearsal` clears nothing, and asks the slow questions too, to which libvirt itself sees at the migration's begin, as
/// early and as well.
///
/// # Errors
/// One sentence: all that stands in the way.
pub fn check(source: &Connect, domain: &Domain, destination: &Connect, rehearsal: bool) -> Result<(), Failure> {
    output::progress(Progress::Asking(End::Source));
    let leaving = ffi::job(domain).is_ok_and(|job| job.running());
    let mut found = Findings { failures: Vec::new(), leftovers: 0, may_clear: !rehearsal && !leaving };
    if leaving {
        found.fail(
            "it has a job running, a migration perhaps: wait for its end, or abort it with 'virsh domjobabort'".into(),
        );
    }
    let text = domain.xml_desc(0);
    output::progress(Progress::Asking(End::Destination));
    let there = destination.hostname().unwrap_or_else(|_| "the target".into());
    match text.map(|text| (definition::parse(text.as_bytes()), text)) {
        Ok((Ok(facts), text)) => {
            if rehearsal {
                found.same_host(source, destination, &there);
            }
            found.domain(destination, &facts, &there);
            found.devices(destination, &facts, &there);
            found.memory(destination, &facts, &text, &there);
            if rehearsal {
                found.hypervisor(source, destination, &facts, &text, &there);
            }
        }
        Ok((Err(error), _)) => warn(format!("the domain was not checked: {error}")),
        Err(error) => found.unanswered("the domain was not checked", &error),
    }
    if found.failures.is_empty() {
        return Ok(());
    }
    let during = if found.failures.len() == found.leftovers { Step::Leftover } else { Step::Preflight };
    Err(Failure { code: 0, domain: 0, during, message: found.failures.join("; ") })
}

fn warn(sentence: String) {
    output::progress(Progress::Warning(sentence));
}

struct Findings {
    failures: Vec<String>,
    /// How many of them an earlier migration left behind: libvirt clears them up by itself at last.
    leftovers: usize,
    /// A shell at the destination is nobody's: nothing here is on its way there, and this is no rehearsal.
    may_clear: bool,
}

impl Findings {
    fn fail(&mut self, sentence: String) {
        self.failures.push(sentence);
    }

    fn unanswered(&self, what: &str, error: &Error) {
        warn(format!("{what}: {}", error.message()));
    }

    fn same_host(&mut self, source: &Connect, destination: &Connect, there: &str) {
        let uuid = |connection: &Connect| connection.capabilities().ok().as_deref().and_then(crate::host::host_uuid);
        if let (Some(here), Some(other)) = (uuid(source), uuid(destination))
            && here == other
        {
            self.fail(same_host(there, &here));
        }
    }

    /// No domain of that name or UUID may be there, but for a definition of its own.
    fn domain(&mut self, destination: &Connect, facts: &DomainXml, there: &str) {
        let uuid = facts.uuid.as_ref().map(vm_agent::sys::text::uuid_text).unwrap_or_default();
        let name = &facts.name;
        for who in [Who::Name(name.clone()), Who::Uuid(uuid.clone())] {
            match connect::look(destination, &who) {
                Ok(Lookup::Absent) => {}
                Ok(Lookup::Found(other)) if other.uuid != uuid => {
                    self.fail(format!("{there} has another '{name}' (UUID {}): rename it there", other.uuid))
                }
                Ok(Lookup::Found(other)) => {
                    if self.twin(destination, &other, there) {
                        return;
                    }
                }
                Err(failure) => warn(format!("whether {there} has a '{name}' is not known: {}", failure.message)),
            }
        }
    }

    /// Judges a domain of the same UUID there; whether it is in the way.
    fn twin(&mut self, destination: &Connect, other: &DomainFacts, there: &str) -> bool {
        let state = State::from_numbers(other.state, other.reason);
        if !state.active() {
            return false;
        }
        if !matches!(state, State::Paused(Pause::Migration | Pause::StartingUp)) {
            self.fail(format!("{there} already has '{}' ({state}): stop one of the two at once", other.name));
            return true;
        }
        if !self.may_clear {
            warn(format!("{there} has the empty shell of a migration"));
            return true;
        }
        match connect::find(destination, &Who::Uuid(other.uuid.clone())).and_then(|shell| shell.destroy()) {
            Ok(()) => warn(format!("{there} had the empty shell of an earlier migration; it was removed")),
            Err(error) => {
                self.leftovers += 1;
                self.fail(format!(
                    "{there} has the shell of an earlier migration, which cannot be removed: {}",
                    error.message()
                ));
            }
        }
        true
    }

    fn devices(&mut self, destination: &Connect, facts: &DomainXml, there: &str) {
        for device in &facts.hostdevs {
            warn(format!("it has the host device {device}, which may not be able to migrate: then detach it first"));
        }
        for network in facts.interfaces.iter().filter_map(|interface| interface.network.as_deref()) {
            match destination.lookup_network_by_name(network).and_then(|network| network.is_active()) {
                Ok(true) => {}
                Ok(false) => self.fail(format!("the network '{network}' is not active on {there}: start it there")),
                Err(error) if error.code().to_raw() == crate::host::NO_NETWORK => {
                    self.fail(format!("{there} has no network '{network}': define and start it there"));
                }
                Err(error) => self.unanswered(&format!("the network '{network}' was not checked"), &error),
            }
        }
        let volumes = facts.disks.iter().filter(|disk| disk.kind == definition::DiskKind::Volume);
        for pool in volumes.filter_map(|disk| disk.source.as_deref()?.split('/').next()) {
            match destination.lookup_storage_pool_by_name(pool).and_then(|pool| pool.is_active()) {
                Ok(true) => {}
                Ok(false) => self.fail(format!("the storage pool '{pool}' is not active on {there}: start it there")),
                Err(error) if error.code().to_raw() == crate::host::NO_STORAGE_POOL => {
                    self.fail(format!("{there} has no storage pool '{pool}': define and start it there"));
                }
                Err(error) => self.unanswered(&format!("the storage pool '{pool}' was not checked"), &error),
            }
        }
    }

    fn memory(&self, destination: &Connect, facts: &DomainXml, text: &str, there: &str) {
        if let (Ok(memory), Some(needed)) = (ffi::memory(destination), facts.memory_current_kib) {
            let kib = |kind: &str| memory.get(kind).copied().unwrap_or(0);
            let free = kib("free") + kib("buffers") + kib("cached");
            // Huge pages come from a pool of their own, which is not in it.
            if free > 0 && free < needed && !text.contains("<hugepages") {
                warn(format!(
                    "{there} has {} MiB of memory free, '{}' may come to need {} MiB there",
                    free / 1024,
                    facts.name,
                    needed / 1024
                ));
            }
        }
    }

    fn hypervisor(&mut self, source: &Connect, destination: &Connect, facts: &DomainXml, text: &str, there: &str) {
        if !matches!(facts.domain_type.as_str(), "kvm" | "qemu") {
            return;
        }
        for (what, here, other) in [
            ("libvirt", source.lib_version(), destination.lib_version()),
            ("QEMU", source.hyp_version(), destination.hyp_version()),
        ] {
            if let (Ok(here), Ok(other)) = (here, other)
                && other / 1000 < here / 1000
            {
                let (here, other) = (version(here), version(other));
                warn(format!("{there} has {what} {other}, older than {here} here"));
            }
        }
        let [emulator, arch, machine] = [&facts.emulator, &facts.arch, &facts.machine].map(Option::as_deref);
        let domain_type = Some(facts.domain_type.as_str());
        match destination.domain_capabilities(emulator, arch, machine, domain_type, 0) {
            Ok(_) => {}
            Err(error) if REFUSALS.contains(&error.code().to_raw()) => {
                self.fail(format!("{there} cannot run this kind of machine: {}", error.message()));
                return;
            }
            Err(error) => self.unanswered("whether the target can run this kind of machine is not known", &error),
        }
        // Under emulation every CPU that the emulator knows will do.
        if facts.domain_type == "kvm" {
            let cpu =
                definition::read(text).ok().and_then(|root| Some(text.get(root.first("cpu")?.span())?.to_owned()));
            let Some(cpu) = cpu else { return };
            match ffi::compare_cpu(destination, facts, &cpu) {
                Ok(()) => {}
                Err(error) if error.code().to_raw() == CPU_INCOMPATIBLE => {
                    self.fail(format!("the CPU of {there} cannot run it: {}", error.message()));
                }
                Err(error) => self.unanswered("whether the target's CPU can run it is not known", &error),
            }
        }
    }
}

fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}
