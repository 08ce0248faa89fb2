// SPDX-License-Identifier: GPL-2.0-or-later
//! Ending a process that is known by its number and its start time.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use vm_agent::hypervisor::process::{Evidence, find};
use vm_agent::sys::held::Held;
use vm_agent::sys::time::Deadline;

use super::real_processes::roots;
use super::{Guarded, emulator, own, real, uuid_text};
use crate::shared::{Moment, eventually};

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap()
}

fn seconds(count: u64) -> Deadline {
    Deadline::after(Duration::from_secs(count))
}

fn sleeper() -> Guarded {
    Guarded::start(Command::new("sleep").arg("1000"))
}

#[test]
fn an_emulator_found_without_libvirt_can_be_ended_and_its_end_is_seen() {
    let (name, (_folder, roots)) = (own("ended"), roots());
    let _process = Guarded::start(&mut emulator(&["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name)]));
    let Evidence::Alive(alive) = find(&roots, &real(&name)) else { panic!("not found") };
    let held = Held::open(alive.pid, alive.start_time_ticks).unwrap().expect("it lives");
    assert!(!held.ended());
    held.signal(Signal::TERM).unwrap();
    // Nobody has reaped it: it has ended all the same.
    assert!(held.wait_end(seconds(10)));
    assert!(held.ended());
    held.signal(Signal::KILL).unwrap();
}

#[test]
fn a_process_that_started_at_another_time_is_not_touched() {
    let mut process = sleeper();
    let start = start_time(process.pid());
    for other in [start + 1, start - 1, 0, u64::MAX] {
        assert!(Held::open(process.pid(), other).unwrap().is_none());
    }
    assert!(process.0.try_wait().unwrap().is_none());
    assert!(Held::open(process.pid(), start).unwrap().is_some());
}

#[test]
fn numbers_that_no_process_has_are_ended_already() {
    for pid in [0, u32::MAX, 0x7fff_ffff] {
        assert!(Held::open(pid, 1).unwrap().is_none(), "{pid}");
    }
}

#[test]
fn a_process_that_nobody_reaps_has_ended() {
    let mut process = sleeper();
    let start = start_time(process.pid());
    process.0.kill().unwrap();
    eventually("it has ended", || Held::open(process.pid(), start).unwrap().is_none());
    assert!(std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap().contains(") Z "));
}

#[test]
fn waiting_for_an_end_that_does_not_come_takes_no_longer_than_the_deadline() {
    let process = sleeper();
    let held = Held::open(process.pid(), start_time(process.pid())).unwrap().unwrap();
    let began = Moment::now();
    assert!(!held.wait_end(Deadline::after(Duration::from_millis(200))));
    assert!(began.wall() >= Duration::from_millis(200) && began.elapsed() < Duration::from_secs(2), "{began:?}");
}

#[test]
fn its_descriptor_can_be_polled_with_others_and_the_end_is_seen_at_once() {
    let mut process = sleeper();
    let held = Held::open(process.pid(), start_time(process.pid())).unwrap().unwrap();
    held.signal(Signal::KILL).unwrap();
    let began = Moment::now();
    let mut fds = [PollFd::new(&held, PollFlags::IN)];
    assert_eq!(poll(&mut fds, None).unwrap(), 1);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(process.0.wait().unwrap().signal(), Some(9));
    // Reaped: the descriptor still means that process, and no other.
    assert!(held.ended());
    held.signal(Signal::KILL).unwrap();
}

#[test]
fn a_stopped_process_is_ended_by_sigkill_and_not_by_sigterm() {
    let process = sleeper();
    let held = Held::open(process.pid(), start_time(process.pid())).unwrap().unwrap();
    held.signal(Signal::STOP).unwrap();
    eventually("it is stopped", || {
        std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap().contains(") T ")
    });
    held.signal(Signal::TERM).unwrap();
    assert!(!held.wait_end(Deadline::after(Duration::from_millis(100))));
    held.signal(Signal::KILL).unwrap();
    assert!(held.wait_end(seconds(10)));
}
