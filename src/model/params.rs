// SPDX-License-Identifier: GPL-2.0-or-later
//! The one table of parameters, and the typed values read from it. Pure: it sees names and values, never the host.
//!
//! Reading never fails as a whole: a value that cannot be read becomes a `Problem` beside the other values. A `stop` or a
//! `monitor` works with any; `start` and `migrate` refuse only what they use, and `validate-all` refuses all.

use crate::model::mapping;
use crate::model::uri::Uri;
use crate::sys::text::shown;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use Concern::{Identity, Migration as Moving, Nothing, Start, Stop, Watch};

/// What a parameter is for this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Read and obeyed.
    Agent,
    /// Read by rgmanager alone; the agent only declares it.
    Manager,
    /// A predecessor's parameter that this agent does not have: refused when it is set to more than "off".
    Unsupported,
}

/// What a parameter is used for: a value that cannot be used hinders that, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Which virtual machine is meant, and by whom it is run.
    Identity,
    /// Bringing it up.
    Start,
    /// Stopping it.
    Stop,
    /// Watching it.
    Watch,
    /// Moving it.
    Migration,
    /// Nothing that this agent does.
    Nothing,
}

/// The form of a value, as published in the meta-data and as checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// 1/yes/true/on or 0/no/false/off, in any case.
    Boolean,
    /// A whole number.
    Integer,
}

/// One row of the table.
#[derive(Debug)]
pub struct Param {
    /// The name in the OCF dialect, and by which messages call it.
    pub name: &'static str,
    /// Other names it is read by, in every dialect.
    pub aliases: &'static [&'static str],
    /// The form of its value.
    pub kind: Kind,
    /// The published default; `None` publishes none.
    pub default: Option<&'static str>,
    /// What it is for.
    pub used: Use,
    /// What a value of it that cannot be used hinders.
    pub concerns: Concern,
    /// The name by which rgmanager's meta-data publishes it.
    pub rgmanager: Option<&'static str>,
    /// Whether the OCF meta-data publishes it.
    pub ocf: bool,
    /// Whether a change needs no restart of the virtual machine.
    pub reloadable: bool,
}

const fn row(concerns: Concern, name: &'static str, kind: Kind, default: Option<&'static str>) -> Param {
    Param {
        name,
        aliases: &[],
        kind,
        default,
        used: Use::Agent,
        concerns,
        rgmanager: None,
        ocf: true,
        reloadable: true,
    }
}

const fn manager(name: &'static str, kind: Kind, default: Option<&'static str>) -> Param {
    Param { used: Use::Manager, rgmanager: Some(name), ocf: false, ..row(Nothing, name, kind, default) }
}

const fn unsupported(concerns: Concern, name: &'static str) -> Param {
    Param { used: Use::Unsupported, ocf: false, ..row(concerns, name, Kind::Text, None) }
}

/// Every parameter of this agent and of both predecessors.
pub static TABLE: &[Param] = &[
    Param { rgmanager: Some("name"), reloadable: false, ..row(Identity, "name", Kind::Text, None) },
    Param {
        aliases: &["xmlfile"],
        rgmanager: Some("xmlfile"),
        reloadable: false,
        ..row(Identity, "config", Kind::Text, None)
    },
    Param { rgmanager: Some("path"), reloadable: false, ..row(Identity, "path", Kind::Text, None) },
    Param { rgmanager: Some("hypervisor"), reloadable: false, ..row(Identity, "hypervisor", Kind::Text, Some("auto")) },
    Param {
        rgmanager: Some("hypervisor_uri"),
        reloadable: false,
        ..row(Identity, "hypervisor_uri", Kind::Text, Some("auto"))
    },
    Param { rgmanager: Some("use_virsh"), ..row(Start, "use_virsh", Kind::Boolean, Some("no")) },
    Param { rgmanager: Some("no_kill"), ..row(Stop, "no_kill", Kind::Boolean, Some("false")) },
    row(Stop, "force_stop", Kind::Boolean, Some("false")),
    row(Stop, "shutdown_mode", Kind::Text, Some("default")),
    Param { rgmanager: Some("status_program"), ..row(Start, "status_program", Kind::Text, None) },
    row(Start, "monitor_scripts", Kind::Text, None),
    Param { rgmanager: Some("saved_memory"), ..row(Start, "saved_memory", Kind::Text, Some("refuse")) },
    row(Watch, "degraded_when_blind", Kind::Boolean, Some("false")),
    // What only rgmanager reads.
    manager("domain", Kind::Text, None),
    manager("autostart", Kind::Boolean, Some("1")),
    manager("exclusive", Kind::Boolean, Some("0")),
    manager("recovery", Kind::Text, None),
    manager("depend", Kind::Text, None),
    manager("depend_mode", Kind::Text, Some("hard")),
    manager("max_restarts", Kind::Text, Some("0")),
    manager("restart_expire_time", Kind::Text, Some("0")),
    // Migration.
    Param { rgmanager: Some("migrate"), ..row(Moving, "migrate", Kind::Text, Some("live")) },
    Param { rgmanager: Some("migrate_options"), ..row(Moving, "migrate_options", Kind::Text, None) },
    Param { rgmanager: Some("tunnelled"), ..row(Moving, "tunnelled", Kind::Boolean, Some("no")) },
    Param { rgmanager: Some("migration_mapping"), ..row(Moving, "migration_mapping", Kind::Text, None) },
    Param { rgmanager: Some("migration_uri"), ..row(Moving, "migration_uri", Kind::Text, Some("auto")) },
    row(Moving, "remoteuri", Kind::Text, None),
    row(Moving, "migrateuri", Kind::Text, None),
    row(Moving, "migrateport", Kind::Integer, None),
    row(Moving, "migration_transport", Kind::Text, None),
    row(Moving, "migration_user", Kind::Text, None),
    row(Moving, "migration_network_suffix", Kind::Text, None),
    row(Moving, "migration_speed", Kind::Integer, Some("0")),
    row(Moving, "migration_downtime", Kind::Integer, Some("0")),
    row(Moving, "migration_downtime_max", Kind::Integer, Some("2000")),
    row(Moving, "migration_auto_converge", Kind::Boolean, Some("yes")),
    row(Moving, "migration_postcopy", Kind::Boolean, Some("no")),
    row(Moving, "migration_allow_pause", Kind::Boolean, Some("no")),
    row(Moving, "migration_p2p", Kind::Boolean, Some("no")),
    row(Moving, "migration_tls", Kind::Boolean, Some("no")),
    row(Moving, "migration_parallel", Kind::Integer, Some("0")),
    row(Moving, "migration_compression", Kind::Text, None),
    row(Moving, "migrate_backend", Kind::Text, Some("libvirt")),
    // Saved states, overlays, configuration sync, utilization.
    Param { rgmanager: Some("snapshot"), ..unsupported(Start, "snapshot") },
    unsupported(Stop, "save_config_on_stop"),
    unsupported(Stop, "sync_config_on_stop"),
    unsupported(Start, "backingfile"),
    unsupported(Start, "stateless"),
    unsupported(Start, "copyindirs"),
    unsupported(Start, "start_resources"),
    unsupported(Nothing, "autoset_utilization_cpu"),
    unsupported(Nothing, "autoset_utilization_host_memory"),
    unsupported(Nothing, "autoset_utilization_hv_memory"),
    unsupported(Nothing, "unset_utilization_cpu"),
    unsupported(Nothing, "unset_utilization_host_memory"),
    unsupported(Nothing, "unset_utilization_hv_memory"),
];

/// The row whose name or alias is `name`.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Param> {
    TABLE.iter().find(|p| p.name.as_bytes() == name || p.aliases.iter().any(|a| a.as_bytes() == name))
}

/// How the guest is asked to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// What libvirt does by itself.
    Default,
    /// The power button.
    Acpi,
    /// The guest agent.
    Agent,
    /// `/dev/initctl` of a container.
    Initctl,
    /// A signal to a container's init.
    Signal,
    /// Xen's control interface.
    Paravirt,
}

impl ShutdownMode {
    /// The word that `virsh shutdown --mode` takes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Acpi => "acpi",
            Self::Agent => "agent",
            Self::Initctl => "initctl",
            Self::Signal => "signal",
            Self::Paravirt => "paravirt",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Default, Self::Acpi, Self::Agent, Self::Initctl, Self::Signal, Self::Paravirt]
            .into_iter()
            .find(|m| m.word() == word)
    }
}

/// What a start does with memory that libvirt has saved of the machine (virsh managedsave).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SavedMemory {
    /// It starts nothing.
    #[default]
    Refuse,
    /// It restores it.
    Use,
    /// It deletes it.
    Drop,
}

impl SavedMemory {
    fn parse(word: &str) -> Option<Self> {
        let words = [("refuse", Self::Refuse), ("use", Self::Use), ("drop", Self::Drop)];
        words.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, value)| value)
    }
}

/// A parameter that cannot be used, in words: its name, its value and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The parameter's name, as the caller wrote it.
    pub param: String,
    /// What is wrong, with the value and what was expected.
    pub text: String,
    /// What it hinders.
    pub concerns: Concern,
    /// Whether it is used all the same, as the predecessor reads it: then it hinders nothing.
    pub used: bool,
}

impl Problem {
    /// Whether a start cannot do without this parameter.
    #[must_use]
    pub const fn hinders_start(&self) -> bool {
        !self.used && matches!(self.concerns, Identity | Start)
    }

    /// Whether a migration cannot do without this parameter.
    #[must_use]
    pub const fn hinders_migration(&self) -> bool {
        !self.used && matches!(self.concerns, Identity | Moving)
    }

    /// What becomes of it, for the log.
    #[must_use]
    pub const fn consequence(&self) -> &'static str {
        match (self.used, self.concerns) {
            (true, _) => "correct it",
            (false, Identity) => "start and migrate refuse it",
            (false, Start) => "start refuses it",
            (false, Moving) => "migrate refuses it",
            (false, Stop | Watch | Nothing) => "it is left out of account",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.param, self.text)
    }
}

/// All parameters with their values: total, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// The virtual machine's name, when given.
    pub name: Option<String>,
    /// The definition's file, when given.
    pub config: Option<PathBuf>,
    /// Folders to look for the definition in, as written.
    pub path: Option<OsString>,
    /// The connection URI or driver name, when one was asked for.
    pub hypervisor: Option<String>,
    /// Whether changes go through `virsh` rather than the worker.
    pub use_virsh: bool,
    /// Never destroy in stop.
    pub no_kill: bool,
    /// Destroy at once in stop.
    pub force_stop: bool,
    /// Ways to ask for a shutdown, in order; never empty after reading.
    pub shutdown_modes: Vec<ShutdownMode>,
    /// A bash command line that checks the guest at depth 10.
    pub status_program: Option<OsString>,
    /// Commands (words, no shell) that check the guest at depth 10.
    pub monitor_scripts: Option<OsString>,
    /// What a start does with saved memory.
    pub saved_memory: SavedMemory,
    /// Answer "degraded" when only the process could be seen.
    pub degraded_when_blind: bool,
    /// How and where to migrate.
    pub migration: Migration,
    /// What could not be used.
    pub problems: Vec<Problem>,
}

/// How and where to migrate: the parameters' values, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a parameter of its own")]
pub struct Migration {
    /// It keeps running while its memory moves.
    pub live: bool,
    /// Further options, in virsh's words.
    pub options: Option<String>,
    /// Through the connection between the daemons.
    pub tunnelled: bool,
    /// Hosts for nodes, as written.
    pub mapping: Option<String>,
    /// The target's connection URI, with `%s` or `%n` for its name (`migration_uri` or `remoteuri`).
    pub uri: Option<String>,
    /// Where the hypervisor sends the memory, with `%n` or `%s`.
    pub data_uri: Option<String>,
    /// The port that the memory is sent to.
    pub port: Option<u16>,
    /// ssh, tls, tcp, ...
    pub transport: Option<String>,
    /// The user at the target.
    pub user: Option<String>,
    /// Put behind the host part of the target's name.
    pub suffix: Option<String>,
    /// MiB/s; 0 is no limit.
    pub speed: u64,
    /// Milliseconds allowed at first; 0 is the hypervisor's default.
    pub downtime: u64,
    /// Milliseconds allowed at last.
    pub downtime_max: u64,
    /// The guest may be slowed down.
    pub auto_converge: bool,
    /// The target may run it before all memory is there.
    pub postcopy: bool,
    /// The guest may be paused until it is moved.
    pub allow_pause: bool,
    /// The daemons talk to each other.
    pub p2p: bool,
    /// The memory is encrypted.
    pub tls: bool,
    /// Connections in parallel; 0 is one plain connection.
    pub parallel: u64,
    /// A compression method.
    pub compression: Option<String>,
    /// `migrate_options` go to virsh word by word.
    pub by_virsh: bool,
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            live: true,
            options: None,
            tunnelled: false,
            mapping: None,
            uri: None,
            data_uri: None,
            port: None,
            transport: None,
            user: None,
            suffix: None,
            speed: 0,
            downtime: 0,
            downtime_max: 2000,
            auto_converge: true,
            postcopy: false,
            allow_pause: false,
            p2p: false,
            tls: false,
            parallel: 0,
            compression: None,
            by_virsh: false,
        }
    }
}

/// A value that is none of those that are expected.
enum Wrong {
    /// It cannot be used; expected what.
    Refused(&'static str),
    /// Expected what, and what the predecessor reads it as.
    ReadAs(&'static str, &'static str),
}

impl Migration {
    /// Takes a parameter's text, unless it is none that is expected.
    fn take(&mut self, name: &str, text: &str) -> Result<(), Wrong> {
        let number = |expected| text.trim().parse::<u64>().map_err(|_| Wrong::Refused(expected));
        let flag = || boolean(text).ok_or(Wrong::Refused("yes or no"));
        let some = || Some(text.to_owned());
        match name {
            "migrate" => {
                // vm.sh takes every other word for "not live".
                self.live = text.eq_ignore_ascii_case("live");
                if !self.live && !text.eq_ignore_ascii_case("pause") {
                    return Err(Wrong::ReadAs("live or pause", "pause"));
                }
            }
            "migrate_options" => self.options = some(),
            "tunnelled" => self.tunnelled = boolean(text).ok_or(Wrong::ReadAs("yes or no", "no"))?,
            "migration_mapping" => self.mapping = some(),
            "migration_uri" | "remoteuri" if text == "auto" => {}
            "migration_uri" | "remoteuri" => self.uri = some(),
            "migrateuri" => self.data_uri = some(),
            "migrateport" => {
                let port = text.trim().parse().ok().filter(|port| *port > 0);
                self.port = Some(port.ok_or(Wrong::Refused("a port from 1 to 65535"))?);
            }
            "migration_transport" => {
                let word = text.trim_start_matches('+');
                if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    return Err(Wrong::Refused("a transport as ssh, tls or tcp"));
                }
                self.transport = Some(word.to_ascii_lowercase());
            }
            "migration_user" => {
                let word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                if !text.chars().all(word) || text.starts_with('-') {
                    return Err(Wrong::Refused("a user's name"));
                }
                self.user = some();
            }
            "migration_network_suffix" => self.suffix = some(),
            "migration_speed" => self.speed = number("MiB/s, 0 for no limit")?,
            "migration_downtime" => self.downtime = number("milliseconds, 0 for the hypervisor's default")?,
            "migration_downtime_max" => self.downtime_max = number("milliseconds")?,
            "migration_auto_converge" => self.auto_converge = flag()?,
            "migration_postcopy" => self.postcopy = flag()?,
            "migration_allow_pause" => self.allow_pause = flag()?,
            "migration_p2p" => self.p2p = flag()?,
            "migration_tls" => self.tls = flag()?,
            "migration_parallel" => {
                self.parallel = number("a number of connections, up to 255")?;
                if self.parallel > 255 {
                    return Err(Wrong::Refused("a number of connections, up to 255"));
                }
            }
            "migration_compression" => {
                if !matches!(text, "xbzrle" | "zlib" | "zstd" | "mt") {
                    return Err(Wrong::Refused("xbzrle, zlib, zstd or mt"));
                }
                self.compression = some();
            }
            "migrate_backend" => match text {
                "libvirt" => self.by_virsh = false,
                "virsh" => self.by_virsh = true,
                _ => return Err(Wrong::Refused("libvirt or virsh")),
            },
            _ => {}
        }
        Ok(())
    }

    /// What fits together badly, as (parameter, what is wrong).
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut both = |name, bad: bool, text: &str| {
            if bad {
                wrong.push((name, text.to_owned()));
            }
        };
        both("migration_parallel", self.parallel > 0 && self.tunnelled, "cannot go with tunnelled; unset one of them");
        let xbzrle = matches!(self.compression.as_deref(), Some("xbzrle" | "mt"));
        let zlib = matches!(self.compression.as_deref(), Some("zlib" | "zstd"));
        both("migration_compression", xbzrle && self.parallel > 0, "xbzrle and mt cannot go with migration_parallel");
        both("migration_compression", zlib && self.parallel == 0, "zlib and zstd need migration_parallel");
        both("migration_tls", self.tls && self.tunnelled, "cannot go with tunnelled; unset one of them");
        both(
            "migration_postcopy",
            self.postcopy && (self.tunnelled || !self.live),
            "needs migrate=live, not tunnelled",
        );
        if let Err(text) = mapping::mapping(self.mapping.as_deref().unwrap_or_default()) {
            wrong.push(("migration_mapping", text));
        }
        if !self.by_virsh
            && let Err(text) = crate::model::options::parse(self.options.as_deref().unwrap_or_default())
        {
            wrong.push(("migrate_options", text));
        }
        wrong
    }
}

/// The longest value that is read (a longer one is a problem, not a memory).
pub const LONGEST: usize = 64 * 1024;

impl Params {
    /// Reads the parameters from (name, value) pairs; of two values for one parameter, its own name wins over an alias.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a OsStr)>) -> Self {
        let mut params = Self::default();
        let mut own_name: Vec<&'static str> = Vec::new();
        for (name, value) in pairs {
            let Some(row) = find(name) else { continue };
            if value.is_empty() || (row.name.as_bytes() != name && own_name.contains(&row.name)) {
                continue;
            }
            if row.name.as_bytes() == name {
                own_name.push(row.name);
            }
            params.take(row, name, value);
        }
        for (param, text) in params.migration.contradictions() {
            params.problems.push(Problem { param: param.into(), text, concerns: Moving, used: false });
        }
        if let Some(text) = mapping::without_host(params.migration.mapping.as_deref().unwrap_or_default()) {
            params.problems.push(Problem { param: "migration_mapping".into(), text, concerns: Moving, used: true });
        }
        if params.shutdown_modes.is_empty() {
            params.shutdown_modes.push(ShutdownMode::Default);
        }
        params
    }

    fn take(&mut self, row: &Param, written: &[u8], value: &OsStr) {
        let name = String::from_utf8_lossy(written).into_owned();
        let mut wrong = |text: String, used: bool| {
            self.problems.push(Problem { param: name.clone(), text, concerns: row.concerns, used });
        };
        let mut problem = |text: String| wrong(text, false);
        if value.len() > LONGEST {
            return problem(format!("the value is {} bytes long, at most {LONGEST} were expected", value.len()));
        }
        match row.used {
            Use::Manager => return,
            Use::Unsupported => {
                if !means_off(value) {
                    problem(format!("set to '{}', but this agent does not support it yet; unset it", shown(value)));
                }
                return;
            }
            Use::Agent => {}
        }
        match row.name {
            "config" if Path::new(value).is_absolute() => return self.config = Some(PathBuf::from(value)),
            "config" => return problem(format!("'{}' is not a full path; expected /folder/file", shown(value))),
            "path" => return self.path = Some(value.to_owned()),
            "status_program" => return self.status_program = Some(value.to_owned()),
            "monitor_scripts" => return self.monitor_scripts = Some(value.to_owned()),
            _ => {}
        }
        let Some(text) = value.to_str() else {
            return problem(format!("the value '{}' is not UTF-8 text", shown(value)));
        };
        match row.name {
            "name" => match domain_name(text) {
                Ok(()) => self.name = Some(text.to_owned()),
                Err(why) => problem(format!("'{}' {why}", shown(value))),
            },
            "hypervisor_uri" | "hypervisor" => {
                let text = driver_or_uri(text);
                if let Err(why) = hypervisor(&text) {
                    return problem(format!("'{}' {why}", shown(value)));
                }
                if text != "auto" && (row.name == "hypervisor_uri" || self.hypervisor.is_none()) {
                    self.hypervisor = Some(text.into_owned());
                }
            }
            "saved_memory" => match SavedMemory::parse(text) {
                Some(value) => self.saved_memory = value,
                None => problem(format!("'{}' cannot be used; expected refuse, use or drop", shown(value))),
            },
            "shutdown_mode" => {
                let words = text.split([',', ' ']).filter(|w| !w.is_empty());
                match words.map(|w| ShutdownMode::parse(w).ok_or(w)).collect::<Result<Vec<_>, _>>() {
                    Ok(modes) => self.shutdown_modes = modes,
                    Err(word) => problem(format!(
                        "'{}' is not a way to shut down; expected default, acpi, agent, initctl, signal or paravirt",
                        shown(OsStr::new(word))
                    )),
                }
            }
            name if name.starts_with("migrat") || matches!(name, "tunnelled" | "remoteuri") => {
                match self.migration.take(name, text) {
                    Ok(()) => {}
                    Err(Wrong::Refused(expected)) => {
                        problem(format!("'{}' cannot be used; expected {expected}", shown(value)));
                    }
                    Err(Wrong::ReadAs(expected, read)) => {
                        wrong(format!("'{}' is read as {read}; expected {expected}", shown(value)), true);
                    }
                }
            }
            _ => {
                let flag = match row.name {
                    "use_virsh" => &mut self.use_virsh,
                    "no_kill" => &mut self.no_kill,
                    "force_stop" => &mut self.force_stop,
                    "degraded_when_blind" => &mut self.degraded_when_blind,
                    _ => return,
                };
                match boolean(text) {
                    Some(value) => *flag = value,
                    None => problem(format!("'{}' is not a boolean; expected yes or no", shown(value))),
                }
            }
        }
    }
}

/// A driver's name in any case, or a URI as it is.
fn driver_or_uri(text: &str) -> Cow<'_, str> {
    let name = text.bytes().all(|b| b.is_ascii_alphanumeric());
    if name { text.to_ascii_lowercase().into() } else { text.into() }
}

/// A boolean as OCF and rgmanager write it, or `None`.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(&["1", "yes", "true", "on", "y"]) {
        Some(true)
    } else if is(&["0", "no", "false", "off", "n"]) {
        Some(false)
    } else {
        None
    }
}

/// The drivers that libvirt has or had (its documentation, "Hypervisor drivers"); a URI of another one was never opened.
const DRIVERS: [&str; 17] = [
    "qemu",
    "xen",
    "lxc",
    "test",
    "vbox",
    "vz",
    "parallels",
    "openvz",
    "bhyve",
    "ch",
    "esx",
    "vpx",
    "gsx",
    "hyperv",
    "vmwareplayer",
    "vmwarews",
    "vmwarefusion",
];

/// Whether a value can name a hypervisor: a driver's word, or a URI that libvirt has a driver for.
fn hypervisor(text: &str) -> Result<(), String> {
    if matches!(text, "auto" | "qemu" | "kvm" | "xen" | "lxc") {
        return Ok(());
    }
    let expected = "expected qemu, kvm, xen, lxc or a URI as qemu:///system";
    let uri = Uri::parse(text).map_err(|error| format!("cannot be used: {error}; {expected}"))?;
    if !DRIVERS.contains(&uri.driver.as_str()) {
        return Err(format!("cannot be used: libvirt has no driver '{}'; {expected}", shown(OsStr::new(&uri.driver))));
    }
    if uri.driver == "qemu" && !matches!(uri.path.as_str(), "/system" | "/session" | "/embed") {
        return Err("cannot be used: a URI of qemu ends in /system or /session".into());
    }
    Ok(())
}

/// Whether a domain may have this name (libvirt's own rule, less what cannot be a file name).
fn domain_name(name: &str) -> Result<(), &'static str> {
    if name.trim().is_empty() {
        Err("is blank; expected the virtual machine's name")
    } else if name.contains('/') || name == "." || name == ".." {
        Err("is not a virtual machine's name: it may not contain '/'")
    } else if name.chars().any(char::is_control) {
        Err("is not a virtual machine's name: it contains a control character")
    } else {
        Ok(())
    }
}

/// A predecessor's default or a plain "off" asks for nothing, so nothing is missing.
fn means_off(value: &OsStr) -> bool {
    value.to_str().and_then(boolean) == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Params {
        Params::read(pairs.iter().map(|(n, v)| (n.as_bytes(), OsStr::new(*v))))
    }

    #[test]
    fn both_predecessors_spellings_are_read() {
        assert_eq!(read(&[("xmlfile", "/a.xml")]).config, read(&[("config", "/a.xml")]).config);
    }

    #[test]
    fn an_empty_value_is_unset() {
        assert_eq!(read(&[("use_virsh", ""), ("snapshot", ""), ("name", "")]), read(&[]));
    }

    #[test]
    fn hypervisor_uri_wins_over_hypervisor_in_any_order() {
        for pairs in [
            [("hypervisor", "xen"), ("hypervisor_uri", "qemu:///system")],
            [("hypervisor_uri", "qemu:///system"), ("hypervisor", "xen")],
        ] {
            assert_eq!(read(&pairs).hypervisor.as_deref(), Some("qemu:///system"));
        }
    }

    #[test]
    fn a_bad_value_names_parameter_value_and_expectation() {
        let params = read(&[("no_kill", "perhaps")]);
        assert_eq!(params.problems[0].to_string(), "no_kill: 'perhaps' is not a boolean; expected yes or no");
        assert!(!params.no_kill);
    }

    #[test]
    fn an_unsupported_parameter_is_a_problem_only_when_it_asks_for_something() {
        assert!(
            read(&[("snapshot", "no"), ("migrate", "live"), ("autoset_utilization_cpu", "false")]).problems.is_empty()
        );
        assert_eq!(read(&[("snapshot", "/s")]).problems.len(), 1);
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        for name in ["../b", "a/b", "..", " "] {
            assert_eq!(read(&[("name", name)]).name, None, "{name}");
        }
    }
}
