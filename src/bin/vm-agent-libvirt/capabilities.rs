// SPDX-License-Identifier: GPL-2.0-or-later
//! What libvirt tells of a host in its capabilities. What it leaves out is not there.

use virt::connect::Connect;
use virt::error::Error;
use vm_agent::model::definition;

#[derive(Default)]
pub(crate) struct Capabilities {
    /// Equal ones forbid a migration.
    pub uuid: Option<String>,
    /// The types of domains that it can run: `kvm`, `qemu`, ...
    pub domain_types: Vec<String>,
    /// The sizes of its memory pages in KiB.
    pub page_sizes: Vec<u32>,
}

impl Capabilities {
    pub(crate) fn of(connection: &Connect) -> Result<Self, Error> {
        let text = connection.capabilities()?;
        let Ok(root) = definition::read(&text) else { return Ok(Self::default()) };
        let host = root.first("host");
        let mut domain_types: Vec<String> = root
            .all("guest")
            .flat_map(|guest| guest.all("arch"))
            .flat_map(|arch| arch.all("domain"))
            .filter_map(|domain| domain.attribute("type").map(str::to_owned))
            .collect();
        domain_types.sort();
        domain_types.dedup();
        let pages = host.and_then(|host| host.first("cpu")).map(|cpu| cpu.all("pages")).into_iter().flatten();
        Ok(Self {
            uuid: host.and_then(|host| host.text_of("uuid")),
            domain_types,
            page_sizes: pages.filter_map(|page| page.attribute("size")?.parse().ok()).collect(),
        })
    }
}
