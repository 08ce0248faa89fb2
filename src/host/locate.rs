// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds a definition's file and reads it once.
//!
//! "Not here" is said only of what is proven not to be here; a candidate that exists and cannot be read is an error, or the
//! agent would start another definition by mistake. Must not look into a definition beyond telling XML from a Xen file.
//! Symbolic links are followed: administrators use them. A file system that does not answer (NFS, FUSE, GFS2) blocks the
//! caller for ever, unless it is told to wait for nothing: then what would have to be waited for is an error, and is asked
//! for aside.

mod at_once;
mod device;

pub(crate) use at_once::{is_device, lasting_stamp, stamp};

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::model::definition::{Language, MAX_BYTES};
use crate::model::params::PathSpec;

/// The answer of a search.
#[derive(Clone, PartialEq, Eq)]
pub enum Found {
    /// A definition, read once: what was read is what must be used.
    File {
        /// Where it is, as named (links not resolved).
        path: PathBuf,
        /// All of its bytes.
        text: Vec<u8>,
        /// What it is written in.
        kind: Language,
    },
    /// Proven not to be there.
    NotFound {
        /// What was looked at, in order.
        looked_at: Vec<LookedAt>,
    },
}

/// Without a definition's text, which may hold passwords.
impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, text, kind } => write!(f, "{} ({kind:?}, {} bytes)", path.display(), text.len()),
            Self::NotFound { looked_at } => write!(f, "nothing at {looked_at:?}"),
        }
    }
}

/// A place without a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedAt {
    /// The file, or the folder where that is missing.
    pub path: PathBuf,
    /// What is there instead.
    pub instead: Instead,
}

/// What is in the place of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Instead {
    /// Nothing of that name in the folder.
    Nothing,
    /// Not even the folder.
    NoFolder,
    /// A folder of that name: where images are kept, often.
    Folder,
}

impl fmt::Display for LookedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(&self.path);
        match self.instead {
            Instead::Nothing => write!(f, "{path}"),
            Instead::NoFolder => write!(f, "{path} (no such folder)"),
            Instead::Folder => write!(f, "{path} (a folder)"),
        }
    }
}

/// Where a definition is looked for.
#[derive(Clone, Copy, Debug)]
pub enum DefinitionAt<'a> {
    /// A file.
    File(&'a Path),
    /// A path specification to search, for this name.
    Path(&'a PathSpec, &'a str),
}

/// Whether storage may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Only what the kernel has in memory is looked at.
    Never,
    /// As long as it takes, for ever where it is silent.
    Long,
}

impl DefinitionAt<'_> {
    /// Looks there.
    ///
    /// # Errors
    /// Something is there that cannot be used, or would have to be waited for.
    pub fn find(&self, wait: Waits) -> Result<Found, LocateError> {
        match self {
            Self::File(path) => file(path, wait),
            Self::Path(spec, name) => in_path(spec, name, wait),
        }
    }
}

/// Why it is not known whether, or what, a definition is.
#[derive(Debug)]
pub enum LocateError {
    /// A name that can be no file's name.
    Name(String),
    /// Something exists that cannot be a definition.
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Its storage would have to be waited for.
    WouldWait(PathBuf),
    /// It exists, but opening or reading failed.
    Io {
        /// Where.
        path: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
    /// Larger than any definition.
    TooLarge {
        /// Where.
        path: PathBuf,
        /// Its size in bytes, at least.
        bytes: u64,
    },
    /// Neither XML nor a Xen file.
    NoDefinition {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "'{}' is not a domain's name: it can be no file's name", printable(name)),
            Self::NotAFile { path, what } => {
                write!(f, "{} is {what}; expected a regular file or a block device", shown(path))
            }
            Self::WouldWait(path) => write!(f, "{} cannot be looked at without waiting for it", shown(path)),
            Self::Io { path, error } => write!(f, "{} cannot be read: {}", shown(path), reason(error)),
            Self::TooLarge { path, bytes } => {
                write!(f, "{} is too large for a definition: {bytes} bytes, at most {MAX_BYTES}", shown(path))
            }
            Self::NoDefinition { path, what } => {
                write!(f, "{} is {what}; expected libvirt's XML or a Xen file", shown(path))
            }
        }
    }
}

impl std::error::Error for LocateError {}

/// Searches each folder in order for NAME, then for NAME.xml, and reads the first definition.
///
/// A folder in the place of a file is passed over; everything else that exists must be a readable definition. So must a
/// block device in the place of a folder.
///
/// # Errors
/// The name can be no file's, or a candidate exists and cannot be used.
pub(crate) fn in_path(spec: &PathSpec, name: &str, wait: Waits) -> Result<Found, LocateError> {
    if name.is_empty() || name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(LocateError::Name(name.to_owned()));
    }
    let mut with_suffix = OsString::from(name);
    with_suffix.push(".xml");
    let mut looked_at = Vec::new();
    for folder in spec.folders() {
        match is_missing(folder, wait)? {
            MissingFolder::No => {}
            MissingFolder::Yes => {
                looked_at.push(LookedAt { path: folder.clone(), instead: Instead::NoFolder });
                continue;
            }
            MissingFolder::Device => return file(folder, wait),
        }
        for candidate in [OsStr::new(name), &with_suffix] {
            let path = folder.join(candidate);
            match look(&path, wait)? {
                FolderLook::File(text) => return found(path, text),
                FolderLook::Not(instead) => looked_at.push(LookedAt { path, instead }),
            }
        }
    }
    Ok(Found::NotFound { looked_at })
}

/// Reads the definition at `path`.
///
/// # Errors
/// Something is there that cannot be used, a folder included.
pub(crate) fn file(path: &Path, wait: Waits) -> Result<Found, LocateError> {
    match look(path, wait)? {
        FolderLook::File(text) => found(path.to_owned(), text),
        FolderLook::Not(Instead::Folder) => Err(LocateError::NotAFile { path: path.to_owned(), what: "a folder" }),
        FolderLook::Not(instead @ (Instead::Nothing | Instead::NoFolder)) => {
            Ok(Found::NotFound { looked_at: vec![LookedAt { path: path.to_owned(), instead }] })
        }
    }
}

/// What was read at `path`, if it is a definition.
///
/// # Errors
/// It is none.
pub(crate) fn found(path: PathBuf, text: Vec<u8>) -> Result<Found, LocateError> {
    match kind(&text) {
        Ok(kind) => Ok(Found::File { path, text, kind }),
        Err(what) => Err(LocateError::NoDefinition { path, what }),
    }
}

enum FolderLook {
    File(Vec<u8>),
    Not(Instead),
}

/// Whether there is no such folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingFolder {
    No,
    Yes,
    /// A block device is in its place.
    Device,
}

/// Whether there is no such folder. Not to be allowed to know is an error.
fn is_missing(folder: &Path, wait: Waits) -> Result<MissingFolder, LocateError> {
    if wait == Waits::Never {
        return at_once::is_missing(folder).ok_or_else(|| LocateError::WouldWait(folder.to_owned()));
    }
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(MissingFolder::No),
        Ok(metadata) if metadata.file_type().is_block_device() => Ok(MissingFolder::Device),
        Ok(_) => Ok(MissingFolder::Yes),
        Err(error) if means_absent(&error) => Ok(MissingFolder::Yes),
        Err(error) => Err(LocateError::Io { path: folder.to_owned(), error }),
    }
}

/// Whether the system says that nothing has this path.
fn means_absent(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG))
}

/// Reads `path` if it is a file, or a block device. Never waits for a FIFO and never opens another device: opening one may
/// set it off.
fn look(path: &Path, wait: Waits) -> Result<FolderLook, LocateError> {
    if wait == Waits::Never {
        return at_once::look(path).ok_or_else(|| LocateError::WouldWait(path.to_owned()));
    }
    let failed = |error: io::Error| LocateError::Io { path: path.to_owned(), error };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(FolderLook::Not(Instead::Folder)),
        Ok(metadata) => check_regular(path, metadata.file_type())?,
        Err(error) if means_absent(&error) => {
            // The name of a link that leads nowhere is taken: its target may be on storage that is not there yet.
            return match fs::symlink_metadata(path) {
                Ok(_) => Err(LocateError::NotAFile { path: path.to_owned(), what: "a symbolic link to nothing" }),
                Err(_) => Ok(FolderLook::Not(Instead::Nothing)),
            };
        }
        Err(error) => return Err(failed(error)),
    }
    // It may have been replaced meanwhile: so without waiting, and looked at again.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let opened = File::from(opened);
    let metadata = opened.metadata().map_err(failed)?;
    check_regular(path, metadata.file_type())?;
    if metadata.file_type().is_block_device() {
        return device::read(opened, path).map(FolderLook::File);
    }
    let too_large = |bytes: u64| LocateError::TooLarge { path: path.to_owned(), bytes };
    if metadata.len() > MAX_BYTES as u64 {
        return Err(too_large(metadata.len()));
    }
    let text = read(opened).map_err(failed)?;
    if text.len() > MAX_BYTES { Err(too_large(text.len() as u64)) } else { Ok(FolderLook::File(text)) }
}

/// All of a file, but not more than one byte beyond the limit: it may grow while it is read.
fn read(file: File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn check_regular(path: &Path, kind: FileType) -> Result<(), LocateError> {
    let what = if kind.is_file() || kind.is_block_device() {
        return Ok(());
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_dir() {
        "a folder"
    } else {
        "a character device"
    };
    Err(LocateError::NotAFile { path: path.to_owned(), what })
}

/// What a text is written in, by its content; the error says what it is instead.
fn kind(text: &[u8]) -> Result<Language, &'static str> {
    // UTF-16 counts as XML, so that the reader of XML may say what is wrong with it.
    if matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'<', ..]) {
        return Ok(Language::Xml);
    }
    let body = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    match body.first() {
        None => Err("empty"),
        Some(b'<') => Ok(Language::Xml),
        Some(_) if body.iter().any(|&b| b < b' ' && !b.is_ascii_whitespace()) => Err("a binary file"),
        // The reader of xl's files says that SXP and JSON are none.
        Some(b'(' | b'{' | b'[') => Ok(Language::Xl),
        Some(_) if body.contains(&b'=') => Ok(Language::Xl),
        Some(_) => Err("some other text"),
    }
}

/// The system's reason without Rust's "(os error 13)".
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// A path on one line.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
