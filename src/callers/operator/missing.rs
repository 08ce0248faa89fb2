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

/// Says so in one line, where there is anything to say.
pub(super) fn tell(inv: &Invocation, env: &Environment, code: Code) {
    if let Some(advice) = advice(inv, env, code) {
        say(&mut stderr(), &format!("vm-agent: {advice}"));
    }
}

fn advice(inv: &Invocation, env: &Environment, code: Code) -> Option<String> {
    match code {
        Code::Generic | Code::Installed | Code::Perm => {}
        Code::Ok
        | Code::Args
        | Code::Unimplemented
        | Code::Configured
        | Code::NotRunning
        | Code::StayedHere
        | Code::Degraded => return None,
    }
    if serves_user() {
        // Root's session is another one.
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        return Some("you are not root, and root may see and do more: try it by sudo".into());
    }
    if code == Code::Perm {
        return None;
    }
    let deadline = Deadline::after(inv.budget().share(Share::Hint, inv.timeout));
    let mut looker = Looker::new(inv, env, Roots::default());
    let seen = looker.look(inv, Depth { process: false, thorough: false }, deadline.left(), deadline);
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
