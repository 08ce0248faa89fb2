// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent under a real Pacemaker with fencing, beside its predecessor: what happened to the machine in each case. Prints
//! as `cargo test` does, so that what reads that reads this; its rows are docs/CLUSTER.md's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(unreachable_pub, reason = "a program has nobody to be private to")]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

mod attribute;
mod bed;
mod cases;
#[path = "../real/common/mod.rs"]
mod common;
mod deeds;
mod dice;
mod drop_in;
mod events;
mod failover;
mod plan;
mod report;
#[path = "../shared/mod.rs"]
mod shared;
mod soak;
mod witness;

use std::process::ExitCode;

const USAGE: &str = "usage: cluster [--long] [--jobs N] [--seed N] [--events N] [--list] [NAME...]
  Without names: the short part, which belongs to every `make test`.
  --long    everything but the longest soak and the failovers; with UPDATE=1 the tables of docs/CLUSTER.md that are whole are written
  --seed N  which events the soak draws (1)
  --events N  how many events the longest soak has (200)
  --jobs N  so many clusters at once (2, or what RUST_TEST_THREADS says, if that is less)
  NAME      the parts whose names contain it";

fn main() -> ExitCode {
    let mut wanted = plan::Wanted::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--events" => match words.next().and_then(|number| number.parse().ok()) {
                Some(number @ 26..=100_000) => wanted.events = Some(number),
                _ => return refused("--events needs a number from 26 to 100000"),
            },
            "--seed" => match words.next().and_then(|number| number.parse().ok()) {
                Some(number) => wanted.seed = Some(number),
                None => return refused("--seed needs a number"),
            },
            _ => {
                if let Err(why) = wanted.choice.take(word, &mut words) {
                    return refused(&why);
                }
            }
        }
    }
    plan::run(&wanted)
}

fn refused(why: &str) -> ExitCode {
    eprintln!("cluster: {why}\n{USAGE}");
    ExitCode::from(2)
}
