// SPDX-License-Identifier: GPL-2.0-or-later
//! The shares of an action's time as moments of this host's clock.

use crate::model::budget::{Budget, Share};
use crate::sys::time::Deadline;

impl Budget {
    /// The end of an action that begins now.
    #[must_use]
    pub fn deadline(self) -> Deadline {
        Deadline::after(self.time())
    }

    /// The end of a share that begins now.
    #[must_use]
    pub fn until(self, share: Share, deadline: Deadline) -> Deadline {
        deadline.at_most(self.share(share, deadline.left()))
    }

    /// The deadline without a share that is kept.
    #[must_use]
    pub fn keeping(self, share: Share, deadline: Deadline) -> Deadline {
        Deadline::after(self.without(share, deadline.left()))
    }
}
