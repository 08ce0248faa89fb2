// SPDX-License-Identifier: GPL-2.0-or-later
//! What is put on record of an action that is over, for `metrics` to tell.

use super::Host;
use crate::host::tally::{self, Away};
use crate::model::action::Class;
use crate::model::facts::{Fact, Facts, Libvirt};
use crate::model::outcome::{Code, Outcome};
use crate::model::state::{Pause, State};
use std::time::Instant;

impl Host<'_> {
    /// Counts this action, where it is one that changes something.
    pub(crate) fn count(&self, outcome: &Outcome) {
        let counts = match self.inv.action.class() {
            Class::Start | Class::Stop | Class::Receive => true,
            Class::Move => !self.rehearses,
            Class::Watch | Class::Reload | Class::Print => false,
        };
        let Some(name) = self.looker.name().filter(|_| counts) else { return };
        let run = &self.looker.roots.run;
        let end = (self.inv.action, outcome.code.number(), self.began.elapsed());
        tally::note_end(run, name, &self.backend.uri, end);
        if let (Some(ended), Code::Ok) = (self.turned_to_start, outcome.code) {
            tally::note_away(run, name, Away::Restart, ended.elapsed());
        }
    }

    /// From here on a restart's machine is away.
    pub(super) fn count_from_here(&mut self) {
        self.turned_to_start = Some(Instant::now());
    }

    /// Counts how long a machine stood still that a monitor has resumed, where that is known.
    pub(super) fn count_resumed(&self, seen: &Facts) {
        let (Libvirt::Domain(domain), Fact::Known(cause)) = (&seen.here.libvirt, &seen.answers.cause) else { return };
        let Some(since) = &cause.since else { return };
        let why = if domain.state == State::Paused(Pause::IoError) { Away::Disk } else { Away::Paused };
        tally::note_away(&self.looker.roots.run, &domain.name, why, since.ago);
    }
}
