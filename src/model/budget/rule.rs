// SPDX-License-Identifier: GPL-2.0-or-later
//! How long a share is. Pure.

use super::{Budget, Share};
use std::time::Duration;

/// Parts of the timeout, of what is left and of what is free, and a fixed time: the least of those that are named counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    most: Option<Duration>,
    /// The part is not less than this, where half of what is left is as much.
    least: Duration,
    /// One of so many parts of the timeout; 0: it does not matter.
    of_timeout: u32,
    /// One of so many parts of what is left.
    of_left: u32,
    /// One of so many parts of what is left without what the action keeps for its end.
    of_free: u32,
    /// One of so many parts of another share.
    of_share: Option<(Share, u32)>,
}

/// All that is left.
pub(super) const ALL: Rule =
    Rule { most: None, least: Duration::ZERO, of_timeout: 0, of_left: 0, of_free: 0, of_share: None };

/// So many seconds.
pub(super) const fn most(seconds: u64) -> Rule {
    Rule { most: Some(Duration::from_secs(seconds)), ..ALL }
}

/// One of so many parts of another share.
pub(super) const fn part(share: Share, of: u32) -> Rule {
    Rule { of_share: Some((share, of)), ..ALL }
}

impl Rule {
    pub(super) const fn of_timeout(self, parts: u32) -> Self {
        Self { of_timeout: parts, ..self }
    }

    pub(super) const fn of_left(self, parts: u32) -> Self {
        Self { of_left: parts, ..self }
    }

    pub(super) const fn of_free(self, parts: u32) -> Self {
        Self { of_free: parts, ..self }
    }

    pub(super) const fn least(self, milliseconds: u64) -> Self {
        Self { least: Duration::from_millis(milliseconds), ..self }
    }

    /// So long is it, when so much is left.
    pub(super) fn amount(self, budget: Budget, left: Duration) -> Duration {
        if let Some((share, parts)) = self.of_share {
            return budget.share(share, left) / parts;
        }
        let free = if self.of_free == 0 { left } else { budget.free(left) };
        let parts = [(budget.timeout, self.of_timeout), (left, self.of_left), (free, self.of_free)];
        let part = parts.into_iter().filter(|(_, parts)| *parts > 0).map(|(whole, parts)| whole / parts).min();
        let part = part.map(|part| part.max(self.least.min(left / 2)));
        part.into_iter().chain(self.most).min().unwrap_or(left)
    }

    /// Whether it is all that is left.
    pub(super) fn is_all(self) -> bool {
        self.most.is_none() && self.of_timeout + self.of_left + self.of_free == 0 && self.of_share.is_none()
    }

    /// In words, for the page.
    pub(super) fn text(self) -> String {
        let part = |parts: u32| match parts {
            1 => "all".to_owned(),
            2 => "half".to_owned(),
            3 => "a third".to_owned(),
            4 => "a quarter".to_owned(),
            parts => format!("1/{parts}"),
        };
        if let Some((share, parts)) = self.of_share {
            return format!("{} of {share:?}", part(parts));
        }
        let whole = [("the timeout", self.of_timeout), ("what is left", self.of_left), ("what is free", self.of_free)];
        let least = if self.least.is_zero() { String::new() } else { format!(", at least {}", seconds(self.least)) };
        let parts = whole.into_iter().filter(|(_, parts)| *parts > 0);
        let parts = parts.map(|(whole, parts)| format!("{} of {whole}{least}", part(parts)));
        let text: Vec<String> = self.most.map(seconds).into_iter().chain(parts).collect();
        if text.is_empty() { "all that is left".into() } else { text.join(", ") }
    }
}

/// A time as `5 s`, `0.5 s` or `50 ms`.
pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        return format!("{} ms", time.as_millis());
    }
    let text = format!("{:.1}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches(".0"))
}
