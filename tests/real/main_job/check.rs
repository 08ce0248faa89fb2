// SPDX-License-Identifier: GPL-2.0-or-later
//! The administrator's checks of a guest: status_program and monitor_scripts, at depth 10.

use crate::common::*;

/// What a check may leave behind: a sleep that no one else sleeps.
const LEFT: &str = "271828";

fn left(host: &Host) -> usize {
    host.processes(|args| args.iter().any(|arg| arg == LEFT.as_bytes())).len()
}

#[test]
fn a_status_program_is_run_at_depth_10_only_and_by_bash() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        let program = "[[ $OCF_RESKEY_name == a && $PATH == *bin* && -z $LANG ]] && a=(x y) && ((${#a[@]} == 2))";
        vm.watch(dialect).depth(10).param("status_program", program).gives(0);
        vm.watch(dialect).depth(20).param("status_program", "exit 1").gives(1);
        vm.watch(dialect).depth(0).param("status_program", "exit 1").gives(0);
        vm.watch(dialect).depth(10).gives(0);
    }
    vm.call(Human, "monitor").depth(10).param("status_program", "exit 3").gives(1).says(&["ended with 3"]);
    // By hand it gets what a cluster's call would give it, and nothing of a cluster's that called the shell.
    let program = "[[ $OCF_RESKEY_name == a && $OCF_CHECK_LEVEL == 10 && -z $OCF_RESKEY_old ]]";
    let by_hand = vm.call(Human, "monitor").depth(10).param("status_program", program);
    by_hand.var("VM_AGENT_CALLER", "human").var("OCF_RESKEY_old", "x").gives(0);
}

#[test]
fn a_check_that_fails_answers_1_whatever_its_own_code() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        for code in [1, 7, 127, 150, 190] {
            let program = format!("echo the database is gone >&2; exit {code}");
            let call = vm.watch(dialect).depth(10).param("status_program", program);
            call.gives(1).says(&["'a' runs", &format!("ended with {code}"), "the database is gone"]);
        }
        vm.watch(dialect).depth(10).param("status_program", "kill -SEGV $$").gives(1).says(&["signal 11"]);
        vm.watch(dialect).depth(10).param("status_program", "no-such-program").gives(1).says(&["127"]);
    }
}

#[test]
fn a_check_that_hangs_is_ended_in_time_with_all_its_children() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let sleep = format!("sleep {LEFT}");
    for dialect in BOTH {
        for program in
            [sleep.clone(), format!("trap '' TERM; {sleep} & {sleep}"), format!("(setsid {sleep} &) ; {sleep}")]
        {
            let answer = vm.watch(dialect).depth(10).timeout(2.0).param("status_program", program).gives(1);
            assert_eq!(left(&host), 0, "{answer}");
            answer.says(&["status_program did not end within"]);
        }
    }
}

#[test]
fn a_check_leaves_no_daemon_behind() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        for (code, program) in [
            (0, format!("sleep {LEFT} & exit 0")),
            (0, format!("setsid sleep {LEFT} >/dev/null 2>&1 </dev/null & exit 0")),
            (0, format!("(setsid sh -c 'sleep {LEFT} & sleep {LEFT}' &) & exit 0")),
            (1, format!("nohup sleep {LEFT} >/dev/null 2>&1 & exit 5")),
        ] {
            let answer = vm.watch(dialect).depth(10).param("status_program", program).gives(code).within(3.0);
            assert_eq!(left(&host), 0, "{answer}");
        }
    }
}

#[test]
fn a_check_does_not_outlive_an_agent_that_is_killed() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    for dialect in BOTH {
        let program = format!("setsid sleep {LEFT} & sleep {LEFT}");
        let monitor = vm.watch(dialect).depth(10).param("status_program", program).spawn();
        until(10, "check that runs", || (left(&host) == 2).then_some(()));
        monitor.kill();
        until(10, "end of the check", || (left(&host) == 0).then_some(()));
    }
}

#[test]
fn monitor_scripts_are_words_and_never_evaluated() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let log = host.shared().join("log");
    let good = host.script("good one", &format!("echo \"$#:$1:$2\" >>{}", log.display()));
    let bad = host.script("bad", "echo no disk left >&2; exit 7");
    let (good, bad) = (good.display(), bad.display());
    for dialect in BOTH {
        let check = |scripts: String| vm.watch(dialect).depth(10).param("monitor_scripts", scripts);
        check(format!("'{}'", format!("{good}").replace(' ', "\\ "))).gives(0);
        check(format!("\"'{good}' one 'two  words'\" '\"{good}\" $(touch\\ x) *'")).gives(0);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "0::\n2:one:two  words\n2:$(touch x):*\n");
        std::fs::remove_file(&log).unwrap();
        check(format!("'\"{good}\"' {bad} '\"{good}\"'")).gives(1).says(&["ended with 7", "no disk left"]);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "0::\n", "a script was run after one that failed");
        std::fs::remove_file(&log).unwrap();
        check(format!("{bad}; true")).gives(1);
        check("/no/such/script".into()).gives(1).says(&["/no/such/script"]);
        check("relative".into()).gives(1).says(&["not a full path"]);
        vm.watch(dialect).depth(0).param("monitor_scripts", format!("{bad}")).gives(0);
    }
}

#[test]
fn a_machine_that_does_not_run_is_not_checked() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let mark = host.shared().join("was-run");
    let program = format!("touch {}", mark.display());
    for dialect in BOTH {
        vm.watch(dialect).depth(10).param("status_program", &program).gives(7).within(1.5);
    }
    assert!(!mark.exists());
}
