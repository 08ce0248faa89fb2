// SPDX-License-Identifier: GPL-2.0-or-later
//! What cases do to the machine, and wait for.

use crate::bed::Bed;
use crate::cases::A;
use crate::common::until;
use std::time::Duration;

/// Its QEMU is killed, and the cluster starts it again.
pub fn is_killed(bed: &Bed) {
    bed.kills(A);
    comes_again(bed);
    bed.rests();
}

/// Waits until a machine that is on its way down has gone, and runs again.
pub fn comes_again(bed: &Bed) {
    until(60, "its end", || bed.witness.runs_on(A).is_empty().then_some(()));
    bed.runs_once(A, 240);
}

/// Gives monitors the time to see what happened behind the cluster's back.
pub fn is_noticed(bed: &Bed) {
    bed.looks_on(Duration::from_secs(15));
}

/// By QEMU's own hand, so that libvirt has not asked for anything.
pub fn presses_the_button(bed: &Bed, here: usize) {
    bed.host(here).virsh(&["qemu-monitor-command", A, "--hmp", "system_powerdown"]);
}

/// It may have been fenced meanwhile, and booted with a libvirtd.
pub fn has_libvirtd_again(bed: &Bed, host: usize) {
    until(60, "its libvirtd", || bed.host(host).first_process());
    bed.host(host).service("start", "libvirtd");
}

/// The other host has another machine's definition under that name.
pub fn is_refused(bed: &Bed, here: usize) {
    let there = bed.host(bed.elsewhere(here));
    let another = there.definition(A, &["--variant", "none", "--uuid", "11111111-2222-4333-8444-555555555555"]);
    let file = there.file("another.xml", &another);
    there.virsh(&["define", file.to_str().unwrap()]);
}
