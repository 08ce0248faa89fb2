// SPDX-License-Identifier: GPL-2.0-or-later
//! What libxl said of a domain that libvirt could not create or move: libvirt itself tells only that it could not. It is in a
//! log that all domains share.

use crate::model::failure::Failure;
use crate::sys::child::end_of_file;
use crate::sys::text::ascii_line;
use crate::sys::time::{Deadline, from_utc};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// Where libvirt's Xen driver has libxl's errors.
const LOG: &str = "/var/log/libvirt/libxl/libxl-driver.log";
/// As much of its end as is read.
const END: usize = 16 * 1024;

/// The times in it are read in whole seconds.
const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// What libvirt's Xen driver says where the cause is in that log alone.
const UNTOLD: [&str; 2] = ["libxenlight failed to create", "Failed to send migration data"];

/// A failure of libvirt's Xen driver in a call that began then, with its cause, if libvirt has kept that to itself.
#[must_use]
pub(crate) fn explained(failure: Failure, began: SystemTime, deadline: Deadline) -> Failure {
    if !UNTOLD.iter().any(|words| failure.said.contains(words)) {
        return failure;
    }
    let log = || cause_in(&end_of_file(LOG, END, deadline)?, began.checked_sub(WHOLE_SECOND)?);
    match log() {
        Some(said) => Failure { said: ascii_line(&said, 500), ..failure },
        None => failure,
    }
}

/// The sentence for what a log says since `began`, if that is of one domain alone: its lines begin with a time and the library that
/// speaks.
pub(crate) fn cause_in(log: &str, began: SystemTime) -> Option<String> {
    let since: Vec<(&str, &str)> = log
        .lines()
        .filter_map(|line| {
            let (stamp, said) = line.split_once(": ")?;
            let (library, words) = said.split_once(": ")?;
            (from_utc(stamp)? >= began).then_some((library, words))
        })
        .collect();
    let number = |words: &str| words.split_once("Domain ")?.1.split(':').next()?.parse::<u32>().ok();
    let domains: BTreeSet<u32> = since.iter().filter_map(|(_, words)| number(words)).collect();
    if since.is_empty() || domains.len() > 1 {
        return None;
    }
    // As the same libraries speak where xl runs them.
    let text: String = since.iter().map(|(library, words)| format!("{library}: error: {words}\n")).collect();
    Some(super::failure(text.as_bytes()).said)
}
