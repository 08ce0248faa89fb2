// SPDX-License-Identifier: GPL-2.0-or-later
//! Mechanism that knows no domain: time, processes, locks, the run folder, child processes, texts.

pub mod child;
pub(crate) mod connecting;
pub mod disk_identity;
pub(crate) mod file_system;
pub(crate) mod files;
pub(crate) mod held;
pub(crate) mod hosts;
pub mod image_lock;
pub(crate) mod interrupt;
pub(crate) mod lock;
pub(crate) mod proc;
pub(crate) mod rewrite;
pub(crate) mod roots;
pub(crate) mod run_dir;
pub mod startup;
pub mod text;
pub mod time;
