// SPDX-License-Identifier: GPL-2.0-or-later
//! The cluster that runs here, and its resource of a virtual machine.
//!
//! A cluster that runs here and does not answer is no cluster that manages nothing: it is unknown.

mod clustat;
pub(crate) mod convert;
mod crm_mon;
mod machines;
mod member;
mod pacemaker;
pub(crate) mod plan;
mod primitive;
mod rgmanager;
mod service;
mod utilization;

use crate::sys::child::{Child, Ended};
use crate::sys::proc;
use crate::sys::roots::Roots;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
#[cfg(test)]
pub(crate) use machines::OperationSet;
pub(crate) use machines::{MachineResource, MachinesOfCluster};
pub(crate) use member::{Member, Members};
pub(crate) use primitive::DEFAULT_TIMEOUT;
pub(crate) use service::{Service, Services};
use std::path::Path;
use std::time::Duration;
pub(crate) use utilization::set_utilization;

/// The largest configuration of a cluster that is read, in bytes and in elements: some ten thousand resources.
pub(crate) const LARGEST: (usize, usize) = (32 << 20, 1 << 19);
/// How long a cluster's own programs get to answer.
const TOOL: Duration = Duration::from_secs(5);

/// The virtual machine that is asked about.
pub(crate) struct Wanted<'a> {
    /// Its name, from the parameters or from its definition.
    pub name: Option<String>,
    /// The definition's file, from the parameters, or the command that prints it.
    pub config: Option<&'a Path>,
    /// The name in a definition's file, if it can be read.
    pub name_in: &'a dyn Fn(&Path) -> Option<String>,
}

/// The resource that it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Resource {
    /// `foo` or `vm:foo`.
    pub name: String,
    /// Whether the cluster acts on it now; not in maintenance, nor when it is unmanaged.
    pub managed: bool,
    /// Its parameters, as they are configured.
    pub params: Vec<(String, String)>,
}

/// Which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    Pacemaker,
    Rgmanager,
}

impl Manager {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Pacemaker => "Pacemaker",
            Self::Rgmanager => "rgmanager",
        }
    }
}

/// The cluster that runs here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cluster {
    /// None does.
    None,
    /// It does not tell, and why.
    Unknown(String),
    /// It answers; the resource, if the virtual machine is one.
    Runs(Manager, Option<Resource>),
}

/// What of a cluster's software runs here, in our PID namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Software {
    pacemaker: bool,
    corosync: bool,
    rgmanager: bool,
}

impl Software {
    /// The cluster manager that runs here; corosync alone may be anybody's.
    pub(crate) const fn manager(self) -> Option<Manager> {
        match self {
            Self { rgmanager: true, .. } => Some(Manager::Rgmanager),
            Self { pacemaker: true, .. } => Some(Manager::Pacemaker),
            Self { rgmanager: false, pacemaker: false, .. } => None,
        }
    }
}

/// Whether a cluster's software runs here.
#[must_use]
pub(crate) fn here() -> Option<Software> {
    let software = software(&Roots::default().proc, Path::new("/"));
    (software != Software::default()).then_some(software)
}

/// Asks the cluster whose software runs here about a virtual machine.
pub(crate) fn ask(software: Software, asked: &Wanted<'_>, until: Deadline) -> Cluster {
    if software.rgmanager {
        return match rgmanager::resource(asked.name.as_deref(), Path::new("/")) {
            Ok(resource) => Cluster::Runs(Manager::Rgmanager, resource),
            Err(why) => Cluster::Unknown(format!("rgmanager runs here, but {why}")),
        };
    }
    match pacemaker::resource(asked, software, until) {
        Ok(None) => Cluster::None,
        Ok(Some(resource)) => Cluster::Runs(Manager::Pacemaker, resource),
        Err(why) => Cluster::Unknown(why),
    }
}

/// Asks the cluster for its members, within some seconds at most: `resource` is one of its own, about which its records
/// are asked too, and `here` this node's name, where that is known.
///
/// # Errors
/// Why the cluster does not say.
pub(crate) fn members(
    kind: Manager,
    resource: Option<&str>,
    here: Option<&str>,
    until: Deadline,
) -> Result<Members, String> {
    match kind {
        Manager::Pacemaker => crm_mon::members(resource, here, until),
        Manager::Rgmanager => clustat::members(resource, until),
    }
}

/// Asks the cluster for its virtual machines, within some seconds at most.
///
/// # Errors
/// Why it does not say.
pub(crate) fn services(kind: Manager, until: Deadline) -> Result<Services, String> {
    match kind {
        Manager::Pacemaker => {
            let mut all: Vec<Service> = pacemaker::machines(until)?.into_iter().map(Service::of).collect();
            let here = crm_mon::see(&mut all, until)?;
            Ok(Services { here, all })
        }
        Manager::Rgmanager => clustat::services(until),
    }
}

/// What runs here. Containers of this host have clusters of their own.
fn software(proc: &Path, root: &Path) -> Software {
    let mut found = Software::default();
    // pacemakerd, pacemaker-based (if the former was killed), and pacemaker-remoted, whose name the kernel cuts; rgmanager,
    // and as it was called before.
    let such = |name: &str| name.starts_with("pacemaker") || matches!(name, "corosync" | "rgmanager" | "clurgmgrd");
    for (process, name) in proc::named_here(proc, such) {
        if is_a_clusters(&process, root) {
            match name.as_str() {
                "corosync" => found.corosync = true,
                "rgmanager" | "clurgmgrd" => found.rgmanager = true,
                _ => found.pacemaker = true,
            }
        }
    }
    found
}

/// Whether a process is root's or Pacemaker's own user's. Anybody may give a process any name.
fn is_a_clusters(process: &Path, root: &Path) -> bool {
    // The real user: the owner of its folder is root for any process that may not be traced.
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next());
    let passwd = || std::fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let is_hacluster = |uid: &str| {
        passwd().lines().any(|line| {
            let mut fields = line.split(':');
            fields.next() == Some("hacluster") && fields.nth(1) == Some(uid)
        })
    };
    uid.is_some_and(|uid| uid == "0" || is_hacluster(uid))
}

/// Runs a program of the cluster's; gives its output, or its exit code where it failed.
fn tool(program: &Path, args: &[&str], until: Deadline) -> Result<Result<Vec<u8>, i32>, String> {
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

/// Has Pacemaker keep the resource stopped, until somebody sets its target-role anew.
///
/// # Errors
/// It was not told, or did not take it.
pub(crate) fn keep_stopped(resource: &str, until: Deadline) -> Result<(), String> {
    pacemaker::keep_stopped(resource, until)
}

/// The configuration of the Pacemaker that runs here, as XML.
///
/// # Errors
/// There is none, or it does not say.
pub(crate) fn live_cib(until: Deadline) -> Result<Vec<u8>, String> {
    pacemaker::live_cib(until)
}

/// The machines of the cluster that runs here, by its configuration.
///
/// # Errors
/// It does not say, or cannot be read.
pub(crate) fn machines(kind: Manager, until: Deadline) -> Result<MachinesOfCluster, String> {
    match kind {
        Manager::Pacemaker => machines::of_pacemaker(&pacemaker::live_cib(until)?),
        Manager::Rgmanager => machines::of_rgmanager(&rgmanager::cluster_conf(Path::new("/"))?),
    }
}

/// What an attribute of Pacemaker's holds of a node; nothing, where there is none.
///
/// # Errors
/// Pacemaker does not say.
pub(crate) fn node_attribute(node: &str, name: &str, until: Deadline) -> Result<Option<String>, String> {
    pacemaker::node_attribute(node, name, until)
}

impl Wanted<'_> {
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
    let names = ["config", "xmlfile", "xmfile", "definition_command"];
    names.into_iter().find_map(parameter).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clusters_software_is_known_by_its_processes_in_this_namespace() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, comm: &str, namespace: &str, user: &str| {
            let folder = proc.path().join(pid);
            std::fs::create_dir_all(folder.join("ns")).unwrap();
            std::fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            std::fs::write(folder.join("status"), format!("Name:\t{comm}\nUid:\t{user}\t{user}\t0\t0\n")).unwrap();
            std::os::unix::fs::symlink(namespace, folder.join("ns/pid")).unwrap();
        };
        process("self", "vm-agent", "pid:[1]", "0");
        process("7", "pacemakerd", "pid:[2]", "0");
        process("8", "corosync-notify", "pid:[1]", "0");
        // A process of anybody's may be called so.
        process("11", "pacemakerd", "pid:[1]", "1000");
        process("12", "corosync", "pid:[1]", "189");
        let root = tempfile::tempdir().unwrap();
        assert_eq!(software(proc.path(), root.path()), Software::default());
        process("9", "pacemaker-based", "pid:[1]", "187");
        assert_eq!(software(proc.path(), root.path()), Software::default());
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nhacluster:x:187:188::/:/no\n").unwrap();
        let pacemaker = Software { pacemaker: true, ..Software::default() };
        assert_eq!(software(proc.path(), root.path()), pacemaker);
        process("10", "corosync", "pid:[1]", "0");
        assert_eq!(software(proc.path(), root.path()), Software { corosync: true, ..pacemaker });
        process("13", "rgmanager", "pid:[1]", "1000");
        assert!(!software(proc.path(), root.path()).rgmanager);
        process("14", "rgmanager", "pid:[1]", "0");
        assert_eq!(software(proc.path(), root.path()).manager(), Some(Manager::Rgmanager));
    }
}
