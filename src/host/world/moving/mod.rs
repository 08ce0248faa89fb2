// SPDX-License-Identifier: GPL-2.0-or-later
//! Moving a machine: one try, from the checks to the end of libvirt's call; and what is done at both ends around it.

mod watch;

use super::Host;
use crate::host::records;
use crate::hypervisor::backend::{self, Backend, Call};
use crate::hypervisor::xen;
use crate::model::budget::Share;
use crate::model::call::Caller;
use crate::model::change::{Change, Flag, Migrate, Rehearsal};
use crate::model::definition::DefinitionText;
use crate::model::facts::{Domain, Facts, Libvirt, Noted, NotedStage, Place, Tools};
use crate::model::failure::Failure;
use crate::model::params::options::Asked;
use crate::model::target::Target;
use crate::model::worker::{Lookup, Side, Who};
use crate::policy::converge::{Governor, Policy};
use crate::policy::moving::{Failed, NEVER, Tried};
use crate::policy::{History, tell};
use crate::sys::interrupt;
use crate::sys::text::{ascii_line, say, uuid_text};
use crate::sys::time::{Deadline, timespec};
use rustix::event::{PollFd, PollFlags, poll};
use std::time::Duration;
use watch::{GaveUp, Limits};

/// Between two samples of the job's statistics.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long the worker of a migration lives whose end nobody waits for; it ends with the agent.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

impl<'a> Host<'a> {
    /// Puts on record where the machine goes, or went.
    pub(super) fn note_target(&self, seen: &Facts, done: &History, stage: NotedStage) {
        let Some(target) = &done.moving.target else { return };
        let moved = done.moving.tried.as_ref().map(|tried| tried.name.clone());
        let name = moved.or_else(|| seen.here.name.clone()).unwrap_or_default();
        self.note(target, &name, stage);
    }

    fn note(&self, target: &Target, name: &str, stage: NotedStage) {
        let noted = Noted { uri: target.uri.clone(), node: Some(target.node.clone()), stage };
        records::note_target(&self.looker.roots.run, name, &noted);
    }

    /// How the domain is at the target.
    pub(super) fn ask_target(&self, seen: &Facts, done: &History) -> Place {
        let Some(target) = &done.moving.target else { return Place::silent("it is not known") };
        // It may be gone from here: it keeps its UUID.
        let who = match (self.looker.last(), seen.here.who()) {
            (_, who @ Who::Uuid(_)) => who,
            (Some(last), Who::Name(_)) if done.moving.tries > 0 => Who::Uuid(uuid_text(&last.uuid)),
            (_, Who::Name(name)) if name.is_empty() => return Place::silent("its name is not known"),
            (_, who @ Who::Name(_)) => who,
        };
        backend::place(&target.uri, who, self.until(Share::Target))
    }

    /// Checks both ends.
    pub(super) fn rehearse(&mut self, seen: &Facts, done: &History) -> Result<(), String> {
        let Some((mut mover, domain)) = self.mover(seen, done) else { return Err("it is not here".into()) };
        mover.check(&domain, Rehearsal::Thorough).map(drop).map_err(|failed| failed.why)
    }

    /// One try.
    pub(super) fn move_it(&mut self, seen: &Facts, done: &mut History) {
        self.note_target(seen, done, NotedStage::Begun);
        let began = self.began.elapsed();
        let Some((mut mover, domain)) = self.mover(seen, done) else { return };
        let request = mover.request(&domain);
        let (there, failed) = match mover.attempt(&domain, &request) {
            Ok(lookup) => (lookup.map(|lookup| Place::by_word(Libvirt::told(lookup))), None),
            Err(failed) => (None, Some(failed)),
        };
        let paused = mover.paused;
        let tried = Tried { name: domain.name, began, ended: self.began.elapsed(), there, failed, paused };
        done.moving.note_try(tried);
    }

    fn mover<'h>(&'h mut self, seen: &Facts, done: &History) -> Option<(Mover<'h, 'a>, Domain)> {
        let (Some(target), Libvirt::Domain(domain)) = (done.moving.target.clone(), &seen.here.libvirt) else {
            return None;
        };
        // What makes no sense was refused before, unless virsh is to say so.
        let asked = self.inv.params.migration.options.asked.clone();
        if let Some(word) = &asked.unknown {
            log::info!("migrate_options are handed to virsh: '{}' is not known here", ascii_line(word, 40));
        }
        let name = seen.here.name.clone().unwrap_or_default();
        Some((Mover { host: self, target, name, asked, paused: false }, domain.clone()))
    }

    /// Puts right what a migration left behind.
    pub(super) fn put_right(&self, at: Side, change: &Change, seen: &Facts, done: &History) {
        let Some(target) = &done.moving.target else { return };
        let there = Backend { uri: target.uri.clone(), use_virsh: false };
        let (end, backend) = match at {
            Side::Source => ("here", &self.backend),
            Side::Destination => ("at the target", &there),
        };
        let name = done.moving.tried.as_ref().map(|tried| tried.name.as_str()).unwrap_or_default();
        log::warn!("after the migration of '{name}', libvirt is told to {change} {end}");
        let share = if *change == Change::AbortJob { Share::Order } else { Share::PutRight };
        if let Err(error) = backend.call(change, &seen.here.who(), self.until(share)) {
            log::warn!("libvirt did not {change} {end}: {error}");
        }
    }

    /// A pause before the next try, which a signal ends.
    pub(super) fn wait_for_the_target(&mut self, pause: Duration, why: &str, done: &mut History) {
        self.forget_target();
        if done.moving.tries == 1 {
            log::warn!("{why}; it is tried again while there is time");
        }
        if let Some(target) = &done.moving.target {
            tell_progress(self.inv.caller, target, &format!("waiting {} s for {}", pause.as_secs(), target.node));
        }
        let mut fds = Vec::from_iter(interrupt::descriptor().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let _ = poll(&mut fds, Some(&timespec(pause.min(self.deadline.left()))));
        done.moving.start_over(why);
    }
}

/// A line about the progress, to a person or to the log.
fn tell_progress(caller: Caller, target: &Target, line: &str) {
    if caller == Caller::Human {
        say(&mut std::io::stderr(), &format!("vm-agent: {line}"));
    } else {
        log::info!("migration to {}: {line}", target.node);
    }
}

/// One try, on this host.
struct Mover<'h, 'a> {
    host: &'h mut Host<'a>,
    target: Target,
    /// Under which name it is on record.
    name: String,
    /// What `migrate_options` ask for.
    asked: Asked,
    /// See [`Tried`].
    paused: bool,
}

impl Mover<'_, '_> {
    /// Reads what a call says until it ends, or its time is over.
    fn until_ended(&self, call: &mut Call) {
        let until = self.host.until(Share::Check);
        while !call.ended() && !until.passed() && !interrupt::requested() {
            let _ = poll(&mut [PollFd::new(call.running(), PollFlags::IN)], Some(&timespec(until.left().min(SAMPLE))));
        }
    }

    /// What libvirt is asked for: the parameters, and the words of `migrate_options`. Each node keeps the definitions that
    /// it has, unless these words say something else.
    fn request(&self, domain: &Domain) -> Migrate {
        let params = &self.host.inv.params.migration;
        let mut request = self.asked.migrate.clone();
        let (qemu, xen) = (self.host.looker.uri.starts_with("qemu"), self.host.looker.uri.starts_with("xen"));
        for (wanted, flag) in [
            (params.live, Flag::Live),
            // Of a domain of Xen's nobody but the daemons ends what was begun: with a client that dies in the middle the
            // guest would stand still on both hosts for ever.
            (params.p2p || params.tunnelled || xen, Flag::P2p),
            (params.tunnelled, Flag::Tunnelled),
            (params.tls, Flag::Tls),
            (params.parallel > 0, Flag::Parallel),
            (params.compression.is_some(), Flag::Compressed),
            (params.live && params.auto_converge && qemu, Flag::AutoConverge),
            (params.live && params.postcopy && qemu, Flag::Postcopy),
        ] {
            if wanted {
                request.flags.insert(flag);
            }
        }
        log::debug!("'{}' moves with {:?}", domain.name, request.flags);
        request.dest_uri.clone_from(&self.target.uri);
        // Whether it would end without a pause depends on it, and the hypervisor tells it after the first pass only.
        request.measure = params.allow_pause && params.live && qemu;
        request.migrate_uri.clone_from(&self.target.data_uri);
        request.start_resources = self.host.inv.params.start_resources;
        request.downtime_ms = (params.downtime > 0).then_some(params.downtime);
        request.bandwidth = request.bandwidth.or((params.speed > 0).then_some(params.speed));
        request.compression = request.compression.or_else(|| params.compression.clone());
        if params.parallel > 0 {
            request.parallel_connections = i32::try_from(params.parallel).ok();
        }
        request
    }

    /// One migration, from the checks to the end of libvirt's call.
    fn attempt(&mut self, domain: &Domain, request: &Migrate) -> Result<Option<Lookup>, Failed> {
        let mut limits = Limits::of(self.host.inv.budget(), self.host.deadline);
        let params = &self.host.inv.params.migration;
        let open_ended = self.host.inv.open_ended;
        let who = uuid(domain);
        let by_virsh = params.by_virsh || self.asked.unknown.is_some();
        self.check_live(domain, request)?;
        let mut kept = None;
        if self.host.looker.tools() == Tools::Xl {
            self.check(domain, Rehearsal::Brief)?;
        } else if by_virsh || self.host.inv.params.use_virsh {
            kept = self.check(domain, Rehearsal::Brief)?;
            // virsh cannot say it together with the migration.
            if let Some(ms) = request.downtime_ms {
                let set = self.host.backend.call(&Change::SetDowntime { ms }, &who, self.host.until(Share::Order));
                set.unwrap_or_else(|error| log::warn!("the downtime was not set: {error}"));
            }
        }
        let words = by_virsh.then(|| params.options.words.clone());
        let order = keeping_tpm(Migrate { by_virsh: words, ..request.clone() }, kept, &domain.name);
        let change = Change::Migrate(Box::new(order));
        // The worker's own last resort comes after the abort that is ordered here; in post-copy nothing is aborted.
        let last = match request.flags.contains(&Flag::Postcopy) {
            _ if open_ended => Deadline::after(FOREVER),
            true => self.host.deadline,
            false => limits.over,
        };
        // What the checks took is gone from it.
        let policy = Policy {
            downtime: params.downtime,
            downtime_max: params.downtime_max,
            auto_converge: request.flags.contains(&Flag::AutoConverge),
            postcopy: request.flags.contains(&Flag::Postcopy) && params.postcopy,
            allow_pause: params.allow_pause,
            timeout: self.asked.timeout,
            postcopy_after_precopy: self.asked.postcopy_after_precopy,
            open_ended,
            end: limits.until.left(),
            last: limits.close.left(),
        };
        let mut call = self.host.backend.spawn(&change, &who, last).map_err(Failed::early)?;
        let ordered = self.watch_over(&mut call, &who, Governor::new(policy), &mut limits);
        let begun = call.begun();
        let lost = call.lost();
        let over = if begun { self.order_until(limits.over) } else { Deadline::after(Duration::ZERO) };
        let answer = call.answer(over);
        match (answer, ordered) {
            (Ok(answer), _) => Ok(answer.lookup),
            (Err(_), Some(GaveUp { why, hope, held })) => {
                Err(Failed { why, hope, held, looks: if begun { NEVER } else { 2 } })
            }
            (Err(failure), None) => {
                let why = match lost {
                    Some(Side::Destination) => {
                        format!("{} was lost on the way: {}", self.target.node, tell::plain(&failure.said))
                    }
                    Some(Side::Source) | None => self.sentence(&failure),
                };
                Err(Failed::of(&failure, begun, why))
            }
        }
    }

    /// Checks both ends, as the worker does before a move; for virsh, which checks nothing, beforehand. Gives the definition
    /// that it must arrive with, lest libvirt delete the state of its TPM.
    fn check(&mut self, domain: &Domain, rehearsal: Rehearsal) -> Result<Option<DefinitionText>, Failed> {
        if self.host.looker.tools() == Tools::Xl {
            let until = self.host.until(Share::Check);
            let thorough = rehearsal == Rehearsal::Thorough;
            let checked = xen::check_move(&uuid(domain), &domain.name, &self.target.uri, thorough, until);
            return checked
                .map(|()| None)
                .map_err(|failure| Failed { looks: 1, ..Failed::of(&failure, false, self.sentence(&failure)) });
        }
        let mut request = self.request(domain);
        self.check_live(domain, &request)?;
        (request.rehearse, request.measure) = (Some(rehearsal), false);
        let until = self.host.until(Share::Check);
        let spawned = self.host.backend.spawn(&Change::Migrate(Box::new(request)), &uuid(domain), until);
        let mut call = spawned.map_err(Failed::early)?;
        self.until_ended(&mut call);
        let answer = call.answer(self.host.until(Share::Check));
        answer.map(|answer| answer.xml).map_err(|failure| {
            // It only checks, so nothing can have come there by it.
            Failed { looks: 1, ..Failed::of(&failure, false, self.sentence(&failure)) }
        })
    }

    /// Whether libvirt's Xen driver can move it live: libvirt and libxl find out in the middle.
    fn check_live(&self, domain: &Domain, request: &Migrate) -> Result<(), Failed> {
        if !(request.flags.contains(&Flag::Live) && self.host.looker.uri.starts_with("xen")) {
            return Ok(());
        }
        let checked = xen::check_live(&uuid(domain), self.host.until(Share::Check));
        checked.map_err(|failure| Failed { looks: 1, ..Failed::of(&failure, false, self.sentence(&failure)) })
    }

    fn sentence(&self, failure: &Failure) -> String {
        tell::sentence(failure, &self.target.node, &self.target.uri)
    }
}

/// What virsh is asked for, where the domain must arrive with the definition `kept` or lose the state of its TPM.
fn keeping_tpm(mut order: Migrate, kept: Option<DefinitionText>, name: &str) -> Migrate {
    if kept.is_none() {
        return order;
    }
    const UNDEFINES: &str = "--undefinesource";
    let words = order.by_virsh.iter_mut().flatten();
    let own = words.into_iter().any(|word| word == "--xml" || word.starts_with("--xml="));
    let before = order.by_virsh.as_ref().map(Vec::len);
    order.by_virsh.iter_mut().for_each(|words| words.retain(|word| word != UNDEFINES));
    if order.flags.remove(&Flag::UndefineSource) || order.by_virsh.as_ref().map(Vec::len) != before {
        log::warn!("the definition of '{name}' stays here: with it virsh would delete the state of its TPM");
    }
    if own {
        log::warn!(
            "'{name}' moves with a definition of migrate_options: unless that says persistent_state='yes', its stop there deletes the state of its TPM"
        );
    }
    Migrate { dest_xml: kept, ..order }
}

fn uuid(domain: &Domain) -> Who {
    Who::Uuid(uuid_text(&domain.uuid))
}
