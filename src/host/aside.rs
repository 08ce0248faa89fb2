// SPDX-License-Identifier: GPL-2.0-or-later
//! What is looked at aside, because looking may never come to an end: definitions and disks on storage that may be silent,
//! and processes whose memory may be locked. Both sides of it: the questions, and the process that answers them.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host::locate::{DefinitionAt, Found, Instead, LocateError, LookedAt, Waits};
use crate::host::saved;
use crate::hypervisor::process::{self, Driver, Evidence, FoundBy, Identity, Verdict};
use crate::model::budget;
use crate::model::definition::Language;
use crate::model::params::PathSpec;
use crate::sys::child::aside::{self, Patience};
use crate::sys::child::{ASIDE_WORD, Child, Ended};
use crate::sys::disk_identity::{self, DiskSeen};
use crate::sys::image_lock::{self, InUse};
use crate::sys::rewrite::{self, Rewritten};
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;

/// How long one process may be silent before it is passed by.
const SILENCE: Duration = Duration::from_secs(1);
/// How many processes are looked for among libvirt's pid files, each in turn, when there is no time for more.
const FEW: usize = 64;

/// Why a definition was not found out.
#[derive(Debug)]
pub enum Unlocated {
    /// Its storage did not answer in this time.
    Silent(Duration),
    /// A parameter cannot be used, in words.
    Parameter(String),
    /// It is there and cannot be used, in words.
    Unusable(String),
}

/// An answer about a place: one line of JSON; a definition's text follows.
#[derive(Serialize, Deserialize)]
enum Aside {
    File { path: Vec<u8>, xml: bool, bytes: usize },
    NotFound(Vec<(Vec<u8>, Instead)>),
    Parameter(String),
    Unusable(String),
}

/// Finds and reads a definition: here where that cannot take long, else aside, at most until the deadline.
///
/// # Errors
/// It exists and cannot be used, or its storage is silent.
pub fn definition(place: &DefinitionAt<'_>, deadline: Deadline) -> Result<Found, Unlocated> {
    match place.find(Waits::Never) {
        Err(LocateError::WouldWait(_)) => {}
        known => return known.map_err(unlocated),
    }
    let began = std::time::Instant::now();
    let question: Vec<OsString> = match place {
        DefinitionAt::File(path) => vec!["file".into(), path.into()],
        DefinitionAt::Path(spec, name) => vec!["path".into(), spec.text(), name.into()],
    };
    match aside::ask(&question, Patience { deadline, silence: None, interruptible: true }) {
        Ok(said) => parse(&said.text).unwrap_or_else(|| Err(Unlocated::Silent(began.elapsed()))),
        // No process to be had: then without one.
        Err(_) => place.find(Waits::Long).map_err(unlocated),
    }
}

fn unlocated(error: LocateError) -> Unlocated {
    match error {
        LocateError::Name(_) => Unlocated::Parameter(error.to_string()),
        LocateError::WouldWait(_) => Unlocated::Silent(Duration::ZERO),
        LocateError::NotAFile { .. }
        | LocateError::Io { .. }
        | LocateError::TooLarge { .. }
        | LocateError::NoDefinition { .. } => Unlocated::Unusable(error.to_string()),
    }
}

/// The answer about a definition; none if it is not whole.
fn parse(text: &[u8]) -> Option<Result<Found, Unlocated>> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = (text.get(..end)?, text.get(end + 1..)?);
    let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
    Some(match serde_json::from_slice(line).ok()? {
        Aside::File { bytes, .. } if bytes != rest.len() => return None,
        Aside::File { path: at, xml, .. } => {
            let kind = if xml { Language::Xml } else { Language::Xl };
            Ok(Found::File { path: path(at), text: rest.to_vec(), kind })
        }
        Aside::NotFound(places) => {
            let places = places.into_iter().map(|(at, instead)| LookedAt { path: path(at), instead });
            Ok(Found::NotFound { looked_at: places.collect() })
        }
        Aside::Parameter(text) => Err(Unlocated::Parameter(text)),
        Aside::Unusable(text) => Err(Unlocated::Unusable(text)),
    })
}

/// Writes `text` into the file at `path` whose bytes have the hash `expected`, or beside it ([`rewrite::rewrite`]), as far as
/// its storage does that until the deadline.
pub(crate) fn rewrite(path: &Path, expected: Option<&str>, secret: bool, text: &str, deadline: Deadline) -> Rewritten {
    let secret = if secret { "secret" } else { "plain" };
    let mut question: Vec<OsString> = vec!["rewrite".into(), path.into(), secret.into()];
    question.extend(expected.map(OsString::from));
    written(question, text, deadline)
}

/// Writes `text` as the file at `path` ([`rewrite::put`]), as far as its storage does that until the deadline.
pub(crate) fn put(path: &Path, text: &str, deadline: Deadline) -> Rewritten {
    written(vec!["put".into(), path.into()], text, deadline)
}

fn written(mut question: Vec<OsString>, text: &str, deadline: Deadline) -> Rewritten {
    question.insert(0, ASIDE_WORD.into());
    let program = Path::new("/proc/self/exe");
    match Child::new(program).args(question).stdin(text.as_bytes()).run(deadline) {
        Ok(finished) => match (serde_json::from_slice(&finished.stdout), finished.ended) {
            (Ok(rewritten), _) => rewritten,
            (Err(_), Ended::TimedOut) => Rewritten::Failed("its storage did not answer in time".into()),
            (Err(_), Ended::Exited(_) | Ended::Signalled(_)) => Rewritten::Failed("its writer broke down".into()),
        },
        Err(error) => Rewritten::Failed(error.to_string()),
    }
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// A file that cannot be executed.
    File,
    /// A file that can.
    Program,
    /// A folder.
    Folder,
    /// A block device.
    Block,
    /// Something else: a character device, a socket.
    Other,
    /// Nothing.
    Nothing,
    /// We may not see it, or its storage answers with an error.
    Unseen,
    /// Its storage did not say.
    Silent,
}

/// What is at each of these paths, as far as their storage says it until the deadline.
#[must_use]
pub fn what_is_at(paths: &[&Path], deadline: Deadline) -> Vec<There> {
    let read = |text: &[u8]| {
        let there = text.iter().map(|byte| match byte {
            b'f' => There::File,
            b'x' => There::Program,
            b'd' => There::Folder,
            b'b' => There::Block,
            b'o' => There::Other,
            b'n' => There::Nothing,
            _ => There::Unseen,
        });
        there.collect()
    };
    one_by_one("at", paths, deadline, read, &There::Silent)
}

/// The answer about one path.
fn letter(path: &Path) -> &'static [u8; 1] {
    use std::io::ErrorKind;
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            use ErrorKind::{InvalidFilename, NotADirectory, NotFound};
            return if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) { b"n" } else { b"?" };
        }
    };
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() && metadata.mode() & 0o111 != 0 => b"x",
        () if kind.is_file() => b"f",
        () if kind.is_dir() => b"d",
        () if kind.is_block_device() => b"b",
        () => b"o",
    }
}

/// What each of these files is used for by others, as far as their storage says it until the deadline.
#[must_use]
pub fn in_use(paths: &[&Path], deadline: Deadline) -> Vec<InUse> {
    one_by_one("in-use", paths, deadline, lines, &InUse::Unknown("its storage does not answer".into()))
}

/// What each of these disks is, as far as their storage says it until the deadline.
#[must_use]
pub(crate) fn disks(paths: &[&Path], deadline: Deadline) -> Vec<DiskSeen> {
    one_by_one("disk", paths, deadline, lines, &DiskSeen::default())
}

/// Asks about each of these paths; what of the answers has come is given to `read`.
fn one_by_one<T: Clone>(
    what: &str,
    paths: &[&Path],
    deadline: Deadline,
    read: impl Fn(&[u8]) -> Vec<T>,
    silent: &T,
) -> Vec<T> {
    let mut known = Vec::new();
    while known.len() < paths.len() && !deadline.passed() {
        let left = paths.get(known.len()..).unwrap_or_default();
        let question: Vec<OsString> =
            std::iter::once(what.into()).chain(left.iter().map(|path| path.as_os_str().to_owned())).collect();
        // One that is silent must not hide what the others say.
        let share = deadline.at_most(budget::each(deadline.left(), left.len()));
        let Ok(said) = aside::ask(&question, Patience { deadline: share, silence: None, interruptible: true }) else {
            break;
        };
        known.extend(read(&said.text));
        if !said.ended && known.len() < paths.len() {
            known.push(silent.clone());
        }
        if said.ended {
            break;
        }
    }
    known.resize(paths.len(), silent.clone());
    known
}

/// Looks for the domain's process, at most until the deadline: those that may be it are examined aside.
#[must_use]
pub fn process(roots: &Roots, who: &Identity<'_>, deadline: Deadline) -> Evidence {
    process::find_by(roots, who, &mut |pids, found_by| examine(roots, who, pids, found_by, deadline))
}

fn examine(roots: &Roots, who: &Identity<'_>, pids: &[u32], found_by: FoundBy, deadline: Deadline) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    while let Some(left) = pids.get(verdicts.len()..).filter(|left| !left.is_empty()) {
        if deadline.passed() && !verdicts.is_empty() {
            // Without their arguments, then: by libvirt's pid files, as long as they are few.
            verdicts.extend(left.iter().take(FEW).map(|pid| process::silent(roots, who, *pid, found_by)));
            if left.len() > FEW {
                verdicts
                    .push(Verdict::MayBe(format!("one of {} processes could not be looked at in time", left.len())));
            }
            break;
        }
        let patience = Patience { deadline, silence: Some(SILENCE), interruptible: false };
        let Ok(said) = aside::ask(&processes(roots, who, left, found_by), patience) else {
            // No process to be had: then without one.
            verdicts.extend(process::examine(roots, who, left, found_by));
            break;
        };
        let before = verdicts.len();
        verdicts.extend(lines::<Verdict>(&said.text));
        // It hangs at the next one, or was ended from outside.
        if let Some(silent) = pids.get(verdicts.len())
            && !(said.ended && verdicts.len() > before)
        {
            verdicts.push(process::silent(roots, who, *silent, found_by));
        }
    }
    verdicts
}

/// What was said of each, in order; one line each.
fn lines<T: DeserializeOwned>(text: &[u8]) -> Vec<T> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.len() > 1 && line.ends_with(b"\n"));
    lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
}

/// One such line, at once: what comes next may be silent.
fn say(answer: &impl Serialize) -> Option<()> {
    let mut line = serde_json::to_vec(answer).ok()?;
    line.push(b'\n');
    let mut out = stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).ok()
}

/// The question about processes.
fn processes(roots: &Roots, who: &Identity<'_>, pids: &[u32], found_by: FoundBy) -> Vec<OsString> {
    let driver = if who.driver == Driver::Lxc { "lxc" } else { "qemu" };
    let found_by = if found_by == FoundBy::PidFile { "named" } else { "met" };
    let uuid = who.uuid.map(|uuid| crate::sys::text::uuid_text(&uuid)).unwrap_or_default();
    let mut question: Vec<OsString> = ["processes", driver, found_by, who.name, &uuid].map(OsString::from).into();
    question.extend([&roots.proc, &roots.run, &roots.lib].map(|root| root.as_os_str().to_owned()));
    question.extend(pids.iter().map(|pid| pid.to_string().into()));
    question
}

/// The life of the process that asks; `args` are what follows [`aside::ASIDE_WORD`], and the result is its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    aside::prepare();
    let args: Vec<OsString> = args.into_iter().collect();
    let words: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    let said = match words.split_first() {
        Some((what, [path])) if *what == "file" => tell(&DefinitionAt::File(Path::new(path))),
        Some((what, [spec, name])) if *what == "path" => match (PathSpec::parse(spec), name.to_str()) {
            (Ok(spec), Some(name)) => tell(&DefinitionAt::Path(&spec, name)),
            (_, _) => None,
        },
        Some((what, paths)) if *what == "at" => paths
            .iter()
            .try_for_each(|path| stdout().write_all(letter(Path::new(path))).and_then(|()| stdout().flush()).ok()),
        Some((what, paths)) if *what == "in-use" => {
            paths.iter().try_for_each(|path| say(&image_lock::of(Path::new(path))))
        }
        Some((what, paths)) if *what == "disk" => {
            paths.iter().try_for_each(|path| say(&disk_identity::of(Path::new(path))))
        }
        Some((what, [question])) if *what == saved::WORD => question.to_str().and_then(saved::main),
        Some((what, [driver, found_by, name, uuid, proc, run, lib, pids @ ..])) if *what == "processes" => {
            let roots = Roots { proc: proc.into(), run: run.into(), lib: lib.into(), ..Roots::default() };
            let uuid = uuid.to_str().and_then(crate::sys::text::parse_uuid);
            let driver = if *driver == "lxc" { Driver::Lxc } else { Driver::Qemu };
            let found_by = if *found_by == "named" { FoundBy::PidFile } else { FoundBy::Scan };
            let pids: Vec<u32> = pids.iter().filter_map(|pid| pid.to_str()?.parse().ok()).collect();
            name.to_str().and_then(|name| tell_of(&roots, &Identity { name, uuid, driver }, &pids, found_by))
        }
        Some((what, [path, secret, expected @ ..])) if *what == "rewrite" => {
            let expected = expected.first().and_then(|hash| hash.to_str());
            told().and_then(|text| say(&rewrite::rewrite(Path::new(path), expected, *secret == "secret", &text)))
        }
        Some((what, [path])) if *what == "put" => told().and_then(|text| say(&rewrite::put(Path::new(path), &text))),
        Some(_) | None => None,
    };
    u8::from(said.is_none())
}

/// What is to be written.
fn told() -> Option<Vec<u8>> {
    let mut text = Vec::new();
    stdin().lock().read_to_end(&mut text).ok().map(|_| text)
}

fn tell(place: &DefinitionAt<'_>) -> Option<()> {
    let bytes = |path: PathBuf| path.into_os_string().into_vec();
    let (answer, text) = match place.find(Waits::Long) {
        Ok(Found::File { path, text, kind }) => {
            (Aside::File { path: bytes(path), xml: kind == Language::Xml, bytes: text.len() }, text)
        }
        Ok(Found::NotFound { looked_at }) => {
            (Aside::NotFound(looked_at.into_iter().map(|at| (bytes(at.path), at.instead)).collect()), Vec::new())
        }
        Err(error) => match unlocated(error) {
            Unlocated::Parameter(text) => (Aside::Parameter(text), Vec::new()),
            Unlocated::Unusable(text) => (Aside::Unusable(text), Vec::new()),
            Unlocated::Silent(_) => return None,
        },
    };
    let mut line = serde_json::to_vec(&answer).ok()?;
    line.push(b'\n');
    let mut out = stdout().lock();
    out.write_all(&line).and_then(|()| out.write_all(&text)).and_then(|()| out.flush()).ok()
}

fn tell_of(roots: &Roots, who: &Identity<'_>, pids: &[u32], found_by: FoundBy) -> Option<()> {
    let mut out = stdout().lock();
    // From here on silence is that of a process, and not of a host that is slow to start one.
    out.write_all(b"\n").and_then(|()| out.flush()).ok()?;
    drop(out);
    pids.iter().flat_map(|pid| process::examine(roots, who, &[*pid], found_by)).try_for_each(|verdict| say(&verdict))
}
