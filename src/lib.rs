// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster resource agent for virtual machines: observe, decide, act, observe again.
//!
//! Layers, from the bottom up; each uses only those below it:
//! - `sys`: mechanism that knows no domain (time, processes, locks, files, child processes);
//! - `model`: words and facts (the call, its parameters, states, definitions, outcomes). Pure;
//! - `policy`: what was asked, what is seen and what was done so far give the next step, or the answer. Pure;
//! - `hypervisor`: how domains are asked about and changed (libvirt's RPC, its worker, virsh; processes as evidence);
//! - `cluster`: the cluster manager that runs here, its members and its resources;
//! - `host`: the facts of this host and what changes them, through the hypervisor;
//! - `engine`: the loop: look, decide, carry out, look again;
//! - `callers`: both cluster managers and a person at a terminal.

pub mod callers;
mod cluster;
mod engine;
pub mod host;
mod hypervisor;
pub mod model;
mod policy;
pub mod sys;

/// What must hold for any bytes at all.
#[cfg(any(test, fuzzing))]
#[path = "../fuzz/harness.rs"]
pub mod harness;

// The tests name modules as the two programs do.
#[cfg(test)]
extern crate self as vm_agent;
#[cfg(test)]
#[allow(unreachable_pub, reason = "what tests share is called as it is in a crate of its own")]
#[path = "../tests/parts/mod.rs"]
mod parts;
#[cfg(test)]
#[allow(unreachable_pub, reason = "the same")]
#[path = "../tests/shared/mod.rs"]
mod shared;
#[cfg(test)]
#[allow(unreachable_pub, reason = "the same")]
#[path = "../tests/unit/mod.rs"]
mod unit;
