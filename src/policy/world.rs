// SPDX-License-Identifier: GPL-2.0-or-later
//! What a policy is played on: the real host, or an imagined one.

use super::history::History;
use super::step::{Delay, Query, Step, Tidy};
use crate::model::facts::Facts;
use crate::model::outcome::Outcome;
use std::time::Duration;

/// A world with one virtual machine in it.
pub(crate) trait World {
    /// Takes what an action needs before its first look, the lock for one that changes something; gives what is on record.
    ///
    /// # Errors
    /// Why the action cannot begin; or its answer, when there is nothing to do.
    fn begin(&mut self) -> Result<History, Outcome>;

    /// Looks at the machine.
    fn look(&mut self) -> Look;

    /// Finds something out, and puts it among the facts. It ends by itself before the time is over.
    fn ask(&mut self, query: Query, facts: &mut Facts, done: &History);

    /// Carries out a step, and notes in `done` what came of it. It ends by itself before the time is over.
    fn carry_out(&mut self, step: &Step, facts: &Facts, done: &mut History);

    /// Waits, and notes in `done` what was heard meanwhile. It ends by itself before the time is over.
    fn wait(&mut self, delay: Delay, facts: &Facts, done: &mut History);

    /// Does what follows from a look or an answer, as well as it goes.
    fn tidy(&mut self, tidy: &Tidy, facts: &Facts, done: &History);

    /// Since the action began, and what is left until it must have answered.
    fn time(&self) -> (Duration, Duration);

    /// Whether a signal asks for the end of the action.
    fn interrupted(&self) -> bool;
}

/// What a look showed.
#[derive(Debug)]
pub(crate) struct Look {
    /// The facts, without the answers to what was not asked at this look.
    pub facts: Facts,
    /// It was given hardly any time: a daemon that did not answer in that was not silent.
    pub hurried: bool,
}
