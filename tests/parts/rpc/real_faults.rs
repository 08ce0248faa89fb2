// SPDX-License-Identifier: GPL-2.0-or-later
//! A real libvirtd that is stopped, killed, full, or locked.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vm_agent::hypervisor::rpc::{Connection, RpcError};

use crate::shared::Libvirtd;
use crate::unit::rpc::{after_ms, in_time, soon};

const TEST: Option<&str> = Some("test:///default");

#[test]
fn a_stopped_daemon_costs_no_more_than_the_deadline() {
    let libvirtd = Libvirtd::start("");
    libvirtd.signal(Signal::STOP);
    let begin = Instant::now();
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, true, after_ms(300)).unwrap_err();
    let took = begin.elapsed();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    assert!(in_time(took, 300), "{took:?}");
}

#[test]
fn a_call_given_up_does_not_spoil_the_next_one() {
    let libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    libvirtd.signal(Signal::STOP);
    for _ in 0..3 {
        connection.set_deadline(after_ms(100));
        assert!(matches!(connection.state(&domain), Err(RpcError::Timeout { .. })));
        connection.set_deadline(after_ms(100));
        assert!(matches!(connection.lookup_by_name("nobody"), Err(RpcError::Timeout { .. })));
    }
    libvirtd.signal(Signal::CONT);
    connection.set_deadline(soon());
    assert_eq!(connection.lookup_by_name("test").unwrap(), Some(domain.clone()));
    assert_eq!(connection.state(&domain).unwrap().unwrap().0, 1);
}

#[test]
fn a_daemon_that_dies_closes_the_connection_and_then_nobody_listens() {
    let mut libvirtd = Libvirtd::start("");
    let mut connection = libvirtd.connect();
    let domain = connection.lookup_by_name("test").unwrap().unwrap();
    libvirtd.kill();
    assert!(matches!(connection.state(&domain), Err(RpcError::Closed { .. })));
    assert!(matches!(connection.next_event(soon()), Err(RpcError::Closed { .. })));
    assert!(matches!(connection.read_available(), Err(RpcError::Closed { .. })));
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, true, soon()).unwrap_err();
    assert!(error.is_nobody_listening(), "{error}");
    let error = Connection::open(&libvirtd.socket("no-such-socket"), TEST, true, soon()).unwrap_err();
    assert!(error.is_nobody_listening(), "{error}");
}

#[test]
fn a_daemon_that_is_full_costs_no_more_than_the_deadline_and_serves_when_there_is_room() {
    let libvirtd = Libvirtd::start("max_clients = 1\nmax_anonymous_clients = 1");
    let first = libvirtd.connect();
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, true, after_ms(300)).unwrap_err();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    drop(first);
    assert!(libvirtd.connect().lookup_by_name("test").unwrap().is_some());
}

#[test]
fn authentication_that_is_demanded_is_named() {
    let libvirtd = Libvirtd::start("auth_unix_rw = \"sasl\"");
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, false, soon()).unwrap_err();
    assert!(matches!(&error, RpcError::AuthenticationRequired(kind) if kind == "sasl"), "{error}");
    assert_eq!(error.to_string(), "libvirt demands sasl authentication");
}

#[test]
fn root_is_let_in_where_polkit_guards_the_socket() {
    let libvirtd = Libvirtd::start("auth_unix_rw = \"polkit\"");
    assert!(libvirtd.connect().lookup_by_name("test").unwrap().is_some());
}

/// How many complaints there are of `clients`, besides the one that shows that all are in the log.
fn complaints_of(libvirtd: &Libvirtd, clients: impl FnOnce()) -> usize {
    let before = libvirtd.complaints();
    clients();
    libvirtd.let_a_client_just_go();
    libvirtd.complaints() - before - 1
}

// A machine may be so busy that a client leaves early once; those that just go are complained of every time.

#[test]
fn clients_that_leave_are_no_errors_in_the_daemons_log() {
    let libvirtd = Libvirtd::start("");
    let complaints = complaints_of(&libvirtd, || {
        for _ in 0..100 {
            assert!(libvirtd.connect().lookup_by_name("test").unwrap().is_some());
        }
        for _ in 0..20 {
            assert!(Connection::open(&libvirtd.socket("libvirt-sock"), Some("xen:///system"), true, soon()).is_err());
        }
    });
    assert!(complaints < 4, "{complaints} of 120");
}

#[test]
fn clients_whose_call_was_given_up_leave_like_others_once_the_daemon_answers_again() {
    let libvirtd = Libvirtd::start("");
    let mut clients: Vec<Connection> = (0..10).map(|_| libvirtd.connect()).collect();
    libvirtd.signal(Signal::STOP);
    for client in &mut clients {
        client.set_deadline(after_ms(10));
        assert!(matches!(client.lookup_by_name("test"), Err(RpcError::Timeout { .. })));
    }
    libvirtd.signal(Signal::CONT);
    let complaints = complaints_of(&libvirtd, || {
        for mut client in clients {
            client.set_deadline(soon());
            assert!(client.lookup_by_name("test").unwrap().is_some());
        }
    });
    assert!(complaints < 4, "{complaints} of 10");
}

#[test]
fn a_client_that_answers_no_keepalive_ping_is_dropped() {
    // So that the test of the client that is kept proves something.
    let libvirtd = Libvirtd::start("keepalive_interval = 1\nkeepalive_count = 1");
    let mut stream = UnixStream::connect(libvirtd.socket("libvirt-sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for (serial, procedure, argument) in [(1_u32, 66_u32, None), (2, 60, Some(10_u32))] {
        let length = if argument.is_some() { 32 } else { 28 };
        let mut call: Vec<u8> =
            [length, 0x2000_8086, 1, procedure, 0, serial, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
        call.extend(argument.into_iter().flat_map(u32::to_be_bytes));
        stream.write_all(&call).unwrap();
    }
    let mut everything = Vec::new();
    stream.read_to_end(&mut everything).unwrap();
    assert!(everything.windows(4).any(|word| word == b"keep"));
}
