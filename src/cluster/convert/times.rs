// SPDX-License-Identifier: GPL-2.0-or-later
//! Times and yes or no as the two cluster managers read them in their configurations.

/// rgmanager's times, in seconds: digits with s, m, h, d, w or y, and sums of these (1m30s). Another letter counts for
/// nothing, and so does what is too large.
pub(super) fn rgmanager_seconds(text: &str) -> u64 {
    let mut sum: u64 = 0;
    let mut number: u64 = 0;
    for c in text.chars() {
        let unit = match c.to_ascii_lowercase() {
            digit @ '0'..='9' => {
                let digit = u64::from(digit.to_digit(10).unwrap_or_default());
                number = number.saturating_mul(10).saturating_add(digit);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            'y' => 31_536_000,
            _ => 0,
        };
        sum = sum.saturating_add(number.saturating_mul(unit));
        number = 0;
    }
    let sum = sum.saturating_add(number);
    if sum > i32::MAX.unsigned_abs().into() { 0 } else { sum }
}

/// The number that a text begins with, as C's atoi reads it: 0, where it begins with none.
pub(super) fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = digits.chars().map_while(|c| c.to_digit(10));
    let number = number.fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(digit.into()));
    if negative { -number } else { number }
}

/// Pacemaker's times, in milliseconds: a number with a unit, seconds where there is none.
pub(in crate::cluster) fn pacemaker_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let (times, by) = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "s" | "sec" => (1000, 1),
        "ms" | "msec" => (1, 1),
        "us" | "usec" => (1, 1000),
        "m" | "min" => (60_000, 1),
        "h" | "hr" => (3_600_000, 1),
        _ => return None,
    };
    Some(number.checked_mul(times)? / by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_the_managers_read() {
        for (text, seconds) in [
            ("600", 600),
            ("10m", 600),
            ("1m30s", 90),
            ("1H", 3600),
            ("5x", 0),
            ("", 0),
            ("99999999999", 0),
            ("2d1", 172_801),
        ] {
            assert_eq!(rgmanager_seconds(text), seconds, "{text}");
        }
        for (text, ms) in [("90", 90_000), ("90s", 90_000), ("1500ms", 1500), ("2min", 120_000), ("1h", 3_600_000)] {
            assert_eq!(pacemaker_ms(text), Some(ms), "{text}");
        }
        for text in ["", "s", "PT90S", "-1", "9999999999999999999", "18446744073709551615s"] {
            assert_eq!(pacemaker_ms(text), None, "{text}");
        }
        for (text, number) in [("1", 1), ("yes", 0), ("-3", -3), (" 12x", 12), ("", 0)] {
            assert_eq!(leading_number(text), number, "{text}");
        }
    }
}
