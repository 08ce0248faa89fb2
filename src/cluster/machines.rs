// SPDX-License-Identifier: GPL-2.0-or-later
//! The machines that a cluster's configuration has, and what becomes of a node that is lost: all that can be judged
//! without asking any node. Pure.

use super::LARGEST;
use super::convert::conf::read_conf;
use super::convert::pacemaker_ms;
use super::pacemaker::owned;
use super::primitive::{DEFAULT_TIMEOUT, Primitive, default_of, interval, primitives, property, said_of};
use crate::model::definition::{Element, read, read_large};
use crate::model::params::boolean;
use crate::sys::text::ascii_line;
use std::path::Path;

/// What of a configuration concerns its machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachinesOfCluster {
    /// Whether it is rgmanager's, which has no operations of its resources.
    pub rgmanagers: bool,
    /// Whether lost nodes are fenced.
    pub fences: bool,
    /// Whether anything is there to fence them with.
    pub has_device: bool,
    /// The nodes for which nothing is, where that can be told.
    pub unfenced: Vec<String>,
    /// Whether a part without quorum goes on.
    pub ignores_quorum: bool,
    pub machines: Vec<MachineResource>,
}

/// A resource that is a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineResource {
    /// `foo` or `vm:foo`.
    pub id: String,
    /// Its agent: `vm-agent`, `heartbeat`.
    pub provider: String,
    pub params: Vec<(String, String)>,
    pub cloned: bool,
    pub managed: bool,
    pub may_move: bool,
    /// Whether it stays where it is when another node would do as well; rgmanager's always do.
    pub sticks: bool,
    pub operations: Vec<OperationSet>,
}

/// An operation as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OperationSet {
    pub name: String,
    pub interval_ms: u64,
    /// Its own, or the cluster's for all.
    pub timeout_ms: u64,
    pub on_fail: Option<String>,
    pub id: Option<String>,
}

impl MachineResource {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let value = self.params.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// The file of its definition, or the command that prints it, where its parameters name one.
    pub(crate) fn config(&self) -> Option<&Path> {
        super::config_of(&|name| self.param(name))
    }

    /// The operations of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OperationSet> {
        self.operations.iter().filter(move |it| it.name == name)
    }
}

/// What Pacemaker's configuration says.
///
/// # Errors
/// It cannot be read.
pub(super) fn of_pacemaker(cib: &[u8]) -> Result<MachinesOfCluster, String> {
    let text = std::str::from_utf8(cib).map_err(|_| "Pacemaker's configuration is not UTF-8")?;
    let root = read_large(text, LARGEST.1)
        .map_err(|why| format!("Pacemaker's configuration cannot be read: {}", ascii_line(&why.to_string(), 200)))?;
    let configuration = root.first("configuration").filter(|_| root.is("cib")).unwrap_or(&root);
    let resources = configuration.first("resources").ok_or("Pacemaker's configuration has no resources")?;
    let option = |names: &[&str]| property(configuration, names);
    let yes = |names: &[&str]| option(names).and_then(boolean);
    let default = |part: &str, name: &str| default_of(configuration, part, name);
    let primitives = primitives(resources);
    let watchdog = option(&["stonith-watchdog-timeout", "fencing-watchdog-timeout"]);
    let by_watchdog = watchdog.and_then(pacemaker_ms).is_some_and(|it| it > 0) || watchdog == Some("-1");
    let levels = configuration.first("fencing-topology").is_some_and(|it| !it.children.is_empty());
    let timeout = default("op_defaults", "timeout").and_then(pacemaker_ms).unwrap_or(DEFAULT_TIMEOUT);
    let frozen = yes(&["maintenance-mode"]) == Some(true);
    let machines = primitives.iter().filter_map(|primitive| {
        let provider = primitive.attribute("provider").filter(|it| matches!(*it, "vm-agent" | "heartbeat"))?;
        primitive.attribute("type").filter(|it| matches!(*it, "vm" | "VirtualDomain" | "Xen"))?;
        let meta = |name: &str| primitive.value("meta_attributes", name).or_else(|| default("rsc_defaults", name));
        let yes_meta = |name: &str| meta(name).and_then(boolean);
        Some(MachineResource {
            id: primitive.id().to_owned(),
            provider: provider.to_owned(),
            params: owned(&primitive.params()),
            cloned: primitive.cloned,
            managed: !frozen && yes_meta("is-managed") != Some(false) && yes_meta("maintenance") != Some(true),
            may_move: yes_meta("allow-migrate") == Some(true),
            sticks: meta("resource-stickiness").is_some_and(|it| it.trim() != "0"),
            operations: primitive.operations().into_iter().map(|op| operation(op, timeout)).collect(),
        })
    });
    Ok(MachinesOfCluster {
        rgmanagers: false,
        fences: yes(&["stonith-enabled", "fencing-enabled"]) != Some(false),
        has_device: levels || by_watchdog || primitives.iter().any(is_fence_device),
        unfenced: if levels || by_watchdog { Vec::new() } else { unfenced(configuration, &primitives) },
        ignores_quorum: option(&["no-quorum-policy"]) == Some("ignore"),
        machines: machines.collect(),
    })
}

fn is_fence_device(primitive: &Primitive<'_, '_>) -> bool {
    primitive.attribute("class") == Some("stonith")
}

/// The nodes that no fence device names. One that names none is asked by Pacemaker which it fences: that may be all.
fn unfenced(configuration: &Element<'_>, primitives: &[Primitive<'_, '_>]) -> Vec<String> {
    let nodes = configuration.all("nodes").flat_map(|it| it.all("node"));
    let mut nodes: Vec<String> = nodes
        .filter(|node| !matches!(node.attribute("type"), Some("remote" | "ping")))
        .filter_map(|node| node.attribute("uname").map(str::to_owned))
        .collect();
    for device in primitives.iter().filter(|it| is_fence_device(it)) {
        let param = |name| device.value("instance_attributes", name).filter(|it| !it.trim().is_empty());
        let (list, map, check) = (param("pcmk_host_list"), param("pcmk_host_map"), param("pcmk_host_check"));
        if check.is_some_and(|it| it != "static-list") || (list.is_none() && map.is_none()) {
            return Vec::new();
        }
        let listed = list.into_iter().flat_map(|list| list.split([' ', ',', ';', '\t', '\n']));
        let pairs = map.into_iter().flat_map(|map| map.split([' ', ';', '\t', '\n']));
        let named: Vec<&str> = listed.chain(pairs.filter_map(|pair| pair.split([':', '=']).next())).collect();
        nodes.retain(|node| !named.iter().any(|name| name.eq_ignore_ascii_case(node)));
    }
    nodes
}

fn operation(op: &Element<'_>, default: u64) -> OperationSet {
    OperationSet {
        name: op.attribute("name").unwrap_or_default().to_owned(),
        interval_ms: interval(op),
        timeout_ms: said_of(op, "timeout").and_then(pacemaker_ms).unwrap_or(default),
        on_fail: said_of(op, "on-fail").map(str::to_owned),
        id: op.attribute("id").map(str::to_owned),
    }
}

/// What rgmanager's cluster.conf says.
///
/// # Errors
/// It cannot be read.
pub(super) fn of_rgmanager(text: &str) -> Result<MachinesOfCluster, String> {
    let cluster = read(text).map_err(|why| super::rgmanager::unreadable(&why))?;
    let nodes: Vec<&Element<'_>> =
        cluster.first("clusternodes").into_iter().flat_map(|it| it.all("clusternode")).collect();
    let fenced = |node: &&&Element<'_>| {
        node.first("fence").is_some_and(|it| it.all("method").any(|method| method.first("device").is_some()))
    };
    let unfenced: Vec<String> = nodes
        .iter()
        .filter(|node| !fenced(node))
        .filter_map(|node| node.attribute("name").map(str::to_owned))
        .collect();
    let machines = read_conf(&cluster).machines.into_iter().map(|vm| MachineResource {
        id: format!("vm:{}", vm.name),
        provider: "vm-agent".into(),
        params: super::rgmanager::params(&vm),
        managed: true,
        sticks: true,
        // What is part of a service is never moved live.
        may_move: vm.service.is_none(),
        ..MachineResource::default()
    });
    Ok(MachinesOfCluster {
        rgmanagers: true,
        fences: true,
        has_device: unfenced.len() < nodes.len() || nodes.is_empty(),
        unfenced,
        ignores_quorum: false,
        machines: machines.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIB: &str = "<cib><configuration><crm_config><cluster_property_set id='o'>\
        <nvpair id='p' name='fencing-enabled' value='false'/><nvpair id='q' name='no-quorum-policy' value='ignore'/>\
        </cluster_property_set></crm_config><nodes/><resources>\
        <template id='t' class='ocf' provider='vm-agent' type='vm'><operations>\
        <op id='t-s' name='stop' interval='0' timeout='3min'/><op id='t-m' name='monitor' interval='10s'/></operations></template>\
        <clone id='c'><primitive id='a' template='t'><instance_attributes id='i'><nvpair id='n' name='name' value='a'/>\
        </instance_attributes><operations><op id='a-m' name='monitor' interval='10' timeout='30' on-fail='block'/></operations>\
        </primitive></clone><primitive id='d' class='ocf' provider='heartbeat' type='Dummy'/>\
        <primitive id='f' class='stonith' type='fence_x'/></resources>\
        <rsc_defaults><meta_attributes id='r'><nvpair id='s' name='allow-migrate' value='true'/></meta_attributes>\
        </rsc_defaults></configuration></cib>";

    #[test]
    fn pacemakers_machines_have_what_their_templates_and_the_defaults_say() {
        let found = of_pacemaker(CIB.as_bytes()).unwrap();
        assert!(!found.fences && found.has_device && found.ignores_quorum && !found.rgmanagers);
        let [a] = found.machines.as_slice() else { panic!("{found:?}") };
        assert!(a.cloned && a.managed && a.may_move && !a.sticks);
        assert_eq!((a.id.as_str(), a.param("name"), a.param("config")), ("a", Some("a"), None));
        let times = |name| a.all(name).map(|it| (it.interval_ms, it.timeout_ms)).collect::<Vec<_>>();
        assert_eq!((times("stop"), times("monitor")), (vec![(0, 180_000)], vec![(10_000, 30_000)]));
        let defaults = "<op_defaults><meta_attributes id='x'><nvpair id='y' name='timeout' value='45'/></meta_attributes></op_defaults></configuration>";
        let changed = CIB.replace("timeout='3min'", "").replace("</configuration>", defaults);
        let stop = of_pacemaker(changed.as_bytes()).unwrap().machines[0].all("stop").next().unwrap().timeout_ms;
        assert_eq!(stop, 45_000);
        for bad in ["", "<cib/>", "<cib>", "\u{feff}<configuration/>"] {
            assert!(of_pacemaker(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn fencing_goes_by_its_old_names_and_by_its_new_ones_and_a_watchdog_fences_too() {
        let with = |name: &str, value: &str| {
            let text = CIB.replace("name='fencing-enabled' value='false'", &format!("name='{name}' value='{value}'"));
            of_pacemaker(text.replace("class='stonith'", "class='ocf'").as_bytes()).unwrap()
        };
        assert!(!with("stonith-enabled", "off").fences && !with("fencing-enabled", "0").fences);
        assert!(with("x", "y").fences && !with("x", "y").has_device);
        for name in ["stonith-watchdog-timeout", "fencing-watchdog-timeout"] {
            assert!(with(name, "10s").has_device && !with(name, "0").has_device, "{name}");
        }
    }

    #[test]
    fn nodes_that_no_fence_device_names_are_told() {
        let unfenced = |devices: &str| {
            let nodes = "<nodes><node id='1' uname='n1'/><node id='2' uname='n2'/><node id='3' type='remote' uname='r'/></nodes>";
            let text =
                CIB.replace("<nodes/>", nodes).replace("<primitive id='f' class='stonith' type='fence_x'/>", devices);
            of_pacemaker(text.as_bytes()).unwrap().unfenced
        };
        let device = |pairs: &[(&str, &str)]| {
            let pairs =
                pairs.iter().map(|(name, value)| format!("<nvpair id='{name}' name='{name}' value='{value}'/>"));
            let pairs: String = pairs.collect();
            format!(
                "<primitive id='f' class='stonith' type='x'><instance_attributes id='fi'>{pairs}</instance_attributes></primitive>"
            )
        };
        let (list, map) = ("pcmk_host_list", "pcmk_host_map");
        for (pairs, expected) in [
            (vec![], vec![]),
            (vec![(list, "n1")], vec!["n2"]),
            (vec![(list, "N1, n2")], vec![]),
            (vec![(map, "n1:4,5;n2:6")], vec![]),
            (vec![(map, "n2:1"), (list, "")], vec!["n1"]),
            (vec![(list, "n1"), ("pcmk_host_check", "none")], vec![]),
        ] {
            assert_eq!(unfenced(&device(&pairs)), expected, "{pairs:?}");
        }
        let two = format!("{}{}", device(&[(list, "n1")]), device(&[(list, "n2")]));
        assert!(unfenced(&two).is_empty() && !unfenced(&device(&[(list, "x")])).is_empty());
    }

    #[test]
    fn rgmanagers_nodes_without_a_method_are_told() {
        let conf = "<cluster><clusternodes><clusternode name='n1'><fence><method name='1'><device name='d'/></method></fence>\
            </clusternode><clusternode name='n2'><fence/></clusternode></clusternodes><rm><vm name='a' path='/vms'/>\
            <resources><vm name='b'/></resources><service name='s'><ip><vm ref='b'/></ip></service></rm></cluster>";
        let found = of_rgmanager(conf).unwrap();
        assert_eq!((found.unfenced.as_slice(), found.has_device), (["n2".to_owned()].as_slice(), true));
        let ids: Vec<&str> = found.machines.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["vm:a", "vm:b"]);
        assert!(found.machines[0].may_move && !found.machines[1].may_move);
        assert!(of_rgmanager("<cluster>").is_err());
    }
}
