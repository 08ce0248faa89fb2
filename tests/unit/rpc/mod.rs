// SPDX-License-Identifier: GPL-2.0-or-later
//! The RPC client against a server that misbehaves on purpose, and its decoders against any bytes at all.
mod codec;
mod fake;
mod faults;
mod nonsense;
mod properties;
mod uri;

use std::time::Duration;

use vm_agent::sys::time::Deadline;

/// Long enough for anything that is to succeed.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

pub(crate) fn after_ms(ms: u64) -> Deadline {
    Deadline::after(Duration::from_millis(ms))
}

/// Whether `took` is a deadline of so many milliseconds, kept: with some room for a busy machine.
pub(crate) fn in_time(took: Duration, ms: u64) -> bool {
    (Duration::from_millis(ms)..Duration::from_millis(ms + 3000)).contains(&took)
}
