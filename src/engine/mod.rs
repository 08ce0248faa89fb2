// SPDX-License-Identifier: GPL-2.0-or-later
//! The loop of an action: look, decide, carry out, look again. The world is the real host, or an imagined one.

pub(crate) mod imagine;
mod patch;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod story;
mod telling;

use crate::host::Host;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::{Facts, Libvirt, Silence, SilenceKind};
use crate::model::outcome::Outcome;
use crate::policy::{self, Delay, Look, Next, Query, Step, Tidy, World};
use crate::sys::roots::Roots;
use recording::Recording;
use std::sync::mpsc::Sender;
use std::time::Duration;
use telling::Telling;

/// Carries out an action that needs facts, and answers before the caller's timeout.
#[must_use]
pub(crate) fn run(inv: &Invocation, env: &Environment, roots: Roots, recording: &mut Recording) -> Outcome {
    let mut host = Host::new(inv, env, roots);
    let outcome = play(inv, &mut host, recording);
    host.count(&outcome);
    outcome
}

/// The same; what is done and waited for is told in words, each time before it begins.
#[must_use]
pub(crate) fn run_telling(
    inv: &Invocation,
    env: &Environment,
    roots: Roots,
    recording: &mut Recording,
    told: Sender<String>,
) -> Outcome {
    let mut telling = Telling { host: Host::new(inv, env, roots), told };
    let outcome = play(inv, &mut telling, recording);
    telling.host.count(&outcome);
    outcome
}

/// Checks at both ends whether the virtual machine could be moved.
#[must_use]
pub(crate) fn rehearse(inv: &Invocation, env: &Environment, roots: Roots) -> Outcome {
    play(inv, &mut Host::new(inv, env, roots).rehearsing(), &mut Recording::begin())
}

/// Plays the policy of `inv` on a world, until it has the answer; each look is kept in `recording`.
pub(crate) fn play(inv: &Invocation, world: &mut dyn World, recording: &mut Recording) -> Outcome {
    let mut done = match world.begin() {
        Ok(done) => done,
        Err(outcome) => return outcome,
    };
    // Since when nothing was done but to wait and look: a look at a daemon that hangs takes its time too.
    let mut waiting: Option<Duration> = None;
    let mut facts = observe(world, None);
    let mut fresh = true;
    loop {
        (done.spent, done.left) = world.time();
        done.waited = waiting.map_or(Duration::ZERO, |since| done.spent.saturating_sub(since));
        done.interrupted = world.interrupted();
        if fresh {
            done.remember(&mut facts);
        }
        if done.shows_a_start_over(&facts) {
            world.tidy(&Tidy::ForgetStart, &facts, &done);
            facts.here.starting = None;
        }
        if done.outward.is_here() && done.locked && done.moved_to.take().is_some() {
            // It is here, and no agent takes it away: the record tells of an earlier migration.
            world.tidy(&Tidy::ForgetTarget, &facts, &done);
        }
        let next = policy::next(inv, &facts, &done);
        if !matches!(next, Next::Answer(..)) {
            log::debug!("step: {next}");
            recording.note(&facts, &done, &next);
        }
        // Who stays with a machine that runs well waits for nothing.
        waiting =
            matches!(next, Next::Wait(Delay::UntilChange(_) | Delay::Fixed(_))).then(|| waiting.unwrap_or(done.spent));
        let idle = matches!(next, Next::Wait(Delay::UntilChange(_)) | Next::Ask(Query::Guest | Query::Agent));
        let known = idle.then(|| facts.here.libvirt.clone());
        fresh = true;
        match next {
            Next::Answer(outcome, tidies) => {
                tidies.iter().for_each(|tidy| world.tidy(tidy, &facts, &done));
                recording.end(facts, done);
                return outcome;
            }
            Next::Ask(query) => {
                world.ask(query, &mut facts, &done);
                if query == Query::Members {
                    done.note_members(world.time().0);
                } else if query == Query::Target {
                    done.moving.heard(facts.answers.target.as_ref(), done.spent);
                }
                fresh = query.outdates_the_look();
            }
            Next::Do(step) => {
                world.carry_out(&step, &facts, &mut done);
                step.outdate(&mut facts.answers, &done);
                if step == Step::TurnToStart {
                    done.turn_to_start();
                }
            }
            Next::Wait(delay) => world.wait(delay, &facts, &mut done),
        }
        if fresh {
            facts = Facts { answers: std::mem::take(&mut facts.answers), ..observe(world, known) };
        }
    }
}

/// Looks. A daemon that was given hardly any time has not been silent: what it said before a step that changed nothing
/// still counts.
fn observe(world: &mut dyn World, known: Option<Libvirt>) -> Facts {
    let Look { mut facts, hurried } = world.look();
    if let (Some(known), Libvirt::Silent(Silence { kind: SilenceKind::Hung | SilenceKind::Busy, .. }), true) =
        (known, &facts.here.libvirt, hurried)
    {
        facts.here.libvirt = known;
    }
    facts
}
