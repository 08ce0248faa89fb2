// SPDX-License-Identifier: GPL-2.0-or-later
//! Fuzzes what decodes libvirt's messages.
#![no_main]

use vm_agent::harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    harness::messages(bytes);
    harness::payload(bytes);
});
