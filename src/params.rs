// SPDX-License-Identifier: GPL-2.0-or-later
//! The one table of parameters, and the typed values read from it. Pure: it sees names and values, never the host.
//!
//! Reading never fails as a whole: a value that cannot be read becomes a `Problem` beside the other values, because a
//! `stop` or a `monitor` must work with a bad parameter, while `start` and `validate-all` refuse it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

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
    /// The name by which rgmanager's meta-data publishes it.
    pub rgmanager: Option<&'static str>,
    /// Whether the OCF meta-data publishes it.
    pub ocf: bool,
    /// Whether a change needs no restart of the virtual machine.
    pub reloadable: bool,
}

const fn row(name: &'static str, kind: Kind, default: Option<&'static str>) -> Param {
    Param { name, aliases: &[], kind, default, used: Use::Agent, rgmanager: None, ocf: true, reloadable: true }
}

const fn manager(name: &'static str, kind: Kind, default: Option<&'static str>) -> Param {
    Param { used: Use::Manager, rgmanager: Some(name), ocf: false, ..row(name, kind, default) }
}

const fn unsupported(name: &'static str) -> Param {
    Param { used: Use::Unsupported, ocf: false, ..row(name, Kind::Text, None) }
}

/// Every parameter of this agent and of both predecessors.
pub static TABLE: &[Param] = &[
    Param { rgmanager: Some("name"), reloadable: false, ..row("name", Kind::Text, None) },
    Param { aliases: &["xmlfile"], rgmanager: Some("xmlfile"), reloadable: false, ..row("config", Kind::Text, None) },
    Param { rgmanager: Some("path"), reloadable: false, ..row("path", Kind::Text, None) },
    Param { rgmanager: Some("hypervisor"), reloadable: false, ..row("hypervisor", Kind::Text, Some("auto")) },
    Param { rgmanager: Some("hypervisor_uri"), reloadable: false, ..row("hypervisor_uri", Kind::Text, Some("auto")) },
    Param { rgmanager: Some("use_virsh"), ..row("use_virsh", Kind::Boolean, None) },
    Param { rgmanager: Some("no_kill"), ..row("no_kill", Kind::Boolean, Some("false")) },
    row("force_stop", Kind::Boolean, Some("false")),
    row("shutdown_mode", Kind::Text, None),
    Param { rgmanager: Some("status_program"), ..row("status_program", Kind::Text, None) },
    row("monitor_scripts", Kind::Text, None),
    row("degraded_when_blind", Kind::Boolean, Some("false")),
    // What only rgmanager reads.
    manager("domain", Kind::Text, None),
    manager("autostart", Kind::Boolean, Some("1")),
    manager("exclusive", Kind::Boolean, Some("0")),
    manager("recovery", Kind::Text, None),
    manager("depend", Kind::Text, None),
    manager("depend_mode", Kind::Text, Some("hard")),
    manager("max_restarts", Kind::Text, Some("0")),
    manager("restart_expire_time", Kind::Text, Some("0")),
    // Migration: vm.sh's interface is published whole, since a difference in it would change what rgmanager does.
    Param { rgmanager: Some("migrate"), ..unsupported("migrate") },
    Param { rgmanager: Some("migrate_options"), ..unsupported("migrate_options") },
    Param { rgmanager: Some("tunnelled"), ..unsupported("tunnelled") },
    Param { rgmanager: Some("migration_mapping"), ..unsupported("migration_mapping") },
    Param { rgmanager: Some("migration_uri"), ..unsupported("migration_uri") },
    unsupported("migration_transport"),
    unsupported("migration_user"),
    unsupported("migration_downtime"),
    unsupported("migration_speed"),
    unsupported("migration_network_suffix"),
    unsupported("migrateuri"),
    unsupported("migrateport"),
    unsupported("remoteuri"),
    // Saved states, overlays, configuration sync, utilization.
    Param { rgmanager: Some("snapshot"), ..unsupported("snapshot") },
    unsupported("save_config_on_stop"),
    unsupported("sync_config_on_stop"),
    unsupported("backingfile"),
    unsupported("stateless"),
    unsupported("copyindirs"),
    unsupported("start_resources"),
    unsupported("autoset_utilization_cpu"),
    unsupported("autoset_utilization_host_memory"),
    unsupported("autoset_utilization_hv_memory"),
    unsupported("unset_utilization_cpu"),
    unsupported("unset_utilization_host_memory"),
    unsupported("unset_utilization_hv_memory"),
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

/// A parameter that cannot be used, in words: its name, its value and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The parameter's name, as the caller wrote it.
    pub param: String,
    /// What is wrong, with the value and what was expected.
    pub text: String,
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
    /// Answer "degraded" when only the process could be seen.
    pub degraded_when_blind: bool,
    /// What could not be used.
    pub problems: Vec<Problem>,
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
        if params.shutdown_modes.is_empty() {
            params.shutdown_modes.push(ShutdownMode::Default);
        }
        params
    }

    fn take(&mut self, row: &Param, written: &[u8], value: &OsStr) {
        let name = String::from_utf8_lossy(written).into_owned();
        let mut problem = |text: String| self.problems.push(Problem { param: name.clone(), text });
        if value.len() > LONGEST {
            return problem(format!("the value is {} bytes long, at most {LONGEST} were expected", value.len()));
        }
        match row.used {
            Use::Manager => return,
            Use::Unsupported => {
                if !means_off(row.name, value) {
                    problem(format!("set to '{}', but this agent does not support it yet; unset it", shown(value)));
                }
                return;
            }
            Use::Agent => {}
        }
        match row.name {
            "config" => return self.config = Some(PathBuf::from(value)),
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
            "hypervisor_uri" if text != "auto" => self.hypervisor = Some(text.to_owned()),
            "hypervisor" if text != "auto" && self.hypervisor.is_none() => self.hypervisor = Some(text.to_owned()),
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
fn means_off(name: &str, value: &OsStr) -> bool {
    let Some(text) = value.to_str() else { return false };
    match name {
        "migrate" | "migration_uri" | "migrate_options" => matches!(text, "live" | "auto"),
        "migration_downtime" | "migration_speed" => text == "0",
        _ => boolean(text) == Some(false),
    }
}

/// A value for a message: printable, and not longer than fits.
#[must_use]
pub fn shown(value: &OsStr) -> String {
    crate::ocf::ascii_line(&value.to_string_lossy().chars().take(200).collect::<String>(), 40)
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
