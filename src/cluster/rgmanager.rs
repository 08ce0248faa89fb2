// SPDX-License-Identifier: GPL-2.0-or-later
//! rgmanager, by cluster.conf.

use super::Resource;
use super::convert::conf::{VmConf, read_conf};
use crate::model::definition::read;
use crate::sys::text::ascii_line;
use std::path::Path;

/// rgmanager's configuration.
pub(super) fn cluster_conf(root: &Path) -> Result<String, String> {
    std::fs::read_to_string(root.join("etc/cluster/cluster.conf")).map_err(|error| unreadable(&error))
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("cluster.conf cannot be read: {}", ascii_line(&error.to_string(), 200))
}

/// What rgmanager runs the machine of that name by: its own service, or the one that it is part of.
pub(super) fn resource(name: Option<&str>, root: &Path) -> Result<Option<Resource>, String> {
    let text = cluster_conf(root)?;
    let cluster = read(&text).map_err(|error| unreadable(&error))?;
    let found = read_conf(&cluster).machines.into_iter().find(|vm| Some(vm.name) == name);
    Ok(found.map(|vm| Resource { name: service(&vm), managed: true, params: params(&vm) }))
}

/// The name by which rgmanager's programs know it.
fn service(vm: &VmConf<'_>) -> String {
    match &vm.service {
        None => format!("vm:{}", vm.name),
        Some((service, _)) => format!("service:{service}"),
    }
}

/// What is configured of it, wherever that stands.
pub(super) fn params(vm: &VmConf<'_>) -> Vec<(String, String)> {
    super::pacemaker::owned(&vm.attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_found_wherever_rgmanager_has_it() {
        let root = tempfile::tempdir().unwrap();
        assert!(resource(Some("foo"), root.path()).unwrap_err().contains("cluster.conf"));
        let conf = "<cluster><rm><resources><vm name='shared' path='/shared'/><vm name='unused'/></resources>\
            <resource-defaults><vm hypervisor='xen'/></resource-defaults><vm name='foo' path='/vms'/><vm ref='shared'/>\
            <service name='s'><ip address='10.0.0.1'><fs name='f'><vm name='deep' path='/deep'/></fs></ip></service>\
            <vm ref='nowhere'/></rm></cluster>";
        std::fs::create_dir_all(root.path().join("etc/cluster")).unwrap();
        std::fs::write(root.path().join("etc/cluster/cluster.conf"), conf).unwrap();
        for (name, service, path) in
            [("foo", "vm:foo", "/vms"), ("shared", "vm:shared", "/shared"), ("deep", "service:s", "/deep")]
        {
            let found = resource(Some(name), root.path()).unwrap().unwrap();
            assert_eq!((found.name.as_str(), found.managed), (service, true));
            for pair in [("path", path), ("hypervisor", "xen")] {
                assert!(found.params.contains(&(pair.0.into(), pair.1.into())), "{found:?}");
            }
        }
        for name in [Some("unused"), Some("nowhere"), None] {
            assert_eq!(resource(name, root.path()), Ok(None), "{name:?}");
        }
    }
}
