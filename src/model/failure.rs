// SPDX-License-Identifier: GPL-2.0-or-later
//! What is known of a change that failed.

use crate::model::worker;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What the worker was doing, when it was it that failed.
    pub step: Option<worker::Step>,
    /// libvirt's own message, or why it could not be asked.
    pub message: String,
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self { step: None, message }
    }
}
