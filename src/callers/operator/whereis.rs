// SPDX-License-Identifier: GPL-2.0-or-later
//! whereis by hand: on which hosts a virtual machine runs, and where libvirt has a definition of it. This host and all
//! others are asked at the same time; one that is silent is unknown, and never one that has nothing.

use super::json;
use super::managed;
use super::members::as_configured;
use crate::cluster::{Cluster, Member};
use crate::host::look::{Depth, Looker};
use crate::host::peers::{self, Kept, Subject};
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::{Definition, Peer, Place};
use crate::model::outcome::Code;
use crate::model::presence::Presence;
use crate::model::standing::Standing;
use crate::policy::copies::{self, Copies, Holds};
use crate::sys::hosts;
use crate::sys::roots::Roots;
use crate::sys::text::{ascii_line, uuid_text};
use crate::sys::time::Deadline;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How much of a hash a person is shown.
const SHORT: usize = 12;

/// The version of its table in docs/JSON.md.
const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Whereis {
    version: u32,
    #[serde(skip)]
    pub code: Code,
    name: Option<String>,
    uuid: Option<String>,
    /// `none`, `one`, `several` or `unknown`.
    copies: &'static str,
    hosts: Vec<HostSaid>,
    /// The file that a start on this host would use, and its SHA-256.
    file: Option<File>,
    /// Whether the hosts' own definitions differ, where two or more have one.
    differ: Option<bool>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct HostSaid {
    node: String,
    here: bool,
    /// How the cluster sees it.
    standing: Option<Standing>,
    /// Whether it runs there, as far as that is known.
    runs: Option<bool>,
    /// Its state there; why it is not known.
    state: String,
    /// Whether libvirt has a definition of its own of it.
    defined: Option<bool>,
    /// The SHA-256 of that.
    sha256: Option<String>,
    mark: Option<MarkSaid>,
}

/// Which resource it was started for, and from what.
#[derive(Serialize)]
struct MarkSaid {
    resource: String,
    source: Option<String>,
    sha256: Option<String>,
    started: Option<String>,
    started_on: Option<String>,
}

#[derive(Serialize)]
struct File {
    path: String,
    sha256: String,
}

/// What was asked, and of whom.
struct Asking<'a> {
    inv: &'a Invocation,
    looker: Looker,
    subject: Option<Subject>,
    members: Vec<Member>,
    deadline: Deadline,
}

/// Asks, and changes nothing.
#[must_use]
pub(super) fn look(inv: &Invocation, env: &Environment) -> Whereis {
    let deadline = inv.budget().deadline();
    let until = inv.budget().until(Share::Members, deadline);
    let mut warnings = Vec::new();
    let cluster = managed::ask(inv, env, until);
    let resource = match &cluster {
        Cluster::Runs(_, resource) => resource.as_ref(),
        Cluster::None | Cluster::Unknown(_) => None,
    };
    let inv = &as_configured(inv, env, resource);
    let (members, all) = others(inv, &cluster, resource.map_or("", |it| it.name.as_str()), until, &mut warnings);
    let looker = Looker::new(inv, env, Roots::default());
    let members = peers::one_each(members, inv, &looker.uri, until);
    let mut asking = Asking { inv, looker, subject: None, members, deadline };
    let mut here = asking.here();
    asking.looker.read_definition(inv);
    asking.subject = Subject::of(&asking.looker, here.libvirt.uuid());
    let mut peers = asking.others(until);
    let mut held = held(&here, &peers);
    if copies::count(&held) == Copies::Several {
        // It may have moved while one was asked after the other: then it is at the second look in one of the two.
        (here, peers) = (asking.here(), asking.others(deadline));
        let again = self::held(&here, &peers);
        let both = |(before, now)| if now == Holds::Copy && before != Holds::Copy { Holds::Part } else { now };
        held = held.into_iter().zip(again).map(both).collect();
    }
    // Of those that were not asked nobody knows.
    held.extend((!all).then_some(Holds::Unknown));
    let places: Vec<(Option<&str>, &Place)> = std::iter::once((None, &here))
        .chain(peers.iter().map(|peer| (Some(peer.node.as_str()), &peer.place)))
        .collect();
    let kept = peers::kept(inv, &asking.looker.uri, &places, deadline);
    let mut standings = vec![None];
    standings.extend(peers.iter().map(|peer| Some(peer.standing)));
    let hosts = places.iter().zip(standings).zip(kept);
    let hosts = hosts.map(|((place, standing), kept)| HostSaid::of(place, standing, kept)).collect();
    let uuid = asking.looker.definition().uuid().or_else(|| places.iter().find_map(|(_, place)| place.libvirt.uuid()));
    let (copies, code) = in_words(copies::count(&held));
    let file = match asking.looker.definition() {
        Definition::File(it) => Some(File { path: it.path.display().to_string(), sha256: it.sha256() }),
        Definition::NotLooked | Definition::Unchanged { .. } | Definition::None { .. } | Definition::Bad(_) => None,
    };
    let name = asking.looker.name().map(str::to_owned);
    let uuid = uuid.map(|uuid| uuid_text(&uuid));
    let mut whereis = Whereis { version: VERSION, code, name, uuid, copies, hosts, file, differ: None, warnings };
    whereis.compare();
    whereis
}

/// The other hosts to ask, and whether these are all of them.
fn others(
    inv: &Invocation,
    cluster: &Cluster,
    resource: &str,
    until: Deadline,
    warnings: &mut Vec<String>,
) -> (Vec<Member>, bool) {
    let named = !inv.params.guard_nodes.is_empty();
    let known = match cluster {
        Cluster::Unknown(why) if !named => Err(why.clone()),
        Cluster::None if !named => {
            warnings.push("no cluster runs here, so this host alone was asked: name others by --nodes".into());
            return (Vec::new(), true);
        }
        Cluster::None | Cluster::Unknown(_) | Cluster::Runs(..) => peers::others(inv, resource, until),
    };
    match known {
        Ok(members) => (members, true),
        Err(why) => {
            warnings.push(format!("the other nodes are not known, and were not asked: {why}"));
            (Vec::new(), false)
        }
    }
}

fn held(here: &Place, peers: &[Peer]) -> Vec<Holds> {
    std::iter::once(here).chain(peers.iter().map(|peer| &peer.place)).map(copies::holds).collect()
}

const fn in_words(copies: Copies) -> (&'static str, Code) {
    match copies {
        Copies::None => ("none", Code::NotRunning),
        Copies::One => ("one", Code::Ok),
        Copies::Several => ("several", Code::Degraded),
        Copies::Unknown => ("unknown", Code::Generic),
    }
}

impl Asking<'_> {
    fn here(&mut self) -> Place {
        let depth = Depth { process: true, ..Depth::default() };
        let patience = self.inv.budget().share(Share::StatusLook, self.deadline.left());
        self.looker.look(self.inv, depth, patience, self.deadline).here
    }

    /// Asks all others at the same time; but not one of which the cluster proves that it runs nothing.
    fn others(&self, until: Deadline) -> Vec<Peer> {
        let (out, asked): (Vec<Member>, Vec<Member>) = self.members.iter().cloned().partition(Member::is_out);
        let Some(subject) = &self.subject else {
            return self.members.iter().map(|member| peer(member, Place::silent("its name is not known"))).collect();
        };
        let mut peers = peers::ask(&asked, self.inv, &self.looker.uri, subject, until);
        peers.extend(out.iter().map(|member| peer(member, Place::dead("the cluster has it off, or fenced"))));
        peers.sort_by_key(|peer| self.members.iter().position(|member| member.node == peer.node));
        peers
    }
}

fn peer(member: &Member, place: Place) -> Peer {
    Peer { node: member.node.clone(), standing: member.standing, on_record: member.on_record, place }
}

impl HostSaid {
    fn of((node, place): &(Option<&str>, &Place), standing: Option<Standing>, kept: Option<Kept>) -> Self {
        let (runs, state) = match place.presence() {
            Presence::Active(domain) => (Some(copies::holds(place) == Holds::Copy), domain.state.to_string()),
            Presence::Blind { silence, .. } => (Some(true), format!("its process runs, though {}", silence.why)),
            Presence::Stray { run, .. } => (Some(true), format!("its {run} runs, though libvirt lost it")),
            Presence::Off(why) => (Some(false), if node.is_some() { "not running".into() } else { why }),
            Presence::Unknown(why) => (None, if node.is_some() { ascii_line(place.why_unknown(), 160) } else { why }),
        };
        let runs = if copies::holds(place) == Holds::Unknown { None } else { runs };
        let kept = kept.unwrap_or_default();
        let text = |value: String| Some(value).filter(|value| !value.is_empty());
        Self {
            node: node.map_or_else(hosts::own_name, str::to_owned),
            here: node.is_none(),
            standing,
            runs,
            state,
            // Where libvirt knows no such domain, it has no definition of it.
            defined: kept.defined.or_else(|| place.has_no_domain().then_some(false)),
            sha256: kept.sha256,
            mark: kept.mark.map(|mark| MarkSaid {
                resource: mark.instance,
                source: text(mark.source),
                sha256: text(mark.sha256),
                started: text(mark.started),
                started_on: text(mark.node),
            }),
        }
    }

    fn text(&self) -> String {
        let mut text = match self.runs {
            Some(true) => format!("RUNS ({})", self.state),
            Some(false) => self.state.clone(),
            None => format!("not known: {}", self.state),
        };
        if let Some(mark) = &self.mark {
            let source = mark.source.as_deref().unwrap_or("libvirt's own definition");
            let _ = write!(text, ", for '{}' from {source}{}", mark.resource, hash(mark.sha256.as_deref()));
        }
        if self.defined == Some(true) {
            let _ = write!(text, "; libvirt has a definition{}", hash(self.sha256.as_deref()));
        }
        text
    }
}

/// The begin of a hash, in brackets.
fn hash(sha256: Option<&str>) -> String {
    sha256.and_then(|hash| hash.get(..SHORT)).map(|hash| format!(" ({hash})")).unwrap_or_default()
}

impl Whereis {
    /// Compares the hosts' definitions with each other, and the file here with that which it was started from.
    fn compare(&mut self) {
        let hashes: Vec<&str> = self.hosts.iter().filter_map(|host| host.sha256.as_deref()).collect();
        let differ = hashes.iter().collect::<BTreeSet<_>>().len() > 1;
        self.differ = (hashes.len() > 1).then_some(differ);
        if differ {
            self.warnings.push("libvirt's own definitions of it differ from host to host".into());
        }
        let Some(file) = &self.file else { return };
        for host in &self.hosts {
            let from = host.mark.as_ref().and_then(|mark| mark.sha256.as_ref());
            if from.is_some_and(|from| *from != file.sha256) {
                self.warnings.push(format!("{} here is not what it was started from on {}", file.path, host.node));
            }
        }
    }

    /// One line of JSON.
    #[must_use]
    pub(super) fn json(&self) -> String {
        json::line(self)
    }

    /// A few lines for a person.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let name = self.name.as_deref().unwrap_or("(no name)");
        let at = |runs: bool| {
            let hosts = self.hosts.iter().filter(|host| (host.runs == Some(true)) == runs);
            hosts.map(|host| host.node.as_str()).collect::<Vec<_>>()
        };
        let mut text = match self.code {
            Code::Ok if at(true).is_empty() => format!("{name}: on its way\n"),
            Code::Ok => format!("{name}: runs on {}\n", at(true).join(", ")),
            Code::NotRunning => format!("{name}: runs nowhere\n"),
            Code::Degraded => format!("{name}: runs on {}: stop all but one at once\n", at(true).join(" and ")),
            Code::Generic
            | Code::Args
            | Code::Unimplemented
            | Code::Perm
            | Code::Installed
            | Code::Configured
            | Code::StayedHere => format!("{name}: where it runs is not known\n"),
        };
        let width = self.hosts.iter().map(|host| host.node.len()).max().unwrap_or_default().max(10);
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(text, "  {label:<width$}  {value}");
        };
        for host in &self.hosts {
            line(&host.node, &host.text());
        }
        if let Some(file) = &self.file {
            line("file here", &format!("{}{}", file.path, hash(Some(&file.sha256))));
        }
        for warning in &self.warnings {
            line("WARNING", warning);
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests;
