// SPDX-License-Identifier: GPL-2.0-or-later
//! What is true after a migration: how the domain is here and there, and what follows. Pure.
//!
//! The rule behind the table: a copy may run at one end only when the other end is proven not to run it.

use crate::model::call::Caller;
use crate::model::facts::Facts;
use crate::model::outcome::{Code, Outcome};
use crate::model::presence::{Presence, presence};
use crate::model::state::Motion;
use crate::model::state::{Pause, Running, State};
use crate::model::worker::Lookup;
use std::fmt;

/// How a migration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It runs at the target, and not here.
    Moved(String),
    /// It runs here, and not at the target.
    Stayed(String),
    /// It does not run here (any more), and it is not proven that it runs at the target.
    NotHere(String),
    /// The request makes no sense.
    Impossible(String),
    /// It cannot be told where it runs.
    Unclear(String),
}

/// What a manager is told of that end.
#[must_use]
pub fn outcome(end: End, caller: Caller) -> Outcome {
    let rgmanager = |code: Code| if caller == Caller::Rgmanager { code } else { Code::Generic };
    // To Pacemaker every failure is 1: other codes ban nodes, and 6 stops the machine everywhere.
    match end {
        End::Moved(why) => Outcome::new(Code::Ok, why),
        End::Stayed(why) => Outcome::new(rgmanager(Code::StayedHere), why),
        End::NotHere(why) | End::Unclear(why) => Outcome::new(rgmanager(Code::NotRunning), why),
        End::Impossible(why) if caller == Caller::Human => Outcome::new(Code::Args, why),
        End::Impossible(why) => Outcome::new(rgmanager(Code::Configured), why),
    }
}

/// How it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// It runs, or stands in a way that no migration caused.
    Runs(State),
    /// A migration is still under way; how it is meanwhile.
    Leaving(State),
    /// Paused in the middle of a migration that nobody drives any more.
    Stuck(State),
    /// In post-copy: the target has the other half of it.
    Half(State),
    /// Its process lives, and libvirt does not answer.
    Blind(String),
    /// Not here, by evidence.
    Gone,
    /// Nobody can tell.
    Unknown(String),
}

/// How it is at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum There {
    /// It runs there, or is paused there by request.
    Running(State),
    /// The shell that waits for its memory.
    Arriving,
    /// Not there, by the target's own word.
    Off,
    /// The target cannot be asked.
    Unknown(String),
}

impl There {
    /// Whether a whole machine is there, and not the half of one in post-copy, or a shell.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        match self {
            Self::Running(
                State::Running(Running::PostCopy | Running::PostCopyFailed)
                | State::Paused(Pause::PostCopy | Pause::PostCopyFailed),
            )
            | Self::Arriving
            | Self::Off
            | Self::Unknown(_) => false,
            Self::Running(_) => true,
        }
    }
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is over: it runs there.
    Moved,
    /// It is over: it runs here.
    Stayed,
    /// It is over: it runs at neither end.
    NotHere,
    /// Time is over, and it is not clear.
    Unclear,
    /// Look at both ends again.
    LookAgain,
    /// Resume it here: the target is proven not to run it.
    ResumeHere,
    /// End the copy that stands still here: it runs there.
    DestroyHere,
    /// End the shell there: it runs here, or nobody will fill the shell.
    DestroyThere,
    /// End the migration that is still under way.
    AbortHere,
}

/// Looks before a shell or a stuck copy counts as left behind: libvirt clears up by itself within moments.
const GRACE: u32 = 4;
/// Looks before a daemon that does not answer here counts as gone.
const PATIENCE: u32 = 8;

/// What an observation of this host comes down to.
#[must_use]
pub fn here(seen: &Facts) -> Here {
    match presence(seen) {
        Presence::Active(domain) => match (domain.motion, domain.state) {
            // Also while the job is on: what has begun cannot be aborted.
            (_, State::Paused(Pause::PostCopy | Pause::PostCopyFailed)) => Here::Half(domain.state),
            (Motion::Leaving, state) => Here::Leaving(state),
            (Motion::Unknown, _) => Here::Unknown("libvirt does not say whether the migration is still on".into()),
            (Motion::None | Motion::Arriving, State::Paused(Pause::Migration)) => Here::Stuck(domain.state),
            (Motion::None | Motion::Arriving, state) => Here::Runs(state),
        },
        Presence::Blind { pid, silence, .. } => Here::Blind(format!("process {pid} runs, but {}", silence.why)),
        Presence::Stray { pid, .. } => Here::Blind(format!("process {pid} runs, but libvirt lost the domain")),
        Presence::Off(_) => Here::Gone,
        Presence::Unknown(why) => Here::Unknown(why),
    }
}

/// What the target's word comes down to.
#[must_use]
pub fn there(lookup: &Lookup) -> There {
    match lookup {
        Lookup::Absent => There::Off,
        Lookup::Found(facts) => {
            let state = State::from_numbers(facts.state, facts.reason);
            if !state.active() {
                There::Off
            } else if matches!(state, State::Paused(Pause::Migration | Pause::StartingUp)) {
                There::Arriving
            } else {
                There::Running(state)
            }
        }
    }
}

/// The table. `looks` counts how often both ends were looked at; `last` says that no time is left for another look.
#[must_use]
pub fn judge(here: &Here, there: &There, looks: u32, last: bool) -> Then {
    let patient = looks < GRACE;
    let then = match (here, there) {
        (Here::Gone, There::Running(_)) => Then::Moved,
        // It may have shut down on the way; once is not enough to say so.
        (Here::Gone, There::Off) if looks > 1 => Then::NotHere,
        (Here::Gone, There::Off | There::Arriving | There::Unknown(_)) => Then::LookAgain,
        (Here::Leaving(_), _) if patient => Then::LookAgain,
        (Here::Leaving(_), _) => Then::AbortHere,
        (Here::Runs(_), There::Off) => Then::Stayed,
        // It runs here, but if only the last word of the target was lost, it runs there as well: so not said at once.
        (Here::Runs(_), There::Unknown(_)) if patient => Then::LookAgain,
        (Here::Runs(_), There::Unknown(_)) => Then::Stayed,
        (Here::Runs(_), There::Arriving) if patient => Then::LookAgain,
        (Here::Runs(_), There::Arriving) => Then::DestroyThere,
        (Here::Runs(_), There::Running(_)) if patient => Then::LookAgain,
        // Two copies: nobody but a person can tell which one to keep.
        (Here::Runs(_), There::Running(_)) => Then::Unclear,
        (Here::Stuck(_) | Here::Half(_), _) if patient => Then::LookAgain,
        // The half there is lost, and with it the machine.
        (Here::Half(_), There::Off) => Then::Unclear,
        // The target still needs memory from here. After a failure libvirt goes on when both ends reach each other again.
        (Here::Half(_), _)
        | (Here::Stuck(_), There::Running(State::Running(Running::PostCopy | Running::PostCopyFailed))) => {
            Then::LookAgain
        }
        (Here::Stuck(_), There::Running(_)) => Then::DestroyHere,
        (Here::Stuck(_), There::Off) => Then::ResumeHere,
        (Here::Stuck(_), There::Arriving) => Then::DestroyThere,
        (Here::Stuck(_), There::Unknown(_)) => Then::LookAgain,
        // Its process lives, and the target says that it does not have it. The daemon here had time to return.
        (Here::Blind(_), There::Off) if looks > PATIENCE => Then::Stayed,
        (Here::Blind(_) | Here::Unknown(_), _) => Then::LookAgain,
    };
    if !last || !matches!(then, Then::LookAgain | Then::AbortHere) {
        return then;
    }
    match (here, there) {
        (Here::Blind(_), There::Off) => Then::Stayed,
        // libvirt lets it run on here only when it has not handed it over.
        (Here::Runs(_) | Here::Leaving(State::Running(_)), There::Unknown(_) | There::Off | There::Arriving) => {
            Then::Stayed
        }
        (Here::Gone, There::Off) => Then::NotHere,
        (
            Here::Blind(_)
            | Here::Gone
            | Here::Runs(_)
            | Here::Leaving(_)
            | Here::Stuck(_)
            | Here::Half(_)
            | Here::Unknown(_),
            There::Running(_) | There::Arriving | There::Off | There::Unknown(_),
        ) => Then::Unclear,
    }
}

impl fmt::Display for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(state) | Self::Stuck(state) | Self::Half(state) => write!(f, "it is {state}"),
            Self::Leaving(_) => f.write_str("it is still migrating"),
            Self::Blind(why) | Self::Unknown(why) => f.write_str(why),
            Self::Gone => f.write_str("it is gone"),
        }
    }
}

impl fmt::Display for There {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(state) => write!(f, "it is {state}"),
            Self::Arriving => f.write_str("it is still arriving"),
            Self::Off => f.write_str("it is not running"),
            Self::Unknown(why) => write!(f, "nobody answers ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: State = State::Running(Running::Plain);
    const STUCK: State = State::Paused(Pause::Migration);

    fn all_here() -> Vec<Here> {
        let why = || "w".to_owned();
        vec![
            Here::Runs(RUNS),
            Here::Leaving(RUNS),
            Here::Leaving(STUCK),
            Here::Stuck(STUCK),
            Here::Half(State::Paused(Pause::PostCopy)),
            Here::Half(State::Paused(Pause::PostCopyFailed)),
            Here::Blind(why()),
            Here::Gone,
            Here::Unknown(why()),
        ]
    }

    fn all_there() -> Vec<There> {
        let half = State::Running(Running::PostCopy);
        vec![There::Running(RUNS), There::Running(half), There::Arriving, There::Off, There::Unknown("w".into())]
    }

    #[test]
    fn it_is_resumed_here_only_when_the_target_says_that_it_does_not_run_it() {
        for here in all_here() {
            for there in all_there() {
                for looks in 1..8 {
                    if judge(&here, &there, looks, false) == Then::ResumeHere {
                        assert_eq!((&here, &there), (&Here::Stuck(STUCK), &There::Off));
                    }
                }
            }
        }
    }

    #[test]
    fn it_is_ended_here_only_when_it_runs_there_and_there_only_when_it_is_a_shell() {
        for here in all_here() {
            for there in all_there() {
                let then = judge(&here, &there, 9, false);
                if then == Then::DestroyHere {
                    assert_eq!((&here, &there), (&Here::Stuck(STUCK), &There::Running(RUNS)));
                }
                if then == Then::DestroyThere {
                    assert_eq!(there, There::Arriving);
                }
            }
        }
    }

    #[test]
    fn what_has_begun_post_copy_is_waited_for_and_never_resumed_ended_or_aborted() {
        for pause in [Pause::PostCopy, Pause::PostCopyFailed] {
            for there in all_there() {
                let then = judge(&Here::Half(State::Paused(pause)), &there, 9, false);
                assert_eq!(then, if there == There::Off { Then::Unclear } else { Then::LookAgain });
            }
        }
    }

    #[test]
    fn moved_and_stayed_need_evidence() {
        for here in all_here() {
            for there in all_there() {
                for last in [false, true] {
                    let then = judge(&here, &there, 9, last);
                    if then == Then::Moved {
                        assert!(matches!((&here, &there), (Here::Gone, There::Running(_))));
                    }
                    if then == Then::Stayed {
                        assert!(
                            matches!(here, Here::Runs(_) | Here::Leaving(RUNS) | Here::Blind(_))
                                && !matches!(there, There::Running(_))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_case_ends_when_time_is_over() {
        for here in all_here() {
            for there in all_there() {
                assert!(!matches!(judge(&here, &there, 9, true), Then::LookAgain | Then::AbortHere));
            }
        }
    }
}
