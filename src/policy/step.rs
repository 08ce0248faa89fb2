// SPDX-License-Identifier: GPL-2.0-or-later
//! What a policy asks for. Pure.

use crate::model::change::{Change, ShutdownMode};
use crate::model::outcome::Outcome;
use crate::model::worker::Side;
use std::fmt;
use std::time::Duration;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Carry this out, look again and ask again.
    Do(Step),
    /// The action is over; and what follows from that.
    Answer(Outcome, Vec<Tidy>),
}

/// One thing to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find and read the definition's file.
    ReadDefinition,
    /// Ask libvirt whether it keeps a definition of the active domain.
    AskKept,
    /// Ask the host where it last migrated to, whether it runs there.
    AskElsewhere,
    /// Ask libvirt whether it has saved memory of the domain, which its next start would restore.
    AskSaved,
    /// Delete that saved memory.
    DropSaved,
    /// Create a transient domain from the definition that was read.
    Create,
    /// Start the definition that libvirt keeps.
    StartDefined,
    /// Let a paused domain run on.
    Resume,
    /// Wake a guest that was suspended by its own power management.
    Wake,
    /// Ask the guest to shut down, then wait for its end, at most so long.
    Ask {
        /// How to ask.
        mode: ShutdownMode,
        /// How long to wait for the end.
        wait: Duration,
    },
    /// Let libvirt end the domain at once.
    Destroy,
    /// Abort the migration that takes it away.
    AbortJob,
    /// It left by a migration in spite of that: end it at the target.
    StopAtTarget {
        /// Only the half of a post-copy, or the shell; a whole one there is not what was ended here.
        only_half: bool,
    },
    /// End the domain's process by its number.
    KillProcess {
        /// The process.
        pid: u32,
        /// Its start, which with its number is its identity.
        start: u64,
    },
    /// Wait for the domain or its process to change, at most so long, then look again.
    Wait {
        /// The longest wait.
        longest: Duration,
    },
    /// Stay with a machine that runs well, at most so long or until something happens to it; not where this is the first
    /// monitor of its run, whose answer the cluster may be waiting for.
    Stay {
        /// The longest stay.
        longest: Duration,
    },
    /// Wait until libvirt has begun with all that it was asked for: a start may stand in its queue.
    PassQueue,
    /// Run the guest's checks (status_program or monitor_scripts).
    CheckGuest,
    /// Ask the target of the migration whether the machine is there.
    AskTarget,
    /// Check at both ends whether the machine could be moved.
    Rehearse,
    /// Move the machine, and watch over that until libvirt's call ends.
    Move,
    /// Put right what a migration left behind.
    PutRight {
        /// At which end of it.
        at: Side,
        /// How.
        change: Change,
    },
    /// Wait so long, and try again to move it; and why it failed.
    TryAgain {
        /// How long.
        pause: Duration,
        /// Why it failed.
        why: String,
    },
    /// Look again after so long, whatever happens meanwhile.
    Pause(Duration),
    /// Ask whether disks were switched to other files since the machine's start, if nobody was told yet.
    AskSwitched,
    /// Wait for the lock that this stop went on without.
    TakeLock,
    /// The stop is done; go on with the start (restart and recover).
    TurnToStart,
}

impl Step {
    /// Whether the facts are as they were, so that nobody needs to look again.
    #[must_use]
    pub const fn leaves_the_facts(&self) -> bool {
        matches!(self, Self::AskSwitched | Self::AskTarget | Self::Rehearse)
    }
}

/// What follows from an observation or an answer. It is done as well as it goes, and changes no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tidy {
    /// What came of a start has been seen: it is on record no longer.
    ForgetStart,
    /// It is here: where it once migrated to is of no interest any more.
    ForgetTarget,
    /// Give the machine the mark of this resource, if it is due; an action that takes over puts it in another's place.
    Mark {
        /// Whether the action takes the machine over, whosever it was.
        takes_over: bool,
        /// Whether it was started by this action, and has its mark.
        started: bool,
    },
    /// It runs where its migration went: that stays on record.
    NoteMoved,
    /// Put on record whether the next recurring monitor need not answer at once.
    NoteMonitor {
        /// This one has answered, and the machine runs well.
        answered: bool,
    },
    /// Log the answer as a warning, though it is a success.
    Warn(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadDefinition => f.write_str("read the definition"),
            Self::AskKept => f.write_str("ask whether libvirt keeps a definition of it"),
            Self::AskSaved => f.write_str("ask whether libvirt has saved memory of it"),
            Self::DropSaved => f.write_str("discard its saved memory"),
            Self::AskElsewhere => f.write_str("ask the host that it last migrated to"),
            Self::Create => f.write_str("create it from the definition"),
            Self::StartDefined => f.write_str("start libvirt's own definition"),
            Self::Resume => f.write_str("resume it"),
            Self::Wake => f.write_str("wake the guest"),
            Self::Ask { mode, wait } => {
                write!(f, "ask the guest to shut down (mode {}) and wait up to {} s", mode.word(), wait.as_secs())
            }
            Self::Destroy => f.write_str("destroy it"),
            Self::KillProcess { pid, .. } => write!(f, "end its process {pid}"),
            Self::Wait { longest } => write!(f, "wait up to {} s for a change", longest.as_secs()),
            Self::Stay { longest } => write!(f, "stay up to {:.0} s for what may happen to it", longest.as_secs_f32()),
            Self::AbortJob => f.write_str("abort the migration that takes it away"),
            Self::StopAtTarget { only_half: false } => f.write_str("end it at the migration's target"),
            Self::StopAtTarget { only_half: true } => f.write_str("end what is left of it at the migration's target"),
            Self::PassQueue => f.write_str("wait until libvirt has begun with all that it was asked for"),
            Self::CheckGuest => f.write_str("check the guest"),
            Self::AskTarget => f.write_str("ask the target whether it is there"),
            Self::Rehearse => f.write_str("check both ends"),
            Self::Move => f.write_str("move it to the target"),
            Self::PutRight { at: Side::Source, change: Change::Destroy } => f.write_str("end the copy left here"),
            Self::PutRight { at: Side::Destination, change: Change::Destroy } => {
                f.write_str("remove the placeholder left at the target")
            }
            Self::PutRight { at: Side::Source, change } => write!(f, "{change} here"),
            Self::PutRight { at: Side::Destination, change } => write!(f, "{change} at the target"),
            Self::TryAgain { pause, why } => write!(f, "wait {} s and try again ({why})", pause.as_secs()),
            Self::Pause(_) => f.write_str("look again"),
            Self::AskSwitched => f.write_str("ask whether its disks were switched"),
            Self::TakeLock => f.write_str("wait for the lock of another vm-agent"),
            Self::TurnToStart => f.write_str("it is stopped; go on with the start"),
        }
    }
}
