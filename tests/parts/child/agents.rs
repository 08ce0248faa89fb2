// SPDX-License-Identifier: GPL-2.0-or-later
//! Agents in bad surroundings: killed, without descriptors, short of everything. The agent is this test's executable,
//! started anew to run one of the `agent_` functions here.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use vm_agent::sys::child::{Ended, OutputLine};

use super::{bash, mark, marked, program, seconds, text, written};
use crate::shared::eventually;

/// An agent that runs the function of this name. It finds its argument in `OCF_TEST`, and answers into that file.
fn agent(function: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        &format!("parts::child::agents::{function}"),
        "--ignored",
        "--test-threads=1",
        "-q",
        "--nocapture",
    ]);
    command.env("OCF_TEST", argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The same, by a shell that does something to itself first.
fn agent_after(shell: &str, function: &str, argument: &str) -> Command {
    let agent = agent(function, argument);
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]).arg(agent.get_program()).args(agent.get_args());
    command.env("OCF_TEST", argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn argument() -> Option<String> {
    std::env::var("OCF_TEST").ok()
}

struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answer_of(mut command: Command, file: &Path) -> String {
    let mut agent = Guarded(command.spawn().unwrap());
    assert!(agent.0.wait().unwrap().success());
    written(file).expect("the agent answered")
}

#[test]
#[ignore = "started by other tests"]
fn agent_that_waits() {
    let Some(mark) = argument() else { return };
    let script = format!(
        "(setsid bash -c '(exec -a {mark} sleep 1000) & exec -a {mark} sleep 1000' &); exec -a {mark} sleep 1000"
    );
    let _ = bash(&script).run(seconds(100));
}

#[test]
fn when_the_agent_is_killed_all_that_it_started_ends_too() {
    let mark = mark();
    let mut agent = Guarded(agent("agent_that_waits", &mark).spawn().unwrap());
    eventually("all of them run", || marked(&mark).len() == 3);
    agent.0.kill().unwrap();
    agent.0.wait().unwrap();
    eventually("all of them have ended", || marked(&mark).is_empty());
}

#[test]
fn when_the_agents_process_group_is_killed_all_that_it_started_ends_too() {
    let mark = mark();
    let mut command = agent("agent_that_waits", &mark);
    let agent = Guarded(command.process_group(0).spawn().unwrap());
    eventually("all of them run", || marked(&mark).len() == 3);
    let group = rustix::process::Pid::from_raw(i32::try_from(agent.0.id()).unwrap()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    // Daemons in a session of their own are out of its reach, and are ended all the same.
    eventually("all of them have ended", || marked(&mark).is_empty());
}

#[test]
#[ignore = "started by other tests"]
fn agent_that_runs_a_few() {
    let Some(file) = argument() else { return };
    let input = vec![b'x'; 1_000_000];
    let copied = program("/bin/cat").stdin(&input).capture(input.len()).run(seconds(20)).unwrap();
    let echoed = bash("echo out; echo err >&2; exit 3").run(seconds(20)).unwrap();
    let mut running = bash("echo line; sleep 1000").spawn(seconds(20)).unwrap();
    let line = running.next_line(seconds(20));
    let killed = running.kill().unwrap();
    let fine = copied.stdout == input
        && (echoed.ended, &*echoed.stdout, &*echoed.stderr) == (Ended::Exited(3), b"out\n", b"err\n")
        && line == OutputLine::Text(b"line".to_vec())
        && killed.ended == Ended::TimedOut;
    std::fs::write(file, if fine { "fine\n".into() } else { format!("{copied:?} {echoed:?} {line:?} {killed:?}\n") })
        .unwrap();
}

#[test]
fn closed_descriptors_and_scarce_ones_and_little_memory_are_enough() {
    let shells = [
        "",
        "exec 0<&-;",
        "exec 1>&-;",
        "exec 2>&-;",
        "exec 0<&- 1>&- 2>&-;",
        "ulimit -n 16;",
        "ulimit -v 65536;",
        "trap '' PIPE HUP;",
        "cd /proc;",
        "umask 777;",
    ];
    for shell in shells {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answer");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            answer_of(agent_after(shell, "agent_that_runs_a_few", file.to_str().unwrap()), &file),
            "fine\n",
            "{shell}"
        );
    }
}

#[test]
#[ignore = "started by other tests"]
fn agent_that_shows_an_environment() {
    let Some(file) = argument() else { return };
    let given = [("OCF_RESKEY_name".into(), "a b".into())];
    let done = program("/usr/bin/env").envs(&given).run(seconds(20)).unwrap();
    std::fs::write(file, done.stdout).unwrap();
}

#[test]
fn nothing_of_our_environment_is_handed_on_but_what_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    let mut command = agent("agent_that_shows_an_environment", file.to_str().unwrap());
    command.env_clear().env("OCF_TEST", &file).env("OCF_RESKEY_name", "c").env("SECRET", "x").env("PATH", "/evil");
    command.env("LD_PRELOAD_", "x").env("BASH_ENV", "/evil");
    let mut lines: Vec<String> = answer_of(command, &file).lines().map(str::to_owned).collect();
    lines.sort();
    let path = format!("PATH={}", vm_agent::sys::child::PATH);
    assert_eq!(lines, ["LC_ALL=C", "OCF_RESKEY_name=a b", &path]);
}

#[test]
fn the_word_that_makes_a_launcher_does_nothing_without_an_agent() {
    let mut command = Command::new(super::agent());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made");
    for input in [Stdio::null(), Stdio::piped()] {
        command.args(["__child", "/bin/touch"]).arg(&path).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let done = command.output().unwrap();
        assert_eq!(
            (done.status.code(), text(&done.stdout), text(&done.stderr)),
            (Some(1), String::new(), String::new())
        );
        command = Command::new(super::agent());
    }
    assert!(!path.exists());
}
