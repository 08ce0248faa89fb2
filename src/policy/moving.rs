// SPDX-License-Identifier: GPL-2.0-or-later
//! How far a migration has come. Pure.

use super::hope::{self, Hope};
use crate::model::facts::Place;
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::model::target::Target;
use crate::model::worker::CallStep;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// For a migration that had begun: the target is always asked.
pub(crate) const NEVER: u32 = u32::MAX;
/// No host is back with its libvirt sooner after a crash; a libvirt that is only restarted is.
const BOOT: Duration = Duration::from_secs(5);

/// A migration: where it goes, and how far it has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Moving {
    /// Where to.
    pub target: Option<Target>,
    /// Only both ends are checked.
    pub rehearse: bool,
    /// How often it was tried, and when the first try began, since the action did.
    pub tries: u32,
    /// See `tries`.
    pub first_try: Duration,
    /// The last try, as long as it is not clear what came of it.
    pub tried: Option<Tried>,
    /// Looks since the last try.
    pub looks: u32,
    /// Why the try before was given up.
    pub gave_up: Option<String>,
    /// Since when the target has not answered.
    pub silent_since: Option<Duration>,
    /// How long it did not, at the longest, before it answered again.
    pub was_silent: Duration,
}

/// A try that is over for libvirt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// The machine that was to move.
    pub name: String,
    /// When it began, since the action did.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What the target said of itself at the end.
    pub there: Option<Place>,
    /// Why it failed, as far as the call says.
    pub failed: Option<Failed>,
    /// libvirt was told to pause the guest until it has moved. The order may have come too late for that, and pauses what
    /// stays.
    #[serde(default)]
    pub paused: bool,
}

/// A migration that did not succeed, as far as the call says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// Why.
    pub why: String,
    /// Whether trying again could bring something else.
    pub hope: Hope,
    /// Nothing was sent, and libvirt will not say anything about the domain's job for some time.
    pub held: bool,
    /// libvirt was never asked to move it: after so many looks that find it running here, the target need not be asked.
    pub looks: u32,
}

impl Failed {
    /// One that failed before libvirt was asked for anything, for a reason that lasts.
    #[must_use]
    pub(crate) fn early(failure: Failure) -> Self {
        Self { why: failure.said, hope: Hope::Lost, held: false, looks: NEVER }
    }

    /// One whose call failed, for which libvirt had `begun` or not; `why` is the sentence for it.
    #[must_use]
    pub(crate) fn of(failure: &Failure, begun: bool, why: String) -> Self {
        let looks = match failure.at {
            Some(CallStep::ConnectDestination | CallStep::Preflight | CallStep::Leftover) => 1,
            Some(
                CallStep::Arguments
                | CallStep::Input
                | CallStep::Connect
                | CallStep::Lookup
                | CallStep::Call
                | CallStep::Deadline,
            )
            | None => NEVER,
        };
        Self { why, hope: hope::of(failure, begun), held: false, looks }
    }
}

impl Moving {
    /// After each look: what is known of the target is what the last try told of it, and that only once.
    pub(super) fn looked(&mut self) -> Option<Place> {
        let tried = self.tried.as_mut()?;
        self.looks += 1;
        tried.there.take()
    }

    /// The target was asked, at this time since the action began.
    pub(crate) fn heard(&mut self, there: Option<&Place>, at: Duration) {
        if there.is_none_or(|there| matches!(there.presence(), Presence::Unknown(_))) {
            self.silent_since.get_or_insert(at);
        } else if let Some(since) = self.silent_since.take() {
            self.was_silent = self.was_silent.max(at.saturating_sub(since));
        }
    }

    /// Whether the target may have been booted anew since the migration, so that it tells nothing of what ran there before.
    pub(super) fn may_have_booted(&self) -> bool {
        self.was_silent >= BOOT
    }

    /// What a try came to.
    pub(crate) fn note_try(&mut self, tried: Tried) {
        if self.tries == 0 {
            self.first_try = tried.began;
        }
        self.tries += 1;
        self.looks = 0;
        self.tried = Some(tried);
    }

    /// A new try is due.
    pub(crate) fn start_over(&mut self, why: &str) {
        (self.tried, self.looks, self.gave_up) = (None, 0, Some(why.to_owned()));
    }
}
