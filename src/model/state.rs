// SPDX-License-Identifier: GPL-2.0-or-later
//! The states of a domain and their reasons, in libvirt's numbers and the administrator's words. Pure.
//!
//! Numbers: libvirt's public header `libvirt-domain.h` (virDomainState and the reason enumerations), stable by promise.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a domain that libvirt knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Running; `PostCopy` when part of its memory is still at another host.
    Running(Running),
    /// Waiting for a resource (Xen's word for an idle guest).
    Blocked,
    /// Not executing, but in memory.
    Paused(Pause),
    /// Asked to shut down, and doing so.
    InShutdown,
    /// Defined and not running.
    ShutOff(Off),
    /// Crashed and kept in memory (`on_crash` preserve).
    Crashed(Crash),
    /// Suspended by the guest's own power management.
    PmSuspended,
    /// A live domain of which the hypervisor says no more (Xen: runnable or just made).
    NoState,
    /// A number that this program does not know.
    Other(i32),
}

/// What a running domain is doing, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Running {
    /// Running, and all of it is here.
    Plain,
    /// Running here while memory still comes from the source.
    PostCopy,
    /// Running here while the memory that is missing cannot be fetched.
    PostCopyFailed,
}

/// Why a domain is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pause {
    /// By a person or a program, on request.
    User,
    /// For a migration: leaving or arriving.
    Migration,
    /// While it is saved.
    Save,
    /// While its core is dumped.
    Dump,
    /// A disk failed.
    IoError,
    /// Its watchdog fired.
    Watchdog,
    /// It was restored from a snapshot of a paused domain.
    FromSnapshot,
    /// While it shuts down.
    ShuttingDown,
    /// While a snapshot is taken.
    Snapshot,
    /// The guest crashed.
    Crashed,
    /// Being started (also: the incoming placeholder of a migration).
    StartingUp,
    /// Left behind at the source while the target runs (post-copy).
    PostCopy,
    /// The post-copy migration failed.
    PostCopyFailed,
    /// libvirt could not finish an operation on it.
    ApiError,
    /// Not said, or a number that this program does not know.
    Unknown,
}

/// Why a domain has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Crash {
    /// The guest's kernel has told of its panic (pvpanic).
    Panicked,
    /// Not said.
    Unknown,
}

/// Why a domain is shut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Off {
    /// The guest shut down.
    Shutdown,
    /// It was destroyed.
    Destroyed,
    /// It crashed.
    Crashed,
    /// It moved to another host.
    Migrated,
    /// It was saved to a file.
    Saved,
    /// It could not be started.
    Failed,
    /// Not said (it has not run since libvirt started), or not known here.
    Unknown,
}

impl State {
    /// The state for libvirt's two numbers.
    #[must_use]
    pub const fn from_numbers(state: i32, reason: i32) -> Self {
        match state {
            0 => Self::NoState,
            1 => Self::Running(match reason {
                10 => Running::PostCopy,
                11 => Running::PostCopyFailed,
                _ => Running::Plain,
            }),
            2 => Self::Blocked,
            3 => Self::Paused(match reason {
                1 => Pause::User,
                2 => Pause::Migration,
                3 => Pause::Save,
                4 => Pause::Dump,
                5 => Pause::IoError,
                6 => Pause::Watchdog,
                7 => Pause::FromSnapshot,
                8 => Pause::ShuttingDown,
                9 => Pause::Snapshot,
                10 => Pause::Crashed,
                11 => Pause::StartingUp,
                12 => Pause::PostCopy,
                13 => Pause::PostCopyFailed,
                14 => Pause::ApiError,
                _ => Pause::Unknown,
            }),
            4 => Self::InShutdown,
            5 => Self::ShutOff(match reason {
                1 => Off::Shutdown,
                2 => Off::Destroyed,
                3 => Off::Crashed,
                4 => Off::Migrated,
                5 => Off::Saved,
                6 => Off::Failed,
                _ => Off::Unknown,
            }),
            6 => Self::Crashed(if reason == 1 { Crash::Panicked } else { Crash::Unknown }),
            7 => Self::PmSuspended,
            n => Self::Other(n),
        }
    }

    /// Whether the domain is in memory, and so must not be started anywhere.
    #[must_use]
    pub const fn active(self) -> bool {
        !matches!(self, Self::ShutOff(_))
    }

    /// Whether the state leaves it open that this is only an incoming placeholder, whose machine still runs elsewhere.
    #[must_use]
    pub const fn may_be_arriving(self) -> bool {
        matches!(self, Self::Paused(Pause::Migration | Pause::StartingUp))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running(Running::Plain) => "running",
            Self::Running(Running::PostCopy) => "running (post-copy: memory still arriving)",
            Self::Running(Running::PostCopyFailed) => "running (post-copy failed: memory missing)",
            Self::Blocked => "running (idle)",
            Self::Paused(pause) => match pause {
                Pause::User => "paused by request",
                Pause::Migration => "paused for a migration",
                Pause::Save => "paused while it is saved",
                Pause::Dump => "paused while its core is dumped",
                Pause::IoError => "paused by a disk I/O error",
                Pause::Watchdog => "paused by its watchdog",
                Pause::FromSnapshot => "paused since a snapshot was restored",
                Pause::ShuttingDown => "paused while shutting down",
                Pause::Snapshot => "paused while a snapshot is taken",
                Pause::Crashed => "paused because the guest crashed",
                Pause::StartingUp => "paused while it is being started",
                Pause::PostCopy => "paused because its post-copy migration runs at the target",
                Pause::PostCopyFailed => "paused because its post-copy migration failed",
                Pause::ApiError => "paused because libvirt could not finish an operation",
                Pause::Unknown => "paused, reason unknown",
            },
            Self::InShutdown => "shutting down",
            Self::ShutOff(off) => match off {
                Off::Shutdown => "shut off (the guest shut down)",
                Off::Destroyed => "shut off (destroyed)",
                Off::Crashed => "shut off (crashed)",
                Off::Migrated => "shut off (moved to another host)",
                Off::Saved => "shut off (saved)",
                Off::Failed => "shut off (failed to start)",
                Off::Unknown => "shut off",
            },
            Self::Crashed(Crash::Unknown) => "crashed",
            Self::Crashed(Crash::Panicked) => "crashed (the guest panicked)",
            Self::PmSuspended => "suspended by the guest's power management",
            Self::NoState => "active (no more is said)",
            Self::Other(n) => return write!(f, "in state {n}, unknown to this program"),
        })
    }
}

/// `virDomainJobOperation`: leaving by migration.
const MIGRATION_OUT: i32 = 5;
/// libvirt's errors for a question that does not fit the domain's job: an arriving domain has no statistics. libvirt 9
/// says that it does not support the question; it is no other case.
const NOT_FOR_THIS_JOB: [i32; 2] = [55, 84];

/// Why an active domain is where it is, when a migration is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Motion {
    /// No migration, or not looked for.
    None,
    /// It is arriving: the incoming placeholder of a domain that still runs elsewhere.
    Arriving,
    /// It is leaving.
    Leaving,
    /// libvirt did not say.
    Unknown,
}

impl Motion {
    /// By libvirt's answer about the job of a domain in this state: what the job does, or the error's number.
    #[must_use]
    pub fn of_job(state: State, operation: Result<i32, i32>) -> Self {
        match operation {
            Ok(MIGRATION_OUT) => Self::Leaving,
            Err(code) if state.may_be_arriving() && NOT_FOR_THIS_JOB.contains(&code) => Self::Arriving,
            Ok(_) | Err(_) => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_tells_the_motion_and_its_absence_only_in_a_state_that_leaves_it_open() {
        let (running, between) = (State::Running(Running::Plain), State::Paused(Pause::Migration));
        for state in [running, between, State::Paused(Pause::StartingUp)] {
            assert_eq!(Motion::of_job(state, Ok(MIGRATION_OUT)), Motion::Leaving);
            assert_eq!(Motion::of_job(state, Ok(0)), Motion::None);
            // "No such domain", "operation failed": errors of another kind.
            assert_eq!(Motion::of_job(state, Err(42)), Motion::None);
        }
        for code in NOT_FOR_THIS_JOB {
            assert_eq!(Motion::of_job(between, Err(code)), Motion::Arriving);
            assert_eq!(Motion::of_job(running, Err(code)), Motion::None);
        }
    }
}
