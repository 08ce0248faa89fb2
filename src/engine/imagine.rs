// SPDX-License-Identifier: GPL-2.0-or-later
//! What would happen: the policy of `decide` played through in an imagined world. Pure; `explain` prints it, and the
//! scenario tests read as stories because of it.

use crate::model::call::Invocation;
use crate::model::change::Change;
use crate::model::facts::{Answers, Definition, Domain, Fact, Facts, Libvirt, Noted, Peer, Place, Process, Silence};
use crate::model::failure::Failure;
use crate::model::outcome::Outcome;
use crate::model::state::Motion;
use crate::model::state::{Off, Running, State};
use crate::model::storage::OpenDisk;
use crate::model::worker::Side;
use crate::policy::migrate;
use crate::policy::moving::{Failed, Moving, Tried};
use crate::policy::{Delay, History, Look, Next, Query, Step, Tidy, World};
use std::time::Duration;

/// How the imagined world behaves; the default is: everything works, at once.
#[derive(Clone, Debug)]
pub struct Imagined {
    /// The host that it last migrated to.
    pub moved_to: Option<String>,
    /// That migration is not on record as finished.
    pub unfinished: bool,
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
    /// The guest ignores requests to shut down.
    pub stubborn: bool,
    /// The guest begins anew when it is asked to shut down.
    pub reboots: bool,
    /// Requests to shut down fail.
    pub ask_fails: Option<Failure>,
    /// Starting fails.
    pub start_fails: Option<Failure>,
    /// The domain is off again right after its start.
    pub start_dies: bool,
    /// Resuming fails.
    pub resume_fails: Option<Failure>,
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
            elsewhere: Place::by_word(Libvirt::NoDomain),
            peers: Fact::Known(Vec::new()),
            open_elsewhere: Fact::Known(None),
            kept: Fact::Known(true),
            saved: Fact::Known(false),
            drop_fails: None,
            stubborn: false,
            reboots: false,
            ask_fails: None,
            start_fails: None,
            start_dies: false,
            resume_fails: None,
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

/// How long a step takes, where its length matters.
const STEP: Duration = Duration::from_secs(1);
/// How long a destroy takes that fails.
const HANGS: Duration = Duration::from_secs(10);
/// How long a try to move takes.
const MOVE: Duration = Duration::from_secs(2);
/// More steps than any action takes.
const ENOUGH: usize = 2000;

/// Plays `inv` from `seen`: the steps, and the answer.
#[must_use]
pub fn play(inv: &Invocation, seen: &Facts, world: &Imagined) -> (Vec<Next>, Option<Outcome>) {
    let mut seen = seen.clone();
    // No story tells of this question: its answer is known from the beginning.
    seen.answers.switched = Fact::Known(world.switched.clone());
    let mut story = Story {
        inv: inv.clone(),
        seen,
        world: world.clone(),
        spent: Duration::ZERO,
        left: inv.budget().time(),
        steps: Vec::new(),
    };
    let outcome = super::play(inv, &mut story);
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
        let noted = self.world.moved_to.clone().map(|uri| Noted { uri, node: None, finished: !self.world.unfinished });
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
            Tidy::ForgetTarget | Tidy::NoteMonitor { .. } | Tidy::NoteMoved | Tidy::Mark { .. } | Tidy::Warn(_) => {}
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

impl Imagined {
    /// Answers a question, and says how long it takes.
    fn ask(&self, query: Query, seen: &mut Facts, answers: &mut Answers, left: Duration) -> Duration {
        match query {
            Query::Definition => {
                seen.definition = self.definition.clone().unwrap_or(Definition::None { looked_at: Vec::new() });
            }
            Query::Kept => answers.kept = self.kept.clone(),
            Query::Saved => answers.saved = self.saved.clone(),
            Query::Elsewhere => answers.elsewhere = Some(self.elsewhere.clone()),
            Query::Members => answers.peers = self.peers.clone(),
            Query::Storage => answers.open_elsewhere = self.open_elsewhere.clone(),
            Query::Target => answers.target = Some(self.there.clone()),
            Query::Rehearsal => answers.rehearsed = unless(&self.in_the_way),
            Query::Switched => answers.switched = Fact::Known(self.switched.clone()),
            Query::Guest => answers.guest = unless(&self.check_fails),
            Query::Queue => answers.queue_passed = unless(&self.queue_stands),
        }
        match query {
            Query::Elsewhere | Query::Members | Query::Target | Query::Rehearsal => STEP,
            Query::Queue if self.queue_stands.is_some() => left,
            Query::Storage
            | Query::Definition
            | Query::Kept
            | Query::Saved
            | Query::Switched
            | Query::Guest
            | Query::Queue => Duration::ZERO,
        }
    }

    /// Changes the imagined facts as the step would, and says how long it takes.
    fn carry_out(&mut self, step: &Step, seen: &mut Facts, done: &mut History) -> Duration {
        match step {
            Step::DropSaved => {
                done.dropped = Some(result(&self.drop_fails));
                if self.drop_fails.is_none() {
                    self.saved = Fact::Known(false);
                }
                Duration::ZERO
            }
            Step::Create | Step::StartDefined => {
                done.start = Some(result(&self.start_fails));
                if self.start_fails.is_none() && !self.start_dies {
                    run(seen);
                }
                STEP
            }
            Step::Resume => {
                done.resume = Some(result(&self.resume_fails));
                if self.resume_fails.is_none() {
                    run(seen);
                }
                Duration::ZERO
            }
            Step::Wake => {
                done.woken = Some(result(&self.wake_fails));
                if self.wake_fails.is_none() {
                    run(seen);
                }
                STEP
            }
            Step::Ask { mode, wait } => {
                done.asked.push((*mode, result(&self.ask_fails)));
                match (&self.ask_fails, self.stubborn) {
                    (Some(_), _) => Duration::ZERO,
                    (None, _) if self.reboots => {
                        done.rebooted = true;
                        STEP
                    }
                    (None, true) => *wait,
                    (None, false) => {
                        end(seen, Off::Shutdown, self.after_end.as_ref());
                        STEP
                    }
                }
            }
            Step::Destroy => {
                done.destroyed.push(result(&self.destroy_fails));
                if self.destroy_fails.is_some() {
                    return HANGS;
                }
                end(seen, Off::Destroyed, self.after_end.as_ref());
                STEP
            }
            Step::KillProcess { .. } => {
                done.killed.push(result(&self.kill_fails));
                if self.kill_fails.is_none() {
                    end(seen, Off::Destroyed, self.after_end.as_ref());
                    seen.here.starting = None;
                }
                STEP
            }
            Step::AbortJob => {
                done.aborted = Some(Ok(()));
                match (&mut seen.here.libvirt, self.arrives) {
                    (Libvirt::Domain(_), false) if self.lingers => {}
                    (Libvirt::Domain(_), true) => end(seen, Off::Migrated, self.after_end.as_ref()),
                    (Libvirt::Domain(domain), false) => domain.motion = Motion::None,
                    (Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_), _) => {}
                }
                STEP
            }
            Step::StopAtTarget { .. } => {
                done.at_target = Some(match &self.target_fails {
                    None => Ok("it was ended at the target".into()),
                    Some(why) => Err(why.clone()),
                });
                STEP
            }
            Step::Move => self.move_it(seen, done),
            Step::PutRight { at, change } => {
                if !self.stuck {
                    self.put_right(*at, change, seen);
                }
                STEP
            }
            Step::TryAgain { pause, why } => {
                done.moving.start_over(why);
                *pause
            }
            Step::TakeLock => {
                done.locked_at_last = Some(!self.stays);
                if !self.stays {
                    done.beside = None;
                }
                if self.stays { done.left } else { STEP }
            }
            Step::TurnToStart => Duration::ZERO,
        }
    }
}

impl Imagined {
    /// A change comes at the end of a wait, or soon in one that would last until no time is left.
    fn wait(&mut self, longest: Duration, seen: &mut Facts, left: Duration) -> Duration {
        let Some((libvirt, process)) = self.later.take() else { return longest };
        if let Some(libvirt) = libvirt {
            if matches!(&libvirt, Libvirt::Domain(domain) if domain.state.active()) {
                seen.here.process = Process::NotLooked;
            }
            seen.here.libvirt = libvirt;
        }
        if let Some(process) = process {
            seen.here.process = process;
        }
        if longest < left { longest } else { STEP }
    }

    fn move_it(&mut self, seen: &mut Facts, done: &mut History) -> Duration {
        let failed = (!self.move_fails.is_empty()).then(|| self.move_fails.remove(0));
        match (&failed, &self.after_move) {
            (Some(_), Some(libvirt)) => seen.here.libvirt = libvirt.clone(),
            (Some(_), None) => {}
            (None, _) => {
                end(seen, Off::Migrated, self.after_end.as_ref());
                self.there = Place::by_word(running(String::new()));
            }
        }
        let (name, began) = (seen.here.name.clone().unwrap_or_default(), done.spent);
        done.moving.note_try(Tried { name, began, ended: began + MOVE, there: None, failed });
        MOVE
    }

    fn put_right(&mut self, at: Side, change: &Change, seen: &mut Facts) {
        match (at, change) {
            (Side::Source, Change::Resume) => run(seen),
            (Side::Source, Change::Destroy) => end(seen, Off::Destroyed, None),
            (Side::Destination, Change::Destroy) => self.there = Place::by_word(Libvirt::NoDomain),
            (Side::Source, Change::AbortJob) => {
                if let Libvirt::Domain(domain) = &mut seen.here.libvirt {
                    domain.motion = Motion::None;
                }
            }
            // No policy puts a migration right by anything else; a story would show that nothing came of it.
            _ => {}
        }
    }
}

/// What comes of a question that is answered by silence, or not.
fn unless(silence: &Option<String>) -> Fact<()> {
    silence.clone().map_or(Fact::Known(()), |why| Fact::Silent(Silence::refused(why)))
}

/// What comes of a step that fails, or not.
fn result<E: Clone>(fails: &Option<E>) -> Result<(), E> {
    fails.clone().map_or(Ok(()), Err)
}

fn running(name: String) -> Libvirt {
    let state = State::Running(Running::Plain);
    Libvirt::Domain(Domain { name, uuid: [0; 16], state, motion: Motion::None })
}

fn run(seen: &mut Facts) {
    seen.here.process = Process::NotLooked;
    match &mut seen.here.libvirt {
        Libvirt::Domain(domain) => domain.state = State::Running(Running::Plain),
        Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
            let name = seen.here.name.clone().unwrap_or_default();
            seen.here.libvirt = running(name);
        }
    }
}

fn end(seen: &mut Facts, why: Off, after: Option<&Libvirt>) {
    if let Libvirt::Domain(domain) = &mut seen.here.libvirt {
        domain.state = State::ShutOff(why);
    }
    if seen.here.process != Process::NotLooked {
        seen.here.process = Process::Gone;
    }
    if let Some(libvirt) = after {
        seen.here.libvirt = libvirt.clone();
    }
}
