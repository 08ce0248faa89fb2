// SPDX-License-Identifier: GPL-2.0-or-later
//! plan by hand: what Pacemaker would do with its virtual machines if something happened, in sentences. Its crm_simulate
//! plays it on a copy; nothing is changed.

mod told;

use super::command_line::PlanArgs;
use super::{input, terminal};
use crate::cluster::LARGEST;
use crate::cluster::plan::{self, Event, NoPlan, PlannedCib, PlannedResource, Simulated};
use crate::model::outcome::{Code, Outcome};
use crate::sys::text::{ascii_line, say};
use crate::sys::time::Deadline;
use std::io::stdout;
use std::path::Path;
use told::PlanTold;

/// Prints the plan.
pub(super) fn run(args: &PlanArgs, until: Deadline) -> Outcome {
    match text(args, until) {
        Ok(text) => {
            say(&mut stdout(), &terminal::fit(text.trim_end().to_owned()));
            Outcome::new(Code::Ok, String::new())
        }
        Err(outcome) => outcome,
    }
}

fn text(args: &PlanArgs, until: Deadline) -> Result<String, Outcome> {
    let (from, bytes) = match args.cib.as_deref() {
        None => ("the live CIB".to_owned(), plan::live(until).map_err(outcome)?),
        Some(file) => (input::name(file), read(file, until)?),
    };
    let unusable = |why: &str| Outcome::new(Code::Configured, format!("{from} cannot be used: {why}"));
    let cib = std::str::from_utf8(&bytes).map_err(|_| unusable("it is not UTF-8"))?;
    let configured = PlannedCib::read(cib).map_err(|why| unusable(&why))?;
    let due = plan::simulate(cib, &[], until).map_err(outcome)?;
    let mut told = PlanTold::of(&configured, &due, from);
    told.supposed = supposed(args);
    let events = events(args, &configured, &due, &mut told)?;
    let sight = if events.is_empty() { None } else { Some(plan::simulate(cib, &events, until).map_err(outcome)?) };
    let mut text = told.text(sight.as_ref());
    let stops = stops_that_fail(&events, &configured);
    if !stops.is_empty() {
        let all: Vec<Event> = events.iter().cloned().chain(stops).collect();
        let sight = plan::simulate(cib, &all, until).map_err(outcome)?;
        text.push_str("\nVirtualDomain's stop asks libvirtd too; where it fails:\n");
        text.push_str(&told.acts(&sight));
    }
    Ok(text)
}

fn outcome(why: NoPlan) -> Outcome {
    match why {
        NoPlan::Missing(why) => Outcome::new(Code::Installed, why),
        NoPlan::Unusable(why) => Outcome::new(Code::Configured, format!("the CIB cannot be used: {why}")),
        NoPlan::Silent(why) => Outcome::new(Code::Generic, format!("there is no plan: {why}")),
    }
}

fn read(file: &Path, until: Deadline) -> Result<Vec<u8>, Outcome> {
    let unreadable =
        |why: String| Outcome::new(Code::Configured, format!("{} cannot be read: {why}", input::name(file)));
    let bytes = input::read(file, LARGEST.0, until).map_err(|why| unreadable(why.to_string()))?;
    if bytes.len() > LARGEST.0 { Err(unreadable("it is too large".into())) } else { Ok(bytes) }
}

/// What is supposed, in words.
fn supposed(args: &PlanArgs) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(args.node_lost.iter().map(|node| format!("{node} is lost")));
    if let (Some(name), Some(to)) = (&args.name, &args.to) {
        words.push(format!("'{name}' is moved to {to}"));
    }
    words.extend(args.libvirtd_dead.iter().map(|node| format!("libvirtd is dead on {node}")));
    words.extend(args.dies.iter().map(|name| format!("'{name}' dies")));
    words
}

/// What is supposed, as crm_simulate takes it; what is none of its affair is told.
fn events(args: &PlanArgs, cib: &PlannedCib, now: &Simulated, told: &mut PlanTold<'_>) -> Result<Vec<Event>, Outcome> {
    let node = |name: &String| {
        let known = cib.nodes.iter().find(|known| *known == name);
        known.cloned().ok_or_else(|| unknown("node", name, &cib.nodes))
    };
    let names: Vec<String> = cib.resources.iter().filter(|it| it.is_machine).map(|it| it.id.clone()).collect();
    let resource = |name: &String| cib.resource(name).ok_or_else(|| unknown("resource", name, &names));
    let mut events = Vec::new();
    for name in &args.node_lost {
        events.push(Event::NodeLost(node(name)?));
    }
    if let (Some(name), Some(to)) = (&args.name, &args.to) {
        events.push(Event::Move { resource: resource(name)?.id.clone(), to: node(to)? });
    }
    if let Some(name) = &args.dies {
        let resource = resource(name)?;
        let nodes = now.before.get(&resource.id).map(Vec::as_slice).unwrap_or_default();
        let Some(node) = nodes.first() else {
            return Err(Outcome::new(Code::Args, format!("'{name}' runs on no node, so it cannot die")));
        };
        events.extend(told.monitor_fails(resource, node, 7));
    }
    for name in &args.libvirtd_dead {
        let node = node(name)?;
        let here = |it: &&PlannedResource| now.before.get(&it.id).is_some_and(|nodes| nodes.contains(&node));
        for resource in cib.resources.iter().filter(|it| it.is_machine).filter(here) {
            if resource.is_ours() {
                told.is_blind(resource, &node);
            } else {
                events.extend(told.monitor_fails(resource, &node, 1));
            }
        }
    }
    Ok(events)
}

fn unknown(what: &str, name: &str, known: &[String]) -> Outcome {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Outcome::new(
        Code::Args,
        format!("'{}' is no {what} of this cluster; expected one of {known}", ascii_line(name, 80)),
    )
}

/// The stops that fail too where a monitor of another agent's has failed for want of libvirtd.
fn stops_that_fail(events: &[Event], cib: &PlannedCib) -> Vec<Event> {
    let stop = |event: &Event| match event {
        Event::Fails { resource, node, code: 1, .. } if !cib.resource(resource)?.is_ours() => {
            let (resource, node) = (resource.clone(), node.clone());
            Some(Event::Fails { resource, operation: "stop", interval: 0, node, code: 1 })
        }
        Event::Fails { .. } | Event::NodeLost(_) | Event::Move { .. } => None,
    };
    events.iter().filter_map(stop).collect()
}
