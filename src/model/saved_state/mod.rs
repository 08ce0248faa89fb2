// SPDX-License-Identifier: GPL-2.0-or-later
//! A machine's memory in a file of the folder `snapshot`, and whether a start may restore it. Pure.
//!
//! Old memory on disks that were written since destroys them. So an image counts only with a record beside it, which says
//! of which run it is and how the disks were when it was written; what does not fit is set aside, and never restored.
//! Its place says how far it is, and each step from one to the next is a single rename:
//!
//! | name | it is |
//! |---|---|
//! | `.NAME.NODE.partial` | being written, or left by a save that was cut short |
//! | `NAME.state`, or `NAME` as vm.sh calls it | whole, if its record says so |
//! | `.NAME.restoring` | used: a restore was begun from it |
//! | `NAME.state.aside-TIME` | set aside: no start looks at it any more |

mod form;
mod names;

pub(crate) use form::{not_by_channels, room_for, sparse_hindrance};
pub(crate) use names::{new_record, partial, record, restoring, spellings};

use super::definition::{DefinedDomain, Disk, DiskKind};
use crate::sys::text::uuid_text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a file was when it was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Its path, or its name in the folder.
    pub file: String,
    /// Its size.
    pub size: u64,
    /// When it was last written: seconds and nanoseconds.
    pub written: (i64, i64),
}

/// Which run of which machine an image is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunOf {
    /// The machine's name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// The number of the run among those of this folder, by its mark; 0: it has none.
    pub generation: u64,
    /// When the run was started, by its mark.
    pub started: String,
}

impl RunOf {
    /// The run that a domain's XML, or that in an image, tells of.
    #[must_use]
    pub(crate) fn of(facts: &DefinedDomain) -> Self {
        let mark = facts.mark.clone().unwrap_or_default();
        let uuid = facts.uuid.as_ref().map(uuid_text).unwrap_or_default();
        Self { name: facts.name.clone(), uuid, generation: mark.generation, started: mark.started }
    }
}

/// What is written beside an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    /// Of which run it is.
    pub run: RunOf,
    /// SHA-256 of the definition that the run was started from.
    pub definition: String,
    /// Where it was saved.
    pub node: String,
    /// When: RFC 3339, in UTC.
    pub saved: String,
    /// The image itself.
    pub image: Stamp,
    /// The disks that are files.
    pub disks: Vec<Stamp>,
    /// Disks that do not tell when they were written, by their names in the guest.
    pub untold: Vec<String>,
    /// By how many channels it was written, where it was by several.
    #[serde(default)]
    pub channels: Option<u32>,
    /// The boot of the host in which it was written, as long as it is not known to have reached the disk.
    pub boot: Option<String>,
}

/// A file of the folder that libvirt has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateImage {
    /// The file.
    pub stamp: Stamp,
    /// Whether libvirt has come to its end.
    pub whole: bool,
    /// Whether its pages lie at fixed places, which an older libvirt cannot read.
    #[serde(default)]
    pub sparse: bool,
    /// The run in it, where that can be read.
    pub run: Option<RunOf>,
}

/// What is in the folder of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateFolder {
    /// The images under its two names.
    pub images: Vec<StateImage>,
    /// Its names under which something else lies.
    pub others: Vec<String>,
    /// A restore was begun, and nobody took the image away.
    pub restoring: bool,
    /// A save was begun on this host, and not ended.
    pub unfinished: bool,
    /// The record.
    pub record: Option<StateRecord>,
    /// The disks as they are now.
    pub disks: Vec<Stamp>,
    /// Whether other hosts see the same folder, by the kind of its file system.
    pub shared: bool,
    /// Bytes that may be written to it.
    pub free: u64,
}

/// What a start wants to restore.
#[derive(Clone, Debug)]
pub(crate) struct WantedState<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its UUID, where the definition tells one.
    pub uuid: Option<[u8; 16]>,
    /// SHA-256 of the definition.
    pub definition: &'a str,
    /// This boot of this host.
    pub boot: &'a str,
}

/// Whether there is saved memory in the folder of `snapshot`, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SavedState {
    /// There is none.
    Nothing,
    /// It is that of the last run, as far as anything tells.
    Fits {
        /// Its path.
        path: String,
        /// When it was saved, and on which node.
        saved: String,
    },
    /// It must not be restored.
    Unfit {
        /// Its path.
        path: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for SavedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Fits { path, saved } => write!(f, "{path}, {saved}"),
            Self::Unfit { path, why } => write!(f, "{path}, which cannot be restored: {why}"),
        }
    }
}

impl StateFolder {
    /// The images that are of this machine. Under its own first name one whose run cannot be read is, too.
    pub(crate) fn images_of<'a>(&'a self, name: &'a str, own: &'a str) -> impl Iterator<Item = &'a StateImage> {
        self.images.iter().filter(move |image| match &image.run {
            Some(run) => run.name == name,
            None => image.stamp.file == own,
        })
    }

    /// Whether a start may restore what is there.
    #[must_use]
    pub(crate) fn judge(&self, folder: &str, spellings: &[String; 2], wanted: &WantedState<'_>) -> SavedState {
        let path = |file: &str| format!("{}/{file}", folder.trim_end_matches('/'));
        if self.restoring {
            let why = "a restore from it was begun, and nobody saw what came of it".into();
            return SavedState::Unfit { path: path(&restoring(wanted.name)), why };
        }
        let [own, _] = spellings;
        let images: Vec<&StateImage> = self.images_of(wanted.name, own).collect();
        let Some(first) = images.first() else { return SavedState::Nothing };
        let path = path(&first.stamp.file);
        let fits =
            if images.len() > 1 { Err("there are two, under both names".to_owned()) } else { self.fits(first, wanted) };
        match fits {
            Ok(record) => SavedState::Fits { path, saved: format!("saved at {} on {}", record.saved, record.node) },
            Err(why) => SavedState::Unfit { path, why },
        }
    }

    fn fits(&self, image: &StateImage, wanted: &WantedState<'_>) -> Result<&StateRecord, String> {
        let record = self.record.as_ref().filter(|record| record.image.file == image.stamp.file);
        let record = record.ok_or("it has no record: this agent did not write it, or not to the end")?;
        if !image.whole {
            return Err("it was not written to its end".into());
        }
        if record.image != image.stamp || image.run.as_ref() != Some(&record.run) {
            return Err("its record tells of another image".into());
        }
        if record.run.name != wanted.name || wanted.uuid.is_some_and(|uuid| uuid_text(&uuid) != record.run.uuid) {
            return Err(format!("it is of another machine (UUID {})", record.run.uuid));
        }
        if record.definition != wanted.definition {
            return Err(format!("the definition was changed since it was saved at {}", record.saved));
        }
        for then in &record.disks {
            match self.disks.iter().find(|now| now.file == then.file) {
                Some(now) if now == then => {}
                Some(_) => {
                    return Err(format!(
                        "{} was written since it was saved at {}",
                        file_name(&then.file),
                        record.saved
                    ));
                }
                None => return Err(format!("whether {} was written since is not known", file_name(&then.file))),
            }
        }
        if let (Some(disk), false) = (record.untold.first(), self.shared) {
            return Err(untold(disk));
        }
        if record.boot.as_ref().is_some_and(|boot| boot != wanted.boot) {
            return Err("its host ended before it had reached the disk for certain".into());
        }
        Ok(record)
    }
}

/// A reason is short.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// That an image in a folder that only this host may see could be a stale one.
#[must_use]
pub(crate) fn untold(disk: &str) -> String {
    format!("{disk} does not tell if it was written since (no file), nor the folder if it ran elsewhere (not shared)")
}

/// The disks of a domain that tell when they were written, by their paths; and those that do not.
#[must_use]
pub(crate) fn written_disks(disks: &[Disk]) -> (Vec<String>, Vec<String>) {
    let mut files = Vec::new();
    let mut untold = Vec::new();
    for disk in disks.iter().filter(|disk| !disk.read_only) {
        match (&disk.kind, &disk.source) {
            (_, None) => {}
            (DiskKind::File, Some(path)) => files.push(path.clone()),
            (
                DiskKind::Block | DiskKind::Dir | DiskKind::Network | DiskKind::Volume | DiskKind::Other(_),
                Some(source),
            ) => {
                untold.push(disk.target.clone().unwrap_or_else(|| source.clone()));
            }
        }
    }
    (files, untold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caller::Caller;

    fn stamp(file: &str, size: u64) -> Stamp {
        Stamp { file: file.into(), size, written: (7, 8) }
    }

    const UUID: [u8; 16] = [7; 16];

    fn folder() -> StateFolder {
        let run = RunOf { name: "a".into(), uuid: uuid_text(&UUID), generation: 3, started: "then".into() };
        let image = StateImage { stamp: stamp("a.state", 100), whole: true, sparse: false, run: Some(run.clone()) };
        let record = StateRecord {
            run,
            definition: "sum".into(),
            node: "n1".into(),
            saved: "now".into(),
            image: image.stamp.clone(),
            disks: vec![stamp("/a.img", 9)],
            untold: Vec::new(),
            channels: None,
            boot: None,
        };
        StateFolder {
            images: vec![image],
            record: Some(record),
            disks: vec![stamp("/a.img", 9)],
            ..StateFolder::default()
        }
    }

    fn judged(folder: &StateFolder) -> SavedState {
        let wanted = WantedState { name: "a", uuid: Some(UUID), definition: "sum", boot: "this" };
        folder.judge("/saved/", &spellings(Caller::Pacemaker, "a"), &wanted)
    }

    #[test]
    fn an_image_of_the_last_run_on_disks_that_nobody_wrote_fits() {
        let fits = SavedState::Fits { path: "/saved/a.state".into(), saved: "saved at now on n1".into() };
        assert_eq!(judged(&folder()), fits);
        assert_eq!(judged(&StateFolder { images: Vec::new(), ..folder() }), SavedState::Nothing);
    }

    /// Each thing that does not fit, alone.
    #[test]
    fn whatever_does_not_fit_keeps_an_image_from_being_restored() {
        type Change = fn(&mut StateFolder);
        let changes: [(&str, Change); 15] = [
            ("no record", |it| it.record = None),
            ("no record", |it| it.record.as_mut().unwrap().image.file = "a".into()),
            ("to its end", |it| it.images[0].whole = false),
            ("another image", |it| it.images[0].stamp.size += 1),
            ("another image", |it| it.images[0].stamp.written.1 += 1),
            ("another image", |it| it.images[0].run.as_mut().unwrap().generation = 2),
            ("another image", |it| it.images[0].run.as_mut().unwrap().started = "before".into()),
            ("another image", |it| it.images[0].run = None),
            ("definition was changed", |it| it.record.as_mut().unwrap().definition = "other".into()),
            ("a.img was written", |it| it.disks[0].written.0 += 1),
            ("a.img was written", |it| it.disks[0].size += 1),
            ("not known", |it| it.disks.clear()),
            ("does not tell", |it| it.record.as_mut().unwrap().untold.push("vdb".into())),
            ("reached the disk", |it| it.record.as_mut().unwrap().boot = Some("another".into())),
            ("a restore from it was begun", |it| it.restoring = true),
        ];
        for (word, change) in changes {
            let mut folder = folder();
            change(&mut folder);
            let SavedState::Unfit { why, .. } = judged(&folder) else { panic!("{word}: {:?}", judged(&folder)) };
            assert!(why.contains(word), "{word}: {why}");
        }
        let mut other = folder();
        other.record.as_mut().unwrap().run.uuid = uuid_text(&[8; 16]);
        other.images[0].run = Some(other.record.as_ref().unwrap().run.clone());
        assert!(matches!(judged(&other), SavedState::Unfit { why, .. } if why.contains("another machine")));
        let mut two = folder();
        two.images.push(StateImage { stamp: stamp("a", 100), ..two.images[0].clone() });
        assert!(matches!(judged(&two), SavedState::Unfit { why, .. } if why.contains("two")));
    }

    #[test]
    fn what_a_shared_folder_or_the_same_boot_vouches_for_fits() {
        let mut shared = folder();
        shared.record.as_mut().unwrap().untold.push("vdb".into());
        shared.record.as_mut().unwrap().boot = Some("this".into());
        shared.shared = true;
        assert!(matches!(judged(&shared), SavedState::Fits { .. }));
    }

    /// Of vm.sh's `a.state` and VirtualDomain's `a` the images have one name.
    #[test]
    fn the_image_of_another_machine_under_this_name_is_not_looked_at() {
        let mut folder = folder();
        folder.images[0].run.as_mut().unwrap().name = "a.state".into();
        assert_eq!(judged(&folder), SavedState::Nothing);
        folder.images[0].run = None;
        folder.images[0].stamp.file = "a".into();
        assert_eq!(judged(&folder), SavedState::Nothing);
    }
}
