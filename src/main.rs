// SPDX-License-Identifier: GPL-2.0-or-later
//! Not written yet.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == vm_agent::child::LAUNCHER_WORD) {
        return vm_agent::child::launcher_main(args).into();
    }
    ExitCode::SUCCESS
}
