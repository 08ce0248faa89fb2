// SPDX-License-Identifier: GPL-2.0-or-later
//! A resource that is to be created, and the commands of pcs and crmsh that create it.

use super::Shell;
use super::domains::Places;
use super::words::{Ids, ShellText, plain_for_crm};

const AGENT: &str = "ocf:vm-agent:vm";

/// A resource of this agent that there is not yet.
pub(super) struct NewResource {
    pub id: String,
    /// What it was: `vm:web`.
    pub title: String,
    pub params: Vec<(&'static str, String)>,
    pub operations: Vec<NewOperation>,
    pub meta: Vec<(&'static str, String)>,
    pub places: Places,
    /// What was chosen, and what has no counterpart.
    pub told: Vec<String>,
}

pub(super) struct NewOperation {
    pub action: &'static str,
    pub options: Vec<(&'static str, String)>,
}

/// What holds between two new resources, by their ids.
pub(super) enum Between {
    /// The first is never placed where the second is.
    Apart(String, String),
    /// The first is started before the second; whether that is also stopped before it.
    Order { first: String, then: String, both_ways: bool },
}

impl NewResource {
    pub(super) fn write(&self, to: Shell, ids: &mut Ids, script: &mut ShellText) {
        script.told(&format!("{} -> {}", self.title, self.id));
        for told in self.told.iter().chain(&self.places.told) {
            script.point(told);
        }
        match to {
            Shell::Pcs => self.by_pcs(script),
            Shell::Crm => self.by_crm(ids, script),
        }
    }

    fn by_pcs(&self, script: &mut ShellText) {
        let mut words: Vec<String> = ["pcs", "resource", "create", &self.id, AGENT].map(str::to_owned).into();
        words.extend(self.params.iter().map(equals));
        for operation in &self.operations {
            words.extend(["op".to_owned(), operation.action.to_owned()]);
            words.extend(operation.options.iter().map(equals));
        }
        words.push("meta".into());
        words.extend(self.meta.iter().map(equals));
        script.run(&words);
        let location = ["pcs", "constraint", "location", &self.id];
        let nodes = &self.places.preferred;
        if !nodes.is_empty() {
            let scores = nodes.iter().map(|(node, score)| format!("{node}={score}"));
            let words = location.into_iter().chain(["prefers"]).map(str::to_owned).chain(scores);
            script.run(&words.collect::<Vec<_>>());
        }
        if self.places.only && !nodes.is_empty() {
            let rule = ["rule", "score=-INFINITY"].map(str::to_owned);
            let words = location.into_iter().map(str::to_owned).chain(rule).chain(self.none_of_them());
            script.run(&words.collect::<Vec<_>>());
        }
    }

    fn by_crm(&self, ids: &mut Ids, script: &mut ShellText) {
        let id = &self.id;
        let (plain, other): (Vec<_>, Vec<_>) = self.params.iter().partition(|(_, value)| plain_for_crm(value));
        let pairs = |pairs: &[(&'static str, String)]| pairs.iter().map(equals).collect::<Vec<_>>().join(" ");
        let mut primitive = format!("primitive {id} {AGENT}");
        if !plain.is_empty() {
            let plain: Vec<String> = plain.into_iter().map(equals).collect();
            primitive.push_str(&format!(" params {}", plain.join(" ")));
        }
        for operation in &self.operations {
            let recurs = operation.options.iter().any(|(name, _)| *name == "interval");
            let interval = if recurs { "" } else { " interval=0" };
            primitive.push_str(&format!(" op {}{interval} {}", operation.action, pairs(&operation.options)));
        }
        primitive.push_str(&format!(" meta {}", pairs(&self.meta)));
        let mut lines = vec![primitive];
        for (node, score) in &self.places.preferred {
            lines.push(format!("location {} {id} {score}: {node}", ids.fresh(&format!("{id}-on-{node}"))));
        }
        if self.places.only && !self.places.preferred.is_empty() {
            let name = ids.fresh(&format!("{id}-only"));
            lines.push(format!("location {name} {id} rule -inf: {}", self.none_of_them().join(" ")));
        }
        script.crm(&lines);
        for (name, value) in other {
            let value = format!("--parameter-value={value}");
            script.run(&["crm_resource", "--resource", id, "--set-parameter", name, &value]);
        }
    }

    /// The words of a rule for all nodes but those that are preferred.
    fn none_of_them(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (node, _) in &self.places.preferred {
            if !words.is_empty() {
                words.push("and".to_owned());
            }
            words.extend(["#uname", "ne", node].map(str::to_owned));
        }
        words
    }
}

fn equals((name, value): &(&'static str, String)) -> String {
    format!("{name}={value}")
}

/// The constraints between resources.
pub(super) fn write_between(all: &[Between], to: Shell, ids: &mut Ids, script: &mut ShellText) {
    match to {
        Shell::Pcs => all.iter().for_each(|one| match one {
            Between::Apart(which, from) => {
                script.run(&["pcs", "constraint", "colocation", "add", which, "with", from, "score=-INFINITY"]);
            }
            Between::Order { first, then, both_ways } => {
                let symmetrical = format!("symmetrical={both_ways}");
                script.run(&["pcs", "constraint", "order", "start", first, "then", "start", then, &symmetrical]);
            }
        }),
        Shell::Crm => {
            let lines = all.iter().map(|one| match one {
                Between::Apart(which, from) => {
                    format!("colocation {} -inf: {which} {from}", ids.fresh(&format!("{which}-not-with-{from}")))
                }
                Between::Order { first, then, both_ways } => {
                    let id = ids.fresh(&format!("{first}-then-{then}"));
                    format!("order {id} Mandatory: {first}:start {then}:start symmetrical={both_ways}")
                }
            });
            script.crm(&lines.collect::<Vec<_>>());
        }
    }
}
