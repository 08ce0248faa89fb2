// SPDX-License-Identifier: GPL-2.0-or-later
//! migrate_from: the target's side of a migration. Pure.

use super::history::History;
use super::step::Next;
use super::words::{as_process, not_told_to_run, stray};
use super::{fail, ok, share, wait_or, wait_or_else};
use crate::model::budget::Share;
use crate::model::call::Invocation;
use crate::model::facts::Facts;
use crate::model::presence::Presence;
use crate::policy::health::{self, Health};

/// The target's side: the source has said that it moved, so it runs, or is about to.
pub(super) fn receive(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    match seen.here.presence() {
        Presence::Active(domain) => match health::health(domain.state, domain.motion) {
            Health::Well | Health::Degraded => ok(format!("'{}' has arrived and is {}", domain.name, domain.state)),
            Health::Arriving | Health::Elsewhere => wait_or(done, inv.timeout, || {
                format!("'{}' is still arriving: its memory did not come in time", domain.name)
            }),
            Health::Failed | Health::Off => fail(format!("'{}' has arrived, but is {}", domain.name, domain.state)),
        },
        Presence::Blind { ran: false, run, name, silence, .. } => wait_or(done, inv.timeout, || {
            let label = seen.here.label();
            format!("'{label}' is still arriving: {}, and {}", not_told_to_run(run, name, label), silence.why)
        }),
        Presence::Blind { run, name, silence, .. } => wait_or_else(done, share(inv, done, Share::Word), || {
            let as_process = as_process(run, name, seen.here.label());
            ok(format!("'{}' has arrived {as_process}, though {}", seen.here.label(), silence.why))
        }),
        Presence::Stray { run, name, .. } => wait_or(done, share(inv, done, Share::ClearsUp), || {
            stray(seen, (run, name), "runs, but libvirt does not know it")
        }),
        Presence::Off(why) => {
            wait_or(done, share(inv, done, Share::SecondLook), || format!("{why}; it did not arrive"))
        }
        Presence::Unknown(why) => wait_or(done, inv.timeout, || why),
    }
}
