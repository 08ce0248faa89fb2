// SPDX-License-Identifier: GPL-2.0-or-later
//! Words and facts: the call and its parameters, states, definitions, what was observed, what is answered. Pure.

pub mod action;
pub mod budget;
pub mod call;
pub mod caller;
pub(crate) mod cause;
pub mod change;
pub mod definition;
pub(crate) mod facts;
pub(crate) mod failure;
pub(crate) mod guest_agent;
mod in_words;
pub mod lack;
pub(crate) mod outcome;
pub mod params;
pub mod presence;
pub mod run_id;
pub(crate) mod saved_state;
mod silence;
pub mod standing;
pub mod state;
pub(crate) mod storage;
pub(crate) mod target;
pub mod tools;
pub(crate) mod uri;
pub mod worker;
