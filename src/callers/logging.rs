// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the log goes: to a person's terminal, to Pacemaker's channels, or to rgmanager's. The only file that knows.
//!
//! Nothing is set up before the first line is written, since most monitors write none. Losing a line is never an error.

use super::log_file::LogFile;
use super::trace::Trace;
use crate::model::budget::Share;
use crate::model::call::{Caller, Environment, Invocation};
use crate::policy::CRITICAL;
use crate::sys::child;
use crate::sys::text::{ascii_line, say};
use crate::sys::time::{Deadline, utc};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The longest line that is logged.
const LINE: usize = 1000;
/// How long a program that logs for us may take: one that hangs must not cost the action its time.
const LOGGER: Duration = Duration::from_secs(1);

struct Sinks {
    tag: String,
    /// How much goes to all but the trace.
    level: LevelFilter,
    /// Gets everything, each line with the time since the begin.
    trace: Option<(Trace, Instant)>,
    stderr: bool,
    /// Facility number for syslog, when it is wanted.
    syslog: Option<u8>,
    file: Option<LogFile>,
    debug_file: Option<LogFile>,
    /// A program that logs for us: ha_logger or clulog; syslog when it is missing, and from its first failure on.
    program: Option<&'static str>,
    /// See `program`.
    program_failed: AtomicBool,
    /// Until when the files may be waited for at the end.
    until: Deadline,
}

/// Turns logging to a person's terminal on.
pub(super) fn to_terminal(env: &Environment, verbose: bool) {
    let level = if verbose { usual(env, true) } else { LevelFilter::Warn };
    let mut terminal = env_logger::Builder::new();
    terminal.filter_level(level).format(|out, record| {
        writeln!(out, "vm-agent: {}: {}", word(record), ascii_line(&record.args().to_string(), LINE))
    });
    if terminal.try_init().is_ok() {
        log::set_max_level(level);
    }
}

fn usual(env: &Environment, verbose: bool) -> LevelFilter {
    let debug = verbose || env.text("HA_debug").is_some_and(|v| v != "0");
    if debug { LevelFilter::Debug } else { LevelFilter::Info }
}

/// Turns logging on for a cluster manager's call, which begins now.
pub(super) fn init(inv: &Invocation, env: &Environment, trace: Option<Trace>) {
    let (caller, instance, level) = (inv.caller, inv.instance.as_str(), usual(env, false));
    let until = inv.budget().keeping(Share::LogFile, Deadline::after(inv.timeout));
    let trace = trace.map(|file| (file, Instant::now()));
    let most = if trace.is_some() { LevelFilter::Debug } else { level };
    let yes = |name| env.text(name).and_then(crate::model::params::boolean) == Some(true);
    let sinks = if caller == Caller::Rgmanager {
        Sinks {
            tag: "vm".into(),
            level,
            trace,
            stderr: true,
            syslog: Some(facility("daemon").unwrap_or(3)),
            file: None,
            debug_file: None,
            program: Some("clulog"),
            program_failed: AtomicBool::new(false),
            until,
        }
    } else {
        Sinks {
            tag: if instance.is_empty() { "vm".into() } else { format!("vm({instance})") },
            level,
            trace,
            stderr: true,
            syslog: env.text("HA_LOGFACILITY").or_else(|| env.text("HA_logfacility")).and_then(facility),
            file: env.get("HA_LOGFILE").map(LogFile::appended),
            debug_file: env.get("HA_DEBUGLOG").map(LogFile::appended),
            program: (yes("HA_LOGD") || yes("HA_use_logd")).then_some("ha_logger"),
            program_failed: AtomicBool::new(false),
            until,
        }
    };
    if log::set_boxed_logger(Box::new(sinks)).is_ok() {
        log::set_max_level(most);
    }
}

/// Puts on record what a person did, where an administrator looks for it: in syslog, and so in the journal.
pub(super) fn record(line: &str) {
    // daemon.notice
    to_syslog(3 * 8 + 5, "vm-agent", &ascii_line(line, LINE));
}

fn to_syslog(priority: u8, tag: &str, line: &str) {
    let datagram = format!("<{priority}>{tag}[{}]: {line}", std::process::id());
    // Without waiting: a log that nobody reads must not stop the agent.
    if let Ok(socket) = UnixDatagram::unbound()
        && socket.set_nonblocking(true).is_ok()
    {
        let _ = socket.send_to(datagram.as_bytes(), "/dev/log");
    }
}

fn word(record: &Record<'_>) -> &'static str {
    match record.level() {
        Level::Error if record.target() == CRITICAL => "CRITICAL",
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

/// Syslog's severity.
fn severity(record: &Record<'_>) -> u8 {
    match record.level() {
        Level::Error if record.target() == CRITICAL => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Syslog's number for a facility (RFC 5424, table 1); `none` and unknown names are no facility.
fn facility(name: &str) -> Option<u8> {
    Some(match name {
        "kern" => 0,
        "user" => 1,
        "mail" => 2,
        "daemon" => 3,
        "auth" | "security" => 4,
        "syslog" => 5,
        "lpr" => 6,
        "news" => 7,
        "uucp" => 8,
        "cron" => 9,
        "authpriv" => 10,
        "ftp" => 11,
        _ => return name.strip_prefix("local").and_then(|n| n.parse::<u8>().ok()).filter(|n| *n < 8).map(|n| 16 + n),
    })
}

impl Sinks {
    /// Whether the program took the line. One that failed is not asked again: it would cost its time for each line.
    fn by_program(&self, record: &Record<'_>, line: &str) -> bool {
        if self.program_failed.load(Ordering::Relaxed) {
            return false;
        }
        let taken = self.run_program(record, line);
        self.program_failed.store(!taken, Ordering::Relaxed);
        taken
    }

    fn run_program(&self, record: &Record<'_>, line: &str) -> bool {
        let Some(program) = self.program.and_then(child::find_program) else { return false };
        let args: Vec<OsString> = if self.program == Some("clulog") {
            ["-m", "vm", "-s"]
                .into_iter()
                .map(OsString::from)
                .chain([severity(record).to_string().into(), line.into()])
                .collect()
        } else {
            let text = format!("{}: {line}", word(record));
            ["-t", &self.tag, &text].into_iter().map(OsString::from).collect()
        };
        let deadline = Deadline::after(LOGGER);
        child::Child::new(&program).args(args).run(deadline).is_ok_and(|f| f.ended == child::Ended::Exited(0))
    }

    fn append(&self, file: &LogFile, line: &str) {
        file.add(&format!("{} {}: {line}", utc(SystemTime::now()), self.tag));
    }
}

impl Log for Sinks {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let text = ascii_line(&record.args().to_string(), LINE);
        let line = format!("{}: {text}", word(record));
        if let Some((trace, began)) = &self.trace {
            let line = format!("{:.3} {line}", began.elapsed().as_secs_f32());
            match trace {
                Trace::Terminal(terminal) => say(&mut &*terminal, &line),
                Trace::File(file) => file.add(&line),
            }
        }
        if record.level() > self.level {
            return;
        }
        if self.stderr {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        if self.program.is_some() && self.by_program(record, &text) {
            return;
        }
        if let Some(facility) = self.syslog {
            to_syslog(facility * 8 + severity(record), &self.tag, &line);
        }
        match (&self.file, &self.debug_file) {
            (Some(file), _) if record.level() <= Level::Info => self.append(file, &line),
            (_, Some(file)) => self.append(file, &line),
            (Some(_) | None, None) => {}
        }
    }

    /// At the end of the action: the files have their lines, or it is told that they have not.
    fn flush(&self) {
        let trace = self.trace.as_ref().and_then(|(trace, _)| match trace {
            Trace::Terminal(_) => None,
            Trace::File(file) => Some(file),
        });
        for why in [trace, self.file.as_ref(), self.debug_file.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|file| file.end(self.until))
        {
            say(&mut std::io::stderr(), &format!("WARNING: {}", ascii_line(&why, LINE)));
        }
    }
}
