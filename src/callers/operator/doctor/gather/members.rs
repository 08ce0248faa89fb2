// SPDX-License-Identifier: GPL-2.0-or-later
//! All members asked at once: this host looks at itself, each other one is asked over ssh, by the way that a migration takes,
//! to look at itself. Where that is not possible its libvirt is asked from here, and the rest of it is not known.

use super::files::Arrival;
use super::{exam, way};
use crate::callers::operator::doctor::facts::{CommonCpu, ExamQuestion, ExamSeen, HostExam, MemberSeen, Untold};
use crate::callers::operator::managed;
use crate::callers::operator::members::as_configured;
use crate::cluster::{self, Cluster, MachinesOfCluster, Member, Software};
use crate::host::look::Looker;
use crate::host::peers::{self, at_once};
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::failure::{Failure, FailureKind};
use crate::model::standing::Standing;
use crate::model::uri::Uri;
use crate::model::worker::{DomainListed, Question, Request};
use crate::sys::child::Ended;
use crate::sys::hosts;
use crate::sys::roots::Roots;
use crate::sys::text::ascii_line;
use crate::sys::time::{self, Deadline};

/// The most that a member may answer, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;
/// libvirt's error number for CPUs that have nothing in common.
const OPERATION_FAILED: u32 = 9;
/// How a shell ends that does not find a program, or may not run it.
const NO_PROGRAM: [i32; 2] = [126, 127];
/// Programs of other names of this executable are asked by this one.
const ELSEWHERE: &str = "vm-agent";

/// Asks everybody.
pub(in super::super) fn all(inv: &Invocation, env: &Environment) -> ExamSeen {
    let deadline = inv.budget().deadline();
    let until = inv.budget().keeping(Share::Doctor, deadline);
    let asking = inv.budget().until(Share::Members, until);
    let managed = managed::ask(inv, env, asking);
    let resource = match &managed {
        Cluster::Runs(_, resource) => resource.as_ref(),
        Cluster::None | Cluster::Unknown(_) => None,
    };
    let inv = &as_configured(inv, env, resource);
    let manager = cluster::here().and_then(Software::manager);
    let cluster = manager.map(|manager| cluster::machines(manager, asking));
    let (node, others, unknown) = nodes(inv, asking);
    let source = Looker::new(inv, env, Roots::default()).uri;
    let others = peers::one_each(others, inv, &source, asking);
    let question = ExamQuestion {
        node: node.clone(),
        others: others.iter().map(|other| other.node.clone()).collect(),
        params: params(inv, env, resource.map(|it| it.params.as_slice()).unwrap_or_default()),
        also: also(inv, cluster.as_ref()),
        timeout_ms: u64::try_from(until.left().as_millis()).unwrap_or(u64::MAX),
    };
    let asked: Vec<Option<&Member>> = std::iter::once(None).chain(others.iter().map(Some)).collect();
    let look = |member: &Option<&Member>| match member {
        None => {
            let told = exam(&question);
            MemberSeen { domains: domains(&told), told: Ok(told), ..nobody(&node) }
        }
        Some(member) => ask(member, &question, inv, &source, until),
    };
    let mut members: Vec<MemberSeen> = at_once(&asked, look).into_iter().flatten().collect();
    for member in members.iter_mut().skip(1) {
        let name = member.told.as_ref().ok().and_then(|it| it.libvirt.as_ref()?.host.hostname.clone());
        member.own_name = name.map(|name| hosts::addresses(&name, deadline).iter().map(ToString::to_string).collect());
    }
    members.extend(unknown.map(|why| MemberSeen { told: Err(Untold::Why(why)), ..nobody("the other members") }));
    let common_cpu = common_cpu(&members, &source, deadline);
    let uris: Vec<_> = others.iter().filter_map(|it| way::to(&it.node, inv, &source).ok()).collect();
    ExamSeen {
        members,
        cluster,
        name: inv.params.name.clone(),
        by_ssh: uris.iter().any(|(_, uri)| way::by_ssh(uri)),
        by_tls: super::arrivals(&question, &source).iter().any(Arrival::needs_certificates),
        common_cpu,
    }
}

/// Has libvirt here compare the CPUs of all members, where they differ.
fn common_cpu(members: &[MemberSeen], source: &str, until: Deadline) -> CommonCpu {
    let cpu = |member: &MemberSeen| member.told.as_ref().ok()?.libvirt.as_ref()?.cpu.clone();
    let mut cpus: Vec<String> = members.iter().filter_map(cpu).collect();
    cpus.sort();
    cpus.dedup();
    if cpus.len() < 2 {
        return CommonCpu::NotAsked;
    }
    let question = Question::Cpu { others: format!("<cpus>{}</cpus>", cpus.concat()).into() };
    match backend::ask_worker(&Request::host(source, question), until) {
        Ok(answer) => {
            answer.xml.map_or_else(|| CommonCpu::Unknown("it did not say".into()), |xml| CommonCpu::Is(xml.to_string()))
        }
        Err(Failure { kind: FailureKind::Refused(Some(OPERATION_FAILED)), said, .. }) => CommonCpu::None(said),
        Err(why) => CommonCpu::Unknown(why.to_string()),
    }
}

fn nobody(node: &str) -> MemberSeen {
    let told = Err(Untold::Why("it was not asked".into()));
    MemberSeen {
        node: node.to_owned(),
        told,
        domains: Err("it was not asked".into()),
        window: (0, u64::MAX),
        own_name: None,
    }
}

/// The machines that a host's libvirt has told it of.
fn domains(told: &HostExam) -> Result<Vec<DomainListed>, String> {
    told.libvirt.as_ref().map(|it| it.domains.clone()).ok_or_else(|| "it does not tell".to_owned())
}

/// This node's name, the other members, and why they are not known.
fn nodes(inv: &Invocation, until: Deadline) -> (String, Vec<Member>, Option<String>) {
    let known = peers::of_the_cluster(inv, "", until);
    let here = known.as_ref().ok().and_then(|it| it.as_ref()).map(|it| it.here.clone());
    let here = here.or_else(|| inv.node.clone()).unwrap_or_else(hosts::own_name);
    if !inv.params.guard_nodes.is_empty() {
        return match peers::others(inv, "", until) {
            Ok(others) => (here, others, None),
            Err(why) => (here, Vec::new(), Some(why)),
        };
    }
    match known {
        Ok(known) => (here, known.map(|it| it.others).unwrap_or_default(), None),
        Err(why) => (here, Vec::new(), Some(why)),
    }
}

/// The parameters as text: those of the resource, and a person's in their place.
fn params(inv: &Invocation, env: &Environment, configured: &[(String, String)]) -> Vec<(String, String)> {
    let mut params: Vec<(String, String)> = env
        .reskeys()
        .filter_map(|(name, value)| Some((String::from_utf8(name.to_vec()).ok()?, value.to_str()?.to_owned())))
        .filter(|(name, _)| !name.starts_with("CRM_meta_"))
        .collect();
    for (name, value) in configured {
        if params.iter().all(|(known, _)| known != name) {
            params.push((name.clone(), value.clone()));
        }
    }
    if let (Some(name), true) = (&inv.params.name, params.iter().all(|(known, _)| known != "name")) {
        params.push(("name".into(), name.clone()));
    }
    params
}

/// Where no machine is named, those of all that the cluster has: each may be moved by another name.
fn also(inv: &Invocation, cluster: Option<&Result<MachinesOfCluster, String>>) -> Vec<Vec<(String, String)>> {
    if inv.params.name.is_some() || inv.params.config.is_some() {
        return Vec::new();
    }
    let moves = |name: &str| name.starts_with("migrat");
    let mut sets: Vec<Vec<(String, String)>> = Vec::new();
    for machine in cluster.and_then(|it| it.as_ref().ok()).into_iter().flat_map(|it| &it.machines) {
        let set: Vec<_> = machine.params.iter().filter(|(name, _)| moves(name)).cloned().collect();
        if !set.is_empty() && !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// Asks another member.
fn ask(member: &Member, question: &ExamQuestion, inv: &Invocation, source: &str, until: Deadline) -> MemberSeen {
    let away = member.standing.is_away();
    let until = if away { inv.budget().until(Share::Offline, until) } else { until };
    let uri = match way::to(&member.node, inv, source) {
        Ok((_, uri)) => uri,
        Err(why) => return MemberSeen { told: Err(Untold::Why(why)), ..nobody(&member.node) },
    };
    if let Some(why) = peers::leads_here(&uri, until) {
        return MemberSeen { told: Err(Untold::Why(why)), ..nobody(&member.node) };
    }
    let began = time::now();
    // By another transport ssh may be open all the same.
    let others = question.others.iter().filter(|node| **node != member.node).cloned();
    let question = ExamQuestion {
        node: member.node.clone(),
        others: std::iter::once(question.node.clone()).chain(others).collect(),
        params: question.params.clone(),
        also: question.also.clone(),
        timeout_ms: u64::try_from(inv.budget().without(Share::Doctor, until.left()).as_millis()).unwrap_or(u64::MAX),
    };
    let plain = Uri { user: None, port: None, query: Vec::new(), ..uri.clone() };
    let told = by_ssh(if way::by_ssh(&uri) { &uri } else { &plain }, &question, until).map_err(|untold| {
        match (untold, member.standing) {
            (Untold::Why(_), Standing::Offline | Standing::Unfenced) => Untold::Offline,
            (
                untold,
                Standing::Online | Standing::Offline | Standing::Unfenced | Standing::Unclean | Standing::Unknown,
            ) => untold,
        }
    });
    let window = (began, time::now());
    let domains = match &told {
        Ok(told) => domains(told),
        Err(_) => {
            let said = peers::domains(inv, source, &[Some(&member.node)], until).pop();
            said.unwrap_or_else(|| Err("it could not be asked".into()))
        }
    };
    MemberSeen { told, domains, window, ..nobody(&member.node) }
}

fn by_ssh(uri: &Uri, question: &ExamQuestion, until: Deadline) -> Result<HostExam, Untold> {
    let program = own_program();
    let text = serde_json::to_vec(question).map_err(|why| Untold::Why(why.to_string()))?;
    let done = way::ssh(uri, &format!("{program} {}", super::super::ASKED.join(" ")), &text, LONGEST_ANSWER, until)
        .map_err(Untold::Why)?;
    let errors = String::from_utf8_lossy(&done.stderr);
    let last = ascii_line(errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default(), 160);
    match done.ended {
        Ended::Exited(0) => {
            // What a login prints stands before it.
            let text = String::from_utf8_lossy(&done.stdout);
            let line = text.lines().rfind(|line| line.starts_with('{'));
            let parsed = line.and_then(|line| serde_json::from_str(line).ok());
            parsed.ok_or_else(|| Untold::Why("its answer cannot be read".into()))
        }
        Ended::Exited(code) if NO_PROGRAM.contains(&code) => Err(Untold::NoAgent(program)),
        Ended::Exited(2 | 3) => Err(Untold::Why(format!("its agent is another version: {last}"))),
        Ended::TimedOut => Err(Untold::Why("it did not answer in time".into())),
        Ended::Exited(_) | Ended::Signalled(_) if last.is_empty() => Err(Untold::Why("ssh to it failed".into())),
        Ended::Exited(_) | Ended::Signalled(_) => Err(Untold::Why(format!("ssh to it failed: {last}"))),
    }
}

/// This program, which is at the same place on all members where it is installed alike. Its path is a word of the other
/// shell's as it stands, or is not used.
fn own_program() -> String {
    let own = std::fs::read_link("/proc/self/exe").ok().and_then(|path| path.to_str().map(str::to_owned));
    let plain = |path: &String| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    own.filter(plain).unwrap_or_else(|| ELSEWHERE.to_owned())
}
