// SPDX-License-Identifier: GPL-2.0-or-later
//! The insides, in seconds (`make unit`): no root, no network, no daemon, no guest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

mod anything;
mod budget;
mod completions;
mod convert;
pub(crate) mod definitions;
pub(crate) mod documents;
mod hidden;
mod layers;
mod made_up;
mod manuals;
mod meta_data;
pub(crate) mod process;
mod records;
pub(crate) mod rpc;
mod scenarios;
mod xen;
