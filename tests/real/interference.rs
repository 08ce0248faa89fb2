// SPDX-License-Identifier: GPL-2.0-or-later
//! Who gets in the way of whom: two agents at one virtual machine, signals, a person and the cluster.

use crate::common::*;
use rustix::process::Signal;
use std::path::PathBuf;

/// The agent's process on the host, which a call that is under way has started.
fn agent(host: &Host, action: &str) -> Process {
    until(10, "the agent's process", || {
        let is_agent = |args: &[Vec<u8>]| {
            args.first().is_some_and(|program| program.ends_with(b"/vm") || program.ends_with(b"/vm.sh"))
                && args.get(1).is_some_and(|word| word == action.as_bytes())
        };
        host.processes(is_agent).into_iter().next()
    })
}

/// Waits until an agent that is at this action holds the lock of the machine "a".
fn holds_lock(host: &Host, action: &str) {
    let holder = || host.run("sh", &["-c", "cat /run/vm-agent/a.lock 2>/dev/null || true"]);
    until(10, "the lock", || holder().starts_with(action).then_some(()));
}

#[test]
fn a_signal_ends_a_stop_tidily_with_a_reason_and_the_machine_runs_on() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    for (dialect, signal) in [(Dialect::Pacemaker, Signal::TERM), (Dialect::Rgmanager, Signal::INT)] {
        let presses = || host.console("a").matches("button ").count();
        let before = presses();
        let stop = vm.call(dialect, "stop").timeout(60.0).spawn();
        until(20, "a request to shut down", || (presses() > before).then_some(()));
        agent(&host, "stop").signal(signal);
        let answer = stop.answer().says(&["interrupted", "running"]).within(15.0);
        assert_eq!(answer.code, 1, "{answer}");
        assert!(vm.lives());
    }
    assert!(host.processes(|args| args.iter().any(|arg| arg == b"__child")).is_empty(), "a launcher is left");
}

#[test]
fn of_two_starts_at_once_one_starts_and_both_answer_0() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let calls: Vec<Running<'_>> = [Dialect::Pacemaker, Dialect::Rgmanager, Dialect::Pacemaker]
        .into_iter()
        .map(|dialect| vm.call(dialect, "start").spawn())
        .collect();
    for call in calls {
        let answer = call.answer();
        assert_eq!(answer.code, 0, "{answer}");
    }
    let emulators = host.processes(|args| args.iter().any(|arg| arg.starts_with(b"guest=a,")));
    assert_eq!(emulators.len(), 1);
}

#[test]
fn a_start_waits_for_a_stop_that_is_under_way_and_a_stop_for_a_start() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    let stop = vm.call(Dialect::Pacemaker, "stop").timeout(8.0).spawn();
    holds_lock(&host, "stop");
    let start = vm.call(Dialect::Rgmanager, "start").timeout(30.0).spawn();
    assert_eq!(stop.answer().code, 0);
    assert_eq!(start.answer().code, 0);
    assert_eq!(vm.state(), "running");
}

#[test]
fn a_stop_goes_on_without_its_turn_when_another_agent_hangs() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    let hanging = vm.call(Dialect::Rgmanager, "stop").param("no_kill", "yes").timeout(60.0).spawn();
    holds_lock(&host, "stop");
    let process = agent(&host, "stop");
    process.signal(Signal::STOP);
    vm.call(Dialect::Pacemaker, "stop").timeout(10.0).gives(0).within(10.0);
    assert_eq!(vm.state(), "absent");
    // Whoever runs a program in the host stops with it, so the answer itself cannot be waited for.
    process.signal(Signal::CONT);
    assert!(process.ended_within(std::time::Duration::from_secs(20)), "it did not see that the machine is gone");
    hanging.kill();
}

#[test]
fn what_a_stop_has_called_stopped_is_not_brought_up_by_a_start_that_was_waiting_for_libvirt() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in [Dialect::Pacemaker, Dialect::Rgmanager] {
        host.service("freeze", "libvirtd");
        let start = vm.call(Dialect::Human, "start").timeout(60.0).spawn();
        holds_lock(&host, "start");
        let stop = vm.call(dialect, "stop").timeout(20.0).run();
        println!("{dialect:?} {} {:.1} s: {}", stop.code, stop.took.as_secs_f32(), stop.reason);
        host.service("thaw", "libvirtd");
        until(90, "end of the start", || {
            assert!(stop.code != 0 || !vm.lives(), "it came up after {stop}");
            (!start.runs()).then_some(())
        });
        assert!(stop.code != 0 || !vm.lives(), "it came up after {stop}");
        start.kill();
        // Now nothing is in the way of a stop, whatever the first one said.
        vm.call(dialect, "stop").timeout(4.0).gives(0);
        assert_eq!(vm.state(), "absent");
    }
}

/// libvirt goes on with a start that it was asked for, whatever becomes of who asked.
#[test]
fn a_stop_waits_for_a_start_that_libvirt_is_at_and_ends_what_came_up() {
    let host = Host::up();
    let vm = host.guest("a").written();
    // libvirt looks for its hooks when it starts.
    host.run("mkdir", &["-p", "/etc/libvirt/hooks"]);
    let hook = "printf '#!/bin/sh\\n[ \"$2\" != prepare ] || { touch /run/preparing; sleep 8; }\\n' >$0; chmod 755 $0";
    host.run("sh", &["-c", hook, "/etc/libvirt/hooks/qemu"]);
    host.service("stop", "libvirtd");
    host.service("start", "libvirtd");
    for dialect in [Dialect::Pacemaker, Dialect::Rgmanager] {
        let start = vm.call(Dialect::Human, "start").timeout(60.0).spawn();
        until(10, "libvirt's start", || {
            host.run("sh", &["-c", "ls /run/preparing 2>&1 || true"]).starts_with("/run").then_some(())
        });
        let stop = vm.call(dialect, "stop").timeout(30.0).gives(0).within(30.0);
        println!("{dialect:?} {:.1} s: {}", stop.took.as_secs_f32(), stop.reason);
        assert!(!start.runs(), "the start goes on after {stop}");
        // It ran when the start ended, and the stop has ended it since.
        start.answer();
        assert_eq!((vm.state().as_str(), vm.lives()), ("absent", false));
        host.run("rm", &["/run/preparing"]);
    }
}

#[test]
fn a_copy_of_its_definition_under_another_name_is_another_machine() {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call(Dialect::Rgmanager, "start").gives(0);
    let (uuid, copy) = (host.virsh(&["domuuid", "a"]), vm.live_xml());
    assert!(copy.contains("instance=") && copy.contains("vm:a"), "it bears no mark: {copy}");
    vm.call(Dialect::Rgmanager, "kill").gives(0);
    let copy = copy.replace("<name>a</name>", "<name>b</name>").replace(&uuid, "11111111-2222-4333-8444-555555555555");
    let copy = host.file("copy.xml", &copy.replace("console-a.log", "console-b.log"));
    host.virsh(&["create", copy.to_str().unwrap()]);
    vm.call(Dialect::Rgmanager, "stop").gives(0);
    vm.call(Dialect::Rgmanager, "status").gives(7);
    assert_eq!(host.state("b"), "running");
    vm.call(Dialect::Rgmanager, "start").gives(0);
    assert_eq!((host.state("a").as_str(), host.state("b").as_str()), ("running", "running"));
}

/// Two hosts with a Pacemaker, in which the resource `web` is the guest `foo`; it runs on the first.
struct Managed {
    hosts: Vec<Host>,
    definition: PathBuf,
}

impl Managed {
    fn up() -> Self {
        // Prepares what all hosts need.
        drop(Host::up());
        let hosts = Host::several(2, "ssh,libvirt,cluster");
        for host in &hosts {
            host.has_agent();
        }
        let definition = hosts[0].guest("foo").written().file;
        let config = format!("config={}", definition.display());
        let this = Self { hosts, definition };
        this.pcs("resource create web ocf:vm-agent:vm name=foo");
        this.must(&["pcs", "resource", "update", "web", &config]);
        this.pcs("constraint location web prefers node1");
        this.hosts[0].run("crm_resource", &["--wait"]);
        this.comes_up();
        this
    }

    /// Runs a program on the first host: its exit code, and all that it printed.
    fn run(&self, words: &[&str]) -> (i32, String) {
        let mut command = self.hosts[0].command(words[0]);
        let output = command.args(&words[1..]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    fn must(&self, words: &[&str]) -> String {
        let (code, text) = self.run(words);
        assert_eq!(code, 0, "{words:?}: {text}");
        text
    }

    fn pcs(&self, words: &str) {
        self.must(&["pcs"].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    }

    /// Waits until it runs on the first host.
    fn comes_up(&self) {
        until(60, "the machine on node1", || (self.hosts[0].state("foo") == "running").then_some(()));
    }

    /// What a person's agent on a host answers about `foo`.
    fn person(&self, host: usize, action: &str) -> Call<'_> {
        self.hosts[host - 1].call(Human, action).named("foo")
    }

    /// The hosts that have a QEMU for it.
    fn runs_on(&self) -> Vec<usize> {
        (1..=2).filter(|number| self.hosts[number - 1].qemu("foo").is_some()).collect()
    }
}

#[test]
fn a_person_is_sent_to_the_cluster_that_manages_the_machine() {
    let cluster = Managed::up();
    let copy = cluster.definition.with_file_name("copy.xml");
    std::fs::copy(&cluster.definition, &copy).unwrap();
    for (words, instead) in [
        (vec!["stop", "foo"], "pcs resource disable web"),
        (vec!["stop", "--xmlfile", copy.to_str().unwrap()], "pcs resource disable web"),
        (vec!["kill", "foo"], "pcs resource disable web"),
        (vec!["restart", "foo"], "pcs resource restart web"),
        (vec!["migrate", "foo", "node2"], "pcs resource move web node2"),
    ] {
        let (code, text) = cluster.run(&[&[AGENT][..], &words].concat());
        assert_eq!(code, 4, "{words:?}: {text}");
        assert!(text.contains("nothing was done") && text.contains(instead), "{words:?}: {text}");
    }
    for (host, action) in [(1, "explain stop"), (2, "explain start")] {
        let told = cluster.person(host, action).gives(4).stdout;
        assert!(told.contains("by hand it would be refused (4): nothing was done: Pacemaker manages"), "{told}");
    }
    assert_eq!(cluster.hosts[0].state("foo"), "running");
    // What only looks is never refused, and an unmanaged resource is left to people.
    cluster.must(&[AGENT, "status", "foo"]);
    cluster.pcs("resource unmanage web");
    cluster.must(&[AGENT, "stop", "foo", "-o", "force_stop=yes"]);
    cluster.pcs("resource manage web");
    cluster.comes_up();
    cluster.must(&[AGENT, "stop", "foo", "--force", "-o", "force_stop=yes"]);
    cluster.comes_up();
    what_a_person_may_start_in_maintenance(&cluster);
    a_cluster_that_does_not_answer_stops_a_person(&cluster);
    what_a_person_may_start_beside_rgmanager(&cluster);
}

/// It runs on node1, and people may act.
fn what_a_person_may_start_in_maintenance(cluster: &Managed) {
    cluster.pcs("property set maintenance-mode=true");
    let config = cluster.definition.to_str().unwrap().to_owned();
    let start = |action| cluster.person(2, action).param("xmlfile", &config);
    for action in ["start", "restart", "recover"] {
        let answer = start(action).gives(4).says(&["'foo' runs on node1 (running)", "nothing was done", "--force"]);
        println!("{action} {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
    }
    let told = start("explain start").gives(4).stdout;
    assert!(told.contains("by hand it would be refused (4): 'foo' runs on node1 (running)"), "{told}");
    let status = start("status").gives(7);
    println!("{:.1} s: {}", status.took.as_secs_f32(), status.stdout);
    assert!(status.stdout.contains("on node1    it RUNS there (running)"), "{status}");
    assert!(status.stdout.contains("'web' of Pacemaker, which leaves it alone"), "{status}");
    let json = start("status").arg("--json").gives(7).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["members"][0]["node"], "node1", "{json}");
    assert_eq!((&json["members"][0]["runs"], &json["managed_by"]["managed"]), (&true.into(), &false.into()), "{json}");
    let whereis = cluster.person(2, "whereis").gives(0).stdout;
    assert!(whereis.starts_with("foo: runs on node1\n") && !whereis.contains("this host alone"), "{whereis}");
    // Where it runs it may be restarted, and one that runs is no hindrance to itself.
    cluster.person(1, "start").gives(0);
    cluster.person(1, "restart").param("force_stop", "yes").param("xmlfile", &config).gives(0);
    assert_eq!(cluster.runs_on(), [1]);
    // A member that is online and does not answer.
    cluster.hosts[0].service("freeze", "libvirtd");
    let answer = start("start").timeout(8.0).gives(4).says(&["cannot tell whether 'foo' runs on node1", "--force"]);
    println!("frozen {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
    assert_eq!(cluster.runs_on(), [1]);
    cluster.hosts[0].service("thaw", "libvirtd");
    // It runs nowhere: now it may be started anywhere.
    cluster.person(1, "stop").param("force_stop", "yes").gives(0);
    start("start").gives(0);
    assert_eq!(cluster.runs_on(), [2]);
    let status = cluster.person(1, "status").gives(7).stdout;
    assert!(status.contains("on node2    it RUNS there (running)"), "{status}");
    // A member that the cluster calls offline is passed by.
    start("stop").param("force_stop", "yes").gives(0);
    cluster.hosts[0].lab("kill", &["h1"]);
    until(60, "node1 offline", || {
        let status = cluster.hosts[1].run("crm_mon", &["-1", "--output-as=xml"]);
        status.lines().any(|line| line.contains("name=\"node1\"") && line.contains("online=\"false\"")).then_some(())
    });
    // Nobody has fenced it, so that it may run there still.
    let whereis = cluster.person(2, "whereis").gives(1).stdout;
    assert!(whereis.contains("where it runs is not known"), "{whereis}");
    start("start").gives(0);
    start("stop").param("force_stop", "yes").gives(0);
    cluster.hosts[0].lab("boot", &["h1"]);
}

/// Maintenance has not ended.
fn a_cluster_that_does_not_answer_stops_a_person(cluster: &Managed) {
    let config = cluster.definition.to_str().unwrap().to_owned();
    let call = |action| cluster.person(2, action).param("xmlfile", &config);
    let daemons = cluster.hosts[1].processes(|args| {
        args.first().is_some_and(|name| name.ends_with(b"/pacemaker-based") || name.ends_with(b"/pacemakerd"))
    });
    assert_eq!(daemons.len(), 2);
    call("start").param("force_stop", "yes").arg("--force").gives(0);
    for daemon in &daemons {
        daemon.signal(Signal::STOP);
    }
    for action in ["stop", "restart", "start", "migrate"] {
        let call = if action == "migrate" { call(action).arg("node1") } else { call(action) }.timeout(6.0);
        let answer = call.gives(4).says(&["cannot tell whether a cluster manages", "nothing was done", "--force"]);
        println!("{action} {:.1} s: {}", answer.took.as_secs_f32(), answer.reason);
    }
    call("status").gives(0);
    assert_eq!(cluster.runs_on(), [2]);
    for daemon in &daemons {
        daemon.signal(Signal::CONT);
    }
    // Pacemaker was stopped here, and the rest of the cluster goes on; then there is nobody to ask.
    cluster.hosts[1].service("stop", "pacemakerd");
    call("stop").gives(4).says(&["corosync runs here, but Pacemaker does not"]);
    cluster.hosts[1].service("kill", "corosync");
    // A process that was killed is there for a moment, and counts as long.
    until(10, "stop without a cluster", || (call("stop").param("force_stop", "yes").run().code == 0).then_some(()));
    assert_eq!(cluster.runs_on(), [0; 0]);
}

/// Nothing of Pacemaker runs on node2 any more, and `foo` runs nowhere.
fn what_a_person_may_start_beside_rgmanager(cluster: &Managed) {
    let config = cluster.definition.to_str().unwrap().to_owned();
    let call = |host, action| cluster.person(host, action).param("xmlfile", &config);
    let configured = |rm: &str| {
        let conf =
            format!("<cluster><clusternodes><clusternode name='node1'/><clusternode name='node2'/></clusternodes>{rm}");
        let conf = cluster.hosts[1].file("cluster.conf", &conf);
        cluster.hosts[1].run("cp", &[conf.to_str().unwrap(), "/etc/cluster/cluster.conf"]);
    };
    // A program of that name.
    let daemon = "mkdir -p /etc/cluster && cp /bin/sleep /run/rgmanager && cd / && \
                  { setsid /run/rgmanager 1000 </dev/null >/dev/null 2>&1 & }";
    cluster.hosts[1].run("sh", &["-c", daemon]);
    call(1, "start").arg("--force").gives(0);
    configured("<rm/></cluster>");
    call(2, "start").gives(4).says(&["'foo' runs on node1 (running)"]);
    let status = call(2, "status").gives(7).stdout;
    assert!(status.contains("on node1    it RUNS there (running)"), "{status}");
    configured("<rm><vm name='foo'/></rm></cluster>");
    call(2, "start").gives(4).says(&["rgmanager manages", "clusvcadm -e vm:foo"]);
    configured("<rm>");
    call(2, "stop").gives(4).says(&["cannot tell whether a cluster manages", "cluster.conf cannot be read"]);
    call(1, "stop").param("force_stop", "yes").arg("--force").gives(0);
    configured("<rm/></cluster>");
    call(2, "start").gives(0);
    assert_eq!(cluster.runs_on(), [2]);
}
