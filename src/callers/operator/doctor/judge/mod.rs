// SPDX-License-Identifier: GPL-2.0-or-later
//! From what was gathered to what was found. Pure: the same facts give the same findings. What is not known is told as
//! that, once for each member or thing, and never counts as well.

mod cluster;
mod cpus;
mod hosts;
mod machine;
mod machines;
mod ways;

use super::facts::{ExamSeen, HostExam, Login, MemberSeen, Untold, WaySeen};
use super::finding::CheckFound;
use super::table::ExamCheck;

/// All that was found, the worst first.
pub(super) fn judge(seen: &ExamSeen) -> Vec<CheckFound> {
    let mut found = Vec::new();
    unknown(seen, &mut found);
    ways::judge(seen, &mut found);
    cluster::judge(seen, &mut found);
    machines::judge(seen, &mut found);
    machine::judge(seen, &mut found);
    hosts::judge(seen, &mut found);
    cpus::judge(seen, &mut found);
    found.sort_by(|a, b| (a.check.row().level, a).cmp(&(b.check.row().level, b)));
    found.dedup_by(|a, b| (a.check, &a.node, &a.text) == (b.check, &b.node, &b.text));
    found
}

/// The members that tell of themselves.
fn told(seen: &ExamSeen) -> impl Iterator<Item = (&MemberSeen, &HostExam)> {
    seen.members.iter().filter_map(|member| Some((member, member.told.as_ref().ok()?)))
}

/// Whether it is told why a member cannot be asked from here: there is no way to it, or this host goes none.
fn told_by_the_way(seen: &ExamSeen, node: &str) -> bool {
    let Some(Ok(here)) = seen.members.first().map(|member| &member.told) else { return false };
    let fails = |way: &WaySeen| !way.resolves || way.ssh.as_ref().is_some_and(|ssh| ssh.login != Login::Works);
    here.lacks_pidfd.is_some() || here.ways.iter().find(|way| way.node == node).is_some_and(fails)
}

/// Whether this host's machines are libvirt's own: then it is right that libvirt starts and ends them with the host.
fn is_for_libvirt(seen: &ExamSeen) -> bool {
    let marked = |member: &MemberSeen| member.domains.iter().flatten().any(|it| it.mark.is_some());
    seen.cluster.is_none() && seen.members.len() == 1 && !seen.members.iter().any(marked)
}

fn unknown(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let of = |member: &MemberSeen, why: &str| {
        let machines = if member.domains.is_ok() { "but for its machines " } else { "" };
        let text = format!("of {} {machines}nothing is known: {why}", member.node);
        CheckFound::at(ExamCheck::NotKnown, &member.node, text)
    };
    for member in &seen.members {
        match &member.told {
            Ok(_) => {}
            Err(Untold::NoAgent(program)) => found.push(CheckFound::at(
                ExamCheck::NoAgent,
                &member.node,
                format!("there is no {program} on {}, so it could not look at itself", member.node),
            )),
            Err(Untold::Offline) => found.push(of(member, super::OFFLINE)),
            Err(Untold::Why(_)) if told_by_the_way(seen, &member.node) => {}
            Err(Untold::Why(why)) => found.push(of(member, why)),
        }
    }
    if let Some(Err(why)) = &seen.cluster {
        found.push(CheckFound::of_all(ExamCheck::NotKnown, format!("the cluster's configuration is not known: {why}")));
    }
}
