// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts of this host, each with its source, and what changes them.

pub mod aside;
pub(crate) mod data_port;
pub(crate) mod disks;
pub(crate) mod guest_check;
pub(crate) mod locate;
pub(crate) mod look;
pub(crate) mod starting;
