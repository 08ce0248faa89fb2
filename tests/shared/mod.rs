// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests of single parts and those on real hosts share; each is compiled with its own copy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]
#![allow(dead_code, unused_imports, reason = "each takes what it needs")]

mod clock;
mod libvirtd;
pub(crate) mod meta_data;
pub mod parts;

pub use clock::{Moment, eventually, until};
pub use libvirtd::Libvirtd;

const README: &str = include_str!("../../README.md");

/// The one example of README.md, between lines of three backticks, that contains `mark`.
pub fn example(mark: &str) -> String {
    let blocks: Vec<&str> = README.split("```").skip(1).step_by(2).filter(|block| block.contains(mark)).collect();
    assert_eq!(blocks.len(), 1, "one example with {mark}");
    blocks[0].split_once('\n').unwrap().1.to_owned()
}
