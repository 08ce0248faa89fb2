// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine's memory in the folder of `snapshot`: when a stop saves it, what it does about a save that is under way, when
//! a start restores it, and what both leave there. Pure.

use super::history::History;
use super::step::{Delay, Next, Query, Step, Tidy};
use super::{fail, share};
use crate::model::budget::Share;
use crate::model::call::{Action, Invocation};
use crate::model::facts::{Domain, Fact, Facts, Tools};
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::model::saved_state::SavedState;
use crate::model::state::{Motion, Pause, Running, State};

/// What is done about a save that is under way already. One that an agent did not live to end is aborted: nobody would know
/// its image as whole. Any other is somebody's who wants the guest's state, and ends the machine, too: it is waited for as
/// long as one of ours may take, and aborted then, which lets the guest run on and shut down in the other half of the time.
pub(super) fn save_under_way(inv: &Invocation, state: State, seen: &Facts, done: &History) -> Option<Next> {
    if state != State::Paused(Pause::Save) || done.saving.is_some() {
        return None;
    }
    let ours = match &seen.answers.own_save {
        // Beside another agent it may be that agent's, which lives.
        Fact::NotAsked if inv.params.snapshot.is_some() && done.locked => return Some(Next::Ask(Query::OwnSave)),
        Fact::Known(ours) => *ours,
        Fact::NotAsked | Fact::Silent(_) => false,
    };
    let longest = inv.budget().share(Share::SaveMemory, done.left.saturating_add(done.waited));
    match longest.saturating_sub(done.waited) {
        left if !ours && !left.is_zero() => Some(Next::Wait(Delay::UntilChange(left))),
        _ => Some(Next::Do(Step::AbortSave { ours })),
    }
}

/// What is done to save its memory, where that is wanted: once, of a machine that runs well.
pub(super) fn saving(inv: &Invocation, domain: &Domain, ask: bool, done: &History) -> Option<Step> {
    // Beside another agent, which may be at the same image, nothing is saved.
    let wanted = inv.action == Action::Stop && ask && done.locked && done.saving.is_none();
    inv.params.snapshot.as_ref().filter(|_| wanted)?;
    match domain.state {
        // One that was let run on only to be asked was not well.
        State::Running(Running::Plain)
            if done.asked.is_empty()
                && done.resume.is_none()
                && done.woken.is_none()
                && domain.motion == Motion::None =>
        {
            Some(Step::Save(share(inv, done, Share::SaveMemory)))
        }
        State::NoState
        | State::Running(_)
        | State::Blocked
        | State::Paused(_)
        | State::InShutdown
        | State::ShutOff(_)
        | State::Crashed(_)
        | State::PmSuspended
        | State::Other(_) => None,
    }
}

/// What starts it: `start`, unless a stop has saved its memory in the folder of `snapshot`. Whatever lies there and is not
/// restored is out of the way before anything is started: from then on it is older than the disks.
///
/// # Errors
/// What comes first.
pub(super) fn how_to_start(inv: &Invocation, seen: &Facts, done: &History, start: Step) -> Result<Step, Next> {
    if inv.params.snapshot.is_none() || seen.here.tools == Tools::Xl {
        return Ok(start);
    }
    let name = seen.here.label();
    let (path, why) = match (&seen.answers.state, &seen.answers.saved) {
        (Fact::NotAsked, _) => return Err(Next::Ask(Query::State)),
        (Fact::Silent(silence), _) => {
            return Err(fail(format!(
                "'{name}' was not started: whether its memory is saved is not known: {}",
                silence.why
            )));
        }
        (Fact::Known(SavedState::Nothing), _) => return Ok(start),
        (Fact::Known(SavedState::Fits { path, .. }), Fact::Known(true)) => {
            (path, "libvirt has saved memory of it as well, and saved_memory is use")
        }
        (Fact::Known(SavedState::Fits { .. }), Fact::Known(false) | Fact::NotAsked | Fact::Silent(_)) => {
            return Ok(Step::Restore);
        }
        (Fact::Known(SavedState::Unfit { path, why }), _) => (path, why.as_str()),
    };
    Err(aside_or(inv, name, done, why, path))
}

/// What follows where a restore has failed; nothing, where it was no restore.
pub(super) fn after_a_restore(inv: &Invocation, name: &str, why: &Failure, done: &History) -> Option<Next> {
    match (&done.restored, &done.set_aside) {
        (Some(Err(_)), None | Some(Err(_))) => {
            let folder = inv.params.snapshot.as_deref().unwrap_or_default();
            Some(aside_or(inv, name, done, &format!("it could not be restored: {}", why.said), folder))
        }
        (None | Some(Ok(())), _) | (Some(Err(_)), Some(Ok(_))) => None,
    }
}

/// Sets aside what cannot be restored, unless it is required.
fn aside_or(inv: &Invocation, name: &str, done: &History, why: &str, path: &str) -> Next {
    match &done.set_aside {
        _ if inv.params.snapshot_required => {
            fail(format!("'{name}' was not started (snapshot_required): {why}; its saved memory: {path}"))
        }
        None => Next::Do(Step::SetAside { why: why.to_owned() }),
        Some(Ok(_)) => fail(format!("'{name}' was not started: its saved memory is still there: {path}")),
        Some(Err(why)) => fail(format!("'{name}' was not started: its saved memory could not be set aside: {why}")),
    }
}

/// What a start, or a stop, leaves in the folder of `snapshot`: no image that was used, and none that is half.
pub(super) fn left(inv: &Invocation, seen: &Facts, done: &History) -> Option<Tidy> {
    let saved = matches!(done.saving, Some(Ok(_)));
    match (inv.action, seen.here.presence()) {
        (Action::Start | Action::Restart | Action::Recover, Presence::Active(_)) => Some(Tidy::DropState),
        (Action::Stop | Action::Kill, _) if !saved && seen.here.tools == Tools::Libvirt => Some(Tidy::ClearState),
        (_, _) => None,
    }
}
