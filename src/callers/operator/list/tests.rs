// SPDX-License-Identifier: GPL-2.0-or-later
//! The fields of list as JSON, held against docs/JSON.md.

use super::view::ResourceListed;
use super::*;

/// A host's machine: its name, whether it runs, and for which resource it was started.
fn machine(name: &str, active: bool, resource: Option<&str>) -> MachineListed {
    MachineListed {
        name: name.into(),
        uuid: String::new(),
        active,
        state: if active { "running" } else { "shut off" }.into(),
        persistent: Some(true),
        autostart: Some(true),
        resource: resource.map(str::to_owned),
        created_from: Some(String::new()),
        unchanged: Some(true),
        managed_by: Some(String::new()),
        between: false,
    }
}

fn host(node: &str, here: bool, machines: Vec<MachineListed>) -> HostListed {
    HostListed { node: node.into(), here, silent: None, machines }
}

fn resource(name: &str, state: &str, nodes: &[&str]) -> ResourceListed {
    ResourceListed {
        resource: name.into(),
        machine: Some(name.into()),
        state: state.into(),
        changing: false,
        nodes: nodes.iter().map(ToString::to_string).collect(),
        managed: true,
        failed: false,
        blocked: false,
        drift: Some(String::new()),
    }
}

/// How a resource's machine is told beside the cluster's word, on this host (`n1` to the cluster) and `n2`.
fn drift(resource: ResourceListed, mut hosts: Vec<HostListed>) -> Option<String> {
    let mut view = View { cluster: Some("Pacemaker"), resources: vec![resource] };
    view.meet("n1", &mut hosts);
    view.resources.remove(0).drift
}

#[test]
fn the_page_on_json_has_every_field_of_list() {
    let here = host("", true, vec![machine("", true, Some(""))]);
    let hosts = vec![HostListed { silent: Some(String::new()), ..here }];
    let view = View { cluster: Some(""), resources: vec![resource("", "", &[""])] };
    let list = List { version: VERSION, hosts, view, warnings: vec![String::new()] };
    crate::callers::operator::json::documented("list", VERSION, &list.json());
}

#[test]
fn the_clusters_view_and_libvirts_agree_or_their_drift_is_told_in_a_sentence() {
    let on = |first: bool, second: bool| {
        let of = |node, here, runs| host(node, here, vec![machine("web", runs, None)]);
        vec![of("n1.example", true, first), of("n2", false, second)]
    };
    let started = |nodes: &[&str]| resource("web", "started", nodes);
    assert_eq!(drift(started(&["N1"]), on(true, false)), None);
    assert_eq!(drift(resource("web", "stopped", &[]), on(false, false)), None);
    // Of a host that was not asked, or does not tell, nothing is said.
    assert_eq!(drift(started(&["n3"]), on(false, false)), None);
    let silent = HostListed { silent: Some("dead".into()), ..host("n1.example", true, Vec::new()) };
    assert_eq!(drift(started(&["n1"]), vec![silent]), None);
    for (resource, hosts, expected) in [
        (started(&["n2"]), on(true, true), "'web' runs on n1, and Pacemaker has it on n2"),
        (resource("web", "stopped", &[]), on(true, false), "'web' runs on n1, and Pacemaker has it stopped"),
        (started(&["n2"]), on(false, false), "Pacemaker has 'web' on n2, where it does not run"),
        (started(&["n1"]), vec![host("n1", true, Vec::new())], "Pacemaker has 'web' on n1, where it does not run"),
        (
            started(&["n2"]),
            on(true, false),
            "'web' runs on n1, and Pacemaker has it on n2; Pacemaker has 'web' on n2, where it does not run",
        ),
    ] {
        assert_eq!(drift(resource, hosts).as_deref(), Some(expected));
    }
    // Who is on the way is nowhere wrong.
    assert_eq!(drift(ResourceListed { changing: true, ..started(&["n2"]) }, on(true, false)), None);
    let mut arriving = on(true, true);
    arriving[1].machines[0].between = true;
    assert_eq!(drift(started(&["n1"]), arriving), None);
}

#[test]
fn the_table_shows_the_clusters_view_of_each_machine_and_of_those_that_no_host_has() {
    let mut hosts = vec![host(
        "n1",
        true,
        vec![machine("by-mark", true, Some("r2:0")), machine("db", false, None), machine("web", true, None)],
    )];
    let blocked = ResourceListed { failed: true, blocked: true, managed: false, ..resource("web", "started", &["n1"]) };
    let by_mark = ResourceListed { machine: None, ..resource("r2", "started", &["n1"]) };
    let mut view =
        View { cluster: Some("Pacemaker"), resources: vec![blocked, by_mark, resource("mail", "stopped", &[])] };
    view.meet("n1", &mut hosts);
    let list = List { version: VERSION, hosts, view, warnings: Vec::new() };
    let rows: Vec<String> =
        list.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        rows,
        [
            "NAME STATE RESOURCE CLUSTER DEFINITION",
            "by-mark running r2:0 r2: started on n1",
            "db shut off - -",
            "web running - web: started on n1, FAILED, BLOCKED, unmanaged",
            "mail - - mail: stopped -",
        ]
    );
}
