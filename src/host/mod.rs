// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts of this host, each with its source, and what changes them.

pub mod aside;
pub mod data_port;
pub mod disks;
pub mod guest_check;
pub mod locate;
pub mod look;
pub mod starting;
