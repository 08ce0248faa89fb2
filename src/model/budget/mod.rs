// SPDX-License-Identifier: GPL-2.0-or-later
//! What an action does with its time: the shares of its timeout, each with a name, a rule and a reason. Pure.
//!
//! Whatever waits takes its share from here by name; nothing else divides what is left (`tests/unit/budget.rs` holds that).

mod course;
mod rule;
mod share;

use crate::model::action::{Action, Class};
use crate::model::caller::Caller;
pub use share::Share;
use std::time::Duration;

/// The time of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    action: Action,
    caller: Caller,
    timeout: Duration,
}

impl Budget {
    /// The time of an action that `caller` gives so long.
    #[must_use]
    pub const fn of(action: Action, caller: Caller, timeout: Duration) -> Self {
        Self { action, caller, timeout }
    }

    /// A share, when so much is left; the rules of many do not ask for that. It may be longer than what is left.
    #[must_use]
    pub fn share(self, share: Share, left: Duration) -> Duration {
        share.rule(self.action).amount(self, left)
    }

    /// What is left without a share that is kept.
    #[must_use]
    pub fn without(self, share: Share, left: Duration) -> Duration {
        left.saturating_sub(self.share(share, left))
    }

    /// What is left without what the action keeps for its end.
    #[must_use]
    pub fn free(self, left: Duration) -> Duration {
        self.kept().map_or(left, |share| self.without(share, left))
    }

    /// All of the time but for the answer.
    #[must_use]
    pub fn time(self) -> Duration {
        self.without(Share::Answer, self.timeout)
    }

    /// The time in which may be looked once all of that is used up.
    #[must_use]
    pub fn time_to_look(self) -> Duration {
        self.without(Share::LastLook, self.timeout)
    }

    /// What the action keeps for its end, whatever came before.
    const fn kept(self) -> Option<Share> {
        match (self.action, self.action.class()) {
            (Action::Restart | Action::Recover, _) => Some(Share::StartAgain),
            (_, Class::Stop) => Some(Share::Force),
            (_, Class::Start | Class::Receive) => Some(Share::Create),
            (_, Class::Move) => Some(Share::GiveUp),
            (_, Class::Watch | Class::Reload | Class::Print) => None,
        }
    }
}

/// Of what is left, the part of one of so many that are asked one after the other; one that answers needs hardly any.
#[must_use]
pub fn each(left: Duration, of: usize) -> Duration {
    /// One that is silent must have had this long.
    const LEAST: Duration = Duration::from_secs(1);
    (left / u32::try_from(of).unwrap_or(u32::MAX).max(1)).max(LEAST)
}
