// SPDX-License-Identifier: GPL-2.0-or-later
//! Fuzzes the reader of xl's files.
#![no_main]

use vm_agent::harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::xl(bytes));
