// SPDX-License-Identifier: GPL-2.0-or-later
//! rgmanager's members, by what its clustat says; without that, by its configuration alone.

use super::member::{Member, Members};
use super::rgmanager::{cluster_conf, unreadable};
use super::{Resource, Service, Services, tool};
use crate::model::definition::{Element, read};
use crate::model::standing::Standing;
use crate::sys::child::find_program;
use crate::sys::hosts;
use crate::sys::time::Deadline;
use std::path::Path;

/// Asks rgmanager for its members.
pub(super) fn members(service: Option<&str>, until: Deadline) -> Result<Members, String> {
    let configuration = cluster_conf(Path::new("/"));
    if let Some(clustat) = find_program("clustat")
        && let Ok(Ok(status)) = tool(&clustat, &["-x"], until)
    {
        let configuration = configuration.unwrap_or_default();
        return in_clustat(&String::from_utf8_lossy(&status), &configuration, service);
    }
    let host = hosts::own_name();
    in_cluster_conf(&configuration?, host, until)
}

/// Asks rgmanager for its virtual machines.
pub(super) fn services(until: Deadline) -> Result<Services, String> {
    let clustat = find_program("clustat").ok_or("clustat is not installed")?;
    let status = tool(&clustat, &["-x"], until)?.map_err(|code| format!("clustat ended with {code}"))?;
    services_in(&String::from_utf8_lossy(&status))
}

/// The virtual machines in what `clustat -x` says.
fn services_in(text: &str) -> Result<Services, String> {
    let status = read(text).map_err(|error| format!("clustat's answer cannot be read: {error}"))?;
    let nodes = status.first("nodes").ok_or("clustat's answer has no nodes")?;
    let here = nodes.all("node").find(|node| node.attribute("local") == Some("1"));
    let here = here.and_then(|node| node.attribute("name")).ok_or("clustat does not say which node this is")?;
    let groups = status.first("groups").into_iter().flat_map(|groups| groups.all("group"));
    let service = |group: &Element<'_>| {
        let name = group.attribute("name")?;
        let machine = ("name".to_owned(), name.strip_prefix("vm:")?.to_owned());
        // A frozen service is left alone.
        let managed = !group.attribute("flags_str").is_some_and(|flags| flags.contains("frozen"));
        let mut service = Service::of(Resource { name: name.to_owned(), managed, params: vec![machine] });
        service.is_in(group.attribute("state_str").unwrap_or("unknown"));
        service.failed = service.state == "failed";
        let has = service.state == "started" || service.changing;
        let owner = group.attribute("owner").filter(|owner| has && *owner != "none");
        service.nodes.extend(owner.map(str::to_owned));
        Some(service)
    };
    Ok(Services { here: here.to_owned(), all: groups.filter_map(service).collect() })
}

/// The members in what `clustat -x` says. rgmanager waits for the fencing of those that were lost, where cluster.conf has a
/// device for that.
fn in_clustat(text: &str, configuration: &str, service: Option<&str>) -> Result<Members, String> {
    let status = read(text).map_err(|error| format!("clustat's answer cannot be read: {error}"))?;
    let mut groups = status.first("groups").into_iter().flat_map(|groups| groups.all("group"));
    let group = service.and_then(|service| groups.find(|group| group.attribute("name") == Some(service)));
    let owner = group.and_then(|group| {
        // A service failed where it could not be stopped.
        let failed = group.attribute("state_str") == Some("failed");
        group.attribute(if failed { "last_owner" } else { "owner" })
    });
    let configuration = read(configuration).ok();
    let nodes = status.first("nodes").ok_or("clustat's answer has no nodes")?;
    let nodes = || nodes.all("node").filter(|node| node.attribute("qdisk") != Some("1"));
    let is_here = |node: &Element<'_>| node.attribute("local") == Some("1");
    let here = nodes().find(|node| is_here(node)).and_then(|node| node.attribute("name"));
    let others = nodes().filter(|node| !is_here(node)).filter_map(|node| {
        let name = node.attribute("name")?;
        let standing = match node.attribute("state") {
            Some("1") => Standing::Online,
            Some("0") if configuration.as_ref().is_some_and(|cluster| is_fenced(cluster, name)) => Standing::Offline,
            Some("0") => Standing::Unfenced,
            Some(_) | None => Standing::Unknown,
        };
        Some(Member { node: name.to_owned(), standing, on_record: group.map(|_| owner == Some(name)) })
    });
    let others = others.collect();
    Ok(Members { here: here.ok_or("clustat does not say which node this is")?.to_owned(), others })
}

/// Whether this node is fenced when it is lost.
fn is_fenced(cluster: &Element<'_>, node: &str) -> bool {
    let nodes = cluster.first("clusternodes").into_iter().flat_map(|nodes| nodes.all("clusternode"));
    let mut methods = nodes
        .filter(|it| it.attribute("name") == Some(node))
        .flat_map(|it| it.all("fence"))
        .flat_map(|fence| fence.all("method"));
    methods.any(|method| method.all("device").any(|device| device.attribute("name").is_some()))
}

/// The members that rgmanager is configured with, of which nobody says how they are.
fn in_cluster_conf(text: &str, host: String, until: Deadline) -> Result<Members, String> {
    let cluster = read(text).map_err(|error| unreadable(&error))?;
    let nodes = cluster.first("clusternodes").into_iter().flat_map(|nodes| nodes.all("clusternode"));
    let (here, others): (Vec<&str>, Vec<&str>) =
        nodes.filter_map(|node| node.attribute("name")).partition(|name| hosts::are_one(name, &host, until));
    let member = |name: &str| Member { node: name.to_owned(), standing: Standing::Unknown, on_record: None };
    let here = here.first().map_or(host, |here| (*here).to_owned());
    Ok(Members { here, others: others.into_iter().map(member).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn told(members: &Members) -> Vec<(&str, Standing, Option<bool>)> {
        members.others.iter().map(|it| (it.node.as_str(), it.standing, it.on_record)).collect()
    }

    /// As clustat 3.0 prints it.
    fn clustat(group: &str) -> String {
        let node = |name: &str, state: u8, local: u8, qdisk: u8| {
            format!(
                "    <node name=\"{name}\" state=\"{state}\" local=\"{local}\" estranged=\"0\" rgmanager=\"{state}\" \
                 rgmanager_master=\"0\" qdisk=\"{qdisk}\" nodeid=\"0x00000001\"/>\n"
            )
        };
        let nodes = [("a.example", 1, 1, 0), ("b", 1, 0, 0), ("c", 0, 0, 0), ("d", 0, 0, 0), ("/dev/q", 1, 0, 1)];
        let nodes: String = nodes.map(|(name, state, local, qdisk)| node(name, state, local, qdisk)).concat();
        format!(
            "<?xml version=\"1.0\"?>\n<clustat version=\"4.1.1\">\n  <cluster name=\"x\" id=\"1\" generation=\"8\"/>\n  \
             <quorum quorate=\"1\" groupmember=\"1\"/>\n  <nodes>\n{nodes}  </nodes>\n  <groups>\n    <group \
             name=\"vm:web\" {group} flags=\"0\" flags_str=\"\" restarts=\"0\"/>\n  </groups>\n</clustat>\n"
        )
    }

    const CONF: &str = "<cluster><clusternodes><clusternode name='a.example'/><clusternode name='b'/>\
        <clusternode name='c'><fence><method name='1'><device name='apc' port='3'/></method></fence></clusternode>\
        <clusternode name='d'><fence/></clusternode></clusternodes></cluster>";

    #[test]
    fn rgmanagers_members_are_those_of_clustat() {
        let members = |group: &str| in_clustat(&clustat(group), CONF, Some("vm:web")).unwrap();
        let started = members("state=\"112\" state_str=\"started\" owner=\"b\" last_owner=\"c\"");
        assert_eq!(started.here, "a.example");
        let expected = [
            ("b", Standing::Online, Some(true)),
            ("c", Standing::Offline, Some(false)),
            ("d", Standing::Unfenced, Some(false)),
        ];
        assert_eq!(told(&started), expected);
        assert!(started.other("c").unwrap().is_out());
        assert!(!started.other("d").unwrap().is_out() && !started.other("b").unwrap().is_out());
        // The service could not be stopped there, or is still its.
        for group in [
            "state=\"119\" state_str=\"failed\" owner=\"none\" last_owner=\"c\"",
            "state=\"112\" state_str=\"started\" owner=\"c\" last_owner=\"c\"",
        ] {
            assert!(!members(group).other("c").unwrap().is_out(), "{group}");
        }
    }

    #[test]
    fn rgmanagers_machines_are_told_as_clustat_shows_them() {
        let seen = |group: &str| {
            let services = services_in(&clustat(group)).unwrap();
            assert_eq!(services.here, "a.example");
            let [service] = <[Service; 1]>::try_from(services.all).unwrap();
            assert_eq!((service.resource.as_str(), service.machine.as_deref()), ("vm:web", Some("web")));
            (service.state, service.nodes.join(","), [service.changing, service.failed])
        };
        let all = |state: &str, nodes: &str, is| (state.to_owned(), nodes.to_owned(), is);
        let of = |state: &str, owner: &str| seen(&format!("state_str=\"{state}\" owner=\"{owner}\" last_owner=\"b\""));
        assert_eq!(of("started", "b"), all("started", "b", [false, false]));
        assert_eq!(of("failed", "none"), all("failed", "", [false, true]));
        assert_eq!(of("stopping", "b"), all("stopping", "b", [true, false]));
        assert_eq!(of("disabled", "none"), all("disabled", "", [false, false]));
        assert!(services_in("<clustat/>").is_err());
    }

    #[test]
    fn what_clustat_does_not_say_proves_nothing() {
        let status = clustat("state_str=\"started\" owner=\"b\" last_owner=\"b\"");
        // No service was asked about, or there is none of this name; and nobody says what is fenced.
        for (configuration, service) in [(CONF, None), (CONF, Some("vm:other")), ("", Some("vm:web"))] {
            let members = in_clustat(&status, configuration, service).unwrap();
            assert!(members.others.iter().all(|member| !member.is_out()), "{members:?}");
        }
        for bad in ["", "<clustat/>", "<clustat><nodes/></clustat>", "Could not connect to CMAN"] {
            assert!(in_clustat(bad, CONF, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_clustat_the_members_are_known_and_how_they_are_is_not() {
        let members = |host: &str| in_cluster_conf(CONF, host.into(), Deadline::after(Duration::from_secs(9)));
        let members = members("A.example").unwrap();
        assert_eq!(members.here, "a.example");
        assert_eq!(told(&members), ["b", "c", "d"].map(|node| (node, Standing::Unknown, None)));
        assert!(in_cluster_conf("<cluster>", "a".into(), Deadline::after(Duration::ZERO)).is_err());
    }
}
