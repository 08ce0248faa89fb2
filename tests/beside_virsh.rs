// SPDX-License-Identifier: GPL-2.0-or-later
//! How long the guest is away, and how long a move takes, beside `virsh migrate --live` in the same run.
//!
//! A program of its own, so that no other test runs beside it. Moves of either kind are of two sorts, whose mixture is
//! chance: QEMU finishes at the first pass over the memory, or waits for its next look at the bandwidth, 100 to 200 ms
//! later. The median lies now in the one sort and now in the other, so what is compared is the lower quartile, which is
//! steady; that one kind is not more often of the slow sort is asked of all samples together, by their ranks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

#[path = "common/mod.rs"]
mod common;

use common::*;
use std::io::Write;
use std::time::{Duration, Instant};

/// Moves of each kind.
const ROUNDS: usize = 20;
/// The guest's clock.
const TICK: f64 = 20.0;

#[test]
fn the_guest_is_away_no_longer_than_with_virsh_and_the_move_takes_at_most_a_twentieth_longer() {
    let cluster = Cluster::up();
    let guest = cluster.departs(cluster.host(1).guest("a").quick_ticks());
    let mut at = 1;
    let (mut ours, mut virshs) = (Samples::default(), Samples::default());
    // The first move to each host is not counted: its libvirtd looks at its QEMU then.
    for round in 0..2 + 2 * ROUNDS {
        let to = 3 - at;
        // Each kind in both directions: two of ours, two of virsh's.
        let virsh = round / 2 % 2 == 1;
        let follow = Follow::start(&guest);
        let began = Instant::now();
        if virsh {
            let uri = format!("qemu+ssh://node{to}/system");
            cluster.host(at).virsh(&["migrate", "--live", "a", &uri]);
        } else {
            guest.moves(Pacemaker, at, to).gives(0);
        }
        let total = began.elapsed();
        guest.keeps_ticking();
        let gap = follow.longest_gap();
        if round >= 2 {
            let samples = if virsh { &mut virshs } else { &mut ours };
            samples.away.push(milliseconds(gap));
            samples.total.push(milliseconds(total));
        }
        at = to;
    }
    guest.runs_only_on(at);
    ours.print("vm-agent");
    virshs.print("virsh");
    let (away, virsh_away) = (quantile(&ours.away, 0.25), quantile(&virshs.away, 0.25));
    let (total, virsh_total) = (quantile(&ours.total, 0.25), quantile(&virshs.total, 0.25));
    assert!(away <= virsh_away + TICK, "away {away:.0} ms, with virsh {virsh_away:.0} ms");
    assert!(total <= virsh_total * 1.05, "in all {total:.0} ms, with virsh {virsh_total:.0} ms");
    for (what, ours, virshs) in [("away", &ours.away, &virshs.away), ("in all", &ours.total, &virshs.total)] {
        let z = rank_sum(ours, virshs);
        report(&format!("{what}: vm-agent's ranks are {z:+.1} standard deviations above virsh's"));
        assert!(z < 3.0, "{what}: longer than with virsh, and not by chance");
    }
}

/// Milliseconds of the moves of one kind.
#[derive(Default)]
struct Samples {
    away: Vec<f64>,
    total: Vec<f64>,
}

impl Samples {
    fn print(&self, who: &str) {
        for (what, values) in [("away", &self.away), ("in all", &self.total)] {
            let all: Vec<_> = values.iter().map(|ms| format!("{ms:.0}")).collect();
            let (quartile, median) = (quantile(values, 0.25), quantile(values, 0.5));
            let all = all.join(" ");
            report(&format!("{who}: {what}: lower quartile {quartile:.0}, median {median:.0} ms ({all})"));
        }
    }
}

/// A line that is seen also when the test passes.
fn report(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let place = part * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// By how many standard deviations these samples are larger than those (Mann and Whitney's test).
fn rank_sum(these: &[f64], those: &[f64]) -> f64 {
    let larger: usize = these.iter().map(|a| those.iter().filter(|b| a > *b).count()).sum();
    let (n, m) = (these.len() as f64, those.len() as f64);
    (larger as f64 - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}
