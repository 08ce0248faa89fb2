// SPDX-License-Identifier: GPL-2.0-or-later
//! Time as a budget: one deadline an action, and shares of it for everything that waits.

use std::time::{Duration, Instant};

/// A moment after which waiting must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `duration` from now (a duration beyond the clock's range counts as a year).
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(duration).unwrap_or(now + Duration::from_secs(365 * 86_400)))
    }

    /// What is left; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }

    /// The earlier of this deadline and `duration` from now.
    #[must_use]
    pub fn at_most(self, duration: Duration) -> Self {
        self.min(Self::after(duration))
    }

    /// This deadline less a reserve; now, when the reserve is longer than what is left.
    #[must_use]
    pub fn less(self, reserve: Duration) -> Self {
        Self::after(self.left().saturating_sub(reserve))
    }
}
