// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine's memory in the folder of `snapshot`: saved in place of a shutdown, restored in place of a start. Which image
//! may be restored is `model::saved_state`'s to say, and how the folder is changed `host::saved`'s.

use super::Host;
use crate::host::saved::{self, FolderOrder, StatePlace};
use crate::hypervisor::backend::Call;
use crate::model::budget::Share;
use crate::model::change::Change;
use crate::model::definition::{self, DefinedDomain};
use crate::model::facts::{Defined, Definition, Domain, Fact, Facts, Libvirt, Silence};
use crate::model::failure::{Failure, FailureKind};
use crate::model::saved_state::{self, RunOf, SavedState, Stamp, StateFolder, StateRecord, room_for, written_disks};
use crate::model::state::{Pause, State};
use crate::model::worker::Who;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::hosts;
use crate::sys::interrupt;
use crate::sys::text::sha256_hex;
use crate::sys::time::{Deadline, timespec, utc};
use rustix::event::{PollFd, PollFlags, poll};
use std::time::{Duration, SystemTime};

/// With less time than this nothing is saved.
const LEAST: Duration = Duration::from_secs(1);

impl Host<'_> {
    /// The machine's place in the folder.
    fn state_place(&self) -> Option<StatePlace> {
        StatePlace::of(self.inv, &self.looker)
    }

    /// What lies in the folder, and whether a start from the definition that was read may restore it.
    pub(super) fn saved_state(&mut self, seen: &Facts) -> Fact<SavedState> {
        let until = self.until(Share::StateFolder);
        let found = saved::state(self.inv, &mut self.looker, seen, until);
        found
            .map(|(state, record)| {
                self.generation = record.as_ref().map_or(0, |record| record.run.generation) + 1;
                self.channels = record.and_then(|record| record.channels);
                state
            })
            .map_err(Silence::from)
            .into()
    }

    /// Whether a save on this host was begun in the folder, and not ended.
    pub(super) fn own_save(&self) -> Fact<bool> {
        let Some(place) = self.state_place() else { return Fact::Known(false) };
        let found = place.look(Vec::new(), self.until(Share::StateFolder));
        found.map(|found| found.unfinished).map_err(Silence::from).into()
    }

    /// Restores the image that fits. It is called used before: whatever happens then, no start restores it again.
    pub(super) fn restore(&mut self, seen: &Facts) -> Result<(), Failure> {
        let (Some(place), Fact::Known(SavedState::Fits { path, .. })) = (self.state_place(), &seen.answers.state)
        else {
            return Err(Failure::refused("there is no saved memory of it"));
        };
        let file = path.rsplit('/').next().unwrap_or_default().to_owned();
        place.change(&FolderOrder::Take { file }, self.until(Share::StateFolder))?;
        self.looker.expect_a_new_machine();
        self.looker.note_start();
        let path = place.path(&saved_state::restoring(&place.name));
        let change = Change::Restore { path, wake: None, channels: self.channels, bypass_cache: false };
        let who = Who::Name(place.name.clone());
        self.backend.start(&change, &who, &place.name, self.deadline)?;
        let defined = match &seen.definition {
            Definition::File(defined) => Some(&**defined),
            Definition::NotLooked | Definition::Unchanged { .. } | Definition::None { .. } | Definition::Bad(_) => None,
        };
        // It bears the mark of the run that was saved, which is over.
        self.set_mark(&who, &self.mark(place.name.clone(), defined), self.until(Share::Mark));
        Ok(())
    }

    /// Gives what lies there another name; in a sentence, what was done.
    pub(super) fn set_state_aside(&self, why: &str) -> Result<String, Failure> {
        let place = self.state_place().ok_or_else(|| Failure::refused("there is no folder"))?;
        let time = saved::file_time(SystemTime::now());
        let paths = place.change(&FolderOrder::SetAside { time }, self.until(Share::StateFolder))?;
        let sentence = format!("its saved memory was set aside: {why} ({})", paths.join(", "));
        log::warn!("'{}': {sentence}", place.name);
        Ok(sentence)
    }

    /// It runs: what it was restored from is of no more use.
    pub(super) fn drop_state(&self) {
        self.change_state(&FolderOrder::Drop);
    }

    /// It does not run here: what a save that was cut short has left is no image.
    pub(super) fn clear_state(&self) {
        self.change_state(&FolderOrder::Clear);
    }

    fn change_state(&self, order: &FolderOrder) {
        let Some(place) = self.state_place() else { return };
        match place.change(order, self.until(Share::StateFolder)) {
            Ok(aside) => tell_of(&aside),
            Err(failure) => log::warn!("the folder of snapshot was not cleared up: {failure}"),
        }
    }

    /// Saves its memory, which ends it; the path. Until libvirt is asked for that nothing has been changed, and where it
    /// fails the guest runs on.
    pub(super) fn save(&mut self, seen: &Facts, longest: Duration) -> Result<String, Failure> {
        let until = self.deadline.at_most(longest);
        let place = self.state_place().ok_or_else(|| Failure::refused("only QEMU's machines are saved"))?;
        if longest < LEAST {
            return Err(Failure::refused("there is no time for it"));
        }
        let who = seen.here.who();
        let (mut facts, record) = self.what_to_record(&who)?;
        self.looker.locate_volumes(&mut facts.disks, until);
        let (files, untold) = written_disks(&facts.disks);
        let record = StateRecord { untold, channels: self.channels_for(until), ..record };
        tell_of(&place.change(&FolderOrder::Drop, self.budget_for_folder(until))?);
        self.set_older_aside(&place, until)?;
        let found = place.look(files.clone(), self.budget_for_folder(until))?;
        if let Some(failure) = hindrance(&place, &found, &facts, &files, &record) {
            return Err(Failure::refused(failure));
        }
        place.change(&FolderOrder::Reserve { disks: files.len() }, self.budget_for_folder(until))?;
        let path = place.path(&saved_state::partial(&place.name, &place.node));
        let change = Change::Save { path: path.clone(), channels: record.channels, bypass_cache: false };
        log::info!("saving the memory of '{}' to {}", place.name, place.folder);
        let call = self.backend.spawn(&change, &who, self.deadline)?;
        let saved = self.await_save(call, &who, until);
        if let Err(failure) = saved {
            // libvirt has removed it, too. While it may be at it, the guest's memory may be about to be there alone.
            let runs_on = |domain: &Domain| domain.state.active() && domain.state != State::Paused(Pause::Save);
            if matches!(&self.observe(self.last_look).here.libvirt, Libvirt::Domain(domain) if runs_on(domain)) {
                self.clear_state();
            }
            return Err(failure);
        }
        // From here on the machine is off, and its memory in that file.
        let synced = synced(&path, self.until(Share::StateFolder));
        let order = FolderOrder::Keep { record: Box::new(record), disks: files, synced };
        let kept = place.change(&order, self.deadline);
        if let Err(failure) = kept {
            log::error!("'{}' was saved, but its image is lost: {failure}", place.name);
            return Err(failure);
        }
        let [own, _] = &place.spellings;
        Ok(place.path(own))
    }

    /// By how many channels it is written; where this host cannot do so, it is saved all the same.
    fn channels_for(&self, until: Deadline) -> Option<u32> {
        let wanted = u32::try_from(self.inv.params.snapshot_channels).ok().filter(|channels| *channels > 0)?;
        let host = self.looker.host_facts(until).map_err(|failure| failure.said);
        match host.map_or_else(Some, |host| saved_state::sparse_hindrance(&host)) {
            None => Some(wanted),
            Some(why) => {
                log::warn!("{}", saved_state::not_by_channels(wanted, &why));
                None
            }
        }
    }

    /// An image that lies there while the machine runs is older than its disks: somebody started it past the agent.
    fn set_older_aside(&self, place: &StatePlace, until: Deadline) -> Result<(), Failure> {
        let found = place.look(Vec::new(), self.budget_for_folder(until))?;
        let [own, _] = &place.spellings;
        if found.images_of(&place.name, own).next().is_some() {
            self.set_state_aside("the machine ran since").map(drop)
        } else {
            Ok(())
        }
    }

    fn budget_for_folder(&self, until: Deadline) -> Deadline {
        self.inv.budget().until(Share::StateFolder, until)
    }

    /// Who is running, and what is to be written beside its image.
    fn what_to_record(&mut self, who: &Who) -> Result<(DefinedDomain, StateRecord), Failure> {
        let unknown = || Failure::refused("libvirt does not show what it runs");
        let live = self.looker.xml(who, false, self.deadline).ok_or_else(unknown)?;
        let facts = definition::parse(live.as_bytes()).map_err(|_| unknown())?;
        self.looker.read_definition(self.inv);
        let next = match self.looker.definition() {
            Definition::File(defined) => Some(Defined::sha256(defined)),
            Definition::NotLooked | Definition::Unchanged { .. } | Definition::None { .. } | Definition::Bad(_) => None,
        };
        let mark = facts.mark.clone().unwrap_or_default();
        let definition = match (mark.sha256.is_empty(), next) {
            // What it runs by is what its file says by now.
            (_, Some(next)) if self.rewritten.as_ref() == Some(&next) => next,
            (false, Some(next)) if next != mark.sha256 => {
                return Err(Failure::refused("its definition was changed since it was started"));
            }
            (false, _) => mark.sha256.clone(),
            (true, Some(next)) => next,
            (true, None) => sha256_hex(self.looker.xml(who, true, self.deadline).ok_or_else(unknown)?.as_bytes()),
        };
        if let Some(disk) = definition::switched(&facts.disks, &mark).first() {
            return Err(Failure::refused(format!("its {} was switched to {}", disk.target, disk.now)));
        }
        let record = StateRecord {
            run: RunOf::of(&facts),
            definition,
            node: hosts::own_name(),
            saved: utc(SystemTime::now()),
            image: Stamp { file: String::new(), size: 0, written: (0, 0) },
            disks: Vec::new(),
            untold: Vec::new(),
            channels: None,
            boot: Some(saved::boot()),
        };
        Ok((facts, record))
    }

    /// Waits for the save; where its time is over, or a signal came, it is aborted: then the guest runs on.
    fn await_save(&self, mut call: Call, who: &Who, until: Deadline) -> Result<(), Failure> {
        while !call.ended() {
            if until.passed() || interrupt::requested() {
                let why = if until.passed() { "it took too long" } else { "a signal came" };
                log::warn!("the save is aborted: {why}");
                let ends = self.until(Share::SaveEnds);
                let aborted = self.backend.call(&Change::AbortJob, who, ends);
                return match call.answer(ends) {
                    // It was through before.
                    Ok(_) => Ok(()),
                    Err(failure) if failure.kind == FailureKind::TimedOut => {
                        let abort = aborted.err().map(|why| format!(": {why}")).unwrap_or_default();
                        Err(Failure::new(FailureKind::TimedOut, format!("{why}, and does not end{abort}")))
                    }
                    Err(_) => Err(Failure::new(FailureKind::TimedOut, format!("{why}, and was aborted"))),
                };
            }
            let mut fds = vec![PollFd::new(call.running(), PollFlags::IN)];
            fds.extend(interrupt::descriptor().map(|signals| PollFd::from_borrowed_fd(signals, PollFlags::IN)));
            let _ = poll(&mut fds, Some(&timespec(until.left())));
        }
        call.answer(self.deadline).map(drop).inspect_err(|failure| {
            if !matches!(failure.kind, FailureKind::Refused(_)) {
                // Whoever asked for it is gone, and libvirt may be at it yet.
                let _ = self.backend.call(&Change::AbortJob, who, self.until(Share::SaveEnds));
            }
        })
    }
}

/// Tells of images that were found where only leavings of a save are cleared away.
fn tell_of(aside: &[String]) {
    for path in aside {
        log::warn!("a whole image of its memory of which nothing was on record was set aside: {path}");
    }
}

/// Why nothing should be saved, though it could be.
fn hindrance(
    place: &StatePlace,
    found: &StateFolder,
    facts: &DefinedDomain,
    files: &[String],
    record: &StateRecord,
) -> Option<String> {
    let [own, _] = &place.spellings;
    if found.others.contains(own) || found.images.iter().any(|image| image.stamp.file == *own) {
        return Some(format!("{} is there already", place.path(own)));
    }
    if found.disks.iter().filter(|disk| files.contains(&disk.file)).count() < files.len() {
        return Some("one of its disks does not tell when it was written".into());
    }
    if let (Some(disk), false) = (record.untold.first(), found.shared) {
        return Some(saved_state::untold(disk));
    }
    let needed = room_for(facts.memory_current_kib.or(facts.memory_max_kib).unwrap_or(0));
    if found.free < needed {
        let mib = |bytes: u64| bytes >> 20;
        return Some(format!("{} has {} MiB free, {} are needed", place.folder, mib(found.free), mib(needed)));
    }
    None
}

/// Has the image reach the disk, as far as that is done in time: a program is left behind by a disk that hangs.
fn synced(path: &str, deadline: Deadline) -> bool {
    let Some(program) = find_program("sync") else { return false };
    let finished = Child::new(&program).args([path]).run(deadline);
    matches!(finished, Ok(finished) if finished.ended == Ended::Exited(0))
}
