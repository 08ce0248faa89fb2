// SPDX-License-Identifier: GPL-2.0-or-later
//! The disks that a start would open, and whether somebody else has one open.

use super::Looker;
use crate::host::storage;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::definition::{self, Disk};
use crate::model::facts::{Definition, Fact, Facts, Silence};
use crate::model::storage::OpenDisk;
use crate::model::worker::{Question, Request};
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
        let read = |text: &str| Some(definition::parse(text.as_bytes()).ok()?.disks);
        if let Definition::File(defined) = &seen.definition {
            return Some(defined.facts()?.disks);
        }
        if let Some(xml) = self.ask_last(deadline, |rpc, domain| rpc.xml(domain, XML_INACTIVE)) {
            return read(&xml);
        }
        let request = Request::domain(&self.uri, seen.here.who(), Question::Xml { inactive: true });
        read(&backend::ask_worker(&request, self.budget.until(Share::Worker, deadline)).ok()?.xml?)
    }
}
