// SPDX-License-Identifier: GPL-2.0-or-later
//! What monitor, start and stop do and answer, for each state of libvirt's and for each that libvirt and the process table
//! together can show: one row a state, in the words of the stories.

use super::{Played, folder, play, update};
use std::collections::BTreeSet;
use vm_agent::engine::story::STATES;
use vm_agent::model::state::State;

/// An action's table: the columns of its callers, each with the lines that make its call.
struct Table {
    action: &'static str,
    calls: &'static [(&'static str, &'static str)],
}

const TABLES: [Table; 3] = [
    Table {
        action: "monitor",
        calls: &[
            ("recurring", "caller pacemaker\naction monitor recurring"),
            ("probe", "caller pacemaker\naction monitor"),
            ("rgmanager", "caller rgmanager\naction status"),
            ("OCF", "caller ocf\naction monitor"),
            ("by hand", "caller human\naction status"),
        ],
    },
    Table {
        action: "start",
        calls: &[("Pacemaker", "caller pacemaker\naction start"), ("rgmanager", "caller rgmanager\naction start")],
    },
    Table {
        action: "stop",
        calls: &[("Pacemaker", "caller pacemaker\naction stop"), ("rgmanager", "caller rgmanager\naction stop")],
    },
];

/// A word for a column, and the fact that it stands for.
type Row = [(&'static str, &'static str); 3];

const LEGEND: &str = "\
An empty cell: not looked for, since the answer does not need it. `+3s`: before this answer it looks again for up to 3 s, in
case a change comes. `maybe`: a process that is starting or ending may be the machine's. `namesake`: a process that libvirt
did not start has its name. `hidden`: the process table cannot be read as a whole.
";

const HEAD: &str = "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->
<!-- Made by `UPDATE=1 cargo test --lib scenarios`; every word is held by that test. -->
";

#[test]
fn every_table_is_what_the_policy_answers() {
    for table in &TABLES {
        let path = folder().join(table.action).with_extension("md");
        let made = table.made();
        if update() {
            std::fs::write(&path, &made).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap();
        let differs = there.lines().zip(made.lines()).find(|(one, other)| one != other);
        assert!(there == made, "{}: {differs:#?}", path.display());
    }
}

/// A state that the program tells apart and no table shows would be a state that nobody looks at.
#[test]
fn the_tables_have_each_state_that_the_program_knows() {
    let shown: Vec<State> = STATES.iter().map(|(_, state, reason)| State::from_numbers(*state, *reason)).collect();
    for state in 0..=8 {
        for reason in 0..=20 {
            let known = State::from_numbers(state, reason);
            assert!(shown.contains(&known) || matches!(known, State::Other(_)), "{known} has no word in the stories");
        }
    }
}

/// What migrations add to a state.
const MOVING: [&str; 6] = [
    "running leaving",
    "running motion-unknown",
    "paused-migration arriving",
    "paused-migration leaving",
    "paused-migration motion-unknown",
    "paused-starting arriving",
];

/// What libvirt says where the process table counts too.
const UNCERTAIN: [&str; 7] = ["running", "none", "off", "dead", "hung", "busy", "refused"];

/// What the process table says: a word for the column, and the fact.
const PROCESSES: [(&str, &str); 8] = [
    ("alive", "alive"),
    ("renamed", "renamed"),
    ("incoming", "incoming"),
    ("ending", "ending"),
    ("gone", "gone"),
    ("maybe", "maybe process 379 is starting or ending"),
    ("namesake", "namesake process 379 has this name, and libvirt did not start it"),
    ("hidden", "/proc hides other users' processes"),
];

impl Table {
    /// The facts of its rows: libvirt's, the process table's and the definition's, each a word for its column and the fact.
    fn rows(&self) -> Vec<Row> {
        let word = |fact: &'static str| (fact, fact);
        let (none, file) = (word(""), word("file"));
        let definition = if self.action == "start" { file } else { none };
        let mut rows = Vec::new();
        for state in STATES.iter().map(|(state, _, _)| *state).chain(MOVING).chain(["none"]) {
            let off = state.starts_with("off") || state == "none";
            match (self.action, off) {
                ("start", true) => rows.extend([file, word("none")].map(|it| [word(state), none, it])),
                ("stop", true) => rows.push([word(state), word("gone"), none]),
                ("stop", false) => rows.push([word(state), word("alive"), none]),
                (_, _) => rows.push([word(state), none, definition]),
            }
        }
        for libvirt in UNCERTAIN {
            rows.extend(PROCESSES.map(|process| [word(libvirt), process, definition]));
        }
        rows.push([("ambiguous", "ambiguous which domain is meant cannot be told"), none, definition]);
        rows.push([("unusable", "unusable name: 'a/b' is no machine's name"), none, definition]);
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert(*row));
        rows
    }

    fn made(&self) -> String {
        let facts: &[&str] =
            if self.action == "start" { &["libvirt", "process", "definition"] } else { &["libvirt", "process"] };
        let heads =
            facts.iter().copied().chain(self.calls.iter().map(|(head, _)| *head)).chain(["what is done and said"]);
        let mut lines = vec![heads.map(ToOwned::to_owned).collect::<Vec<_>>()];
        for row in self.rows() {
            let told = facts.iter().zip(&row).filter(|(_, (_, fact))| !fact.is_empty());
            let told: String = told.map(|(key, (_, fact))| format!("\n{key} {fact}")).collect();
            let played: Vec<Played> = self.calls.iter().map(|(_, call)| play(&format!("{call}{told}"))).collect();
            let words = row.iter().take(facts.len()).map(|(word, _)| (*word).to_owned());
            lines.push(words.chain(played.iter().map(code)).chain([said(&played)]).collect());
        }
        format!("{HEAD}\n# What {} answers\n\n{LEGEND}\n{}", self.action, aligned(&lines))
    }
}

/// The code; where nothing but waits comes before it, with those.
fn code(played: &Played) -> String {
    match waits(played) {
        Some(waits) => format!("{}{waits}", played.code),
        None => played.code.to_string(),
    }
}

/// The waits, if there is no other step.
fn waits(played: &Played) -> Option<String> {
    let wait =
        |step: &String| Some(format!(" +{}s", step.strip_prefix("wait up to ")?.strip_suffix(" s for a change")?));
    played.steps.iter().map(wait).collect()
}

/// The steps but for mere waits, and the reason; one after another where callers do not get the same.
fn said(played: &[Played]) -> String {
    let one = |it: &Played| match waits(it) {
        Some(_) => it.reason.clone(),
        None => format!("{}: {}", it.steps.join("; "), it.reason),
    };
    let mut all: Vec<String> = played.iter().map(one).collect();
    all.dedup();
    all.join(" / ")
}

/// A table of Markdown whose columns stand below each other, but for the last.
fn aligned(lines: &[Vec<String>]) -> String {
    let last = lines[0].len() - 1;
    let widths: Vec<usize> =
        (0..last).map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or_default()).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += &format!("| {} |\n", line[last]);
        if number == 0 {
            text += &widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))).collect::<String>();
            text += "|---|\n";
        }
    }
    text
}
