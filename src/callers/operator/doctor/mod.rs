// SPDX-License-Identifier: GPL-2.0-or-later
//! doctor by hand: what is wrong with this host, the members of its cluster, and a machine, before it matters. Each check is
//! a row of a table; facts are gathered on all members at once, and judged afterwards. Nothing is changed, and what mends a
//! finding is printed and never run.

mod facts;
mod finding;
mod gather;
mod judge;
mod table;

use super::json;
use crate::model::call::{Environment, Invocation};
use crate::model::outcome::Code;
use crate::sys::text::ascii_line;
use facts::{ExamSeen, Untold};
use finding::CheckFound;
use serde::Serialize;
use std::fmt::Write;
use table::Level;

/// The version of its table in docs/JSON.md.
const VERSION: u32 = 1;

/// Why nobody wonders that a member is silent.
const OFFLINE: &str = "the cluster has it offline";

/// The words by which another host's doctor calls this program; nobody types them.
pub(super) const ASKED: [&str; 2] = ["doctor", "--gather"];

/// The life of the program that asks on a member.
#[must_use]
pub(super) fn answer() -> u8 {
    gather::answer()
}

#[derive(Serialize)]
pub(super) struct Doctor {
    version: u32,
    #[serde(skip)]
    pub code: Code,
    name: Option<String>,
    members: Vec<MemberAsked>,
    findings: Vec<FindingSaid>,
    /// Nobody has named other hosts, and no cluster does.
    #[serde(skip)]
    alone: bool,
}

#[derive(Serialize)]
struct MemberAsked {
    node: String,
    here: bool,
    /// Why it tells nothing of itself.
    silent: Option<String>,
}

#[derive(Serialize)]
struct FindingSaid {
    id: &'static str,
    level: Level,
    /// Where it is mended; nothing where it is the cluster's.
    node: Option<String>,
    text: String,
    what: &'static str,
    why: &'static str,
    mend: &'static str,
    /// To be read and run by a person.
    commands: Vec<String>,
}

/// Looks, and changes nothing.
#[must_use]
pub(super) fn look(inv: &Invocation, env: &Environment) -> Doctor {
    Doctor::of(&gather::all(inv, env))
}

impl Doctor {
    fn of(seen: &ExamSeen) -> Self {
        let findings: Vec<FindingSaid> = judge::judge(seen).into_iter().map(FindingSaid::of).collect();
        let code = match findings.iter().map(|it| it.level).min() {
            Some(Level::Error) => Code::Generic,
            Some(Level::Warning) => Code::Degraded,
            Some(Level::Notice) | None => Code::Ok,
        };
        let members = seen.members.iter().enumerate().map(|(at, member)| MemberAsked {
            node: ascii_line(&member.node, 100),
            here: at == 0,
            silent: member.told.as_ref().err().map(|untold| match untold {
                Untold::NoAgent(program) => format!("it has no {program}"),
                Untold::Offline => OFFLINE.to_owned(),
                Untold::Why(why) => why.clone(),
            }),
        });
        let alone = seen.cluster.is_none() && seen.members.len() == 1;
        Self { version: VERSION, code, name: seen.name.clone(), members: members.collect(), findings, alone }
    }

    /// One line of JSON.
    #[must_use]
    pub(super) fn json(&self) -> String {
        json::line(self)
    }

    /// Two lines a finding, and a sum; for who asks one host alone, how to ask others.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for it in &self.findings {
            let _ = writeln!(text, "{:<8} {}  {}", it.level.word(), it.id, it.text);
            let _ = writeln!(text, "{:<8}        {}", "", it.mend);
        }
        let count = |level: Level| self.findings.iter().filter(|it| it.level == level).count();
        let (asked, silent): (Vec<_>, Vec<_>) = self.members.iter().partition(|it| it.silent.is_none());
        let names = |of: Vec<&MemberAsked>| of.iter().map(|it| it.node.as_str()).collect::<Vec<_>>().join(", ");
        let asked = if asked.is_empty() { "nobody".to_owned() } else { names(asked) };
        let silent = if silent.is_empty() { String::new() } else { format!("; silent: {}", names(silent)) };
        let sum: Vec<String> = [Level::Error, Level::Warning, Level::Notice]
            .into_iter()
            .filter(|level| count(*level) > 0)
            .map(|level| format!("{} {}{}", count(level), level.word(), if count(level) == 1 { "" } else { "s" }))
            .collect();
        let sum = if sum.is_empty() { "no fault was found".to_owned() } else { sum.join(", ") };
        let _ = write!(text, "{sum}; asked: {asked}{silent}");
        if self.alone {
            text.push_str("\nno cluster runs here, so no other host was looked at; --nodes n2,n3 names them");
        }
        text
    }

    /// The commands, each finding as a comment before them.
    #[must_use]
    pub(super) fn hints(&self) -> String {
        let mut text =
            String::from("# vm-agent has run none of this: read it, then run what is right, each on its host.\n");
        for it in &self.findings {
            let at = it.node.as_ref().map(|node| format!(" ({node})")).unwrap_or_default();
            let _ = writeln!(text, "\n# {}{at}: {}", it.id, it.text);
            if it.commands.is_empty() {
                let _ = writeln!(text, "# {}", it.mend);
            }
            for command in &it.commands {
                let _ = writeln!(text, "{command}");
            }
        }
        text.trim_end().to_owned()
    }
}

impl FindingSaid {
    fn of(found: CheckFound) -> Self {
        let row = found.check.row();
        Self {
            id: row.id,
            level: row.level,
            node: found.node.map(|node| ascii_line(&node, 100)),
            text: ascii_line(&found.text, 400),
            what: row.what,
            why: row.why,
            mend: row.mend,
            // What is not one line, whole and as it was said, would be another command.
            commands: found.commands.into_iter().filter(|it| !it.contains(char::is_control)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
