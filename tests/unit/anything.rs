// SPDX-License-Identifier: GPL-2.0-or-later
//! Definitions and callers' words of any bytes at all: what the fuzz targets check, on some thousand inputs at each run.
use crate::harness;
use proptest::prelude::*;
use vm_agent::model::params::table;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_definition_of_any_text_is_read_or_refused(text in "(<domain type='kvm'>)?(<[a-z]{1,6}( a='[&<;a-z]{0,4}')?/?>|</[a-z]{1,6}>|<name>|</name>|<metadata/?>|</metadata>|<uuid>|&#?[a-z0-9]{0,4};|<!--|-->|[ -~]){0,20}(</domain>)?") {
        harness::definition(text.as_bytes());
    }

    #[test]
    fn a_whole_definition_with_any_name_takes_a_mark(name in "[^<&]{1,12}", inside in "(<metadata>(<a xmlns='x'/>|<!-- -->| )*</metadata>|<metadata/>|<vcpu>[0-9]{1,3}</vcpu>| ){0,3}") {
        harness::definition(format!("<domain type='kvm'><name>{name}</name>{inside}</domain>").as_bytes());
    }

    #[test]
    fn an_xl_file_of_any_text_is_read_or_refused(text in "(name = \"a\"\n)?([a-z]{1,6} ?\\+?= ?|\\[|\\]|,|;|\n|'[^'\n]{0,9}'|\"(\\\\[a-z0-9]|[a-z:=,/]){0,12}\"|0?x?[0-9a-f]{1,5}|#[a-z]{0,4}\n|disk = \\['|vif=\\[|[ -~]|\\PC){0,24}") {
        harness::xl(text.as_bytes());
    }

    #[test]
    fn an_xl_file_of_any_bytes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        harness::xl(&bytes);
        harness::xl(&[b"name='a'\n", bytes.as_slice()].concat());
    }

    #[test]
    fn a_callers_words_of_any_bytes_are_read(
        first in prop::collection::vec(any::<u8>(), 0..20),
        lines in prop::collection::vec((0..table().count(), prop::collection::vec(any::<u8>(), 0..60)), 0..12),
        numbers in prop::collection::vec("(CRM_meta_timeout|CRM_meta_interval|RGMANAGER_meta_timeout)=[ -~]{0,24}", 0..3),
    ) {
        let mut bytes = first;
        for (row, value) in lines {
            bytes.extend(format!("\nOCF_RESKEY_{}=", table().nth(row).unwrap().name).into_bytes());
            bytes.extend(value);
        }
        for number in numbers {
            bytes.extend(format!("\nOCF_RESKEY_{number}").into_bytes());
        }
        harness::invocation(&bytes);
    }
}
