// SPDX-License-Identifier: GPL-2.0-or-later
//! How long the guest is away, and how long a move takes, beside `virsh migrate --live` in the same run.

use crate::common::*;
use std::time::{Duration, Instant};

/// Moves of each kind: the median of fewer says nothing on a machine that does other work too.
const ROUNDS: usize = 8;

#[test]
fn the_guest_is_away_no_longer_than_with_virsh_and_the_move_takes_no_longer() {
    let cluster = Cluster::up();
    let guest = cluster.departs(cluster.host(1).guest("a").quick_ticks());
    let mut at = 1;
    let (mut ours, mut virshs) = (Vec::new(), Vec::new());
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
            if virsh { virshs.push((gap, total)) } else { ours.push((gap, total)) }
        }
        at = to;
    }
    guest.runs_only_on(at);
    let (our_gap, our_total) = medians("vm-agent", ours);
    let (virsh_gap, virsh_total) = medians("virsh", virshs);
    // The guest's clock ticks each 20 ms, and this machine may do other work: what is asserted is wider than what is true.
    assert!(
        our_gap < virsh_gap.mul_f64(1.5) + Duration::from_millis(100),
        "away {our_gap:?}, with virsh {virsh_gap:?}"
    );
    assert!(our_total < virsh_total.mul_f64(1.3) + Duration::from_millis(200), "{our_total:?}, virsh {virsh_total:?}");
}

/// Prints the samples, and gives the medians of the gap and of the total time.
fn medians(who: &str, samples: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    let median = |mut values: Vec<Duration>| {
        values.sort_unstable();
        (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2
    };
    let gaps: Vec<Duration> = samples.iter().map(|(gap, _)| *gap).collect();
    let totals: Vec<Duration> = samples.iter().map(|(_, total)| *total).collect();
    let text = |values: &[Duration]| {
        values.iter().map(|d| format!("{:.0}", d.as_secs_f64() * 1e3)).collect::<Vec<_>>().join(" ")
    };
    println!("{who}: away {} ms; in all {} ms", text(&gaps), text(&totals));
    let (gap, total) = (median(gaps), median(totals));
    println!("{who}: median of {}: away {} ms, in all {} ms", samples.len(), text(&[gap]), text(&[total]));
    (gap, total)
}
