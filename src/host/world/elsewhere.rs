// SPDX-License-Identifier: GPL-2.0-or-later
//! The host that a machine migrated to: whether it runs there, and ending it there.

use super::Host;
use crate::cluster::{self, Member};
use crate::host::peers;
use crate::host::taking::noted;
use crate::hypervisor::backend::{self, Backend};
use crate::model::budget::Share;
use crate::model::call::Invocation;
use crate::model::change::Change;
use crate::model::facts::{Facts, Libvirt, Noted, NotedStage, Place};
use crate::model::failure::Failure;
use crate::model::presence::Presence;
use crate::model::worker::Who;
use crate::policy::History;
use crate::policy::settle::{AtTarget, at_target};
use crate::sys::connecting::{Connecting, Watch};
use crate::sys::proc;
use crate::sys::text::uuid_text;
use crate::sys::time::Deadline;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Host<'_> {
    /// The call, with the address that Pacemaker's node attribute has for the target, where one is to tell it.
    pub(super) fn addressed(&self) -> Cow<'_, Invocation> {
        let attribute = self.inv.params.migration.node_attribute.as_deref();
        let node = self.inv.target.as_ref().and_then(|target| target.to_str());
        let (Some(attribute), Some(node)) = (attribute, node) else { return Cow::Borrowed(self.inv) };
        let mapping = match cluster::node_attribute(node, attribute, self.until(Share::Standing)) {
            Ok(address) => address.and_then(|host| self.inv.params.migration.mapping.with(node, &host)),
            Err(why) => {
                log::warn!("the attribute {attribute} of {node} is not known, and its own name is used: {why}");
                None
            }
        };
        let Some(mapping) = mapping else { return Cow::Borrowed(self.inv) };
        let mut inv = self.inv.clone();
        inv.params.migration.mapping = mapping;
        Cow::Owned(inv)
    }

    /// How it is where it last migrated to; a host that is dead must not cost a failover much.
    pub(super) fn ask_elsewhere(&self, who: &Who, done: &History) -> Place {
        // Of a migration whose end nobody saw the cluster's records need not know.
        if let Some(Noted { node: Some(node), stage: NotedStage::Finished, .. }) = noted(&self.looker)
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
        let patience = self.inv.budget().share(Share::SignOfLife, until.left());
        let mut connections = Watch::default();
        let place = backend::place_of_any(whos, |who| {
            backend::lookup_unless(uri, who, until, || unanswered(&mut connections, &self.looker.roots.proc, patience))
        });
        if let Some(silence) = place.silence() {
            let why = format!("{uri} cannot be asked: {}", silence.why);
            log::warn!("it last migrated away from here, and whether it runs there is not known: {why}");
        }
        place
    }

    /// Whether the cluster proves that the machine does not run on `node`. A cluster that cannot tell proves nothing.
    fn is_out(&self, node: &str) -> bool {
        match peers::of_the_cluster(self.inv, &self.inv.instance, self.until(Share::Standing)) {
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
        let noted = noted(&self.looker)
            .filter(|noted| noted.stage != NotedStage::Finished || done.outward.may_be_the_recorded_one());
        let uri = noted
            .ok_or_else(|| Failure::refused("where it went is not known here; look for it on the other nodes"))?
            .uri;
        let who = self.looker.last().map_or(Who::Name(name), |d| Who::Uuid(uuid_text(&d.uuid)));
        let ask = || there(&uri, &who, self.until(Share::Target));
        let end = match at_target(&ask()?) {
            Presence::Off(_) => return Ok(format!("it does not run at {uri} either")),
            Presence::Active(AtTarget::Whole(state)) if only_half => {
                return Ok(format!("at {uri} it is {state}; that was left alone"));
            }
            Presence::Active(AtTarget::Arriving) if only_half => Change::DestroyWaiting,
            Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } | Presence::Unknown(_) => {
                Change::Destroy
            }
        };
        let backend = Backend { uri: uri.clone(), use_virsh: false };
        let destroyed = backend.call(&end, &who, self.inv.budget().keeping(Share::Target, self.deadline));
        // It may have ended by itself meanwhile: what counts is what is there now.
        if matches!(ask()?.presence(), Presence::Off(_)) {
            return Ok(format!("it was ended at {uri}"));
        }
        Err(destroyed.err().unwrap_or_else(|| Failure::refused(format!("it still runs at {uri}"))))
    }
}

/// That a host whose libvirt is being asked gives no sign of life, if it gives none. What has connected is waited for: a
/// daemon may be slow, and a connection by way of another host is that host's.
fn unanswered(connections: &mut Watch, proc: &Path, patience: Duration) -> Option<String> {
    let dead: Vec<Connecting> = connections.unanswered(proc, patience).collect();
    if dead.is_empty() {
        return None;
    }
    let ours = proc::descendants_of(rustix::process::getpid());
    let folders: Vec<PathBuf> = ours.iter().map(|pid| proc.join(pid.as_raw_nonzero().to_string())).collect();
    let dead = dead.iter().find(|connecting| folders.iter().any(|process| connecting.is_of(process)))?;
    let (address, port) = (dead.remote.ip(), dead.remote.port());
    Some(format!("{address} gives no sign of life: no answer at port {port} within {:.0} s", patience.as_secs_f32()))
}

/// How the domain is at another host.
fn there(uri: &str, who: &Who, deadline: Deadline) -> Result<Place, Failure> {
    match backend::lookup(uri, who.clone(), deadline) {
        Ok(lookup) => Ok(Place::by_word(Libvirt::told(lookup))),
        Err(failure) => Err(Failure { said: format!("{uri} cannot be asked: {failure}"), ..failure }),
    }
}
