// SPDX-License-Identifier: GPL-2.0-or-later
//! What this host lacks for a definition: looked at here, and asked of libvirt. For validate-all and for a person; nothing
//! that an action decides rests on it.
//!
//! What is not known is no lack, but for storage that is silent: that is said.

mod devices;
mod files;

use crate::hypervisor::backend;
use crate::model::definition::{self, DefinitionText, Language, Need};
use crate::model::facts::Defined;
use crate::model::lack::{Lack, LackKind};
use crate::model::worker::{Question, Request};
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;

/// What the domain of a definition needs of its host; nothing, where the text is no definition.
pub(crate) fn needs(defined: &Defined) -> Vec<Need> {
    let Some(facts) = defined.facts() else { return Vec::new() };
    match defined.language {
        Language::Xl => definition::needs(&facts, None),
        Language::Xml => {
            definition::read(&defined.text).map(|root| definition::needs(&facts, Some(&root))).unwrap_or_default()
        }
    }
}

/// What of these needs this host does not serve, but for ports. Files are looked at in processes of their own, at most until
/// the deadline.
pub(crate) fn look(needs: &[Need], roots: &Roots, patience: Deadline) -> Vec<Lack> {
    let mut lacks = files::look(needs, roots, patience);
    lacks.extend(devices::look(needs, roots));
    lacks
}

/// The ports of its consoles that somebody has; for a domain that does not run here, else that is the domain itself.
pub(crate) fn ports(needs: &[Need], roots: &Roots) -> Vec<Lack> {
    devices::ports(needs, roots)
}

/// What libvirt at `uri` says that it lacks for a definition; `starts`: networks and pools that are not active will be started.
/// What it does not tell goes to the log.
///
/// # Errors
/// Why it was not asked, or did not answer.
pub(crate) fn ask(uri: &str, xml: &DefinitionText, starts: bool, patience: Deadline) -> Result<Vec<Lack>, String> {
    let mut request = Request::host(uri, Question::Check { xml: xml.clone(), starts });
    request.timeout = Some(patience.left());
    let answer = backend::ask_worker(&request, patience).map_err(|why| why.to_string())?;
    let lacks = answer.lacks.unwrap_or_default();
    lacks.unknown.iter().for_each(|unknown| log::warn!("{unknown}"));
    Ok(lacks.missing)
}

/// What both say, each once.
pub(crate) fn together(mut here: Vec<Lack>, libvirts: Vec<Lack>) -> Vec<Lack> {
    for lack in libvirts {
        let said = |known: &Lack| {
            // Without its emulator there is no machine either.
            let of_emulator = lack.kind == LackKind::MachineType
                && matches!(known.kind, LackKind::EmulatorMissing | LackKind::EmulatorNotExecutable)
                && lack.sentence.contains(&known.what);
            of_emulator || (known.kind, &known.what) == (lack.kind, &lack.what)
        };
        if !here.iter().any(said) {
            here.push(lack);
        }
    }
    here
}

#[cfg(test)]
mod tests;
