// SPDX-License-Identifier: GPL-2.0-or-later
//! What is told of a domain, or of the host.

use crate::capabilities::Capabilities;
use crate::failure::{During, own};
use crate::lacks::Check;
use crate::{connect, cpu, ffi};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;
use vm_agent::model::definition;
use vm_agent::model::worker::{
    AGENT_PATIENCE, Answer, CallStep, DomainFacts, DomainListed, ErrorReply, HostFacts, Lacks, Lookup, NO_DOMAIN,
    Question, Who,
};

/// Answers `question`, which is about the domain `who` or about the host at `uri`.
pub(crate) fn answer(uri: &str, who: Option<&Who>, question: &Question) -> Result<Answer, ErrorReply> {
    let connection = &connect::open(uri, CallStep::Connect)?;
    let who = || who.ok_or_else(|| own(CallStep::Arguments, "the domain is not named"));
    let xml = |xml: Result<String, Error>| xml.map(|xml| Answer { xml: Some(xml.into()), ..Answer::default() });
    let answer = match question {
        Question::State { or_uuid } => {
            let mut lookup = connect::look(connection, who()?)?;
            if let (Some(uuid), false) = (or_uuid, is_active(&lookup)) {
                let other = connect::look(connection, &Who::Uuid(uuid.clone()))?;
                lookup = if is_active(&other) { other } else { lookup };
            }
            Ok(Answer { lookup: Some(lookup), ..Answer::default() })
        }
        Question::Xml { inactive } => {
            let domain = connect::find(connection, who()?).during(CallStep::Lookup)?;
            let lookup = connect::facts(&domain).during(CallStep::Lookup)?;
            let xml = xml(domain.xml_desc(if *inactive { sys::VIR_DOMAIN_XML_INACTIVE } else { 0 }));
            xml.map(|answer| Answer { lookup: Some(Lookup::Found(lookup)), ..answer })
        }
        Question::NextXml => {
            let domain = connect::find(connection, who()?).during(CallStep::Lookup)?;
            xml(domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE))
        }
        Question::SavedXml { path } => xml(connection.save_image_xml_desc(path, 0)),
        Question::FromNative { format, text } => xml(connection.domain_xml_from_native(format, text, 0)),
        Question::Volumes { names } => {
            let volumes = names.lines().map(|name| (name.to_owned(), path_of_volume(connection, name))).collect();
            Ok(Answer { volumes: Some(volumes), ..Answer::default() })
        }
        Question::Check { xml, starts } => {
            let root = definition::read(xml).map_err(|error| own(CallStep::Input, error.to_string()))?;
            let facts = definition::parse(xml.as_bytes()).map_err(|error| own(CallStep::Input, error.to_string()))?;
            let mut asked = Check {
                connection,
                facts: &facts,
                root: &root,
                text: xml,
                there: "this host",
                starts: *starts,
                lacks: Lacks::default(),
            };
            asked.everything();
            Ok(Answer { lacks: Some(asked.lacks), ..Answer::default() })
        }
        Question::Names => {
            // With the list libvirt has told them.
            let all = connection.list_all_domains(0).during(CallStep::Call)?;
            let names: Result<Vec<String>, Error> = all.iter().map(Domain::name).collect();
            names.map(|names| Answer { names: Some(names), ..Answer::default() })
        }
        Question::Domains { whole } => {
            let all = connection.list_all_domains(0).during(CallStep::Call)?;
            let listed: Result<Vec<DomainListed>, Error> =
                all.iter().filter_map(|domain| listed(domain, *whole)).collect();
            listed.map(|domains| Answer { domains: Some(domains), ..Answer::default() })
        }
        Question::PingAgent => {
            let domain = connect::find(connection, who()?).during(CallStep::Lookup)?;
            ffi::agent_command(&domain, r#"{"execute":"guest-ping"}"#, AGENT_PATIENCE).map(|_| Answer::default())
        }
        Question::Cpu { others } => xml(Ok(cpu::common(connection, others)?)),
        Question::Host => Ok(Answer { host: Some(host(connection)), ..Answer::default() }),
    };
    answer.during(CallStep::Call)
}

/// The path of a volume on the host, or why it has none. Nothing is looked up on its storage, which may hang.
fn path_of_volume(connection: &Connect, name: &str) -> Result<String, String> {
    let (pool, volume) = name.split_once('/').ok_or("it is no volume of a pool")?;
    let found = connection
        .lookup_storage_pool_by_name(pool)
        .and_then(|pool| pool.lookup_storage_vol_by_name(volume))
        .and_then(|volume| volume.path());
    match found {
        Ok(path) if path.starts_with('/') => Ok(path),
        Ok(place) => Err(format!("no witness for a volume that is no file or device here, but {place}")),
        // What stands before the first colon is the class of the error.
        Err(error) => Err(error.message().split_once(": ").map_or(error.message(), |(_, cause)| cause).to_owned()),
    }
}

/// Whether a domain was found that has a number, as those have that are in memory.
const fn is_active(lookup: &Lookup) -> bool {
    match lookup {
        Lookup::Found(facts) => facts.id.is_some(),
        Lookup::Absent => false,
    }
}

/// A domain with its mark; nothing, if it has vanished meanwhile.
fn listed(domain: &Domain, whole: bool) -> Option<Result<DomainListed, Error>> {
    let defined = |facts: &DomainFacts| {
        (whole || facts.id.is_some()).then_some(())?;
        definition::parse(domain.xml_desc(0).ok()?.as_bytes()).ok()
    };
    match connect::facts_at_once(domain) {
        Ok(facts) => {
            let defined = defined(&facts);
            let interfaces = defined.iter().filter(|_| whole).flat_map(|it| &it.interfaces);
            let macs = interfaces.filter_map(|it| it.mac.clone()).collect();
            let mark = defined.as_ref().filter(|_| facts.id.is_some()).and_then(|it| it.mark.clone());
            let snapshots = if whole { domain.num_snapshots(0).ok() } else { None };
            Some(Ok(DomainListed { facts, mark, macs, snapshots }))
        }
        Err(error) if error.code().to_raw() == NO_DOMAIN => None,
        Err(error) => Some(Err(error)),
    }
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
