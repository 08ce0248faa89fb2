// SPDX-License-Identifier: GPL-2.0-or-later
//! Which domain is meant: one machine, found once, by what is most certain about it.
//!
//! The order: the active domain of the name; the active one of the UUID that the definition has, or had; the active one
//! that bears this resource's mark. Only then an inactive one. Where the parameters give a name, that name alone is the
//! machine's. Where they give a file alone, its name may be edited and it may be out of reach while the machine runs, so
//! what it said last is remembered (`records::Known`). A domain that nothing ties to the resource is a stranger's.

use super::{Channel, Looker};
use crate::host::aside;
use crate::host::records::{self, Known};
use crate::hypervisor::process::{Driver, Evidence, Identity};
use crate::hypervisor::rpc::{self, Connection, RpcError};
use crate::hypervisor::status_files::{self, Sought};
use crate::model::definition::{self, BY_HAND, Mark, Recorded, Switched};
use crate::model::facts::{Definition, Process};
use crate::model::state::State;
use crate::model::uri::Uri;
use crate::sys::run_dir;
use crate::sys::time::Deadline;
use rustix::io::Errno;

/// libvirt's file on a machine, as it was when its disks were looked for.
pub(crate) struct SeenFile {
    record: String,
    changed: String,
}

/// What libvirt's answer comes down to.
pub(super) enum Sighting {
    Domain(rpc::RemoteDomain, State),
    Nothing,
    CannotTell(String),
}

/// What the search for a mark comes down to.
enum Marked {
    Found(rpc::RemoteDomain),
    None,
    CannotTell(String),
}

/// A machine that is known to be the one that is meant.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) uuid: [u8; 16],
}

impl Looker {
    /// The domain that is meant, by libvirt's word.
    pub(super) fn seek(&mut self, thorough: bool) -> Result<Sighting, RpcError> {
        let mut inactive = None;
        if let Some(name) = self.sought_name() {
            match told(self.open_connection()?, |connection| connection.lookup_by_name(&name))? {
                Some((domain, state)) if state.active() && self.is_ours(&domain)? => {
                    return Ok(Sighting::Domain(domain, state));
                }
                found => inactive = found.filter(|(_, state)| !state.active()),
            }
        }
        for uuid in self.sought_uuids() {
            match told(self.open_connection()?, |connection| connection.lookup_by_uuid(&uuid))? {
                Some((domain, state)) if state.active() && self.is_ours(&domain)? => {
                    return Ok(Sighting::Domain(domain, state));
                }
                found => inactive = inactive.or(found.filter(|(_, state)| !state.active())),
            }
        }
        if self.name_given && thorough {
            self.hindrance = self.hindrance()?;
        }
        if !self.name_given && self.fault.is_none() {
            match self.by_mark()? {
                Marked::Found(domain) => {
                    if let Some((domain, state)) =
                        told(self.open_connection()?, |connection| connection.lookup_by_uuid(&domain.uuid))?
                    {
                        return Ok(Sighting::Domain(domain, state));
                    }
                }
                Marked::CannotTell(why) => return Ok(Sighting::CannotTell(why)),
                Marked::None => {}
            }
        }
        Ok(inactive.map_or(Sighting::Nothing, |(domain, state)| Sighting::Domain(domain, state)))
    }

    pub(super) fn open_connection(&mut self) -> Result<&mut Connection, RpcError> {
        self.connection.as_mut().ok_or(RpcError::Closed { doing: "looking up the domain", error: None })
    }

    /// The name to look for: the parameters', the definition's, or the one that it had when it was last read.
    pub(super) fn sought_name(&self) -> Option<String> {
        if self.fault.is_some() {
            return None;
        }
        self.name.clone().or_else(|| self.known.as_ref().map(|known| known.name.clone()))
    }

    /// The UUIDs of the machine; none where the parameters' name decides.
    pub(super) fn sought_uuids(&self) -> Vec<[u8; 16]> {
        let mut uuids: Vec<[u8; 16]> = self.machine.iter().map(|machine| machine.uuid).collect();
        if !self.name_given && self.fault.is_none() {
            uuids.extend(self.defined_uuid());
            uuids.extend(self.known.as_ref().and_then(|known| known.uuid));
        }
        let mut seen = Vec::new();
        uuids.retain(|uuid| {
            !seen.contains(uuid) && {
                seen.push(*uuid);
                true
            }
        });
        uuids
    }

    /// The UUIDs that the machine has or had, as far as anything tells them.
    #[must_use]
    pub(crate) fn uuids(&self) -> Vec<[u8; 16]> {
        let mut uuids = self.sought_uuids();
        uuids.extend(self.defined_uuid().filter(|uuid| !uuids.contains(uuid)));
        uuids
    }

    pub(super) fn defined_uuid(&self) -> Option<[u8; 16]> {
        self.definition.uuid()
    }

    /// Whether an active domain that has the name or the UUID is the machine. A name that nobody gave and that no file
    /// tells any more is not enough for a domain that another resource has marked as its own.
    fn is_ours(&mut self, domain: &rpc::RemoteDomain) -> Result<bool, RpcError> {
        if self.name_given || self.fault.is_some() || self.definition.name().is_some() {
            return Ok(true);
        }
        let ours = self.mark_of(domain)?.is_none_or(|mark| self.may_be_ours(&mark, &domain.name));
        self.is_anothers |= !ours;
        Ok(ours)
    }

    /// Whether a mark is of this resource or of its file, or was left by a person or by a copy's original.
    fn may_be_ours(&self, mark: &Mark, name: &str) -> bool {
        mark.name != name || mark.instance == BY_HAND || self.is_own(mark, name)
    }

    /// Whether a mark is of this resource, or tells of its file.
    fn is_own(&self, mark: &Mark, name: &str) -> bool {
        let by_file = self.config.as_ref().is_some_and(|config| config.as_os_str() == mark.source.as_str());
        mark.name == name && (mark.instance == self.instance || by_file)
    }

    fn mark_of(&mut self, domain: &rpc::RemoteDomain) -> Result<Option<Mark>, RpcError> {
        if let Some(found) = self.recorded(&Sought::Uuid(&domain.uuid), |_| true) {
            return Ok(found.and_then(|recorded| recorded.mark));
        }
        let xml = self.open_connection()?.xml(domain, 0)?.unwrap_or_default();
        Ok(definition::parse(xml.as_bytes()).ok().and_then(|facts| facts.mark))
    }

    /// The active domain that bears this resource's mark. Where the definition cannot be read and was never read before,
    /// one that is named like the file or the resource may be it: nobody can tell.
    fn by_mark(&mut self) -> Result<Marked, RpcError> {
        if !self.instance.is_empty() {
            match self.recorded(&Sought::Marked, |it| it.mark.as_ref().is_some_and(|mark| self.is_own(mark, &it.name)))
            {
                Some(Some(found)) => {
                    return Ok(Marked::Found(rpc::RemoteDomain { name: found.name, uuid: found.uuid, id: -1 }));
                }
                Some(None) => {}
                None => {
                    if let Some(domain) = self.by_mark_in_list()? {
                        return Ok(Marked::Found(domain));
                    }
                }
            }
        }
        if self.sought_name().is_some() {
            return Ok(Marked::None);
        }
        for name in self.ties() {
            let found = told(self.open_connection()?, |connection| connection.lookup_by_name(&name))?;
            let Some((domain, _)) = found.filter(|(_, state)| state.active()) else { continue };
            if self.mark_of(&domain)?.is_none_or(|mark| self.may_be_ours(&mark, &domain.name)) {
                return Ok(Marked::CannotTell(may_be_it(&format!("'{name}', which runs here,"))));
            }
        }
        Ok(Marked::None)
    }

    /// Asks libvirt for the marks of all its active domains, where it keeps no files that tell them.
    fn by_mark_in_list(&mut self) -> Result<Option<rpc::RemoteDomain>, RpcError> {
        for domain in self.open_connection()?.list_all(rpc::LIST_ACTIVE)? {
            let xml = match self.open_connection()?.xml(&domain, 0) {
                Ok(xml) => xml.unwrap_or_default(),
                // It says nothing about the others.
                Err(RpcError::Libvirt { .. }) => continue,
                Err(error) => return Err(error),
            };
            let mark = definition::parse(xml.as_bytes()).ok().and_then(|facts| facts.mark);
            if mark.is_some_and(|mark| self.is_own(&mark, &domain.name)) {
                return Ok(Some(domain));
            }
        }
        Ok(None)
    }

    /// What libvirt's own files of this host say; nothing where they are not the asked daemon's, or cannot be read.
    fn recorded(&self, sought: &Sought<'_>, fits: impl Fn(&Recorded) -> bool) -> Option<Option<Recorded>> {
        if !self.has_status_files {
            return None;
        }
        match status_files::find(&self.roots, self.driver, sought, fits) {
            Ok(found) => Some(found),
            Err(errno) => {
                log::debug!("libvirt's status files cannot be read: {errno}");
                None
            }
        }
    }

    /// The names that tie a domain to a resource whose definition cannot be read: its file's, and its own.
    fn ties(&self) -> Vec<String> {
        let file = self.config.as_ref().and_then(|config| Some(config.file_stem()?.to_str()?.to_owned()));
        let resource = self.instance.strip_prefix("vm:").unwrap_or(&self.instance);
        let resource = (!resource.is_empty() && !resource.contains('/')).then(|| resource.to_owned());
        let mut ties: Vec<String> = file.into_iter().chain(resource).collect();
        ties.dedup();
        ties
    }

    /// What hinders a start of the named machine: this resource's earlier machine under another name, or the machine of
    /// this UUID under another name. It is told, and never taken for the machine.
    fn hindrance(&mut self) -> Result<Option<String>, RpcError> {
        let Some(name) = self.name.clone() else { return Ok(None) };
        let marked = if self.instance.is_empty() {
            None
        } else {
            let own = |it: &Recorded| {
                let mark = it.mark.as_ref();
                it.name != name && mark.is_some_and(|mark| mark.instance == self.instance && mark.name == it.name)
            };
            let marked = ("bears this resource's mark", "stop it, or see docs/TROUBLESHOOTING.md on marks");
            self.recorded(&Sought::Marked, own).flatten().map(|found| (found.uuid, marked))
        };
        let same = ("has the UUID of this definition", "stop it, or give one of the two another UUID");
        let same_uuid = self.defined_uuid().map(|uuid| (uuid, same));
        for (uuid, (why, way_out)) in marked.into_iter().chain(same_uuid) {
            let found = told(self.open_connection()?, |connection| connection.lookup_by_uuid(&uuid))?;
            if let Some((domain, _)) = found.filter(|(domain, state)| state.active() && domain.name != name) {
                return Ok(Some(format!("'{}' runs here and {why}; {way_out}", domain.name)));
            }
        }
        Ok(None)
    }

    /// Names the machine without libvirt's daemon, where the parameters do not: by libvirt's own files.
    pub(super) fn identify(&mut self) {
        if self.name_given || self.machine.is_some() {
            return;
        }
        let by_uuid = self.sought_uuids().into_iter().find_map(|uuid| self.recorded(&Sought::Uuid(&uuid), |_| true)?);
        self.is_anothers = self.definition.name().is_none()
            && by_uuid
                .as_ref()
                .is_some_and(|it| it.mark.as_ref().is_some_and(|mark| !self.may_be_ours(mark, &it.name)));
        let by_uuid = by_uuid.filter(|_| !self.is_anothers);
        let found = by_uuid.or_else(|| {
            let own = |it: &Recorded| it.mark.as_ref().is_some_and(|mark| self.is_own(mark, &it.name));
            self.recorded(&Sought::Marked, own).flatten()
        });
        self.machine = found.map(|found| Machine { name: found.name, uuid: found.uuid });
    }

    /// The machine of a resource whose parameters name none, or no hypervisor that could have run one: what bears its mark
    /// was started before they were changed. It is asked for where it was found.
    ///
    /// # Errors
    /// libvirt's own files cannot be read: whether a machine bears the mark is not known.
    pub(super) fn adopt_by_mark(&mut self) -> Result<(), String> {
        if self.machine.is_some() || self.instance.is_empty() {
            return Ok(());
        }
        for (driver, uri) in [(Driver::Qemu, "qemu:///system"), (Driver::Lxc, "lxc:///system")] {
            let own = |it: &Recorded| it.mark.as_ref().is_some_and(|mark| self.is_own(mark, &it.name));
            let found = match status_files::find(&self.roots, driver, &Sought::Marked, own) {
                Ok(found) => found,
                // This driver has never run a machine since the boot.
                Err(Errno::NOENT | Errno::NOTDIR) => None,
                Err(errno) => return Err(format!("libvirt's records of its machines cannot be read: {errno}")),
            };
            let Some(found) = found else { continue };
            let Some(channel) = Uri::parse(uri).ok().and_then(|uri| Channel::rpc(&uri, &self.roots)) else { continue };
            (self.uri, self.channel) = (uri.to_owned(), channel);
            self.driver = driver;
            self.machine = Some(Machine { name: found.name, uuid: found.uuid });
            return Ok(());
        }
        Ok(())
    }

    /// What the process table says of a machine that nobody can name any more: only a process that is named like the file
    /// or the resource may be it.
    pub(super) fn process_by_ties(&self, deadline: Deadline) -> Process {
        for name in self.ties() {
            let who = Identity { name: &name, uuid: None, driver: self.driver };
            match aside::process(&self.roots, &who, deadline) {
                Evidence::Alive(found) => {
                    return Process::Unknown(may_be_it(&format!("process {} ('{name}')", found.pid)));
                }
                Evidence::MayBe(why) | Evidence::Unknown(why) => return Process::Unknown(why),
                Evidence::Namesake(_) | Evidence::Absent => {}
            }
        }
        Process::Gone
    }

    /// Keeps what this configuration was seen to mean, for the time when its file cannot be read.
    pub(super) fn remember(&mut self, machine: Option<Machine>) {
        let Some(config) = self.config.clone().filter(|_| !self.name_given && !self.instance.is_empty()) else {
            return;
        };
        let marked = self.known.as_ref().map_or(-1, |known| known.marked);
        let reading = self.reading.clone();
        let known = match (machine, &self.known, &self.definition) {
            (Some(machine), _, _) => Known { name: machine.name, uuid: Some(machine.uuid), marked, reading },
            // Only until it is seen to run: an edited file does not yet say what runs.
            (None, None, Definition::File(defined)) => {
                Known { name: defined.name.clone(), uuid: defined.uuid, marked, reading }
            }
            (None, Some(_) | None, _) => return,
        };
        if self.known.as_ref() != Some(&known) {
            records::remember(&self.roots.run, &config, &known);
            self.known = Some(known);
        }
    }

    /// The disks of the machine that was found which were switched since it was marked, by libvirt's own file, or its word;
    /// nothing where its mark does not tell what they were.
    pub(crate) fn switched(&mut self, deadline: Deadline) -> Option<Vec<Switched>> {
        let uuid = self.machine.as_ref()?.uuid;
        if let Some(found) = self.recorded(&Sought::Uuid(&uuid), |_| true) {
            return found?.switched;
        }
        let xml = self.ask_last(deadline, |rpc, domain| rpc.xml(domain, 0))?;
        let facts = definition::parse(xml.as_bytes()).ok()?;
        let mark = facts.mark.filter(|mark| !mark.disks.is_empty())?;
        Some(definition::switched(&facts.disks, &mark))
    }

    /// The same by libvirt's own file alone, and only when libvirt has changed it since it was last asked: cheap enough for
    /// each monitor, and a switch is told of once. With it comes what [`Self::switched_seen`] is told when they are on record.
    pub(crate) fn newly_switched(&self) -> Option<(Option<Vec<Switched>>, SeenFile)> {
        let Machine { name, uuid } = self.machine.as_ref()?;
        let folder = self.driver.folder().filter(|_| self.has_status_files)?;
        let file = self.roots.run.join(folder).join(format!("{name}.xml"));
        let facts = rustix::fs::lstat(&file).ok()?;
        let seen = SeenFile {
            record: format!("{name}.disks-seen"),
            changed: format!("{}.{}", facts.st_mtime, facts.st_mtime_nsec),
        };
        if run_dir::read(&self.roots.run, &seen.record).as_deref() == Some(&seen.changed) {
            return None;
        }
        Some((self.recorded(&Sought::Uuid(uuid), |_| true)??.switched, seen))
    }

    /// They are on record: they need not be looked for again before libvirt changes its file.
    pub(crate) fn switched_seen(&self, seen: &SeenFile) {
        let _ = run_dir::write(&self.roots.run, &seen.record, &seen.changed);
    }

    /// Whether nobody has seen to the mark of the domain that was last seen in this run of it.
    #[must_use]
    pub(crate) fn is_mark_due(&self) -> bool {
        let (Some(last), Some(known)) = (&self.last, &self.known) else { return false };
        known.uuid == Some(last.uuid) && known.marked != last.id
    }

    /// Its mark has been seen to.
    pub(crate) fn mark_seen_to(&mut self) {
        if let (Some(last), Some(config), Some(known)) = (&self.last, &self.config, &mut self.known) {
            known.marked = last.id;
            records::remember(&self.roots.run, config, known);
        }
    }
}

fn may_be_it(what: &str) -> String {
    format!("{what} may be the virtual machine, whose definition cannot be read; set the parameter name")
}

/// A domain and its state, as libvirt tells them.
fn told(
    connection: &mut Connection,
    look_up: impl FnOnce(&mut Connection) -> Result<Option<rpc::RemoteDomain>, RpcError>,
) -> Result<Option<(rpc::RemoteDomain, State)>, RpcError> {
    let Some(domain) = look_up(connection)? else { return Ok(None) };
    let state = connection.state(&domain)?;
    Ok(state.map(|(state, reason)| (domain, State::from_numbers(state, reason))))
}
