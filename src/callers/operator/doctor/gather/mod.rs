// SPDX-License-Identifier: GPL-2.0-or-later
//! Gathers what doctor judges: this host by itself, and the same program on each member by ssh, all at once. Nothing is
//! judged here, and nothing is changed.

mod files;
mod machine;
mod members;
mod way;

use super::facts::{ExamQuestion, FilesSeen, HostExam, LibvirtSeen, MachineSeen, WaySeen};
use crate::callers::qemu_conf::QemuConf;
use crate::host::look::Looker;
use crate::host::peers::at_once;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Action, Caller, Environment, Invocation};
use crate::model::lack::LackKind;
use crate::model::outcome::Code;
use crate::model::target::Target;
use crate::model::uri::Uri;
use crate::model::worker::{DomainListed, Question, Request};
use crate::sys::held;
use crate::sys::roots::Roots;
use crate::sys::text::{ascii_line, say};
use crate::sys::time::{self, Deadline};
use files::Arrival;
pub(super) use members::all;
use std::ffi::OsString;
use std::io::{Read, stderr, stdin, stdout};
use std::path::Path;
use std::time::Duration;

/// The most that is read of a question, in bytes.
const LONGEST_QUESTION: u64 = 1 << 20;

/// What a part of the look gives.
enum PartSeen {
    Way(WaySeen),
    Files(FilesSeen),
    Libvirt(Result<LibvirtSeen, String>),
    Machine(Box<MachineSeen>),
}

/// A way to go: to which node, and where a migration would connect.
struct WayAhead {
    node: String,
    target: Target,
    uri: Uri,
}

/// What is looked at, each beside the others.
enum ExamPart {
    Way(Box<WayAhead>),
    Files,
    Libvirt,
    Machine,
}

/// The life of the program that a member's doctor asks: a question on its standard input, and the answer in one line.
#[must_use]
pub(super) fn answer() -> u8 {
    let mut text = Vec::new();
    let read = stdin().lock().take(LONGEST_QUESTION).read_to_end(&mut text);
    match read.map_err(|why| why.to_string()).and_then(|_| serde_json::from_slice(&text).map_err(|why| why.to_string()))
    {
        Ok(question) => {
            say(&mut stdout(), &super::json::line(&exam(&question)));
            Code::Ok.number()
        }
        Err(why) => {
            say(
                &mut stderr(),
                &format!("vm-agent: doctor --gather answers another host's doctor: its question cannot be read: {why}"),
            );
            Code::Args.number()
        }
    }
}

/// The call that one set of parameters makes.
fn invocation(params: &[(String, String)], timeout_ms: u64) -> (Invocation, Environment) {
    let named = params.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}").into(), OsString::from(value)));
    let timeout = ("OCF_RESKEY_CRM_meta_timeout".into(), timeout_ms.to_string().into());
    let env = Environment::from_pairs(named.chain([timeout, ("OCF_CHECK_LEVEL".into(), "10".into())]));
    (Invocation::from_manager(Caller::Human, Action::ValidateAll, None, &env), env)
}

/// How migrations come to the host that is asked, by each set of parameters.
fn arrivals(question: &ExamQuestion, source: &str) -> Vec<Arrival> {
    let sets = std::iter::once(&question.params).chain(&question.also);
    let of_set = |params: &Vec<(String, String)>| {
        let (inv, _) = invocation(params, question.timeout_ms);
        let uri = way::to(&question.node, &inv, source).ok().map(|(_, uri)| uri);
        Arrival::new(uri.as_ref(), &inv.params.migration)
    };
    sets.map(of_set).collect()
}

/// Looks at this host.
pub(super) fn exam(question: &ExamQuestion) -> HostExam {
    let deadline = Deadline::after(Duration::from_millis(question.timeout_ms));
    let (inv, env) = invocation(&question.params, question.timeout_ms);
    let until = inv.budget().keeping(Share::Doctor, deadline);
    let source = Looker::new(&inv, &env, Roots::default()).uri;
    let mut parts = vec![ExamPart::Files, ExamPart::Libvirt];
    if inv.params.name.is_some() || inv.params.config.is_some() {
        parts.push(ExamPart::Machine);
    }
    let mut ways: Vec<WayAhead> = Vec::new();
    for params in std::iter::once(&question.params).chain(&question.also) {
        let (inv, _) = invocation(params, question.timeout_ms);
        for node in &question.others {
            if let Ok((target, uri)) = way::to(node, &inv, &source)
                && !ways.iter().any(|known| known.target == target && known.uri == uri)
            {
                ways.push(WayAhead { node: node.clone(), target, uri });
            }
        }
    }
    parts.extend(ways.into_iter().map(|way| ExamPart::Way(Box::new(way))));
    let arrivals = arrivals(question, &source);
    let migration = &inv.params.migration;
    let tries_port = source.starts_with("qemu") && !migration.tunnelled && migration.port.is_none();
    let port = tries_port.then(|| QemuConf::read(Path::new("/")).ports().1);
    let look = |part: &ExamPart| match part {
        ExamPart::Way(way) => PartSeen::Way(way::look(&way.node, &way.target, &way.uri, port, until)),
        ExamPart::Files => PartSeen::Files(files::look(Path::new("/"), &arrivals, until)),
        ExamPart::Libvirt => PartSeen::Libvirt(libvirt(&source, until)),
        ExamPart::Machine => PartSeen::Machine(Box::new(machine::look(&inv, &env, until))),
    };
    let kernel = |file: &str| {
        std::fs::read_to_string(Path::new("/proc/sys/kernel").join(file)).unwrap_or_default().trim().to_owned()
    };
    let boot = kernel("random/boot_id");
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let lacks_pidfd = held::can_hold().err().map(|why| format!("Linux {}: {why}", kernel("osrelease")));
    let mut seen = HostExam { version, boot, clock: time::now(), lacks_pidfd, ..HostExam::default() };
    for part in at_once(&parts, look).into_iter().flatten() {
        match part {
            PartSeen::Way(way) => seen.ways.push(way),
            PartSeen::Files(files) => seen.files = files,
            PartSeen::Libvirt(Ok(libvirt)) => seen.libvirt = Some(libvirt),
            PartSeen::Libvirt(Err(why)) => seen.libvirt_silent = Some(ascii_line(&why, 200)),
            PartSeen::Machine(machine) => seen.machine = Some(*machine),
        }
    }
    let own = |libvirt: &LibvirtSeen| {
        let is_it = |it: &DomainListed| it.facts.id.is_some() && inv.params.name.as_ref() == Some(&it.facts.name);
        libvirt.domains.iter().any(is_it)
    };
    let may_run = inv.params.name.is_none() || seen.libvirt.as_ref().is_none_or(own);
    if let (Some(machine), true) = (&mut seen.machine, may_run) {
        // It is the machine itself that has them, or may be.
        machine.lacks.retain(|lack| lack.kind != LackKind::PortInUse);
    }
    seen
}

fn libvirt(source: &str, until: Deadline) -> Result<LibvirtSeen, String> {
    let ask = |question| backend::ask_worker(&Request::host(source, question), until).map_err(|why| why.to_string());
    let host = ask(Question::Host)?.host.unwrap_or_default();
    let domains = ask(Question::Domains { whole: true })?.domains.ok_or("it lists no domains")?;
    // Not every hypervisor tells it.
    let cpu =
        ask(Question::Cpu { others: "<cpus/>".into() }).ok().and_then(|answer| answer.xml).map(|xml| xml.to_string());
    Ok(LibvirtSeen { host, domains, cpu })
}
