// SPDX-License-Identifier: GPL-2.0-or-later
//! Programs that run for long, and whose lines are read as they come.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use vm_agent::sys::child::{Ended, OutputLine, RunningChild};

use super::{bash, mark, marked, milliseconds, seconds, text};
use crate::shared::{Moment, eventually};

fn start(script: &str) -> RunningChild {
    bash(script).spawn(seconds(20)).unwrap()
}

fn line(running: &mut RunningChild) -> String {
    match running.next_line(seconds(20)) {
        OutputLine::Text(line) => text(&line),
        other @ (OutputLine::Later | OutputLine::Closed) => panic!("no line: {other:?}"),
    }
}

#[test]
fn lines_are_given_as_they_come() {
    let mut running = start("echo one; read -t 0.2 < <(:) ; sleep 0.2; echo two; echo -n three");
    let began = Moment::now();
    assert_eq!(line(&mut running), "one");
    assert!(began.elapsed() < Duration::from_millis(190));
    assert_eq!(running.next_line(milliseconds(20)), OutputLine::Later);
    assert_eq!(line(&mut running), "two");
    assert_eq!(line(&mut running), "three");
    assert_eq!(running.next_line(seconds(20)), OutputLine::Closed);
    assert_eq!(running.next_line(seconds(20)), OutputLine::Closed);
    assert_eq!(running.finish(seconds(20)).unwrap().ended, Ended::Exited(0));
}

#[test]
fn ten_thousand_lines_come_whole_and_in_order_beside_a_flood_of_errors() {
    let mut running =
        start("yes error | head -c 5000000 >&2 & for ((i = 0; i < 10000; i++)); do echo line $i; done; wait");
    for number in 0..10_000 {
        assert_eq!(line(&mut running), format!("line {number}"));
    }
    assert_eq!(running.next_line(seconds(20)), OutputLine::Closed);
    let done = running.finish(seconds(20)).unwrap();
    assert_eq!((done.ended, done.stderr.len()), (Ended::Exited(0), 256 * 1024));
}

#[test]
fn lines_written_at_the_very_end_are_not_lost() {
    for _ in 0..20 {
        let mut running = start("for i in {1..2000}; do echo $i; done; exit 4");
        let mut count = 0;
        while let OutputLine::Text(_) = running.next_line(seconds(20)) {
            count += 1;
        }
        assert_eq!(running.next_line(seconds(20)), OutputLine::Closed);
        assert_eq!(count, 2000);
        assert_eq!(running.finish(seconds(20)).unwrap().ended, Ended::Exited(4));
    }
}

#[test]
fn a_line_without_an_end_is_cut_and_the_next_one_is_whole() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo next; head -c 3000000 /dev/zero | tr '\\0' y";
    let mut running = bash(script).capture(1000).spawn(seconds(20)).unwrap();
    assert_eq!(line(&mut running), "x".repeat(1000));
    assert_eq!(line(&mut running), "next");
    assert_eq!(line(&mut running), "y".repeat(1000));
    assert_eq!(running.next_line(seconds(20)), OutputLine::Closed);
    assert_eq!(running.finish(seconds(20)).unwrap().dropped, 2 * (3_000_000 - 1000));
}

#[test]
fn a_flood_does_not_stretch_the_deadline_of_a_line_nor_the_lines_at_hand() {
    for flood in ["exec yes", "exec cat /dev/zero", "yes >&2 & exec cat /dev/zero"] {
        let mut running = start(flood);
        std::thread::sleep(Duration::from_millis(100));
        for wait in [0, 0, 200] {
            let began = Moment::now();
            running.next_line(milliseconds(wait));
            while let OutputLine::Text(_) = running.line_at_hand() {}
            assert_eq!(running.line_at_hand(), OutputLine::Later);
            assert!(began.elapsed() < Duration::from_secs(1), "{flood}: {:?}", began.elapsed());
        }
        assert_eq!(running.kill().unwrap().ended, Ended::TimedOut);
    }
}

#[test]
fn a_flood_that_outlives_its_launcher_is_not_read_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    // The launcher must first have told of the start.
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", go.display());
    let flood = "yes $(printf %01000d 0)";
    let mut running = start(&format!("{wait}; {flood} & kill -STOP $PPID; kill -KILL $PPID; exec {flood}"));
    std::fs::write(&go, "").unwrap();
    let (began, mut count) = (Moment::now(), 0u64);
    while let OutputLine::Text(_) = running.next_line(seconds(5)) {
        count += 1;
        assert!(began.elapsed() < Duration::from_secs(4), "{count} lines");
    }
}

#[test]
fn empty_lines_and_odd_bytes_are_kept() {
    let mut running = start(r"printf '\n\n\xff\x00\r\n'");
    let lines: Vec<OutputLine> = (0..4).map(|_| running.next_line(seconds(20))).collect();
    let expected = [&b""[..], b"", b"\xff\0\r"].map(|line| OutputLine::Text(line.to_vec()));
    assert_eq!(lines[..3], expected);
    assert_eq!(lines[3], OutputLine::Closed);
}

#[test]
fn one_descriptor_can_be_polled_for_all_that_happens() {
    let mut running = start("sleep 0.1; echo line; exec >&-; sleep 0.1; exit 3");
    let mut lines = 0;
    let began = Moment::now();
    loop {
        match running.next_line(milliseconds(0)) {
            OutputLine::Text(_) => lines += 1,
            OutputLine::Closed => break,
            OutputLine::Later => {
                poll(&mut [PollFd::new(&running, PollFlags::IN)], None).unwrap();
            }
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(lines, 1);
    assert_eq!(running.finish(seconds(20)).unwrap().ended, Ended::Exited(3));
}

#[test]
fn one_that_is_not_read_waits_and_is_not_lost() {
    let mut running = start("for ((i = 0; i < 30000; i++)); do echo a line of some length $i; done");
    assert_eq!(line(&mut running), "a line of some length 0");
    std::thread::sleep(Duration::from_millis(100));
    let done = running.finish(seconds(20)).unwrap();
    assert_eq!(done.ended, Ended::Exited(0));
    assert!(text(&done.stdout).starts_with("a line of some length 1\n"));
}

#[test]
fn asked_to_end_it_may_tidy_up_within_the_grace() {
    let mut running = start("trap 'echo tidy; exit 9' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(line(&mut running), "ready");
    let done = running.terminate(Duration::from_secs(20)).unwrap();
    assert_eq!((done.ended, text(&done.stdout)), (Ended::Exited(9), "tidy\n".into()));
    let mut running = start("echo ready; exec sleep 1000");
    assert_eq!(line(&mut running), "ready");
    assert_eq!(running.terminate(Duration::from_secs(20)).unwrap().ended, Ended::Signalled(15));
}

#[test]
fn one_that_ignores_the_request_is_killed_after_the_grace() {
    let mark = mark();
    let mut running = start(&format!("trap '' TERM; echo ready; (exec -a {mark} sleep 1000) & wait; wait"));
    assert_eq!(line(&mut running), "ready");
    eventually("its child runs", || marked(&mark).len() == 1);
    let began = Moment::now();
    let done = running.terminate(Duration::from_millis(200)).unwrap();
    assert_eq!((done.ended, done.survivors), (Ended::TimedOut, 0));
    assert!(began.wall() >= Duration::from_millis(200) && began.elapsed() < Duration::from_secs(2), "{began:?}");
    assert_eq!(marked(&mark), [0; 0]);
}

#[test]
fn dropping_or_killing_it_ends_it_at_once_with_all_that_it_started() {
    let mark = mark();
    let script =
        format!("(setsid bash -c '(exec -a {mark} sleep 1000) & exec -a {mark} sleep 1000' &); echo ready; sleep 1000");
    for drop_it in [true, false] {
        let mut running = start(&script);
        assert_eq!(line(&mut running), "ready");
        eventually("the daemons run", || marked(&mark).len() == 2);
        let began = Moment::now();
        if drop_it {
            drop(running);
        } else {
            assert_eq!(running.kill().unwrap().ended, Ended::TimedOut);
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(marked(&mark), [0; 0]);
    }
}

#[test]
fn an_end_that_came_before_it_was_killed_is_told_as_it_was() {
    let running = start("exit 6");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(running.kill().unwrap().ended, Ended::Exited(6));
}

#[test]
fn one_that_was_read_to_its_end_and_dropped_leaves_nothing_to_reap() {
    for _ in 0..10 {
        let mut running = start("echo line");
        while running.next_line(seconds(20)) != OutputLine::Closed {}
    }
    let mut zombies = 0;
    for entry in std::fs::read_dir("/proc").unwrap() {
        let stat = std::fs::read_to_string(entry.unwrap().path().join("stat")).unwrap_or_default();
        zombies += usize::from(stat.contains(&format!("(vm-agent-child) Z {} ", std::process::id())));
    }
    // Other tests may have some at this moment.
    assert!(zombies < 8, "{zombies} zombies");
}

#[test]
fn two_at_a_time_do_not_touch_each_other() {
    let (first_mark, second_mark) = (mark(), mark());
    let script =
        |mark: &str| format!("(setsid bash -c 'exec -a {mark} sleep 1000' &); echo ready; read -r _; sleep 1000");
    let mut first = start(&script(&first_mark));
    let mut second = start(&script(&second_mark));
    assert_eq!((line(&mut first), line(&mut second)), ("ready".into(), "ready".into()));
    eventually("both daemons run", || marked(&first_mark).len() + marked(&second_mark).len() == 2);
    drop(first);
    assert_eq!((marked(&first_mark).len(), marked(&second_mark).len()), (0, 1));
    drop(second);
    assert_eq!(marked(&second_mark).len(), 0);
}
