// SPDX-License-Identifier: GPL-2.0-or-later
//! A recorded action, decided again: the policy is given what it was given then, look by look. Pure; nothing is acted upon.

use super::patch::apply;
use super::recording::{LONGEST, Record, RecordedCall, VERSION};
use crate::model::call::{Action, Caller, Environment, Invocation};
use crate::model::facts::Facts;
use crate::policy::{self, History};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// An action that was decided again.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The version of the agent that recorded it.
    pub agent: String,
    /// Who called, and for what.
    pub call: String,
    /// Its looks.
    pub looks: Vec<ReplayedLook>,
    /// Parameters that are not recorded as they were given.
    pub otherwise: Vec<String>,
    /// Looks that there was no room for in the record.
    pub left_out: usize,
}

/// What was decided at a look, then and now.
#[derive(Debug)]
pub(crate) struct ReplayedLook {
    /// When, since the action began.
    pub spent: Duration,
    /// What was known, in words.
    pub seen: String,
    /// What was decided then.
    pub recorded: String,
    /// What is decided now.
    pub today: String,
}

impl ReplayedLook {
    /// Whether it is the same.
    #[must_use]
    pub(crate) fn is_same(&self) -> bool {
        self.recorded == self.today
    }
}

/// A record, as it can be worked with.
pub(crate) struct Readable {
    /// The version of the agent that recorded it.
    pub(super) agent: String,
    /// What was asked for.
    pub(super) call: RecordedCall,
    /// The same, as the agent reads it.
    pub(super) inv: Invocation,
    /// What was seen and decided.
    pub(super) looks: Vec<SeenLook>,
    /// Looks that are not in the record.
    pub(super) left_out: usize,
}

/// A look, as it was given to the policy, and what was decided.
pub(super) struct SeenLook {
    pub facts: Facts,
    pub done: History,
    pub next: String,
}

impl Readable {
    /// Reads a record.
    ///
    /// # Errors
    /// It is none, or one that this version cannot read; a sentence.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(format!("it is a record of version {version}; expected version {VERSION}")),
            None => return Err("it is no record: it has no version".to_owned()),
        }
        if !times_are_sane(&value) {
            return Err("it has a time of more than a hundred years".into());
        }
        let Record { agent, call, looks, left_out, .. } = read(value, "the record")?;
        let inv = invocation(&call)?;
        let (mut seen, mut done) = (Value::Null, Value::Null);
        let looks = looks.into_iter().enumerate().map(|(place, look)| {
            apply(&mut seen, look.seen);
            apply(&mut done, look.done);
            let what = |which| format!("{which} of look {}", place + 1);
            let facts = read(seen.clone(), &what("the facts"))?;
            let done = read(done.clone(), &what("the history"))?;
            Ok(SeenLook { facts, done, next: look.next })
        });
        Ok(Self { agent, inv, looks: looks.collect::<Result<_, String>>()?, left_out, call })
    }
}

/// Decides again what a record tells of.
#[must_use]
pub(crate) fn replay(record: Readable) -> Replayed {
    let Readable { agent, call, inv, looks, left_out } = record;
    let decided = |SeenLook { facts, done, next }| {
        let today = policy::next(&inv, &facts, &done).to_string();
        let seen = format!("libvirt: {}; process: {}", facts.here.libvirt, facts.here.process_in_words());
        ReplayedLook { spent: done.spent, seen, recorded: next, today }
    };
    let looks = looks.into_iter().map(decided).collect();
    let RecordedCall { caller, action, timeout, otherwise, .. } = call;
    let call = format!("{action}, called by {caller}, within {:.0} s", timeout.as_secs_f64());
    Replayed { agent, call, looks, otherwise, left_out }
}

fn read<T: DeserializeOwned>(value: Value, what: &str) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("{what} cannot be read by this version: {error}"))
}

/// The call, as it was read then.
fn invocation(call: &RecordedCall) -> Result<Invocation, String> {
    let caller = Caller::parse(&call.caller).ok_or_else(|| format!("'{}' is no caller", call.caller))?;
    let action = Action::parse(call.action.as_bytes()).ok_or_else(|| format!("'{}' is no action", call.action))?;
    let pairs = call.environment.iter().map(|(name, value)| (name.into(), value.into()));
    let inv = Invocation::from_manager(caller, action, None, &Environment::from_pairs(pairs));
    let target = call.target.clone().map(Into::into);
    Ok(Invocation { target, timeout: call.timeout, ..inv })
}

/// Whether no time is so long that a sum with it would be none.
fn times_are_sane(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("secs").and_then(Value::as_u64).is_none_or(|seconds| seconds <= LONGEST.as_secs())
                && fields.values().all(times_are_sane)
        }
        Value::Array(all) => all.iter().all(times_are_sane),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
