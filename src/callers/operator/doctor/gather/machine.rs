// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine that is asked about, as this host finds it: its definition, its disks, and what this host lacks for it.

use crate::callers::operator::doctor::facts::{MachineDisk, MachineSeen};
use crate::callers::validate;
use crate::host::aside;
use crate::host::lacks;
use crate::host::look::Looker;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::definition::{self, DefinedDomain, DefinitionText, Element, Language};
use crate::model::facts::{Defined, Definition};
use crate::model::worker::{Lookup, Question, Request, Who};
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use std::path::Path;

/// What libvirt's own definition is called in a file's place.
const LIBVIRTS: &str = "libvirt's own definition";

pub(super) fn look(inv: &Invocation, env: &Environment, deadline: Deadline) -> MachineSeen {
    let mut looker = Looker::new(inv, env, Roots::default());
    looker.choose_tools(inv);
    looker.read_definition(inv);
    let mut seen = MachineSeen::default();
    let own = match looker.definition() {
        Definition::File(_) => None,
        Definition::Bad(outcome) => {
            seen.no_file = Some(outcome.reason.clone());
            None
        }
        Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } => {
            match libvirts_own(&looker, deadline) {
                Ok(text) => {
                    let name = looker.name().unwrap_or_default().to_owned();
                    Some(Defined { path: LIBVIRTS.into(), text, language: Language::Xml, name, uuid: None })
                }
                Err(why) => {
                    seen.no_file = Some(why);
                    None
                }
            }
        }
    };
    let defined = match looker.definition() {
        Definition::File(defined) => Some(&**defined),
        Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } | Definition::Bad(_) => {
            own.as_ref()
        }
    };
    if let Some(it) = defined {
        seen.file = Some((it.path.display().to_string(), it.sha256()));
        if let Some(facts) = it.facts() {
            let root =
                Some(&it.text).filter(|_| it.language == Language::Xml).and_then(|text| definition::read(text).ok());
            defined_as(&mut seen, &facts, root.as_ref(), inv.budget().until(Share::Files, deadline));
        }
        seen.lacks = validate::lacks_for(inv, &looker, it, &lacks::needs(it), deadline);
    }
    seen
}

/// libvirt's own definition of it.
fn libvirts_own(looker: &Looker, deadline: Deadline) -> Result<DefinitionText, String> {
    let name = looker.name().ok_or("its name is not known")?;
    let request = Request::domain(&looker.uri, Who::Name(name.to_owned()), Question::Xml { inactive: true });
    let answer = backend::ask_worker(&request, deadline);
    let none = || format!("there is no file of '{name}', and libvirt has no definition of it");
    match answer {
        Ok(answer) => match (answer.lookup, answer.xml) {
            (Some(Lookup::Found(facts)), Some(xml)) if facts.persistent == Some(true) => Ok(xml),
            (_, _) => Err(none()),
        },
        Err(why) => {
            log::debug!("libvirt does not show '{name}': {why}");
            Err(none())
        }
    }
}

fn defined_as(seen: &mut MachineSeen, facts: &DefinedDomain, root: Option<&Element<'_>>, until: Deadline) {
    seen.has_uuid = facts.uuid.is_some();
    seen.memory_mib = facts.memory_current_kib.or(facts.memory_max_kib).map(|kib| kib >> 10);
    seen.hostdevs.clone_from(&facts.hostdevs);
    seen.nvram = facts.has_nvram.then(|| facts.nvram.clone().unwrap_or_default());
    seen.tpm = facts.vtpm.is_some();
    seen.on_poweroff.clone_from(&facts.on_poweroff);
    let cpu = root.and_then(|root| root.first("cpu"));
    seen.cpu_mode = cpu.and_then(|cpu| cpu.attribute("mode")).map(str::to_owned);
    let devices = root.and_then(|root| root.first("devices"));
    let cache = |target: &str| {
        let disks = devices.into_iter().flat_map(|devices| devices.all("disk"));
        let its =
            disks.into_iter().find(|disk| disk.first("target").and_then(|it| it.attribute("dev")) == Some(target));
        its.and_then(|disk| disk.first("driver")?.attribute("cache")).map(str::to_owned)
    };
    let with_path = || facts.disks.iter().filter_map(|disk| Some((disk, disk.path()?)));
    let paths: Vec<&Path> = with_path().map(|(_, path)| path).collect();
    let found = aside::disks(&paths, until);
    seen.disks = with_path()
        .zip(found)
        .map(|((disk, path), seen)| {
            let target = disk.target.clone().unwrap_or_default();
            let cache = cache(&target);
            MachineDisk { path: path.display().to_string(), target, cache, written: disk.has_one_writer(), seen }
        })
        .collect();
}
