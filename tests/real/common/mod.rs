// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests on real virtual machines share: a host (`Host`), its guests (`Vm`), a call of the agent as one of its
//! callers makes it (`Call`) and what came of it (`Answer`).
//!
//! Some things are checked at every call, so that no test can forget them; see `Answer::check`.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod call;
mod cluster;
mod hanging;
mod host;
mod process;
mod tpm;
mod vm;

pub use call::{Answer, Call, Dialect, Dialect::*, Place, Running};
pub use cluster::{Cluster, Traveller};
pub use hanging::Hanging;
pub use host::Host;
pub use process::Process;
pub use tpm::{TPM, alike, tpm_state};
pub use vm::{Guest, Vm, joined, tag};

pub use crate::shared::{Moment, until};

/// The two cluster managers.
pub const BOTH: [Dialect; 2] = [Rgmanager, Pacemaker];

/// The agent under test; the worker lies beside it.
pub const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");
/// What the agent becomes where a person calls.
pub const BY_HAND: &str = env!("CARGO_BIN_EXE_vm-agent-by-hand");
/// The worker; named, so that it is built.
pub const WORKER: &str = env!("CARGO_BIN_EXE_vm-agent-libvirt");
