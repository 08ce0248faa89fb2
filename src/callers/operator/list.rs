// SPDX-License-Identifier: GPL-2.0-or-later
//! list by hand: every virtual machine that libvirt knows on this host, and on others where that is wanted. A host that
//! does not tell is said to be silent, and never has none. Beside it the view of the cluster that runs here.

mod view;

use super::json;
use super::status::is_as_started;
use crate::cluster::Member;
use crate::host::look::Looker;
use crate::host::peers;
use crate::hypervisor::xen;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::definition::Mark;
use crate::model::state::State;
use crate::model::worker::DomainListed;
use crate::sys::hosts;
use crate::sys::roots::Roots;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use serde::Serialize;
use std::collections::BTreeSet;
use view::View;

/// The version of its table in docs/JSON.md.
const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct List {
    version: u32,
    hosts: Vec<HostListed>,
    #[serde(flatten)]
    view: View,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct HostListed {
    node: String,
    here: bool,
    /// Why it does not tell.
    silent: Option<String>,
    machines: Vec<MachineListed>,
}

#[derive(Serialize)]
struct MachineListed {
    name: String,
    uuid: String,
    active: bool,
    state: String,
    /// Whether libvirt has a definition of its own of it.
    persistent: Option<bool>,
    /// Whether libvirt starts it by itself.
    autostart: Option<bool>,
    /// The resource that it was started for, by its mark; nothing where it runs by another program's doing.
    resource: Option<String>,
    /// The file that it was started from.
    created_from: Option<String>,
    /// Whether that file is what it was then; nothing where it is another host's, or cannot be read.
    unchanged: Option<bool>,
    /// The resource of the cluster that runs here that it is.
    managed_by: Option<String>,
    /// It may only be on its way from another host.
    #[serde(skip)]
    between: bool,
}

/// Asks this host, the cluster for its view, and the others too where that is wanted. Changes nothing.
#[must_use]
pub(super) fn look(inv: &Invocation, env: &Environment, others: bool) -> List {
    let deadline = inv.budget().deadline();
    let until = inv.budget().until(Share::Members, deadline);
    let (members, mut warnings) = asked(inv, others, until);
    let nodes = nodes(&members);
    let looker = Looker::new(inv, env, Roots::default());
    let said = peers::domains(inv, &looker.uri, &nodes, until);
    let files = inv.budget().until(Share::StartedFrom, deadline);
    let mut hosts: Vec<HostListed> =
        nodes.into_iter().zip(said).map(|(node, said)| HostListed::of(node, said, files)).collect();
    let listed = of_xl(&looker, until, &mut warnings);
    hosts.iter_mut().filter(|host| host.here).for_each(|here| here.add_of_xl(&listed));
    let view = view::look(inv, env, &mut hosts, until).unwrap_or_else(|why| {
        warnings.push(why);
        View::default()
    });
    List { version: VERSION, hosts, view, warnings }
}

/// The names alone, each once, and what a person must know to read them. A shell that completes them waits for it.
#[must_use]
pub(super) fn names(inv: &Invocation, env: &Environment, others: bool) -> (BTreeSet<String>, Vec<String>) {
    let until = inv.budget().until(Share::Members, inv.budget().deadline());
    let (members, mut warnings) = asked(inv, others, until);
    let nodes = nodes(&members);
    let looker = Looker::new(inv, env, Roots::default());
    let mut names = BTreeSet::new();
    for (node, said) in nodes.iter().zip(peers::names(inv, &looker.uri, &nodes, until)) {
        match said {
            Ok(known) => names.extend(known),
            Err(why) => warnings.push(does_not_tell(&node_name(*node), &ascii_line(&why, 200))),
        }
    }
    names.extend(of_xl(&looker, until, &mut warnings).into_iter().filter_map(|one| one.name));
    (names, warnings)
}

/// The other hosts that are asked, if they are; and what a person must know of that.
fn asked(inv: &Invocation, others: bool, until: Deadline) -> (Vec<Member>, Vec<String>) {
    let mut warnings: Vec<String> = inv.params.problems.iter().map(ToString::to_string).collect();
    let members = if others { peers::others(inv, "", until) } else { Ok(Vec::new()) };
    let members = members.unwrap_or_else(|why| {
        warnings.push(format!("the other nodes are not known, and were not asked: {why}"));
        Vec::new()
    });
    if others && members.is_empty() && warnings.is_empty() {
        warnings.push("no cluster of more than this host runs here: name others by --nodes".into());
    }
    (members, warnings)
}

/// This host, and these others.
fn nodes(members: &[Member]) -> Vec<Option<&str>> {
    std::iter::once(None).chain(members.iter().map(|member| Some(member.node.as_str()))).collect()
}

fn node_name(node: Option<&str>) -> String {
    node.map_or_else(hosts::own_name, str::to_owned)
}

fn does_not_tell(node: &str, why: &str) -> String {
    format!("{node} does not tell: {why}")
}

/// Xen's domains on this host, if it is one of Xen's, whoever made them.
fn of_xl(looker: &Looker, until: Deadline, warnings: &mut Vec<String>) -> Vec<xen::Listed> {
    if xen::is_dom0(&looker.roots) == Some(false) {
        return Vec::new();
    }
    xen::list(&looker.roots, until).unwrap_or_else(|silence| {
        warnings.push(format!("what libvirt has not made is not shown: {}", silence.why));
        Vec::new()
    })
}

impl HostListed {
    fn of(node: Option<&str>, said: Result<Vec<DomainListed>, String>, files: Deadline) -> Self {
        let here = node.is_none();
        let (machines, silent) = match said {
            Ok(domains) => (domains, None),
            Err(why) => (Vec::new(), Some(ascii_line(&why, 200))),
        };
        let mut machines: Vec<MachineListed> =
            machines.into_iter().map(|domain| MachineListed::of(domain, here.then_some(files))).collect();
        machines.sort_by(|a, b| a.name.cmp(&b.name));
        Self { node: node_name(node), here, silent, machines }
    }

    /// The domains that libvirt has not made. They bear no mark.
    fn add_of_xl(&mut self, listed: &[xen::Listed]) {
        let facts = |one: &xen::Listed| one.facts(one.name.as_deref().unwrap_or("(no name)"), xen::Role::Itself);
        for facts in listed.iter().map(facts) {
            if !self.machines.iter().any(|known| known.uuid == facts.uuid) {
                self.machines.push(MachineListed::of(
                    DomainListed { facts, mark: None, macs: Vec::new(), snapshots: None },
                    None,
                ));
            }
        }
    }
}

impl MachineListed {
    fn of(DomainListed { facts, mark, .. }: DomainListed, files: Option<Deadline>) -> Self {
        let state = State::from_numbers(facts.state, facts.reason);
        let started = |mark: &&Mark| !mark.source.is_empty() && !mark.sha256.is_empty();
        let unchanged = files.zip(mark.as_ref().filter(started)).and_then(|(until, mark)| is_as_started(mark, until));
        let (resource, source) = mark.map(|mark| (mark.instance, mark.source)).unzip();
        Self {
            name: facts.name,
            uuid: facts.uuid,
            active: state.active(),
            managed_by: None,
            between: state.may_be_arriving(),
            state: state.to_string(),
            persistent: facts.persistent,
            autostart: facts.autostart,
            resource,
            created_from: source.filter(|source| !source.is_empty()),
            unchanged,
        }
    }

    fn definition(&self) -> String {
        let changed = if self.unchanged == Some(false) { ", CHANGED since" } else { "" };
        match &self.created_from {
            Some(file) => format!("{file}{changed}"),
            None if self.persistent == Some(true) => "libvirt's own".into(),
            None => "-".into(),
        }
    }
}

impl List {
    /// What a person must know to read it.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let silent = |host: &HostListed| Some(does_not_tell(&host.node, host.silent.as_ref()?));
        self.warnings.iter().cloned().chain(self.hosts.iter().filter_map(silent))
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        json::line(self)
    }

    /// A table.
    pub(super) fn text(&self) -> String {
        let all = self.hosts.iter().flat_map(|host| host.machines.iter().map(move |machine| (host, machine)));
        let mut rows: Vec<Vec<String>> =
            vec![["NAME", "NODE", "STATE", "RESOURCE", "CLUSTER", "DEFINITION"].map(String::from).into()];
        rows.extend(all.map(|(host, machine)| {
            let resource = machine.resource.clone().unwrap_or_else(|| "-".into());
            let (name, state) = (machine.name.clone(), machine.state.clone());
            vec![name, host.node.clone(), state, resource, self.view.cell(machine), machine.definition()]
        }));
        // The cluster has them, and no host that was asked.
        rows.extend(self.view.absent(&self.hosts).map(|resource| {
            let (name, no) = (resource.machine.clone().unwrap_or_else(|| "-".into()), || "-".to_owned());
            vec![name, no(), no(), no(), resource.text(), no()]
        }));
        if self.view.cluster.is_none() {
            rows.iter_mut().for_each(|row| drop(row.remove(4)));
        }
        if self.hosts.len() == 1 {
            rows.iter_mut().for_each(|row| drop(row.remove(1)));
        }
        if rows.len() == 1 {
            let nodes: Vec<&str> =
                self.hosts.iter().filter(|it| it.silent.is_none()).map(|it| it.node.as_str()).collect();
            let nobody = "nothing is known of any machine".to_owned();
            return if nodes.is_empty() { nobody } else { format!("there is no machine on {}", nodes.join(", ")) };
        }
        let drift = self.view.resources.iter().filter_map(|resource| resource.drift.as_ref());
        std::iter::once(table(&rows))
            .chain(drift.map(|sentence| format!("drift: {sentence}")))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Columns as wide as they must be.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at).unwrap_or_default()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
