// SPDX-License-Identifier: GPL-2.0-or-later
//! The cluster's configuration: fencing, and what it does with its machines. Pure.

use super::told;
use crate::callers::operator::doctor::facts::ExamSeen;
use crate::callers::operator::doctor::finding::CheckFound;
use crate::callers::operator::doctor::table::ExamCheck;
use crate::cluster::{DEFAULT_TIMEOUT, MachineResource, MachinesOfCluster};
use crate::model::params::Params;
use crate::sys::text::shell_word;
use std::ffi::OsStr;

/// Kept of a stop to end the machine by force, and the least that a guest needs to shut down, in seconds.
const FORCE: u64 = 20;
const LEAST: u64 = 20;
/// What a network carries that no parameter limits, in MiB a second: one of a gigabit.
const NETWORK: u64 = 110;
/// Two parts without quorum need more members than this.
const PAIR: usize = 2;

pub(super) fn judge(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let Some(Ok(cluster)) = &seen.cluster else { return };
    fencing(cluster, seen.members.len(), found);
    let is_it = |machine: &&MachineResource| match &seen.name {
        None => true,
        Some(name) => is_of(machine, name),
    };
    let memory = told(seen).find_map(|(_, exam)| exam.machine.as_ref()?.memory_mib);
    for machine in cluster.machines.iter().filter(is_it) {
        resource(cluster, machine, found);
        if cluster.rgmanagers && !machine.may_move {
            let text = format!("'{}' is part of a service: rgmanager stops it and starts it elsewhere", machine.id);
            found.push(CheckFound::of_all(ExamCheck::NoMoves, text));
        }
        if !cluster.rgmanagers {
            operations(machine, memory.filter(|_| seen.name.is_some()), found);
        }
    }
    twins(cluster, found);
}

/// Whether a resource is about the machine of this name.
pub(super) fn is_of(machine: &MachineResource, name: &str) -> bool {
    let stem = machine.config().and_then(|file| file.file_stem()?.to_str());
    machine.param("name").or(stem).unwrap_or(&machine.id) == name
}

fn fencing(cluster: &MachinesOfCluster, members: usize, found: &mut Vec<CheckFound>) {
    if !cluster.fences {
        let text = "stonith-enabled (fencing-enabled) is false: a lost node's machines are started while it may still run them";
        found.push(CheckFound::of_all(ExamCheck::FencingOff, text).mend("pcs property set stonith-enabled=true"));
    } else if !cluster.has_device {
        found.push(CheckFound::of_all(ExamCheck::NoFenceDevice, "nothing is configured that could fence a node"));
    } else {
        let node =
            |node: &String| CheckFound::at(ExamCheck::NoFenceDevice, node, format!("{node} has no method of fencing"));
        found.extend(cluster.unfenced.iter().map(node));
    }
    if cluster.ignores_quorum && members > PAIR {
        let text = "no-quorum-policy is ignore, in a cluster of more than two members";
        found.push(CheckFound::of_all(ExamCheck::NoQuorum, text).mend("pcs property set no-quorum-policy=stop"));
    }
}

fn resource(cluster: &MachinesOfCluster, machine: &MachineResource, found: &mut Vec<CheckFound>) {
    let id = &machine.id;
    let mut of = |check, text: String, command: Option<String>| {
        let one = CheckFound::of_all(check, text);
        found.push(command.into_iter().fold(one, CheckFound::mend));
    };
    let quoted = shell_word(id);
    if machine.cloned {
        of(ExamCheck::Cloned, format!("'{id}' is a clone"), Some(format!("pcs resource unclone {quoted}")));
    }
    if machine.provider != "vm-agent" {
        of(
            ExamCheck::OtherAgent,
            format!("'{id}' is of ocf:{}", machine.provider),
            Some(format!("cibadmin --query | vm-agent convert - {quoted}")),
        );
        return;
    }
    if !machine.managed {
        of(
            ExamCheck::NotManaged,
            format!("'{id}' is unmanaged or in maintenance"),
            Some(format!("pcs resource manage {quoted}")),
        );
    }
    if !cluster.rgmanagers && machine.param("name").is_none() && machine.param("config").is_some() {
        let command = format!("pcs resource update {quoted} name=NAME");
        of(ExamCheck::NoName, format!("'{id}' has config, and no name"), Some(command));
    }
    let pairs = machine.params.iter().map(|(name, value)| (name.as_bytes(), OsStr::new(value.as_str())));
    for problem in Params::read(pairs).problems {
        of(ExamCheck::BadParameter, format!("'{id}': {problem}"), None);
    }
}

fn operations(machine: &MachineResource, memory: Option<u64>, found: &mut Vec<CheckFound>) {
    if machine.provider != "vm-agent" {
        return;
    }
    let id = &machine.id;
    let quoted = shell_word(id);
    let mut of = |check, text: String, command: String| found.push(CheckFound::of_all(check, text).mend(command));
    let number = |name: &str| machine.param(name).and_then(|text| text.trim().parse::<u64>().ok());
    let time = |name: &str| machine.all(name).map(|it| it.timeout_ms).min().unwrap_or(DEFAULT_TIMEOUT);
    let shutdown = number("shutdown_timeout");
    let needs = shutdown.unwrap_or(LEAST).saturating_add(FORCE);
    let stop = seconds(time("stop"));
    if stop < needs {
        let what = shutdown.map_or_else(String::new, |it| format!(", its guest may take {it} s (shutdown_timeout)"));
        let text = format!("the stop of '{id}' has {stop} s{what}, and {FORCE} s of it are kept to end it by force");
        of(ExamCheck::StopTooShort, text, format!("pcs resource update {quoted} op stop timeout={}s", needs.max(180)));
    }
    if machine.all("stop").any(|it| it.on_fail.as_deref() == Some("ignore")) {
        let command = format!("pcs resource update {quoted} op stop on-fail=fence");
        of(ExamCheck::StopIgnored, format!("on-fail of the stop of '{id}' is ignore"), command);
    }
    if machine.may_move {
        if machine.all("migrate_to").all(|it| it.on_fail.as_deref() != Some("block")) {
            let text = format!("a move of '{id}' that fails is answered by a stop and a start: on-fail is not block");
            of(ExamCheck::FailedMoveStops, text, format!("pcs resource update {quoted} op migrate_to on-fail=block"));
        }
        let speed = number("migration_speed").filter(|it| *it > 0).unwrap_or(NETWORK).min(NETWORK);
        let needs = memory.map(|mib| mib.div_ceil(speed).saturating_mul(2).saturating_add(FORCE));
        let has = seconds(time("migrate_to"));
        if let Some(needs) = needs.filter(|needs| has < *needs) {
            let text = format!(
                "migrate_to of '{id}' has {has} s: its {} MiB at {speed} MiB a second, twice, take {needs} s",
                memory.unwrap_or_default()
            );
            of(
                ExamCheck::MoveTooShort,
                text,
                format!("pcs resource update {quoted} op migrate_to timeout={}s", needs.max(600)),
            );
        }
    } else {
        let command = format!("pcs resource meta {quoted} allow-migrate=true");
        of(ExamCheck::NoMoves, format!("allow-migrate of '{id}' is not set"), command);
    }
    if !machine.sticks {
        let command = format!("pcs resource meta {quoted} resource-stickiness=100");
        of(ExamCheck::NotSticky, format!("'{id}' has no resource-stickiness"), command);
    }
    let monitors: Vec<_> = machine.all("monitor").filter(|it| it.interval_ms > 0).collect();
    if monitors.is_empty() {
        let command = format!("pcs resource op add {quoted} monitor interval=10s timeout=30s");
        of(ExamCheck::NotWatched, format!("'{id}' has no recurring monitor"), command);
    }
    let wait = number("monitor_wait").unwrap_or_default();
    let short = monitors.iter().map(|it| seconds(it.timeout_ms)).filter(|has| *has <= wait).min();
    if let Some(has) = short.filter(|_| wait > 0) {
        let text = format!("a monitor of '{id}' has {has} s, and monitor_wait lets it stay for {wait} s");
        let wanted = wait.saturating_mul(2).saturating_add(10);
        of(ExamCheck::MonitorTooShort, text, format!("pcs resource update {quoted} op monitor timeout={wanted}s"));
    }
}

/// Whole seconds of milliseconds.
const fn seconds(ms: u64) -> u64 {
    ms.div_euclid(1000)
}

fn twins(cluster: &MachinesOfCluster, found: &mut Vec<CheckFound>) {
    for (at, one) in cluster.machines.iter().enumerate() {
        if let Some(other) = cluster.machines.iter().skip(at + 1).find(|other| are_one(one, other)) {
            let name = one.param("name").or_else(|| other.param("name")).map(str::to_owned);
            let name = name.or_else(|| Some(one.config()?.display().to_string())).unwrap_or_default();
            let text = format!("'{}' and '{}' are both about the machine '{name}'", one.id, other.id);
            found.push(CheckFound::of_all(ExamCheck::TwoResources, text));
        }
    }
}

/// Whether two resources are about one machine: by their names, else by their files.
fn are_one(one: &MachineResource, other: &MachineResource) -> bool {
    match (one.param("name"), other.param("name")) {
        (Some(name), Some(its)) => name == its,
        (Some(name), None) => is_of(other, name),
        (None, Some(name)) => is_of(one, name),
        (None, None) => one.config().is_some() && one.config() == other.config(),
    }
}
