// SPDX-License-Identifier: GPL-2.0-or-later
//! What more can be asked about the domain that was found.

use super::Looker;
use super::TPM_KEPT_SINCE;
use crate::hypervisor::backend;
use crate::hypervisor::rpc::{self, Connection, RpcError};
use crate::model::budget::Share;
use crate::model::definition::{self, DefinitionText, Language};
use crate::model::facts::{Defined, Definition, Fact, Facts, Libvirt, Tools};
use crate::model::failure::Failure;
use crate::model::worker::{DomainFacts, HostFacts, Lookup, NO_SUPPORT, Question, Request, Who};
use crate::sys::time::Deadline;

/// `VIR_DOMAIN_XML_INACTIVE`: the definition for the next start.
const XML_INACTIVE: u32 = 2;

impl Looker {
    /// The domain that was last seen, as the RPC knows it.
    #[must_use]
    pub(crate) fn last(&self) -> Option<&rpc::RemoteDomain> {
        self.last.as_ref()
    }

    /// The names of all domains that libvirt knows; none where it does not say.
    pub(crate) fn all_names(&mut self) -> Vec<String> {
        let domains = self.connection.as_mut().and_then(|connection| connection.list_all(0).ok());
        domains.unwrap_or_default().into_iter().map(|domain| domain.name).collect()
    }

    /// Asks more about the domain that was last seen; `None` when libvirt cannot say.
    pub(crate) fn ask_last<T>(
        &mut self,
        deadline: Deadline,
        ask: impl FnOnce(&mut Connection, &rpc::RemoteDomain) -> Result<Option<T>, RpcError>,
    ) -> Option<T> {
        let (connection, domain) = (self.connection.as_mut()?, self.last.as_ref()?);
        connection.set_deadline(self.budget.until(Share::Question, deadline));
        match ask(connection, domain) {
            Ok(answer) => answer,
            Err(RpcError::Libvirt { message, .. }) => {
                log::debug!("libvirt did not say: {message}");
                None
            }
            Err(error) => {
                log::debug!("libvirt did not say: {error}");
                self.hang_up();
                None
            }
        }
    }

    /// Whether libvirt keeps a definition of the domain that was last seen, `who`.
    pub(crate) fn kept(&mut self, who: &Who, deadline: Deadline) -> Fact<bool> {
        if self.tools() == Tools::Xl {
            return Fact::Known(false);
        }
        let kept =
            self.ask_last(deadline, |rpc, domain| rpc.is_persistent(domain)).or_else(|| {
                match backend::lookup(&self.uri, who.clone(), self.budget.until(Share::Worker, deadline)).ok()? {
                    Lookup::Found(facts) => facts.persistent,
                    Lookup::Absent => None,
                }
            });
        Fact::said(kept, "libvirt does not say whether it keeps a definition to start it from")
    }

    /// Whether the memory of the domain that was last seen, `who`, is saved, to be restored by its next start.
    pub(crate) fn saved(&mut self, who: &Who, deadline: Deadline) -> Fact<bool> {
        if self.tools() == Tools::Xl {
            return Fact::Known(false);
        }
        let ask = |rpc: &mut Connection, domain: &rpc::RemoteDomain| match rpc.has_managed_save(domain) {
            // A driver that cannot save memory has saved none.
            Err(RpcError::Libvirt { code, .. }) if u32::try_from(code) == Ok(NO_SUPPORT) => Ok(Some(false)),
            answer => answer,
        };
        let saved = self.ask_last(deadline, ask).or_else(|| {
            match backend::lookup(&self.uri, who.clone(), self.budget.until(Share::Worker, deadline)).ok()? {
                Lookup::Found(facts) => facts.saved,
                Lookup::Absent => Some(false),
            }
        });
        Fact::said(saved, "libvirt does not say whether it has saved memory of it")
    }

    /// The version of the daemon's libvirt, as it counts it itself; nothing where it is not asked directly.
    pub(crate) fn libvirt_version(&mut self, deadline: Deadline) -> Option<u64> {
        let connection = self.connection.as_mut()?;
        connection.set_deadline(self.budget.until(Share::Question, deadline));
        connection.lib_version().inspect_err(|error| log::debug!("libvirt did not say: {error}")).ok()
    }

    /// What the host's libvirt tells of itself, and of its hypervisor.
    ///
    /// # Errors
    /// It does not, or could not be asked.
    pub(crate) fn host_facts(&self, deadline: Deadline) -> Result<HostFacts, Failure> {
        let request = Request::host(&self.uri, Question::Host);
        let answer = backend::ask_worker(&request, self.budget.until(Share::Worker, deadline))?;
        Ok(answer.host.unwrap_or_default())
    }

    /// Whether libvirt keeps the state of a transient domain's emulated TPM when it is told to.
    ///
    /// # Errors
    /// A sentence: it does not, or does not say.
    pub(crate) fn keeps_tpms(&mut self, deadline: Deadline) -> Result<(), String> {
        let version =
            self.libvirt_version(deadline).or_else(|| self.host_facts(deadline).ok()?.daemon_version.map(u64::from));
        match version {
            Some(version) if version >= TPM_KEPT_SINCE => Ok(()),
            Some(version) => Err(format!(
                "libvirt {}.{} deletes the state of its emulated TPM at each stop; 7.0 keeps it",
                version / 1_000_000,
                version / 1_000 % 1_000
            )),
            None => Err("libvirt does not say its version, and one before 7.0 deletes an emulated TPM's state".into()),
        }
    }

    /// Our mark in the domain that was last seen, if it has one and libvirt shows it.
    pub(crate) fn mark(&mut self, deadline: Deadline) -> Option<definition::Mark> {
        let xml = self.ask_last(deadline, |rpc, domain| rpc.xml(domain, 0))?;
        definition::parse(xml.as_bytes()).ok()?.mark
    }

    /// What the worker tells of the domain `who`: how it runs, or is defined, without passwords, and more.
    pub(crate) fn by_worker(&self, who: &Who, deadline: Deadline) -> Option<(Option<DefinitionText>, DomainFacts)> {
        let request = Request::domain(&self.uri, who.clone(), Question::Xml { inactive: false });
        let answer = backend::ask_worker(&request, self.budget.until(Share::Worker, deadline)).ok()?;
        match answer.lookup? {
            Lookup::Found(facts) => Some((answer.xml, facts)),
            Lookup::Absent => None,
        }
    }

    /// The XML of the domain that was last seen, `who`, without passwords: as it runs, or what libvirt would start it from,
    /// which of a transient one is how it runs, too.
    pub(crate) fn xml(&mut self, who: &Who, inactive: bool, deadline: Deadline) -> Option<DefinitionText> {
        let flags = if inactive { XML_INACTIVE } else { 0 };
        if let Some(text) = self.ask_last(deadline, |rpc, domain| rpc.xml(domain, flags)) {
            return Some(text.into());
        }
        let request = Request::domain(&self.uri, who.clone(), Question::Xml { inactive });
        backend::ask_worker(&request, self.budget.until(Share::Worker, deadline)).ok()?.xml
    }

    /// The definition that only libvirt has of the domain that was seen, where the parameters name no file.
    pub(crate) fn libvirts_own(&mut self, seen: &Facts, deadline: Deadline) -> Option<Defined> {
        match (&seen.definition, &seen.here.libvirt) {
            (Definition::None { .. }, Libvirt::Domain(domain)) => {
                let text = self.xml(&seen.here.who(), true, deadline)?;
                let (path, name) = ("libvirt's own definition".into(), domain.name.clone());
                Some(Defined { path, text, language: Language::Xml, name, uuid: Some(domain.uuid) })
            }
            (
                Definition::None { .. }
                | Definition::File(_)
                | Definition::NotLooked
                | Definition::Unchanged { .. }
                | Definition::Bad(_),
                _,
            ) => None,
        }
    }

    /// An open connection over which more can be asked, if there is one.
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Whether lifecycle events of the domain are sent.
    #[must_use]
    pub(crate) const fn watching(&self) -> bool {
        self.watching
    }

    /// Asks for the domain's lifecycle events on the open connection; whether they will come.
    pub(crate) fn watch(&mut self, deadline: Deadline) -> bool {
        if self.watching {
            return true;
        }
        let (Some(connection), Some(domain)) = (&mut self.connection, &self.last) else { return false };
        connection.set_deadline(self.budget.until(Share::Question, deadline));
        match connection.watch_lifecycle(domain) {
            Ok(()) => {
                self.watching = true;
                // A driver without such events reboots otherwise: as an end and a start.
                if let Err(error) = connection.watch_reboots(domain) {
                    log::debug!("no word of reboots from libvirt: {error}");
                    if !matches!(error, RpcError::Libvirt { .. }) {
                        self.hang_up();
                    }
                }
            }
            Err(error) => {
                log::debug!("no events from libvirt: {error}");
                self.hang_up();
            }
        }
        self.watching
    }

    /// Drops the connection: after an error nothing more can be read from it.
    pub(crate) fn hang_up(&mut self) {
        self.connection = None;
        self.watching = false;
    }
}
