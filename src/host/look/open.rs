// SPDX-License-Identifier: GPL-2.0-or-later
//! The disks that a start would open, and whether somebody else has one open.

use super::Looker;
use crate::host::storage;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::definition::{self, Disk, DiskKind};
use crate::model::facts::{Definition, Fact, Facts, Silence};
use crate::model::storage::OpenDisk;
use crate::model::worker::{Question, Request};
use crate::sys::time::Deadline;
use std::collections::BTreeMap;

impl Looker {
    /// A disk of the definition that would be started, which somebody else has open.
    pub(crate) fn open_elsewhere(&mut self, seen: &Facts, deadline: Deadline) -> Fact<Option<OpenDisk>> {
        match self.disks_to_open(seen, deadline) {
            Some(mut disks) => {
                let unlocated = self.locate_volumes(&mut disks, deadline);
                storage::open_elsewhere(&disks, &unlocated, deadline)
            }
            None => Fact::Silent(Silence::refused("libvirt does not show its definition")),
        }
    }

    /// Has the disks that are volumes of libvirt's pools be the files and devices that those are here; of which that is not
    /// told, why.
    pub(crate) fn locate_volumes(&self, disks: &mut [Disk], deadline: Deadline) -> BTreeMap<String, String> {
        let volumes = disks.iter().filter(|disk| disk.kind == DiskKind::Volume).filter_map(|disk| disk.source.clone());
        let names: Vec<String> = volumes.collect();
        if names.is_empty() {
            return BTreeMap::new();
        }
        let request = Request::host(&self.uri, Question::Volumes { names: names.join("\n").into() });
        let told = match backend::ask_worker(&request, self.budget.until(Share::Worker, deadline)) {
            Ok(answer) => answer.volumes.unwrap_or_default(),
            Err(failure) => names.into_iter().map(|name| (name, Err(failure.said.clone()))).collect(),
        };
        for disk in disks.iter_mut().filter(|disk| disk.kind == DiskKind::Volume) {
            if let Some(Ok(path)) = disk.source.as_ref().and_then(|name| told.get(name)) {
                disk.set_path(path.clone());
            }
        }
        told.into_iter().filter_map(|(name, told)| Some((name, told.err()?))).collect()
    }

    fn disks_to_open(&mut self, seen: &Facts, deadline: Deadline) -> Option<Vec<Disk>> {
        if let Definition::File(defined) = &seen.definition {
            return Some(defined.facts()?.disks);
        }
        let xml = self.xml(&seen.here.who(), true, deadline)?;
        Some(definition::parse(xml.as_bytes()).ok()?.disks)
    }
}
