// SPDX-License-Identifier: GPL-2.0-or-later
//! The one table that turns a domain's state into what a caller is told. Pure.

use crate::model::call::{Caller, Invocation};
use crate::model::outcome::Code;
use crate::model::state::{Motion, Pause, Running, State};

/// How well an active domain does; the same for every caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// As it should be.
    Well,
    /// Alive, and a person wanted it like this or should look at it.
    Degraded,
    /// Alive in memory, but of no use until it is stopped and started.
    Failed,
    /// Not really here yet.
    Arriving,
    /// It runs elsewhere, and what is left of it here is still needed there.
    Elsewhere,
    /// Not running.
    Off,
}

/// The table: state and reason to health.
#[must_use]
pub(crate) const fn health(state: State, motion: Motion) -> Health {
    match state {
        State::Running(Running::Plain | Running::PostCopy) | State::Blocked | State::NoState | State::InShutdown => {
            Health::Well
        }
        State::Running(Running::PostCopyFailed) => Health::Failed,
        State::Paused(pause) => match pause {
            Pause::User | Pause::FromSnapshot | Pause::Unknown => Health::Degraded,
            Pause::Migration => match motion {
                Motion::Arriving | Motion::Unknown => Health::Arriving,
                Motion::Leaving => Health::Well,
                // Nobody drives it any more: a copy that stands still, while another may run.
                Motion::None => Health::Failed,
            },
            Pause::StartingUp => match motion {
                Motion::Arriving | Motion::Unknown => Health::Arriving,
                Motion::None | Motion::Leaving => Health::Well,
            },
            Pause::PostCopy => Health::Elsewhere,
            Pause::Save | Pause::Dump | Pause::Snapshot | Pause::ShuttingDown => Health::Well,
            Pause::IoError | Pause::Watchdog | Pause::Crashed | Pause::PostCopyFailed | Pause::ApiError => {
                Health::Failed
            }
        },
        State::ShutOff(_) => Health::Off,
        State::Crashed(_) => Health::Failed,
        State::PmSuspended => Health::Degraded,
        State::Other(_) => Health::Degraded,
    }
}

/// The table's other half: health to the exit code of a status or monitor, for this caller.
#[must_use]
pub(crate) fn code(health: Health, inv: &Invocation) -> Code {
    match health {
        Health::Well => Code::Ok,
        // Only Pacemaker's recurring monitor has a word for it; to all others a paused machine counts as running.
        Health::Degraded if inv.caller == Caller::Pacemaker && inv.recurring => Code::Degraded,
        Health::Degraded => Code::Ok,
        Health::Failed => Code::Generic,
        // A probe that claimed a domain that runs elsewhere would have both copies killed; to rgmanager's question on other
        // members, which looks like any status, a claim would give the service away to a placeholder that may never run.
        Health::Arriving | Health::Elsewhere if inv.probe() || inv.caller == Caller::Rgmanager => Code::NotRunning,
        Health::Arriving | Health::Elsewhere => Code::Ok,
        Health::Off => Code::NotRunning,
    }
}
