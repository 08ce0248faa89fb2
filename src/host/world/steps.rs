// SPDX-License-Identifier: GPL-2.0-or-later
//! The steps of a policy, each carried out on this host under the deadline.

use super::{Host, pause};
use crate::model::budget::Share;
use crate::model::change::Change;
use crate::model::facts::{Fact, Facts, Process};
use crate::model::failure::Failure;
use crate::policy::migrate;
use crate::policy::{History, Step};
use std::time::Instant;

impl Host<'_> {
    /// Takes one; what came of it is in `done`.
    pub(super) fn take_step(&mut self, step: &Step, seen: &Facts, done: &mut History) {
        let who = seen.here.who();
        if matches!(step, Step::Save(_) | Step::Ask { .. } | Step::Destroy | Step::EndRun(_)) {
            self.record_switched_disks();
        }
        match step {
            Step::DropSaved => {
                log::warn!("saved memory of the virtual machine is discarded, since saved_memory is drop");
                done.dropped = Some(self.backend.call(&Change::DropSaved, &who, self.deadline));
            }
            Step::StartResources => done.resources = Some(self.start_resources(seen)),
            Step::Create => {
                self.looker.expect_a_new_machine();
                done.start = Some(self.create(seen));
            }
            Step::StartDefined => {
                self.looker.note_start();
                if seen.answers.saved == Fact::Known(true) {
                    log::warn!("saved memory of the virtual machine is restored, since saved_memory is use");
                }
                let name = seen.here.name.clone().unwrap_or_default();
                let result = self.backend.start(&Change::Start, &who, &name, self.deadline);
                if result.is_ok() {
                    self.mark_running(&who, name);
                }
                done.start = Some(result);
            }
            Step::Restore => {
                let result = self.restore(seen);
                (done.restored, done.start) = (Some(result.clone()), Some(result));
            }
            Step::SetAside { why } => {
                let result = self.set_state_aside(why);
                if result.is_ok() {
                    done.start = None;
                }
                done.set_aside = Some(result);
            }
            Step::Save(longest) => {
                let began = Instant::now();
                let result = self.save(seen, *longest);
                if let Err(failure) = &result {
                    log::warn!("its memory was not saved: {failure}");
                }
                (done.saving, done.save_took) = (Some(result), began.elapsed());
            }
            Step::AbortSave { ours } => {
                let which = if *ours { "was cut short" } else { "somebody else has begun" };
                log::warn!("a save of its memory that {which} is aborted");
                let aborted = self.backend.call(&Change::AbortJob, &who, self.until(Share::SaveEnds));
                let why = aborted.err().map(|why| format!(" ({why})")).unwrap_or_default();
                done.saving = Some(Err(Failure::refused(format!("a save that {which} was aborted{why}"))));
            }
            Step::Resume => done.resume = Some(self.resume(seen)),
            Step::KeepStopped => done.kept_stopped = Some(self.keep_stopped()),
            Step::Wake => {
                log::warn!(
                    "'{}' is asleep (suspended by the guest); it is woken",
                    seen.here.name.as_deref().unwrap_or_default()
                );
                done.woken = Some(self.backend.call(&Change::Wake, &who, self.until(Share::Wake)));
            }
            Step::Ask { mode, wait } => {
                // Watched before it is asked, so that no end is missed.
                self.looker.watch(self.deadline);
                self.forget_reboots(done);
                let until = self.deadline.at_most(*wait);
                let result = match self.backend.spawn(&Change::Shutdown { mode: *mode }, &who, until) {
                    Ok(call) => self.await_end(seen, call, until, true),
                    Err(error) => Err(error),
                };
                if let Err(error) = &result {
                    log::warn!("the guest was not asked to shut down (mode {}): {error}", mode.word());
                }
                done.asked.push((*mode, result));
            }
            Step::Destroy => {
                self.looker.watch(self.deadline);
                let until = self.end_here(done);
                let until = match seen.here.process {
                    Process::Alive { .. } => self.inv.budget().keeping(Share::Kill, until),
                    Process::NotLooked
                    | Process::MayBe(_)
                    | Process::Namesake(_)
                    | Process::Gone
                    | Process::NoDomain
                    | Process::Unknown(_) => until,
                };
                let result = match self.backend.spawn(&Change::Destroy, &who, until) {
                    Ok(call) => self.await_end(seen, call, until, false),
                    Err(error) => Err(error),
                };
                done.destroyed.push(result);
            }
            Step::AbortJob => {
                // Where libvirt did not say whether there is a job, there hardly is one.
                let patience = self.until(if done.outward.is_leaving() { Share::Abort } else { Share::AbortUnsaid });
                done.aborted = Some(self.backend.call(&Change::AbortJob, &who, patience));
            }
            Step::StopAtTarget { only_half } => done.at_target = Some(self.stop_at_target(seen, *only_half, done)),
            Step::EndRun(run) => {
                let result = self.end_run(*run, seen, self.end_here(done));
                if result.is_ok() && seen.here.starting.as_ref().is_some_and(|starting| starting.made(*run)) {
                    self.looker.forget_start();
                }
                done.note_killed(*run, result);
            }
            Step::SaveDefinition => {
                self.save_definition(seen);
                done.saved = true;
            }
            Step::TakeLock => {
                let lock = self.take_lock_at_last();
                done.locked_at_last = Some(lock.is_some());
                if let Some(lock) = lock {
                    self.lock = lock;
                    (done.locked, done.beside) = (true, None);
                }
            }
            Step::TurnToStart => {
                self.looker.forget_start();
                self.count_from_here();
            }
            Step::Move => self.move_it(seen, done),
            Step::PutRight { at, change } => {
                self.put_right(*at, change, seen, done);
                pause(migrate::LOOK_AGAIN, self.deadline);
            }
            Step::TryAgain { pause, why } => self.wait_for_the_target(*pause, why, done),
        }
    }
}
