// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what a monitor makes of a machine that does not run as it should.

use super::Params;
use super::table::Concern::{Start, Watch};
use super::table::Setter::{Flag, Number, Text};
use super::table::{Param, ValueKind, Wrong, row};
use super::values::{OnGuestPoweroff, OnIoError, OnPause, StartedWhen};

pub(super) static ROWS: &[Param] = &[
    row(Watch, "on_io_error", Text(on_io_error))
        .kind(ValueKind::Select(&["fail", "resume", "leave"]))
        .default("fail")
        .told(
            "When a failed disk pauses it",
            "What a monitor makes of a virtual machine that is paused by a disk's I/O error: fail: it is failed, and the \
             cluster recovers it; resume: recurring monitors have it run on, at once and then after 10, 20, 40, ... up to \
             300 seconds, as long as the disk fails again, and it is failed after 12 tries (some 35 minutes); leave: it is \
             left paused, and a recurring monitor answers \"degraded\" (190).",
        )
        .readme("When a disk's I/O error has paused it: fail, resume (tried until the disk works, for 35 minutes) or leave")
        .vm_sh(
            25,
            "string",
            None,
            "When a failed disk pauses it",
            "What a status makes of a virtual machine that is paused by a disk's I/O error: fail (the default): it is \
             failed; resume: it is resumed, at once and then after 10, 20, 40, ... up to 300 seconds, as long as the disk \
             fails again, and it is failed after 12 tries; leave: it is left paused.",
        )
        .reconfig(),
    row(Watch, "on_guest_poweroff", Text(on_guest_poweroff))
        .kind(ValueKind::Select(&["fail", "stopped"]))
        .default("fail")
        .told(
            "When its guest powers it off",
            "What Pacemaker's recurring monitor does when the guest has shut down by itself, by libvirt's word or its log: \
             fail: it answers \"not running\", and the cluster starts it again; stopped: it sets the resource's target-role \
             to Stopped before, so that the cluster keeps it stopped until somebody enables it.",
        )
        .readme("Pacemaker, when the guest has shut down by itself: fail (it is started again) or stopped (target-role is set)"),
    row(Watch, "on_pause", Text(on_pause))
        .kind(ValueKind::Select(&["warn", "resume", "fail"]))
        .default("warn")
        .told(
            "When somebody pauses it",
            "What a monitor makes of a virtual machine that somebody has paused: warn: a recurring monitor answers \
             \"degraded\" (190); resume: a recurring monitor resumes it; fail: it is failed, and the cluster recovers it.",
        )
        .readme("When somebody has paused it: warn, resume or fail")
        .vm_sh(
            26,
            "string",
            None,
            "When somebody pauses it",
            "What a status makes of a virtual machine that somebody has paused: warn (the default): it runs; resume: it is \
             resumed; fail: it is failed.",
        )
        .reconfig(),
    row(Watch, "reboot_grace", Number(|p| &mut p.reboot_grace, 86_400, "seconds, 0 to say so at once, up to 86400"))
        .default("0")
        .told(
            "Seconds before it is called gone",
            "A recurring monitor that finds the virtual machine gone looks again for so many seconds (within its timeout) \
             before it says so, for one that is destroyed and created anew when its guest reboots.",
        )
        .readme("Seconds that a recurring monitor looks again for a machine that is gone, before it says so")
        .vm_sh(
            27,
            "string",
            None,
            "Seconds before it is called gone",
            "A status that finds the virtual machine gone looks again for so many seconds (within its timeout) before it \
             says so; each node that rgmanager asks takes as long.",
        )
        .reconfig(),
    row(Watch, "monitor_agent", Flag(|p| &mut p.monitor_agent))
        .default("no")
        .told(
            "Ask the guest's agent",
            "yes: monitors of depth 10 ask the guest's agent for a sign of life (guest-ping), and the virtual machine is failed \
             when it was silent monitor_agent_failures times in a row; never before it has answered once since the start, \
             nor as long as there is a file /run/vm-agent/NAME.maintenance on the node.",
        )
        .readme("Monitors of depth 10 ask the guest's agent; `/run/vm-agent/NAME.maintenance` pauses that")
        .vm_sh(
            28,
            "string",
            None,
            "Ask the guest's agent",
            "yes: a status of depth 10 asks the guest's agent for a sign of life, and the virtual machine is failed when it \
             was silent monitor_agent_failures times in a row; never before it has answered once since the start, nor as \
             long as there is a file /run/vm-agent/NAME.maintenance on the node.",
        )
        .reconfig(),
    row(Watch, "monitor_agent_failures", Number(|p| &mut p.monitor_agent_failures, 1000, "a number, 0 for never, up to 1000"))
        .default("3")
        .told(
            "How often the guest's agent may be silent",
            "How often in a row the guest's agent must have been silent to monitors for the virtual machine to be failed; \
             0: it is never failed for that, only told of.",
        )
        .readme("How often in a row it must have been silent for the machine to be failed")
        .vm_sh(
            29,
            "string",
            None,
            "How often the guest's agent may be silent",
            "How often in a row the guest's agent must have been silent for the virtual machine to be failed (3).",
        )
        .reconfig(),
    row(Start, "started_when", Text(started_when))
        .kind(ValueKind::Select(&["running", "agent", "checks"]))
        .told(
            "When a start is done",
            "What a start waits for: running: that the virtual machine runs; agent: that the guest's agent answers; checks: \
             that status_program and monitor_scripts succeed, where they are set. A start that waits in vain fails, and \
             leaves the virtual machine running for the stop that follows. Unset: checks.",
        )
        .readme("What a start waits for: running, agent or checks (if unset: checks, where there are any)")
        .vm_sh(
            30,
            "string",
            None,
            "When a start is done",
            "What a start waits for: running: that the virtual machine runs; agent: that the guest's agent answers; checks \
             (as if unset): that status_program succeeds, where it is set.",
        )
        .reconfig(),
];

fn on_io_error(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.on_io_error = OnIoError::parse(text).ok_or_else(|| Wrong::expected(text, "fail, resume or leave"))?;
    Ok(())
}

fn on_guest_poweroff(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.on_guest_poweroff = OnGuestPoweroff::parse(text).ok_or_else(|| Wrong::expected(text, "fail or stopped"))?;
    Ok(())
}

fn on_pause(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.on_pause = OnPause::parse(text).ok_or_else(|| Wrong::expected(text, "warn, resume or fail"))?;
    Ok(())
}

fn started_when(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let when = StartedWhen::parse(text).ok_or_else(|| Wrong::expected(text, "running, agent or checks"))?;
    params.started_when = Some(when);
    Ok(())
}
