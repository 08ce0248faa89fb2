// SPDX-License-Identifier: GPL-2.0-or-later
//! Children: every other program that the agent runs, run under a deadline and ended with all that it started.
//!
//! Between the agent and the program stands a launcher: this same executable, started as `vm-agent __child PROGRAM`
//! with its arguments. It adopts whatever the program leaves behind (a child subreaper), so that a daemon which the
//! program made by forking twice and by a session of its own is still found and ended. It does so when the program has
//! ended, when it is told to, and when the agent dies, even of SIGKILL: it sees the end of the socket between them. It
//! costs one start of a small program, and needs no signal handler and no `unsafe`.
//!
//! Programs stay in the agent's process group and session: Pacemaker kills the agent's group at its timeout, and that
//! must reach them. Only the launcher steps out of the group, to live the moment longer that it takes to end the rest.
//!
//! The environment is not inherited. The mask of blocked signals, the limits, the working folder and descriptors that
//! the agent's caller left open are: nothing here could change them without `unsafe`, or should.

mod again;
pub(crate) mod aside;
pub(crate) mod feed;
mod launcher;
mod message;
mod own;
mod running;
mod streams;
mod tail;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;

use crate::sys::time::Deadline;
pub use aside::ASIDE_WORD;
pub use launcher::{LAUNCHER_WORD, launcher_main};
pub use own::{LIBEXEC, become_program, find_own_program};
pub use running::{OutputLine, RunningChild};
pub(crate) use tail::end_of_file;

/// Where programs are looked for, and the `PATH` of every child.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long, at most, the end of a killed child and of all that it started is waited for: a call returns this much
/// after its deadline when a process cannot be killed, else within milliseconds.
pub const CLEAN_UP: Duration = Duration::from_secs(1);

/// How much is kept of each stream, unless told otherwise.
const CAPTURE: usize = 256 * 1024;

/// The environment of the user whose own libvirt is asked, as far as libvirt is found by it.
static USER: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Has all children from now on find what is this user's, by these variables.
pub fn serve_user(variables: Vec<(OsString, OsString)>) {
    // Whoever asks for the second time in a process asks for the same user.
    let _ = USER.set(variables);
}

/// Whether children are to find what is a user's own.
#[must_use]
pub fn serves_user() -> bool {
    USER.get().is_some()
}

/// A program to run, its arguments and its surroundings. Its input may be a definition, and is never shown.
#[derive(Clone)]
#[must_use]
pub struct Child<'a> {
    program: &'a Path,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Option<&'a [u8]>,
    capture: usize,
    launcher: Option<&'a Path>,
    interruptible: bool,
    leaves: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal; by ours only if that was the SIGTERM of [`RunningChild::terminate`].
    Signalled(i32),
    /// It was killed at the deadline, at the end of the grace, or because it was told to end.
    TimedOut,
}

/// What is known of a program after its end.
#[derive(Clone)]
pub struct Finished {
    /// How it ended.
    pub ended: Ended,
    /// The beginning of what it wrote to its output, up to the limit.
    pub stdout: Vec<u8>,
    /// The end of what it wrote to its error output, up to the limit: the last lines say why.
    pub stderr: Vec<u8>,
    /// Bytes of both streams that are not in them.
    pub dropped: u64,
    /// Processes that did not end by SIGKILL in the time of [`CLEAN_UP`]: they are stuck in the kernel.
    pub survivors: u32,
    /// From its start to its end.
    pub took: Duration,
}

/// Without its output, which may be a definition.
impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = String::from_utf8_lossy(&self.stderr);
        write!(f, "{:?}, {} bytes of output, {errors:?}", self.ended, self.stdout.len())
    }
}

/// Why a program did not run.
#[derive(Debug)]
pub enum ChildError {
    /// Only absolute paths are run.
    NotAbsolute(PathBuf),
    /// There is no such file, or it is a script whose interpreter is missing.
    NotFound(PathBuf),
    /// The file is no program that we may run.
    NotExecutable(PathBuf),
    /// It could not be started, for another reason.
    NotStarted(PathBuf, std::io::Error),
    /// Its start took longer than the deadline (a file system that does not answer).
    TooSlow(PathBuf),
    /// The launcher failed.
    Launcher(std::io::Error),
    /// The launcher was killed by somebody else, and the program's end is not known.
    Lost(PathBuf),
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute(path) => write!(f, "{} is not an absolute path", path.display()),
            Self::NotFound(path) if path.exists() => write!(f, "the interpreter of {} does not exist", path.display()),
            Self::NotFound(path) => write!(f, "{} does not exist", path.display()),
            Self::NotExecutable(path) => write!(f, "{} cannot be executed", path.display()),
            Self::NotStarted(path, error) => write!(f, "{} cannot be started: {error}", path.display()),
            Self::TooSlow(path) => write!(f, "{} could not be started in time", path.display()),
            Self::Launcher(error) => write!(f, "the launcher of programs failed: {error}"),
            Self::Lost(path) => write!(f, "the launcher of {} was killed", path.display()),
        }
    }
}

impl std::error::Error for ChildError {}

impl ChildError {
    fn of_start(program: &Path, errno: Errno) -> Self {
        let program = program.to_path_buf();
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::NotFound(program),
            Errno::ACCESS | Errno::PERM | Errno::NOEXEC | Errno::ISDIR => Self::NotExecutable(program),
            other => Self::NotStarted(program, other.into()),
        }
    }
}

impl<'a> Child<'a> {
    /// The program at an absolute path, without arguments, with an empty input and the fixed environment.
    pub fn new(program: &'a Path) -> Self {
        let mut env = vec![("PATH".into(), PATH.into()), ("LC_ALL".into(), "C".into())];
        env.extend(USER.get().into_iter().flatten().cloned());
        Self {
            program,
            args: Vec::new(),
            env,
            stdin: None,
            capture: CAPTURE,
            launcher: None,
            interruptible: true,
            leaves: false,
        }
    }

    /// Adds arguments.
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets these variables of its environment.
    pub fn envs(mut self, variables: &[(OsString, OsString)]) -> Self {
        self.env.extend_from_slice(variables);
        self
    }

    /// What it reads from its input, as a file: it may be of any length, and left unread.
    pub fn stdin(mut self, bytes: &'a [u8]) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Keeps at most this many bytes of each stream; more is read, and dropped.
    pub fn capture(mut self, bytes: usize) -> Self {
        self.capture = bytes;
        self
    }

    /// Lets it run to its end, or to its deadline, also when a signal tells us to end.
    pub fn uninterrupted(mut self) -> Self {
        self.interruptible = false;
        self
    }

    /// Lets what it leaves behind live on when it has ended well: a daemon that belongs to what it made.
    pub fn leaves_daemons(mut self) -> Self {
        self.leaves = true;
        self
    }

    /// The executable that stands between (for tests): it must call [`launcher_main`]. Without one, our own.
    pub fn launcher(mut self, path: &'a Path) -> Self {
        self.launcher = Some(path);
        self
    }

    /// Runs it to its end. When this returns, nothing that it started runs any more (see [`Finished::survivors`]).
    ///
    /// # Errors
    /// It did not run at all.
    pub fn run(self, deadline: Deadline) -> Result<Finished, ChildError> {
        match self.spawn(deadline) {
            Ok(running) => running.finish(deadline),
            Err(error) => Err(error),
        }
    }

    /// Starts it, and returns when it runs.
    ///
    /// # Errors
    /// It did not start, or not before the deadline.
    pub fn spawn(self, deadline: Deadline) -> Result<RunningChild, ChildError> {
        if !self.program.is_absolute() {
            return Err(ChildError::NotAbsolute(self.program.to_path_buf()));
        }
        if deadline.passed() {
            return Err(ChildError::TooSlow(self.program.to_path_buf()));
        }
        RunningChild::start(&self, deadline)
    }
}

/// The program of this name in the fixed [`PATH`].
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return None;
    }
    which::which_in(name, Some(OsStr::new(PATH)), "/").ok()
}
