// SPDX-License-Identifier: GPL-2.0-or-later
//! What the cluster that runs here has to do with a virtual machine. One that manages it must be told what a person
//! wants, or it takes what the person did for a failure; one that leaves it to people still knows where else it may run.
//!
//! A cluster that runs here and does not answer is no cluster that manages nothing: it is unknown, and a person is told.

use super::members;
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
pub(super) const LARGEST: (usize, usize) = (32 << 20, 1 << 19);
/// How cibadmin ends when no cluster runs here: in Pacemaker 2, and as the system's own number before.
const NOT_CONNECTED: [i32; 2] = [102, 107];
/// How long a person waits at most until the cluster and its members have been asked.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a cluster's own programs get to answer.
const TOOL: Duration = Duration::from_secs(5);

/// The virtual machine that is asked about.
struct Asked<'a> {
    /// Its name, from the parameters or from its definition.
    name: Option<String>,
    config: Option<&'a Path>,
    /// The name in a definition's file, if it can be read.
    name_in: &'a dyn Fn(&Path) -> Option<String>,
}

/// The resource that it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    /// `foo` or `vm:foo`.
    pub name: String,
    /// Whether the cluster acts on it now; not in maintenance, nor when it is unmanaged.
    pub managed: bool,
    /// Its parameters, as they are configured.
    pub params: Vec<(String, String)>,
}

/// Which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pacemaker,
    Rgmanager,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Pacemaker => "Pacemaker",
            Self::Rgmanager => "rgmanager",
        }
    }
}

/// The cluster that runs here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cluster {
    /// None does.
    None,
    /// It does not tell, and why.
    Unknown(String),
    /// It answers; the resource, if the virtual machine is one.
    Runs(Kind, Option<Resource>),
}

/// What of a cluster's software runs here, in our PID namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Software {
    pacemaker: bool,
    corosync: bool,
    rgmanager: bool,
}

/// The sentence that refuses what a person wants to do, for the cluster's sake.
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
    // Half of the time is left for what the person wants.
    let until = Deadline::after(PATIENCE.min(inv.timeout / 2));
    let (kind, resource) = match ask(inv, env, until) {
        Cluster::None => return None,
        Cluster::Unknown(why) => {
            return Some(format!(
                "cannot tell whether a cluster manages this virtual machine: {why}; nothing was done: \
                 see what the cluster says of it, or add --force"
            ));
        }
        Cluster::Runs(kind, resource) => (kind, resource),
    };
    if let Some(Resource { name, managed: true, .. }) = &resource {
        let instead = match kind {
            Kind::Rgmanager => format!("clusvcadm {option} {name}{}", node.1),
            Kind::Pacemaker => format!("pcs resource {verb} {name}{}", node.0),
        };
        return Some(format!(
            "nothing was done: {} manages this virtual machine as '{name}'; use '{instead}', or add --force",
            kind.word()
        ));
    }
    // A stop here is harmless elsewhere, and a migration asks its target itself.
    let starts = matches!(inv.action, Action::Start | Action::Restart | Action::Recover);
    if starts { members::refusal(inv, env, kind, resource.as_ref(), until) } else { None }
}

/// Asks the cluster that runs here about the virtual machine of this call.
pub(super) fn ask(inv: &Invocation, env: &Environment, until: Deadline) -> Cluster {
    let software = software(&Roots::default().proc, Path::new("/"));
    if software == Software::default() {
        return Cluster::None;
    }
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
    if software.rgmanager {
        return match rgmanager(asked.name.as_deref(), Path::new("/")) {
            Ok(resource) => Cluster::Runs(Kind::Rgmanager, resource),
            Err(why) => Cluster::Unknown(format!("rgmanager runs here, but {why}")),
        };
    }
    match pacemaker(&asked, software, until) {
        Ok(None) => Cluster::None,
        Ok(Some(resource)) => Cluster::Runs(Kind::Pacemaker, resource),
        Err(why) => Cluster::Unknown(why),
    }
}

/// What runs here. Containers of this host have clusters of their own.
fn software(proc: &Path, root: &Path) -> Software {
    let namespace = |pid: &str| std::fs::read_link(proc.join(pid).join("ns/pid")).ok();
    let ours = namespace("self");
    let names = std::fs::read_dir(proc).into_iter().flatten().filter_map(|entry| {
        let pid = entry.ok()?.file_name().into_string().ok().filter(|name| name.bytes().all(|b| b.is_ascii_digit()))?;
        let name = std::fs::read_to_string(proc.join(&pid).join("comm")).ok()?;
        (namespace(&pid) == ours).then(|| name.trim_end().to_owned())
    });
    let mut found = Software { rgmanager: rgmanager_runs(root), ..Software::default() };
    for name in names {
        // pacemakerd, pacemaker-based (if the former was killed), and pacemaker-remoted, whose name the kernel cuts.
        found.pacemaker |= name.starts_with("pacemaker");
        found.corosync |= name == "corosync";
    }
    found
}

/// Runs a program of the cluster's; gives its output, or its exit code where it failed.
pub(super) fn tool(program: &Path, args: &[&str], until: Deadline) -> Result<Result<Vec<u8>, i32>, String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let child = Child::new(program).args(args.iter().copied()).capture(LARGEST.0);
    let done = child.run(until.at_most(TOOL)).map_err(|error| error.to_string())?;
    match done.ended {
        Ended::Exited(0) => Ok(Ok(done.stdout)),
        Ended::Exited(code) => {
            log::debug!("{name} ended with {code}: {}", ascii_line(&String::from_utf8_lossy(&done.stderr), 200));
            Ok(Err(code))
        }
        Ended::TimedOut | Ended::Signalled(_) => Err(format!("{name} did not answer")),
    }
}

/// Asks the Pacemaker that runs here: nothing, if none does; else the resource, if there is one.
fn pacemaker(asked: &Asked<'_>, software: Software, until: Deadline) -> Result<Option<Option<Resource>>, String> {
    let Some(cibadmin) = find_program("cibadmin") else {
        // Others use corosync too.
        return if software.pacemaker {
            Err("Pacemaker runs here, but cibadmin is not installed".into())
        } else {
            Ok(None)
        };
    };
    let runs =
        if software.pacemaker { "Pacemaker runs here, but" } else { "corosync runs here, but Pacemaker does not:" };
    match tool(&cibadmin, &["--query", "--local", "--scope", "configuration"], until) {
        Ok(Ok(answer)) => in_configuration(&answer, asked).map(Some).map_err(|why| format!("{runs} {why}")),
        Ok(Err(code)) if NOT_CONNECTED.contains(&code) => Err(format!("{runs} cibadmin finds no connection")),
        Ok(Err(code)) => Err(format!("{runs} cibadmin ended with {code}")),
        Err(why) => Err(format!("{runs} {why}")),
    }
}

fn in_configuration(answer: &[u8], asked: &Asked<'_>) -> Result<Option<Resource>, String> {
    let text = std::str::from_utf8(answer).map_err(|_| "its configuration is not UTF-8")?;
    let configuration = read_large(text, LARGEST.1)
        .map_err(|error| format!("its configuration cannot be read: {}", ascii_line(&error.to_string(), 200)))?;
    let resources = configuration.first("resources").ok_or("its configuration has no resources")?;
    let yes = |value: &str| crate::params::boolean(value) == Some(true);
    let maintenance = configuration.first("crm_config").is_some_and(|config| {
        config.all("cluster_property_set").any(|set| pair(set, "maintenance-mode").is_some_and(yes))
    });
    let mut primitives = Vec::new();
    primitives_below(resources, &mut primitives);
    let found = primitives.into_iter().filter_map(|primitive| {
        // What a primitive does not say itself, the template says that it was made from.
        let template = primitive.attribute("template");
        let template = resources.all("template").find(|it| template.is_some() && it.attribute("id") == template);
        let sets = |set: &'static str| {
            let both = std::iter::once(primitive).chain(template);
            both.flat_map(|it| &it.children).filter(move |it| it.is(set))
        };
        let says =
            |set: &'static str, name: &str| sets(set).find_map(|set| pair(set, name)).filter(|value| !value.is_empty());
        let agent = primitive.attribute("type").or_else(|| template?.attribute("type"));
        let is_it =
            matches!(agent, Some("vm" | "VirtualDomain")) && asked.is_of(&|name| says("instance_attributes", name));
        let unmanaged = says("meta_attributes", "is-managed").is_some_and(|value| !yes(value))
            || says("meta_attributes", "maintenance").is_some_and(yes);
        is_it.then(|| Resource {
            name: primitive.attribute("id").unwrap_or_default().to_owned(),
            managed: !maintenance && !unmanaged,
            params: parameters(sets("instance_attributes")),
        })
    });
    // Of two resources of one virtual machine the one that is managed counts.
    Ok(found.min_by_key(|resource| !resource.managed))
}

/// The parameters of these sets, in which the first to name one counts.
fn parameters<'a, 't: 'a>(sets: impl Iterator<Item = &'a Element<'t>>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in sets.flat_map(|set| set.all("nvpair")) {
        if let (Some(name), Some(value)) = (pair.attribute("name"), pair.attribute("value"))
            && found.iter().all(|(known, _)| known != name)
        {
            found.push((name.to_owned(), value.to_owned()));
        }
    }
    found
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

fn rgmanager_runs(root: &Path) -> bool {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let pid = read("run/rgmanager.pid").and_then(|text| text.trim().parse::<u32>().ok());
    let comm = pid.and_then(|pid| read(&format!("proc/{pid}/comm")));
    comm.is_some_and(|comm| matches!(comm.trim(), "rgmanager" | "clurgmgrd"))
}

/// rgmanager's configuration.
pub(super) fn cluster_conf(root: &Path) -> Result<String, String> {
    std::fs::read_to_string(root.join("etc/cluster/cluster.conf")).map_err(|error| unreadable(&error))
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("cluster.conf cannot be read: {}", ascii_line(&error.to_string(), 200))
}

/// The service of that name in rgmanager's configuration.
fn rgmanager(name: Option<&str>, root: &Path) -> Result<Option<Resource>, String> {
    let text = cluster_conf(root)?;
    let cluster = read(&text).map_err(|error| unreadable(&error))?;
    let (Some(name), Some(rm)) = (name, cluster.first("rm")) else { return Ok(None) };
    let named = |vm: &&Element<'_>| vm.attribute("name").or_else(|| vm.attribute("ref")) == Some(name);
    let found =
        rm.all("vm").find(named).or_else(|| rm.all("service").find_map(|service| service.all("vm").find(named)));
    Ok(found.map(|vm| Resource {
        name: format!("vm:{name}"),
        managed: true,
        params: vm.attributes.iter().map(|it| (it.name.to_owned(), it.value.to_string())).collect(),
    }))
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

    fn resource(configuration: &str, asked: &Asked<'_>) -> Option<Resource> {
        in_configuration(configuration.as_bytes(), asked).unwrap()
    }

    /// The resource that manages it.
    fn found(configuration: &str, asked: &Asked<'_>) -> Option<String> {
        resource(configuration, asked).filter(|resource| resource.managed).map(|resource| resource.name)
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
        // It is known nevertheless, with what it is configured with.
        let left = resource(&with(&format!("{FOO}{FILE}"), "", everywhere), &asked("foo")).unwrap();
        let params = [("name", "foo"), ("config", "/vms/foo.xml")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!((left.name.as_str(), left.params.as_slice()), ("r1", params.as_slice()));
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
        assert!(!rgmanager_runs(root.path()));
        std::fs::write(root.path().join("run/rgmanager.pid"), "7\n").unwrap();
        std::fs::write(root.path().join("proc/7/comm"), "rgmanager\n").unwrap();
        assert!(rgmanager_runs(root.path()));
        assert!(rgmanager(Some("foo"), root.path()).unwrap_err().contains("cluster.conf"));
        let conf = "<cluster><rm><vm name='foo' path='/vms'/></rm></cluster>";
        std::fs::write(root.path().join("etc/cluster/cluster.conf"), conf).unwrap();
        let foo = rgmanager(Some("foo"), root.path()).unwrap().unwrap();
        assert_eq!((foo.name.as_str(), foo.managed), ("vm:foo", true));
        assert!(foo.params.contains(&("path".into(), "/vms".into())));
        assert_eq!(rgmanager(Some("bar"), root.path()), Ok(None));
    }

    #[test]
    fn a_clusters_software_is_known_by_its_processes_in_this_namespace() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, comm: &str, namespace: &str| {
            std::fs::create_dir_all(proc.path().join(pid).join("ns")).unwrap();
            std::fs::write(proc.path().join(pid).join("comm"), format!("{comm}\n")).unwrap();
            std::os::unix::fs::symlink(namespace, proc.path().join(pid).join("ns/pid")).unwrap();
        };
        process("self", "vm-agent", "pid:[1]");
        process("7", "pacemakerd", "pid:[2]");
        process("8", "corosync-notify", "pid:[1]");
        let nowhere = Path::new("/nowhere");
        assert_eq!(software(proc.path(), nowhere), Software::default());
        process("9", "pacemaker-based", "pid:[1]");
        assert_eq!(software(proc.path(), nowhere), Software { pacemaker: true, ..Software::default() });
        process("10", "corosync", "pid:[1]");
        assert_eq!(software(proc.path(), nowhere), Software { pacemaker: true, corosync: true, rgmanager: false });
    }
}
