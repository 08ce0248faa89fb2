// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person can do where something failed, or is not known, for want of something on this host: rights, libvirt, its
//! daemon, the worker. Seen by looking, never taken from a sentence.

use crate::host::look::{Depth, Looker};
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::facts::{Libvirt, SilenceKind};
use crate::model::outcome::Code;
use crate::model::uri::{candidate_sockets, daemon_of};
use crate::sys::child::{find_program, serves_user};
use crate::sys::roots::Roots;
use crate::sys::text::say;
use crate::sys::time::Deadline;
use std::io::stderr;

/// Says where a command failed that root would have got further.
pub(super) fn tell_of_rights(code: Code) {
    if let Some(advice) = rights(code) {
        say(&mut stderr(), &format!("vm-agent: {advice}"));
    }
}

/// Says so in one line, where there is anything to say.
pub(super) fn tell(inv: &Invocation, env: &Environment, code: Code) {
    if let Some(advice) = advice(inv, env, code) {
        say(&mut stderr(), &format!("vm-agent: {advice}"));
    }
}

const fn may_lack_something(code: Code) -> bool {
    match code {
        Code::Generic | Code::Installed | Code::Perm | Code::Degraded => true,
        Code::Ok | Code::Args | Code::Unimplemented | Code::Configured | Code::NotRunning | Code::StayedHere => false,
    }
}

fn rights(code: Code) -> Option<&'static str> {
    // Root's session is another one.
    let lacks = may_lack_something(code) && !serves_user() && !rustix::process::geteuid().is_root();
    lacks.then_some("you are not root, and root may see and do more: try it by sudo")
}

fn advice(inv: &Invocation, env: &Environment, code: Code) -> Option<String> {
    if let Some(rights) = rights(code) {
        return Some(rights.into());
    }
    if !may_lack_something(code) || serves_user() || matches!(code, Code::Perm | Code::Degraded) {
        return None;
    }
    let deadline = Deadline::after(inv.budget().share(Share::Hint, inv.timeout));
    let mut inv = inv.clone();
    // Where no machine is meant, the answer about any is one of libvirt's.
    inv.params.name.get_or_insert_with(|| "any".into());
    let inv = &inv;
    let mut looker = Looker::new(inv, env, Roots::default());
    let seen = looker.look(inv, Depth::default(), deadline.left(), deadline);
    let dead = matches!(&seen.here.libvirt, Libvirt::Silent(silence) if silence.kind == SilenceKind::Dead);
    let driver = looker.uri.split([':', '+']).next().unwrap_or_default();
    let sockets = candidate_sockets(driver, false, &looker.roots.run);
    let daemon = sockets.iter().map(|socket| daemon_of(socket)).find(|daemon| find_program(daemon).is_some());
    match daemon {
        Some(daemon) if dead => {
            Some(format!("libvirt's daemon does not run here: try systemctl start {daemon}.socket"))
        }
        None if dead => Some("libvirt is not installed here: on Debian, apt install libvirt-daemon-system".into()),
        Some(_) | None if backend::worker_path().is_none() => {
            Some("the worker, vm-agent-libvirt, is missing here: install the package of vm-agent again".into())
        }
        Some(_) | None => None,
    }
}
