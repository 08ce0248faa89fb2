// SPDX-License-Identifier: GPL-2.0-or-later
//! The main job on real virtual machines: QEMU under a real libvirtd, called as rgmanager, Pacemaker and a person call.

mod agent;
mod by_hand;
mod check;
mod data;
mod definition;
mod log;
mod lxc;
mod metrics;
mod mistakes;
mod nameless;
mod no_file;
mod other;
mod parameters;
mod records;
pub mod resources;
mod saved;
mod saved_faults;
mod saved_sparse;
mod saved_unfit;
mod saving;
mod secrets;
mod session;
mod start;
mod stay;
mod stop;
mod storage;
mod trouble;
mod validate;
mod watch;
