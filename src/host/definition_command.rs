// SPDX-License-Identifier: GPL-2.0-or-later
//! Running `definition_command`, whose output is the definition: without a shell, within a share of the action's time, and
//! ended with all that it started. What it prints may hold passwords, and is never shown.

use crate::host::locate::{self, Found};
use crate::model::call::Invocation;
use crate::model::definition::MAX_BYTES;
use crate::model::outcome::{Code, Outcome};
use crate::model::params::DefinitionCommand;
use crate::sys::child::{Child, ChildError, Ended, PATH, find_program};
use crate::sys::text::{ascii_line, shown};
use crate::sys::time::Deadline;
use std::path::{Path, PathBuf};

/// What it prints, as a definition.
///
/// # Errors
/// It is not there, did not end well or in time, or prints no definition.
pub(crate) fn run(command: &DefinitionCommand, inv: &Invocation, deadline: Deadline) -> Result<Found, Outcome> {
    let failed = |code, why: &str| Outcome::new(code, format!("definition_command {why}"));
    let program =
        program(command).map_err(|why| Outcome::new(Code::Installed, format!("definition_command: {why}")))?;
    let child = Child::new(&program).args(command.args.iter().cloned()).envs(&inv.ocf).capture(MAX_BYTES);
    let finished = child.run(deadline).map_err(|error| {
        let code = match error {
            ChildError::NotFound(_) | ChildError::NotExecutable(_) => Code::Installed,
            ChildError::NotAbsolute(_)
            | ChildError::NotStarted(..)
            | ChildError::TooSlow(_)
            | ChildError::Launcher(_)
            | ChildError::Lost(_) => Code::Generic,
        };
        Outcome::new(code, format!("definition_command: {error}"))
    })?;
    let text = String::from_utf8_lossy(&finished.stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let said = last.map_or(String::new(), |line| format!(": {}", ascii_line(line, 200)));
    match finished.ended {
        Ended::Exited(0) if finished.stdout.len() >= MAX_BYTES => {
            Err(failed(Code::Installed, &format!("printed {MAX_BYTES} bytes or more, too much for a definition")))
        }
        Ended::Exited(0) if finished.stdout.is_empty() => {
            Err(failed(Code::Installed, &format!("printed nothing; expected libvirt's XML{said}")))
        }
        Ended::Exited(0) => locate::found(command.text.clone(), finished.stdout)
            .map_err(|error| Outcome::new(Code::Installed, format!("definition_command: {error}"))),
        Ended::Exited(code) => Err(failed(Code::Generic, &format!("ended with {code}{said}"))),
        Ended::Signalled(signal) => Err(failed(Code::Generic, &format!("was killed by signal {signal}{said}"))),
        Ended::TimedOut => {
            let seconds = finished.took.as_secs_f32();
            Err(failed(Code::Generic, &format!("did not end within {seconds:.1} s{said}")))
        }
    }
}

/// Its program's path.
fn program(command: &DefinitionCommand) -> Result<PathBuf, String> {
    let named = Path::new(&command.program);
    if named.is_absolute() {
        return Ok(named.to_owned());
    }
    let found = command.program.to_str().and_then(find_program);
    found.ok_or_else(|| format!("there is no program '{}' in {PATH}", shown(&command.program)))
}
