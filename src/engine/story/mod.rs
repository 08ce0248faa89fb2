// SPDX-License-Identifier: GPL-2.0-or-later
//! A record as a story of `tests/scenarios`: facts above a line, and below it what was decided. Pure. The words are those of
//! `tests/unit/scenarios/facts.rs`, which reads them; what they cannot tell is a comment, never left out in silence.
//!
//! A story's world stays as it is but for what is done to it, and for one change at the first wait. So the begin of the action
//! is told as it was seen, each answer and failure as it came, and of what changed by itself the first.

mod steps;
mod words;

#[cfg(test)]
pub(crate) use steps::{by_turns, repeated};
#[cfg(test)]
pub(crate) use words::STATES;

use super::recording::RecordedCall;
use super::replay::{Readable, SeenLook};
use crate::model::action::Class;
use crate::model::facts::{Cause, Definition, Fact, Facts, GuestAgent, Libvirt, Process, Silence, SilenceKind, Tools};
use crate::model::outcome::Code;
use crate::model::saved_state::SavedState;
use crate::policy::outward::{OnRecord, Outward};

/// What a story calls every machine.
const NAME: &str = "foo";

/// Its lines, and what is left to say of it.
#[derive(Default)]
struct Lines {
    told: Vec<String>,
    untold: Vec<String>,
}

impl Lines {
    fn tell(&mut self, key: &str, rest: &str) {
        let line = if rest.is_empty() { key.to_owned() } else { format!("{key} {rest}") };
        self.told.push(line.replace(['\n', '\r'], " "));
    }

    fn leave(&mut self, what: String) {
        if !self.untold.contains(&what) {
            self.untold.push(what);
        }
    }
}

/// The story of a record.
#[must_use]
pub(crate) fn story(record: &Readable) -> String {
    let mut lines = Lines::default();
    call(&record.call, &mut lines);
    if let (Some(first), looks) = (record.looks.first(), record.looks.as_slice()) {
        begin(first, record.inv.action.class(), &mut lines);
        answers(looks, &mut lines);
        steps::failures(looks, &mut lines);
        // The last look does not follow upon the one before it where others were left out.
        let one_by_one = match looks {
            [before @ .., _] if record.left_out > 0 => before,
            all => all,
        };
        steps::ends(one_by_one, &mut lines);
        steps::changes(one_by_one, &mut lines);
    } else {
        lines.leave("anything, since it ended before it had looked".into());
    }
    record.call.otherwise.iter().for_each(|name| lines.leave(format!("the value of {name}")));
    if record.left_out > 0 {
        lines.leave(format!("{} more looks, which are not in the record", record.left_out));
    }
    let action = record.call.action.replace('_', "-");
    let mut story =
        format!("# recorded-{action}: As vm-agent {} has recorded it; say here what is wrong.\n", record.agent);
    for what in &lines.untold {
        story.push_str(&format!("# Not told: {}\n", what.replace(['\n', '\r'], " ")));
    }
    lines.told.iter().for_each(|line| story.push_str(&format!("{line}\n")));
    story.push_str("---\n");
    story.push_str(&steps::decided(&record.looks));
    in_its_name(&story, &record.looks)
}

/// Its name, and the number of its process or domain, are those of every story.
fn in_its_name(story: &str, looks: &[SeenLook]) -> String {
    let names = looks.iter().flat_map(|look| {
        let domain = match &look.facts.here.libvirt {
            Libvirt::Domain(domain) => Some(domain.name.as_str()),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => None,
        };
        [look.done.name.as_deref(), look.facts.here.name.as_deref(), domain].into_iter().flatten()
    });
    let mut told = story.to_owned();
    for name in names.filter(|name| !name.is_empty() && *name != NAME) {
        told = told.replace(&format!("'{name}'"), &format!("'{NAME}'"));
    }
    for run in looks.iter().filter_map(|look| look.facts.here.process.run()) {
        told = told.replace(&format!("{run} "), &format!("{} ", words::run_of(run)));
        told = told.replace(&format!("{run}\n"), &format!("{}\n", words::run_of(run)));
    }
    told
}

/// Who called, for what, and with which parameters.
fn call(call: &RecordedCall, lines: &mut Lines) {
    let var = |name: &str| call.environment.get(name).map(String::as_str);
    lines.tell("caller", &call.caller);
    let mut action = call.action.clone();
    if var("OCF_RESKEY_CRM_meta_interval") == Some("10000") {
        action.push_str(" recurring");
    }
    if let Some(depth) = var("OCF_CHECK_LEVEL") {
        action.push_str(&format!(" depth={depth}"));
    }
    lines.tell("action", &action);
    let by_pacemaker = var("OCF_RESKEY_CRM_meta_timeout").and_then(|ms| ms.parse::<u64>().ok());
    let by_rgmanager = var("OCF_RESKEY_RGMANAGER_meta_timeout").and_then(|seconds| seconds.parse::<u64>().ok());
    if let Some(seconds) = by_pacemaker.map(|ms| ms.div_ceil(1000)).or(by_rgmanager) {
        lines.tell("timeout", &seconds.to_string());
    }
    if let Some(target) = &call.target {
        lines.tell("to", target);
    }
    for (name, value) in &call.environment {
        match (name.as_str(), name.strip_prefix("OCF_RESKEY_")) {
            ("OCF_RESOURCE_INSTANCE", _) => lines.tell("instance", value),
            (_, Some("name" | "CRM_meta_timeout" | "RGMANAGER_meta_timeout")) | ("OCF_CHECK_LEVEL", _) => {}
            (_, Some("CRM_meta_interval")) if value == "10000" => {}
            (_, Some(param)) => {
                if value.contains(['\n', '\r']) {
                    lines.leave(format!("the line breaks in the value of {param}"));
                }
                lines.tell("param", &format!("{param}={value}"));
            }
            (name, None) => lines.leave(format!("{name}={value}")),
        }
    }
}

/// How it was found.
fn begin(first: &SeenLook, class: Class, lines: &mut Lines) {
    let SeenLook { facts, done, .. } = first;
    let Facts { here, definition, hindrance, .. } = facts;
    if here.tools == Tools::Xl {
        lines.tell("tools", "xl");
    }
    lines.tell("libvirt", &words::libvirt(&here.libvirt));
    if here.process != Process::NotLooked {
        lines.tell("process", &words::process(&here.process, here.name.as_deref()));
    }
    if here.name.is_none() {
        lines.leave("nothing told the machine's name".into());
    }
    if let Some(hindrance) = hindrance {
        lines.tell("hindrance", hindrance);
    }
    if here.starting.is_some() {
        lines.tell("starting", "");
    }
    if let Some(told) = here.told_to_run {
        lines.tell("told-to-run", if told { "yes" } else { "no" });
    }
    if *definition != Definition::NotLooked {
        let told = defined(definition, lines);
        lines.tell("known", &told);
    }
    let pausing = done.outward.was_cut_short();
    match (&done.moved_to, pausing) {
        (Some(uri), _) => lines.tell("moved-to", uri),
        // It is here again, and the record of where it went was done with.
        (None, true) => lines.tell("moved-to", "qemu+ssh://elsewhere/system"),
        (None, false) => {}
    }
    if pausing {
        lines.tell("pausing", "");
    } else if matches!(
        done.outward,
        Outward::Unseen(OnRecord::Begun) | Outward::Leaving(_, OnRecord::Begun) | Outward::Here { .. }
    ) && done.moved_to.is_some()
    {
        lines.tell("unfinished", "");
    }
    if matches!(done.outward, Outward::Leaving(_, OnRecord::Finished)) {
        lines.leave("it was moved while this action waited for its lock".into());
    }
    if let Some(beside) = &done.beside {
        lines.tell("beside", beside);
    } else if !done.locked && class != Class::Watch {
        lines.leave("another agent held the machine's lock".into());
    }
}

/// What the definition's file was found to be.
fn defined(definition: &Definition, lines: &mut Lines) -> String {
    match definition {
        Definition::File(_) => "file".into(),
        Definition::Unchanged { .. } => "unchanged".into(),
        Definition::None { .. } | Definition::NotLooked => "none".into(),
        Definition::Bad(outcome) => {
            if outcome.code != Code::Installed {
                lines.leave(format!("a definition that cannot be used was {}", outcome.code.number()));
            }
            outcome.reason.clone()
        }
    }
}

/// What a question was first, or last, answered with.
fn told<'a, T>(
    looks: &'a [SeenLook],
    last: bool,
    of: impl Fn(&'a Facts) -> &'a Fact<T>,
) -> Option<Result<&'a T, &'a Silence>> {
    let told = |look: &'a SeenLook| match of(&look.facts) {
        Fact::NotAsked => None,
        Fact::Known(answer) => Some(Ok(answer)),
        Fact::Silent(silence) => Some(Err(silence)),
    };
    if last { looks.iter().rev().find_map(told) } else { looks.iter().find_map(told) }
}

/// What the world answered to the questions that were asked.
fn answers(looks: &[SeenLook], lines: &mut Lines) {
    // What was read for a question; what was known before stands at the begin.
    let read = looks.iter().skip(1).map(|look| &look.facts.definition).find(|it| **it != Definition::NotLooked);
    if let (Some(read), true) = (read, looks.iter().any(|look| look.next == "read the definition")) {
        let told = defined(read, lines);
        lines.tell("definition", &told);
    }
    match told(looks, false, |facts| &facts.answers.kept) {
        Some(Ok(false)) => lines.tell("kept", "no"),
        Some(Err(silence)) => lines.tell("kept", &silence.why),
        Some(Ok(true)) | None => {}
    }
    match told(looks, false, |facts| &facts.answers.saved) {
        Some(Ok(true)) => lines.tell("saved", ""),
        Some(Err(silence)) => lines.tell("saved", &silence.why),
        Some(Ok(false)) | None => {}
    }
    match told(looks, false, |facts| &facts.answers.state) {
        Some(Ok(SavedState::Fits { .. })) => lines.tell("state", "fits"),
        Some(Ok(SavedState::Unfit { why, .. })) => lines.tell("state", why),
        Some(Err(silence)) => lines.tell("state", &format!("silent {}", silence.why)),
        Some(Ok(SavedState::Nothing)) | None => {}
    }
    match told(looks, false, |facts| &facts.answers.own_save) {
        Some(Ok(true)) => lines.tell("own-save", "yes"),
        Some(Err(silence)) => lines.tell("own-save", &silence.why),
        Some(Ok(false)) | None => {}
    }
    if let Some(place) = looks.iter().find_map(|look| look.facts.answers.elsewhere.as_ref()) {
        lines.tell("elsewhere", &words::elsewhere(place));
    }
    match told(looks, true, |facts| &facts.answers.peers) {
        Some(Ok(peers)) => peers.iter().for_each(|peer| lines.tell("member", &words::peer(peer))),
        Some(Err(silence)) => lines.tell("members", &silence.why),
        None => {}
    }
    match told(looks, true, |facts| &facts.answers.open_elsewhere) {
        Some(Ok(Some(open))) => lines.tell("storage", &format!("{}: {} at {}", open.disk, open.by, open.place)),
        Some(Err(silence)) => {
            let word = if silence.kind == SilenceKind::Missing { "untold" } else { "silent" };
            lines.tell("storage", &format!("{word}: {}", silence.why));
        }
        Some(Ok(None)) | None => {}
    }
    match told(looks, true, |facts| &facts.answers.agent) {
        Some(Ok(GuestAgent::NeverYet(_))) => lines.tell("agent", "never"),
        Some(Ok(GuestAgent::Silent { times, .. })) => lines.tell("agent", &format!("silent {times}")),
        Some(Ok(GuestAgent::Excused(_))) => lines.tell("agent", "excused"),
        Some(Err(_)) => lines.tell("agent", "refused"),
        Some(Ok(GuestAgent::Answers)) | None => {}
    }
    if let Some(Err(silence)) = told(looks, true, |facts| &facts.answers.guest) {
        lines.tell("check", &silence.why);
    }
    if let Some(Err(silence)) = told(looks, true, |facts| &facts.answers.queue_passed) {
        lines.tell("queue", &silence.why);
    }
    if let Some(Err(silence)) = told(looks, true, |facts| &facts.answers.rehearsed) {
        lines.tell("in-the-way", &silence.why);
    }
    if let Some(Ok(Some(switched))) = told(looks, false, |facts| &facts.answers.switched) {
        lines.tell("switched", switched);
    }
    if let Some(Ok(cause)) = told(looks, false, |facts| &facts.answers.cause) {
        cause_of(cause, lines);
    }
}

/// Since when it stands still, and by what.
fn cause_of(cause: &Cause, lines: &mut Lines) {
    if let Some(since) = &cause.since {
        lines.tell("since", &format!("{} {}", since.at, since.ago.as_secs()));
    }
    if let Some(disks) = &cause.disks {
        lines.tell("disk", disks);
    }
    if let Some(ended) = &cause.ended {
        lines.tell("ended", ended);
    }
    if let Some(tried) = cause.tried {
        lines.tell("tried", &format!("{} {}", tried.count, tried.last.as_secs()));
    }
}
