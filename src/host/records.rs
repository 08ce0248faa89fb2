// SPDX-License-Identifier: GPL-2.0-or-later
//! What is on record about a machine on this host, in the run folder: where it last migrated to, and what a definition's
//! file was last seen to mean. Their loss costs little.

use crate::model::facts::{Noted, NotedStage, RunId, Tries};
use crate::sys::run_dir::{read, remove, write};
use crate::sys::text::{parse_uuid, sha256_hex, uuid_text};
use crate::sys::time::now;
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

/// Where a migration of `name` goes, or went: what a `stop` or `start` needs that finds it gone.
pub(crate) fn note_target(run: &Path, name: &str, noted: &Noted) {
    let word = word_of(noted.stage);
    let node = noted.node.as_ref().map(|node| format!(" {node}")).unwrap_or_default();
    if let Err(errno) = write(run, &format!("{name}.target"), &format!("{word} {}{node}", noted.uri)) {
        log::debug!("the migration's target was not noted: {errno}");
        if noted.stage == NotedStage::Finished {
            // An untrue note is worse than none.
            forget_target(run, name);
        }
    }
}

const fn word_of(stage: NotedStage) -> &'static str {
    match stage {
        NotedStage::Begun => "begun",
        NotedStage::Pausing => "pausing",
        NotedStage::Finished => "finished",
    }
}

/// The target that was noted. Of a stage that is not known nobody has seen the end.
#[must_use]
pub(crate) fn noted_target(run: &Path, name: &str) -> Option<Noted> {
    let text = read(run, &format!("{name}.target"))?;
    let mut parts = text.splitn(3, ' ');
    let (word, uri, node) = (parts.next()?, parts.next()?, parts.next());
    let known = [NotedStage::Pausing, NotedStage::Finished].into_iter().find(|stage| word_of(*stage) == word);
    let stage = known.unwrap_or(NotedStage::Begun);
    Some(Noted { uri: uri.to_owned(), node: node.map(str::to_owned), stage })
}

/// Forgets the target: the migration is over, and where the machine is has been seen.
pub(crate) fn forget_target(run: &Path, name: &str) {
    remove(run, &format!("{name}.target"));
}

/// The machine that a definition's file was last seen to mean. Its loss costs only this: while the file cannot be read,
/// a machine that bears no mark is not known by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its name.
    pub name: String,
    /// Its UUID, if one was told.
    pub uuid: Option<[u8; 16]>,
    /// libvirt's id of the run whose mark has been seen to; -1: none.
    pub marked: i32,
    /// What the file said when it was last read.
    pub reading: Option<Reading>,
}

/// What a definition's file says as long as it bears the stamp that it was read under ([`crate::host::locate::stamp`]), so
/// that a monitor need not read what is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Of the stamp, and of the URI that the definition was found to be for.
    sum: String,
    /// The name in it.
    pub name: String,
    /// The UUID in it.
    pub uuid: Option<[u8; 16]>,
}

impl Reading {
    /// What a file of this stamp says, which is a good definition for `uri`.
    #[must_use]
    pub(crate) fn of(stamp: &str, uri: &str, name: &str, uuid: Option<[u8; 16]>) -> Self {
        Self { sum: sum(stamp, uri), name: name.to_owned(), uuid }
    }

    /// Whether it tells what a file of this stamp says, and that it is for `uri`.
    #[must_use]
    pub(crate) fn tells(&self, stamp: &str, uri: &str) -> bool {
        self.sum == sum(stamp, uri)
    }
}

/// What is parsed, and judged, may differ from one version of the agent to the next.
fn sum(stamp: &str, uri: &str) -> String {
    sha256_hex([env!("CARGO_PKG_VERSION"), stamp, uri].join("\n").as_bytes())
}

/// A path may be longer than a file's name.
fn known_file(config: &Path) -> String {
    let hash = sha256_hex(config.as_os_str().as_encoded_bytes());
    format!("{}.known", hash.get(..32).unwrap_or(&hash))
}

/// What is known of the machine that `config` defines.
#[must_use]
pub(crate) fn known(run: &Path, config: &Path) -> Option<Known> {
    let text = read(run, &known_file(config))?;
    let (known, reading) = text.split_once('\n').unwrap_or((&text, ""));
    let (uuid, marked, name) = three_words(known)?;
    let reading = three_words(reading)
        .and_then(|(uuid, sum, name)| Some(Reading { sum: sum.to_owned(), name: name.to_owned(), uuid: told(uuid)? }));
    Some(Known { name: name.to_owned(), uuid: told(uuid)?, marked: marked.parse().ok()?, reading })
}

/// The last of which, a name, may hold blanks.
fn three_words(line: &str) -> Option<(&str, &str, &str)> {
    let mut parts = line.splitn(3, ' ');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// A UUID, or that there is none; nothing if it is neither.
fn told(word: &str) -> Option<Option<[u8; 16]>> {
    if word == "-" { Some(None) } else { parse_uuid(word).map(Some) }
}

/// Remembers the machine that `config` defines.
pub(crate) fn remember(run: &Path, config: &Path, known: &Known) {
    let word = |uuid: Option<[u8; 16]>| uuid.map_or_else(|| "-".to_owned(), |uuid| uuid_text(&uuid));
    let mut text = format!("{} {} {}", word(known.uuid), known.marked, known.name);
    if let Some(reading) = &known.reading {
        text.push_str(&format!("\n{} {} {}", word(reading.uuid), reading.sum, reading.name));
    }
    if let Err(errno) = write(run, &known_file(config), &text) {
        log::debug!("the machine of {} was not remembered: {errno}", config.display());
    }
}

/// Puts on record that a monitor of `name` has answered, in this run of it.
pub(crate) fn note_monitor(run: &Path, name: &str, process: RunId) {
    if let Err(errno) = write(run, &monitor_file(name), &monitored(process)) {
        log::debug!("the monitor was not noted: {errno}");
    }
}

/// Whether a monitor of `name` has answered in this run of it. The record is taken away: a monitor that is killed has not
/// answered.
#[must_use]
pub(crate) fn take_monitor(run: &Path, name: &str, process: RunId) -> bool {
    let answered = read(run, &monitor_file(name)).is_some_and(|text| text == monitored(process));
    forget_monitor(run, name);
    answered
}

/// The next monitor of `name` counts as the first one.
pub(crate) fn forget_monitor(run: &Path, name: &str) {
    remove(run, &monitor_file(name));
}

/// Puts on record how often it was tried to have this run of `name` run on, and that the last time is now.
///
/// # Errors
/// It cannot be noted.
pub(crate) fn note_tries(run: &Path, name: &str, process: RunId, count: u32) -> Result<(), Errno> {
    write(run, &format!("{name}.resumed"), &format!("{} {count} {}", monitored(process), now()))
}

/// The tries on record for this run.
#[must_use]
pub(crate) fn tries(run: &Path, name: &str, process: RunId) -> Tries {
    let told = |text: String| {
        let (count, when) = text.strip_prefix(&monitored(process))?.trim_start().split_once(' ')?;
        let last = now().saturating_sub(when.parse().ok()?);
        Some(Tries { count: count.parse().ok()?, last: Duration::from_secs(last) })
    };
    read(run, &format!("{name}.resumed")).and_then(told).unwrap_or_default()
}

/// Puts on record that the guest's agent has answered in this run of `name`, and how often it was silent since.
pub(crate) fn note_silences(run: &Path, name: &str, process: RunId, times: u64) {
    if let Err(errno) = write(run, &format!("{name}.agent"), &format!("{} {times}", monitored(process))) {
        log::debug!("what the guest's agent said was not noted: {errno}");
    }
}

/// How often it was silent since; nothing, where it is not on record that it has answered.
#[must_use]
pub(crate) fn silences(run: &Path, name: &str, process: RunId) -> Option<u64> {
    read(run, &format!("{name}.agent"))?.strip_prefix(&monitored(process))?.strip_prefix(' ')?.parse().ok()
}

/// Puts on record from which definition `name` was started here, by its hash: where the definition is no file, nothing
/// else tells later that it was changed. The same of what was told about that last.
pub(crate) fn note_definition(run: &Path, name: &str, what: DefinitionNote, text: &str) {
    if let Err(errno) = write(run, &format!("{name}.{}", what.suffix()), text) {
        log::debug!("the definition of '{name}' was not noted: {errno}");
    }
}

/// What of a definition that is no file is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefinitionNote {
    /// The hash of the one that it was started from.
    Hash,
    /// What was told last about how it is now.
    Told,
}

impl DefinitionNote {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Hash => "definition",
            Self::Told => "definition-told",
        }
    }
}

/// What is on record about that.
#[must_use]
pub(crate) fn noted_definition(run: &Path, name: &str, what: DefinitionNote) -> Option<String> {
    read(run, &format!("{name}.{}", what.suffix()))
}

fn monitor_file(name: &str) -> String {
    format!("{name}.monitored")
}

fn monitored(run: RunId) -> String {
    match run {
        RunId::Process { pid, start } => format!("{pid} {start}"),
        RunId::XenDomain(id) => format!("xen {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn run_id(start: u64) -> RunId {
        RunId::Process { pid: 7, start }
    }

    #[test]
    fn a_machine_that_was_remembered_is_known_by_its_file_and_by_no_other() {
        let run = tempfile::tempdir().unwrap();
        let file = Path::new("/vms/a b.xml");
        for uuid in [None, Some([7; 16])] {
            let said = Reading::of("1 2 3", "qemu:///system", "c d", uuid);
            for reading in [None, Some(said)] {
                let known_as = Known { name: "a b".into(), uuid, marked: -1, reading };
                remember(run.path(), file, &known_as);
                assert_eq!(known(run.path(), file), Some(known_as));
            }
        }
        assert_eq!(known(run.path(), Path::new("/vms/a.xml")), None);
    }

    #[test]
    fn a_reading_holds_for_one_stamp_of_the_file_and_one_hypervisor() {
        let reading = Reading::of("1 2 3", "qemu:///system", "a", None);
        assert!(reading.tells("1 2 3", "qemu:///system"));
        assert!(!reading.tells("1 2 4", "qemu:///system"));
        assert!(!reading.tells("1 2 3", "lxc:///system"));
    }

    #[test]
    fn the_record_of_a_monitor_holds_for_one_run_and_is_taken_once() {
        let run = tempfile::tempdir().unwrap();
        assert!(!take_monitor(run.path(), "a b", run_id(70)));
        note_monitor(run.path(), "a b", run_id(70));
        assert!(!take_monitor(run.path(), "a b", run_id(71)));
        note_monitor(run.path(), "a b", run_id(70));
        assert!(take_monitor(run.path(), "a b", run_id(70)));
        assert!(!take_monitor(run.path(), "a b", run_id(70)));
    }

    #[test]
    fn silence_is_on_record_for_one_run_and_only_after_an_answer() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(silences(run.path(), "a b", run_id(70)), None);
        note_silences(run.path(), "a b", run_id(70), 0);
        assert_eq!(silences(run.path(), "a b", run_id(70)), Some(0));
        note_silences(run.path(), "a b", run_id(70), 12);
        assert_eq!(silences(run.path(), "a b", run_id(70)), Some(12));
        assert_eq!(silences(run.path(), "a b", run_id(7)), None);
    }

    #[test]
    fn tries_are_on_record_for_one_run() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(tries(run.path(), "a b", run_id(70)), Tries::default());
        note_tries(run.path(), "a b", run_id(70), 3).unwrap();
        let noted = tries(run.path(), "a b", run_id(70));
        assert_eq!(noted.count, 3);
        assert!(noted.last < Duration::from_secs(60), "{noted:?}");
        assert_eq!(tries(run.path(), "a b", run_id(7)), Tries::default());
        write(run.path(), "a b.resumed", "7 70 many").unwrap();
        assert_eq!(tries(run.path(), "a b", run_id(70)), Tries::default());
    }

    #[test]
    fn the_hash_of_a_definition_and_what_was_told_of_it_are_on_record_beside_each_other() {
        let run = tempfile::tempdir().unwrap();
        let noted = |what| noted_definition(run.path(), "a b", what);
        assert_eq!(noted(DefinitionNote::Hash), None);
        note_definition(run.path(), "a b", DefinitionNote::Hash, "abc");
        note_definition(run.path(), "a b", DefinitionNote::Told, "it differs");
        assert_eq!(noted(DefinitionNote::Hash).as_deref(), Some("abc"));
        assert_eq!(noted(DefinitionNote::Told).as_deref(), Some("it differs"));
    }

    #[test]
    fn a_noted_target_is_read_until_it_is_forgotten() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(noted_target(run.path(), "a b"), None);
        let n2 = Some("n 2".to_owned());
        for (stage, node) in [(NotedStage::Begun, None), (NotedStage::Pausing, n2.clone()), (NotedStage::Finished, n2)]
        {
            let noted = Noted { uri: "qemu+ssh://n2/system".into(), node, stage };
            note_target(run.path(), "a b", &noted);
            assert_eq!(noted_target(run.path(), "a b"), Some(noted));
        }
        forget_target(run.path(), "a b");
        assert_eq!(noted_target(run.path(), "a b"), None);
    }
}
