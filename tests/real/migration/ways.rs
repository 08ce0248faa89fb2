// SPDX-License-Identifier: GPL-2.0-or-later
//! The good ways: how and where to a guest can move, and that it never stops meanwhile.

use crate::common::*;

const MARK: &[&str] = &["metadata", "a", "--uri", "https://vm-agent.org/xmlns/domain/1.0"];

#[test]
fn ten_migrations_to_and_fro_lose_no_tick_and_keep_the_mark() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let mark = cluster.host(1).virsh(MARK);
    for round in 0..10 {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        match round % 3 {
            0 => drop(guest.moved(from, to, &[])),
            1 => {
                guest.moves(Pacemaker, from, to).gives(0);
                guest.arrives(from, to).gives(0).within(5.0);
                // Pacemaker's stop on the source follows.
                guest.call(from, Pacemaker, "stop").gives(0).within(5.0);
                guest.runs_only_on(to);
            }
            _ => drop(guest.moves(Human, from, to).gives(0).says(&["was moved to node"])),
        }
    }
    guest.runs_only_on(1);
    assert_eq!(cluster.host(1).virsh(MARK), mark);
    guest.call(1, Pacemaker, "stop").gives(0);
    assert!(guest.processes().is_empty());
    // Its start, 4 moves by rgmanager, 3 by Pacemaker, of three actions each, 3 by hand, and its stop.
    let again =
        format!("set -o pipefail; {AGENT} history a --json -n 100 | {AGENT} replay - | grep -c 'decided the same'");
    let counts = [1, 2].map(|n| cluster.host(n).run("bash", &["-c", &again]).parse::<usize>().unwrap());
    assert_eq!(counts.iter().sum::<usize>(), 1 + 4 + 3 * 3 + 3 + 1, "{counts:?} records are decided the same again");
}

#[test]
fn each_way_of_moving_arrives() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let ways: [&[(&str, &str)]; 12] = [
        &[("migrate", "pause")],
        &[("tunnelled", "yes")],
        &[("migration_p2p", "yes")],
        &[("migration_tls", "yes")],
        &[("migration_transport", "tls")],
        &[("migration_parallel", "2")],
        &[("migration_compression", "xbzrle")],
        &[("migration_speed", "200"), ("migration_downtime", "400")],
        &[("migrate_options", "--live --verbose --timeout=100 --auto-converge"), ("migrate_backend", "virsh")],
        &[("migrate_options", "--auto-converge --bandwidth 500 --parallel --parallel-connections=2")],
        &[("migration_postcopy", "yes")],
        &[("use_virsh", "yes")],
    ];
    for (round, params) in ways.iter().enumerate() {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let answer = guest.moved(from, to, params);
        println!("{params:?}: {:.1} s", answer.took.as_secs_f32());
    }
    // What only virsh knows is handed to it.
    let xml = cluster.host(1).file("a-there.xml", &cluster.host(1).virsh(&["dumpxml", "--migratable", "a"]));
    let answer = guest.moved(1, 2, &[("migrate_options", &format!("--live --xml {}", xml.display()))]);
    assert!(answer.stderr.contains("handed to virsh: '--xml'"), "{answer}");
}

#[test]
fn each_way_of_naming_the_target_arrives() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let both = "node1:node1-mig,node2:node2-mig";
    let ways: [&[(&str, &str)]; 11] = [
        &[("migration_mapping", both)],
        &[("migration_mapping", " node1 : [fd00::1] , node2 : [fd00::2] ")],
        &[("migration_mapping", "node1:node1v6-mig,node2:node2v6-mig")],
        &[("migration_network_suffix", "-mig")],
        &[("migrateuri", "tcp://%n-mig")],
        &[("migrate_options", "--live --migrateuri=tcp://%n-mig")],
        &[("migrate_options", "--live --migrateuri=tcp://%n-mig"), ("migrate_backend", "virsh")],
        &[("remoteuri", "qemu+ssh://%n-mig/system"), ("migrateuri", "tcp://%nv6")],
        &[("migration_uri", "qemu+tls://%s/system")],
        &[("migrateport", "49333")],
        &[("migration_user", "root"), ("migration_mapping", both), ("migrateport", "49334")],
    ];
    for (round, params) in ways.iter().enumerate() {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let answer = guest.moved(from, to, params);
        println!("{params:?}: {:.1} s", answer.took.as_secs_f32());
    }
}

#[test]
fn a_definition_stays_with_its_node_and_starts_the_machine_there_when_the_other_node_is_dead() {
    let cluster = Cluster::up();
    let mut guest = cluster.departs(cluster.host(1).guest("a").polite().persistent());
    let file = guest.folder.join("a.xml");
    cluster.host(2).virsh(&["define", file.to_str().unwrap()]);
    let own = |number: usize| cluster.host(number).virsh(&["dumpxml", "--inactive", "a"]);
    let before = [own(1), own(2)];
    // Without `path`: what libvirt keeps is all that there is.
    let from_libvirt = |number: usize, action| cluster.host(number).call(Pacemaker, action).named("a");
    for (from, to) in [(1, 2), (2, 1), (1, 2)] {
        guest.moved(from, to, &[]);
        assert_eq!(cluster.host(from).state("a"), "shut off", "node{from} has lost its definition");
        assert_eq!([own(1), own(2)], before, "after the move to node{to}");
    }
    cluster.host(2).lab("kill", &["h2"]);
    from_libvirt(1, "start").timeout(60.0).gives(0);
    guest.boot = guest.new_boot();
    guest.runs_only_on(1);
    cluster.host(2).lab("boot", &["h2"]);
    cluster.host(2).virsh(&["undefine", "a"]);

    // It leaves none where there was none; unless the words say so.
    guest.moved(1, 2, &[]);
    assert!(cluster.host(2).virsh(&["dominfo", "a"]).contains("Persistent:     no"));
    guest.moved(2, 1, &[]);
    guest.moved(1, 2, &[("migrate_options", "--persistent --undefinesource")]);
    assert_eq!(cluster.host(1).state("a"), "absent");
    assert!(cluster.host(2).virsh(&["dominfo", "a"]).contains("Persistent:     yes"));
}

#[test]
fn each_hosts_own_definition_beside_a_file_stays_as_it_was() {
    let cluster = Cluster::up();
    let titled = |title: &str| {
        cluster.host(1).guest("a").polite().edit("<memory", &format!("<title>{title}</title>\n  <memory"))
    };
    let own = |number: usize| cluster.host(number).virsh(&["dumpxml", "--inactive", "a"]);
    for number in [1, 2] {
        let title = format!("own of node{number}");
        let file = cluster.host(1).file(&format!("own-{number}.xml"), &titled(&title).xml());
        cluster.host(number).virsh(&["define", file.to_str().unwrap()]);
        assert_eq!(tag(&own(number), "title"), title);
    }
    let before = [own(1), own(2)];
    let guest = cluster.departs(titled("of the file"));
    for (from, to) in [(1, 2), (2, 1)] {
        guest.moved(from, to, &[]);
        assert_eq!(tag(&cluster.host(to).virsh(&["dumpxml", "a"]), "title"), "of the file");
        assert_eq!(cluster.host(from).state("a"), "shut off", "node{from} has lost its own definition");
        assert_eq!([own(1), own(2)], before, "after the move to node{to}");
    }
    guest.call(1, Pacemaker, "stop").gives(0);
    assert_eq!([1, 2].map(|number| cluster.host(number).state("a")), ["shut off", "shut off"]);
    assert_eq!([own(1), own(2)], before);
}

#[test]
fn what_is_there_already_is_not_moved_and_what_makes_no_sense_is_refused() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for dialect in [Rgmanager, Pacemaker, Human] {
        // To the node where it is.
        guest.moves(dialect, 1, 1).gives(0).within(3.0);
    }
    let impossible = |dialect, code| {
        guest.moves(dialect, 1, 2).param("migrate_options", "--bandwidth x").gives(code).says(&["'--bandwidth x'"]);
        guest
            .moves(dialect, 1, 2)
            .param("migration_mapping", "node2:a:b")
            .gives(code)
            .says(&["'node2:a:b' is not a pair"]);
        guest.moves(dialect, 1, 2).param("hypervisor", "lxc").gives(code);
    };
    impossible(Rgmanager, 6);
    impossible(Pacemaker, 1);
    guest.call(1, Pacemaker, "validate-all").param("migrate_options", "--bandwidth x").gives(6);
    // What only virsh may know, virsh refuses, in its own words.
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        let call = guest.moves(dialect, 1, 2).param("migrate_options", "--live --no-such-word");
        call.gives(code).within(20.0).says(&["runs on here", "doesn't support option --no-such-word"]);
    }
    // ssh would take it for an option, once it is decoded.
    let mapping = ("migration_mapping", "node2:%2DoProxyCommand=x", "%2DoProxyCommand=x' is not a pair");
    for (name, value, words) in [mapping, ("remoteuri", "qemu+ssh://%2Dox/system", "'-ox' cannot be a host")] {
        guest.moves(Pacemaker, 1, 2).param(name, value).gives(1).says(&[words]);
    }
    guest.runs_only_on(1);

    for use_virsh in ["no", "yes"] {
        let rehearsal = guest.moves(Human, 1, 2).arg("--rehearse").arg("-o").arg(format!("use_virsh={use_virsh}"));
        rehearsal.gives(0).says(&["could be moved to node2", "nothing that can be asked stands in the way"]);
        guest.runs_only_on(1);
    }
    guest.moved(1, 2, &[]);
    for dialect in [Rgmanager, Pacemaker, Human] {
        guest.moves(dialect, 1, 2).gives(0).within(5.0);
    }
    guest.runs_only_on(2);
    guest.call(2, Pacemaker, "stop").gives(0);
    guest.moves(Rgmanager, 1, 2).gives(7).says(&["not running", "not on node2 either"]);
    guest.moves(Pacemaker, 1, 2).gives(1);
    guest.arrives(1, 2).gives(1).within(10.0).says(&["did not arrive"]);
}

#[test]
fn a_person_sees_the_progress() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let answer = guest.moves(Human, 1, 2).param("migration_speed", "10").gives(0).says(&["was moved to node2"]);
    assert!(answer.stderr.contains("MiB left"), "no progress: {answer}");
    assert!(!answer.stderr.contains(" of 0 MiB"), "progress before there was any: {answer}");
    guest.runs_only_on(2);
}
