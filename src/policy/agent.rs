// SPDX-License-Identifier: GPL-2.0-or-later
//! What a monitor makes of the guest's agent. Pure.
//!
//! An agent that is silent says that the guest hangs only where one has answered before: else none may be installed, or the
//! guest may still boot.

use super::history::History;
use super::step::{Next, Query};
use super::{answer, degraded, with_problems};
use crate::model::call::Invocation;
use crate::model::facts::{Domain, Fact, Facts, GuestAgent, Silence};
use crate::model::outcome::Code;

/// The question or the answer that follows from the agent of a machine that runs well; nothing, where the machine does well.
pub(super) fn asked(inv: &Invocation, domain: &Domain, seen: &Facts, done: &History) -> Option<Next> {
    if inv.check_level < 10 || !inv.params.monitor_agent {
        return None;
    }
    let runs = format!("'{}' is {}", domain.name, domain.state);
    Some(match &seen.answers.agent {
        Fact::NotAsked if !done.left.is_zero() => Next::Ask(Query::Agent),
        Fact::NotAsked | Fact::Known(GuestAgent::Answers) => return None,
        Fact::Silent(Silence { why, .. }) => {
            answer(degraded(inv), format!("{runs}, but its guest agent cannot be asked: {why}"))
        }
        Fact::Known(GuestAgent::Excused(file)) => {
            with_problems(inv, Code::Ok, format!("{runs}; its guest agent is not asked, since there is {file}"))
        }
        Fact::Known(GuestAgent::NeverYet(why)) => {
            with_problems(inv, Code::Ok, format!("{runs}; its guest agent has not answered since its start: {why}"))
        }
        Fact::Known(GuestAgent::Silent { times, why }) => {
            let (code, times) = match inv.params.monitor_agent_failures {
                0 => (Code::Ok, times.to_string()),
                most if *times < most => (Code::Ok, format!("{times} of {most}")),
                most => (Code::Generic, format!("{times} of {most}")),
            };
            with_problems(inv, code, format!("{runs}, but its guest agent was silent {times} times: {why}"))
        }
    })
}

/// Whether its silence should be read, though it is no failure yet.
pub(super) fn is_silent(seen: &Facts) -> bool {
    matches!(&seen.answers.agent, Fact::Known(GuestAgent::Silent { .. }))
}
