// SPDX-License-Identifier: GPL-2.0-or-later
//! What libvirt would start; its disks, and whether somebody else has one open.

use super::Looker;
use crate::host::storage;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::definition::{self, DefinitionText, Disk};
use crate::model::facts::{Definition, Fact, Facts, Silence};
use crate::model::storage::OpenDisk;
use crate::model::worker::{Question, Request, Who};
use crate::sys::time::Deadline;

/// `VIR_DOMAIN_XML_INACTIVE`: the definition for the next start.
const XML_INACTIVE: u32 = 2;

impl Looker {
    /// A disk of the definition that would be started, which somebody else has open.
    pub(crate) fn open_elsewhere(&mut self, seen: &Facts, deadline: Deadline) -> Fact<Option<OpenDisk>> {
        match self.disks_to_open(seen, deadline) {
            Some(disks) => storage::open_elsewhere(&disks, deadline),
            None => Fact::Silent(Silence::refused("libvirt does not show its definition")),
        }
    }

    fn disks_to_open(&mut self, seen: &Facts, deadline: Deadline) -> Option<Vec<Disk>> {
        if let Definition::File(defined) = &seen.definition {
            return Some(defined.facts()?.disks);
        }
        let xml = self.inactive_xml(&seen.here.who(), deadline)?;
        Some(definition::parse(xml.as_bytes()).ok()?.disks)
    }

    /// What libvirt would start the domain `who` from, which was last seen: of a transient one, how it runs now. Without
    /// passwords.
    pub(crate) fn inactive_xml(&mut self, who: &Who, deadline: Deadline) -> Option<DefinitionText> {
        if let Some(xml) = self.ask_last(deadline, |rpc, domain| rpc.xml(domain, XML_INACTIVE)) {
            return Some(xml.into());
        }
        let question = Question::Xml { inactive: true };
        let request = Request::domain(&self.uri, who.clone(), question);
        backend::ask_worker(&request, self.budget.until(Share::Worker, deadline)).ok()?.xml
    }

    /// The version of the daemon's libvirt, in one word; nothing where it is not asked directly.
    pub(crate) fn libvirt_version(&mut self, deadline: Deadline) -> String {
        let version = self.connection.as_mut().and_then(|connection| {
            connection.set_deadline(self.budget.until(Share::Question, deadline));
            connection.lib_version().inspect_err(|error| log::debug!("libvirt did not say: {error}")).ok()
        });
        version.map_or_else(|| "-".to_owned(), |version| version.to_string())
    }
}
