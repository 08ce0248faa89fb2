// SPDX-License-Identifier: GPL-2.0-or-later
//! A change in the words of xl, and what xl says of a failure. Pure.

use crate::model::change::{Change, ShutdownMode};
use crate::model::failure::{Failure, FailureKind};
use crate::sys::text::ascii_line;
use std::ffi::OsString;

/// What of xl's or libxl's words tells which part of a Xen host is not there, and what is said of it.
const PARTS: [(&[&str], &str); 5] = [
    (&["privileged command interface", "Cannot open /dev/xen", "/proc/xen/privcmd"], "this host is no Xen dom0"),
    (&["xenstore", "XenStore", "xs_"], "xenstored does not run, or does not answer"),
    (&["console tty: timed out"], "xenconsoled does not run (is there a folder /var/log/xen/console?)"),
    (
        &["device model: spawn failed"],
        "the device model (QEMU) did not start; it says why in /var/log/xen/qemu-dm-NAME.log, or in /var/log/libvirt/libxl",
    ),
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
    if let Some(said) = not_there(&text) {
        return Failure::refused(said);
    }
    // Functions of libxl's have the same word in their names, and their errors tell of one path in a xenstore that answers.
    let says = |part: &&str| text.lines().any(|line| line.contains(*part) && !line.contains("_xs_"));
    if let Some((_, said)) = PARTS.iter().find(|(parts, _)| parts.iter().any(says)) {
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

/// A file that a domain needs and that could not be opened, or a device model that could not be run; libxl's further errors
/// only follow from that.
fn not_there(text: &str) -> Option<String> {
    let plain = |path: &str, why: &str| (ascii_line(path, 200), ascii_line(why.trim(), 100));
    if let Some((_, rest)) = text.split_once("failed to open file '") {
        let (path, rest) = rest.lines().next()?.split_once("': ")?;
        let (path, why) = plain(path, rest.split(':').next()?);
        return Some(format!("{path}, which it needs, cannot be opened: {why}"));
    }
    let line = text.lines().find(|line| line.contains(" is not executable: "))?;
    let (before, why) = line.split_once(" is not executable: ")?;
    let (path, why) = plain(before.split_once("device model ")?.1, why);
    Some(format!("the device model (QEMU) {path} cannot be run: {why}; install it (qemu-system-xen)"))
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
