// SPDX-License-Identifier: GPL-2.0-or-later
//! rgmanager's failover domains, and the scores by which Pacemaker does the same.
//!
//! A member is worth more than any node that is none, so that a machine comes back to the domain from outside, also with
//! `nofailback`: rgmanager does so. Within the domain a better priority is worth one step more; a machine goes there by
//! itself where its stickiness is less than that.

use super::times::leading_number;
use crate::model::definition::Element;
use crate::sys::text::shown;

/// The stickiness of README's example: a machine does not move between nodes that are worth the same.
pub(super) const STICKINESS: u32 = 100;
/// What a better priority is worth.
const STEP: u32 = 200;
/// What a member is worth at least, more than any difference between members.
const MEMBER: u32 = 10_000;

/// A `<failoverdomain>`.
pub(super) struct FailoverDomain<'t> {
    pub name: &'t str,
    pub ordered: bool,
    pub restricted: bool,
    pub nofailback: bool,
    /// Nodes and their priorities, which are 0 where none counts.
    pub members: Vec<(&'t str, i64)>,
    told: Vec<String>,
}

/// Where a machine may run, in Pacemaker's terms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Nodes with their scores.
    pub preferred: Vec<(String, u32)>,
    /// Whether it may run on these alone.
    pub only: bool,
    pub stickiness: u32,
    pub told: Vec<String>,
}

impl<'t> FailoverDomain<'t> {
    pub(super) fn all(rm: &'t Element<'_>) -> Vec<Self> {
        let domains = rm.first("failoverdomains").into_iter().flat_map(|it| it.all("failoverdomain"));
        let mut all: Vec<Self> = Vec::new();
        for domain in domains.filter_map(Self::of) {
            match all.iter_mut().find(|known| known.name.eq_ignore_ascii_case(domain.name)) {
                Some(first) => first.told.push("the domain is defined twice: the first counts".into()),
                None => all.push(domain),
            }
        }
        all
    }

    fn of(domain: &'t Element<'_>) -> Option<Self> {
        let name = domain.attribute("name")?;
        let mut told = Vec::new();
        let mut flag = |name: &str| {
            let text = domain.attribute(name).unwrap_or("0");
            if leading_number(text) == 0 && !text.trim_start_matches('0').is_empty() {
                told.push(format!("{name}=\"{}\" is no number but 0 to rgmanager: it is off", shown(text.as_ref())));
            }
            leading_number(text) != 0
        };
        let (ordered, restricted, nofailback) = (flag("ordered"), flag("restricted"), flag("nofailback"));
        let mut members: Vec<(&str, i64)> = Vec::new();
        for member in domain.all("failoverdomainnode") {
            let Some(node) = member.attribute("name") else { continue };
            if members.iter().any(|(known, _)| known.eq_ignore_ascii_case(node)) {
                told.push(format!("node {} is listed twice: the first counts", shown(node.as_ref())));
                continue;
            }
            let said = member.attribute("priority");
            let priority = said.map_or(0, leading_number);
            let priority = if ordered && (1..=100).contains(&priority) { priority } else { 0 };
            if ordered && priority == 0 {
                told.push(format!(
                    "node {} has no priority from 1 to 100: rgmanager fails back to it first, and so does this",
                    shown(node.as_ref())
                ));
            }
            members.push((node, priority));
        }
        Some(Self { name, ordered, restricted, nofailback, members, told })
    }

    pub(super) fn places(&self) -> Places {
        let mut ranks: Vec<i64> = self.members.iter().map(|(_, priority)| *priority).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let steps = u32::try_from(ranks.len()).unwrap_or(u32::MAX).min(101);
        let member = MEMBER.max(2 * STEP * steps);
        let mut told = self.told.clone();
        let (fit, unfit): (Vec<_>, Vec<_>) = self.members.iter().partition(|(node, _)| is_node_name(node));
        for (node, _) in unfit {
            told.push(format!("node '{}' cannot be a node's name here: left out of the domain", shown(node.as_ref())));
        }
        let preferred = fit.into_iter().map(|(node, priority)| {
            let worse = ranks.iter().filter(|rank| **rank > priority).count();
            (node.to_string(), member + STEP * u32::try_from(worse).unwrap_or_default().min(101))
        });
        let stickiness = if self.nofailback { STEP * steps.max(1) } else { STICKINESS };
        Places { preferred: preferred.collect(), only: self.restricted, stickiness, told }
    }

    /// What it is, in words.
    pub(super) fn in_words(&self) -> String {
        let words = [
            (self.ordered, "ordered"),
            (self.restricted, "restricted"),
            (self.nofailback, "nofailback"),
            (!self.ordered && !self.restricted && !self.nofailback, "neither ordered nor restricted"),
        ];
        words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a name can be one of a node, in a rule too.
fn is_node_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
