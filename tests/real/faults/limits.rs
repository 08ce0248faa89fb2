// SPDX-License-Identifier: GPL-2.0-or-later
//! Little memory, few files, no standard streams.

use super::trial::machines;
use crate::common::*;

/// Makes the agent's links scripts that set limits first.
fn limited(host: &Host, lines: &str) {
    for name in ["vm", "vm.sh", "vm-agent"] {
        let _ = std::fs::remove_file(host.shared().join("bin").join(name));
        // exec -a is bash's.
        let script = format!("exec bash -c '{lines}\nexec -a {name} {AGENT} \"$@\"' {name} \"$@\"");
        host.script(&format!("bin/{name}"), &script);
    }
}

#[test]
fn a_monitor_works_with_64_mib_and_16_files() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    limited(&host, "ulimit -v 65536 -n 16 -u 40");
    for daemon in ["running", "kill"] {
        if daemon == "kill" {
            host.service("kill", "libvirtd");
        }
        vm.call(Pacemaker, "monitor").timeout(4.0).gives(0);
        vm.call(Pacemaker, "monitor").recurring().timeout(4.0).gives(0);
        vm.call(Rgmanager, "status").timeout(4.0).gives(0);
        vm.call(Human, "status").timeout(4.0).gives(0);
        host.call(Pacemaker, "monitor").named("b").timeout(4.0).gives(7);
    }
    vm.call(Pacemaker, "stop").timeout(8.0).gives(0);
    assert_eq!(machines(&host), [0; 0]);
}

#[test]
fn start_and_stop_work_with_16_files() {
    let host = Host::up();
    let vm = host.guest("a").written();
    limited(&host, "ulimit -n 16");
    for dialect in BOTH {
        vm.call(dialect, "start").gives(0);
        vm.call(dialect, "stop").timeout(6.0).gives(0);
    }
}

#[test]
fn a_stop_works_when_the_worker_has_too_little_memory() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    limited(&host, "ulimit -v 49152");
    vm.call(Pacemaker, "stop").timeout(8.0).gives(0);
    assert_eq!(machines(&host), [0; 0]);
    vm.call(Pacemaker, "start").timeout(8.0).gives(1);
    assert_eq!(machines(&host), [0; 0]);
}

#[test]
fn an_agent_without_standard_streams_does_its_work() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for closed in ["<&- >&- 2>&-", "<&-", ">&- 2>&-"] {
        limited(&host, &format!("exec {closed}"));
        for dialect in BOTH {
            vm.call(dialect, "start").gives(0);
            assert_eq!(machines(&host).len(), 1);
            vm.watch(dialect).gives(0);
            vm.call(dialect, "stop").timeout(6.0).gives(0);
            assert_eq!(machines(&host), [0; 0]);
        }
    }
}
