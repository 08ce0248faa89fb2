// SPDX-License-Identifier: GPL-2.0-or-later
//! The hands: one change of a domain, made by the worker, by virsh or by xl, as a child process under a deadline.
//!
//! What a call returns is only good for a sentence. Whether it worked is seen by looking again.

use super::cause::{self, cause};
use super::emulator_log;
use super::{virsh, xen};
use crate::model::change::Change;
use crate::model::definition::DefinitionText;
use crate::model::facts::{Libvirt, Place, Tools};
use crate::model::failure::{Failure, FailureKind};
use crate::model::presence::Presence;
use crate::model::worker::{
    self, Answer, ErrorReply, HostChange, Line, Lookup, Progress, Question, Reply, Request, Who,
};
use crate::sys::child::{self, Child, ChildError, Ended, Finished, LIBEXEC, RunningChild};
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use rustix::fs::statvfs;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The daemon whose emulators' logs are at hand.
pub(crate) const SYSTEM_QEMU: &str = "qemu:///system";
/// Where that daemon keeps its state of QEMU's domains.
const STATE: &str = "/run/libvirt/qemu";
/// Less than this free there counts as full: what failed may have taken the rest, and given some of it back.
const FEW: u64 = 64 * 1024;
/// libvirt's name for the language of xl's files.
const XEN_XL: &str = "xen-xl";
/// The most that is read of an answer with a definition in it.
const LONGEST_XML: usize = 8 * 1024 * 1024;
/// The worker's file name.
const WORKER: &str = "vm-agent-libvirt";

/// How changes are made.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// The connection URI.
    pub uri: String,
    /// Through virsh, because the caller wants it so.
    pub use_virsh: bool,
}

/// A program to run for a change.
enum Tool {
    Worker,
    Virsh(PathBuf),
    Xl(PathBuf),
}

impl Backend {
    /// Makes the change and waits for the call's end.
    ///
    /// # Errors
    /// libvirt said no, or could not be asked.
    pub(crate) fn call(&self, change: &Change, who: &Who, deadline: Deadline) -> Result<(), Failure> {
        let (tool, running) = self.spawn_tool(change, who, deadline)?;
        judge(&tool, &running.finish(deadline).map_err(not_run)?).map(drop)
    }

    /// Starts the domain of this name: as [`Backend::call`], and a failure has the emulator's words, also where libvirt
    /// told of its end before they had come.
    ///
    /// # Errors
    /// As of [`Backend::call`].
    pub(crate) fn start(&self, change: &Change, who: &Who, name: &str, deadline: Deadline) -> Result<(), Failure> {
        let began = SystemTime::now();
        let failure = match self.call(change, who, deadline) {
            Err(failure) if self.uri == SYSTEM_QEMU => failure,
            Err(failure) => return Err(xen::driver_log::explained(failure, began, deadline)),
            Ok(()) => return Ok(()),
        };
        let words = cause::with_words(&failure.said, || emulator_log::words(name, deadline));
        // A child of libvirt that cannot write its pid file there has no way to say so.
        let full = || room(STATE).map(|left| format!("{STATE} is full ({left} bytes left); {}", failure.said));
        match words.or_else(full) {
            Some(said) => Err(Failure { said: ascii_line(&said, 500), ..failure }),
            None => Err(failure),
        }
    }

    /// Begins the change; its end is told by `Call`.
    ///
    /// # Errors
    /// It could not be begun.
    pub(crate) fn spawn(&self, change: &Change, who: &Who, deadline: Deadline) -> Result<Call, Failure> {
        let began = SystemTime::now();
        let (tool, running) = self.spawn_tool(change, who, deadline)?;
        Ok(Call { tool, running, began, last: Vec::new(), begun: false, asking: None, dirty_rate: None, lost: None })
    }

    /// The libvirt XML of an xl file.
    ///
    /// # Errors
    /// libvirt cannot read it, or could not be asked.
    pub(crate) fn convert(&self, text: &str, deadline: Deadline) -> Result<DefinitionText, Failure> {
        if let (false, Some(_)) = (self.use_virsh, worker_path()) {
            let question = Question::FromNative { format: XEN_XL.into(), text: text.into() };
            let answer = ask_worker(&Request::host(&self.uri, question), deadline)?;
            return answer.xml.ok_or_else(|| Failure::new(FailureKind::Garbled, "the worker did not say"));
        }
        let virsh = child::find_program("virsh").ok_or_else(|| missing("virsh is not installed".into()))?;
        let args = ["-q", "-c", &self.uri, "domxml-from-native", XEN_XL, "/proc/self/fd/0"].map(OsString::from);
        let finished = child_of(&virsh, args.into(), Some(text)).run(deadline).map_err(not_run)?;
        judge(&Tool::Virsh(virsh), &finished)?;
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned().into())
    }

    /// What libvirt would start the domain from, which of a transient one is how it is now; with its passwords.
    ///
    /// # Errors
    /// libvirt said no, or could not be asked.
    pub(crate) fn inactive_xml(&self, who: &Who, deadline: Deadline) -> Result<DefinitionText, Failure> {
        if let (false, Some(_)) = (self.use_virsh, worker_path()) {
            let answer = ask_worker(&Request::domain(&self.uri, who.clone(), Question::NextXml), deadline)?;
            return answer.xml.ok_or_else(|| Failure::new(FailureKind::Garbled, "the worker did not say"));
        }
        let virsh = child::find_program("virsh").ok_or_else(|| missing("virsh is not installed".into()))?;
        let (Who::Uuid(which) | Who::Name(which)) = who;
        let words = ["-q", "-c", &self.uri, "dumpxml", "--inactive", "--security-info", "--domain", which];
        let child = child_of(&virsh, words.map(OsString::from).into(), None).capture(LONGEST_XML);
        let finished = child.run(deadline).map_err(not_run)?;
        judge(&Tool::Virsh(virsh), &finished)?;
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned().into())
    }

    /// Starts the networks and storage pools of this host that a definition names and that are not active. Only the worker
    /// can: virsh has no word for all of them.
    ///
    /// # Errors
    /// One of them cannot be started, or libvirt could not be asked.
    pub(crate) fn start_resources(&self, xml: DefinitionText, deadline: Deadline) -> Result<(), Failure> {
        ask_worker(&Request::host_change(&self.uri, HostChange::StartResources { xml }), deadline).map(drop)
    }

    fn spawn_tool(&self, change: &Change, who: &Who, deadline: Deadline) -> Result<(Tool, RunningChild), Failure> {
        if Tools::of(&self.uri) == Tools::Xl {
            let (program, child) = xen::command(&self.uri, change, who, deadline)?;
            let (args, input) = child;
            let child = child_of(&program, args, input);
            // xl leaves a process behind with each domain, which acts on the guest's reboot, crash and end.
            let child = if matches!(change, Change::Create { .. }) { child.leaves_daemons() } else { child };
            let running = changing(change, child).spawn(deadline).map_err(not_run)?;
            return Ok((Tool::Xl(program), running));
        }
        // Only the worker can check without moving.
        let rehearsal = matches!(change, Change::Migrate(migrate) if migrate.rehearse.is_some());
        let wanted = self.use_virsh || matches!(change, Change::Migrate(migrate) if migrate.by_virsh.is_some());
        let by_virsh = wanted && !rehearsal;
        let worker = if by_virsh { None } else { worker_path() };
        if rehearsal && worker.is_none() {
            return Err(missing(format!(
                "the checks before a migration need the worker {WORKER}, which is not installed"
            )));
        }
        let Some(worker) = worker else {
            let Some(virsh) = child::find_program("virsh") else {
                return Err(missing(if by_virsh {
                    "virsh is not installed".into()
                } else {
                    format!("neither the worker {LIBEXEC}/{WORKER} nor virsh is installed")
                }));
            };
            if !by_virsh {
                log::warn!("the worker {WORKER} is missing; virsh is used in its place");
            }
            let (args, input) = virsh::words(&self.uri, change, who);
            let running = changing(change, child_of(&virsh, args, input)).spawn(deadline).map_err(not_run)?;
            return Ok((Tool::Virsh(virsh), running));
        };
        let mut request = Request::change(&self.uri, who.clone(), change.clone());
        request.timeout = Some(deadline.left());
        let input = request.input();
        let args = request.argv().into_iter().map(OsString::from).collect();
        let running = changing(change, child_of(&worker, args, input)).spawn(deadline).map_err(not_run)?;
        Ok((Tool::Worker, running))
    }
}

/// Asks the worker something, and waits for the answer.
///
/// # Errors
/// libvirt said no, or could not be asked.
pub(crate) fn ask_worker(request: &Request, deadline: Deadline) -> Result<Answer, Failure> {
    heard(request, deadline, |running| running.finish(deadline))
}

/// The answer of a worker that `waits` waits for.
fn heard(
    request: &Request,
    deadline: Deadline,
    waits: impl FnOnce(RunningChild) -> Result<Finished, ChildError>,
) -> Result<Answer, Failure> {
    let worker = worker_path().ok_or_else(|| missing(format!("the worker {LIBEXEC}/{WORKER} is not installed")))?;
    let input = request.input();
    let args = request.argv().into_iter().map(OsString::from).collect();
    let child = child_of(&worker, args, input).capture(LONGEST_XML);
    answer(&child.spawn(deadline).and_then(waits).map_err(not_run)?)
}

/// libvirt goes on with a start that it was asked for, whoever asked. So it is waited for: as long as it may still bring
/// the domain up, this agent is there and holds the lock. A save goes on, too, and is aborted by libvirt alone.
fn changing<'a>(change: &Change, child: Child<'a>) -> Child<'a> {
    let goes_on =
        matches!(change, Change::Create { .. } | Change::Start | Change::Restore { .. } | Change::Save { .. });
    if goes_on { child.uninterrupted() } else { child }
}

/// Asks the worker how a domain is at `uri`, here or elsewhere.
///
/// # Errors
/// As of [`ask_worker`].
pub(crate) fn lookup(uri: &str, who: Who, deadline: Deadline) -> Result<Lookup, Failure> {
    if Tools::of(uri) == Tools::Xl {
        return xen::lookup(uri, &who, deadline).map_err(Failure::from);
    }
    found(ask_worker(&Request::domain(uri, who, Question::STATE), deadline)?)
}

/// How the machine of this name is at `uri`; or, where none of that name is active, that of this UUID. One connection, since
/// many hosts may be asked at once.
pub(crate) fn place_of_either(uri: &str, name: &str, uuid: Option<String>, deadline: Deadline) -> Place {
    let named = Who::Name(name.to_owned());
    if Tools::of(uri) == Tools::Xl {
        let whos = std::iter::once(named).chain(uuid.map(Who::Uuid));
        return place_of_any(whos, |who| lookup(uri, who, deadline));
    }
    let request = Request::domain(uri, named, Question::State { or_uuid: uuid });
    Place::told(ask_worker(&request, deadline).and_then(found))
}

/// The same as [`lookup`]; given up as soon as `hopeless` says why, which is asked again and again.
///
/// # Errors
/// As of [`ask_worker`], or that reason.
pub(crate) fn lookup_unless(
    uri: &str,
    who: Who,
    deadline: Deadline,
    mut hopeless: impl FnMut() -> Option<String>,
) -> Result<Lookup, Failure> {
    if Tools::of(uri) == Tools::Xl {
        return lookup(uri, who, deadline);
    }
    let mut why = None;
    let mut gives_up = || {
        why = hopeless();
        why.is_some()
    };
    let request = Request::domain(uri, who, Question::STATE);
    let answer = heard(&request, deadline, |running| running.finish_unless(deadline, &mut gives_up));
    why.map_or_else(|| found(answer?), |why| Err(Failure::new(FailureKind::TimedOut, why)))
}

fn found(answer: Answer) -> Result<Lookup, Failure> {
    answer.lookup.ok_or_else(|| Failure::new(FailureKind::Garbled, "the worker did not say"))
}

/// How the domain is at `uri`, by libvirt's word there.
pub(crate) fn place(uri: &str, who: Who, deadline: Deadline) -> Place {
    Place { tools: Tools::of(uri), ..Place::told(lookup(uri, who, deadline)) }
}

/// How a machine is that may have one of several identities there, each of which `ask` asks about: by the first that is not
/// off, else by the last.
pub(crate) fn place_of_any(
    whos: impl IntoIterator<Item = Who>,
    mut ask: impl FnMut(Who) -> Result<Lookup, Failure>,
) -> Place {
    let mut place = Place::by_word(Libvirt::NoDomain);
    for who in whos {
        place = Place::told(ask(who));
        if !matches!(place.presence(), Presence::Off(_)) {
            break;
        }
    }
    place
}

fn child_of<'a>(program: &'a Path, args: Vec<OsString>, input: Option<&'a str>) -> Child<'a> {
    let child = Child::new(program).args(args);
    let child = if child::serves_user() {
        // A user's daemon that does not run is started by whoever asks it, and stays.
        child.leaves_daemons()
    } else {
        // HOME: ssh and libvirt look there for root's keys and certificates; cluster managers may not set it.
        child.env("HOME", "/root")
    };
    match input {
        Some(text) => child.stdin(text.as_bytes()),
        None => child,
    }
}

/// A change that is under way. Dropping it ends its program.
pub(crate) struct Call {
    tool: Tool,
    running: RunningChild,
    began: SystemTime,
    last: Vec<u8>,
    begun: bool,
    asking: Option<worker::Side>,
    dirty_rate: Option<u64>,
    lost: Option<worker::Side>,
}

impl Call {
    /// What can be polled: it is readable when `ended` is worth asking.
    #[must_use]
    pub(crate) const fn running(&self) -> &RunningChild {
        &self.running
    }

    /// Whether the program has ended. Never waits, and takes in only a piece of what there is: a program that floods its
    /// output costs its own time, not ours.
    pub(crate) fn ended(&mut self) -> bool {
        let mut next = self.running.next_line(Deadline::after(Duration::ZERO));
        loop {
            match next {
                child::OutputLine::Text(line) => self.hear(line),
                child::OutputLine::Later => return false,
                child::OutputLine::Closed => return true,
            }
            next = self.running.line_at_hand();
        }
    }

    fn hear(&mut self, line: Vec<u8>) {
        match Line::parse(&String::from_utf8_lossy(&line)) {
            Ok(Line::Progress { progress: Progress::Warning(text) }) => log::warn!("{text}"),
            Ok(Line::Progress { progress: Progress::Begun }) => self.begun = true,
            Ok(Line::Progress { progress: Progress::Asking(end) }) => self.asking = Some(end),
            Ok(Line::Progress { progress: Progress::DirtyRate(bytes) }) => self.dirty_rate = Some(bytes),
            Ok(Line::Progress { progress: Progress::Lost { end, .. } }) => self.lost = Some(end),
            Ok(_) | Err(_) => {}
        }
        self.last = line;
    }

    /// Whether libvirt was asked to begin a migration.
    #[must_use]
    pub(crate) const fn begun(&self) -> bool {
        // These do not say when.
        self.begun || matches!(self.tool, Tool::Virsh(_) | Tool::Xl(_))
    }

    /// Which end is asked before a migration, if that is known.
    #[must_use]
    pub(crate) const fn asking(&self) -> Option<worker::Side> {
        self.asking
    }

    /// Bytes a second that the guest made dirty before its migration, if they were measured.
    #[must_use]
    pub(crate) const fn dirty_rate(&self) -> Option<u64> {
        self.dirty_rate
    }

    /// Which end stopped answering in the middle, if one did.
    #[must_use]
    pub(crate) const fn lost(&self) -> Option<worker::Side> {
        self.lost
    }

    /// What came of it, waiting no longer than `deadline`; virsh finds nothing out.
    ///
    /// # Errors
    /// As of [`Backend::call`].
    pub(crate) fn answer(self, deadline: Deadline) -> Result<Answer, Failure> {
        let mut finished = self.running.finish(deadline).map_err(not_run)?;
        if finished.stdout.is_empty() {
            finished.stdout = self.last;
        }
        judge(&self.tool, &finished).map_err(|failure| xen::driver_log::explained(failure, self.began, deadline))
    }
}

/// The bytes that are left in a file system, which is in memory, if they are few.
fn room(folder: &str) -> Option<u64> {
    let stat = statvfs(folder).ok().filter(|stat| stat.f_blocks > 0)?;
    Some(stat.f_bfree.saturating_mul(stat.f_frsize)).filter(|left| *left < FEW)
}

/// The worker's file.
#[must_use]
pub(crate) fn worker_path() -> Option<PathBuf> {
    child::find_own_program(WORKER)
}

/// What came of a call. virsh and xl find nothing out.
fn judge(tool: &Tool, finished: &Finished) -> Result<Answer, Failure> {
    let (path, whom, failure): (_, _, fn(&[u8]) -> Failure) = match tool {
        Tool::Worker => return answer(finished),
        Tool::Virsh(path) => (path, "virsh", virsh_failure),
        Tool::Xl(path) => (path, "xl", xen::failure),
    };
    Err(match finished.ended {
        Ended::Exited(0) => return Ok(Answer::default()),
        Ended::Exited(_) => failure(&finished.stderr),
        Ended::Signalled(signal) => {
            Failure::new(FailureKind::Crashed, format!("{} was killed by signal {signal}", path.display()))
        }
        Ended::TimedOut => timed_out(whom, finished),
    })
}

/// The worker's answer. One that it gave counts, however the worker ended after it.
fn answer(finished: &Finished) -> Result<Answer, Failure> {
    let text = String::from_utf8_lossy(&finished.stdout);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).map(Line::parse);
    Err(match (last, finished.ended) {
        (Some(Ok(Line::End(Reply::Ok(answer)))), _) => return Ok(*answer),
        (Some(Ok(Line::End(Reply::Error(error)))), _) => refused(&error),
        (Some(Ok(Line::Progress { progress: Progress::Doing(doing) })), Ended::TimedOut) => {
            let failure = timed_out("libvirt", finished);
            Failure { said: format!("{} ({doing})", failure.said), ..failure }
        }
        (_, Ended::TimedOut) => timed_out("libvirt", finished),
        (_, Ended::Signalled(signal)) => {
            Failure::new(FailureKind::Crashed, format!("the worker was killed by signal {signal}"))
        }
        (last, Ended::Exited(code)) => {
            let kind = if matches!(last, Some(Err(_))) { FailureKind::Garbled } else { FailureKind::Crashed };
            let otherwise = format!("the worker ended with {code} and without an answer");
            Failure::new(kind, last_line(&finished.stderr, &otherwise))
        }
    })
}

/// What the worker tells of an error, libvirt's or its own.
fn refused(error: &ErrorReply) -> Failure {
    let kind = match error.during {
        worker::CallStep::Deadline => FailureKind::TimedOut,
        worker::CallStep::Arguments
        | worker::CallStep::Input
        | worker::CallStep::Connect
        | worker::CallStep::ConnectDestination
        | worker::CallStep::Lookup
        | worker::CallStep::Preflight
        | worker::CallStep::Leftover
        | worker::CallStep::Call => FailureKind::Refused((error.code != 0).then_some(error.code)),
    };
    Failure { kind, at: Some(error.during), said: cause(&error.message) }
}

fn timed_out(whom: &str, finished: &Finished) -> Failure {
    let said = format!("{whom} did not answer within {:.0} s", finished.took.as_secs_f32());
    Failure::new(FailureKind::TimedOut, said)
}

fn missing(said: String) -> Failure {
    Failure::new(FailureKind::Missing, said)
}

/// The last line that a program wrote on stderr.
fn last_line(stderr: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(stderr);
    ascii_line(text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or(otherwise), 500)
}

/// The last error that virsh wrote. It may be of several lines, the first of which has the cause.
fn virsh_failure(stderr: &[u8]) -> Failure {
    const BEGIN: &str = "error: ";
    let text = String::from_utf8_lossy(stderr);
    let at = text.rfind(&format!("\n{BEGIN}")).map(|at| at + 1).or_else(|| text.starts_with(BEGIN).then_some(0));
    match at.and_then(|at| text.get(at + BEGIN.len()..)) {
        Some(message) => Failure::refused(ascii_line(&cause(message), 500)),
        None => Failure::new(FailureKind::Crashed, last_line(stderr, "virsh failed and did not say why")),
    }
}

/// A program that did not run, or whose end is not known.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_run(error: ChildError) -> Failure {
    let kind = match error {
        ChildError::NotFound(_) => FailureKind::Missing,
        ChildError::TooSlow(_) => FailureKind::TimedOut,
        ChildError::NotAbsolute(_)
        | ChildError::NotExecutable(_)
        | ChildError::NotStarted(..)
        | ChildError::Launcher(_)
        | ChildError::Lost(_) => FailureKind::Crashed,
    };
    Failure::new(kind, error.to_string())
}
