// SPDX-License-Identifier: GPL-2.0-or-later
//! Pacemaker's members, by what its crm_mon says.

use super::member::{Member, Members};
use super::{LARGEST, tool};
use crate::model::definition::{Element, read_large};
use crate::model::standing::Standing;
use crate::sys::child::find_program;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;

/// Asks Pacemaker for its members; `here` is this node's name, if it is known.
pub(super) fn members(resource: Option<&str>, here: Option<&str>, until: Deadline) -> Result<Members, String> {
    let program = |name: &str| find_program(name).ok_or_else(|| format!("{name} is not installed"));
    let failed = |name: &str, code: i32| format!("{name} ended with {code}");
    let here = match here {
        Some(here) => here.to_owned(),
        None => {
            let said = tool(&program("crm_node")?, &["-n"], until)?.map_err(|code| failed("crm_node", code))?;
            String::from_utf8_lossy(&said).trim().to_owned()
        }
    };
    let crm_mon = program("crm_mon")?;
    // Pacemaker 1.1 has only the second.
    let status = match tool(&crm_mon, &["-1", "--output-as=xml"], until)? {
        Ok(status) => status,
        Err(_) => tool(&crm_mon, &["--as-xml"], until)?.map_err(|code| failed("crm_mon", code))?,
    };
    in_status(&String::from_utf8_lossy(&status), here, resource)
}

/// The members in what crm_mon says; guests that are nodes are none.
fn in_status(text: &str, here: String, resource: Option<&str>) -> Result<Members, String> {
    let unreadable = |why: &str| format!("the cluster's status cannot be read: {why}");
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
    for child in &element.children {
        let is_it = child.is("resource") && child.attribute("id").map(instance) == Some(resource);
        if is_it && child.attribute("active") == Some("true") {
            nodes.extend(child.all("node").filter_map(|node| node.attribute("name")));
        }
        active_on(child, resource, nodes);
    }
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
