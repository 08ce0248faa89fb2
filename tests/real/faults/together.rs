// SPDX-License-Identifier: GPL-2.0-or-later
//! Two agents at once on one machine: a person's and the cluster's, or one that a manager forgot.

use super::trial::{machines, nothing_left};
use crate::common::*;
use rustix::process::Signal;

/// Both at once, and how many machines there were at most meanwhile.
fn both<'a>(host: &'a Host, first: Call<'a>, second: Call<'a>) -> (Answer, Answer, usize) {
    let (first, second) = (first.spawn(), second.spawn());
    let mut most = 0;
    while first.runs() || second.runs() {
        most = most.max(machines(host).len());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    (first.answer(), second.answer(), most)
}

#[test]
fn two_starts_at_once_make_one_machine() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for (one, other) in [(Pacemaker, Human), (Rgmanager, Rgmanager), (Pacemaker, Pacemaker)] {
        let (first, second, most) = both(&host, vm.call(one, "start"), vm.call(other, "start"));
        assert_eq!((first.code, second.code, most), (0, 0, 1), "{first}\n{second}");
        let started =
            [&first, &second].iter().filter(|a| format!("{}{}", a.stderr, a.stdout).contains("was started")).count();
        assert_eq!(started, 1, "{first}\n{second}");
        vm.destroy();
    }
}

#[test]
fn two_stops_at_once_both_answer_0() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for (one, other) in [(Pacemaker, Human), (Rgmanager, Pacemaker)] {
        vm.call(Pacemaker, "start").gives(0);
        let (first, second, most) =
            both(&host, vm.call(one, "stop").timeout(12.0), vm.call(other, "stop").timeout(12.0));
        assert_eq!((first.code, second.code), (0, 0), "{first}\n{second}");
        assert!(most <= 1 && machines(&host).is_empty());
        nothing_left(&host, "two stops");
    }
}

#[test]
fn a_start_and_a_stop_at_once_take_turns() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for round in 0..4 {
        if round % 2 == 1 && !vm.lives() {
            vm.call(Pacemaker, "start").gives(0);
        }
        let start = vm.call(Human, "start").timeout(30.0);
        // Each order of the two is possible; a stop that comes second leaves nothing, a start that comes second one
        // machine.
        let stop = vm.call_by_file("stop").timeout(16.0);
        let (start, stop) = (start.spawn(), stop.spawn());
        let (start, stop) = (start.answer(), stop.answer());
        assert_eq!((start.code, stop.code), (0, 0), "{start}\n{stop}");
        let left = machines(&host).len();
        assert!(left <= 1, "{left} machines");
        nothing_left(&host, "a start and a stop");
        if left == 1 {
            vm.destroy();
        }
    }
}

#[test]
fn an_agent_that_hangs_keeps_a_start_from_acting_and_a_stop_for_a_quarter_of_its_time() {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call(Pacemaker, "start").gives(0);
    let mut hanging = vm.call(Rgmanager, "stop").var("HA_debug", "1").timeout(60.0).spawn();
    hanging.says("step: ask the guest");
    let agents = || host.processes(|args| args[0].ends_with(b"vm.sh"));
    let agent = until(10, "agent that asks the guest", || agents().into_iter().next());
    agent.signal(Signal::STOP);
    vm.call(Pacemaker, "monitor").timeout(4.0).gives(0);
    let start = vm.call(Pacemaker, "start").timeout(3.0).gives(1);
    start.says(&["another vm-agent is at 'a' (stop, process "]);
    vm.call(Pacemaker, "stop").timeout(8.0).gives(0).within(8.5);
    assert_eq!(machines(&host), [0; 0]);
    agent.signal(Signal::CONT);
    // nsenter stops itself with what it runs.
    let shared = host.shared();
    let shared = shared.as_os_str().as_encoded_bytes();
    let around =
        Process::all(|_, args| args[0].ends_with(b"nsenter") && args.iter().any(|arg| arg.starts_with(shared)));
    around.iter().for_each(|process| process.signal(Signal::CONT));
    assert_eq!(hanging.answer().code, 0);
    nothing_left(&host, "an agent that hung");
}
