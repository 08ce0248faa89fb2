// SPDX-License-Identifier: GPL-2.0-or-later
//! The host that a machine last migrated to is asked before a start: one that lives is waited for, one that is dead is not.

use crate::common::*;

#[test]
fn a_start_waits_two_seconds_for_a_host_whose_kernel_does_not_answer() {
    let cluster = Cluster::up();
    let (here, there) = (cluster.host(1), cluster.host(2));
    let mut guest = cluster.travels("a");
    for (transport, port) in [("ssh", "22"), ("tls", "16514")] {
        guest.moved(1, 2, &[("migration_transport", transport)]);
        there.virsh(&["destroy", "a"]);
        // Nothing says no: what is sent there is lost.
        let firewall = |verb: &str| there.run("iptables", &[verb, "INPUT", "-p", "tcp", "--dport", port, "-j", "DROP"]);
        firewall("-A");
        let silent = format!("10.77.0.2 gives no sign of life: no answer at port {port} within 2 s");
        let answer = guest.call(1, Pacemaker, "start").gives(0).tells(&["whether it runs there is not known", &silent]);
        println!("{transport}: {:.1} s", answer.took.as_secs_f32());
        guest.boot = guest.new_boot();
        guest.runs_only_on(1);
        firewall("-D");
    }
    // One that is off.
    guest.moved(1, 2, &[]);
    there.lab("kill", &["h2"]);
    let answer = guest.call(1, Rgmanager, "start").gives(0).tells(&["10.77.0.2 gives no sign of life"]);
    println!("dead: {:.1} s", answer.took.as_secs_f32());
    guest.boot = guest.new_boot();
    guest.runs_only_on(1);
    let left = here.processes(|args| args.first().is_some_and(|program| program.ends_with(b"ssh")));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_start_waits_longer_for_a_host_whose_kernel_answers() {
    let cluster = Cluster::up();
    let there = cluster.host(2);
    let mut guest = cluster.travels("a");
    for dialect in BOTH {
        guest.moved(1, 2, &[]);
        // So that nothing runs twice when the start goes on at last.
        there.virsh(&["destroy", "a"]);
        there.service("freeze", "sshd");
        let answer = guest.call(1, dialect, "start").timeout(120.0).gives(0);
        assert!(!answer.stderr.contains("no sign of life"), "{answer}");
        answer.tells(&["whether it runs there is not known", "libvirt did not answer within"]);
        there.service("thaw", "sshd");
        guest.boot = guest.new_boot();
        guest.runs_only_on(1);
    }
}
