// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that is silent, goes away, or sends what no daemon would send: the answer is an error, in time, and never
//! "no such domain".

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use vm_agent::observe::rpc::{Connection, LifecycleEvent, RpcError, TypedValue};
use vm_agent::time::Deadline;

use super::fake::{
    Call, Fake, KEEPALIVE, REMOTE, STAGES, UUID, be_silent, domain, event, message, read_call, serve, string, words,
};
use super::{after_ms, soon};

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
        assert!(*waited <= took && (100..300).contains(&took.as_millis()), "stage {stage}: {took:?}");
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
                stream.write_all(&[byte]).unwrap();
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
    assert!(begin.elapsed() < Duration::from_millis(400));
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
    // Leave-taking takes at most 50 ms.
    drop(connection);
    assert!(begin.elapsed() < Duration::from_millis(1000), "{:?}", begin.elapsed());
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
    assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
}

#[test]
fn a_length_that_no_message_has_is_a_protocol_error_at_once() {
    for length in [0, 1, 3, 4, 27, 33_554_437, 0x7fff_ffff, 0xffff_ffff_u32] {
        for stage in STAGES {
            let fake = Fake::until(stage, move |stream, _| {
                stream.write_all(&length.to_be_bytes()).unwrap();
                be_silent(stream);
            });
            assert!(is_protocol_error(&fake.monitor(soon())), "length {length} at stage {stage}");
        }
    }
}

#[test]
fn the_longest_length_is_believed_only_as_bytes_arrive() {
    let fake = Fake::until(212, |stream, _| {
        stream.write_all(&33_554_436_u32.to_be_bytes()).unwrap();
        be_silent(stream);
    });
    assert!(matches!(fake.monitor(after_ms(100)), Err(RpcError::Timeout { .. })));
}

#[test]
fn what_is_not_the_protocol_is_a_protocol_error_and_never_an_absence() {
    type Answer = fn(&Call) -> Vec<u8>;
    let wrong: [(&str, Answer); 14] = [
        ("text", |_| b"HTTP/1.1 400 Bad Request\r\n\r\nand more, so that it is long enough".to_vec()),
        ("zeros", |_| vec![0; 64]),
        ("program", |call| message([0x2000_8087, 1, call.procedure, 1, call.serial, 0], &[])),
        ("version", |call| message([REMOTE, 2, call.procedure, 1, call.serial, 0], &[])),
        ("procedure", |call| message([REMOTE, 1, call.procedure + 1, 1, call.serial, 0], &[])),
        ("a serial to come", |call| message([REMOTE, 1, call.procedure, 1, call.serial + 1, 0], &[])),
        ("serial 0", |call| message([REMOTE, 1, call.procedure, 1, 0, 0], &[])),
        ("a call", |call| message([REMOTE, 1, call.procedure, 0, call.serial, 0], &[])),
        ("file descriptors", |call| message([REMOTE, 1, call.procedure, 5, call.serial, 0], &[])),
        ("no type", |call| message([REMOTE, 1, call.procedure, 6, call.serial, 0], &[])),
        ("no status", |call| message([REMOTE, 1, call.procedure, 1, call.serial, 3], &[])),
        ("a status of streams", |call| message([REMOTE, 1, call.procedure, 1, call.serial, 2], &[])),
        ("an error without content", |call| message([REMOTE, 1, call.procedure, 1, call.serial, 1], &[])),
        ("left-over bytes", |call| {
            let answer = call.proper_answer();
            message([REMOTE, 1, call.procedure, 1, call.serial, 0], &[&answer[28..], &[0; 4]].concat())
        }),
    ];
    for (name, answer) in wrong {
        for stage in STAGES {
            let fake = Fake::until(stage, move |stream, call| {
                stream.write_all(&answer(call)).unwrap();
                be_silent(stream);
            });
            let result = fake.monitor(soon());
            assert!(is_protocol_error(&result), "{name} at stage {stage}: {result:?}");
        }
    }
}

#[test]
fn an_answer_cut_short_inside_its_message_is_a_protocol_error() {
    for stage in [66, 23, 212] {
        let whole = Call { procedure: stage, serial: 0, arguments: Vec::new() }.proper_answer().len() - 28;
        for keep in 0..whole {
            let fake = Fake::until(stage, move |stream, call| {
                let answer = call.proper_answer();
                stream.write_all(&call.answer(&answer[28..28 + keep])).unwrap();
                be_silent(stream);
            });
            let result = fake.monitor(soon());
            assert!(is_protocol_error(&result), "{keep} bytes at stage {stage}: {result:?}");
        }
    }
}

#[test]
fn another_domain_than_was_asked_for_is_a_protocol_error() {
    let fake = Fake::until(23, |stream, call| {
        stream.write_all(&call.answer(&domain("vm2", 7))).unwrap();
        be_silent(stream);
    });
    assert!(is_protocol_error(&fake.monitor(soon())));
    let fake = Fake::until(24, |stream, call| {
        assert_eq!(call.arguments, [0; 16]);
        stream.write_all(&call.proper_answer()).unwrap();
        be_silent(stream);
    });
    assert!(is_protocol_error(&fake.connect(soon()).unwrap().lookup_by_uuid(&[0; 16])));
}

#[test]
fn only_libvirts_own_word_means_that_there_is_no_domain() {
    for stage in STAGES {
        for code in [0, 1, 38, 39, 41, 42, 43, 45, 88, -42] {
            let fake = Fake::until(stage, move |stream, call| {
                stream.write_all(&call.error(code, "Domain not found")).unwrap();
                serve(stream);
            });
            let asked_for_a_domain = stage == 23 || stage == 212;
            match fake.monitor(soon()) {
                Ok(state) => assert!(state.is_none() && code == 42 && asked_for_a_domain),
                Err(RpcError::Libvirt { code: got, domain: 10, message }) => {
                    assert!(got == code && message == "Domain not found" && code != 42);
                }
                Err(RpcError::Protocol(_)) => assert!(code == 42 && !asked_for_a_domain),
                Err(other) => panic!("code {code} at stage {stage}: {other}"),
            }
        }
    }
}

#[test]
fn an_error_in_a_foreign_encoding_is_still_an_error() {
    let fake = Fake::until(23, |stream, call| {
        let mut error = call.error(42, "Dom_ne introuvable");
        let at = error.iter().position(|&byte| byte == b'_').unwrap();
        error[at] = 0xe4;
        stream.write_all(&error).unwrap();
        serve(stream);
    });
    assert_eq!(fake.monitor(soon()).unwrap(), None);
}

#[test]
fn a_broken_stream_is_not_used_again() {
    let fake = Fake::until(212, |stream, call| {
        stream.write_all(&[0; 28]).unwrap();
        stream.write_all(&call.proper_answer()).unwrap();
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
fn a_malformed_event_is_a_protocol_error() {
    let fake = Fake::until(212, |stream, call| {
        let mut event = event(5, 0);
        event.truncate(event.len() - 4);
        let shorter = u32::try_from(event.len()).unwrap();
        event[..4].copy_from_slice(&shorter.to_be_bytes());
        stream.write_all(&[event, call.proper_answer()].concat()).unwrap();
        be_silent(stream);
    });
    assert!(is_protocol_error(&fake.monitor(soon())));
}

#[test]
fn every_type_of_a_jobs_fields_is_understood() {
    let fake = Fake::until(298, |stream, call| {
        let fields = [
            [string("int"), words(&[1, 0xffff_fffe])].concat(),
            [string("uint"), words(&[2, 0xffff_fffe])].concat(),
            [string("llong"), words(&[3, 0xffff_ffff, 0xffff_fffd])].concat(),
            [string("ullong"), words(&[4, 1, 2])].concat(),
            [string("double"), words(&[5, 0x3ff8_0000, 0])].concat(),
            [string("boolean"), words(&[6, 1])].concat(),
            [string("string"), words(&[7]), string("ü")].concat(),
        ];
        let count = u32::try_from(fields.len()).unwrap();
        stream.write_all(&call.answer(&[words(&[2, count]), fields.concat()].concat())).unwrap();
        serve(stream);
    });
    let mut connection = fake.connect(soon()).unwrap();
    let vm = connection.lookup_by_name("vm").unwrap().unwrap();
    let job = connection.job_stats(&vm, 0).unwrap().unwrap();
    assert_eq!(job.kind, 2);
    let values: Vec<TypedValue> = job.fields.into_iter().map(|(_, value)| value).collect();
    assert_eq!(
        values,
        [
            TypedValue::Int(-2),
            TypedValue::UInt(0xffff_fffe),
            TypedValue::LongLong(-3),
            TypedValue::ULongLong((1 << 32) + 2),
            TypedValue::Double(1.5),
            TypedValue::Boolean(true),
            TypedValue::String("ü".to_owned()),
        ]
    );
}

#[test]
fn a_long_definition_comes_whole_and_one_that_is_no_text_does_not_come_at_all() {
    let fake = Fake::until(14, |stream, call| {
        stream.write_all(&call.answer(&string(&"<x/>".repeat(1_000_000)))).unwrap();
        let call = read_call(stream).unwrap();
        stream.write_all(&call.answer(&[words(&[4]), vec![b'<', 0xff, b'/', b'>']].concat())).unwrap();
        let call = read_call(stream).unwrap();
        stream.write_all(&call.answer(&string(&"y".repeat(4_194_305)))).unwrap();
        be_silent(stream);
    });
    let mut connection = fake.connect(soon()).unwrap();
    let vm = connection.lookup_by_name("vm").unwrap().unwrap();
    assert_eq!(connection.xml(&vm, 0).unwrap().unwrap(), "<x/>".repeat(1_000_000));
    assert!(is_protocol_error(&connection.xml(&vm, 0)));
    assert!(is_protocol_error(&connection.xml(&vm, 0)));
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
    assert!((200..400).contains(&begin.elapsed().as_millis()));
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
