// SPDX-License-Identifier: GPL-2.0-or-later
//! How long a machine is away whose QEMU is killed, over many kills (bench/failover).

use crate::bed::{Agent, Bed, Resource};
use crate::common::until;
use crate::dice::Dice;
use std::time::Duration;

const A: &str = "a";
/// Kills come at any point of the interval between two monitors, which is VirtualDomain's.
const INTERVAL_MS: usize = 10_000;

/// Kills so often; gives how long it took until a new QEMU ran: the middle, the 99th of a hundred, and the longest.
pub fn play(agent: Agent, seed: u64, kills: usize) -> String {
    let bed = Bed::up(2, agent);
    bed.resource(A, &Resource::default());
    let mut dice = Dice::of(seed);
    let mut away: Vec<Duration> = Vec::new();
    for _ in 0..kills {
        bed.speaks(A);
        bed.looks_on(Duration::from_millis(dice.below(INTERVAL_MS) as u64));
        let mark = bed.mark(A);
        bed.kills(A);
        until(10, "its end", || bed.witness.runs_on(A).is_empty().then_some(()));
        bed.runs_once(A, 120);
        away.push(bed.since(A, &mark).settled);
        bed.rests();
    }
    away.sort_unstable();
    let of_hundred = |part: usize| away[(kills * part).div_ceil(100).clamp(1, kills) - 1].as_secs_f64();
    format!("{kills} kills: p50 {:.2} s, p99 {:.2} s, longest {:.2} s", of_hundred(50), of_hundred(99), of_hundred(100))
}
