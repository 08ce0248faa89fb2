// SPDX-License-Identifier: GPL-2.0-or-later
//! The RPC client against a real libvirtd (its test driver), against a server that misbehaves on purpose, and its
//! decoders against any bytes at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail by a panic, and starts its own programs"
)]

mod codec;
mod fake;
mod faults;
#[path = "../../fuzz/harness.rs"]
mod harness;
mod libvirtd;
mod nonsense;
mod properties;
mod real;
mod real_faults;
mod uri;

use std::time::Duration;

use vm_agent::sys::time::Deadline;

/// Long enough for anything that is to succeed.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn after_ms(ms: u64) -> Deadline {
    Deadline::after(Duration::from_millis(ms))
}

/// Whether `took` is a deadline of so many milliseconds, kept: with some room for a busy machine.
fn in_time(took: Duration, ms: u64) -> bool {
    (Duration::from_millis(ms)..Duration::from_millis(ms + 3000)).contains(&took)
}

/// Waits until `condition` holds; it is an error if it never does.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(!deadline.passed(), "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
