// SPDX-License-Identifier: GPL-2.0-or-later
//! What is known of a start without libvirt's word: the agent's own record that libvirt was asked for one, and what libvirt
//! itself wrote down of it.
//!
//! libvirt goes on with a start whatever becomes of who asked for it. One that waits for storage, or for a hook, brings
//! the machine up when the wait ends, perhaps after the cluster has started it elsewhere. So the record is written before
//! libvirt is asked, and it is taken away only when somebody has seen what came of the start. It counts no longer
//! - after a reboot: it lies in /run;
//! - when the daemon that was asked has ended: a start ends with its daemon. An emulator that it left is seen in the
//!   process table, and libvirt itself ends one that it had not told to run;
//! - when nobody listens at libvirt's sockets and the record names no daemon (its pid file was not where it usually is);
//! - when libvirt says that the machine runs, or, behind the start in its queue, that it does not;
//! - when the start's emulator was ended: a start makes only one.
//!
//! So it blocks a stop for ever only where the asked daemon itself is silent for ever, and that is the truth.

use crate::model::facts::{ProcessId, Starting};
use crate::sys::files::{open_file, open_folder};
use crate::sys::held::Held;
use crate::sys::roots::Roots;
use crate::sys::{proc, run_dir};
use std::path::Path;

/// Whether the daemon that was asked may still be at it; `dead`: nobody listens at its sockets.
fn counts(starting: &Starting, dead: bool) -> bool {
    match starting.daemon {
        Some((pid, start)) => !matches!(Held::open(pid, start), Ok(None)),
        None => !dead,
    }
}

fn file(name: &str) -> String {
    format!("{name}.starting")
}

/// Puts on record that libvirt is about to be asked, at `socket`, to start `name`.
pub(crate) fn note(roots: &Roots, name: &str, socket: Option<&Path>) {
    let own = std::process::id();
    let daemon = socket.and_then(|socket| daemon(roots, socket));
    let mut starting = Starting { agent: (own, proc::start_time(own).ok().flatten().unwrap_or(0)), daemon };
    if let Some(earlier) = read(roots, name, false)
        && earlier.daemon == daemon
    {
        // libvirt may still be at that one, and it is not known which of the two an emulator comes from.
        starting.agent = earlier.agent;
    }
    if let Err(errno) = run_dir::keep(&roots.run, &file(name), &starting.text()) {
        log::warn!("that '{name}' is being started cannot be put on record in /run/vm-agent: {errno}");
    }
}

/// The start of `name` that libvirt may still be at; `dead`: nobody listens at its sockets.
#[must_use]
pub(crate) fn read(roots: &Roots, name: &str, dead: bool) -> Option<Starting> {
    let starting = Starting::parse(&run_dir::kept(&roots.run, &file(name))?);
    counts(&starting, dead).then_some(starting)
}

/// Takes the record away: what came of the start has been seen.
pub(crate) fn forget(roots: &Roots, name: &str) {
    run_dir::remove(&roots.run, &file(name));
}

/// The daemon that serves at `socket`, by its pid file: the socket's own credentials are systemd's where that listens.
fn daemon(roots: &Roots, socket: &Path) -> Option<ProcessId> {
    let (name, _) = socket.file_name()?.to_str()?.split_once("-sock")?;
    let name = if name == "libvirt" { "libvirtd" } else { name };
    let text = std::fs::read_to_string(roots.run.join(format!("{name}.pid"))).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    // The file of a daemon that is gone may name anybody.
    let comm = std::fs::read_to_string(roots.proc.join(format!("{pid}/comm"))).ok()?;
    (comm.trim() == name).then(|| Some((pid, proc::start_time(pid).ok()??))).flatten()
}

/// Whether the domain's process was ever told to run, by libvirt's status file; `None`: that does not say.
///
/// libvirt keeps `/run/libvirt/qemu/NAME.xml` to find its domains again after a restart of its own: `<domstatus
/// state='paused' reason='starting up' pid='12'>` is written as soon as there is an emulator, and again when its
/// processors were started (seen with libvirt 9.0; `virDomainObjFormat` and `qemuProcessLaunch` in its source).
#[must_use]
pub(crate) fn told_to_run(roots: &Roots, folder: &str, name: &str, pid: u32) -> Option<bool> {
    if name.is_empty() || name.contains(['/', '\0']) {
        return None;
    }
    let folder = open_folder(&roots.run.join(folder)).ok()?;
    let status = open_file(&folder, format!("{name}.xml")).ok()?;
    let mut text = [0; 1024];
    let length = rustix::io::read(&status, &mut text).ok()?;
    judge(&String::from_utf8_lossy(text.get(..length)?), pid)
}

fn judge(text: &str, pid: u32) -> Option<bool> {
    let (_, rest) = text.split_once("<domstatus ")?;
    let (attributes, _) = rest.split_once('>')?;
    let value = |name: &str| {
        let (_, rest) = attributes.split_once(&format!("{name}='"))?;
        rest.split_once('\'').map(|(value, _)| value)
    };
    if value("pid")?.parse() != Ok(pid) {
        return None;
    }
    match (value("state")?, value("reason")?) {
        ("paused", "starting up") | ("shutoff", _) => Some(false),
        ("running" | "blocked" | "paused" | "shutdown" | "crashed" | "pmsuspended", _) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::RunId;

    #[test]
    fn a_record_counts_as_long_as_the_daemon_that_was_asked_lives() {
        let run = tempfile::tempdir().unwrap();
        let roots = Roots { run: run.path().into(), ..Roots::default() };
        assert_eq!(read(&roots, "a b", false), None);
        note(&roots, "a b", None);
        let own = std::process::id();
        let agent = (own, proc::start_time(own).unwrap().unwrap());
        assert_eq!(read(&roots, "a b", false), Some(Starting { agent, daemon: None }));
        assert_eq!(read(&roots, "a b", true), None, "nobody could be at it");
        for (daemon, counts) in [(agent, true), ((own, agent.1 + 1), false)] {
            let starting = Starting { agent, daemon: Some(daemon) };
            run_dir::keep(&roots.run, "a b.starting", &starting.text()).unwrap();
            for dead in [false, true] {
                assert_eq!(read(&roots, "a b", dead), counts.then(|| starting.clone()));
            }
        }
        run_dir::keep(&roots.run, "a b.starting", "agent 1").unwrap();
        assert!(
            read(&roots, "a b", false)
                .is_some_and(|starting| !starting.made(RunId::Process { pid: 7, start: u64::MAX - 1 }))
        );
        forget(&roots, "a b");
        assert_eq!(read(&roots, "a b", false), None);
    }

    #[test]
    fn a_second_request_keeps_the_time_of_the_first() {
        let run = tempfile::tempdir().unwrap();
        let roots = Roots { run: run.path().into(), ..Roots::default() };
        run_dir::keep(&roots.run, "a.starting", "agent 7 70 daemon unknown").unwrap();
        note(&roots, "a", None);
        assert_eq!(read(&roots, "a", false).map(|starting| starting.agent), Some((7, 70)));
    }

    #[test]
    fn only_libvirts_own_word_of_this_process_says_that_it_was_told_to_run() {
        let status = |state: &str| judge(&format!("<!--\nW\n-->\n\n<domstatus {state} pid='12'>\n  <taint/>"), 12);
        assert_eq!(status("state='paused' reason='starting up'"), Some(false));
        assert_eq!(status("state='running' reason='booted'"), Some(true));
        assert_eq!(status("state='paused' reason='user'"), Some(true));
        assert_eq!(status("state='nostate' reason='unknown'"), None);
        assert_eq!(judge("<domstatus state='running' reason='booted' pid='11'>", 12), None);
        assert_eq!(judge("<domstatus state='running' rea", 12), None);
    }
}
