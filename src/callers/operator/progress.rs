// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person at a terminal sees of an action that takes long: what it is at, and for how long already. A migration tells of
//! itself (`host/world/moving`); elsewhere than at a terminal only the end is told.

use crate::callers::records;
use crate::engine;
use crate::engine::recording::Recording;
use crate::model::call::{Environment, Invocation};
use crate::model::outcome::{Code, Outcome};
use crate::sys::roots::Roots;
use crate::sys::text::say;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What lasts shorter is not worth a line.
const SHORT: Duration = Duration::from_secs(2);
/// How often the same is told again.
const AGAIN: Duration = Duration::from_secs(10);

/// Carries it out, and puts it on record unless it only watches.
pub(super) fn run(inv: &Invocation, env: &Environment) -> Outcome {
    let mut recording = Recording::begin();
    let outcome = carry_out(inv, env, &mut recording);
    if !inv.action.watches() {
        records::write(inv, &recording, &outcome, &Roots::default());
    }
    outcome
}

fn carry_out(inv: &Invocation, env: &Environment, recording: &mut Recording) -> Outcome {
    if inv.action.moves() || inv.action.watches() || !stderr().is_terminal() {
        return engine::run(inv, env, Roots::default(), recording);
    }
    let (told, heard) = channel();
    let total = inv.timeout;
    let listener = std::thread::Builder::new().spawn(move || {
        listen(&heard, (SHORT, AGAIN), &mut |spent, what| {
            let line = format!("vm-agent: {} s of {:.0}: {what}", spent.as_secs(), total.as_secs_f64());
            say(&mut stderr(), &line);
        });
    });
    let outcome = engine::run_telling(inv, env, Roots::default(), recording, told);
    // It ends with the channel, which the action has left.
    if let Ok(listener) = listener {
        let _ = listener.join();
    }
    outcome
}

/// How a terminal is cleared.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Shows something again and again: at a terminal in the place of what was there, elsewhere below it. Ends with whoever reads
/// it, and gives the last code then.
pub(super) fn watch(pause: Duration, show: &dyn Fn() -> (Code, String)) -> Code {
    let clear = if stdout().is_terminal() { CLEAR } else { "" };
    loop {
        let (code, text) = show();
        let mut out = stdout().lock();
        if writeln!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() {
            return code;
        }
        drop(out);
        std::thread::sleep(pause);
    }
}

/// Tells what lasts longer than the first of these times, and again each time that the second is over.
fn listen(heard: &Receiver<String>, (short, again): (Duration, Duration), tell: &mut dyn FnMut(Duration, &str)) {
    let began = Instant::now();
    let mut due = began + short;
    let mut what = String::new();
    loop {
        match heard.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(next) => {
                if next != what {
                    due = due.min(Instant::now() + short);
                }
                what = next;
            }
            Err(RecvTimeoutError::Timeout) => {
                if !what.is_empty() {
                    tell(began.elapsed(), &what);
                }
                due = Instant::now() + again;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_again_and_again_until_it_ends() {
        let (told, heard) = channel();
        told.send("lasts".to_owned()).unwrap();
        let (mut told, mut lines) = (Some(told), Vec::new());
        listen(&heard, (Duration::ZERO, Duration::ZERO), &mut |_, what| {
            lines.push(what.to_owned());
            if lines.len() == 3 {
                told = None;
            }
        });
        assert_eq!(lines, ["lasts"; 3]);
    }

    #[test]
    fn what_is_short_is_not_told() {
        let (told, heard) = channel();
        told.send("short".to_owned()).unwrap();
        drop(told);
        let long = Duration::from_secs(3600);
        listen(&heard, (long, long), &mut |_, what| panic!("{what} is told"));
    }
}
