// SPDX-License-Identifier: GPL-2.0-or-later
//! What was done in a record: what failed, how it ended, what changed by itself, and the lines below a story's line. Pure.

use super::Lines;
use super::words;
use crate::engine::replay::SeenLook;
use crate::model::facts::{Fact, Libvirt, Process};
use crate::model::failure::{Failure, FailureKind};
use crate::model::presence::Presence;
use crate::model::state::{Motion, Off, State};
use crate::policy::hope::Hope;
use crate::policy::moving::NEVER;

/// The line of a story in which nothing was decided: without one it would not end where the next one begins.
const NOTHING: &str = "(nothing was decided)";

/// What a failure says, behind its kind where that decides something.
fn failed(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::Missing => format!("missing {}", failure.said),
        FailureKind::Refused(_) | FailureKind::TimedOut | FailureKind::Crashed | FailureKind::Garbled => {
            failure.said.clone()
        }
    }
}

/// The failure of a step, where it failed.
fn failure<T>(result: &Option<Result<T, Failure>>) -> Option<&Failure> {
    result.as_ref().and_then(|result| result.as_ref().err())
}

/// Each step that failed, in its words.
pub(super) fn failures(looks: &[SeenLook], lines: &mut Lines) {
    let did = |words: &str| looks.iter().any(|look| look.next.starts_with(words));
    let found = |of: &dyn Fn(&SeenLook) -> Option<String>| looks.iter().find_map(of);
    let restored = found(&|look| failure(&look.done.restored).map(failed));
    for (key, why) in [
        ("drop", found(&|look| failure(&look.done.dropped).map(failed))),
        ("resources", found(&|look| failure(&look.done.resources).map(failed))),
        ("start", found(&|look| failure(&look.done.start).filter(|_| look.done.restored.is_none()).map(failed))),
        ("restore", restored),
        ("set-aside", found(&|look| failure(&look.done.set_aside).map(failed))),
        ("save", found(&|look| failure(&look.done.saving).map(failed)).filter(|_| did("save its memory"))),
        ("resume", found(&|look| failure(&look.done.resume).map(failed))),
        ("keep-stopped", found(&|look| failure(&look.done.kept_stopped).map(failed))),
        ("wake", found(&|look| failure(&look.done.woken).map(failed))),
        ("ask", found(&|look| look.done.asked.iter().find_map(|(_, result)| result.as_ref().err()).map(failed))),
        ("destroy", found(&|look| look.done.destroyed.iter().find_map(|result| result.as_ref().err()).map(failed))),
        ("kill", found(&|look| look.done.killed.iter().find_map(|result| result.as_ref().err()).map(failed))),
        ("target", found(&|look| failure(&look.done.at_target).map(failed))),
    ] {
        if let Some(why) = why {
            lines.tell(key, &why);
        }
    }
    let asked = looks.iter().flat_map(|look| &look.done.asked).any(|(_, result)| result.is_ok());
    if looks.iter().any(|look| look.done.rebooted) {
        lines.tell("guest", "reboots");
    } else if asked && !ends_after(looks, "ask the guest to shut down") {
        lines.tell("guest", "stubborn");
    }
    if looks.iter().any(|look| look.done.locked_at_last == Some(false)) {
        lines.tell("stays", "");
    }
    if looks.iter().any(|look| look.done.interrupted) {
        lines.tell("interrupted", "");
    }
    if looks.iter().any(|look| look.done.first_monitor == Some(true)) {
        lines.tell("first-monitor", "");
    }
    moves(looks, lines);
}

/// The tries to move it that failed, and how it was at the target then.
fn moves(looks: &[SeenLook], lines: &mut Lines) {
    if looks.iter().any(|look| look.done.moving.rehearse) {
        lines.tell("rehearse", "");
    }
    let mut began = None;
    for look in looks {
        let Some(tried) = look.done.moving.tried.as_ref().filter(|tried| began != Some(tried.began)) else { continue };
        began = Some(tried.began);
        let Some(failed) = &tried.failed else { continue };
        let hope = match failed.hope {
            Hope::Lost => "lost",
            Hope::Soon => "soon",
            Hope::Silent => "silent",
        };
        let looks = if failed.looks == NEVER { "begun".into() } else { failed.looks.to_string() };
        lines.tell("move-fails", &format!("{hope} {looks} {}", failed.why));
        if failed.held {
            lines.leave("libvirt said nothing of the domain's job after a try".into());
        }
    }
    for pair in looks.windows(2) {
        let [before, after] = pair else { continue };
        let fails = after.done.moving.tried.as_ref().is_some_and(|tried| tried.failed.is_some());
        let moved = before.next.starts_with("move it to the target");
        if fails && moved && before.facts.here.libvirt != after.facts.here.libvirt {
            lines.tell("after-move", &words::libvirt(&after.facts.here.libvirt));
            break;
        }
    }
    if looks.iter().any(|look| look.done.moving.tried.as_ref().is_some_and(|tried| tried.paused)) {
        lines.tell("paused-late", "");
    }
    target(looks, lines);
    let puts_right = |next: &str| next.ends_with(" here") || next.ends_with(" at the target");
    if looks.windows(2).any(|pair| matches!(pair, [one, two] if puts_right(&one.next) && one.next == two.next)) {
        lines.tell("stuck", "");
    }
}

/// How it was at the target, and how often that was asked in vain before.
fn target(looks: &[SeenLook], lines: &mut Lines) {
    let told = || {
        let asked = behind(looks, "ask the target whether");
        asked.filter_map(|look| look.facts.answers.target.as_ref().map(|place| (look, place)))
    };
    let silent = told().take_while(|(_, place)| matches!(place.presence(), Presence::Unknown(_))).count();
    let answered = told().nth(silent);
    if silent > 0 && answered.is_some() {
        lines.tell("silent-first", &silent.to_string());
    }
    // After a move that succeeded it is there in any case.
    if let Some((look, place)) = answered.or_else(|| told().next())
        && look.done.moving.tried.as_ref().is_none_or(|tried| tried.failed.is_some())
        && words::there(place) != "off"
    {
        lines.tell("there", &words::there(place));
    }
}

/// Whether the machine was off at the look behind such a step.
fn ends_after(looks: &[SeenLook], step: &str) -> bool {
    behind(looks, step).any(is_over)
}

fn behind<'a>(looks: &'a [SeenLook], step: &'a str) -> impl Iterator<Item = &'a SeenLook> {
    looks.windows(2).filter_map(move |pair| match pair {
        [before, after] if before.next.starts_with(step) => Some(after),
        _ => None,
    })
}

fn is_over(look: &SeenLook) -> bool {
    match look.facts.here.presence() {
        Presence::Off(_) => true,
        Presence::Active(domain) => {
            domain.state == State::ShutOff(Off::Shutdown) || look.facts.here.process == Process::Gone
        }
        Presence::Blind { .. } | Presence::Stray { .. } => false,
        Presence::Unknown(_) => look.facts.here.process == Process::Gone,
    }
}

/// How the machine was after what was to end it, or to start it.
pub(super) fn ends(looks: &[SeenLook], lines: &mut Lines) {
    const ENDS: [&str; 5] =
        ["save its memory", "ask the guest to shut down", "destroy it", "end its ", "abort the migration"];
    let mut told = false;
    for step in ENDS {
        for after in behind(looks, step).filter(|after| is_over(after)) {
            let was = looks.first().map(|look| &look.facts.here.libvirt);
            let now = &after.facts.here.libvirt;
            let (as_before, known) = (Some(now) == was, matches!(now, Libvirt::Domain(_)));
            let off = matches!(now, Libvirt::Domain(domain) if !domain.state.active());
            if !(told || off || (as_before && !known)) {
                lines.tell("end", &if as_before { "unnoticed".to_owned() } else { words::libvirt(now) });
            }
            told = true;
        }
    }
    for after in behind(looks, "abort the migration") {
        match &after.facts.here.libvirt {
            Libvirt::Domain(domain) if domain.state == State::ShutOff(Off::Migrated) => lines.tell("arrives", ""),
            Libvirt::Domain(domain) if domain.motion == Motion::Leaving => lines.tell("lingers", ""),
            Libvirt::Domain(_) | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {}
            Libvirt::NoDomain => lines.tell("arrives", ""),
        }
    }
    for (step, key) in [("create it", "start"), ("start libvirt's", "start"), ("restore it from", "restore")] {
        let dies = |look: &SeenLook| matches!(look.done.start, Some(Ok(()))) && is_over(look);
        if behind(looks, step).any(dies) {
            lines.tell(key, "dies");
        }
    }
}

/// What changed by itself: of that a story has one change, at its first wait.
pub(super) fn changes(looks: &[SeenLook], lines: &mut Lines) {
    let by_itself = |look: &SeenLook| {
        ["wait up to", "look again", "stay up to", "ask ", "look for", "read "]
            .iter()
            .any(|words| look.next.starts_with(words))
            && !look.next.starts_with("ask the guest to")
    };
    let mut told = false;
    for pair in looks.windows(2) {
        let [before, after] = pair else { continue };
        let (was, is) = (&before.facts.here, &after.facts.here);
        let waits = ["wait up to", "stay up to"].iter().any(|words| before.next.starts_with(words));
        let libvirt = (was.libvirt != is.libvirt).then(|| words::libvirt(&is.libvirt));
        // What was not asked at one of the two has not changed for that.
        let process = (was.process != is.process && is.process != Process::NotLooked)
            .then(|| words::process(&is.process, is.name.as_deref()));
        if !by_itself(before) || (libvirt.is_none() && process.is_none()) {
            continue;
        }
        if told || !waits {
            let seen = format!("libvirt: {}; process: {}", is.libvirt, is.process_in_words());
            lines.leave(format!("after {:.1} s {seen}", after.done.spent.as_secs_f64()));
            continue;
        }
        told = true;
        lines.tell("later", "");
        if let Some(libvirt) = libvirt {
            lines.tell("libvirt", &libvirt);
        }
        if let Some(process) = process {
            lines.tell("process", &process);
        }
    }
}

/// What was decided, as a story has it below its line.
pub(super) fn decided(looks: &[SeenLook]) -> String {
    // Where there is no cluster nobody is asked, and no story tells of that.
    let alone = looks.iter().any(|look| matches!(&look.facts.answers.peers, Fact::Known(peers) if peers.is_empty()));
    let told = |look: &&SeenLook| !(alone && look.next.starts_with("ask the cluster's other members"));
    let mut steps: Vec<String> = looks.iter().filter(told).map(|look| look.next.clone()).collect();
    let answer = steps.pop_if(|last| last.starts_with("answer "));
    let mut told = by_turns(repeated(steps));
    told.extend(answer.map(|answer| answer.replacen(": ", " ", 1)));
    if told.is_empty() {
        told.push(NOTHING.to_owned());
    }
    told.iter().map(|line| format!("{line}\n")).collect()
}

/// The same step again and again.
pub(crate) fn repeated(steps: Vec<String>) -> Vec<String> {
    let runs = steps.chunk_by(|one, next| one == next);
    let told = |run: &[String]| match run {
        [one] => one.clone(),
        [one, ..] => format!("{one} ({} times)", run.len()),
        [] => String::new(),
    };
    runs.map(told).collect()
}

/// Two steps in turn, again and again.
pub(crate) fn by_turns(steps: Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = steps.as_slice();
    while let [first, ..] = rest {
        let turns = match rest {
            [one, two, ..] => {
                rest.chunks_exact(2).take_while(|pair| matches!(pair, [a, b] if a == one && b == two)).count()
            }
            _ => 0,
        };
        let (line, told) = match rest {
            [_, second, ..] if turns > 2 => (format!("{first}, {second} ({turns} times)"), 2 * turns),
            _ => (first.clone(), 1),
        };
        lines.push(line);
        rest = rest.get(told..).unwrap_or_default();
    }
    lines
}
