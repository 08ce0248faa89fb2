// SPDX-License-Identifier: GPL-2.0-or-later
//! validate-all: everything that is wrong, once each; the last line counts them and has the worst.
//!
//! Level 0 looks at the parameters alone, and at a definition's file if it is there: cluster tools run it on any host.
//! Level 10 looks at this host.

use crate::callers::shutdown;
use crate::host::aside::{self, There};
use crate::host::lacks;
use crate::host::look::{Depth, Looker};
use crate::host::saved::StatePlace;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Caller, Environment, Invocation};
use crate::model::definition::{DefinedDomain, EMPTY_TPM, Language, Need, TpmState};
use crate::model::facts::{Defined, Definition, Libvirt, Tools};
use crate::model::lack::{Hinders, Lack};
use crate::model::outcome::{Code, Outcome};
use crate::model::params::SavedMemory;
use crate::model::presence::Presence;
use crate::model::saved_state::{self, written_disks};
use crate::sys::child::find_program;
use crate::sys::roots::Roots;
use crate::sys::text::{shell_word, uuid_text};
use crate::sys::time::Deadline;
use std::collections::BTreeSet;
use std::path::Path;

/// One thing that is wrong, and how a manager should take it.
struct Finding {
    code: Code,
    text: String,
}

/// Checks, and gives each finding to `line`.
pub(crate) fn run(inv: &Invocation, env: &Environment, line: &mut dyn FnMut(&str)) -> Outcome {
    let deadline = inv.budget().deadline();
    let mut findings = parameters(inv);
    let mut looker = Looker::new(inv, env, Roots::default());
    looker.choose_tools(inv);
    // A daemon that does not answer says nothing about the parameter.
    if inv.params.hypervisor.is_some()
        && looker.tools() == Tools::Libvirt
        && let Err(text) = looker.check_hypervisor(inv.budget().until(Share::HasDriver, deadline))
    {
        findings.push(Finding { code: Code::Configured, text: format!("hypervisor: {text}") });
    }
    let facts = definition(inv, &mut looker, &mut findings);
    for note in facts.iter().flat_map(notes) {
        line(&format!("vm-agent: note: {note}"));
    }
    if inv.check_level >= 10 {
        for warning in shutdown::warnings(Path::new("/"), looker.uri.starts_with("qemu")) {
            line(&format!("vm-agent: warning: {warning}"));
        }
        host(inv, &mut looker, facts.as_ref(), deadline, &mut findings, line);
    }
    if findings.is_empty() && inv.caller == Caller::Human && inv.check_level < 10 {
        let looked = "no problem was found in its parameters; with -o OCF_CHECK_LEVEL=10 this host is looked at too";
        return Outcome::new(Code::Ok, looked);
    }
    outcome(findings, line)
}

/// Gives each finding to `line` but the worst, which is the answer.
fn outcome(mut findings: Vec<Finding>, line: &mut dyn FnMut(&str)) -> Outcome {
    let mut told = BTreeSet::new();
    findings.retain(|finding| told.insert(finding.text.clone()));
    let count = findings.len();
    // The worst is the one that bars most nodes.
    findings.sort_by_key(|finding| match finding.code {
        Code::Configured => 0,
        Code::Args => 1,
        Code::Installed | Code::Perm => 2,
        Code::Ok | Code::Generic | Code::Unimplemented | Code::NotRunning | Code::StayedHere | Code::Degraded => 3,
    });
    let mut findings = findings.into_iter();
    let Some(worst) = findings.next() else { return Outcome::new(Code::Ok, "no problem was found") };
    for finding in findings {
        line(&format!("vm-agent: {}", finding.text));
    }
    if count == 1 {
        return Outcome::new(worst.code, worst.text);
    }
    Outcome::new(worst.code, format!("{count} problems, the worst: {}", worst.text))
}

fn parameters(inv: &Invocation) -> Vec<Finding> {
    let params = &inv.params;
    let wrong = |text: String| Finding { code: Code::Configured, text };
    let mut findings: Vec<Finding> = params.problems.iter().map(|p| wrong(p.to_string())).collect();
    let naming = ["name", "config", "xmlfile", "definition_command"];
    let one_is_bad = params.problems.iter().any(|p| naming.contains(&p.param.as_str()));
    if params.name.is_none() && params.definition_is_from().is_none() && !one_is_bad {
        findings.push(wrong("neither name nor config is set; expected one of them".into()));
    }
    if params.definition_command.is_some() && (params.config.is_some() || params.path.is_some()) {
        let other = if params.config.is_some() { "config" } else { "path" };
        findings.push(wrong(format!("definition_command and {other} are both set; expected one of them")));
    } else if params.path.is_some() && params.name.is_none() && params.config.is_none() {
        findings.push(wrong("path is set but not name; expected both".into()));
    }
    if params.no_kill && params.force_stop {
        findings.push(wrong("no_kill and force_stop are both set; expected one of them at most".into()));
    }
    findings
}

/// The definition: at level 0 only what is wrong with one that is there.
fn definition(inv: &Invocation, looker: &mut Looker, findings: &mut Vec<Finding>) -> Option<DefinedDomain> {
    // A manager asks at level 0 about the parameters; what the administrator's command does is of this host.
    if inv.params.definition_command.is_none() || inv.check_level >= 10 || inv.caller == Caller::Human {
        looker.read_definition(inv);
    }
    match looker.definition() {
        Definition::File(defined) => {
            let facts = defined.facts();
            if facts.as_ref().is_some_and(|facts| facts.uuid.is_none() && facts.vtpm.is_some()) {
                findings.push(Finding { code: Code::Generic, text: format!("{} {EMPTY_TPM}", defined.path.display()) });
            }
            facts
        }
        Definition::Bad(outcome) => {
            let soon = inv.budget().until(Share::ConfigFile, looker.deadline());
            let there = match (&inv.params.config, inv.check_level) {
                // A person asks about this host, and silent storage is worth a word on any.
                (Some(_), 0..10) if inv.caller == Caller::Human || outcome.code == Code::Generic => true,
                (Some(config), 0..10) => {
                    config.is_absolute() && aside::what_is_at(&[config], soon)[..] != [There::Nothing]
                }
                (Some(_) | None, _) => true,
            };
            // What the parameters alone are guilty of has been said.
            if there && outcome.code != Code::Configured {
                findings.push(Finding { code: outcome.code, text: outcome.reason.clone() });
            }
            None
        }
        Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } => None,
    }
}

/// What is not wrong, and must be known in a cluster.
fn notes(facts: &DefinedDomain) -> Vec<String> {
    let mut notes = Vec::new();
    if facts.vtpm.is_some() {
        let folder = facts.uuid.as_ref().map(uuid_text).unwrap_or_default();
        notes.push(format!(
            "the state of its emulated TPM is each node's own, unless /var/lib/libvirt/swtpm/{folder} is shared by all"
        ));
    }
    if facts.vtpm == Some(TpmState::Deleted) {
        notes.push("persistent_state='no': each stop deletes the state of its emulated TPM".into());
    }
    if facts.has_nvram {
        let path = facts.nvram.as_deref().unwrap_or("/var/lib/libvirt/qemu/nvram");
        notes.push(format!("its UEFI variables (NVRAM) are each node's own, unless {path} is shared by all"));
    }
    let (xen, restarts) = (facts.domain_type == "xen", Some("restart"));
    if facts.on_poweroff.as_deref() == restarts {
        let by = if xen { "its tool stack" } else { "libvirt" };
        notes.push(format!("on_poweroff is restart: a guest that shuts itself down is started again by {by}"));
    }
    if xen && facts.on_crash.as_deref() == restarts {
        notes.push("on_crash is restart: the cluster does not see a crash; destroy leaves the restart to it".into());
    }
    notes
}

fn host(
    inv: &Invocation,
    looker: &mut Looker,
    facts: Option<&DefinedDomain>,
    deadline: Deadline,
    findings: &mut Vec<Finding>,
    line: &mut dyn FnMut(&str),
) {
    let by_xl = looker.tools() == Tools::Xl;
    let mut missing = |text: String| findings.push(Finding { code: Code::Installed, text });
    if inv.params.use_virsh && find_program("virsh").is_none() {
        missing("use_virsh is set, but virsh is not installed".into());
    }
    if by_xl && find_program("xl").is_none() {
        missing("the definition is an xl file, but xl is not installed".into());
    }
    if !by_xl && !inv.params.use_virsh && backend::worker_path().is_none() {
        missing("the worker vm-agent-libvirt is not installed beside the agent or in /usr/libexec/vm-agent".into());
    }
    if inv.params.status_program.is_some() && find_program("bash").is_none() {
        missing("status_program is set, but bash is not installed".into());
    }
    if let Some(Ok(scripts)) = &inv.params.monitor_scripts {
        let programs: Vec<&Path> = scripts.iter().map(|script| script.program.as_path()).collect();
        let there = aside::what_is_at(&programs, inv.budget().until(Share::Programs, deadline));
        for (program, _) in
            programs.iter().zip(there).filter(|(_, there)| !matches!(there, There::File | There::Program))
        {
            missing(format!("monitor_scripts: there is no program {}", program.display()));
        }
    }
    if let Some(place) = StatePlace::of(inv, looker) {
        match place.look(Vec::new(), inv.budget().until(Share::StateFolder, deadline)) {
            Err(failure) => missing(format!("snapshot: {failure}")),
            Ok(folder) => {
                let mut disks = facts.map(|facts| facts.disks.clone()).unwrap_or_default();
                looker.locate_volumes(&mut disks, deadline);
                let (_, untold) = written_disks(&disks);
                if let (Some(disk), false) = (untold.first(), folder.shared) {
                    missing(format!("snapshot: its memory would not be saved: {}", saved_state::untold(disk)));
                }
                let wanted = inv.params.snapshot_channels;
                if wanted > 0
                    && let Ok(host) = looker.host_facts(deadline)
                    && let Some(why) = saved_state::sparse_hindrance(&host)
                {
                    line(&format!("vm-agent: warning: {}", saved_state::not_by_channels(wanted, &why)));
                }
            }
        }
    } else if inv.params.snapshot.is_some() && inv.params.name.is_some() {
        missing("snapshot: only the memory of QEMU's machines is saved".into());
    }
    let (mut lacks, mut needs) = (Vec::new(), Vec::new());
    if let Definition::File(defined) = looker.definition() {
        needs = lacks::needs(defined);
        lacks = lacks_for(inv, looker, defined, &needs, deadline);
    }
    let seen = looker.look(inv, Depth::default(), inv.budget().share(Share::Look, deadline.left()), deadline);
    if let Some(defined) = looker.libvirts_own(&seen, deadline) {
        needs = lacks::needs(&defined);
        lacks = lacks_for(inv, looker, &defined, &needs, deadline);
    }
    if !matches!(seen.here.presence(), Presence::Active(_)) {
        lacks.extend(lacks::ports(&needs, &looker.roots));
    }
    take(lacks, findings, line);
    let mut missing = |text: String| findings.push(Finding { code: Code::Installed, text });
    match (&seen.here.libvirt, &seen.definition) {
        (Libvirt::Silent(silence), _) => missing(silence.why.clone()),
        (Libvirt::NoDomain, Definition::None { looked_at }) => {
            let name = seen.here.name.as_deref().unwrap_or_default();
            missing(crate::policy::no_definition(name, looked_at));
        }
        (Libvirt::Domain(_), _) => {
            let saved = looker.ask_last(deadline, |connection, domain| connection.has_managed_save(domain));
            if saved == Some(true) && inv.params.saved_memory == SavedMemory::Refuse {
                findings.push(Finding {
                    code: Code::Generic,
                    text: crate::policy::has_saved_memory(seen.here.name.as_deref().unwrap_or_default()),
                });
            }
            let autostart = looker.ask_last(deadline, |connection, domain| connection.autostart(domain));
            if autostart == Some(true) {
                let name = seen.here.name.as_deref().unwrap_or_default();
                findings.push(Finding {
                    code: Code::Generic,
                    text: format!(
                        "libvirt starts '{name}' by itself, beside the cluster: run virsh autostart --disable {}",
                        shell_word(name)
                    ),
                });
            }
        }
        // What the parameters are guilty of has been said.
        (
            Libvirt::NoDomain,
            Definition::NotLooked | Definition::File(_) | Definition::Unchanged { .. } | Definition::Bad(_),
        )
        | (Libvirt::Unusable(_) | Libvirt::Ambiguous(_), _) => {}
    }
}

/// What this host lacks for a definition, but for ports. Without libvirt's answer there is no finding of its: that it does
/// not answer, or that the worker is missing, is found by itself.
pub(crate) fn lacks_for(
    inv: &Invocation,
    looker: &Looker,
    defined: &Defined,
    needs: &[Need],
    deadline: Deadline,
) -> Vec<Lack> {
    let libvirts = match defined.language {
        Language::Xl => Vec::new(),
        Language::Xml => {
            let patience = inv.budget().until(Share::Lacks, deadline);
            lacks::ask(&looker.uri, &defined.text, inv.params.start_resources, patience).unwrap_or_else(|why| {
                log::info!("what this host lacks for the definition was not asked: {why}");
                Vec::new()
            })
        }
    };
    let here = lacks::look(needs, &looker.roots, inv.budget().until(Share::Files, deadline));
    lacks::together(here, libvirts)
}

/// How a manager takes a lack, and a person hears of one that may be none.
fn take(lacks: Vec<Lack>, findings: &mut Vec<Finding>, line: &mut dyn FnMut(&str)) {
    for Lack { kind, sentence, .. } in lacks {
        match kind.hinders() {
            Hinders::Lasting => findings.push(Finding { code: Code::Installed, text: sentence }),
            Hinders::Passing => findings.push(Finding { code: Code::Generic, text: sentence }),
            Hinders::Perhaps => line(&format!("vm-agent: warning: {sentence}")),
        }
    }
}
