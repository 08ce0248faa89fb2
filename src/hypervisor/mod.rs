// SPDX-License-Identifier: GPL-2.0-or-later
//! How domains are asked about and changed: libvirt's RPC, its worker and virsh; processes as evidence without them.

pub(crate) mod backend;
mod cause;
pub(crate) mod emulator_log;
pub(crate) mod process;
pub(crate) mod rpc;
pub(crate) mod status_files;
mod virsh;
pub(crate) mod xen;
