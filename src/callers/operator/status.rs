// SPDX-License-Identifier: GPL-2.0-or-later
//! status by hand: one screen of facts about one virtual machine, or the same facts as JSON.

use super::json;
use super::managed;
use super::members::{self, MemberSaid};
use crate::cluster::Cluster;
use crate::engine::imagine::{Imagined, play};
use crate::host::aside;
use crate::host::disks;
use crate::host::locate::{DefinitionAt, Found};
use crate::host::look::{Depth, Looker};
use crate::model::budget::Share;
use crate::model::call::{Action, Caller, Environment, Invocation};
use crate::model::definition::{self, DefinedDomain, Mark, TpmState};
use crate::model::facts::{Definition, Facts, Libvirt, Process, RunId, Tools};
use crate::model::outcome::Code;
use crate::policy::health;
use crate::sys::roots::Roots;
use crate::sys::text::{sha256_hex, shell_word, uuid_text};
use crate::sys::time::{Deadline, utc};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The version of its table in docs/JSON.md.
const VERSION: u32 = 1;

/// Everything that a person wants to know, each `None` where nobody could tell.
#[derive(Serialize)]
pub(super) struct Report {
    version: u32,
    /// The exit code of `status`.
    #[serde(skip)]
    pub code: Code,
    name: Option<String>,
    /// `running`, `not running` or `unknown`.
    presence: &'static str,
    /// The state in words; why it is unknown.
    state: String,
    uuid: Option<String>,
    /// When this agent started it, on whatever host; nothing where it did not.
    since: Option<String>,
    uri: String,
    pid: Option<u32>,
    /// Xen's number of the domain, where that was seen.
    xen_domain: Option<u32>,
    /// When that process began: after a migration, when it began to arrive here.
    process_since: Option<String>,
    persistent: Option<bool>,
    autostart: Option<bool>,
    vcpus: Option<u32>,
    memory_kib: Option<u64>,
    disks: Vec<DiskShown>,
    definition: DefinitionFacts,
    cluster: Vec<Told>,
    /// The resource that it is in the cluster that runs here.
    managed_by: Option<ManagedBy>,
    /// What the other members of that cluster say.
    members: Vec<MemberSaid>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ManagedBy {
    cluster: &'static str,
    resource: String,
    /// Not in maintenance.
    managed: bool,
}

#[derive(Serialize)]
struct DiskShown {
    target: String,
    source: Option<String>,
    device: String,
}

#[derive(Serialize, Default)]
struct DefinitionFacts {
    /// The file that a start would use now.
    file: Option<String>,
    /// The file that the running domain was created from.
    created_from: Option<String>,
    started: Option<String>,
    started_on: Option<String>,
    resource: Option<String>,
    /// Whether the file is still what the running domain was created from.
    unchanged: Option<bool>,
    /// What is wrong with the file.
    problem: Option<String>,
}

/// What a cluster manager would be told.
#[derive(Serialize)]
struct Told {
    caller: &'static str,
    action: &'static str,
    code: u8,
    reason: String,
}

/// Looks, and changes nothing.
#[must_use]
pub(super) fn look(inv: &Invocation, env: &Environment) -> Report {
    let deadline = inv.budget().deadline();
    let mut looker = Looker::new(inv, env, Roots::default());
    let depth = Depth { process: true, thorough: false, hardware: true };
    let seen = looker.look(inv, depth, inv.budget().share(Share::StatusLook, deadline.left()), deadline);
    let of_libvirt = told_of_domain(&mut looker, &seen, deadline);
    let facts = of_libvirt.xml.and_then(|text| definition::parse(text.as_bytes()).ok());
    let (persistent, autostart) = (of_libvirt.persistent, of_libvirt.autostart);
    looker.read_definition(inv);
    // xl does not tell a domain's definition in words that are read here; its file says what it was made from.
    let facts = facts.or_else(|| match looker.definition() {
        Definition::File(defined) if seen.here.tools == Tools::Xl => defined.facts(),
        Definition::File(_)
        | Definition::NotLooked
        | Definition::Unchanged { .. }
        | Definition::None { .. }
        | Definition::Bad(_) => None,
    });
    let active = matches!(&seen.here.libvirt, Libvirt::Domain(domain) if domain.state.active());
    let mark = facts.as_ref().filter(|_| active).and_then(|facts| facts.mark.as_ref());
    let definition = definition(looker.definition(), mark, inv.budget().until(Share::StartedFrom, deadline));
    let (presence, state, code) = state(inv, &seen);
    let run = seen.here.process.run();
    let process = run.and_then(RunId::process);
    let mut report = Report {
        version: VERSION,
        code,
        name: match &seen.here.libvirt {
            Libvirt::Domain(domain) => Some(domain.name.clone()),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
                seen.here.name.clone()
            }
        },
        presence,
        state,
        uuid: match &seen.here.libvirt {
            Libvirt::Domain(domain) => Some(uuid_text(&domain.uuid)),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => None,
        },
        since: definition.started.clone(),
        uri: looker.uri.clone(),
        pid: process.map(|(pid, _)| pid),
        xen_domain: match run {
            Some(RunId::XenDomain(id)) => Some(id),
            Some(RunId::Process { .. }) | None => None,
        },
        process_since: process.and_then(|(_, start)| since(start)),
        persistent,
        autostart,
        vcpus: facts.as_ref().and_then(|f| f.vcpus_current),
        memory_kib: facts.as_ref().and_then(|f| f.memory_current_kib),
        disks: facts.as_ref().map(disks).unwrap_or_default(),
        definition,
        cluster: told(inv, &seen),
        managed_by: None,
        members: Vec::new(),
        warnings: Vec::new(),
    };
    if of_libvirt.saved == Some(true) {
        report
            .warnings
            .push("libvirt has saved its memory: the parameter saved_memory says what a start does with it".into());
    }
    if let (Some(facts), Some(mark)) = (&facts, mark) {
        report.warnings.extend(disks::told(&facts.name, &definition::switched(&facts.disks, mark)));
    }
    // A transient machine that somebody else has started.
    let forgets = facts.as_ref().is_some_and(|facts| matches!(facts.vtpm, Some(TpmState::Unsaid | TpmState::Deleted)));
    if active && persistent == Some(false) && forgets {
        report.warnings.push(
            "its stop deletes the state of its emulated TPM (no persistent_state='yes'): save that folder first".into(),
        );
    }
    report.warn();
    report.ask_cluster(inv, env, &seen, deadline);
    report
}

/// What libvirt tells of a domain beside its state.
#[derive(Default)]
struct ToldOfDomain {
    xml: Option<definition::DefinitionText>,
    persistent: Option<bool>,
    autostart: Option<bool>,
    saved: Option<bool>,
}

/// Asks for it: libvirt itself, or by the worker where that is how it is reached (an ordinary user's own libvirt).
fn told_of_domain(looker: &mut Looker, seen: &Facts, deadline: Deadline) -> ToldOfDomain {
    if looker.last().is_some() {
        return ToldOfDomain {
            xml: looker.ask_last(deadline, |connection, domain| connection.xml(domain, 0)).map(Into::into),
            persistent: looker.ask_last(deadline, |connection, domain| connection.is_persistent(domain)),
            autostart: looker.ask_last(deadline, |connection, domain| connection.autostart(domain)),
            saved: looker.ask_last(deadline, |connection, domain| connection.has_managed_save(domain)),
        };
    }
    if seen.here.tools == Tools::Xl || !matches!(seen.here.libvirt, Libvirt::Domain(_)) {
        return ToldOfDomain::default();
    }
    looker.by_worker(&seen.here.who(), deadline).map_or_else(ToldOfDomain::default, |(xml, facts)| {
        let (persistent, autostart, saved) = (facts.persistent, facts.autostart, facts.saved);
        ToldOfDomain { xml, persistent, autostart, saved }
    })
}

fn state(inv: &Invocation, seen: &Facts) -> (&'static str, String, Code) {
    let (_, outcome) = play(inv, seen, &Imagined::default());
    let code = outcome.as_ref().map_or(Code::Generic, |outcome| outcome.code);
    let reason = outcome.map(|outcome| outcome.reason).unwrap_or_default();
    match &seen.here.libvirt {
        Libvirt::Domain(domain) if domain.state.active() => {
            let health = health::health(domain.state, domain.motion);
            if matches!(seen.here.process, Process::Alive { run: RunId::XenDomain(_), ending: true, .. }) {
                return ("running", reason, Code::Generic);
            }
            if code == Code::Generic && health != health::Health::Failed {
                return ("unknown", reason, code);
            }
            // A failed machine runs, in the sense that it must not be started elsewhere.
            let code = match health {
                health::Health::Failed => Code::Generic,
                health::Health::Well
                | health::Health::Degraded
                | health::Health::Arriving
                | health::Health::Elsewhere
                | health::Health::Off => code,
            };
            ("running", domain.state.to_string(), code)
        }
        Libvirt::Domain(domain) if code == Code::NotRunning => ("not running", domain.state.to_string(), code),
        Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
            match code {
                Code::NotRunning => ("not running", reason, code),
                Code::Ok | Code::Degraded => ("running", reason, code),
                Code::Generic
                | Code::Args
                | Code::Unimplemented
                | Code::Perm
                | Code::Installed
                | Code::Configured
                | Code::StayedHere => ("unknown", reason, code),
            }
        }
    }
}

fn definition(now: &Definition, mark: Option<&Mark>, deadline: Deadline) -> DefinitionFacts {
    let mut facts = DefinitionFacts::default();
    match now {
        Definition::File(defined) => {
            facts.file = Some(defined.path.display().to_string());
            facts.unchanged = mark.filter(|mark| !mark.sha256.is_empty()).map(|mark| mark.sha256 == defined.sha256());
        }
        Definition::Bad(outcome) => facts.problem = Some(outcome.reason.clone()),
        Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } => {}
    }
    if let Some(mark) = mark {
        let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
        facts.started = text(&mark.started);
        // Without it another program has started the domain, from a text that nobody knows.
        if facts.started.is_some() {
            facts.created_from = text(&mark.source);
            facts.started_on = text(&mark.node);
        }
        facts.resource = text(&mark.instance);
        // Without parameters the file that it came from is the one to compare with.
        if facts.file.is_none() && facts.problem.is_none() && !mark.source.is_empty() && !mark.sha256.is_empty() {
            facts.unchanged = is_as_started(mark, deadline);
        }
    }
    facts
}

/// Whether the file that a machine was started from is what it was then, if it can be read.
pub(super) fn is_as_started(mark: &Mark, deadline: Deadline) -> Option<bool> {
    // A command is not run without being asked to.
    let file = Some(Path::new(&mark.source)).filter(|path| path.is_absolute())?;
    match aside::definition(&DefinitionAt::File(file), deadline) {
        Ok(Found::File { text, .. }) => Some(sha256_hex(&text) == mark.sha256),
        Ok(Found::NotFound { .. }) | Err(_) => None,
    }
}

fn disks(facts: &DefinedDomain) -> Vec<DiskShown> {
    let one = |disk: &definition::Disk| DiskShown {
        target: disk.target.clone().unwrap_or_default(),
        source: disk.source.clone(),
        device: format!("{:?}", disk.device).to_lowercase(),
    };
    facts.disks.iter().map(one).collect()
}

/// When a process began that started so many ticks after the boot. Linux counts these ticks at 100 a second for programs.
fn since(start_ticks: u64) -> Option<String> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let started = Duration::from_millis(start_ticks * 10);
    let ago = Duration::from_secs_f64(uptime).saturating_sub(started);
    Some(utc(SystemTime::now().checked_sub(ago)?))
}

/// What the recurring monitors of both managers would answer to the same facts.
fn told(inv: &Invocation, seen: &Facts) -> Vec<Told> {
    [(Caller::Pacemaker, Action::Monitor), (Caller::Rgmanager, Action::Status)]
        .into_iter()
        .filter_map(|(caller, action)| {
            let asked = Invocation { caller, action, recurring: true, check_level: 0, ..inv.clone() };
            let outcome = play(&asked, seen, &Imagined::default()).1?;
            Some(Told {
                caller: caller.word(),
                action: action.word(),
                code: outcome.code.number(),
                reason: outcome.reason,
            })
        })
        .collect()
}

impl Report {
    /// What the cluster that runs here, and its other members, have to say.
    fn ask_cluster(&mut self, inv: &Invocation, env: &Environment, seen: &Facts, deadline: Deadline) {
        let until = inv.budget().until(Share::Members, deadline);
        let (kind, resource) = match managed::ask(inv, env, until) {
            Cluster::None => return,
            Cluster::Unknown(why) => {
                return self
                    .warnings
                    .push(format!("cannot tell whether a cluster manages it, or where else it runs: {why}"));
            }
            Cluster::Runs(kind, resource) => (kind, resource),
        };
        let inv = members::as_configured(inv, env, resource.as_ref());
        let known = seen.here.libvirt.uuid();
        let mut looker = Looker::new(&inv, env, Roots::default());
        match members::ask(&inv, &mut looker, known, kind, resource.as_ref(), until) {
            Ok(members) => self.members = members,
            Err(why) => self.warnings.push(format!("cannot tell whether it runs on another node: {why}")),
        }
        let elsewhere = self.members.iter().find(|member| member.runs == Some(true));
        if let Some(member) = elsewhere.filter(|_| self.presence == "running") {
            self.warnings.push(format!("it runs on {} too: two copies damage its disks", member.node));
        }
        self.managed_by = resource.map(|resource| ManagedBy {
            cluster: kind.word(),
            resource: resource.name,
            managed: resource.managed,
        });
    }

    fn warn(&mut self) {
        if self.autostart == Some(true) {
            let name = shell_word(self.name.as_deref().unwrap_or_default());
            self.warnings
                .push(format!("libvirt starts it by itself, beside any cluster: run virsh autostart --disable {name}"));
        }
        if self.definition.unchanged == Some(false) {
            self.warnings
                .push("its definition was changed since it was started; a restart takes the change over".into());
        }
        if let Some(problem) = &self.definition.problem {
            self.warnings.push(format!("it could not be started again: {problem}"));
        }
    }

    /// The facts as one line of JSON.
    #[must_use]
    pub(super) fn json(&self) -> String {
        json::line(self)
    }

    /// The facts as a screen.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(text, "  {label:<12}{value}");
        };
        let since = self.since.as_ref().map(|since| format!(", since {since}")).unwrap_or_default();
        line("state", &format!("{}{since}", self.state));
        if let Some(uuid) = &self.uuid {
            line("uuid", uuid);
        }
        line("hypervisor", &self.uri);
        if let Some(pid) = self.pid {
            let since = self.process_since.as_ref().map(|since| format!(", since {since}")).unwrap_or_default();
            line("process", &format!("{pid}{since}"));
        }
        if let Some(id) = self.xen_domain {
            line("Xen domain", &id.to_string());
        }
        if let (Some(vcpus), Some(kib)) = (self.vcpus, self.memory_kib) {
            line("size", &format!("{vcpus} vCPU, {} MiB", kib / 1024));
        }
        for disk in &self.disks {
            let source = disk.source.as_deref().unwrap_or("(empty)");
            line("disk", &format!("{} {source} ({})", disk.target, disk.device));
        }
        let definition = &self.definition;
        if let Some(file) = &definition.file {
            line("definition", file);
        }
        if definition.started.is_some() {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".into());
            let from = definition.created_from.clone().unwrap_or_else(|| "libvirt's own definition".into());
            let same = match definition.unchanged {
                Some(true) => ", unchanged since",
                Some(false) => ", CHANGED since",
                None => "",
            };
            line("started", &format!("from {from}{same}"));
            line(
                "",
                &format!(
                    "{} on {} for '{}'",
                    text(&definition.started),
                    text(&definition.started_on),
                    text(&definition.resource)
                ),
            );
        } else if let Some(resource) = &definition.resource {
            line("started", &format!("by another program; taken over for '{resource}'"));
        }
        if self.persistent == Some(true) {
            line("libvirt", "has a definition of its own for it");
        }
        if let Some(by) = &self.managed_by {
            let left = if by.managed { "" } else { ", which leaves it alone now (maintenance, or unmanaged)" };
            line("resource", &format!("'{}' of {}{left}", by.resource, by.cluster));
        }
        for member in &self.members {
            line(&format!("on {}", member.node), &member.text());
        }
        for told in &self.cluster {
            line(told.caller, &format!("{} would answer {}: {}", told.action, told.code, told.reason));
        }
        for warning in &self.warnings {
            line("WARNING", warning);
        }
        format!("{}: {}\n{}", self.name.as_deref().unwrap_or("(no name)"), self.presence, text.trim_end())
    }
}

#[cfg(test)]
mod tests;
