// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading the definition that the parameters point at.

use crate::host::aside::{self, Unlocated};
use crate::host::locate::{self, DefinitionAt, Found};
use crate::host::records::Reading;
use crate::model::call::Invocation;
use crate::model::definition::{self, Language};
use crate::model::facts::{Defined, Definition};
use crate::model::outcome::{Code, Outcome};
use crate::sys::time::Deadline;

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
    let place = match (&inv.params.config, &inv.params.path, &inv.params.name) {
        (Some(config), _, _) => DefinitionAt::File(config),
        (None, Some(path), Some(name)) => DefinitionAt::Path(path, name),
        (None, Some(_), None) => return bad(Code::Configured, "path is set but not name; expected both".into()),
        (None, None, _) => return Definition::None { looked_at: Vec::new() },
    };
    // Before the text: a file that is changed between the two bears another stamp by then.
    let config = inv.params.config.as_deref().filter(|_| inv.params.name.is_none());
    let stamp = config.and_then(locate::lasting_stamp);
    let found = aside::definition(&place, deadline);
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
