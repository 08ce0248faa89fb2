// SPDX-License-Identifier: GPL-2.0-or-later
//! cluster.conf as rgmanager's daemon reads it: which virtual machines there are, what is configured of each, and what
//! belongs to the daemon alone. What rgmanager refuses or ignores is told here, not repaired.

use super::domains::FailoverDomain;
use super::times::{leading_number, rgmanager_seconds};
use crate::model::definition::Element;
use crate::sys::text::shown;

/// What concerns virtual machines in a cluster.conf.
pub(in crate::cluster) struct ClusterConf<'t> {
    pub(super) domains: Vec<FailoverDomain<'t>>,
    pub machines: Vec<VmConf<'t>>,
    /// Whether events are handled by one node for all.
    pub central: bool,
    /// What is not a machine's and has no counterpart.
    pub told: Vec<String>,
}

/// A `<vm>` with what counts for it.
pub(in crate::cluster) struct VmConf<'t> {
    pub name: &'t str,
    /// Its attributes and, where it has not got one, those of `<resource-defaults>`.
    pub attributes: Vec<(&'t str, &'t str)>,
    /// What the daemon reads of the service that it is part of; its own attributes, where it is none's.
    pub kept_by: Vec<(&'t str, &'t str)>,
    /// `__enforce_timeouts` and the like, which stand where it is used.
    pub flags: Vec<(&'t str, &'t str)>,
    /// `<action>`.
    pub actions: Vec<ActionConf<'t>>,
    /// The service that it is part of, and what else that has.
    pub service: Option<(&'t str, Vec<String>)>,
    /// What stands inside it.
    pub children: Vec<String>,
}

/// What `<action>` says of an action.
pub(in crate::cluster) struct ActionConf<'t> {
    pub name: &'t str,
    /// Nothing for all depths.
    pub depth: Option<i64>,
    pub timeout: Option<u64>,
    pub interval: Option<u64>,
}

impl<'t> VmConf<'t> {
    /// An attribute that the daemon reads; one that is empty says nothing.
    pub(super) fn kept(&self, name: &str) -> Option<&'t str> {
        value(&self.kept_by, name)
    }

    pub(super) fn flag(&self, name: &str) -> Option<&'t str> {
        value(&self.flags, name)
    }

    /// The last word of `<action>` on this one.
    pub(super) fn action(&self, name: &str, depth: i64, of: impl Fn(&ActionConf<'t>) -> Option<u64>) -> Option<u64> {
        let said = self.actions.iter().filter(|it| it.name == name && it.depth.is_none_or(|its| its == depth));
        said.filter_map(of).next_back()
    }
}

fn value<'t>(pairs: &[(&'t str, &'t str)], name: &str) -> Option<&'t str> {
    pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).filter(|value| !value.is_empty())
}

pub(in crate::cluster) fn read_conf<'a>(cluster: &'a Element<'_>) -> ClusterConf<'a> {
    let mut conf = ClusterConf { domains: Vec::new(), machines: Vec::new(), central: false, told: Vec::new() };
    let Some(rm) = cluster.first("rm") else {
        conf.told.push("it has no <rm>, so rgmanager runs nothing by it".into());
        return conf;
    };
    if cluster.all("rm").count() > 1 {
        conf.told.push("it has more than one <rm>: what stands in the others is not converted".into());
    }
    conf.domains = FailoverDomain::all(rm);
    conf.central = rm.attribute("central_processing").is_some_and(|it| leading_number(it) != 0);
    let defaults = rm.first("resource-defaults").map(|it| it.children.as_slice()).unwrap_or_default();
    let shared: Vec<&Element<'_>> = rm.all("resources").flat_map(|it| &it.children).collect();
    let mut tree = ServiceTree { defaults, shared, conf };
    for top in &rm.children {
        if is_vm(top) {
            tree.take(top, None);
        } else if top.is("service") {
            tree.service(top);
        }
    }
    let mut conf = tree.conf;
    of_the_daemon(cluster, rm, &mut conf.told);
    conf
}

fn is_vm(element: &Element<'_>) -> bool {
    element.namespace.is_none() && element.name.eq_ignore_ascii_case("vm")
}

/// Whether they are resources of one type.
fn are_alike(one: &Element<'_>, other: &Element<'_>) -> bool {
    one.namespace.is_none() && one.name.eq_ignore_ascii_case(other.name)
}

fn attributes<'a>(element: &'a Element<'_>) -> Vec<(&'a str, &'a str)> {
    element.attributes.iter().filter(|it| it.namespace.is_none()).map(|it| (it.name, it.value.as_ref())).collect()
}

/// The tree of services while it is read.
struct ServiceTree<'a, 't> {
    /// What `<resource-defaults>` and `<resources>` have.
    defaults: &'a [Element<'t>],
    shared: Vec<&'a Element<'t>>,
    conf: ClusterConf<'a>,
}

impl<'a, 't> ServiceTree<'a, 't> {
    fn service(&mut self, used: &'a Element<'t>) {
        let Some(service) = self.defined(used) else { return };
        let (mut machines, mut others) = (Vec::new(), Vec::new());
        below(used, &mut machines, &mut others);
        let name = service.attribute("name").unwrap_or_default();
        if machines.is_empty() {
            let has = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
            let told = format!("service:{}{has} has no virtual machine and is not converted", shown(name.as_ref()));
            self.conf.told.push(told);
        }
        for vm in machines {
            self.take(vm, Some((name, service, &others)));
        }
    }

    /// What is used: the element itself, or the one of `<resources>` that it refers to, if that exists.
    fn defined(&mut self, used: &'a Element<'t>) -> Option<&'a Element<'t>> {
        let Some(name) = used.attribute("ref") else { return Some(used) };
        let is_it = |it: &&&Element<'_>| are_alike(it, used) && it.attribute("name") == Some(name);
        let found = self.shared.iter().find(is_it).copied();
        if found.is_none() {
            let (kind, name) = (shown(used.name.as_ref()), shown(name.as_ref()));
            self.conf.told.push(format!("<{kind} ref=\"{name}\"> names nothing in <resources>: rgmanager skips it"));
        }
        found
    }

    /// The attributes of one and, where it has not got one, those of `<resource-defaults>`.
    fn own(&self, defined: &'a Element<'t>) -> Vec<(&'a str, &'a str)> {
        let mut own = attributes(defined);
        let defaults = self.defaults.iter().find(|it| are_alike(it, defined)).map(attributes).unwrap_or_default();
        for (default, value) in defaults {
            if default != "name" && own.iter().all(|(known, _)| *known != default) {
                own.push((default, value));
            }
        }
        own
    }

    /// A `<vm>` where it is used: with a name, or as a reference to one of `<resources>`.
    fn take(&mut self, used: &'a Element<'t>, service: Option<(&'a str, &'a Element<'t>, &Vec<String>)>) {
        let Some(defined) = self.defined(used) else { return };
        let Some(name) = defined.attribute("name") else {
            self.conf.told.push("a <vm> without a name: rgmanager skips it".into());
            return;
        };
        if self.conf.machines.iter().any(|known| known.name == name) {
            let name = shown(name.as_ref());
            self.conf
                .told
                .push(format!("vm:{name} stands there more than once: rgmanager takes the first, and so does this"));
            return;
        }
        let own = self.own(defined);
        if used.attribute("ref").is_some() {
            for (ignored, _) in attributes(used).iter().filter(|(it, _)| *it != "ref" && !it.starts_with("__")) {
                let (name, ignored) = (shown(name.as_ref()), shown(ignored.as_ref()));
                self.conf
                    .told
                    .push(format!("vm:{name}: rgmanager ignores '{ignored}' beside ref; what <resources> says counts"));
            }
        }
        self.conf.machines.push(VmConf {
            name,
            kept_by: service.map_or_else(|| own.clone(), |(_, element, _)| self.own(element)),
            attributes: own,
            flags: attributes(used).into_iter().filter(|(it, _)| it.starts_with("__")).collect(),
            actions: defined.all("action").filter_map(ActionConf::of).collect(),
            service: service.map(|(name, _, others)| (name, others.clone())),
            children: used.children.iter().filter(|it| !it.is("action")).map(in_short).collect(),
        });
    }
}

/// The machines of a service, at any depth, and the rest of it.
fn below<'a, 't>(element: &'a Element<'t>, machines: &mut Vec<&'a Element<'t>>, others: &mut Vec<String>) {
    for child in &element.children {
        if is_vm(child) {
            machines.push(child);
        } else if !child.is("action") {
            others.push(in_short(child));
            below(child, machines, others);
        }
    }
}

/// An element in a few words: `ip 10.0.0.1`.
fn in_short(element: &Element<'_>) -> String {
    let name = ["name", "ref", "address"].iter().find_map(|it| element.attribute(it)).unwrap_or_default();
    format!("{} {}", shown(element.name.as_ref()), shown(name.as_ref())).trim_end().to_owned()
}

impl<'a> ActionConf<'a> {
    fn of(action: &'a Element<'_>) -> Option<Self> {
        let depth = action.attribute("depth").filter(|it| !it.starts_with('*')).map(|it| leading_number(it).max(0));
        Some(Self {
            name: action.attribute("name")?,
            depth,
            timeout: action.attribute("timeout").map(rgmanager_seconds),
            interval: action.attribute("interval").map(rgmanager_seconds),
        })
    }
}

/// What the daemon and the cluster below it have, and no resource can.
fn of_the_daemon(cluster: &Element<'_>, rm: &Element<'_>, told: &mut Vec<String>) {
    let devices = cluster.first("fencedevices").map_or(0, |it| it.children.len());
    told.push(format!(
        "fencing is not converted (fence devices in the file: {devices}): without it nothing proves that a silent node runs \
         nothing, so create it first (README, Pacemaker in a minute)"
    ));
    let rest: Vec<String> = rm.children.iter().filter(|it| !known_in_rm(it)).map(in_short).collect();
    if !rest.is_empty() {
        told.push(format!("no counterpart in Pacemaker: {} in <rm>", rest.join(", ")));
    }
    let settings = rm.attributes.iter().filter(|it| it.name != "central_processing");
    let settings: Vec<String> = settings.map(|it| shown(it.name.as_ref())).collect();
    if !settings.is_empty() {
        told.push(format!("what <rm> itself sets is for rgmanager's daemon, and left out: {}", settings.join(", ")));
    }
    told.push(
        "what clusvcadm has disabled or frozen is not in this file: see clustat before anything is started".into(),
    );
}

fn known_in_rm(element: &Element<'_>) -> bool {
    is_vm(element)
        || ["service", "resources", "resource-defaults", "failoverdomains"].iter().any(|known| element.is(known))
}
