// SPDX-License-Identifier: GPL-2.0-or-later
//! What a program finds around it: arguments, environment, input, signals, descriptors, group.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use vm_agent::sys::child::{Ended, PATH, find_program};

use super::{bash, program, run, seconds, text};

#[test]
fn arguments_arrive_as_they_are() {
    let odd = OsString::from_vec(b"\xff\xfe \n".to_vec());
    let args = ["a b".into(), OsString::new(), "$(touch /x)".into(), "'\"*;".into(), "--".into(), odd];
    let done = program("/usr/bin/printf").args(["%s|".into()].into_iter().chain(args)).run(seconds(20)).unwrap();
    assert_eq!(done.stdout, b"a b||$(touch /x)|'\"*;|--|\xff\xfe \n|");
}

#[test]
fn the_environment_is_fixed_but_for_what_is_added() {
    let done = program("/usr/bin/env").env("NAME", "a b").env("EMPTY", "").run(seconds(20)).unwrap();
    let mut lines: Vec<String> = text(&done.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["EMPTY=".into(), "LC_ALL=C".into(), "NAME=a b".into(), format!("PATH={PATH}")]);
    let done = program("/usr/bin/env").env("LC_ALL", "C.UTF-8").run(seconds(20)).unwrap();
    assert!(text(&done.stdout).contains("LC_ALL=C.UTF-8\n"));
}

#[test]
fn without_an_input_it_reads_an_end_at_once() {
    let done = program("/bin/cat").run(seconds(20)).unwrap();
    assert_eq!((done.ended, done.stdout.len()), (Ended::Exited(0), 0));
}

#[test]
fn an_input_of_any_length_arrives_whole() {
    let input: Vec<u8> = (0..5_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let done = program("/bin/cat").stdin(&input).capture(input.len()).run(seconds(30)).unwrap();
    assert!(done.stdout == input, "{} bytes came back", done.stdout.len());
    let done = program("/bin/cat").stdin(b"").run(seconds(20)).unwrap();
    assert_eq!((done.ended, done.stdout.len()), (Ended::Exited(0), 0));
}

#[test]
fn an_input_that_is_not_read_or_is_closed_disturbs_nobody() {
    let input = vec![b'x'; 3_000_000];
    for script in ["exit 3", "exec <&-; sleep 0.05; exit 3", "head -c 1 >/dev/null; exit 3"] {
        assert_eq!(bash(script).stdin(&input).run(seconds(20)).unwrap().ended, Ended::Exited(3), "{script}");
    }
}

#[test]
fn an_input_can_be_opened_by_its_name() {
    let done = program("/bin/cat").args(["/dev/stdin"]).stdin(b"<domain/>").run(seconds(20)).unwrap();
    assert_eq!(text(&done.stdout), "<domain/>");
}

#[test]
fn signals_are_as_a_shell_would_have_them() {
    let status = run("exec cat /proc/self/status");
    let line =
        |name: &str| text(&status.stdout).lines().find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap();
    let mask = |name: &str| u64::from_str_radix(line(name).trim(), 16).unwrap();
    assert_eq!(mask("SigBlk:"), 0);
    assert_eq!(mask("SigIgn:") & (1 << 12), 0, "SIGPIPE is not ignored");
    let done = run("yes | head -n 1; echo ${PIPESTATUS[0]}");
    assert_eq!(text(&done.stdout), "y\n141\n");
}

/// Process group and session, as the kernel tells them: 0 is one led from outside of this PID namespace.
fn group_and_session(stat: &str) -> (String, String) {
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().map(String::from).collect();
    (fields[2].clone(), fields[3].clone())
}

#[test]
fn it_stays_in_our_process_group_and_session() {
    let own = group_and_session(&std::fs::read_to_string("/proc/self/stat").unwrap());
    let done = run("exec cat /proc/self/stat");
    assert_eq!(group_and_session(&text(&done.stdout)), own);
}

/// The descriptors that we were started with, and that whoever we start inherits in turn.
fn inherited() -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        let entry = entry.unwrap();
        let Ok(info) = std::fs::read_to_string(entry.path()) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        if u32::from_str_radix(&flags, 8).unwrap() & 0o2_000_000 == 0 {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names
}

#[test]
fn it_gets_its_three_descriptors_and_none_of_ours() {
    let _ours = std::fs::File::open("/dev/null").unwrap();
    let inherited = inherited();
    for input in [None, Some(&b"x"[..])] {
        let child = program("/bin/ls").args(["/proc/self/fd"]);
        let child = if let Some(input) = input { child.stdin(input) } else { child };
        let shown = text(&child.run(seconds(20)).unwrap().stdout);
        assert!(["0", "1", "2"].iter().all(|name| shown.lines().any(|line| line == *name)), "{shown}");
        // One more is the folder that ls itself opens.
        let others = shown.lines().filter(|line| !inherited.iter().any(|name| name == line)).count();
        assert!(others <= 1, "{shown} and inherited {inherited:?}");
    }
}

#[test]
fn programs_are_found_in_the_fixed_path_only() {
    assert!(find_program("bash").is_some_and(|path| path.is_absolute() && path.ends_with("bash")));
    for name in ["no-such-program", "", "/bin/bash", "../bin/bash", "."] {
        assert_eq!(find_program(name), None, "{name}");
    }
    assert!(Path::new(PATH.split(':').next().unwrap()).is_absolute());
}
