// SPDX-License-Identifier: GPL-2.0-or-later
//! Where else a virtual machine runs: the other members of the cluster are asked, all at once and for a bounded time. What
//! a member's libvirt says counts more than what the cluster believes, which in maintenance it no longer looks at.

use crate::cluster::{self, Kind, Member, Resource, Standing};
use crate::host::look::{Depth, Looker};
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::{Definition, Libvirt, Place};
use crate::model::params::Params;
use crate::model::presence::Presence;
use crate::model::target;
use crate::model::worker::Who;
use crate::policy::settle::{AtTarget, at_target};
use crate::sys::roots::Roots;
use crate::sys::text::ascii_line;
use crate::sys::text::uuid_text;
use crate::sys::time::Deadline;
use serde::Serialize;
use std::ffi::OsStr;

/// What a member said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    pub node: String,
    standing: Standing,
    /// Whether the virtual machine runs there, as far as the member told.
    pub runs: Option<bool>,
    /// Its state there; why it is not known.
    pub state: String,
}

impl Said {
    /// In words.
    pub(super) fn text(&self) -> String {
        match self.runs {
            Some(true) => format!("it RUNS there ({})", self.state),
            Some(false) => self.state.clone(),
            None => format!("not known: {}", self.state),
        }
    }

    /// Whether it cannot be ruled out that the virtual machine runs there.
    pub(super) fn matters(&self) -> bool {
        match self.runs {
            Some(runs) => runs,
            None => match self.standing {
                Standing::Online | Standing::Unclean | Standing::Unknown => true,
                Standing::Offline | Standing::Unfenced => false,
            },
        }
    }
}

/// Who is asked about.
struct Subject {
    name: String,
    /// Its UUID, where the definition tells it: it may run there under another name.
    uuid: Option<String>,
}

/// The sentence that refuses to start what runs elsewhere, or may; nothing where it runs here.
pub(super) fn refusal(
    inv: &Invocation,
    env: &Environment,
    kind: Kind,
    resource: Option<&Resource>,
    until: Deadline,
) -> Option<String> {
    let inv = as_configured(inv, env, resource);
    let mut looker = Looker::new(&inv, env, Roots::default());
    let depth = Depth { process: true, thorough: false };
    let seen = looker.look(&inv, depth, inv.budget().share(Share::LookHere, until.left()), until);
    match seen.here.presence() {
        Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } => return None,
        Presence::Off(_) | Presence::Unknown(_) => {}
    }
    let known = match &seen.here.libvirt {
        Libvirt::Domain(domain) => Some(domain.uuid),
        Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => None,
    };
    let name = looker.name().unwrap_or("the virtual machine").to_owned();
    let said = ask(&inv, &mut looker, known, kind, resource, until);
    let way_out = "nothing was done: see there, or add --force";
    match said {
        Err(why) => Some(format!("cannot tell whether '{name}' runs on another node: {why}; {way_out}")),
        Ok(said) => {
            let runs = said.iter().find(|member| member.runs == Some(true));
            let member = runs.or_else(|| said.iter().find(|member| member.matters()))?;
            let (node, state) = (&member.node, &member.state);
            Some(if runs.is_some() {
                format!("'{name}' runs on {node} ({state}): a second copy would damage its disks; {way_out}")
            } else {
                format!("cannot tell whether '{name}' runs on {node}: {state}; {way_out}")
            })
        }
    }
}

/// What the other members say of a virtual machine, about which `looker` knows what there is to know here.
///
/// # Errors
/// Why nobody can be asked.
pub(super) fn ask(
    inv: &Invocation,
    looker: &mut Looker,
    known: Option<[u8; 16]>,
    kind: Kind,
    resource: Option<&Resource>,
    until: Deadline,
) -> Result<Vec<Said>, String> {
    let resource = resource.map(|resource| resource.name.as_str());
    let members = cluster::members(kind, resource, inv.node.as_deref(), until)?.others;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    looker.read_definition(inv);
    let uuid = known.or(match looker.definition() {
        Definition::File(defined) => defined.uuid,
        Definition::NotLooked | Definition::None { .. } | Definition::Bad(_) => None,
    });
    let name = looker.name().ok_or("its name is not known")?.to_owned();
    let subject = Subject { name, uuid: uuid.map(|uuid| uuid_text(&uuid)) };
    let source = looker.uri.as_str();
    let one = |member: &Member| said(member, inv, source, &subject, until);
    Ok(std::thread::scope(|scope| {
        let asked: Vec<_> = members.iter().map(|member| (member, scope.spawn(|| one(member)))).collect();
        let said = asked.into_iter().map(|(member, thread)| {
            thread.join().unwrap_or_else(|_| answered(member, None, "it could not be asked".into()))
        });
        said.collect()
    }))
}

/// The call with the parameters that the cluster has for the virtual machine, where the person gave no others.
pub(super) fn as_configured(inv: &Invocation, env: &Environment, resource: Option<&Resource>) -> Invocation {
    let Some(resource) = resource else { return inv.clone() };
    let configured = resource.params.iter().map(|(name, value)| (name.as_bytes(), OsStr::new(value.as_str())));
    Invocation { params: Params::read(configured.chain(env.reskeys())), ..inv.clone() }
}

fn said(member: &Member, inv: &Invocation, source: &str, subject: &Subject, until: Deadline) -> Said {
    let until = match member.standing {
        Standing::Online | Standing::Unclean | Standing::Unknown => until,
        Standing::Offline | Standing::Unfenced => inv.budget().until(Share::Offline, until),
    };
    let there = match uri(&member.node, inv, source) {
        Ok(uri) => there(&uri, subject, until),
        Err(why) => Place::silent(why),
    };
    match at_target(&there) {
        Presence::Active(AtTarget::Whole(state) | AtTarget::Half(state)) => {
            answered(member, Some(true), state.to_string())
        }
        Presence::Active(AtTarget::Arriving) => answered(member, Some(true), "arriving there".into()),
        Presence::Off(_) => answered(member, Some(false), "not running".into()),
        Presence::Blind { .. } | Presence::Stray { .. } | Presence::Unknown(_) => {
            let why = ascii_line(there.why_unknown(), 160);
            let believed = if member.on_record == Some(true) { "; the cluster believes that it does" } else { "" };
            let how = match member.standing {
                Standing::Online | Standing::Unknown => "",
                Standing::Offline | Standing::Unfenced => "it is offline, ",
                Standing::Unclean => "it was lost and not fenced, ",
            };
            answered(member, None, format!("{how}{why}{believed}"))
        }
    }
}

fn answered(member: &Member, runs: Option<bool>, state: String) -> Said {
    Said { node: member.node.clone(), standing: member.standing, runs, state }
}

/// Where libvirt answers on a node: as a migration finds it, also for hypervisors that cannot migrate.
fn uri(node: &str, inv: &Invocation, source: &str) -> Result<String, String> {
    let driver = source.split([':', '+']).next().unwrap_or_default();
    let migrates = matches!(driver, "qemu" | "xen");
    let found = target::find(node, &inv.params.migration, if migrates { source } else { "qemu:///system" }, false)?;
    Ok(match found.uri.strip_prefix("qemu+") {
        Some(rest) if !migrates => format!("{driver}+{rest}"),
        Some(_) | None => found.uri,
    })
}

/// How the domain is at this host: by its name, and by its UUID if no such name runs.
fn there(uri: &str, subject: &Subject, until: Deadline) -> Place {
    let by_name = backend::place(uri, Who::Name(subject.name.clone()), until);
    match (by_name.presence(), &subject.uuid) {
        (Presence::Off(_), Some(uuid)) => backend::place(uri, Who::Uuid(uuid.clone()), until),
        (_, _) => by_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::{Action, Caller};

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
    }

    #[test]
    fn only_the_silence_of_an_offline_member_counts_for_nothing() {
        let said = |standing, runs| Said { node: "n".into(), standing, runs, state: String::new() }.matters();
        for standing in [Standing::Online, Standing::Unclean, Standing::Unknown] {
            assert!(said(standing, None), "{standing:?}");
        }
        assert!(!said(Standing::Offline, None) && !said(Standing::Unfenced, None));
        assert!(said(Standing::Offline, Some(true)) && !said(Standing::Unclean, Some(false)));
    }
}
