// SPDX-License-Identifier: GPL-2.0-or-later
//! The worker, or virsh, is missing, hangs, crashes, talks nonsense, or lies.

use super::trial::{After::*, Expected, Fault, LEFT, expect};
use crate::common::*;
use std::path::{Path, PathBuf};

const VIRSH: &str = "/usr/bin/virsh";

/// Puts `file` in the place of a program, on this host only.
fn replace(host: &Host, program: &str, file: &Path) {
    host.run("mount", &["--bind", file.to_str().unwrap(), program]);
}

/// Puts the programs back.
fn restore(host: &Host) {
    for program in [WORKER, VIRSH] {
        host.run("sh", &["-c", &format!("while umount {program} 2>/dev/null; do :; done")]);
    }
}

/// A file that is no program.
const NOTHING: &str = "/dev/null";

/// Watching needs no worker.
fn watched(fault: Fault<'_>) -> Fault<'_> {
    fault
        .clear(restore)
        .watch(expect(&[0], (0.5, 4.0), Lives, &[]))
        .start_running(expect(&[0], (0.5, 6.0), Lives, &["is already running"]))
        .probe_off(expect(&[7], (0.5, 4.0), Gone, &[]))
}

/// Without a tool that works, a stop ends the process by its number.
fn ended() -> Expected {
    expect(&[0], (8.0, 8.0), Gone, &["was ended by ending its process"])
}

#[test]
fn without_the_worker_virsh_does_the_work() {
    let host = Host::up();
    watched(Fault::new(&host, 13, "worker missing"))
        .set(|host, _| replace(host, WORKER, Path::new(NOTHING)))
        .stop(expect(&[0], (6.0, 6.0), Gone, &["virsh is used in its place", "was destroyed after"]))
        .start(expect(&[0], (5.0, 30.0), Started, &["virsh is used in its place", "was started and is running"]))
        .play();
}

#[test]
fn without_the_worker_and_virsh_a_stop_ends_the_process() {
    let host = Host::up();
    watched(Fault::new(&host, 14, "worker and virsh missing"))
        .set(|host, _| {
            replace(host, WORKER, Path::new(NOTHING));
            replace(host, VIRSH, Path::new(NOTHING));
        })
        .stop(ended())
        .start(expect(&[5], (1.0, 8.0), Gone, &["nor virsh is installed"]))
        .play();
}

/// A fault in which `program` is a script of these lines.
fn fake<'a>(host: &'a Host, number: usize, name: &'static str, program: &'static str, lines: &str) -> Fault<'a> {
    let script = host.script("fake", lines);
    watched(Fault::new(host, number, name)).set(move |host, _| replace(host, program, &script))
}

#[test]
fn a_worker_that_hangs_is_ended_with_all_that_it_started() {
    let host = Host::up();
    let lines = format!("trap '' TERM; (setsid sleep {LEFT} &); sleep {LEFT} & sleep {LEFT}");
    fake(&host, 15, "worker hangs", WORKER, &lines)
        .stop(ended())
        .start(expect(&[1], (8.0, 8.0), Gone, &["did not answer within"]))
        .play();
}

#[test]
fn a_worker_that_floods_its_output_costs_a_bounded_time() {
    let host = Host::up();
    for (number, name, lines) in [
        (26, "worker prints lines without end", "exec yes"),
        (27, "worker prints a line without end", "exec cat /dev/zero"),
    ] {
        fake(&host, number, name, WORKER, lines)
            .stop(ended())
            .start(expect(&[1], (8.0, 8.0), Gone, &["did not answer within"]))
            .play();
    }
}

#[test]
fn a_worker_that_crashes_is_no_answer() {
    let host = Host::up();
    fake(&host, 16, "worker aborts (SIGABRT)", WORKER, "kill -ABRT $$")
        .stop(ended())
        .start(expect(&[1], (1.0, 8.0), Gone, &["killed by signal 6"]))
        .play();
}

#[test]
fn a_worker_that_talks_nonsense_is_no_answer() {
    let host = Host::up();
    fake(&host, 17, "worker prints garbage", WORKER, "head -c 3000000 /dev/urandom; echo; echo '{\"end\":'; exit 0")
        .stop(ended())
        .start(expect(&[1], (2.0, 8.0), Gone, &["without an answer"]))
        .play();
}

#[test]
fn a_worker_that_claims_success_is_not_believed() {
    let host = Host::up();
    // What the real one says of an action that has no facts to tell.
    fake(&host, 18, "worker lies (success, and nothing done)", WORKER, &format!("echo '{}'", real_success()))
        .stop(ended())
        .start(expect(&[1], (1.0, 8.0), Gone, &["was started, but is gone again"]))
        .play();
}

/// An answer without facts.
fn real_success() -> String {
    let line = r#"{"result":"ok"}"#;
    assert!(vm_agent::model::worker::Line::parse(line).is_ok(), "the worker's words have changed: {line}");
    line.into()
}

#[test]
fn a_virsh_that_is_missing_is_told_and_does_not_keep_a_machine_from_its_end() {
    let host = Host::up();
    watched(Fault::new(&host, 19, "virsh missing (use_virsh)"))
        .param("use_virsh", "1")
        .set(|host, _| replace(host, VIRSH, Path::new(NOTHING)))
        .stop(ended())
        .start(expect(&[5], (1.0, 8.0), Gone, &["virsh is not installed"]))
        .play();
}

#[test]
fn a_virsh_that_hangs_is_ended_with_all_that_it_started() {
    let host = Host::up();
    let lines = format!("trap '' TERM; (setsid sleep {LEFT} &); sleep {LEFT}");
    fake(&host, 20, "virsh hangs (use_virsh)", VIRSH, &lines)
        .param("use_virsh", "1")
        .stop(ended())
        .start(expect(&[1], (4.0, 4.0), Gone, &["virsh did not answer within"]))
        .play();
}

/// A copy of the worker, for a script in its place that hands on what it does not do itself.
fn real_worker(host: &Host) -> PathBuf {
    let real = host.shared().join("real-worker");
    std::fs::copy(WORKER, &real).unwrap();
    real
}

#[test]
fn a_resume_that_hangs_leaves_a_stop_its_time_to_destroy() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let real = real_worker(&host);
    let lines =
        format!("for word; do [ \"$word\" != resume ] || exec sleep {LEFT}; done\nexec {} \"$@\"", real.display());
    host.virsh(&["suspend", "a"]);
    replace(&host, WORKER, &host.script("hangs", &lines));
    let answer = vm.call(Pacemaker, "stop").timeout(12.0).gives(0);
    assert!(answer.stderr.contains("'a' was destroyed after ") && !vm.lives(), "{answer}");
    restore(&host);
}

#[test]
fn a_guest_that_obeys_its_agent_after_a_while_is_not_asked_in_another_way() {
    let host = Host::up();
    let vm = host.guest("a").polite().written().created();
    let real = real_worker(&host);
    // The guest has no agent: its power button stands for one that takes its time.
    let slow = host.script(
        "slow",
        &format!(
            "for word; do shift; [ \"$word\" != --mode=agent ] || {{ word=--mode=acpi; sleep 3; }}; set -- \"$@\" \"$word\"; done\n\
             exec {} \"$@\"",
            real.display()
        ),
    );
    vm.ticks();
    replace(&host, WORKER, &slow);
    let answer = vm.call(Pacemaker, "stop").param("shutdown_mode", "agent,acpi").gives(0);
    assert!(answer.stderr.contains("'a' shut down after ") && !answer.stderr.contains("not asked"), "{answer}");
    assert_eq!(host.console("a").matches("button ").count(), 1, "asked more than once: {}", host.console("a"));
    restore(&host);
}
