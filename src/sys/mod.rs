// SPDX-License-Identifier: GPL-2.0-or-later
//! Mechanism that knows no domain: time, processes, locks, the run folder, child processes, texts.

pub mod child;
pub mod files;
pub mod held;
pub mod interrupt;
pub mod lock;
pub mod proc;
pub mod roots;
pub mod run_dir;
pub mod text;
pub mod time;
