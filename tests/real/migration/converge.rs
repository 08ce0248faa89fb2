// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest that makes memory dirty faster than the network takes it away: what each permission does, and that a move which
//! cannot end is given up in time.

use super::killed::stop_on_both;
use crate::common::*;
use std::time::{Duration, Instant};

/// A guest that dirties 24 MiB over and over, between hosts that send 12 MiB/s.
fn busy(cluster: &Cluster) -> Traveller<'_> {
    for host in [1, 2] {
        let host = cluster.host(host);
        host.lab("shape", &[&host.name(), "100mbit", "--net", "mig"]);
    }
    let guest = cluster.host(1).guest("a").option("--variant", "dirty").option("--append", "dirty=24 dirtyrate=40");
    cluster.departs(guest)
}

/// The move over the shaped network, with nothing allowed that is not said.
fn over_the_slow_network<'a>(guest: &Traveller<'a>, dialect: Dialect, from: usize, to: usize) -> Call<'a> {
    guest
        .moves(dialect, from, to)
        .param("migration_network_suffix", "-mig")
        .param("migration_auto_converge", "no")
        .param("migration_downtime_max", "0")
}

fn print(what: &str, answer: &Answer) {
    println!("{what}: {} after {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
}

#[test]
fn the_governor_ends_what_virsh_alone_does_not_end() {
    let cluster = Cluster::up();
    let guest = busy(&cluster);
    let seconds = 120;
    let uri = ["--desturi", "qemu+ssh://node2/system", "--migrateuri", "tcp://node2-mig"];
    let mut virsh = cluster.host(1).command("virsh");
    let mut virsh = virsh.args(["migrate", "--live", "a"]).args(uri).env("PATH", "/usr/bin:/bin").spawn().unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        assert!(virsh.try_wait().unwrap().is_none(), "virsh ended after {:?}: this shows nothing", began.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    cluster.host(1).virsh(&["domjobabort", "a"]);
    virsh.wait().unwrap();
    guest.runs_only_on(1);
    println!("virsh: not ended after {seconds} s");

    let answer = over_the_slow_network(&guest, Human, 1, 2).param("migration_downtime_max", "5000").gives(0);
    print("more downtime", &answer);
    for step in ["allow 600 ms", "allow 1200 ms"] {
        assert!(answer.stderr.contains(step), "no '{step}' in {answer}");
    }
    guest.runs_only_on(2);
}

#[test]
fn slowing_the_guest_down_or_post_copy_brings_it_over_where_they_are_allowed() {
    let cluster = Cluster::up();
    let guest = busy(&cluster);
    // Slowed down, it makes little enough dirty for a downtime that is not enough for it else.
    let call = over_the_slow_network(&guest, Human, 1, 2).param("migration_downtime_max", "1800");
    print("auto-converge", &call.param("migration_auto_converge", "yes").gives(0));
    guest.runs_only_on(2);

    let call = over_the_slow_network(&guest, Human, 2, 1).param("migration_postcopy", "yes");
    let answer = call.gives(0);
    print("post-copy", &answer);
    assert!(answer.stderr.contains("switch to post-copy"), "it was not used: {answer}");
    guest.runs_only_on(1);
}

#[test]
fn the_pause_comes_in_time_and_the_move_ends_before_the_timeout() {
    let cluster = Cluster::up();
    let guest = busy(&cluster);
    let call = over_the_slow_network(&guest, Human, 1, 2).param("migration_allow_pause", "yes").timeout(40.0);
    let began = Instant::now();
    let mut call = call.spawn();
    call.says("pause the guest");
    let paused = began.elapsed();
    let answer = call.answer();
    print("pause", &answer);
    println!("paused after {:.1} s", paused.as_secs_f32());
    assert_eq!(answer.code, 0, "{answer}");
    // What is left then takes some seconds; before that there is no need.
    assert!(paused > Duration::from_secs(15), "paused after {paused:?} of 40 s already: {answer}");
    guest.runs_only_on(2);
}

#[test]
fn a_guest_whose_move_fits_is_not_paused_although_it_may_be() {
    let cluster = Cluster::up();
    cluster.host(1).lab("shape", &["h1", "48mbit", "--net", "mig"]);
    let guest = cluster.travels("a");
    let call = over_the_slow_network(&guest, Human, 1, 2).param("migration_allow_pause", "yes").timeout(32.0);
    let answer = call.gives(0);
    print("idle", &answer);
    assert!(answer.took > Duration::from_secs(8), "it took hardly any time, this shows nothing: {answer}");
    assert!(!answer.stderr.contains("pausing"), "it was paused: {answer}");
    guest.runs_only_on(2);
}

#[test]
fn with_everything_forbidden_it_is_given_up_in_time_and_runs_on() {
    let cluster = Cluster::up();
    let guest = busy(&cluster);
    for (dialect, code, postcopy) in [(Rgmanager, 150, "no"), (Pacemaker, 1, "yes")] {
        // Post-copy is allowed, but so near to the timeout it could be cut, which would be the guest's end.
        let timeout = if postcopy == "yes" { 10.0 } else { 16.0 };
        let call = over_the_slow_network(&guest, dialect, 1, 2).param("migration_postcopy", postcopy);
        let answer = call.timeout(timeout).gives(code).says(&["not moved, runs on here", "no end in time"]);
        print("nothing allowed", &answer);
        assert!(!answer.stderr.contains("post-copy"), "post-copy was begun: {answer}");
        guest.runs_only_on(1);
    }
}

/// In post-copy the memory is at both ends: no copy may go on alone, and nothing is undone.
#[test]
fn a_network_that_is_cut_in_post_copy_is_waited_for_and_said_loudly() {
    let cluster = Cluster::up();
    let mut guest = busy(&cluster);
    let cut = |from: usize, to: usize, timeout: f64| {
        let call = over_the_slow_network(&guest, Pacemaker, from, to).param("migration_postcopy", "yes");
        let mut call = call.timeout(timeout).spawn();
        call.says("switch to post-copy");
        until(20, "begin of post-copy", || (cluster.host(to).state("a") == "running").then_some(()));
        cluster.host(2).lab("partition", &["h2"]);
        let failed =
            || cluster.host(from).virsh(&["domstate", "a", "--reason"]).contains("post-copy failed").then_some(());
        until(60, "end of libvirt's patience", failed);
        assert!(call.runs());
        call
    };
    // It comes back in time.
    let call = cut(1, 2, 120.0);
    cluster.host(2).lab("heal", &["h2"]);
    let answer = call.answer();
    print("cut in post-copy, healed", &answer);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(!answer.stderr.contains("abort"), "{answer}");
    guest.runs_only_on(2);

    // It does not. Here the half stands still, and is no running machine to anybody.
    let answer = cut(2, 1, 70.0).answer().says(&["half here, half on node1", "post-copy"]);
    print("cut in post-copy, for good", &answer);
    assert_eq!(answer.code, 1, "{answer}");
    guest.call(2, Pacemaker, "monitor").gives(1).says(&["post-copy"]);
    cluster.host(2).lab("heal", &["h2"]);
    stop_on_both(&guest);
    guest.call(1, Pacemaker, "start").gives(0);
    guest.boot = guest.new_boot();
    guest.runs_only_on(1);
}

/// libvirt goes on by itself, and the network is too slow for an end: a stop must not leave the other half behind.
#[test]
fn a_stop_in_the_middle_of_a_post_copy_that_lost_its_agent_leaves_no_half_anywhere() {
    let cluster = Cluster::up();
    let guest = busy(&cluster);
    let source = cluster.host(1);
    // The memory has a network of its own; what the daemons tell each other is not slowed down.
    let call = guest.moves(Pacemaker, 1, 2).param("migrateuri", "tcp://%n-mig").param("migration_auto_converge", "no");
    let call = call.param("migration_downtime_max", "0").param("migration_p2p", "yes");
    let call = call.param("migration_postcopy", "yes").spawn();
    guest.is_moving();
    call.kill_group();
    source.lab("shape", &["h1", "4mbit", "--net", "mig"]);
    source.virsh(&["migrate-postcopy", "a"]);
    until(30, "begin of post-copy", || (cluster.host(2).state("a") == "running").then_some(()));
    let state = source.virsh(&["domstate", "a", "--reason"]);
    assert!(state.contains("post-copy"), "the post-copy is over already, this shows nothing: {state}");
    let answer = guest.call(1, Pacemaker, "stop").timeout(40.0).gives(0);
    print("stop in post-copy", &answer);
    assert!(guest.processes().is_empty(), "stopped, but on {:?} it has a process: {answer}", guest.processes());
    guest.ticks_no_more();
}
