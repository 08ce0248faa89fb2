// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine's way from this host to another, as far as this action has seen it. Pure.
//!
//! libvirt shows a migration only while it lasts, and with its end the machine is gone from here. So each look is
//! remembered: what was seen tells a stop what the target may have of the machine.
//!
//! ```text
//!  nothing on record, or                             moved while this action
//!  a migration that was begun                        waited for the lock
//!        |                                                |
//!        v            a migration is seen                 v
//!     Unseen -----------------------------------------> Leaving    still < half < whole:
//!      ^   |                                            ^  |  |    the most that was seen
//!      |   |  here, nothing takes it away               |  |  |
//!      |   '--------------> Here ---- a migration ------'  |  |
//!      |                     ^        is seen              |  |
//!      |                     '---- here, nothing takes ----'  |
//!      |                           it away                    |
//!      '------------------ it arrives here -------------------'
//! ```
//! A look without libvirt's word on this, or at a machine that is off, changes nothing.

use crate::model::facts::{Domain, Noted, NotedStage};
use crate::model::state::{Motion, Pause, State};
use serde::{Deserialize, Serialize};

/// How far the machine is on its way from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outward {
    /// libvirt has not shown anything of it yet: only the record tells.
    Unseen(OnRecord),
    /// It is here, and libvirt has said that no migration takes it away.
    Here {
        /// One was on record for which the guest was paused: its agent did not live to undo that.
        cut_short: bool,
    },
    /// It was seen leaving.
    Leaving(Sight, OnRecord),
}

/// What is on record of a migration from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnRecord {
    /// Nothing, or one that had finished before this action was asked for.
    Nothing,
    /// One was begun, and nobody has seen its end.
    Begun,
    /// The same, and its agent had the guest paused for it, or was about to.
    Pausing,
    /// One that finished while this action waited for the lock.
    Finished,
}

/// What was seen of a migration, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Sight {
    /// A copy that stands still, without a job: what runs elsewhere need not come from it.
    Still,
    /// Post-copy: a half is at the target.
    Half,
    /// Its job, with the whole machine still here: what is at the target came from here.
    Whole,
}

impl Default for Outward {
    fn default() -> Self {
        Self::Unseen(OnRecord::Nothing)
    }
}

impl Outward {
    /// At the begin of an action: by the record `now`, and that of `before` it waited for the lock, where it has that.
    pub(super) fn on_record(now: Option<&Noted>, before: Option<Option<&Noted>>) -> Self {
        match (now, before) {
            (Some(Noted { stage: NotedStage::Begun, .. }), _) => Self::Unseen(OnRecord::Begun),
            (Some(Noted { stage: NotedStage::Pausing, .. }), _) => Self::Unseen(OnRecord::Pausing),
            // It was moved while this action waited, so it was here when this was asked for.
            (Some(_), Some(before)) if before != now => Self::Leaving(Sight::Whole, OnRecord::Finished),
            (Some(_) | None, _) => Self::default(),
        }
    }

    /// After another look, at which libvirt knew the domain.
    pub(super) fn remember(&mut self, domain: &Domain) {
        *self = match (seen(domain), *self) {
            (Glimpse::Nothing, as_before) | (Glimpse::Arriving, as_before @ Self::Here { .. }) => as_before,
            (Glimpse::Arriving, Self::Unseen(record) | Self::Leaving(_, record)) => Self::Unseen(record),
            // What was begun did not come to its end.
            (Glimpse::Here, before) => Self::Here { cut_short: before.was_cut_short() },
            (Glimpse::Leaving(sight), Self::Unseen(record)) => Self::Leaving(sight, record),
            (Glimpse::Leaving(sight), Self::Leaving(before, record)) => Self::Leaving(sight.max(before), record),
            (Glimpse::Leaving(sight), Self::Here { .. }) => Self::Leaving(sight, OnRecord::Nothing),
        }
    }

    /// Whether libvirt has said that it is here, and that nothing takes it away.
    #[must_use]
    pub(crate) const fn is_here(self) -> bool {
        matches!(self, Self::Here { .. })
    }

    /// Whether it was seen leaving, and not seen to have stayed.
    #[must_use]
    pub(crate) const fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving(..))
    }

    /// The most that was seen of its leaving.
    #[must_use]
    pub(crate) const fn sight(self) -> Option<Sight> {
        match self {
            Self::Leaving(sight, _) => Some(sight),
            Self::Unseen(_) | Self::Here { .. } => None,
        }
    }

    /// Whether the migration on record may be the one that took it away: it was not seen to have stayed since.
    #[must_use]
    pub(crate) const fn may_be_the_recorded_one(self) -> bool {
        match self {
            Self::Unseen(record) | Self::Leaving(_, record) => !matches!(record, OnRecord::Nothing),
            Self::Here { .. } => false,
        }
    }

    /// Whether an agent may have paused the guest for a migration whose end it did not see. That one was begun is not enough:
    /// libvirt tells a pause by such an agent from one by a person no further.
    #[must_use]
    pub(crate) const fn was_cut_short(self) -> bool {
        match self {
            Self::Unseen(record) | Self::Leaving(_, record) => matches!(record, OnRecord::Pausing),
            Self::Here { cut_short } => cut_short,
        }
    }
}

/// What one look shows.
enum Glimpse {
    Arriving,
    Leaving(Sight),
    /// It is here, and nothing takes it away.
    Here,
    Nothing,
}

const fn seen(domain: &Domain) -> Glimpse {
    match (domain.motion, domain.state) {
        (Motion::Arriving, _) => Glimpse::Arriving,
        (_, State::Paused(Pause::PostCopy | Pause::PostCopyFailed)) => Glimpse::Leaving(Sight::Half),
        (Motion::Leaving, _) => Glimpse::Leaving(Sight::Whole),
        (Motion::None | Motion::Unknown, State::Paused(Pause::Migration)) => Glimpse::Leaving(Sight::Still),
        (Motion::None, state) if state.active() => Glimpse::Here,
        (Motion::None | Motion::Unknown, _) => Glimpse::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::{Off, Running};

    const RUNS: State = State::Running(Running::Plain);
    const STILL: State = State::Paused(Pause::Migration);
    const HALF: State = State::Paused(Pause::PostCopy);
    const BEGUN: Outward = Outward::Unseen(OnRecord::Begun);
    const PAUSING: Outward = Outward::Unseen(OnRecord::Pausing);

    fn noted(stage: NotedStage) -> Noted {
        Noted { uri: "qemu+ssh://b/system".into(), node: None, stage }
    }

    /// After looks that showed these, one after the other.
    fn after(mut outward: Outward, looks: &[(State, Motion)]) -> Outward {
        for (state, motion) in looks {
            outward.remember(&Domain { name: "a".into(), uuid: [7; 16], state: *state, motion: *motion });
        }
        outward
    }

    #[test]
    fn it_begins_with_what_is_on_record() {
        let (begun, finished) = (noted(NotedStage::Begun), noted(NotedStage::Finished));
        assert_eq!(Outward::on_record(None, Some(None)), Outward::Unseen(OnRecord::Nothing));
        assert_eq!(Outward::on_record(Some(&begun), None), BEGUN);
        assert_eq!(Outward::on_record(Some(&noted(NotedStage::Pausing)), Some(None)), PAUSING);
        assert_eq!(Outward::on_record(Some(&begun), Some(None)), BEGUN);
        assert_eq!(Outward::on_record(Some(&finished), Some(Some(&finished))), Outward::Unseen(OnRecord::Nothing));
        assert_eq!(Outward::on_record(Some(&finished), None), Outward::Unseen(OnRecord::Nothing));
    }

    #[test]
    fn what_was_moved_while_the_action_waited_for_the_lock_has_left() {
        let finished = noted(NotedStage::Finished);
        let moved = Outward::on_record(Some(&finished), Some(Some(&noted(NotedStage::Begun))));
        assert_eq!(moved, Outward::Leaving(Sight::Whole, OnRecord::Finished));
        assert_eq!(Outward::on_record(Some(&finished), Some(None)), moved);
        assert!(moved.may_be_the_recorded_one() && !moved.was_cut_short());
    }

    #[test]
    fn a_migration_is_remembered_by_the_most_that_was_seen_of_it() {
        let (still, half) = ((STILL, Motion::None), (HALF, Motion::Leaving));
        let (driven, gone) = ((RUNS, Motion::Leaving), (State::ShutOff(Off::Migrated), Motion::None));
        let sight = |looks: &[(State, Motion)]| after(Outward::default(), looks).sight();
        assert_eq!(sight(&[still]), Some(Sight::Still));
        assert_eq!(sight(&[(STILL, Motion::Unknown)]), Some(Sight::Still));
        assert_eq!(sight(&[still, half]), Some(Sight::Half));
        assert_eq!(sight(&[half, still, gone]), Some(Sight::Half));
        assert_eq!(sight(&[driven, half, gone]), Some(Sight::Whole));
        assert_eq!(sight(&[(STILL, Motion::Leaving)]), Some(Sight::Whole));
    }

    #[test]
    fn what_stays_here_is_here_and_its_record_is_over() {
        for (begun, cut_short) in [(BEGUN, false), (PAUSING, true)] {
            for before in [begun, after(begun, &[(RUNS, Motion::Leaving)])] {
                assert!(before.may_be_the_recorded_one() && before.was_cut_short() == cut_short);
                let here = after(before, &[(RUNS, Motion::None)]);
                assert_eq!(here, Outward::Here { cut_short });
                assert!(here.is_here() && !here.may_be_the_recorded_one());
            }
        }
        assert_eq!(after(Outward::default(), &[(RUNS, Motion::None)]), Outward::Here { cut_short: false });
    }

    #[test]
    fn what_leaves_after_that_leaves_by_another_migration() {
        let again = after(BEGUN, &[(RUNS, Motion::None), (RUNS, Motion::Leaving)]);
        assert_eq!(again, Outward::Leaving(Sight::Whole, OnRecord::Nothing));
        assert!(!again.is_here() && !again.may_be_the_recorded_one() && !again.was_cut_short());
    }

    #[test]
    fn what_arrives_is_not_leaving() {
        let arriving = (STILL, Motion::Arriving);
        assert_eq!(after(BEGUN, &[(STILL, Motion::None), arriving]), BEGUN);
        let here = Outward::Here { cut_short: false };
        assert_eq!(after(here, &[arriving]), here);
    }

    #[test]
    fn a_look_that_says_nothing_of_it_changes_nothing() {
        let leaving = Outward::Leaving(Sight::Half, OnRecord::Begun);
        for before in [BEGUN, Outward::Here { cut_short: true }, leaving] {
            for says_nothing in [(RUNS, Motion::Unknown), (State::ShutOff(Off::Migrated), Motion::None)] {
                assert_eq!(after(before, &[says_nothing]), before);
            }
        }
    }
}
