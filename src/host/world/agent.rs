// SPDX-License-Identifier: GPL-2.0-or-later
//! The guest's agent: asked through the worker, and what is on record of it in this run of the machine. The record's loss
//! forgives: then it has never answered.

use super::Host;
use crate::host::records;
use crate::hypervisor::backend;
use crate::model::budget::Share;
use crate::model::facts::{Fact, Facts, GuestAgent, Libvirt, Silence};
use crate::model::failure::FailureKind;
use crate::model::worker::{AGENT_SILENT, Question, Request};
use crate::sys::run_dir;

impl Host<'_> {
    /// Asks it, and counts. Only a recurring monitor counts silence: another's would be more than the cluster has asked for.
    pub(super) fn ask_agent(&self, seen: &Facts) -> Fact<GuestAgent> {
        let Libvirt::Domain(domain) = &seen.here.libvirt else {
            return Fact::Silent(Silence::refused("libvirt does not show it"));
        };
        let (run_dir, name) = (&self.looker.roots.run, domain.name.as_str());
        let marker = format!("{name}.maintenance");
        if let Some(path) = run_dir::path_of(run_dir, &marker) {
            return Fact::Known(GuestAgent::Excused(path.display().to_string()));
        }
        let Some(run) = self.looker.run_of(name, domain.uuid) else {
            return Fact::Silent(Silence::refused("its process cannot be told"));
        };
        let until = self.until(Share::Agent);
        let mut request = Request::domain(self.looker.uri.clone(), seen.here.who(), Question::PingAgent);
        request.timeout = Some(until.left());
        let (answer, record) = (backend::ask_worker(&request, until), records::silences(run_dir, name, run));
        let note = |times| records::note_silences(run_dir, name, run, times);
        match (answer, record) {
            (Ok(_), Some(0)) => Fact::Known(GuestAgent::Answers),
            (Ok(_), _) => {
                note(0);
                Fact::Known(GuestAgent::Answers)
            }
            (Err(failure), record) if matches!(failure.kind, FailureKind::Refused(Some(code)) if AGENT_SILENT.contains(&code)) =>
            {
                let why = failure.said;
                let Some(before) = record else { return Fact::Known(GuestAgent::NeverYet(why)) };
                let times = before.saturating_add(1);
                if self.inv.recurring {
                    note(times);
                }
                Fact::Known(GuestAgent::Silent { times, why })
            }
            // libvirt, not the agent, has no answer.
            (Err(failure), _) => Fact::Silent(failure.into()),
        }
    }
}
