// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent in real dom0s of Xen (tests/xen/lab), called by both cluster managers: machines of xl and of libvirt's Xen driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(unreachable_pub, reason = "a program has nobody to be private to")]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

#[path = "../real/common/mod.rs"]
mod common;
mod dom0;
mod faults;
mod hvm;
mod life;
mod moves;
#[path = "../shared/mod.rs"]
mod shared;

use shared::parts::{Choice, Part, Share};
use std::process::ExitCode;

const USAGE: &str = "usage: xen [--long] [--jobs N] [--list] [NAME...]
  Without names: the core, which belongs to every `make test`.
  --long    everything
  --jobs N  so many at once (2, or what RUST_TEST_THREADS says, if that is less)
  NAME      the parts whose names contain it";

/// A part: its name, whether the core has it, and what it does.
type Case = (&'static str, Share, fn());

fn main() -> ExitCode {
    let mut choice = Choice::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if let Err(why) = choice.take(word, &mut words) {
            eprintln!("xen: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    let part = |(name, share, play): &Case| {
        let play = *play;
        let run = Box::new(move || {
            play();
            String::new()
        });
        Part { name: (*name).into(), share: *share, run }
    };
    let cases = [faults::CASES, moves::CASES, life::CASES, hvm::CASES].concat();
    let Some(played) = choice.play(cases.iter().map(part).collect()) else { return ExitCode::SUCCESS };
    played.end()
}
