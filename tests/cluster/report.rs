// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of the cases, as it is printed and as docs/CLUSTER.md has it.

use crate::bed::Agent;
use crate::cases::Case;
use crate::events::CASES;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The name of a case as a test.
pub fn name(case: &Case, nodes: usize, agent: Agent) -> String {
    format!("{}::{nodes}-nodes::{}", case.name, agent.words())
}

const HEAD: &str = "| case | nodes | agent | boots | away, s | copies | fenced | rest after, s | resource |\n\
                    |---|---|---|---|---|---|---|---|---|\n";

/// The rows that there are, in the order of the cases.
pub fn table(rows: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for case in CASES {
        for nodes in case.nodes {
            for agent in Agent::BOTH {
                if let Some(row) = rows.get(&name(case, *nodes, agent)) {
                    text += &format!("| {} | {nodes} | {} | {row} |\n", case.words, agent.words());
                }
            }
        }
    }
    if text.is_empty() { text } else { format!("\n{HEAD}{text}") }
}

/// The name of a soak as a test.
pub fn soak_name(events: usize, agent: Agent) -> String {
    format!("soak::{events}-events::{}", agent.words())
}

/// The soaks of so many events.
fn soaks(rows: &BTreeMap<String, String>, events: usize) -> Vec<String> {
    let row = |agent: Agent| Some(format!("| {} | {} |\n", agent.words(), rows.get(&soak_name(events, agent))?));
    Agent::BOTH.into_iter().filter_map(row).collect()
}

/// Writes those tables of the page that this run has whole, with the day and what they were played with.
pub fn write(rows: &BTreeMap<String, String>, longest: usize) {
    let wanted: usize = CASES.iter().map(|case| 2 * case.nodes.len()).sum();
    let cases = table(rows);
    if cases.lines().count() == wanted + 3 {
        put("cases", &cases);
    }
    let soaks = soaks(rows, longest);
    if soaks.len() == 2 {
        put("soak", &format!("\n| agent | seed | events | what came of it |\n|---|---|---|---|\n{}", soaks.concat()));
    }
}

fn put(place: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CLUSTER.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {place} -->\n"), format!("<!-- end of {place} -->\n"));
    let (head, rest) = text.split_once(&begin).unwrap();
    let (_, tail) = rest.split_once(&end).unwrap();
    std::fs::write(path, format!("{head}{begin}{}{table}{end}{tail}", versions())).unwrap();
}

fn versions() -> String {
    let first = |program: &str, arg: &str| {
        let output = Command::new(program).arg(arg).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned()
    };
    let package = |name: &str| {
        let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", name]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Run of {}: Pacemaker {}, corosync {}, resource-agents {}, libvirt {}, {processors} processors.\n",
        first("date", "+%F"),
        package("pacemaker"),
        package("corosync"),
        package("resource-agents"),
        package("libvirt-daemon"),
    )
}
