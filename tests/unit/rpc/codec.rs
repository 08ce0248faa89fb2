// SPDX-License-Identifier: GPL-2.0-or-later
//! The bytes of libvirt's messages, written out: what goes over the wire, and what is made of what comes.

use vm_agent::hypervisor::rpc::RpcError;
use vm_agent::hypervisor::rpc::inbox::Inbox;
use vm_agent::hypervisor::rpc::message::{
    Header, Incoming, MESSAGE_MAX, MessageKind, MessageStatus, PONG, Procedure, RemoteDomain, call,
    demanded_authentication, error, finish, header, incoming, length,
};
use vm_agent::hypervisor::rpc::xdr::{Decoder, Encoder, Malformed, STRING_MAX, sendable};
use vm_agent::model::uri::candidate_sockets;

use super::fake::{KEEPALIVE, REMOTE, domain, event, message, string, words};

const REPLY: Header = Header {
    program: REMOTE,
    version: 1,
    procedure: 212,
    kind: MessageKind::Reply,
    serial: 4,
    status: MessageStatus::Ok,
};

#[test]
fn a_call_is_a_length_a_header_and_its_arguments() {
    let mut out = b"what was there before".to_vec();
    call(&mut out, Procedure::DomainLookupByName, 3).string("vm-01");
    finish(&mut out);
    assert_eq!(out, b"\0\0\0\x28\x20\0\x80\x86\0\0\0\x01\0\0\0\x17\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x05vm-01\0\0\0");
}

#[test]
fn the_answer_to_a_ping_is_the_keepalive_programs_pong() {
    assert_eq!(PONG.to_vec(), message([KEEPALIVE, 1, 2, 2, 0, 0], &[]));
}

#[test]
fn strings_are_padded_and_may_be_absent() {
    let mut out = Vec::new();
    Encoder::new(&mut out).optional_string(Some("abcd")).optional_string(None).string("").string("ü");
    assert_eq!(out, b"\0\0\0\x01\0\0\0\x04abcd\0\0\0\0\0\0\0\0\0\0\0\x02\xc3\xbc\0\0");
    let mut decoder = Decoder::new(&out);
    assert_eq!(decoder.present(), Ok(true));
    assert_eq!(decoder.text(), Ok("abcd"));
    assert_eq!(decoder.present(), Ok(false));
    assert_eq!(decoder.text(), Ok(""));
    assert!(decoder.end().is_err());
    assert_eq!(decoder.words().unwrap(), "ü");
    assert_eq!(decoder.end(), Ok(()));
}

#[test]
fn what_is_no_utf8_is_a_question_mark_for_people_and_an_error_for_programs() {
    let bytes = [words(&[6]), b"a\xff\xc3b\xe2\x82\0\0".to_vec()].concat();
    assert_eq!(Decoder::new(&bytes).words().unwrap(), "a??b?");
    assert_eq!(Decoder::new(&bytes).text(), Err(Malformed("a text is not UTF-8")));
}

#[test]
fn a_length_is_held_against_what_is_left() {
    for length in [1, 4, 5, 0x3f_ffff, 0x40_0000, 0x40_0001, 0xffff_ffff] {
        assert!(Decoder::new(&words(&[length])).bytes().is_err(), "{length}");
        assert!(Decoder::new(&words(&[length])).count(usize::MAX, 4).is_err(), "{length}");
    }
    assert!(Decoder::new(&[words(&[3]), b"abc".to_vec()].concat()).bytes().is_err(), "its padding is missing");
    assert_eq!(Decoder::new(&words(&[2, 0, 0])).count(2, 4), Ok(2));
    assert!(Decoder::new(&words(&[2, 0, 0])).count(1, 4).is_err());
    assert!(Decoder::new(&words(&[2])).present().is_err());
}

#[test]
fn a_name_that_cannot_be_sent_as_it_is_is_not_sent() {
    assert_eq!(sendable("vm 1 größe"), Ok(()));
    assert!(sendable("vm\0").is_err());
    assert!(sendable(&"x".repeat(STRING_MAX + 1)).is_err());
    assert!(sendable(&"x".repeat(STRING_MAX)).is_ok());
}

#[test]
fn lengths_are_those_of_the_protocol() {
    for (bytes, expected) in [
        (&[][..], Ok(None)),
        (&[0, 0, 0], Ok(None)),
        (&[0, 0, 0, 28], Ok(Some(28))),
        (&[2, 0, 0, 4], Ok(Some(MESSAGE_MAX))),
    ] {
        assert_eq!(length(bytes), expected);
    }
    for bytes in [[0, 0, 0, 0], [0, 0, 0, 27], [2, 0, 0, 5], [0x80, 0, 0, 28], [0xff; 4]] {
        assert!(length(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_header_is_read_as_libvirt_writes_it() {
    let bytes = message([REMOTE, 1, 212, 1, 4, 0], b"rest");
    let mut decoder = Decoder::new(&bytes);
    assert_eq!(header(&mut decoder), Ok(REPLY));
    assert_eq!(decoder.left(), 4);
}

#[test]
fn messages_come_out_of_the_inbox_whole_and_in_order() {
    let stream = [message([REMOTE, 1, 212, 1, 4, 0], b"abcd"), event(5, 1), PONG.to_vec()].concat();
    for size in 1..stream.len() {
        let mut inbox = Inbox::default();
        let mut got = Vec::new();
        for piece in stream.chunks(size) {
            inbox.make_room().extend_from_slice(piece);
            while let Some((header, range)) = inbox.take().unwrap() {
                got.push((header.procedure, inbox.payload(range).left()));
            }
        }
        assert_eq!(got, [(212, 4), (318, 40), (2, 0)], "in pieces of {size}");
    }
}

#[test]
fn the_inbox_gives_back_what_a_long_message_took() {
    let mut inbox = Inbox::default();
    let long = message([REMOTE, 1, 14, 1, 4, 0], &vec![0; 1_000_000]);
    for piece in long.chunks(1024) {
        inbox.make_room().extend_from_slice(piece);
    }
    assert!(inbox.take().unwrap().is_some());
    assert!(inbox.capacity() > 1_000_000);
    inbox.make_room();
    assert!(inbox.capacity() < 10_000);
}

#[test]
fn only_a_ping_is_answered() {
    let of = |program, version, procedure, kind| {
        let header = Header { program, version, procedure, kind, serial: 0, status: MessageStatus::Ok };
        incoming(&header, &mut Decoder::new(&[])).unwrap()
    };
    assert_eq!(of(KEEPALIVE, 1, 1, MessageKind::Message), Incoming::Ping);
    assert_eq!(of(KEEPALIVE, 2, 1, MessageKind::Message), Incoming::Stray);
    assert_eq!(of(KEEPALIVE, 1, 2, MessageKind::Message), Incoming::Stray);
    assert_eq!(of(KEEPALIVE, 1, 1, MessageKind::Call), Incoming::Stray);
    assert_eq!(of(REMOTE, 1, 1, MessageKind::Message), Incoming::Stray);
    assert_eq!(of(REMOTE, 1, 1, MessageKind::Stream), Incoming::Stray);
}

#[test]
fn a_domain_goes_out_as_it_came_in() {
    let bytes = domain("größe", -1);
    let vm = RemoteDomain::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!((vm.name.as_str(), &vm.uuid, vm.id), ("größe", b"0123456789abcdef", -1));
    let mut out = Vec::new();
    vm.encode(&mut Encoder::new(&mut out));
    assert_eq!(out, bytes);
}

#[test]
fn the_authentication_that_is_demanded_is_the_first_unless_none_will_do() {
    let of = |kinds: &[u32]| demanded_authentication(&mut Decoder::new(&words(kinds)));
    assert_eq!(of(&[0]), Ok(None));
    assert_eq!(of(&[1, 0]), Ok(None));
    assert_eq!(of(&[2, 1, 0]), Ok(None));
    assert_eq!(of(&[1, 1]), Ok(Some("sasl".to_owned())));
    assert_eq!(of(&[2, 2, 1]), Ok(Some("polkit".to_owned())));
    assert!(of(&[2, 1]).is_err());
    assert!(of(&[0xffff_ffff, 1]).is_err());
}

#[test]
fn an_error_reply_is_understood_with_and_without_its_tail() {
    let whole = [words(&[42, 10, 1]), string("Domain not found"), words(&[2, 0, 0, 0, 0, 0, 0, 0])].concat();
    for bytes in [&whole[..], &whole[..32]] {
        let error = error(&mut Decoder::new(bytes));
        assert!(matches!(&error, RpcError::Libvirt { code: 42, message } if message == "Domain not found"));
    }
    let beyond = |errno: u32| {
        let bytes = [words(&[38, 7, 1]), string("Failed to connect"), words(&[2, 0, 0, 0, 0, errno, 0, 0])].concat();
        error(&mut Decoder::new(&bytes))
    };
    for nobody in [2, 111] {
        assert!(matches!(beyond(nobody), RpcError::Unreached { message } if message == "Failed to connect"));
    }
    assert!(matches!(beyond(13), RpcError::Libvirt { code: 38, .. }));
    let silent = error(&mut Decoder::new(&words(&[38, 7, 0])));
    assert!(matches!(silent, RpcError::Libvirt { code: 38, .. }));
    assert!(matches!(error(&mut Decoder::new(&whole[..31])), RpcError::Protocol(_)));
}

#[test]
fn the_hypervisors_own_daemon_is_tried_before_the_one_for_all() {
    let sockets = |driver, read_only| candidate_sockets(driver, read_only, "/run".as_ref());
    let paths = |paths: [&str; 2]| paths.map(std::path::PathBuf::from).to_vec();
    assert_eq!(sockets("qemu", false), paths(["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"]));
    assert_eq!(sockets("xen", true), paths(["/run/libvirt/virtxend-sock-ro", "/run/libvirt/libvirt-sock-ro"]));
    assert_eq!(sockets("../qemu", false), ["/run/libvirt/libvirt-sock"].map(std::path::PathBuf::from));
}
