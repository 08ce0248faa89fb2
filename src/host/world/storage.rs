// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether somebody else has the machine's disks open, and the wait for what may pass.

use super::{Host, pause};
use crate::model::budget::Share;
use crate::model::facts::{Fact, Facts, SilenceKind};
use crate::model::storage::OpenDisk;
use crate::sys::interrupt;
use crate::sys::time::Deadline;
use std::time::Duration;

/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Host<'_> {
    /// Asks the storage, and again as long as what is open there may pass.
    pub(super) fn open_elsewhere(&mut self, seen: &Facts) -> Fact<Option<OpenDisk>> {
        let mut passes: Option<Deadline> = None;
        loop {
            let answer = self.looker.open_elsewhere(seen, self.until(Share::Storage));
            let open = match &answer {
                Fact::Known(Some(open)) => open,
                // Of many disks nobody ever tells: that is no news.
                Fact::Silent(silence) if silence.kind == SilenceKind::Missing => return answer,
                Fact::Silent(silence) => {
                    log::warn!("whether its disks are open elsewhere is not known: {}", silence.why);
                    return answer;
                }
                Fact::Known(None) | Fact::NotAsked => return answer,
            };
            if passes.is_none() {
                log::warn!("{open}; waiting for that to pass");
            }
            let passes =
                *passes.get_or_insert_with(|| self.until(if open.lapses { Share::Lapses } else { Share::Passes }));
            if passes.passed() || interrupt::requested() {
                return answer;
            }
            pause(ASK_AGAIN, passes);
        }
    }
}
