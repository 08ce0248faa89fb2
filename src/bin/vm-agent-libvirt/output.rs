// SPDX-License-Identifier: GPL-2.0-or-later
//! Standard output, a line at a time, from any thread; and the end of the process, after exactly one result.

use crate::ffi;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;
use vm_agent::model::worker::{Line, Progress, Reply};

static OUTPUT: Mutex<()> = Mutex::new(());

/// Prints a progress line. A caller that no longer reads is not an error: what was begun must be brought to its end.
pub(crate) fn progress(progress: Progress) {
    let _lock = OUTPUT.lock();
    print(&Line::Progress { progress });
}

/// Prints the result and ends the process, whatever other threads are doing. Nothing is closed or freed.
pub(crate) fn finish(reply: &Reply) -> ! {
    let status = match reply {
        Reply::Ok(_) => 0,
        Reply::Error(_) => 1,
    };
    // A thread that is stuck in printing (nobody reads the pipe) must not keep the process from ending.
    let lock = (0..20).find_map(|_| locked_soon());
    if lock.is_some() {
        print(&Line::End(reply.clone()));
    }
    ffi::exit(status)
}

fn locked_soon() -> Option<MutexGuard<'static, ()>> {
    match OUTPUT.try_lock() {
        Ok(lock) => Some(lock),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(Duration::from_millis(10));
            None
        }
    }
}

fn print(line: &Line) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&text).and_then(|()| out.flush());
    }
}
