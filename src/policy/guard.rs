// SPDX-License-Identifier: GPL-2.0-or-later
//! Before a start: does the machine run on another member of the cluster? And while it runs: does it run there too? Pure.
//!
//! A cluster manager knows what it did itself. What a person moved by virsh, or a migration whose end nobody saw, only the
//! members can tell. By hand the cluster's members are asked before the action begins, so here only those of `guard_nodes`.

use super::copies::{self, Holds};
use super::history::History;
use super::hope::{self, Hope};
use super::settle::{AtTarget, at_target};
use super::step::{Next, Query};
use super::{fail, share};
use crate::model::budget::Share;
use crate::model::call::{Caller, Invocation};
use crate::model::facts::{Fact, Facts, Peer, SilenceKind};
use crate::model::params::Guard;
use crate::model::presence::Presence;
use crate::model::standing::Standing;
use std::time::Duration;

/// How long the members' word holds: whoever starts it elsewhere meanwhile, while its storage is waited for here, is not in
/// it.
const FRESH: Duration = Duration::from_secs(10);
/// How long a libvirt daemon may take to restart, as far as a start waits for a socket that is not there.
const RESTART: Duration = Duration::from_secs(3);

/// What must be done, or answered, before the machine may be started here; nothing, where no member is known to run it.
pub(super) fn members(inv: &Invocation, seen: &Facts, done: &History) -> Option<Next> {
    let guard = inv.params.guard;
    if guard == Guard::Off || (inv.caller == Caller::Human && inv.params.guard_nodes.is_empty()) {
        return None;
    }
    let (name, strict) = (seen.here.label(), guard == Guard::Strict);
    // A daemon may be restarting, a network recovering: it is asked again while there is time for that.
    let asked_for = done.spent.saturating_sub(done.members_asked.unwrap_or(done.spent));
    let waits = asked_for < share(inv, done, Share::Guard);
    let peers = match &seen.answers.peers {
        Fact::NotAsked => return Some(Next::Ask(Query::Members)),
        Fact::Silent(_) if waits => return Some(Next::Ask(Query::Members)),
        Fact::Silent(silence) if strict => {
            return Some(fail(format!(
                "'{name}' was not started, since guard=strict: the cluster is silent: {}",
                silence.why
            )));
        }
        Fact::Silent(_) => return None,
        Fact::Known(_) if is_old(done) && !done.left.is_zero() => return Some(Next::Ask(Query::Members)),
        Fact::Known(peers) => peers,
    };
    if let Some((peer, how)) = peers.iter().find_map(|peer| Some((peer, runs(peer)?))) {
        return Some(fail(format!("'{name}' was not started: it {how} on {}; {}", peer.node, adopt(inv, &peer.node))));
    }
    let silent = || peers.iter().filter(|peer| is_silent(peer));
    let for_its_vote = |peer: &Peer| is_vouched(peer) && has_no_libvirt(peer) && asked_for >= RESTART;
    let worth_waiting = |peer: &Peer| may_answer(peer) && !for_its_vote(peer);
    if waits && silent().any(|peer| worth_waiting(peer) && (strict || !peer.standing.is_away())) {
        return Some(Next::Ask(Query::Members));
    }
    let silent = silent().find(|peer| strict || may_run(peer))?;
    let why = silent.place.why_unknown().trim_end_matches('.');
    let lost = if silent.standing == Standing::Unclean { ", which was lost and not fenced," } else { "" };
    Some(fail(format!(
        "'{name}' was not started: whether it runs on {}{lost} is not known: {why}; mend that, or set guard=off",
        silent.node
    )))
}

/// Whether what the members said may not be true any more.
fn is_old(done: &History) -> bool {
    done.members_told.is_some_and(|told| done.spent.saturating_sub(told) > FRESH)
}

impl History {
    /// The members have been asked, until `now`.
    pub(crate) fn note_members(&mut self, now: Duration) {
        if self.members_asked.is_none() || is_old(self) {
            self.members_asked = Some(self.spent);
        }
        self.members_told = Some(now);
    }
}

/// The members that said nothing, and that a start goes on without: a sentence for each.
pub(super) fn unheard(seen: &Facts) -> Vec<String> {
    let name = seen.here.label();
    match &seen.answers.peers {
        Fact::Silent(silence) => {
            vec![format!("the cluster's members could not be asked about '{name}': {}", silence.why)]
        }
        Fact::Known(peers) => {
            let silent = peers.iter().filter(|peer| is_silent(peer));
            silent
                .map(|peer| format!("{} could not be asked about '{name}': {}", peer.node, peer.place.why_unknown()))
                .collect()
        }
        Fact::NotAsked => Vec::new(),
    }
}

/// Whether this monitor looks for a second copy.
pub(super) fn looks_for_a_second(inv: &Invocation) -> bool {
    let asks = inv.check_level >= 10 || inv.params.guard_monitor;
    inv.recurring && inv.action.watches() && asks && inv.params.guard != Guard::Off
}

/// What a monitor says of a second copy. It ran here before the members were asked, and does so after that: what has moved
/// meanwhile is seen elsewhere alone. Silence is no copy.
pub(super) fn second_copy(seen: &Facts) -> Option<String> {
    let Fact::Known(peers) = &seen.answers.peers else { return None };
    let is_copy = |place| copies::holds(place) == Holds::Copy;
    let other = peers.iter().find(|peer| is_copy(&peer.place)).filter(|_| is_copy(&seen.here))?;
    let how = runs(other).unwrap_or_default();
    Some(format!("'{}' runs here, and {how} on {} too: stop one of the two at once", seen.here.label(), other.node))
}

/// How the machine runs at a member, if it does. A placeholder that waits there for its memory may become it.
fn runs(peer: &Peer) -> Option<String> {
    match at_target(&peer.place) {
        Presence::Active(AtTarget::Whole(state) | AtTarget::Half(state)) => Some(format!("is {state}")),
        Presence::Active(AtTarget::Arriving) => Some("is arriving".into()),
        Presence::Blind { .. } | Presence::Stray { .. } => Some("has a process".into()),
        Presence::Off(_) | Presence::Unknown(_) => None,
    }
}

fn is_silent(peer: &Peer) -> bool {
    matches!(peer.place.presence(), Presence::Unknown(_))
}

/// Whether one that stays silent hinders a start.
fn may_run(peer: &Peer) -> bool {
    let on_record = peer.standing == Standing::Unclean || peer.on_record == Some(true);
    !peer.standing.is_away() && !is_vouched(peer) && (may_answer(peer) || on_record)
}

/// The manager's word is a witness too: a member that it sees runs nothing that it has not on record there, but for what
/// nobody told it. (A machine inside of an rgmanager service has no record of its own.)
fn is_vouched(peer: &Peer) -> bool {
    peer.standing == Standing::Online && peer.on_record != Some(true)
}

/// A node that is a member for its vote alone has no libvirt to wait for; one whose daemon restarts has no socket for a
/// moment.
fn has_no_libvirt(peer: &Peer) -> bool {
    peer.place.why_unknown().contains("No such file or directory")
}

/// Whether one that is not known may say more without anybody mending something: a login that is refused stays so.
fn may_answer(peer: &Peer) -> bool {
    peer.place.silence().is_none_or(|silence| match silence.kind {
        SilenceKind::Missing => false,
        SilenceKind::Dead | SilenceKind::Hung | SilenceKind::Busy => true,
        SilenceKind::Refused => hope::of_connection(&silence.why) != Hope::Lost,
    })
}

/// How the cluster comes to know where it runs.
fn adopt(inv: &Invocation, node: &str) -> String {
    match (inv.caller, inv.instance.as_str()) {
        (Caller::Ocf | Caller::Human, _) | (_, "") => "stop it there first".into(),
        (Caller::Rgmanager, service) => format!("'clusvcadm -e {service} -m {node}' takes it over there"),
        (Caller::Pacemaker, resource) => format!("'crm_resource --refresh -r {resource}' lets the cluster see that"),
    }
}
