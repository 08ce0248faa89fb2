// SPDX-License-Identifier: GPL-2.0-or-later
//! The loop of an action: look, decide, carry out, look again.

mod act;
pub mod imagine;
pub mod migrate;
mod turn;

use crate::model::call::{Action, Environment, Invocation};
use crate::model::outcome::Outcome;
use crate::sys::roots::Roots;

/// Carries out an action that needs facts, and answers before the caller's timeout.
#[must_use]
pub fn run(inv: &Invocation, env: &Environment, roots: Roots) -> Outcome {
    match inv.action {
        Action::Migrate | Action::MigrateTo => migrate::run(inv, env, roots, false),
        Action::Start
        | Action::Stop
        | Action::Kill
        | Action::Status
        | Action::Monitor
        | Action::Restart
        | Action::Recover
        | Action::Reload
        | Action::MigrateFrom
        | Action::MetaData
        | Action::ValidateAll
        | Action::Usage => act::run(inv, env, roots),
    }
}
