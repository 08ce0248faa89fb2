// SPDX-License-Identifier: GPL-2.0-or-later
//! The administrator's own checks of a guest: `status_program` (a bash command line, as vm.sh documents) and
//! `monitor_scripts` (programs, without a shell). Bounded by the deadline, ended with all their children.

use crate::model::call::Invocation;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::text::ascii_line;
use crate::sys::text::shown;
use crate::sys::time::Deadline;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Runs all checks, one after the other.
///
/// # Errors
/// A sentence about the first that failed; its own exit code never becomes ours.
pub fn run(inv: &Invocation, deadline: Deadline) -> Result<(), String> {
    if let Some(program) = &inv.params.status_program {
        let bash = find_program("bash").ok_or("status_program needs bash, which is not installed")?;
        check("status_program", Child::new(&bash).args(["-c".into(), program.clone()]), inv, deadline)?;
    }
    if let Some(scripts) = &inv.params.monitor_scripts {
        for (program, args) in commands(scripts.as_bytes())? {
            check(&shown(program.as_os_str()), Child::new(&program).args(args), inv, deadline)?;
        }
    }
    Ok(())
}

/// The programs of `monitor_scripts` with their arguments: words as a shell would split them, each of them split again.
///
/// # Errors
/// A sentence about the word that is no absolute path, or the quote that does not end.
pub fn commands(scripts: &[u8]) -> Result<Vec<(PathBuf, Vec<OsString>)>, String> {
    let split = |text: &[u8]| -> Result<Vec<Vec<u8>>, String> {
        let mut words = shlex::bytes::Shlex::new(text);
        let all: Vec<Vec<u8>> = words.by_ref().collect();
        if words.had_error { Err("monitor_scripts: a quote does not end; expected words".into()) } else { Ok(all) }
    };
    let mut commands = Vec::new();
    for command in split(scripts)? {
        let mut words = split(&command)?.into_iter().map(OsString::from_vec);
        let Some(program) = words.next() else { continue };
        if !Path::new(&program).is_absolute() {
            return Err(format!("monitor_scripts: '{}' is not a full path; expected programs", shown(&program)));
        }
        commands.push((PathBuf::from(program), words.collect()));
    }
    Ok(commands)
}

fn check(label: &str, program: Child<'_>, inv: &Invocation, deadline: Deadline) -> Result<(), String> {
    let finished = program.envs(&inv.ocf).run(deadline).map_err(|error| error.to_string())?;
    let said = || {
        let text = String::from_utf8_lossy(&finished.stderr);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        line.map_or(String::new(), |line| format!(" ({})", ascii_line(line, 200)))
    };
    match finished.ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(code) => Err(format!("{label} ended with {code}{}", said())),
        Ended::Signalled(signal) => Err(format!("{label} was killed by signal {signal}")),
        Ended::TimedOut => Err(format!("{label} did not end within {:.1} s", finished.took.as_secs_f32())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_programs_and_quoted_words_have_arguments() {
        let commands = commands(b"/a  '/b c \"d e\"'").unwrap();
        assert_eq!(commands[0], ("/a".into(), vec![]));
        assert_eq!(commands[1], ("/b".into(), vec!["c".into(), "d e".into()]));
    }

    #[test]
    fn shell_words_are_not_evaluated() {
        assert_eq!(
            commands(b"/a $(reboot)").unwrap_err(),
            "monitor_scripts: '$(reboot)' is not a full path; expected programs"
        );
        assert!(commands(b"'/a").is_err());
    }
}
