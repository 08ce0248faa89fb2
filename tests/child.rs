// SPDX-License-Identifier: GPL-2.0-or-later
//! Children on real processes: every program here misbehaves in its own way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::{Duration, Instant};

use vm_agent::child::{Child, ChildError, Ended, Finished};
use vm_agent::time::Deadline;

const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");

fn seconds(count: u64) -> Deadline {
    Deadline::after(Duration::from_secs(count))
}

fn bash(script: &str) -> Child<'_> {
    Child::new(Path::new("/bin/bash")).launcher(Path::new(AGENT)).args(["-c", script])
}

fn run(script: &str) -> Finished {
    bash(script).run(seconds(20)).unwrap()
}

#[test]
fn a_program_is_run_and_its_output_and_exit_code_are_given_back() {
    let done = run("echo out; echo err >&2; exit 3");
    assert_eq!((done.ended, &*done.stdout, &*done.stderr), (Ended::Exited(3), &b"out\n"[..], &b"err\n"[..]));
}

#[test]
fn a_program_that_hangs_is_killed_at_the_deadline() {
    let began = Instant::now();
    let done = bash("echo before; trap '' TERM; sleep 1000").run(Deadline::after(Duration::from_millis(300))).unwrap();
    assert_eq!((done.ended, done.survivors), (Ended::TimedOut, 0));
    assert_eq!(done.stdout, b"before\n");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_missing_program_is_an_error_that_names_it() {
    let error = Child::new(Path::new("/no/such")).launcher(Path::new(AGENT)).run(seconds(5)).unwrap_err();
    assert!(matches!(error, ChildError::NotFound(_)));
    assert_eq!(error.to_string(), "/no/such does not exist");
}
