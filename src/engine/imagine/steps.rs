// SPDX-License-Identifier: GPL-2.0-or-later
//! What questions, steps and waits change in the imagined world, and how long they take.

use super::Imagined;
use crate::model::change::Change;
use crate::model::facts::{Answers, Definition, Domain, Fact, Facts, Libvirt, Place, Process, Silence};
use crate::model::failure::{Failure, FailureKind};
use crate::model::saved_state::SavedState;
use crate::model::state::{Motion, Off, Running, State};
use crate::model::worker::Side;
use crate::policy::moving::Tried;
use crate::policy::{History, Query, Step};
use std::time::Duration;

/// How long a step takes, where its length matters.
const STEP: Duration = Duration::from_secs(1);
/// How long a destroy takes that fails.
const HANGS: Duration = Duration::from_secs(10);
/// Where its memory is saved.
const SAVED: &str = "/saved/foo.state";
/// How long a try to move takes.
const MOVE: Duration = Duration::from_secs(2);

impl Imagined {
    /// Answers a question, and says how long it takes.
    pub(super) fn ask(&mut self, query: Query, seen: &mut Facts, answers: &mut Answers, left: Duration) -> Duration {
        match query {
            Query::Definition => {
                seen.definition = self.definition.clone().unwrap_or(Definition::None { looked_at: Vec::new() });
            }
            Query::Kept => answers.kept = self.kept.clone(),
            Query::Saved => answers.saved = self.saved.clone(),
            Query::State => answers.state = self.state.clone(),
            Query::OwnSave => answers.own_save = self.own_save.clone(),
            Query::Elsewhere => answers.elsewhere = Some(self.elsewhere.clone()),
            Query::Members => answers.peers = self.peers.clone(),
            Query::Storage => answers.open_elsewhere = self.open_elsewhere.clone(),
            Query::Target if self.target_silent > 0 => {
                self.target_silent -= 1;
                answers.target = Some(Place::silent("no route to host"));
            }
            Query::Target => answers.target = Some(self.there.clone()),
            Query::Rehearsal => answers.rehearsed = unless(&self.in_the_way),
            Query::Switched => answers.switched = Fact::Known(self.switched.clone()),
            Query::Guest => answers.guest = unless(&self.check_fails),
            Query::Agent => answers.agent = self.agent.clone(),
            Query::Cause => answers.cause = Fact::Known(self.cause.clone()),
            Query::Queue => answers.queue_passed = unless(&self.queue_stands),
        }
        match query {
            Query::Elsewhere | Query::Members | Query::Target | Query::Rehearsal => STEP,
            Query::Queue if self.queue_stands.is_some() => left,
            Query::Storage
            | Query::Definition
            | Query::Kept
            | Query::Saved
            | Query::State
            | Query::OwnSave
            | Query::Switched
            | Query::Guest
            | Query::Agent
            | Query::Cause
            | Query::Queue => Duration::ZERO,
        }
    }

    /// Changes the imagined facts as the step would, and says how long it takes.
    pub(super) fn carry_out(&mut self, step: &Step, seen: &mut Facts, done: &mut History) -> Duration {
        match step {
            Step::DropSaved => {
                done.dropped = Some(result(&self.drop_fails));
                if self.drop_fails.is_none() {
                    self.saved = Fact::Known(false);
                }
                Duration::ZERO
            }
            Step::StartResources => {
                done.resources = Some(result(&self.resources_fail));
                STEP
            }
            Step::Create | Step::StartDefined => {
                done.start = Some(result(&self.start_fails));
                if self.start_fails.is_none() && !self.start_dies {
                    run(seen);
                }
                STEP
            }
            Step::Restore => {
                done.start = Some(result(&self.restore_fails));
                done.restored.clone_from(&done.start);
                if self.restore_fails.is_none() && !self.start_dies {
                    run(seen);
                }
                STEP
            }
            Step::SetAside { why } => {
                done.set_aside = Some(match &self.aside_fails {
                    None => Ok(format!("its memory was set aside: {why}")),
                    Some(failure) => Err(failure.clone()),
                });
                if self.aside_fails.is_none() {
                    self.state = Fact::Known(SavedState::Nothing);
                    done.start = None;
                }
                Duration::ZERO
            }
            Step::Save(longest) => {
                done.saving = Some(match &self.save_fails {
                    None => Ok(SAVED.into()),
                    Some(failure) => Err(failure.clone()),
                });
                if self.save_fails.is_none() {
                    end(seen, Off::Saved, self.after_end.as_ref());
                    return STEP;
                }
                let slow = self.save_fails.as_ref().is_some_and(|failure| failure.kind == FailureKind::TimedOut);
                done.save_took = if slow { *longest } else { STEP };
                done.save_took
            }
            Step::AbortSave { ours } => {
                let which = if *ours { "was cut short" } else { "somebody else has begun" };
                done.saving = Some(Err(Failure::refused(format!("a save that {which} was aborted"))));
                run(seen);
                STEP
            }
            Step::Resume => {
                done.resume = Some(result(&self.resume_fails));
                if self.resume_fails.is_none() {
                    run(seen);
                }
                Duration::ZERO
            }
            Step::KeepStopped => {
                done.kept_stopped = Some(result(&self.keep_fails));
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
            Step::EndRun(run) => {
                done.note_killed(*run, result(&self.kill_fails));
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
            Step::SaveDefinition => {
                done.saved = true;
                Duration::ZERO
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
    pub(super) fn wait(&mut self, longest: Duration, seen: &mut Facts, left: Duration) -> Duration {
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
        done.moving.note_try(Tried { name, began, ended: began + MOVE, there: None, failed, paused: self.paused_late });
        MOVE
    }

    fn put_right(&mut self, at: Side, change: &Change, seen: &mut Facts) {
        match (at, change) {
            (Side::Source, Change::Resume) => run(seen),
            (Side::Source, Change::Destroy) => end(seen, Off::Destroyed, None),
            (Side::Destination, Change::DestroyWaiting) => self.there = Place::by_word(Libvirt::NoDomain),
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
