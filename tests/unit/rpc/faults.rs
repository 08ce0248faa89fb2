// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that is silent, slow, full, goes away, or talks of other things: the answer comes, or an error in time.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use vm_agent::hypervisor::rpc::message::LifecycleEvent;
use vm_agent::hypervisor::rpc::{Connection, RpcError};
use vm_agent::sys::time::Deadline;

use super::fake::{Fake, KEEPALIVE, REMOTE, STAGES, UUID, be_silent, domain, event, message, read_call, serve, words};
use super::{after_ms, in_time, soon};

fn is_protocol_error<T: std::fmt::Debug>(result: &Result<T, RpcError>) -> bool {
    matches!(result, Err(RpcError::Protocol(_)))
}

#[test]
fn the_calls_of_a_monitor_are_answered() {
    let fake = Fake::new(serve);
    assert_eq!(fake.monitor(soon()).unwrap(), Some((1, 1)));
}

#[test]
fn silence_at_any_stage_costs_no_more_than_the_deadline() {
    for stage in STAGES {
        let fake = Fake::until(stage, |stream, _| be_silent(stream));
        let begin = Instant::now();
        let error = fake.monitor(after_ms(100)).unwrap_err();
        let took = begin.elapsed();
        let RpcError::Timeout { waited, .. } = &error else { panic!("stage {stage}: {error}") };
        assert!(*waited <= took && in_time(took, 100), "stage {stage}: {took:?}");
    }
}

#[test]
fn an_end_at_any_stage_is_reported_as_such() {
    for stage in STAGES {
        let closed = Fake::until(stage, |_, _| ());
        let error = closed.monitor(soon()).unwrap_err();
        assert!(matches!(error, RpcError::Closed { error: None, .. }), "stage {stage}: {error}");
        let in_the_middle = Fake::until(stage, |stream, call| {
            let answer = call.proper_answer();
            stream.write_all(&answer[..answer.len() - 1]).unwrap();
        });
        let error = in_the_middle.monitor(soon()).unwrap_err();
        assert!(matches!(error, RpcError::Closed { error: None, .. }), "stage {stage}: {error}");
    }
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_an_answer() {
    let fake = Fake::new(|stream| {
        while let Some(call) = read_call(stream) {
            for byte in call.proper_answer() {
                // A client that leaves does not wait for long.
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::yield_now();
            }
        }
    });
    assert_eq!(fake.monitor(soon()).unwrap(), Some((1, 1)));
}

#[test]
fn an_answer_that_drips_does_not_extend_the_deadline() {
    let fake = Fake::until(212, |stream, _| {
        let endless = message([REMOTE, 1, 212, 1, 4, 0], &vec![0; 100_000]);
        for byte in endless {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let begin = Instant::now();
    assert!(matches!(fake.monitor(after_ms(200)), Err(RpcError::Timeout { .. })));
    assert!(in_time(begin.elapsed(), 200));
}

#[test]
fn a_flood_of_messages_that_answer_nothing_does_not_extend_the_deadline() {
    let flood = |stream: &mut UnixStream| {
        let many = message([REMOTE, 1, 999, 2, 0, 0], &[0; 100]).repeat(100);
        while stream.write_all(&many).is_ok() {}
    };
    let fake = Fake::until(212, move |stream, _| flood(stream));
    let begin = Instant::now();
    assert!(matches!(fake.monitor(after_ms(200)), Err(RpcError::Timeout { .. })));
    let watched = Fake::until(316, move |stream, call| {
        stream.write_all(&call.proper_answer()).unwrap();
        flood(stream);
    });
    let mut connection = watched.connect(soon()).unwrap();
    let vm = connection.lookup_by_name("vm").unwrap().unwrap();
    connection.watch_lifecycle(&vm).unwrap();
    assert_eq!(connection.next_event(after_ms(200)).unwrap(), None);
    connection.set_deadline(after_ms(100));
    connection.read_available().unwrap();
    drop(connection);
    assert!(in_time(begin.elapsed(), 400), "{:?}", begin.elapsed());
}

#[test]
fn a_client_that_is_not_read_from_gives_up_in_time() {
    // Pings are answered while waiting; a server that sends them and reads nothing fills the socket.
    let fake = Fake::until(212, |stream, _| {
        let pings = message([KEEPALIVE, 1, 1, 2, 0, 0], &[]).repeat(100);
        while stream.write_all(&pings).is_ok() {}
    });
    let begin = Instant::now();
    assert!(matches!(fake.monitor(after_ms(200)), Err(RpcError::Timeout { .. } | RpcError::Closed { .. })));
    assert!(in_time(begin.elapsed(), 0), "{:?}", begin.elapsed());
}

#[test]
fn a_broken_stream_is_not_used_again() {
    let fake = Fake::until(212, |stream, call| {
        stream.write_all(&[vec![0; 28], call.proper_answer()].concat()).unwrap();
        be_silent(stream);
    });
    let mut connection = fake.connect(soon()).unwrap();
    let vm = connection.lookup_by_name("vm").unwrap().unwrap();
    assert!(is_protocol_error(&connection.state(&vm)));
    assert!(matches!(connection.state(&vm), Err(RpcError::Closed { .. })));
    assert!(matches!(connection.next_event(soon()), Err(RpcError::Closed { .. })));
    assert!(matches!(connection.read_available(), Err(RpcError::Closed { .. })));
}

#[test]
fn authentication_that_is_demanded_is_named_whatever_it_is() {
    for (kind, name) in [(1, "sasl"), (2, "polkit"), (77, "unknown (77)")] {
        let fake = Fake::until(66, move |stream, call| {
            stream.write_all(&call.answer(&words(&[1, kind]))).unwrap();
            be_silent(stream);
        });
        let result = fake.monitor(soon());
        assert!(matches!(&result, Err(RpcError::AuthenticationRequired(got)) if got == name), "{result:?}");
    }
}

#[test]
fn events_pings_and_strays_before_an_answer_are_taken_care_of() {
    let fake = Fake::until(212, |stream, call| {
        let old_style = message([REMOTE, 1, 107, 2, 0, 0], &[domain("vm", 7), words(&[5, 0])].concat());
        let stream_data = message([REMOTE, 1, 201, 3, 2, 2], b"data");
        let other_program = message([0x2000_8087, 1, 4, 2, 0, 0], b"\0\0\0\0");
        let late_answer = message([REMOTE, 1, 23, 1, call.serial - 1, 0], &domain("vm", 7));
        let ping = message([KEEPALIVE, 1, 1, 2, 0, 0], &[]);
        let pong = message([KEEPALIVE, 1, 2, 2, 0, 0], &[]);
        let before = [event(5, 1), old_style, stream_data, other_program, late_answer, ping, pong.clone(), event(2, 0)];
        stream.write_all(&[before.concat(), call.proper_answer(), event(3, 4)].concat()).unwrap();
        let mut answer = [0; 28];
        std::io::Read::read_exact(stream, &mut answer).unwrap();
        assert_eq!(answer.to_vec(), pong);
        serve(stream);
    });
    let mut connection = fake.connect(soon()).unwrap();
    let vm = connection.lookup_by_name("vm").unwrap().unwrap();
    assert_eq!(connection.state(&vm).unwrap(), Some((1, 1)));
    for (event, detail) in [(5, 1), (2, 0), (3, 4)] {
        assert_eq!(connection.next_event(soon()).unwrap(), Some(LifecycleEvent { uuid: UUID, event, detail }));
    }
    assert_eq!(connection.next_event(Deadline::after(Duration::ZERO)).unwrap(), None);
}

#[test]
fn events_that_came_with_the_end_are_still_to_be_had() {
    let fake = Fake::until(316, |stream, call| {
        stream.write_all(&[call.proper_answer(), event(5, 0), event(1, 0)].concat()).unwrap();
    });
    let mut connection = fake.connect(soon()).unwrap();
    let vm = connection.lookup_by_name("vm").unwrap().unwrap();
    connection.watch_lifecycle(&vm).unwrap();
    assert_eq!(connection.next_event(soon()).unwrap().unwrap().event, 5);
    assert_eq!(connection.next_event(soon()).unwrap().unwrap().event, 1);
    assert!(matches!(connection.next_event(soon()), Err(RpcError::Closed { .. })));
}

#[test]
fn a_deadline_that_has_passed_asks_nothing() {
    let fake = Fake::new(|stream| {
        for expected in [66, 1, 2] {
            let call = read_call(stream).unwrap();
            assert_eq!(call.procedure, expected);
            stream.write_all(&call.proper_answer()).unwrap();
        }
    });
    let mut connection = fake.connect(soon()).unwrap();
    connection.set_deadline(Deadline::after(Duration::ZERO));
    assert!(matches!(connection.lookup_by_name("vm"), Err(RpcError::Timeout { .. })));
}

#[test]
fn a_full_queue_of_connections_is_waited_for_within_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let first = UnixStream::connect(&path).unwrap();
    let begin = Instant::now();
    let error = Connection::open(&path, None, true, after_ms(200)).unwrap_err();
    assert!(matches!(error, RpcError::Timeout { doing: "connecting", .. }), "{error}");
    assert!(in_time(begin.elapsed(), 200));
    let listener = UnixListener::from(listener);
    let server = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        serve(&mut listener.accept().unwrap().0);
    });
    drop(Connection::open(&path, None, true, soon()).unwrap());
    server.join().unwrap();
    drop(first);
}

#[test]
fn what_is_no_socket_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let long = "x".repeat(200);
    for name in ["file", ".", long.as_str()] {
        let path = folder.path().join(name);
        let error = Connection::open(&path, None, true, soon()).unwrap_err();
        assert!(matches!(error, RpcError::Connect { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
