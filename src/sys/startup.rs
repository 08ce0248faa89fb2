// SPDX-License-Identifier: GPL-2.0-or-later
//! What Rust's own start of a program would do, without what an agent can do without. That start reads the process's memory
//! map, and prepares a stack of its own for the message of a stack that overflows: a twentieth of all that a monitor costs.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_getfd};
use signal_hook::consts::SIGPIPE;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// To be called before anything is opened, and anything is written.
pub fn prepare() {
    take_standard_files();
    // A reader that has gone is an error of the write, and not the end of the agent. What is started gets the default
    // again.
    let _ = signal_hook::flag::register(SIGPIPE, Arc::new(AtomicBool::new(false)));
}

/// Where a caller has closed one of the standard files, the next file that is opened would take its number, and get what is
/// written there.
fn take_standard_files() {
    for file in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        // The lowest number that is free is this one.
        if fcntl_getfd(file) == Err(Errno::BADF)
            && let Ok(null) = open("/dev/null", OFlags::RDWR, Mode::empty())
        {
            let _ = null.into_raw_fd();
        }
    }
}
