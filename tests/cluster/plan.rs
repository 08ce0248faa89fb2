// SPDX-License-Identifier: GPL-2.0-or-later
//! Which parts are run, several at once, and what is told of them.

use crate::bed::Agent;
use crate::events::CASES;
use crate::{drop_in, failover, report, soak};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// What the command line asks for.
#[derive(Default)]
pub struct Wanted {
    pub long: bool,
    pub list: bool,
    pub jobs: Option<usize>,
    pub seed: Option<u64>,
    pub events: Option<usize>,
    pub names: Vec<String>,
}

/// When a part is run unasked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Share {
    /// By every `make test`.
    Short,
    /// By `make test-cluster`.
    Long,
    /// Never: by its name alone.
    Named,
}

/// One part: its name, and what it does; what it gives is its row.
pub struct Part {
    pub name: String,
    part: Share,
    pub run: Box<dyn Fn() -> String + Send + Sync>,
}

fn parts(seed: u64, longest: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (events, part) in [(longest, Share::Named), (25, Share::Long), (8, Share::Short)] {
        for agent in Agent::BOTH {
            if events > 20 || agent == Agent::Vm {
                let name = report::soak_name(events, agent);
                parts.push(Part { name, part, run: Box::new(move || soak::play(agent, seed, events)) });
            }
        }
    }
    for kills in [100, 20] {
        for agent in Agent::BOTH {
            let name = format!("failover::{kills}-kills::{}", agent.words());
            parts.push(Part { name, part: Share::Named, run: Box::new(move || failover::play(agent, seed, kills)) });
        }
    }
    parts.push(Part { name: "drop-in::2-nodes".into(), part: Share::Long, run: Box::new(|| drop_in::play(2)) });
    for case in CASES {
        for nodes in case.nodes {
            for agent in Agent::BOTH {
                parts.push(Part {
                    name: report::name(case, *nodes, agent),
                    // The predecessor is there for the table alone.
                    part: if case.short && *nodes == 2 && agent == Agent::Vm { Share::Short } else { Share::Long },
                    run: Box::new(move || case.play(*nodes, agent).cells()),
                });
            }
        }
    }
    parts
}

pub fn run(wanted: &Wanted) -> ExitCode {
    let named = |part: &Part| wanted.names.iter().any(|name| part.name.contains(name.as_str()));
    let longest = wanted.events.unwrap_or(200);
    let unasked = if wanted.long { Share::Long } else { Share::Short };
    let chosen = |part: &Part| if wanted.names.is_empty() { part.part <= unasked } else { named(part) };
    let (parts, others): (Vec<Part>, Vec<Part>) =
        parts(wanted.seed.unwrap_or(1), longest).into_iter().partition(chosen);
    if wanted.list {
        parts.iter().for_each(|part| println!("{}: test", part.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", parts.len());
    let began = Instant::now();
    let rows = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(Vec::new());
    let next = Mutex::new(parts.iter());
    std::thread::scope(|scope| {
        for _ in 0..jobs(wanted).min(parts.len()) {
            scope.spawn(|| {
                loop {
                    let Some(part) = next.lock().unwrap().next() else { return };
                    match played(part) {
                        Some(row) => drop(rows.lock().unwrap().insert(part.name.clone(), row)),
                        None => failed.lock().unwrap().push(part.name.clone()),
                    }
                }
            });
        }
    });
    let (rows, failed) = (rows.into_inner().unwrap(), failed.into_inner().unwrap());
    print!("{}", report::table(&rows));
    if failed.is_empty() && std::env::var_os("UPDATE").is_some() {
        report::write(&rows, longest);
    }
    if !failed.is_empty() {
        println!("\nfailures:");
        failed.iter().for_each(|name| println!("    {name}"));
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        parts.len() - failed.len(),
        failed.len(),
        others.len(),
        began.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// A cluster waits more than it computes, but two of them keep two processors busy when they form.
fn jobs(wanted: &Wanted) -> usize {
    let told = std::env::var("RUST_TEST_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    wanted.jobs.unwrap_or(usize::clamp(told, 1, 2))
}

/// Its row; none when it failed. A thread of its name, by which the reason of a failure is told.
fn played(part: &Part) -> Option<String> {
    let began = Instant::now();
    let row = std::thread::scope(|scope| {
        let run = || catch_unwind(AssertUnwindSafe(|| (part.run)())).ok();
        std::thread::Builder::new().name(part.name.clone()).spawn_scoped(scope, run).unwrap().join().unwrap()
    });
    let (word, took) = (if row.is_some() { "ok" } else { "FAILED" }, began.elapsed().as_secs());
    println!("test {} ... {word}", part.name);
    println!("  {} ({took} s)", row.as_deref().unwrap_or_default());
    row
}
