// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs about a host, and those that bring a domain into being.

use crate::capabilities::Capabilities;
use crate::failure::{During, own};
use crate::lacks::Asked;
use crate::{connect, ffi};
use virt::connect::Connect;
use virt::sys;
use vm_agent::model::definition;
use vm_agent::model::worker::{Answer, ErrorReply, HostFacts, HostVerb, Lacks, Lookup, Step, Wake};

/// Carries out `verb` at `uri`.
pub fn ask(uri: &str, verb: &HostVerb) -> Result<Answer, ErrorReply> {
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
            connection.save_image_xml_desc(path, 0).map(|xml| Answer { xml: Some(xml.into()), ..Answer::default() })
        }
        HostVerb::Check { xml } => {
            let root = definition::read(xml).map_err(|error| own(Step::Input, error.to_string()))?;
            let facts = definition::parse(xml.as_bytes()).map_err(|error| own(Step::Input, error.to_string()))?;
            let mut asked = Asked {
                connection,
                facts: &facts,
                root: &root,
                text: xml,
                there: "this host",
                lacks: Lacks::default(),
            };
            asked.everything();
            Ok(Answer { lacks: Some(asked.lacks), ..Answer::default() })
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
        uuid: Capabilities::of(connection).ok().and_then(|capabilities| capabilities.uuid),
        uri: connection.uri().ok(),
        cpus: connection.node_info().ok().map(|node| node.cpus),
        memory_kib: ffi::memory(connection).unwrap_or_default(),
    }
}
