// SPDX-License-Identifier: GPL-2.0-or-later
//! One try of a migration, watched until libvirt's call ends: samples of its job go to the governor, whose orders go to
//! libvirt. Nothing is decided here about where the machine is.

use super::{Mover, SAMPLE, tell_progress};
use crate::host::data_port::{self, DataPort};
use crate::hypervisor::backend::Call;
use crate::hypervisor::rpc::TypedValue;
use crate::model::budget::{Budget, Share};
use crate::model::call::Caller;
use crate::model::change::Change;
use crate::model::facts::{NotedStage, Tools};
use crate::model::presence::Presence;
use crate::model::uri::Uri;
use crate::model::worker::{Side, Who};
use crate::policy::converge::{Governor, Sample, progress};
use crate::policy::hope::Hope;
use crate::policy::settle::{AtSource, at_source};
use crate::policy::tell;
use crate::sys::interrupt;
use crate::sys::time::{Deadline, timespec};
use rustix::event::{PollFd, PollFlags, poll};
use std::time::{Duration, Instant};

/// Between two lines about the progress.
const SAY: Duration = Duration::from_secs(10);
/// Between two such lines at a terminal.
const SAY_SOON: Duration = Duration::from_secs(1);

/// Until when a migration may do what.
pub(super) struct Limits {
    /// It is aborted then, unless it is about to end.
    pub until: Deadline,
    /// It is aborted then, even so.
    pub close: Deadline,
    /// It is left to itself: the rest is for the look at both ends.
    pub over: Deadline,
}

impl Limits {
    pub(super) fn of(budget: Budget, deadline: Deadline) -> Self {
        let keeping = |share| budget.keeping(share, deadline);
        Self { until: keeping(Share::GiveUp), close: keeping(Share::Close), over: keeping(Share::Over) }
    }
}

/// A migration that was ended from here.
pub(super) struct GaveUp {
    /// Why.
    pub why: String,
    /// Whether trying again could bring something else.
    pub hope: Hope,
    /// Nothing was sent, and libvirt will not say anything about the domain's job for some time.
    pub held: bool,
}

impl GaveUp {
    fn because(why: String) -> Self {
        Self { why, hope: Hope::Lost, held: false }
    }
}

impl Mover<'_, '_> {
    /// Watches a migration until its call ends; says why it was ended from here, if it was.
    pub(super) fn watch_over(
        &mut self,
        call: &mut Call,
        who: &Who,
        mut governor: Governor,
        limits: &mut Limits,
    ) -> Option<GaveUp> {
        let began = Instant::now();
        let (time, mut counts_from) = (self.host.deadline.left(), Duration::ZERO);
        let begin = self.host.inv.budget().share(Share::Begin, self.host.deadline.left());
        let mut said = began;
        let mut ended: Option<(GaveUp, Deadline)> = None;
        let mut last: Option<Sample> = None;
        let mut port = self.data_port();
        let mut signalled = false;
        loop {
            if call.ended() {
                return ended.map(|(gave_up, _)| gave_up);
            }
            rest(call, ended.is_none() && !signalled);
            if let Some((_, patience)) = &ended {
                if patience.passed() {
                    return ended.map(|(gave_up, _)| gave_up);
                }
                continue;
            }
            if self.host.deadline.passed() {
                return Some(GaveUp::because("it did not end in time".into()));
            }
            let begun = call.begun();
            signalled |= interrupt::requested();
            if !begun && began.elapsed() > begin && !signalled {
                return Some(self.silent(call.asking(), began.elapsed()));
            }
            if begun && last.is_none() && !signalled {
                ended = self.without_a_byte(&mut port, who, limits);
                if ended.is_some() {
                    continue;
                }
            }
            let sample = if begun && !signalled { self.sample(began.elapsed(), call.dirty_rate()) } else { None };
            last = sample.or(last);
            let why = match &sample {
                _ if signalled => Some("it was interrupted by a signal".to_owned()),
                // Nothing says that it is about to end.
                None if limits.until.passed() => Some(self.too_late(last.as_ref())),
                None => None,
                Some(sample) => {
                    let pause = if self.host.inv.caller == Caller::Human { SAY_SOON } else { SAY };
                    if said.elapsed() >= pause {
                        said = Instant::now();
                        self.say(&progress(sample, governor.downtime()));
                    }
                    let why = self.obey(&mut governor, sample, who);
                    if governor.counts_from() > counts_from {
                        counts_from = governor.counts_from();
                        self.host.count_anew(time);
                        *limits = Limits::of(self.host.inv.budget(), self.host.deadline);
                    }
                    why
                }
            };
            if let Some(why) = why
                && !governor.committed()
            {
                ended = self.give_up(&mut governor, who, limits.over, why);
            }
        }
    }

    /// Carries out what the governor orders; says why it is to be given up, if it is.
    fn obey(&mut self, governor: &mut Governor, sample: &Sample, who: &Who) -> Option<String> {
        let change = governor.step(sample)?;
        if change == Change::AbortJob {
            return Some(self.too_late(Some(sample)));
        }
        if self.order(&change, who) && change == Change::StartPostcopy {
            governor.commit();
        }
        None
    }

    fn too_late(&self, last: Option<&Sample>) -> String {
        tell::too_late(last, self.host.inv.open_ended)
    }

    /// A migration that did not begin: who did not answer.
    fn silent(&self, asking: Option<Side>, after: Duration) -> GaveUp {
        let seconds = after.as_secs();
        let why = match asking {
            Some(Side::Source) => {
                format!(
                    "libvirt here did not answer within {seconds} s: see 'virsh domjobinfo' for a job that does not end"
                )
            }
            Some(Side::Destination) | None => {
                format!("{} did not answer within {seconds} s ({})", self.target.node, self.target.uri)
            }
        };
        GaveUp { why, hope: Hope::Silent, held: false }
    }

    /// The connections that this migration's memory may take.
    fn data_port(&self) -> DataPort {
        let host = |uri: &str| Uri::parse(uri).ok()?.host;
        let control = host(&self.target.uri);
        let data = self.target.data_uri.as_deref().and_then(host);
        let mut hosts: Vec<String> = control.into_iter().chain(data).chain([self.target.node.clone()]).collect();
        hosts.sort();
        hosts.dedup();
        DataPort::of(hosts)
    }

    /// Ends a migration whose data get no answer. libvirt may hang in that itself, so its connection is cut first.
    fn without_a_byte(&mut self, port: &mut DataPort, who: &Who, limits: &Limits) -> Option<(GaveUp, Deadline)> {
        let proc = self.host.looker.roots.proc.clone();
        let stuck = port.stuck(&proc, self.host.looker.emulator(), self.host.until(Share::Cut))?;
        let why = data_port::sentence(&stuck, &self.target.node);
        self.say(&why);
        let cut = data_port::cut(&stuck, &proc, self.host.until(Share::Cut));
        if !cut {
            self.abort(who, limits.over);
        }
        Some((GaveUp { why, hope: Hope::Lost, held: !cut }, self.order_until(limits.over)))
    }

    fn say(&self, line: &str) {
        tell_progress(self.host.inv.caller, &self.target, line);
    }

    fn sample(&mut self, at: Duration, measured: Option<u64>) -> Option<Sample> {
        if self.host.looker.tools() == Tools::Xl {
            return None;
        }
        if self.host.looker.connection().is_none() {
            // One slow answer had cost the connection.
            self.host.observe(self.host.last_look);
        }
        let stats = self.host.looker.ask_last(self.host.deadline, |rpc, domain| rpc.job_stats(domain, 0))?;
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
        let iteration = number("memory_iteration").unwrap_or(1).max(1);
        // The hypervisor knows it when the first pass is over.
        let told = number("memory_dirty_rate").map(|pages| pages * page);
        let memory = |total| {
            let (remaining, rate) = (number("memory_remaining")?, number("memory_bps").unwrap_or(0));
            let dirty = told.filter(|bytes| iteration > 1 || *bytes > 0).or(measured);
            Some(Sample { at, total, remaining, rate, dirty, iteration })
        };
        let disks = |total| {
            let (remaining, rate) = (number("disk_remaining")?, number("disk_bps").unwrap_or(0));
            Some(Sample { at, total, remaining, rate, dirty: None, iteration: 0 })
        };
        // A job that has only begun has nothing to tell.
        let some = |name: &str| number(name).filter(|total| *total > 0);
        some("memory_total").and_then(memory).or_else(|| some("disk_total").and_then(disks))
    }

    /// Has libvirt change the migration; whether it did.
    fn order(&mut self, change: &Change, who: &Who) -> bool {
        if *change == Change::Suspend {
            self.paused = true;
            // Before, since the agent may be killed behind it: who finds the guest paused then knows by whom.
            self.host.note(&self.target, &self.name, NotedStage::Pausing);
        }
        let result = self.host.backend.call(change, who, self.order_until(self.host.deadline));
        match &result {
            Ok(()) => self.say(&format!("libvirt was told to {change}")),
            Err(error) => log::warn!("libvirt did not {change}: {error}"),
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
    ) -> Option<(GaveUp, Deadline)> {
        let seen = self.host.observe(self.host.last_look);
        if matches!(at_source(&seen.here), Presence::Active(AtSource::Half(_))) {
            governor.commit();
            return None;
        }
        self.abort(who, over);
        Some((GaveUp::because(why), self.order_until(over)))
    }

    /// Until when libvirt may take an order, or what comes of it.
    pub(super) fn order_until(&self, deadline: Deadline) -> Deadline {
        self.host.inv.budget().until(Share::Order, deadline)
    }

    fn abort(&self, who: &Who, deadline: Deadline) {
        self.say("aborting");
        if let Err(error) = self.host.backend.call(&Change::AbortJob, who, self.order_until(deadline)) {
            log::warn!("aborting failed: {error}");
        }
    }
}

/// Waits for the call's next line, for a signal if that `matters`, or for the next sample.
fn rest(call: &Call, matters: bool) {
    let mut fds = vec![PollFd::new(call.running(), PollFlags::IN)];
    if let (Some(signals), true) = (interrupt::descriptor(), matters) {
        fds.push(PollFd::from_borrowed_fd(signals, PollFlags::IN));
    }
    let _ = poll(&mut fds, Some(&timespec(SAMPLE)));
}
