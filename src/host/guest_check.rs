// SPDX-License-Identifier: GPL-2.0-or-later
//! The administrator's own checks of a guest: `status_program` (a bash command line, as vm.sh documents) and
//! `monitor_scripts` (programs, without a shell). Bounded by the deadline, ended with all their children.

use crate::model::call::Invocation;
use crate::model::params::Script;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::text::ascii_line;
use crate::sys::text::shown;
use crate::sys::time::Deadline;

/// Runs all checks, one after the other.
///
/// # Errors
/// A sentence about the first that failed; its own exit code never becomes ours.
pub(crate) fn run(inv: &Invocation, deadline: Deadline) -> Result<(), String> {
    if let Some(program) = &inv.params.status_program {
        let bash = find_program("bash").ok_or("status_program needs bash, which is not installed")?;
        check("status_program", Child::new(&bash).args(["-c".into(), program.clone()]), inv, deadline)?;
    }
    if let Some(scripts) = &inv.params.monitor_scripts {
        for Script { program, args } in scripts.as_ref().map_err(|why| format!("monitor_scripts: {why}"))? {
            check(&shown(program.as_os_str()), Child::new(program).args(args), inv, deadline)?;
        }
    }
    Ok(())
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
