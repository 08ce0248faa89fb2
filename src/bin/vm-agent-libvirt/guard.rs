// SPDX-License-Identifier: GPL-2.0-or-later
//! What surrounds a call: the arguments, the input, the parent whose death is ours, and the last resort against hanging.

use crate::{ffi, migrate, output, own};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::io::Read;
use vm_agent::worker::{Ask, DomainVerb, Failure, Input, Reply, Request, Step};

/// A definition of a domain is some thousand bytes; more than this is a mistake.
const LONGEST_INPUT: u64 = 16 << 20;

/// From now on the end of the parent (of its thread that started us) ends us too, with SIGKILL.
pub fn die_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| own(Step::Arguments)(format!("cannot bind this process to its parent: {error}")))
}

/// Whether the parent is still the one that the caller named: it may have ended before the kernel knew of the bond.
pub fn check_parent(expected: Option<u32>) -> Result<(), Failure> {
    let actual = getppid().map(Pid::as_raw_nonzero).and_then(|pid| u32::try_from(pid.get()).ok());
    match expected {
        Some(pid) if actual != Some(pid) => Err(own(Step::Arguments)(format!("the caller {pid} has gone"))),
        _ => Ok(()),
    }
}

/// The arguments, as text.
pub fn arguments() -> Result<Vec<String>, String> {
    std::env::args_os()
        .skip(1)
        .map(|argument| argument.into_string().map_err(|argument| format!("{argument:?} is not UTF-8")))
        .collect()
}

/// Ends the process with an error line after the request's timeout, whatever it is stuck in. A migration is not simply
/// ended: it is aborted first, and SIGTERM is held back, for the one thread that turns it into an abort.
pub fn deadline(request: &Request) -> Result<(), Failure> {
    let migrates = matches!(request.ask, Ask::Domain(_, DomainVerb::Migrate(_)));
    if migrates {
        ffi::hold_termination();
    }
    let Some(timeout) = request.timeout else { return Ok(()) };
    let wait = move || {
        std::thread::sleep(timeout);
        if migrates {
            migrate::give_up();
        }
        let message = format!("no answer within {} ms", timeout.as_millis());
        output::finish(&Reply::Error(own(Step::Deadline)(message)))
    };
    thread("deadline", wait)
}

/// Starts a thread that is never waited for.
pub fn thread<F, T>(name: &str, run: F) -> Result<(), Failure>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match std::thread::Builder::new().name(name.into()).spawn(run) {
        Ok(_) => Ok(()),
        Err(error) => Err(own(Step::Arguments)(format!("cannot start a thread: {error}"))),
    }
}

/// Reads what the request needs from standard input, and nothing if it needs nothing.
pub fn read_input(request: &mut Request) -> Result<(), String> {
    match request.input_mut() {
        Input::Nothing => Ok(()),
        Input::Whole(text) => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .take(LONGEST_INPUT + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| format!("cannot read standard input: {error}"))?;
            *text = checked(bytes)?;
            Ok(())
        }
        Input::FirstLine(xml) => {
            // Read byte by byte, as the lines after it belong to another reader.
            let mut bytes = Vec::new();
            for byte in std::io::stdin().lock().take(LONGEST_INPUT + 1).bytes() {
                match byte.map_err(|error| format!("cannot read standard input: {error}"))? {
                    b'\n' => break,
                    byte => bytes.push(byte),
                }
            }
            *xml = serde_json::from_str(&checked(bytes)?).map_err(|why| format!("the first line of input: {why}"))?;
            for part in [&xml.destination, &xml.persistent].into_iter().flatten() {
                checked(part.clone().into_bytes())?;
            }
            Ok(())
        }
    }
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
