// SPDX-License-Identifier: GPL-2.0-or-later
//! The governor on made-up courses of a move.

use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn policy() -> Policy {
    Policy {
        downtime: 0,
        downtime_max: 1200,
        auto_converge: false,
        postcopy: false,
        allow_pause: false,
        timeout: None,
        postcopy_after_precopy: false,
        open_ended: false,
        end: Duration::from_secs(100),
        last: Duration::from_secs(104),
    }
}

/// A guest as QEMU moves it: what a pass leaves behind is known when the next one begins.
struct World {
    /// MiB of memory, and of those that the guest writes again and again.
    total: f64,
    hot: f64,
    /// MiB/s that are sent, and that are written.
    rate: f64,
    dirty: f64,
    /// Whether the dirty rate was measured before.
    measured: bool,
}

/// What became of it: the orders with their seconds, and when it had moved.
#[derive(Debug, Default)]
struct Story {
    orders: Vec<(f64, Change)>,
    moved: Option<f64>,
}

impl Story {
    fn only(&self) -> Vec<Change> {
        self.orders.iter().map(|(_, order)| order.clone()).collect()
    }

    fn at(&self, wanted: Change) -> Option<f64> {
        self.orders.iter().find(|(_, order)| *order == wanted).map(|(at, _)| *at)
    }
}

/// Plays a migration; at each order `check` is told the policy's state, the sample and the order.
fn play(policy: &Policy, world: &World, mut check: impl FnMut(&Governor, &Sample, &Change)) -> Story {
    const STEP: f64 = 0.5;
    let bytes = |mib: f64| (mib * MIB as f64) as u64;
    let mut governor = Governor::new(policy.clone());
    let mut story = Story::default();
    let (mut left, mut fresh, mut pass, mut downtime, mut paused) = (world.total, 0.0_f64, 1, 300.0, false);
    // The hypervisor counts what got dirty in the last pass.
    let (mut at, mut began, mut told) = (0.0, 0.0, 0.0);
    while at < 1000.0 {
        let sample = Sample {
            at: Duration::from_secs_f64(at),
            total: bytes(world.total),
            remaining: bytes(left),
            rate: bytes(world.rate),
            dirty: if pass > 1 { Some(bytes(told)) } else { world.measured.then(|| bytes(world.dirty)) },
            iteration: pass,
        };
        let before = governor.clone();
        if let Some(order) = governor.step(&sample) {
            check(&before, &sample, &order);
            story.orders.push((at, order.clone()));
            if matches!(order, Change::AbortJob | Change::StartPostcopy) {
                return story;
            }
            downtime = governor.downtime as f64;
            paused = governor.paused;
        }
        at += STEP;
        let mut can = world.rate * STEP;
        while can > 0.0 {
            let sent = left.min(can);
            (left, can) = (left - sent, can - sent);
            // What is still to be sent in this pass need not be sent anew.
            let hot = if pass == 1 { world.hot.min(world.total - left) } else { world.hot - left };
            fresh = if paused { fresh } else { hot.min(fresh + world.dirty * sent / world.rate) };
            if left > 0.0 {
                continue;
            }
            if fresh <= world.rate * downtime / 1000.0 || paused {
                story.moved = Some(at + fresh / world.rate);
                return story;
            }
            let now = at - can / world.rate;
            told = fresh / (now - began).max(0.01);
            began = now;
            (left, fresh, pass) = (fresh, 0.0, pass + 1);
        }
    }
    story
}

fn told(policy: &Policy, world: &World) -> Story {
    play(policy, world, |_, _, _| {})
}

/// 1 GiB at 40 MiB/s, of which 80 MiB are dirtied as fast as it is sent.
const BUSY: World = World { total: 1024.0, hot: 80.0, rate: 40.0, dirty: 40.0, measured: true };
const IDLE: World = World { total: 2200.0, hot: 1.0, rate: 40.0, dirty: 0.1, measured: true };

#[test]
fn a_stall_raises_the_downtime_in_steps_up_to_what_is_allowed_and_then_aborts_in_time() {
    let story = told(&policy(), &BUSY);
    assert_eq!(story.only(), [Change::SetDowntime { ms: 600 }, Change::SetDowntime { ms: 1200 }, Change::AbortJob]);
    assert_eq!(story.orders.last().unwrap().0, 100.0);
}

#[test]
fn progress_is_left_alone() {
    let mut governor = Governor::new(policy());
    for second in 0..90 {
        let remaining = 1000 * MIB / 100 * (100 - second);
        let at = Duration::from_secs(second);
        let sample = Sample { at, total: 1000 * MIB, remaining, rate: 10 * MIB, dirty: Some(0), iteration: 2 };
        assert_eq!(governor.step(&sample), None, "at {second} s");
    }
}

#[test]
fn postcopy_comes_after_the_downtime_and_is_never_aborted() {
    let story = told(&Policy { postcopy: true, ..policy() }, &BUSY);
    assert_eq!(story.orders.last().unwrap().1, Change::StartPostcopy);
}

#[test]
fn postcopy_is_not_begun_when_the_timeout_could_cut_it() {
    let short = Policy { end: Duration::from_secs(45), last: Duration::from_secs(49), postcopy: true, ..policy() };
    let world = World { hot: 800.0, ..BUSY };
    assert_eq!(told(&short, &world).orders.last().unwrap().1, Change::AbortJob);
}

#[test]
fn an_idle_guest_whose_move_fits_is_never_paused_however_little_time_is_left() {
    // It takes 55 s; with the reserve, that is nearly all that there is.
    for end in [200, 100, 70, 63] {
        let (end, last) = (Duration::from_secs(end), Duration::from_secs(end + 4));
        let story = told(&Policy { allow_pause: true, end, last, ..policy() }, &IDLE);
        assert!(story.orders.is_empty() && story.moved.is_some(), "{end:?}: {story:?}");
    }
}

#[test]
fn a_network_that_is_slow_at_first_pauses_nobody() {
    let seconds = Duration::from_secs(24);
    let mut governor = Governor::new(Policy { allow_pause: true, end: seconds, last: seconds * 2, ..policy() });
    for half in 1..30_u64 {
        let at = Duration::from_millis(500 * half);
        let rate = [1, 3, 4][usize::try_from(half).unwrap().min(2)] + half % 3;
        let remaining = (77 - 5 * half / 2) * MIB;
        let sample = Sample { at, total: 80 * MIB, remaining, rate: rate * MIB, dirty: Some(0), iteration: 1 };
        assert_eq!(governor.step(&sample), None, "at {at:?}");
    }
}

#[test]
fn a_guest_that_would_not_end_in_time_is_paused_at_the_last_moment_and_moves() {
    let story = told(&Policy { allow_pause: true, downtime_max: 0, ..policy() }, &BUSY);
    // 80 MiB at 40 MiB/s: 2 s, and what is kept for what is not foreseen.
    assert!((93.0..97.5).contains(&story.at(Change::Suspend).unwrap()), "{story:?}");
    assert!(story.moved.unwrap() < 100.0, "{story:?}");
}

#[test]
fn one_slow_moment_pauses_nobody() {
    let (end, last) = (Duration::from_secs(34), Duration::from_secs(38));
    let pause = Policy { allow_pause: true, downtime_max: 0, end, last, ..policy() };
    let mut governor = Governor::new(pause);
    // 24 MiB in each pass of 2 s, never at an even rate.
    let mut paused = (0..68_u64).filter(|half| {
        let (remaining, rate) = (24 - 6 * (half % 4), [22, 2][usize::try_from(half % 2).unwrap()]);
        let (at, dirty) = (Duration::from_millis(500 * half), Some(40 * MIB));
        let sample = Sample {
            at,
            total: 80 * MIB,
            remaining: remaining * MIB,
            rate: rate * MIB,
            dirty,
            iteration: 1 + half / 4,
        };
        governor.step(&sample) == Some(Change::Suspend)
    });
    // What may be dirty by then takes up to 5.5 s, and some are kept for what is not foreseen.
    let first = paused.next();
    assert!(first.is_some_and(|half| half >= 2 * 24), "paused after {first:?} half seconds");
}

#[test]
fn without_a_known_dirty_rate_the_first_pass_ends_before_the_pause_if_there_is_time_for_both() {
    let pause = Policy { allow_pause: true, downtime_max: 0, ..policy() };
    let story = told(&pause, &World { measured: false, ..IDLE });
    assert!(story.at(Change::Suspend).is_none_or(|at| at > 35.0) && story.moved.is_some(), "{story:?}");
}

#[test]
fn what_is_about_to_end_is_not_aborted_and_what_is_not_is_aborted_at_once() {
    let short = |end| Policy { end: Duration::from_secs(end), last: Duration::from_secs(end + 4), ..policy() };
    // It takes 55 s.
    let story = told(&short(53), &IDLE);
    assert!(story.moved.is_some() && !story.only().contains(&Change::AbortJob), "{story:?}");
    assert_eq!(told(&short(50), &IDLE).at(Change::AbortJob), Some(50.0));
    let unknown = told(&short(53), &World { measured: false, ..IDLE });
    assert!(unknown.moved.is_some(), "{unknown:?}");
}

#[test]
fn more_downtime_comes_before_the_pause_where_it_is_enough() {
    let mut governor = Governor::new(Policy { allow_pause: true, ..policy() });
    let mut orders = Vec::new();
    // 30 MiB stay: 0.75 s. It has just got there, so it does not stall yet.
    for half in 184..200_u64 {
        let remaining = if half % 2 == 0 { 30 } else { 15 } * MIB;
        let (at, iteration) = (Duration::from_millis(500 * half), half / 2);
        let (total, rate, dirty) = (1024 * MIB, 40 * MIB, Some(40 * MIB));
        orders.extend(governor.step(&Sample { at, total, remaining, rate, dirty, iteration }));
    }
    assert_eq!(orders.first(), Some(&Change::SetDowntime { ms: 1200 }), "{orders:?}");
}

#[test]
fn what_the_callers_options_ask_for_comes_when_they_say() {
    let after = |late| Policy { timeout: Some((Duration::from_secs(60), late)), downtime_max: 0, ..policy() };
    let story = told(&after(Late::Suspend), &BUSY);
    assert_eq!((story.at(Change::Suspend), story.moved.is_some()), (Some(60.0), true), "{story:?}");
    assert_eq!(told(&after(Late::Postcopy), &BUSY).orders, [(60.0, Change::StartPostcopy)]);
    let second = Policy { postcopy_after_precopy: true, ..policy() };
    let story = told(&second, &BUSY);
    assert!((25.0..28.0).contains(&story.at(Change::StartPostcopy).unwrap()), "{story:?}");
    // One that has moved by then is not touched.
    assert!(told(&after(Late::Suspend), &IDLE).orders.is_empty());
}

#[test]
fn where_nobody_waits_it_takes_as_long_as_it_gets_on_and_no_longer() {
    let open = Policy { open_ended: true, end: Duration::from_secs(10), last: Duration::from_secs(14), ..policy() };
    // 275 s, and in passes that get smaller: 50, 20, 8, ... s.
    for world in [IDLE, World { total: 2000.0, hot: 2000.0, rate: 40.0, dirty: 16.0, measured: false }] {
        for allow_pause in [false, true] {
            let story = told(&Policy { allow_pause, ..open.clone() }, &world);
            let hard = |order: &Change| matches!(order, Change::Suspend | Change::AbortJob | Change::StartPostcopy);
            assert!(!story.only().iter().any(hard) && story.moved.is_some_and(|at| at > 50.0), "{story:?}");
        }
    }
    // Not converging: after the first pass, of 26 s.
    let story = told(&open, &BUSY);
    assert_eq!(
        story.only(),
        [Change::SetDowntime { ms: 600 }, Change::SetDowntime { ms: 1200 }, Change::AbortJob],
        "{story:?}"
    );
    assert!((36.0..50.0).contains(&story.at(Change::AbortJob).unwrap()), "{story:?}");
    let paused = told(&Policy { allow_pause: true, downtime_max: 0, ..open.clone() }, &BUSY);
    assert!(paused.at(Change::Suspend).is_some_and(|at| at > 26.0) && paused.moved.is_some(), "{paused:?}");
    // Its disks are copied first, for a minute and a half, and then nothing comes any more.
    let mut governor = Governor::new(open);
    let mut copied = |second: u64| {
        let (at, remaining) = (Duration::from_secs(second), (90 - second.min(90)) * MIB);
        governor.step(&Sample { at, total: 90 * MIB, remaining, rate: MIB, dirty: None, iteration: 0 })
    };
    assert_eq!((0..120).find(|second| copied(*second).is_some()), Some(100));
}

#[test]
fn with_everything_forbidden_it_is_aborted() {
    assert_eq!(told(&Policy { downtime_max: 0, ..policy() }, &BUSY).orders, [(100.0, Change::AbortJob)]);
}

#[test]
fn a_guest_that_is_slowed_down_gets_time_for_it() {
    let slow = told(&Policy { auto_converge: true, postcopy: true, ..policy() }, &BUSY);
    let fast = told(&Policy { postcopy: true, ..policy() }, &BUSY);
    assert!(slow.orders.last().unwrap().0 >= fast.orders.last().unwrap().0 + 10.0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_guest_is_paused_while_the_forecast_fits_and_each_that_may_be_paused_moves_if_there_is_time(
        total in 10.0..4000.0_f64,
        hot in 0.0..1.0_f64,
        rate in 5.0..200.0_f64,
        dirty in 0.0..300.0_f64,
        measured: bool,
        end in 10_u64..300,
        downtime_max in prop_oneof![Just(0_u64), Just(2000)],
    ) {
        let world = World { total, hot: hot * total, rate, dirty, measured };
        let (end, last) = (Duration::from_secs(end), Duration::from_secs(end + 4));
        let policy = Policy { allow_pause: true, downtime_max, end, last, ..policy() };
        let mut wrong = None;
        let story = play(&policy, &world, |governor, now, order| {
            let mut governor = governor.clone();
            if now.iteration != governor.pass.0 {
                governor.pass = (now.iteration, now.at, now.remaining);
            }
            if *order == Change::Suspend && governor.fits(now, governor.downtime) {
                wrong = Some(now.at);
            }
        });
        prop_assert!(wrong.is_none(), "paused at {wrong:?} though it fits: {story:?}");
        let whole = total / rate;
        let seconds = end.as_secs_f64();
        // Paused from the beginning it would take so long; each pass may be late by a look or two.
        if whole * 1.1 + 11.0 < seconds {
            prop_assert!(story.moved.is_some_and(|at| at < seconds + 4.0), "{story:?}");
        }
        if dirty < 1.0 && whole * 1.15 + 4.0 < seconds && measured {
            prop_assert!(!story.only().contains(&Change::Suspend), "an idle guest was paused: {story:?}");
        }
    }
}
