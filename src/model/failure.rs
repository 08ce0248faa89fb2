// SPDX-License-Identifier: GPL-2.0-or-later
//! Why a change failed: good for a sentence and for a code. Where a domain is, a failure never tells: a call that failed
//! may have worked, so that is seen by looking. Pure.

use crate::model::worker;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A change that failed, as far as its call says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Of which kind it is.
    pub kind: FailureKind,
    /// What the worker was doing, where it was the worker that failed.
    pub at: Option<worker::CallStep>,
    /// libvirt's own message, or why it could not be asked.
    pub said: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// A program that the change needs is not installed, so nothing was asked for.
    Missing,
    /// Whoever was asked said no: libvirt with its error number, where it told one, or what stands before libvirt.
    Refused(Option<u32>),
    /// There was no answer in time. What was asked for may still be done.
    TimedOut,
    /// A program could not be run, or ended without an answer.
    Crashed,
    /// There was an answer that cannot be read.
    Garbled,
}

impl Failure {
    /// A failure of this kind, which is not the worker's.
    pub fn new(kind: FailureKind, said: impl Into<String>) -> Self {
        Self { kind, at: None, said: said.into() }
    }

    /// The change was refused before libvirt was asked for it.
    pub fn refused(said: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused(None), said)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}
