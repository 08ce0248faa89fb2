// SPDX-License-Identifier: GPL-2.0-or-later
//! What an emulator said before it ended, from the log that libvirt keeps of each domain. Its words reach that log through
//! virtlogd, so they may arrive there only after libvirt has told of the end, without them.

use crate::sys::child::end_of_file;
use crate::sys::text::ascii_line;
use crate::sys::time::{Deadline, from_utc};
use std::time::{Duration, SystemTime};

/// Where libvirt's system daemon keeps the logs of QEMU's domains.
pub(crate) const FOLDER: &str = "/var/log/libvirt/qemu";
/// As much of a log's end as is read.
const END: usize = 64 * 1024;
/// How long words may be on their way.
const ON_THEIR_WAY: Duration = Duration::from_secs(2);
/// Between two looks: the log is on a disk, and virtlogd tells nobody that it has written.
const AGAIN: Duration = Duration::from_millis(50);

/// The words of the domain's last emulator, as soon as they are there.
pub(super) fn words(name: &str, deadline: Deadline) -> Option<String> {
    let patience = deadline.at_most(ON_THEIR_WAY);
    loop {
        let said = read(name, patience).as_deref().and_then(of_the_last).map(str::to_owned);
        if said.is_some() || patience.passed() {
            return said;
        }
        std::thread::sleep(AGAIN.min(patience.left()));
    }
}

/// How the domain's last emulator ended, by libvirt's line in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EmulatorEnd {
    /// When.
    pub at: SystemTime,
    /// In libvirt's word: shutdown, destroyed, crashed, ...
    pub reason: String,
}

/// How the last emulator of the domain ended, if its log says that it has.
#[must_use]
pub(crate) fn end(name: &str, deadline: Deadline) -> Option<EmulatorEnd> {
    end_of_the_last(&read(name, deadline)?)
}

fn end_of_the_last(log: &str) -> Option<EmulatorEnd> {
    const END: &str = ": shutting down, reason=";
    let (_, run) = log.rsplit_once(": starting up libvirt version: ")?;
    let (stamp, reason) = run.lines().rev().find_map(|line| line.split_once(END))?;
    Some(EmulatorEnd { at: from_utc(stamp)?, reason: ascii_line(reason, 40) })
}

/// The end of the domain's log.
fn read(name: &str, deadline: Deadline) -> Option<String> {
    if name.contains('/') {
        return None;
    }
    end_of_file(&format!("{FOLDER}/{name}.log"), END, deadline)
}

/// What the last emulator in a log said: behind libvirt's line of its start and the environment and options that follow it,
/// and before libvirt's line of its end.
fn of_the_last(log: &str) -> Option<&str> {
    let (_, run) = log.rsplit_once(": starting up libvirt version: ")?;
    let begin = run.match_indices('\n').map(|(at, _)| at + 1).find(|at| run.get(*at..).is_some_and(is_said))?;
    let said = run.get(begin..)?;
    let end = said.match_indices('\n').map(|(at, _)| at).find(|at| said.get(*at..).is_some_and(is_of_the_end));
    Some(said.get(..end.unwrap_or(said.len()))?.trim())
}

/// That a line is QEMU's: it begins with its name, as often with the time before it.
fn is_said(rest: &str) -> bool {
    let line = rest.lines().next().unwrap_or_default();
    let named = line.split_once("Z ").filter(|(stamp, _)| !stamp.contains(' ')).map_or(line, |(_, behind)| behind);
    named.split_once(": ").is_some_and(|(program, _)| program.starts_with("qemu") && !program.contains(' '))
}

/// That the next line is libvirt's of the domain's end.
fn is_of_the_end(rest: &str) -> bool {
    rest.lines().nth(1).is_some_and(|line| line.contains(": shutting down, reason="))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "2026-11-27 03:14:11.500+0000: starting up libvirt version: 9.0.0, package: 9.0.0-4, qemu version: \
                         7.2.22, kernel: 6.1.0, hostname: node1\nLC_ALL=C \\\nPATH=/usr/bin:/bin \\\n\
                         /usr/bin/qemu-system-x86_64 \\\n-name guest=web,debug-threads=on \\\n-msg timestamp=on\n";

    #[test]
    fn only_libvirts_line_of_the_last_run_tells_how_that_ended() {
        let end = |reason: &str| format!("2026-11-27 03:14:12.200+0000: shutting down, reason={reason}\n");
        let shut_down = format!("{BEGIN}2026-11-27T03:14:12.1Z qemu-system-x86_64: terminating\n{}", end("shutdown"));
        for (log, reason) in [
            (String::new(), None),
            (end("shutdown"), None),
            (BEGIN.to_owned(), None),
            (shut_down.clone(), Some("shutdown")),
            (format!("{BEGIN}{}", end("crashed")), Some("crashed")),
            (format!("{shut_down}{BEGIN}"), None),
            (format!("{shut_down}{BEGIN}{}", end("destroyed")), Some("destroyed")),
            (format!("{BEGIN}soon: shutting down, reason=shutdown\n"), None),
        ] {
            let ended = end_of_the_last(&log);
            assert_eq!(ended.as_ref().map(|ended| ended.reason.as_str()), reason, "{log}");
            assert!(ended.is_none_or(|ended| crate::sys::time::utc(ended.at) == "2026-11-27T03:14:12Z"));
        }
    }

    #[test]
    fn the_words_of_the_last_emulator_are_found_between_libvirts_own_lines() {
        let lock = "2026-11-27T03:14:12.1Z qemu-system-x86_64: -device {\"driver\":\"virtio-blk-pci\"}: Failed to get \
                    \"write\" lock\nIs another process using the image [/srv/web.img]?";
        let end = "2026-11-27 03:14:12.200+0000: shutting down, reason=failed\n";
        let before = format!("{BEGIN}2026-11-27T03:14:12.1Z qemu-system-x86_64: an older trouble\n{end}");
        for (log, expected) in [
            (String::new(), None),
            (BEGIN.to_owned(), None),
            (format!("{BEGIN}{}", end), None),
            (format!("{before}{BEGIN}"), None),
            (format!("{before}{BEGIN}{lock}\n{end}"), Some(lock)),
            // virtlogd's line of the end may come first.
            (format!("{before}{BEGIN}{}{lock}\n", end), Some(lock)),
            (format!("{BEGIN}qemu-system-x86_64: no time\n"), Some("qemu-system-x86_64: no time")),
        ] {
            assert_eq!(of_the_last(&log), expected, "{log}");
        }
    }
}
