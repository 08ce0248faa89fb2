// SPDX-License-Identifier: GPL-2.0-or-later
//! The real host, played on for a person who waits: what is about to be done is told before it is. Changes nothing of it.

use crate::host::Host;
use crate::model::facts::Facts;
use crate::model::outcome::Outcome;
use crate::policy::{Delay, History, Look, Next, Query, Step, Tidy, World};
use std::sync::mpsc::Sender;
use std::time::Duration;

pub(super) struct Telling<'a> {
    pub host: Host<'a>,
    pub told: Sender<String>,
}

impl Telling<'_> {
    /// Nobody may listen any more.
    fn tell(&self, next: &Next) {
        let _ = self.told.send(next.to_string());
    }
}

impl World for Telling<'_> {
    fn begin(&mut self) -> Result<History, Outcome> {
        let _ = self.told.send("wait for the lock of another vm-agent".into());
        self.host.begin()
    }

    fn look(&mut self) -> Look {
        self.host.look()
    }

    fn ask(&mut self, query: Query, facts: &mut Facts, done: &History) {
        self.tell(&Next::Ask(query));
        self.host.ask(query, facts, done);
    }

    fn carry_out(&mut self, step: &Step, facts: &Facts, done: &mut History) {
        self.tell(&Next::Do(step.clone()));
        self.host.carry_out(step, facts, done);
    }

    fn wait(&mut self, delay: Delay, facts: &Facts, done: &mut History) {
        self.tell(&Next::Wait(delay));
        self.host.wait(delay, facts, done);
    }

    fn tidy(&mut self, tidy: &Tidy, facts: &Facts, done: &History) {
        self.host.tidy(tidy, facts, done);
    }

    fn time(&self) -> (Duration, Duration) {
        self.host.time()
    }

    fn interrupted(&self) -> bool {
        self.host.interrupted()
    }
}
