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
/// Less than this part of the best remainder is progress.
const PROGRESS: (u64, u64) = (99, 100);

impl Governor {
    /// The policy at the migration's start.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let downtime = if policy.downtime == 0 { DEFAULT_DOWNTIME } else { policy.downtime };
        let zero = Duration::ZERO;
        Self { downtime, policy, best: None, ordered: zero, committed: false, paused: false }
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
            if self.policy.postcopy && self.fits(now, left, 3) {
                return self.order(now, Order::Postcopy);
            }
        }
        self.last_resort(now, left)
    }

    /// What must be done while there is just time for it.
    fn last_resort(&mut self, now: &Sample, left: Duration) -> Option<Order> {
        // Paused, what is left goes through once; twice that is kept, so that it is done before the end.
        if self.policy.allow_pause
            && now.rate > 0
            && now.iteration > 0
            && self.fits(now, left, 1)
            && !self.fits(now, left, 3)
        {
            self.paused = true;
            return self.order(now, Order::Pause);
        }
        None
    }

    /// Whether `times` what is left can be sent before the end.
    fn fits(&self, now: &Sample, left: Duration, times: u64) -> bool {
        let need = Self::need(now).saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
        need + Duration::from_secs(1) < left
    }

    /// How long what is left takes at the present rate.
    fn need(now: &Sample) -> Duration {
        Duration::from_millis(now.remaining.saturating_mul(1000) / now.rate.max(1))
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
