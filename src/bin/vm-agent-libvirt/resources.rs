// SPDX-License-Identifier: GPL-2.0-or-later
//! The networks and storage pools that a domain names, started where they are not active: before a start, and at the target
//! of a migration. Others may start the same at the same time: that it is active in the end is what counts.

use crate::failure::{During, own};
use crate::lacks::{NO_NETWORK, NO_STORAGE_POOL, NO_STORAGE_VOL};
use crate::{connect, output};
use std::collections::BTreeSet;
use virt::connect::Connect;
use virt::error::Error;
use virt::storage_pool::StoragePool;
use vm_agent::model::definition::{self, DefinedDomain, DiskKind};
use vm_agent::model::worker::{Answer, CallStep, ErrorReply, HostChange, Progress};

/// Carries out `change` at `uri`.
pub(crate) fn make(uri: &str, change: &HostChange) -> Result<Answer, ErrorReply> {
    let HostChange::StartResources { xml } = change;
    let facts = definition::parse(xml.as_bytes()).map_err(|error| own(CallStep::Input, error.to_string()))?;
    let connection = connect::open(uri, CallStep::Connect)?;
    start(&connection, &facts, "this host").during(CallStep::Call)?;
    Ok(Answer::default())
}

/// Starts them, on the host that is called `there`; the first that cannot be started ends it.
///
/// # Errors
/// One sentence.
pub(crate) fn start(connection: &Connect, facts: &DefinedDomain, there: &str) -> Result<(), String> {
    let networks: BTreeSet<&str> =
        facts.interfaces.iter().filter_map(|interface| interface.network.as_deref()).collect();
    for name in networks {
        let missing = |error: Error| cannot("network", name, there, NO_NETWORK, &error);
        doing(&format!("asking about the network '{name}'"));
        let network = connection.lookup_network_by_name(name).map_err(missing)?;
        if network.is_active().map_err(missing)? {
            continue;
        }
        doing(&format!("starting the network '{name}'"));
        if let Err(error) = network.create()
            && !network.is_active().unwrap_or(false)
        {
            return Err(missing(error));
        }
    }
    let volumes: BTreeSet<(&str, &str)> = facts
        .disks
        .iter()
        .filter(|disk| disk.kind == DiskKind::Volume)
        .filter_map(|disk| disk.source.as_deref()?.split_once('/'))
        .collect();
    for (name, volume) in volumes {
        let missing = |error: Error| cannot("storage pool", name, there, NO_STORAGE_POOL, &error);
        // One that somebody else is starting does not even tell whether it is active.
        doing(&format!("asking about the storage pool '{name}'"));
        let pool = connection.lookup_storage_pool_by_name(name).map_err(missing)?;
        if !pool.is_active().map_err(missing)? {
            doing(&format!("starting the storage pool '{name}'"));
            if let Err(error) = pool.create(0)
                && !pool.is_active().unwrap_or(false)
            {
                return Err(missing(error));
            }
        }
        look_for(&pool, volume, name);
    }
    Ok(())
}

/// A pool knows of what was made elsewhere since it was last looked through only when it is looked through again.
fn look_for(pool: &StoragePool, volume: &str, name: &str) {
    if pool.lookup_storage_vol_by_name(volume).is_err_and(|error| error.code().to_raw() == NO_STORAGE_VOL) {
        doing(&format!("looking through the storage pool '{name}'"));
        // That the volume is missing the start itself says.
        let _ = pool.refresh(0);
    }
}

fn cannot(kind: &str, name: &str, there: &str, unknown: u32, error: &Error) -> String {
    if error.code().to_raw() == unknown {
        return format!("{there} has no {kind} '{name}': define it there");
    }
    let why = silent(error.message()).unwrap_or_else(|| error.message().to_owned());
    format!("the {kind} '{name}' of {there} cannot be started: {why}")
}

/// Of libvirt's modular daemons another one has networks, and another one storage.
fn silent(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Failed to connect socket to '")?;
    let (socket, why) = rest.split_once("': ")?;
    let daemon = socket.rsplit('/').next()?.strip_suffix("-sock")?;
    Some(format!("{daemon} does not run ({why}): start it"))
}

/// Where it does not go on, this is what it hangs at.
fn doing(what: &str) {
    output::progress(Progress::Doing(what.to_owned()));
}
