// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests on real virtual machines share: a host (`Host`), its guests (`Vm`), a call of the agent as one of its
//! callers makes it (`Call`) and what came of it (`Answer`).
//!
//! Some things are checked at every call, so that no test can forget them; see `Answer::check`.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod call;
mod clock;
mod cluster;
mod hanging;
mod host;
mod process;
mod vm;

pub use call::{Answer, Call, Dialect, Dialect::*, Running};
pub use clock::Moment;
pub use cluster::{Cluster, Traveller};
pub use hanging::Hanging;
pub use host::Host;
pub use process::Process;
pub use vm::{Guest, Vm, joined, tag};

use std::time::Duration;

/// The two cluster managers.
pub const BOTH: [Dialect; 2] = [Rgmanager, Pacemaker];

/// The agent under test; the worker lies beside it.
pub const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");
/// The worker; named, so that it is built.
pub const WORKER: &str = env!("CARGO_BIN_EXE_vm-agent-libvirt");

/// Waits until `look` gives something, for so many seconds at most; then the test fails with `what`. A busy machine gets
/// more time, within bounds.
pub fn until<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Moment::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        let late = began.elapsed() >= Duration::from_secs(seconds) || began.wall() >= Duration::from_secs(5 * seconds);
        assert!(!late, "after {seconds} s there is still no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
