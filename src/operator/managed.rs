// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a cluster that runs here manages a virtual machine: then a person must tell the cluster, not this program,
//! or the cluster takes what the person did for a failure.

use crate::child::{Child, Ended, find_program};
use crate::domain_xml::{Element, read, read_large};
use crate::invocation::{Action, Environment, Invocation};
use crate::observe::look::Looker;
use crate::observe::process::Roots;
use crate::ocf::ascii_line;
use crate::params::Params;
use crate::time::Deadline;
use std::path::Path;
use std::time::Duration;

/// The largest configuration of a cluster that is read, in bytes and in elements: some ten thousand resources.
const LARGEST: (usize, usize) = (32 << 20, 1 << 19);
/// How cibadmin ends when no cluster runs here: in Pacemaker 2, and as the system's own number before.
const NOT_CONNECTED: [i32; 2] = [102, 107];

/// The virtual machine that is asked about.
struct Asked<'a> {
    /// Its name, from the parameters or from its definition.
    name: Option<String>,
    config: Option<&'a Path>,
    /// The name in a definition's file, if it can be read.
    name_in: &'a dyn Fn(&Path) -> Option<String>,
}

/// The resource that manages it, and by which cluster.
#[derive(Debug, PartialEq, Eq)]
struct Manager {
    /// `foo` or `vm:foo`.
    resource: String,
    rgmanager: bool,
}

/// The sentence that refuses `inv`, if a cluster that runs here manages its virtual machine.
#[must_use]
pub fn refusal(inv: &Invocation, env: &Environment) -> Option<String> {
    // What a cluster says in its place: pcs resource, clusvcadm, and what follows the resource's name.
    let (verb, option, node) = match inv.action {
        Action::Stop | Action::Kill => ("disable", "-d", ("", "")),
        Action::Start => ("enable", "-e", ("", "")),
        Action::Restart | Action::Recover => ("restart", "-R", ("", "")),
        Action::Migrate => ("move", "-M", (" NODE", " -m NODE")),
        Action::Status
        | Action::Monitor
        | Action::MetaData
        | Action::ValidateAll
        | Action::Reload
        | Action::MigrateTo
        | Action::MigrateFrom
        | Action::Usage => return None,
    };
    let until = Deadline::after(Duration::from_secs(5));
    let name_in = |config: &Path| {
        let params = Params { name: None, config: Some(config.to_owned()), ..inv.params.clone() };
        // Of this timeout a quarter is spent on storage that hangs.
        let of_file = Invocation { params, timeout: Duration::from_secs(4), ..inv.clone() };
        let mut looker = Looker::new(&of_file, env, Roots::default());
        if !until.passed() {
            looker.read_definition(&of_file);
        }
        looker.name().map(str::to_owned)
    };
    let config = inv.params.config.as_deref();
    let name = inv.params.name.clone().or_else(|| name_in(config?));
    let asked = Asked { name, config, name_in: &name_in };
    let found = pacemaker(&asked).or_else(|| rgmanager(asked.name.as_deref()?, Path::new("/")))?;
    let Manager { resource, rgmanager } = &found;
    let instead = if *rgmanager {
        format!("clusvcadm {option} {resource}{}", node.1)
    } else {
        format!("pcs resource {verb} {resource}{}", node.0)
    };
    let cluster = if *rgmanager { "rgmanager" } else { "Pacemaker" };
    Some(format!(
        "nothing was done: {cluster} manages this virtual machine as '{resource}'; use '{instead}', or add --force"
    ))
}

/// Asks a Pacemaker that runs here; one that does not run manages nothing.
fn pacemaker(asked: &Asked<'_>) -> Option<Manager> {
    let cibadmin = find_program("cibadmin")?;
    let query = Child::new(&cibadmin).args(["--query", "--local", "--scope", "configuration"]).capture(LARGEST.0);
    let found = match query.run(Deadline::after(Duration::from_secs(5))) {
        Err(error) => Err(error.to_string()),
        Ok(done) => match done.ended {
            Ended::Exited(0) => in_configuration(&done.stdout, asked),
            Ended::Exited(code) if NOT_CONNECTED.contains(&code) => Ok(None),
            Ended::Exited(_) => Err(ascii_line(&String::from_utf8_lossy(&done.stderr), 200)),
            Ended::TimedOut | Ended::Signalled(_) => Err("cibadmin did not answer".into()),
        },
    };
    found.unwrap_or_else(|why| {
        log::warn!("whether Pacemaker manages it is not known: {why}");
        None
    })
}

fn in_configuration(answer: &[u8], asked: &Asked<'_>) -> Result<Option<Manager>, String> {
    let text = std::str::from_utf8(answer).map_err(|_| "its configuration is not UTF-8")?;
    let configuration = read_large(text, LARGEST.1)
        .map_err(|error| format!("its configuration cannot be read: {}", ascii_line(&error.to_string(), 200)))?;
    let resources = configuration.first("resources").ok_or("its configuration has no resources")?;
    let yes = |value: &str| crate::params::boolean(value) == Some(true);
    let maintenance = configuration.first("crm_config").is_some_and(|config| {
        config.all("cluster_property_set").any(|set| pair(set, "maintenance-mode").is_some_and(yes))
    });
    if maintenance {
        return Ok(None);
    }
    let mut primitives = Vec::new();
    primitives_below(resources, &mut primitives);
    let found = primitives.into_iter().find(|primitive| {
        // What a primitive does not say itself, the template says that it was made from.
        let template = primitive.attribute("template");
        let template = resources.all("template").find(|it| template.is_some() && it.attribute("id") == template);
        let says = |set: &str, name: &str| {
            let both = std::iter::once(*primitive).chain(template);
            both.flat_map(|it| &it.children)
                .filter(|it| it.is(set))
                .find_map(|set| pair(set, name))
                .filter(|value| !value.is_empty())
        };
        let agent = primitive.attribute("type").or_else(|| template?.attribute("type"));
        let unmanaged = says("meta_attributes", "is-managed").is_some_and(|value| !yes(value))
            || says("meta_attributes", "maintenance").is_some_and(yes);
        matches!(agent, Some("vm" | "VirtualDomain"))
            && !unmanaged
            && asked.is_of(&|name| says("instance_attributes", name))
    });
    Ok(found.map(|primitive| Manager {
        resource: primitive.attribute("id").unwrap_or_default().to_owned(),
        rgmanager: false,
    }))
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

fn pair<'a>(set: &'a Element<'_>, name: &str) -> Option<&'a str> {
    set.all("nvpair").find(|pair| pair.attribute("name") == Some(name)).and_then(|pair| pair.attribute("value"))
}

impl Asked<'_> {
    /// Whether a resource's parameters are about this virtual machine: by name, where both names are known, else by the
    /// file of the definition. A file that cannot be read is taken to be named for what it defines.
    fn is_of<'t>(&self, parameter: &dyn Fn(&str) -> Option<&'t str>) -> bool {
        let Some(name) = &self.name else {
            return self.config.is_some() && self.config == config_of(parameter);
        };
        if let Some(its) = parameter("name") {
            return its == name;
        }
        config_of(parameter).is_some_and(|config| {
            self.config == Some(config)
                || (self.name_in)(config).map_or_else(|| config.file_stem() == Some(name.as_ref()), |its| its == *name)
        })
    }
}

fn config_of<'t>(parameter: &dyn Fn(&str) -> Option<&'t str>) -> Option<&'t Path> {
    parameter("config").or_else(|| parameter("xmlfile")).map(Path::new)
}

/// Reads rgmanager's configuration, if rgmanager runs here.
fn rgmanager(name: &str, root: &Path) -> Option<Manager> {
    let pid = std::fs::read_to_string(root.join("run/rgmanager.pid")).ok()?;
    let pid: u32 = pid.trim().parse().ok()?;
    let comm = std::fs::read_to_string(root.join(format!("proc/{pid}/comm"))).ok()?;
    if !matches!(comm.trim(), "rgmanager" | "clurgmgrd") {
        return None;
    }
    let unknown = |error: &dyn std::fmt::Display| {
        let why = ascii_line(&error.to_string(), 200);
        log::warn!("whether rgmanager manages it is not known: cluster.conf cannot be read: {why}");
    };
    let text = std::fs::read_to_string(root.join("etc/cluster/cluster.conf")).map_err(|error| unknown(&error)).ok()?;
    let cluster = read(&text).map_err(|error| unknown(&error)).ok()?;
    let rm = cluster.first("rm")?;
    let named = |vm: &Element<'_>| vm.attribute("name").or_else(|| vm.attribute("ref")) == Some(name);
    let found = rm.all("vm").any(named) || rm.all("service").any(|service| service.all("vm").any(named));
    found.then(|| Manager { resource: format!("vm:{name}"), rgmanager: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Asked<'static> {
        Asked { name: Some(name.into()), config: None, name_in: &|_| None }
    }

    fn resources(resources: &str, config: &str) -> String {
        format!(
            "<configuration><crm_config><cluster_property_set id='o'>{config}</cluster_property_set></crm_config>\
             <resources>{resources}</resources></configuration>"
        )
    }

    fn with(parameters: &str, meta: &str, config: &str) -> String {
        let primitive = format!(
            "<group id='g'><primitive id='r1' class='ocf' provider='vm-agent' type='vm'>\
             <instance_attributes id='i'>{parameters}</instance_attributes><meta_attributes id='m'>{meta}\
             </meta_attributes></primitive></group>"
        );
        resources(&primitive, config)
    }

    fn found(configuration: &str, asked: &Asked<'_>) -> Option<String> {
        in_configuration(configuration.as_bytes(), asked).unwrap().map(|manager| manager.resource)
    }

    const FOO: &str = "<nvpair id='a' name='name' value='foo'/>";
    const FILE: &str = "<nvpair id='a' name='config' value='/vms/foo.xml'/>";

    #[test]
    fn a_resource_of_that_name_manages_it() {
        let foo = with(FOO, "", "");
        assert_eq!(found(&foo, &asked("foo")).as_deref(), Some("r1"));
        assert_eq!(found(&foo, &asked("foo-1")), None);
        assert_eq!(found(&with(&format!("{FOO}{FILE}"), "", ""), &asked("bar")), None);
    }

    #[test]
    fn the_file_of_its_definition_counts_where_a_name_is_missing() {
        let by_file = with(FILE, "", "");
        assert!(found(&by_file, &asked("foo")).is_some());
        assert!(found(&by_file, &asked("bar")).is_none());
        // What is in the file counts more than what it is called.
        let name_in = |file: &Path| (file == Path::new("/vms/foo.xml")).then(|| "bar".to_owned());
        assert!(found(&by_file, &Asked { name_in: &name_in, ..asked("bar") }).is_some());
        assert!(found(&by_file, &Asked { name_in: &name_in, ..asked("foo") }).is_none());
        let unread = Asked { name: None, config: Some(Path::new("/vms/foo.xml")), name_in: &|_| None };
        assert!(found(&by_file, &unread).is_some());
        assert!(found(&with(&format!("{FOO}{FILE}"), "", ""), &unread).is_some());
        assert!(found(&with(FOO, "", ""), &unread).is_none());
    }

    #[test]
    fn in_maintenance_a_person_may_act() {
        assert_eq!(found(&with(FOO, "<nvpair id='b' name='is-managed' value='false'/>", ""), &asked("foo")), None);
        assert_eq!(found(&with(FOO, "<nvpair id='b' name='maintenance' value='true'/>", ""), &asked("foo")), None);
        let everywhere = "<nvpair id='c' name='maintenance-mode' value='true'/>";
        assert_eq!(found(&with(FOO, "", everywhere), &asked("foo")), None);
    }

    #[test]
    fn a_primitive_has_what_it_does_not_say_from_its_template() {
        let template = format!(
            "<template id='t' class='ocf' provider='vm-agent' type='vm'><instance_attributes id='i'>{FOO}\
             </instance_attributes><meta_attributes id='m'><nvpair id='n' name='is-managed' value='false'/>\
             </meta_attributes></template>"
        );
        let with =
            |inside: &str| resources(&format!("{template}<primitive id='r' template='t'>{inside}</primitive>"), "");
        let managed = "<meta_attributes id='o'><nvpair id='p' name='is-managed' value='true'/></meta_attributes>";
        assert_eq!(found(&with(""), &asked("foo")), None);
        assert_eq!(found(&with(managed), &asked("foo")).as_deref(), Some("r"));
        let own = "<instance_attributes id='q'><nvpair id='s' name='name' value='bar'/></instance_attributes>";
        assert_eq!(found(&with(&format!("{managed}{own}")), &asked("foo")), None);
        assert_eq!(found(&with(&format!("{managed}{own}")), &asked("bar")).as_deref(), Some("r"));
        let other = resources("<template id='t' type='vm'/><primitive id='r' type='Dummy'/>", "");
        assert_eq!(found(&other, &asked("foo")), None);
    }

    #[test]
    fn a_large_configuration_is_read_and_one_that_cannot_be_is_told() {
        let padding =
            format!("<primitive id='d' type='Dummy'>{}</primitive>", "<op id='some-operation'/>".repeat(200_000));
        let large = with(FOO, "", "").replace("<resources>", &format!("<resources>{padding}"));
        assert!(large.len() > crate::domain_xml::MAX_BYTES);
        assert_eq!(found(&large, &asked("foo")).as_deref(), Some("r1"));
        for text in [large.trim_end_matches('>'), "", "<configuration/>"] {
            assert!(in_configuration(text.as_bytes(), &asked("foo")).is_err());
        }
        assert!(in_configuration(b"\xff", &asked("foo")).is_err());
    }

    #[test]
    fn rgmanagers_configuration_counts_only_while_it_runs() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["run", "proc/7", "etc/cluster"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let conf = "<cluster><rm><vm name='foo' path='/vms'/></rm></cluster>";
        std::fs::write(root.path().join("etc/cluster/cluster.conf"), conf).unwrap();
        assert_eq!(rgmanager("foo", root.path()), None);
        std::fs::write(root.path().join("run/rgmanager.pid"), "7\n").unwrap();
        std::fs::write(root.path().join("proc/7/comm"), "rgmanager\n").unwrap();
        assert!(rgmanager("foo", root.path()).is_some());
        assert_eq!(rgmanager("bar", root.path()), None);
    }
}
