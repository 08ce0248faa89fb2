// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts as sentences, for `explain` and for the log of who wants to know everything. Never with a definition's text.

use crate::model::facts::{Definition, Facts, Libvirt, Place, Process, RunId};
use crate::sys::text::uuid_text;
use std::fmt;

impl fmt::Display for Libvirt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => {
                write!(f, "knows '{}', {} ({})", domain.name, domain.state, uuid_text(&domain.uuid))
            }
            Self::NoDomain => f.write_str("answered: there is no such domain"),
            Self::Unusable(why) => write!(f, "not asked: {why}"),
            Self::Ambiguous(why) => write!(f, "answered, but {why}"),
            Self::Silent(silence) => f.write_str(&silence.why),
        }
    }
}

impl Place {
    /// The process table's word.
    #[must_use]
    pub(crate) fn process_in_words(&self) -> String {
        match &self.process {
            Process::NotLooked => format!("not asked, since {}'s word is enough", self.tools),
            Process::Alive { run: run @ RunId::XenDomain(_), name, .. } => format!("{run} is it, named '{name}'"),
            Process::Alive { run, name, .. } if self.name.as_ref().is_none_or(|asked| asked == name) => {
                format!("{run} is the domain's")
            }
            Process::Alive { run, name, .. } => format!("{run} is the domain's, under the name '{name}'"),
            Process::Gone => "all processes were read, and none is the domain's".into(),
            Process::NoDomain => "everything was read, and Xen has no such domain".into(),
            Process::MayBe(why) => format!("{why}, and may be the domain"),
            Process::Namesake(why) => format!("none is the domain's: {why}"),
            Process::Unknown(why) => format!("proves nothing: {why}"),
        }
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLooked => f.write_str("not looked for"),
            Self::File(defined) => write!(f, "{} (sha256 {})", defined.path.display(), defined.sha256()),
            Self::Unchanged { .. } => f.write_str("unchanged since it was last read"),
            Self::None { looked_at } if looked_at.is_empty() => f.write_str("no file is named; libvirt's own counts"),
            Self::None { looked_at } => {
                let places: Vec<String> = looked_at.iter().map(|p| p.display().to_string()).collect();
                write!(f, "no file: there is no {}; libvirt's own counts", places.join(", "))
            }
            Self::Bad(outcome) => write!(f, "cannot be used: {}", outcome.reason),
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.here.name.as_deref().unwrap_or("a machine of unknown name");
        let (libvirt, process) = (&self.here.libvirt, self.here.process_in_words());
        write!(f, "{name}: {}: {libvirt}; host: {process}; definition: {}", self.here.tools, self.definition)?;
        if self.here.starting.is_some() {
            f.write_str("; a start is on record")?;
        }
        if let Some(hindrance) = &self.hindrance {
            write!(f, "; in the way of a start: {hindrance}")?;
        }
        Ok(())
    }
}
