// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a migration gets on, however long it takes. Pure.

/// Less than this part of what it was is progress.
pub(super) const PROGRESS: (u64, u64) = (99, 100);

/// How far the passes through the memory have come.
#[derive(Clone, Debug)]
pub(super) struct Passes {
    /// The pass that is under way, by its number; before the memory, in a pass 0, disks are copied where that was asked
    /// for.
    number: Option<u64>,
    /// What it began with.
    began: u64,
    /// The least that was left of it.
    least: u64,
    /// The least that any pass before it began with.
    best: u64,
}

impl Passes {
    /// Before the first sample.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { number: None, began: u64::MAX, least: u64::MAX, best: u64::MAX }
    }

    /// Takes in what is `left` of a pass; whether that is less than ever. A pass that began with as much as one before it
    /// leads nowhere, however fast it is sent; one that began with less is worth waiting for to its end.
    pub(super) fn got_on(&mut self, pass: u64, left: u64) -> bool {
        if self.number != Some(pass) {
            if self.number != Some(0) {
                self.best = self.best.min(self.began);
            }
            (self.number, self.began, self.least) = (Some(pass), left, u64::MAX);
        }
        let less = left < self.least;
        self.least = self.least.min(left);
        less && self.began < self.best / PROGRESS.1 * PROGRESS.0
    }
}
