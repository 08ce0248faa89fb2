// SPDX-License-Identifier: GPL-2.0-or-later
//! vm-agent: who calls decides how the arguments are read; the rest is the same for all. The only place that exits.

#![cfg_attr(target_env = "gnu", no_main)]

use std::ffi::OsString;
use vm_agent::callers::{manager, operator};
use vm_agent::host::aside;
use vm_agent::model::call::{self, Caller, Environment};
use vm_agent::sys::{child, startup, text};

/// Where the C library begins a program. Rust's own begin is passed by, for what it costs (`sys/startup.rs`); the arguments
/// and the environment come to the standard library without it, by glibc's way of starting a program.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "to have the name that the C library calls; nothing here is unsafe to call")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    end(agent())
}

#[cfg(not(target_env = "gnu"))]
fn main() {
    end(agent())
}

/// The end of the program; what was printed is printed by then.
#[allow(clippy::disallowed_methods)]
fn end(code: u8) -> ! {
    std::process::exit(code.into())
}

fn agent() -> u8 {
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
    let env = Environment::of_this_process();
    match call::caller(&argv0, &env) {
        Caller::Human => operator::run(&args, &env),
        caller @ (Caller::Rgmanager | Caller::Pacemaker | Caller::Ocf) => manager::run(caller, &args, &env),
    }
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
