// SPDX-License-Identifier: GPL-2.0-or-later
//! What is done in the folder of `snapshot`. It is opened once, and nothing is followed out of it. An image is never
//! removed but where it was used, or where nobody has finished writing it.

use super::{FolderAnswer, FolderOrder, StatePlace, file_time};
use crate::model::definition;
use crate::model::saved_state::{
    RunOf, Stamp, StateFolder, StateImage, StateRecord, new_record, partial, record, restoring,
};
use crate::sys::file_system;
use crate::sys::files::{open_file, open_folder};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, fstatfs, fsync, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

/// What the images of libvirt's QEMU driver begin with: one that is whole, and one that is being written.
const MAGIC: [&[u8]; 2] = [b"LibvirtQemudSave", b"LibvirtQemudPart"];
/// Where the domain's XML begins in them.
const HEADER: usize = 92;
/// Where they name the form of what follows the XML, and how they name the sparse one.
const FORM: std::ops::Range<usize> = 28..32;
/// See `FORM`.
const SPARSE: [u8; 4] = 6_u32.to_ne_bytes();
/// The longest XML that is read.
const LONGEST_XML: u64 = 1 << 20;
/// The longest record that is read.
const LONGEST_RECORD: u64 = 1 << 20;
/// What a record takes, and each disk in it: paths may be long.
const RECORD: usize = 4096;
/// See `RECORD`.
const RECORD_OF_DISK: usize = 1024;

pub(super) fn obey(place: &StatePlace, order: &FolderOrder) -> Result<FolderAnswer, String> {
    let folder = open(place)?;
    let done = |paths: Vec<String>| Ok(FolderAnswer::Done(paths));
    match order {
        FolderOrder::Look { disks } => Ok(FolderAnswer::Seen(Box::new(look(place, &folder, disks)?))),
        FolderOrder::Clear => done(clear(place, &folder)?.into_iter().collect()),
        FolderOrder::Drop => {
            remove(place, &folder, &restoring(&place.name))?;
            done(clear(place, &folder)?.into_iter().collect())
        }
        FolderOrder::SetAside { time } => done(set_aside(place, &folder, time)?),
        FolderOrder::Take { file } => {
            rename(place, &folder, file, &restoring(&place.name))?;
            // Before anything is restored from it: a crash of the host may not give it its name back.
            fsync(&folder).map_err(|errno| format!("{} cannot be synced: {errno}", place.folder))?;
            done(Vec::new())
        }
        FolderOrder::Reserve { disks } => {
            reserve(place, &folder, *disks)?;
            done(Vec::new())
        }
        FolderOrder::Keep { record, disks, synced } => {
            keep(place, &folder, record, disks, *synced)?;
            done(Vec::new())
        }
    }
}

/// One in which another user may write is none to restore memory from: it becomes a machine of root's.
fn open(place: &StatePlace) -> Result<OwnedFd, String> {
    let cannot = |errno: Errno| match errno {
        Errno::NOENT => format!("there is no folder {}", place.folder),
        errno => format!("the folder {} cannot be opened: {errno}", place.folder),
    };
    let folder = open_folder(Path::new(&place.folder)).map_err(cannot)?;
    let facts = fstat(&folder).map_err(cannot)?;
    let mode = Mode::from_raw_mode(facts.st_mode);
    let owned = facts.st_uid == 0 || facts.st_uid == geteuid().as_raw();
    if !owned || mode.contains(Mode::WOTH) || mode.contains(Mode::WGRP) && facts.st_gid != 0 {
        return Err(format!("others may write in the folder {0}: chown root {0}; chmod go-w {0}", place.folder));
    }
    Ok(folder)
}

fn look(place: &StatePlace, folder: &OwnedFd, disks: &[String]) -> Result<StateFolder, String> {
    let space =
        fstatfs(folder).map_err(|errno| format!("the folder {} does not say its room: {errno}", place.folder))?;
    let record = read_record(folder, &place.name);
    let recorded = record.iter().flat_map(|record| record.disks.iter().map(|disk| &disk.file));
    let mut seen = StateFolder {
        restoring: exists(folder, &restoring(&place.name)),
        // The room for the record is taken before libvirt is asked.
        unfinished: [new_record(&place.name, &place.node), partial(&place.name, &place.node)]
            .iter()
            .any(|file| exists(folder, file)),
        disks: disks.iter().chain(recorded).filter_map(|path| stamp_of_disk(path)).collect(),
        record,
        shared: is_shared(folder, space.f_type),
        free: space.f_bavail.saturating_mul(u64::try_from(space.f_bsize).unwrap_or(0)),
        ..StateFolder::default()
    };
    for file in &place.spellings {
        match read_image(folder, file) {
            Ok(Some(image)) => seen.images.push(image),
            Ok(None) if exists(folder, file) => seen.others.push(file.clone()),
            Ok(None) => {}
            Err(errno) => return Err(format!("{} cannot be read: {errno}", place.path(file))),
        }
    }
    Ok(seen)
}

/// Whether every host sees the image that a start of the machine elsewhere would have used up.
fn is_shared(folder: &OwnedFd, f_type: impl Into<i64>) -> bool {
    let Ok(stat) = fstat(folder) else { return false };
    let numbers = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    file_system::is_shared(f_type, numbers, mounts)
}

fn exists(folder: &OwnedFd, file: &str) -> bool {
    statat(folder, file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// An image of libvirt's; nothing, where there is none, or something else.
fn read_image(folder: &OwnedFd, file: &str) -> Result<Option<StateImage>, Errno> {
    let opened = match open_file(folder, file) {
        Ok(opened) => opened,
        // A link is no image of ours, and neither is what cannot be opened without waiting.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let stat = fstat(&opened)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    let mut input = File::from(opened);
    if input.read_exact(&mut header).is_err() {
        return Ok(None);
    }
    let Some(which) = MAGIC.iter().position(|magic| header.starts_with(magic)) else { return Ok(None) };
    let sparse = header.get(FORM).is_some_and(|form| form == SPARSE);
    let mut xml = Vec::new();
    input.take(LONGEST_XML).read_to_end(&mut xml).map_err(|_| Errno::IO)?;
    let xml = xml.split(|byte| *byte == 0).next().unwrap_or_default();
    let run = definition::parse(xml).ok().map(|facts| RunOf::of(&facts));
    Ok(Some(StateImage { stamp: stamp(file, &stat), whole: which == 0, sparse, run }))
}

fn stamp(file: &str, stat: &Stat) -> Stamp {
    let written = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    Stamp { file: file.to_owned(), size: u64::try_from(stat.st_size).unwrap_or(0), written }
}

/// A disk is opened, since it is then that NFS asks its server how the file is.
fn stamp_of_disk(path: &str) -> Option<Stamp> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let stat = fstat(rustix::fs::open(path, flags, Mode::empty()).ok()?).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| stamp(path, &stat))
}

/// The record; nothing, where there is none that can be read: then its image has none.
fn read_record(folder: &OwnedFd, name: &str) -> Option<StateRecord> {
    let mut text = Vec::new();
    File::from(open_file(folder, record(name)).ok()?).take(LONGEST_RECORD).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn remove(place: &StatePlace, folder: &OwnedFd, file: &str) -> Result<(), String> {
    match unlinkat(folder, file, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(format!("{} cannot be removed: {errno}", place.path(file))),
    }
}

/// What a save on this host has not finished. An image that is whole, though nobody has put that on record, is the guest's
/// only memory: it is set aside, as that path.
fn clear(place: &StatePlace, folder: &OwnedFd) -> Result<Option<String>, String> {
    let file = partial(&place.name, &place.node);
    let whole = read_image(folder, &file)
        .map_err(|errno| format!("{} cannot be read: {errno}", place.path(&file)))?
        .is_some_and(|image| image.whole);
    let aside = if whole {
        let [own, _] = &place.spellings;
        let new = free_name(folder, own, &file_time(SystemTime::now()), 0);
        rename(place, folder, &file, &new)?;
        Some(place.path(&new))
    } else {
        remove(place, folder, &file)?;
        None
    };
    remove(place, folder, &new_record(&place.name, &place.node))?;
    Ok(aside)
}

/// A name for what is set aside that nothing has yet.
fn free_name(folder: &OwnedFd, plain: &str, time: &str, number: usize) -> String {
    let mut names = (number..1000).map(|number| match number {
        0 => format!("{plain}.aside-{time}"),
        number => format!("{plain}.aside-{time}-{number}"),
    });
    names.find(|new| !exists(folder, new)).unwrap_or_else(|| format!("{plain}.aside"))
}

fn rename(place: &StatePlace, folder: &OwnedFd, from: &str, to: &str) -> Result<(), String> {
    renameat(folder, from, folder, to)
        .map_err(|errno| format!("{} cannot be renamed to {to}: {errno}", place.path(from)))
}

/// Whatever a start could take for the machine's memory gets another name.
fn set_aside(place: &StatePlace, folder: &OwnedFd, time: &str) -> Result<Vec<String>, String> {
    let seen = look(place, folder, &[])?;
    let [own, _] = &place.spellings;
    let used = seen.restoring.then(|| restoring(&place.name));
    let files = seen.images_of(&place.name, own).map(|image| image.stamp.file.clone()).chain(used);
    let mut paths = Vec::new();
    for (number, file) in files.enumerate() {
        let plain = if file.starts_with('.') { own.clone() } else { file.clone() };
        let new = free_name(folder, &plain, time, number);
        rename(place, folder, &file, &new)?;
        paths.push(place.path(&new));
    }
    fsync(folder).map_err(|errno| format!("{} cannot be synced: {errno}", place.folder))?;
    paths.extend(clear(place, folder)?);
    Ok(paths)
}

/// The image first, then its record: one without the other is never restored.
fn keep(
    place: &StatePlace,
    folder: &OwnedFd,
    written: &StateRecord,
    disks: &[String],
    synced: bool,
) -> Result<(), String> {
    let [own, _] = &place.spellings;
    let from = partial(&place.name, &place.node);
    let cannot = |errno: Errno| format!("{} cannot be kept: {errno}", place.path(&from));
    let image = open_file(folder, &from).map_err(cannot)?;
    let stat = fstat(&image).map_err(cannot)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(format!("{} is no file", place.path(&from)));
    }
    // It holds the guest's secrets. libvirt makes it so, too.
    if let Err(errno) = fchmod(&image, Mode::RUSR | Mode::WUSR)
        && stat.st_mode & 0o077 != 0
    {
        return Err(format!("{} may be read by others, and that cannot be changed: {errno}", place.path(&from)));
    }
    let record = StateRecord {
        image: stamp(own, &stat),
        disks: disks.iter().filter_map(|path| stamp_of_disk(path)).collect(),
        boot: written.boot.clone().filter(|_| !synced),
        ..written.clone()
    };
    if record.disks.len() < disks.len() {
        return Err("one of its disks does not tell when it was written".into());
    }
    if exists(folder, own) {
        return Err(format!("{} is there already", place.path(own)));
    }
    rename(place, folder, &from, own)?;
    write_record(place, folder, &record)
}

/// The memory is in the image alone once the machine is off: its record must not want for room then.
fn reserve(place: &StatePlace, folder: &OwnedFd, disks: usize) -> Result<(), String> {
    let new = new_record(&place.name, &place.node);
    remove(place, folder, &new)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let done = openat(folder, &new, flags, Mode::RUSR | Mode::WUSR).map_err(Into::into).and_then(|opened| {
        let mut output = File::from(opened);
        output.write_all(&vec![b' '; RECORD + disks * RECORD_OF_DISK])?;
        output.sync_all()
    });
    done.map_err(|error: std::io::Error| {
        let _ = unlinkat(folder, &new, AtFlags::empty());
        format!("{} cannot be written: {error}", place.path(&new))
    })
}

/// Over the blanks that were written before; what is left of them belongs to no record, and is none.
fn write_record(place: &StatePlace, folder: &OwnedFd, written: &StateRecord) -> Result<(), String> {
    let (file, new) = (record(&place.name), new_record(&place.name, &place.node));
    let cannot = |error: std::io::Error| format!("{} cannot be written: {error}", place.path(&file));
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(folder, &new, flags, Mode::empty()).map_err(|errno| cannot(errno.into()))?;
    let text = serde_json::to_vec(written).map_err(|error| cannot(error.into()))?;
    let mut output = File::from(opened);
    output.write_all(&text).and_then(|()| output.sync_all()).map_err(cannot)?;
    rename(place, folder, &new, &file)?;
    fsync(folder).map_err(|errno| format!("{} cannot be synced: {errno}", place.folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_whole_is_never_cleared_away_and_one_that_is_half_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let spellings = ["web.state".to_owned(), "web.save".to_owned()];
        let place = StatePlace { folder: path, name: "web".into(), node: "n1".into(), spellings };
        let unfinished = folder.path().join(partial("web", "n1"));
        for (magic, kept) in [(MAGIC[0], true), (MAGIC[1], false)] {
            let mut image = magic.to_vec();
            image.resize(HEADER, 0);
            std::fs::write(&unfinished, [&image[..], b"<domain/>"].concat()).unwrap();
            for order in [FolderOrder::Clear, FolderOrder::Drop] {
                let FolderAnswer::Done(paths) = obey(&place, &order).unwrap() else { panic!() };
                let first = matches!(order, FolderOrder::Clear);
                assert_eq!(paths.len(), usize::from(kept && first), "{paths:?}");
                assert!(!unfinished.exists() && paths.iter().all(|path| Path::new(path).exists()), "{paths:?}");
            }
        }
    }
}
