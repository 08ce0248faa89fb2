// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a cluster that runs here manages a virtual machine: then a person must tell the cluster, not this program,
//! or the cluster takes what the person did for a failure.

use crate::child::{Child, Ended, find_program};
use crate::domain_xml::{Element, read};
use crate::invocation::{Action, Invocation};
use crate::ocf::ascii_line;
use crate::time::Deadline;
use std::path::Path;
use std::time::Duration;

/// The resource that manages it, and by which cluster.
#[derive(Debug, PartialEq, Eq)]
struct Manager {
    /// `foo` or `vm:foo`.
    resource: String,
    rgmanager: bool,
}

/// The sentence that refuses `inv`, if a cluster that runs here manages its virtual machine.
#[must_use]
pub fn refusal(inv: &Invocation) -> Option<String> {
    let found = pacemaker(inv).or_else(|| rgmanager(inv, Path::new("/")))?;
    let Manager { resource, rgmanager } = &found;
    let instead = match (inv.action, rgmanager) {
        (Action::Stop | Action::Kill, false) => format!("pcs resource disable {resource}"),
        (Action::Start, false) => format!("pcs resource enable {resource}"),
        (Action::Restart | Action::Recover, false) => format!("pcs resource restart {resource}"),
        (Action::Migrate, false) => format!("pcs resource move {resource} NODE"),
        (Action::Stop | Action::Kill, true) => format!("clusvcadm -d {resource}"),
        (Action::Start, true) => format!("clusvcadm -e {resource}"),
        (Action::Restart | Action::Recover, true) => format!("clusvcadm -R {resource}"),
        (Action::Migrate, true) => format!("clusvcadm -M {resource} -m NODE"),
        (
            Action::Status
            | Action::Monitor
            | Action::MetaData
            | Action::ValidateAll
            | Action::Reload
            | Action::MigrateTo
            | Action::MigrateFrom
            | Action::Usage,
            _,
        ) => return None,
    };
    let cluster = if *rgmanager { "rgmanager" } else { "Pacemaker" };
    Some(format!(
        "nothing was done: {cluster} manages this virtual machine as '{resource}'; use '{instead}', or add --force"
    ))
}

/// Asks a Pacemaker that runs here; one that does not run manages nothing.
fn pacemaker(inv: &Invocation) -> Option<Manager> {
    let cibadmin = find_program("cibadmin")?;
    let query = Child::new(&cibadmin).args(["--query", "--local"]).capture(16 * 1024 * 1024);
    let cib = match query.run(Deadline::after(Duration::from_secs(5))) {
        Ok(cib) => cib,
        Err(error) => {
            log::warn!("whether Pacemaker manages it could not be asked: {error}");
            return None;
        }
    };
    if cib.ended == Ended::TimedOut {
        log::warn!("whether Pacemaker manages it is not known: cibadmin did not answer");
    }
    if cib.ended != Ended::Exited(0) {
        return None;
    }
    in_cib(std::str::from_utf8(&cib.stdout).ok()?, inv)
}

fn in_cib(text: &str, inv: &Invocation) -> Option<Manager> {
    let cib = read(text).ok()?;
    let configuration = cib.first("configuration")?;
    let yes = |value: &str| crate::params::boolean(value) == Some(true);
    let maintenance = configuration.first("crm_config").is_some_and(|config| {
        config.all("cluster_property_set").any(|set| pair(set, "maintenance-mode").is_some_and(yes))
    });
    if maintenance {
        return None;
    }
    let mut primitives = Vec::new();
    primitives_below(configuration.first("resources")?, &mut primitives);
    primitives.into_iter().find_map(|primitive| {
        let unmanaged = primitive.all("meta_attributes").any(|set| {
            pair(set, "is-managed").is_some_and(|value| !yes(value)) || pair(set, "maintenance").is_some_and(yes)
        });
        let ours = primitive.all("instance_attributes").any(|set| names(inv, &|name| pair(set, name)));
        let agent = primitive.attribute("type").is_some_and(|kind| matches!(kind, "vm" | "VirtualDomain"));
        (agent && ours && !unmanaged)
            .then(|| Manager { resource: primitive.attribute("id").unwrap_or_default().to_owned(), rgmanager: false })
    })
}

fn primitives_below<'a, 't>(element: &'a Element<'t>, to: &mut Vec<&'a Element<'t>>) {
    for child in &element.children {
        if child.is("primitive") {
            to.push(child);
        } else if child.is("group") || child.is("clone") {
            primitives_below(child, to);
        }
    }
}

fn pair<'a>(set: &'a Element<'_>, name: &'a str) -> Option<&'a str> {
    set.all("nvpair").find(|pair| pair.attribute("name") == Some(name)).and_then(|pair| pair.attribute("value"))
}

/// Whether a resource's parameters are about the virtual machine of `inv`: by name, by the same definition's file, or by
/// a file that is named for it.
fn names<'a>(inv: &Invocation, parameter: &dyn Fn(&'a str) -> Option<&'a str>) -> bool {
    let config = parameter("config").or_else(|| parameter("xmlfile")).map(Path::new);
    match (parameter("name"), config) {
        (Some(name), _) => inv.params.name.as_deref() == Some(name),
        (None, Some(config)) => {
            inv.params.config.as_deref() == Some(config)
                || inv.params.name.as_deref().is_some_and(|name| config.file_stem().is_some_and(|stem| stem == name))
        }
        (None, None) => false,
    }
}

/// Reads rgmanager's configuration, if rgmanager runs here.
fn rgmanager(inv: &Invocation, root: &Path) -> Option<Manager> {
    let pid = std::fs::read_to_string(root.join("run/rgmanager.pid")).ok()?;
    let pid: u32 = pid.trim().parse().ok()?;
    let comm = std::fs::read_to_string(root.join(format!("proc/{pid}/comm"))).ok()?;
    if !matches!(comm.trim(), "rgmanager" | "clurgmgrd") {
        return None;
    }
    let text = std::fs::read_to_string(root.join("etc/cluster/cluster.conf")).ok()?;
    let cluster = match read(&text) {
        Ok(cluster) => cluster,
        Err(error) => {
            log::warn!("cluster.conf cannot be read: {}", ascii_line(&error.to_string(), 200));
            return None;
        }
    };
    let rm = cluster.first("rm")?;
    let name = inv.params.name.as_deref()?;
    let named = |vm: &Element<'_>| vm.attribute("name").or_else(|| vm.attribute("ref")) == Some(name);
    let found = rm.all("vm").any(named) || rm.all("service").any(|service| service.all("vm").any(named));
    found.then(|| Manager { resource: format!("vm:{name}"), rgmanager: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::{Caller, Environment};

    fn inv(name: &str) -> Invocation {
        let env = Environment::from_pairs([("OCF_RESKEY_name".into(), name.into())]);
        Invocation::from_manager(Caller::Human, Action::Stop, None, &env)
    }

    fn cib(parameters: &str, meta: &str, config: &str) -> String {
        format!(
            "<cib><configuration><crm_config><cluster_property_set id='o'>{config}</cluster_property_set></crm_config>\
             <resources><group id='g'><primitive id='r1' class='ocf' provider='vm-agent' type='vm'>\
             <instance_attributes id='i'>{parameters}</instance_attributes><meta_attributes id='m'>{meta}\
             </meta_attributes></primitive></group></resources></configuration></cib>"
        )
    }

    #[test]
    fn a_resource_of_that_name_manages_it() {
        let found = in_cib(&cib("<nvpair id='a' name='name' value='foo'/>", "", ""), &inv("foo"));
        assert_eq!(found, Some(Manager { resource: "r1".into(), rgmanager: false }));
        assert_eq!(in_cib(&cib("<nvpair id='a' name='name' value='foo-1'/>", "", ""), &inv("foo")), None);
    }

    #[test]
    fn a_definition_named_for_it_counts() {
        assert!(in_cib(&cib("<nvpair id='a' name='config' value='/vms/foo.xml'/>", "", ""), &inv("foo")).is_some());
    }

    #[test]
    fn in_maintenance_a_person_may_act() {
        let foo = "<nvpair id='a' name='name' value='foo'/>";
        assert_eq!(in_cib(&cib(foo, "<nvpair id='b' name='is-managed' value='false'/>", ""), &inv("foo")), None);
        assert_eq!(in_cib(&cib(foo, "", "<nvpair id='c' name='maintenance-mode' value='true'/>"), &inv("foo")), None);
    }

    #[test]
    fn rgmanagers_configuration_counts_only_while_it_runs() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["run", "proc/7", "etc/cluster"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let conf = "<cluster><rm><vm name='foo' path='/vms'/></rm></cluster>";
        std::fs::write(root.path().join("etc/cluster/cluster.conf"), conf).unwrap();
        assert_eq!(rgmanager(&inv("foo"), root.path()), None);
        std::fs::write(root.path().join("run/rgmanager.pid"), "7\n").unwrap();
        std::fs::write(root.path().join("proc/7/comm"), "rgmanager\n").unwrap();
        assert!(rgmanager(&inv("foo"), root.path()).is_some());
        assert_eq!(rgmanager(&inv("bar"), root.path()), None);
    }
}
