// SPDX-License-Identifier: GPL-2.0-or-later
//! Domains that live on between calls, behind a libvirtd of our own; and that libvirtd dead, frozen or gone.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process, pidfd_open};
use tempfile::TempDir;
use virt::connect::Connect;
use vm_agent::worker::{
    DomainVerb, End, HostVerb, Lookup, Migrate, NO_METADATA, Progress, Reply, Request, Step, Until,
};

use super::{IN_PROCESS, Worker, definition, failure, name, ok};
use crate::common::{Moment, WORKER};

const DAEMON: &str = "/usr/sbin/libvirtd";
/// Nothing of the machine's own libvirt is to be seen, or touched.
const PRIVATE: &str = "for folder in /run /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt/qemu; do \
                       test ! -d $folder || mount -t tmpfs none $folder || exit; done; exec \"$@\"";

struct Libvirtd {
    folder: TempDir,
    daemon: Child,
    /// While a connection is open, the test driver's domains live.
    open: Option<Connect>,
}

impl Libvirtd {
    fn start() -> Self {
        assert!(geteuid().is_root() && fs::exists(DAEMON).unwrap(), "these tests need root and {DAEMON}");
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let settings = format!(
            "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nunix_sock_dir = \"{place}\"\n\
             log_outputs = \"3:file:{place}/log\"\n"
        );
        fs::write(folder.path().join("conf"), settings).unwrap();
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE, "sh"])
            .arg(DAEMON)
            .arg("--config")
            .arg(folder.path().join("conf"))
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut this = Self { folder, daemon, open: None };
        eventually("libvirtd listens", || {
            assert!(this.daemon.try_wait().unwrap().is_none(), "libvirtd ended");
            UnixStream::connect(this.socket()).is_ok()
        });
        this.open = Some(Connect::open(Some(&this.uri())).unwrap());
        this
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("libvirt-sock")
    }

    fn uri(&self) -> String {
        format!("test+unix:///default?socket={}", self.socket().display())
    }

    fn of(&self, domain: &str, verb: DomainVerb) -> Request {
        Request::domain(self.uri(), name(domain), verb)
    }

    fn host(&self, verb: HostVerb) -> Request {
        Request::host(self.uri(), verb)
    }

    fn create(&self, domain: &str) {
        ok(&self.host(HostVerb::Create { paused: false, validate: false, xml: definition(domain) }));
    }

    /// State and reason; nothing when it is absent.
    fn state(&self, domain: &str) -> Option<(i32, i32)> {
        match ok(&self.of(domain, DomainVerb::State)).lookup.unwrap() {
            Lookup::Absent => None,
            Lookup::Found(facts) => Some((facts.state, facts.reason)),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.daemon), signal).unwrap();
    }
}

impl Drop for Libvirtd {
    fn drop(&mut self) {
        // A frozen daemon would never answer the connection's farewell.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A condition that must come true; only its looks are spaced, nothing depends on how.
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Moment::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait(until: Until) -> DomainVerb {
    DomainVerb::Wait { until, for_ms: None }
}

#[test]
fn a_transient_domain_lives_from_create_to_destroy() {
    let daemon = Libvirtd::start();
    daemon.create("web");
    assert_eq!(daemon.state("web"), Some((1, 1)));
    ok(&daemon.of("web", DomainVerb::Suspend));
    assert_eq!(daemon.state("web"), Some((3, 1)));
    ok(&daemon.of("web", DomainVerb::Resume));
    assert_eq!(daemon.state("web"), Some((1, 5)));
    let names = ok(&daemon.host(HostVerb::List)).domains.unwrap();
    assert_eq!(names.iter().filter(|facts| facts.name == "web").count(), 1);
    let error = failure(&daemon.host(HostVerb::Create { paused: false, validate: false, xml: definition("web") }));
    assert_eq!(error.during, Step::Call);
    ok(&daemon.of("web", DomainVerb::Destroy { graceful: false }));
    assert_eq!(daemon.state("web"), None);
}

#[test]
fn a_persistent_domain_outlives_its_shutdown_until_it_is_undefined() {
    let daemon = Libvirtd::start();
    let answer = ok(&daemon.host(HostVerb::Define { validate: false, xml: definition("db") }));
    assert!(
        matches!(answer.lookup, Some(Lookup::Found(facts)) if facts.persistent == Some(true) && facts.id.is_none())
    );
    ok(&daemon.of("db", DomainVerb::Start { paused: false }));
    assert_eq!(daemon.state("db"), Some((1, 1)));
    ok(&daemon.of("db", DomainVerb::Shutdown { mode: vm_agent::worker::Mode::Default }));
    assert_eq!(daemon.state("db"), Some((5, 1)));
    let undefine =
        DomainVerb::Undefine { managed_save: false, snapshots: false, checkpoints: false, nvram: None, tpm: None };
    ok(&daemon.of("db", undefine));
    assert_eq!(daemon.state("db"), None);
}

#[test]
fn a_wait_tells_each_event_and_ends_with_the_domain() {
    let daemon = Libvirtd::start();
    daemon.create("web");
    daemon.create("other");
    let mut watch = Worker::start(&daemon.of("web", wait(Until::Off)));
    assert!(matches!(watch.progress(), Progress::Watching(Lookup::Found(facts)) if facts.state == 1));
    ok(&daemon.of("web", DomainVerb::Suspend));
    assert_eq!(watch.progress(), Progress::Event { event: 3, detail: 0 });
    ok(&daemon.of("other", DomainVerb::Destroy { graceful: false }));
    ok(&daemon.of("web", DomainVerb::Resume));
    assert_eq!(watch.progress(), Progress::Event { event: 4, detail: 0 });
    let open = daemon.open.as_ref().unwrap();
    let domain = open.lookup_domain_by_name("web").unwrap();
    let began = Moment::now();
    domain.shutdown().unwrap();
    let Reply::Ok(answer) = watch.end() else { panic!("the wait failed") };
    let took = began.elapsed();
    eprintln!("the wait answered {took:?} after the shutdown was asked for");
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(answer.lookup, Some(Lookup::Absent));
}

#[test]
fn a_wait_sees_a_domain_that_did_not_exist_begin_to_run() {
    let daemon = Libvirtd::start();
    let mut watch = Worker::start(&daemon.of("late", wait(Until::Running)));
    assert_eq!(watch.progress(), Progress::Watching(Lookup::Absent));
    ok(&daemon.host(HostVerb::Create { paused: false, validate: false, xml: definition("late") }));
    assert!(
        matches!(watch.end(), Reply::Ok(answer) if matches!(&answer.lookup, Some(Lookup::Found(facts)) if facts.state == 1))
    );
}

#[test]
fn a_wait_ends_with_an_error_when_the_daemon_dies() {
    let mut daemon = Libvirtd::start();
    daemon.create("web");
    let mut watch = Worker::start(&daemon.of("web", wait(Until::Off)));
    assert!(matches!(watch.progress(), Progress::Watching(_)));
    daemon.daemon.kill().unwrap();
    daemon.daemon.wait().unwrap();
    assert!(matches!(watch.progress(), Progress::Lost { end: End::Source, .. }));
    assert!(matches!(watch.end(), Reply::Error(failure) if failure.during == Step::Call));
    let error = failure(&daemon.of("web", DomainVerb::State));
    assert_eq!((error.code, error.during), (38, Step::Connect), "{error:?}");
}

#[test]
fn a_frozen_daemon_costs_no_more_than_the_timeout() {
    let daemon = Libvirtd::start();
    daemon.signal(Signal::STOP);
    for verb in [DomainVerb::State, wait(Until::Off)] {
        let request = Request { timeout: Some(Duration::from_millis(300)), ..daemon.of("test", verb) };
        let began = Moment::now();
        let error = failure(&request);
        assert_eq!((error.code, error.during, &*error.message), (0, Step::Deadline, "no answer within 300 ms"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn the_mark_is_set_told_replaced_and_taken_away() {
    let daemon = Libvirtd::start();
    daemon.create("web");
    let get = daemon.of("web", DomainVerb::GetMark);
    let set = |xml: &str, remove| {
        ok(&daemon.of("web", DomainVerb::SetMark { live: true, config: false, remove, xml: xml.into() }));
    };
    assert_eq!(failure(&get).code, NO_METADATA);
    for mark in ["<mark instance=\"a\"/>", "<mark instance=\"b\" path=\"/a b\"/>"] {
        set(mark, false);
        assert_eq!(ok(&get).xml.as_deref(), Some(mark));
    }
    let xml =
        ok(&daemon.of("web", DomainVerb::Xml { inactive: false, secure: false, migratable: false, update_cpu: false }));
    assert!(xml.xml.unwrap().contains("<vm-agent:mark xmlns:vm-agent=\"https://vm-agent.org/xmlns/domain/1.0\""));
    set("", true);
    assert_eq!(failure(&get).code, NO_METADATA);
}

#[test]
fn a_saved_domain_comes_back_from_its_file() {
    let daemon = Libvirtd::start();
    daemon.create("web");
    // The daemon shares this folder with us; the test driver writes the file itself.
    let path = daemon.folder.path().join("web.save").display().to_string();
    ok(&daemon.of("web", DomainVerb::Save { path: path.clone(), bypass_cache: false }));
    assert_eq!(daemon.state("web"), None);
    assert!(ok(&daemon.host(HostVerb::SavedXml { path: path.clone() })).xml.unwrap().contains("<name>web</name>"));
    ok(&daemon.host(HostVerb::Restore { path, wake: None, bypass_cache: false }));
    assert_eq!(daemon.state("web").map(|(state, _)| state), Some(1));
}

#[test]
fn a_worker_whose_parent_is_killed_ends() {
    let daemon = Libvirtd::start();
    daemon.create("web");
    let request = daemon.of("web", wait(Until::Off));
    let mut parent = Command::new("sh")
        .args(["-c", "\"$@\" & echo $!; wait", "sh", WORKER])
        .args(request.argv())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
    let pid: i32 = lines.next().unwrap().unwrap().parse().unwrap();
    let watching = lines.next().unwrap().unwrap();
    assert!(watching.contains("watching"), "{watching}");
    let worker = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(ends(&worker, Duration::from_secs(10)), "the worker lives on");
}

fn ends(process: &rustix::fd::OwnedFd, within: Duration) -> bool {
    let mut polls = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polls, Some(&within.try_into().unwrap())).unwrap() == 1
}

#[test]
fn a_worker_that_has_another_parent_than_its_caller_does_nothing() {
    let request = Request { parent: Some(1), ..Request::domain(IN_PROCESS, name("test"), DomainVerb::State) };
    let error = failure(&request);
    assert_eq!((error.code, error.during, &*error.message), (0, Step::Arguments, "the caller 1 has gone"));
    let request = Request { parent: Some(std::process::id()), ..request };
    ok(&request);
}

/// A migration whose destination accepts the connection and never answers.
fn migrate_into(frozen: &Libvirtd) -> Request {
    let migrate = Migrate { dest_uri: frozen.uri(), ..Migrate::default() };
    Request::domain(IN_PROCESS, name("test"), DomainVerb::Migrate(Box::new(migrate)))
}

#[test]
fn a_migration_that_has_not_begun_ends_at_once_when_it_is_aborted() {
    let frozen = Libvirtd::start();
    frozen.signal(Signal::STOP);
    type Abort = fn(&mut Worker);
    let command: Abort = |worker| worker.say("{\"do\":\"abort\"}\n");
    let terminate: Abort = |worker| kill_process(worker.pid(), Signal::TERM).unwrap();
    for abort in [command, terminate] {
        let mut worker = Worker::start(&migrate_into(&frozen));
        // What it says to a command shows that it has come so far.
        worker.say("{\"do\":\"downtime\",\"ms\":5}\n{\"do\":\"dance\"}\n");
        for _ in 0..2 {
            let progress = std::iter::repeat_with(|| worker.progress())
                .find(|progress| !matches!(progress, Progress::Asking(_)))
                .unwrap();
            assert!(matches!(progress, Progress::Did { error: Some(_), .. } | Progress::NoCommand(_)), "{progress:?}");
        }
        let began = Moment::now();
        abort(&mut worker);
        let reply = worker.end();
        assert!(
            matches!(&reply, Reply::Error(failure) if failure.message == "aborted before the migration began"),
            "{reply:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn the_end_of_a_migrations_input_is_no_command() {
    let frozen = Libvirtd::start();
    frozen.signal(Signal::STOP);
    let request = Request { timeout: Some(Duration::from_millis(500)), ..migrate_into(&frozen) };
    let mut worker = Worker::start(&request);
    worker.input = None;
    assert!(matches!(worker.end(), Reply::Error(failure) if failure.during == Step::Deadline));
}

#[test]
fn a_migration_onto_a_host_that_runs_it_is_refused_before_it_begins() {
    let daemon = Libvirtd::start();
    let error = failure(&migrate_into(&daemon));
    assert_eq!(error.during, Step::Preflight);
    assert!(error.message.contains("already has 'test' (running)"), "{error:?}");
    let error = failure(&Request::domain(IN_PROCESS, name("nope"), DomainVerb::Migrate(Box::default())));
    assert_eq!(error.during, Step::Lookup);
}
