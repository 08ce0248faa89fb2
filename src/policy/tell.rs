// SPDX-License-Identifier: GPL-2.0-or-later
//! The sentences of a migration. What went wrong stands first, where a manager does not cut it off. Pure.

use super::converge::Sample;
use super::settle::{AtSource, AtTarget, at_source, at_target};
use crate::model::change;
use crate::model::facts::Place;
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::model::worker::CallStep;
use std::time::Duration;

/// What failed, with the place where it did.
#[must_use]
pub(crate) fn sentence(failure: &Failure, node: &str, uri: &str) -> String {
    match failure.at {
        Some(CallStep::ConnectDestination) => {
            format!("{node} cannot be reached: {} ({uri})", daemon(plain(&failure.said)))
        }
        Some(
            CallStep::Arguments
            | CallStep::Input
            | CallStep::Connect
            | CallStep::Lookup
            | CallStep::Preflight
            | CallStep::Leftover
            | CallStep::Call
            | CallStep::Deadline,
        )
        | None => explained(plain(&failure.said), node),
    }
}

/// The sentence of a migration that left everything as it was.
#[must_use]
pub(crate) fn stayed(name: &str, why: &str) -> String {
    format!("'{name}' not moved, runs on here: {why}")
}

/// The sentence of one that sleeps, and cannot be woken to be moved.
#[must_use]
pub(crate) fn asleep(name: &str, why: &str) -> String {
    format!("'{name}' not moved, is asleep here (suspended by the guest): wake or stop it first; {why}")
}

/// Why a migration that would have taken too long was given up; or one that did not get on, where nobody waits for it.
#[must_use]
pub(crate) fn too_late(last: Option<&Sample>, open_ended: bool) -> String {
    let mib = |bytes: u64| bytes / (1 << 20);
    let what = if open_ended { "no progress any more" } else { "no end in time" };
    last.map_or("it would not have ended in time".to_owned(), |sample| {
        let (left, sent) = (mib(sample.remaining), mib(sample.rate));
        let dirty = sample.dirty.map(|bytes| format!(", {} MiB/s dirtied", mib(bytes))).unwrap_or_default();
        format!("{what}: {left} MiB left, {sent} MiB/s sent{dirty}")
    })
}

/// libvirt's message without what its layers put around it.
#[must_use]
pub(crate) fn plain(message: &str) -> &str {
    // What libvirt says of a connection that ends under it, ours or the one between its daemons.
    if matches!(
        message,
        "End of file while reading data: Input/output error"
            | "End of file while reading data"
            | "client socket is closed"
    ) {
        return "a connection to libvirt broke";
    }
    let mut text = message.trim();
    for before in ["operation failed: ", "internal error: ", "Cannot recv data: ", "End of file while reading data: "] {
        text = text.strip_prefix(before).unwrap_or(text);
    }
    for behind in [": Connection reset by peer", ": Input/output error"] {
        text = text.strip_suffix(behind).unwrap_or(text);
    }
    // What remains of a connection that was closed without a word, as by ssh.
    let text = text.trim().trim_matches(':').trim();
    match text {
        "" if message.contains(" data: ") => "the connection was closed without a word",
        "" => "libvirt did not say why",
        text => text,
    }
}

/// The host answers, and nobody at its daemon's socket: said in few words, since the paths push the reason out of sight.
fn daemon(message: &str) -> String {
    match message.rsplit_once("Failed to connect socket to '").and_then(|(_, rest)| rest.split_once("': ")) {
        Some((_, why)) => format!("libvirt's daemon does not run there: {why}"),
        None => message.to_owned(),
    }
}

/// The sentence of a migration whose end nobody here can bring about.
#[must_use]
pub(crate) fn unclear(name: &str, node: &str, here: &Place, there: &Place, why: Option<&str>) -> String {
    let why = why.map(|why| format!("; {why}")).unwrap_or_default();
    let told = in_words_there(there);
    match (at_source(here), at_target(there)) {
        (Presence::Active(AtSource::Half(_)), Presence::Off(_)) => {
            format!("'{name}' lost its half on {node} in post-copy: stop and start it{why}")
        }
        (Presence::Active(AtSource::Half(_)), _) => format!(
            "'{name}' is half here, half on {node} (post-copy): let the two reach each other, or stop it on both; \
             on {node} {told}{why}"
        ),
        (Presence::Active(AtSource::Runs(_)), Presence::Active(AtTarget::Whole(_) | AtTarget::Half(_))) => {
            format!("'{name}' runs twice, here and on {node}: stop one of the two at once{why}")
        }
        _ => format!("'{name}': here {}, on {node} {told}{why}", in_words_here(here)),
    }
}

/// It stands still here, and what its target has done since is forgotten there.
pub(crate) fn may_have_run(name: &str, node: &str, silent: Duration, resume: &str) -> String {
    format!(
        "'{name}' is paused for a migration and was left so: {node} does not run it, but was silent for {} s, and may have \
         run it until it crashed; if it did not, '{resume}' it here, else stop and start it",
        silent.as_secs()
    )
}

/// How it is at a migration's source.
#[must_use]
pub(crate) fn in_words_here(place: &Place) -> String {
    match at_source(place) {
        Presence::Active(AtSource::Runs(state) | AtSource::Stuck(state) | AtSource::Half(state)) => {
            format!("it is {state}")
        }
        Presence::Active(AtSource::Leaving(_)) => "it is still migrating".into(),
        Presence::Active(AtSource::Ended(_)) => {
            "it has no process any more, and libvirt has not taken note of that".into()
        }
        Presence::Active(AtSource::Unclear(_)) => "libvirt does not say whether the migration is still on".into(),
        Presence::Blind { run, silence, .. } => format!("{run} runs, but {}", silence.why),
        Presence::Stray { run, .. } => format!("{run} runs, but libvirt lost the domain"),
        Presence::Off(_) => "it is gone".into(),
        Presence::Unknown(why) => why,
    }
}

/// How it is at a migration's target.
#[must_use]
pub(crate) fn in_words_there(place: &Place) -> String {
    match at_target(place) {
        Presence::Active(AtTarget::Whole(state) | AtTarget::Half(state)) => format!("it is {state}"),
        Presence::Active(AtTarget::Arriving) => "it is still arriving".into(),
        Presence::Off(_) => "it is not running".into(),
        Presence::Blind { .. } | Presence::Stray { .. } | Presence::Unknown(_) => {
            format!("nobody answers ({})", place.why_unknown())
        }
    }
}

/// libvirt's message about what it found at the begin, with where and what to do where it leaves that out.
fn explained(message: &str, node: &str) -> String {
    if let Some(uuid) = message.strip_prefix("Attempt to migrate guest to the same host ") {
        return change::same_host(node, uuid);
    }
    // The machine has its disks open here, so it is the target that lacks one.
    if message.starts_with("Cannot access storage file ") {
        return format!("{message} (on {node}: make it available there)");
    }
    // Behind the emulator's path it would be cut off.
    if let Some((_, machine)) = message.split_once(" does not support machine type ") {
        return format!("QEMU on {node} has no machine type {machine}");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_never_empty() {
        for message in [
            "",
            "operation failed: ",
            "Cannot recv data: End of file while reading data: : Input/output error",
            "End of file while reading data: : Input/output error",
            "Cannot recv data: Connection reset by peer",
        ] {
            let said = plain(message);
            assert!(said.chars().any(char::is_alphabetic) && !said.ends_with(':'), "{message}: {said}");
        }
    }

    #[test]
    fn the_machine_type_that_the_other_qemu_lacks_is_named() {
        let message =
            "unsupported configuration: Emulator '/usr/bin/qemu-system-x86_64' does not support machine type 'pc-9'";
        let failure = Failure { at: Some(CallStep::Call), ..Failure::refused(message) };
        let sentence = sentence(&failure, "node2", "qemu+ssh://node2/system");
        assert!(sentence.contains("QEMU on node2 has no machine type 'pc-9'"), "{sentence}");
    }

    #[test]
    fn the_reason_stands_where_a_manager_does_not_cut_it_off() {
        let message = "End of file while reading data: virt-ssh-helper: cannot connect to '/run/libvirt/libvirt-sock': \
                       Failed to connect socket to '/run/libvirt/libvirt-sock': Connection refused: Input/output error";
        let failure = Failure { at: Some(CallStep::ConnectDestination), ..Failure::refused(message) };
        let sentence = sentence(&failure, "node2", "qemu+ssh://node2/system");
        let expected = "node2 cannot be reached: libvirt's daemon does not run there: Connection refused";
        assert!(sentence.starts_with(expected), "{sentence}");
    }
}
