// SPDX-License-Identifier: GPL-2.0-or-later
//! migrate and migrate_to: move the virtual machine, watch over it, and find out where it is, whatever the call said.
//!
//! A migration never becomes a stop: until it is proven that the machine runs at the target, nothing here ends it at the
//! source; and it is resumed at the source only when it is proven that the target does not run it.

mod watch;

use crate::host::look::{Depth, Looker};
use crate::host::records;
use crate::host::turn::take_turn;
use crate::hypervisor::backend::{self, Backend, Call, Verb};
use crate::model::call::{Caller, Environment, Invocation};
use crate::model::facts::Noted;
use crate::model::facts::{Domain, Observation};
use crate::model::failure::Trouble;
use crate::model::options::{self, Asked};
use crate::model::outcome::{Code, Outcome};
use crate::model::presence::{Presence, presence};
use crate::model::state::Motion;
use crate::model::state::State;
use crate::model::target::{self, Target};
use crate::model::worker::{self, Flag, Lookup, Migrate, Rehearsal, Step, Who};
use crate::policy::converge::{Governor, Policy};
use crate::policy::health::{self, Health};
use crate::policy::hope::{self, Hope};
use crate::policy::settle::{self, End, Here, Then, There};
use crate::policy::tell;
use crate::sys::interrupt;
use crate::sys::roots::Roots;
use crate::sys::text::uuid_text;
use crate::sys::time::{Deadline, timespec};
use rustix::event::{PollFd, PollFlags, poll};
use std::time::{Duration, Instant};
use watch::{GaveUp, Limits};

/// Between two samples of the job's statistics.
pub(super) const SAMPLE: Duration = Duration::from_millis(500);
/// How long connecting and checking may take before the target counts as not answering.
pub(super) const BEGIN: Duration = Duration::from_secs(20);
/// Between two looks at both ends while it is not clear where the machine is.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a guest that sleeps may take to wake.
const WAKES: Duration = Duration::from_secs(10);
/// How long an abort may take before the call is ended.
pub(super) const ABORT: Duration = Duration::from_secs(5);

/// Moves the virtual machine to the invocation's target. With `rehearse` only both ends are checked.
#[must_use]
pub fn run(inv: &Invocation, env: &Environment, roots: Roots, rehearse: bool) -> Outcome {
    let end = attempt_all(inv, env, roots, rehearse).unwrap_or_else(|end| end);
    let (code, reason) = match end {
        End::Moved(why) => (Code::Ok, why),
        End::Stayed(why) => (
            match inv.caller {
                Caller::Rgmanager => Code::StayedHere,
                Caller::Pacemaker | Caller::Ocf | Caller::Human => Code::Generic,
            },
            why,
        ),
        // To Pacemaker every failure is 1: other codes ban nodes, and 6 stops the machine everywhere.
        End::NotHere(why) | End::Unclear(why) => (
            match inv.caller {
                Caller::Rgmanager => Code::NotRunning,
                Caller::Pacemaker | Caller::Ocf | Caller::Human => Code::Generic,
            },
            why,
        ),
        End::Impossible(why) => (
            match inv.caller {
                Caller::Rgmanager => Code::Configured,
                Caller::Pacemaker | Caller::Ocf => Code::Generic,
                Caller::Human => Code::Args,
            },
            why,
        ),
    };
    Outcome::new(code, reason)
}

fn attempt_all(inv: &Invocation, env: &Environment, roots: Roots, rehearse: bool) -> Result<End, End> {
    let deadline = Deadline::after(inv.timeout.saturating_sub(inv.margin()));
    // The other half of the margin is for a last look: the answer is then still a fact.
    let last_look = Deadline::after(inv.timeout.saturating_sub(inv.margin() / 2));
    let mut looker = Looker::new(inv, env, roots);
    // A bad parameter that a migration does not use must not turn it into a stop.
    if let Some(problem) = inv.params.problems.iter().find(|problem| problem.hinders_migration()) {
        return Err(End::Impossible(problem.to_string()));
    }
    let Some(node) = inv.target.as_ref() else {
        return Err(End::Impossible("where to? the call names no target node".into()));
    };
    let Some(node) = node.to_str() else {
        return Err(End::Impossible(format!("'{}' is not a node's name", crate::sys::text::shown(node))));
    };
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Without the cluster's word for this node only the very same name is it: another site may have a node1 too.
    if inv.node.as_deref().map_or(node.eq_ignore_ascii_case(&own), |own| target::same_node(node, own)) {
        return Ok(End::Moved(format!("'{node}' is this node; there is nothing to do")));
    }
    let plain_data = inv.caller == Caller::Rgmanager;
    let target = target::find(node, &inv.params.migration, &looker.uri, plain_data).map_err(End::Impossible)?;
    let _turn = take_turn(inv, &mut looker, deadline).map_err(|outcome| End::Stayed(outcome.reason))?;
    let backend = Backend { uri: looker.uri.clone(), use_virsh: inv.params.use_virsh };
    // What makes no sense was refused before, unless virsh is to say so.
    let asked = options::parse(inv.params.migration.options.as_deref().unwrap_or_default()).unwrap_or_default();
    if let Some(word) = &asked.unknown {
        log::info!(
            "migrate_options are handed to virsh: '{}' is not known here",
            crate::sys::text::ascii_line(word, 40)
        );
    }
    let mut mover = Mover { inv, looker, backend, target, asked, deadline, last_look, downtime: 0, unsure: false };
    let domain = mover.source(rehearse)?;
    if rehearse {
        return Ok(mover.rehearse(&domain));
    }
    mover.move_it(&domain)
}

pub(super) struct Mover<'a> {
    pub(super) inv: &'a Invocation,
    pub(super) looker: Looker,
    pub(super) backend: Backend,
    pub(super) target: Target,
    /// What `migrate_options` ask for.
    asked: Asked,
    pub(super) deadline: Deadline,
    /// Until when this host may be looked at.
    last_look: Deadline,
    /// Milliseconds of downtime allowed now.
    pub(super) downtime: u64,
    /// Nobody has said for certain that the target does not get it: where it was to go stays on record.
    unsure: bool,
}

impl Mover<'_> {
    /// The domain, when it is here and can be moved.
    fn source(&mut self, rehearse: bool) -> Result<Domain, End> {
        let mut woken: Option<Result<Deadline, String>> = None;
        let patience = self.deadline.at_most((self.inv.timeout / 4).min(BEGIN));
        loop {
            let seen = self.look();
            let node = &self.target.node;
            let blind = match presence(&seen) {
                Presence::Active(domain) => {
                    let (name, state) = (&domain.name, domain.state);
                    if domain.motion == Motion::Leaving {
                        return Err(End::Stayed(format!(
                            "'{name}' is already migrating: wait for its end, or abort it with 'virsh domjobabort'"
                        )));
                    }
                    if state == State::PmSuspended && !rehearse {
                        // Asleep it would arrive, and be called running, which it is not.
                        match &woken {
                            None => {
                                log::warn!("'{name}' is asleep (suspended by the guest); it is woken to be moved");
                                let answer = self.backend.call(Verb::Wake, &uuid(domain), self.deadline.at_most(WAKES));
                                woken = Some(answer.map(|()| self.deadline.at_most(WAKES)));
                            }
                            Some(Ok(until)) if !until.passed() && !interrupt::requested() => {
                                pause(LOOK_AGAIN, *until);
                            }
                            Some(Ok(_)) => return Err(End::Stayed(tell::asleep(name, "it does not wake"))),
                            Some(Err(why)) => return Err(End::Stayed(tell::asleep(name, why))),
                        }
                        continue;
                    }
                    return match health::health(state, domain.motion) {
                        Health::Well | Health::Degraded => Ok(domain.clone()),
                        Health::Arriving | Health::Elsewhere => {
                            Err(End::NotHere(format!("'{name}' is only arriving here; not moved")))
                        }
                        Health::Failed | Health::Off => {
                            Err(End::Stayed(format!("'{name}' is {state}, and was not moved: stop and start it")))
                        }
                    };
                }
                Presence::Off(why) => {
                    // A repeated call: it may have been moved already.
                    return Err(match self.ask_target(&seen) {
                        There::Running(state) => {
                            let noted = Noted { uri: self.target.uri.clone(), finished: true };
                            records::note_target(
                                &self.looker.roots.run,
                                &seen.name.clone().unwrap_or_default(),
                                &noted,
                            );
                            End::Moved(format!("it is already {state} on {}", self.target.node))
                        }
                        There::Arriving | There::Off => End::NotHere(format!("{why}, and it is not on {node} either")),
                        There::Unknown(error) => End::NotHere(format!("{why}; {node} cannot be asked: {error}")),
                    });
                }
                Presence::Blind { pid, no_answer, .. } => {
                    End::Stayed(format!("not moved: it runs here (process {pid}), but {}", no_answer.why))
                }
                Presence::Stray { pid, .. } => {
                    End::Stayed(format!("not moved: process {pid} runs here, but libvirt lost the domain"))
                }
                Presence::Unknown(why) => End::Unclear(format!("not moved: {why}")),
            };
            if patience.passed() || interrupt::requested() {
                return Err(blind);
            }
            pause(LOOK_AGAIN, patience);
        }
    }

    pub(super) fn look(&mut self) -> Observation {
        let patience = Duration::from_secs(5).min(self.inv.timeout / 8);
        self.looker.look(self.inv, Depth { process: true, thorough: true }, patience, self.last_look)
    }

    /// How the domain is at the target.
    fn ask_target(&self, seen: &Observation) -> There {
        let who = match seen.who() {
            Who::Name(name) if name.is_empty() => return There::Unknown("its name is not known".into()),
            who @ (Who::Uuid(_) | Who::Name(_)) => who,
        };
        self.ask_target_about(who)
    }

    fn ask_target_about(&self, who: Who) -> There {
        let patience = self.deadline.at_most(Duration::from_secs(10).min(self.deadline.left() / 3));
        backend::lookup(&self.target.uri, who, patience).map_or_else(There::Unknown, |lookup| settle::there(&lookup))
    }

    fn rehearse(&self, domain: &Domain) -> End {
        let mut request = self.request(domain);
        (request.rehearse, request.measure) = (Some(Rehearsal::Thorough), false);
        let name = &domain.name;
        match self.backend.spawn(Verb::Migrate(&request), &uuid(domain), self.deadline.at_most(BEGIN)) {
            Ok(mut call) => {
                self.until_ended(&mut call);
                match call.answer(self.deadline.at_most(BEGIN)) {
                    Ok(_) => End::Moved(format!(
                        "'{name}' could be moved to {}: nothing that can be asked stands in the way",
                        self.target.node
                    )),
                    Err(trouble) => End::Stayed(format!("'{name}' could not be moved: {}", self.sentence(&trouble))),
                }
            }
            Err(error) => End::Stayed(format!("'{name}' was not checked: {error}")),
        }
    }

    /// Reads what a call says until it ends, or its time is over.
    fn until_ended(&self, call: &mut Call) {
        let until = self.deadline.at_most(BEGIN);
        while !call.ended() && !until.passed() && !interrupt::requested() {
            let _ = poll(&mut [PollFd::new(call.running(), PollFlags::IN)], Some(&timespec(until.left().min(SAMPLE))));
        }
    }

    /// Tries, finds out where the domain is, and tries again as long as there is time and hope.
    fn move_it(&mut self, domain: &Domain) -> Result<End, End> {
        let mut domain = domain.clone();
        let began = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let (end, hope) = self.try_once(&domain);
            let End::Stayed(why) = end else { return Ok(end) };
            let pause = hope::pause(tries);
            let dead = hope == Hope::Silent && began.elapsed() + pause > hope::SILENCE;
            let over = self.deadline.left() < pause + hope::ENOUGH;
            if hope == Hope::Lost || self.unsure || dead || over || interrupt::requested() {
                let seconds = began.elapsed().as_secs();
                let tried = if tries > 1 { format!("; tried {tries} times in {seconds} s") } else { String::new() };
                return Ok(End::Stayed(format!("{why}{tried}")));
            }
            if tries == 1 {
                log::warn!("{why}; it is tried again while there is time");
            }
            self.say(&format!("waiting {} s for {}", pause.as_secs(), self.target.node));
            wait(pause, self.deadline);
            if interrupt::requested() {
                return Ok(End::Stayed(format!("{why}; the wait was interrupted by a signal")));
            }
            domain = self.source(false)?;
        }
    }

    /// One try, and where the domain is after it.
    fn try_once(&mut self, domain: &Domain) -> (End, Hope) {
        let request = self.request(domain);
        let run = self.looker.roots.run.clone();
        let noted = |finished| Noted { uri: self.target.uri.clone(), finished };
        let (begun, finished) = (noted(false), noted(true));
        records::note_target(&run, &domain.name, &begun);
        let began = Instant::now();
        let tried = self.attempt(domain, &request);
        let hope = tried.as_ref().err().map_or(Hope::Lost, |failed| failed.hope);
        let end = self.settle(domain, tried, began);
        match &end {
            // Where it went stays noted: a start here asks there first.
            End::Moved(_) => records::note_target(&run, &domain.name, &finished),
            End::Stayed(_) if !self.unsure => records::forget_target(&run, &domain.name),
            End::Stayed(_) | End::NotHere(_) | End::Impossible(_) | End::Unclear(_) => {}
        }
        (end, hope)
    }

    /// What libvirt is asked for: the parameters, and the words of `migrate_options`. Each node keeps the definitions that
    /// it has, unless these words say something else.
    fn request(&self, domain: &Domain) -> Migrate {
        let params = &self.inv.params.migration;
        let mut request = self.asked.migrate.clone();
        let qemu = self.looker.uri.starts_with("qemu");
        for (wanted, flag) in [
            (params.live, Flag::Live),
            (params.p2p || params.tunnelled, Flag::P2p),
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
        request.migrate_uri = request.migrate_uri.or_else(|| self.target.data_uri.clone());
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
        let limits = Limits::of(self.deadline);
        let params = &self.inv.params.migration;
        let policy = Policy {
            downtime: params.downtime,
            downtime_max: params.downtime_max,
            auto_converge: request.flags.contains(&Flag::AutoConverge),
            postcopy: request.flags.contains(&Flag::Postcopy) && params.postcopy,
            allow_pause: params.allow_pause,
            timeout: self.asked.timeout,
            postcopy_after_precopy: self.asked.postcopy_after_precopy,
            end: limits.until.left(),
            last: limits.close.left(),
        };
        let who = uuid(domain);
        let words = options::split(params.options.as_deref().unwrap_or_default()).unwrap_or_default();
        let by_virsh = params.by_virsh || self.asked.unknown.is_some();
        if by_virsh || self.inv.params.use_virsh {
            self.checked_for_virsh(domain, request)?;
            // virsh cannot say it together with the migration.
            if let Some(ms) = request.downtime_ms {
                let set = self.backend.call(Verb::SetDowntime(ms), &who, self.deadline.at_most(ABORT));
                set.unwrap_or_else(|error| log::warn!("the downtime was not set: {error}"));
            }
        }
        let verb = if by_virsh { Verb::MigrateByVirsh(request, &words) } else { Verb::Migrate(request) };
        // The worker's own last resort comes after the abort that is ordered here; in post-copy nothing is aborted.
        let last = if request.flags.contains(&Flag::Postcopy) { self.deadline } else { limits.over };
        let mut call = self.backend.spawn(verb, &who, last).map_err(Failed::early)?;
        let ordered = self.watch_over(&mut call, &who, Governor::new(policy), &limits);
        let begun = call.begun();
        let lost = call.lost();
        let answer = call.answer(limits.over.at_most(if begun { ABORT } else { Duration::ZERO }));
        match (answer, ordered) {
            (Ok(answer), _) => Ok(answer.lookup),
            (Err(_), Some(GaveUp { why, hope, held })) => {
                Err(Failed { why, hope, held, looks: if begun { NEVER } else { 2 } })
            }
            (Err(trouble), None) => Err(Failed {
                hope: hope::of(&trouble, begun),
                held: false,
                looks: match trouble.step {
                    Some(Step::ConnectDestination | Step::Preflight | Step::Leftover) => 1,
                    Some(
                        Step::Arguments | Step::Input | Step::Connect | Step::Lookup | Step::Call | Step::Deadline,
                    )
                    | None => NEVER,
                },
                why: match lost {
                    Some(worker::End::Destination) => {
                        format!("{} was lost on the way: {}", self.target.node, tell::plain(&trouble.message))
                    }
                    Some(worker::End::Source) | None => self.sentence(&trouble),
                },
            }),
        }
    }

    /// virsh checks nothing before it begins, so the worker does.
    fn checked_for_virsh(&self, domain: &Domain, request: &Migrate) -> Result<(), Failed> {
        let rehearsal = Migrate { rehearse: Some(Rehearsal::Brief), measure: false, ..request.clone() };
        let mut call = self
            .backend
            .spawn(Verb::Migrate(&rehearsal), &uuid(domain), self.deadline.at_most(BEGIN))
            .map_err(Failed::early)?;
        self.until_ended(&mut call);
        match call.answer(self.deadline.at_most(BEGIN)) {
            Ok(_) => Ok(()),
            Err(trouble) => {
                let hope = hope::of(&trouble, false);
                Err(Failed { hope, held: false, looks: 1, why: self.sentence(&trouble) })
            }
        }
    }

    /// Finds out where the domain is, and puts right what can be put right safely.
    fn settle(&mut self, domain: &Domain, tried: Result<Option<Lookup>, Failed>, began: Instant) -> End {
        let name = domain.name.clone();
        let node = self.target.node.clone();
        let (mut known_there, why, enough, held) = match tried {
            Ok(lookup) => (lookup.as_ref().map(settle::there), None, NEVER, false),
            Err(failed) => (None, Some(failed.why), failed.looks, failed.held),
        };
        self.unsure = false;
        let mut looks = 0_u32;
        let asking = Instant::now();
        loop {
            let seen = self.look();
            let here = settle::here(&seen);
            if let (Here::Runs(_), Some(why)) = (&here, &why)
                && enough != NEVER
            {
                if looks + 1 >= enough {
                    return End::Stayed(tell::stayed(&name, why));
                }
                looks += 1;
                pause(LOOK_AGAIN, self.deadline);
                continue;
            }
            if let (true, Here::Unknown(_) | Here::Leaving(_), Presence::Active(domain), Some(why)) =
                (held, &here, presence(&seen), &why)
                && matches!(domain.state, State::Running(_))
            {
                // Nothing was sent, so it cannot run there.
                return End::Stayed(tell::stayed(&name, &format!("{why}; libvirt here is held up until TCP gives up")));
            }
            let there = known_there.take().unwrap_or_else(|| self.ask_target_about(uuid(domain)));
            log::debug!("after the migration: here {here:?}, there {there:?}");
            self.unsure = matches!(there, There::Unknown(_)) || matches!(here, Here::Leaving(_));
            looks += 1;
            // Gone from here, and nobody there to ask: the manager must know soon, so that it can fence that host.
            let silent = matches!((&here, &there), (Here::Gone, There::Unknown(_))) && asking.elapsed() > hope::SILENCE;
            let last = silent || self.deadline.left() < Duration::from_secs(2);
            match settle::judge(&here, &there, looks, last) {
                Then::Moved => {
                    let note = why.as_ref().map(|why| format!(" (though libvirt said: {why})")).unwrap_or_default();
                    let seconds = began.elapsed().as_secs_f32();
                    return End::Moved(format!("'{name}' was moved to {node} in {seconds:.1} s{note}"));
                }
                Then::Stayed => {
                    let why = why.unwrap_or_else(|| "libvirt said that it moved, but it did not".into());
                    return End::Stayed(match &here {
                        Here::Blind(blind) => format!("'{name}' not moved ({why}), runs on here: {blind}"),
                        Here::Runs(_)
                        | Here::Leaving(_)
                        | Here::Stuck(_)
                        | Here::Half(_)
                        | Here::Gone
                        | Here::Unknown(_) => tell::stayed(&name, &why),
                    });
                }
                Then::NotHere => {
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    return End::NotHere(format!("'{name}' runs neither here nor on {node}{why}"));
                }
                Then::Unclear => return End::Unclear(tell::unclear(&name, &node, &here, &there, why.as_deref())),
                Then::LookAgain => {}
                Then::ResumeHere => self.put_right("resuming it here", &self.backend, Verb::Resume, domain),
                Then::DestroyHere => self.put_right("ending the copy left here", &self.backend, Verb::Destroy, domain),
                Then::DestroyThere => {
                    let there = Backend { uri: self.target.uri.clone(), use_virsh: false };
                    self.put_right("removing the shell left at the target", &there, Verb::Destroy, domain);
                }
                Then::AbortHere => self.abort(&uuid(domain), self.deadline),
            }
            pause(LOOK_AGAIN, self.deadline);
        }
    }

    fn put_right(&self, what: &str, backend: &Backend, verb: Verb<'_>, domain: &Domain) {
        log::warn!("'{}': {what}", domain.name);
        if let Err(error) = backend.call(verb, &uuid(domain), self.deadline.at_most(Duration::from_secs(15))) {
            log::warn!("{what} failed: {error}");
        }
    }

    fn sentence(&self, trouble: &Trouble) -> String {
        tell::sentence(trouble, &self.target.node, &self.target.uri)
    }
}

/// A migration that did not succeed, as far as the call says.
struct Failed {
    why: String,
    /// Whether trying again could bring something else.
    hope: Hope,
    /// Nothing was sent, and libvirt will not say anything about the domain's job for some time.
    held: bool,
    /// libvirt was never asked to move it: after so many looks that find it running here, the target need not be asked.
    looks: u32,
}

/// For a migration that had begun: the target is always asked.
const NEVER: u32 = u32::MAX;

impl Failed {
    fn early(why: String) -> Self {
        Self { why, hope: Hope::Lost, held: false, looks: NEVER }
    }
}

fn uuid(domain: &Domain) -> Who {
    Who::Uuid(uuid_text(&domain.uuid))
}

fn pause(duration: Duration, deadline: Deadline) {
    let mut nothing: [PollFd<'_>; 0] = [];
    let _ = poll(&mut nothing, Some(&timespec(duration.min(deadline.left()))));
}

/// A pause that a signal ends.
fn wait(duration: Duration, deadline: Deadline) {
    match interrupt::descriptor() {
        Some(signals) => {
            let mut fds = [PollFd::from_borrowed_fd(signals, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&timespec(duration.min(deadline.left()))));
        }
        None => pause(duration, deadline),
    }
}
