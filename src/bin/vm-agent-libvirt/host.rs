// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs about a host, and those that bring a domain into being from XML.

use crate::{connect, ffi, libvirts};
use quick_xml::events::Event;
use virt::connect::Connect;
use virt::error::Error;
use virt::sys;
use vm_agent::worker::{Answer, DomainFacts, Failure, HostFacts, HostVerb, Kind, Lookup, NO_DOMAIN, Place, Step, Wake};

/// libvirt's error numbers for "no such network" and "no such storage pool".
pub const NO_NETWORK: u32 = 43;
pub const NO_STORAGE_POOL: u32 = 49;

/// Carries out `verb` at `uri`.
pub fn ask(uri: &str, verb: &HostVerb) -> Result<Answer, Failure> {
    let connection = &connect::open(uri, Step::Connect)?;
    let answer = match verb {
        HostVerb::List => list(connection).map(|domains| Answer { domains: Some(domains), ..Answer::default() }),
        HostVerb::Create { paused, validate, xml } => {
            let flags = flag(*paused, sys::VIR_DOMAIN_START_PAUSED) | flag(*validate, sys::VIR_DOMAIN_START_VALIDATE);
            connection.create_domain_xml(xml, flags).and_then(|domain| made(&domain))
        }
        HostVerb::Define { validate, xml } => {
            let flags = flag(*validate, sys::VIR_DOMAIN_DEFINE_VALIDATE);
            connection.define_domain_xml_flags(xml, flags).and_then(|domain| made(&domain))
        }
        HostVerb::Restore { path, wake, bypass_cache } => {
            let wake = match wake {
                None => 0,
                Some(Wake::Running) => sys::VIR_DOMAIN_SAVE_RUNNING,
                Some(Wake::Paused) => sys::VIR_DOMAIN_SAVE_PAUSED,
            };
            let flags = wake | flag(*bypass_cache, sys::VIR_DOMAIN_SAVE_BYPASS_CACHE);
            connection.restore_domain_flags(path, None, flags).map(|()| Answer::default())
        }
        HostVerb::SavedXml { path } => {
            connection.save_image_xml_desc(path, 0).map(|xml| Answer { xml: Some(xml), ..Answer::default() })
        }
        HostVerb::Host { capabilities } => {
            Ok(Answer { host: Some(host(connection, *capabilities)), ..Answer::default() })
        }
        HostVerb::DomainCapabilities(Kind { emulator, arch, machine, virt_type, cpu: _ }) => {
            let [emulator, arch, machine, virt_type] = [emulator, arch, machine, virt_type].map(Option::as_deref);
            connection
                .domain_capabilities(emulator, arch, machine, virt_type, 0)
                .map(|xml| Answer { xml: Some(xml), ..Answer::default() })
        }
        HostVerb::CompareCpu(kind) => ffi::compare_cpu(connection, kind).map(|()| Answer::default()),
        HostVerb::Network { network } => {
            place(connection.lookup_network_by_name(network).and_then(|network| network.is_active()), NO_NETWORK)
        }
        HostVerb::Pool { pool } => {
            place(connection.lookup_storage_pool_by_name(pool).and_then(|pool| pool.is_active()), NO_STORAGE_POOL)
        }
    };
    answer.map_err(libvirts(Step::Call))
}

/// `value` if `on`.
pub fn flag(on: bool, value: u32) -> u32 {
    if on { value } else { 0 }
}

/// The domain that was just made. That it is made counts: a failure to look at it is no failure.
fn made(domain: &virt::domain::Domain) -> Result<Answer, Error> {
    Ok(Answer { lookup: connect::facts(domain).ok().map(Lookup::Found), ..Answer::default() })
}

fn list(connection: &Connect) -> Result<Vec<DomainFacts>, Error> {
    let mut domains = Vec::new();
    for domain in connection.list_all_domains(0)? {
        match connect::brief(&domain) {
            Ok(facts) => domains.push(facts),
            // Gone since the list was made.
            Err(error) if error.code().to_raw() == NO_DOMAIN => {}
            Err(error) => return Err(error),
        }
    }
    Ok(domains)
}

fn place(active: Result<bool, Error>, none: u32) -> Result<Answer, Error> {
    let place = match active {
        Ok(true) => Place::Active,
        Ok(false) => Place::Inactive,
        Err(error) if error.code().to_raw() == none => Place::Absent,
        Err(error) => return Err(error),
    };
    Ok(Answer { place: Some(place), ..Answer::default() })
}

/// Each fact for itself: what one hypervisor does not tell must not hide the rest.
fn host(connection: &Connect, with_capabilities: bool) -> HostFacts {
    let capabilities = connection.capabilities().ok();
    HostFacts {
        client_version: Connect::version().ok(),
        daemon_version: connection.lib_version().ok(),
        hypervisor: connection.driver_type().ok(),
        hypervisor_version: connection.hyp_version().ok(),
        hostname: connection.hostname().ok(),
        uuid: capabilities.as_deref().and_then(host_uuid),
        uri: connection.uri().ok(),
        cpus: connection.node_info().ok().map(|node| node.cpus),
        memory_kib: ffi::memory(connection).unwrap_or_default(),
        capabilities: capabilities.filter(|_| with_capabilities),
    }
}

/// The text of `/capabilities/host/uuid`. libvirt wrote the document, so nothing in it is checked.
pub fn host_uuid(capabilities: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(capabilities);
    let mut path: Vec<String> = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => path.push(element.name().as_ref().to_owned()),
            Event::End(_) => drop(path.pop()),
            Event::Text(text) if path == ["capabilities", "host", "uuid"] => {
                return Some(text.trim().to_owned());
            }
            Event::Eof => return None,
            Event::Empty(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}
