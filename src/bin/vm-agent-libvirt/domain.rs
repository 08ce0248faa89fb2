// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs about one domain.

use crate::failure::During;
use crate::host::flag;
use crate::{connect, ffi, migrate};
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;
use vm_agent::model::worker::{Answer, DomainVerb, ErrorReply, Lookup, MARK_NAMESPACE, MARK_PREFIX, Mode, Step, Who};

/// The kind of metadata that belongs to a namespace (libvirt also keeps a title and a description).
const METADATA_ELEMENT: i32 = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;

/// Carries out `verb` on the domain `who` at `uri`.
pub fn ask(uri: &str, who: &Who, verb: &DomainVerb) -> Result<Answer, ErrorReply> {
    let call = |act: &dyn Fn(&Domain) -> Result<Answer, Error>| {
        let connection = connect::open(uri, Step::Connect)?;
        let domain = connect::find(&connection, who).during(Step::Lookup)?;
        act(&domain).during(Step::Call)
    };
    let done = |act: &dyn Fn(&Domain) -> Result<(), Error>| call(&|domain| act(domain).map(|()| Answer::default()));
    match verb {
        DomainVerb::State => {
            let lookup = connect::look(&connect::open(uri, Step::Connect)?, who)?;
            Ok(Answer { lookup: Some(lookup), ..Answer::default() })
        }
        DomainVerb::Xml { inactive } => call(&|domain| {
            let xml = domain.xml_desc(flag(*inactive, sys::VIR_DOMAIN_XML_INACTIVE))?;
            Ok(Answer { xml: Some(xml.into()), ..Answer::default() })
        }),
        DomainVerb::Start => call(&|domain| {
            domain.create_with_flags(0)?;
            Ok(Answer { lookup: connect::facts(domain).ok().map(Lookup::Found), ..Answer::default() })
        }),
        DomainVerb::Resume => done(&Domain::resume),
        DomainVerb::Wake => done(&|domain| domain.pm_wakeup(0)),
        DomainVerb::Suspend => done(&Domain::suspend),
        DomainVerb::Shutdown { mode } => done(&|domain| domain.shutdown_flags(shutdown_flags(*mode))),
        DomainVerb::Destroy => done(&Domain::destroy),
        DomainVerb::Save { path, bypass_cache } => {
            done(&|domain| ffi::save(domain, path, flag(*bypass_cache, sys::VIR_DOMAIN_SAVE_BYPASS_CACHE)))
        }
        DomainVerb::DropSaved => done(&|domain| domain.managed_save_remove(0)),
        DomainVerb::AbortJob => done(&ffi::abort_job),
        DomainVerb::SetDowntime { ms } => done(&|domain| domain.migrate_set_max_downtime(*ms, 0)),
        DomainVerb::StartPostcopy => done(&ffi::start_postcopy),
        DomainVerb::SetMark { xml } => done(&|domain| {
            let (key, uri) = (Some(MARK_PREFIX), Some(MARK_NAMESPACE));
            domain.set_metadata(METADATA_ELEMENT, Some(xml), key, uri, sys::VIR_DOMAIN_AFFECT_LIVE)
        }),
        DomainVerb::Migrate(migrate) => migrate::run(uri, who, migrate),
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
