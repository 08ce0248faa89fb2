// SPDX-License-Identifier: GPL-2.0-or-later
//! The machines of all members beside each other, those that no cluster manages too. The one that is asked about counts as its
//! definition's file has it as well: while it is off, no libvirt may know it. Pure.

use super::cluster::is_of;
use super::{is_for_libvirt, told};
use crate::callers::operator::doctor::facts::{ExamSeen, MachineSeen};
use crate::callers::operator::doctor::finding::CheckFound;
use crate::callers::operator::doctor::table::ExamCheck;
use crate::model::state::{Pause, State};
use crate::model::worker::{DomainFacts, DomainListed};
use crate::sys::text::shell_word;
use std::collections::BTreeMap;

/// libvirt's number of a domain that is off.
const SHUT_OFF: i32 = 5;

/// A machine, and the member that has it.
type DomainAt<'a> = (&'a str, &'a DomainListed);

pub(super) fn judge(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let in_files: Vec<(&str, DomainListed)> = told(seen)
        .filter_map(|(member, exam)| Some((member.node.as_str(), in_file(exam.machine.as_ref()?)?)))
        .collect();
    let domains = seen
        .members
        .iter()
        .filter_map(|member| Some((member.node.as_str(), member.domains.as_ref().ok()?)))
        .flat_map(|(node, domains)| domains.iter().map(move |domain| (node, domain)));
    // What differs from the file is where a finding is mended.
    let all: Vec<DomainAt<'_>> = in_files.iter().map(|(node, domain)| (*node, domain)).chain(domains).collect();
    for (name, held) in by(&all, |it| vec![it.facts.name.clone()]) {
        let Some(((node, one), (there, other))) = two(&held, |a, b| a.facts.uuid != b.facts.uuid) else { continue };
        let text = format!(
            "'{name}' on {node} (UUID {}) and on {there} (UUID {}) are two machines",
            one.facts.uuid, other.facts.uuid
        );
        let mend = format!("virsh domrename {} NEW-NAME", shell_word(&name));
        found.push(CheckFound::at(ExamCheck::SameName, there, text).mend(mend));
    }
    for (uuid, held) in by(&all, |it| vec![it.facts.uuid.clone()]) {
        let Some(((node, one), (there, other))) = two(&held, |a, b| a.facts.name != b.facts.name) else { continue };
        let text = format!("'{}' on {node} and '{}' on {there} have the UUID {uuid}", one.facts.name, other.facts.name);
        found.push(CheckFound::at(ExamCheck::SameUuid, there, text));
    }
    for (mac, held) in by(&all, |it| it.macs.iter().map(|mac| mac.to_ascii_lowercase()).collect()) {
        let differ = |a: &DomainListed, b: &DomainListed| a.facts.uuid != b.facts.uuid && a.facts.name != b.facts.name;
        let Some(((node, one), (there, other))) = two(&held, differ) else { continue };
        let text =
            format!("'{}' on {node} and '{}' on {there} have the address {mac}", one.facts.name, other.facts.name);
        found.push(CheckFound::at(ExamCheck::SameMac, there, text));
    }
    for (uuid, held) in by(&all, |it| vec![it.facts.uuid.clone()]) {
        let running: Vec<&DomainAt<'_>> = held.iter().filter(|(_, it)| is_copy(&it.facts)).collect();
        if let [(node, one), (there, _), ..] = running.as_slice() {
            let text =
                format!("'{}' ({uuid}) runs on {node} and on {there}: stop one of the two at once", one.facts.name);
            let mend = format!("virsh destroy {}", shell_word(&one.facts.name));
            found.push(CheckFound::at(ExamCheck::RunsTwice, there, text).mend(mend));
        }
    }
    let has_snapshots = |it: &DomainListed| it.snapshots.is_some_and(|count| count > 0);
    for (node, it) in all.iter().filter(|(_, it)| has_snapshots(it) && is_the_clusters(seen, it)) {
        let text = format!("'{}' on {node} has {} snapshots", it.facts.name, it.snapshots.unwrap_or_default());
        let mend = format!("virsh snapshot-list {}", shell_word(&it.facts.name));
        found.push(CheckFound::at(ExamCheck::HasSnapshots, node, text).mend(mend));
    }
    for (node, it) in all.iter().filter(|(_, it)| it.facts.saved == Some(true) && is_the_clusters(seen, it)) {
        let text = format!("libvirt on {node} has saved the memory of '{}'", it.facts.name);
        let mend = format!("virsh managedsave-remove {}", shell_word(&it.facts.name));
        found.push(CheckFound::at(ExamCheck::SavedMemory, node, text).mend(mend));
    }
    let by_itself = |it: &DomainListed| it.facts.autostart == Some(true) && !is_for_libvirt(seen);
    for (node, it) in all.iter().filter(|(_, it)| by_itself(it) && is_the_clusters(seen, it)) {
        let text = format!("libvirt on {node} starts '{}' by itself, beside the cluster", it.facts.name);
        let mend = format!("virsh autostart --disable {}", shell_word(&it.facts.name));
        found.push(CheckFound::at(ExamCheck::Autostart, node, text).mend(mend));
    }
}

/// A machine as its definition's file has it.
fn in_file(machine: &MachineSeen) -> Option<DomainListed> {
    let facts = DomainFacts {
        name: machine.name.clone()?,
        uuid: machine.uuid.clone()?,
        id: None,
        state: SHUT_OFF,
        reason: 0,
        persistent: None,
        autostart: None,
        saved: None,
        job_operation: None,
        job_error: None,
    };
    Some(DomainListed { facts, mark: None, macs: machine.macs.clone(), snapshots: None })
}

/// Whether it is one that may run: not one that is still on its way, or that was left empty.
fn is_copy(facts: &DomainFacts) -> bool {
    let state = State::from_numbers(facts.state, facts.reason);
    state.active() && !matches!(state, State::Paused(Pause::Migration | Pause::StartingUp | Pause::PostCopy))
}

fn is_the_clusters(seen: &ExamSeen, it: &DomainListed) -> bool {
    let name = &it.facts.name;
    let resources = seen.cluster.iter().flatten().flat_map(|cluster| &cluster.machines);
    seen.name.as_ref() == Some(name) || it.mark.is_some() || resources.into_iter().any(|machine| is_of(machine, name))
}

/// The machines by what they have in common.
fn by<'a>(all: &[DomainAt<'a>], keys: impl Fn(&DomainListed) -> Vec<String>) -> BTreeMap<String, Vec<DomainAt<'a>>> {
    let mut found: BTreeMap<String, Vec<DomainAt<'a>>> = BTreeMap::new();
    for held in all {
        for key in keys(held.1) {
            found.entry(key).or_default().push(*held);
        }
    }
    found
}

/// The first of them, and another one that differs from it.
fn two<'a>(
    held: &[DomainAt<'a>],
    differ: impl Fn(&DomainListed, &DomainListed) -> bool,
) -> Option<(DomainAt<'a>, DomainAt<'a>)> {
    let first = held.first()?;
    let other = held.iter().find(|(_, other)| differ(first.1, other))?;
    Some((*first, *other))
}
