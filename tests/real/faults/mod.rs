// SPDX-License-Identifier: GPL-2.0-or-later
//! Faults on real daemons and guests: whatever is broken, the answer is true, comes in time, and leaves nothing behind.
//!
//! Each fault is played through all actions (`trial`), and the answers become a table, `target/fault-table.md`.

mod daemon;
mod definition;
mod evidence;
mod identity;
mod limits;
mod machine;
mod qemu;
mod starting;
mod together;
mod trial;
mod worker;
