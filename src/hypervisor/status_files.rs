// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirt's own record of its active domains: one status file each in `/run/libvirt/qemu` (or `lxc`), with the live
//! definition in it, our mark included. libvirt writes it before a domain runs, after each change, and removes it when
//! the domain has ended (`src/conf/virdomainobjlist.c`, `virDomainObjSave`), so its daemons know their domains after a
//! restart. It names a domain without asking a daemon, which a domain that hangs in its start can block.
//!
//! It only says which domain is meant. Whether that runs is asked of libvirt, or of the process table.

use super::process::Driver;
use crate::model::definition::{MARK_NAMESPACE, MAX_BYTES, Recorded, status_file};
use crate::sys::files::{open_file, open_folder};
use crate::sys::roots::Roots;
use crate::sys::text::uuid_text;
use rustix::fs::FileType;
use std::fs::File;
use std::io::Read;
use std::time::SystemTime;

/// When libvirt last wrote the status of the domain of this name: at the last change of its state, or at the daemon's start.
pub(crate) fn changed(roots: &Roots, driver: Driver, name: &str) -> Option<SystemTime> {
    if name.contains('/') {
        return None;
    }
    std::fs::symlink_metadata(roots.run.join(driver.folder()?).join(format!("{name}.xml"))).ok()?.modified().ok()
}

/// What is looked for; a file without this text is not parsed.
pub(crate) enum Sought<'a> {
    /// The domain of this UUID.
    Uuid(&'a [u8; 16]),
    /// A domain that bears our mark.
    Marked,
}

/// The first active domain that is sought and `fits`. An error: the files cannot be read, and say nothing.
pub(crate) fn find(
    roots: &Roots,
    driver: Driver,
    sought: &Sought<'_>,
    fits: impl Fn(&Recorded) -> bool,
) -> Result<Option<Recorded>, rustix::io::Errno> {
    let name = driver.folder().ok_or(rustix::io::Errno::NOTSUP)?;
    let folder = open_folder(&roots.run.join(name))?;
    let text = match sought {
        Sought::Uuid(uuid) => uuid_text(uuid),
        Sought::Marked => MARK_NAMESPACE.to_owned(),
    };
    let mut bytes = Vec::new();
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        if !entry.file_name().to_bytes().ends_with(b".xml") {
            continue;
        }
        // One that vanishes is of a domain that ends.
        let Ok(file) = open_file(&folder, entry.file_name()) else { continue };
        let trusted = rustix::fs::fstat(&file).is_ok_and(|facts| {
            FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile
                && (facts.st_uid == 0 || facts.st_uid == rustix::process::geteuid().as_raw())
        });
        bytes.clear();
        if !trusted || File::from(file).take(MAX_BYTES as u64).read_to_end(&mut bytes).is_err() {
            continue;
        }
        if !bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
            continue;
        }
        let is_sought = |recorded: &Recorded| match sought {
            Sought::Uuid(uuid) => recorded.uuid == **uuid,
            Sought::Marked => recorded.mark.is_some(),
        };
        if let Some(recorded) = status_file(&bytes).filter(|it| is_sought(it) && fits(it)) {
            return Ok(Some(recorded));
        }
    }
    Ok(None)
}
