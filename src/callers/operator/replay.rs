// SPDX-License-Identifier: GPL-2.0-or-later
//! replay by hand: records, as `history --json` or `journalctl --all --output=json` gives them, are decided again by the
//! policy of today. Acts on nothing.

use super::history::{Fields, facts, field, written};
use super::input;
use super::logs::plain;
use crate::engine::replay::{Readable, ReplayedLook, replay};
use crate::engine::story::story;
use crate::model::outcome::Code;
use crate::sys::text::say;
use crate::sys::time::Deadline;
use serde_json::{Deserializer, Value};
use std::io::{stderr, stdout};
use std::path::Path;
use std::time::Duration;

/// The largest file that is read.
const MOST: usize = 64 << 20;
/// How long its storage may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Decides all records of a file again, and prints what comes of it, or prints each as a story; gives the exit code: 0 where
/// each look is decided as it was, 1 where one is not, 2 where there is none or one cannot be read.
pub(super) fn print(file: &Path, as_story: bool) -> u8 {
    let from = input::name(file);
    let read = input::read(file, MOST, Deadline::after(PATIENCE)).map_err(|why| format!("it cannot be read: {why}"));
    let told = read.and_then(|bytes| all(&bytes, as_story, &mut |text| say(&mut stdout(), text)));
    match told {
        Ok(true) => Code::Ok.number(),
        Ok(false) => Code::Generic.number(),
        Err(why) => {
            say(&mut stderr(), &format!("vm-agent: {from}: {}", plain(&why)));
            Code::Args.number()
        }
    }
}

/// Whether each record is decided as it was.
///
/// # Errors
/// There is none, or one cannot be read; a sentence.
fn all(bytes: &[u8], as_story: bool, tell: &mut dyn FnMut(&str)) -> Result<bool, String> {
    if bytes.len() > MOST {
        return Err(format!("it is larger than {} MiB", MOST >> 20));
    }
    let (mut same, mut count) = (true, 0);
    for record in Deserializer::from_slice(bytes).into_iter::<Value>() {
        count += 1;
        let replayed = record.map_err(|error| error.to_string()).and_then(|record| one(&record, as_story));
        let (text, as_recorded) = replayed.map_err(|why| format!("record {count}: {why}"))?;
        if as_story && count > 1 {
            tell("\n");
        }
        tell(&text);
        same &= as_recorded;
    }
    if count == 0 { Err("there is no record in it".into()) } else { Ok(same) }
}

/// One record in words, or as a story, and whether it is decided as it was.
fn one(record: &Value, as_story: bool) -> Result<(String, bool), String> {
    let Value::Object(fields) = record else { return Err("expected an object with a record's fields".into()) };
    // What a record's field has may be given alone.
    let alone = fields.contains_key("looks");
    let recorded = if alone { record.to_string() } else { facts(fields)? };
    let record = Readable::of(&recorded)?;
    let told = as_story.then(|| plain_lines(&story(&record)));
    let replayed = replay(record);
    if let Some(told) = told {
        return Ok((told, replayed.looks.iter().all(ReplayedLook::is_same)));
    }
    let mut text = if alone { replayed.call.clone() } else { title(fields, &replayed.call) };
    text.push_str(&format!(" (recorded by vm-agent {})\n", replayed.agent));
    replayed.looks.iter().for_each(|look| text.push_str(&in_words(look)));
    if !replayed.otherwise.is_empty() {
        text.push_str(&format!("  not in the record as they were given: {}\n", replayed.otherwise.join(", ")));
    }
    if replayed.left_out > 0 {
        text.push_str(&format!("  not in the record for lack of room: {} more looks\n", replayed.left_out));
    }
    let (looks, differ) = (replayed.looks.len(), replayed.looks.iter().filter(|look| !look.is_same()).count());
    text.push_str(&match (looks, differ) {
        (0, _) => "nothing was seen before it ended, so there is nothing to decide again".to_owned(),
        (_, 0) => format!("decided the same at each look ({looks})"),
        (_, _) => format!("DECIDED OTHERWISE at {differ} of {looks} looks"),
    });
    Ok((plain_lines(&text), differ == 0))
}

/// What it was.
fn title(record: &Fields, call: &str) -> String {
    let text = |name| field(record, name);
    format!("{} '{}' on {}: {call}", written(record), text("VM_NAME"), text("NODE"))
}

/// What was seen at a look, and decided.
fn in_words(look: &ReplayedLook) -> String {
    let ReplayedLook { spent, seen, recorded, today } = look;
    let mut text = format!("  {:>9.3} s  {seen}\n", spent.as_secs_f64());
    if look.is_same() {
        text.push_str(&format!("               {recorded}\n"));
    } else {
        text.push_str(&format!("     recorded: {recorded}\n        today: {today}\n"));
    }
    text
}

/// A text of several lines, each whole, of which none has anything that a terminal would obey.
fn plain_lines(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    plain.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(bytes: &[u8]) -> String {
        all(bytes, false, &mut |_| {}).unwrap_err()
    }

    #[test]
    fn several_records_are_as_many_stories_also_those_in_which_nothing_was_decided() {
        let long = "x".repeat(5000);
        let call = json!({"caller": "human", "action": "start", "timeout": {"secs": 9, "nanos": 0}, "otherwise": [],
            "environment": {"OCF_RESKEY_status_program": format!("{long}\n\u{1b}y")}});
        let record = json!({"version": 1, "agent": "0.1.0", "call": call, "looks": [], "left_out": 0}).to_string();
        let mut told = String::new();
        all(record.repeat(2).as_bytes(), true, &mut |text| told += &format!("{text}\n")).unwrap();
        let stories: Vec<&str> = told.trim_end().split("\n\n\n").collect();
        assert!(stories.len() == 2 && stories[0] == stories[1], "{told}");
        let (above, below) = stories[0].split_once("\n---\n").unwrap();
        assert!(above.starts_with("# recorded-start: ") && below == "(nothing was decided)", "{told}");
        assert!(above.contains(&format!("\nparam status_program={long}  y")), "{told}");
        assert!(above.contains("\n# Not told: the line breaks in the value of status_program\n"), "{told}");
    }

    #[test]
    fn what_is_no_record_is_refused_in_a_sentence() {
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        for (bytes, part) in [
            (b"".as_slice(), "no record in it"),
            (b" \n", "no record in it"),
            (b"x", "record 1: expected value at line 1"),
            (b"[]", "expected an object"),
            (b"7", "expected an object"),
            (b"{}", "no VM_AGENT_FACTS"),
            (b"{\"VM_AGENT_FACTS\":null}", "journalctl --all"),
            (b"{\"VM_AGENT_FACTS\":\"{\"}", "it is not JSON: EOF"),
            (b"{\"VM_AGENT_FACTS\":\"\xff\"}", "invalid unicode"),
            (b"{\"VM_AGENT_FACTS\":[123,34]}", "it is not JSON: EOF"),
            (b"{\"VM_AGENT_FACTS\":\"{}\"}", "it has no version"),
            (b"{\"looks\":[],\"version\":2}", "version 2; expected version 1"),
            (b"{\"looks\":[],\"version\":1}", "missing field `agent`"),
            (&deep, "recursion limit"),
            (&vec![b' '; MOST + 1], "larger than 64 MiB"),
        ] {
            let why = refused(bytes);
            assert!(why.contains(part), "{why}");
        }
    }
}
