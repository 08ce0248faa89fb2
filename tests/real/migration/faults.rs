// SPDX-License-Identifier: GPL-2.0-or-later
//! Faults before and during a move. Afterwards exactly one copy runs, and the answer came before the timeout.

use super::{slow, unhurried};
use crate::common::*;
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

/// Tries to move it in both dialects while that cannot work, and what hinders it may pass at any moment: it stays where it
/// is, and that is said at the timeout.
fn stays(guest: &Traveller<'_>, words: &[&str]) {
    stays_within(guest, 20.0, 20.0, words);
}

/// The same where what hinders it lasts: that is said within these seconds, however long the timeout is.
fn is_refused(guest: &Traveller<'_>, seconds: f64, words: &[&str]) {
    stays_within(guest, 120.0, seconds, words);
}

fn stays_within(guest: &Traveller<'_>, timeout: f64, seconds: f64, words: &[&str]) {
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        let answer = guest.moves(dialect, 1, 2).timeout(timeout).gives(code).within(seconds).says(words);
        println!("{dialect:?} {code} {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
        guest.runs_only_on(1);
    }
}

#[test]
fn a_target_that_ssh_cannot_reach_leaves_the_machine_alone() {
    let cluster = Cluster::up();
    let (source, target) = (cluster.host(1), cluster.host(2));
    let guest = cluster.travels("a");
    target.service("kill", "sshd");
    stays(&guest, &["node2", "cannot be reached", "refused"]);
    target.service("start", "sshd");

    target.run("mv", &["/root/.ssh/authorized_keys", "/root/.ssh/away"]);
    is_refused(&guest, 10.0, &["node2", "cannot be reached", "ermission denied"]);
    target.run("mv", &["/root/.ssh/away", "/root/.ssh/authorized_keys"]);

    // A login that ends at once, without a word.
    target.run("sh", &["-c", "cp /root/.ssh/authorized_keys /root/.ssh/away; sed -i 's/^/command=\"exit 0\" /' /root/.ssh/authorized_keys"]);
    stays(&guest, &["node2", "cannot be reached: ", "connection"]);
    for p2p in ["no", "yes"] {
        let answer = guest.moves(Pacemaker, 1, 2).param("migration_p2p", p2p).timeout(20.0).gives(1);
        println!("p2p {p2p}: {}", answer.reason);
        assert!(!answer.reason.contains(":  (") && !answer.reason.trim_end().ends_with(':'), "{answer}");
    }
    target.run("mv", &["/root/.ssh/away", "/root/.ssh/authorized_keys"]);

    source.run("mv", &["/root/.ssh/known_hosts", "/root/.ssh/known_hosts.away"]);
    is_refused(&guest, 10.0, &["node2", "cannot be reached", "ost key verification failed"]);

    // The first contact: ssh writes a warning on stderr, and all is well.
    source.run(
        "sh",
        &["-c", "printf 'StrictHostKeyChecking accept-new\\nUserKnownHostsFile /root/.ssh/new\\n' >>/root/.ssh/config"],
    );
    guest.moved(1, 2, &[]);
    assert!(!source.run("cat", &["/root/.ssh/new"]).is_empty(), "this was no first contact");
    guest.moved(2, 1, &[]);
    source.run("rm", &["/root/.ssh/new"]);
    guest.moved(1, 2, &[("migrate_backend", "virsh")]);
}

#[test]
fn a_target_whose_libvirtd_is_dead_or_hangs_leaves_the_machine_alone() {
    let cluster = Cluster::up();
    let target = cluster.host(2);
    let guest = cluster.travels("a");
    target.service("kill", "libvirtd");
    stays(&guest, &["node2", "cannot be reached"]);
    target.service("start", "libvirtd");
    target.service("freeze", "libvirtd");
    stays(&guest, &["node2", "did not answer"]);
    target.service("thaw", "libvirtd");
    guest.runs_only_on(1);
    guest.moved(1, 2, &[]);
}

/// What passes by itself is waited for, while the machine runs on.
#[test]
fn a_target_that_takes_no_connection_for_a_while_is_waited_for() {
    let cluster = Cluster::up();
    let target = cluster.host(2);
    let guest = cluster.travels("a");
    for (service, repair) in [("sshd", "start"), ("libvirtd", "start")] {
        target.service("kill", service);
        let mut call = guest.moves(Pacemaker, 1, 2).timeout(60.0).spawn();
        call.says("tried again");
        std::thread::sleep(Duration::from_secs(2));
        guest.runs_only_on(1);
        target.service(repair, service);
        let answer = call.answer();
        println!("{service}: {} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.stderr);
        assert_eq!(answer.code, 0, "{answer}");
        guest.runs_only_on(2);
        guest.moved(2, 1, &[]);
    }

    // As with several moves at once: sshd closes what it has no room for.
    target.run("sh", &["-c", "echo MaxStartups 1:100:1 >>/etc/ssh/sshd_config"]);
    target.service("stop", "sshd");
    target.service("start", "sshd");
    let script = "until exec 3<>/dev/tcp/node2/22 && read -r greeting <&3 && [[ $greeting == SSH-* ]]
        do sleep 0.1; done; echo in; read -r end";
    let mut occupant = cluster.host(1).command("/bin/bash");
    let mut occupant = occupant.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(occupant.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    assert_eq!(greeting, "in\n");
    let mut call = guest.moves(Rgmanager, 1, 2).timeout(60.0).spawn();
    call.says("tried again");
    drop(occupant.stdin.take());
    let answer = call.answer();
    assert_eq!(answer.code, 0, "{answer}");
    println!("MaxStartups: {:.1} s: {}", answer.took.as_secs_f32(), answer.stderr);
    occupant.wait().unwrap();
    guest.runs_only_on(2);
    guest.moved(2, 1, &[]);

    // A signal ends the wait.
    target.service("kill", "sshd");
    let mut call = guest.moves(Human, 1, 2).timeout(60.0).spawn();
    call.says("waiting 2 s");
    let sent = Moment::now();
    call.signal(Signal::INT);
    let answer = call.answer();
    assert!(sent.elapsed() < Duration::from_secs(5), "{answer}");
    assert_eq!(answer.code, 1, "{answer}");
    answer.says(&["not moved, runs on here", "refused", "interrupted by a signal"]);
    guest.runs_only_on(1);
}

/// A firewall that drops what is sent to the port of the memory: TCP would wait for two minutes.
#[test]
fn a_data_port_that_a_firewall_drops_is_named_and_the_next_move_goes_on() {
    let cluster = Cluster::up();
    let (source, target) = (cluster.host(1), cluster.host(2));
    let guest = cluster.travels("a");
    let firewall = |verb: &str| {
        let rule = [verb, "INPUT", "-p", "tcp", "--dport", "49152:49215", "-j", "DROP"];
        target.run("iptables", &rule);
    };
    // libvirt connects; QEMU does; the memory has a network of its own.
    type Params = &'static [(&'static str, &'static str)];
    let ways: [(Dialect, i32, Params); 3] = [
        (Pacemaker, 1, &[]),
        (Rgmanager, 150, &[("migrate_options", "--parallel")]),
        (Human, 1, &[("migration_network_suffix", "-mig"), ("migration_p2p", "yes")]),
    ];
    for (dialect, code, params) in ways {
        firewall("-A");
        let call = params.iter().fold(guest.moves(dialect, 1, 2), |call, (name, value)| call.param(name, *value));
        let answer = call.timeout(120.0).gives(code).within(25.0);
        println!("{dialect:?} {params:?} {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
        answer.says(&["not moved, runs on here", "node2", "open TCP 49152-49215 in the firewall"]);
        guest.runs_only_on(1);
        // libvirt is free again at once.
        assert!(source.run("timeout", &["5", "virsh", "domjobinfo", "a"]).contains("None"));
        firewall("-D");
        guest.moved(1, 2, &[]);
        guest.moved(2, 1, &[]);
    }
}

#[test]
fn a_guest_that_sleeps_is_woken_and_moved() {
    let cluster = Cluster::up();
    let vm = cluster.host(1).guest("s").suspending().written();
    vm.call(Pacemaker, "start").gives(0);
    vm.becomes("pmsuspended");
    let call = |action| vm.call(Pacemaker, action).var("OCF_RESKEY_CRM_meta_migrate_target", "node2");
    let answer = call("migrate_to").gives(0);
    println!("{:.1} s: {}", answer.took.as_secs_f32(), answer.stderr);
    assert!(answer.stderr.contains("'s' is asleep"), "{answer}");
    assert_eq!((vm.state().as_str(), cluster.host(2).state("s").as_str()), ("absent", "running"));
    let there = cluster.host(2).call(Pacemaker, "monitor").named("s").param("path", &vm.folder).recurring();
    there.gives(0);
}

#[test]
fn a_source_whose_libvirtd_is_dead_or_hangs_keeps_the_machine() {
    let cluster = Cluster::up();
    let source = cluster.host(1);
    let guest = cluster.travels("a");
    for (fault, repair) in [("freeze", "thaw"), ("kill", "start")] {
        source.service(fault, "libvirtd");
        for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
            let answer = guest.moves(dialect, 1, 2).timeout(12.0).gives(code).says(&["not moved", "runs here"]);
            println!("{fault} {dialect:?} {code} {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
            guest.never_stopped();
        }
        source.service(repair, "libvirtd");
        guest.runs_only_on(1);
    }
    guest.moved(1, 2, &[]);
}

#[test]
fn what_is_in_the_way_at_the_target_is_named_before_anything_moves() {
    let cluster = Cluster::up();
    let target = cluster.host(2);
    let guest = cluster.travels("a");

    // Another machine of that name, defined and then running.
    let uuid = "11111111-2222-4333-8444-555555555555";
    let other = target.guest("a").option("--uuid", uuid).edit("console-a", "console-other").written();
    target.virsh(&["define", other.file.to_str().unwrap()]);
    is_refused(&guest, 5.0, &["node2", "another 'a'", uuid]);
    target.virsh(&["start", "a"]);
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        guest.moves(dialect, 1, 2).gives(code).within(5.0).says(&["another 'a'", uuid]);
    }
    target.virsh(&["destroy", "a"]);
    target.virsh(&["undefine", "a"]);
    guest.runs_only_on(1);

    // The very same machine, running twice already.
    let twin = target.guest("a").edit("console-a", "console-other").written();
    target.virsh(&["create", twin.file.to_str().unwrap()]);
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        guest.moves(dialect, 1, 2).gives(code).within(5.0).says(&["node2 already has 'a'", "stop one of the two"]);
    }
    guest.moves(Human, 1, 2).arg("--rehearse").gives(1).says(&["already has 'a'"]);
    target.virsh(&["destroy", "a"]);
    guest.runs_only_on(1);

    // Its own definition there is no obstacle.
    target.virsh(&["define", twin.file.to_str().unwrap()]);
    guest.moved(1, 2, &[]);
}

#[test]
fn what_the_target_lacks_is_named_and_the_machine_runs_on() {
    let cluster = Cluster::up();
    let source = cluster.host(1);
    let disk = source.run("sh", &["-c", "truncate -s 1M /var/lib/only-here.img && echo /var/lib/only-here.img"]);
    let guest = cluster
        .departs(source.guest("d").polite().option("--disk", &disk).edit("cache='none'", "cache='none' io='threads'"));
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        let answer = guest.moves(dialect, 1, 2).param("migrate_options", "--unsafe").gives(code).within(15.0);
        let answer = answer.says(&["only-here.img", "on node2"]);
        println!("{dialect:?} {code} {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
        guest.runs_only_on(1);
    }

    source.virsh(&[
        "net-create",
        source
            .file("net.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>")
            .to_str()
            .unwrap(),
    ]);
    source.run("ip", &["link", "add", "br0", "type", "bridge"]);
    let interface = "<interface type='network'><source network='lan'/><model type='virtio'/></interface><panic model";
    let guest = cluster.departs(source.guest("n").polite().edit("<panic model", interface));
    is_refused(&guest, 5.0, &["node2 has no network 'lan'"]);
    guest.moves(Human, 1, 2).arg("--rehearse").gives(1).within(5.0).says(&["node2 has no network 'lan'"]);

    let pool = source.folder("pool");
    std::fs::write(pool.join("volume"), [0; 1 << 20]).unwrap();
    let target = pool.to_str().unwrap();
    for host in [source, cluster.host(2)] {
        host.virsh(&["pool-define-as", "images", "dir", "--target", target]);
    }
    source.virsh(&["pool-start", "images"]);
    let guest =
        source.guest("v").polite().option("--disk", "/volume").edit("type='file' device", "type='volume' device");
    let guest = cluster.departs(guest.edit("file='/volume'", "pool='images' volume='volume'"));
    is_refused(&guest, 5.0, &["the storage pool 'images' is not active on node2"]);
    cluster.host(2).virsh(&["pool-undefine", "images"]);
    is_refused(&guest, 5.0, &["node2 has no storage pool 'images'"]);
    cluster.host(2).virsh(&["pool-create-as", "images", "dir", "--target", target]);
    guest.moved(1, 2, &[]);
}

/// How much it will need there nobody knows: a guest has more than it uses, and a file system's cache counts as used.
#[test]
fn a_machine_that_has_more_memory_than_the_target_has_free_is_moved_with_a_warning() {
    let cluster = Cluster::up();
    let total = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = total.split_whitespace().nth(1).unwrap().parse().unwrap();
    let memory = (total / 1024 - 200).to_string();
    let vm = cluster.host(1).guest("big").option("--mem", &memory).written().created();
    let call = vm.call(Pacemaker, "migrate_to").var("OCF_RESKEY_CRM_meta_migrate_target", "node2");
    let answer = call.timeout(120.0).gives(0);
    println!("{:.1} s: {}", answer.took.as_secs_f32(), answer.stderr);
    assert!(answer.stderr.contains("MiB of memory free, 'big' may come to need"), "{answer}");
    assert_eq!((vm.state().as_str(), cluster.host(2).state("big").as_str()), ("absent", "running"));
}

#[test]
fn the_target_waits_for_a_machine_that_is_arriving_and_starts_no_second_one() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let call = unhurried(guest.moves(Pacemaker, 1, 2)).spawn();
    guest.is_moving();
    // A probe there must not claim it, and one here must.
    guest.call(2, Pacemaker, "monitor").gives(7);
    guest.call(1, Pacemaker, "monitor").gives(0);
    guest.call(1, Rgmanager, "status").gives(0);
    std::thread::scope(|scope| {
        let waits = [guest.arrives(1, 2), guest.call(2, Rgmanager, "start")];
        let waits = waits.map(|call| scope.spawn(move || call.gives(0)));
        let answer = call.answer();
        assert_eq!(answer.code, 0, "{answer}");
        for wait in waits {
            let answer = wait.join().unwrap();
            assert!(answer.took > Duration::from_secs(2), "it was there too soon: {answer}");
        }
    });
    guest.runs_only_on(2);
    guest.call(2, Pacemaker, "monitor").gives(0);
    guest.call(1, Pacemaker, "monitor").gives(7);
}

#[test]
fn a_signal_in_the_middle_aborts_tidily() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let cases =
        [(Rgmanager, 150, Signal::TERM, "no"), (Pacemaker, 1, Signal::TERM, "yes"), (Human, 1, Signal::INT, "no")];
    for (dialect, code, signal, p2p) in cases {
        {
            let call = slow(guest.moves(dialect, 1, 2)).param("migration_p2p", p2p).spawn();
            guest.is_moving();
            let sent = Moment::now();
            call.signal(signal);
            let answer = call.answer();
            let took = sent.elapsed();
            println!("{dialect:?} p2p={p2p} {} {took:?}: {}", answer.code, answer.reason);
            assert_eq!(answer.code, code, "{answer}");
            assert!(took < Duration::from_secs(8), "{took:?} to {answer}");
            answer.says(&["not moved, runs on here", "interrupted by a signal"]);
            guest.runs_only_on(1);
        }
    }
    guest.moved(1, 2, &[]);
}

#[test]
fn a_source_daemon_that_dies_in_the_middle_keeps_the_machine() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        // Time enough for the looks at a target that is busy.
        let call = slow(guest.moves(dialect, 1, 2)).timeout(80.0).spawn();
        guest.is_moving();
        cluster.host(1).service("kill", "libvirtd");
        let answer = call.answer();
        println!("{dialect:?} {} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
        assert_eq!(answer.code, code, "{answer}");
        guest.never_stopped();
        cluster.host(1).service("start", "libvirtd");
        guest.runs_only_on(1);
    }
    guest.moved(1, 2, &[]);
}

#[test]
fn a_target_daemon_that_dies_or_hangs_in_the_middle_leaves_the_machine_here() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for (dialect, code, fault, repair) in [(Rgmanager, 150, "kill", "start"), (Pacemaker, 1, "freeze", "thaw")] {
        let call = slow(guest.moves(dialect, 1, 2)).timeout(40.0).spawn();
        guest.is_moving();
        cluster.host(2).service(fault, "libvirtd");
        let answer = call.answer();
        println!("{fault} {dialect:?} {} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
        assert_eq!(answer.code, code, "{answer}");
        guest.never_stopped();
        cluster.host(2).service(repair, "libvirtd");
        guest.runs_only_on(1);
    }
    guest.moved(1, 2, &[]);
}

#[test]
fn a_network_that_is_cut_in_the_middle_leaves_the_machine_here() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for (dialect, code, p2p) in [(Rgmanager, 150, "no"), (Pacemaker, 1, "yes")] {
        let call = slow(guest.moves(dialect, 1, 2)).param("migration_p2p", p2p).timeout(60.0).spawn();
        guest.is_moving();
        cluster.host(2).lab("partition", &["h2"]);
        let answer = call.answer();
        println!("{dialect:?} p2p={p2p} {} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
        assert_eq!(answer.code, code, "{answer}");
        guest.never_stopped();
        cluster.host(2).lab("heal", &["h2"]);
        // What the target still has of it is in nobody's way.
        guest.moved(1, 2, &[]);
        guest.moved(2, 1, &[]);
    }
}

#[test]
fn a_target_host_that_dies_in_the_middle_leaves_the_machine_here() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        let call = slow(guest.moves(dialect, 1, 2)).timeout(60.0).spawn();
        guest.is_moving();
        cluster.host(2).lab("kill", &["h2"]);
        let answer = call.answer();
        println!("{dialect:?} {} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
        assert_eq!(answer.code, code, "{answer}");
        guest.runs_only_on(1);
        cluster.host(2).lab("boot", &["h2"]);
    }
    guest.moved(1, 2, &[]);
}

/// Somebody's client died when the target was ready and nothing was sent yet, and the target cannot know that: it keeps the
/// shell until it misses that client, half a minute later.
#[test]
fn an_empty_shell_that_was_left_at_the_target_is_removed() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let source = cluster.host(1);
    let mut virsh = source.command("virsh");
    let mut virsh = virsh.args(["migrate", "--live", "a", "qemu+ssh://node2/system"]).spawn().unwrap();
    until(30, "shell at the target", || cluster.host(2).qemu("a"));
    let of = |program: &str| {
        source.processes(|args| args.first().is_some_and(|arg| arg == program.as_bytes())).pop().expect(program)
    };
    let (client, ssh) = (of("virsh"), of("ssh"));
    client.signal(Signal::STOP);
    until(10, "readiness of the shell", || (cluster.host(2).state("a") == "paused").then_some(()));
    ssh.signal(Signal::STOP);
    client.signal(Signal::KILL);
    // Who entered the host stopped with its child.
    Process::hold(i32::try_from(virsh.id()).unwrap()).unwrap().signal(Signal::CONT);
    virsh.wait().unwrap();
    until(10, "end of the job", || source.virsh(&["domjobinfo", "a"]).contains("None").then_some(()));
    assert_eq!(guest.processes(), [1, 2], "there is no shell: this shows nothing");
    // A look alone removes nothing.
    let answer = guest.moves(Human, 1, 2).arg("--rehearse").gives(0);
    assert!(answer.stderr.contains("empty placeholder"), "{answer}");
    assert_eq!(guest.processes(), [1, 2]);
    let answer = guest.moves(Pacemaker, 1, 2).gives(0);
    assert!(answer.stderr.contains("empty placeholder"), "{answer}");
    guest.runs_only_on(2);
}

#[test]
fn hosts_with_the_same_uuid_are_told_apart_from_moving() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let id = cluster.host(1).run("cat", &["/etc/machine-id"]);
    let target = cluster.host(2);
    target.service("stop", "libvirtd");
    target.run("sh", &["-c", "printf '%s\n' \"$1\" >/etc/machine-id", "sh", id.trim()]);
    target.service("start", "libvirtd");
    is_refused(&guest, 5.0, &["node2 has this host's UUID", "host_uuid"]);
    let answer = guest.moves(Pacemaker, 1, 2).param("migration_p2p", "yes").timeout(20.0).gives(1);
    println!("p2p: {}", answer.reason);
    assert!(answer.reason.contains("has this host's UUID"), "{answer}");
    guest.moves(Human, 1, 2).arg("--rehearse").gives(1).within(5.0).says(&["node2 has this host's UUID", "host_uuid"]);
}

/// It falls silent so late that hardly one question to it finds time for an answer.
fn falls_silent(p2p: &str, fault: impl Fn(&Host), repair: impl Fn(&Host)) {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    for (dialect, code) in [(Rgmanager, 150), (Pacemaker, 1)] {
        // Too slow to have sent everything by then. A quarter of the timeout is for its begin, on a busy machine too; what
        // is kept for its end is not more than of a shorter one.
        let call = guest.moves(dialect, 1, 2).param("migration_speed", "1").param("migration_p2p", p2p);
        let call = call.timeout(40.0).spawn();
        guest.is_moving();
        fault(cluster.host(2));
        let answer = call.answer().within(40.0);
        println!("{dialect:?} p2p={p2p} {} {:.1} s: {}", answer.code, answer.took.as_secs_f32(), answer.reason);
        guest.never_stopped();
        assert_eq!(cluster.host(1).state("a"), "running");
        assert_eq!(answer.code, code, "{answer}");
        answer.says(&["runs on here"]);
        repair(cluster.host(2));
        let job = || cluster.host(1).virsh(&["domjobinfo", "a"]);
        until(60, "end of the job that was aborted", || job().contains("None").then_some(()));
        // What the target still has of it is in nobody's way.
        guest.moved(1, 2, &[]);
        guest.moved(2, 1, &[]);
    }
}

#[test]
fn a_target_that_is_cut_off_shortly_before_the_timeout_leaves_the_machine_here() {
    for p2p in ["no", "yes"] {
        falls_silent(p2p, |target| drop(target.lab("partition", &["h2"])), |target| drop(target.lab("heal", &["h2"])));
    }
}

#[test]
fn a_target_that_hangs_shortly_before_the_timeout_leaves_the_machine_here() {
    for p2p in ["no", "yes"] {
        falls_silent(p2p, |target| target.service("freeze", "libvirtd"), |target| target.service("thaw", "libvirtd"));
    }
}

/// libvirt waits two minutes for a connection that a firewall drops, takes note of nothing meanwhile, and calls it running.
#[test]
fn a_stop_in_a_move_to_a_port_that_is_dropped_ends_with_the_process() {
    let cluster = Cluster::up();
    let target = cluster.host(2);
    target.run("iptables", &["-A", "INPUT", "-p", "tcp", "--dport", "49152:49215", "-j", "DROP"]);
    for (dialect, force) in [(Pacemaker, "yes"), (Rgmanager, "no")] {
        let mut guest = cluster.travels("a");
        let call = guest.moves(dialect, 1, 2).timeout(120.0).spawn();
        until(30, "incoming QEMU", || (guest.processes() == [1, 2]).then_some(()));
        let connects = || cluster.host(1).run("ss", &["-Htn", "state", "syn-sent", "dst", "10.77.0.2"]);
        until(30, "a connection for the memory", || (!connects().is_empty()).then_some(()));
        call.kill_group();
        let stop = guest.call(1, dialect, "stop").param("force_stop", force).timeout(60.0).gives(0);
        println!("{dialect:?} {:.1} s: {}", stop.took.as_secs_f32(), stop.stderr.trim());
        assert!(cluster.host(1).qemu("a").is_none());
        guest.ticks_no_more();
        // TCP would give up after two minutes, and libvirt with it: this spares the wait.
        cluster.host(1).run("ss", &["-K", "state", "syn-sent", "dst", "10.77.0.2"]);
        until(180, "end of the move in libvirt", || (cluster.host(1).state("a") == "absent").then_some(()));
        until(60, "end of the shell", || guest.processes().is_empty().then_some(()));
        guest.boot.clear();
    }
}
