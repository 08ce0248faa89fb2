// SPDX-License-Identifier: GPL-2.0-or-later
//! migrate and migrate_to: move the virtual machine, watch over it, and find out where it is, whatever the call said.
//!
//! A migration never becomes a stop: until it is proven that the machine runs at the target, nothing here ends it at the
//! source; and it is resumed at the source only when it is proven that the target does not run it.

use super::governor::{Governor, Order, Policy, Sample, progress};
use super::options;
use super::settle::{self, End, Here, Then, There};
use super::target::{self, Target};
use crate::act;
use crate::backend::{self, Backend, Call, Trouble, Verb};
use crate::decide::{self, Presence};
use crate::domain_xml::uuid_text;
use crate::interrupt;
use crate::invocation::{Caller, Environment, Invocation};
use crate::manager::say;
use crate::observe::look::{Depth, Looker};
use crate::observe::process::Roots;
use crate::observe::rpc::TypedValue;
use crate::observe::{Domain, Observation};
use crate::ocf::{Code, Outcome};
use crate::run_dir;
use crate::time::{Deadline, timespec};
use crate::verdict::Motion;
use crate::verdict::{self, Health};
use crate::worker::{self, Flag, Lookup, Migrate, Step, Who};
use rustix::event::{PollFd, PollFlags, poll};
use std::time::{Duration, Instant};

/// Between two samples of the job's statistics: libvirt sends no events about them.
const SAMPLE: Duration = Duration::from_millis(500);
/// Between two lines about the progress.
const SAY: Duration = Duration::from_secs(10);
/// Between two such lines at a terminal.
const SAY_SOON: Duration = Duration::from_secs(1);
/// How long connecting and checking may take before the target counts as not answering.
const BEGIN: Duration = Duration::from_secs(20);
/// Between two looks at both ends while it is not clear where the machine is.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a target that may have it is asked in vain.
const SILENCE: Duration = Duration::from_secs(60);
/// What is kept of the time for an abort and for the look at both ends: a tenth, but at least and at most so much.
const RESERVE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(30));
/// How long an abort may take before the call is ended.
const ABORT: Duration = Duration::from_secs(5);

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
        return Err(End::Impossible(format!("'{}' is not a node's name", crate::params::shown(node))));
    };
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Without the cluster's word for this node only the very same name is it: another site may have a node1 too.
    if inv.node.as_deref().map_or(node.eq_ignore_ascii_case(&own), |own| target::same_node(node, own)) {
        return Ok(End::Moved(format!("'{node}' is this node; there is nothing to do")));
    }
    let plain_data = inv.caller == Caller::Rgmanager;
    let target = target::find(node, &inv.params.migration, &looker.uri, plain_data).map_err(End::Impossible)?;
    let _turn = act::take_turn(inv, &mut looker, deadline).map_err(|outcome| End::Stayed(outcome.reason))?;
    let backend = Backend { uri: looker.uri.clone(), use_virsh: inv.params.use_virsh };
    let mut mover = Mover { inv, looker, backend, target, deadline, last_look, downtime: 0, unsure: false };
    let domain = mover.source()?;
    if rehearse {
        return Ok(mover.rehearse(&domain));
    }
    mover.move_it(&domain)
}

struct Mover<'a> {
    inv: &'a Invocation,
    looker: Looker,
    backend: Backend,
    target: Target,
    deadline: Deadline,
    /// Until when this host may be looked at.
    last_look: Deadline,
    /// Milliseconds of downtime allowed now.
    downtime: u64,
    /// Nobody has said for certain that the target does not get it: where it was to go stays on record.
    unsure: bool,
}

impl Mover<'_> {
    /// The domain, when it is here and can be moved.
    fn source(&mut self) -> Result<Domain, End> {
        let patience = self.deadline.at_most((self.inv.timeout / 4).min(BEGIN));
        loop {
            let seen = self.look();
            let node = &self.target.node;
            let blind = match decide::presence(&seen) {
                Presence::Active(domain) => {
                    let (name, state) = (&domain.name, domain.state);
                    if domain.motion == Motion::Leaving {
                        return Err(End::Stayed(format!(
                            "'{name}' is already migrating: wait for its end, or abort it with 'virsh domjobabort'"
                        )));
                    }
                    return match verdict::health(state, domain.motion) {
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
                            let noted = run_dir::Noted { uri: self.target.uri.clone(), finished: true };
                            run_dir::note_target(
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

    fn look(&mut self) -> Observation {
        let patience = Duration::from_secs(5).min(self.inv.timeout / 8);
        self.looker.look(self.inv, Depth { process: true, thorough: true }, patience, self.last_look)
    }

    /// How the domain is at the target.
    fn ask_target(&self, seen: &Observation) -> There {
        let who = match act::who(seen) {
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
        let mut request = self.request(domain, false);
        request.rehearse = true;
        let name = &domain.name;
        match self.backend.spawn(Verb::Migrate(&request), &uuid(domain), self.deadline.at_most(BEGIN)) {
            Ok(mut call) => {
                self.until_ended(&mut call);
                match call.answer(self.deadline.at_most(BEGIN)) {
                    Ok(_) => End::Moved(format!(
                        "'{name}' could be moved to {}: nothing stands in the way",
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

    /// Tries, finds out where the domain is, and tries once more when there is time and hope.
    fn move_it(&mut self, domain: &Domain) -> Result<End, End> {
        let Some(definition_moves) = self.definition_moves(domain) else {
            return Err(End::Stayed(format!(
                "'{}' not moved: libvirt does not say whether it is persistent",
                domain.name
            )));
        };
        let request = self.request(domain, definition_moves);
        let run = self.looker.roots.run.clone();
        let noted = |finished| run_dir::Noted { uri: self.target.uri.clone(), finished };
        let (begun, finished) = (noted(false), noted(true));
        run_dir::note_target(&run, &domain.name, &begun);
        let mut tries = 0;
        let end = loop {
            tries += 1;
            let began = Instant::now();
            let tried = self.attempt(domain, &request);
            let hopeless = matches!(&tried, Err(failed) if failed.final_word) || interrupt::requested();
            let end = self.settle(domain, tried, began);
            let hopeless = hopeless || self.unsure;
            let again = matches!(end, End::Stayed(_)) && !hopeless && tries < 2;
            if !again || self.deadline.left() < Duration::from_secs(30).max(began.elapsed() * 2) {
                break end;
            }
            if let End::Stayed(why) = &end {
                log::warn!("{why}; trying once more");
            }
            pause(Duration::from_secs(2), self.deadline);
        };
        match &end {
            // Where it went stays noted: a start here asks there first.
            End::Moved(_) => run_dir::note_target(&run, &domain.name, &finished),
            End::Stayed(_) if !self.unsure => run_dir::forget_target(&run, &domain.name),
            End::Stayed(_) | End::NotHere(_) | End::Impossible(_) | End::Unclear(_) => {}
        }
        Ok(end)
    }

    /// Whether it was started from a definition that libvirt keeps, which then moves too. One that libvirt keeps beside the
    /// file from which this one was created stays where it is.
    fn definition_moves(&mut self, domain: &Domain) -> Option<bool> {
        let who = uuid(domain);
        if !self.looker.kept(&who, self.deadline)? {
            return Some(false);
        }
        let mark = self.looker.mark(self.deadline);
        Some(mark.is_none_or(|mark| mark.name != domain.name || mark.source.is_empty()))
    }

    /// What libvirt is asked for: the parameters, and the words of `migrate_options`.
    fn request(&self, domain: &Domain, definition_moves: bool) -> Migrate {
        let params = &self.inv.params.migration;
        // What is not understood was refused before, unless virsh is to understand it.
        let mut request = options::parse(params.options.as_deref().unwrap_or_default()).unwrap_or_default();
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
            (definition_moves, Flag::PersistDest),
            (definition_moves, Flag::UndefineSource),
        ] {
            if wanted {
                request.flags.insert(flag);
            }
        }
        log::debug!("'{}' moves with {:?}", domain.name, request.flags);
        request.dest_uri.clone_from(&self.target.uri);
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
        let reserve = (self.deadline.left() / 10).clamp(RESERVE.0, RESERVE.1).min(self.deadline.left() / 2);
        let until = self.deadline.less(reserve);
        // An abort has its half of the reserve, the look at both ends the other.
        let over = self.deadline.less(reserve / 2);
        let params = &self.inv.params.migration;
        let policy = Policy {
            downtime: params.downtime,
            downtime_max: params.downtime_max,
            auto_converge: request.flags.contains(&Flag::AutoConverge),
            postcopy: request.flags.contains(&Flag::Postcopy) && params.postcopy,
            allow_pause: params.allow_pause,
            end: until.left(),
        };
        let who = uuid(domain);
        let words = shlex::split(params.options.as_deref().unwrap_or_default()).unwrap_or_default();
        if params.by_virsh || self.inv.params.use_virsh {
            self.checked_for_virsh(domain, request)?;
            // virsh cannot say it together with the migration.
            if let Some(ms) = request.downtime_ms {
                let set = self.backend.call(Verb::SetDowntime(ms), &who, self.deadline.at_most(ABORT));
                set.unwrap_or_else(|error| log::warn!("the downtime was not set: {error}"));
            }
        }
        let verb = if params.by_virsh { Verb::MigrateByVirsh(request, &words) } else { Verb::Migrate(request) };
        // The worker's own last resort comes after the abort that is ordered here; in post-copy nothing is aborted.
        let last = if request.flags.contains(&Flag::Postcopy) { self.deadline } else { over };
        let mut call = self.backend.spawn(verb, &who, last).map_err(Failed::early)?;
        let ordered = self.watch_over(&mut call, &who, Governor::new(policy), until, over);
        let begun = call.begun();
        let lost = call.lost();
        let answer = call.answer(over.at_most(if begun { ABORT } else { Duration::ZERO }));
        match (answer, ordered) {
            (Ok(answer), _) => Ok(answer.lookup),
            (Err(_), Some(why)) => Err(Failed { why, final_word: true, looks: if begun { NEVER } else { 2 } }),
            (Err(trouble), None) => Err(Failed {
                // One that had begun may have been aborted by somebody, a stop perhaps: that is not done again.
                final_word: begun || trouble.step == Some(Step::Preflight),
                looks: match trouble.step {
                    Some(Step::ConnectDestination | Step::Preflight) => 1,
                    Some(
                        Step::Arguments | Step::Input | Step::Connect | Step::Lookup | Step::Call | Step::Deadline,
                    )
                    | None => NEVER,
                },
                why: match lost {
                    Some(worker::End::Destination) => {
                        format!("{} was lost on the way: {}", self.target.node, plain(&trouble.message))
                    }
                    Some(worker::End::Source) | None => self.sentence(&trouble),
                },
            }),
        }
    }

    /// virsh checks nothing before it begins, so the worker does.
    fn checked_for_virsh(&self, domain: &Domain, request: &Migrate) -> Result<(), Failed> {
        let rehearsal = Migrate { rehearse: true, ..request.clone() };
        let mut call = self
            .backend
            .spawn(Verb::Migrate(&rehearsal), &uuid(domain), self.deadline.at_most(BEGIN))
            .map_err(Failed::early)?;
        self.until_ended(&mut call);
        match call.answer(self.deadline.at_most(BEGIN)) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(Failed { final_word: true, looks: 1, why: self.sentence(&trouble) }),
        }
    }

    /// Watches a migration until its call ends; says why it was ended from here, if it was. It is aborted at `until`, and
    /// left to itself when it is `over`.
    fn watch_over(
        &mut self,
        call: &mut Call,
        who: &Who,
        mut governor: Governor,
        until: Deadline,
        over: Deadline,
    ) -> Option<String> {
        let began = Instant::now();
        let mut said = began;
        let mut ended: Option<(String, Deadline)> = None;
        let mut last = None;
        let mut signalled = false;
        self.downtime = if self.inv.params.migration.downtime == 0 {
            super::governor::DEFAULT_DOWNTIME
        } else {
            self.inv.params.migration.downtime
        };
        loop {
            if call.ended() {
                return ended.map(|(why, _)| why);
            }
            let mut fds = vec![PollFd::new(call.running(), PollFlags::IN)];
            if let (Some(signals), None, false) = (interrupt::descriptor(), &ended, signalled) {
                fds.push(PollFd::from_borrowed_fd(signals, PollFlags::IN));
            }
            let _ = poll(&mut fds, Some(&timespec(SAMPLE)));
            if let Some((why, patience)) = &ended {
                if patience.passed() {
                    return Some(why.clone());
                }
                continue;
            }
            if self.deadline.passed() {
                return Some("it did not end in time".into());
            }
            let begun = call.begun();
            signalled |= interrupt::requested();
            let why = if signalled {
                Some("it was interrupted by a signal".to_owned())
            } else if !begun && began.elapsed() > BEGIN.min(self.inv.timeout / 4) {
                let seconds = began.elapsed().as_secs();
                return Some(format!("{} did not answer within {seconds} s ({})", self.target.node, self.target.uri));
            } else if until.passed() {
                Some(too_late(last.as_ref()))
            } else {
                None
            };
            if let Some(why) = why
                && !governor.committed()
            {
                ended = self.give_up(&mut governor, who, over, why);
                continue;
            }
            let Some(sample) = (if begun { self.sample(began.elapsed()) } else { None }) else { continue };
            last = Some(sample);
            let pause = if self.inv.caller == Caller::Human { SAY_SOON } else { SAY };
            if said.elapsed() >= pause {
                said = Instant::now();
                self.say(&progress(&sample, self.downtime));
            }
            match governor.step(&sample) {
                None => {}
                Some(Order::Downtime(ms)) => {
                    self.downtime = ms;
                    self.order(&format!("allowing {ms} ms of downtime"), Verb::SetDowntime(ms), who);
                }
                Some(Order::Postcopy) => {
                    let taken = self.order("switching to post-copy", Verb::Postcopy, who);
                    if taken {
                        governor.commit();
                    }
                }
                Some(Order::Pause) => {
                    self.order("pausing the guest until it has moved", Verb::Suspend, who);
                }
                Some(Order::Abort) => ended = self.give_up(&mut governor, who, over, too_late(last.as_ref())),
            }
        }
    }

    fn say(&self, line: &str) {
        if self.inv.caller == Caller::Human {
            say(&mut std::io::stderr(), &format!("vm-agent: {line}"));
        } else {
            log::info!("migration to {}: {line}", self.target.node);
        }
    }

    fn sample(&mut self, at: Duration) -> Option<Sample> {
        if self.looker.connection().is_none() {
            // One slow answer had cost the connection.
            self.look();
        }
        let stats = self.looker.ask_last(self.deadline, |rpc, domain| rpc.job_stats(domain, 0))?;
        let number = |name: &str| {
            stats.fields.iter().find(|(field, _)| field == name).and_then(|(_, value)| match value {
                TypedValue::Int(n) => u64::try_from(*n).ok(),
                TypedValue::UInt(n) => Some(u64::from(*n)),
                TypedValue::LongLong(n) => u64::try_from(*n).ok(),
                TypedValue::ULongLong(n) => Some(*n),
                TypedValue::Double(_) | TypedValue::Boolean(_) | TypedValue::String(_) => None,
            })
        };
        let page = number("memory_page_size").unwrap_or(4096);
        Some(Sample {
            at,
            // A job that has only begun has nothing to tell.
            total: number("memory_total").filter(|total| *total > 0)?,
            remaining: number("memory_remaining")?,
            rate: number("memory_bps").unwrap_or(0),
            dirty: number("memory_dirty_rate").unwrap_or(0) * page,
            iteration: number("memory_iteration").unwrap_or(1),
        })
    }

    /// Gives an order to libvirt; whether it took it.
    fn order(&self, what: &str, verb: Verb<'_>, who: &Who) -> bool {
        let result = self.backend.call(verb, who, self.deadline.at_most(Duration::from_secs(5)));
        match &result {
            Ok(()) => self.say(what),
            Err(error) => log::warn!("{what} failed: {error}"),
        }
        result.is_ok()
    }

    /// Aborts the migration; says why, and until when its end is waited for. Once post-copy has begun, whoever ordered it,
    /// an abort would be the machine's end, so it goes on then.
    fn give_up(
        &mut self,
        governor: &mut Governor,
        who: &Who,
        over: Deadline,
        why: String,
    ) -> Option<(String, Deadline)> {
        if matches!(settle::here(&self.look()), Here::Half(_)) {
            governor.commit();
            return None;
        }
        self.abort(who, over);
        Some((why, over.at_most(ABORT)))
    }

    fn abort(&self, who: &Who, deadline: Deadline) {
        self.say("aborting");
        if let Err(error) = self.backend.call(Verb::AbortJob, who, deadline.at_most(ABORT)) {
            log::warn!("aborting failed: {error}");
        }
    }

    /// Finds out where the domain is, and puts right what can be put right safely.
    fn settle(&mut self, domain: &Domain, tried: Result<Option<Lookup>, Failed>, began: Instant) -> End {
        let name = domain.name.clone();
        let node = self.target.node.clone();
        let (mut known_there, why, enough) = match tried {
            Ok(lookup) => (lookup.as_ref().map(settle::there), None, NEVER),
            Err(failed) => (None, Some(failed.why), failed.looks),
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
                    return End::Stayed(stayed(&name, why));
                }
                looks += 1;
                pause(LOOK_AGAIN, self.deadline);
                continue;
            }
            let there = known_there.take().unwrap_or_else(|| self.ask_target_about(uuid(domain)));
            log::debug!("after the migration: here {here:?}, there {there:?}");
            self.unsure = matches!(there, There::Unknown(_)) || matches!(here, Here::Leaving(_));
            looks += 1;
            // Gone from here, and nobody there to ask: the manager must know soon, so that it can fence that host.
            let silent = matches!((&here, &there), (Here::Gone, There::Unknown(_))) && asking.elapsed() > SILENCE;
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
                        | Here::Unknown(_) => stayed(&name, &why),
                    });
                }
                Then::NotHere => {
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    return End::NotHere(format!("'{name}' runs neither here nor on {node}{why}"));
                }
                Then::Unclear => return End::Unclear(unclear(&name, &node, &here, &there, why.as_deref())),
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

    /// What failed, with the place where it did.
    fn sentence(&self, trouble: &Trouble) -> String {
        match trouble.step {
            Some(Step::ConnectDestination) => {
                format!("{} cannot be reached: {} ({})", self.target.node, plain(&trouble.message), self.target.uri)
            }
            Some(
                Step::Arguments
                | Step::Input
                | Step::Connect
                | Step::Lookup
                | Step::Preflight
                | Step::Call
                | Step::Deadline,
            )
            | None => explained(plain(&trouble.message), &self.target.node),
        }
    }
}

/// A migration that did not succeed, as far as the call says.
struct Failed {
    why: String,
    /// Trying again would bring the same.
    final_word: bool,
    /// libvirt was never asked to move it: after so many looks that find it running here, the target need not be asked.
    looks: u32,
}

/// For a migration that had begun: the target is always asked.
const NEVER: u32 = u32::MAX;

impl Failed {
    fn early(why: String) -> Self {
        Self { why, final_word: false, looks: NEVER }
    }
}

/// The sentence of a migration that left everything as it was. What went wrong stands where a manager does not cut it off.
fn stayed(name: &str, why: &str) -> String {
    format!("'{name}' not moved, runs on here: {why}")
}

/// Why a migration that would have taken too long was given up.
fn too_late(last: Option<&Sample>) -> String {
    let mib = |bytes: u64| bytes / (1 << 20);
    last.map_or("it would not have ended in time".to_owned(), |sample| {
        let (left, sent, dirty) = (mib(sample.remaining), mib(sample.rate), mib(sample.dirty));
        format!("no end in time: {left} MiB left, {sent} MiB/s sent, {dirty} MiB/s dirtied")
    })
}

/// libvirt's message without what its layers put around it.
fn plain(message: &str) -> &str {
    // What libvirt says of a connection that ends under it, ours or the one between its daemons.
    if matches!(
        message,
        "End of file while reading data: Input/output error"
            | "End of file while reading data"
            | "client socket is closed"
    ) {
        return "a connection to libvirt broke";
    }
    let mut text = message.trim();
    for before in ["operation failed: ", "internal error: ", "Cannot recv data: ", "End of file while reading data: "] {
        text = text.strip_prefix(before).unwrap_or(text);
    }
    for behind in [": Connection reset by peer", ": Input/output error"] {
        text = text.strip_suffix(behind).unwrap_or(text);
    }
    text.trim()
}

/// The sentence of a migration whose end nobody here can bring about. What to do stands where a manager does not cut it off.
fn unclear(name: &str, node: &str, here: &Here, there: &There, why: Option<&str>) -> String {
    let why = why.map(|why| format!("; {why}")).unwrap_or_default();
    match (here, there) {
        (Here::Half(_), There::Off) => {
            format!("'{name}' lost its half on {node} in post-copy: stop and start it{why}")
        }
        (Here::Half(_), _) => format!(
            "'{name}' is half here, half on {node} (post-copy): let the two reach each other, or stop it on both; \
             on {node} {there}{why}"
        ),
        (Here::Runs(_), There::Running(_)) => {
            format!("'{name}' runs twice, here and on {node}: stop one of the two at once{why}")
        }
        _ => format!("'{name}': here {here}, on {node} {there}{why}"),
    }
}

/// libvirt's message about what it found at the begin, with where and what to do where it leaves that out.
fn explained(message: &str, node: &str) -> String {
    if let Some(uuid) = message.strip_prefix("Attempt to migrate guest to the same host ") {
        return worker::same_host(node, uuid);
    }
    // The machine has its disks open here, so it is the target that lacks one.
    if message.starts_with("Cannot access storage file ") {
        return format!("{message} (on {node}: make it available there)");
    }
    message.to_owned()
}

fn uuid(domain: &Domain) -> Who {
    Who::Uuid(uuid_text(&domain.uuid))
}

fn pause(duration: Duration, deadline: Deadline) {
    let mut nothing: [PollFd<'_>; 0] = [];
    let _ = poll(&mut nothing, Some(&timespec(duration.min(deadline.left()))));
}
