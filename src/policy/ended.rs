// SPDX-License-Identifier: GPL-2.0-or-later
//! What a monitor makes of a machine that is off. Pure. Whatever its parameters say, it is not called running.

use super::history::History;
use super::step::{Next, Query, Step};
use super::{answer, wait_or_else};
use crate::model::call::{Caller, Invocation};
use crate::model::facts::{Cause, Fact, Facts, Libvirt};
use crate::model::outcome::Code;
use crate::model::params::OnGuestPoweroff;
use crate::model::state::{Off, State};
use std::time::Duration;

/// The answer of a monitor that sees the machine off, for the reason `why`.
pub(super) fn off(inv: &Invocation, why: String, seen: &Facts, done: &History) -> Next {
    let grace = if inv.recurring { Duration::from_secs(inv.params.reboot_grace) } else { Duration::ZERO };
    // Any other call may be of a host that never had the machine.
    let has_run_here = inv.caller == Caller::Pacemaker && inv.recurring;
    wait_or_else(done, grace, || match &seen.answers.cause {
        Fact::NotAsked if has_run_here && !done.left.is_zero() => Next::Ask(Query::Cause),
        Fact::Known(cause) if has_run_here && (cause.is_by_its_guest() || is_shut_down(seen)) => {
            by_its_guest(inv, why, cause, seen, done)
        }
        Fact::Known(Cause { since: Some(since), ended: Some(ended), .. }) if has_run_here => {
            answer(Code::NotRunning, format!("{why}; it ended at {} ({ended})", since.at))
        }
        Fact::NotAsked | Fact::Silent(_) | Fact::Known(_) => answer(Code::NotRunning, why),
    })
}

/// Whether libvirt keeps the domain, and says that its guest shut it down.
fn is_shut_down(seen: &Facts) -> bool {
    matches!(&seen.here.libvirt, Libvirt::Domain(domain) if domain.state == State::ShutOff(Off::Shutdown))
}

/// What Pacemaker is told of a guest that has shut down. To call the machine running until somebody starts it would be a lie
/// to all that depends on it; so either it has ended like any other, or the cluster is to keep it stopped, and is told so
/// before it hears of the end.
fn by_its_guest(inv: &Invocation, why: String, cause: &Cause, seen: &Facts, done: &History) -> Next {
    let said = match &cause.since {
        Some(since) => format!("'{}' was shut down by its guest at {}", seen.here.label(), since.at),
        None => why,
    };
    let rest = match (inv.params.on_guest_poweroff, &done.kept_stopped) {
        (OnGuestPoweroff::Fail, _) => String::new(),
        (OnGuestPoweroff::Stopped, None) if !done.left.is_zero() => return Next::Do(Step::KeepStopped),
        (OnGuestPoweroff::Stopped, None) => "; no time was left to have the cluster keep it stopped".to_owned(),
        (OnGuestPoweroff::Stopped, Some(Ok(()))) => {
            "; the cluster keeps it stopped: set target-role to start it".to_owned()
        }
        (OnGuestPoweroff::Stopped, Some(Err(why))) => format!("; the cluster may start it again: {why}"),
    };
    answer(Code::NotRunning, format!("{said}{rest}"))
}
