// SPDX-License-Identifier: GPL-2.0-or-later
//! Connections, and the look at a domain: what every verb begins with.

use crate::failure::During;
use crate::{ffi, guard};
use std::sync::mpsc::channel;
use std::time::Duration;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use vm_agent::model::worker::{CallStep, DomainFacts, ErrorReply, Lookup, NO_DOMAIN, NO_SUPPORT, Who};

/// Seconds between the signs of life that a connection asks for, and how many may be missed.
const KEEPALIVE: (i32, u32) = (5, 3);

/// How long libvirt may take to tell of a domain's job.
const JOB_ANSWERS: Duration = Duration::from_millis(300);

/// Connects without ever asking a person: no credentials are read, from a terminal or elsewhere.
///
/// The connection stays open until the process ends. To close it libvirt asks the daemon, and an answer that we have
/// must not wait for one that then hangs.
pub(crate) fn open(uri: &str, during: CallStep) -> Result<Connect, ErrorReply> {
    let connection = Connect::open(Some(uri)).during(during)?;
    std::mem::forget(connection.clone());
    Ok(connection)
}

/// Runs libvirt's event loop in a thread of its own, for events and keepalive. Must come before the first connection.
pub(crate) fn run_event_loop() -> Result<(), ErrorReply> {
    virt::event::event_register_default_impl().during(CallStep::Connect)?;
    guard::thread("events", || while virt::event::event_run_default_impl().is_ok() {})
}

/// Has a dead peer noticed. A driver inside this process has no peer, and says so with an error.
pub(crate) fn keep_alive(connection: &Connect) {
    let (interval, count) = KEEPALIVE;
    let _ = connection.set_keep_alive(interval, count);
}

/// The domain, or libvirt's error.
pub(crate) fn find(connection: &Connect, who: &Who) -> Result<Domain, Error> {
    match who {
        Who::Uuid(uuid) => connection.lookup_domain_by_uuid_string(uuid),
        Who::Name(name) => connection.lookup_domain_by_name(name),
    }
}

/// Whether the domain exists, and how it is.
pub(crate) fn look(connection: &Connect, who: &Who) -> Result<Lookup, ErrorReply> {
    match find(connection, who).and_then(|domain| facts(&domain)) {
        Ok(facts) => Ok(Lookup::Found(facts)),
        // It may also have gone between the two questions.
        Err(error) if error.code().to_raw() == NO_DOMAIN => Ok(Lookup::Absent),
        Err(error) => Err(error).during(CallStep::Lookup),
    }
}

/// All that is told of one domain without asking its hypervisor.
pub(crate) fn facts_at_once(domain: &Domain) -> Result<DomainFacts, Error> {
    let (persistent, autostart) = (domain.is_persistent().ok(), domain.autostart().ok());
    // A driver that cannot save memory has saved none.
    let saved = match domain.has_managed_save(0) {
        Ok(saved) => Some(saved),
        Err(error) if error.code().to_raw() == NO_SUPPORT => Some(false),
        Err(_) => None,
    };
    let (state, reason) = ffi::state(domain)?;
    Ok(DomainFacts {
        name: domain.name()?,
        uuid: domain.uuid_string()?,
        id: domain.id(),
        state,
        reason,
        persistent,
        autostart,
        saved,
        job_operation: None,
        job_error: None,
    })
}

/// All that is told of one domain.
pub(crate) fn facts(domain: &Domain) -> Result<DomainFacts, Error> {
    let facts = facts_at_once(domain)?;
    if facts.id.is_none() {
        return Ok(facts);
    }
    // A QEMU that hangs keeps this one question waiting, and must not keep the others.
    let (sender, answer) = channel();
    let asked = domain.clone();
    let job = guard::thread("job", move || sender.send(ffi::job(&asked)));
    let job = job.ok().and_then(|()| answer.recv_timeout(JOB_ANSWERS).ok());
    Ok(DomainFacts {
        job_operation: job.as_ref().and_then(|job| job.as_ref().ok()).map(|job| job.operation),
        job_error: job.and_then(Result::err).map(|error| error.code().to_raw() as i32),
        ..facts
    })
}
