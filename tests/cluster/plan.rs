// SPDX-License-Identifier: GPL-2.0-or-later
//! Which parts are run, and what is told of them.

use crate::bed::Agent;
use crate::events::CASES;
use crate::shared::parts::{Choice, Part, Share};
use crate::{attribute, drop_in, failover, report, soak};
use std::process::ExitCode;

/// What the command line asks for.
#[derive(Default)]
pub struct Wanted {
    pub choice: Choice,
    pub seed: Option<u64>,
    pub events: Option<usize>,
}

fn parts(seed: u64, longest: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (events, share) in [(longest, Share::Named), (25, Share::Long), (8, Share::Short)] {
        for agent in Agent::BOTH {
            if events > 20 || agent == Agent::Vm {
                let name = report::soak_name(events, agent);
                parts.push(Part { name, share, run: Box::new(move || soak::play(agent, seed, events)) });
            }
        }
    }
    for kills in [100, 20] {
        for agent in Agent::BOTH {
            let name = format!("failover::{kills}-kills::{}", agent.words());
            parts.push(Part { name, share: Share::Named, run: Box::new(move || failover::play(agent, seed, kills)) });
        }
    }
    parts.push(Part { name: "drop-in::2-nodes".into(), share: Share::Long, run: Box::new(|| drop_in::play(2)) });
    let name = "node-attribute::2-nodes".into();
    parts.push(Part { name, share: Share::Long, run: Box::new(|| attribute::play(2)) });
    for case in CASES {
        for nodes in case.nodes {
            for agent in Agent::BOTH {
                parts.push(Part {
                    name: report::name(case, *nodes, agent),
                    // The predecessor is there for the table alone.
                    share: if case.short && *nodes == 2 && agent == Agent::Vm { Share::Short } else { Share::Long },
                    run: Box::new(move || case.play(*nodes, agent).cells()),
                });
            }
        }
    }
    parts
}

pub fn run(wanted: &Wanted) -> ExitCode {
    let longest = wanted.events.unwrap_or(200);
    let Some(played) = wanted.choice.play(parts(wanted.seed.unwrap_or(1), longest)) else { return ExitCode::SUCCESS };
    print!("{}", report::table(&played.rows));
    if played.failed.is_empty() && std::env::var_os("UPDATE").is_some() {
        report::write(&played.rows, longest);
    }
    played.end()
}
