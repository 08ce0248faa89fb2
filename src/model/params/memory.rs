// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of the parameters on a machine's memory that was saved, by libvirt or by a stop.

use super::Params;
use super::table::Concern::{Start, Stop};
use super::table::Setter::{Flag, Number, Text};
use super::table::{Param, ValueKind, Wrong, boolean, row};
use super::values::SavedMemory;
use crate::sys::text::shown;

pub(super) static ROWS: &[Param] = &[
    row(Start, "saved_memory", Text(saved_memory))
        .kind(ValueKind::Select(&["refuse", "use", "drop"]))
        .default("refuse")
        .told(
            "What becomes of saved memory",
            "What a start does with memory that libvirt has saved of the virtual machine (virsh managedsave, \
             libvirt-guests), which destroys disks that were written since: refuse to start, use it, or drop it.",
        )
        .readme("What a start does with memory that libvirt has saved: refuse, use or drop")
        .vm_sh(
            23,
            "string",
            None,
            "What becomes of saved memory",
            "What a start does with memory that libvirt has saved of the virtual machine (virsh managedsave, \
             libvirt-guests), which destroys disks that were written since: refuse to start (the default), use it, \
             or drop it.",
        )
        .reconfig(),
    row(Start, "snapshot", Text(snapshot))
        .told(
            "Folder for saved memory",
            "Folder in which a stop saves the virtual machine's memory, in place of shutting the guest down; the next start \
             restores it. What may be old is never restored: of another run or definition, or where a disk was written \
             since; it is set aside under another name. A save that fails, or takes more than half of the stop's time, \
             ends in a shutdown. A folder that all nodes share lets every node restore; machines whose disks are no files \
             need one.",
        )
        .readme("Folder in which a stop saves the memory that the next start restores")
        .vm_sh(
            13,
            "string",
            Some(""),
            "Folder for saved memory",
            "Folder in which a stop saves the virtual machine's memory, in place of shutting the guest down; the next start \
             restores it, unless it may be old: then it is set aside.",
        ),
    row(Stop, "snapshot_channels", Number(|p| &mut p.snapshot_channels, 255, "a number of channels, up to 255"))
        .default("0")
        .told(
            "Parallel writing of saved memory",
            "Number of channels by which a stop writes the memory to the folder snapshot at once, as a sparse image; a start \
             reads it by as many. libvirt 11.2 and QEMU 9.0 can do that, and only they can restore it: on a node that has \
             older ones a stop saves as with 0, which is the form that libvirt's own configuration names.",
        )
        .readme("Channels that write and read the memory in `snapshot` at once, as a sparse image (libvirt 11.2)"),
    row(Start, "snapshot_required", Flag(|p| &mut p.snapshot_required))
        .default("no")
        .told(
            "Fail rather than pass saved memory by",
            "yes: a start fails where memory in the folder snapshot cannot be restored, until somebody has seen to it; no: \
             it is set aside under another name, and the virtual machine starts afresh.",
        )
        .readme("A start fails where memory in `snapshot` cannot be restored, in place of starting afresh")
        .vm_sh(
            31,
            "boolean",
            None,
            "Fail rather than pass saved memory by",
            "yes: a start fails where memory in the folder snapshot cannot be restored; otherwise it is set aside, and \
             the virtual machine starts afresh (the default).",
        )
        .reconfig(),
];

fn saved_memory(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.saved_memory = SavedMemory::parse(text).ok_or_else(|| Wrong::expected(text, "refuse, use or drop"))?;
    Ok(())
}

/// A folder; or what VirtualDomain and vm.sh take for nothing, in a word.
fn snapshot(params: &mut Params, text: &str) -> Result<(), Wrong> {
    if boolean(text) == Some(false) {
        return Ok(());
    }
    if !text.starts_with('/') || text.chars().any(char::is_control) {
        return Err(Wrong::Refused(format!("'{}' is not a full path; expected /folder", shown(text.as_ref()))));
    }
    params.snapshot = Some(text.to_owned());
    Ok(())
}
