// SPDX-License-Identifier: GPL-2.0-or-later
//! The programs that are installed with the agent: where each is, and to go on as another.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where they are installed in the system's own prefix.
pub const LIBEXEC: &str = "/usr/libexec/vm-agent";

/// One of them: beside this executable, in the installed place of the same prefix, or in that of the system.
#[must_use]
pub fn find_own_program(name: &str) -> Option<PathBuf> {
    let own = std::fs::read_link("/proc/self/exe").ok()?;
    let folder = own.parent()?;
    let same_prefix = folder.parent().unwrap_or(folder).join("libexec/vm-agent");
    [folder, &same_prefix, Path::new(LIBEXEC)].into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// This process goes on as that program, with the environment that it has. Comes back only with the reason why not.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "it is no child: the process is the caller's as before")]
pub fn become_program(program: &Path, argv0: &OsStr, args: &[OsString]) -> io::Error {
    Command::new(program).arg0(argv0).args(args).exec()
}
