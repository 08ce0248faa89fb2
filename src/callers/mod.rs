// SPDX-License-Identifier: GPL-2.0-or-later
//! Who calls: both cluster managers, and a person at a terminal.

mod log_file;
mod log_writer;
pub(crate) mod logging;
pub mod manager;
pub mod meta_data;
pub mod operator;
pub mod program;
mod qemu_conf;
pub(crate) mod records;
mod repeated;
mod shutdown;
mod trace;
pub(crate) mod validate;
