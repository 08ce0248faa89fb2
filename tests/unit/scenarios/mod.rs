// SPDX-License-Identifier: GPL-2.0-or-later
//! What `tests/scenarios/` tells, held against the policy as it is played on imagined worlds. `FILE.txt` has stories: a
//! name and a sentence, facts above a line, and below it the steps and the answer that they lead to. `ACTION.md` is an
//! action's whole table: what it answers to each state, to each caller.
//! `UPDATE=1 cargo test --lib scenarios` rewrites what is below the lines, and the tables.

mod facts;
mod tables;

use std::collections::BTreeSet;
use std::path::PathBuf;
use vm_agent::engine::imagine;
use vm_agent::engine::recording::Recording;
use vm_agent::engine::replay::{Readable, replay};
use vm_agent::engine::story::{by_turns, repeated, story};
use vm_agent::sys::text::ascii_line;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn update() -> bool {
    std::env::vars().any(|(name, value)| name == "UPDATE" && value == "1")
}

#[test]
fn every_story_ends_as_it_is_told() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "txt"));
    files.sort();
    let mut names = BTreeSet::new();
    let mut wrong = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut out = String::new();
        for story in &stories(&text) {
            let (above, below) = story.split_once("\n---\n").unwrap_or((story.trim_end(), ""));
            let name = name(above).unwrap_or_else(|| panic!("no '# a-name: A sentence.' above\n{story}"));
            let name = format!("{} {name}", file.display());
            let lines = play(above).told();
            if below.trim() != lines.trim() {
                wrong += &format!("{name}:\n{above}\n  expected:\n{below}\n  came:\n{lines}\n\n");
            }
            out += &format!("{}{above}\n---\n{}", if out.is_empty() { "" } else { "\n\n\n" }, lines.trim_end());
            assert!(names.insert(name.clone()), "two stories are {name}");
        }
        if update() {
            std::fs::write(&file, out + "\n").unwrap();
        }
    }
    assert!(names.len() > 150, "only {} stories were found", names.len());
    assert!(update() || wrong.is_empty(), "{wrong}");
}

/// A record has all that the policy decides by, whatever happens in a story, and is never too long for a record.
#[test]
fn every_story_is_decided_the_same_again_by_its_record() {
    let (mut stories, mut looks, mut longest) = (0, 0, 0);
    for story in all_stories() {
        let (inv, seen, world) = facts::read(story.split("\n---\n").next().unwrap());
        let mut recording = Recording::begin();
        let (_, outcome) = imagine::play_recorded(&inv, &seen, &world, &mut recording);
        let text = recording.text(&inv, &outcome.unwrap());
        let replayed = Readable::of(&text).map(replay).unwrap_or_else(|why| panic!("{why}\n{story}\n{text}"));
        for look in &replayed.looks {
            assert!(look.is_same(), "{look:?}\n{story}\n{text}");
        }
        assert!(!replayed.looks.is_empty() || replayed.left_out == 0, "{story}");
        (stories, looks, longest) = (stories + 1, looks + replayed.looks.len(), longest.max(text.len()));
    }
    assert!(stories > 150 && looks > 3 * stories, "{looks} looks of {stories} stories");
    assert!(longest < 50_000, "{longest}");
}

/// What a record is told as is read as a story again, and comes to the same: each step, and the answer. A record knows no more
/// of the world than the action has met, and no more looks than there is room for.
#[test]
fn every_story_that_is_made_of_a_record_comes_to_what_was_recorded() {
    // A monitor that stays says nothing of it in its record, and a long wait fills one.
    const NOT_TOLD: [&str; 2] = ["end-is-told-at-once", "leaves-and-the-end-is-not-noted"];
    let (mut same, mut other) = (0, Vec::new());
    for told in all_stories().iter().filter(|told| !NOT_TOLD.contains(&name(told).unwrap())) {
        let (above, below) = told.split_once("\n---\n").unwrap();
        let (inv, seen, world) = facts::read(above);
        let mut recording = Recording::begin();
        let (_, outcome) = imagine::play_recorded(&inv, &seen, &world, &mut recording);
        let made = story(&Readable::of(&recording.text(&inv, &outcome.unwrap())).unwrap());
        let (again, decided) = made.split_once("\n---\n").unwrap();
        assert!(name(again).is_some(), "{made}");
        // What was refused before anything was seen has no facts.
        if decided == "(nothing was decided)\n" {
            assert!(made.contains("# Not told: anything, since it ended before it had looked"), "{made}");
            continue;
        }
        let lines = play(again).told();
        let answer = |lines: &str| lines.trim().lines().last().map(str::to_owned);
        if lines.trim() == below.trim() && answer(decided) == answer(below) {
            same += 1;
        } else {
            other.push(format!("{told}\n=== is made\n{made}=== which comes to\n{lines}"));
        }
    }
    assert!(other.is_empty() && same > 340, "{same} are the same, {} are not:\n{}", other.len(), other.join("\n\n\n"));
}

/// The stories of all files.
fn all_stories() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|file| file.extension().is_some_and(|end| end == "txt"));
    texts.flat_map(|file| stories(&std::fs::read_to_string(file).unwrap())).collect()
}

fn stories(text: &str) -> Vec<String> {
    text.split("\n\n\n").map(str::to_owned).collect()
}

/// A story's name, from its first line: `# a-name: A sentence that says what it is about.`
fn name(story: &str) -> Option<&str> {
    let (name, sentence) = story.lines().next()?.strip_prefix("# ")?.split_once(": ")?;
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (plain && sentence.ends_with('.')).then_some(name)
}

/// The steps and the answer that facts lead to.
struct Played {
    /// Each as a line; what is repeated stands there once, with its number.
    steps: Vec<String>,
    code: u8,
    reason: String,
}

impl Played {
    /// As a story tells it.
    fn told(&self) -> String {
        let steps: String = self.steps.iter().map(|step| format!("{step}\n")).collect();
        format!("{steps}answer {} {}\n", self.code, self.reason)
    }
}

fn play(facts: &str) -> Played {
    let (inv, seen, world) = facts::read(facts);
    let (steps, outcome) = imagine::play(&inv, &seen, &world);
    let outcome = outcome.expect("the policy never comes to an end");
    assert_eq!(outcome.reason, ascii_line(&outcome.reason, 1000), "a reason that is not one plain line");
    let steps = steps.iter().map(ToString::to_string).collect();
    Played { steps: by_turns(repeated(steps)), code: outcome.code.number(), reason: outcome.reason }
}
