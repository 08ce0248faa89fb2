// SPDX-License-Identifier: GPL-2.0-or-later
//! What is known of the agent in the guest. Pure.

use serde::{Deserialize, Serialize};

/// The guest's agent, after it was asked for a sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GuestAgent {
    /// It has answered.
    Answers,
    /// It is silent, and has never answered in this run of the machine: it may not be installed, or the guest still boots.
    NeverYet(String),
    /// It has answered in this run, and is silent now.
    Silent {
        /// How often in a row.
        times: u64,
        /// In libvirt's words.
        why: String,
    },
    /// It is not asked, since a person has laid this file down.
    Excused(String),
}
