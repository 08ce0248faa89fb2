// SPDX-License-Identifier: GPL-2.0-or-later
//! What Pacemaker would do: its own crm_simulate, which reads a copy of the CIB from its input. What is supposed to happen is
//! told to crm_simulate, or written into the copy; the cluster is only read.

mod cib;
mod simulated;

use super::pacemaker::whole_cib;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
pub(crate) use cib::{PlannedCib, PlannedResource};
pub(crate) use simulated::{Act, Simulated};
use std::path::Path;

/// What is supposed to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A node is lost: it does not answer, and runs on perhaps.
    NodeLost(String),
    /// A resource is to be on a node, as `crm_resource --move` says it.
    Move { resource: String, to: String },
    /// An operation fails on a node, with this code; the interval is in milliseconds.
    Fails { resource: String, operation: &'static str, interval: u64, node: String, code: u8 },
}

/// To play the cluster's answer, and tell of each part.
const SIMULATE: [&str; 2] = ["--simulate", "--output-as=xml"];

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// A program that it needs is not here.
    Missing(String),
    /// The CIB cannot be used.
    Unusable(String),
    /// crm_simulate does not say.
    Silent(String),
}

/// The CIB of the Pacemaker that runs here.
///
/// # Errors
/// There is none, or it does not say.
pub(crate) fn live(until: Deadline) -> Result<Vec<u8>, NoPlan> {
    if find_program("cibadmin").is_none() {
        return Err(NoPlan::Missing("cibadmin is not installed here; name a file by --cib".into()));
    }
    whole_cib(until).map_err(|why| NoPlan::Silent(format!("{why}; name a file by --cib")))
}

/// Has crm_simulate play what these events make of the cluster, each step with success.
///
/// # Errors
/// It is not installed, is too old, or does not come to an end in time.
pub(crate) fn simulate(cib: &str, events: &[Event], until: Deadline) -> Result<Simulated, NoPlan> {
    let program = find_program("crm_simulate").ok_or_else(|| {
        NoPlan::Missing("crm_simulate is not installed here; on Debian it is in pacemaker-cli-utils".into())
    })?;
    let mut input = cib.to_owned();
    let mut words: Vec<String> = Vec::new();
    for event in events {
        match event {
            Event::NodeLost(node) => words.push(format!("--node-fail={node}")),
            Event::Move { resource, to } => input = cib::moved(&input, resource, to).map_err(NoPlan::Unusable)?,
            Event::Fails { resource, operation, interval, node, code } => {
                words.push(format!("--op-inject={resource}_{operation}_{interval}@{node}={code}"));
            }
        }
    }
    let run = |first: &[&str], words: &[String], input: &str| {
        let first = ["--xml-pipe"].iter().chain(first).map(|word| (*word).to_owned());
        printed(&program, first.chain(words.iter().cloned()).collect(), input, until)
    };
    let whole = run(&SIMULATE, &words, &input)?;
    let sight = simulated::read(&whole);
    if sight.is_ok() || words.is_empty() {
        return sight.map_err(NoPlan::Silent);
    }
    // What follows an event is not in the XML of Pacemaker 3.0.0: so they happen first, and what follows is asked for then.
    let happened = run(&["--output-to=/dev/null", "--save-input=/dev/stdout"], &words, &input)?;
    let follows = simulated::read(&run(&SIMULATE, &[], &happened)?).map_err(NoPlan::Silent)?;
    simulated::begun(follows, &whole).map_err(NoPlan::Silent)
}

/// What crm_simulate prints.
fn printed(program: &Path, words: Vec<String>, input: &str, until: Deadline) -> Result<String, NoPlan> {
    let child = Child::new(program).args(words).stdin(input.as_bytes()).capture(super::LARGEST.0);
    let done = child.run(until).map_err(|error| NoPlan::Silent(error.to_string()))?;
    let said = || ascii_line(&String::from_utf8_lossy(&done.stderr), 200);
    match done.ended {
        Ended::Exited(0) => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        Ended::Exited(code) => Err(NoPlan::Silent(format!("crm_simulate ended with {code}: {}", said()))),
        Ended::TimedOut => Err(NoPlan::Silent("crm_simulate did not come to an end in time".into())),
        Ended::Signalled(_) => Err(NoPlan::Silent(format!("crm_simulate was ended by a signal: {}", said()))),
    }
}
