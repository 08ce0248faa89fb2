// SPDX-License-Identifier: GPL-2.0-or-later
//! What changes a domain.

use crate::failure::{During, own};
use crate::{connect, ffi, migrate};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;
use vm_agent::model::change::{Change, ShutdownMode, Wake};
use vm_agent::model::state::State;
use vm_agent::model::worker::{Answer, CallStep, ErrorReply, Lookup, MARK_NAMESPACE, MARK_PREFIX, Who};

/// The kind of metadata that belongs to a namespace (libvirt also keeps a title and a description).
const METADATA_ELEMENT: i32 = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;

/// Carries out `change` on the domain `who` at `uri`.
pub(crate) fn make(uri: &str, who: &Who, change: &Change) -> Result<Answer, ErrorReply> {
    let here = |act: &dyn Fn(&Connect) -> Result<Answer, Error>| {
        act(&connect::open(uri, CallStep::Connect)?).during(CallStep::Call)
    };
    let found = |act: &dyn Fn(&Domain) -> Result<Answer, ErrorReply>| {
        let connection = connect::open(uri, CallStep::Connect)?;
        act(&connect::find(&connection, who).during(CallStep::Lookup)?)
    };
    let call = |act: &dyn Fn(&Domain) -> Result<Answer, Error>| found(&|domain| act(domain).during(CallStep::Call));
    let done = |act: &dyn Fn(&Domain) -> Result<(), Error>| call(&|domain| act(domain).map(|()| Answer::default()));
    match change {
        Change::Create { xml } => here(&|connection| Ok(started(&connection.create_domain_xml(xml, 0)?))),
        Change::Restore { path, wake, channels, bypass_cache } => here(&|connection| {
            let wake = match wake {
                None => 0,
                Some(Wake::Running) => sys::VIR_DOMAIN_SAVE_RUNNING,
                Some(Wake::Paused) => sys::VIR_DOMAIN_SAVE_PAUSED,
            };
            let flags = wake | bypass(*bypass_cache);
            match channels {
                None => connection.restore_domain_flags(path, None, flags),
                Some(channels) => ffi::restore_sparse(connection, path, *channels, flags),
            }
            .map(|()| Answer::default())
        }),
        Change::Start => call(&|domain| {
            domain.create_with_flags(0)?;
            Ok(started(domain))
        }),
        Change::Resume => done(&Domain::resume),
        Change::Wake => done(&|domain| domain.pm_wakeup(0)),
        Change::Suspend => done(&Domain::suspend),
        Change::Shutdown { mode } => done(&|domain| domain.shutdown_flags(shutdown_flags(*mode))),
        Change::Destroy => done(&Domain::destroy),
        Change::DestroyWaiting => found(&|domain| {
            let (state, reason) = ffi::state(domain).during(CallStep::Call)?;
            let state = State::from_numbers(state, reason);
            if !state.may_be_arriving() {
                return Err(own(CallStep::Call, format!("it is {state} now")));
            }
            domain.destroy().map(|()| Answer::default()).during(CallStep::Call)
        }),
        Change::Save { path, channels, bypass_cache } => done(&|domain| match channels {
            None => ffi::save(domain, path, bypass(*bypass_cache)),
            Some(channels) => ffi::save_sparse(domain, path, *channels, bypass(*bypass_cache)),
        }),
        Change::DropSaved => done(&|domain| domain.managed_save_remove(0)),
        Change::AbortJob => done(&ffi::abort_job),
        Change::SetDowntime { ms } => done(&|domain| domain.migrate_set_max_downtime(*ms, 0)),
        Change::StartPostcopy => done(&ffi::start_postcopy),
        Change::SetMark { xml } => done(&|domain| {
            let (key, uri) = (Some(MARK_PREFIX), Some(MARK_NAMESPACE));
            domain.set_metadata(METADATA_ELEMENT, Some(xml), key, uri, sys::VIR_DOMAIN_AFFECT_LIVE)
        }),
        Change::Migrate(migrate) => migrate::run(uri, who, migrate),
    }
}

/// That it was started counts: a failure to look at it is no failure.
fn started(domain: &Domain) -> Answer {
    Answer { lookup: connect::facts(domain).ok().map(Lookup::Found), ..Answer::default() }
}

fn bypass(cache: bool) -> u32 {
    if cache { sys::VIR_DOMAIN_SAVE_BYPASS_CACHE } else { 0 }
}

fn shutdown_flags(mode: ShutdownMode) -> u32 {
    match mode {
        ShutdownMode::Default => sys::VIR_DOMAIN_SHUTDOWN_DEFAULT,
        ShutdownMode::Acpi => sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
        ShutdownMode::Agent => sys::VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
        ShutdownMode::Initctl => sys::VIR_DOMAIN_SHUTDOWN_INITCTL,
        ShutdownMode::Signal => sys::VIR_DOMAIN_SHUTDOWN_SIGNAL,
        ShutdownMode::Paravirt => sys::VIR_DOMAIN_SHUTDOWN_PARAVIRT,
    }
}
