// SPDX-License-Identifier: GPL-2.0-or-later
//! Definitions: what is read from them, what is refused, how they are marked and how they are found.
//!
//! Nothing here needs a daemon, QEMU or root; libvirt is asked through its in-process test driver.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "a test's end")]

mod facts;
mod libvirt;
mod marks;
mod paths;
mod properties;
mod refused;
mod tpm;
