// SPDX-License-Identifier: GPL-2.0-or-later
//! Disks that run from something else than their definition says: an overlay that `virsh snapshot-create-as --disk-only`
//! made, or a copy. A start from the definition would run from the base image without what was written since, and write
//! it, so that the overlay is lost as well.
//!
//! Whoever sees such a disk leaves a record, and a start on this host refuses as long as it counts. It lies in /var/lib,
//! not in /run, and is synced: what was written to the overlay does not end with a boot either, and a node that is fenced
//! boots soon after.

use crate::model::definition::Switched;
use crate::model::facts::Defined;
use crate::sys::roots::Roots;
use crate::sys::run_dir;
use crate::sys::time::Deadline;

fn file(name: &str) -> String {
    format!("{name}.disks")
}

/// Puts on record which disks of the machine were switched; nothing, if none was. What is on record already is left.
/// Whether they are.
pub(crate) fn record(roots: &Roots, name: &str, switched: &[Switched], deadline: Deadline) -> bool {
    if switched.is_empty() {
        run_dir::remove(&roots.lib, &file(name));
        return true;
    }
    let text = serde_json::to_string(switched).unwrap_or_default();
    if matches!(run_dir::read_whole(&roots.lib, &file(name)), Ok(Some(known)) if known == text) {
        return true;
    }
    let written = run_dir::write_synced(&roots.lib, &file(name), &text, deadline);
    if let Err(errno) = &written {
        log::error!("that disks of '{name}' were switched cannot be put on record: {errno}");
    }
    written.is_ok()
}

/// What keeps a machine from being started from this definition: it names a disk that had been switched when the machine
/// was last seen here under one of these names, or its own. A definition that names the new one, or a third, settles it.
#[must_use]
pub(crate) fn hindrance<'a>(
    roots: &Roots,
    defined: &'a Defined,
    names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let mut all: Vec<&str> = names.collect();
    if !all.contains(&defined.name.as_str()) {
        all.push(&defined.name);
    }
    all.into_iter().find_map(|name| hindrance_of(roots, name, defined))
}

fn hindrance_of(roots: &Roots, name: &str, defined: &Defined) -> Option<String> {
    let path = roots.lib.join("vm-agent").join(file(name));
    let unreadable = |why: &dyn std::fmt::Display| {
        Some(format!(
            "{} tells which disks it ran from and cannot be read ({why}): see to it, and remove it",
            path.display()
        ))
    };
    let text = match run_dir::read_whole(&roots.lib, &file(name)) {
        Ok(text) => text?,
        Err(errno) => return unreadable(&errno),
    };
    let switched: Vec<Switched> = match serde_json::from_str(&text) {
        Ok(switched) => switched,
        Err(error) => return unreadable(&error),
    };
    let facts = defined.facts()?;
    let one = switched.iter().find(|one| {
        facts
            .disks
            .iter()
            .any(|disk| disk.target.as_deref() == Some(&one.target) && disk.source.as_deref() == Some(&one.then))
    })?;
    Some(format!(
        "its {} ran from {}, not {}: commit or name the first, then remove {}",
        one.target,
        one.now,
        one.then,
        path.display()
    ))
}

/// The sentence about disks that were switched.
#[must_use]
pub(crate) fn told(name: &str, switched: &[Switched]) -> Option<String> {
    let one = switched.first()?;
    Some(format!(
        "{} of '{name}' runs from {}, but its definition says {}: commit it (virsh blockcommit), or change the definition",
        one.target, one.now, one.then
    ))
}
