// SPDX-License-Identifier: GPL-2.0-or-later
//! The verb that waits: a domain's lifecycle events as they come, until it is in the state that is waited for.

use crate::{connect, ffi, libvirts, output, own};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use virt::sys;
use vm_agent::time::Deadline;
use vm_agent::worker::{Answer, End, Failure, Lookup, Progress, Step, Until, Who};

/// An event is what normally ends the wait. A look in between covers a hypervisor that sends none.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a connection tells by itself.
#[derive(Debug)]
pub enum Happening {
    /// A lifecycle event of some domain.
    Domain { name: String, uuid: String, event: i32, detail: i32 },
    /// The connection is gone.
    Closed { reason: i32 },
}

/// Waits for at most `for_ms`; the answer says how the domain is then.
pub fn wait(uri: &str, who: &Who, until: Until, for_ms: Option<u64>) -> Result<Answer, Failure> {
    connect::run_event_loop()?;
    let connection = connect::open(uri, Step::Connect)?;
    connect::keep_alive(&connection);
    let (sender, happenings) = channel();
    // Events of all domains: one that is waited for may not exist yet.
    ffi::watch_lifecycle(&connection, sender.clone()).map_err(libvirts(Step::Call))?;
    // In-process drivers cannot lose their connection, and refuse.
    let _ = ffi::watch_close(&connection, sender);

    let deadline = for_ms.map(|ms| Deadline::after(Duration::from_millis(ms)));
    let mut lookup = connect::look(&connection, who)?;
    output::progress(Progress::Watching(lookup.clone()));
    loop {
        if reached(until, &lookup) || deadline.is_some_and(Deadline::passed) {
            return Ok(Answer { lookup: Some(lookup), ..Answer::default() });
        }
        let pause = deadline.map_or(LOOK_EVERY, |deadline| deadline.left().min(LOOK_EVERY));
        match happenings.recv_timeout(pause) {
            Ok(Happening::Domain { name, uuid, event, detail }) if is(who, &name, &uuid) => {
                output::progress(Progress::Event { event, detail });
            }
            Ok(Happening::Domain { .. }) => continue,
            Ok(Happening::Closed { reason }) => {
                output::progress(Progress::Lost { end: End::Source, reason });
                return Err(own(Step::Call)("the connection to libvirt was lost while waiting".into()));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        lookup = connect::look(&connection, who)?;
    }
}

fn is(who: &Who, name: &str, uuid: &str) -> bool {
    match who {
        Who::Name(wanted) => wanted == name,
        Who::Uuid(wanted) => wanted.eq_ignore_ascii_case(uuid),
    }
}

fn reached(until: Until, lookup: &Lookup) -> bool {
    let state = match lookup {
        Lookup::Absent => sys::VIR_DOMAIN_SHUTOFF,
        Lookup::Found(facts) => u32::try_from(facts.state).unwrap_or(sys::VIR_DOMAIN_NOSTATE),
    };
    match until {
        Until::Off => state == sys::VIR_DOMAIN_SHUTOFF,
        Until::Running => state == sys::VIR_DOMAIN_RUNNING,
    }
}
