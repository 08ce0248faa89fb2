// SPDX-License-Identifier: GPL-2.0-or-later
//! What a policy asks for. Pure.

use super::history::History;
use crate::model::change::{Change, ShutdownMode};
use crate::model::facts::{Answers, Fact, RunId};
use crate::model::outcome::Outcome;
use crate::model::worker::Side;
use std::fmt;
use std::time::Duration;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Find this out. It changes nothing but what is known.
    Ask(Query),
    /// Carry this out, and look again.
    Do(Step),
    /// Wait, and look again.
    Wait(Delay),
    /// The action is over; and what follows from that.
    Answer(Outcome, Vec<Tidy>),
}

impl Next {
    /// Whether nothing but a monitor that finds all well comes to this, and each time: what it sees says nothing new.
    #[must_use]
    pub(crate) const fn is_of_a_good_end(&self) -> bool {
        matches!(self, Self::Ask(Query::Switched) | Self::Wait(Delay::Stay(_)))
    }
}

/// A question that not every look asks; its answer stands among the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Find and read the definition's file.
    Definition,
    /// Whether libvirt keeps a definition of the active domain.
    Kept,
    /// Whether libvirt has saved memory of the domain, which its next start would restore.
    Saved,
    /// Whether the folder of `snapshot` has memory of the machine, and what it is good for.
    State,
    /// Whether a save that is under way is one that an agent has begun in that folder, and did not live to end.
    OwnSave,
    /// How it is on the host that it last migrated to.
    Elsewhere,
    /// How it is at the cluster's other members.
    Members,
    /// Whether somebody else has one of its disks open, by the word of their storage; what may pass is waited for.
    Storage,
    /// How it is at the target of this migration.
    Target,
    /// What both ends say to a migration.
    Rehearsal,
    /// Whether disks were switched to other files since the machine's start, if nobody was told yet.
    Switched,
    /// The guest's checks (status_program or monitor_scripts).
    Guest,
    /// The guest's agent, for a sign of life.
    Agent,
    /// Since when it stands still, or is off, and by what.
    Cause,
    /// Whether libvirt has begun with all that it was asked for: a start may stand in its queue. It may take all the time.
    Queue,
}

impl Query {
    /// Whether the machine may be another by the time that it is answered, or be seen in another light: so that it is
    /// looked at again.
    #[must_use]
    pub(crate) const fn outdates_the_look(self) -> bool {
        match self {
            Self::Definition
            | Self::Kept
            | Self::Saved
            | Self::State
            | Self::OwnSave
            | Self::Elsewhere
            | Self::Members
            | Self::Storage
            | Self::Guest
            | Self::Agent
            | Self::Queue => true,
            Self::Target | Self::Rehearsal | Self::Switched | Self::Cause => false,
        }
    }
}

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// For the domain or its process to change, at most so long.
    UntilChange(Duration),
    /// So long, whatever happens meanwhile.
    Fixed(Duration),
    /// With a machine that runs well, at most so long or until something happens to it; not where this is the first monitor
    /// of its run, whose answer the cluster may be waiting for.
    Stay(Duration),
}

/// One thing to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Delete the memory that libvirt has saved.
    DropSaved,
    /// Start the networks and storage pools that its definition names and that are not active.
    StartResources,
    /// Create a transient domain from the definition that was read.
    Create,
    /// Start the definition that libvirt keeps.
    StartDefined,
    /// Restore its memory from the folder of `snapshot`.
    Restore,
    /// Give what is in that folder another name, so that no start restores it.
    SetAside {
        /// Why.
        why: String,
    },
    /// Save its memory to that folder, which ends it; at most so long.
    Save(Duration),
    /// Abort a save that is under way.
    AbortSave {
        /// Another agent has begun it, and did not live to end it; else somebody else is at it.
        ours: bool,
    },
    /// Let a paused domain run on.
    Resume,
    /// Have the cluster keep it stopped: its guest has shut down.
    KeepStopped,
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
        /// Only the half of a post-copy, or the placeholder; a whole one there is not what was ended here.
        only_half: bool,
    },
    /// End the domain's process, or Xen's domain, by its number.
    EndRun(RunId),
    /// Move the machine, and watch over that until libvirt's call ends.
    Move,
    /// Put right what a migration left behind.
    PutRight {
        /// At which end of it.
        at: Side,
        /// How.
        change: Change,
    },
    /// Take a try to move it off the record, wait so long, and begin anew; and why it failed.
    TryAgain {
        /// How long.
        pause: Duration,
        /// Why it failed.
        why: String,
    },
    /// Save into its definition's file what was changed in it since its start; as well as it goes.
    SaveDefinition,
    /// Wait for the lock that this stop went on without.
    TakeLock,
    /// The stop is done; go on with the start (restart and recover).
    TurnToStart,
}

impl Step {
    /// Forgets the answers that this step has made old: these are asked again.
    pub(crate) fn outdate(&self, answers: &mut Answers, done: &History) {
        match self {
            Self::DropSaved => answers.saved = Fact::NotAsked,
            // Before its pool was there its storage could not tell.
            Self::StartResources => answers.open_elsewhere = Fact::NotAsked,
            // What was restored in vain is looked for again, and so is the start that is to follow.
            Self::SetAside { .. } => {
                answers.state = Fact::NotAsked;
                answers.queue_passed = Fact::NotAsked;
            }
            // What the other agent did until now has not been seen yet.
            Self::TakeLock if done.locked_at_last == Some(true) => answers.queue_passed = Fact::NotAsked,
            // What was asked for the stop does not count for the start.
            Self::TurnToStart => *answers = Answers::default(),
            Self::TakeLock
            | Self::SaveDefinition
            | Self::Create
            | Self::StartDefined
            | Self::Restore
            | Self::Save(_)
            | Self::AbortSave { .. }
            | Self::Resume
            | Self::KeepStopped
            | Self::Wake
            | Self::Ask { .. }
            | Self::Destroy
            | Self::AbortJob
            | Self::StopAtTarget { .. }
            | Self::EndRun(_)
            | Self::Move
            | Self::PutRight { .. }
            | Self::TryAgain { .. } => {}
        }
    }
}

/// What follows from a look or an answer. It is done as well as it goes, and changes no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tidy {
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
    /// Keep the utilization attributes of its resource in the cluster at what it has.
    KeepUtilization,
    /// Tell whether its definition, where that is no file, is what it was started from.
    TellDrift,
    /// It runs: the image that it was restored from is done with, and what a save has left.
    DropState,
    /// It does not run: what a save has left is removed.
    ClearState,
    /// Log the answer as a warning, though it is a success.
    Warn(String),
    /// Log this as what somebody must mend at once.
    Alert(String),
}

/// What a line of the log is about that somebody must act upon at once.
pub(crate) const CRITICAL: &str = "critical";

/// How many seconds a wait has: whole ones, and tenths where there is less than one, since no wait is none.
struct WaitLength(Duration);

impl fmt::Display for WaitLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis().div_ceil(100)) {
            (0, 10) => f.write_str("1"),
            (0, tenths) => write!(f, "0.{}", tenths.max(1)),
            (seconds, _) => seconds.fmt(f),
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(query) => query.fmt(f),
            Self::Do(step) => step.fmt(f),
            Self::Wait(Delay::UntilChange(longest)) => write!(f, "wait up to {} s for a change", WaitLength(*longest)),
            Self::Wait(Delay::Fixed(_)) => f.write_str("look again"),
            Self::Wait(Delay::Stay(longest)) => {
                write!(f, "stay up to {} s for what may happen to it", WaitLength(*longest))
            }
            Self::Answer(outcome, _) => write!(f, "answer {}: {}", outcome.code.number(), outcome.reason),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Definition => "read the definition",
            Self::Kept => "ask whether libvirt keeps a definition of it",
            Self::Saved => "ask whether libvirt has saved memory of it",
            Self::State => "look for its memory in the folder of snapshot",
            Self::OwnSave => "look whose save is under way",
            Self::Elsewhere => "ask the host that it last migrated to",
            Self::Members => "ask the cluster's other members whether it runs there",
            Self::Storage => "ask its storage whether somebody else has its disks open",
            Self::Target => "ask the target whether it is there",
            Self::Rehearsal => "check both ends",
            Self::Switched => "ask whether its disks were switched",
            Self::Guest => "check the guest",
            Self::Agent => "ask the guest's agent",
            Self::Cause => "ask since when, and by what",
            Self::Queue => "wait until libvirt has begun with all that it was asked for",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropSaved => f.write_str("discard its saved memory"),
            Self::StartResources => f.write_str("start the networks and pools that it needs"),
            Self::Create => f.write_str("create it from the definition"),
            Self::StartDefined => f.write_str("start libvirt's own definition"),
            Self::Restore => f.write_str("restore it from its memory there"),
            Self::SetAside { why } => write!(f, "set its memory there aside ({why})"),
            Self::Save(longest) => {
                write!(f, "save its memory to the folder of snapshot, in at most {} s", WaitLength(*longest))
            }
            Self::AbortSave { ours: true } => f.write_str("abort the save that was cut short"),
            Self::AbortSave { ours: false } => f.write_str("abort the save that somebody else has begun"),
            Self::Resume => f.write_str("resume it"),
            Self::KeepStopped => f.write_str("have the cluster keep it stopped"),
            Self::Wake => f.write_str("wake the guest"),
            Self::Ask { mode, wait } => {
                write!(f, "ask the guest to shut down (mode {}) and wait up to {} s", mode.word(), WaitLength(*wait))
            }
            Self::Destroy => f.write_str("destroy it"),
            Self::EndRun(run) => write!(f, "end its {run}"),
            Self::AbortJob => f.write_str("abort the migration that takes it away"),
            Self::StopAtTarget { only_half: false } => f.write_str("end it at the migration's target"),
            Self::StopAtTarget { only_half: true } => f.write_str("end what is left of it at the migration's target"),
            Self::Move => f.write_str("move it to the target"),
            Self::PutRight { at: Side::Source, change: Change::Destroy } => f.write_str("end the copy left here"),
            Self::PutRight { at: Side::Destination, change: Change::DestroyWaiting } => {
                f.write_str("remove the placeholder left at the target")
            }
            Self::PutRight { at: Side::Source, change } => write!(f, "{change} here"),
            Self::PutRight { at: Side::Destination, change } => write!(f, "{change} at the target"),
            Self::TryAgain { pause, why } => write!(f, "wait {} s and try again ({why})", WaitLength(*pause)),
            Self::SaveDefinition => f.write_str("save what was changed in it into its definition's file"),
            Self::TakeLock => f.write_str("wait for the lock of another vm-agent"),
            Self::TurnToStart => f.write_str("it is stopped; go on with the start"),
        }
    }
}
