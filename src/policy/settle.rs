// SPDX-License-Identifier: GPL-2.0-or-later
//! What is true after a migration: how the domain is here and there, and what follows. Pure.
//!
//! The rule behind the table: a copy may run at one end only when the other end is proven not to run it.

use crate::model::call::Caller;
use crate::model::facts::{Place, Process};
use crate::model::outcome::{Code, Outcome};
use crate::model::presence::Presence::{self, Active, Blind, Off, Stray, Unknown};
use crate::model::state::{Motion, Pause, Running, State};

/// How a migration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
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
pub(crate) fn outcome(end: End, caller: Caller) -> Outcome {
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

/// What an active domain is to a migration that leaves from its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtSource {
    /// It runs, or stands in a way that no migration caused.
    Runs(State),
    /// A migration is still under way; how it is meanwhile.
    Leaving(State),
    /// Paused in the middle of a migration that nobody drives any more.
    Stuck(State),
    /// In post-copy: the target has the other half of it.
    Half(State),
    /// libvirt does not say whether the migration is still on.
    Unclear(State),
    /// It has no process any more, and libvirt has not taken note of that.
    Ended(State),
}

/// What an active domain is to a migration that goes to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtTarget {
    /// It runs there, or is paused there by request.
    Whole(State),
    /// In post-copy: it needs memory from elsewhere, or has some that is needed there.
    Half(State),
    /// The incoming placeholder, which waits for its memory.
    Arriving,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
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
    /// End the placeholder there: the machine runs here, or nobody will fill the placeholder.
    DestroyThere,
    /// End the migration that is still under way.
    AbortHere,
}

/// Looks before a placeholder or a stuck copy counts as left behind: libvirt clears up by itself within moments.
const GRACE: u32 = 4;
/// Looks before a daemon that does not answer here counts as gone.
const PATIENCE: u32 = 8;

/// How it is at a migration's source.
#[must_use]
pub(crate) fn at_source(place: &Place) -> Presence<'_, AtSource> {
    place.presence().map(|domain| match (domain.motion, domain.state) {
        // Also while the job is on: what has begun cannot be aborted.
        (_, state @ State::Paused(Pause::PostCopy | Pause::PostCopyFailed)) => AtSource::Half(state),
        (Motion::Leaving, state) => AtSource::Leaving(state),
        (Motion::Unknown, state) => AtSource::Unclear(state),
        (Motion::None | Motion::Arriving, state @ State::Paused(Pause::Migration)) => AtSource::Stuck(state),
        (Motion::None | Motion::Arriving, state) if place.process == Process::Gone => AtSource::Ended(state),
        (Motion::None | Motion::Arriving, state) => AtSource::Runs(state),
    })
}

/// How it is at a migration's target. What stands still there for a migration is the placeholder, whatever its job is said
/// to be.
#[must_use]
pub(crate) fn at_target(place: &Place) -> Presence<'_, AtTarget> {
    place.presence().map(|domain| {
        let state = domain.state;
        let running = matches!(state, State::Running(Running::PostCopy | Running::PostCopyFailed));
        if state.may_be_arriving() {
            AtTarget::Arriving
        } else if running || matches!(state, State::Paused(Pause::PostCopy | Pause::PostCopyFailed)) {
            AtTarget::Half(state)
        } else {
            AtTarget::Whole(state)
        }
    })
}

/// The table. `looks` counts how often both ends were looked at; `last` says that no time is left for another look.
#[must_use]
pub(crate) fn judge(here: &Presence<'_, AtSource>, there: &Presence<'_, AtTarget>, looks: u32, last: bool) -> Then {
    let patient = looks < GRACE;
    let then = match (here, there) {
        (Off(_), Active(AtTarget::Whole(_) | AtTarget::Half(_))) => Then::Moved,
        // It may have shut down on the way; once is not enough to say so.
        (Off(_), Off(_)) if looks > 1 => Then::NotHere,
        (Off(_), _) => Then::LookAgain,
        (Active(AtSource::Leaving(_)), _) if patient => Then::LookAgain,
        (Active(AtSource::Leaving(_)), _) => Then::AbortHere,
        (Active(AtSource::Runs(_)), Off(_)) => Then::Stayed,
        // It runs here, but if only the last word of the target was lost, it runs there as well: so not said at once.
        (Active(AtSource::Runs(_)), _) if patient => Then::LookAgain,
        (Active(AtSource::Runs(_)), Unknown(_)) => Then::Stayed,
        (Active(AtSource::Runs(_)), Active(AtTarget::Arriving)) => Then::DestroyThere,
        // Two copies: nobody but a person can tell which one to keep.
        (Active(AtSource::Runs(_)), Active(AtTarget::Whole(_) | AtTarget::Half(_)) | Blind { .. } | Stray { .. }) => {
            Then::Unclear
        }
        (Active(AtSource::Stuck(_) | AtSource::Half(_)), _) if patient => Then::LookAgain,
        // The half there is lost, and with it the machine.
        (Active(AtSource::Half(_)), Off(_)) => Then::Unclear,
        // The target still needs memory from here. After a failure libvirt goes on when both ends reach each other again.
        (Active(AtSource::Half(_)), _) | (Active(AtSource::Stuck(_)), Active(AtTarget::Half(_))) => Then::LookAgain,
        (Active(AtSource::Stuck(_)), Active(AtTarget::Whole(_))) => Then::DestroyHere,
        (Active(AtSource::Stuck(_)), Off(_)) => Then::ResumeHere,
        (Active(AtSource::Stuck(_)), Active(AtTarget::Arriving)) => Then::DestroyThere,
        (Active(AtSource::Stuck(_)), Unknown(_) | Blind { .. } | Stray { .. }) => Then::LookAgain,
        // Its process lives, and the target says that it does not have it. The daemon here had time to return.
        (Blind { .. } | Stray { .. }, Off(_)) if looks > PATIENCE => Then::Stayed,
        (Active(AtSource::Unclear(_) | AtSource::Ended(_)) | Blind { .. } | Stray { .. } | Unknown(_), _) => {
            Then::LookAgain
        }
    };
    if !last || !matches!(then, Then::LookAgain | Then::AbortHere) {
        return then;
    }
    match (here, there) {
        (Blind { .. } | Stray { .. }, Off(_)) => Then::Stayed,
        // libvirt lets it run on here only when it has not handed it over.
        (
            Active(AtSource::Runs(_) | AtSource::Leaving(State::Running(_))),
            Unknown(_) | Off(_) | Active(AtTarget::Arriving),
        ) => Then::Stayed,
        (Off(_), Off(_)) => Then::NotHere,
        (Active(_) | Blind { .. } | Stray { .. } | Off(_) | Unknown(_), _) => Then::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::{Domain, Libvirt, RunId, Silence};

    const RUNS: State = State::Running(Running::Plain);
    const STUCK: State = State::Paused(Pause::Migration);

    const HALF: [State; 2] = [State::Paused(Pause::PostCopy), State::Paused(Pause::PostCopyFailed)];

    /// All that a place can be, with these domains in it.
    fn all<D>(domains: impl IntoIterator<Item = D>) -> Vec<Presence<'static, D>> {
        let silence: &Silence = Box::leak(Box::new(Silence::refused("w")));
        let run = RunId::Process { pid: 1, start: 2 };
        let process = |ran: bool| Blind { run, incoming: !ran, name: "a", ending: false, ran, silence };
        let mut all =
            vec![process(true), process(false), Stray { run, name: "a" }, Off("w".into()), Unknown("w".into())];
        all.extend(domains.into_iter().map(Active));
        all
    }

    fn all_here() -> Vec<Presence<'static, AtSource>> {
        let half = HALF.map(AtSource::Half);
        let leaving = [AtSource::Leaving(RUNS), AtSource::Leaving(STUCK)];
        let others = [AtSource::Runs(RUNS), AtSource::Stuck(STUCK), AtSource::Unclear(RUNS), AtSource::Ended(RUNS)];
        all(half.into_iter().chain(leaving).chain(others))
    }

    fn all_there() -> Vec<Presence<'static, AtTarget>> {
        let half = State::Running(Running::PostCopy);
        all([AtTarget::Whole(RUNS), AtTarget::Half(half), AtTarget::Arriving])
    }

    #[test]
    fn it_is_resumed_here_only_when_the_target_says_that_it_does_not_run_it() {
        for here in all_here() {
            for there in all_there() {
                for looks in 1..8 {
                    if judge(&here, &there, looks, false) == Then::ResumeHere {
                        assert!(
                            here == Active(AtSource::Stuck(STUCK)) && matches!(there, Off(_)),
                            "{here:?} {there:?}"
                        );
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
                    assert_eq!((&here, &there), (&Active(AtSource::Stuck(STUCK)), &Active(AtTarget::Whole(RUNS))));
                }
                if then == Then::DestroyThere {
                    assert_eq!(there, Active(AtTarget::Arriving));
                }
            }
        }
    }

    #[test]
    fn what_has_begun_post_copy_is_waited_for_and_never_resumed_ended_or_aborted() {
        for half in HALF {
            for there in all_there() {
                let then = judge(&Active(AtSource::Half(half)), &there, 9, false);
                assert_eq!(then, if matches!(there, Off(_)) { Then::Unclear } else { Then::LookAgain });
            }
        }
    }

    /// After a post-copy that went on by itself, the source is seen in its end, however often it was looked at before.
    #[test]
    fn one_whose_process_is_gone_does_not_run_here_and_is_waited_for() {
        let domain = Domain { name: "a".into(), uuid: [1; 16], state: State::InShutdown, motion: Motion::None };
        let place = |process| Place { libvirt: Libvirt::Domain(domain.clone()), process, ..Place::silent("w") };
        for there in all_there() {
            assert_eq!(judge(&at_source(&place(Process::Gone)), &there, 9, false), Then::LookAgain);
        }
        assert_eq!(at_source(&place(Process::NotLooked)), Active(AtSource::Runs(State::InShutdown)));
    }

    #[test]
    fn moved_and_stayed_need_evidence() {
        for here in all_here() {
            for there in all_there() {
                for last in [false, true] {
                    let then = judge(&here, &there, 9, last);
                    if then == Then::Moved {
                        let runs = matches!(there, Active(AtTarget::Whole(_) | AtTarget::Half(_)));
                        assert!(matches!(here, Off(_)) && runs, "{here:?} {there:?}");
                    }
                    if then == Then::Stayed {
                        let lives = matches!(here, Active(AtSource::Runs(_)) | Blind { .. } | Stray { .. });
                        assert!(lives || here == Active(AtSource::Leaving(RUNS)), "{here:?} {there:?}");
                        assert!(matches!(there, Off(_) | Unknown(_) | Active(AtTarget::Arriving)), "{there:?}");
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
