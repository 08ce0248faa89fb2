// SPDX-License-Identifier: GPL-2.0-or-later
//! What a plan must know of a CIB itself: its nodes, its resources with the times of their operations; and the copy in which
//! a resource is to be elsewhere. Pure: the text is read, and a new one made.

use crate::cluster::LARGEST;
use crate::cluster::convert::times::pacemaker_ms;
use crate::cluster::convert::words::escaped;
use crate::cluster::primitive::{DEFAULT_TIMEOUT, Primitive, interval, pair, primitives, property, said_of};
use crate::model::definition::{Element, read_large};
use crate::model::params::boolean;
use crate::sys::text::ascii_line;
use std::ops::Range;

/// Pacemaker's own timeout of fencing, in milliseconds.
const STONITH_TIMEOUT: u64 = 60_000;

/// What of a CIB is asked for.
#[derive(Debug, Default)]
pub(crate) struct PlannedCib {
    pub nodes: Vec<String>,
    pub resources: Vec<PlannedResource>,
    /// How long fencing may take, in milliseconds.
    pub stonith_timeout: u64,
    /// The timeout of an operation that has none of its own.
    default_timeout: u64,
}

/// A primitive.
#[derive(Debug)]
pub(crate) struct PlannedResource {
    pub id: String,
    /// `ocf:vm-agent:vm`.
    pub agent: String,
    /// Whether it is a virtual machine.
    pub is_machine: bool,
    /// The machine's name, where it is configured.
    pub machine: Option<String>,
    /// Whether somebody wants it stopped, or left as it is.
    pub is_left: bool,
    /// Whether it may move while it runs.
    pub may_migrate: bool,
    /// Whether a monitor answers 190 while libvirt is silent (`degraded_when_blind`).
    pub degraded_when_blind: bool,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    name: String,
    interval: u64,
    timeout: Option<u64>,
    on_fail: Option<String>,
}

impl PlannedResource {
    /// Whether libvirtd's silence is no failure to its monitor.
    pub(crate) fn is_ours(&self) -> bool {
        self.agent.starts_with("ocf:vm-agent:")
    }

    /// The shortest interval of its monitors, in milliseconds.
    pub(crate) fn monitor(&self) -> Option<u64> {
        let monitors = self.operations.iter().filter(|it| it.name == "monitor" && it.interval > 0);
        monitors.map(|it| it.interval).min()
    }

    /// What follows a failure of an operation, where that is configured.
    pub(crate) fn on_fail(&self, operation: &str) -> Option<&str> {
        self.operations.iter().find(|it| it.name == operation)?.on_fail.as_deref()
    }
}

impl PlannedCib {
    /// Reads it.
    ///
    /// # Errors
    /// It is no whole CIB of a cluster.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let root = root(text)?;
        let configuration = root.first("configuration").ok_or("it has no <configuration>")?;
        let status = root.first("status").filter(|status| status.first("node_state").is_some());
        if status.is_none() {
            return Err(
                "it has no status: a plan is made of what 'cibadmin --query' prints on a cluster that runs".into()
            );
        }
        let nodes = configuration.all("nodes").flat_map(|nodes| nodes.all("node"));
        let resources = configuration.first("resources").ok_or("it has no <resources>")?;
        let fencing = |name: &str| property(configuration, &[name]).and_then(pacemaker_ms);
        let defaults = configuration.all("op_defaults").flat_map(|it| it.all("meta_attributes"));
        let defaults = defaults.filter_map(|set| pair(set, "timeout")).find_map(pacemaker_ms);
        Ok(Self {
            nodes: nodes.filter_map(|node| node.attribute("uname").map(str::to_owned)).collect(),
            resources: primitives(resources).iter().filter_map(resource).collect(),
            stonith_timeout: fencing("stonith-timeout").or(fencing("fencing-timeout")).unwrap_or(STONITH_TIMEOUT),
            default_timeout: defaults.unwrap_or(DEFAULT_TIMEOUT),
        })
    }

    /// The resource of this name, or the machine's.
    pub(crate) fn resource(&self, name: &str) -> Option<&PlannedResource> {
        let by_id = self.resources.iter().find(|it| it.id == name);
        by_id.or_else(|| self.resources.iter().find(|it| it.is_machine && it.machine.as_deref() == Some(name)))
    }

    /// How long an operation may take, in milliseconds.
    pub(crate) fn timeout(&self, resource: &str, operation: &str) -> u64 {
        let resource = self.resources.iter().find(|it| it.id == resource.split(':').next().unwrap_or(resource));
        let operation = resource.and_then(|it| it.operations.iter().find(|it| it.name == operation));
        operation.and_then(|it| it.timeout).unwrap_or(self.default_timeout)
    }
}

fn root(text: &str) -> Result<Element<'_>, String> {
    let root = read_large(text, LARGEST.1).map_err(|error| ascii_line(&error.to_string(), 200))?;
    if root.is("cib") { Ok(root) } else { Err(format!("it is no CIB, but <{}>", ascii_line(root.name, 40))) }
}

fn resource(primitive: &Primitive<'_, '_>) -> Option<PlannedResource> {
    let yes = |value: Option<&str>| value.and_then(boolean) == Some(true);
    let kind = primitive.attribute("type").unwrap_or_default();
    let agent = [primitive.attribute("class"), primitive.attribute("provider"), Some(kind)];
    let operation = |op: &Element<'_>| {
        Some(Operation {
            name: op.attribute("name")?.to_owned(),
            interval: interval(op),
            timeout: said_of(op, "timeout").and_then(pacemaker_ms),
            on_fail: said_of(op, "on-fail").map(str::to_owned),
        })
    };
    Some(PlannedResource {
        id: primitive.own.attribute("id")?.to_owned(),
        agent: agent.into_iter().flatten().collect::<Vec<_>>().join(":"),
        is_machine: matches!(kind, "vm" | "VirtualDomain" | "Xen"),
        machine: primitive.value("instance_attributes", "name").map(str::to_owned),
        is_left: primitive.value("meta_attributes", "target-role").is_some_and(|it| it.eq_ignore_ascii_case("stopped"))
            || primitive.value("meta_attributes", "is-managed").and_then(boolean) == Some(false),
        may_migrate: yes(primitive.value("meta_attributes", "allow-migrate")),
        degraded_when_blind: yes(primitive.value("instance_attributes", "degraded_when_blind")),
        operations: primitive.operations().into_iter().filter_map(operation).collect(),
    })
}

/// The CIB in which a resource is to be on a node, and what was said of that before by such commands counts no more: what
/// `crm_resource --move` makes of it.
pub(super) fn moved(text: &str, resource: &str, to: &str) -> Result<String, String> {
    let root = root(text)?;
    let configuration = root.first("configuration").ok_or("it has no <configuration>")?;
    let constraints = configuration.first("constraints").ok_or("it has no <constraints>")?;
    let (prefer, ban) = (format!("cli-prefer-{resource}"), format!("cli-ban-{resource}-on-{to}"));
    let earlier =
        constraints.all("rsc_location").filter(|it| it.attribute("id").is_some_and(|id| id == prefer || id == ban));
    let mut edits: Vec<(Range<usize>, String)> = earlier.map(|it| (it.span(), String::new())).collect();
    let wish = format!(
        "<rsc_location id=\"{}\" rsc=\"{}\" role=\"Started\" node=\"{}\" score=\"INFINITY\"/>",
        escaped(&prefer),
        escaped(resource),
        escaped(to)
    );
    if constraints.end_tag.is_empty() {
        edits.push((constraints.span(), format!("<constraints>{wish}</constraints>")));
    } else {
        edits.push((constraints.start_tag.end..constraints.start_tag.end, wish));
    }
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut changed = text.to_owned();
    for (at, with) in edits {
        changed.replace_range(at, &with);
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cib(resources: &str, constraints: &str) -> String {
        format!(
            "<cib><configuration><crm_config/><nodes><node id='1' uname='n1'/><node id='2' uname='n2'/></nodes><resources>\
             {resources}</resources>{constraints}</configuration><status><node_state id='1' uname='n1'/></status></cib>"
        )
    }

    const WEB: &str = "<template id='t' class='ocf' provider='vm-agent' type='vm'><operations><op id='s' name='stop' \
        interval='0' timeout='3min'/></operations></template><group id='g'><primitive id='web-r' template='t'>\
        <instance_attributes id='i'><nvpair id='n' name='name' value='web'/></instance_attributes><meta_attributes id='m'>\
        <nvpair id='a' name='allow-migrate' value='true'/></meta_attributes><operations><op id='x' name='monitor' \
        interval='1min'/><op id='y' name='monitor' interval='10s'/><op id='z' name='migrate_to' interval='0' timeout='600' \
        on-fail='block'/></operations></primitive></group>";

    #[test]
    fn the_times_and_rules_of_a_resource_are_those_of_its_operations_its_template_or_the_defaults() {
        let configured = PlannedCib::read(&cib(WEB, "<constraints/>")).unwrap();
        assert_eq!(configured.nodes, ["n1", "n2"]);
        for name in ["web", "web-r"] {
            let web = configured.resource(name).unwrap();
            assert!(web.is_machine && web.is_ours() && web.may_migrate);
            assert_eq!(
                (web.monitor(), web.on_fail("migrate_to"), web.on_fail("stop")),
                (Some(10_000), Some("block"), None)
            );
        }
        assert!(configured.resource("n1").is_none());
        let timeout = |operation: &str| configured.timeout("web-r:0", operation);
        assert_eq!((timeout("stop"), timeout("migrate_to"), timeout("start")), (180_000, 600_000, 20_000));
        assert_eq!(configured.stonith_timeout, 60_000);
    }

    #[test]
    fn what_is_no_cib_of_a_running_cluster_is_refused_with_why() {
        let without = cib(WEB, "").replace("<node_state id='1' uname='n1'/>", "");
        for (text, why) in [
            (without.as_str(), "it has no status"),
            ("<cluster/>", "it is no CIB, but <cluster>"),
            ("<cib/>", "it has no <configuration>"),
            ("", ""),
        ] {
            assert!(PlannedCib::read(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn a_copy_has_the_wish_for_a_move_and_not_the_earlier_ones() {
        let wish = |id: &str| format!("<rsc_location id='{id}' rsc='web-r' node='n2' score='INFINITY'/>");
        let own = wish("mine");
        let earlier =
            format!("<constraints>{}{own}{}</constraints>", wish("cli-prefer-web-r"), wish("cli-ban-web-r-on-n1"));
        for (constraints, kept) in [("<constraints/>", ""), ("<constraints></constraints>", ""), (&earlier, &own)] {
            let changed = moved(&cib(WEB, constraints), "web-r", "n1").unwrap();
            let expected = format!(
                "<constraints><rsc_location id=\"cli-prefer-web-r\" rsc=\"web-r\" role=\"Started\" node=\"n1\" \
                 score=\"INFINITY\"/>{kept}</constraints>"
            );
            assert_eq!(changed, cib(WEB, &expected));
        }
        assert!(moved(&cib(WEB, ""), "web-r", "n1").is_err());
    }
}
