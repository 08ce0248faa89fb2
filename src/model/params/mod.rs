// SPDX-License-Identifier: GPL-2.0-or-later
//! The one table of parameters, and the typed values read from it. Pure: it sees names and values, never the host.
//!
//! A text is read here, once; what follows works with its value. Reading never fails as a whole: a value that cannot be
//! read becomes a `Problem` beside the other values. A `stop` or a `monitor` works with any; `start` and `migrate` refuse
//! only what they use, and `validate-all` refuses all.
//!
//! A new parameter is a field and its row (`machine.rs`, `memory.rs`, `watching.rs`, `health.rs`, `moving.rs`), whose setter fills the field; both meta-data,
//! README's table and the manual page's list are made from the rows.

pub mod definition_command;
mod differences;
mod health;
pub mod hypervisor;
mod machine;
pub mod mapping;
mod memory;
mod migration;
mod moving;
pub mod options;
pub mod path;
mod predecessors;
pub mod scripts;
mod table;
mod utilization;
mod values;
mod watching;
mod xen;

use crate::model::change::ShutdownMode;
pub use definition_command::DefinitionCommand;
pub use differences::DIFFERENCES;
pub use migration::Migration;
pub use path::PathSpec;
pub use scripts::Script;
pub use table::{Concern, LONGEST, Param, Use, ValueKind, VmSh, boolean};
pub use utilization::Utilization;
pub(crate) use utilization::UtilizationOf;
pub use values::{Guard, OnGuestPoweroff, OnIoError, OnPause, SavedMemory, StartedWhen};

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use Concern::{Identity, Migration as Moving, Nothing, Start, Stop, Watch};
use table::Wrong;

/// Every parameter of this agent and of both predecessors, in the order in which they are read and published.
pub fn table() -> impl Iterator<Item = &'static Param> {
    [
        machine::ROWS,
        memory::ROWS,
        watching::ROWS,
        utilization::ROWS,
        health::ROWS,
        moving::ROWS,
        xen::ROWS,
        predecessors::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The row whose name or alias is `name`.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Param> {
    table().find(|row| row.is_called(name))
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

/// All parameters with their values. `Params::read` fills the defaults in; by `Default` nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// The virtual machine's name, when given.
    pub name: Option<String>,
    /// The definition's file, when given.
    pub config: Option<PathBuf>,
    /// A command that prints the definition, when given.
    pub definition_command: Option<DefinitionCommand>,
    /// Folders to look for the definition in.
    pub path: Option<PathSpec>,
    /// The connection URI, when one was asked for.
    pub hypervisor: Option<String>,
    /// Whether that was given as a URI, which names libvirt, and not as a driver's word.
    pub hypervisor_is_uri: bool,
    /// Whether changes go through `virsh` rather than the worker.
    pub use_virsh: bool,
    /// Never destroy in stop.
    pub no_kill: bool,
    /// Destroy at once in stop.
    pub force_stop: bool,
    /// Ways to ask for a shutdown, in order; never empty after reading.
    pub shutdown_modes: Vec<ShutdownMode>,
    /// Seconds that a stop gives the guest, at most.
    pub shutdown_timeout: Option<u64>,
    /// A bash command line that checks the guest at depth 10.
    pub status_program: Option<OsString>,
    /// Programs that check the guest at depth 10, or what is wrong with them.
    pub monitor_scripts: Option<Result<Vec<Script>, String>>,
    /// A start or migration brings up the networks and pools that the definition names.
    pub start_resources: bool,
    /// A stop or migration saves what was changed in the running machine into its file.
    pub save_config: bool,
    /// It does, and csync2 copies that file.
    pub sync_config: bool,
    /// What a start does with saved memory.
    pub saved_memory: SavedMemory,
    /// The folder for its memory, which a stop saves and a start restores.
    pub snapshot: Option<String>,
    /// By how many channels a stop writes it, and a start reads it, as a sparse image; 0: as libvirt does by itself.
    pub snapshot_channels: u64,
    /// Whether a start fails where memory there cannot be restored.
    pub snapshot_required: bool,
    /// Whether a start asks who else may have the machine.
    pub guard: Guard,
    /// The nodes that it asks, in place of the cluster's members.
    pub guard_nodes: Vec<String>,
    /// Whether recurring monitors ask them too, whatever their depth.
    pub guard_monitor: bool,
    /// Answer "degraded" when only the process could be seen.
    pub degraded_when_blind: bool,
    /// Seconds that a healthy recurring monitor of Pacemaker stays, to tell of a change when it comes.
    pub monitor_wait: u64,
    /// Whether each action leaves a file with all that is logged.
    pub trace: bool,
    /// The folder of these files, where one was given.
    pub trace_dir: Option<PathBuf>,
    /// What a monitor makes of a machine that a failed disk has paused.
    pub on_io_error: OnIoError,
    /// What it makes of one that its own guest has powered off.
    pub on_guest_poweroff: OnGuestPoweroff,
    /// What it makes of one that somebody has paused.
    pub on_pause: OnPause,
    /// Seconds that a recurring monitor looks for a machine that is gone, before it says so.
    pub reboot_grace: u64,
    /// Whether monitors of depth 10 ask the guest's agent.
    pub monitor_agent: bool,
    /// How often in a row it may be silent before the machine counts as failed; 0: never.
    pub monitor_agent_failures: u64,
    /// When a start is done, where that was said.
    pub started_when: Option<StartedWhen>,
    /// Which utilization attributes of the resource are kept.
    pub utilization: Utilization,
    /// How and where to migrate.
    pub migration: Migration,
    /// What could not be used.
    pub problems: Vec<Problem>,
}

impl Params {
    /// What tells which machine is meant where its name is not given: the definition's file, or the command that prints it.
    #[must_use]
    pub fn definition_is_from(&self) -> Option<&Path> {
        let command = self.definition_command.as_ref().map(|command| command.text.as_path());
        self.config.as_deref().or(command)
    }

    /// Whether what was changed in the running machine is to be saved.
    #[must_use]
    pub const fn saves_config(&self) -> bool {
        self.save_config || self.sync_config
    }

    /// Whether they ask for libvirt, also where a machine's definition is xl's.
    #[must_use]
    pub const fn ask_for_libvirt(&self) -> bool {
        self.use_virsh || self.hypervisor_is_uri
    }
}

/// A value as it was given: its place among all, its name, its text.
type Given<'a> = (usize, &'a [u8], &'a OsStr);

impl Params {
    /// Reads the parameters from (name, value) pairs, in the order of the table. Of several values for one parameter the
    /// last counts, and its own name wins over an alias. Problems come in the order in which the values were given.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a OsStr)>) -> Self {
        let mut given: BTreeMap<&str, Given<'a>> = BTreeMap::new();
        for (place, (name, value)) in pairs.into_iter().enumerate() {
            let Some(row) = find(name).filter(|_| !value.is_empty()) else { continue };
            let own = row.name.as_bytes();
            if name == own || given.get(row.name).is_none_or(|(_, earlier, _)| *earlier != own) {
                given.insert(row.name, (place, name, value));
            }
        }
        let mut params = Self::default();
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        for row in table() {
            if let Some(default) = row.default {
                // A test holds that it can be used.
                let _ = row.set(&mut params, OsStr::new(default));
            }
            if let Some((place, name, value)) = given.get(row.name)
                && let Err(wrong) = row.set(&mut params, value)
            {
                let (text, used) = match wrong {
                    Wrong::Refused(text) => (text, false),
                    Wrong::Used(text) => (text, true),
                };
                let param = String::from_utf8_lossy(name).into_owned();
                problems.push((*place, Problem { param, text, concerns: row.concerns, used }));
            }
        }
        problems.sort_by_key(|(place, _)| *place);
        params.problems.extend(problems.into_iter().map(|(_, problem)| problem));
        for (param, text) in params.migration.contradictions() {
            params.problems.push(Problem { param: param.into(), text, concerns: Moving, used: false });
        }
        params
    }
}

#[cfg(test)]
mod tests;
