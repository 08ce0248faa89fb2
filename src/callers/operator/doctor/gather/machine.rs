// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine that is asked about, as this host finds it: its definition, its disks, and what this host lacks for it.

use crate::callers::operator::doctor::facts::{MachineDisk, MachineSeen};
use crate::callers::validate;
use crate::host::aside;
use crate::host::lacks;
use crate::host::look::{Depth, Looker};
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::definition::{self, DefinedDomain, Element, Language};
use crate::model::facts::{Defined, Definition, Fact, Libvirt};
use crate::sys::roots::Roots;
use crate::sys::text::uuid_text;
use crate::sys::time::Deadline;
use std::path::Path;

/// The type of a domain whose processors QEMU emulates.
const EMULATED: &str = "qemu";
/// Where libvirt keeps the state of emulated TPMs.
const TPMS: &str = "/var/lib/libvirt/swtpm";

pub(super) fn look(inv: &Invocation, env: &Environment, deadline: Deadline) -> MachineSeen {
    let mut looker = Looker::new(inv, env, Roots::default());
    looker.choose_tools(inv);
    looker.read_definition(inv);
    let mut seen = MachineSeen::default();
    let own = if matches!(looker.definition(), Definition::None { .. }) {
        libvirts_own(&mut looker, inv, deadline)
    } else {
        Err(String::new())
    };
    let defined = match looker.definition() {
        Definition::File(defined) => Ok(&**defined),
        Definition::Bad(outcome) => Err(&outcome.reason),
        Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } => own.as_ref(),
    };
    seen.no_file = defined.err().cloned();
    if let Ok(it) = defined {
        seen.file = Some((it.path.display().to_string(), it.sha256()));
        if let Some(facts) = it.facts() {
            let root =
                Some(&it.text).filter(|_| it.language == Language::Xml).and_then(|text| definition::read(text).ok());
            defined_as(&mut seen, &facts, root.as_ref(), inv.budget().until(Share::Files, deadline));
        }
        let needs = lacks::needs(it);
        seen.lacks = validate::lacks_for(inv, &looker, it, &needs, deadline);
        seen.lacks.extend(lacks::ports(&needs, &looker.roots));
    }
    seen
}

/// libvirt's own definition of it, which outlives a stop; else why there is none.
fn libvirts_own(looker: &mut Looker, inv: &Invocation, deadline: Deadline) -> Result<Defined, String> {
    let depth = Depth::default();
    let seen = looker.look(inv, depth, inv.budget().share(Share::Look, deadline.left()), deadline);
    let name = looker.name().unwrap_or_default().to_owned();
    if let Libvirt::Silent(silence) = &seen.here.libvirt {
        return Err(format!("there is no file of '{name}', and whether libvirt has one is not known: {}", silence.why));
    }
    let own = looker.libvirts_own(&seen, deadline);
    let kept = own.filter(|_| matches!(looker.kept(&seen.here.who(), deadline), Fact::Known(true)));
    kept.ok_or_else(|| format!("there is no file of '{name}', and libvirt has no definition of it"))
}

fn defined_as(seen: &mut MachineSeen, facts: &DefinedDomain, root: Option<&Element<'_>>, until: Deadline) {
    seen.has_uuid = facts.uuid.is_some();
    seen.name = Some(facts.name.clone());
    seen.uuid = facts.uuid.as_ref().map(uuid_text);
    seen.macs = facts.interfaces.iter().filter_map(|it| it.mac.clone()).collect();
    seen.memory_mib = facts.memory_current_kib.or(facts.memory_max_kib).map(|kib| kib >> 10);
    seen.hostdevs.clone_from(&facts.hostdevs);
    seen.nvram = facts.has_nvram.then(|| facts.nvram.clone().unwrap_or_default());
    seen.tpm = facts.vtpm.is_some();
    seen.on_poweroff.clone_from(&facts.on_poweroff);
    let cpu = root.filter(|_| facts.domain_type != EMULATED).and_then(|root| root.first("cpu"));
    seen.cpu_mode = cpu.and_then(|cpu| cpu.attribute("mode")).map(str::to_owned);
    let devices = root.and_then(|root| root.first("devices"));
    let cache = |target: &str| {
        let disks = devices.into_iter().flat_map(|devices| devices.all("disk"));
        let its =
            disks.into_iter().find(|disk| disk.first("target").and_then(|it| it.attribute("dev")) == Some(target));
        its.and_then(|disk| disk.first("driver")?.attribute("cache")).map(str::to_owned)
    };
    let with_path = || facts.disks.iter().filter_map(|disk| Some((disk, disk.path()?)));
    let nvram = facts.nvram.as_deref().and_then(|path| Path::new(path).parent()).filter(|_| facts.has_nvram);
    let backends = devices.into_iter().flat_map(|devices| devices.all("tpm")).filter_map(|tpm| tpm.first("backend"));
    let named = backends.filter_map(|backend| backend.first("source")?.attribute("path")).next();
    let tpm = facts.vtpm.map(|_| Path::new(named.unwrap_or(TPMS)));
    let paths: Vec<&Path> = with_path().map(|(_, path)| path).chain(nvram).chain(tpm).collect();
    let mut found = aside::disks(&paths, until);
    seen.tpm_folder = tpm.and_then(|_| found.pop()).unwrap_or_default();
    seen.nvram_folder = nvram.and_then(|_| found.pop()).unwrap_or_default();
    seen.disks = with_path()
        .zip(found)
        .map(|((disk, path), seen)| {
            let target = disk.target.clone().unwrap_or_default();
            let cache = cache(&target);
            MachineDisk { path: path.display().to_string(), target, cache, written: disk.has_one_writer(), seen }
        })
        .collect();
}
