// SPDX-License-Identifier: GPL-2.0-or-later
//! The host that a machine last migrated to is asked before a start: one that lives is waited for, one that is dead is not.

use crate::common::*;
use std::time::Duration;

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
        guest.call(1, Pacemaker, "start").gives(0).tells(&["whether it runs there is not known", &silent]);
        guest.boot = guest.new_boot();
        guest.runs_only_on(1);
        firewall("-D");
    }
    // One that is off.
    guest.moved(1, 2, &[]);
    there.lab("kill", &["h2"]);
    guest.call(1, Rgmanager, "start").gives(0).tells(&["10.77.0.2 gives no sign of life"]);
    guest.boot = guest.new_boot();
    guest.runs_only_on(1);
    let left = here.processes(|args| args.first().is_some_and(|program| program.ends_with(b"ssh")));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_start_waits_for_a_host_that_is_slow_to_let_it_in() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    guest.moved(1, 2, &[]);
    for dialect in BOTH {
        cluster.host(2).service("freeze", "sshd");
        let start = guest.call(1, dialect, "start").timeout(120.0).spawn();
        // Longer than for one that is dead. Its kernel has taken the connection meanwhile.
        std::thread::sleep(Duration::from_secs(4));
        assert!(start.runs(), "it did not wait");
        assert_eq!(guest.processes(), [2]);
        cluster.host(2).service("thaw", "sshd");
        let answer = start.answer();
        assert_eq!(answer.code, 1, "{answer}");
        answer.says(&["it migrated to qemu+ssh://node2/system", "runs there"]);
        guest.runs_only_on(2);
    }
}
