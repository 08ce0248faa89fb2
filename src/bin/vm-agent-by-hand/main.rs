// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person types. `vm-agent` becomes this program where no cluster manager calls.

use vm_agent::callers::{operator, program};

fn main() {
    program::run(|_, args, env| operator::run(args, env))
}
