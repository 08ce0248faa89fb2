// SPDX-License-Identifier: GPL-2.0-or-later
//! stop and kill. Pure.

use super::history::History;
use super::memory::{save_under_way, saving};
use super::outward::Sight;
use super::step::{Delay, Next, Query, Step};
use super::words::{end_of, its_process};
use super::{PAUSE_BETWEEN_CHECKS, fail, ok, saves_now, share, starting_up, wait_or};
use crate::model::budget::Share;
use crate::model::call::{Action, Invocation};
use crate::model::change::ShutdownMode;
use crate::model::facts::{Domain, Fact, Facts, Process, RunId, SilenceKind, Tools};
use crate::model::presence::Presence;
use crate::model::state::{Motion, Pause, State};
use crate::policy::health::{self, Health};
use std::time::Duration;

/// Between the first two requests to shut down; a guest that is still booting misses the first. Doubled up to `ASK_SLOWLY`.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a guest's agent may take to obey before the guest is asked in another way: it runs the guest's own scripts.
const AGENT_OBEYS: Duration = Duration::from_secs(10);

/// What a request by xl gets: it is a program that takes seconds on a busy host, and what it asks for stays in xenstore
/// until the guest takes it, so that asking sooner would only cut it short.
const XL_ASKS: Duration = Duration::from_secs(10);

/// Between two requests to a guest that was asked often.
const ASK_SLOWLY: Duration = Duration::from_secs(10);

/// With less time than this a process that was not ended is not signalled again: each signal waits for its end.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// With less time than this libvirt is not asked to destroy again.
const DESTROY_AGAIN: Duration = Duration::from_secs(2);

pub(super) fn stop(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    let ended = done.destroyed.iter().chain(&done.killed).any(Result::is_ok);
    let acted = done.has_asked_or_forced() || done.saving.is_some();
    let name = done.name.as_deref().unwrap_or_else(|| seen.here.label());
    match seen.here.presence() {
        Presence::Off(_) if seen.here.starting.is_some() && !queue_passed(inv, seen, done) => {
            pass_queue(inv, name, seen, done)
        }
        // Whatever a silent daemon was asked for by others it may still begin with.
        Presence::Off(_) if seen.here.is_hung() && !ended && !force(inv) && !patience(inv, done).is_zero() => {
            Next::Wait(Delay::UntilChange(patience(inv, done)))
        }
        // It was leaving: it may have arrived, and a copy there is still a copy.
        Presence::Off(_) if done.outward.is_leaving() => gone_while_leaving(name, ended, done),
        // It is not here. If it has arrived there, it is that host's; this note may be old.
        Presence::Off(_) if done.outward.may_be_the_recorded_one() && !acted => {
            let uri = done.moved_to.as_deref().unwrap_or("another host");
            ok(format!("'{name}' does not run here; a migration to {uri} was begun once, see whether it runs there"))
        }
        Presence::Off(_) if acted => ok(ended_after(name, done)),
        Presence::Off(_) if done.saved_by_others.is_some() => {
            let seconds = done.spent.as_secs_f32();
            ok(format!("'{name}' ended after {seconds:.1} s, with a save that somebody else had begun"))
        }
        Presence::Off(why) => match &seen.hindrance {
            Some(hindrance) => ok(format!("{why}; a start would be refused: {hindrance}")),
            None => ok(why),
        },
        Presence::Active(domain) => stop_active(inv, domain, seen, done),
        Presence::Blind { run, name: own, silence, .. } => {
            let returns =
                || share(inv, done, Share::DaemonReturns).saturating_sub(done.waited).min(patience(inv, done));
            let patience = match silence.kind {
                // It may be restarting.
                SilenceKind::Dead | SilenceKind::Refused | SilenceKind::Missing => returns(),
                // There is no guest yet that could be asked.
                SilenceKind::Hung | SilenceKind::Busy if seen.here.told_to_run == Some(false) => returns(),
                // It is there, and only with it can the guest be asked: what a slow guest gets, a slow daemon gets too.
                SilenceKind::Hung | SilenceKind::Busy => patience(inv, done),
            };
            // After a destroy there is nothing to be patient for: libvirt itself waits for the process, and blocks looks.
            if !patience.is_zero() && !force(inv) && done.destroyed.is_empty() && done.killed.is_empty() {
                return Next::Wait(Delay::UntilChange(patience));
            }
            end_process(inv, seen, (run, own), done, &silence.why)
        }
        Presence::Stray { run, name: own } => {
            let stray = share(inv, done, Share::Stray);
            if done.waited < stray {
                return Next::Wait(Delay::UntilChange(stray - done.waited));
            }
            end_process(inv, seen, (run, own), done, &format!("{} says that it does not run", seen.here.tools))
        }
        // Its process was seen to end, and libvirt, which could have made another, does not run.
        Presence::Unknown(_) if ended_by_killing(done) && seen.here.is_dead() && seen.here.starting.is_none() => {
            ok(ended_after(name, done))
        }
        // What was asked here has ended it; libvirt gives back what it held.
        Presence::Unknown(_)
            if (ended
                || !done.destroyed.is_empty()
                || !done.asked.is_empty()
                || matches!(done.saving, Some(Ok(_))))
                && seen.here.starting.is_none()
                && seen.here.is_clearing_up() =>
        {
            until_let_go(inv, name, done, inv.timeout)
        }
        Presence::Unknown(why) => wait_or(done, inv.timeout, || match seen.here.starting {
            Some(_) => why,
            None => format!("not stopped: {why}"),
        }),
    }
}

/// Its process is gone by what was done here, and libvirt has not let go of it yet: as long as it does not answer it runs
/// hooks, which give storage back. It is waited for, at most so long and as long as there is time; then the process counts.
fn until_let_go(inv: &Invocation, name: &str, done: &History, longest: Duration) -> Next {
    let patience = kept_for_there(inv, done).min(longest.saturating_sub(done.waited));
    if !patience.is_zero() {
        return Next::Wait(Delay::UntilChange(patience));
    }
    if done.outward.is_leaving() {
        return gone_while_leaving(name, true, done);
    }
    let seconds = done.spent.as_secs_f32();
    ok(format!("'{name}' {} after {seconds:.1} s; its process is gone, libvirt is not through with it yet", how(done)))
}

/// Whether libvirt, which says that the domain is off, has begun with every start that it was asked for before, and had a
/// moment since to let it be seen.
pub(super) fn queue_passed(inv: &Invocation, seen: &Facts, done: &History) -> bool {
    seen.answers.queue_passed == Fact::Known(()) && done.waited >= share(inv, done, Share::QueueShows)
}

/// Makes sure of it. A start whose agent is gone may stand in libvirt's queue behind others that wait for storage, while
/// questions, which overtake, are answered that there is no such domain.
pub(super) fn pass_queue(inv: &Invocation, name: &str, seen: &Facts, done: &History) -> Next {
    match &seen.answers.queue_passed {
        Fact::Known(()) => Next::Wait(Delay::UntilChange(share(inv, done, Share::QueueShows))),
        Fact::Silent(_) if done.waited.is_zero() && !done.left.is_zero() => {
            Next::Wait(Delay::UntilChange(PAUSE_BETWEEN_CHECKS))
        }
        Fact::NotAsked | Fact::Silent(_) if !done.left.is_zero() => Next::Ask(Query::Queue),
        Fact::NotAsked => fail(format!("libvirt may still start '{name}', as it was asked to")),
        Fact::Silent(silence) => fail(format!("libvirt may still start '{name}', as it was asked to: {}", silence.why)),
    }
}

/// What a stop has until it must begin to end the machine by force.
fn patience(inv: &Invocation, done: &History) -> Duration {
    let free = inv.budget().free(kept_for_there(inv, done));
    match inv.params.shutdown_timeout {
        Some(seconds) => {
            let saving = done.save_took.max(done.saved_by_others.unwrap_or_default());
            let asked_for = done.spent.saturating_sub(saving);
            free.min(Duration::from_secs(seconds).saturating_sub(asked_for))
        }
        None => free,
    }
}

/// What is left, without what the end at the target of its migration needs, where it may have to be ended there too.
fn kept_for_there(inv: &Invocation, done: &History) -> Duration {
    if done.outward.is_leaving() { inv.budget().without(Share::ForceThere, done.left) } else { done.left }
}

/// It was taken away by a migration, and then it was gone, or was `ended` here.
fn gone_while_leaving(name: &str, ended: bool, done: &History) -> Next {
    let how = || format!("'{name}' {} after {:.1} s", how(done), done.spent.as_secs_f32());
    if !ended {
        return match &done.at_target {
            // No job was seen that took it away: what waited here for its memory is gone again.
            None if done.outward.sight() == Some(Sight::Still) && !done.outward.may_be_the_recorded_one() => {
                ok(format!("'{name}' does not run here any more; it was migrating once, see whether it runs elsewhere"))
            }
            None => Next::Do(Step::StopAtTarget { only_half: false }),
            Some(Ok(there)) => ok(format!("'{name}' does not run here; {there}")),
            Some(Err(why)) => fail(format!("'{name}' has left by a migration, and was not stopped: {why}")),
        };
    }
    let how = how();
    match (&done.at_target, done.outward.sight()) {
        // No job was seen that took this copy away, so a domain on the target is not ours to end.
        (None, None | Some(Sight::Still)) => ok(format!("{how}; it was migrating once, see whether it runs elsewhere")),
        (None, Some(_)) if done.left.is_zero() => ok(how),
        (None, Some(sight)) => Next::Do(Step::StopAtTarget { only_half: sight == Sight::Half }),
        // Here it is ended for certain. A target that does not answer is the cluster's to fence.
        (Some(Ok(there)), _) => ok(format!("{how}; {there}")),
        (Some(Err(why)), _) => ok(format!("{how}; {why}")),
    }
}

fn ended_by_killing(done: &History) -> bool {
    matches!(done.killed.last(), Some(Ok(())))
}

fn force(inv: &Invocation) -> bool {
    inv.action == Action::Kill || inv.params.force_stop
}

/// How it came to its end, when, and what became of its memory where that was to be saved.
fn ended_after(name: &str, done: &History) -> String {
    let (how, seconds) = (how(done), done.spent.as_secs_f32());
    match &done.saving {
        Some(Ok(path)) => format!("'{name}' was saved to {path} after {seconds:.1} s"),
        Some(Err(why)) => format!("'{name}' {how} after {seconds:.1} s; its memory was not saved: {why}"),
        None => format!("'{name}' {how} after {seconds:.1} s"),
    }
}

fn how(done: &History) -> &'static str {
    if done.saving.is_some() && !done.has_asked_or_forced() {
        "ended with the save"
    } else if matches!(done.killed_run, Some(RunId::XenDomain(_))) {
        "was destroyed by xl"
    } else if !done.killed.is_empty() {
        "was ended by ending its process,"
    } else if !done.destroyed.is_empty() && done.rebooted {
        "rebooted when it was asked to shut down, and was destroyed in its firmware"
    } else if !done.destroyed.is_empty() {
        "was destroyed"
    } else {
        "shut down"
    }
}

/// Ends the process, or Xen's domain, of `label`; it runs under a name of its own.
fn end_process(inv: &Invocation, seen: &Facts, (run, name): (RunId, &str), done: &History, why: &str) -> Next {
    let (label, tools) = (done.name.as_deref().unwrap_or_else(|| seen.here.label()), seen.here.tools);
    let its = || its_process(run, name, label);
    if inv.params.no_kill && inv.action != Action::Kill {
        return wait_or(done, inv.timeout, || format!("{} still runs, no_kill forbids ending it, and {why}", its()));
    }
    match done.killed.last() {
        // It ends when its storage answers: that is waited for, and nothing else.
        Some(Err(why)) if done.left < KILL_AGAIN || done.killed.len() > 2 => {
            wait_or(done, inv.timeout, || {
                // libvirt's own refusal may be the cause of the other.
                let destroy = done.destroyed.last().and_then(|destroyed| destroyed.as_ref().err());
                let destroy = destroy.map(|why| format!("; {tools}'s destroy failed: {why}")).unwrap_or_default();
                format!("{} could not be ended: {why}{destroy}", its())
            })
        }
        None | Some(Ok(()) | Err(_)) => Next::Do(Step::EndRun(run)),
    }
}

fn stop_active(inv: &Invocation, domain: &Domain, seen: &Facts, done: &History) -> Next {
    let name = &domain.name;
    let state = domain.state;
    let health = health::health(state, domain.motion);
    let may_leave = match domain.motion {
        Motion::Leaving => true,
        // One answer that did not come does not unsay an earlier one.
        Motion::Unknown => !done.outward.is_here() && !done.left.is_zero(),
        Motion::None | Motion::Arriving => false,
    };
    if may_leave && state != State::Paused(Pause::PostCopy) && done.aborted.is_none() {
        return Next::Do(Step::AbortJob);
    }
    let forbidden = inv.params.no_kill && inv.action != Action::Kill && domain.motion != Motion::Arriving;
    // It has ended, and libvirt, in the middle of something else, has not taken note of it.
    let gone = seen.here.process == Process::Gone;
    // What has no process any more, or one that is ending, hears nothing.
    let deaf = end_of(seen, domain).is_some();
    let wakes = share(inv, done, Share::Wake);
    let beyond_asking = deaf
        || starting_up(seen, domain)
        || match health {
            Health::Failed | Health::Arriving | Health::Elsewhere => true,
            // One that does not wake cannot answer. Why the other is paused may be a migration: it is not resumed to be
            // asked.
            Health::Degraded => {
                let sleeps_on = || matches!(&done.woken, Some(woken) if woken.is_err() || done.waited >= wakes);
                (state == State::PmSuspended && sleeps_on()) || state == State::Paused(Pause::Unknown)
            }
            Health::Well | Health::Off => false,
        };
    let patience = if forbidden { done.left } else { patience(inv, done) };
    // The target runs it, and may still need memory from here.
    let needed = state == State::Paused(Pause::PostCopy) || domain.motion == Motion::Leaving;
    if needed && !gone && !force(inv) && !patience.is_zero() {
        // No event tells of a job's end, so it is looked for again soon.
        let soon = PAUSE_BETWEEN_CHECKS.min(patience);
        return Next::Wait(Delay::UntilChange(soon));
    }
    // While libvirt can still tell: what it knows of that ends with the machine.
    let tells = !gone && !deaf && !starting_up(seen, domain);
    if tells && !patience.is_zero() && saves_now(inv, domain, done) {
        return Next::Do(Step::SaveDefinition);
    }
    // It did what it was asked to. A busy libvirt takes note by itself; a destroy would be told as its end.
    let noted = share(inv, done, Share::ClearsUp).saturating_sub(done.waited).min(patience);
    if gone && done.asked.iter().any(|(_, result)| result.is_ok()) && done.destroyed.is_empty() && !noted.is_zero() {
        return Next::Wait(Delay::UntilChange(noted));
    }
    // A guest that was asked and begins anew (on_poweroff=restart, updates) would be destroyed at some time while it boots
    // or runs. In its firmware it has not touched its disks yet.
    let begins_anew = done.rebooted && !forbidden;
    let ask = !force(inv) && !beyond_asking && !begins_anew && done.destroyed.is_empty();
    if let Some(step) = saving(inv, domain, ask, done) {
        return Next::Do(step);
    }
    if let Some(next) = save_under_way(inv, state, seen, done).filter(|_| ask) {
        return next;
    }
    if ask && !patience.is_zero() {
        // A guest that is paused cannot answer: it is let run, so that it may end in an orderly way.
        if matches!(state, State::Paused(Pause::User | Pause::FromSnapshot)) && done.resume.is_none() {
            return Next::Do(Step::Resume);
        }
        // One that sleeps cannot either: it is woken.
        if state == State::PmSuspended {
            return match done.woken {
                None => Next::Do(Step::Wake),
                Some(_) => Next::Wait(Delay::UntilChange(PAUSE_BETWEEN_CHECKS.min(patience))),
            };
        }
        return ask_guest(&inv.params.shutdown_modes, seen.here.tools, patience, done);
    }
    if forbidden {
        return wait_or(done, inv.timeout, || {
            format!("'{name}' is still {state}: it did not shut down in time, and no_kill forbids destroying it")
        });
    }
    destroy(inv, name, seen, done)
}

/// The modes in order, each again and again; a mode that is refused is followed by the next one at once.
fn ask_guest(modes: &[ShutdownMode], tools: Tools, patience: Duration, done: &History) -> Next {
    let refused = |mode: ShutdownMode| done.asked.iter().any(|(m, result)| *m == mode && result.is_err());
    let mut usable: Vec<ShutdownMode> = modes.iter().copied().filter(|m| !refused(*m)).collect();
    if usable.is_empty() {
        usable.push(ShutdownMode::Default);
    }
    let accepted = done.asked.iter().filter(|(_, result)| result.is_ok()).count();
    let mode = usable.get(accepted % usable.len()).copied().unwrap_or(ShutdownMode::Default);
    // Refused even so: not at once again.
    let refused_last = matches!(done.asked.last(), Some((last, Err(_))) if *last == mode);
    if refused_last && done.waited.is_zero() {
        return Next::Wait(Delay::UntilChange(PAUSE_BETWEEN_CHECKS.min(patience)));
    }
    let doublings = u32::try_from(accepted).unwrap_or(u32::MAX).min(5);
    let least = match (tools, mode) {
        (Tools::Xl, _) => XL_ASKS,
        (Tools::Libvirt, ShutdownMode::Agent) => AGENT_OBEYS,
        (Tools::Libvirt, _) => Duration::ZERO,
    };
    Next::Do(Step::Ask { mode, wait: (ASK_AGAIN * 2_u32.pow(doublings)).min(ASK_SLOWLY).max(least).min(patience) })
}

fn destroy(inv: &Invocation, name: &str, seen: &Facts, done: &History) -> Next {
    let in_vain = format!("{}'s destroy did not end it", seen.here.tools);
    match (done.destroyed.as_slice(), &seen.here.process) {
        ([], _) => Next::Do(Step::Destroy),
        // All processes were read, and it has none any more: what libvirt still says of it is old.
        // It may be stuck, as in a migration to a port that a firewall drops (TCP gives up after two minutes).
        ([.., _], Process::Gone) => until_let_go(inv, name, done, share(inv, done, Share::ClearsUp)),
        ([.., _], Process::Alive { run, name: own, .. }) => {
            let why = match done.destroyed.last() {
                Some(Err(why)) => &why.said,
                Some(Ok(())) | None => &in_vain,
            };
            end_process(inv, seen, (*run, own), done, why)
        }
        (
            [.., last],
            Process::NotLooked | Process::MayBe(_) | Process::Namesake(_) | Process::NoDomain | Process::Unknown(_),
        ) => {
            if done.destroyed.len() < 3 && done.left > DESTROY_AGAIN {
                if done.waited.is_zero() {
                    return Next::Wait(Delay::UntilChange(PAUSE_BETWEEN_CHECKS));
                }
                return Next::Do(Step::Destroy);
            }
            let why = last.as_ref().err().map_or(&in_vain, |why| &why.said);
            // libvirt may still be about to notice the end of the process.
            wait_or(done, share(inv, done, Share::SecondLook), || format!("'{name}' could not be stopped: {why}"))
        }
    }
}
