// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking: brings together what libvirt, the process table and the definition say about one domain.
//!
//! The order is a matter of cost: a monitor of a running domain is one connection and four small messages.

mod seek;

use super::aside::{self, Unlocated};
use super::starting;
use crate::host::disks;
use crate::host::locate::{Found, Kind, Place};
use crate::host::records::{self, Known};
use crate::hypervisor::backend;
use crate::hypervisor::process::{self, Driver, Evidence, Identity, Pulse};
use crate::hypervisor::rpc::{self, Connection, RpcError};
use crate::model::call::{Action, Environment, Invocation};
use crate::model::definition;
use crate::model::facts::Starting;
use crate::model::facts::{Blind, Defined, Definition, Domain, Libvirt, NoAnswer, Observation, Process};
use crate::model::outcome::{Code, Outcome};
use crate::model::state::Motion;
use crate::model::state::{Pause, State};
use crate::model::uri::Uri;
use crate::model::worker::{HostVerb, Lookup, NO_SUPPORT, Request, Who};
use crate::sys::child::find_program;
use crate::sys::held::Held;
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use seek::{Machine, Sighting};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// libvirt's errors for a question that does not fit the domain's job: an arriving domain has no statistics. libvirt 9
/// says that it does not support the question; it is no other case.
const NOT_FOR_THIS_JOB: [i32; 2] = [55, 84];
/// libvirt's version that keeps the state of a transient domain's emulated TPM when the definition says so.
const TPM_KEPT_SINCE: u64 = 7_000_000;
/// `virDomainJobOperation`: leaving by migration.
const MIGRATION_OUT: i32 = 5;
/// `VIR_ERR_NO_CONNECT`: libvirt has no driver for a URI.
const NO_CONNECT: i32 = 5;

/// How long processes that do not show what they run may take from one look, at most.
const PROCESSES: Duration = Duration::from_secs(3);

/// How libvirt is asked.
enum Channel {
    /// By its own protocol, at one of these sockets, which are one daemon's each: the read-only one, which also serves who
    /// may not write, and the other. The name is what it is asked to open.
    Rpc { sockets: Vec<(PathBuf, PathBuf)>, name: String },
    /// Through the worker.
    Worker,
    /// Not at all: the URI cannot be used (see `Looker::fault`).
    None,
}

impl Channel {
    /// libvirt's own protocol, if the URI's daemon has a socket here.
    fn rpc(uri: &Uri, roots: &Roots) -> Option<Self> {
        let readable = uri.local_sockets(true, &roots.run)?;
        let writable = uri.local_sockets(false, &roots.run).unwrap_or_else(|| readable.clone());
        Some(Self::Rpc { sockets: readable.into_iter().zip(writable).collect(), name: uri.open_name() })
    }
}

/// Looks at one domain, again and again during an action.
pub struct Looker {
    /// Where the host's files are.
    pub roots: Roots,
    /// The connection URI, as libvirt's library would be given it.
    pub uri: String,
    channel: Channel,
    driver: Driver,
    connection: Option<Connection>,
    /// The socket at which the daemon last answered.
    socket: Option<PathBuf>,
    watching: bool,
    name: Option<String>,
    /// Whether the name is the parameters', and not one that was read from the definition.
    name_given: bool,
    /// The definition's file, where the parameters name it.
    config: Option<PathBuf>,
    instance: String,
    /// Why the parameters can never have started a machine: they name none, or no hypervisor.
    fault: Option<String>,
    /// Whether libvirt's own files on this host are those of the daemon that is asked.
    has_status_files: bool,
    /// What the definition's file was last seen to mean.
    known: Option<Known>,
    /// The machine that was found.
    machine: Option<Machine>,
    /// Whether the domain that the machine is remembered as bears another resource's mark by now.
    is_anothers: bool,
    /// What hinders a start of the named machine.
    hindrance: Option<String>,
    definition: Definition,
    /// The end of the action's time.
    deadline: Deadline,
    /// The domain that was last seen.
    last: Option<rpc::Domain>,
    /// Its process that was last seen.
    process: Option<(u32, u64, String)>,
}

/// How much is worth finding out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Find the process even though libvirt says that the domain is active. (Before "not running" it is always looked for.)
    pub process: bool,
    /// Look for the resource's mark when no domain has the name, and whether the domain is migrating.
    pub thorough: bool,
}

impl Depth {
    /// What an action needs.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        let acts = !matches!(action, Action::Status | Action::Monitor | Action::MigrateFrom);
        Self { process: acts, thorough: acts }
    }
}

impl Looker {
    /// Prepares to look for the domain of `inv`. Touches nothing but, without a URI, the sign of a Xen host.
    #[must_use]
    pub fn new(inv: &Invocation, env: &Environment, roots: Roots) -> Self {
        let uri = uri(inv, env, &roots);
        let parsed = Uri::parse(&uri);
        let channel = match &parsed {
            Ok(parsed) => Channel::rpc(parsed, &roots).unwrap_or(Channel::Worker),
            Err(_) => Channel::None,
        };
        let fault =
            fault(inv).or_else(|| Some(format!("hypervisor '{uri}' cannot be used: {}", parsed.as_ref().err()?)));
        // Only the system's own domains are found in the process table by their names.
        let driver = match (&channel, &parsed) {
            (Channel::Rpc { .. }, Ok(uri)) if uri.path != "/session" => match uri.driver.as_str() {
                "qemu" => Driver::Qemu,
                "lxc" => Driver::Lxc,
                _ => Driver::Other,
            },
            (Channel::Rpc { .. } | Channel::Worker | Channel::None, _) => Driver::Other,
        };
        let own_socket = parsed.is_ok_and(|uri| uri.parameter("socket").is_some());
        let config = inv.params.config.clone();
        let known = config.as_ref().filter(|_| inv.params.name.is_none() && !inv.instance.is_empty());
        let known = known.and_then(|config| records::known(&roots.run, config));
        Self {
            roots,
            uri,
            channel,
            driver,
            connection: None,
            socket: None,
            watching: false,
            name: inv.params.name.clone(),
            name_given: inv.params.name.is_some(),
            config,
            instance: inv.instance.clone(),
            fault,
            has_status_files: driver != Driver::Other && !own_socket,
            known,
            machine: None,
            is_anothers: false,
            hindrance: None,
            definition: Definition::NotLooked,
            deadline: Deadline::after(inv.timeout.saturating_sub(inv.margin())),
            last: None,
            process: None,
        }
    }

    /// Looks. libvirt gets at most `patience` of `deadline`.
    pub fn look(&mut self, inv: &Invocation, depth: Depth, patience: Duration, deadline: Deadline) -> Observation {
        if self.name.is_none() && self.fault.is_none() {
            self.read_definition(inv);
        }
        let mut libvirt = match self.ask(depth, deadline.at_most(patience)) {
            Ok(libvirt) => libvirt,
            Err(no_answer) => Libvirt::NoAnswer(no_answer),
        };
        match &libvirt {
            Libvirt::Domain(domain) if domain.state.active() => {
                let machine = Machine { name: domain.name.clone(), uuid: domain.uuid };
                self.machine = Some(machine.clone());
                self.remember(Some(machine));
            }
            Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => {
                self.remember(None)
            }
            Libvirt::NoAnswer(_) => self.identify(),
        }
        let process = self.process(&libvirt, depth, deadline.at_most(patience.min(PROCESSES)));
        let process = self.unless_it_lives(process, &libvirt);
        let starting = self.starting(&libvirt);
        if let (Some(_), Libvirt::Domain(domain)) = (&starting, &mut libvirt)
            && domain.state == State::Paused(Pause::StartingUp)
            && domain.motion == Motion::Unknown
        {
            // libvirt was asked to start it, and is at that: what it could not say in the middle of it is no migration.
            domain.motion = Motion::None;
        }
        let told_to_run = self.told_to_run(&libvirt, &process);
        let (name, definition) = (self.name().map(str::to_owned), self.definition.clone());
        let active = matches!(&libvirt, Libvirt::Domain(domain) if domain.state.active());
        let switched = match &definition {
            Definition::File(defined) if active && depth.thorough => {
                self.switched(deadline).and_then(|switched| disks::told(&defined.name, &switched))
            }
            Definition::File(defined) if !active => disks::hindrance(&self.roots, defined),
            Definition::File(_) | Definition::NotLooked | Definition::None { .. } | Definition::Bad(_) => None,
        };
        let hindrance = self.hindrance.clone().or(switched);
        Observation { name, libvirt, process, definition, hindrance, starting, told_to_run }
    }

    fn starting(&self, libvirt: &Libvirt) -> Option<Starting> {
        let dead = matches!(libvirt, Libvirt::NoAnswer(NoAnswer { kind: Blind::Dead, .. }));
        self.names().find_map(|name| starting::read(&self.roots, name, dead))
    }

    fn told_to_run(&self, libvirt: &Libvirt, process: &Process) -> Option<bool> {
        let (Libvirt::NoAnswer(_), Process::Alive { pid, name, .. }) = (libvirt, process) else { return None };
        let folder = match self.driver {
            Driver::Qemu => "libvirt/qemu",
            Driver::Lxc => "libvirt/lxc",
            Driver::Other => return None,
        };
        starting::told_to_run(&self.roots, folder, name, *pid)
    }

    /// Puts on record that libvirt is about to be asked to start the machine.
    pub fn note_start(&self) {
        if let Some(name) = &self.name {
            starting::note(&self.roots, name, self.socket.as_deref());
        }
    }

    /// Takes that off the record: what came of the start has been seen.
    pub fn forget_start(&self) {
        for name in self.names() {
            starting::forget(&self.roots, name);
        }
    }

    /// Waits until libvirt has begun with all that it was asked for until now, by whomever.
    ///
    /// # Errors
    /// It has not; a sentence.
    pub fn pass_the_queue(&mut self, deadline: Deadline) -> Result<(), String> {
        if !matches!(self.channel, Channel::Rpc { .. }) {
            return Ok(());
        }
        self.connect(deadline).map_err(|unconnected| match unconnected {
            Unconnected::NoAnswer(no_answer) => no_answer.why,
            Unconnected::NoDriver(message) => message,
        })?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.pass_the_queue().map_err(|error| {
            self.hang_up();
            format!("libvirt has not come to all that it was asked for ({error})")
        })
    }

    /// Names the machine as far as that is possible without asking libvirt's daemon.
    pub fn name_it(&mut self, inv: &Invocation) {
        if self.name.is_none() && self.fault.is_none() {
            self.read_definition(inv);
        }
        match &self.fault {
            Some(_) => self.adopt_by_mark(),
            None => self.identify(),
        }
    }

    /// What comes next makes a new machine: the one that was found is gone.
    pub fn expect_a_new_machine(&mut self) {
        self.machine = None;
    }

    /// Finds and reads the definition's file; its name is the domain's if no other was given.
    pub fn read_definition(&mut self, inv: &Invocation) {
        if self.definition == Definition::NotLooked {
            self.definition = read_definition(inv, self.uri.as_str(), self.definitions_share(inv));
            if let (None, Definition::File(defined)) = (&self.name, &self.definition) {
                self.name = Some(defined.name.clone());
            }
        }
    }

    /// The end of the action's time.
    #[must_use]
    pub const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// How long the definition's storage may take. A start can do nothing without it; who only watches must answer.
    fn definitions_share(&self, inv: &Invocation) -> Deadline {
        let quarter = self.deadline.at_most(inv.timeout / 4);
        match inv.action {
            Action::Start | Action::MigrateFrom => self.deadline.less((inv.timeout / 4).min(Duration::from_secs(10))),
            Action::Restart | Action::Recover => self.deadline.at_most(inv.timeout / 2),
            Action::Status => quarter.at_most(Duration::from_secs(2)),
            Action::Monitor => quarter.at_most(Duration::from_secs(5)),
            Action::Stop
            | Action::Kill
            | Action::Migrate
            | Action::MigrateTo
            | Action::Reload
            | Action::MetaData
            | Action::ValidateAll
            | Action::Usage => quarter.at_most(Duration::from_secs(10)),
        }
    }

    /// The virtual machine's name: the one that it was found under, else what the parameters, the definition, or an
    /// earlier reading of it tell.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.names().next()
    }

    /// The names that the virtual machine has or had: the records of an earlier action may be kept under any of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let found = self.machine.as_ref().map(|machine| machine.name.as_str());
        let name = self.name.as_deref().filter(|name| found != Some(*name));
        let known = self.known.as_ref().map(|known| known.name.as_str());
        let known = known.filter(|known| found != Some(*known) && name != Some(*known));
        found.into_iter().chain(name).chain(known)
    }

    /// The domain that was last seen, as the RPC knows it.
    #[must_use]
    pub fn last(&self) -> Option<&rpc::Domain> {
        self.last.as_ref()
    }

    /// The names of all domains that libvirt knows; none where it does not say.
    pub(crate) fn all_names(&mut self) -> Vec<String> {
        let domains = self.connection.as_mut().and_then(|connection| connection.list_all(0).ok());
        domains.unwrap_or_default().into_iter().map(|domain| domain.name).collect()
    }

    /// What was read of the definition.
    #[must_use]
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Asks more about the domain that was last seen; `None` when libvirt cannot say.
    pub fn ask_last<T>(
        &mut self,
        deadline: Deadline,
        ask: impl FnOnce(&mut Connection, &rpc::Domain) -> Result<Option<T>, RpcError>,
    ) -> Option<T> {
        let (connection, domain) = (self.connection.as_mut()?, self.last.as_ref()?);
        connection.set_deadline(deadline.at_most(Duration::from_secs(2)));
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

    /// Whether libvirt keeps a definition of the domain that was last seen, `who`; `None` when it does not say.
    pub fn kept(&mut self, who: &Who, deadline: Deadline) -> Option<bool> {
        self.ask_last(deadline, |rpc, domain| rpc.is_persistent(domain)).or_else(|| {
            match backend::lookup(&self.uri, who.clone(), deadline.at_most(Duration::from_secs(5))).ok()? {
                Lookup::Found(facts) => facts.persistent,
                Lookup::Absent => None,
            }
        })
    }

    /// Whether the memory of the domain that was last seen, `who`, is saved, to be restored by its next start; `None` when
    /// libvirt does not say.
    pub fn saved(&mut self, who: &Who, deadline: Deadline) -> Option<bool> {
        let ask = |rpc: &mut Connection, domain: &rpc::Domain| match rpc.has_managed_save(domain) {
            // A driver that cannot save memory has saved none.
            Err(RpcError::Libvirt { code, .. }) if u32::try_from(code) == Ok(NO_SUPPORT) => Ok(Some(false)),
            answer => answer,
        };
        self.ask_last(deadline, ask).or_else(|| {
            match backend::lookup(&self.uri, who.clone(), deadline.at_most(Duration::from_secs(5))).ok()? {
                Lookup::Found(facts) => facts.saved,
                Lookup::Absent => Some(false),
            }
        })
    }

    /// Whether libvirt keeps the state of a transient domain's emulated TPM when it is told to.
    ///
    /// # Errors
    /// A sentence: it does not, or does not say.
    pub fn keeps_tpms(&mut self, deadline: Deadline) -> Result<(), String> {
        let by_rpc = self.connection.as_mut().and_then(|connection| {
            connection.set_deadline(deadline.at_most(Duration::from_secs(2)));
            connection.lib_version().inspect_err(|error| log::debug!("libvirt did not say: {error}")).ok()
        });
        let version = by_rpc.or_else(|| {
            let request = Request::host(&self.uri, HostVerb::Host);
            let host = backend::ask_worker(&request, deadline.at_most(Duration::from_secs(5))).ok()?.host?;
            host.daemon_version.map(u64::from)
        });
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
    pub fn mark(&mut self, deadline: Deadline) -> Option<definition::Mark> {
        let xml = self.ask_last(deadline, |rpc, domain| rpc.xml(domain, 0))?;
        definition::parse(xml.as_bytes()).ok()?.mark
    }

    /// An open connection over which more can be asked, if there is one.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Whether lifecycle events of the domain are sent.
    #[must_use]
    pub const fn watching(&self) -> bool {
        self.watching
    }

    /// Asks for the domain's lifecycle events on the open connection; whether they will come.
    pub fn watch(&mut self, deadline: Deadline) -> bool {
        if self.watching {
            return true;
        }
        let (Some(connection), Some(domain)) = (&mut self.connection, &self.last) else { return false };
        connection.set_deadline(deadline.at_most(Duration::from_secs(2)));
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
    pub fn hang_up(&mut self) {
        self.connection = None;
        self.watching = false;
    }

    fn process(&self, libvirt: &Libvirt, depth: Depth, deadline: Deadline) -> Process {
        let (name, uuid, active) = match libvirt {
            Libvirt::Domain(domain) => (Some(domain.name.as_str()), Some(domain.uuid), domain.state.active()),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::NoAnswer(_) => {
                (self.name(), None, false)
            }
        };
        let Some(name) = name else {
            return match libvirt {
                Libvirt::NoAnswer(_) => self.process_by_ties(deadline),
                Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => {
                    Process::NotLooked
                }
            };
        };
        // Where a name was given, a definition that was read tells its UUID all the same.
        let uuid = uuid.or_else(|| self.sought_uuids().into_iter().next()).or_else(|| self.defined_uuid());
        let who = Identity { name, uuid, driver: self.driver };
        let answered = !matches!(libvirt, Libvirt::NoAnswer(_));
        if answered && self.driver == Driver::Other {
            return Process::NotLooked;
        }
        if self.is_anothers {
            // The process of that name is known, and is not this machine's.
            return Process::Gone;
        }
        if active {
            // libvirt may not have noticed its end.
            match process::pulse(&self.roots, &who) {
                Pulse::Ended(_) => return Process::Gone,
                Pulse::Ending(pid, start) => {
                    return Process::Alive { pid, start, incoming: false, name: name.to_owned(), ending: true };
                }
                Pulse::Beats if !depth.process => return Process::NotLooked,
                Pulse::Beats => {}
            }
            if let Some(found) = process::held_by_libvirt(&self.roots, &who) {
                return alive(found);
            }
        }
        match aside::process(&self.roots, &who, deadline) {
            Evidence::Alive(found) => alive(found),
            Evidence::MayBe(why) => Process::MayBe(why),
            Evidence::Namesake(_) | Evidence::Absent if active => {
                Process::Unknown("it is not among the processes that can be seen here".into())
            }
            Evidence::Namesake(why) => Process::Namesake(why),
            Evidence::Absent => Process::Gone,
            Evidence::Unknown(why) => Process::Unknown(why),
        }
    }

    /// A process that was seen to be the domain's stays it until its end: while it ends, stuck in the kernel perhaps, it
    /// shows nothing any more that it could be known by, and still has the disks open.
    fn unless_it_lives(&mut self, process: Process, libvirt: &Libvirt) -> Process {
        let active = matches!(libvirt, Libvirt::Domain(domain) if domain.state.active());
        match (&process, &self.process) {
            (Process::Alive { pid, start, name, .. }, _) => self.process = Some((*pid, *start, name.clone())),
            (Process::NotLooked, _) | (_, None) => {}
            (
                Process::MayBe(_) | Process::Namesake(_) | Process::Gone | Process::Unknown(_),
                Some((pid, start, name)),
            ) => match Held::open(*pid, *start) {
                Ok(Some(_)) => {
                    let (pid, start, name) = (*pid, *start, name.clone());
                    let ending = process::is_ending(&self.roots, pid);
                    return Process::Alive { pid, start, incoming: false, name, ending };
                }
                // That is why it is not found, though libvirt has not noticed yet.
                Ok(None) if active && matches!(process, Process::Unknown(_)) => return Process::Gone,
                Ok(None) | Err(_) => self.process = None,
            },
        }
        process
    }

    /// Asks libvirt, on the open connection if there is one; a connection that broke is made anew once.
    fn ask(&mut self, depth: Depth, deadline: Deadline) -> Result<Libvirt, NoAnswer> {
        if let Some(fault) = self.fault.clone() {
            self.adopt_by_mark();
            let Some(machine) = &self.machine else { return Ok(Libvirt::Unusable(fault)) };
            log::warn!("'{}' is known by its mark alone, since {fault}", machine.name);
        }
        if matches!(self.channel, Channel::Worker | Channel::None) {
            return by_worker(&self.uri, self.sought_name().as_deref(), deadline);
        }
        let mut may_be_stale = self.connection.is_some();
        // What is kept back tells a daemon that is silent from one that does not answer for this domain.
        let (all, deadline) = (deadline, deadline.less(deadline.left() / 5));
        loop {
            match self.connect(deadline) {
                Ok(()) => {}
                Err(Unconnected::NoAnswer(no_answer)) => return Err(no_answer),
                // No daemon here can ever have run a machine by this URI.
                Err(Unconnected::NoDriver(message)) => {
                    self.fault = Some(format!("hypervisor '{}' cannot be used here: {message}", self.uri));
                    return self.ask(depth, deadline);
                }
            }
            match self.ask_connection(depth, deadline) {
                Ok(libvirt) => return Ok(libvirt),
                // The connection is kept: its late answer ends the wait for this domain.
                Err(error) if error.is_silence_about_a_domain() && self.answers_others(all) => {
                    return Err(busy(&error));
                }
                Err(error) => {
                    self.hang_up();
                    if !may_be_stale || !matches!(error, RpcError::Closed { .. }) || deadline.passed() {
                        return Err(blind(&error));
                    }
                    may_be_stale = false;
                }
            }
        }
    }

    /// Whether libvirt's daemon, if it answers in time, has a driver for the hypervisor.
    pub fn check_hypervisor(&mut self, deadline: Deadline) -> Result<(), String> {
        match self.connect(deadline) {
            Err(Unconnected::NoDriver(message)) => Err(format!("'{}' cannot be used here: {message}", self.uri)),
            Ok(()) | Err(Unconnected::NoAnswer(_)) => Ok(()),
        }
    }

    fn connect(&mut self, deadline: Deadline) -> Result<(), Unconnected> {
        let Channel::Rpc { sockets, name } = &self.channel else { return Ok(()) };
        if let Some(connection) = &mut self.connection {
            connection.set_deadline(deadline);
            return Ok(());
        }
        let began = Instant::now();
        let mut first: Option<RpcError> = None;
        for (readable, writable) in sockets {
            let share = if readable == writable { deadline } else { deadline.less(deadline.left() / 2) };
            let error = match Connection::open(readable, Some(name), true, share) {
                Ok(connection) => {
                    (self.connection, self.socket) = (Some(connection), Some(readable.clone()));
                    return Ok(());
                }
                Err(error) => error,
            };
            // Anybody may fill the read-only socket, and it may be switched off. The other is for few, and we are root. It
            // is the same daemon's: another one's word would be none about what this one runs.
            let silent = matches!(error, RpcError::Timeout { .. });
            if (silent || error.is_nobody_listening())
                && readable != writable
                && let Ok(connection) = Connection::open(writable, Some(name), true, deadline)
            {
                (self.connection, self.socket) = (Some(connection), Some(writable.clone()));
                return Ok(());
            }
            if let RpcError::Timeout { doing, .. } = error {
                return Err(Unconnected::NoAnswer(blind(&RpcError::Timeout { doing, waited: began.elapsed() })));
            }
            if let RpcError::Libvirt { code: NO_CONNECT, message, .. } = error {
                return Err(Unconnected::NoDriver(message));
            }
            if !error.is_nobody_listening() {
                return Err(Unconnected::NoAnswer(blind(&error)));
            }
            // A socket at which nobody listens says more than one that this host never had; and the socket of a daemon that
            // is installed more than one of another kind.
            let says_more = |first: &RpcError| {
                first.is_absent_socket()
                    && (!error.is_absent_socket() || (!has_daemon(first.socket()) && has_daemon(error.socket())))
            };
            if first.as_ref().is_none_or(says_more) {
                first = Some(error);
            }
        }
        Err(Unconnected::NoAnswer(match first {
            Some(error) => blind(&error),
            None => NoAnswer { kind: Blind::Dead, why: format!("'{}' has no socket to connect to", self.uri) },
        }))
    }

    /// Whether the daemon answers another client, after it has not answered about a domain.
    fn answers_others(&self, deadline: Deadline) -> bool {
        let (Some(socket), Channel::Rpc { name, .. }) = (&self.socket, &self.channel) else { return false };
        Connection::open(socket, Some(name), true, deadline).is_ok()
    }

    fn ask_connection(&mut self, depth: Depth, deadline: Deadline) -> Result<Libvirt, RpcError> {
        self.open_connection()?.catch_up()?;
        (self.hindrance, self.is_anothers) = (None, false);
        let (domain, state) = match self.seek(depth.thorough)? {
            Sighting::Domain(domain, state) => (domain, state),
            Sighting::Nothing => return Ok(Libvirt::NoDomain),
            Sighting::CannotTell(why) => return Ok(Libvirt::Ambiguous(why)),
        };
        let unclear = matches!(state, State::Paused(Pause::Migration | Pause::StartingUp));
        let mut motion = Motion::None;
        if (unclear || (depth.thorough && state.active()))
            && let Some(connection) = &mut self.connection
        {
            connection.set_deadline(deadline.at_most(Duration::from_secs(1)));
            motion = match connection.job_stats(&domain, 0) {
                Ok(stats) => leaving(stats.as_ref()),
                Err(RpcError::Libvirt { code, .. }) if unclear && NOT_FOR_THIS_JOB.contains(&code) => Motion::Arriving,
                Err(RpcError::Libvirt { .. }) => Motion::None,
                // The connection is of no more use, but the state that it told is.
                Err(error) => {
                    log::debug!("whether a migration is on was not answered: {error}");
                    self.hang_up();
                    Motion::Unknown
                }
            };
        }
        self.last = Some(domain.clone());
        Ok(Libvirt::Domain(Domain { name: domain.name, uuid: domain.uuid, state, motion }))
    }
}

/// Whether the daemon of such a socket (`virtqemud-sock`, `libvirt-sock-ro`) is installed here.
fn has_daemon(socket: Option<&Path>) -> bool {
    let name = socket.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let daemon = name.split("-sock").next().map(|word| if word == "libvirt" { "libvirtd" } else { word });
    daemon.is_some_and(|daemon| find_program(daemon).is_some())
}

fn leaving(stats: Option<&rpc::JobStats>) -> Motion {
    let operation = stats.and_then(|s| s.fields.iter().find(|(field, _)| field == "operation"));
    match operation {
        Some((_, rpc::TypedValue::Int(MIGRATION_OUT))) => Motion::Leaving,
        Some(_) | None => Motion::None,
    }
}

/// Why there is no connection.
enum Unconnected {
    NoAnswer(NoAnswer),
    /// libvirt's daemon has no driver for the URI; its words.
    NoDriver(String),
}

fn alive(found: process::Alive) -> Process {
    Process::Alive {
        pid: found.pid,
        start: found.start_time_ticks,
        incoming: found.incoming,
        name: found.name,
        ending: found.ending,
    }
}

/// What it says that a daemon that answers others did not answer about the domain. libvirt holds a domain's lock from the
/// beginning of a start to its end, while storage and hooks take their time, and again while it clears up behind the
/// domain; a lookup waits for that lock.
fn busy(error: &RpcError) -> NoAnswer {
    let waited = if let RpcError::Timeout { waited, .. } = error { waited.as_secs_f32() } else { 0.0 };
    NoAnswer { kind: Blind::Busy, why: format!("libvirt is busy with it and does not answer (waited {waited:.1} s)") }
}

/// What a failed call says about the daemon.
fn blind(error: &RpcError) -> NoAnswer {
    let kind = match error {
        RpcError::Connect { .. } if error.is_nobody_listening() => Blind::Dead,
        RpcError::Closed { .. } => Blind::Dead,
        RpcError::Timeout { .. } => Blind::Hung,
        RpcError::Connect { .. }
        | RpcError::AuthenticationRequired(_)
        | RpcError::Protocol(_)
        | RpcError::Libvirt { .. } => Blind::Refused,
    };
    if let RpcError::Timeout { waited, .. } = error {
        let why = if *waited < Duration::from_millis(50) {
            "libvirt's daemon does not answer in the time that is left".to_owned()
        } else {
            format!("libvirt's daemon does not answer (waited {:.1} s)", waited.as_secs_f32())
        };
        return NoAnswer { kind, why };
    }
    let why = match kind {
        Blind::Dead => format!("libvirt's daemon does not run ({error})"),
        Blind::Hung | Blind::Busy => format!("libvirt's daemon does not answer ({error})"),
        Blind::Refused => format!("libvirt cannot be asked ({error})"),
    };
    NoAnswer { kind, why }
}

/// Why parameters can never have started a machine.
fn fault(inv: &Invocation) -> Option<String> {
    let params = &inv.params;
    let names_one = params.name.is_some() || params.config.is_some();
    let problem = params.problems.iter().find(|problem| {
        let of = |names: &[&str]| names.contains(&problem.param.as_str());
        of(&["name", "hypervisor", "hypervisor_uri"]) || (of(&["config", "xmlfile"]) && !names_one)
    });
    problem.map(ToString::to_string).or_else(|| (!names_one).then(|| "neither name nor config is set".to_owned()))
}

/// The URI to use: the parameters', else the environment's, else the host's own hypervisor.
fn uri(inv: &Invocation, env: &Environment, roots: &Roots) -> String {
    if let Some(asked) = &inv.params.hypervisor {
        return asked.clone();
    }
    if let Some(uri) = env.text("LIBVIRT_DEFAULT_URI") {
        return uri.to_owned();
    }
    let dom0 = std::fs::read(roots.proc.join("xen/capabilities")).is_ok_and(|text| text.starts_with(b"control_d"));
    if dom0 { "xen:///system" } else { "qemu:///system" }.to_owned()
}

/// Reads the definition that the parameters point at; its storage may take as long as the deadline says.
fn read_definition(inv: &Invocation, uri: &str, deadline: Deadline) -> Definition {
    let bad = |code, text: String| Definition::Bad(Outcome::new(code, text));
    let place = match (&inv.params.config, &inv.params.path, &inv.params.name) {
        (Some(config), _, _) => Place::File(config),
        (None, Some(path), Some(name)) => Place::Path(path, name),
        (None, Some(_), None) => return bad(Code::Configured, "path is set but not name; expected both".into()),
        (None, None, _) => return Definition::None { looked_at: Vec::new() },
    };
    let found = aside::definition(&place, deadline);
    let (path, text) = match found {
        Ok(Found::File { path, kind: Kind::Xml, text }) => (path, text),
        Ok(Found::File { path, kind: Kind::XenConfig, .. }) => {
            return bad(
                Code::Installed,
                format!("{} is not XML; Xen's own configuration files are not supported yet", path.display()),
            );
        }
        Ok(Found::NotFound { looked_at }) if inv.params.config.is_some() => {
            let places: Vec<String> = looked_at.iter().map(ToString::to_string).collect();
            return bad(Code::Installed, format!("config: there is no {}", places.join(", ")));
        }
        Ok(Found::NotFound { looked_at }) => {
            return Definition::None { looked_at: looked_at.into_iter().map(|place| place.path).collect() };
        }
        Err(Unlocated::Parameter(why)) => return bad(Code::Configured, format!("path: {why}")),
        Err(Unlocated::Unusable(why)) => return bad(Code::Installed, why),
        Err(Unlocated::Silent(waited)) => {
            let waited = waited.as_secs_f32();
            return bad(
                Code::Generic,
                format!("the definition could not be read within {waited:.0} s: its storage hangs"),
            );
        }
    };
    let facts = match definition::parse(&text) {
        Ok(facts) => facts,
        Err(error) => return bad(Code::Installed, format!("{}: {error}", path.display())),
    };
    let Ok(text) = String::from_utf8(text) else {
        return bad(Code::Installed, format!("{} is not UTF-8 text", path.display()));
    };
    let defined = Defined { path, name: facts.name, uuid: facts.uuid, text: text.into() };
    if let Some(wanted) = &inv.params.name
        && let Err(outcome) = defined.is_for(wanted)
    {
        return Definition::Bad(outcome);
    }
    if let Err(text) = fits(&facts.domain_type, uri) {
        return bad(Code::Installed, format!("{} {text}", defined.path.display()));
    }
    Definition::File(Box::new(defined))
}

/// Whether a definition of this type is for the hypervisor of `uri`.
fn fits(domain_type: &str, uri: &str) -> Result<(), String> {
    let driver = uri.split([':', '+']).next().unwrap_or_default();
    let wanted = match domain_type {
        "kvm" | "qemu" => "qemu",
        other => other,
    };
    if driver == wanted || !matches!(wanted, "qemu" | "xen" | "lxc") || !matches!(driver, "qemu" | "xen" | "lxc") {
        return Ok(());
    }
    Err(format!("is for the hypervisor '{domain_type}', but {uri} is used: set hypervisor to {wanted}"))
}

/// Asks through the worker, for a URI that is not spoken here: the same answers at a higher price.
fn by_worker(uri: &str, name: Option<&str>, deadline: Deadline) -> Result<Libvirt, NoAnswer> {
    let Some(name) = name else {
        return Ok(Libvirt::Ambiguous("neither a name nor a readable definition says which".into()));
    };
    let refused = |why: String| NoAnswer { kind: Blind::Refused, why: format!("libvirt cannot be asked ({why})") };
    match backend::lookup(uri, Who::Name(name.to_owned()), deadline).map_err(refused)? {
        Lookup::Absent => Ok(Libvirt::NoDomain),
        Lookup::Found(facts) => {
            let state = State::from_numbers(facts.state, facts.reason);
            let unclear = matches!(state, State::Paused(Pause::Migration | Pause::StartingUp));
            let motion = match (facts.job_operation, facts.job_error) {
                (Some(MIGRATION_OUT), _) => Motion::Leaving,
                (Some(_), _) => Motion::None,
                (None, Some(code)) if unclear && NOT_FOR_THIS_JOB.contains(&code) => Motion::Arriving,
                (None, Some(_)) => Motion::None,
                (None, None) => Motion::Unknown,
            };
            let uuid = crate::sys::text::parse_uuid(&facts.uuid).ok_or_else(|| refused("its UUID is none".into()))?;
            Ok(Libvirt::Domain(Domain { uuid, name: facts.name, state, motion }))
        }
    }
}
