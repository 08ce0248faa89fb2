// SPDX-License-Identifier: GPL-2.0-or-later
//! How a case is played: a cluster with one machine, what happens to it, and what vm-agent must make of that. Its
//! predecessor is only watched.

use crate::bed::{Agent, Bed, Resource, State, seconds};
use crate::witness::Happened;

/// The machine.
pub const A: &str = "a";

pub struct Case {
    pub name: &'static str,
    /// What happens, for the table.
    pub words: &'static str,
    /// The sizes of the clusters in which it is played.
    pub nodes: &'static [usize],
    /// Whether it belongs to every `make test`.
    pub short: bool,
    pub resource: Resource<'static>,
    pub play: fn(&Bed, usize),
    pub must: Must,
}

/// What vm-agent must make of it.
#[derive(Clone, Copy)]
pub struct Must {
    pub boots: usize,
    pub fencings: usize,
    pub end: &'static str,
}

/// What came of a case.
pub struct Result {
    pub happened: Happened,
    pub state: State,
    pub fencings: usize,
}

impl Result {
    /// For the table: boots, seconds away, copies, fencings, seconds until it rested, state.
    pub fn cells(&self) -> String {
        let Happened { boots, away, copies, settled } = &self.happened;
        let (away, settled) = (seconds(*away), seconds(*settled));
        format!("{boots} | {away} | {copies} | {} | {settled} | {}", self.fencings, self.state.words())
    }
}

impl Case {
    pub fn play(&self, nodes: usize, agent: Agent) -> Result {
        let bed = Bed::up(nodes, agent);
        bed.resource(A, &self.resource);
        let here = if self.resource.stopped { 0 } else { bed.place(A) };
        let (mark, fencings) = (bed.mark(A), bed.fencings());
        (self.play)(&bed, here);
        bed.is_whole();
        bed.is_monitored();
        if !bed.witness.runs_on(A).is_empty() {
            bed.speaks(A);
        }
        let happened = bed.since(A, &mark);
        let result = Result { happened, state: bed.state(A), fencings: bed.fencings() - fencings };
        if agent == Agent::Vm {
            self.holds(&bed, &result);
        }
        result
    }

    fn holds(&self, bed: &Bed, result: &Result) {
        let Must { boots, fencings, end } = self.must;
        let told = format!("{} | {}", self.name, result.cells());
        let right = result.happened.copies <= 1
            && (result.happened.boots, result.fencings) == (boots, fencings)
            && result.state.words() == end;
        let ends = result.state.nodes.iter().map(String::as_str).collect::<Vec<_>>();
        let place = bed.witness.runs_on(A).iter().map(|host| bed.host(*host).node()).collect::<Vec<_>>();
        if !right || ends != place {
            for (node, log) in bed.logs() {
                let of_it = log.lines().filter(|line| line.contains("a_") || line.contains("vm(a)"));
                println!("{node}:\n{}", of_it.collect::<Vec<_>>().join("\n"));
            }
        }
        assert!(right, "boots, fencings and end must be {boots}, {fencings}, {end}, and copies 1: {told}");
        assert_eq!(ends, place, "the cluster and the process table differ: {told}");
    }
}
