// SPDX-License-Identifier: GPL-2.0-or-later
//! What an action saw and decided, look by look: kept while it lasts, and made a text for a record at its end.
//!
//! A look is kept as it was given to the policy, which costs a copy in memory, and not even that at the last one, or where
//! a monitor finds all well; nothing is written here. The text has no definition and no password, and is never longer than a
//! record may be.

use super::patch::changes;
use crate::model::call::Invocation;
use crate::model::facts::Facts;
use crate::model::outcome::Outcome;
use crate::model::params::find;
use crate::model::presence::Presence;
use crate::policy::{History, Next};
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_str, to_string};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// The form of the text.
pub(super) const VERSION: u32 = 1;
/// The most looks that are kept, beside the last.
const LOOKS: usize = 64;
/// The longest text: it goes to the journal in one datagram, which a kernel takes up to some 200 KiB.
const TEXT: usize = 48 * 1024;
/// The most that is recorded of one parameter.
const VALUE: usize = 2048;
/// The longest time that is recorded, and replayed: sums of such times are times still.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// What stands for an administrator's own program: its words may hold a password, and no policy looks into them.
const PROGRAM: &str = "/not/recorded";
/// Of what a caller tells beside parameters, this decides something.
const TOLD: [&str; 8] = [
    "OCF_CHECK_LEVEL",
    "OCF_RESOURCE_INSTANCE",
    "OCF_RESOURCE_TYPE",
    "OCF_RESKEY_CRM_meta_interval",
    "OCF_RESKEY_CRM_meta_migrate_source",
    "OCF_RESKEY_CRM_meta_on_node",
    "OCF_RESKEY_CRM_meta_timeout",
    "OCF_RESKEY_RGMANAGER_meta_timeout",
];

/// What an action has seen and decided so far.
pub(crate) struct Recording {
    began: Instant,
    looks: Vec<Decided>,
    last: Option<Decided>,
    /// Looks that were not kept, before the last.
    left_out: usize,
}

/// What the policy was given at a look, and what it asked for; of the last one the action's answer tells.
struct Decided {
    facts: Facts,
    done: History,
    next: Option<Next>,
}

/// A record, as it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// The form of this.
    pub version: u32,
    /// The agent's version.
    pub agent: String,
    /// What was asked for.
    pub call: RecordedCall,
    /// What was seen and decided.
    pub looks: Vec<RecordedLook>,
    /// Looks that are not here.
    pub left_out: usize,
}

/// What a look has that the one before had not.
#[derive(Serialize, Deserialize)]
pub(super) struct RecordedLook {
    /// The facts.
    pub seen: Value,
    /// What was done so far.
    pub done: Value,
    /// What was decided.
    pub next: String,
}

/// The call, as much of it as decides anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedCall {
    /// Who called.
    pub caller: String,
    /// For what.
    pub action: String,
    /// Within which time.
    pub timeout: Duration,
    /// Where to.
    pub target: Option<String>,
    /// The parameters, and what else the caller tells.
    pub environment: BTreeMap<String, String>,
    /// Parameters that were refused, or are long, and are not recorded as they were given.
    pub otherwise: Vec<String>,
}

impl Recording {
    /// Of an action that begins.
    #[must_use]
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), looks: Vec::new(), last: None, left_out: 0 }
    }

    /// A look after which something is asked, done or waited for; but for what each monitor comes to that finds all well.
    pub(crate) fn note(&mut self, facts: &Facts, done: &History, next: &Next) {
        if next.is_of_a_good_end() {
            return;
        }
        if self.looks.len() >= LOOKS {
            self.left_out += 1;
            return;
        }
        self.looks.push(Decided { facts: facts.clone(), done: done.clone(), next: Some(next.clone()) });
    }

    /// The last look.
    pub(super) fn end(&mut self, facts: Facts, done: History) {
        self.last = Some(Decided { facts, done, next: None });
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Decided> {
        self.looks.iter().chain(&self.last)
    }

    /// How long it has taken.
    #[must_use]
    pub(crate) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether it has carried out a step.
    #[must_use]
    pub(crate) fn has_acted(&self) -> bool {
        self.all().any(|look| matches!(look.next, Some(Next::Do(_))))
    }

    /// Whether the last look showed a machine by the evidence of its process alone.
    #[must_use]
    pub(crate) fn ends_blind(&self) -> bool {
        self.last.as_ref().is_some_and(|look| matches!(look.facts.here.presence(), Presence::Blind { .. }))
    }

    /// The machine's name, as it was last told.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&str> {
        self.all().rev().find_map(|look| look.done.name.as_deref().or(look.facts.here.name.as_deref()))
    }

    /// The machine's UUID, as it was last told.
    #[must_use]
    pub(crate) fn uuid(&self) -> Option<[u8; 16]> {
        self.all().rev().find_map(|look| look.facts.here.libvirt.uuid().or(look.facts.definition.uuid()))
    }

    /// All of it as one line of JSON. Looks for which there is no room are left out, but hardly the last.
    #[must_use]
    pub(crate) fn text(&self, inv: &Invocation, outcome: &Outcome) -> String {
        let call = RecordedCall::of(inv);
        let mut room = TEXT.saturating_sub(json(&call).len());
        let whole = self.last.as_ref().and_then(|look| look.told(outcome, &mut Before::default()));
        let kept_for_the_last = whole.map_or(0, |look| json(&look).len());
        let (mut looks, mut left_out, mut before) = (Vec::new(), self.left_out, Before::default());
        for look in self.all() {
            let room_here = if look.next.is_none() { room } else { room.saturating_sub(kept_for_the_last) };
            let mut then = before.clone();
            let told = look.told(outcome, &mut then).map(|told| (json(&told).len(), told));
            match told.filter(|(length, _)| *length < room_here) {
                Some((length, told)) => {
                    (room, before) = (room - length, then);
                    looks.push(told);
                }
                None => left_out += 1,
            }
        }
        let agent = env!("CARGO_PKG_VERSION").to_owned();
        without_passwords(&json(&Record { version: VERSION, agent, call, looks, left_out }))
    }
}

/// What the looks told that are written already.
#[derive(Clone, Default)]
struct Before {
    seen: Value,
    done: Value,
}

impl Decided {
    /// What is new at this look; nothing, where it has no text: a path that is not UTF-8.
    fn told(&self, outcome: &Outcome, before: &mut Before) -> Option<RecordedLook> {
        let (seen, done) = (value(&self.facts)?, value(&self.done)?);
        let next = match &self.next {
            Some(next) => next.to_string(),
            None => Next::Answer(outcome.clone(), Vec::new()).to_string(),
        };
        let told = RecordedLook { seen: changes(&before.seen, &seen), done: changes(&before.done, &done), next };
        *before = Before { seen, done };
        Some(told)
    }
}

fn json(of: &impl Serialize) -> String {
    to_string(of).unwrap_or_default()
}

/// The same as a value, by way of its text: the agent has what writes texts for its worker anyway, and is started too often
/// to be larger than it must.
fn value(of: &impl Serialize) -> Option<Value> {
    from_str(&to_string(of).ok()?).ok()
}

impl RecordedCall {
    fn of(inv: &Invocation) -> Self {
        let environment: BTreeMap<String, String> =
            inv.ocf.iter().filter_map(|(name, value)| recorded(inv, name, value)).collect();
        let otherwise = inv.ocf.iter().filter_map(|(name, value)| {
            let (name, value) = (name.to_str()?, value.to_str());
            let kept = environment.get(name)?;
            let param = name.strip_prefix("OCF_RESKEY_").unwrap_or(name);
            let decides = kept != PROGRAM || inv.params.problems.iter().any(|problem| problem.param == param);
            (decides && value != Some(kept)).then(|| param.to_owned())
        });
        Self {
            otherwise: otherwise.collect(),
            caller: inv.caller.word().to_owned(),
            action: inv.action.word().to_owned(),
            timeout: inv.timeout,
            target: inv.target.as_ref().map(|target| cut(&target.to_string_lossy())),
            environment,
        }
    }
}

/// What is recorded of a variable.
fn recorded(inv: &Invocation, name: &OsString, value: &OsString) -> Option<(String, String)> {
    let (name, value) = (name.to_str()?, value.to_string_lossy());
    let row = name.strip_prefix("OCF_RESKEY_").and_then(|param| find(param.as_bytes()));
    if value.is_empty() || !(row.is_some() || TOLD.contains(&name)) {
        return None;
    }
    let value = match row.map(|row| row.name) {
        Some("status_program" | "monitor_scripts" | "definition_command") => PROGRAM.to_owned(),
        // By hand, --force leaves them out of account.
        Some("guard_nodes") if inv.params.guard_nodes.is_empty() => return None,
        Some(_) | None => cut(&value),
    };
    Some((name.to_owned(), value))
}

fn cut(value: &str) -> String {
    value.chars().take(VALUE).collect()
}

/// A text without the passwords that stand in its URIs, as in `qemu+tcp://user:password@host/system`.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        told.push_str("://");
        let end = part.find(|c: char| matches!(c, '/' | '"' | '\'' | '\\' | '?' | '#') || c.is_whitespace());
        let (authority, rest) = part.split_at(end.unwrap_or(part.len()));
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => told.push_str(&format!("{user}:-@{host}{rest}")),
            None => told.push_str(part),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uris_password_is_left_out_and_nothing_else() {
        for (text, told) in [
            ("x qemu+tcp://a:b@c@host:1/system y", "x qemu+tcp://a:-@host:1/system y"),
            ("\"qemu+ssh://root@host/system\"", "\"qemu+ssh://root@host/system\""),
            ("qemu:///system a:b@c", "qemu:///system a:b@c"),
            ("tcp://[fd00::1]:1", "tcp://[fd00::1]:1"),
            ("tcp://u:p@h", "tcp://u:-@h"),
            ("no uri", "no uri"),
        ] {
            assert_eq!(without_passwords(text), told);
        }
    }
}
