// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what a monitor makes of a machine that does not run as it should.

use super::Params;
use super::table::Concern::Watch;
use super::table::Setter::{Number, Text};
use super::table::{Param, ValueKind, Wrong, row};
use super::values::{OnGuestPoweroff, OnIoError, OnPause};

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
