// SPDX-License-Identifier: GPL-2.0-or-later
//! A change in the words of xl, and what xl says of a failure. Pure.

use crate::model::change::{Change, ShutdownMode};
use crate::model::failure::{Failure, FailureKind};
use crate::sys::text::ascii_line;
use std::ffi::OsString;

/// What of xl's or libxl's words tells which part of a Xen host is not there, and what is said of it.
const PARTS: [(&[&str], &str); 4] = [
    (&["privileged command interface", "Cannot open /dev/xen", "/proc/xen/privcmd"], "this host is no Xen dom0"),
    (&["xenstore", "XenStore", "xs_"], "xenstored does not run, or does not answer"),
    (&["console tty: timed out"], "xenconsoled does not run (is there a folder /var/log/xen/console?)"),
    (
        &["logdirty"],
        "the hypervisor has no shadow paging, and cannot move a PV guest live: use_virsh=1 with migrate=pause, or make it PVH",
    ),
];

/// The words for xl, and its input; the domain is named by its number.
///
/// # Errors
/// xl has no such change.
pub(crate) fn words(change: &Change, id: u32) -> Result<(Vec<OsString>, Option<&str>), Failure> {
    let with = |verb: &[&str]| -> Vec<OsString> {
        verb.iter().copied().map(OsString::from).chain(std::iter::once(id.to_string().into())).collect()
    };
    Ok(match change {
        // The text that was read is what is made: xl reads its input, which is a file in memory.
        Change::Create { xml } => (["create", "/proc/self/fd/0"].map(OsString::from).into(), Some(xml)),
        Change::Resume => (with(&["unpause"]), None),
        Change::Suspend => (with(&["pause"]), None),
        // Never -w: a guest that ignores the request would be waited for without an end.
        Change::Shutdown { mode: ShutdownMode::Default | ShutdownMode::Paravirt } => (with(&["shutdown", "-F"]), None),
        Change::Shutdown { mode: ShutdownMode::Acpi } => {
            (["trigger".into(), id.to_string().into(), "power".into()].into(), None)
        }
        Change::Destroy | Change::DestroyWaiting => (with(&["destroy"]), None),
        Change::Shutdown { mode: ShutdownMode::Agent | ShutdownMode::Initctl | ShutdownMode::Signal }
        | Change::Restore { .. }
        | Change::Start
        | Change::Wake
        | Change::Save { .. }
        | Change::DropSaved
        | Change::AbortJob
        | Change::SetDowntime { .. }
        | Change::StartPostcopy
        | Change::SetMark { .. }
        | Change::Migrate(_) => return Err(Failure::refused(format!("xl cannot {change}"))),
    })
}

/// What xl's words say of a failure.
pub(crate) fn failure(stderr: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(stderr);
    if let Some((_, said)) = PARTS.iter().find(|(parts, _)| parts.iter().any(|part| text.contains(part))) {
        return Failure::refused(*said);
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    // The first error is the cause of the others.
    let first = lines().find_map(|line| line.split_once("libxl: error: ").map(|(_, rest)| rest));
    let Some(line) = first.or_else(|| lines().next_back()) else {
        return Failure::new(FailureKind::Crashed, "xl failed and did not say why");
    };
    Failure::refused(ascii_line(without_place(line), 300))
}

/// A line without the file and the function of libxl's that wrote it: `libxl_create.c:12:fn: Domain 3:Words`.
fn without_place(line: &str) -> &str {
    let is_place =
        |word: &str| word.contains(".c:") || word.split_once(':').is_some_and(|(file, _)| file.ends_with(".c"));
    let rest = match line.split_once(": ") {
        Some((place, rest)) if is_place(place) => rest,
        Some(_) | None => line,
    };
    match rest.split_once(':') {
        Some((domain, rest)) if domain.starts_with("Domain ") && !rest.trim().is_empty() => rest.trim(),
        Some(_) | None => rest,
    }
}
