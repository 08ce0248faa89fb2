// SPDX-License-Identifier: GPL-2.0-or-later
//! Domains on a Xen host, whoever made them: xenstore, which costs little, and xl, by whose word the hypervisor itself is
//! asked. libvirt knows only the domains that it has made, so on such a host it is one witness of two.
//!
//! "There is no such domain" is only said when everything was read. xenstored that was started anew knows no domain that
//! was there before; then the hypervisor's own list has domains without names, and nothing is proven.

pub(crate) mod driver_log;
mod list;
mod moving;
pub(crate) mod remote;
mod store;
mod words;

use crate::model::change::Change;
use crate::model::facts::Silence;
use crate::model::failure::{Failure, FailureKind};
use crate::model::tools::XL_HERE;
use crate::model::uri::Uri;
use crate::model::worker::{Lookup, Who};
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::roots::Roots;
use crate::sys::text::parse_uuid;
use crate::sys::time::Deadline;
use list::list_at;
#[cfg(test)]
pub(crate) use list::list_of;
pub(crate) use list::{Listed, list, word};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Hardware, Stored};
pub(crate) use words::failure;

/// What xl appends to the name of a domain that arrives by a migration.
const INCOMING: &str = "--incoming";
/// What xl appends to the name of a domain that has left by one, before it is ended.
const LEFT: &str = "--migratedaway";

/// What a domain's name makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The machine.
    Itself,
    /// A placeholder that waits for its memory.
    Incoming,
    /// What is left of one whose memory has been sent.
    Left,
}

/// What a domain called `name` is to the machine `wanted`, if it is anything to it.
#[must_use]
pub(crate) fn role(name: &str, wanted: &str) -> Option<Role> {
    match name.strip_prefix(wanted)? {
        "" => Some(Role::Itself),
        INCOMING => Some(Role::Incoming),
        LEFT => Some(Role::Left),
        _ => None,
    }
}

/// What a Xen host itself says of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DomainSight {
    /// A domain of its name, or of its UUID, is there.
    There {
        /// Its number.
        id: u32,
        /// Its name.
        name: String,
        /// Whether it is only a placeholder.
        incoming: bool,
    },
    /// Everything that xenstore has was read: there is none.
    Absent,
    /// There may be one, and why that cannot be told.
    MayBe(String),
}

/// Whether xenstored answers: xl waits for it without an end.
///
/// # Errors
/// It does not.
pub(crate) fn answers(roots: &Roots, deadline: Deadline) -> Result<(), Silence> {
    store::domains(roots, deadline).map(drop)
}

/// Whether the process that emulates the hardware of this domain has ended, and the guest has no drivers by which it may do
/// without: then it stands still, though Xen calls it running. What cannot be told is no such end. A process' arguments are
/// in its memory, which may be locked for ever, so that `read` must end by itself.
#[must_use]
pub(crate) fn has_lost_its_hardware(
    roots: &Roots,
    id: u32,
    deadline: Deadline,
    read: impl Fn(&Path) -> Option<String>,
) -> bool {
    let Ok(Hardware { process: Some(pid), drivers: false }) = store::hardware(roots, id, deadline) else {
        return false;
    };
    let process = roots.proc.join(pid.to_string());
    if process.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return true;
    }
    // The number may be another process's by now; of one that ends no arguments are left.
    read(&process.join("cmdline")).is_some_and(|arguments| {
        let words: Vec<&str> = arguments.split('\0').collect();
        !words.windows(2).any(|pair| pair == ["-xen-domid", &id.to_string()])
    })
}

/// Looks for the machine `name`, or of this UUID, in xenstore. The hypervisor is asked, by `list`, where xenstore alone
/// proves nothing; also for an absence, if that shall be `certain`.
pub(crate) fn find(
    roots: &Roots,
    name: &str,
    uuid: Option<[u8; 16]>,
    certain: bool,
    deadline: Deadline,
    list: &mut dyn FnMut() -> Result<Vec<Listed>, Silence>,
) -> DomainSight {
    if is_dom0(roots) == Some(false) {
        return DomainSight::Absent;
    }
    match store::domains(roots, deadline) {
        Ok(domains) => judge(&domains, name, uuid, certain, list),
        Err(silence) => DomainSight::MayBe(unseen(&silence)),
    }
}

/// What may be, since somebody is silent who would show it.
fn unseen(silence: &Silence) -> String {
    format!("a domain of Xen's may run unseen ({})", silence.why)
}

fn judge(
    domains: &[Stored],
    name: &str,
    uuid: Option<[u8; 16]>,
    certain: bool,
    list: &mut dyn FnMut() -> Result<Vec<Listed>, Silence>,
) -> DomainSight {
    let role_of = |domain: &Stored| {
        let by_name = domain.name.as_deref().and_then(|own| role(own, name));
        by_name.or((uuid.is_some() && domain.uuid == uuid).then_some(Role::Itself))
    };
    let mut found: Vec<(&Stored, Role)> =
        domains.iter().filter_map(|domain| Some((domain, role_of(domain)?))).collect();
    // The machine itself counts before what a migration makes of it.
    found.sort_by_key(|(_, role)| *role != Role::Itself);
    let there = |domain: &Stored, role: Role| DomainSight::There {
        id: domain.id,
        name: domain.name.clone().unwrap_or_else(|| name.to_owned()),
        incoming: role == Role::Incoming,
    };
    if let Some((domain, role)) = found.iter().find(|(domain, _)| domain.introduced) {
        return there(domain, *role);
    }
    let nameless = domains.iter().find(|domain| domain.introduced && domain.name.is_none());
    if found.is_empty() && nameless.is_none() && !certain {
        return DomainSight::Absent;
    }
    // It is being made, or is what a domain left behind; and whether there is more than xenstore knows.
    match list() {
        Ok(listed) => {
            let lives = |id: u32| listed.iter().any(|one| one.id == id && !one.dying());
            if let Some((domain, role)) = found.iter().find(|(domain, _)| lives(domain.id)) {
                return there(domain, *role);
            }
            let nameless = listed.iter().find(|one| one.may_be(uuid));
            nameless.map_or(DomainSight::Absent, |one| DomainSight::MayBe(one.nameless()))
        }
        Err(silence) => DomainSight::MayBe(unseen(&silence)),
    }
}

/// How a domain is on another host, or on this one, which `uri` names.
///
/// # Errors
/// xl there does not say.
pub(crate) fn lookup(uri: &str, who: &Who, deadline: Deadline) -> Result<Lookup, Silence> {
    let uri = Uri::parse(uri).map_err(|error| Silence::refused(error.to_string()))?;
    let listed = if uri.host.is_some() { list_at(&uri, deadline)? } else { list(&Roots::default(), deadline)? };
    match who {
        Who::Name(name) => Ok(word(&listed, name, None)?.0),
        Who::Uuid(uuid) => {
            let uuid = parse_uuid(uuid).ok_or_else(|| Silence::refused("that is no UUID"))?;
            let own = listed.iter().find(|one| one.uuid == uuid && one.name.is_some());
            // The name in it may be that of a placeholder.
            let name = own.and_then(|one| one.name.as_deref()).unwrap_or_default();
            let name = [INCOMING, LEFT].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            Ok(if name.is_empty() { word(&listed, "", Some(uuid))?.0 } else { word(&listed, name, None)?.0 })
        }
    }
}

/// What is run for a change by xl, here or on the host that `uri` names: the program, its arguments and its input.
///
/// # Errors
/// xl has no such change, or there is no such domain.
pub(crate) fn command<'a>(
    uri: &str,
    change: &'a Change,
    who: &Who,
    deadline: Deadline,
) -> Result<Command<'a>, Failure> {
    let uri = Uri::parse(uri).map_err(|error| Failure::refused(error.to_string()))?;
    let id = if matches!(change, Change::Create { .. }) { 0 } else { number(&uri, who, deadline)? };
    let (words, input) = if let Change::Migrate(migrate) = change {
        (moving::words(id, &migrate.dest_uri, deadline)?, None)
    } else {
        words::words(change, id)?
    };
    if uri.host.is_none() {
        return Ok((find_program("xl").ok_or_else(|| missing("xl"))?, (words, input)));
    }
    let (mut args, host) = remote::to(&uri, deadline).ok_or_else(|| Failure::refused("the URI names no host"))?;
    args.extend(["--".to_owned(), host, "xl".into()]);
    let args = args.into_iter().map(OsString::from).chain(words).collect();
    Ok((find_program("ssh").ok_or_else(|| missing("ssh"))?, (args, input)))
}

/// What stands in the way of moving the domain `who`, called `name`, to the host that `there` names.
///
/// # Errors
/// Something does, or nobody tells.
pub(crate) fn check_move(
    who: &Who,
    name: &str,
    there: &str,
    thorough: bool,
    deadline: Deadline,
) -> Result<(), Failure> {
    let here = Uri::parse(XL_HERE).map_err(|error| Failure::refused(error.to_string()))?;
    moving::check(number(&here, who, deadline)?, name, there, thorough, deadline)
}

/// Whether libvirt can move the domain `who` live; what nobody tells of is not in its way.
///
/// # Errors
/// It cannot.
pub(crate) fn check_live(who: &Who, deadline: Deadline) -> Result<(), Failure> {
    let here = Uri::parse(XL_HERE).map_err(|error| Failure::refused(error.to_string()))?;
    match number(&here, who, deadline).and_then(|id| moving::moves_live(id, deadline)) {
        Ok(false) => Err(moving::never_live("move it with a pause (migrate=pause)")),
        Ok(true) | Err(_) => Ok(()),
    }
}

/// A program, its arguments and its input.
pub(crate) type Command<'a> = (PathBuf, (Vec<OsString>, Option<&'a str>));

fn missing(program: &str) -> Failure {
    Failure::new(FailureKind::Missing, format!("{program} is not installed"))
}

/// The number of a domain, to be acted on: xl would take a name that is a number for one.
fn number(uri: &Uri, who: &Who, deadline: Deadline) -> Result<u32, Failure> {
    let none = |which: &str| Failure::refused(format!("Xen has no domain {which}"));
    let (Who::Name(which) | Who::Uuid(which)) = who;
    if uri.host.is_some() {
        let listed = list_at(uri, deadline)?;
        let is_it = |one: &&Listed| match who {
            Who::Name(name) => one.name.as_ref() == Some(name),
            Who::Uuid(uuid) => parse_uuid(uuid) == Some(one.uuid),
        };
        return listed.iter().find(is_it).map(|one| one.id).ok_or_else(|| none(which));
    }
    let domains = store::domains(&Roots::default(), deadline)?;
    let is_it = |domain: &&Stored| match who {
        Who::Name(name) => domain.name.as_ref() == Some(name),
        Who::Uuid(uuid) => domain.uuid.is_some() && domain.uuid == parse_uuid(uuid),
    };
    // What a domain left behind comes last.
    let mut found: Vec<&Stored> = domains.iter().filter(is_it).collect();
    found.sort_by_key(|domain| !domain.introduced);
    found.first().map(|domain| domain.id).ok_or_else(|| none(which))
}

/// Between two looks whether a domain has ended.
const ENDS: Duration = Duration::from_millis(100);

/// Ends the domain of this number at once, whoever made it, and waits until it is gone.
///
/// # Errors
/// It was not ended in time.
pub(crate) fn end(id: u32, name: &str, deadline: Deadline) -> Result<(), Failure> {
    let roots = Roots::default();
    let is_there = || -> Result<bool, Silence> {
        let domains = store::domains(&roots, deadline)?;
        Ok(domains.iter().any(|domain| domain.id == id && domain.name.as_deref() == Some(name)))
    };
    if !is_there()? {
        return Ok(());
    }
    let xl = find_program("xl").ok_or_else(|| missing("xl"))?;
    let args = ["destroy".to_owned(), id.to_string()];
    let finished = Child::new(&xl).args(args).run(deadline).map_err(|error| Failure::refused(error.to_string()))?;
    loop {
        if !is_there()? {
            return Ok(());
        }
        if finished.ended != Ended::Exited(0) {
            return Err(failure(&finished.stderr));
        }
        if deadline.passed() {
            return Err(Failure::refused("it is still there after 'xl destroy'"));
        }
        std::thread::sleep(ENDS.min(deadline.left()));
    }
}

/// The process that xl has left behind with the domain of this name: it sees to the guest's reboot, crash and end, and ends
/// with its domain. Its output is the domain's log, by which it is known; nothing of it is waited for.
#[must_use]
pub(crate) fn keeper(roots: &Roots, name: &str) -> Option<u32> {
    let logs = ["", INCOMING].map(|role| format!("/xl-{name}{role}.log"));
    let is_it = |pid: u32| {
        let folder = roots.proc.join(pid.to_string());
        let comm = std::fs::read(folder.join("comm")).unwrap_or_default();
        let output = std::fs::read_link(folder.join("fd/1")).unwrap_or_default();
        comm.starts_with(b"xl") && logs.iter().any(|log| output.to_string_lossy().ends_with(log))
    };
    let entries = std::fs::read_dir(&roots.proc).ok()?.flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| is_it(*pid))
}

/// Whether this host is Xen's first domain, from which the others are controlled; nothing where that cannot be told.
///
/// The file system that says so need not be mounted: then the features that the hypervisor has told the kernel are asked.
#[must_use]
pub(crate) fn is_dom0(roots: &Roots) -> Option<bool> {
    if let Ok(text) = std::fs::read(roots.proc.join("xen/capabilities")) {
        return Some(text.starts_with(b"control_d"));
    }
    match std::fs::read_to_string(roots.sys.join("hypervisor/type")) {
        Ok(kind) if kind.starts_with("xen") => {
            let features = std::fs::read_to_string(roots.sys.join("hypervisor/properties/features")).ok()?;
            Some(u64::from_str_radix(features.trim(), 16).ok()? & FEATURE_DOM0 != 0)
        }
        Ok(_) => Some(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// `XENFEAT_dom0`.
const FEATURE_DOM0: u64 = 1 << 11;
