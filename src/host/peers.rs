// SPDX-License-Identifier: GPL-2.0-or-later
//! The cluster's other members, asked about a machine over their libvirt: all at once, and for a bounded time.

use super::look::Looker;
use crate::cluster::{self, Member, Members, Software};
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::Invocation;
use crate::model::definition::{self, Mark};
use crate::model::facts::{Libvirt, Peer, Place, Silence, Tools};
use crate::model::presence::Presence;
use crate::model::standing::Standing;
use crate::model::target;
use crate::model::tools::XL_HERE;
use crate::model::uri::Uri;
use crate::model::worker::{Answer, DomainListed, Lookup, Question, Request};
use crate::sys::hosts;
use crate::sys::text::{sha256_hex, uuid_text};
use crate::sys::time::Deadline;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The machine that is asked about.
pub(crate) struct Subject {
    name: String,
    /// Its UUID, where the definition tells it: it may run there under another name.
    uuid: Option<String>,
}

impl Subject {
    /// What this host knows it by: `known` is its UUID by libvirt's word.
    pub(crate) fn of(looker: &Looker, known: Option<[u8; 16]>) -> Option<Self> {
        let uuid = known.or(looker.definition().uuid());
        Some(Self { name: looker.name()?.to_owned(), uuid: uuid.map(|uuid| uuid_text(&uuid)) })
    }
}

/// Asks the members that may have the machine too: those of `guard_nodes`, else those of the cluster that runs here.
/// One of which the cluster proves that it runs nothing is left out.
///
/// # Errors
/// Why nobody can be asked.
pub(super) fn in_the_cluster(
    inv: &Invocation,
    looker: &Looker,
    libvirt: &Libvirt,
    until: Deadline,
) -> Result<Vec<Peer>, Silence> {
    let mut members = others(inv, &inv.instance, until).map_err(Silence::refused)?;
    members.retain(|member| !member.is_out());
    let subject = Subject::of(looker, libvirt.uuid()).ok_or_else(|| Silence::refused("its name is not known"))?;
    Ok(ask(&members, inv, &looker.uri, &subject, until))
}

/// The members of the cluster that runs here, if one does, with what it has on record of a resource of that name.
///
/// # Errors
/// Why the cluster does not say.
pub(crate) fn of_the_cluster(inv: &Invocation, resource: &str, until: Deadline) -> Result<Option<Members>, String> {
    let manager = cluster::here().and_then(Software::manager);
    let resource = Some(resource).filter(|resource| !resource.is_empty());
    manager.map(|manager| cluster::members(manager, resource, inv.node.as_deref(), until)).transpose()
}

/// The nodes of `guard_nodes` other than this one, with what the cluster knows of those that are its members; without that
/// parameter the cluster's other members. `resource` is what it is in that cluster.
///
/// # Errors
/// Why nobody can be asked.
pub(crate) fn others(inv: &Invocation, resource: &str, until: Deadline) -> Result<Vec<Member>, String> {
    let known = of_the_cluster(inv, resource, until);
    if inv.params.guard_nodes.is_empty() {
        return Ok(known?.map(|members| members.others).unwrap_or_default());
    }
    let known = known.unwrap_or_else(|why| {
        log::info!("the cluster does not say how the nodes of guard_nodes are: {why}");
        None
    });
    let own = hosts::own_name();
    let here = known.as_ref().map(|members| members.here.as_str()).or(inv.node.as_deref());
    let is_here = |node: &str| here.into_iter().chain([own.as_str()]).any(|here| hosts::are_one(node, here, until));
    let other = |node: &str| {
        let mut others = known.iter().flat_map(|members| &members.others);
        others.find(|member| hosts::are_one(node, &member.node, until)).cloned()
    };
    let member = |node: &String| match other(node) {
        Some(member) => Some(member),
        None if is_here(node) || hosts::is_ours(node, until) => None,
        None => Some(Member { node: node.clone(), standing: Standing::Unknown, on_record: None }),
    };
    Ok(inv.params.guard_nodes.iter().filter_map(member).collect())
}

/// Asks these members, each until the deadline; one that is away not for long.
pub(crate) fn ask(members: &[Member], inv: &Invocation, source: &str, subject: &Subject, until: Deadline) -> Vec<Peer> {
    let place = |member: &Member| {
        let until = if member.standing.is_away() { inv.budget().until(Share::Offline, until) } else { until };
        let at = |uri: &Result<String, String>| match uri {
            Ok(uri) => backend::place_of_either(uri, &subject.name, subject.uuid.clone(), until),
            Err(why) => Place::silent(why.as_str()),
        };
        let own = uri(&member.node, inv, source);
        if let Some(why) = own.as_deref().ok().and_then(|uri| leads_here(&Uri::parse(uri).ok()?, until)) {
            return Some(Place::silent(why));
        }
        match uri_of_xl(&member.node, inv, source) {
            Some(xl) => most_telling(at_once(&[own, Ok(xl)], at)),
            None => Some(at(&own)),
        }
    };
    let peer = |(member, place): (&Member, Option<Option<Place>>)| Peer {
        node: member.node.clone(),
        standing: member.standing,
        on_record: member.on_record,
        place: place.flatten().unwrap_or_else(|| Place::silent("it could not be asked")),
    };
    members.iter().zip(at_once(members, place)).map(peer).collect()
}

/// Why the URI of another host leads to this one, whose answer would be taken for that other host's. A port of its own may be
/// a way on.
pub(crate) fn leads_here(uri: &Uri, until: Deadline) -> Option<String> {
    let host = uri.host.as_deref().filter(|host| uri.port.is_none() && hosts::leads_here(host, until))?;
    Some(format!("{host} has no address here but this host's own"))
}

/// Of members that are reached at the same addresses the first: a person has named one host twice.
pub(crate) fn one_each(members: Vec<Member>, inv: &Invocation, source: &str, until: Deadline) -> Vec<Member> {
    let way = |member: &Member| {
        let uri = Uri::parse(&uri(&member.node, inv, source).ok()?).ok()?;
        let addresses: BTreeSet<IpAddr> = hosts::addresses(uri.host.as_deref()?, until).into_iter().collect();
        (!addresses.is_empty()).then_some((uri.port, addresses))
    };
    let mut known = BTreeSet::new();
    let ways = at_once(&members, way).into_iter().map(Option::flatten);
    let all = members.into_iter().zip(ways);
    all.filter_map(|(member, way)| way.is_none_or(|way| known.insert(way)).then_some(member)).collect()
}

/// Of what several say of one host: whoever says that it is there counts before who does not know, and both before who
/// denies it.
fn most_telling(said: Vec<Option<Place>>) -> Option<Place> {
    said.into_iter().map(|place| place.unwrap_or_else(|| Place::silent("it could not be asked"))).min_by_key(|place| {
        match place.presence() {
            Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } => 0,
            Presence::Unknown(_) => 1,
            Presence::Off(_) => 2,
        }
    })
}

/// What libvirt on a host has of a machine beside its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Whether it has a definition of its own of it, if it says.
    pub defined: Option<bool>,
    /// The SHA-256 of that, as libvirt there prints it.
    pub sha256: Option<String>,
    /// The mark of the machine that is in memory.
    pub mark: Option<Mark>,
}

/// What libvirt has of a machine that it knows, on this host (no node) and on others.
pub(crate) fn kept(
    inv: &Invocation,
    source: &str,
    places: &[(Option<&str>, &Place)],
    until: Deadline,
) -> Vec<Option<Kept>> {
    let at = |(node, place): &(Option<&str>, &Place)| {
        // xl keeps none, and has no place for a mark.
        if Tools::of(source) == Tools::Xl {
            return None;
        }
        let Libvirt::Domain(domain) = &place.libvirt else { return None };
        let uri = node.map_or_else(|| Ok(source.to_owned()), |node| uri(node, inv, source)).ok()?;
        let xml = |inactive| {
            let request = Request::domain(&uri, place.who(), Question::Xml { inactive });
            let answer = backend::ask_worker(&request, until);
            answer.inspect_err(|why| log::debug!("{uri} does not show the definition: {why}")).ok()
        };
        let now = xml(false)?;
        let Some(Lookup::Found(facts)) = now.lookup else { return None };
        let active = domain.state.active();
        let definition = if !active {
            now.xml.clone()
        } else if facts.persistent == Some(true) {
            xml(true).and_then(|answer| answer.xml)
        } else {
            None
        };
        let mark = now.xml.filter(|_| active).and_then(|xml| definition::parse(xml.as_bytes()).ok()?.mark);
        let sha256 = definition.map(|text| sha256_hex(text.as_bytes()));
        Some(Kept { defined: facts.persistent, sha256, mark })
    };
    at_once(places, at).into_iter().map(Option::flatten).collect()
}

/// What libvirt knows on this host (no node) and on others: all of its domains, or why it does not tell.
pub(crate) fn domains(
    inv: &Invocation,
    source: &str,
    nodes: &[Option<&str>],
    until: Deadline,
) -> Vec<Result<Vec<DomainListed>, String>> {
    told(inv, source, nodes, until, &Question::Domains { whole: false }, |answer| answer.domains)
}

/// The same, but their names alone, which cost one call.
pub(crate) fn names(
    inv: &Invocation,
    source: &str,
    nodes: &[Option<&str>],
    until: Deadline,
) -> Vec<Result<Vec<String>, String>> {
    told(inv, source, nodes, until, &Question::Names, |answer| answer.names)
}

fn told<T: Send>(
    inv: &Invocation,
    source: &str,
    nodes: &[Option<&str>],
    until: Deadline,
    question: &Question,
    part: impl Fn(Answer) -> Option<T> + Sync,
) -> Vec<Result<T, String>> {
    let at = |node: &Option<&str>| {
        let uri = node.map_or_else(|| Ok(source.to_owned()), |node| uri(node, inv, source))?;
        if let Some(why) = node.and_then(|_| leads_here(&Uri::parse(&uri).ok()?, until)) {
            return Err(why);
        }
        let answer = backend::ask_worker(&Request::host(uri, question.clone()), until);
        part(answer.map_err(|why| why.to_string())?).ok_or_else(|| "it lists no domains".to_owned())
    };
    let said = at_once(nodes, at).into_iter();
    said.map(|said| said.unwrap_or_else(|| Err("it could not be asked".into()))).collect()
}

/// Asks each of these at the same time; nothing, where one could not be asked.
pub(crate) fn at_once<T: Sync, R: Send>(of: &[T], ask: impl Fn(&T) -> R + Sync) -> Vec<Option<R>> {
    std::thread::scope(|scope| {
        let ask = &ask;
        // Where no thread can be made, this one asks.
        let thread = |one| std::thread::Builder::new().spawn_scoped(scope, move || ask(one)).map_err(|_| one);
        let asked: Vec<_> = of.iter().map(thread).collect();
        let answer = |thread: Result<std::thread::ScopedJoinHandle<'_, R>, &T>| match thread {
            Ok(thread) => thread.join().ok(),
            Err(one) => Some(ask(one)),
        };
        asked.into_iter().map(answer).collect()
    })
}

/// Where libvirt answers on a node: as a migration finds it, also for hypervisors that cannot migrate.
pub(crate) fn uri(node: &str, inv: &Invocation, source: &str) -> Result<String, String> {
    let driver = source.split([':', '+']).next().unwrap_or_default();
    let migrates = matches!(driver, "qemu" | "xen" | "xl");
    let found = target::find(node, &inv.params.migration, if migrates { source } else { "qemu:///system" }, false)?;
    Ok(match found.uri.strip_prefix("qemu+") {
        Some(rest) if !migrates => format!("{driver}+{rest}"),
        Some(_) | None => found.uri,
    })
}

/// Where xl is asked too: libvirt on a Xen host knows no domain that xl has made. It is reached by ssh only.
fn uri_of_xl(node: &str, inv: &Invocation, source: &str) -> Option<String> {
    let xen = Uri::parse(source).is_ok_and(|uri| uri.driver == "xen");
    if xen { uri(node, inv, XL_HERE).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::{Action, Caller, Environment};

    #[test]
    fn a_member_is_asked_where_a_migration_would_connect() {
        let inv = |vars: &[(&str, &str)]| {
            let pairs = vars.iter().map(|(name, value)| (name.into(), value.into()));
            Invocation::from_manager(Caller::Human, Action::Start, None, &Environment::from_pairs(pairs))
        };
        let mapped = inv(&[("OCF_RESKEY_migration_mapping", "n2:b.example"), ("OCF_RESKEY_migration_user", "vm")]);
        assert_eq!(uri("n2", &mapped, "qemu:///system").unwrap(), "qemu+ssh://vm@b.example/system?no_tty=1");
        assert_eq!(uri("n2", &inv(&[]), "lxc:///system").unwrap(), "lxc+ssh://n2/system?no_tty=1");
        assert!(uri("-oProxyCommand=x", &inv(&[]), "qemu:///system").is_err());
        assert_eq!(uri_of_xl("n2", &inv(&[]), "xen:///system").unwrap(), "xl+ssh://n2?no_tty=1");
        assert_eq!(uri_of_xl("n2", &inv(&[("OCF_RESKEY_migration_transport", "tls")]), "xen:///system"), None);
        assert_eq!(uri_of_xl("n2", &inv(&[]), "qemu:///system"), None);
    }

    #[test]
    fn who_does_not_know_counts_before_who_denies_it() {
        let off = || Some(Place::by_word(Libvirt::NoDomain));
        let silent = || Some(Place::silent("it does not answer"));
        let unknown = |said| matches!(most_telling(said).unwrap().presence(), Presence::Unknown(_));
        assert!(unknown(vec![off(), silent()]) && unknown(vec![silent(), off()]) && unknown(vec![off(), None]));
        assert!(matches!(most_telling(vec![off(), off()]).unwrap().presence(), Presence::Off(_)));
    }
}
