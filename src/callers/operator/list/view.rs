// SPDX-License-Identifier: GPL-2.0-or-later
//! The manager's view beside libvirt's: what the cluster that runs here says of each machine that is a resource, and where
//! the two do not agree. Neither is taken for the truth of the other.

use super::{HostListed, MachineListed};
use crate::callers::operator::managed;
use crate::cluster::{self, Service, Services, Software};
use crate::model::call::{Environment, Invocation};
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use serde::Serialize;

/// A resource, as the cluster has it.
#[derive(Serialize)]
pub(super) struct ResourceListed {
    pub(super) resource: String,
    /// The machine that it is, where the configuration or its definition's file says so.
    pub(super) machine: Option<String>,
    /// The cluster's word.
    pub(super) state: String,
    /// Whether the cluster is about to change that.
    pub(super) changing: bool,
    /// Where the cluster has it.
    pub(super) nodes: Vec<String>,
    pub(super) managed: bool,
    pub(super) failed: bool,
    pub(super) blocked: bool,
    /// Where libvirt on the hosts that were asked does not agree, in a sentence.
    pub(super) drift: Option<String>,
}

/// The cluster's view; empty, where no cluster runs here, or it was not asked.
#[derive(Default, Serialize)]
pub(super) struct View {
    /// Which cluster.
    pub(super) cluster: Option<&'static str>,
    /// Its resources that are virtual machines.
    pub(super) resources: Vec<ResourceListed>,
}

/// Asks the cluster that runs here, if one does; each machine of the hosts gets the name of its resource.
///
/// # Errors
/// Why it does not say.
pub(super) fn look(
    inv: &Invocation,
    env: &Environment,
    hosts: &mut [HostListed],
    until: Deadline,
) -> Result<View, String> {
    let Some(manager) = cluster::here().and_then(Software::manager) else { return Ok(View::default()) };
    let said = cluster::services(manager, until);
    let Services { here, all } =
        said.map_err(|why| format!("what {} says of these is not known: {}", manager.word(), ascii_line(&why, 200)))?;
    let name_of = |service: &Service| {
        let config = service.config.as_deref();
        let in_file = || managed::name_in(inv, env, config?, until);
        let stem = || Some(config?.file_stem()?.to_str()?.to_owned());
        service.machine.clone().or_else(in_file).or_else(stem)
    };
    let resources = all.iter().map(|service| ResourceListed::of(service, name_of(service))).collect();
    let mut view = View { cluster: Some(manager.word()), resources };
    view.meet(&here, hosts);
    Ok(view)
}

impl View {
    /// Tells which machine is which resource, and where the two views differ; `here` is this host's name in the cluster.
    pub(super) fn meet(&mut self, here: &str, hosts: &mut [HostListed]) {
        for machine in hosts.iter_mut().flat_map(|host| &mut host.machines) {
            let named = |it: &&ResourceListed| it.machine.as_ref() == Some(&machine.name);
            let marked = |it: &&ResourceListed| {
                let instance = machine.resource.as_deref().unwrap_or_default();
                // A clone's instances have a number.
                instance == it.resource || instance.strip_prefix(it.resource.as_str()).is_some_and(is_a_number)
            };
            let resource = self.resources.iter().find(named).or_else(|| self.resources.iter().find(marked));
            machine.managed_by = resource.map(|it| it.resource.clone());
        }
        for resource in &mut self.resources {
            resource.drift = drift(resource, self.cluster.unwrap_or("the cluster"), here, hosts);
        }
    }

    /// The cell of a machine in a table.
    pub(super) fn cell(&self, machine: &MachineListed) -> String {
        let resource = machine.managed_by.as_ref().and_then(|id| self.resources.iter().find(|it| it.resource == *id));
        resource.map_or_else(|| "-".to_owned(), ResourceListed::text)
    }

    /// The resources whose machine is on none of the hosts.
    pub(super) fn absent<'a>(&'a self, hosts: &'a [HostListed]) -> impl Iterator<Item = &'a ResourceListed> {
        let shown = |it: &&ResourceListed| {
            let mut machines = hosts.iter().flat_map(|host| &host.machines);
            machines.any(|machine| machine.managed_by.as_ref() == Some(&it.resource))
        };
        self.resources.iter().filter(move |it| !shown(it))
    }
}

fn is_a_number(rest: &str) -> bool {
    rest.strip_prefix(':').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

impl ResourceListed {
    fn of(service: &Service, machine: Option<String>) -> Self {
        let Service { resource, state, changing, nodes, managed, failed, blocked, .. } = service.clone();
        Self { resource, machine, state, changing, nodes, managed, failed, blocked, drift: None }
    }

    /// In words: `web: started on node1, unmanaged`.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}", self.resource, self.state);
        if !self.nodes.is_empty() {
            text.push_str(&format!(" on {}", self.nodes.join(", ")));
        }
        let failed = self.failed && self.state != "failed";
        for (is, word) in [(failed, "FAILED"), (self.blocked, "BLOCKED"), (!self.managed, "unmanaged")] {
            if is {
                text.push_str(&format!(", {word}"));
            }
        }
        text
    }
}

/// Where libvirt's word and the cluster's differ; nothing while the machine is on its way, and nothing of hosts that were
/// not asked or are silent.
fn drift(resource: &ResourceListed, manager: &str, here: &str, hosts: &[HostListed]) -> Option<String> {
    let name = &resource.resource;
    let mut runs_on: Vec<&str> = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for host in hosts.iter().filter(|host| host.silent.is_none()) {
        let node = if host.here { here } else { &host.node };
        told.push(node);
        let mut own = host.machines.iter().filter(|machine| machine.managed_by.as_ref() == Some(name));
        if own.clone().any(|machine| machine.between) {
            return None;
        }
        if own.any(|machine| machine.active) {
            runs_on.push(node);
        }
    }
    if resource.changing || resource.state == "unknown" {
        return None;
    }
    let one = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let strays = runs_on.iter().filter(|node| !resource.nodes.iter().any(|known| one(known, node)));
    let mut sentences: Vec<String> = strays
        .map(|node| match resource.nodes.as_slice() {
            [] => format!("'{name}' runs on {node}, and {manager} has it {}", resource.state),
            nodes => format!("'{name}' runs on {node}, and {manager} has it on {}", nodes.join(", ")),
        })
        .collect();
    let gone = resource
        .nodes
        .iter()
        .filter(|node| told.iter().any(|asked| one(asked, node)) && !runs_on.iter().any(|running| one(running, node)));
    sentences.extend(gone.map(|node| format!("{manager} has '{name}' on {node}, where it does not run")));
    (!sentences.is_empty()).then(|| sentences.join("; "))
}
