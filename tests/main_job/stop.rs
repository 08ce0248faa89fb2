// SPDX-License-Identifier: GPL-2.0-or-later
//! stop and kill.

use crate::common::*;
use std::time::Duration;

#[test]
fn stop_shuts_the_guest_down_and_a_second_stop_answers_0() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().written().created();
        vm.ticks();
        vm.call(dialect, "stop").gives(0);
        assert_eq!(vm.state(), "absent");
        assert!(host.console("a").contains("button "), "it was not asked");
        vm.call(dialect, "stop").gives(0).within(2.0);
        std::fs::remove_file(host.shared().join("console-a.log")).unwrap();
    }
}

#[test]
fn stop_of_a_name_that_nobody_knows_answers_0() {
    let host = Host::up();
    for dialect in BOTH {
        host.call(dialect, "stop").named("nobody").gives(0);
    }
}

#[test]
fn a_stubborn_guest_is_destroyed_within_the_timeout() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").stubborn().written().created();
        vm.ticks();
        let answer = vm.call(dialect, "stop").timeout(6.0).gives(0);
        assert!(answer.took > Duration::from_secs(2), "it was not given time: {answer}");
        assert!(host.console("a").contains("button "), "it was not asked");
        std::fs::remove_file(host.shared().join("console-a.log")).unwrap();
    }
}

#[test]
fn no_kill_fails_at_the_end_and_the_machine_runs_on() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        vm.call(dialect, "stop").param("no_kill", "yes").timeout(4.0).gives(1).says(&["no_kill"]);
        assert_eq!(vm.state(), "running");
        host.virsh(&["suspend", "a"]);
        vm.call(dialect, "stop").param("no_kill", "yes").timeout(4.0).gives(1).says(&["no_kill"]);
        assert!(vm.lives());
    }
}

#[test]
fn force_stop_and_kill_do_not_ask_the_guest() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().written();
        for (action, force) in [("kill", "no"), ("stop", "1")] {
            vm.call(dialect, "start").gives(0);
            vm.says("boot ");
            vm.call(dialect, action).param("force_stop", force).gives(0).within(3.0);
            assert!(!host.console("a").contains("button "), "it was asked");
        }
    }
}
