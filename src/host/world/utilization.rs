// SPDX-License-Identifier: GPL-2.0-or-later
//! Keeps the utilization attributes of the machine's resource at what it has.
//!
//! What a machine has changes with its start and when a person plugs something in, so it is asked for once in each run of it,
//! and by deep monitors, which cost more anyway. A record says what is known of a run: every other monitor reads that, and
//! nothing more. Its loss costs a question to the cluster.

use super::Host;
use crate::cluster;
use crate::hypervisor::rpc::Info;
use crate::model::budget::Share;
use crate::model::params::UtilizationOf;
use crate::sys::run_dir;
use crate::sys::text::uuid_text;
use crate::sys::time::now;
use std::time::Duration;

/// The first monitors of a run are waited for by the transition that started it; others by nobody.
const NOT_AT_FIRST: Duration = Duration::from_secs(5);
/// Before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(300);
/// What the record begins with that says when to look.
const LATER: &str = "later ";

impl Host<'_> {
    /// Does so where it is due, for a machine that runs well.
    pub(super) fn keep_utilization(&mut self) {
        let on_xen = self.looker.uri.starts_with("xen");
        let wanted: Vec<(&str, UtilizationOf)> =
            self.inv.params.utilization.wanted(self.inv.as_virtual_domain, on_xen).collect();
        let (Some(name), Some(domain)) = (self.looker.name(), self.looker.last()) else { return };
        if wanted.is_empty() {
            return;
        }
        let (file, run) = (format!("{name}.utilization"), self.looker.roots.run.clone());
        // It is another run, or something else is wanted, where this differs.
        let key = format!("{} {} {} {wanted:?}", domain.id, uuid_text(&domain.uuid), self.inv.instance);
        let record = run_dir::kept(&run, &file);
        let known = record.as_deref().and_then(|record| record.strip_prefix(&key)).map(str::trim_start);
        let note = |what: &str| {
            let _ = run_dir::keep(&run, &file, &format!("{key} {what}")).inspect_err(|errno| {
                log::debug!("what is known of the utilization was not noted: {errno}");
            });
        };
        match known {
            None => return note(&later(NOT_AT_FIRST)),
            Some(known) => match known.strip_prefix(LATER) {
                Some(when) if when.parse().is_ok_and(|when| now() < when) => return,
                None if self.inv.check_level < 10 => return,
                Some(_) | None => {}
            },
        }
        let until = self.until(Share::Utilization);
        let info = self.looker.ask_last(until, |connection, domain| connection.info(domain));
        let values =
            info.map(|info| wanted.iter().map(|(name, keep)| (*name, value(*keep, &info))).collect::<Vec<_>>());
        if known == values.as_ref().map(|values| format!("{values:?}")).as_deref() {
            return;
        }
        // Noted before: what hangs must not be asked again by each monitor.
        note(&later(AGAIN));
        let Some(values) = values else { return };
        match cluster::set_utilization(&self.inv.instance, &values, until) {
            Ok(changed) => {
                note(&format!("{values:?}"));
                if let Some(changed) = changed {
                    log::info!("utilization of '{}' in the cluster's configuration: {changed}", self.inv.instance);
                }
            }
            Err(why) => log::info!("utilization of '{}' was not written: {why}", self.inv.instance),
        }
    }
}

/// What VirtualDomain writes, too.
fn value(keep: UtilizationOf, info: &Info) -> Option<u64> {
    match keep {
        UtilizationOf::Cpu => Some(info.vcpus.into()),
        UtilizationOf::Memory => Some(info.max_mem_kib / 1024),
        UtilizationOf::Nothing => None,
    }
}

fn later(pause: Duration) -> String {
    format!("{LATER}{}", now() + pause.as_secs())
}
