// SPDX-License-Identifier: GPL-2.0-or-later
//! How an action stands to other agents at the same virtual machine.

use super::look::Looker;
use crate::host::records;
use crate::model::budget::Share;
use crate::model::call::{Action, Invocation};
use crate::model::facts::Noted;
use crate::sys::interrupt;
use crate::sys::lock::{self, Locked, NotLocked};
use crate::sys::time::Deadline;

/// Where the machine's last migration from here went, under whatever name it has or had.
pub(super) fn noted(looker: &Looker) -> Option<Noted> {
    looker.names().find_map(|name| records::noted_target(&looker.roots.run, name))
}

/// How an action stands to other agents at the same virtual machine.
pub(crate) enum Taken {
    /// The agent holds the lock; and what was on record about a migration before it waited for that.
    Lock(#[allow(dead_code, reason = "held until it is dropped")] Locked, Option<Noted>),
    /// It changes nothing, or there is nothing to take turns at.
    Needless,
    /// It goes on beside another agent; what that one said of itself.
    Beside(String),
}

impl Taken {
    /// The other agent, if it may start what this one has stopped. One that could not say what it is at may.
    pub(super) fn starter(&self) -> Option<&str> {
        let Self::Beside(holder) = self else { return None };
        let word = holder.split_once(',').map(|(word, _)| word);
        let starts_nothing = [Action::Stop, Action::Kill, Action::Migrate, Action::MigrateTo];
        (!starts_nothing.iter().any(|action| word == Some(action.word()))).then_some(holder)
    }
}

/// An action that changes something waits for another agent that is at it. A stop tells one that starts or moves the
/// machine to end, and goes on beside it when it does not.
pub(crate) fn take_lock(inv: &Invocation, looker: &mut Looker, deadline: Deadline) -> Result<Taken, String> {
    let must_act = match inv.action {
        Action::Status
        | Action::Monitor
        | Action::Reload
        | Action::MetaData
        | Action::ValidateAll
        | Action::Usage
        | Action::MigrateFrom => return Ok(Taken::Needless),
        Action::Stop | Action::Kill => true,
        Action::Start | Action::Restart | Action::Recover | Action::Migrate | Action::MigrateTo => false,
    };
    interrupt::note();
    looker.name_it(inv);
    let Some(name) = looker.name() else { return Ok(Taken::Needless) };
    let roots = &looker.roots;
    let before = noted(looker);
    let mut taken = lock::take(roots, name, inv.action.word(), inv.budget().until(Share::Lock, deadline));
    if let (Err(NotLocked::Taken(holder)), true, false) = (&taken, must_act, interrupt::requested()) {
        log::warn!("another vm-agent is at '{name}' ({holder}); it had time to end");
        let stops = [Action::Stop, Action::Kill].map(Action::word);
        lock::interrupt_holder(roots, name, |action| !stops.contains(&action));
        taken = lock::take(roots, name, inv.action.word(), inv.budget().until(Share::LockAtLast, deadline));
    }
    match taken {
        Ok(lock) => Ok(Taken::Lock(lock, before)),
        Err(NotLocked::Taken(holder)) if must_act => {
            log::warn!("another vm-agent is at '{name}' ({holder}) and does not end; going on beside it");
            Ok(Taken::Beside(holder))
        }
        Err(NotLocked::Taken(_)) if interrupt::requested() => {
            Err(format!("{} was interrupted by a signal while another vm-agent was at '{name}'", inv.action.word()))
        }
        Err(NotLocked::Taken(holder)) => {
            Err(format!("nothing was done: another vm-agent is at '{name}' ({holder}) and did not end in time"))
        }
        Err(NotLocked::Impossible(error)) => {
            log::warn!("{} without a lock, so another vm-agent may be at '{name}' too: {error}", inv.action.word());
            Ok(Taken::Needless)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_start_it_is_told_from_who_only_ends_or_moves_it_and_the_silent_one_may() {
        let starts = |holder: &str| Taken::Beside(holder.to_owned()).starter().is_some();
        for holder in ["start, process 7", "restart, process 7", "recover, process 7", "it does not say what it does"] {
            assert!(starts(holder), "{holder}");
        }
        for holder in ["stop, process 7", "kill, process 7", "migrate, process 7", "migrate_to, process 7"] {
            assert!(!starts(holder), "{holder}");
        }
        assert!(Taken::Needless.starter().is_none());
    }
}
