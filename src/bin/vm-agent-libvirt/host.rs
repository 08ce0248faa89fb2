// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs about a host, and those that bring a domain into being.

use crate::failure::During;
use crate::{connect, ffi};
use quick_xml::events::Event;
use virt::connect::Connect;
use virt::sys;
use vm_agent::model::worker::{Answer, Failure, HostFacts, HostVerb, Lookup, Step, Wake};

/// libvirt's error numbers for "no such network" and "no such storage pool".
pub const NO_NETWORK: u32 = 43;
pub const NO_STORAGE_POOL: u32 = 49;

/// Carries out `verb` at `uri`.
pub fn ask(uri: &str, verb: &HostVerb) -> Result<Answer, Failure> {
    let connection = &connect::open(uri, Step::Connect)?;
    let answer = match verb {
        HostVerb::Create { xml } => connection.create_domain_xml(xml, 0).map(|domain| Answer {
            // That it is made counts: a failure to look at it is no failure.
            lookup: connect::facts(&domain).ok().map(Lookup::Found),
            ..Answer::default()
        }),
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
        HostVerb::Host => Ok(Answer { host: Some(host(connection)), ..Answer::default() }),
    };
    answer.during(Step::Call)
}

/// `value` if `on`.
pub fn flag(on: bool, value: u32) -> u32 {
    if on { value } else { 0 }
}

/// Each fact for itself: what one hypervisor does not tell must not hide the rest.
fn host(connection: &Connect) -> HostFacts {
    HostFacts {
        client_version: Connect::version().ok(),
        daemon_version: connection.lib_version().ok(),
        hypervisor: connection.driver_type().ok(),
        hypervisor_version: connection.hyp_version().ok(),
        hostname: connection.hostname().ok(),
        uuid: connection.capabilities().ok().as_deref().and_then(host_uuid),
        uri: connection.uri().ok(),
        cpus: connection.node_info().ok().map(|node| node.cpus),
        memory_kib: ffi::memory(connection).unwrap_or_default(),
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
