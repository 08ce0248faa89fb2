// SPDX-License-Identifier: GPL-2.0-or-later
//! rgmanager, by its pid file and cluster.conf.

use super::Resource;
use crate::model::definition::{Element, read};
use crate::sys::text::ascii_line;
use std::path::Path;

pub(super) fn runs(root: &Path) -> bool {
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
pub(super) fn resource(name: Option<&str>, root: &Path) -> Result<Option<Resource>, String> {
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

    #[test]
    fn rgmanagers_configuration_counts_only_while_it_runs() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["run", "proc/7", "etc/cluster"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        assert!(!runs(root.path()));
        std::fs::write(root.path().join("run/rgmanager.pid"), "7\n").unwrap();
        std::fs::write(root.path().join("proc/7/comm"), "rgmanager\n").unwrap();
        assert!(runs(root.path()));
        assert!(resource(Some("foo"), root.path()).unwrap_err().contains("cluster.conf"));
        let conf = "<cluster><rm><vm name='foo' path='/vms'/></rm></cluster>";
        std::fs::write(root.path().join("etc/cluster/cluster.conf"), conf).unwrap();
        let foo = resource(Some("foo"), root.path()).unwrap().unwrap();
        assert_eq!((foo.name.as_str(), foo.managed), ("vm:foo", true));
        assert!(foo.params.contains(&("path".into(), "/vms".into())));
        assert_eq!(resource(Some("bar"), root.path()), Ok(None));
    }
}
