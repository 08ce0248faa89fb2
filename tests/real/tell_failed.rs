// SPDX-License-Identifier: GPL-2.0-or-later
//! The list of failed tests with which `make test` and CI end.

use std::path::Path;
use std::process::Command;

/// What cargo test prints, shortened.
const FAILED: &str = r"
     Running unittests src/lib.rs (target/debug/deps/vm_agent-c4e5d218e6033740)

running 1 test
test tests::fine ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.30s

     Running tests/one/main.rs (target/debug/deps/one-52bbb39309fe5b08)

running 6 tests
test err ... FAILED
test good ... ok
test equal has been running for over 60 seconds
test equal ... FAILED

failures:

---- err stdout ----
Error: 'it says why'

---- should stdout ----
note: test did not panic as expected at tests/one.rs:4:28
---- equal stdout ----
    four blanks
failures:
    not_a_test

thread 'equal' (5316) panicked at tests/one.rs:1:78:
assertion `left == right` failed: numbers
  left: 1
 right: 2
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/library/std/src/panicking.rs:689:5

---- m::thread stdout ----

thread 'helper' (5426) panicked at tests/one.rs:3:82:
in a thread

thread 'm::thread' (5425) panicked at tests/one.rs:3:121:
called `Result::unwrap()` on an `Err` value: Any { .. }


failures:
    equal
    err
    m::thread
    should

test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.23s

error: test failed, to rerun pass `--test one`
     Running tests/two.rs (target/debug/deps/two-7652b660c8cdbe15)

running 1 test
error: test failed, to rerun pass `--test two`

Caused by:
  process didn't exit successfully: `/target/debug/deps/two-7652b660c8cdbe15` (signal: 6, SIGABRT: process abort signal)
     Running tests/three.rs (target/debug/deps/three-7652b660c8cdbe15)

running 1 test

thread 'shown' panicked at tests/three.rs:3:82:
as it came
test shown ... FAILED

failures:

failures:
    shown

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: 3 targets failed:
    `--test one`
";

const LIST: &str = "
== failed: 6
tests/one/main.rs equal: assertion `left == right` failed: numbers
tests/one/main.rs err: Error: 'it says why'
tests/one/main.rs m::thread: in a thread
tests/one/main.rs should: note: test did not panic as expected at tests/one.rs:4:28
tests/two.rs: it ended with signal: 6, SIGABRT: process abort signal
tests/three.rs shown: as it came
";

/// The exit code and the output of the script with these words.
fn told(words: &[&str]) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tell-failed");
    let output = Command::new(script).args(words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_failed_test_is_listed_with_the_first_line_of_its_reason() {
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), FAILED).unwrap();
    let path = log.path().to_str().unwrap();
    assert_eq!(told(&["--log", path]), (1, LIST.to_owned()));
    // Behind what was printed, and with the code of what printed it.
    let script = format!("cat {path}; exit 101");
    assert_eq!(told(&["sh", "-c", &script]), (101, format!("{FAILED}{LIST}")));
    let lost = format!("cat {path}; exit 0");
    assert_eq!(told(&["sh", "-c", &lost]).0, 1);
}

#[test]
fn without_a_failure_it_is_told_how_many_passed() {
    let end = FAILED.find("     Running tests/one").unwrap();
    let passed = FAILED[..end].replace('\'', "");
    let (code, text) = told(&["printf", "%s", &passed]);
    assert_eq!((code, text.trim_start_matches(&passed)), (0, "\n== no test failed (1 in 1 programs)\n"));
}

#[test]
fn what_cannot_be_built_or_ends_without_a_result_is_listed() {
    let (code, text) = told(&["sh", "-c", "echo 'error[E0425]: cannot find value `a`' >&2; exit 101"]);
    assert_eq!((code, text.lines().last().unwrap()), (101, "error[E0425]: cannot find value `a`"));
    let cut = "printf '     Running tests/one.rs (x)\n\nrunning 2 tests\n'; exit 3";
    let (code, text) = told(&["sh", "-c", cut]);
    assert_eq!((code, text.lines().last().unwrap()), (3, "tests/one.rs: it ended without a result"));
    let no_begin = "printf '     Running unittests src/main.rs (x)\nusage\nerror: test failed, to rerun pass `--bin x`\n\n\
        Caused by:\n  process didn%st exit successfully: `x` (exit status: 2)\n' \\'; exit 2";
    let (code, text) = told(&["sh", "-c", no_begin]);
    assert_eq!((code, text.lines().last().unwrap()), (2, "src/main.rs: it ended with exit status: 2"));
}
