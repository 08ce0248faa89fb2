// SPDX-License-Identifier: GPL-2.0-or-later
//! The folder of `snapshot`, asked and changed aside: its storage may hang. Both sides of it: the orders, and (in `folder`)
//! the process that carries them out. What it means is `model::saved_state`'s to say.

mod folder;

use crate::host::look::Looker;
use crate::model::call::Invocation;
use crate::model::facts::{Definition, Facts};
use crate::model::failure::{Failure, FailureKind};
use crate::model::saved_state::{self, SavedState, StateFolder, StateRecord, WantedState};
use crate::sys::child::aside::{self, Patience};
use crate::sys::hosts;
use crate::sys::text::sha256_hex;
use crate::sys::time::{Deadline, utc};
use serde::{Deserialize, Serialize};
use std::io::{Write, stdout};
use std::time::SystemTime;

/// The first word of the question to the process aside.
pub(super) const WORD: &str = "saved";

/// One machine's place in a folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StatePlace {
    /// The folder.
    pub folder: String,
    /// The machine's name.
    pub name: String,
    /// This host's name: what it writes bears it.
    pub node: String,
    /// The names that its image may have, its own first.
    pub spellings: [String; 2],
}

/// What is asked of the folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FolderOrder {
    /// What is there; and how these disks are, and those of the record.
    Look { disks: Vec<String> },
    /// Remove what a save on this host has left; an image that is whole is set aside.
    Clear,
    /// Remove the image that was restored, and what a save on this host has left.
    Drop,
    /// Give the images of the machine names under which no start looks for one.
    SetAside {
        /// A word for those names.
        time: String,
    },
    /// Call this image used.
    Take {
        /// Its name.
        file: String,
    },
    /// Have room for a record of so many disks, before there may be none.
    Reserve {
        /// How many.
        disks: usize,
    },
    /// What was written is whole: record it, and give it its name.
    Keep {
        /// What to record, but for the stamps.
        record: Box<StateRecord>,
        /// The disks to record.
        disks: Vec<String>,
        /// Whether it is known to have reached the disk.
        synced: bool,
    },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FolderAnswer {
    /// What is there.
    Seen(Box<StateFolder>),
    /// It was done; the paths of what was set aside.
    Done(Vec<String>),
    /// It was not done, and why.
    Refused(String),
}

/// The time as it stands in the names of what is set aside.
pub(crate) fn file_time(now: SystemTime) -> String {
    utc(now).replace([':', '-'], "")
}

/// What lies in the folder, and whether a start from the definition that was read may restore it; and the record there.
///
/// # Errors
/// The folder cannot be looked at, or does not answer.
pub(crate) fn state(
    inv: &Invocation,
    looker: &mut Looker,
    seen: &Facts,
    deadline: Deadline,
) -> Result<(SavedState, Option<StateRecord>), Failure> {
    let Some(place) = StatePlace::of(inv, looker) else { return Ok((SavedState::Nothing, None)) };
    let found = place.look(Vec::new(), deadline)?;
    let (definition, uuid) = match &seen.definition {
        Definition::File(defined) => (defined.sha256(), defined.uuid),
        Definition::NotLooked | Definition::Unchanged { .. } | Definition::None { .. } | Definition::Bad(_) => {
            // A definition that libvirt does not show is none that an image could be of.
            let kept = looker.xml(&seen.here.who(), true, deadline).unwrap_or_default();
            (sha256_hex(kept.as_bytes()), seen.here.libvirt.uuid())
        }
    };
    let boot = boot();
    let wanted = WantedState { name: &place.name, uuid, definition: &definition, boot: &boot };
    let state = found.judge(&place.folder, &place.spellings, &wanted);
    // One that another node can read is not tried here, which would use it up.
    if let SavedState::Fits { path, .. } = &state
        && found.images.iter().any(|image| image.sparse)
        && let Some(why) = looker.host_facts(deadline).ok().and_then(|host| saved_state::sparse_hindrance(&host))
    {
        let why = format!("it is a sparse image, and {why}");
        return Ok((SavedState::Unfit { path: path.clone(), why }, found.record));
    }
    Ok((state, found.record))
}

/// This boot of this host.
#[must_use]
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl StatePlace {
    /// The machine's place in the folder; none, where there is no folder, or its memory is not QEMU's.
    #[must_use]
    pub(crate) fn of(inv: &Invocation, looker: &Looker) -> Option<Self> {
        let (folder, name) = (inv.params.snapshot.clone()?, looker.name()?.to_owned());
        let spellings = saved_state::spellings(inv.caller, &name);
        looker.runs_by_qemu().then(|| Self { folder, node: hosts::own_name(), name, spellings })
    }

    /// The path of a file there.
    #[must_use]
    pub(crate) fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder.trim_end_matches('/'))
    }

    /// What is in the folder, and how these disks are, and those of its record.
    ///
    /// # Errors
    /// It cannot be looked at, or does not answer.
    pub(crate) fn look(&self, disks: Vec<String>, deadline: Deadline) -> Result<StateFolder, Failure> {
        match self.ask(&FolderOrder::Look { disks }, deadline)? {
            FolderAnswer::Seen(seen) => Ok(*seen),
            FolderAnswer::Done(_) | FolderAnswer::Refused(_) => {
                Err(Failure::new(FailureKind::Garbled, "it was not looked at"))
            }
        }
    }

    /// Changes it; the paths of what was set aside.
    ///
    /// # Errors
    /// It cannot be changed, or does not answer.
    pub(crate) fn change(&self, order: &FolderOrder, deadline: Deadline) -> Result<Vec<String>, Failure> {
        match self.ask(order, deadline)? {
            FolderAnswer::Done(paths) => Ok(paths),
            FolderAnswer::Seen(_) | FolderAnswer::Refused(_) => {
                Err(Failure::new(FailureKind::Garbled, "nothing was done"))
            }
        }
    }

    fn ask(&self, order: &FolderOrder, deadline: Deadline) -> Result<FolderAnswer, Failure> {
        let question = serde_json::to_string(&(self, order)).unwrap_or_default();
        // Half of a change is none: a signal that ends the action does not end it.
        let patience = Patience { deadline, silence: None, interruptible: false };
        let said = aside::ask(&[WORD.into(), question.into()], patience)
            .map_err(|error| Failure::new(FailureKind::Crashed, format!("no process for the folder: {error}")))?;
        match serde_json::from_slice(&said.text) {
            Ok(FolderAnswer::Refused(why)) => Err(Failure::refused(why)),
            Ok(told) => Ok(told),
            Err(_) => Err(Failure::new(FailureKind::TimedOut, format!("{} does not answer", self.folder))),
        }
    }
}

/// The life of the process aside.
pub(super) fn main(question: &str) -> Option<()> {
    let (place, order): (StatePlace, FolderOrder) = serde_json::from_str(question).ok()?;
    let told = folder::obey(&place, &order).unwrap_or_else(FolderAnswer::Refused);
    let line = serde_json::to_vec(&told).ok()?;
    let mut out = stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).ok()
}
