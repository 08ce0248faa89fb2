// SPDX-License-Identifier: GPL-2.0-or-later
//! How domains are asked about and changed: libvirt's RPC, its worker and virsh; processes as evidence without them.

pub mod backend;
mod cause;
pub mod process;
pub mod rpc;
pub mod status_files;
mod virsh;
