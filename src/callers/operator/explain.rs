// SPDX-License-Identifier: GPL-2.0-or-later
//! explain: the facts with their sources, and the policy played through from them. Does nothing.

use crate::engine::imagine::{self, Imagined};
use crate::host::look::{Depth, Looker};
use crate::host::saved;
use crate::hypervisor::backend;
use crate::model::action::Class;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::{Definition, Fact, Facts, Libvirt, Place, Silence};
use crate::model::outcome::Code;
use crate::model::params::Guard;
use crate::model::presence::Presence;
use crate::model::saved_state::SavedState;
use crate::model::storage::OpenDisk;
use crate::policy::{migrate, tell};
use crate::sys::hosts;
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use std::fmt::Write;

/// What the action would find and do, and the code that it would end with.
#[must_use]
pub(super) fn run(inv: &Invocation, env: &Environment) -> (String, Code) {
    let deadline = Deadline::after(inv.timeout);
    let mut looker = Looker::new(inv, env, Roots::default());
    let patience = inv.budget().share(Share::Look, deadline.left());
    let mut seen = looker.look(inv, Depth::of(inv), patience, deadline);
    looker.read_definition(inv);
    let definition = looker.definition().clone();
    let mut text = facts(&looker.uri, &seen, &definition);
    // The story reads the definition at the step where the action would.
    if inv.params.name.is_some() {
        seen.definition = Definition::NotLooked;
    }
    let saved = match seen.here.libvirt {
        Libvirt::Domain(_) => looker.saved(&seen.here.who(), deadline),
        Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => Fact::Known(false),
    };
    // While it runs its own process has its disks open, and nothing is restored.
    let begins = inv.action.class() == Class::Start && matches!(seen.here.presence(), Presence::Off(_));
    let to_begin = Facts { definition: definition.clone(), ..seen.clone() };
    let open_elsewhere = match begins && inv.params.guard != Guard::Off {
        true => open_elsewhere(inv, &mut looker, &to_begin, deadline, &mut text),
        false => Fact::Known(None),
    };
    let state = match begins && inv.params.snapshot.is_some() {
        true => saved_state(inv, &mut looker, &to_begin, deadline, &mut text),
        false => Fact::Known(SavedState::Nothing),
    };
    let own = hosts::own_name();
    let there = if inv.action.moves() {
        at_target(inv, &seen, &own, &looker.uri, deadline, &mut text)
    } else {
        Place::by_word(Libvirt::NoDomain)
    };
    let world = Imagined {
        own,
        uri: looker.uri.clone(),
        there,
        definition: Some(definition),
        saved,
        state,
        open_elsewhere,
        ..Imagined::default()
    };
    let (steps, outcome) = imagine::play(inv, &seen, &world);
    let _ = write!(text, "\n{}", inv.budget().course());
    let _ = writeln!(text, "\nwhat '{}' would do now, if each step works:", inv.action.word());
    if steps.is_empty() {
        text.push_str("  nothing\n");
    }
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "  {}. {step}", number + 1);
    }
    match outcome {
        Some(outcome) => {
            let _ = write!(text, "\nit would answer {}: {}", outcome.code.number(), outcome.reason);
            (text, outcome.code)
        }
        None => (text + "\nit would come to no end", Code::Generic),
    }
}

/// Whether a start would find a disk of it open elsewhere.
fn open_elsewhere(
    inv: &Invocation,
    looker: &mut Looker,
    seen: &Facts,
    deadline: Deadline,
    text: &mut String,
) -> Fact<Option<OpenDisk>> {
    let answer = looker.open_elsewhere(seen, inv.budget().until(Share::Storage, deadline));
    let _ = match &answer {
        Fact::Known(Some(open)) => writeln!(text, "storage: {open}"),
        Fact::Known(None) | Fact::NotAsked => writeln!(text, "storage: nobody else has its disks open"),
        Fact::Silent(silence) => writeln!(text, "storage: not known: {}", silence.why),
    };
    answer
}

/// What a start would find in the folder of `snapshot`.
fn saved_state(
    inv: &Invocation,
    looker: &mut Looker,
    seen: &Facts,
    deadline: Deadline,
    text: &mut String,
) -> Fact<SavedState> {
    let found = saved::state(inv, looker, seen, inv.budget().until(Share::StateFolder, deadline));
    let state: Fact<SavedState> = found.map(|(state, _)| state).map_err(Silence::from).into();
    let _ = match &state {
        Fact::Known(state) => writeln!(text, "saved memory: {state}"),
        Fact::NotAsked => Ok(()),
        Fact::Silent(silence) => writeln!(text, "saved memory: not known: {}", silence.why),
    };
    state
}

/// How it is at the target of a migration, which is asked.
fn at_target(inv: &Invocation, seen: &Facts, own: &str, uri: &str, deadline: Deadline, text: &mut String) -> Place {
    // What makes no sense is told by the story.
    let Ok(target) = migrate::destination(inv, own, uri) else { return Place::by_word(Libvirt::NoDomain) };
    let until = inv.budget().until(Share::Target, deadline);
    let there = backend::place(&target.uri, seen.here.who(), until);
    let memory = target.data_uri.map(|uri| format!("; memory to {uri}")).unwrap_or_default();
    let _ = writeln!(text, "target {} ({}{memory}): {}", target.node, target.uri, tell::in_words_there(&there));
    there
}

fn facts(uri: &str, seen: &Facts, definition: &Definition) -> String {
    let presence = match seen.here.presence() {
        Presence::Active(domain) => format!("it is {}", domain.state),
        Presence::Blind { ran: false, .. } => {
            "libvirt is still starting it, and has not told its process to run".into()
        }
        Presence::Blind { .. } => format!("it runs, though {} does not answer", seen.here.tools),
        Presence::Stray { run, .. } => format!("its {run} is there, though {} says that it is not", seen.here.tools),
        Presence::Off(_) => "it does not run here".into(),
        Presence::Unknown(_) => "not known".into(),
    };
    let record = match &seen.here.starting {
        Some(starting) => {
            let (agent, _) = starting.agent;
            format!("record: process {agent} asked libvirt to start it, and nobody has seen yet what came of it\n")
        }
        None => String::new(),
    };
    format!(
        "{} ({uri}): {}\nhost: {}\ndefinition: {definition}\n{record}taken together: {presence}\n",
        seen.here.tools,
        seen.here.libvirt,
        seen.here.process_in_words()
    )
}
