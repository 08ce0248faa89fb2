// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading the definition that the parameters point at.

use crate::host::aside::{self, Unlocated};
use crate::host::definition_command;
use crate::host::locate::{self, DefinitionAt, Found};
use crate::host::records::Reading;
use crate::model::call::Invocation;
use crate::model::definition::{self, Language};
use crate::model::facts::{Defined, Definition};
use crate::model::outcome::{Code, Outcome};
use crate::model::params::DefinitionCommand;
use crate::sys::time::Deadline;
use std::path::Path;

/// Where a definition comes from.
enum DefinitionFrom<'a> {
    Storage(DefinitionAt<'a>),
    Command(&'a DefinitionCommand),
}

/// What the definition from there is known by as long as it need not be read again: that of a command, or of a block device,
/// until the next start.
pub(super) fn stamp(inv: &Invocation, from: &Path) -> Option<String> {
    of_command(inv).or_else(|| locate::stamp(from))
}

fn lasting_stamp(inv: &Invocation, from: &Path) -> Option<String> {
    of_command(inv).or_else(|| locate::lasting_stamp(from))
}

fn of_command(inv: &Invocation) -> Option<String> {
    inv.params.definition_command.as_ref().map(|command| format!("{COMMAND}{}", command.text.display()))
}

/// Whether a stamp is of something that only a start reads.
pub(super) fn is_read_once(stamp: &str) -> bool {
    stamp.starts_with(COMMAND) || locate::is_device(stamp)
}

/// What the stamp of a command begins with.
const COMMAND: &str = "command ";

/// The hypervisor of a host that has no other.
const QEMU_HERE: &str = "qemu:///system";

/// Reads the definition that the parameters point at; its storage may take as long as the deadline says. What a later
/// monitor may rely on is put into `reading`.
pub(super) fn read_definition(
    inv: &Invocation,
    uri: &str,
    deadline: Deadline,
    reading: &mut Option<Reading>,
) -> Definition {
    let bad = |code, text: String| Definition::Bad(Outcome::new(code, text));
    let params = &inv.params;
    let place = match (&params.definition_command, &params.config, &params.path, &params.name) {
        (Some(command), None, None, _) => DefinitionFrom::Command(command),
        (Some(_), _, _, _) => {
            let other = if params.config.is_some() { "config" } else { "path" };
            let text = format!("definition_command and {other} are both set; expected one of them");
            return bad(Code::Configured, text);
        }
        (None, Some(config), _, _) => DefinitionFrom::Storage(DefinitionAt::File(config)),
        (None, None, Some(path), Some(name)) => DefinitionFrom::Storage(DefinitionAt::Path(path, name)),
        (None, None, Some(_), None) => return bad(Code::Configured, "path is set but not name; expected both".into()),
        (None, None, None, _) => return Definition::None { looked_at: Vec::new() },
    };
    // Before the text: a file that is changed between the two bears another stamp by then.
    let from = params.definition_is_from().filter(|_| params.name.is_none());
    let stamp = from.and_then(|from| lasting_stamp(inv, from));
    let found = match place {
        DefinitionFrom::Storage(place) => aside::definition(&place, deadline),
        DefinitionFrom::Command(command) => match definition_command::run(command, inv, deadline) {
            Ok(found) => Ok(found),
            Err(outcome) => return Definition::Bad(outcome),
        },
    };
    let (path, text, language) = match found {
        Ok(Found::File { path, kind, text }) => (path, text, kind),
        Ok(Found::NotFound { looked_at }) if inv.params.config.is_some() => {
            let places: Vec<String> = looked_at.iter().map(ToString::to_string).collect();
            return bad(Code::Installed, format!("config: there is no {}", places.join(", ")));
        }
        Ok(Found::NotFound { looked_at }) => {
            return Definition::None { looked_at: looked_at.into_iter().map(|place| place.path).collect() };
        }
        Err(Unlocated::Parameter(why)) => return bad(Code::Configured, format!("path: {why}")),
        Err(Unlocated::Unusable(why)) => return bad(Code::Installed, why),
        Err(Unlocated::Silent(waited)) => {
            let waited = waited.as_secs_f32();
            return bad(
                Code::Generic,
                format!("the definition could not be read within {waited:.0} s: its storage hangs"),
            );
        }
    };
    let read = match language {
        Language::Xml => definition::parse(&text),
        Language::Xl => definition::parse_xl(&text),
    };
    let facts = match read {
        Ok(facts) => facts,
        Err(error) => return bad(Code::Installed, format!("{}: {error}", path.display())),
    };
    let Ok(text) = String::from_utf8(text) else {
        return bad(Code::Installed, format!("{} is not UTF-8 text", path.display()));
    };
    let defined = Defined { path, name: facts.name, uuid: facts.uuid, text: text.into(), language };
    if let Some(wanted) = &inv.params.name
        && let Err(outcome) = defined.is_for(wanted)
    {
        return Definition::Bad(outcome);
    }
    if language == Language::Xl && uri == QEMU_HERE && inv.params.hypervisor.is_none() {
        let path = defined.path.display();
        return bad(Code::Installed, format!("{path} is an xl file, and this host is no Xen dom0"));
    }
    if let Err(text) = fits(&facts.domain_type, uri) {
        return bad(Code::Installed, format!("{} {text}", defined.path.display()));
    }
    *reading = stamp.map(|stamp| Reading::of(&stamp, uri, &defined.name, defined.uuid));
    Definition::File(Box::new(defined))
}

/// Whether a definition of this type is for the hypervisor of `uri`.
pub(super) fn fits(domain_type: &str, uri: &str) -> Result<(), String> {
    let driver = uri.split([':', '+']).next().unwrap_or_default();
    let wanted = match domain_type {
        "kvm" | "qemu" => "qemu",
        other => other,
    };
    if driver == wanted || !matches!(wanted, "qemu" | "xen" | "lxc") || !matches!(driver, "qemu" | "xen" | "lxc") {
        return Ok(());
    }
    Err(format!("is for the hypervisor '{domain_type}', but {uri} is used: set hypervisor to {wanted}"))
}
