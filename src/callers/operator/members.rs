// SPDX-License-Identifier: GPL-2.0-or-later
//! Where else a virtual machine runs: the other members of the cluster are asked, all at once and for a bounded time. What
//! a member's libvirt says counts more than what the cluster believes, which in maintenance it no longer looks at.

use crate::cluster::{self, Manager, Resource};
use crate::host::look::{Depth, Looker};
use crate::host::peers::{self, Subject};
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::Peer;
use crate::model::params::Params;
use crate::model::presence::Presence;
use crate::model::standing::Standing;
use crate::policy::settle::{AtTarget, at_target};
use crate::sys::roots::Roots;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use serde::Serialize;
use std::ffi::OsStr;

/// What a member said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct MemberSaid {
    pub node: String,
    standing: Standing,
    /// Whether the virtual machine runs there, as far as the member told.
    pub runs: Option<bool>,
    /// Its state there; why it is not known.
    pub state: String,
}

impl MemberSaid {
    fn of(peer: &Peer) -> Self {
        let (runs, state) = match at_target(&peer.place) {
            Presence::Active(AtTarget::Whole(state) | AtTarget::Half(state)) => (Some(true), state.to_string()),
            Presence::Active(AtTarget::Arriving) => (Some(true), "arriving there".into()),
            Presence::Off(_) => (Some(false), "not running".into()),
            Presence::Blind { .. } | Presence::Stray { .. } | Presence::Unknown(_) => {
                let why = ascii_line(peer.place.why_unknown(), 160);
                let believed = if peer.on_record == Some(true) { "; the cluster believes that it does" } else { "" };
                let how = match peer.standing {
                    Standing::Online | Standing::Unknown => "",
                    Standing::Offline | Standing::Unfenced => "it is offline, ",
                    Standing::Unclean => "it was lost and not fenced, ",
                };
                (None, format!("{how}{why}{believed}"))
            }
        };
        Self { node: peer.node.clone(), standing: peer.standing, runs, state }
    }

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
            None => !self.standing.is_away(),
        }
    }
}

/// The sentence that refuses to start what runs elsewhere, or may; nothing where it runs here.
pub(super) fn refusal(
    inv: &Invocation,
    env: &Environment,
    kind: Manager,
    resource: Option<&Resource>,
    until: Deadline,
) -> Option<String> {
    let inv = as_configured(inv, env, resource);
    let mut looker = Looker::new(&inv, env, Roots::default());
    let depth = Depth { process: true, ..Depth::default() };
    let seen = looker.look(&inv, depth, inv.budget().share(Share::LookHere, until.left()), until);
    match seen.here.presence() {
        Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } => return None,
        Presence::Off(_) | Presence::Unknown(_) => {}
    }
    let known = seen.here.libvirt.uuid();
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
    kind: Manager,
    resource: Option<&Resource>,
    until: Deadline,
) -> Result<Vec<MemberSaid>, String> {
    let resource = resource.map(|resource| resource.name.as_str());
    let members = cluster::members(kind, resource, inv.node.as_deref(), until)?.others;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    looker.read_definition(inv);
    let subject = Subject::of(looker, known).ok_or("its name is not known")?;
    let peers = peers::ask(&members, inv, &looker.uri, &subject, until);
    Ok(peers.iter().map(MemberSaid::of).collect())
}

/// The call with the parameters that the cluster has for the virtual machine, where the person gave no others.
pub(super) fn as_configured(inv: &Invocation, env: &Environment, resource: Option<&Resource>) -> Invocation {
    let Some(resource) = resource else { return inv.clone() };
    let configured = resource.params.iter().map(|(name, value)| (name.as_bytes(), OsStr::new(value.as_str())));
    Invocation { params: Params::read(configured.chain(env.reskeys())), ..inv.clone() }
}

#[cfg(test)]
impl MemberSaid {
    /// One with all that there is.
    pub(super) fn sample() -> Self {
        Self { node: String::new(), standing: Standing::Online, runs: Some(true), state: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_silence_of_an_offline_member_counts_for_nothing() {
        let said = |standing, runs| MemberSaid { node: "n".into(), standing, runs, state: String::new() }.matters();
        for standing in [Standing::Online, Standing::Unclean, Standing::Unknown] {
            assert!(said(standing, None), "{standing:?}");
        }
        assert!(!said(Standing::Offline, None) && !said(Standing::Unfenced, None));
        assert!(said(Standing::Offline, Some(true)) && !said(Standing::Unclean, Some(false)));
    }
}
