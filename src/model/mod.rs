// SPDX-License-Identifier: GPL-2.0-or-later
//! Words and facts: the call and its parameters, states, definitions, what was observed, what is answered. Pure.

pub mod call;
pub mod definition;
pub mod facts;
pub mod failure;
pub mod mapping;
pub mod options;
pub mod outcome;
pub mod params;
pub mod state;
pub mod target;
pub mod uri;
pub mod worker;
