// SPDX-License-Identifier: GPL-2.0-or-later
//! metrics by hand, or by a timer: what is known of this host's machines, in the text that Prometheus's node_exporter takes
//! from its folder (OpenMetrics 1.0, of which it reads gauges and counters). Acts on no machine. What is not known is told
//! as unknown, and nothing is left out for that: a missing line would look like a machine that is gone.

use crate::host::aside;
use crate::host::look::Looker;
use crate::host::peers;
use crate::host::tally::{self, Away, Tally};
use crate::hypervisor::xen;
use crate::model::action::{Action, Class};
use crate::model::budget::{self, Share};
use crate::model::call::{Environment, Invocation};
use crate::model::definition::Mark;
use crate::model::facts::Tools;
use crate::model::outcome::{Code, Outcome};
use crate::model::state::State;
use crate::model::tools::XL_HERE;
use crate::sys::rewrite::Rewritten;
use crate::sys::roots::Roots;
use crate::sys::text::say;
use crate::sys::time::{Deadline, from_utc, now};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::stdout;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The states that a machine is told to be in, each with its sample: one is 1, the others are 0.
const STATES: [&str; 9] =
    ["running", "paused", "in_shutdown", "shut_off", "crashed", "suspended", "other", "absent", "unknown"];

/// The state's word.
const fn word(state: State) -> &'static str {
    match state {
        State::Running(_) | State::Blocked => "running",
        State::Paused(_) => "paused",
        State::InShutdown => "in_shutdown",
        State::ShutOff(_) => "shut_off",
        State::Crashed(_) => "crashed",
        State::PmSuspended => "suspended",
        State::NoState | State::Other(_) => "other",
    }
}

/// Prints it, or writes it to a file. A hypervisor that does not tell is told of in the text, and is no failure.
pub(super) fn run(inv: &Invocation, env: &Environment, output: Option<&Path>) -> Outcome {
    if let Some(problem) = inv.params.problems.first() {
        return Outcome::new(Code::Args, problem.to_string());
    }
    let until = inv.budget().deadline();
    let text = look(inv, env).text();
    match output {
        Some(file) => write(file, &text, until),
        None => {
            say(&mut stdout(), text.trim_end());
            Outcome::new(Code::Ok, String::new())
        }
    }
}

/// A machine that a hypervisor has on its list.
#[derive(Clone, Debug)]
struct Sighted {
    name: String,
    state: State,
    mark: Option<Mark>,
}

/// What was told on this host.
struct Measured {
    /// Each hypervisor that was asked, by its URI, and its list; nothing, where it does not tell. The first is this host's.
    told: Vec<(String, Option<Vec<Sighted>>)>,
    /// What is on record, by machine.
    counted: Vec<(String, Tally)>,
    /// Now, in seconds since the epoch.
    now: u64,
}

/// Asks the hypervisors of this host: the one that is meant, and those of machines on record.
fn look(inv: &Invocation, env: &Environment) -> Measured {
    let looker = Looker::new(inv, env, Roots::default());
    let until = inv.budget().until(Share::Members, inv.budget().deadline());
    let counted = tally::all(&looker.roots.run);
    let mut uris = vec![looker.uri.clone()];
    if xen::is_dom0(&looker.roots) == Some(true) {
        uris.push(XL_HERE.into());
    }
    for uri in counted.iter().filter_map(|(_, tally)| tally.uri.as_ref()) {
        if !uris.contains(uri) {
            uris.push(uri.clone());
        }
    }
    let mut told = Vec::new();
    for (at, uri) in uris.iter().enumerate() {
        let share = until.at_most(budget::each(until.left(), uris.len() - at));
        let list = list(inv, &looker.roots, uri, share);
        told.push((uri.clone(), list.inspect_err(|why| log::warn!("{uri} does not tell: {why}")).ok()));
    }
    Measured { told, counted, now: now() }
}

/// What a hypervisor of this host has.
fn list(inv: &Invocation, roots: &Roots, uri: &str, until: Deadline) -> Result<Vec<Sighted>, String> {
    let sighted = |state, reason, name, mark| Sighted { name, state: State::from_numbers(state, reason), mark };
    if Tools::of(uri) == Tools::Xl {
        let listed = xen::list(roots, until).map_err(|silence| silence.why)?;
        let named = listed.iter().filter_map(|one| Some(one.facts(one.name.as_deref()?, xen::Role::Itself)));
        return Ok(named.map(|facts| sighted(facts.state, facts.reason, facts.name, None)).collect());
    }
    let mut said = peers::domains(inv, uri, &[None], until);
    let domains = said.pop().unwrap_or_else(|| Err("it could not be asked".into()))?;
    Ok(domains.into_iter().map(|one| sighted(one.facts.state, one.facts.reason, one.facts.name, one.mark)).collect())
}

/// Puts the text into a file, whole or not at all.
fn write(file: &Path, text: &str, until: Deadline) -> Outcome {
    match aside::put(file, text, until) {
        Rewritten::Over => Outcome::new(Code::Ok, String::new()),
        Rewritten::Beside(why) | Rewritten::Failed(why) => {
            Outcome::new(Code::Generic, format!("{} was not written: {why}", file.display()))
        }
    }
}

/// The text as far as it is written.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// Begins a family of samples. A unit is the end of its name.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push_str(&format!("# HELP vm_agent_{name} {help}\n# TYPE vm_agent_{name} {kind}\n"));
        if name.ends_with("_seconds") {
            self.0.push_str(&format!("# UNIT vm_agent_{name} seconds\n"));
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.push_str(&format!("vm_agent_{name}{labels} {value}\n"));
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Measured {
    /// Every machine with its state's word, and its mark where it has one.
    fn machines(&self) -> BTreeMap<&str, (&'static str, Option<&Mark>)> {
        let mut machines: BTreeMap<&str, (State, Option<&Mark>)> = BTreeMap::new();
        for seen in self.told.iter().flat_map(|(_, list)| list.iter().flatten()) {
            // Two hypervisors may have one name; what is in memory counts.
            let known = machines.entry(&seen.name).or_insert((seen.state, seen.mark.as_ref()));
            if seen.state.active() && !known.0.active() {
                *known = (seen.state, seen.mark.as_ref());
            }
        }
        let mut machines: BTreeMap<&str, (&'static str, Option<&Mark>)> =
            machines.into_iter().map(|(name, (state, mark))| (name, (word(state), mark))).collect();
        for (name, tally) in &self.counted {
            let asked = self.told.iter().find(|(uri, _)| tally.uri.as_ref().is_none_or(|known| known == uri));
            let told = asked.is_some_and(|(_, list)| list.is_some());
            machines.entry(name).or_insert((if told { "absent" } else { "unknown" }, None));
        }
        machines
    }

    /// The whole text.
    fn text(&self) -> String {
        let mut text = Exposition::default();
        let of = &mut text;
        of.family("hypervisor_answers", "gauge", "Whether the hypervisor told its machines: 1, or 0.");
        let uris: BTreeSet<(&str, bool)> = self.told.iter().map(|(uri, list)| (uri.as_str(), list.is_some())).collect();
        for (uri, answers) in uris {
            of.sample("hypervisor_answers", &[("uri", uri)], u8::from(answers));
        }
        let machines = self.machines();
        of.family(
            "machine_state",
            "gauge",
            "The state of a machine on this host by its hypervisor's word: 1 for the one that it is in, 0 for the others. \
             absent: the hypervisor knows no such machine; unknown: it does not answer.",
        );
        for (name, (state, _)) in &machines {
            for known in STATES {
                of.sample("machine_state", &[("machine", name), ("state", known)], u8::from(known == *state));
            }
        }
        of.family(
            "machine_started_timestamp_seconds",
            "gauge",
            "When a machine that is here was started by this agent, on whatever host, and for which resource.",
        );
        for (name, (_, mark)) in &machines {
            let started = mark.and_then(|mark| Some((mark, from_utc(&mark.started)?)));
            let since = started.and_then(|(mark, at)| Some((mark, at.duration_since(UNIX_EPOCH).ok()?)));
            if let Some((mark, at)) = since {
                let labels = [("machine", *name), ("resource", mark.instance.as_str())];
                of.sample("machine_started_timestamp_seconds", &labels, at.as_secs());
            }
        }
        self.actions(of);
        self.moves(of);
        of.family(
            "away_seconds",
            "counter",
            "How long this host's agent saw a machine stand still or be off, and brought it back itself, by cause.",
        );
        for (name, tally) in &self.counted {
            for (cause, long) in &tally.away {
                let labels = [("machine", name.as_str()), ("cause", Away::word(*cause))];
                of.sample("away_seconds_total", &labels, format!("{:.3}", long.as_secs_f64()));
            }
        }
        of.family("metrics_timestamp_seconds", "gauge", "When this was told.");
        of.sample("metrics_timestamp_seconds", &[], self.now);
        text.0.push_str("# EOF\n");
        text.0
    }

    fn actions(&self, of: &mut Exposition) {
        let each = || {
            let rows = self.counted.iter().map(|(name, tally)| (name.as_str(), tally));
            rows.flat_map(|(name, tally)| tally.actions.iter().map(move |ended| (name, ended)))
        };
        of.family("action_last_code", "gauge", "The exit code of a machine's last action of this kind on this host.");
        for (name, ended) in each() {
            of.sample("action_last_code", &[("machine", name), ("action", ended.action.word())], ended.code);
        }
        of.family("action_last_duration_seconds", "gauge", "How long that took.");
        for (name, ended) in each() {
            let took = format!("{:.3}", ended.took.as_secs_f64());
            of.sample("action_last_duration_seconds", &[("machine", name), ("action", ended.action.word())], took);
        }
        of.family("action_last_timestamp_seconds", "gauge", "When that ended.");
        for (name, ended) in each() {
            of.sample("action_last_timestamp_seconds", &[("machine", name), ("action", ended.action.word())], ended.at);
        }
        of.family("actions", "counter", "A machine's actions on this host since it was booted, by how they ended.");
        for (name, ended) in each() {
            for (result, count) in [("ok", ended.well), ("failed", ended.failed)] {
                let labels = [("machine", name), ("action", ended.action.word()), ("result", result)];
                of.sample("actions_total", &labels, count);
            }
        }
    }

    fn moves(&self, of: &mut Exposition) {
        of.family("moves", "counter", "A machine's moves away from this host, and to it, since it was booted.");
        for (name, tally) in &self.counted {
            for (direction, class) in [("out", Class::Move), ("in", Class::Receive)] {
                let of_class = |action: Action| action.class() == class;
                let rows = || tally.actions.iter().filter(|ended| of_class(ended.action));
                let counts = [
                    ("ok", rows().fold(0_u64, |sum, ended| sum.saturating_add(ended.well))),
                    ("failed", rows().fold(0_u64, |sum, ended| sum.saturating_add(ended.failed))),
                ];
                for (result, count) in counts.into_iter().filter(|_| rows().next().is_some()) {
                    let labels = [("machine", name.as_str()), ("direction", direction), ("result", result)];
                    of.sample("moves_total", &labels, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
