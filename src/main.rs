// SPDX-License-Identifier: GPL-2.0-or-later
//! vm-agent: who calls decides how the arguments are read; the rest is the same for all. The only place that exits.

use std::ffi::OsString;
use std::process::ExitCode;
use vm_agent::callers::{manager, operator};
use vm_agent::host::aside;
use vm_agent::model::call::{self, Caller, Environment};
use vm_agent::sys::{child, text};

fn main() -> ExitCode {
    answer_panics();
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let argv0 = if args.is_empty() { OsString::new() } else { args.remove(0) };
    if args.first().is_some_and(|word| word == child::LAUNCHER_WORD) {
        return ExitCode::from(child::launcher_main(args.into_iter().skip(1)));
    }
    if args.first().is_some_and(|word| word == child::ASIDE_WORD) {
        return ExitCode::from(aside::main(args.into_iter().skip(1)));
    }
    let env = Environment::of_this_process();
    ExitCode::from(match call::caller(&argv0, &env) {
        Caller::Human => operator::run(&args, &env),
        caller @ (Caller::Rgmanager | Caller::Pacemaker | Caller::Ocf) => manager::run(caller, &args, &env),
    })
}

/// A bug must end as a failed action that says so, not as a signal or a code that no manager knows.
#[allow(clippy::disallowed_methods)]
fn answer_panics() {
    std::panic::set_hook(Box::new(|panic| {
        text::say(&mut std::io::stderr(), &format!("ocf-exit-reason:this agent has a bug: {panic}").replace('\n', " "));
        // Any other code from rgmanager's migrate gives a service up whose machine runs; this one changes nothing.
        let migrates = std::env::args_os().nth(1).is_some_and(|word| word == "migrate");
        std::process::exit(if migrates { 7 } else { 1 });
    }));
}
