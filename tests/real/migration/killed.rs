// SPDX-License-Identifier: GPL-2.0-or-later
//! The agent is killed in the middle of a move, and the cluster does what clusters do then: stop on both nodes at the same
//! moment, start on one.

use super::{slow, unhurried};
use crate::common::*;
use std::time::Duration;

/// Begins a move in the middle of which the agent is killed.
pub fn killed_in_the_middle(guest: &Traveller<'_>, p2p: &str, whole_group: bool) {
    let call = slow(guest.moves(Pacemaker, 1, 2)).param("migration_p2p", p2p).spawn();
    guest.is_moving();
    if whole_group { call.kill_group() } else { call.kill() }
}

/// Lets a move go on without the agent that began it, until it arrives.
pub fn arrives_without_its_agent(guest: &Traveller<'_>) {
    let call = unhurried(guest.moves(Pacemaker, 1, 2)).param("migration_p2p", "yes").spawn();
    guest.is_moving();
    call.kill_group();
    until(90, "arrival without an agent", || (guest.processes() == [2]).then_some(()));
}

/// Stops it on both nodes at the same moment, as Pacemaker does; then nothing runs.
pub fn stop_on_both(guest: &Traveller<'_>) {
    std::thread::scope(|scope| {
        let stops = [1, 2].map(|host| {
            scope.spawn({
                let call = guest.call(host, Pacemaker, "stop").timeout(60.0);
                move || call.gives(0)
            })
        });
        for stop in stops {
            let answer = stop.join().unwrap();
            println!("stop {:.1} s: {}", answer.took.as_secs_f32(), answer.stderr.trim());
        }
    });
    assert!(guest.processes().is_empty(), "stopped on both, but on {:?} it has a process", guest.processes());
    guest.ticks_no_more();
}

/// Stops it on both nodes, and starts it on the second.
fn stop_on_both_and_start(guest: &mut Traveller<'_>) {
    stop_on_both(guest);
    guest.call(2, Pacemaker, "start").gives(0);
    guest.boot = guest.new_boot();
    assert_eq!(guest.processes(), [2]);
    guest.keeps_ticking();
    guest.call(2, Pacemaker, "stop").gives(0);
    guest.call(1, Pacemaker, "start").gives(0);
    guest.boot = guest.new_boot();
}

#[test]
fn a_killed_agent_leaves_the_machine_running_here_and_libvirt_clears_up() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for whole_group in [true, false] {
        killed_in_the_middle(&guest, "no", whole_group);
        guest.runs_only_on(1);
    }
    for (dialect, host, code) in [(Pacemaker, 1, 0), (Pacemaker, 2, 7)] {
        guest.call(host, dialect, "monitor").gives(code);
    }
    guest.moved(1, 2, &[]);
}

#[test]
fn after_a_killed_agent_stops_on_both_nodes_leave_no_copy_anywhere() {
    let cluster = Cluster::up();
    let mut guest = cluster.travels("a");
    for (p2p, whole_group) in [("no", true), ("yes", true)] {
        killed_in_the_middle(&guest, p2p, whole_group);
        stop_on_both_and_start(&mut guest);
    }
}

#[test]
fn stop_on_the_source_aborts_a_move_that_goes_on_without_its_agent() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    killed_in_the_middle(&guest, "yes", true);
    guest.is_moving();
    assert!(cluster.host(1).virsh(&["domjobinfo", "a"]).contains("Outgoing"), "it does not go on by itself");
    // A probe there must not claim it; the source still has it.
    guest.call(2, Pacemaker, "monitor").gives(7);
    guest.call(1, Pacemaker, "monitor").gives(0);
    let answer = guest.call(1, Rgmanager, "stop").gives(0).within(20.0);
    println!("stop: {:.1} s", answer.took.as_secs_f32());
    until(10, "end of all copies", || guest.processes().is_empty().then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    assert!(guest.processes().is_empty());
}

#[test]
fn stop_on_the_target_ends_the_incoming_copy_and_the_source_runs_on() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let call = slow(guest.moves(Pacemaker, 1, 2)).spawn();
    guest.is_moving();
    guest.call(2, Pacemaker, "stop").gives(0).within(10.0);
    let answer = call.answer();
    println!("{} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
    // It may have been tried again, with time enough.
    guest.runs_only_on(if answer.code == 0 { 2 } else { 1 });
}
