// SPDX-License-Identifier: GPL-2.0-or-later
//! How programs end, and that nothing of them is left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use vm_agent::sys::child::{Child, ChildError, Ended, Finished};

use super::{bash, mark, marked, milliseconds, program, run, seconds, text};
use crate::shared::Moment;

/// Runs a script that never ends by itself, and sees that all of it is gone in time.
fn cut_off(script: &str, mark: &str) -> Finished {
    let began = Moment::now();
    let done = bash(script).run(milliseconds(500)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
    assert_eq!((done.ended, done.survivors), (Ended::TimedOut, 0));
    assert_eq!(marked(mark), [0; 0]);
    done
}

#[test]
fn its_output_and_its_exit_code_are_given_back() {
    let done = run("echo out; echo err >&2; exit 3");
    assert_eq!((done.ended, &*done.stdout, &*done.stderr), (Ended::Exited(3), &b"out\n"[..], &b"err\n"[..]));
    assert_eq!((done.dropped, done.survivors), (0, 0));
    for code in [0, 1, 7, 126, 127, 128, 150, 190, 255] {
        assert_eq!(run(&format!("exit {code}")).ended, Ended::Exited(code));
    }
}

#[test]
fn a_signal_that_ends_it_is_told() {
    // Not 1, 2 and 3: whoever started the tests may have had them ignored, as nohup and a shell's & do, and then they are.
    for signal in [6, 9, 11, 13, 15, 34] {
        assert_eq!(run(&format!("ulimit -c 0; kill -{signal} $$")).ended, Ended::Signalled(signal));
    }
}

#[test]
fn one_that_hangs_is_killed_at_the_deadline_with_what_it_wrote_before() {
    let mark = mark();
    let done = cut_off(&format!("echo before; echo why >&2; exec -a {mark} sleep 1000"), &mark);
    assert_eq!((text(&done.stdout), text(&done.stderr)), ("before\n".into(), "why\n".into()));
    assert!(done.took >= Duration::from_millis(300) && done.took < Duration::from_secs(5), "{:?}", done.took);
}

#[test]
fn one_that_ignores_signals_or_is_stopped_is_killed_too() {
    for script in ["trap '' TERM INT HUP; exec -a MARK sleep 1000", "exec -a MARK bash -c 'kill -STOP $$; read'"] {
        let mark = mark();
        cut_off(&script.replace("MARK", &mark), &mark);
    }
}

#[test]
fn one_that_closes_its_output_and_hangs_is_killed() {
    let mark = mark();
    cut_off(&format!("exec >&- 2>&-; exec -a {mark} sleep 1000"), &mark);
}

#[test]
fn its_children_are_killed_with_it() {
    let mark = mark();
    cut_off(&format!("for i in 1 2 3; do (exec -a {mark} sleep 1000) & done; wait"), &mark);
}

#[test]
fn a_deep_tree_is_killed_with_it() {
    let mark = mark();
    let script =
        format!("f() {{ if [ $1 -gt 0 ]; then (f $(($1 - 1))); else exec -a {mark} sleep 1000; fi; true; }}; f 40");
    cut_off(&script, &mark);
}

#[test]
fn daemons_that_it_made_are_killed_at_the_deadline() {
    let mark = mark();
    cut_off(&format!("setsid bash -c '(exec -a {mark} sleep 1000) & exec -a {mark} sleep 1000' & sleep 1000"), &mark);
}

#[test]
fn what_it_leaves_behind_is_killed_at_its_end_and_does_not_hold_us_up() {
    // The daemon keeps the output open.
    let mark = mark();
    let began = Moment::now();
    let done = run(&format!("(setsid bash -c '(exec -a {mark} sleep 1000) & disown' & ) ; echo done; exit 5"));
    assert_eq!((done.ended, text(&done.stdout), done.survivors), (Ended::Exited(5), "done\n".into(), 0));
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    assert_eq!(marked(&mark), [0; 0]);
}

#[test]
fn many_that_are_left_behind_are_all_killed() {
    let mark = mark();
    let done = run(&format!("for i in {{1..300}}; do (exec -a {mark} sleep 1000) & done; exit 0"));
    assert_eq!((done.ended, done.survivors), (Ended::Exited(0), 0));
    assert_eq!(marked(&mark), [0; 0]);
}

#[test]
fn one_that_is_started_anew_by_its_parent_whenever_it_dies_is_killed() {
    let mark = mark();
    cut_off(&format!("setsid bash -c 'while :; do (exec -a {mark} sleep 1000); done' & wait"), &mark);
}

#[test]
fn one_that_stops_or_kills_its_launcher_is_killed_all_the_same() {
    let stopper = mark();
    cut_off(
        &format!("(exec -a {stopper} sleep 1000) & sleep 0.2; kill -STOP $PPID; exec -a {stopper} sleep 1000"),
        &stopper,
    );
    let killer = mark();
    let script = format!("(exec -a {killer} sleep 1000) & sleep 0.2; kill -KILL $PPID; exec -a {killer} sleep 1000");
    let error = bash(&script).run(seconds(20)).unwrap_err();
    assert_eq!(error.to_string(), "the launcher of /bin/bash was killed");
    crate::shared::eventually("nothing is left", || marked(&killer).is_empty());
}

#[test]
fn a_flood_is_read_to_its_end_and_only_its_beginning_is_kept() {
    let done = run("echo first; head -c 100000000 /dev/zero; echo -n end >&2");
    assert_eq!(done.ended, Ended::Exited(0));
    assert_eq!(done.stdout.len(), 256 * 1024);
    assert!(done.stdout.starts_with(b"first\n"));
    assert_eq!(done.dropped, 100_000_006 - 256 * 1024);
    assert_eq!(done.stderr, b"end");
}

#[test]
fn of_a_flood_of_errors_the_end_is_kept() {
    let done = bash("for i in {1..5000}; do echo error $i >&2; done").capture(100).run(seconds(20)).unwrap();
    assert_eq!(done.stderr.len(), 100);
    assert!(text(&done.stderr).ends_with("error 4999\nerror 5000\n"));
}

#[test]
fn an_endless_flood_does_not_stretch_the_deadline() {
    let done = bash("yes & yes >&2").run(milliseconds(300)).unwrap();
    assert_eq!((done.ended, done.survivors), (Ended::TimedOut, 0));
    assert!(done.took < Duration::from_secs(5), "{:?}", done.took);
}

#[test]
fn a_deadline_that_has_passed_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made");
    let error = bash(&format!("echo > {}", path.display())).run(milliseconds(0)).unwrap_err();
    assert_eq!(error.to_string(), "/bin/bash could not be started in time");
    assert!(!path.exists());
}

#[test]
fn what_cannot_be_run_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let shown = folder.path().display();
    let rows = [
        ("/no/such".into(), "/no/such does not exist".into()),
        ("bash".into(), "bash is not an absolute path".into()),
        (make("plain", "text", 0o644), format!("{shown}/plain cannot be executed")),
        (make("no-program", "text", 0o755), format!("{shown}/no-program cannot be executed")),
        (make("lost", "#!/no/such/shell\n", 0o755), format!("the interpreter of {shown}/lost does not exist")),
        (shown.to_string(), format!("{shown} cannot be executed")),
        (format!("{shown}/plain/x"), format!("{shown}/plain/x does not exist")),
    ];
    for (path, sentence) in rows {
        let error = program(&path).run(seconds(20)).unwrap_err();
        assert_eq!(error.to_string(), sentence);
    }
    let long = "x".repeat(200_000);
    let error = program("/bin/true").args([long]).run(seconds(20)).unwrap_err();
    assert!(matches!(error, ChildError::Launcher(_) | ChildError::NotStarted(..)), "{error:?}");
}

#[test]
fn a_launcher_that_is_none_is_an_error_and_is_ended() {
    let path = Path::new("/bin/true");
    let launched = |launcher: &str| Child::new(path).launcher(Path::new(launcher)).run(milliseconds(300)).unwrap_err();
    assert!(matches!(launched("/no/such"), ChildError::Launcher(_)));
    assert!(matches!(launched("/bin/true"), ChildError::Launcher(_)));
    let folder = tempfile::tempdir().unwrap();
    let (script, mark) = (folder.path().join("hangs"), mark());
    fs::write(&script, format!("#!/bin/bash\n(exec -a {mark} sleep 1000) & exec -a {mark} sleep 1000\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(launched(script.to_str().unwrap()), ChildError::TooSlow(_)));
    assert_eq!(marked(&mark), [0; 0]);
}

#[test]
fn two_hundred_in_a_row_leave_no_descriptor() {
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..200 {
        assert_eq!(program("/bin/true").run(seconds(20)).unwrap().ended, Ended::Exited(0));
    }
    // Other tests of this process come and go: only growth by hundreds would be ours.
    assert!(count() < 150);
}
