// SPDX-License-Identifier: GPL-2.0-or-later
//! A real libvirtd that is stopped, killed, full, or locked.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vm_agent::observe::rpc::{Connection, RpcError};

use super::libvirtd::Libvirtd;
use super::{after_ms, in_time, soon};

const TEST: Option<&str> = Some("test:///default");

#[test]
fn a_stopped_daemon_costs_no_more_than_the_deadline() {
    let Some(libvirtd) = Libvirtd::start("") else { return };
    libvirtd.signal(Signal::STOP);
    let begin = Instant::now();
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, true, after_ms(300)).unwrap_err();
    let took = begin.elapsed();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    assert!(in_time(took, 300), "{took:?}");
}

#[test]
fn a_call_given_up_does_not_spoil_the_next_one() {
    let Some(libvirtd) = Libvirtd::start("") else { return };
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
    let before = libvirtd.complaints();
    drop(connection);
    libvirtd.let_a_client_just_go();
    assert_eq!(libvirtd.complaints(), before + 1, "{}", libvirtd.read("log"));
}

#[test]
fn a_daemon_that_dies_closes_the_connection_and_then_nobody_listens() {
    let Some(mut libvirtd) = Libvirtd::start("") else { return };
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
    let Some(libvirtd) = Libvirtd::start("max_clients = 1\nmax_anonymous_clients = 1") else { return };
    let first = libvirtd.connect();
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, true, after_ms(300)).unwrap_err();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    drop(first);
    assert!(libvirtd.connect().lookup_by_name("test").unwrap().is_some());
}

#[test]
fn authentication_that_is_demanded_is_named() {
    let Some(libvirtd) = Libvirtd::start("auth_unix_rw = \"sasl\"") else { return };
    let error = Connection::open(&libvirtd.socket("libvirt-sock"), TEST, false, soon()).unwrap_err();
    assert!(matches!(&error, RpcError::AuthenticationRequired(kind) if kind == "sasl"), "{error}");
    assert_eq!(error.to_string(), "libvirt demands sasl authentication");
}

#[test]
fn root_is_let_in_where_polkit_guards_the_socket() {
    let Some(libvirtd) = Libvirtd::start("auth_unix_rw = \"polkit\"") else { return };
    assert!(libvirtd.connect().lookup_by_name("test").unwrap().is_some());
}

#[test]
fn a_client_that_leaves_is_no_error_in_the_daemons_log() {
    let Some(libvirtd) = Libvirtd::start("") else { return };
    let before = libvirtd.complaints();
    for _ in 0..100 {
        let mut connection = libvirtd.connect();
        assert!(connection.lookup_by_name("test").unwrap().is_some());
    }
    for _ in 0..20 {
        let error = Connection::open(&libvirtd.socket("libvirt-sock"), Some("xen:///system"), true, soon());
        assert!(error.is_err());
    }
    libvirtd.let_a_client_just_go();
    assert_eq!(libvirtd.complaints(), before + 1, "{}", libvirtd.read("log"));
}

#[test]
fn a_client_that_answers_no_keepalive_ping_is_dropped() {
    // So that the test of the client that is kept proves something.
    let Some(libvirtd) = Libvirtd::start("keepalive_interval = 1\nkeepalive_count = 1") else { return };
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
