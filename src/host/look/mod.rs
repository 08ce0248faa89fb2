// SPDX-License-Identifier: GPL-2.0-or-later
//! Looking: brings together what libvirt, the process table and the definition say about one domain.
//!
//! The order is a matter of cost: a monitor of a running domain is one connection and four small messages.

mod asking;
mod by_process;
mod by_xl;
mod definition_file;
mod more;
mod open;
mod seek;
mod session;

use super::starting;
use crate::host::disks;
use crate::host::records::{self, Known, Reading};
use crate::hypervisor::process::Driver;
use crate::hypervisor::rpc::{self, Connection};
use crate::hypervisor::xen;
use crate::model::budget::{Budget, Share};
use crate::model::call::{Action, Environment, Invocation};
use crate::model::definition::DefinitionText;
use crate::model::facts::{
    Answers, Definition, Facts, Libvirt, Place, Process, ProcessId, Silence, SilenceKind, Starting,
};
use crate::model::state::Motion;
use crate::model::state::{Pause, State};
use crate::model::uri::Uri;
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use asking::{Unconnected, blind};
use definition_file::{is_read_once, read_definition, stamp};
use seek::Machine;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// libvirt's version that keeps the state of a transient domain's emulated TPM when the definition says so.
const TPM_KEPT_SINCE: u64 = 7_000_000;
/// `VIR_ERR_NO_CONNECT`: libvirt has no driver for a URI.
const NO_CONNECT: i32 = 5;

/// How libvirt is asked.
enum Channel {
    /// By its own protocol, at one of these sockets, which are one daemon's each: the read-only one, which also serves who
    /// may not write, and the other. The name is what it is asked to open.
    Rpc { sockets: Vec<(PathBuf, PathBuf)>, name: String },
    /// Through the worker.
    Worker,
    /// Not libvirt, but xl.
    Xl,
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
pub(crate) struct Looker {
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
    /// What it said when it was last read.
    reading: Option<Reading>,
    /// It was recalled, and is one that only a start reads.
    read_once: bool,
    /// The machine that was found.
    machine: Option<Machine>,
    /// Whether the domain that the machine is remembered as bears another resource's mark by now.
    is_anothers: bool,
    /// What hinders a start of the named machine.
    hindrance: Option<String>,
    definition: Definition,
    /// The end of the action's time.
    deadline: Deadline,
    budget: Budget,
    /// The domain that was last seen.
    last: Option<rpc::RemoteDomain>,
    /// Its process that was last seen, and the name that it was started under.
    process: Option<(ProcessId, String)>,
    /// What xl's last answer shows of it on this host.
    by_xl: Option<xen::DomainSight>,
    /// Whether a definition that is xl's has its machine controlled by xl: on a Xen host, unless libvirt is asked for.
    may_be_xl: bool,
}

/// How much is worth finding out; as it stands, no more than libvirt says of the domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Find the process even though libvirt says that the domain is active. (Before "not running" it is always looked for.)
    pub process: bool,
    /// Look for the resource's mark when no domain has the name, and whether the domain is migrating.
    pub thorough: bool,
    /// Whether what emulates the hardware of a domain of Xen's still lives, which costs a look at that domain.
    pub hardware: bool,
}

impl Depth {
    /// What an action needs.
    #[must_use]
    pub(crate) const fn of(inv: &Invocation) -> Self {
        let acts = !inv.action.watches() && !matches!(inv.action, Action::MigrateFrom);
        // A monitor that stays watches the process, too.
        Self { process: acts || inv.may_stay(), thorough: acts, hardware: acts || inv.check_level >= 10 }
    }
}

impl Looker {
    /// Prepares to look for the domain of `inv`. Touches nothing but, without a URI, the sign of a Xen host.
    #[must_use]
    pub(crate) fn new(inv: &Invocation, env: &Environment, mut roots: Roots) -> Self {
        let uri = uri(inv, env, &roots);
        let parsed = Uri::parse(&uri);
        if let Ok(parsed) = &parsed {
            session::take_in(parsed, env, &mut roots);
        }
        let channel = match &parsed {
            Ok(parsed) => Channel::rpc(parsed, &roots).unwrap_or(Channel::Worker),
            Err(_) => Channel::None,
        };
        let fault =
            fault(inv).or_else(|| Some(format!("hypervisor '{uri}' cannot be used: {}", parsed.as_ref().err()?)));
        // Only the system's own domains are found in the process table by their names: a session has others, and so has a
        // daemon with a socket of its own.
        let driver = match (&channel, &parsed) {
            (Channel::Rpc { .. }, Ok(uri)) if uri.path != "/session" && uri.is_of_the_system(&roots.run) => {
                match uri.driver.as_str() {
                    "qemu" => Driver::Qemu,
                    "lxc" => Driver::Lxc,
                    "xen" => Driver::Xen,
                    _ => Driver::Other,
                }
            }
            (Channel::Rpc { .. } | Channel::Worker | Channel::Xl | Channel::None, _) => Driver::Other,
        };
        let config = inv.params.definition_is_from().map(Path::to_path_buf);
        let known = config.as_ref().filter(|_| inv.params.name.is_none() && !inv.instance.is_empty());
        let known = known.and_then(|config| records::known(&roots.run, config));
        let reading = known.as_ref().and_then(|known| known.reading.clone());
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
            has_status_files: driver.folder().is_some(),
            known,
            reading,
            read_once: false,
            machine: None,
            is_anothers: false,
            hindrance: None,
            definition: Definition::NotLooked,
            deadline: inv.budget().deadline(),
            budget: inv.budget(),
            last: None,
            process: None,
            by_xl: None,
            may_be_xl: driver == Driver::Xen && !inv.params.ask_for_libvirt(),
        }
    }

    /// Looks. libvirt gets at most `patience` of `deadline`.
    pub(crate) fn look(&mut self, inv: &Invocation, depth: Depth, patience: Duration, deadline: Deadline) -> Facts {
        self.choose_tools(inv);
        if self.name.is_none() && self.fault.is_none() {
            self.recall_definition(inv);
        }
        let patience = self.patience(patience, deadline);
        let mut libvirt = self.ask(depth, deadline.at_most(patience)).unwrap_or_else(Libvirt::Silent);
        if self.is_lost_to_libvirt(inv, &libvirt, deadline.at_most(patience)) {
            self.turn_to_xl();
            libvirt = self.ask(depth, deadline.at_most(patience)).unwrap_or_else(Libvirt::Silent);
        }
        match &libvirt {
            Libvirt::Domain(domain) if domain.state.active() => {
                let machine = Machine { name: domain.name.clone(), uuid: domain.uuid };
                self.machine = Some(machine.clone());
                self.remember(Some(machine));
            }
            Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => {
                self.remember(None)
            }
            Libvirt::Silent(_) => self.identify(),
        }
        let active = matches!(&libvirt, Libvirt::Domain(domain) if domain.state.active());
        let is_enough = self.read_once && (!active || inv.action.ends());
        if matches!(self.definition, Definition::Unchanged { .. }) && !is_enough && (!active || self.is_mark_due()) {
            // There is more to say of the machine than that it runs.
            self.read_definition(inv);
        }
        let process = self.process(&libvirt, depth, self.budget.until(Share::Processes, deadline.at_most(patience)));
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
        let switched = match &definition {
            Definition::File(defined) if active && depth.thorough => {
                self.switched(deadline).and_then(|switched| disks::told(&defined.name, &switched))
            }
            Definition::File(defined) if !active => disks::hindrance(&self.roots, defined, self.names()),
            Definition::File(_)
            | Definition::Unchanged { .. }
            | Definition::NotLooked
            | Definition::None { .. }
            | Definition::Bad(_) => None,
        };
        let hindrance = self.hindrance.clone().or(switched);
        let here = Place { name, tools: self.tools(), libvirt, process, starting, told_to_run };
        Facts { here, definition, hindrance, answers: Answers::default() }
    }

    fn starting(&self, libvirt: &Libvirt) -> Option<Starting> {
        let dead = matches!(libvirt, Libvirt::Silent(Silence { kind: SilenceKind::Dead, .. }));
        self.names().find_map(|name| starting::read(&self.roots, name, dead))
    }

    fn told_to_run(&self, libvirt: &Libvirt, process: &Process) -> Option<bool> {
        let (Libvirt::Silent(_), Process::Alive { run, name, .. }) = (libvirt, process) else { return None };
        let (folder, (pid, _)) = (self.driver.folder()?, run.process()?);
        starting::told_to_run(&self.roots, folder, name, pid)
    }

    /// Puts on record that libvirt is about to be asked to start the machine.
    pub(crate) fn note_start(&self) {
        if let Some(name) = &self.name {
            starting::note(&self.roots, name, self.socket.as_deref());
        }
    }

    /// Takes that off the record: what came of the start has been seen.
    pub(crate) fn forget_start(&self) {
        for name in self.names() {
            starting::forget(&self.roots, name);
        }
    }

    /// Waits until libvirt has begun with all that it was asked for until now, by whomever.
    ///
    /// # Errors
    /// It has not.
    pub(crate) fn pass_the_queue(&mut self, deadline: Deadline) -> Result<(), Silence> {
        if !matches!(self.channel, Channel::Rpc { .. }) {
            return Ok(());
        }
        self.connect(deadline).map_err(|unconnected| match unconnected {
            Unconnected::Silent(silence) => silence,
            Unconnected::NoDriver(message) => Silence::refused(message),
        })?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.pass_the_queue().map_err(|error| {
            self.hang_up();
            Silence { why: format!("libvirt has not come to all that it was asked for ({error})"), ..blind(&error) }
        })
    }

    /// Names the machine as far as that is possible without asking libvirt's daemon.
    pub(crate) fn name_it(&mut self, inv: &Invocation) {
        if self.name.is_none() && self.fault.is_none() {
            self.recall_definition(inv);
        }
        match &self.fault {
            // What is not known is found out, and told, when libvirt is to be asked.
            Some(_) => drop(self.adopt_by_mark()),
            None => self.identify(),
        }
    }

    /// Whether its machine is, or would be, a QEMU of this host's libvirt.
    #[must_use]
    pub(crate) fn runs_by_qemu(&self) -> bool {
        self.driver == Driver::Qemu && !matches!(self.channel, Channel::Xl)
    }

    /// What comes next makes a new machine: the one that was found is gone.
    pub(crate) fn expect_a_new_machine(&mut self) {
        self.machine = None;
    }

    /// What the definition's file says. A monitor that is repeated does not read one that is as it was when it was last
    /// read; and nobody who only watches or stops reads a block device again, or has a command print it again.
    fn recall_definition(&mut self, inv: &Invocation) {
        let may_recall = |stamp: &str| {
            (inv.action.watches() && inv.recurring)
                || (is_read_once(stamp) && (inv.action.watches() || inv.action.ends()))
        };
        if let (Definition::NotLooked, true) = (&self.definition, inv.action.watches() || inv.action.ends())
            && let (Some(config), Some(reading)) = (&self.config, &self.reading)
            && let Some(stamp) = stamp(inv, config)
            && may_recall(&stamp)
            && reading.tells(&stamp, &self.uri)
        {
            self.read_once = is_read_once(&stamp);
            self.name = Some(reading.name.clone());
            self.definition = Definition::Unchanged { name: reading.name.clone(), uuid: reading.uuid };
        } else if self.definition == Definition::NotLooked {
            self.read_definition(inv);
        }
    }

    /// Finds and reads the definition's file; its name is the domain's if no other was given.
    pub(crate) fn read_definition(&mut self, inv: &Invocation) {
        self.read_definition_by(inv, self.budget.until(Share::Definition, self.deadline));
    }

    /// The same; its storage may take until then.
    pub(crate) fn read_definition_by(&mut self, inv: &Invocation, until: Deadline) {
        if matches!(self.definition, Definition::NotLooked | Definition::Unchanged { .. }) {
            self.definition = read_definition(inv, self.uri.as_str(), until, &mut self.reading);
            if self.name.is_none() {
                self.name = self.definition.name().map(str::to_owned);
            }
        }
    }

    /// The end of the action's time.
    #[must_use]
    pub(crate) const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The virtual machine's name: the one that it was found under, else what the parameters, the definition, or an
    /// earlier reading of it tell.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&str> {
        self.names().next()
    }

    /// The names that the virtual machine has or had: the records of an earlier action may be kept under any of them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let found = self.machine.as_ref().map(|machine| machine.name.as_str());
        let name = self.name.as_deref().filter(|name| found != Some(*name));
        let known = self.known.as_ref().map(|known| known.name.as_str());
        let known = known.filter(|known| found != Some(*known) && name != Some(*known));
        found.into_iter().chain(name).chain(known)
    }

    /// The process of the domain that was last seen.
    #[must_use]
    pub(crate) fn emulator(&self) -> Option<u32> {
        self.process.as_ref().map(|((pid, _), _)| *pid)
    }

    /// The definition's file has this text by now: the agent has written it.
    pub(crate) fn definition_is_now(&mut self, text: DefinitionText) {
        if let Definition::File(defined) = &mut self.definition {
            defined.text = text;
        }
    }

    /// What was read of the definition.
    #[must_use]
    pub(crate) const fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// Why parameters can never have started a machine.
fn fault(inv: &Invocation) -> Option<String> {
    let params = &inv.params;
    let names_one = params.name.is_some() || params.definition_is_from().is_some();
    let problem = params.problems.iter().find(|problem| {
        let of = |names: &[&str]| names.contains(&problem.param.as_str());
        of(&["name", "hypervisor", "hypervisor_uri"])
            || (of(&["config", "xmlfile", "definition_command"]) && !names_one)
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
    if xen::is_dom0(roots) == Some(true) { "xen:///system" } else { "qemu:///system" }.to_owned()
}
