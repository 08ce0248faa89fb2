// SPDX-License-Identifier: GPL-2.0-or-later
//! Who calls: both cluster managers, and a person at a terminal.

pub mod logging;
pub mod manager;
pub mod operator;
pub mod validate;
