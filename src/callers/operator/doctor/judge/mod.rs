// SPDX-License-Identifier: GPL-2.0-or-later
//! From what was gathered to what was found. Pure: the same facts give the same findings. What is not known is told as
//! that, once for each member or thing, and never counts as well.

mod cluster;
mod cpus;
mod hosts;
mod machine;
mod machines;
mod ways;

use super::facts::{ExamSeen, HostExam, MemberSeen, Untold};
use super::finding::CheckFound;
use super::table::ExamCheck;
use crate::sys::text::shown;

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

fn unknown(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    for member in &seen.members {
        match &member.told {
            Ok(_) => {}
            Err(Untold::NoAgent(program)) => found.push(CheckFound::at(
                ExamCheck::NoAgent,
                &member.node,
                format!("there is no {program} on {}, so it could not look at itself", member.node),
            )),
            Err(Untold::Why(why)) => {
                let machines = if member.domains.is_ok() { "but for its machines " } else { "" };
                let text = format!("of {} {machines}nothing is known: {why}", member.node);
                found.push(CheckFound::at(ExamCheck::NotKnown, &member.node, text));
            }
        }
    }
    if let Some(Err(why)) = &seen.cluster {
        found.push(CheckFound::of_all(ExamCheck::NotKnown, format!("the cluster's configuration is not known: {why}")));
    }
}

/// A word as a shell takes it.
fn word(text: &str) -> String {
    shlex::try_quote(&shown(text.as_ref())).map(std::borrow::Cow::into_owned).unwrap_or_default()
}
