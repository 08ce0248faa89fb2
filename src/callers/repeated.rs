// SPDX-License-Identifier: GPL-2.0-or-later
//! What a manager's question would say each time anew, a few times a minute: said when it is new, and then no more.
//!
//! What was said last is kept below the run directory. Its loss costs a line of the log.

use crate::model::call::Invocation;
use crate::sys::run_dir;
use crate::sys::text::sha256_hex;
use log::Level;
use std::path::Path;

/// Says what the last question did not say yet; the rest only to who wants to know everything. The result is whether the
/// last of the lines is new. What is of level `Trace` is never said, and remembered like the others.
pub(super) fn say(inv: &Invocation, run: &Path, lines: &[(Level, String)]) -> bool {
    let file = format!("{}.said", short(inv.instance.as_bytes()));
    let Some((_, last)) = lines.last() else {
        run_dir::remove(run, &file);
        return false;
    };
    let before = run_dir::read(run, &file).unwrap_or_default();
    let now: Vec<String> = lines.iter().map(|(_, line)| key(line)).collect();
    for ((level, line), key) in lines.iter().zip(&now) {
        let known = before.lines().any(|known| known == key);
        log::log!(if known { Level::Debug.max(*level) } else { *level }, "{line}");
    }
    let now = now.join("\n");
    if now != before {
        let _ = run_dir::write(run, &file, &now);
    }
    let last = key(last);
    !before.lines().any(|known| known == last)
}

/// What makes two lines the same: not their numbers, which tell of time and processes.
fn key(line: &str) -> String {
    short(&line.bytes().filter(|byte| !byte.is_ascii_digit()).collect::<Vec<u8>>())
}

fn short(text: &[u8]) -> String {
    let hash = sha256_hex(text);
    hash.get(..32).unwrap_or(&hash).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_differs_in_its_numbers_alone_is_the_same_line() {
        assert_eq!(key("libvirt does not answer (waited 2.0 s)"), key("libvirt does not answer (waited 1.9 s)"));
        assert_ne!(key("'a' is not running"), key("'b' is not running"));
    }
}
