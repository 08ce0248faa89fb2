// SPDX-License-Identifier: GPL-2.0-or-later
//! Migration: where to and how (`target`, `options`; pure), the convergence
//! policy (`governor`; pure), what is worth waiting for (`hope`; pure), what is
//! true afterwards (`settle`; pure) and how it is said (`tell`; pure); and the
//! action itself: `run` tries, `watch` looks after one try, `data_port` finds a
//! firewall in its way.

mod data_port;
pub mod governor;
mod hope;
pub mod options;
pub mod run;
pub mod settle;
pub mod target;
mod tell;
mod watch;
