// SPDX-License-Identifier: GPL-2.0-or-later
//! Sentences that several policies say. Pure.

use crate::model::facts::{Domain, Facts, Libvirt, Process, RunId, Silence, Tools};
use crate::model::state::{Pause, State};
use crate::policy::health::Health;

pub(super) fn advice(tools: Tools, domain: &Domain, health: Health) -> String {
    let resume = tools.resume();
    match (domain.state, health) {
        (_, Health::Well | Health::Arriving | Health::Elsewhere | Health::Off) => String::new(),
        (State::Paused(Pause::User | Pause::Unknown | Pause::FromSnapshot), _) => {
            format!("; resume it with '{resume}'")
        }
        (State::PmSuspended, _) => "; wake it with 'virsh dompmwakeup'".into(),
        (State::Paused(Pause::Migration), _) => {
            format!("; nobody drives that migration any more: see where it runs, stop it here or '{resume}' it")
        }
        (State::Paused(Pause::IoError), _) => "; see 'virsh domblkerror', repair the storage".into(),
        (_, Health::Degraded | Health::Failed) => String::new(),
    }
}

/// That the process of a domain which libvirt calls active has ended, or is about to: what is wrong with it, in words.
pub(super) fn end_of(seen: &Facts, domain: &Domain) -> Option<String> {
    let (Domain { name, state, .. }, tools) = (domain, seen.here.tools);
    match &seen.here.process {
        Process::Gone => Some(format!("the process of '{name}' is gone, but {tools} says that it is {state}")),
        Process::Alive { run: run @ RunId::Process { .. }, ending: true, .. } => Some(format!(
            "{run} of '{name}' {}: it waits for a device, or for storage that is gone; {tools} says that it is {state}",
            ending(*run)
        )),
        Process::Alive { run: run @ RunId::XenDomain(_), ending: true, .. } => {
            Some(format!("{run} of '{name}' {}", ending(*run)))
        }
        Process::Alive { ending: false, .. }
        | Process::NotLooked
        | Process::MayBe(_)
        | Process::Namesake(_)
        | Process::NoDomain
        | Process::Unknown(_) => None,
    }
}

/// What is wrong with a run that is ending.
pub(super) const fn ending(run: RunId) -> &'static str {
    match run {
        RunId::Process { .. } => "was killed or ends, and has not come to its end",
        RunId::XenDomain(_) => "stands still, though Xen runs it: its device model (QEMU) has ended",
    }
}

/// That it runs, or is there, against the word of who controls it; `how`, where it is a process.
pub(super) fn stray(seen: &Facts, (run, name): (RunId, &str), how: &str) -> String {
    let (its, tools) = (its_process(run, name, seen.here.label()), seen.here.tools);
    match (run, &seen.here.libvirt) {
        (RunId::XenDomain(_), Libvirt::Domain(domain)) => format!("{its} is kept, though it is {}", domain.state),
        (RunId::XenDomain(_), _) => format!("{its} runs, and {tools} does not know it: another tool stack made it"),
        (RunId::Process { .. }, _) => format!("{its} {how}"),
    }
}

/// Its process in a sentence, with the name that it was started under if that is another.
pub(super) fn its_process(run: RunId, name: &str, label: &str) -> String {
    match name == label {
        true => format!("{run} of '{label}'"),
        false => format!("{run} of '{label}' (under the name '{name}')"),
    }
}

pub(super) fn still_starting(label: &str, (run, name): (RunId, &str), silence: &Silence) -> String {
    format!("libvirt is still starting '{label}': {}, and {}", not_told_to_run(run, name, label), silence.why)
}

/// What an emulator is that libvirt has made and not told to run.
pub(super) fn not_told_to_run(run: RunId, name: &str, label: &str) -> String {
    let under = if name == label { String::new() } else { format!(" (under the name '{name}')") };
    format!("its {run}{under} was not told to run yet")
}

/// The same in brackets, after the name.
pub(super) fn as_process(run: RunId, name: &str, label: &str) -> String {
    match name == label {
        true => format!("({run})"),
        false => format!("({run}, under the name '{name}')"),
    }
}

/// Old memory on disks that were written since destroys them; so it is neither restored nor passed by without being told
/// to.
#[must_use]
pub(crate) fn has_saved_memory(name: &str) -> String {
    format!(
        "'{name}' has saved memory: restore it (virsh start, saved_memory=use) or discard it (virsh managedsave-remove, =drop)"
    )
}

/// The sentence for a virtual machine that is defined nowhere.
#[must_use]
pub(crate) fn no_definition(name: &str, looked_at: &[std::path::PathBuf]) -> String {
    let places: Vec<String> = looked_at.iter().map(|p| p.display().to_string()).collect();
    if places.is_empty() {
        format!("'{name}' has no definition: libvirt knows none, and neither path nor config is set")
    } else {
        format!("'{name}' has no definition: libvirt knows none, and there is no {}", places.join(", "))
    }
}
