// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest that makes memory dirty faster than the network takes it away: what each permission does, and that a move which
//! cannot end is given up in time.

use crate::common::*;
use std::time::{Duration, Instant};

/// A guest that dirties 24 MiB over and over, between hosts that send 12 MiB/s.
pub(super) fn busy(cluster: &Cluster) -> Traveller<'_> {
    for host in [1, 2] {
        let host = cluster.host(host);
        host.lab("shape", &[&host.name(), "100mbit", "--net", "mig"]);
    }
    let guest = cluster.host(1).guest("a").option("--variant", "dirty").option("--append", "dirty=24 dirtyrate=40");
    cluster.departs(guest)
}

/// The move over the shaped network, with nothing allowed that is not said.
pub(super) fn over_the_slow_network<'a>(guest: &Traveller<'a>, dialect: Dialect, from: usize, to: usize) -> Call<'a> {
    guest
        .moves(dialect, from, to)
        .param("migration_network_suffix", "-mig")
        .param("migration_auto_converge", "no")
        .param("migration_downtime_max", "0")
}

pub(super) fn print(what: &str, answer: &Answer) {
    println!("{what}: {} after {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
}

#[test]
fn the_governor_ends_what_virsh_alone_does_not_end() {
    let cluster = Cluster::up();
    let guest = busy(&cluster);
    let answer = over_the_slow_network(&guest, Human, 1, 2).param("migration_downtime_max", "5000").gives(0);
    print("more downtime", &answer);
    for step in ["allow 600 ms", "allow 1200 ms"] {
        assert!(answer.stderr.contains(step), "no '{step}' in {answer}");
    }
    guest.runs_only_on(2);

    let source = cluster.host(2);
    let uri = ["--desturi", "qemu+ssh://node1/system", "--migrateuri", "tcp://node1-mig"];
    let mut virsh = source.command("virsh");
    let mut virsh = virsh.args(["migrate", "--live", "a"]).args(uri).env("PATH", "/usr/bin:/bin").spawn().unwrap();
    let (began, enough) = (Instant::now(), 2 * answer.took);
    while began.elapsed() < enough {
        assert!(virsh.try_wait().unwrap().is_none(), "virsh ended after {:?}: this shows nothing", began.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    source.virsh(&["domjobabort", "a"]);
    virsh.wait().unwrap();
    guest.runs_only_on(2);
    println!("virsh: not ended after {enough:.1?}");
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
    let answer = call.gives(0);
    print("pause", &answer);
    // Its memory was gone through before, again and again where the machine has time for that. When the last moment for the
    // pause is depends on what the network carries: that is the governor's, and is tested there.
    let (before, _) =
        answer.stderr.split_once("pause the guest").unwrap_or_else(|| panic!("it was not paused: {answer}"));
    let pass = |line: &str| line.split_once("pass ")?.1.split(',').next()?.parse::<u64>().ok();
    let passes = before.lines().filter_map(pass).max();
    assert!(passes >= Some(2), "it was paused in pass {passes:?} already: {answer}");
    guest.runs_only_on(2);
}

#[test]
fn a_guest_whose_move_fits_is_not_paused_although_it_may_be() {
    let cluster = Cluster::up();
    // So slow that the network is what it waits for on a busy machine too.
    cluster.host(1).lab("shape", &["h1", "24mbit", "--net", "mig"]);
    let guest = cluster.travels("a");
    let call = over_the_slow_network(&guest, Human, 1, 2).param("migration_allow_pause", "yes").timeout(60.0);
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
        if postcopy == "yes" {
            // Post-copy is allowed, but so near to the timeout it could be cut, which would be the guest's end.
            cluster.host(1).lab("shape", &["h1", "24mbit", "--net", "mig"]);
        }
        let call = over_the_slow_network(&guest, dialect, 1, 2).param("migration_postcopy", postcopy);
        let answer = call.timeout(45.0).gives(code).says(&["not moved, runs on here", "no end in time"]);
        print("nothing allowed", &answer);
        assert!(!answer.stderr.contains("post-copy"), "post-copy was begun: {answer}");
        guest.runs_only_on(1);
    }
}
