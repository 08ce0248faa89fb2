// SPDX-License-Identifier: GPL-2.0-or-later
//! The host that a machine migrated to: whether it runs there, and ending it there.

use super::Host;
use crate::cluster::Member;
use crate::host::peers;
use crate::host::turn::noted;
use crate::hypervisor::backend::{self, Backend};
use crate::model::budget::Share;
use crate::model::change::Change;
use crate::model::facts::{Facts, Libvirt, Noted, Place};
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::model::worker::Who;
use crate::policy::History;
use crate::policy::settle::{AtTarget, at_target};
use crate::sys::text::uuid_text;
use crate::sys::time::Deadline;

impl Host<'_> {
    /// How it is where it last migrated to; a host that is dead must not cost a failover much.
    pub(super) fn ask_elsewhere(&self, who: &Who, done: &History) -> Place {
        // Of a migration whose end nobody saw the cluster's records need not know.
        if let Some(Noted { node: Some(node), finished: true, .. }) = noted(&self.looker)
            && self.is_out(&node)
        {
            log::info!("it last migrated to {node}, which is offline by the cluster's word: it is not asked there");
            return Place::dead(format!("{node} is offline by the cluster's word"));
        }
        let uri = done.moved_to.as_deref().unwrap_or_default();
        let until = self.until(Share::Elsewhere);
        // It keeps its UUID, whatever name its definition has by now.
        let uuids = self.looker.uuids().into_iter().map(|uuid| Who::Uuid(uuid_text(&uuid)));
        let whos: Vec<Who> = uuids.chain(std::iter::once(who.clone())).collect();
        let place = backend::place_of_any(uri, whos, until);
        if let Some(silence) = place.silence() {
            let why = format!("{uri} cannot be asked: {}", silence.why);
            log::warn!("it last migrated away from here, and whether it runs there is not known: {why}");
        }
        place
    }

    /// Whether the cluster proves that the machine does not run on `node`. A cluster that cannot tell proves nothing.
    fn is_out(&self, node: &str) -> bool {
        match peers::of_the_cluster(self.inv, self.until(Share::Standing)) {
            Ok(members) => members.is_some_and(|members| members.other(node).is_some_and(Member::is_out)),
            Err(why) => {
                log::info!("the cluster does not say how {node} is: {why}");
                false
            }
        }
    }

    /// Ends the domain where its migration went, or only what `only_half` of it is there. The note of the target is the
    /// migrating agent's.
    pub(super) fn stop_at_target(&self, seen: &Facts, only_half: bool, done: &History) -> Result<String, Failure> {
        let name = seen.here.name.clone().unwrap_or_default();
        // The record of a finished migration tells of an earlier one, unless it has finished in the meantime.
        let noted = noted(&self.looker).filter(|noted| !noted.finished || done.outward.may_be_the_recorded_one());
        let uri = noted
            .ok_or_else(|| Failure::refused("where it went is not known here; look for it on the other nodes"))?
            .uri;
        let who = self.looker.last().map_or(Who::Name(name), |d| Who::Uuid(uuid_text(&d.uuid)));
        let ask = || there(&uri, &who, self.until(Share::Target));
        match at_target(&ask()?) {
            Presence::Off(_) => return Ok(format!("it does not run at {uri} either")),
            Presence::Active(AtTarget::Whole(state)) if only_half => {
                return Ok(format!("at {uri} it is {state}; that was left alone"));
            }
            Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } | Presence::Unknown(_) => {}
        }
        let backend = Backend { uri: uri.clone(), use_virsh: false };
        let destroyed = backend.call(&Change::Destroy, &who, self.inv.budget().keeping(Share::Target, self.deadline));
        // It may have ended by itself meanwhile: what counts is what is there now.
        if matches!(ask()?.presence(), Presence::Off(_)) {
            return Ok(format!("it was ended at {uri}"));
        }
        Err(destroyed.err().unwrap_or_else(|| Failure::refused(format!("it still runs at {uri}"))))
    }
}

/// How the domain is at another host.
fn there(uri: &str, who: &Who, deadline: Deadline) -> Result<Place, Failure> {
    match backend::lookup(uri, who.clone(), deadline) {
        Ok(lookup) => Ok(Place::by_word(Libvirt::told(lookup))),
        Err(failure) => Err(Failure { said: format!("{uri} cannot be asked: {failure}"), ..failure }),
    }
}
