// SPDX-License-Identifier: GPL-2.0-or-later
//! Pacemaker's members, by what its crm_mon says.

use super::member::{Member, Members};
use super::{LARGEST, Service, tool};
use crate::model::definition::{Element, read_large};
use crate::model::standing::Standing;
use crate::sys::child::find_program;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use std::path::PathBuf;

/// Asks Pacemaker for its members; `here` is this node's name, if it is known.
pub(super) fn members(resource: Option<&str>, here: Option<&str>, until: Deadline) -> Result<Members, String> {
    let here = here.map_or_else(|| own_node(until), |here| Ok(here.to_owned()))?;
    in_status(&status(until)?, here, resource)
}

/// Asks Pacemaker how these resources are; gives this node's name.
pub(super) fn see(services: &mut [Service], until: Deadline) -> Result<String, String> {
    seen_in(&status(until)?, services)?;
    own_node(until)
}

fn program(name: &str) -> Result<PathBuf, String> {
    find_program(name).ok_or_else(|| format!("{name} is not installed"))
}

/// This node's name in the cluster.
fn own_node(until: Deadline) -> Result<String, String> {
    let said = tool(&program("crm_node")?, &["-n"], until)?.map_err(|code| failed("crm_node", code))?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// All that crm_mon says.
fn status(until: Deadline) -> Result<String, String> {
    let crm_mon = program("crm_mon")?;
    // Pacemaker 1.1 has only the second.
    let status = match tool(&crm_mon, &["-1", "--output-as=xml"], until)? {
        Ok(status) => status,
        Err(_) => tool(&crm_mon, &["--as-xml"], until)?.map_err(|code| failed("crm_mon", code))?,
    };
    Ok(String::from_utf8_lossy(&status).into_owned())
}

fn failed(name: &str, code: i32) -> String {
    format!("{name} ended with {code}")
}

fn unreadable(why: &str) -> String {
    format!("the cluster's status cannot be read: {why}")
}

/// What crm_mon says of these resources. A clone's instances are one.
fn seen_in(text: &str, services: &mut [Service]) -> Result<(), String> {
    let status = read_large(text, LARGEST.1).map_err(|error| unreadable(&ascii_line(&error.to_string(), 200)))?;
    let resources = status.first("resources").ok_or_else(|| unreadable("it has no resources"))?;
    for service in services {
        let mut found = Vec::new();
        of_name(resources, &service.resource, &mut found);
        for element in found {
            service.is_in(element.attribute("pending").or(element.attribute("role")).unwrap_or("unknown"));
            service.managed &= element.attribute("managed") != Some("false") && !yes(element, "maintenance");
            service.failed |= yes(element, "failed");
            service.blocked |= yes(element, "blocked");
            if yes(element, "active") {
                let nodes = element.all("node").filter_map(|node| node.attribute("name"));
                service.nodes.extend(nodes.map(str::to_owned));
            }
        }
        // While it is stopped, Pacemaker does not call it failed, whatever stopped it.
        service.failed |= service.nodes.is_empty() && failed_to_start(&status, &service.resource);
    }
    Ok(())
}

/// Whether a failed start of a resource is on record, and nobody has cleaned it up.
fn failed_to_start(status: &Element<'_>, resource: &str) -> bool {
    let mut failures = status.all("failures").flat_map(|it| it.all("failure"));
    failures.any(|failure| {
        let key = failure.attribute("op_key").unwrap_or_default();
        key.strip_suffix("_start_0").map(instance) == Some(resource)
    })
}

/// The resource of this name, or its instances.
fn of_name<'a, 't>(element: &'a Element<'t>, resource: &str, found: &mut Vec<&'a Element<'t>>) {
    for child in &element.children {
        if child.is("resource") && child.attribute("id").map(instance) == Some(resource) {
            found.push(child);
        }
        of_name(child, resource, found);
    }
}

/// The members in what crm_mon says; guests that are nodes are none.
fn in_status(text: &str, here: String, resource: Option<&str>) -> Result<Members, String> {
    let status = read_large(text, LARGEST.1).map_err(|error| unreadable(&ascii_line(&error.to_string(), 200)))?;
    let nodes = status.first("nodes").ok_or_else(|| unreadable("it has no nodes"))?;
    let options = status.first("summary").and_then(|summary| summary.first("cluster_options"));
    let fences = options.is_some_and(|it| ["stonith-enabled", "fencing-enabled"].iter().any(|name| yes(it, name)));
    let mut active = Vec::new();
    if let (Some(resource), Some(resources)) = (resource, status.first("resources")) {
        active_on(resources, instance(resource), &mut active);
    }
    let others = nodes.all("node").filter(|node| node.attribute("id_as_resource").is_none()).filter_map(|node| {
        let name = node.attribute("name").filter(|name| *name != here)?;
        let on_record = resource.map(|_| active.contains(&name));
        Some(Member { node: name.to_owned(), standing: standing(node, fences), on_record })
    });
    let others = others.collect();
    Ok(Members { here, others })
}

fn standing(node: &Element<'_>, fences: bool) -> Standing {
    if yes(node, "online") || yes(node, "pending") {
        Standing::Online
    } else if yes(node, "unclean") {
        Standing::Unclean
    } else if fences {
        Standing::Offline
    } else {
        Standing::Unfenced
    }
}

fn yes(element: &Element<'_>, name: &str) -> bool {
    element.attribute(name) == Some("true")
}

/// A resource's name without the number of its instance.
fn instance(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// The nodes on which an active `resource`, or an instance of it, is.
fn active_on<'a>(element: &'a Element<'_>, resource: &str, nodes: &mut Vec<&'a str>) {
    let mut found = Vec::new();
    of_name(element, resource, &mut found);
    let active = found.into_iter().filter(|it| yes(it, "active"));
    nodes.extend(active.flat_map(|it| it.all("node").filter_map(|node| node.attribute("name"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How node2 stands, and what is on record of the resource `a` there, in an answer of crm_mon (Pacemaker 2.1.5, three
    /// nodes), of which only the histories were left out.
    fn node2(recorded: &str) -> (Standing, Option<bool>, bool) {
        let members = in_status(recorded, "node1".into(), Some("a:0")).unwrap();
        assert_eq!(members.others.len(), 2);
        let node3 = members.other("node3").unwrap();
        assert!(node3.standing == Standing::Online && !node3.is_out());
        let member = members.other("node2").unwrap();
        (member.standing, member.on_record, member.is_out())
    }

    #[test]
    fn a_member_that_was_lost_is_out_once_it_is_fenced() {
        let lost = node2(include_str!("../../tests/unit/cluster/lost.xml"));
        assert_eq!(lost, (Standing::Unclean, Some(true), false));
        let fenced = node2(include_str!("../../tests/unit/cluster/fenced.xml"));
        assert_eq!(fenced, (Standing::Offline, Some(false), true));
    }

    #[test]
    fn a_member_that_left_in_maintenance_still_runs_what_it_ran() {
        let left = node2(include_str!("../../tests/unit/cluster/left-in-maintenance.xml"));
        assert_eq!(left, (Standing::Offline, Some(true), false));
    }

    #[test]
    fn without_fencing_no_member_is_out() {
        let lost = node2(include_str!("../../tests/unit/cluster/lost-without-fencing.xml"));
        assert_eq!(lost, (Standing::Unfenced, Some(false), false));
    }

    #[test]
    fn what_is_not_asked_about_is_not_known_and_only_the_very_name_is_a_member() {
        let fenced = include_str!("../../tests/unit/cluster/fenced.xml");
        let members = in_status(fenced, "node1".into(), None).unwrap();
        assert!(members.others.iter().all(|member| member.on_record.is_none() && !member.is_out()));
        assert!(members.other("NODE2").is_some());
        for stranger in ["node1", "node2.example", "node", ""] {
            assert!(members.other(stranger).is_none(), "{stranger}");
        }
    }

    #[test]
    fn a_resource_is_told_as_crm_mon_shows_it_and_one_that_it_does_not_show_is_unknown() {
        let seen = |name: &str, attributes: &str| {
            let status = format!(
                "<pacemaker-result><resources><clone id='c'><resource id='web:0' {attributes}><node name='n2'/></resource>\
                 </clone><resource id='web2' role='Started' active='true'><node name='n9'/></resource></resources>\
                 <failures><failure op_key='web:0_start_0' node='n1'/><failure op_key='web2_start_0' node='n1'/></failures>\
                 </pacemaker-result>"
            );
            let resource = super::super::Resource { name: name.into(), managed: true, params: Vec::new() };
            let mut services = [Service::of(resource)];
            seen_in(&status, &mut services).unwrap();
            let [service] = services;
            let is = [service.changing, service.managed, service.failed, service.blocked];
            (service.state, service.nodes.join(","), is)
        };
        let all = |state: &str, nodes: &str, is| (state.to_owned(), nodes.to_owned(), is);
        let started = "role='Started' active='true' managed='true' failed='false' blocked='false'";
        assert_eq!(seen("web", started), all("started", "n2", [false, true, false, false]));
        let moving = "role='Started' active='true' managed='true' pending='Migrating'";
        assert_eq!(seen("web", moving), all("migrating", "n2", [true, true, false, false]));
        let blocked = "role='Started' active='true' managed='false' failed='true' blocked='true'";
        assert_eq!(seen("web", blocked), all("started", "n2", [false, false, true, true]));
        assert_eq!(seen("web", "role='Stopped' active='false'"), all("stopped", "", [false, true, true, false]));
        assert_eq!(seen("web2", ""), all("started", "n9", [false, true, false, false]));
        assert_eq!(seen("mail", started), all("unknown", "", [false, true, false, false]));
        for bad in ["", "<pacemaker-result/>", "<resources>"] {
            assert!(seen_in(bad, &mut []).is_err(), "{bad}");
        }
    }

    #[test]
    fn pacemakers_other_members_are_those_of_its_status() {
        let status = "<?xml version=\"1.0\"?><pacemaker-result><summary><cluster_options stonith-enabled='true'/>\
            </summary><nodes><node name='node1' id='1' online='true' unclean='false' pending='false' type='member'/>\
            <node name='node2' id='2' online='true' unclean='false' pending='false' type='member'/>\
            <node name='node3' id='3' online='false' unclean='true' pending='false' type='member'/>\
            <node name='node4' id='4' online='false' unclean='false' pending='false' type='member'/>\
            <node name='node5' id='5' online='false' unclean='false' pending='true' type='member'/>\
            <node name='guest' id='g' online='true' unclean='false' type='remote' id_as_resource='web'/>\
            </nodes><resources><group id='g'><resource id='web' active='true'><node name='node2'/></resource></group>\
            <resource id='web2' active='true'><node name='node3'/></resource>\
            <resource id='web' active='false'><node name='node4'/></resource></resources></pacemaker-result>";
        let members = in_status(status, "node1".into(), Some("web")).unwrap();
        let told: Vec<_> = members.others.iter().map(|it| (it.node.as_str(), it.standing, it.on_record)).collect();
        let expected = [
            ("node2", Standing::Online, Some(true)),
            ("node3", Standing::Unclean, Some(false)),
            ("node4", Standing::Offline, Some(false)),
            ("node5", Standing::Online, Some(false)),
        ];
        assert_eq!(told, expected);
        for bad in ["", "<pacemaker-result/>", "<nodes>"] {
            assert!(in_status(bad, "node1".into(), None).is_err(), "{bad}");
        }
    }
}
