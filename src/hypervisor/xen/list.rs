// SPDX-License-Identifier: GPL-2.0-or-later
//! xl's list of the hypervisor's domains, with their states. `xl list -v` prints, behind each name, of which blanks may be
//! a part: number, memory, processors, state, time, UUID, and why a domain that has shut down did so.

use super::{DomainSight, Role};
use crate::model::facts::{Silence, SilenceKind};
use crate::model::uri::Uri;
use crate::model::worker::{DomainFacts, Lookup};
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::roots::Roots;
use crate::sys::text::{parse_uuid, uuid_text};
use crate::sys::time::Deadline;
use std::path::Path;

/// A domain on the hypervisor's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number.
    pub id: u32,
    /// Its name, by xenstore.
    pub name: Option<String>,
    /// Its UUID, by the hypervisor.
    pub uuid: [u8; 16],
    /// The letters of its state: running, blocked, paused, shut down, crashed, dying. A live domain may have none.
    letters: String,
    /// Why it has shut down, in Xen's number.
    reason: Option<u32>,
}

/// Xen's number for why a domain has shut down: it was suspended, to be saved or moved.
const REASON_SUSPENDED: u32 = 2;
/// It crashed, or its watchdog fired.
const REASONS_CRASHED: [u32; 2] = [3, 4];

/// Asks xl for all domains but the first.
///
/// # Errors
/// It does not say.
pub(crate) fn list(roots: &Roots, deadline: Deadline) -> Result<Vec<Listed>, Silence> {
    let missing = |why: &str| Silence { kind: SilenceKind::Missing, why: why.into() };
    if super::is_dom0(roots) == Some(false) {
        return Err(missing("this host is no Xen dom0"));
    }
    let xl = find_program("xl").ok_or_else(|| missing("xl is not installed"))?;
    run(&xl, ["list", "-v"].map(str::to_owned).into(), "xl", deadline)
}

/// Asks xl on another host, which `uri` names, over ssh.
///
/// # Errors
/// It does not say, or there is no way to it.
pub(crate) fn list_at(uri: &Uri, deadline: Deadline) -> Result<Vec<Listed>, Silence> {
    let missing = || Silence { kind: SilenceKind::Missing, why: "ssh is not installed".into() };
    let ssh = find_program("ssh").ok_or_else(missing)?;
    let (mut args, host) = super::remote::to(uri, deadline).ok_or_else(|| Silence::refused("the URI names no host"))?;
    args.extend(["--".to_owned(), host.clone(), "xl".into(), "list".into(), "-v".into()]);
    run(&ssh, args, &host, deadline)
}

fn run(program: &Path, args: Vec<String>, whom: &str, deadline: Deadline) -> Result<Vec<Listed>, Silence> {
    let finished = Child::new(program)
        .args(args)
        .env("HOME", "/root")
        .run(deadline)
        .map_err(|error| Silence { kind: SilenceKind::Refused, why: format!("{whom} could not be asked: {error}") })?;
    match finished.ended {
        Ended::Exited(0) => list_of(&String::from_utf8_lossy(&finished.stdout)),
        Ended::Exited(_) => Err(Silence::refused(format!("{whom}: {}", super::failure(&finished.stderr).said))),
        Ended::Signalled(signal) => Err(Silence::refused(format!("{whom}: killed by signal {signal}"))),
        Ended::TimedOut => {
            let why = format!("{whom} does not answer (waited {:.1} s)", finished.took.as_secs_f32());
            Err(Silence { kind: SilenceKind::Hung, why })
        }
    }
}

/// Reads the table.
pub(crate) fn list_of(text: &str) -> Result<Vec<Listed>, Silence> {
    let mut lines = text.lines();
    if !lines.next().is_some_and(|head| head.starts_with("Name") && head.contains("UUID")) {
        return Err(Silence::refused("xl's list cannot be understood"));
    }
    let listed: Option<Vec<Listed>> = lines.filter(|line| !line.trim().is_empty()).map(line).collect();
    let mut listed = listed.ok_or_else(|| Silence::refused("xl's list cannot be understood"))?;
    // The first domain is always there.
    if !listed.iter().any(|one| one.id == 0) {
        return Err(Silence::refused("xl's list is not whole: it has no Domain-0"));
    }
    listed.retain(|one| one.id != 0);
    Ok(listed)
}

fn line(line: &str) -> Option<Listed> {
    let words: Vec<&str> = line.split_whitespace().collect();
    // A name may look like a UUID, so what stands behind its five numbers is the domain's own.
    let at = words.iter().rposition(|word| word.len() == 36 && parse_uuid(word).is_some())?;
    let [id, _memory, _cpus, letters, _time] = words.get(at.checked_sub(5)?..at)? else { return None };
    // Blanks inside of a name are kept, and at its ends no name has any.
    let name = line.get(..id_of(line, at)?)?.trim_end();
    let letters = letters.replace('-', "");
    if !letters.bytes().all(|letter| b"rbpscd".contains(&letter)) {
        return None;
    }
    Some(Listed {
        id: id.parse().ok()?,
        name: Some(name).filter(|name| !matches!(*name, "" | "(null)")).map(str::to_owned),
        uuid: parse_uuid(words.get(at)?)?,
        letters,
        reason: words.get(at + 1).and_then(|word| u32::from_str_radix(word, 16).ok()),
    })
}

/// Where the number begins in a line, five words before the word `at`.
fn id_of(line: &str, at: usize) -> Option<usize> {
    let mut begins = Vec::new();
    let mut blank = true;
    for (place, c) in line.char_indices() {
        if blank && !c.is_whitespace() {
            begins.push(place);
        }
        blank = c.is_whitespace();
    }
    begins.get(at.checked_sub(5)?).copied()
}

impl Listed {
    /// Whether it is being taken down: it does not run any more, and has lost its name perhaps.
    #[must_use]
    pub(crate) fn dying(&self) -> bool {
        self.letters.contains('d')
    }

    /// Whether it has no name, and may be a machine of this UUID.
    #[must_use]
    pub(super) fn may_be(&self, uuid: Option<[u8; 16]>) -> bool {
        self.name.is_none() && !self.dying() && uuid.is_none_or(|uuid| self.uuid == uuid)
    }

    /// That it has no name.
    pub(super) fn nameless(&self) -> String {
        format!("Xen domain {} has no name (xenstored may have been started anew)", self.id)
    }

    /// It in libvirt's words, as the machine `name` to which it is that.
    pub(crate) fn facts(&self, name: &str, role: Role) -> DomainFacts {
        let (state, reason, (job_operation, job_error)) = self.numbers(role);
        DomainFacts {
            name: name.to_owned(),
            uuid: uuid_text(&self.uuid),
            id: Some(self.id),
            state,
            reason,
            persistent: Some(false),
            autostart: None,
            saved: Some(false),
            job_operation,
            job_error,
        }
    }

    /// State, reason and job in libvirt's numbers.
    fn numbers(&self, role: Role) -> (i32, i32, JobWord) {
        let is = |letter: char| self.letters.contains(letter);
        let shut_down = is('s') || is('c');
        match (role, self.reason) {
            _ if self.dying() => OFF_DESTROYED,
            (Role::Incoming, _) => ARRIVING,
            (Role::Left, _) => MIGRATING,
            (Role::Itself, Some(reason)) if shut_down && REASONS_CRASHED.contains(&reason) => CRASHED,
            (Role::Itself, _) if is('c') => CRASHED,
            (Role::Itself, Some(REASON_SUSPENDED)) if shut_down => MIGRATING,
            (Role::Itself, _) if shut_down => OFF_SHUTDOWN,
            (Role::Itself, _) if is('p') => PAUSED,
            (Role::Itself, _) => RUNNING,
        }
    }
}

/// What is told of a domain's job: its kind, or the error of a domain that has none to tell since it arrives.
type JobWord = (Option<i32>, Option<i32>);
const NO_JOB: JobWord = (Some(0), None);
const RUNNING: (i32, i32, JobWord) = (1, 1, NO_JOB);
const PAUSED: (i32, i32, JobWord) = (3, 1, NO_JOB);
const MIGRATING: (i32, i32, JobWord) = (3, 2, NO_JOB);
const ARRIVING: (i32, i32, JobWord) = (3, 2, (None, Some(55)));
const OFF_SHUTDOWN: (i32, i32, JobWord) = (5, 1, NO_JOB);
const OFF_DESTROYED: (i32, i32, JobWord) = (5, 2, NO_JOB);
const CRASHED: (i32, i32, JobWord) = (6, 0, NO_JOB);

/// xl's word on the machine `wanted`: in the form of libvirt's, and what of it is on the host.
///
/// # Errors
/// A domain has no name, and may be the machine.
pub(crate) fn word(listed: &[Listed], wanted: &str, uuid: Option<[u8; 16]>) -> Result<(Lookup, DomainSight), Silence> {
    let role = |one: &Listed| one.name.as_deref().and_then(|name| super::role(name, wanted));
    let mut found: Vec<(&Listed, Role)> = listed.iter().filter_map(|one| Some((one, role(one)?))).collect();
    found.sort_by_key(|(one, role)| (*role != Role::Itself, one.dying()));
    let Some((one, role)) = found.first() else {
        return match listed.iter().find(|one| one.may_be(uuid)) {
            Some(one) => Err(Silence::refused(format!("{}, and may be it", one.nameless()))),
            None => Ok((Lookup::Absent, DomainSight::Absent)),
        };
    };
    let facts = one.facts(wanted, *role);
    // What is dying has nothing any more that could be ended.
    let sight = match one.dying() {
        true => DomainSight::Absent,
        false => DomainSight::There {
            id: one.id,
            name: one.name.clone().unwrap_or_default(),
            incoming: *role == Role::Incoming,
        },
    };
    Ok((Lookup::Found(facts), sight))
}
