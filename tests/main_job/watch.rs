// SPDX-License-Identifier: GPL-2.0-or-later
//! status and monitor: the table of states and answers.

use crate::common::*;

#[test]
fn a_running_machine_answers_0_and_an_absent_or_shut_off_one_7() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in BOTH {
        vm.watch(dialect).gives(7).says(&["'a' is not running"]);
        host.virsh(&["define", vm.file.to_str().unwrap()]);
        vm.watch(dialect).gives(7).says(&["shut off"]);
        host.virsh(&["start", "a"]);
        vm.watch(dialect).gives(0);
        vm.destroy();
        host.virsh(&["undefine", "a"]);
    }
}

#[test]
fn a_machine_paused_by_its_user_is_degraded_to_a_recurring_monitor_and_running_to_all_others() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    host.virsh(&["suspend", "a"]);
    vm.call(Rgmanager, "status").gives(0);
    vm.call(Pacemaker, "monitor").gives(0);
    vm.call(Ocf, "monitor").gives(0);
    vm.call(Human, "status").gives(0);
    vm.call(Human, "monitor").gives(0);
    vm.call(Pacemaker, "monitor").recurring().gives(190).says(&["paused by request", "virsh resume"]);
    vm.call(VirtualDomain, "monitor").recurring().gives(190);
}

#[test]
fn a_crashed_machine_that_is_preserved_answers_1_and_stop_ends_it() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").crashing().written().created();
        vm.becomes("crashed");
        vm.watch(dialect).gives(1).says(&["crashed"]);
        vm.call(dialect, "start").gives(1).says(&["stop it first"]);
        vm.call(dialect, "stop").gives(0).within(5.0);
        assert_eq!(vm.state(), "absent");
    }
}
