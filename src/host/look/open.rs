// SPDX-License-Identifier: GPL-2.0-or-later
//! The disks that a start would open, and whether somebody else has one open.

use super::Looker;
use crate::host::storage;
use crate::model::definition::{self, Disk};
use crate::model::facts::{Definition, Fact, Facts, Silence};
use crate::model::storage::OpenDisk;
use crate::sys::time::Deadline;

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
        let xml = self.xml(&seen.here.who(), true, deadline)?;
        Some(definition::parse(xml.as_bytes()).ok()?.disks)
    }
}
