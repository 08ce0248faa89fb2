// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs about one domain.

use crate::host::flag;
use crate::{connect, ffi, libvirts, migrate, watch};
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;
use vm_agent::worker::{Answer, DomainVerb, Failure, Fate, Lookup, MARK_NAMESPACE, MARK_PREFIX, Mode, Step, Who};

/// Carries out `verb` on the domain `who` at `uri`.
pub fn ask(uri: &str, who: &Who, verb: &DomainVerb) -> Result<Answer, Failure> {
    let call = |act: &dyn Fn(&Domain) -> Result<Answer, Error>| {
        let connection = connect::open(uri, Step::Connect)?;
        let domain = connect::find(&connection, who).map_err(libvirts(Step::Lookup))?;
        act(&domain).map_err(libvirts(Step::Call))
    };
    let done = |act: &dyn Fn(&Domain) -> Result<(), Error>| call(&|domain| act(domain).map(|()| Answer::default()));
    match verb {
        DomainVerb::State => {
            let lookup = connect::look(&connect::open(uri, Step::Connect)?, who)?;
            Ok(Answer { lookup: Some(lookup), ..Answer::default() })
        }
        DomainVerb::Wait { until, for_ms } => watch::wait(uri, who, *until, *for_ms),
        DomainVerb::Xml { inactive, secure, migratable, update_cpu } => {
            let flags = flag(*inactive, sys::VIR_DOMAIN_XML_INACTIVE)
                | flag(*secure, sys::VIR_DOMAIN_XML_SECURE)
                | flag(*migratable, sys::VIR_DOMAIN_XML_MIGRATABLE)
                | flag(*update_cpu, sys::VIR_DOMAIN_XML_UPDATE_CPU);
            call(&|domain| domain.xml_desc(flags).map(xml))
        }
        DomainVerb::Start { paused } => call(&|domain| {
            domain.create_with_flags(flag(*paused, sys::VIR_DOMAIN_START_PAUSED))?;
            Ok(Answer { lookup: connect::facts(domain).ok().map(Lookup::Found), ..Answer::default() })
        }),
        DomainVerb::Resume => done(&Domain::resume),
        DomainVerb::Wake => done(&|domain| domain.pm_wakeup(0)),
        DomainVerb::Suspend => done(&Domain::suspend),
        DomainVerb::Shutdown { mode } => done(&|domain| domain.shutdown_flags(shutdown_flags(*mode))),
        DomainVerb::Destroy { graceful } => {
            done(&|domain| domain.destroy_flags(flag(*graceful, sys::VIR_DOMAIN_DESTROY_GRACEFUL)))
        }
        DomainVerb::Reset => done(&Domain::reset),
        DomainVerb::Undefine { managed_save, snapshots, checkpoints, nvram, tpm } => {
            let flags = flag(*managed_save, sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
                | flag(*snapshots, sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
                | flag(*checkpoints, sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
                | fate(*nvram, sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM, sys::VIR_DOMAIN_UNDEFINE_NVRAM)
                | fate(*tpm, sys::VIR_DOMAIN_UNDEFINE_KEEP_TPM, sys::VIR_DOMAIN_UNDEFINE_TPM);
            done(&|domain| domain.undefine_flags(flags))
        }
        DomainVerb::Save { path, bypass_cache } => {
            done(&|domain| ffi::save(domain, path, flag(*bypass_cache, sys::VIR_DOMAIN_SAVE_BYPASS_CACHE)))
        }
        DomainVerb::DropSaved => done(&|domain| domain.managed_save_remove(0)),
        DomainVerb::AbortJob => done(&ffi::abort_job),
        DomainVerb::SetDowntime { ms } => done(&|domain| domain.migrate_set_max_downtime(*ms, 0)),
        DomainVerb::SetSpeed { mib, postcopy } => {
            let flags = flag(*postcopy, sys::VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY);
            done(&|domain| domain.migrate_set_max_speed(*mib, flags))
        }
        DomainVerb::StartPostcopy => done(&ffi::start_postcopy),
        DomainVerb::JobStats { completed } => {
            call(&|domain| Ok(Answer { job: Some(ffi::job(domain, *completed)?), ..Answer::default() }))
        }
        DomainVerb::GetMark => call(&|domain| domain.metadata(METADATA_ELEMENT, Some(MARK_NAMESPACE), 0).map(xml)),
        DomainVerb::SetMark { live, config, remove, xml } => {
            let flags = flag(*live, sys::VIR_DOMAIN_AFFECT_LIVE) | flag(*config, sys::VIR_DOMAIN_AFFECT_CONFIG);
            let mark = (!remove).then_some(xml.as_str());
            let (key, uri) = (Some(MARK_PREFIX), Some(MARK_NAMESPACE));
            done(&|domain| domain.set_metadata(METADATA_ELEMENT, mark, key, uri, flags))
        }
        DomainVerb::DiskErrors => {
            call(&|domain| Ok(Answer { disk_errors: Some(ffi::disk_errors(domain)?), ..Answer::default() }))
        }
        DomainVerb::Migrate(migrate) => migrate::run(uri, who, migrate),
    }
}

/// The kind of metadata that belongs to a namespace (libvirt also keeps a title and a description).
const METADATA_ELEMENT: i32 = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;

fn xml(xml: String) -> Answer {
    Answer { xml: Some(xml), ..Answer::default() }
}

fn fate(fate: Option<Fate>, keep: u32, remove: u32) -> u32 {
    match fate {
        None => 0,
        Some(Fate::Keep) => keep,
        Some(Fate::Remove) => remove,
    }
}

fn shutdown_flags(mode: Mode) -> u32 {
    match mode {
        Mode::Default => sys::VIR_DOMAIN_SHUTDOWN_DEFAULT,
        Mode::Acpi => sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
        Mode::Agent => sys::VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
        Mode::Initctl => sys::VIR_DOMAIN_SHUTDOWN_INITCTL,
        Mode::Signal => sys::VIR_DOMAIN_SHUTDOWN_SIGNAL,
        Mode::Paravirt => sys::VIR_DOMAIN_SHUTDOWN_PARAVIRT,
    }
}
