// SPDX-License-Identifier: GPL-2.0-or-later
//! What rgmanager does with a virtual machine, in Pacemaker's terms; what was chosen, and what has no counterpart, is told.

use super::conf::{ClusterConf, VmConf};
use super::domains::{Places, STICKINESS};
use super::new::{Between, NewOperation, NewResource, write_between};
use super::times::{leading_number, rgmanager_seconds};
use super::words::{Ids, ShellText, keeps};
use super::{NotConverted, Shell, Wish, unnamed};
use crate::model::params::{Concern, Param, Params, Use, table};
use crate::sys::text::shown;
use std::ffi::OsStr;

/// What a stop needs beside the time for the guest to shut down (docs/TIME.md).
const TO_DESTROY: u64 = 20;
/// How long the node on which it failed is avoided, where rgmanager moves a machine at once.
const AVOIDED: u64 = 120;

pub(super) fn convert(conf: &ClusterConf<'_>, wish: &Wish<'_>) -> Result<String, NotConverted> {
    let known: Vec<&str> = conf.machines.iter().map(|vm| vm.name).collect();
    let called = |vm: &VmConf<'_>, name: &str| vm.name == name || name.strip_prefix("vm:") == Some(vm.name);
    unnamed(wish, "virtual machine", &known, |name| conf.machines.iter().any(|vm| called(vm, name)))?;
    let wanted = |vm: &&VmConf<'_>| wish.names.is_empty() || wish.names.iter().any(|name| called(vm, name));
    let mut ids = Ids::default();
    let (mut resources, mut refused) = (Vec::new(), Vec::new());
    for vm in conf.machines.iter().filter(wanted) {
        match resource(vm, conf, &mut ids) {
            Ok(new) => resources.push((vm, new)),
            Err(why) => refused.push(format!("vm:{} is not converted: {why}", shown(vm.name.as_ref()))),
        }
    }
    let between = between(conf, &mut resources);
    let mut script = ShellText::default();
    head(conf, wish, &refused, resources.is_empty(), &mut script);
    if resources.is_empty() {
        return Ok(script.text());
    }
    maintenance(wish.to, &mut script);
    for (_, new) in &resources {
        script.gap();
        new.write(wish.to, &mut ids, &mut script);
    }
    if !between.is_empty() {
        script.gap();
        script.told("Between them:");
        write_between(&between, wish.to, &mut ids, &mut script);
    }
    tail(wish.to, &mut script);
    Ok(script.text())
}

/// The command after which Pacemaker neither starts nor stops anything.
pub(super) fn maintenance(to: Shell, script: &mut ShellText) {
    script.gap();
    script.told("Nothing is started or stopped until you have looked and end this:");
    match to {
        Shell::Pcs => script.run(&["pcs", "property", "set", "maintenance-mode=true"]),
        Shell::Crm => script.run(&["crm", "configure", "property", "maintenance-mode=true"]),
    }
}

/// How maintenance ends.
pub(super) fn end_of_maintenance(to: Shell, script: &mut ShellText) {
    match to {
        Shell::Pcs => script.later(&["pcs", "property", "set", "maintenance-mode=false"], "Pacemaker takes over"),
        Shell::Crm => script.later(&["crm", "configure", "property", "maintenance-mode=false"], "Pacemaker takes over"),
    }
}

fn head(conf: &ClusterConf<'_>, wish: &Wish<'_>, refused: &[String], nothing: bool, script: &mut ShellText) {
    script.told(&format!("From {} (rgmanager). vm-agent has changed nothing: read this, then run it.", wish.from));
    if nothing {
        script.told("There is no virtual machine to convert in it.");
    } else {
        for told in [
            "Nodes are called as in cluster.conf; definitions and disks must be where they were, on each node.",
            "Pacemaker ends an action at its timeout and takes that for a failure; rgmanager does so only with \
             __enforce_timeouts. Timeouts are those of README, or of <action>; a move has 600 s.",
            "A start that fails keeps the machine from that node until 'crm_resource --cleanup' (Pacemaker's \
             start-failure-is-fatal); rgmanager tries again when a member comes or goes.",
        ] {
            script.point(told);
        }
    }
    conf.told.iter().chain(refused).for_each(|told| script.point(told));
}

fn tail(to: Shell, script: &mut ShellText) {
    script.gap();
    script.told("Then, while rgmanager does not run on any node any more (two managers would fight for each machine):");
    script.later(&["crm_resource", "--refresh"], "each node tells what runs there");
    script.later(&["crm_simulate", "-L"], "each machine that runs must be shown where it runs, unmanaged");
    end_of_maintenance(to, script);
}

fn resource(vm: &VmConf<'_>, conf: &ClusterConf<'_>, ids: &mut Ids) -> Result<NewResource, String> {
    let mut new = NewResource {
        id: String::new(),
        title: format!("vm:{}", shown(vm.name.as_ref())),
        params: Vec::new(),
        operations: Vec::new(),
        meta: Vec::new(),
        places: Places { stickiness: STICKINESS, ..Places::default() },
        told: Vec::new(),
    };
    let mut held = params(vm, &mut new)?;
    new.id = ids.fresh(vm.name);
    if new.id != vm.name {
        new.told.push(format!("chosen: the resource is called '{}', since it cannot be called as the machine", new.id));
    }
    operations(vm, &mut new);
    held |= places(vm, conf, &mut new);
    let moves = vm.service.is_none() && vm.children.is_empty();
    new.meta.push(("allow-migrate", moves.to_string()));
    if !moves {
        new.told.push("chosen: it is not moved live, as under rgmanager; allow-migrate=true allows it".into());
    }
    new.meta.push(("resource-stickiness", new.places.stickiness.to_string()));
    recovery(vm, &mut new);
    if vm.kept("autostart").is_some_and(|it| it == "no" || leading_number(it) == 0) {
        new.told.push(
            "chosen: autostart is off, so it is created with target-role=Stopped; once enabled, Pacemaker starts it \
             after each outage of the whole cluster too"
                .into(),
        );
        held = true;
    }
    if held {
        new.meta.push(("target-role", "Stopped".into()));
    }
    parts(vm, &mut new.told);
    Ok(new)
}

/// The parameters of the agent; whether it is to be created stopped, since one is missing that a start needs.
fn params(vm: &VmConf<'_>, new: &mut NewResource) -> Result<bool, String> {
    let mut given: Vec<(&'static Param, &str)> = Vec::new();
    for (attribute, value) in vm.attributes.iter().filter(|(name, _)| *name != "ref" && !name.starts_with("__")) {
        let row = table().find(|row| row.vm_sh.is_some() && row.vm_sh_name() == *attribute);
        match row {
            None => new.told.push(format!(
                "left out: '{}', which rgmanager does not hand on to vm.sh either",
                shown(attribute.as_ref())
            )),
            Some(row) if row.used() == Use::Manager => {
                if vm.service.is_some() && !value.is_empty() {
                    new.told
                        .push(format!("left out: '{attribute}', which counts only of the service that it is part of"));
                }
            }
            Some(row) => given.push((row, value)),
        }
    }
    let pairs = given.iter().map(|(row, value)| (row.name.as_bytes(), OsStr::new(*value)));
    let problems = Params::read(pairs).problems;
    let mut held = false;
    for (row, value) in given.into_iter().filter(|(_, value)| !value.is_empty()) {
        let problem = problems.iter().find(|problem| problem.param == row.name);
        let mut value = value.to_owned();
        let needed = matches!(row.concerns, Concern::Identity | Concern::Start);
        if let Some(problem) = problem {
            if row.name == "name" {
                return Err(problem.to_string());
            }
            if !problem.used {
                let stopped =
                    if needed { "; it is created with target-role=Stopped, so that you see to it first" } else { "" };
                new.told.push(format!("left out: {problem}{stopped}."));
                held |= needed;
                continue;
            }
            new.told.push(format!("chosen: {problem}"));
            match row.name {
                "tunnelled" => continue,
                "migrate" => value = "pause".into(),
                _ => {}
            }
        } else if row.is_absent() {
            continue;
        }
        if !keeps(&value) {
            let stopped = if needed { "; it is created with target-role=Stopped" } else { "" };
            new.told.push(format!(
                "left out: {}, whose value has a line break or a tab, which Pacemaker does not keep{stopped}",
                row.name
            ));
            held |= needed;
            continue;
        }
        new.params.push((row.name, value));
    }
    // The name leads, as in README.
    new.params.sort_by_key(|(name, _)| *name != "name");
    new.params.push(("monitor_wait", "30".into()));
    Ok(held)
}

/// README's operations, with the times of `<action>`.
fn operations(vm: &VmConf<'_>, new: &mut NewResource) {
    let timeout = |name: &str, depth| vm.action(name, depth, |it| it.timeout).filter(|seconds| *seconds > 0);
    let seconds = |seconds: u64| format!("{seconds}s");
    let checks = new.params.iter().any(|(name, _)| *name == "status_program");
    let start = timeout("start", 0).unwrap_or(if checks { 300 } else { 90 });
    let stop = timeout("stop", 0);
    if let Some(guest) = stop {
        new.told.push(format!(
            "chosen: stop has {TO_DESTROY} s more than the {guest} s of <action>, which are kept to end a guest that does not \
             shut down"
        ));
    }
    let stop = stop.map_or(180, |guest| guest.saturating_add(TO_DESTROY));
    let migrate = timeout("migrate", 0);
    if vm.action("status", 0, |it| it.interval.or(it.timeout)).is_some() {
        new.told.push(
            "left out: the times of a status of depth 0; monitor_wait tells of an end the moment it comes".into(),
        );
    }
    let deep = timeout("status", 10).unwrap_or(60);
    // No two monitors may have the same interval.
    let every = vm.action("status", 10, |it| it.interval).filter(|seconds| *seconds > 1).unwrap_or(60);
    let known = ["start", "stop", "status", "migrate"];
    for action in vm.actions.iter().filter(|it| !known.contains(&it.name)) {
        let name = shown(action.name.as_ref());
        new.told.push(format!("left out: <action name=\"{name}\">, which rgmanager never calls or Pacemaker has not"));
    }
    let operation = |action, options: &[(&'static str, String)]| NewOperation { action, options: options.to_vec() };
    new.operations = vec![
        operation("start", &[("timeout", seconds(start))]),
        operation("stop", &[("timeout", seconds(stop))]),
        operation("monitor", &[("interval", seconds(1)), ("timeout", seconds(70))]),
        operation(
            "monitor",
            &[("interval", seconds(every)), ("timeout", seconds(deep)), ("OCF_CHECK_LEVEL", "10".into())],
        ),
        operation("migrate_to", &[("timeout", seconds(migrate.unwrap_or(600))), ("on-fail", "block".into())]),
        operation("migrate_from", &[("timeout", seconds(60))]),
    ];
}

/// Where it may run; whether it may run nowhere.
fn places(vm: &VmConf<'_>, conf: &ClusterConf<'_>, new: &mut NewResource) -> bool {
    let Some(name) = vm.kept("domain") else { return false };
    let domain = conf.domains.iter().find(|domain| domain.name.eq_ignore_ascii_case(name));
    let Some(domain) = domain else {
        let name = shown(name.as_ref());
        new.told.push(format!("the failover domain '{name}' does not exist: any node may run it, as under rgmanager"));
        return false;
    };
    new.places = domain.places();
    let back = if !domain.nofailback {
        "it goes back to a better node by itself"
    } else if domain.ordered {
        "it stays where it is, and comes back only from outside the domain"
    } else {
        "it comes back from outside the domain"
    };
    new.told.push(format!(
        "chosen for the failover domain '{}' ({}): members have scores of 10000 and more, and with resource-stickiness={} {back}",
        shown(domain.name.as_ref()),
        domain.in_words(),
        new.places.stickiness
    ));
    let nowhere = new.places.only && new.places.preferred.is_empty();
    if nowhere {
        new.told.push("the domain is restricted and has no member: it is created with target-role=Stopped".into());
    }
    nowhere
}

/// What follows a failure.
fn recovery(vm: &VmConf<'_>, new: &mut NewResource) {
    let policy = vm.kept("recovery").unwrap_or("restart").to_ascii_lowercase();
    let restarts = vm.kept("max_restarts").map_or(0, leading_number);
    let forgotten = vm.kept("restart_expire_time").map_or(0, rgmanager_seconds);
    let (disables, relocates) = (policy == "disable", policy == "relocate");
    if !["restart", "relocate", "disable", "restart-disable"].contains(&policy.as_str()) {
        let policy = shown(policy.as_ref());
        new.told
            .push(format!("recovery=\"{policy}\" is no policy that rgmanager knows: it restarts the machine in place"));
    }
    if disables {
        for operation in new.operations.iter_mut().filter(|it| it.action == "monitor") {
            // crmsh wants it before OCF_CHECK_LEVEL.
            operation.options.insert(0, ("on-fail", "stop".into()));
        }
        new.told.push(
            "chosen for recovery=\"disable\": on-fail=stop for the monitors; 'crm_resource --cleanup' starts it again, where \
             rgmanager wants an enable"
                .into(),
        );
    } else if relocates {
        new.meta.push(("migration-threshold", "1".into()));
        new.meta.push(("failure-timeout", format!("{AVOIDED}s")));
        new.told.push(format!(
            "chosen for recovery=\"relocate\": one failure moves it, and the node is avoided for {AVOIDED} s, also if there is \
             no other; rgmanager tries it there again at once then"
        ));
    } else if restarts > 0 {
        new.meta.push(("migration-threshold", restarts.saturating_add(1).min(999_999).to_string()));
        let mut told = format!("chosen for max_restarts={restarts}: the failure after so many restarts moves it");
        if forgotten > 0 {
            new.meta.push(("failure-timeout", format!("{forgotten}s")));
            told.push_str(&format!(
                "; Pacemaker forgets all failures {forgotten} s after the last one, rgmanager each by itself"
            ));
        } else {
            told.push_str("; failures are never forgotten, and the node is avoided until 'crm_resource --cleanup'");
        }
        if policy.contains("disable") {
            told.push_str("; rgmanager would disable it then, for which Pacemaker has no counterpart");
        }
        new.told.push(told);
    } else if forgotten > 0 {
        new.told.push("left out: restart_expire_time, which means nothing without max_restarts".into());
    }
    if (disables || relocates) && restarts > 0 {
        new.told.push(format!("left out: max_restarts, which means nothing with recovery=\"{policy}\""));
    }
}

/// What only rgmanager has.
fn parts(vm: &VmConf<'_>, told: &mut Vec<String>) {
    if let Some((name, others)) = &vm.service {
        let name = shown(name.as_ref());
        if others.is_empty() {
            told.push(format!("it is part of service:{name}, whose policies are taken over"));
        } else {
            told.push(format!(
                "no counterpart here: service:{name} also has {}; create resources for these, and a group with this one",
                others.join(", ")
            ));
        }
    }
    if !vm.children.is_empty() {
        told.push(format!("no counterpart here: {} inside it; create resources for these", vm.children.join(", ")));
    }
    if vm.flag("__max_failures").is_some() && vm.flag("__failure_expire_time").is_some() {
        told.push("no counterpart: __max_failures; Pacemaker acts on the first failed monitor".into());
    }
    let known = ["__max_failures", "__failure_expire_time", "__enforce_timeouts"];
    for (flag, _) in vm.flags.iter().filter(|(flag, _)| !known.contains(flag)) {
        told.push(format!("no counterpart: {}", shown(flag.as_ref())));
    }
}

/// What holds between the machines: `exclusive` and `depend`.
fn between(conf: &ClusterConf<'_>, resources: &mut [(&VmConf<'_>, NewResource)]) -> Vec<Between> {
    let exclusive = |vm: &VmConf<'_>| vm.kept("exclusive").is_some_and(|it| it == "yes" || leading_number(it) > 0);
    let all: Vec<(String, bool)> = resources.iter().map(|(vm, new)| (new.id.clone(), exclusive(vm))).collect();
    let ids: Vec<(String, String)> = resources
        .iter()
        .filter(|(vm, _)| vm.service.is_none())
        .map(|(vm, new)| (format!("vm:{}", vm.name), new.id.clone()))
        .collect();
    let mut between = Vec::new();
    for (at, (vm, new)) in resources.iter_mut().enumerate() {
        if exclusive(vm) {
            // Of two exclusive ones the second is kept from the first, and that is enough.
            let others = all.iter().enumerate().filter(|(place, (_, too))| *place != at && !(*too && *place < at));
            between.extend(others.map(|(_, (other, _))| Between::Apart(other.clone(), new.id.clone())));
            new.told.push(
                "chosen for exclusive: the other machines here are kept from its node, and make room for it; rgmanager starts \
                 it on an empty node alone. Other resources are not seen"
                    .into(),
            );
        }
        let Some(depend) = vm.kept("depend") else { continue };
        let Some((_, first)) = ids.iter().find(|(name, id)| name == depend && *id != new.id) else {
            let depend = shown(depend.as_ref());
            new.told.push(format!("no counterpart here: depend=\"{depend}\", which is none of these machines"));
            continue;
        };
        let soft = vm.kept("depend_mode") == Some("soft");
        let both_ways = conf.central && !soft;
        let how = if both_ways {
            "it is also stopped before the other stops"
        } else if soft {
            "it runs on when the other stops"
        } else {
            "it runs on when the other stops: rgmanager stops it only with central_processing"
        };
        new.told.push(format!("chosen for depend: an order of starts; {how}"));
        between.push(Between::Order { first: first.clone(), then: new.id.clone(), both_ways });
    }
    between
}
