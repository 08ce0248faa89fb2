// SPDX-License-Identifier: GPL-2.0-or-later
//! What surrounds a call: the arguments, the input, the parent whose death is ours, and the last resort against hanging.

use crate::failure::own;
use crate::output;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::io::Read;
use std::time::Duration;
use vm_agent::model::worker::{CallStep, ErrorReply, Reply, Request};

/// A definition of a domain is some thousand bytes; more than this is a mistake.
const LONGEST_INPUT: u64 = 16 << 20;

/// From now on the end of the parent (of its thread that started us) ends us too, with SIGKILL.
pub(crate) fn die_with_parent() -> Result<(), ErrorReply> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| own(CallStep::Arguments, format!("cannot bind this process to its parent: {error}")))
}

/// Whether the parent is still the one that the caller named: it may have ended before the kernel knew of the bond.
pub(crate) fn check_parent(expected: Option<u32>) -> Result<(), ErrorReply> {
    let actual = getppid().map(Pid::as_raw_nonzero).and_then(|pid| u32::try_from(pid.get()).ok());
    match expected {
        Some(pid) if actual != Some(pid) => Err(own(CallStep::Arguments, format!("the caller {pid} has gone"))),
        _ => Ok(()),
    }
}

/// The arguments, as text.
pub(crate) fn arguments() -> Result<Vec<String>, String> {
    std::env::args_os()
        .skip(1)
        .map(|argument| argument.into_string().map_err(|argument| format!("{argument:?} is not UTF-8")))
        .collect()
}

/// Ends the process with an error line after `timeout`, whatever it is stuck in; `before` that, what must not go on
/// without it is ended.
pub(crate) fn deadline(timeout: Option<Duration>, before: fn()) -> Result<(), ErrorReply> {
    let Some(timeout) = timeout else { return Ok(()) };
    thread("deadline", move || {
        std::thread::sleep(timeout);
        before();
        output::finish(&Reply::Error(own(CallStep::Deadline, format!("no answer within {} ms", timeout.as_millis()))))
    })
}

/// Starts a thread that is never waited for.
pub(crate) fn thread<F, T>(name: &str, run: F) -> Result<(), ErrorReply>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match std::thread::Builder::new().name(name.into()).spawn(run) {
        Ok(_) => Ok(()),
        Err(error) => Err(own(CallStep::Arguments, format!("cannot start a thread: {error}"))),
    }
}

/// Reads what the request needs from standard input, and nothing if it needs nothing.
pub(crate) fn read_input(request: &mut Request) -> Result<(), String> {
    let Some(input) = request.input_mut() else { return Ok(()) };
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(LONGEST_INPUT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    *input = checked(bytes)?;
    Ok(())
}

/// Text that libvirt's C strings can carry.
fn checked(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.is_empty() {
        return Err("standard input is empty".into());
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST_INPUT) {
        return Err(format!("standard input is longer than {LONGEST_INPUT} bytes"));
    }
    if bytes.contains(&0) {
        return Err("standard input has a NUL byte".into());
    }
    String::from_utf8(bytes).map_err(|_| "standard input is not UTF-8".into())
}
