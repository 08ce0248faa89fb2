// SPDX-License-Identifier: GPL-2.0-or-later
//! A move whose memory is at both ends: no copy may go on alone, and nothing is undone.

use super::converge::{busy, over_the_slow_network, print};
use super::killed::stop_on_both;
use crate::common::*;
use std::process::Stdio;

#[test]
fn a_network_that_is_cut_in_post_copy_is_waited_for_and_said_loudly() {
    let cluster = Cluster::up();
    let mut guest = busy(&cluster);
    let cut = |from: usize, to: usize, timeout: f64| {
        let call = over_the_slow_network(&guest, Pacemaker, from, to).param("migration_postcopy", "yes");
        // It must not be over before the network is cut: a shell that runs already slows it down as soon as it has begun.
        let mut shell = cluster.host(from).command("sh");
        let slow = "read -r go; exec tc qdisc replace dev mig0 root tbf rate 4mbit burst 64kb latency 200ms";
        shell.args(["-c", slow]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut call = call.timeout(timeout).spawn();
        call.says("switch to post-copy");
        drop(shell.stdin.take());
        assert!(shell.wait().unwrap().success());
        until(60, "begin of post-copy", || (cluster.host(to).state("a") == "running").then_some(()));
        cluster.host(2).lab("partition", &["h2"]);
        let failed =
            || cluster.host(from).virsh(&["domstate", "a", "--reason"]).contains("post-copy failed").then_some(());
        until(60, "end of libvirt's patience", failed);
        assert!(call.runs());
        call
    };
    let heal = |from: usize| {
        let host = cluster.host(from);
        host.lab("shape", &[&host.name(), "100mbit", "--net", "mig"]);
        cluster.host(2).lab("heal", &["h2"]);
    };
    // It comes back in time.
    let call = cut(1, 2, 120.0);
    heal(1);
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
    heal(2);
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
    // From the begin: on a busy machine the guest is slow too, and could have arrived before the network is. The memory has
    // a network of its own; what the daemons tell each other is not slowed down.
    source.lab("shape", &["h1", "4mbit", "--net", "mig"]);
    let call = guest.moves(Pacemaker, 1, 2).param("migrateuri", "tcp://%n-mig").param("migration_auto_converge", "no");
    let call = call.param("migration_downtime_max", "0").param("migration_p2p", "yes");
    let call = call.param("migration_postcopy", "yes").spawn();
    guest.is_moving();
    call.kill_group();
    source.virsh(&["migrate-postcopy", "a"]);
    until(30, "begin of post-copy", || (cluster.host(2).state("a") == "running").then_some(()));
    let state = source.virsh(&["domstate", "a", "--reason"]);
    assert!(state.contains("post-copy"), "the post-copy is over already, this shows nothing: {state}");
    let answer = guest.call(1, Pacemaker, "stop").timeout(40.0).gives(0);
    print("stop in post-copy", &answer);
    assert!(guest.processes().is_empty(), "stopped, but on {:?} it has a process: {answer}", guest.processes());
    guest.ticks_no_more();
}
