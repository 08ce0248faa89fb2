// SPDX-License-Identifier: GPL-2.0-or-later
//! A clock that stands still while the machine has too much to do: a test tells a wait from none, on a busy machine too.

use std::time::{Duration, Instant};

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    starved: Duration,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { at: Instant::now(), starved: starved() }
    }

    /// What has passed since, but for the time in which something waited for a processor or a disk.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// The same between an earlier moment and this one; nothing where it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        let passed = self.at.saturating_duration_since(earlier.at);
        passed.saturating_sub(self.starved.saturating_sub(earlier.starved))
    }

    /// What has passed by the clock on the wall.
    pub fn wall(self) -> Duration {
        self.at.elapsed()
    }
}

/// Waits until `look` gives something, for so many seconds at most; then the test fails with `what`. A busy machine gets
/// more time, within bounds.
pub fn until<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Moment::now();
    loop {
        let looked = Instant::now();
        if let Some(found) = look() {
            return found;
        }
        let late = began.elapsed() >= Duration::from_secs(seconds) || began.wall() >= Duration::from_secs(5 * seconds);
        assert!(!late, "not within {seconds} s: {what}");
        // A look that starts programs leaves the processors to what it waits for.
        std::thread::sleep(looked.elapsed().clamp(Duration::from_millis(5), Duration::from_millis(200)));
    }
}

/// Waits until a condition holds, which must come true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    until(20, what, || condition().then_some(()));
}

/// For how long something has waited for a processor or a disk, since the machine's start.
fn starved() -> Duration {
    let pressure = ["cpu", "io"].map(|of| std::fs::read_to_string(format!("/proc/pressure/{of}")).ok().and_then(total));
    match pressure {
        [Some(cpu), Some(io)] => cpu + io,
        // A kernel that does not tell: the processors' time that was not idle.
        [None, _] | [_, None] => busy().unwrap_or_default(),
    }
}

fn total(pressure: String) -> Option<Duration> {
    let some = pressure.lines().find(|line| line.starts_with("some "))?;
    Some(Duration::from_micros(some.split_once("total=")?.1.parse().ok()?))
}

fn busy() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let processors = stat.lines().filter(|line| line.starts_with("cpu")).count().checked_sub(1)?;
    let ticks: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let busy = ticks.iter().take(8).sum::<u64>() - ticks.get(3)?;
    Some(Duration::from_millis(busy * 10 / processors.max(1) as u64))
}
