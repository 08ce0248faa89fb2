// SPDX-License-Identifier: GPL-2.0-or-later
//! A host in which the program is installed by `make install`, as on a machine of its own: the real tools of a cluster
//! find it there, and this machine is not touched.

use crate::common::{AGENT, Host};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs it to its end, without standard input.
pub fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Said {
        code: output.status.code().unwrap_or_else(|| panic!("{command:?} was killed: {output:?}")),
        out: String::from_utf8(output.stdout).expect("what it prints is UTF-8"),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Said {
    /// What it printed, when it ended with 0.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

/// The folder of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The agent that these tests are built with; the worker lies beside it.
pub fn agent() -> &'static Path {
    Path::new(AGENT)
}

/// `make TARGET` with these variables, of the programs that these tests are built with.
pub fn make(target: &str, variables: &[(&str, &str)]) -> Command {
    let mut make = Command::new("make");
    // These tests may themselves be run by make, whose variables are not theirs.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env_remove("MFLAGS");
    make.args(["-s", "-C"]).arg(repository()).arg(target);
    make.arg(format!("built={}", agent().parent().unwrap().display()));
    make.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    make
}

/// Ends with a sentence if a program is missing that the test is about.
pub fn need(programs: &[&str]) {
    for program in programs {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|at| Path::new(at).join(program).is_file());
        assert!(found, "this test needs the program {program}; 'make deps' installs it");
    }
}

/// A host of its own in which the program is installed, and no service runs.
pub struct Installed(Host);

impl Installed {
    /// Starts one, and installs the program in it below `prefix`.
    pub fn with_the_program(prefix: &str) -> Self {
        need(&["make"]);
        let host = Self(Host::with(""));
        said(&mut host.inside(&make("install", &[("PREFIX", prefix)]))).ok();
        host
    }

    /// `command` in the host, with an environment that has nothing but a PATH and a home.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = self.0.command(command.get_program());
        inside.args(command.get_args());
        inside.envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LC_ALL", "C")]);
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// What `words` say in the host.
    pub fn run(&self, words: &[&str]) -> Said {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        said(&mut self.inside(&command))
    }
}

/// Everything below `folder` that is no folder, relative to it.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}
