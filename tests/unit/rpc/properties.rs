// SPDX-License-Identifier: GPL-2.0-or-later
//! What must hold for any bytes, and for any message.

use proptest::collection::vec;
use proptest::prelude::*;
use vm_agent::hypervisor::rpc::message::{RemoteDomain, domain_list, typed_params};
use vm_agent::hypervisor::rpc::xdr::Decoder;

use super::fake::{domain, message, string, words};
use crate::harness;

/// Headers as they may come: mostly sensible.
fn headers() -> impl Strategy<Value = [u32; 6]> {
    let program = prop_oneof![Just(0x2000_8086_u32), Just(0x6b65_6570), any::<u32>()];
    (program, 0..3_u32, prop_oneof![0..400_u32, Just(318), Just(1)], 0..7_u32, 0..10_u32, 0..4_u32).prop_map(
        |(program, version, procedure, kind, serial, status)| [program, version, procedure, kind, serial, status],
    )
}

/// Words as they are in messages: lengths, flags, and anything.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![0..8_u32, 0..300_u32, any::<u32>()];
    (vec(word, 0..60), vec(any::<u8>(), 0..4)).prop_map(|(numbers, tail)| [words(&numbers), tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_decoded_without_a_panic_and_within_their_own_size(bytes in vec(any::<u8>(), 0..600)) {
        harness::messages(&bytes);
        harness::payload(&bytes);
    }

    #[test]
    fn any_payload_is_decoded_without_a_panic_and_within_its_own_size(payload in payloads()) {
        harness::payload(&payload);
    }

    #[test]
    fn messages_are_found_however_they_are_cut(
        sent in vec((headers(), payloads()), 1..6),
        size in any::<u8>(),
    ) {
        let known = |header: &[u32; 6]| header[3] < 6 && header[5] < 3;
        let expected = sent.iter().take_while(|(header, _)| known(header)).count();
        let mut stream = vec![size];
        stream.extend(sent.iter().flat_map(|(header, payload)| message(*header, payload)));
        prop_assert_eq!(harness::messages(&stream), expected);
    }

    #[test]
    fn any_domain_is_read_and_no_part_of_one(name in ".{0,20}", id in any::<i32>(), cut in any::<prop::sample::Index>()) {
        let bytes = domain(&name, id);
        prop_assert_eq!(RemoteDomain::decode(&mut Decoder::new(&bytes)).unwrap().name, name);
        prop_assert!(RemoteDomain::decode(&mut Decoder::new(&bytes[..cut.index(bytes.len())])).is_err());
    }

    #[test]
    fn any_list_of_domains_is_read_and_no_part_of_one(
        names in vec("[a-z]{0,9}", 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let count = u32::try_from(names.len()).unwrap();
        let domains: Vec<u8> = names.iter().flat_map(|name| domain(name, 1)).collect();
        let bytes = [words(&[count]), domains, words(&[count])].concat();
        let read = domain_list(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!(read.into_iter().map(|domain| domain.name).collect::<Vec<_>>(), names);
        prop_assert!(domain_list(&mut Decoder::new(&bytes[..cut.index(bytes.len())])).is_err());
    }

    #[test]
    fn any_list_of_fields_is_read_and_no_part_of_one(
        names in vec("[a-z_.0-9]{0,30}", 1..30),
        cut in any::<prop::sample::Index>(),
    ) {
        let value = |index: usize| match index % 3 {
            0 => words(&[4, 0, 1]),
            1 => words(&[1, 1]),
            _ => [words(&[7]), string("text")].concat(),
        };
        let fields: Vec<u8> =
            names.iter().enumerate().flat_map(|(index, name)| [string(name), value(index)].concat()).collect();
        let bytes = [words(&[u32::try_from(names.len()).unwrap()]), fields].concat();
        let read = typed_params(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!(read.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
        prop_assert!(typed_params(&mut Decoder::new(&bytes[..cut.index(bytes.len())])).is_err());
    }

    #[test]
    fn any_text_is_taken_apart_as_a_uri_without_a_panic(
        text in prop_oneof![
            "\\PC{0,60}",
            "[a-z]{1,5}(\\+[a-z]{0,5})?://[a-z@:\\[\\]0-9]{0,9}/[a-z%/]{0,9}(\\?[a-z=&;%0-9/]{0,30})?(#[a-z]{0,3})?",
        ]
    ) {
        harness::uri(text.as_bytes());
    }
}
