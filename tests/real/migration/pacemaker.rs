// SPDX-License-Identifier: GPL-2.0-or-later
//! A real Pacemaker with fencing drives the agent.

use crate::common::*;
use std::time::Duration;

/// Two hosts with a cluster, in which the guest `a` is a resource that may migrate.
fn cluster_with_a() -> (Cluster, std::path::PathBuf) {
    cluster_with_a_as("vm")
}

/// The same, where the agent has this name.
fn cluster_with_a_as(agent: &str) -> (Cluster, std::path::PathBuf) {
    let cluster = Cluster::with("migration,fencing");
    for host in [1, 2] {
        cluster.host(host).has_agent_as(agent);
    }
    let folder = cluster.host(1).guest("a").polite().written().folder;
    let pairs = |id: &str, pairs: &[(&str, &str)]| -> String {
        pairs.iter().map(|(name, value)| format!("<nvpair id='{id}-{name}' name='{name}' value='{value}'/>")).collect()
    };
    let op = |name: &str, interval: &str, timeout: &str| {
        format!("<op id='a-{name}' name='{name}' interval='{interval}' timeout='{timeout}'/>")
    };
    let resource = format!(
        "<primitive id='a' class='ocf' provider='vm-agent' type='{agent}'>\
         <instance_attributes id='a-i'>{}</instance_attributes><meta_attributes id='a-m'>{}</meta_attributes>\
         <operations>{}{}{}{}{}</operations></primitive>",
        pairs("a-i", &[("name", "a"), ("path", folder.to_str().unwrap())]),
        pairs("a-m", &[("allow-migrate", "true"), ("resource-stickiness", "100")]),
        op("monitor", "2s", "10s"),
        op("start", "0", "15s"),
        op("stop", "0", "40s"),
        op("migrate_to", "0", "40s"),
        op("migrate_from", "0", "20s"),
    );
    let file = cluster.host(1).file("a.cib", &resource);
    cluster.host(1).run("cibadmin", &["-C", "-o", "resources", "--xml-file", file.to_str().unwrap()]);
    (cluster, folder)
}

/// The guest, once Pacemaker has started it, and the host where it did.
fn started(cluster: &Cluster, folder: std::path::PathBuf) -> (Traveller<'_>, usize) {
    let mut guest = Traveller { cluster, name: "a".into(), folder, boot: String::new() };
    guest.boot = guest.new_boot();
    settled(cluster);
    let at = guest.processes()[0];
    guest.runs_only_on(at);
    (guest, at)
}

/// Waits until the cluster has nothing left to do.
fn settled(cluster: &Cluster) {
    cluster.host(1).run("crm_resource", &["--wait", "--timeout=100s"]);
}

/// Whether the cluster leaves its resources alone, in the words of Pacemaker 2.1 or 3.
fn is_in_maintenance(host: &Host) -> Option<()> {
    let status = host.run("crm_mon", &["-1"]);
    (status.contains("unmanaged") || status.contains("(maintenance")).then_some(())
}

/// Nothing has failed, and nobody was fenced.
fn all_is_well(cluster: &Cluster) {
    let status = cluster.host(1).run("crm_mon", &["-1"]);
    assert!(!status.contains("Failed"), "{status}");
    assert!(fencings(cluster).is_empty(), "fenced: {}", fencings(cluster));
}

fn fencings(cluster: &Cluster) -> String {
    let log = cluster.host(1).shared().parent().unwrap().join(".lab/fence.log");
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.contains("off") || line.contains("reboot")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pacemaker_moves_it_live_when_asked_and_when_a_node_goes_standby() {
    let (cluster, folder) = cluster_with_a();
    let (guest, at) = started(&cluster, folder);
    let other = 3 - at;
    let node = |number: usize| cluster.host(number).node();
    cluster.host(1).run("crm_resource", &["-r", "a", "--move", "-N", &node(other)]);
    settled(&cluster);
    guest.runs_only_on(other);
    for (number, direction) in [(at, "out"), (other, "in")] {
        let metrics = cluster.host(number).call(Human, "metrics").gives(0);
        let moved = format!("vm_agent_moves_total{{machine=\"a\",direction=\"{direction}\",result=\"ok\"}} 1");
        assert!(metrics.stdout.lines().any(|line| line == moved), "no {moved} in {metrics}");
    }
    cluster.host(1).run("crm_resource", &["-r", "a", "--clear"]);

    // A target whose libvirtd is being restarted is waited for: no stop, and no start that waits in vain.
    cluster.host(at).service("kill", "libvirtd");
    cluster.host(1).run("crm_resource", &["-r", "a", "--move", "-N", &node(at)]);
    std::thread::sleep(Duration::from_secs(8));
    guest.runs_only_on(other);
    cluster.host(at).service("start", "libvirtd");
    settled(&cluster);
    guest.runs_only_on(at);
    all_is_well(&cluster);
    cluster.host(1).run("crm_resource", &["-r", "a", "--clear"]);
    cluster.host(1).run("crm_resource", &["-r", "a", "--move", "-N", &node(other)]);
    settled(&cluster);
    cluster.host(1).run("crm_resource", &["-r", "a", "--clear"]);

    cluster.host(1).run("crm_attribute", &["-N", &node(other), "-n", "standby", "-v", "on", "-l", "forever"]);
    settled(&cluster);
    guest.runs_only_on(at);
    // Its recurring monitor goes on there.
    std::thread::sleep(Duration::from_secs(5));
    all_is_well(&cluster);
    guest.runs_only_on(at);
}

#[test]
fn a_libvirtd_that_hangs_under_a_healthy_machine_costs_neither_the_machine_nor_a_node() {
    let (cluster, folder) = cluster_with_a();
    let (guest, at) = started(&cluster, folder);
    cluster.host(at).service("freeze", "libvirtd");
    // Several monitors with a timeout of 10 s.
    std::thread::sleep(Duration::from_secs(12));
    all_is_well(&cluster);
    guest.never_stopped();
    cluster.host(at).service("kill", "libvirtd");
    std::thread::sleep(Duration::from_secs(5));
    all_is_well(&cluster);
    cluster.host(at).service("start", "libvirtd");
    settled(&cluster);
    all_is_well(&cluster);
    guest.runs_only_on(at);
}

#[test]
fn a_move_to_a_node_whose_libvirtd_is_dead_ends_with_one_copy_and_nobody_fenced() {
    let (cluster, folder) = cluster_with_a();
    let (mut guest, at) = started(&cluster, folder);
    let other = 3 - at;
    cluster.host(other).service("kill", "libvirtd");
    cluster.host(1).run("crm_resource", &["-r", "a", "--move", "-N", &cluster.host(other).node()]);
    // Pacemaker answers a failed move with a stop on both and a start: on the target, where that fails, then here.
    guest.boot = guest.new_boot();
    settled(&cluster);
    let status = cluster.host(1).run("crm_mon", &["-1"]);
    println!("{status}\n{}", fencings(&cluster));
    assert!(status.contains("a_migrate_to_0") || status.contains("a migrate_to"), "it did not fail as meant: {status}");
    assert!(fencings(&cluster).is_empty(), "fenced: {}", fencings(&cluster));
    assert_eq!(guest.processes(), [at], "{status}");
    guest.keeps_ticking();
}

/// The host that the machine last migrated to is asked before a start; but not one of which the cluster knows that it is
/// off.
#[test]
fn a_start_asks_where_it_went_last_unless_the_cluster_has_fenced_that_node() {
    let (cluster, folder) = cluster_with_a();
    let (mut guest, at) = started(&cluster, folder);
    let (other, here) = (3 - at, cluster.host(at));
    let gone = cluster.host(other);
    let set = |name: &str, value: &str| drop(here.run("crm_attribute", &["-n", name, "-v", value]));
    let wait = || drop(here.run("crm_resource", &["--wait", "--timeout=100s"]));
    here.run("crm_resource", &["-r", "a", "--move", "-N", &gone.node()]);
    wait();
    guest.runs_only_on(other);

    // The node dies, and stays off.
    set("stonith-action", "off");
    gone.lab("kill", &[&gone.name()]);
    guest.boot = guest.new_boot();
    wait();
    assert_eq!(guest.processes(), [at]);
    let log = here.run("sh", &["-c", "cat /run/lab/log/pacemaker.log"]);
    let not_asked = format!("it last migrated to {}, which is offline by the cluster's word", gone.node());
    assert!(log.contains(&not_asked), "{log}");

    // It comes back, gets the machine, and leaves without it.
    gone.lab("boot", &[&gone.name()]);
    let only_there = || (guest.processes() == [other]).then_some(());
    until(60, "the move back", only_there);
    wait();
    guest.runs_only_on(other);
    set("maintenance-mode", "true");
    until(20, "maintenance", || is_in_maintenance(here));
    for service in ["pacemakerd", "corosync"] {
        gone.service("stop", service);
    }
    let offline = format!("OFFLINE: [ {} ]", gone.node());
    until(30, "its leave", || here.run("crm_mon", &["-1"]).contains(&offline).then_some(()));
    guest.call(at, Pacemaker, "start").gives(1).says(&["runs", &gone.node()]);
    guest.runs_only_on(other);
}

/// Pacemaker does not see it, and asks for a start where the machine was. The guest has no disk that could hinder that.
#[test]
fn a_machine_that_an_administrator_moved_by_virsh_is_taken_over_where_it_is_and_never_runs_twice() {
    let (cluster, folder) = cluster_with_a();
    let (guest, at) = started(&cluster, folder);
    let (other, here) = (3 - at, cluster.host(at));
    let uri = format!("qemu+ssh://{}/system", cluster.host(other).node());
    here.virsh(&["migrate", "--live", "a", &uri]);
    // A monitor says that it is gone, the start here is refused, and the one there finds it.
    let located = || here.run("crm_resource", &["-r", "a", "--locate"]).contains(&cluster.host(other).node());
    until(60, "a resource at its machine", || located().then_some(()));
    settled(&cluster);
    guest.runs_only_on(other);
    let refused = format!("'a' was not started: it is running on {}", cluster.host(other).node());
    let log = here.run("sh", &["-c", "cat /run/lab/log/pacemaker.log"]);
    assert!(log.contains(&refused), "{log}");
    assert!(fencings(&cluster).is_empty(), "fenced: {}", fencings(&cluster));
    // In maintenance nobody looks, and the two views are not one any more.
    let list = || -> serde_json::Value {
        serde_json::from_str(&here.call(Human, "list").arg("--cluster").arg("--json").gives(0).stdout).unwrap()
    };
    let [from, to] = [other, at].map(|number| cluster.host(number).node());
    let agreed = list();
    assert_eq!(agreed["cluster"], "Pacemaker");
    let a = &agreed["resources"][0];
    assert_eq!((&a["resource"], &a["state"], &a["nodes"][0]), (&"a".into(), &"started".into(), &from.as_str().into()));
    assert!(a["managed"] == true && a["drift"].is_null(), "{agreed}");
    // What would happen is asked of the CIB that is live, and changes nothing of it. The start that was refused counts as
    // a failure until somebody cleans that up.
    let epoch = utilization(&cluster).1;
    let plan = here.call(Human, "plan").arg("--node-lost").arg(&from).gives(0);
    for sentence in [&format!("{from} is fenced ("), &format!("a ends with {from}"), "a does NOT run at the end"] {
        assert!(plan.stdout.contains(sentence), "{plan}");
    }
    assert_eq!(utilization(&cluster).1, epoch);
    here.run("crm_attribute", &["-n", "maintenance-mode", "-v", "true"]);
    until(20, "maintenance", || is_in_maintenance(here));
    cluster.host(other).virsh(&["migrate", "--live", "a", &format!("qemu+ssh://{to}/system")]);
    let drifted = list();
    let a = &drifted["resources"][0];
    let expected =
        format!("'a' runs on {to}, and Pacemaker has it on {from}; Pacemaker has 'a' on {from}, where it does not run");
    assert!(a["managed"] == false && a["drift"] == expected.as_str(), "{drifted}");
}

/// What the cluster's configuration has of the resource's utilization, and how often the configuration was changed.
fn utilization(cluster: &Cluster) -> (Vec<(String, String)>, String) {
    let cib = cluster.host(1).run("cibadmin", &["--query"]);
    let cib = vm_agent::model::definition::read(&cib).unwrap();
    let configuration = cib.first("configuration").unwrap();
    let mut primitives = configuration.first("resources").unwrap().all("primitive");
    let a = primitives.find(|primitive| primitive.attribute("id") == Some("a")).unwrap();
    let pairs = a.all("utilization").flat_map(|set| set.all("nvpair"));
    let pair = |name: &str, pair: &vm_agent::model::definition::Element<'_>| pair.attribute(name).unwrap().to_owned();
    let mut found: Vec<_> = pairs.map(|it| (pair("name", it), pair("value", it))).collect();
    found.sort();
    (found, cib.attribute("epoch").unwrap().to_owned())
}

#[test]
fn the_resources_utilization_is_what_the_machine_has_and_is_written_when_that_changes() {
    for (agent, kept) in [("vm", &["cpu", "host_memory"][..]), ("VirtualDomain", &["cpu", "host_memory", "hv_memory"])]
    {
        let (cluster, folder) = cluster_with_a_as(agent);
        let (guest, at) = started(&cluster, folder);
        let here = cluster.host(at);
        let info = here.virsh(&["dominfo", "a"]);
        let of = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
        let mib = of("Max memory:").split(' ').next().unwrap().parse::<u64>().unwrap() / 1024;
        let value = |name: &&str| if *name == "cpu" { of("CPU(s):") } else { mib.to_string() };
        let expected: Vec<_> = kept.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        until(60, "utilization", || (utilization(&cluster).0 == expected).then_some(()));
        settled(&cluster);
        // Many monitors, one of another caller's that runs elsewhere, and a probe change nothing.
        let (_, epoch) = utilization(&cluster);
        guest.call(at, Pacemaker, "monitor").gives(0);
        std::thread::sleep(Duration::from_secs(10));
        assert_eq!(utilization(&cluster), (expected.clone(), epoch));
        // A parameter takes one away, the machine runs on; and what a person added stays.
        let set = |name: &str, value: &str| {
            here.run("crm_resource", &["-r", "a", "--set-parameter", name, "--parameter-value", value]);
        };
        here.run("crm_resource", &["-r", "a", "-z", "--set-parameter", "gpu", "--parameter-value", "1"]);
        set("autoset_utilization_cpu", "no");
        set("unset_utilization_cpu", "yes");
        let mut without: Vec<_> = expected.into_iter().filter(|(name, _)| name != "cpu").collect();
        without.push(("gpu".into(), "1".into()));
        without.sort();
        until(60, "an attribute's end", || (utilization(&cluster).0 == without).then_some(()));
        settled(&cluster);
        guest.runs_only_on(at);
        all_is_well(&cluster);
    }
}
