// SPDX-License-Identifier: GPL-2.0-or-later
//! Single parts of the program on real processes and a real libvirt. They need root, and the built agent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

mod child;
mod definitions;
mod process;
mod rpc;
