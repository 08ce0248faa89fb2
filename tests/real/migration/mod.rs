// SPDX-License-Identifier: GPL-2.0-or-later
//! Migration between real hosts: QEMU under real libvirtds, called as rgmanager, Pacemaker and a person call. After each
//! case the guest's own ticks say how many copies run, and where.

mod converge;
mod cost;
mod doctor;
mod elsewhere;
mod faults;
mod guard;
mod keeping;
mod killed;
mod notes;
mod pacemaker;
mod post_copy;
mod rehearsal;
mod targets;
mod ways;
mod whereis;

use crate::common::Call;

/// A call that takes more than a minute, so that something can happen in its middle, on a busy machine too.
fn slow(call: Call<'_>) -> Call<'_> {
    call.param("migration_speed", "1")
}

/// A call that takes its time, and comes to its end.
fn unhurried(call: Call<'_>) -> Call<'_> {
    call.param("migration_speed", "4")
}
