// SPDX-License-Identifier: GPL-2.0-or-later
//! Saving into the definition's file what was changed in the running machine since its start, and handing that file to the
//! other nodes by csync2 (`save_config_on_stop`, `sync_config_on_stop`).
//!
//! It is done as well as it goes, in a share of the time: whatever hinders it is a warning, and the action goes on.

use super::Host;
use crate::host::aside;
use crate::model::budget::Share;
use crate::model::definition::{self, Language, Mark};
use crate::model::facts::{Definition, Fact, Facts, Tools};
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::rewrite::{BESIDE, Rewritten};
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

impl Host<'_> {
    /// Puts into the mark of a machine that was just started how libvirt shows it now: what differs at its stop was changed
    /// in between. The mark goes with the machine to whatever host it moves.
    pub(super) fn note_base(&mut self, seen: &Facts) {
        let wanted = matches!(&seen.definition, Definition::File(defined) if defined.language == Language::Xml);
        if !wanted || !self.inv.params.saves_config() || self.looker.tools() == Tools::Xl {
            return;
        }
        let (who, until) = (seen.here.who(), self.until(Share::Mark));
        let Some(xml) = self.looker.xml(&who, true, until) else {
            return log::warn!("libvirt does not show it, so that later changes will be told from nothing");
        };
        // Where libvirt keeps a definition it shows that one, which has no mark.
        let mark = definition::parse(xml.as_bytes()).ok().and_then(|facts| facts.mark);
        if let (Some(mark), Ok(sections)) = (mark, definition::sections(&xml)) {
            let base = format!("{} {sections}", self.version_of_libvirt(until));
            self.set_mark(&who, &Mark { base, ..mark }, until);
        }
    }

    /// Saves it, while libvirt still can tell.
    pub(super) fn save_definition(&mut self, seen: &Facts) {
        let until = self.until(Share::Save);
        match self.saved(seen, until) {
            Ok(None) => log::debug!("there is nothing to save in its definition"),
            Ok(Some(path)) if self.inv.params.sync_config => self.sync(&path),
            Ok(Some(_)) => {}
            Err(why) => {
                log::warn!("what was changed in '{}' while it ran is not in its definition: {why}", seen.here.label());
            }
        }
    }

    /// The file that was written, if one was.
    fn saved(&mut self, seen: &Facts, until: Deadline) -> Result<Option<PathBuf>, String> {
        if self.looker.tools() == Tools::Xl {
            return Err("xl runs it, and tells no definition".into());
        }
        if let Some(from) = self.inv.params.definition_is_from().filter(|from| self.is_no_file(from)) {
            return Err(format!("it comes from {}, which is no file", from.display()));
        }
        self.looker.read_definition_by(self.inv, until);
        let defined = match self.looker.definition() {
            Definition::File(defined) => defined.clone(),
            Definition::Bad(outcome) => return Err(outcome.reason.clone()),
            // It runs from libvirt's own, which virsh changes.
            Definition::None { .. } | Definition::NotLooked | Definition::Unchanged { .. } => return Ok(None),
        };
        let (who, path, shown) = (seen.here.who(), &defined.path, defined.path.display());
        if defined.language == Language::Xl {
            return Err(format!("{shown} is an xl file"));
        }
        if self.is_no_file(path) {
            return Err(format!("{shown} is a device, which is not written to"));
        }
        match self.looker.kept(&who, until) {
            Fact::Known(false) => {}
            Fact::Known(true) => {
                return Err(format!("libvirt shows a definition of its own; {shown} is left as it is"));
            }
            Fact::Silent(silence) => return Err(silence.why),
            Fact::NotAsked => return Err("libvirt was not asked".into()),
        }
        let now = self.backend.inactive_xml(&who, until).map_err(|failure| failure.said)?;
        let unreadable = |error: definition::DefinitionError| format!("what libvirt shows cannot be read: {error}");
        let mark = definition::parse(now.as_bytes()).map_err(unreadable)?.mark.unwrap_or_default();
        let version = self.version_of_libvirt(until);
        // Another version may show the same machine in other words.
        let base = mark.base.split_once(' ').filter(|(of, _)| *of == version).map(|(_, base)| base);
        let Some(base) = base else {
            if definition::say_the_same(&defined.text, &now) {
                return Ok(None);
            }
            let whole = definition::without_ours(&now).map_err(unreadable)?;
            return Err(match aside::rewrite(path, None, false, &whole, until) {
                Rewritten::Over | Rewritten::Beside(_) => {
                    format!("how it was at its start is not on record; as it is now, it is in {shown}{BESIDE}")
                }
                Rewritten::Failed(why) => format!("how it was at its start is not on record ({shown}: {why})"),
            });
        };
        let hash = defined.sha256();
        let is_as_it_was = hash == mark.sha256 || hash == mark.first;
        let changed = definition::with_changes(&defined.text, is_as_it_was, base, &now);
        let Some(changed) = changed.map_err(|error| format!("{shown}: {error}"))? else { return Ok(None) };
        let sections = changed.sections.join(", ");
        let expected = is_as_it_was.then_some(hash.as_str());
        match aside::rewrite(path, expected, changed.has_new_secrets, &changed.text, until) {
            Rewritten::Over => {
                log::info!("{shown}: what was changed in '{}' while it ran was saved: {sections}", defined.name);
            }
            Rewritten::Beside(why) => {
                let why = if why.is_empty() { "it was edited since the start".into() } else { why };
                return Err(format!(
                    "{shown} is left as it is, since {why}; with {sections}, it is in {shown}{BESIDE}"
                ));
            }
            Rewritten::Failed(why) => return Err(format!("{shown} is left as it is: {why}")),
        }
        let path = path.clone();
        self.looker.definition_is_now(changed.text);
        if let Definition::File(defined) = self.looker.definition() {
            self.rewritten = Some(defined.sha256());
        }
        if self.inv.action.moves()
            && let Definition::File(defined) = self.looker.definition()
        {
            // A later stop there must know this file, and that of a node where it was not copied to.
            let first = if mark.first.is_empty() { mark.sha256.clone() } else { mark.first.clone() };
            self.set_mark(&who, &Mark { sha256: defined.sha256(), first, ..mark }, self.until(Share::Mark));
        }
        Ok(Some(path))
    }

    /// libvirt's version, in one word.
    fn version_of_libvirt(&mut self, until: Deadline) -> String {
        self.looker.libvirt_version(until).map_or_else(|| "-".to_owned(), |version| version.to_string())
    }

    /// Has csync2 copy the file to the other nodes.
    fn sync(&self, path: &Path) {
        let not = |why: &str| log::warn!("csync2 has not copied {} to the other nodes: {why}", path.display());
        let Some(program) = find_program("csync2") else { return not("it is not installed") };
        let args: [OsString; 2] = ["-x".into(), path.into()];
        let finished = match Child::new(&program).args(args).run(self.until(Share::Sync)) {
            Ok(finished) => finished,
            Err(error) => return not(&error.to_string()),
        };
        let said = String::from_utf8_lossy(&finished.stderr);
        let last = ascii_line(said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default(), 200);
        match finished.ended {
            Ended::Exited(0) => log::info!("csync2 has copied {} to the other nodes", path.display()),
            Ended::Exited(code) => not(&format!("it ended with {code} ({last})")),
            Ended::Signalled(signal) => not(&format!("it was killed by signal {signal}")),
            Ended::TimedOut => not("it did not end in time"),
        }
    }
}
