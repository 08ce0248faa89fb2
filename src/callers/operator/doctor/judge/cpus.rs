// SPDX-License-Identifier: GPL-2.0-or-later
//! The members' CPUs beside each other, and what that means for a machine that has its host's. Pure.

use super::told;
use crate::callers::operator::doctor::facts::{CommonCpu, ExamSeen, HostExam};
use crate::callers::operator::doctor::finding::CheckFound;
use crate::callers::operator::doctor::table::ExamCheck;
use crate::model::definition;
use std::collections::BTreeSet;

/// So many features are named, and the others counted.
const NAMED: usize = 5;

pub(super) fn judge(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let (mut none, mut common) = (false, None);
    match &seen.common_cpu {
        CommonCpu::NotAsked => {}
        CommonCpu::Is(cpu) => common = Some(cpu.split_whitespace().collect::<Vec<_>>().join(" ").replace("> <", "><")),
        CommonCpu::None(why) => {
            none = true;
            found.push(CheckFound::of_all(ExamCheck::NoCommonCpu, format!("no CPU is what all members have: {why}")));
        }
        CommonCpu::Unknown(why) => {
            let text = format!("which CPU all members have is not known: {why}");
            found.push(CheckFound::of_all(ExamCheck::NotKnown, text));
        }
    }
    let exams = || told(seen).map(|(member, exam)| (member.node.as_str(), exam));
    let of_host = exams().find_map(|(_, exam)| host_cpu(exam));
    // What libvirt can give counts, and not what the kernel shows of the processor, if all tell it.
    let by_libvirt: Option<Vec<BTreeSet<String>>> = exams().map(|(_, exam)| features(exam)).collect();
    if by_libvirt.is_none() && of_host.is_none() {
        return;
    }
    let own =
        by_libvirt.unwrap_or_else(|| exams().map(|(_, exam)| exam.files.cpu_flags.iter().cloned().collect()).collect());
    let all: BTreeSet<&String> = own.iter().flatten().collect();
    for ((node, _), its) in exams().zip(&own) {
        let lacks: Vec<&String> = all.iter().copied().filter(|feature| !its.contains(*feature)).collect();
        let Some(first) = lacks.first() else { continue };
        let other =
            exams().zip(&own).find(|(_, theirs)| theirs.contains(*first)).map_or("another", |((node, _), _)| node);
        let named: Vec<&str> = lacks.iter().take(NAMED).map(|feature| feature.as_str()).collect();
        let more = lacks.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let lacks = format!("{node} lacks {}{more}, which {other} has", named.join(", "));
        let one = match (of_host, none) {
            (Some(mode), _) => {
                let name = seen.name.as_deref().unwrap_or("the machine");
                CheckFound::at(
                    ExamCheck::OtherCpu,
                    node,
                    format!("'{name}' has its host's CPU ({mode}), and that of {lacks}"),
                )
            }
            (None, false) => CheckFound::at(ExamCheck::OtherCpus, node, format!("the CPU of {lacks}")),
            // That says more.
            (None, true) => continue,
        };
        found.push(common.iter().fold(one, |one, cpu| one.mend(format!("# for the definition: {cpu}"))));
    }
}

/// In which way the machine that is asked about has its host's CPU, if it has.
fn host_cpu(exam: &HostExam) -> Option<&str> {
    let mode = exam.machine.as_ref()?.cpu_mode.as_deref()?;
    matches!(mode, "host-passthrough" | "host-model" | "maximum").then_some(mode)
}

/// What the hypervisor can give.
fn features(exam: &HostExam) -> Option<BTreeSet<String>> {
    let cpu = exam.libvirt.as_ref()?.cpu.as_deref()?;
    let root = definition::read(cpu).ok()?;
    let given = root.all("feature").filter(|feature| feature.attribute("policy") != Some("disable"));
    Some(given.filter_map(|feature| feature.attribute("name")).map(str::to_owned).collect())
}
