// SPDX-License-Identifier: GPL-2.0-or-later
//! A definition that is no file, but is on a block device or printed by `definition_command`, is read by a start alone. That
//! it says something else by now is told by the next start, and by monitors of depth 10; it changes no answer.

use super::Host;
use crate::host::locate;
use crate::host::records::{self, DefinitionNote};
use crate::model::budget::Share;
use crate::model::facts::{Defined, Definition, Facts};
use std::path::Path;

/// How much of a hash tells two definitions apart for a person.
const SHORT: usize = 12;

impl Host<'_> {
    /// Whether a definition from there is no file.
    pub(super) fn is_no_file(&self, path: &Path) -> bool {
        self.inv.params.definition_command.is_some()
            || locate::stamp(path).is_some_and(|stamp| locate::is_device(&stamp))
    }

    /// Tells a start that its definition is another one than at the last start here.
    pub(super) fn tell_drift_since_last_start(&self, defined: &Defined) {
        if !self.is_no_file(&defined.path) {
            return;
        }
        let (now, run) = (defined.sha256(), &self.looker.roots.run);
        if let Some(then) = records::noted_definition(run, &defined.name, DefinitionNote::Hash)
            && then != now
        {
            log::warn!(
                "'{}' is started from another definition than the last time here: {} gives {} now, and gave {}",
                defined.name,
                defined.path.display(),
                short(&now),
                short(&then)
            );
        }
    }

    /// Puts on record what it was started from.
    pub(super) fn note_definition(&self, defined: &Defined) {
        if self.is_no_file(&defined.path) {
            let run = &self.looker.roots.run;
            records::note_definition(run, &defined.name, DefinitionNote::Hash, &defined.sha256());
        }
    }

    /// Reads it, and tells what is new about it: that it is not what the machine was started from, or cannot be had.
    pub(super) fn tell_drift(&mut self, seen: &Facts) {
        let from = self.inv.params.definition_is_from();
        if !from.is_some_and(|from| self.is_no_file(from)) {
            return;
        }
        let until = self.until(Share::Definition);
        let Some(mark) = self.looker.mark(until).filter(|mark| !mark.sha256.is_empty()) else { return };
        self.looker.read_definition_by(self.inv, until);
        let name = seen.here.label();
        let told = match self.looker.definition() {
            Definition::File(defined) if defined.sha256() == mark.sha256 => String::new(),
            Definition::File(defined) => format!(
                "{} gives another definition by now than '{name}' was started from: {}, not {}",
                defined.path.display(),
                short(&defined.sha256()),
                short(&mark.sha256)
            ),
            Definition::Bad(outcome) => format!("'{name}' could not be started again now: {}", outcome.reason),
            Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } => return,
        };
        let run = &self.looker.roots.run;
        let before = records::noted_definition(run, name, DefinitionNote::Told).unwrap_or_default();
        if told != before {
            records::note_definition(run, name, DefinitionNote::Told, &told);
            if !told.is_empty() {
                log::warn!("{told}");
            }
        }
    }
}

fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}
