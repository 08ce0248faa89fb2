// SPDX-License-Identifier: GPL-2.0-or-later
//! The convergence policy: what to do about a migration that does not come to its end. Pure: samples of the job's
//! statistics go in, one order at a time comes out.
//!
//! A migration converges when what is left of the dirty memory can be sent within the allowed downtime. When what is left
//! stops shrinking, in this order: allow more downtime, in steps; let the hypervisor slow the guest down (it does so by
//! itself when it was allowed to, so it only gets time for that); run the guest at the target before its memory is there
//! (post-copy); pause it so that nothing gets dirty any more; abort, in time for a look at both ends.

use std::time::Duration;

/// What may be done, and until when.
#[derive(Clone, Debug)]
pub struct Policy {
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
    /// When the migration must have ended, counted from its start.
    pub end: Duration,
}

/// The hypervisor's own allowance (QEMU), when none was set.
pub const DEFAULT_DOWNTIME: u64 = 300;

/// The statistics of a running job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Since the migration's start.
    pub at: Duration,
    /// Bytes of memory in all.
    pub total: u64,
    /// Bytes of memory still to be sent.
    pub remaining: u64,
    /// Bytes a second that are sent.
    pub rate: u64,
    /// Bytes a second that the guest makes dirty.
    pub dirty: u64,
    /// How many times the memory was gone through.
    pub iteration: u64,
}

/// An order to the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Allow so many milliseconds of downtime.
    Downtime(u64),
    /// Switch to post-copy.
    Postcopy,
    /// Pause the guest until it has moved.
    Pause,
    /// Give up; the guest runs on where it is.
    Abort,
}

/// The state of the policy.
#[derive(Clone, Debug)]
pub struct Governor {
    policy: Policy,
    downtime: u64,
    /// The least that was left to send, and when that was.
    best: Option<(u64, Duration)>,
    /// The pass through the memory, and the most that was left in it and in the one before.
    pass: u64,
    peaks: [u64; 2],
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
/// Kept for what is not foreseen.
const SLACK: Duration = Duration::from_secs(1);
/// Less than this part of the best remainder is progress.
const PROGRESS: (u64, u64) = (99, 100);

impl Governor {
    /// The policy at the migration's start.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let downtime = if policy.downtime == 0 { DEFAULT_DOWNTIME } else { policy.downtime };
        let zero = Duration::ZERO;
        Self { downtime, policy, best: None, pass: 0, peaks: [0; 2], ordered: zero, committed: false, paused: false }
    }

    /// Whether aborting could lose the guest.
    #[must_use]
    pub const fn committed(&self) -> bool {
        self.committed
    }

    /// The hypervisor has switched to post-copy.
    pub const fn commit(&mut self) {
        self.committed = true;
    }

    /// Judges a sample.
    pub fn step(&mut self, now: &Sample) -> Option<Order> {
        if self.committed {
            return None;
        }
        let left = self.policy.end.saturating_sub(now.at);
        if left.is_zero() {
            return Some(Order::Abort);
        }
        if self.paused {
            return None;
        }
        self.note_peak(now);
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
                self.downtime = (self.downtime * 2).min(self.policy.downtime_max);
                return self.order(now, Order::Downtime(self.downtime));
            }
            if self.policy.postcopy && self.need(now) * 3 + SLACK < left {
                return self.order(now, Order::Postcopy);
            }
        }
        self.last_resort(now, left)
    }

    /// What must be done while there is just time for it: the pause, as late as possible, since the guest pays for it.
    fn last_resort(&mut self, now: &Sample, left: Duration) -> Option<Order> {
        let need = self.need(now);
        let (fits, fits_easily) = (need + SLACK < left, need * 3 / 2 + 2 * SLACK < left);
        if self.policy.allow_pause && now.rate > 0 && now.iteration > 0 && fits && !fits_easily {
            self.paused = true;
            return self.order(now, Order::Pause);
        }
        None
    }

    /// How long it takes at the present rate to send what is dirty. What the guest made dirty since this pass began is
    /// counted in the next one only, so the most that a pass began with is the measure; after the first one it is known.
    fn need(&self, now: &Sample) -> Duration {
        let dirty =
            if now.iteration < 2 { now.remaining * 2 } else { now.remaining.max(self.peaks[0]).max(self.peaks[1]) };
        Duration::from_millis(dirty.saturating_mul(1000) / now.rate.max(1))
    }

    fn note_peak(&mut self, now: &Sample) {
        if now.iteration != self.pass {
            self.pass = now.iteration;
            self.peaks = [if now.iteration > 2 { self.peaks[1] } else { 0 }, 0];
        }
        self.peaks[1] = self.peaks[1].max(now.remaining);
    }

    fn order(&mut self, now: &Sample, order: Order) -> Option<Order> {
        self.ordered = now.at;
        self.best = None;
        Some(order)
    }
}

/// One line about how far it is, for the log and a terminal.
#[must_use]
pub fn progress(now: &Sample, downtime: u64) -> String {
    let mib = |bytes: u64| bytes / (1 << 20);
    let percent = now.total.saturating_sub(now.remaining).saturating_mul(100) / now.total.max(1);
    let end = if now.rate == 0 {
        "end not foreseeable".to_owned()
    } else if now.dirty >= now.rate {
        "not converging at this rate".to_owned()
    } else {
        format!("end in about {} s", now.remaining / (now.rate - now.dirty) + downtime / 1000)
    };
    format!(
        "{percent} %, {} of {} MiB left, {} MiB/s sent, {} MiB/s dirtied, pass {}, {end}",
        mib(now.remaining),
        mib(now.total),
        mib(now.rate),
        mib(now.dirty),
        now.iteration,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn policy() -> Policy {
        Policy {
            downtime: 0,
            downtime_max: 1200,
            auto_converge: false,
            postcopy: false,
            allow_pause: false,
            end: Duration::from_secs(100),
        }
    }

    /// Plays a guest whose remainder stays at `remaining` from the second pass on; the orders with their seconds.
    fn play(policy: Policy, remaining: u64, rate: u64) -> Vec<(u64, Order)> {
        let mut governor = Governor::new(policy);
        let mut orders = Vec::new();
        for half in 0..400 {
            let at = Duration::from_millis(500 * half);
            let iteration = 1 + half / 4;
            let sample = Sample { at, total: 1024 * MIB, remaining, rate, dirty: rate, iteration };
            if let Some(order) = governor.step(&sample) {
                orders.push((at.as_secs(), order));
                match order {
                    Order::Abort => break,
                    Order::Postcopy => governor.commit(),
                    Order::Downtime(_) | Order::Pause => {}
                }
            }
        }
        orders
    }

    #[test]
    fn a_stall_raises_the_downtime_in_steps_up_to_what_is_allowed_and_then_aborts_in_time() {
        let orders = play(policy(), 50 * MIB, 10 * MIB);
        let only: Vec<Order> = orders.iter().map(|(_, order)| *order).collect();
        assert_eq!(only, [Order::Downtime(600), Order::Downtime(1200), Order::Abort]);
        assert_eq!(orders.last().unwrap().0, 100);
    }

    #[test]
    fn progress_is_left_alone() {
        let mut governor = Governor::new(policy());
        for second in 0..90 {
            let remaining = 1000 * MIB / 100 * (100 - second);
            let at = Duration::from_secs(second);
            let sample = Sample { at, total: 1000 * MIB, remaining, rate: 10 * MIB, dirty: 0, iteration: 2 };
            assert_eq!(governor.step(&sample), None, "at {second} s");
        }
    }

    #[test]
    fn postcopy_comes_after_the_downtime_and_is_never_aborted() {
        let orders = play(Policy { postcopy: true, ..policy() }, 50 * MIB, 10 * MIB);
        assert_eq!(orders.last().unwrap().1, Order::Postcopy);
    }

    #[test]
    fn postcopy_is_not_begun_when_the_timeout_could_cut_it() {
        let orders = play(Policy { postcopy: true, end: Duration::from_secs(30), ..policy() }, 500 * MIB, 10 * MIB);
        assert_eq!(orders.last().unwrap().1, Order::Abort);
    }

    #[test]
    fn the_pause_comes_as_late_as_possible_and_in_time() {
        let orders = play(Policy { allow_pause: true, ..policy() }, 100 * MIB, 10 * MIB);
        let (at, order) = orders[2];
        assert_eq!(order, Order::Pause);
        assert!((68..90).contains(&at), "at {at} s");
    }

    #[test]
    fn what_became_dirty_during_a_pass_counts_before_it_is_told() {
        // 100 MiB of 10 MiB/s that are gone through again and again: mid-pass, little seems to be left.
        let mut governor = Governor::new(Policy { allow_pause: true, downtime_max: 0, ..policy() });
        let mut paused = None;
        for second in 0..100_u64 {
            let remaining = (100 - 10 * (second % 10)) * MIB;
            let (at, iteration) = (Duration::from_secs(second), 1 + second / 10);
            let sample = Sample { at, total: 1024 * MIB, remaining, rate: 10 * MIB, dirty: 10 * MIB, iteration };
            if governor.step(&sample) == Some(Order::Pause) {
                paused.get_or_insert(second);
            }
        }
        assert!((80..88).contains(&paused.unwrap()), "{paused:?}");
    }

    #[test]
    fn with_everything_forbidden_it_is_aborted() {
        assert_eq!(play(Policy { downtime_max: 0, ..policy() }, MIB * 50, MIB), [(100, Order::Abort)]);
    }

    #[test]
    fn a_guest_that_is_slowed_down_gets_time_for_it() {
        let slow = play(Policy { auto_converge: true, postcopy: true, ..policy() }, 50 * MIB, 10 * MIB);
        let fast = play(Policy { postcopy: true, ..policy() }, 50 * MIB, 10 * MIB);
        assert!(slow.last().unwrap().0 >= fast.last().unwrap().0 + 10);
    }
}
