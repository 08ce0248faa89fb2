// SPDX-License-Identifier: GPL-2.0-or-later
//! What both programs that run an action begin and end with: the agent, which a cluster manager calls, and the program of
//! what a person types. The only place that exits.

use std::ffi::{OsStr, OsString};

use super::{log_file, log_writer};
use crate::host::aside;
use crate::model::call::Environment;
use crate::model::outcome::Code;
use crate::sys::child::{self, become_program, find_own_program};
use crate::sys::startup;
use crate::sys::text::say;

/// The program of what a person types. It is apart from the agent for its size: what of a program's file is in memory once
/// for a person is in memory with every monitor.
const BY_HAND: &str = "vm-agent-by-hand";

/// A program's life, from its name, its arguments and the environment to its exit code.
#[allow(clippy::disallowed_methods)]
pub fn run(act: impl FnOnce(&OsStr, &[OsString], &Environment) -> u8) -> ! {
    let code = live(act);
    // What was printed is printed by now.
    std::process::exit(code.into())
}

fn live(act: impl FnOnce(&OsStr, &[OsString], &Environment) -> u8) -> u8 {
    startup::prepare();
    answer_panics();
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let argv0 = if args.is_empty() { OsString::new() } else { args.remove(0) };
    if args.first().is_some_and(|word| word == child::LAUNCHER_WORD) {
        return child::launcher_main(args.into_iter().skip(1));
    }
    if args.first().is_some_and(|word| word == child::ASIDE_WORD) {
        return aside::main(args.into_iter().skip(1));
    }
    if args.first().is_some_and(|word| word == log_file::WORD) {
        return log_writer::main(args.into_iter().skip(1));
    }
    act(&argv0, &args, &Environment::of_this_process())
}

/// Goes on as the program of what a person types; the result is the exit code where that is not possible.
#[must_use]
pub fn by_hand(argv0: &OsStr, args: &[OsString]) -> u8 {
    let why = match find_own_program(BY_HAND) {
        Some(program) => format!("{} cannot be run: {}", program.display(), become_program(&program, argv0, args)),
        None => format!("{BY_HAND}, the program of what a person types, is missing here"),
    };
    say(&mut std::io::stderr(), &format!("vm-agent: {why}: install the package of vm-agent again"));
    Code::Installed.number()
}

/// A bug must end as a failed action that says so, not as a signal or a code that no manager knows.
#[allow(clippy::disallowed_methods)]
fn answer_panics() {
    std::panic::set_hook(Box::new(|panic| {
        say(&mut std::io::stderr(), &format!("ocf-exit-reason:this agent has a bug: {panic}").replace('\n', " "));
        // Any other code from rgmanager's migrate gives a service up whose machine runs; this one changes nothing.
        let migrates = std::env::args_os().nth(1).is_some_and(|word| word == "migrate");
        std::process::exit(if migrates { 7 } else { 1 });
    }));
}
