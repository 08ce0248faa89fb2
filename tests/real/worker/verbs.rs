// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs that are a single call, on the hypervisor inside the worker.

use std::process::{Command, Stdio};
use std::time::Duration;

use vm_agent::model::change::{Change, ShutdownMode};
use vm_agent::model::worker::{CallStep, Lookup, NO_DOMAIN, Question, Request, Who};

use super::{IN_PROCESS, Worker, definition, failure, name, of_host, of_test, ok};
use crate::common::{Moment, WORKER};

const UUID: &str = "6695eb01-f6a4-8304-79aa-97f2502e193f";

#[test]
fn a_domain_is_found_by_its_name_and_by_its_uuid() {
    for who in [name("test"), Who::Uuid(UUID.into())] {
        let answer = ok(&Request::domain(IN_PROCESS, who, Question::STATE));
        let Some(Lookup::Found(facts)) = answer.lookup else { panic!("{answer:?}") };
        assert_eq!((&*facts.name, &*facts.uuid, facts.id, facts.state), ("test", UUID, Some(1), 1));
        assert_eq!((facts.persistent, facts.autostart), (Some(true), Some(false)));
    }
}

#[test]
fn a_domain_that_does_not_exist_is_an_answer_and_not_an_error() {
    for who in [name("tes"), name("1"), name("test "), Who::Uuid(UUID.replace('6', "7"))] {
        assert_eq!(ok(&Request::domain(IN_PROCESS, who, Question::STATE)).lookup, Some(Lookup::Absent));
    }
}

#[test]
fn a_domain_that_is_not_of_this_name_is_found_by_its_uuid_in_the_same_call() {
    let look = |who: &str, uuid: &str| {
        ok(&Request::domain(IN_PROCESS, name(who), Question::State { or_uuid: Some(uuid.into()) })).lookup
    };
    for who in ["test", "old"] {
        let Some(Lookup::Found(facts)) = look(who, UUID) else { panic!("{who} was not found") };
        assert_eq!((&*facts.name, facts.id), ("test", Some(1)));
    }
    assert_eq!(look("old", &UUID.replace('6', "7")), Some(Lookup::Absent));
}

#[test]
fn a_name_that_is_another_domains_number_is_a_name() {
    let error = failure(&Request::change(IN_PROCESS, name("1"), Change::Destroy));
    assert_eq!((error.code, error.during), (NO_DOMAIN, CallStep::Lookup));
}

#[test]
fn an_error_carries_libvirts_number_and_words() {
    let error = failure(&Request::change(IN_PROCESS, name("nope"), Change::Resume));
    assert_eq!((error.code, error.domain, error.during), (NO_DOMAIN, 12, CallStep::Lookup));
    assert!(error.message.starts_with("Domain not found"), "{error:?}");
    let error = failure(&of_test(Change::Start));
    assert_eq!(error.during, CallStep::Call);
    assert!(error.message.ends_with("is already running"), "{error:?}");
}

#[test]
fn why_a_volume_is_nowhere_is_told_of_each() {
    let names = "default-pool/none\nnowhere/a\nword";
    let volumes = ok(&Request::host(IN_PROCESS, Question::Volumes { names: names.into() })).volumes.unwrap();
    let why = |name: &str| volumes[name].clone().unwrap_err();
    assert_eq!(why("default-pool/none"), "no storage vol with matching name 'none'");
    assert_eq!(why("nowhere/a"), "no storage pool with matching name 'nowhere'");
    assert_eq!((why("word").as_str(), volumes.len()), ("it is no volume of a pool", 3));
}

#[test]
fn a_malformed_uuid_is_an_error_and_not_absence() {
    let error = failure(&Request::domain(IN_PROCESS, Who::Uuid("no-uuid".into()), Question::STATE));
    assert_eq!(error.during, CallStep::Lookup);
    assert_ne!(error.code, NO_DOMAIN);
}

#[test]
fn a_connection_that_fails_is_told_apart_from_a_call_that_fails() {
    for uri in [
        "nonsense",
        "nonsense:///system",
        "qemu+unix:///system?socket=/nonexistent/sock",
        "qemu+tcp://127.0.0.1:1/system",
    ] {
        let error = failure(&Request::domain(uri, name("test"), Question::STATE));
        assert_eq!(error.during, CallStep::Connect, "{error:?}");
        assert_ne!((error.code, &*error.message), (0, ""));
    }
}

#[test]
fn xml_that_is_malformed_is_refused_in_libvirts_words() {
    for xml in ["<domain", "no xml", "<network/>", "<domain type='test'><name>a</name></domain>"] {
        let error = failure(&of_test(Change::Create { xml: xml.into() }));
        assert_eq!(error.during, CallStep::Call);
        assert!(error.code != 0 && !error.message.is_empty(), "{error:?}");
    }
}

#[test]
fn a_created_domain_is_told_in_the_answer() {
    let xml = definition("web \u{e4} &lt;1>");
    let answer = ok(&of_test(Change::Create { xml: xml.into() }));
    let Some(Lookup::Found(facts)) = answer.lookup else { panic!("{answer:?}") };
    assert_eq!((&*facts.name, facts.state, facts.persistent), ("web \u{e4} <1>", 1, Some(false)));
}

#[test]
fn an_option_reaches_libvirt_as_its_flag() {
    let flags = |request| failure(&request).message.split_whitespace().nth(2).map(str::to_owned);
    let shutdown = |mode| flags(of_test(Change::Shutdown { mode }));
    assert_eq!(shutdown(ShutdownMode::Acpi).as_deref(), Some("(0x1)"));
    assert_eq!(shutdown(ShutdownMode::Agent).as_deref(), Some("(0x2)"));
    assert_eq!(shutdown(ShutdownMode::Initctl).as_deref(), Some("(0x4)"));
    assert_eq!(shutdown(ShutdownMode::Signal).as_deref(), Some("(0x8)"));
    assert_eq!(shutdown(ShutdownMode::Paravirt).as_deref(), Some("(0x10)"));
}

#[test]
fn a_host_tells_what_it_can_and_leaves_out_the_rest() {
    let host = ok(&of_host(Question::Host)).host.unwrap();
    assert_eq!((host.hypervisor.as_deref(), host.hypervisor_version), (Some("TEST"), Some(2)));
    assert_eq!((host.uri.as_deref(), host.uuid), (Some(IN_PROCESS), None));
    assert!(host.client_version >= Some(6_000_000) && host.hostname.is_some(), "{:?}", host.client_version);
}

#[test]
fn what_the_hypervisor_does_not_support_is_an_error_of_the_call() {
    for verb in [Change::AbortJob, Change::StartPostcopy] {
        let error = failure(&of_test(verb));
        assert_eq!((error.code, error.during), (3, CallStep::Call), "{error:?}");
    }
}

#[test]
fn the_running_and_the_inactive_xml_are_told_apart() {
    let xml = |inactive| ok(&of_test(Question::Xml { inactive })).xml.unwrap();
    assert!(xml(false).starts_with("<domain type='test' id='1'>"));
    assert!(xml(true).starts_with("<domain type='test'>"));
}

/// A hypervisor inside the worker whose domain `test` has an XML that no pipe holds.
fn verbose_hypervisor() -> (tempfile::NamedTempFile, Request) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let xml =
        definition("test").replace("<memory>", &format!("<description>{}</description><memory>", "x".repeat(1 << 20)));
    std::fs::write(file.path(), format!("<node>{xml}</node>")).unwrap();
    let verb = Question::Xml { inactive: false };
    let request = Request::domain(format!("test://{}", file.path().display()), name("test"), verb);
    (file, request)
}

#[test]
fn a_worker_whose_output_nobody_reads_ends_at_its_deadline() {
    let (_file, request) = verbose_hypervisor();
    let request = Request { timeout: Some(Duration::from_millis(300)), ..request };
    let mut worker = Worker::start(&request);
    let began = Moment::now();
    assert_eq!(worker.child.wait().unwrap().code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_worker_whose_output_is_closed_ends_as_if_it_were_read() {
    let (_file, request) = verbose_hypervisor();
    let mut child =
        Command::new(WORKER).args(request.argv()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn a_long_answer_arrives_whole() {
    let (_file, request) = verbose_hypervisor();
    assert!(ok(&request).xml.unwrap().len() > 1 << 20);
}
