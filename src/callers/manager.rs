// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster manager's call: the action is the first argument, everything else is in the environment.

use crate::callers::meta_data::{OCF, RGMANAGER};
use crate::callers::validate;
use crate::callers::{logging, records, repeated, trace};
use crate::engine;
use crate::engine::recording::Recording;
use crate::model::action::Action;
use crate::model::call::{Caller, Environment, Invocation};
use crate::model::outcome::{Code, Outcome};
use crate::sys::roots::Roots;
use crate::sys::text::shown;
use crate::sys::text::{ascii_line, names_shortened, say};
use log::Level;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Pacemaker 2.1 cuts an exit reason at 128 characters.
const REASON: usize = 120;

/// All words that a manager may call.
fn usage() -> String {
    let words: Vec<&str> = Action::ALL.iter().flat_map(|action| action.row().words).copied().collect();
    format!("usage: {{{}}} [TARGET of migrate]", words.join("|"))
}

/// Carries the call out; the result is the exit code.
#[must_use]
pub fn run(caller: Caller, args: &[OsString], env: &Environment) -> u8 {
    let Some(word) = args.first() else {
        say(&mut std::io::stderr(), &usage());
        exit_reason(env, "no action was named; expected start, stop, monitor, ...");
        return Code::Args.number();
    };
    let Some(action) = Action::parse(word.as_bytes()) else {
        let reason = format!("'{}' is not an action of this agent", shown(word));
        say(&mut std::io::stderr(), &usage());
        exit_reason(env, &reason);
        return Code::Unimplemented.number();
    };
    if action == Action::MetaData {
        let text = if caller == Caller::Rgmanager { &RGMANAGER } else { &OCF };
        // A reader that closes the pipe early has what it wanted.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return Code::Ok.number();
    }
    if action == Action::Usage {
        say(&mut std::io::stdout(), &usage());
        return Code::Ok.number();
    }
    let inv = Invocation::from_manager(caller, action, args.get(1).map(OsString::as_os_str), env);
    let (trace, no_trace) = trace::begin(&inv, env);
    logging::init(&inv, env, trace);
    if let Some(why) = no_trace {
        log::warn!("{why}");
    }
    log::debug!("{}", trace::called(&inv, env));
    let mut recording = Recording::begin();
    let outcome = if action == Action::ValidateAll {
        validate::run(&inv, env, &mut |finding| say(&mut std::io::stderr(), finding))
    } else {
        if !action.watches() {
            for problem in problems(&inv) {
                log::warn!("{problem}");
            }
        }
        engine::run(&inv, env, Roots::default(), &mut recording)
    };
    if report(&inv, env, &outcome, &recording) {
        records::write(&inv, &recording, &outcome, &Roots::default());
    }
    log::logger().flush();
    outcome.code.number()
}

/// What is wrong with the parameters, and what becomes of it.
fn problems(inv: &Invocation) -> impl Iterator<Item = String> {
    inv.params.problems.iter().map(|problem| format!("{problem}; {}", problem.consequence()))
}

/// Tells the manager and the log how it ended. A monitor that finds all well leaves no line. The result is whether it is to
/// be put on record.
fn report(inv: &Invocation, env: &Environment, outcome: &Outcome, recording: &Recording) -> bool {
    let (word, reason) = (inv.action.word(), &outcome.reason);
    let mut worth_a_record = inv.action != Action::ValidateAll;
    match outcome.code {
        // Each finding has been printed.
        _ if inv.action == Action::ValidateAll => {}
        _ if inv.action.watches() => worth_a_record = watched(inv, outcome, recording),
        Code::Ok => log::info!("{word}: {reason}"),
        Code::Degraded | Code::StayedHere => log::warn!("{word}: {reason}"),
        Code::NotRunning
        | Code::Generic
        | Code::Args
        | Code::Unimplemented
        | Code::Perm
        | Code::Installed
        | Code::Configured => log::error!("{word}: {reason}"),
    }
    if outcome.code != Code::Ok {
        exit_reason(env, reason);
    }
    worth_a_record
}

/// The same of a status or monitor, whose answers repeat themselves. What is as usual is not put on record, which would cost
/// every monitor; nor is what the last one has put there already. Usual is a machine that runs, by libvirt's word, and one
/// that is off where it was only asked for.
fn watched(inv: &Invocation, outcome: &Outcome, recording: &Recording) -> bool {
    let line = format!("{}: {}", inv.action.word(), outcome.reason);
    let mut lines: Vec<(Level, String)> = problems(inv).map(|problem| (Level::Info, problem)).collect();
    let acted = recording.has_acted();
    let is_usual = match outcome.code {
        Code::Ok => {
            log::debug!("{line}");
            let blind = recording.ends_blind();
            if blind {
                lines.push((Level::Trace, line));
            }
            !blind
        }
        Code::NotRunning if !inv.recurring => {
            log::debug!("{line}");
            true
        }
        // rgmanager asks the members one after another where a service runs, by the same call as it watches it.
        Code::NotRunning if inv.caller == Caller::Rgmanager => {
            lines.push((Level::Info, line));
            true
        }
        Code::Degraded | Code::StayedHere => {
            lines.push((Level::Warn, line));
            false
        }
        Code::NotRunning
        | Code::Generic
        | Code::Args
        | Code::Unimplemented
        | Code::Perm
        | Code::Installed
        | Code::Configured => {
            log::error!("{line}");
            lines.push((Level::Trace, line));
            false
        }
    };
    let is_new = repeated::say(inv, &Roots::default().run, &lines);
    acted || (is_new && !is_usual)
}

/// The line that Pacemaker shows beside a failed action: the last one on stderr wins.
fn exit_reason(env: &Environment, reason: &str) {
    let prefix = env.text("OCF_EXIT_REASON_PREFIX").unwrap_or("ocf-exit-reason:");
    say(&mut std::io::stderr(), &format!("{prefix}{}", ascii_line(&names_shortened(reason, REASON), REASON)));
}
