// SPDX-License-Identifier: GPL-2.0-or-later
//! How the shares of an action follow each other when each takes as long as it may: what `explain` tells of the time. Pure.

use super::rule::seconds;
use super::{Budget, Share};
use crate::model::action::{Action, Class};
use crate::model::caller::Caller;
use std::fmt;
use std::time::Duration;

/// A share and its time.
pub(super) type Part = (Share, Duration);

/// An action's time, where nothing answers: what comes first, what then remains for the action itself, and what is kept.
#[derive(Clone, Debug)]
pub struct Course {
    timeout: Duration,
    /// At most so long each, one after the other.
    pub before: Vec<Part>,
    /// What remains, and for what.
    pub rest: (&'static str, Duration),
    /// Kept for the action's end, and how that is used.
    pub kept: Option<(Part, Vec<Part>)>,
    /// Kept for the answer.
    pub answer: Part,
    /// What is waited for as long as there is time.
    pub whole: Vec<Share>,
}

impl Budget {
    /// The course of the action.
    #[must_use]
    pub fn course(self) -> Course {
        let mut left = self.timeout;
        let mut before = Vec::new();
        if self.caller == Caller::Human && matches!(self.action.class(), Class::Start | Class::Stop | Class::Move) {
            before = self.spend(&[Share::Cluster, Share::Hint], &mut left);
        }
        // The action itself has the time that is left by then.
        let inner = Self { timeout: left, ..self };
        let answer = (Share::Answer, inner.share(Share::Answer, left));
        left = inner.time();
        let (first, end) = self.order();
        let (whole, first): (Vec<Share>, Vec<Share>) = first.iter().partition(|share| share.is_whole(self.action));
        before.extend(inner.spend(&first, &mut left));
        let kept = self.kept().map(|share| {
            let time = inner.share(share, left).min(left);
            left = left.saturating_sub(time);
            let mut of_that = time;
            ((share, time), inner.spend(end, &mut of_that))
        });
        Course { timeout: self.timeout, before, rest: (rest(self.action), left), kept, answer, whole }
    }

    /// Each as long as it may be, one after the other.
    fn spend(self, shares: &[Share], left: &mut Duration) -> Vec<Part> {
        let spend = |share: &Share| {
            let time = self.share(*share, *left).min(*left);
            *left = left.saturating_sub(time);
            (*share, time)
        };
        shares.iter().map(spend).collect()
    }

    /// What comes before the action itself, and what is done in the time that is kept.
    const fn order(self) -> (&'static [Share], &'static [Share]) {
        match self.action {
            Action::Start => (&[Share::Definition, Share::Lock], &[Share::Storage, Share::Look]),
            Action::Stop | Action::Kill => {
                (&[Share::Definition, Share::Lock, Share::LockAtLast], &[Share::Look, Share::Kill])
            }
            Action::Restart | Action::Recover => (&[Share::Definition, Share::Lock], &[]),
            Action::MigrateFrom => (&[Share::Definition], &[Share::Look]),
            Action::Migrate | Action::MigrateTo => (&[Share::Definition, Share::Lock, Share::Look, Share::Begin], &[]),
            Action::Status | Action::Monitor => (&[Share::Definition, Share::Look, Share::SecondLook], &[]),
            Action::Reload => (&[Share::Definition, Share::Look], &[]),
            Action::ValidateAll => {
                (&[Share::HasDriver, Share::Definition, Share::Lacks, Share::Programs, Share::Files, Share::Look], &[])
            }
            Action::MetaData | Action::Usage => (&[], &[]),
        }
    }
}

/// What remains is for this.
const fn rest(action: Action) -> &'static str {
    match action {
        Action::Start => "to look and to wait for libvirt",
        Action::Stop => "for the guest to shut down",
        Action::Kill | Action::Restart | Action::Recover => "to stop it",
        Action::MigrateFrom => "for its arrival",
        Action::Migrate | Action::MigrateTo => "for the move",
        Action::Status | Action::Monitor => "for the guest's checks, and to wait for libvirt",
        Action::Reload | Action::ValidateAll | Action::MetaData | Action::Usage => "to spare",
    }
}

impl Share {
    /// Whether it may take all of the action's time.
    fn is_whole(self, action: Action) -> bool {
        self.rule(action).is_all()
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = |parts: &[Part]| {
            let parts: Vec<String> =
                parts.iter().map(|(share, time)| format!("{} {}", seconds(*time), share.row().words)).collect();
            parts.join(", ")
        };
        writeln!(f, "of {}:", seconds(self.timeout))?;
        if !self.before.is_empty() {
            writeln!(f, "  at most {}", parts(&self.before))?;
        }
        for share in &self.whole {
            writeln!(f, "  {}, as long as there is time", share.row().words)?;
        }
        match self.rest {
            (words, time) if time.is_zero() => writeln!(f, "  what of that is not needed {words}")?,
            (words, time) => writeln!(f, "  at least {} {words}", seconds(time))?,
        }
        if let Some((kept, used)) = &self.kept {
            let used = if used.is_empty() { String::new() } else { format!(" ({})", parts(used)) };
            writeln!(f, "  {}{used}", parts(std::slice::from_ref(kept)))?;
        }
        writeln!(f, "  {}", parts(std::slice::from_ref(&self.answer)))
    }
}
