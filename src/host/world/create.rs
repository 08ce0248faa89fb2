// SPDX-License-Identifier: GPL-2.0-or-later
//! Creating a machine from its definition, and its mark.

use super::Host;
use crate::model::budget::Share;
use crate::model::change::Change;
use crate::model::definition::{self, DefinitionText, DiskKind, Language, Mark};
use crate::model::facts::{Defined, Definition, Facts, Libvirt, Tools};
use crate::model::failure::Failure;
use crate::model::worker::Who;
use crate::policy::health::{self, Health};
use crate::sys::hosts;
use crate::sys::time::{Deadline, utc};
use std::time::SystemTime;

impl Host<'_> {
    /// Marks a domain that was found running, and whose name came from a file, so that it can be found without that file:
    /// once in each run of it. Only an action that takes the machine over puts its mark in the place of another resource's.
    pub(super) fn take_over(&mut self, seen: &Facts, takes_over: bool, started: bool) {
        let (Definition::File(defined), Libvirt::Domain(domain)) = (&seen.definition, &seen.here.libvirt) else {
            return;
        };
        if !self.looker.is_mark_due() {
            return;
        }
        let well = health::health(domain.state, domain.motion) == Health::Well;
        if !started && well {
            let patience = self.until(Share::Mark);
            let other = self.looker.mark(patience).filter(|mark| mark.name == domain.name);
            let ours = other.as_ref().is_some_and(|mark| mark.instance == self.inv.instance);
            let free = other.as_ref().is_none_or(|mark| mark.instance == definition::BY_HAND);
            if !ours && (free || takes_over) {
                let mark = taken_over(self.mark(domain.name.clone(), Some(defined)), other);
                self.set_mark(&seen.here.who(), &mark, patience);
            }
        }
        self.looker.mark_seen_to();
    }

    /// Creates the domain from the definition that was read, with our mark in its metadata, and so that libvirt does not
    /// delete the state of an emulated TPM at its end.
    pub(super) fn create(&mut self, seen: &Facts) -> Result<(), Failure> {
        let Definition::File(defined) = &seen.definition else {
            return Err(Failure::refused("there is no definition"));
        };
        self.tell_drift_since_last_start(defined);
        let result = self.create_from(defined);
        if result.is_ok() {
            self.note_definition(defined);
        }
        result
    }

    fn create_from(&mut self, defined: &Defined) -> Result<(), Failure> {
        if self.looker.tools() == Tools::Xl {
            // Its mark is its name: an xl file has no other place that goes with the domain.
            let change = Change::Create { xml: defined.text.clone() };
            return self.backend.call(&change, &Who::Name(defined.name.clone()), self.deadline);
        }
        let converted = (defined.language == Language::Xl).then(|| self.converted(defined)).transpose()?;
        let own = converted.as_ref().unwrap_or(&defined.text);
        let kept = definition::with_kept_tpm(own).map_err(|error| Failure::refused(error.to_string()))?;
        if kept.is_some() {
            self.looker.keeps_tpms(self.deadline).map_err(Failure::refused)?;
            if defined.uuid.is_none() {
                log::warn!(
                    "'{}' has an emulated TPM and no <uuid>: each start gives it a new, empty one",
                    defined.name
                );
            }
        }
        let mark = self.mark(defined.name.clone(), Some(defined));
        let text = definition::with_mark(kept.as_deref().unwrap_or(own), &mark)
            .map_err(|error| Failure::refused(error.to_string()))?;
        self.looker.note_start();
        let (change, who) = (Change::Create { xml: text.into() }, Who::Name(defined.name.clone()));
        self.backend.start(&change, &who, &defined.name, self.deadline)
    }

    /// Starts the networks and storage pools that its definition names and that are not active.
    pub(super) fn start_resources(&mut self, seen: &Facts) -> Result<(), Failure> {
        let until = self.until(Share::Resources);
        let xml = match &seen.definition {
            Definition::File(defined) if defined.language == Language::Xml => Some(defined.text.clone()),
            // What xl's language can name is no network or pool of libvirt's.
            Definition::File(_) => return Ok(()),
            Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } | Definition::Bad(_) => {
                self.looker.xml(&seen.here.who(), true, until)
            }
        };
        let xml = xml.ok_or_else(|| Failure::refused("libvirt does not show its definition"))?;
        let named = definition::parse(xml.as_bytes()).is_ok_and(|facts| {
            facts.interfaces.iter().any(|interface| interface.network.is_some())
                || facts.disks.iter().any(|disk| disk.kind == DiskKind::Volume)
        });
        if named { self.backend.start_resources(xml, until) } else { Ok(()) }
    }

    /// The libvirt XML of an xl file.
    fn converted(&self, defined: &Defined) -> Result<DefinitionText, Failure> {
        let xml = self.backend.convert(&defined.text, self.until(Share::Worker))?;
        let name = definition::parse(xml.as_bytes()).map(|facts| facts.name);
        match name {
            Ok(name) if name == defined.name => Ok(xml),
            Ok(name) => Err(Failure::refused(format!("libvirt makes '{name}' of the xl file of '{}'", defined.name))),
            Err(error) => Err(Failure::refused(format!("what libvirt makes of the xl file cannot be read: {error}"))),
        }
    }

    /// Marks a domain that was started from libvirt's own definition. Without a mark it runs as well.
    pub(super) fn mark_running(&self, who: &Who, name: String) {
        self.set_mark(who, &self.mark(name, None), self.until(Share::Mark));
    }

    pub(super) fn set_mark(&self, who: &Who, mark: &Mark, patience: Deadline) {
        let element = mark.bare_element();
        if let Err(error) = self.backend.call(&Change::SetMark { xml: element.into() }, who, patience) {
            log::warn!("the domain runs, but could not be marked as this resource's: {error}");
        }
    }

    /// The mark of a domain of this name, from a definition's file; without one, from libvirt's own definition, which
    /// libvirt itself keeps true.
    pub(super) fn mark(&self, name: String, defined: Option<&Defined>) -> Mark {
        let facts = defined.and_then(Defined::facts);
        let node = self.inv.node.clone();
        Mark {
            instance: if self.inv.instance.is_empty() { definition::BY_HAND.into() } else { self.inv.instance.clone() },
            name,
            source: defined.map(|defined| defined.path.to_string_lossy().into_owned()).unwrap_or_default(),
            sha256: defined.map(Defined::sha256).unwrap_or_default(),
            disks: facts.map(|facts| definition::sources(&facts.disks)).unwrap_or_default(),
            started: utc(SystemTime::now()),
            node: node.unwrap_or_else(hosts::own_name),
            base: String::new(),
            first: String::new(),
            generation: self.generation,
        }
    }
}

/// The mark of a machine that was found running. What it was started from, and when, is known only where an agent has
/// started it from the same file.
fn taken_over(mark: Mark, other: Option<Mark>) -> Mark {
    match other {
        Some(other) if other.source == mark.source => Mark { instance: mark.instance, ..other },
        Some(_) | None => Mark { sha256: String::new(), started: String::new(), ..mark },
    }
}
