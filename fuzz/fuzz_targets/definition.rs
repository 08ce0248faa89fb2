// SPDX-License-Identifier: GPL-2.0-or-later
//! Fuzzes the reader of definitions, and the mark.
#![no_main]

use vm_agent::harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::definition(bytes));
