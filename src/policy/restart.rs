// SPDX-License-Identifier: GPL-2.0-or-later
//! restart and recover: a stop, and a start, as one action. Pure.

use super::history::History;
use super::start::{refusal, start};
use super::step::{Next, Query, Step};
use super::stop::stop;
use super::words::{has_saved_memory, no_definition};
use super::{answer, fail, ok, over, share, wait_or};
use crate::model::budget::Share;
use crate::model::call::{Action, Invocation};
use crate::model::facts::{Definition, Fact, Facts};
use crate::model::outcome::Code;
use crate::model::params::SavedMemory;
use crate::model::presence::Presence;
use crate::policy::health::{self, Health};

/// The next step of a restart, which ends with a start once `done.stopped`.
pub(super) fn restart(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    if done.stopped {
        return start(inv, seen, done);
    }
    if inv.action == Action::Recover
        && let Presence::Active(domain) = seen.here.presence()
        && health::health(domain.state, domain.motion) == Health::Well
    {
        return ok(format!("'{}' is {}; nothing to recover", domain.name, domain.state));
    }
    if let Some(refusal) = refusal(inv) {
        return over(refusal);
    }
    // A restart that cannot start again is a stop: so the definition is read first.
    if seen.definition == Definition::NotLooked {
        return Next::Ask(Query::Definition);
    }
    if let Some(next) = startable_again(inv, seen, done).or_else(|| saved_before_stop(inv, seen)) {
        return next;
    }
    if let (Presence::Active(_), Some(hindrance)) = (seen.here.presence(), &seen.hindrance) {
        return fail(format!("not stopped, since it could not be started again: {hindrance}"));
    }
    match stop(inv, seen, done) {
        // What was taken away from here may run elsewhere: a stop may say so, a start may not follow it.
        Next::Answer(outcome, _) if outcome.code == Code::Ok && done.outward.is_leaving() => {
            fail(format!("{}; it was not started here again", outcome.reason))
        }
        Next::Answer(outcome, _) if outcome.code == Code::Ok => Next::Do(Step::TurnToStart),
        next @ (Next::Ask(_) | Next::Do(_) | Next::Wait(_) | Next::Answer(..)) => next,
    }
}

/// What keeps a restart from its stop: nothing to start from afterwards, as far as is known.
fn startable_again(inv: &Invocation, seen: &Facts, done: &History) -> Option<Next> {
    let looked_at = match &seen.definition {
        Definition::Bad(outcome) => return Some(over(outcome.clone())),
        Definition::None { looked_at } => looked_at,
        Definition::NotLooked | Definition::Unchanged { .. } | Definition::File(_) => return None,
    };
    let name = seen.here.label();
    match (seen.here.presence(), &seen.answers.kept) {
        (Presence::Active(_), Fact::NotAsked) => Some(Next::Ask(Query::Kept)),
        (Presence::Active(_), Fact::Known(false)) => {
            let why = no_definition(name, looked_at);
            Some(answer(Code::Installed, format!("{why}; it was not stopped, since it could not be started again")))
        }
        (Presence::Active(_), Fact::Silent(silence)) => {
            Some(fail(format!("'{name}' was not stopped: {}", silence.why)))
        }
        (Presence::Blind { silence, .. }, Fact::NotAsked) => {
            Some(wait_or(done, share(inv, done, Share::ClearsUp), || {
                format!("'{name}' was not stopped, since it may have no definition to start from: {}", silence.why)
            }))
        }
        (Presence::Active(_), Fact::Known(true))
        | (Presence::Blind { .. }, Fact::Known(_) | Fact::Silent(_))
        | (Presence::Stray { .. } | Presence::Off(_) | Presence::Unknown(_), _) => None,
    }
}

/// What else keeps a restart from its stop: saved memory, for which its start would be refused.
fn saved_before_stop(inv: &Invocation, seen: &Facts) -> Option<Next> {
    let (Presence::Active(domain), SavedMemory::Refuse) = (seen.here.presence(), inv.params.saved_memory) else {
        return None;
    };
    match &seen.answers.saved {
        Fact::NotAsked => Some(Next::Ask(Query::Saved)),
        Fact::Known(false) => None,
        Fact::Known(true) => Some(fail(format!("{}; it was not stopped", has_saved_memory(&domain.name)))),
        Fact::Silent(silence) => Some(fail(format!("'{}' was not stopped: {}", domain.name, silence.why))),
    }
}
