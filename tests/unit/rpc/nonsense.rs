// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that sends what no daemon would send, and values of every kind: what is not understood is an error, and never
//! "no such domain".

use std::io::Write;

use vm_agent::hypervisor::rpc::{RpcError, TypedValue};

use super::fake::{Call, Fake, REMOTE, STAGES, be_silent, domain, event, message, read_call, serve, string, words};
use super::{after_ms, soon};

fn is_protocol_error<T: std::fmt::Debug>(result: &Result<T, RpcError>) -> bool {
    matches!(result, Err(RpcError::Protocol(_)))
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
                Err(RpcError::Libvirt { code: got, message }) => {
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
