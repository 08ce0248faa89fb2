// SPDX-License-Identifier: GPL-2.0-or-later
//! The worker: one call of libvirt's C library, in a process of its own that may hang or crash.
//!
//! It decides nothing: arguments in (`vm_agent::worker`), lines of JSON out, and its caller looks at the domain again by
//! its own means. It is the only program here that is linked against libvirt.

mod connect;
mod domain;
mod ffi;
mod guard;
mod host;
mod migrate;
mod output;
mod preflight;
mod watch;

use vm_agent::worker::{Answer, Ask, Failure, Reply, Request, Step};

fn main() {
    let reply = match run() {
        Ok(answer) => Reply::Ok(Box::new(answer)),
        Err(failure) => Reply::Error(failure),
    };
    output::finish(&reply)
}

fn run() -> Result<Answer, Failure> {
    guard::die_with_parent()?;
    virt::error::clear_error_callback();
    let mut request = guard::arguments().and_then(Request::parse).map_err(own(Step::Arguments))?;
    guard::check_parent(request.parent)?;
    guard::deadline(&request)?;
    guard::read_input(&mut request).map_err(own(Step::Input))?;

    let uri = request.uri.as_str();
    match &request.ask {
        Ask::Host(verb) => host::ask(uri, verb),
        Ask::Domain(who, verb) => domain::ask(uri, who, verb),
    }
}

/// A failure that is not libvirt's.
fn own(during: Step) -> impl Fn(String) -> Failure {
    move |message| Failure { code: 0, domain: 0, during, message }
}

/// A failure that is libvirt's.
fn libvirts(during: Step) -> impl Fn(virt::error::Error) -> Failure {
    move |error| Failure {
        code: error.code().to_raw(),
        domain: error.domain().to_raw(),
        during,
        message: error.message().to_owned(),
    }
}
