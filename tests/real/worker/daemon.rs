// SPDX-License-Identifier: GPL-2.0-or-later
//! Domains that live on between calls, behind a libvirtd of our own; and that libvirtd dead, frozen or gone.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use virt::connect::Connect;
use vm_agent::model::change::{Change, Migrate, ShutdownMode};
use vm_agent::model::worker::{CallStep, Lookup, Progress, Question, Reply, Request, Side};

use super::{IN_PROCESS, Word, Worker, definition, failure, name, ok};
use crate::common::WORKER;
use crate::shared::{Libvirtd, Moment, eventually};

/// A libvirtd of our own, and a connection to it: while that is open, the test driver's domains live. The daemon goes
/// first, since a frozen one would never answer the connection's farewell.
struct Daemon {
    libvirtd: Libvirtd,
    open: Connect,
}

impl Daemon {
    fn start() -> Self {
        let libvirtd = Libvirtd::start("");
        let open = Connect::open(Some(&libvirtd.uri())).unwrap();
        Self { libvirtd, open }
    }

    fn of(&self, domain: &str, word: impl Word) -> Request {
        word.request(self.libvirtd.uri(), name(domain))
    }

    fn host(&self, question: Question) -> Request {
        Request::host(self.libvirtd.uri(), question)
    }

    fn create(&self, domain: &str) {
        ok(&self.of(domain, Change::Create { xml: definition(domain).into() }));
    }

    /// State and reason; nothing when it is absent.
    fn state(&self, domain: &str) -> Option<(i32, i32)> {
        match ok(&self.of(domain, Question::STATE)).lookup.unwrap() {
            Lookup::Absent => None,
            Lookup::Found(facts) => Some((facts.state, facts.reason)),
        }
    }

    fn freeze(&self) {
        self.libvirtd.signal(Signal::STOP);
    }
}

#[test]
fn a_transient_domain_lives_from_create_to_destroy() {
    let daemon = Daemon::start();
    daemon.create("web");
    assert_eq!(daemon.state("web"), Some((1, 1)));
    ok(&daemon.of("web", Change::Suspend));
    assert_eq!(daemon.state("web"), Some((3, 1)));
    // Only what waits for its memory is ended by this.
    let error = failure(&daemon.of("web", Change::DestroyWaiting));
    assert!(error.message.contains("it is paused") && daemon.state("web") == Some((3, 1)), "{error:?}");
    ok(&daemon.of("web", Change::Resume));
    assert_eq!(daemon.state("web"), Some((1, 5)));
    let error = failure(&daemon.of("web", Change::Create { xml: definition("web").into() }));
    assert_eq!(error.during, CallStep::Call);
    ok(&daemon.of("web", Change::Destroy));
    assert_eq!(daemon.state("web"), None);
}

#[test]
fn a_persistent_domain_outlives_its_shutdown() {
    let daemon = Daemon::start();
    daemon.open.define_domain_xml(&definition("db")).unwrap();
    ok(&daemon.of("db", Change::Start));
    assert_eq!(daemon.state("db"), Some((1, 1)));
    ok(&daemon.of("db", Change::Shutdown { mode: ShutdownMode::Default }));
    assert_eq!(daemon.state("db"), Some((5, 1)));
}

#[test]
fn a_daemon_that_has_gone_is_a_connection_that_fails() {
    let mut daemon = Daemon::start();
    daemon.libvirtd.kill();
    let error = failure(&daemon.of("web", Question::STATE));
    assert_eq!((error.code, error.during), (38, CallStep::Connect), "{error:?}");
}

#[test]
fn a_frozen_daemon_costs_no_more_than_the_timeout() {
    let daemon = Daemon::start();
    daemon.freeze();
    let request = Request { timeout: Some(Duration::from_millis(300)), ..daemon.of("test", Question::STATE) };
    let began = Moment::now();
    let error = failure(&request);
    assert_eq!((error.code, error.during, &*error.message), (0, CallStep::Deadline, "no answer within 300 ms"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn the_mark_is_set_and_replaced() {
    let daemon = Daemon::start();
    daemon.create("web");
    for mark in ["<mark instance=\"a\"/>", "<mark instance=\"b\" path=\"/a b\"/>"] {
        ok(&daemon.of("web", Change::SetMark { xml: mark.into() }));
        let xml = ok(&daemon.of("web", Question::Xml { inactive: false })).xml.unwrap();
        let namespace = "xmlns:vm-agent=\"https://vm-agent.org/xmlns/domain/1.0\"";
        let written = mark.replace("<mark", &format!("<vm-agent:mark {namespace}"));
        assert!(xml.contains(&written) && xml.matches("<vm-agent:mark").count() == 1, "{written} {}", *xml);
    }
}

#[test]
fn a_saved_domain_comes_back_from_its_file() {
    let daemon = Daemon::start();
    daemon.create("web");
    // The daemon shares this folder with us; the test driver writes the file itself.
    let path = daemon.libvirtd.folder().join("web.save").display().to_string();
    ok(&daemon.of("web", Change::Save { path: path.clone(), channels: None, bypass_cache: false }));
    assert_eq!(daemon.state("web"), None);
    assert!(ok(&daemon.host(Question::SavedXml { path: path.clone() })).xml.unwrap().contains("<name>web</name>"));
    ok(&daemon.of("web", Change::Restore { path, wake: None, channels: None, bypass_cache: false }));
    assert_eq!(daemon.state("web").map(|(state, _)| state), Some(1));
}

#[test]
fn a_worker_whose_parent_is_killed_ends() {
    let daemon = Daemon::start();
    daemon.freeze();
    let request = daemon.of("web", Question::STATE);
    let mut parent = Command::new("sh")
        .args(["-c", "\"$@\" & echo $!; wait", "sh", WORKER])
        .args(request.argv())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
    let pid: i32 = lines.next().unwrap().unwrap().parse().unwrap();
    // What has a socket has come past its bond to its parent.
    let connects =
        || fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|mut files| files.any(|file| is_socket(&file.unwrap())));
    eventually("the worker connects", connects);
    let worker = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(ends(&worker, Duration::from_secs(10)), "the worker lives on");
}

fn is_socket(file: &fs::DirEntry) -> bool {
    fs::read_link(file.path()).is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
}

fn ends(process: &rustix::fd::OwnedFd, within: Duration) -> bool {
    let mut polls = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polls, Some(&within.try_into().unwrap())).unwrap() == 1
}

#[test]
fn a_worker_that_has_another_parent_than_its_caller_does_nothing() {
    let request = Request { parent: Some(1), ..Request::domain(IN_PROCESS, name("test"), Question::STATE) };
    let error = failure(&request);
    assert_eq!((error.code, error.during, &*error.message), (0, CallStep::Arguments, "the caller 1 has gone"));
    let request = Request { parent: Some(std::process::id()), ..request };
    ok(&request);
}

/// A migration whose destination accepts the connection and never answers.
fn migrate_into(frozen: &Daemon) -> Request {
    let migrate = Migrate { dest_uri: frozen.libvirtd.uri(), ..Migrate::default() };
    Request::change(IN_PROCESS, name("test"), Change::Migrate(Box::new(migrate)))
}

#[test]
fn a_migration_that_has_not_begun_ends_at_once_when_it_is_aborted() {
    let frozen = Daemon::start();
    frozen.freeze();
    let mut worker = Worker::start(&migrate_into(&frozen));
    // It has come so far that it heeds the signal.
    assert_eq!(worker.progress(), Progress::Asking(Side::Source));
    let began = Moment::now();
    kill_process(worker.pid(), Signal::TERM).unwrap();
    let reply = worker.end();
    assert!(
        matches!(&reply, Reply::Error(failure) if failure.message == "aborted before the migration began"),
        "{reply:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_migration_onto_a_host_that_runs_it_is_refused_before_it_begins() {
    let daemon = Daemon::start();
    let error = failure(&migrate_into(&daemon));
    assert_eq!(error.during, CallStep::Preflight);
    assert!(error.message.contains("already has 'test' (running)"), "{error:?}");
    let error = failure(&Request::change(IN_PROCESS, name("nope"), Change::Migrate(Box::default())));
    assert_eq!(error.during, CallStep::Lookup);
}
