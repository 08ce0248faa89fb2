// SPDX-License-Identifier: GPL-2.0-or-later
//! vm-agent: who calls decides how the arguments are read. A cluster manager's call is carried out here; what a person
//! typed is the other program's.

#![cfg_attr(target_env = "gnu", no_main)]

use vm_agent::callers::{manager, program};
use vm_agent::model::call::{Caller, caller};

/// Where the C library begins a program. Rust's own begin is passed by, for what it costs (`sys/startup.rs`); the arguments
/// and the environment come to the standard library without it, by glibc's way of starting a program.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "to have the name that the C library calls; nothing here is unsafe to call")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    agent()
}

#[cfg(not(target_env = "gnu"))]
fn main() {
    agent()
}

fn agent() -> ! {
    program::run(|argv0, args, env| match caller(argv0, env) {
        Caller::Human => program::by_hand(argv0, args),
        caller @ (Caller::Rgmanager | Caller::Pacemaker | Caller::Ocf) => manager::run(caller, args, env),
    })
}
