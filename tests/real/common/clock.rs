// SPDX-License-Identifier: GPL-2.0-or-later
//! A clock that stands still while the machine has too much to do: a test tells a wait from none, on a busy machine too.
#![allow(dead_code, reason = "each test binary uses its own part")]

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
        self.at.elapsed().saturating_sub(starved().saturating_sub(self.starved))
    }

    /// What has passed by the clock on the wall.
    pub fn wall(self) -> Duration {
        self.at.elapsed()
    }
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
