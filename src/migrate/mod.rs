// SPDX-License-Identifier: GPL-2.0-or-later
//! Migration: where to and how (`target`, `options`; pure), the convergence
//! policy (`governor`; pure), and what is true afterwards (`settle`; pure), and
//! the action itself (`run`).

pub mod governor;
pub mod options;
pub mod run;
pub mod settle;
pub mod target;
