// SPDX-License-Identifier: GPL-2.0-or-later
//! What a real libvirtd answers.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vm_agent::hypervisor::rpc::{Connection, LIST_ACTIVE, RpcError};
use vm_agent::sys::time::Deadline;

use crate::shared::{Libvirtd, eventually};
use crate::unit::rpc::soon;

/// `VIR_DOMAIN_XML_SECURE`: with passwords; needs a connection that is not read-only.
const XML_SECURE: u32 = 1;
/// `VIR_DOMAIN_XML_INACTIVE`: what the next start will use.
const XML_INACTIVE: u32 = 2;
/// `VIR_CONNECT_LIST_DOMAINS_INACTIVE`.
const LIST_INACTIVE: u32 = 2;

const RUNNING: i32 = 1;
const SHUT_OFF: i32 = 5;
const STARTED: i32 = 2;
const STOPPED: i32 = 5;

#[test]
fn a_domain_is_found_by_its_name_and_by_its_uuid() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    assert_eq!((domain.name.as_str(), domain.id), ("test", 1));
    assert_eq!(connection.lookup_by_uuid(&domain.uuid).unwrap(), Some(domain.clone()));
    assert_eq!(connection.state(&domain).unwrap().unwrap().0, RUNNING);
}

#[test]
fn a_name_or_uuid_that_libvirt_does_not_know_is_none_and_no_error() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    for name in ["tes", "test2", "Test", "", " test", "te*", "größe", &"x".repeat(4000)] {
        assert_eq!(connection.lookup_by_name(name).unwrap(), None, "{name:?}");
    }
    assert_eq!(connection.lookup_by_uuid(&[0; 16]).unwrap(), None);
    assert_eq!(connection.lookup_by_uuid(&[0xff; 16]).unwrap(), None);
}

#[test]
fn a_name_with_a_nul_byte_is_refused_before_it_could_name_another_domain() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    assert!(matches!(connection.lookup_by_name("test\0other"), Err(RpcError::Protocol(_))));
    assert!(connection.lookup_by_name("test").unwrap().is_some());
}

#[test]
fn a_name_may_be_any_text() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    for name in ["größe 1", "a'b\"c", "-", "日本語", "%2f;&"] {
        libvirtd.virsh(&["define", &libvirtd.definition(&name.replace('&', "&amp;"))]);
        let domain = connection.lookup_by_name(name).unwrap().unwrap();
        assert_eq!((domain.name.as_str(), domain.id), (name, -1));
        assert_eq!(connection.state(&domain).unwrap().unwrap().0, SHUT_OFF);
    }
}

#[test]
fn the_state_follows_what_an_administrator_does() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    for (verb, state) in [("suspend", 3), ("resume", RUNNING), ("destroy", SHUT_OFF), ("start", RUNNING)] {
        libvirtd.virsh(&[verb, "test"]);
        assert_eq!(connection.state(&domain).unwrap().unwrap().0, state, "after {verb}");
    }
    libvirtd.virsh(&["destroy", "test"]);
    assert_eq!(connection.lookup_by_name("test").unwrap().unwrap().id, -1);
}

#[test]
fn every_question_about_a_domain_that_has_vanished_is_answered_with_none() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    libvirtd.virsh(&["create", &libvirtd.definition("brief")]);
    let brief = connection.lookup_by_name("brief").unwrap().unwrap();
    assert_eq!(connection.is_persistent(&brief).unwrap(), Some(false));
    libvirtd.virsh(&["destroy", "brief"]);
    assert_eq!(connection.lookup_by_name("brief").unwrap(), None);
    assert_eq!(connection.state(&brief).unwrap(), None);
    assert_eq!(connection.info(&brief).unwrap(), None);
    assert_eq!(connection.xml(&brief, 0).unwrap(), None);
    assert_eq!(connection.is_persistent(&brief).unwrap(), None);
    assert_eq!(connection.autostart(&brief).unwrap(), None);
}

#[test]
fn domains_are_listed_by_their_state() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    for index in 0..5 {
        libvirtd.virsh(&["define", &libvirtd.definition(&format!("off-{index}"))]);
    }
    let names =
        |domains: Vec<vm_agent::hypervisor::rpc::RemoteDomain>| domains.into_iter().map(|d| d.name).collect::<Vec<_>>();
    assert_eq!(names(connection.list_all(LIST_ACTIVE).unwrap()), ["test"]);
    assert_eq!(connection.list_all(LIST_INACTIVE).unwrap().len(), 5);
    let mut all = names(connection.list_all(0).unwrap());
    all.sort();
    assert_eq!(all, ["off-0", "off-1", "off-2", "off-3", "off-4", "test"]);
}

#[test]
fn the_definition_comes_whole() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    for flags in [0, XML_INACTIVE, XML_SECURE] {
        let xml = connection.xml(&domain, flags).unwrap().unwrap();
        assert!(xml.starts_with("<domain type='test'") && xml.trim_end().ends_with("</domain>"), "{xml}");
        assert!(xml.contains("<name>test</name>"));
    }
}

#[test]
fn a_refusal_is_libvirts_own_and_leaves_the_connection_usable() {
    let libvirtd = Libvirtd::start("");
    let socket = libvirtd.socket("libvirt-sock-ro");
    let mut connection = Connection::open(&socket, Some("test:///default"), true, soon()).unwrap();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    let error = connection.xml(&domain, XML_SECURE).unwrap_err();
    assert!(matches!(error, RpcError::Libvirt { code: 29, .. }), "{error}");
    assert!(!error.is_no_domain());
    assert!(error.to_string().contains("operation forbidden"), "{error}");
    let error = connection.job_stats(&domain, 0).unwrap_err();
    assert!(matches!(error, RpcError::Libvirt { code: 3, .. }), "{error}");
    assert_eq!(connection.state(&domain).unwrap().unwrap().0, RUNNING);
}

#[test]
fn a_read_write_socket_opened_read_only_is_read_only() {
    let libvirtd = Libvirtd::start("");
    let socket = libvirtd.socket("libvirt-sock");
    let mut connection = Connection::open(&socket, Some("test:///default"), true, soon()).unwrap();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    assert!(matches!(connection.xml(&domain, XML_SECURE), Err(RpcError::Libvirt { code: 29, .. })));
}

#[test]
fn a_hypervisor_that_the_daemon_does_not_have_is_libvirts_refusal() {
    let libvirtd = Libvirtd::start("");
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), Some("xen:///system"), true, soon()).unwrap_err();
    assert!(matches!(error, RpcError::Libvirt { .. }), "{error}");
}

#[test]
fn autostart_persistence_and_resources_are_told() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    assert_eq!(connection.is_persistent(&domain).unwrap(), Some(true));
    assert_eq!(connection.autostart(&domain).unwrap(), Some(false));
    libvirtd.virsh(&["autostart", "test"]);
    assert_eq!(connection.autostart(&domain).unwrap(), Some(true));
    let info = connection.info(&domain).unwrap().unwrap();
    assert_eq!((info.state, info.max_mem_kib, info.mem_kib, info.vcpus), (1, 8_388_608, 2_097_152, 2));
}

#[test]
fn the_daemon_tells_its_version() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    assert!(connection.lib_version().unwrap() >= 6_000_000);
}

#[test]
fn events_of_the_watched_domain_come_in_order_and_no_others() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    libvirtd.virsh(&["define", &libvirtd.definition("other")]);
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    connection.watch_lifecycle(&domain).unwrap();
    libvirtd.virsh(&["start", "other"]);
    libvirtd.virsh(&["destroy", "test"]);
    libvirtd.virsh(&["destroy", "other"]);
    libvirtd.virsh(&["start", "test"]);
    let stopped = connection.next_event(soon()).unwrap().unwrap();
    assert_eq!((stopped.uuid, stopped.event, stopped.detail), (domain.uuid, STOPPED, 1));
    let started = connection.next_event(soon()).unwrap().unwrap();
    assert_eq!((started.uuid, started.event), (domain.uuid, STARTED));
    assert_eq!(connection.next_event(crate::unit::rpc::after_ms(50)).unwrap(), None);
}

#[test]
fn an_event_that_arrives_between_two_answers_is_not_lost() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    connection.watch_lifecycle(&domain).unwrap();
    libvirtd.virsh(&["destroy", "test"]);
    let mut event = None;
    eventually("the event has been queued during a call", || {
        connection.state(&domain).unwrap();
        event = connection.take_queued_event();
        event.is_some()
    });
    assert_eq!(event.unwrap().event, STOPPED);
}

#[test]
fn a_caller_can_poll_the_connection_itself() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    connection.watch_lifecycle(&domain).unwrap();
    connection.read_available().unwrap();
    assert_eq!(connection.take_queued_event(), None);
    libvirtd.virsh(&["destroy", "test"]);
    eventually("the event can be taken", || {
        poll(&mut [PollFd::new(&connection, PollFlags::IN)], Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap();
        connection.read_available().unwrap();
        connection.take_queued_event().is_some_and(|event| event.event == STOPPED)
    });
}

#[test]
fn a_client_that_answers_keepalive_pings_is_kept() {
    let libvirtd = Libvirtd::start("keepalive_interval = 1\nkeepalive_count = 1");
    let mut connection = libvirtd.connect();
    assert!(connection.ask_for_pings().unwrap());
    // A client that answers none is dropped after about (count + 1) intervals: 2 s.
    assert_eq!(connection.next_event(Deadline::after(Duration::from_secs(5))).unwrap(), None);
    assert!(connection.lookup_by_name("test").unwrap().is_some());
}
