// SPDX-License-Identifier: GPL-2.0-or-later
//! The loop of an action: look, decide, carry out, look again. The world is the real host, or an imagined one.

pub mod imagine;
pub mod migrate;

use crate::host::Host;
use crate::model::call::{Action, Environment, Invocation};
use crate::model::facts::{Blind, Libvirt, NoAnswer, Observation};
use crate::model::outcome::{Code, Outcome};
use crate::policy::{self, Look, Next, Step, Tidy, World};
use crate::sys::roots::Roots;
use std::time::Duration;

/// Carries out an action that needs facts, and answers before the caller's timeout.
#[must_use]
pub fn run(inv: &Invocation, env: &Environment, roots: Roots) -> Outcome {
    match inv.action {
        Action::Migrate | Action::MigrateTo => migrate::run(inv, env, roots, false),
        Action::Start
        | Action::Stop
        | Action::Kill
        | Action::Status
        | Action::Monitor
        | Action::Restart
        | Action::Recover
        | Action::Reload
        | Action::MigrateFrom
        | Action::MetaData
        | Action::ValidateAll
        | Action::Usage => play(inv, &mut Host::new(inv, env, roots)),
    }
}

/// Plays the policy of `inv` on a world, until it has the answer.
pub fn play(inv: &Invocation, world: &mut dyn World) -> Outcome {
    let mut done = match world.begin() {
        Ok(done) => done,
        Err(outcome) => return outcome,
    };
    // Since when nothing was done but to wait and look: a look at a daemon that hangs takes its time too.
    let mut waiting: Option<Duration> = None;
    let mut seen = observe(world, None);
    loop {
        (done.spent, done.left) = world.time();
        done.waited = waiting.map_or(Duration::ZERO, |since| done.spent.saturating_sub(since));
        done.remember(&seen);
        if done.shows_a_start_over(&seen) {
            world.tidy(&Tidy::ForgetStart, &seen);
            seen.starting = None;
        }
        if done.settled && done.locked && done.moved_to.take().is_some() {
            // It is here, and no agent takes it away: the record tells of an earlier migration.
            world.tidy(&Tidy::ForgetTarget, &seen);
        }
        let step = match policy::next(inv, &seen, &done) {
            Next::Answer(outcome, tidies) => {
                for tidy in tidies {
                    world.tidy(&tidy, &seen);
                }
                return outcome;
            }
            Next::Do(step) => step,
        };
        if done.left.is_zero() {
            return Outcome::new(
                Code::Generic,
                format!(
                    "{} was not finished within {:.0} s; next: {step}",
                    inv.action.word(),
                    inv.timeout.as_secs_f32()
                ),
            );
        }
        if world.interrupted() {
            return policy::interrupted(inv, &seen);
        }
        log::debug!("step: {step}");
        if matches!(step, Step::Wait { .. }) {
            waiting.get_or_insert(done.spent);
        } else {
            waiting = None;
        }
        let known = matches!(step, Step::Wait { .. } | Step::CheckGuest).then(|| seen.libvirt.clone());
        world.carry_out(&step, &seen, &mut done);
        if !step.leaves_the_facts() {
            seen = observe(world, known);
        }
    }
}

/// Looks. A daemon that was given hardly any time has not been silent: what it said before a step that changed nothing
/// still counts.
fn observe(world: &mut dyn World, known: Option<Libvirt>) -> Observation {
    let Look { mut seen, hurried } = world.look();
    if let (Some(known), Libvirt::NoAnswer(NoAnswer { kind: Blind::Hung | Blind::Busy, .. }), true) =
        (known, &seen.libvirt, hurried)
    {
        seen.libvirt = known;
    }
    seen
}
