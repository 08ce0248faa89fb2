// SPDX-License-Identifier: GPL-2.0-or-later
//! start.

use crate::common::*;

#[test]
fn start_creates_the_machine_and_a_second_start_leaves_it_alone() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").written();
        vm.call(dialect, "start").gives(0);
        let first = vm.qemu().pid;
        vm.call(dialect, "start").gives(0);
        assert_eq!((vm.state().as_str(), vm.qemu().pid), ("running", first));
        vm.destroy();
    }
}

#[test]
fn start_resumes_a_machine_that_was_paused() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        host.virsh(&["suspend", "a"]);
        vm.call(dialect, "start").gives(0);
        assert_eq!(vm.state(), "running");
    }
}
