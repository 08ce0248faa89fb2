// SPDX-License-Identifier: GPL-2.0-or-later
//! A plan in sentences: what is fenced, stops, starts and moves, how long that may take at most, and where a failed migration
//! would stop a machine. Pure.

use crate::cluster::plan::{Act, Event, PlannedCib, PlannedResource, Simulated};
use std::fmt::Write;

/// The plan as far as it is told.
pub(super) struct PlanTold<'a> {
    cib: &'a PlannedCib,
    /// What Pacemaker would do anyway.
    due: &'a Simulated,
    /// Where the CIB is from.
    from: String,
    /// What is supposed, in words.
    pub supposed: Vec<String>,
    /// What is known without a simulation.
    known: Vec<String>,
}

impl<'a> PlanTold<'a> {
    pub(super) const fn of(cib: &'a PlannedCib, due: &'a Simulated, from: String) -> Self {
        Self { cib, due, from, supposed: Vec::new(), known: Vec::new() }
    }

    /// The event that a monitor finds something on a node; without a monitor nobody would.
    pub(super) fn monitor_fails(&mut self, resource: &PlannedResource, node: &str, code: u8) -> Option<Event> {
        let Some(interval) = resource.monitor() else {
            self.known.push(format!(
                "{}: nothing is done, since it has no recurring monitor that would find it",
                resource.id
            ));
            return None;
        };
        let (resource, node) = (resource.id.clone(), node.to_owned());
        Some(Event::Fails { resource, operation: "monitor", interval, node, code })
    }

    /// libvirtd is dead below a machine of ours.
    pub(super) fn is_blind(&mut self, resource: &PlannedResource, node: &str) {
        let code = if resource.degraded_when_blind { "190, which is a warning" } else { "0" };
        self.known.push(format!(
            "{}: its monitor goes on answering {code}, by the process on {node}; only a start or a move there waits for libvirtd, \
             and fails",
            resource.id
        ));
    }

    /// The whole plan; `sight` is what follows from the events, where there are any.
    pub(super) fn text(&self, sight: Option<&Simulated>) -> String {
        let what = if self.supposed.is_empty() {
            "As it stands".to_owned()
        } else {
            format!("If {}", self.supposed.join(", and "))
        };
        let mut text = format!("{what}, by crm_simulate on {}; nothing was changed:\n", self.from);
        for known in &self.known {
            let _ = writeln!(text, "  {known}");
        }
        match sight {
            Some(sight) => text.push_str(&self.acts(sight)),
            None if self.known.is_empty() => text.push_str(&self.acts(self.due)),
            None => {}
        }
        text.push_str(&self.limits(sight.unwrap_or(self.due)));
        text
    }

    /// What is done, a sentence a line; machines first.
    pub(super) fn acts(&self, sight: &Simulated) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (node, reason) in &sight.fenced {
            lines.push(format!("{node} is fenced{}", because(reason.as_deref())));
        }
        let fenced = |node: &str| sight.fenced.iter().any(|(fenced, _)| fenced == node);
        for node in sight.unclean.iter().filter(|node| !fenced(node)) {
            lines.push(format!(
                "{node} is not fenced, and what it runs is not known: nothing of that is started elsewhere"
            ));
        }
        let (machines, others): (Vec<&Act>, Vec<&Act>) = sight.acts.iter().partition(|act| self.is_machine(act));
        for act in machines.into_iter().chain(others) {
            let anyway = !std::ptr::eq(sight, self.due) && self.due.acts.contains(act);
            lines.push(format!("{}{}", self.sentence(act, &fenced), if anyway { " (also without that)" } else { "" }));
        }
        let runs = |of: &Simulated, id: &str, on: bool| {
            let nodes = if on { of.before.get(id) } else { of.after.get(id) };
            nodes.is_some_and(|nodes| !nodes.is_empty())
        };
        for PlannedResource { id, .. } in self.cib.resources.iter().filter(|it| it.is_machine && !it.is_left) {
            let (what, closed) = match (runs(sight, id, true), runs(sight, id, false)) {
                (_, true) => continue,
                (true, false) => ("does NOT run at the end", "which nodes failures have closed to it"),
                (false, false) => ("does not run, and is not started", "whether failures keep it from nodes"),
            };
            lines.push(format!("{id} {what}: 'crm_mon -1 --failcounts' shows {closed}"));
        }
        if lines.is_empty() {
            lines.push("nothing is done".into());
        }
        lines.iter().map(|line| format!("  {line}\n")).collect()
    }

    fn is_machine(&self, act: &Act) -> bool {
        let id = act.resource.split(':').next().unwrap_or(&act.resource);
        self.cib.resources.iter().any(|it| it.is_machine && it.id == id)
    }

    fn sentence(&self, act: &Act, fenced: &dyn Fn(&str) -> bool) -> String {
        let id = &act.resource;
        let (from, to) = (act.from.as_deref().unwrap_or("?"), act.to.as_deref().unwrap_or("?"));
        let here_or_there = if from == to { format!("on {from}") } else { format!("on {from}, and starts on {to}") };
        let gone = fenced(from);
        let what = match act.action.as_str() {
            "start" => format!("{id} starts on {to}"),
            "stop" if gone => format!("{id} ends with {from}"),
            "stop" => format!("{id} stops on {from}"),
            "migrate" => format!("{id} moves from {from} to {to} while it runs"),
            "move" | "recover" if gone => format!("{id} ends with {from}, and starts on {to}"),
            "move" => format!("{id} stops {here_or_there}{}", self.not_live(id)),
            "recover" if from == to => format!("{id} has failed on {from}: it is stopped and started there"),
            "recover" => format!("{id} has failed: it stops {here_or_there}"),
            "restart" => format!("{id} is stopped and started on {from}"),
            other => format!("{id}: {other} {here_or_there}"),
        };
        let reason = because(act.reason.as_deref());
        if act.blocked { format!("{what}: this is due, and held back{reason}") } else { format!("{what}{reason}") }
    }

    /// Why a machine does not move while it runs, behind the sentence.
    fn not_live(&self, id: &str) -> &'static str {
        match self.cib.resource(id) {
            Some(it) if it.is_machine && !it.may_migrate => ": not live, since allow-migrate is not set",
            Some(it) if it.is_machine => ": not live",
            Some(_) | None => "",
        }
    }

    /// How long it may take, and what a failed migration would do.
    fn limits(&self, sight: &Simulated) -> String {
        let mut text = String::new();
        let timed = sight.operations.iter().map(|(resource, operation, node)| {
            (self.cib.timeout(resource, operation), format!("{operation} of {resource} on {node}"))
        });
        let fencing = sight.fenced.iter().map(|(node, _)| (self.cib.stonith_timeout, format!("fencing of {node}")));
        let longest = timed.chain(fencing).max_by(|(a, this), (b, that)| a.cmp(b).then_with(|| that.cmp(this)));
        if let Some((ms, what)) = longest {
            let _ = writeln!(text, "The longest timeout is that of the {what}: {} s.", ms.div_ceil(1000));
        }
        for (resource, _, node) in sight.operations.iter().filter(|(_, operation, _)| operation == "migrate_to") {
            let Some(machine) = self.cib.resource(resource).filter(|it| it.is_machine) else { continue };
            let _ = match machine.on_fail("migrate_to") {
                Some("block") => writeln!(
                    text,
                    "If {resource}'s migration fails, it runs on on {node}, blocked until 'crm_resource --refresh -r {resource}'."
                ),
                Some(word @ ("ignore" | "stop" | "standby" | "fence")) => {
                    writeln!(text, "If {resource}'s migration fails, Pacemaker does what its on-fail={word} says.")
                }
                Some(_) | None => writeln!(
                    text,
                    "If {resource}'s migration fails, Pacemaker STOPS it and starts it anew: op migrate_to has no on-fail=block."
                ),
            };
        }
        if !self.supposed.is_empty() && !sight.fenced.is_empty() {
            text.push_str("Each step is taken to work, and the quorum to stay as it is.\n");
        }
        text
    }
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}
