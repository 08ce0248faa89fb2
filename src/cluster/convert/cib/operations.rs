// SPDX-License-Identifier: GPL-2.0-or-later
//! The operations of a resource that becomes this agent's: what it has stays, but for times that are too short, and for what
//! follows a move that fails; what it lacks is added.

use super::super::times::pacemaker_ms;
use super::super::words::{Ids, escaped};
use super::Predecessor;
use crate::model::definition::Element;
use crate::sys::text::shown;

/// Of a stop's time, ocf:heartbeat:Xen keeps one of so many parts to destroy the machine.
const XEN_KEEPS: u64 = 3;

/// The seconds of a stop in which the guest has as long as before, if they are more than the stop has; and what the
/// predecessor keeps of it to destroy the machine. This agent keeps 20 s.
fn longer_stop(of: Predecessor, seconds: u64) -> Option<(u64, &'static str)> {
    match of {
        Predecessor::VirtualDomain => Some((seconds.saturating_add(15), "VirtualDomain 5 s")),
        Predecessor::Xen => {
            let needed = (seconds - seconds / XEN_KEEPS).saturating_add(20);
            (needed > seconds).then_some((needed, "ocf:heartbeat:Xen a third of it"))
        }
    }
}

/// What the operations are to be for.
pub(super) struct OperationsWish {
    pub of: Predecessor,
    /// Whether it is moved live.
    pub moves: bool,
    /// Whether what it lacks is added.
    pub adds: bool,
    /// What an operation without a timeout has, by `op_defaults`.
    pub default_ms: Option<u64>,
}

/// The operations that are changed and added, in XML; nothing where there are none.
pub(super) fn operations(
    wanted: &OperationsWish,
    element: &Element<'_>,
    ids: &mut Ids,
    told: &mut Vec<String>,
) -> String {
    let &OperationsWish { of, moves, adds, default_ms } = wanted;
    let owner = element.attribute("id").unwrap_or_default();
    let sets = || element.all("operations");
    if sets().any(|set| set.attribute("id-ref").is_some()) {
        told.push("its operations are another resource's, by reference: see to their times yourself".into());
        return String::new();
    }
    let all: Vec<&Element<'_>> = sets().flat_map(|set| set.all("op")).collect();
    let named =
        |name: &str| all.iter().copied().filter(move |it| it.attribute("name") == Some(name)).collect::<Vec<_>>();
    let mut xml = String::new();
    let mut add = |name: &str, interval: u64, timeout: u64, rest: &str, inside: &str| {
        let id = ids.fresh(&format!("{owner}-{name}-{interval}s"));
        let inside = inside.replace("ID", &id);
        format!("<op id=\"{id}\" name=\"{name}\" interval=\"{interval}s\" timeout=\"{timeout}s\"{rest}>{inside}</op>")
    };
    let mut needed = vec![("start", 90, ""), ("stop", 180, "")];
    if moves {
        needed.extend([("migrate_to", 600, " on-fail=\"block\""), ("migrate_from", 60, "")]);
    }
    for (name, seconds, rest) in needed {
        let there = named(name);
        let had = default_ms.map_or(0, |ms| ms.div_ceil(1000));
        let as_long = longer_stop(of, had).filter(|_| name == "stop").map_or(had, |(longer, _)| longer);
        let given = TimeGiven { least: seconds, unsaid: seconds.max(as_long) };
        let why = if given.unsaid > seconds { format!(", since op_defaults gave it {had} s") } else { String::new() };
        if there.is_empty() && adds {
            told.push(format!("chosen: op {name} timeout={}s{}{why}", given.unsaid, rest.replace('"', "")));
            xml.push_str(&add(name, 0, given.unsaid, rest, ""));
        }
        for op in there {
            xml.push_str(&longer(of, op, name, &given, &why, told));
        }
    }
    let monitors = named("monitor");
    if monitors.is_empty() && adds {
        told.push("it had no monitor: README has one that tells of its end sooner than the one that is added".into());
    }
    let deep = |op: &&Element<'_>| {
        let pairs = op.all("instance_attributes").flat_map(|set| set.all("nvpair"));
        let level =
            pairs.filter(|it| it.attribute("name") == Some("OCF_CHECK_LEVEL")).find_map(|it| it.attribute("value"));
        level.and_then(|it| it.trim().parse::<u64>().ok()).is_some_and(|level| level >= 10)
    };
    if adds && !monitors.iter().any(deep) {
        let taken: Vec<u64> = monitors.iter().filter_map(|op| pacemaker_ms(op.attribute("interval")?)).collect();
        let interval = (60_u64..).find(|seconds| !taken.contains(&(seconds * 1000))).unwrap_or(60);
        told.push(format!(
            "chosen: op monitor interval={interval}s timeout=60s OCF_CHECK_LEVEL=10, which runs the checks of the guest and \
             looks for a second copy on the other nodes"
        ));
        let level = "<instance_attributes id=\"ID-instance_attributes\"><nvpair id=\"ID-OCF_CHECK_LEVEL\" \
                     name=\"OCF_CHECK_LEVEL\" value=\"10\"/></instance_attributes>";
        xml.push_str(&add("monitor", interval, 60, "", level));
    }
    xml
}

/// The seconds of an operation: the least, and what it is given that says none.
struct TimeGiven {
    least: u64,
    unsaid: u64,
}

/// An operation that is changed, in XML; nothing where it stays.
fn longer(
    of: Predecessor,
    op: &Element<'_>,
    name: &str,
    given: &TimeGiven,
    why: &str,
    told: &mut Vec<String>,
) -> String {
    let Some(id) = op.attribute("id") else { return String::new() };
    let mut pairs = op.all("meta_attributes").flat_map(|set| set.all("nvpair"));
    if pairs.any(|it| matches!(it.attribute("name"), Some("timeout" | "on-fail"))) {
        told.push(format!("op {name} has its time in meta attributes: it stays as it is"));
        return String::new();
    }
    let mut changed = String::new();
    let said = op.attribute("timeout");
    match said.map(|text| (text, pacemaker_ms(text))) {
        None => {
            told.push(format!("chosen: op {name} timeout={}s, where it has none{why}", given.unsaid));
            changed.push_str(&format!(" timeout=\"{}s\"", given.unsaid));
        }
        Some((text, None)) => {
            told.push(format!("op {name} timeout={} cannot be read here: it stays", shown(text.as_ref())));
        }
        Some((_, Some(ms))) if name == "stop" => {
            let seconds = ms.div_ceil(1000);
            if let Some((longer, kept)) = longer_stop(of, seconds) {
                let more = longer - seconds;
                told.push(format!(
                    "chosen: op stop timeout={longer}s, {more} s more: vm-agent keeps 20 s of it to destroy the machine, {kept}"
                ));
                changed.push_str(&format!(" timeout=\"{longer}s\""));
            }
        }
        Some((_, Some(ms))) if name != "start" && ms < given.least.saturating_mul(1000) => {
            told.push(format!("chosen: op {name} timeout={}s in place of {} s", given.least, ms / 1000));
            changed.push_str(&format!(" timeout=\"{}s\"", given.least));
        }
        Some((_, Some(_))) => {}
    }
    if name == "migrate_to" {
        match op.attribute("on-fail") {
            None => {
                told.push("chosen: op migrate_to on-fail=block, or a move that fails stops the machine".into());
                changed.push_str(" on-fail=\"block\"");
            }
            Some("block") => {}
            Some(other) => told.push(format!(
                "op migrate_to has on-fail={}, which stays; with block a move that fails leaves the machine running",
                shown(other.as_ref())
            )),
        }
    }
    if changed.is_empty() { String::new() } else { format!("<op id=\"{}\"{changed}/>", escaped(id)) }
}
