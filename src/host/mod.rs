// SPDX-License-Identifier: GPL-2.0-or-later
//! This host as the world that policies are played on: its facts, each with its source, and what changes them.

pub mod aside;
pub(crate) mod data_port;
mod definition_command;
pub(crate) mod disks;
pub(crate) mod guest_check;
pub(crate) mod lacks;
pub(crate) mod locate;
pub(crate) mod look;
pub(crate) mod peers;
pub(crate) mod records;
pub(crate) mod saved;
pub(crate) mod starting;
mod storage;
mod taking;
pub(crate) mod tally;
mod time;
mod world;

pub(crate) use world::Host;
