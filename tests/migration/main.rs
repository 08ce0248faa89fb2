// SPDX-License-Identifier: GPL-2.0-or-later
//! Migration between real hosts: QEMU under real libvirtds, called as rgmanager, Pacemaker and a person call. After each
//! case the guest's own ticks say how many copies run, and where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

#[path = "../common/mod.rs"]
mod common;

mod converge;
mod faults;
mod killed;
mod notes;
mod pacemaker;
mod ways;

/// A call that takes its time, so that something can happen in its middle.
fn slow(call: common::Call<'_>) -> common::Call<'_> {
    call.param("migration_speed", "4")
}
