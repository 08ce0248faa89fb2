// SPDX-License-Identifier: GPL-2.0-or-later
//! The guest's agent (`monitor_agent`, `started_when`), its watchdog and its panic.

use crate::common::*;

/// What asks the agent.
fn asks<'a>(vm: &Vm<'a>, dialect: Dialect) -> Call<'a> {
    vm.watch(dialect).depth(10).param("monitor_agent", "yes")
}

/// Has the agent be silent to so many commands after this one; each sign of life that is asked for is one, as libvirt asks
/// first whether anybody listens.
fn ignores(vm: &Vm<'_>, count: u32) {
    let command = format!("{{\"execute\":\"lab-ignore\",\"arguments\":{{\"count\":{count}}}}}");
    vm.host.virsh(&["qemu-agent-command", &vm.name, &command]);
}

#[test]
fn a_guest_whose_agent_falls_silent_is_failed_at_the_third_time_and_well_when_it_answers_again() {
    let host = Host::up();
    for (dialect, name) in [(Rgmanager, "a"), (Pacemaker, "b")] {
        let vm = host.guest(name).with_agent(0).written().created();
        vm.says("agent listens");
        asks(&vm, dialect).gives(0);
        vm.says("guest-ping");
        ignores(&vm, 1000);
        asks(&vm, dialect).gives(0).tells(&["its guest agent was silent 1 of 3 times: ", "uest agent"]);
        // Whoever asks once does not count.
        vm.call(Human, "monitor").depth(10).param("monitor_agent", "yes").gives(0).tells(&["silent 2 of 3 times"]);
        asks(&vm, dialect).gives(0).tells(&["silent 2 of 3 times"]);
        let silent = format!("'{name}' is running, but its guest agent was silent 3 of 3 times");
        asks(&vm, dialect).gives(1).says(&[&silent]);
        // Maintenance.
        let marker = format!("/run/vm-agent/{name}.maintenance");
        host.run("touch", &[&marker]);
        asks(&vm, dialect).gives(0);
        host.run("rm", &[&marker]);
        asks(&vm, dialect).param("monitor_agent_failures", "9").gives(0).tells(&["silent 4 of 9 times"]);
        // Without the parameter, and at depth 0, nobody in the guest is asked.
        vm.watch(dialect).depth(10).gives(0).within(3.0);
        vm.watch(dialect).param("monitor_agent", "yes").gives(0).within(3.0);
        // Its record's loss forgives.
        host.run("rm", &[&format!("/run/vm-agent/{name}.agent")]);
        asks(&vm, dialect).gives(0);
        // Another run of it.
        vm.destroy();
        let vm = vm.created();
        asks(&vm, dialect).gives(0);
        until(60, "answer of the new run's agent", || {
            (host.console(name).matches("agent listens").count() == 2).then_some(())
        });
        asks(&vm, dialect).gives(0);
        ignores(&vm, 1);
        asks(&vm, dialect).gives(0).tells(&["silent 1 of 3 times"]);
        until(30, "answer", || {
            let answer = asks(&vm, dialect).gives(0);
            (!answer.stderr.contains("silent")).then_some(())
        });
        ignores(&vm, 1);
        asks(&vm, dialect).gives(0).tells(&["silent 1 of 3 times"]);
        vm.destroy();
    }
}

#[test]
fn an_agent_that_has_never_answered_is_no_failure_whatever_is_missing() {
    let host = Host::up();
    let (none, mute) = (host.guest("a").written().created(), host.guest("b").with_agent_channel().written().created());
    mute.ticks();
    for dialect in BOTH {
        for vm in [&none, &mute] {
            for _ in 0..4 {
                let answer = asks(vm, dialect).param("monitor_agent_failures", "1").run();
                let code = if answer.stderr.contains("cannot be asked") && dialect == Pacemaker { 190 } else { 0 };
                assert_eq!(answer.code, code, "{answer}");
            }
        }
    }
    assert!(none.lives() && mute.lives());
}

#[test]
fn a_libvirtd_that_hangs_is_no_silence_of_the_guests_agent() {
    let host = Host::up();
    let vm = host.guest("a").with_agent(0).written().created();
    vm.says("agent listens");
    asks(&vm, Pacemaker).gives(0);
    host.service("freeze", "libvirtd");
    for _ in 0..3 {
        asks(&vm, Pacemaker).timeout(10.0).param("monitor_agent_failures", "1").gives(0);
    }
    host.service("thaw", "libvirtd");
    asks(&vm, Pacemaker).gives(0);
}

#[test]
fn a_start_waits_for_the_guests_agent_where_it_is_told_to() {
    let host = Host::up();
    for (dialect, name) in [(Rgmanager, "a"), (Pacemaker, "b")] {
        let vm = host.guest(name).with_agent(1).written();
        let answer = vm.call(dialect, "start").param("started_when", "agent").gives(0);
        assert!(host.console(name).contains("guest-ping"), "the start has not waited: {answer}");
        // What runs is taken as it is, also with a guest that hangs.
        ignores(&vm, 1000);
        vm.call(dialect, "start").param("started_when", "agent").gives(0).within(4.0);
        vm.destroy();
        let mute = host.guest(&format!("{name}-mute")).with_agent_channel().written();
        let answer = mute.call(dialect, "start").timeout(8.0).param("started_when", "agent").gives(1);
        answer.says(&["runs, but its guest agent has not answered yet: Guest agent is not responding"]);
        assert!(mute.lives(), "it was not left running");
        mute.call(dialect, "stop").param("force_stop", "yes").gives(0);
        let checked = mute.call(dialect, "start").timeout(8.0).param("status_program", "false");
        checked.param("started_when", "running").gives(0);
        mute.call(dialect, "stop").param("force_stop", "yes").gives(0);
        mute.call(dialect, "start")
            .timeout(4.0)
            .param("status_program", "false")
            .param("started_when", "checks")
            .gives(1);
        mute.destroy();
    }
}

#[test]
fn a_watchdog_that_fired_and_a_guest_that_panicked_are_told_of_with_the_time() {
    let host = Host::up();
    let vm = host.guest("a").with_watchdog("pause").written().created();
    until(60, "watchdog", || host.virsh(&["domstate", "--reason", "a"]).contains("watchdog").then_some(()));
    let panicked = host.guest("b").crashing().written().created();
    panicked.becomes("crashed");
    for dialect in BOTH {
        vm.watch(dialect).gives(1).says(&["'a' is paused by its watchdog (since 20"]);
        panicked.watch(dialect).gives(1).says(&["'b' is crashed (the guest panicked) (since 20"]);
    }
    let ended = host.guest("d").polite().option("--append", "crash=1").written().created();
    until(60, "end by the panic", || (ended.state() == "absent").then_some(()));
    ended.watch(Pacemaker).gives(7).says(&["it ended at 20", "(crashed)"]);
    ended.watch(Rgmanager).gives(7);
    let reset = host.guest("c").with_watchdog("poweroff").written().created();
    until(60, "end by the watchdog", || (reset.state() == "absent").then_some(()));
    for dialect in BOTH {
        reset.watch(dialect).gives(7);
    }
    // The watchdog is no guest that shut down.
    let answer = reset.watch(Pacemaker).param("on_guest_poweroff", "stopped").gives(7);
    assert!(!answer.reason.contains("by its guest"), "{answer}");
}
