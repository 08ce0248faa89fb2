// SPDX-License-Identifier: GPL-2.0-or-later
//! The record of an action that has ended: its fields to the system's journal, in the journal's own protocol; where there is
//! no journal, a line of a file in the run folder. docs/RECORDS.md tells of each field. Losing a record is never an error.
//!
//! That file lies in memory (`/run`), since a disk may hang, and an action must not hang with it; it is bounded, and gone
//! with the host's next boot.

use crate::engine::recording::Recording;
use crate::model::action::Class;
use crate::model::call::Invocation;
use crate::model::outcome::{Code, Outcome};
use crate::sys::hosts;
use crate::sys::roots::Roots;
use crate::sys::run_dir;
use crate::sys::text::{ascii_line, uuid_text};
use serde_json::{Map, Value};
use std::os::unix::net::UnixDatagram;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the journal takes datagrams, below the folder of `/run`.
const JOURNAL: &str = "systemd/journal/socket";
/// The file in its place.
pub(super) const FILE: &str = "records";
/// How long that file may become; as much again is kept of what was before.
const MOST: u64 = 512 * 1024;
/// The longest text of a field, but for the facts.
const TEXT: usize = 1000;

/// The field with the facts and what was decided from them, which `vm-agent replay` reads.
pub(crate) const FACTS: &str = "VM_AGENT_FACTS";
/// When it was written, in microseconds since 1970, as the journal calls it.
pub(super) const TIME: &str = "__REALTIME_TIMESTAMP";

/// What a record is of, and its MESSAGE_ID.
pub(crate) const KINDS: [(Class, &str); 6] = [
    (Class::Start, "1130b5d2215f4448b4df18eff1a70dc5"),
    (Class::Stop, "ea80a17fdcdc45fca5f437bf93c64ad6"),
    (Class::Watch, "69bbfd95fde64defaa414d84ee498681"),
    (Class::Move, "eae35a6b460c4ca0a7a668fba3873545"),
    (Class::Receive, "3b47dc0755a74e56acf0eb497fd8f84c"),
    (Class::Reload, "20ddf46ed4204106b6c0ca54b73507b3"),
];

/// Puts an action on record.
pub(crate) fn write(inv: &Invocation, recording: &Recording, outcome: &Outcome, roots: &Roots) {
    let Some((_, message_id)) = KINDS.iter().find(|(class, _)| *class == inv.action.class()) else { return };
    let fields = fields(inv, message_id, recording, outcome);
    if let Err(error) = to_journal(&fields, roots) {
        log::debug!("the journal did not take the record: {error}");
        if let Err(errno) = run_dir::append(&roots.run, FILE, &line(&fields), MOST) {
            log::debug!("the action was not put on record: {errno}");
        }
    }
}

/// The fields, in the order in which they are documented. No value has more than one line.
fn fields(inv: &Invocation, message_id: &str, recording: &Recording, outcome: &Outcome) -> Vec<(&'static str, String)> {
    let (action, reason) = (inv.action.word(), ascii_line(&outcome.reason, TEXT));
    let name = recording.name().or(inv.params.name.as_deref()).unwrap_or_default();
    let node = inv.node.clone().unwrap_or_else(hosts::own_name);
    let one_line =
        |text: &str| -> String { text.chars().take(TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect() };
    let all = [
        ("MESSAGE", format!("{action} of '{}' answered {}: {reason}", one_line(name), outcome.code.number())),
        ("MESSAGE_ID", message_id.to_owned()),
        ("PRIORITY", if outcome.code == Code::Ok { "6" } else { "4" }.to_owned()),
        ("SYSLOG_IDENTIFIER", "vm-agent".to_owned()),
        ("VM_NAME", one_line(name)),
        ("VM_UUID", recording.uuid().as_ref().map(uuid_text).unwrap_or_default()),
        ("OCF_ACTION", action.to_owned()),
        ("OCF_RC", outcome.code.number().to_string()),
        ("OCF_RESOURCE_INSTANCE", one_line(&inv.instance)),
        ("REASON", reason),
        ("DURATION_MS", recording.took().as_millis().to_string()),
        ("NODE", one_line(&node)),
        ("CALLER", inv.caller.word().to_owned()),
        (FACTS, recording.text(inv, outcome)),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// One datagram, without waiting: a journal that nobody reads must not stop the agent.
fn to_journal(fields: &[(&'static str, String)], roots: &Roots) -> std::io::Result<()> {
    let datagram: String = fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(datagram.as_bytes(), roots.run.join(JOURNAL)).map(|_| ())
}

/// A line as `journalctl --output=json` would print it.
fn line(fields: &[(&'static str, String)]) -> String {
    let microseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let time = std::iter::once((TIME, microseconds.to_string()));
    let all = time.chain(fields.iter().cloned()).map(|(name, value)| (name.to_owned(), Value::String(value)));
    Value::Object(all.collect::<Map<_, _>>()).to_string()
}
