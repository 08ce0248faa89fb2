// SPDX-License-Identifier: GPL-2.0-or-later
//! history by hand: the records of one machine's actions on this host, from the journal and from the file that takes its
//! place (`callers/records.rs`). What is shown has no control characters. Changes nothing.

use super::list::table;
use super::logs::plain;
use crate::callers::records::{FACTS, FILE, KINDS, TIME};
use crate::host::look::Looker;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::outcome::Code;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::roots::Roots;
use crate::sys::run_dir;
use crate::sys::time::{Deadline, utc};
use serde_json::{Map, Value, from_slice};
use std::time::{Duration, UNIX_EPOCH};

/// The most that is read of the journal: some hundred records with their facts.
const MOST: usize = 32 << 20;

/// One record's fields.
pub(super) type Fields = Map<String, Value>;

/// The last records, as they are shown, or each as one JSON object with its facts; what is to be told beside it; whether
/// anything was found.
pub(super) fn look(inv: &Invocation, env: &Environment, most: usize, json: bool) -> (String, Vec<String>, Code) {
    let deadline = inv.budget().deadline();
    let roots = Roots::default();
    let name = inv.params.name.clone().or_else(|| {
        let mut looker = Looker::new(inv, env, roots.clone());
        looker.read_definition(inv);
        looker.definition().name().map(str::to_owned)
    });
    let Some(name) = name else {
        let why = "the machine's name is not known, since its definition cannot be read: give it";
        return (String::new(), vec![why.to_owned()], Code::Args);
    };
    let mut told = Vec::new();
    let mut records =
        journal(&name, most, json, inv.budget().until(Share::StatusLook, deadline)).unwrap_or_else(|why| {
            told.push(format!("the journal is not shown: {why}"));
            Vec::new()
        });
    for file in [format!("{FILE}.1"), FILE.to_owned()] {
        match run_dir::read_whole(&roots.run, &file) {
            Ok(text) => records.extend(read(text.unwrap_or_default().as_bytes()).filter(|record| is_of(record, &name))),
            Err(errno) => told.push(format!("{}/vm-agent/{file} cannot be read: {errno}", roots.run.display())),
        }
    }
    records.sort_by_key(time);
    let records = records.split_off(records.len().saturating_sub(most));
    let code = if records.is_empty() { Code::Generic } else { Code::Ok };
    let text = if json {
        records.iter().map(|record| Value::Object(ours(record)).to_string()).collect::<Vec<_>>().join("\n")
    } else if records.is_empty() {
        format!("{name}: nothing is on record here")
    } else {
        shown(&records)
    };
    (text, told, code)
}

/// The records of a text, of which each has a line. One that was cut off, by a file system that was full, is none.
fn read(text: &[u8]) -> impl Iterator<Item = Fields> {
    text.split(|byte| *byte == b'\n').filter_map(|line| from_slice(line).ok())
}

/// The journal's records, of whoever this is: those of another user may be anything.
fn journal(name: &str, most: usize, json: bool, deadline: Deadline) -> Result<Vec<Fields>, String> {
    let program = find_program("journalctl").ok_or("journalctl is not installed")?;
    let mut words: Vec<String> = ["--quiet", "--no-pager", "--all", "--output=json"].map(str::to_owned).into();
    words.push(format!("--lines={most}"));
    if !json {
        words.push("--output-fields=NODE,OCF_ACTION,OCF_RC,DURATION_MS,REASON".into());
    }
    words.push(format!("_UID={}", rustix::process::geteuid().as_raw()));
    words.push(format!("VM_NAME={name}"));
    words.extend(KINDS.iter().map(|(_, id)| format!("MESSAGE_ID={id}")));
    let finished = Child::new(&program).args(words).capture(MOST).run(deadline).map_err(|error| error.to_string())?;
    match finished.ended {
        Ended::Exited(0) if finished.dropped > 0 => Err("it has too much of it: ask for fewer by -n".into()),
        Ended::Exited(0) => Ok(read(&finished.stdout).collect()),
        ended @ (Ended::Exited(_) | Ended::Signalled(_) | Ended::TimedOut) => {
            let said = String::from_utf8_lossy(&finished.stderr);
            Err(said.lines().next().map_or_else(|| format!("journalctl ended with {ended:?}"), plain))
        }
    }
}

fn is_of(record: &Fields, name: &str) -> bool {
    let kind = field(record, "MESSAGE_ID");
    field(record, "VM_NAME") == name && KINDS.iter().any(|(_, id)| *id == kind)
}

/// When it was written, in microseconds since 1970.
fn time(record: &Fields) -> u64 {
    field(record, TIME).parse().unwrap_or_default()
}

/// The text of a field: journalctl gives one that is no plain text as numbers.
pub(super) fn field(record: &Fields, name: &str) -> String {
    match record.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(bytes)) => {
            let bytes = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Vec<_>>();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => String::new(),
    }
}

/// When a record was written, for people.
pub(super) fn written(record: &Fields) -> String {
    utc(UNIX_EPOCH + Duration::from_micros(time(record)))
}

/// The fields that the agent has written, and the time: the journal has more.
fn ours(record: &Fields) -> Fields {
    let ours = record.keys().filter(|name| *name == TIME || !name.starts_with('_'));
    ours.map(|name| (name.clone(), Value::String(field(record, name)))).collect()
}

/// A table.
fn shown(records: &[Fields]) -> String {
    let mut rows: Vec<Vec<String>> =
        vec![["TIME", "NODE", "ACTION", "CODE", "SECONDS", "REASON"].map(String::from).into()];
    rows.extend(records.iter().map(|record| {
        let text = |name| plain(&field(record, name));
        let took = text("DURATION_MS").parse().map(Duration::from_millis);
        let seconds = took.map_or_else(|_| "-".into(), |took| format!("{:.1}", took.as_secs_f64()));
        vec![written(record), text("NODE"), text("OCF_ACTION"), text("OCF_RC"), seconds, text("REASON")]
    }));
    table(&rows)
}

/// The facts of a record; or why it has none.
///
/// # Errors
/// A sentence.
pub(super) fn facts(record: &Fields) -> Result<String, String> {
    match record.get(FACTS) {
        Some(Value::Null) => Err(format!("journalctl has left its {FACTS} out: give journalctl --all")),
        None => Err(format!("it has no {FACTS}: it is no record of vm-agent's")),
        Some(_) => Ok(field(record, FACTS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(fields: &Value) -> Fields {
        fields.as_object().unwrap().clone()
    }

    #[test]
    fn records_are_a_table_and_none_that_a_terminal_obeys() {
        let records = [
            record(&json!({TIME: "1795323000000000", "NODE": "n1", "OCF_ACTION": "start", "OCF_RC": "0",
                "DURATION_MS": "2049", "REASON": "'a' runs"})),
            record(&json!({"OCF_ACTION": [0x1b, 0x61, 999], "OCF_RC": null, "DURATION_MS": 7, "REASON": "x\ty"})),
        ];
        assert_eq!(
            shown(&records),
            "TIME                  NODE  ACTION  CODE  SECONDS  REASON\n\
             2026-11-22T04:50:00Z  n1    start   0     2.0      'a' runs\n\
             1970-01-01T00:00:00Z         a            -        x y"
        );
    }

    #[test]
    fn of_a_text_that_is_cut_the_whole_records_count() {
        assert_eq!(read(b"{\"A\":\"1\"}\n{\"A{\"A\":\"2\"}\n{\"A\":\"3\"}\n{\"A\":").count(), 2);
        assert_eq!(read(b"\xff{}\n[1]\n\n7").count(), 0);
    }

    #[test]
    fn what_the_journal_adds_is_not_shown() {
        let given = json!({TIME: "1", "_PID": "1", "__CURSOR": "c", "NODE": [110, 49], FACTS: null});
        assert_eq!(Value::Object(ours(&record(&given))), json!({TIME: "1", "NODE": "n1", FACTS: ""}));
        assert!(facts(&record(&given)).unwrap_err().contains("--all"));
        assert!(facts(&record(&json!({}))).is_err());
    }
}
