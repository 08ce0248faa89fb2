// SPDX-License-Identifier: GPL-2.0-or-later
//! What a host remembers of a move whose agent was killed: a stop must find a machine that slipped away by it, and must
//! never end one by it that somebody has started, or accepted, at the other host since.

use super::killed::{arrives_without_its_agent, killed_in_the_middle};
use crate::common::*;

/// The agent is killed in the middle of a move, and the machine stays on the first host. Then `meanwhile`, a stop there,
/// and a start on the second host. The cluster may stop it on the first host as often as it likes.
fn stopped_again(dialect: Dialect, meanwhile: impl Fn(&Cluster), afterwards: impl Fn(&Cluster)) {
    let cluster = Cluster::up();
    let mut guest = cluster.travels("a");
    killed_in_the_middle(&guest, "no", true);
    guest.runs_only_on(1);
    meanwhile(&cluster);
    guest.call(1, dialect, "stop").gives(0);
    assert!(guest.processes().is_empty());
    afterwards(&cluster);
    guest.call(2, dialect, "start").gives(0);
    guest.boot = guest.new_boot();
    for _ in 0..2 {
        let answer = guest.call(1, dialect, "stop").gives(0).within(10.0);
        assert_eq!(guest.processes(), [2], "a stop on node1 has ended what runs on node2: {answer}");
    }
    guest.runs_only_on(2);
}

#[test]
fn a_machine_that_stayed_and_was_started_at_the_other_host_later_is_not_ended_from_here() {
    for dialect in BOTH {
        stopped_again(dialect, |_| {}, |_| {});
    }
}

#[test]
fn a_machine_that_stayed_and_ended_by_itself_is_not_ended_when_it_runs_at_the_other_host_later() {
    stopped_again(Pacemaker, |cluster| drop(cluster.host(1).virsh(&["destroy", "a"])), |_| {});
}

#[test]
fn a_target_that_was_silent_at_the_first_stop_is_not_visited_by_a_later_one() {
    let silence = |cluster: &Cluster| {
        cluster.host(1).virsh(&["destroy", "a"]);
        cluster.host(2).service("kill", "libvirtd");
    };
    stopped_again(Pacemaker, silence, |cluster| cluster.host(2).service("start", "libvirtd"));
}

#[test]
fn a_machine_that_arrived_without_its_agent_is_accepted_by_a_repeated_move_and_the_stop_that_follows_spares_it() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    arrives_without_its_agent(&guest);
    guest.runs_only_on(2);
    let answer = guest.moves(Pacemaker, 1, 2).param("migration_p2p", "yes").gives(0);
    assert!(answer.stderr.contains("already running on node2"), "{answer}");
    guest.arrives(1, 2).gives(0);
    let answer = guest.call(1, Pacemaker, "stop").gives(0).within(10.0);
    assert_eq!(guest.processes(), [2], "the stop on node1 has ended what arrived on node2: {answer}");
    guest.runs_only_on(2);
}

#[test]
fn a_machine_that_moved_away_is_not_started_anew_under_the_name_that_its_definition_has_by_now() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let file = guest.folder.join("a.xml");
    let by_file = |action: &str| cluster.host(1).call(VirtualDomain, action).instance("rsc").param("config", &file);
    by_file("monitor").gives(0);
    guest.moved(1, 2, &[]);
    let text = std::fs::read_to_string(&file).unwrap();
    // Also with another UUID: what the file meant when the machine ran here is remembered.
    for uuid in [tag(&text, "uuid"), "11111111-2222-4333-8444-555555555555".into()] {
        let edited = text.replace("<name>a</name>", "<name>b</name>").replace(&tag(&text, "uuid"), &uuid);
        std::fs::write(&file, edited).unwrap();
        by_file("start").gives(1).says(&["it migrated to qemu+ssh://node2/system"]);
        assert_eq!(guest.processes(), [2]);
    }
    guest.runs_only_on(2);
}
