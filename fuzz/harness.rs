// SPDX-License-Identifier: GPL-2.0-or-later
//! What must hold for any bytes at all: shared by the fuzz targets and the property tests. It has no I/O.
#![allow(clippy::panic, reason = "its findings are panics")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::call::{self, Action, Environment, Invocation};
use crate::model::definition::{self, DefinedDomain, Mark};
use crate::model::target;
use crate::sys::text::ascii_line;

use crate::hypervisor::rpc::inbox::Inbox;
use crate::hypervisor::rpc::message::{
    Incoming, RemoteDomain, demanded_authentication, domain_list, error, incoming, typed_params,
};
use crate::hypervisor::rpc::xdr::{Decoder, Encoder};
use crate::hypervisor::rpc::{RpcError, TypedValue};
use crate::model::uri::Uri;

/// `bytes` as a stream that arrives in pieces (their sizes come from the first byte): how many messages were in it.
pub fn messages(bytes: &[u8]) -> usize {
    let Some((&size, stream)) = bytes.split_first() else { return 0 };
    let mut inbox = Inbox::default();
    let (mut fed, mut taken, mut messages) = (0, 0, 0);
    for piece in stream.chunks(usize::from(size).max(1) * 7) {
        for piece in piece.chunks(1024) {
            let room = inbox.make_room();
            assert!(room.capacity() - room.len() >= piece.len(), "there is room for what arrives");
            room.extend_from_slice(piece);
            fed += piece.len();
        }
        loop {
            match inbox.take() {
                Err(_) => return messages,
                Ok(None) => break,
                Ok(Some((header, range))) => {
                    messages += 1;
                    taken += 28 + range.len();
                    assert!(taken <= fed, "no message is longer than what arrived");
                    if let Ok(Incoming::Ping) = incoming(&header, &mut inbox.payload(range.clone())) {
                        assert_eq!(header.program, 0x6b65_6570);
                    }
                    decoders(&inbox.payload(range));
                }
            }
        }
        // What has been taken is forgotten only with the next room that is made, and a buffer grows by doubling.
        assert!(inbox.capacity() <= 4 * fed + 8192, "{} bytes are held for {fed} that arrived", inbox.capacity());
    }
    messages
}

/// `bytes` as the payload of every kind of message.
pub fn payload(bytes: &[u8]) {
    decoders(&Decoder::new(bytes));
}

fn decoders(payload: &Decoder<'_>) {
    let size = payload.left();
    if let Ok(domain) = RemoteDomain::decode(&mut payload.clone()) {
        assert!(domain.name.capacity() <= size);
        let mut out = Vec::new();
        domain.encode(&mut Encoder::new(&mut out));
        assert_eq!(RemoteDomain::decode(&mut Decoder::new(&out)), Ok(domain));
    }
    if let Ok(domains) = domain_list(&mut payload.clone()) {
        let held: usize = domains.iter().map(|domain| domain.name.capacity()).sum();
        assert!(held + domains.capacity() * size_of::<RemoteDomain>() <= 3 * size);
    }
    if let Ok(params) = typed_params(&mut payload.clone()) {
        let text = |value: &TypedValue| if let TypedValue::String(text) = value { text.capacity() } else { 0 };
        let held: usize = params.iter().map(|(field, value)| field.capacity() + text(value)).sum();
        assert!(held + params.capacity() * size_of::<(String, TypedValue)>() <= 6 * size);
    }
    let _ = demanded_authentication(&mut payload.clone());
    let error = error(&mut payload.clone());
    assert!(matches!(error, RpcError::Libvirt { .. } | RpcError::Protocol(_)), "an error reply was read as {error:?}");
    assert!(error.to_string().len() <= size + 100);
    let mut words = payload.clone();
    while words.bytes().is_ok() {
        assert!(words.left() < size);
    }
}

/// `bytes` as a connection URI.
pub fn uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(uri) = Uri::parse(text) else { return };
    for read_only in [true, false] {
        for socket in uri.local_sockets(read_only, Path::new("/run")).unwrap_or_default() {
            assert!(socket.is_absolute());
            assert!(uri.host.is_none());
            if uri.parameter("socket").is_none() {
                assert_eq!(socket.parent(), Some(Path::new("/run/libvirt")), "{text} leads elsewhere");
            }
        }
    }
    if uri.parameter("name").is_none() {
        assert!(uri.open_name().starts_with(&format!("{}://", uri.driver)));
    }
    let written = uri.to_string();
    let again = Uri::parse(&written).unwrap_or_else(|error| panic!("{text} is written as {written}, but {error}"));
    assert_eq!(again.to_string(), written);
}

/// `bytes` as a definition: what is accepted, and what it needs of its host, stays the same with a mark, and the mark is read
/// back.
pub fn definition(bytes: &[u8]) {
    let Ok(facts) = definition::parse(bytes) else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { panic!("a definition that is not UTF-8 was accepted") };
    let mark = Mark { instance: "vm:<a> & \"b\"".into(), source: "/x y".into(), ..Mark::default() };
    let Ok(marked) = definition::with_mark(text, &mark) else { return };
    let needs = |text: &str| definition::read(text).map(|root| definition::needs(&facts, Some(&root))).ok();
    assert!(needs(text).is_some() && needs(text) == needs(&marked), "a mark has changed what it needs");
    match definition::parse(marked.as_bytes()) {
        Ok(again) => {
            assert_eq!(again.mark.as_ref(), Some(&mark));
            assert_eq!(DefinedDomain { mark: facts.mark.clone(), ..again }, facts);
        }
        Err(error) => panic!("a mark made a good definition a bad one: {error}"),
    }
}

/// `bytes` as an xl file: what is accepted names a domain, and its lists are whole.
pub fn xl(bytes: &[u8]) {
    match definition::parse_xl(bytes) {
        Ok(facts) => {
            assert!(!facts.name.trim().is_empty() && !facts.name.contains('/'));
            assert!(facts.disks.iter().all(|disk| disk.target.is_some()));
            assert!(
                definition::needs(&facts, None).len()
                    <= facts.disks.len() + facts.interfaces.len() + facts.hostdevs.len() + 4
            );
        }
        Err(error) => {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!(error.place().is_none_or(|(line, _)| (1..=lines).contains(&line)), "{error} is not in the file");
            assert_eq!(ascii_line(&error.to_string(), 10_000).lines().count(), 1);
        }
    }
}

/// `bytes` as a caller's words: lines of NAME=VALUE for the environment, the first line for argv.
pub fn invocation(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = OsStr::from_bytes(lines.next().unwrap_or_default());
    let pairs = lines.filter_map(|line| {
        let cut = line.iter().position(|byte| *byte == b'=')?;
        let (name, value) = line.split_at_checked(cut)?;
        Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value.get(1..)?).to_owned()))
    });
    let env = Environment::from_pairs(pairs);
    let caller = call::caller(first, &env);
    for action in [Action::Start, Action::Status, Action::Migrate] {
        let inv = Invocation::from_manager(caller, action, Some(first), &env);
        assert!(!inv.timeout.is_zero() && !inv.budget().time().is_zero());
        for problem in &inv.params.problems {
            assert_eq!(ascii_line(&problem.to_string(), 10_000), problem.to_string(), "a problem is one plain line");
        }
        if let Some(target) = inv.target.as_ref().and_then(|target| target.to_str())
            && let Ok(found) = target::find(target, &inv.params.migration, "qemu:///system", true)
        {
            assert!(!found.uri.contains(['\n', '\0']));
        }
    }
}
