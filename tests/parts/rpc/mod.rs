// SPDX-License-Identifier: GPL-2.0-or-later
//! The RPC client against a real libvirtd and its test driver.

mod libvirtd;
mod real;
mod real_faults;
