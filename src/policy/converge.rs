// SPDX-License-Identifier: GPL-2.0-or-later
//! The convergence policy: what to do about a migration that does not come to its end. Pure: samples of the job's
//! statistics go in, one change at a time comes out.
//!
//! A migration converges when what is left of the dirty memory can be sent within the allowed downtime. When what is left
//! stops shrinking, in this order: allow more downtime, in steps; let the hypervisor slow the guest down (it does so by
//! itself when it was allowed to, so it only gets time for that); run the guest at the target before its memory is there
//! (post-copy); pause it so that nothing gets dirty any more; abort, in time for a look at both ends.
//!
//! What the guest pays for comes as late as possible, and never while the forecast says that it ends in time without.

use super::progress::{PROGRESS, Passes};
use crate::model::change::Change;
use crate::model::params::options::Late;
use std::time::Duration;

/// What may be done, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Milliseconds of downtime allowed at first.
    pub downtime: u64,
    /// Milliseconds of downtime allowed at last.
    pub downtime_max: u64,
    /// The hypervisor may slow the guest down.
    pub auto_converge: bool,
    /// The guest may run at the target before its memory is there.
    pub postcopy: bool,
    /// The guest may be paused until it has moved.
    pub allow_pause: bool,
    /// What was asked to happen to a migration that takes longer.
    pub timeout: Option<(Duration, Late)>,
    /// Post-copy was asked to begin with the second pass.
    pub postcopy_after_precopy: bool,
    /// Nobody waits for its end: the time counts anew whenever it gets on.
    pub open_ended: bool,
    /// When the migration should have ended, counted from its start.
    pub end: Duration,
    /// One that is about to end may take until then.
    pub last: Duration,
}

/// The hypervisor's own allowance (QEMU), when none was set.
pub(crate) const DEFAULT_DOWNTIME: u64 = 300;

/// The statistics of a running job. Before the memory, in a pass 0, its disks are copied where that was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Since the migration's start.
    pub at: Duration,
    /// Bytes of memory, or of disks, in all.
    pub total: u64,
    /// Bytes still to be sent in this pass.
    pub remaining: u64,
    /// Bytes a second that are sent.
    pub rate: u64,
    /// Bytes a second that the guest makes dirty, once that is known.
    pub dirty: Option<u64>,
    /// How many times the memory was gone through.
    pub iteration: u64,
}

/// The state of the policy.
#[derive(Clone, Debug)]
pub(crate) struct Governor {
    policy: Policy,
    downtime: u64,
    /// The least that was left to send, and when that was.
    best: Option<(u64, Duration)>,
    /// The pass through the memory, when it was first seen, and what was left then.
    pass: (u64, Duration, u64),
    /// Whether it gets on, and when it last did, where the time counts from there.
    passes: Passes,
    got_on: Duration,
    /// The rates of the last samples: each alone is chance.
    rates: [u64; 10],
    /// When the last order was given; each gets time to show what it does.
    ordered: Duration,
    /// Post-copy has begun: the guest belongs to the target, and there is no way back.
    committed: bool,
    paused: bool,
}

/// Without progress for so long, it stalls.
const STALL: Duration = Duration::from_secs(5);
/// With the hypervisor slowing the guest down, so long: it takes its steps slowly.
const STALL_SLOWED: Duration = Duration::from_secs(20);
/// Before this, what is sent in a second says little about what the network can do.
const SETTLES: Duration = Duration::from_secs(5);
/// Kept for what is not foreseen.
const SLACK: Duration = Duration::from_secs(1);
/// More passes than any migration that converges needs.
const PASSES: u32 = 100;
/// What takes longer than any migration, of which the forecast would be out of bounds.
const ENDLESS: Duration = Duration::from_secs(1 << 30);

impl Governor {
    /// The policy at the migration's start.
    #[must_use]
    pub(crate) fn new(policy: Policy) -> Self {
        let downtime = if policy.downtime == 0 { DEFAULT_DOWNTIME } else { policy.downtime };
        let zero = Duration::ZERO;
        Self {
            downtime,
            policy,
            best: None,
            pass: (0, zero, 0),
            passes: Passes::new(),
            got_on: zero,
            rates: [0; 10],
            ordered: zero,
            committed: false,
            paused: false,
        }
    }

    /// When it last got on, where the time counts from there; else its start.
    #[must_use]
    pub(crate) const fn counts_from(&self) -> Duration {
        self.got_on
    }

    /// What is left of the time until the end.
    fn left(&self, now: &Sample) -> Duration {
        (self.got_on + self.policy.end).saturating_sub(now.at)
    }

    /// The same for one that is about to end.
    fn left_at_last(&self, now: &Sample) -> Duration {
        (self.got_on + self.policy.last).saturating_sub(now.at)
    }

    /// Whether aborting could lose the guest.
    #[must_use]
    pub(crate) const fn committed(&self) -> bool {
        self.committed
    }

    /// Milliseconds of downtime allowed now.
    #[must_use]
    pub(crate) const fn downtime(&self) -> u64 {
        self.downtime
    }

    /// The hypervisor has switched to post-copy.
    pub(crate) const fn commit(&mut self) {
        self.committed = true;
    }

    /// Judges a sample.
    pub(crate) fn step(&mut self, now: &Sample) -> Option<Change> {
        if self.passes.got_on(now.iteration, now.remaining) && self.policy.open_ended {
            self.got_on = now.at;
        }
        if self.committed {
            return None;
        }
        self.rates.rotate_right(1);
        if let Some(newest) = self.rates.first_mut() {
            *newest = now.rate;
        }
        if now.iteration != self.pass.0 {
            self.pass = (now.iteration, now.at, now.remaining);
        }
        let left = self.left(now);
        if now.iteration == 0 {
            return left.is_zero().then_some(Change::AbortJob);
        }
        if left.is_zero() {
            // What is about to end is not aborted; nor what may be, for all that is known: a moment more costs nothing.
            let last = self.left_at_last(now);
            let hopeful = Sample { dirty: now.dirty.or(Some(0)), ..*now };
            let ends = self.ends_in(&hopeful, self.downtime).is_some_and(|need| need < last);
            return (!ends).then_some(Change::AbortJob);
        }
        if self.paused {
            return None;
        }
        if let Some(order) = self.asked(now) {
            return self.order(now, order);
        }
        let moves_on = self.best.is_none_or(|(best, _)| now.remaining < best / PROGRESS.1 * PROGRESS.0);
        if moves_on && now.remaining > 0 {
            self.best = Some((now.remaining, now.at));
        }
        // The first pass is long, and says nothing about convergence.
        if now.iteration < 2 || now.rate == 0 || now.remaining == 0 {
            return self.last_resort(now, left);
        }
        let since = self.best.map_or(now.at, |(_, at)| at).max(self.ordered);
        let stalled = now.at.saturating_sub(since);
        let patience =
            if self.downtime >= self.policy.downtime_max && self.policy.auto_converge { STALL_SLOWED } else { STALL };
        if stalled >= patience {
            if self.downtime < self.policy.downtime_max {
                return self.order(now, Change::SetDowntime { ms: (self.downtime * 2).min(self.policy.downtime_max) });
            }
            if self.policy.postcopy && self.paused_need(now) * 3 + SLACK < left {
                return self.order(now, Change::StartPostcopy);
            }
        }
        self.last_resort(now, left)
    }

    /// What the caller's own options ask for at this moment.
    fn asked(&self, now: &Sample) -> Option<Change> {
        match self.policy.timeout {
            Some((after, Late::Suspend)) if now.at >= after => return Some(Change::Suspend),
            Some((after, Late::Postcopy)) if now.at >= after => return Some(Change::StartPostcopy),
            Some(_) | None => {}
        }
        (self.policy.postcopy_after_precopy && now.iteration >= 2).then_some(Change::StartPostcopy)
    }

    /// What must be done while there is just time for it, when it does not end in time without: more downtime than a stall
    /// brings, or the pause.
    fn last_resort(&mut self, now: &Sample, left: Duration) -> Option<Change> {
        // The first pass always gets on; where the time counts anew, nothing presses before its end.
        if self.fits(now, self.downtime) || (self.policy.open_ended && now.iteration < 2) {
            return None;
        }
        let last_moment = |need: Duration| need * 11 / 10 + 3 * SLACK >= left;
        if self.downtime < self.policy.downtime_max && self.fits(now, self.policy.downtime_max) {
            let now_or_never = self.ends_in(now, self.policy.downtime_max).is_some_and(last_moment);
            return now_or_never
                .then(|| self.order(now, Change::SetDowntime { ms: self.policy.downtime_max }))
                .flatten();
        }
        if now.at < SETTLES {
            return None;
        }
        let need = self.paused_need(now);
        let in_time = need < self.left_at_last(now);
        (self.policy.allow_pause && last_moment(need) && in_time).then(|| self.order(now, Change::Suspend)).flatten()
    }

    /// Whether it ends in time with so much downtime, by the forecast; at all, where it may take as long as it gets on.
    #[must_use]
    pub(crate) fn fits(&self, now: &Sample, downtime: u64) -> bool {
        let left = self.left(now);
        self.ends_in(now, downtime).is_some_and(|need| self.policy.open_ended || need * 11 / 10 + SLACK <= left)
    }

    /// The forecast: how long it takes until what is left can be sent within the downtime; `None` when that cannot be told,
    /// or never comes.
    fn ends_in(&self, now: &Sample, downtime: u64) -> Option<Duration> {
        let pace = self.pace(now);
        let dirty = if self.paused { 0 } else { now.dirty? };
        if pace == 0 {
            return None;
        }
        let seconds = |bytes: f64| bytes / pace as f64;
        let at_last = pace as f64 * downtime as f64 / 1000.0;
        let (mut left, mut fresh, mut time) = (now.remaining as f64, self.fresh(now) as f64, 0.0);
        for _ in 0..PASSES {
            time += seconds(left);
            left = (fresh + dirty as f64 * seconds(left)).min(now.total as f64);
            fresh = 0.0;
            if left <= at_last {
                return Duration::try_from_secs_f64(time + seconds(left)).ok();
            }
            if dirty >= pace {
                return None;
            }
        }
        None
    }

    /// How long it takes to send what is dirty, once nothing gets dirty any more.
    fn paused_need(&self, now: &Sample) -> Duration {
        // A guest that does not converge leaves as much behind as this pass began with.
        let known = if now.iteration < 2 { 0 } else { self.pass.2 };
        let bytes = now.remaining.saturating_add(self.fresh(now)).max(known);
        let rate = self.usual_rate().unwrap_or_else(|| self.pace(now));
        Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1)).min(ENDLESS)
    }

    /// What was sent a second, in the middle of the last samples. The hypervisor tells of a tenth of a second only, in
    /// which a busy network or host may send next to nothing: a guest must not be paused for that.
    fn usual_rate(&self) -> Option<u64> {
        let known = self.rates.iter().filter(|rate| **rate > 0);
        let count = u64::try_from(known.clone().count()).ok().filter(|count| *count > 0)?;
        Some(known.fold(0, |sum: u64, rate| sum.saturating_add(*rate)) / count)
    }

    /// What the guest has made dirty since this pass began, which the next one will have to send: all that was sent, as
    /// long as nobody knows.
    fn fresh(&self, now: &Sample) -> u64 {
        let sent = now.total.saturating_sub(now.remaining);
        let (_, began, _) = self.pass;
        let began = if now.iteration < 2 { Duration::ZERO } else { began };
        let millis = u64::try_from(now.at.saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
        now.dirty.map_or(sent, |dirty| sent.min(dirty.saturating_mul(millis) / 1000))
    }

    /// How fast what is left gets less: pages of zeros cost hardly anything, so it may be faster than what is sent.
    fn pace(&self, now: &Sample) -> u64 {
        let (_, began, remaining) = self.pass;
        let millis = u64::try_from(now.at.saturating_sub(began).as_millis()).unwrap_or(u64::MAX).max(1);
        let fastest = self.rates.iter().copied().max().unwrap_or(0).max(now.rate);
        fastest.max(remaining.saturating_sub(now.remaining).saturating_mul(1000) / millis)
    }

    fn order(&mut self, now: &Sample, order: Change) -> Option<Change> {
        if let Change::SetDowntime { ms } = order {
            self.downtime = ms;
        }
        self.paused |= order == Change::Suspend;
        self.ordered = now.at;
        self.best = None;
        Some(order)
    }
}

/// One line about how far it is, for the log and a terminal.
#[must_use]
pub(crate) fn progress(now: &Sample, downtime: u64) -> String {
    let mib = |bytes: u64| bytes / (1 << 20);
    let percent = now.total.saturating_sub(now.remaining).saturating_mul(100) / now.total.max(1);
    let dirty = now.dirty.unwrap_or(0);
    let end = if now.rate == 0 {
        "end not foreseeable".to_owned()
    } else if dirty >= now.rate {
        "not converging at this rate".to_owned()
    } else {
        format!("end in about {} s", now.remaining / (now.rate - dirty) + downtime / 1000)
    };
    format!(
        "{percent} %, {} of {} MiB left, {} MiB/s sent, {} MiB/s dirtied, pass {}, {end}",
        mib(now.remaining),
        mib(now.total),
        mib(now.rate),
        mib(dirty),
        now.iteration,
    )
}

#[cfg(test)]
mod tests;
