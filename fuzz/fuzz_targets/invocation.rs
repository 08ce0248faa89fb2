// SPDX-License-Identifier: GPL-2.0-or-later
//! Fuzzes what is read of a caller's words: arguments, environment, parameters.
#![no_main]

use vm_agent::harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::invocation(bytes));
