// SPDX-License-Identifier: GPL-2.0-or-later
//! What was done so far, and the time. Pure.

use super::moving::Moving;
use super::outward::Outward;
use crate::model::change::ShutdownMode;
use crate::model::facts::{Fact, Facts, Libvirt, Noted, RunId};
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::model::state::{Pause, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What was done so far, and the time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    /// What is left until this agent must have answered.
    pub left: Duration,
    /// Since the action began.
    pub spent: Duration,
    /// The name under which libvirt last showed it active: its definition may have another by now, or be out of reach.
    pub name: Option<String>,
    /// The host that it last migrated to from here, if that is noted.
    pub moved_to: Option<String>,
    /// How far it is on its way from here by a migration.
    pub outward: Outward,
    /// When the cluster's members were first asked, or first again after their word had become old.
    pub members_asked: Option<Duration>,
    /// When they last gave it.
    pub members_told: Option<Duration>,
    /// Result of deleting its saved memory, when tried.
    pub dropped: Option<Result<(), Failure>>,
    /// Result of starting the networks and pools that it needs, when tried.
    pub resources: Option<Result<(), Failure>>,
    /// Result of creating or starting, when tried.
    pub start: Option<Result<(), Failure>>,
    /// Result of restoring its memory, when tried; the start's, too.
    pub restored: Option<Result<(), Failure>>,
    /// Result of setting its memory aside, when tried: what was done, in a sentence.
    pub set_aside: Option<Result<String, Failure>>,
    /// Result of saving its memory, when tried: the path, or why it was not saved.
    pub saving: Option<Result<String, Failure>>,
    /// How long that took.
    pub save_took: Duration,
    /// Until when a save that is not this action's was under way, as far as it was seen.
    pub saved_by_others: Option<Duration>,
    /// Whether that was so at the last look.
    pub sees_a_save: bool,
    /// Result of resuming, when tried.
    pub resume: Option<Result<(), Failure>>,
    /// Result of having the cluster keep it stopped, when tried.
    pub kept_stopped: Option<Result<(), Failure>>,
    /// Result of waking the guest, when tried.
    pub woken: Option<Result<(), Failure>>,
    /// Requests to shut down, with the mode and what came of each.
    pub asked: Vec<(ShutdownMode, Result<(), Failure>)>,
    /// Whether the guest began anew after it was asked to shut down.
    pub rebooted: bool,
    /// Whether saving into its file what was changed in it was tried.
    pub saved: bool,
    /// Result of aborting an outgoing migration, when tried.
    pub aborted: Option<Result<(), Failure>>,
    /// Result of ending it at the target of that migration, when tried; how it is there, or why it may still run.
    pub at_target: Option<Result<String, Failure>>,
    /// Results of destroying.
    pub destroyed: Vec<Result<(), Failure>>,
    /// Results of ending the process, or Xen's domain.
    pub killed: Vec<Result<(), Failure>>,
    /// Which was last tried.
    pub killed_run: Option<RunId>,
    /// Since the first `Wait` after the last other step; zero when that was no `Wait`.
    pub waited: Duration,
    /// Whether restart and recover are past their stop.
    pub stopped: bool,
    /// Whether this action holds the machine's lock.
    pub locked: bool,
    /// Another agent that may start what this stop ends, and beside which it went on.
    pub beside: Option<String>,
    /// Whether the lock was got in the end; `None`: not tried.
    pub locked_at_last: Option<bool>,
    /// Whether a signal asks for the end of the action.
    pub interrupted: bool,
    /// Whether this is the first monitor of a run of the machine, for all that is on record; `None`: not looked for.
    pub first_monitor: Option<bool>,
    /// A migration from here that this action is.
    pub moving: Moving,
}

impl History {
    /// What is known when an action begins: the migration on record, and the one `before` this agent waited for the lock,
    /// where it has that.
    #[must_use]
    pub(crate) fn on_record(noted: Option<Noted>, before: Option<Option<Noted>>) -> Self {
        let outward = Outward::on_record(noted.as_ref(), before.as_ref().map(Option::as_ref));
        Self { outward, moved_to: noted.map(|noted| noted.uri), ..Self::default() }
    }

    /// Whether the guest was asked to shut down, or anything was done to end it by force.
    #[must_use]
    pub(crate) fn has_asked_or_forced(&self) -> bool {
        !self.asked.is_empty() || !self.destroyed.is_empty() || !self.killed.is_empty()
    }

    /// Whether a start that is on record is over: its machine runs; or it does not, and libvirt has begun with what this
    /// agent asked it for. An agent that has not asked cannot know that, see `Query::Queue`.
    #[must_use]
    pub(crate) fn shows_a_start_over(&self, seen: &Facts) -> bool {
        seen.here.shows_the_start() || (self.may_be_over(seen) && seen.answers.queue_passed == Fact::Known(()))
    }

    /// Whether libvirt says that a machine is off which this agent asked it to start.
    pub(super) fn may_be_over(&self, seen: &Facts) -> bool {
        seen.here.starting.is_some()
            && self.start.is_some()
            && matches!(seen.here.libvirt, Libvirt::Domain(_) | Libvirt::NoDomain)
            && matches!(seen.here.presence(), Presence::Off(_))
    }

    /// Remembers that a run was ended by force, or was to be.
    pub(crate) fn note_killed(&mut self, run: RunId, result: Result<(), Failure>) {
        self.killed_run = Some(run);
        self.killed.push(result);
    }

    /// Remembers of a look what later ones may not show any more.
    pub(crate) fn remember(&mut self, seen: &mut Facts) {
        seen.answers.target = self.moving.looked();
        if let Libvirt::Domain(domain) = &seen.here.libvirt {
            if domain.state.active() {
                self.name = Some(domain.name.clone());
            }
            let saves = domain.state == State::Paused(Pause::Save) && self.saving.is_none();
            if saves || self.sees_a_save {
                self.saved_by_others = Some(self.spent);
            }
            self.sees_a_save = saves;
            self.outward.remember(domain);
        }
    }

    /// The stop of a restart is done: what was tried in it does not count for its start.
    pub(crate) fn turn_to_start(&mut self) {
        let moved_to = self.moved_to.take();
        *self = Self { left: self.left, spent: self.spent, moved_to, stopped: true, ..Self::default() };
    }
}
