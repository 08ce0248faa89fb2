// SPDX-License-Identifier: GPL-2.0-or-later
//! What crm_simulate prints, as far as it is told: the nodes, what is fenced, what becomes of each resource, the operations
//! that this takes, and how it is at the end. Pure.

use crate::cluster::LARGEST;
use crate::model::definition::{Element, read_large};
use crate::sys::text::ascii_line;
use std::collections::BTreeMap;

/// What Pacemaker would do with one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    pub resource: String,
    /// Pacemaker's word: start, stop, move (a stop and a start), migrate, recover, restart, ...
    pub action: String,
    /// Where it is.
    pub from: Option<String>,
    /// Where it will be.
    pub to: Option<String>,
    pub reason: Option<String>,
    /// It should be done, and cannot.
    pub blocked: bool,
}

/// What was seen in the simulation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Simulated {
    /// Each node that is a member, and whether it is online at the beginning.
    pub nodes: Vec<(String, bool)>,
    /// Nodes that are fenced, and why.
    pub fenced: Vec<(String, Option<String>)>,
    pub acts: Vec<Act>,
    /// Each operation that is carried out on a node: resource, operation, node. No monitors.
    pub operations: Vec<(String, String, String)>,
    /// Where each resource runs at the beginning and at the end.
    pub before: BTreeMap<String, Vec<String>>,
    pub after: BTreeMap<String, Vec<String>>,
    /// Nodes of which nobody knows at the end what they run.
    pub unclean: Vec<String>,
}

/// The same where `printed` tells how it was at the beginning.
pub(super) fn begun(simulated: Simulated, printed: &str) -> Result<Simulated, String> {
    let root = root(printed)?;
    let begin = root.first("cluster_status").ok_or_else(lacking)?;
    Ok(Simulated { nodes: online(begin), before: runs_on(begin), ..simulated })
}

fn root(text: &str) -> Result<Element<'_>, String> {
    read_large(text, LARGEST.1).map_err(|error| unreadable(&ascii_line(&error.to_string(), 200)))
}

fn unreadable(why: &str) -> String {
    format!("crm_simulate's answer cannot be read: {why}")
}

fn lacking() -> String {
    unreadable("it lacks a part; Pacemaker 2.1 or later is needed")
}

fn text(element: &Element<'_>, name: &str) -> Option<String> {
    element.attribute(name).map(str::to_owned)
}

/// Each member, whether it is online, and whether it is unclean.
fn members(status: &Element<'_>) -> Vec<(String, bool, bool)> {
    let nodes = status.all("nodes").flat_map(|nodes| nodes.all("node"));
    let nodes = nodes.filter(|node| node.attribute("id_as_resource").is_none());
    let is = |node: &Element<'_>, what: &str| node.attribute(what) == Some("true");
    nodes.filter_map(|node| Some((text(node, "name")?, is(node, "online"), is(node, "unclean")))).collect()
}

fn online(status: &Element<'_>) -> Vec<(String, bool)> {
    members(status).into_iter().map(|(name, online, _)| (name, online)).collect()
}

pub(super) fn read(printed: &str) -> Result<Simulated, String> {
    let root = root(printed)?;
    let (Some(begin), Some(actions), Some(end)) =
        (root.first("cluster_status"), root.first("actions"), root.first("revised_cluster_status"))
    else {
        return Err(lacking());
    };
    let fenced = actions.all("node_action").filter(|it| it.attribute("task").is_some_and(|it| it.starts_with("Fence")));
    let act = |it: &Element<'_>| {
        Some(Act {
            resource: text(it, "resource")?,
            action: text(it, "action")?,
            from: text(it, "source").or_else(|| text(it, "node")),
            to: text(it, "dest").or_else(|| text(it, "node")),
            reason: text(it, "reason").map(|reason| ascii_line(&reason, 160)),
            blocked: it.attribute("blocked") == Some("true"),
        })
    };
    let transition = root.all("transition").flat_map(|it| it.all("rsc_action"));
    let operation = |it: &Element<'_>| Some((text(it, "resource")?, text(it, "op")?, text(it, "node")?));
    Ok(Simulated {
        nodes: online(begin),
        fenced: fenced.filter_map(|it| Some((text(it, "node")?, text(it, "reason")))).collect(),
        acts: actions.all("rsc_action").filter_map(act).collect(),
        operations: transition.filter_map(operation).filter(|(_, op, _)| op != "monitor" && op != "cancel").collect(),
        before: runs_on(begin),
        after: runs_on(end),
        unclean: members(end).into_iter().filter(|(_, _, unclean)| *unclean).map(|(name, ..)| name).collect(),
    })
}

/// The nodes of each resource that is active.
fn runs_on(status: &Element<'_>) -> BTreeMap<String, Vec<String>> {
    fn below(element: &Element<'_>, found: &mut BTreeMap<String, Vec<String>>) {
        for child in &element.children {
            if let (true, Some(id)) = (child.is("resource"), child.attribute("id")) {
                let nodes = child.all("node").filter_map(|node| node.attribute("name")).map(str::to_owned);
                let active = child.attribute("active") == Some("true");
                found.entry(id.to_owned()).or_default().extend(nodes.filter(|_| active));
            }
            below(child, found);
        }
    }
    let mut found = BTreeMap::new();
    status.all("resources").for_each(|resources| below(resources, &mut found));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crm_simulate_prints_is_read_and_what_lacks_a_part_is_refused() {
        let status = |node: &str, web: &str| {
            format!(
                "<nodes><node name='n1' online='true' unclean='false'/>{node}</nodes><resources><group id='g'>\
                 <resource id='web' active='true'>{web}</resource></group><resource id='db' active='false'/></resources>"
            )
        };
        let text = format!(
            "<pacemaker-result><cluster_status>{}</cluster_status><actions><node_action task='Fence (reboot)' node='n2' \
             reason='gone'/><rsc_action action='move' resource='web' source='n2' dest='n1'/><rsc_action action='start' \
             resource='db' node='n1' reason='no quorum' blocked='true'/></actions><transition><rsc_action resource='web' \
             op='start' node='n1'/><rsc_action resource='web' op='monitor' node='n1' interval='10000'/></transition>\
             <revised_cluster_status>{}</revised_cluster_status></pacemaker-result>",
            status("<node name='n2' online='true' unclean='false'/>", "<node name='n2'/>"),
            status("<node name='n2' online='false' unclean='true'/>", "<node name='n1'/>"),
        );
        let sight = read(&text).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(sight.nodes, [("n1".into(), true), ("n2".into(), true)]);
        assert_eq!(sight.fenced, [("n2".into(), Some("gone".into()))]);
        assert_eq!(sight.unclean, names(&["n2"]));
        assert_eq!((&sight.before["web"], &sight.after["web"]), (&names(&["n2"]), &names(&["n1"])));
        assert_eq!(sight.after["db"], names(&[]));
        assert_eq!(sight.operations, [("web".into(), "start".into(), "n1".into())]);
        let told: Vec<_> = sight.acts.iter().map(|it| (it.action.as_str(), it.from.as_deref(), it.blocked)).collect();
        assert_eq!(told, [("move", Some("n2"), false), ("start", Some("n1"), true)]);
        // Of Pacemaker 3.0.0, where something happens.
        let later =
            text.replace("<node name='n2' online='true' unclean='false'/>", "").replace("<node name='n2'/>", "");
        let cut = text.split_once("<actions>").unwrap().0.to_owned() + "<modifications/></pacemaker-result>";
        assert!(read(&cut).is_err());
        assert_eq!(begun(read(&later).unwrap(), &cut), Ok(sight));
        for bad in ["", "<pacemaker-result/>", "<pacemaker-result><actions/></pacemaker-result>"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
