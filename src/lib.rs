// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster resource agent for virtual machines: observe, decide, act, observe again.
//!
//! `invocation` and `params` turn both calling conventions into one `Invocation` (pure); `observe` collects facts, each
//! with its source; `decide` is the policy (pure); `act` carries out its steps as child processes under a deadline and
//! looks again; `ocf` is the answer.

pub mod act;
pub mod backend;
pub mod child;
pub mod decide;
pub mod disks;
pub mod domain_xml;
pub mod guest_check;
pub mod imagine;
pub mod interrupt;
pub mod invocation;
pub mod kill;
pub mod locate;
pub mod lock;
pub mod logging;
pub mod manager;
pub mod migrate;
pub mod observe;
pub mod ocf;
pub mod operator;
pub mod params;
pub mod run_dir;
pub mod time;
pub mod validate;
pub mod verdict;
pub mod worker;
