// SPDX-License-Identifier: GPL-2.0-or-later
//! What would happen: the policy of `decide` played through in an imagined world. Pure; `explain` prints it, and the
//! scenario tests read as stories because of it.

mod steps;

use super::recording::Recording;
use crate::model::call::Invocation;
use crate::model::facts::{
    Cause, Definition, Fact, Facts, GuestAgent, Libvirt, Noted, NotedStage, Peer, Place, Process,
};
use crate::model::failure::Failure;
use crate::model::outcome::Outcome;
use crate::model::saved_state::SavedState;
use crate::model::storage::OpenDisk;
use crate::policy::migrate;
use crate::policy::moving::{Failed, Moving};
use crate::policy::{Delay, History, Look, Next, Query, Step, Tidy, World};
use std::time::Duration;

/// How the imagined world behaves; the default is: everything works, at once.
#[derive(Clone, Debug)]
pub(crate) struct Imagined {
    /// The host that it last migrated to.
    pub moved_to: Option<String>,
    /// That migration is not on record as finished.
    pub unfinished: bool,
    /// libvirt was told to pause the guest until that migration had ended, and nobody has seen its end.
    pub pausing: bool,
    /// How it is there.
    pub elsewhere: Place,
    /// How it is at the cluster's other members.
    pub peers: Fact<Vec<Peer>>,
    /// A disk of it that somebody else has open.
    pub open_elsewhere: Fact<Option<OpenDisk>>,
    /// Whether libvirt keeps a definition of the active domain.
    pub kept: Fact<bool>,
    /// Whether libvirt has saved memory of it.
    pub saved: Fact<bool>,
    /// Deleting that fails.
    pub drop_fails: Option<Failure>,
    /// What is in the folder of `snapshot`.
    pub state: Fact<SavedState>,
    /// A save that is under way is an agent's, which did not live to end it.
    pub own_save: Fact<bool>,
    /// Restoring it fails.
    pub restore_fails: Option<Failure>,
    /// Setting it aside fails.
    pub aside_fails: Option<Failure>,
    /// Saving its memory fails.
    pub save_fails: Option<Failure>,
    /// The guest ignores requests to shut down.
    pub stubborn: bool,
    /// The guest begins anew when it is asked to shut down.
    pub reboots: bool,
    /// Requests to shut down fail.
    pub ask_fails: Option<Failure>,
    /// The networks and pools that it needs cannot be started.
    pub resources_fail: Option<Failure>,
    /// Starting fails.
    pub start_fails: Option<Failure>,
    /// The domain is off again right after its start.
    pub start_dies: bool,
    /// Resuming fails.
    pub resume_fails: Option<Failure>,
    /// What the guest's agent is found to be.
    pub agent: Fact<GuestAgent>,
    /// What is known of a machine that stands still, or has ended.
    pub cause: Cause,
    /// The cluster does not take it that it is to be kept stopped.
    pub keep_fails: Option<Failure>,
    /// Waking the guest fails.
    pub wake_fails: Option<Failure>,
    /// libvirt does not come to all that it was asked for, in these words.
    pub queue_stands: Option<String>,
    /// What libvirt says once the process has ended, as long as it is not done with the domain.
    pub after_end: Option<Libvirt>,
    /// Destroying fails (after 10 s).
    pub destroy_fails: Option<Failure>,
    /// Ending the process fails.
    pub kill_fails: Option<Failure>,
    /// The guest's check fails with these words.
    pub check_fails: Option<String>,
    /// An outgoing migration arrives in spite of being aborted.
    pub arrives: bool,
    /// The aborted job is still there after the abort.
    pub lingers: bool,
    /// Ending it at the migration's target fails.
    pub target_fails: Option<Failure>,
    /// What the definition turns out to be when it is read.
    pub definition: Option<Definition>,
    /// Another agent that may start it, beside which a stop goes on.
    pub beside: Option<String>,
    /// That agent does not end in time.
    pub stays: bool,
    /// A migration is only rehearsed, and finds this in its way.
    pub rehearse: bool,
    /// See `rehearse`.
    pub in_the_way: Option<String>,
    /// This host's name, and the connection URI to its libvirt.
    pub own: String,
    /// See `own`.
    pub uri: String,
    /// How it is at the migration's target.
    pub there: Place,
    /// The target answers after it was asked so often in vain.
    pub target_silent: u32,
    /// libvirt was told to pause the guest until it has moved.
    pub paused_late: bool,
    /// A try to move it fails, as often as this is told; then one succeeds.
    pub move_fails: Vec<Failed>,
    /// What is seen after a try that failed.
    pub after_move: Option<Libvirt>,
    /// What libvirt is asked to put right stays as it is.
    pub stuck: bool,
    /// A signal asks for the end.
    pub interrupted: bool,
    /// What is to be told of switched disks.
    pub switched: Option<String>,
    /// No monitor has answered in this run of it.
    pub first_monitor: bool,
    /// What is seen after the first wait.
    pub later: Option<(Option<Libvirt>, Option<Process>)>,
}

impl Default for Imagined {
    fn default() -> Self {
        Self {
            moved_to: None,
            unfinished: false,
            pausing: false,
            elsewhere: Place::by_word(Libvirt::NoDomain),
            peers: Fact::Known(Vec::new()),
            open_elsewhere: Fact::Known(None),
            kept: Fact::Known(true),
            saved: Fact::Known(false),
            drop_fails: None,
            state: Fact::Known(SavedState::Nothing),
            own_save: Fact::Known(false),
            restore_fails: None,
            aside_fails: None,
            save_fails: None,
            stubborn: false,
            reboots: false,
            ask_fails: None,
            resources_fail: None,
            start_fails: None,
            start_dies: false,
            resume_fails: None,
            agent: Fact::Known(GuestAgent::Answers),
            cause: Cause::default(),
            keep_fails: None,
            wake_fails: None,
            queue_stands: None,
            after_end: None,
            destroy_fails: None,
            kill_fails: None,
            check_fails: None,
            arrives: false,
            lingers: false,
            target_fails: None,
            definition: None,
            beside: None,
            stays: false,
            rehearse: false,
            in_the_way: None,
            own: "here".into(),
            uri: "qemu:///system".into(),
            there: Place::by_word(Libvirt::NoDomain),
            target_silent: 0,
            paused_late: false,
            move_fails: Vec::new(),
            after_move: None,
            stuck: false,
            interrupted: false,
            switched: None,
            first_monitor: false,
            later: None,
        }
    }
}

/// More steps than any action takes.
const ENOUGH: usize = 2000;

/// Plays `inv` from `seen`: the steps, and the answer.
#[must_use]
pub(crate) fn play(inv: &Invocation, seen: &Facts, world: &Imagined) -> (Vec<Next>, Option<Outcome>) {
    play_recorded(inv, seen, world, &mut Recording::begin())
}

/// The same, with each look in a recording.
pub(crate) fn play_recorded(
    inv: &Invocation,
    seen: &Facts,
    world: &Imagined,
    recording: &mut Recording,
) -> (Vec<Next>, Option<Outcome>) {
    let mut seen = seen.clone();
    // No story tells of these questions: their answers are known from the beginning.
    seen.answers.switched = Fact::Known(world.switched.clone());
    seen.answers.cause = Fact::Known(world.cause.clone());
    let mut story = Story {
        inv: inv.clone(),
        seen,
        world: world.clone(),
        spent: Duration::ZERO,
        left: inv.budget().time(),
        steps: Vec::new(),
    };
    let outcome = super::play(inv, &mut story, recording);
    let ended = story.steps.len() < ENOUGH;
    (story.steps, ended.then_some(outcome))
}

/// An imagined world while a policy is played on it.
struct Story {
    inv: Invocation,
    seen: Facts,
    world: Imagined,
    spent: Duration,
    left: Duration,
    steps: Vec<Next>,
}

impl World for Story {
    fn begin(&mut self) -> Result<History, Outcome> {
        if self.inv.action.moves() {
            let target = Some(migrate::destination(&self.inv, &self.world.own, &self.world.uri)?);
            let moving = Moving { target, rehearse: self.world.rehearse, ..Moving::default() };
            return Ok(History { locked: true, moving, ..History::default() });
        }
        let stage = match (self.world.pausing, self.world.unfinished) {
            (true, _) => NotedStage::Pausing,
            (false, true) => NotedStage::Begun,
            (false, false) => NotedStage::Finished,
        };
        let noted = self.world.moved_to.clone().map(|uri| Noted { uri, node: None, stage });
        let mut done = History { locked: true, ..History::on_record(noted, None) };
        done.beside = self.world.beside.clone();
        Ok(done)
    }

    fn look(&mut self) -> Look {
        Look { facts: self.seen.clone(), hurried: false }
    }

    fn ask(&mut self, query: Query, facts: &mut Facts, _done: &History) {
        if query == Query::Members && self.world.peers == Fact::Known(Vec::new()) {
            // Where there is no cluster nobody is asked, and nothing is told of that.
            facts.answers.peers = self.world.peers.clone();
            return;
        }
        let spent = self.world.ask(query, &mut self.seen, &mut facts.answers, self.left);
        self.passed(Next::Ask(query), spent);
    }

    fn carry_out(&mut self, step: &Step, _facts: &Facts, done: &mut History) {
        done.left = self.left;
        let spent = self.world.carry_out(step, &mut self.seen, done);
        self.passed(Next::Do(step.clone()), spent);
    }

    fn wait(&mut self, delay: Delay, _facts: &Facts, done: &mut History) {
        let spent = match delay {
            Delay::Stay(longest) => {
                done.first_monitor = Some(self.world.first_monitor);
                if self.world.first_monitor {
                    Duration::ZERO
                } else {
                    self.world.wait(longest, &mut self.seen, self.left)
                }
            }
            Delay::UntilChange(longest) => self.world.wait(longest, &mut self.seen, self.left),
            Delay::Fixed(duration) => duration,
        };
        self.passed(Next::Wait(delay), spent);
    }

    fn tidy(&mut self, tidy: &Tidy, _facts: &Facts, _done: &History) {
        match tidy {
            Tidy::ForgetStart => self.seen.here.starting = None,
            Tidy::ForgetTarget
            | Tidy::KeepUtilization
            | Tidy::NoteMonitor { .. }
            | Tidy::NoteMoved
            | Tidy::Mark { .. }
            | Tidy::DropState
            | Tidy::ClearState
            | Tidy::Warn(_)
            | Tidy::TellDrift
            | Tidy::Alert(_) => {}
        }
    }

    fn time(&self) -> (Duration, Duration) {
        (self.spent, self.left)
    }

    fn interrupted(&self) -> bool {
        self.steps.len() >= ENOUGH || self.world.interrupted
    }
}

impl Story {
    fn passed(&mut self, step: Next, spent: Duration) {
        self.spent += spent;
        self.left = self.left.saturating_sub(spent);
        self.steps.push(step);
    }
}
