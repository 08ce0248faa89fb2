// SPDX-License-Identifier: GPL-2.0-or-later
//! The worker: one call of libvirt's C library, in a process of its own that may hang or crash.
//!
//! It decides nothing: arguments in (`vm_agent::model::worker`), lines of JSON out, and its caller looks at the domain
//! again by its own means. It is the only program here that is linked against libvirt.

mod along;
mod capabilities;
mod change;
mod connect;
mod cpu;
mod failure;
mod ffi;
mod guard;
mod keeping;
mod lacks;
mod migrate;
mod output;
mod preflight;
mod question;
mod resources;

use failure::During;
use vm_agent::model::change::Change;
use vm_agent::model::worker::{Answer, Ask, CallStep, ErrorReply, Reply, Request};

fn main() {
    let reply = match run() {
        Ok(answer) => Reply::Ok(Box::new(answer)),
        Err(failure) => Reply::Error(failure),
    };
    output::finish(&reply)
}

fn run() -> Result<Answer, ErrorReply> {
    guard::die_with_parent()?;
    virt::error::clear_error_callback();
    let mut request = guard::arguments().and_then(Request::parse).during(CallStep::Arguments)?;
    guard::check_parent(request.parent)?;
    if let Ask::Change(_, Change::Migrate(_)) = request.ask {
        // Before any thread is started: the one that turns SIGTERM into an abort shall be the only one to get it.
        ffi::hold_termination();
        guard::deadline(request.timeout, migrate::give_up)?;
    } else {
        guard::deadline(request.timeout, || {})?;
    }
    guard::read_input(&mut request).during(CallStep::Input)?;

    let uri = request.uri.as_str();
    match &request.ask {
        Ask::Question(who, question) => question::answer(uri, who.as_ref(), question),
        Ask::Change(who, change) => change::make(uri, who, change),
        Ask::Host(change) => resources::make(uri, change),
    }
}
