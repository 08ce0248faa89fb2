// SPDX-License-Identifier: GPL-2.0-or-later
//! Where else a virtual machine runs: the other members of the cluster are asked, all at once and for a bounded time. What
//! a member's libvirt says counts more than what the cluster believes, which in maintenance it no longer looks at.

use crate::cluster::{Kind, LARGEST, Resource, cluster_conf, tool, unreadable};
use crate::host::look::{Depth, Looker};
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::definition::{Element, read, read_large};
use crate::model::facts::{Definition, Libvirt};
use crate::model::params::Params;
use crate::model::presence::{Presence, presence};
use crate::model::target;
use crate::model::worker::Who;
use crate::policy::settle::{self, There};
use crate::sys::child::find_program;
use crate::sys::roots::Roots;
use crate::sys::text::ascii_line;
use crate::sys::text::uuid_text;
use crate::sys::time::Deadline;
use serde::Serialize;
use std::ffi::OsStr;
use std::path::Path;

/// Another member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    node: String,
    standing: Standing,
    /// Whether the cluster believes that the virtual machine runs there.
    believed: bool,
}

/// How the cluster sees a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Online,
    /// Left, or died and was fenced.
    Offline,
    /// Died, and was not fenced: it may still run what it ran.
    Unclean,
}

/// What a member said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    pub node: String,
    standing: Standing,
    /// Whether the virtual machine runs there, as far as the member told.
    pub runs: Option<bool>,
    /// Its state there; why it is not known.
    pub state: String,
}

impl Said {
    /// In words.
    pub(super) fn text(&self) -> String {
        match self.runs {
            Some(true) => format!("it RUNS there ({})", self.state),
            Some(false) => self.state.clone(),
            None => format!("not known: {}", self.state),
        }
    }

    /// Whether it cannot be ruled out that the virtual machine runs there.
    pub(super) fn matters(&self) -> bool {
        match self.runs {
            Some(runs) => runs,
            None => match self.standing {
                Standing::Online | Standing::Unclean => true,
                Standing::Offline => false,
            },
        }
    }
}

/// Who is asked about.
struct Subject {
    name: String,
    /// Its UUID, where the definition tells it: it may run there under another name.
    uuid: Option<String>,
}

/// The sentence that refuses to start what runs elsewhere, or may; nothing where it runs here.
pub(super) fn refusal(
    inv: &Invocation,
    env: &Environment,
    kind: Kind,
    resource: Option<&Resource>,
    until: Deadline,
) -> Option<String> {
    let inv = as_configured(inv, env, resource);
    let mut looker = Looker::new(&inv, env, Roots::default());
    let depth = Depth { process: true, thorough: false };
    let seen = looker.look(&inv, depth, inv.budget().share(Share::LookHere, until.left()), until);
    match presence(&seen) {
        Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } => return None,
        Presence::Off(_) | Presence::Unknown(_) => {}
    }
    let known = match &seen.libvirt {
        Libvirt::Domain(domain) => Some(domain.uuid),
        Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => None,
    };
    let name = looker.name().unwrap_or("the virtual machine").to_owned();
    let said = ask(&inv, &mut looker, known, kind, resource, until);
    let way_out = "nothing was done: see there, or add --force";
    match said {
        Err(why) => Some(format!("cannot tell whether '{name}' runs on another node: {why}; {way_out}")),
        Ok(said) => {
            let runs = said.iter().find(|member| member.runs == Some(true));
            let member = runs.or_else(|| said.iter().find(|member| member.matters()))?;
            let (node, state) = (&member.node, &member.state);
            Some(if runs.is_some() {
                format!("'{name}' runs on {node} ({state}): a second copy would damage its disks; {way_out}")
            } else {
                format!("cannot tell whether '{name}' runs on {node}: {state}; {way_out}")
            })
        }
    }
}

/// What the other members say of a virtual machine, about which `looker` knows what there is to know here.
///
/// # Errors
/// Why nobody can be asked.
pub(super) fn ask(
    inv: &Invocation,
    looker: &mut Looker,
    known: Option<[u8; 16]>,
    kind: Kind,
    resource: Option<&Resource>,
    until: Deadline,
) -> Result<Vec<Said>, String> {
    let members = match kind {
        Kind::Pacemaker => pacemaker(resource, until)?,
        Kind::Rgmanager => rgmanager(resource, until)?,
    };
    if members.is_empty() {
        return Ok(Vec::new());
    }
    looker.read_definition(inv);
    let uuid = known.or(match looker.definition() {
        Definition::File(defined) => defined.uuid,
        Definition::NotLooked | Definition::None { .. } | Definition::Bad(_) => None,
    });
    let name = looker.name().ok_or("its name is not known")?.to_owned();
    let subject = Subject { name, uuid: uuid.map(|uuid| uuid_text(&uuid)) };
    let source = looker.uri.as_str();
    let one = |member: &Member| member.said(inv, source, &subject, until);
    Ok(std::thread::scope(|scope| {
        let asked: Vec<_> = members.iter().map(|member| (member, scope.spawn(|| one(member)))).collect();
        let said = asked.into_iter().map(|(member, thread)| {
            thread.join().unwrap_or_else(|_| member.answered(None, "it could not be asked".into()))
        });
        said.collect()
    }))
}

/// The call with the parameters that the cluster has for the virtual machine, where the person gave no others.
pub(super) fn as_configured(inv: &Invocation, env: &Environment, resource: Option<&Resource>) -> Invocation {
    let Some(resource) = resource else { return inv.clone() };
    let configured = resource.params.iter().map(|(name, value)| (name.as_bytes(), OsStr::new(value.as_str())));
    Invocation { params: Params::read(configured.chain(env.reskeys())), ..inv.clone() }
}

impl Member {
    fn said(&self, inv: &Invocation, source: &str, subject: &Subject, until: Deadline) -> Said {
        let until = match self.standing {
            Standing::Online | Standing::Unclean => until,
            Standing::Offline => inv.budget().until(Share::Offline, until),
        };
        let there = match uri(&self.node, inv, source) {
            Ok(uri) => there(&uri, subject, until),
            Err(why) => There::Unknown(why),
        };
        match there {
            There::Running(state) => self.answered(Some(true), state.to_string()),
            There::Arriving => self.answered(Some(true), "arriving there".into()),
            There::Off => self.answered(Some(false), "not running".into()),
            There::Unknown(why) => {
                let why = ascii_line(&why, 160);
                let believed = if self.believed { "; the cluster believes that it does" } else { "" };
                let how = match self.standing {
                    Standing::Online => "",
                    Standing::Offline => "it is offline, ",
                    Standing::Unclean => "it was lost and not fenced, ",
                };
                self.answered(None, format!("{how}{why}{believed}"))
            }
        }
    }

    fn answered(&self, runs: Option<bool>, state: String) -> Said {
        Said { node: self.node.clone(), standing: self.standing, runs, state }
    }
}

/// Where libvirt answers on a node: as a migration finds it, also for hypervisors that cannot migrate.
fn uri(node: &str, inv: &Invocation, source: &str) -> Result<String, String> {
    let driver = source.split([':', '+']).next().unwrap_or_default();
    let migrates = matches!(driver, "qemu" | "xen");
    let found = target::find(node, &inv.params.migration, if migrates { source } else { "qemu:///system" }, false)?;
    Ok(match found.uri.strip_prefix("qemu+") {
        Some(rest) if !migrates => format!("{driver}+{rest}"),
        Some(_) | None => found.uri,
    })
}

/// How the domain is at this host: by its name, and by its UUID if no such name runs.
fn there(uri: &str, subject: &Subject, until: Deadline) -> There {
    let ask = |who| {
        backend::lookup(uri, who, until)
            .map_or_else(|failure| There::Unknown(failure.said), |lookup| settle::there(&lookup))
    };
    let by_name = ask(Who::Name(subject.name.clone()));
    match (&by_name, &subject.uuid) {
        (There::Off, Some(uuid)) => ask(Who::Uuid(uuid.clone())),
        (There::Off | There::Arriving | There::Running(_) | There::Unknown(_), _) => by_name,
    }
}

fn pacemaker(resource: Option<&Resource>, until: Deadline) -> Result<Vec<Member>, String> {
    let program = |name: &str| find_program(name).ok_or_else(|| format!("{name} is not installed"));
    let failed = |name: &str, code: i32| format!("{name} ended with {code}");
    let here = tool(&program("crm_node")?, &["-n"], until)?.map_err(|code| failed("crm_node", code))?;
    let here = String::from_utf8_lossy(&here).trim().to_owned();
    let crm_mon = program("crm_mon")?;
    // Pacemaker 1.1 has only the second.
    let status = match tool(&crm_mon, &["-1", "--output-as=xml"], until)? {
        Ok(status) => status,
        Err(_) => tool(&crm_mon, &["--as-xml"], until)?.map_err(|code| failed("crm_mon", code))?,
    };
    in_status(&String::from_utf8_lossy(&status), &here, resource.map(|resource| resource.name.as_str()))
}

/// The members in what crm_mon says, but this node and guests that are nodes.
fn in_status(text: &str, here: &str, resource: Option<&str>) -> Result<Vec<Member>, String> {
    let unreadable = |why: &str| format!("the cluster's status cannot be read: {why}");
    let status = read_large(text, LARGEST.1).map_err(|error| unreadable(&ascii_line(&error.to_string(), 200)))?;
    let nodes = status.first("nodes").ok_or_else(|| unreadable("it has no nodes"))?;
    let mut believed = Vec::new();
    if let (Some(resource), Some(resources)) = (resource, status.first("resources")) {
        running_on(resources, resource, &mut believed);
    }
    let yes = |node: &Element<'_>, name: &str| node.attribute(name) == Some("true");
    let others = nodes
        .all("node")
        .filter(|node| node.attribute("name") != Some(here) && node.attribute("id_as_resource").is_none());
    Ok(others
        .filter_map(|node| {
            let name = node.attribute("name")?;
            let standing = if yes(node, "online") || yes(node, "pending") {
                Standing::Online
            } else if yes(node, "unclean") {
                Standing::Unclean
            } else {
                Standing::Offline
            };
            Some(Member { node: name.to_owned(), standing, believed: believed.contains(&name) })
        })
        .collect())
}

/// The nodes on which an active `resource`, or an instance of it, is.
fn running_on<'a>(element: &'a Element<'_>, resource: &str, nodes: &mut Vec<&'a str>) {
    for child in &element.children {
        let is_it = child.is("resource") && child.attribute("id").and_then(|id| id.split(':').next()) == Some(resource);
        if is_it && child.attribute("active") == Some("true") {
            nodes.extend(child.all("node").filter_map(|node| node.attribute("name")));
        }
        running_on(child, resource, nodes);
    }
}

fn rgmanager(resource: Option<&Resource>, until: Deadline) -> Result<Vec<Member>, String> {
    let resource = resource.map(|resource| resource.name.as_str());
    if let Some(clustat) = find_program("clustat")
        && let Ok(Ok(status)) = tool(&clustat, &["-x"], until)
    {
        return in_clustat(&String::from_utf8_lossy(&status), resource);
    }
    let text = cluster_conf(Path::new("/"))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    in_cluster_conf(&text, &host)
}

/// The members in what `clustat -x` says.
fn in_clustat(text: &str, resource: Option<&str>) -> Result<Vec<Member>, String> {
    let status = read(text).map_err(|error| format!("clustat's answer cannot be read: {error}"))?;
    let groups = status.first("groups").into_iter().flat_map(|groups| groups.all("group"));
    let owner = groups
        .filter(|group| resource.is_some() && group.attribute("name") == resource)
        .find(|group| group.attribute("state_str") == Some("started"))
        .and_then(|group| group.attribute("owner"));
    let nodes = status.first("nodes").ok_or("clustat's answer has no nodes")?.all("node");
    let others = nodes.filter(|node| node.attribute("local") != Some("1") && node.attribute("qdisk") != Some("1"));
    Ok(others
        .filter_map(|node| {
            let name = node.attribute("name")?;
            let standing = if node.attribute("state") == Some("0") { Standing::Offline } else { Standing::Online };
            Some(Member { node: name.to_owned(), standing, believed: owner == Some(name) })
        })
        .collect())
}

/// The members that rgmanager is configured with, all taken to be online.
fn in_cluster_conf(text: &str, host: &str) -> Result<Vec<Member>, String> {
    let cluster = read(text).map_err(|error| unreadable(&error))?;
    let nodes = cluster.first("clusternodes").into_iter().flat_map(|nodes| nodes.all("clusternode"));
    let others = nodes.filter_map(|node| node.attribute("name")).filter(|name| !target::same_node(name, host));
    let member = |name: &str| Member { node: name.to_owned(), standing: Standing::Online, believed: false };
    Ok(others.map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::{Action, Caller};

    fn told(members: &[Member]) -> Vec<(&str, Standing, bool)> {
        members.iter().map(|member| (member.node.as_str(), member.standing, member.believed)).collect()
    }

    #[test]
    fn pacemakers_other_members_are_those_of_its_status() {
        let status = "<?xml version=\"1.0\"?><pacemaker-result><nodes>\
            <node name='node1' id='1' online='true' unclean='false' pending='false' type='member'/>\
            <node name='node2' id='2' online='true' unclean='false' pending='false' type='member'/>\
            <node name='node3' id='3' online='false' unclean='true' pending='false' type='member'/>\
            <node name='node4' id='4' online='false' unclean='false' pending='false' type='member'/>\
            <node name='node5' id='5' online='false' unclean='false' pending='true' type='member'/>\
            <node name='guest' id='g' online='true' unclean='false' type='remote' id_as_resource='web'/>\
            </nodes><resources><group id='g'><resource id='web' active='true'><node name='node2'/></resource></group>\
            <resource id='web2' active='true'><node name='node3'/></resource>\
            <resource id='web' active='false'><node name='node4'/></resource></resources></pacemaker-result>";
        let members = in_status(status, "node1", Some("web")).unwrap();
        let expected = [
            ("node2", Standing::Online, true),
            ("node3", Standing::Unclean, false),
            ("node4", Standing::Offline, false),
            ("node5", Standing::Online, false),
        ];
        assert_eq!(told(&members), expected);
        for bad in ["", "<pacemaker-result/>", "<nodes>"] {
            assert!(in_status(bad, "node1", None).is_err(), "{bad}");
        }
    }

    #[test]
    fn rgmanagers_other_members_are_those_of_clustat_or_of_its_configuration() {
        let status = "<?xml version=\"1.0\"?><clustat version=\"4.1.1\"><nodes>\
            <node name=\"a.example\" state=\"1\" local=\"1\" qdisk=\"0\"/><node name=\"b\" state=\"1\" local=\"0\" qdisk=\"0\"/>\
            <node name=\"c\" state=\"0\" local=\"0\" qdisk=\"0\"/><node name=\"/dev/q\" state=\"1\" local=\"0\" qdisk=\"1\"/>\
            </nodes><groups><group name=\"vm:web\" state_str=\"started\" owner=\"b\"/></groups></clustat>";
        let members = in_clustat(status, Some("vm:web")).unwrap();
        assert_eq!(told(&members), [("b", Standing::Online, true), ("c", Standing::Offline, false)]);
        let conf =
            "<cluster><clusternodes><clusternode name='a.example'/><clusternode name='b'/></clusternodes></cluster>";
        assert_eq!(told(&in_cluster_conf(conf, "a").unwrap()), [("b", Standing::Online, false)]);
        assert!(in_cluster_conf("<cluster>", "a").is_err());
    }

    #[test]
    fn a_member_is_asked_where_a_migration_would_connect() {
        let inv = |vars: &[(&str, &str)]| {
            let pairs = vars.iter().map(|(name, value)| (name.into(), value.into()));
            Invocation::from_manager(Caller::Human, Action::Start, None, &Environment::from_pairs(pairs))
        };
        let mapped = inv(&[("OCF_RESKEY_migration_mapping", "n2:b.example"), ("OCF_RESKEY_migration_user", "vm")]);
        assert_eq!(uri("n2", &mapped, "qemu:///system").unwrap(), "qemu+ssh://vm@b.example/system?no_tty=1");
        assert_eq!(uri("n2", &inv(&[]), "lxc:///system").unwrap(), "lxc+ssh://n2/system?no_tty=1");
        assert!(uri("-oProxyCommand=x", &inv(&[]), "qemu:///system").is_err());
    }

    #[test]
    fn only_the_silence_of_an_offline_member_counts_for_nothing() {
        let said = |standing, runs| Said { node: "n".into(), standing, runs, state: String::new() }.matters();
        assert!(said(Standing::Online, None) && said(Standing::Unclean, None) && !said(Standing::Offline, None));
        assert!(said(Standing::Offline, Some(true)) && !said(Standing::Unclean, Some(false)));
    }
}
