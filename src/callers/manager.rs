// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster manager's call: the action is the first argument, everything else is in the environment.

use crate::callers::logging;
use crate::callers::validate;
use crate::engine;
use crate::model::call::{Action, Caller, Environment, Invocation};
use crate::model::outcome::{Code, Outcome};
use crate::sys::roots::Roots;
use crate::sys::text::shown;
use crate::sys::text::{ascii_line, say};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// The meta-data as rgmanager reads them.
pub const RGMANAGER: &str = include_str!("../../agent-metadata/rgmanager.xml");
/// The meta-data as callers of OCF agents read them.
pub const OCF: &str = include_str!("../../agent-metadata/ocf.xml");

/// Pacemaker 2.1 cuts an exit reason at 128 characters.
const REASON: usize = 120;

const USAGE: &str = "usage: {start|stop|status|monitor|reload|reload-agent|reconfig|recover|restart|kill|migrate TARGET|\
                     migrate_to|migrate_from|meta-data|validate-all|usage}";

/// Carries the call out; the result is the exit code.
#[must_use]
pub fn run(caller: Caller, args: &[OsString], env: &Environment) -> u8 {
    let Some(word) = args.first() else {
        say(&mut std::io::stderr(), USAGE);
        exit_reason(env, "no action was named; expected start, stop, monitor, ...");
        return Code::Args.number();
    };
    let Some(action) = Action::parse(word.as_bytes()) else {
        let reason = format!("'{}' is not an action of this agent", shown(word));
        say(&mut std::io::stderr(), USAGE);
        exit_reason(env, &reason);
        return Code::Unimplemented.number();
    };
    match action {
        Action::MetaData => {
            let text = if caller == Caller::Rgmanager { RGMANAGER } else { OCF };
            // A reader that closes the pipe early has what it wanted.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return Code::Ok.number();
        }
        Action::Usage => {
            say(&mut std::io::stdout(), USAGE);
            return Code::Ok.number();
        }
        Action::Start
        | Action::Stop
        | Action::Kill
        | Action::Status
        | Action::Monitor
        | Action::ValidateAll
        | Action::Reload
        | Action::Restart
        | Action::Recover
        | Action::Migrate
        | Action::MigrateTo
        | Action::MigrateFrom => {}
    }
    let inv = Invocation::from_manager(caller, action, args.get(1).map(OsString::as_os_str), env);
    logging::init(caller, env, &inv.instance, false);
    let outcome = if action == Action::ValidateAll {
        validate::run(&inv, env, &mut |finding| say(&mut std::io::stderr(), finding))
    } else {
        for problem in &inv.params.problems {
            log::warn!("{problem}; {}", problem.consequence());
        }
        engine::run(&inv, env, Roots::default())
    };
    report(&inv, env, &outcome);
    outcome.code.number()
}

/// Tells the manager and the log how it ended. A monitor that finds all well leaves no line.
fn report(inv: &Invocation, env: &Environment, outcome: &Outcome) {
    let watching = matches!(inv.action, Action::Status | Action::Monitor | Action::ValidateAll);
    let (word, reason) = (inv.action.word(), &outcome.reason);
    match outcome.code {
        // Each finding has been printed.
        _ if inv.action == Action::ValidateAll => {}
        Code::Ok if watching => log::debug!("{word}: {reason}"),
        Code::NotRunning if watching && !inv.recurring => log::debug!("{word}: {reason}"),
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
}

/// The line that Pacemaker shows beside a failed action: the last one on stderr wins.
fn exit_reason(env: &Environment, reason: &str) {
    let prefix = env.text("OCF_EXIT_REASON_PREFIX").unwrap_or("ocf-exit-reason:");
    say(&mut std::io::stderr(), &format!("{prefix}{}", ascii_line(reason, REASON)));
}
