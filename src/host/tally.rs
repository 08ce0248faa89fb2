// SPDX-License-Identifier: GPL-2.0-or-later
//! What is counted of a machine on this host since its boot, in the run folder: how its actions ended, and how long it was
//! seen to be away. Written where an action changes something, never by a monitor that finds all well; read by `metrics`
//! alone. Its loss, or a line of it that cannot be read, makes a counter begin anew.

use crate::model::action::Action;
use crate::sys::run_dir;
use crate::sys::time::now;
use std::path::Path;
use std::time::Duration;

/// Behind a machine's name, its file.
const ENDING: &str = ".tally";

/// What has been counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Where it was acted on last.
    pub uri: Option<String>,
    /// A row for each action that was called.
    pub actions: Vec<ActionEnded>,
    /// How long it was away, by cause.
    pub away: Vec<(Away, Duration)>,
}

/// How an action has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActionEnded {
    pub action: Action,
    /// Its last exit code.
    pub code: u8,
    /// How long it took the last time.
    pub took: Duration,
    /// When that was, in seconds since the epoch.
    pub at: u64,
    /// How often it ended with 0.
    pub well: u64,
    /// How often with another code.
    pub failed: u64,
}

/// Why a machine was away, where the agent has seen both the begin and the end of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// A restart, from its end to its start.
    Restart,
    /// A disk's error had paused it.
    Disk,
    /// It was paused otherwise.
    Paused,
}

impl Away {
    pub(crate) const ALL: [Self; 3] = [Self::Restart, Self::Disk, Self::Paused];

    /// Its word, in the record and for people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Disk => "io-error",
            Self::Paused => "paused",
        }
    }
}

impl Tally {
    fn parse(text: &str) -> Self {
        let mut tally = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["uri", uri] => tally.uri = Some((*uri).to_owned()),
                ["action", rest @ ..] => tally.actions.extend(ActionEnded::parse(rest)),
                ["away", word, millis] => {
                    let cause = Away::ALL.into_iter().find(|cause| cause.word() == *word);
                    tally.away.extend(cause.zip(millis.parse().ok().map(Duration::from_millis)));
                }
                _ => {}
            }
        }
        tally
    }

    fn text(&self) -> String {
        let mut text = self.uri.iter().map(|uri| format!("uri {uri}\n")).collect::<String>();
        for ActionEnded { action, code, took, at, well, failed } in &self.actions {
            let word = action.word();
            text.push_str(&format!("action {word} {code} {} {at} {well} {failed}\n", took.as_millis()));
        }
        for (cause, long) in &self.away {
            text.push_str(&format!("away {} {}\n", cause.word(), long.as_millis()));
        }
        text
    }

    fn add_end(&mut self, action: Action, code: u8, took: Duration) {
        let before = self.actions.iter().position(|ended| ended.action == action).map(|at| self.actions.remove(at));
        let (well, failed) = before.map_or((0, 0), |before| (before.well, before.failed));
        let (well, failed) =
            if code == 0 { (well.saturating_add(1), failed) } else { (well, failed.saturating_add(1)) };
        self.actions.push(ActionEnded { action, code, took, at: now(), well, failed });
    }

    fn add_away(&mut self, cause: Away, long: Duration) {
        match self.away.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, sum)) => *sum = sum.saturating_add(long),
            None => self.away.push((cause, long)),
        }
    }
}

impl ActionEnded {
    fn parse(words: &[&str]) -> Option<Self> {
        let [action, code, took, at, well, failed] = words else { return None };
        Some(Self {
            action: Action::parse(action.as_bytes())?,
            code: code.parse().ok()?,
            took: Duration::from_millis(took.parse().ok()?),
            at: at.parse().ok()?,
            well: well.parse().ok()?,
            failed: failed.parse().ok()?,
        })
    }
}

/// Counts the end of an action at `uri`.
pub(crate) fn note_end(run: &Path, name: &str, uri: &str, (action, code, took): (Action, u8, Duration)) {
    change(run, name, |tally| {
        tally.uri = Some(uri.to_owned()).filter(|uri| !uri.contains(char::is_whitespace));
        tally.add_end(action, code, took);
    });
}

/// Counts that it was away for so long.
pub(crate) fn note_away(run: &Path, name: &str, cause: Away, long: Duration) {
    change(run, name, |tally| tally.add_away(cause, long));
}

fn change(run: &Path, name: &str, change: impl FnOnce(&mut Tally)) {
    let file = format!("{name}{ENDING}");
    let mut tally = run_dir::read(run, &file).map(|text| Tally::parse(&text)).unwrap_or_default();
    change(&mut tally);
    if let Err(errno) = run_dir::write(run, &file, &tally.text()) {
        log::debug!("what became of '{name}' was not counted: {errno}");
    }
}

/// What is on record of each machine, by name.
#[must_use]
pub(crate) fn all(run: &Path) -> Vec<(String, Tally)> {
    let names = run_dir::names(run).into_iter();
    let mut all: Vec<(String, Tally)> = names
        .filter_map(|file| {
            let name = file.strip_suffix(ENDING).filter(|name| !name.is_empty())?;
            Some((name.to_owned(), Tally::parse(&run_dir::read(run, &file)?)))
        })
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_counted_and_the_last_one_is_told() {
        let run = tempfile::tempdir().unwrap();
        for (code, millis) in [(0, 1500), (1, 2500), (0, 700)] {
            note_end(run.path(), "a b", "qemu:///system", (Action::Start, code, Duration::from_millis(millis)));
        }
        note_end(run.path(), "a b", "lxc:///system", (Action::MigrateTo, 1, Duration::from_secs(9)));
        note_away(run.path(), "a b", Away::Disk, Duration::from_millis(1200));
        note_away(run.path(), "a b", Away::Disk, Duration::from_millis(300));
        note_end(run.path(), "other", "no uri", (Action::Stop, 0, Duration::ZERO));
        let all = all(run.path());
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a b", "other"]);
        let tally = &all[0].1;
        assert_eq!((tally.uri.as_deref(), all[1].1.uri.as_deref()), (Some("lxc:///system"), None));
        let told = |ended: &ActionEnded| (ended.action, ended.code, ended.took.as_millis(), ended.well, ended.failed);
        assert_eq!(
            tally.actions.iter().map(told).collect::<Vec<_>>(),
            [(Action::Start, 0, 700, 2, 1), (Action::MigrateTo, 1, 9000, 0, 1)]
        );
        assert_eq!(tally.away, [(Away::Disk, Duration::from_millis(1500))]);
        assert_eq!(Tally::parse(&tally.text()), *tally);
    }

    #[test]
    fn what_cannot_be_read_is_passed_by_and_the_rest_counts() {
        let text = "action start 0 1 2 3 4\naction start x 1 2 3 4\naction sing 0 1 2 3 4\naway nowhere 1\naway paused -1\n\nx";
        let tally = Tally::parse(text);
        assert_eq!((tally.actions.len(), tally.away.len()), (1, 0));
        assert_eq!((tally.actions[0].well, tally.actions[0].failed), (3, 4));
    }
}
