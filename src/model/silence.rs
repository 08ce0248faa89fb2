// SPDX-License-Identifier: GPL-2.0-or-later
//! What is known of one question: nothing yet, its answer, or why there is none. Silence is never an answer. Pure.

use crate::model::failure::{Failure, FailureKind};
use serde::{Deserialize, Serialize};

/// What is known of a question that is asked only where its answer is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fact<T> {
    /// It was not asked.
    #[default]
    NotAsked,
    /// The answer.
    Known(T),
    /// It was asked, and nobody answered.
    Silent(Silence),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// In what way.
    pub kind: SilenceKind,
    /// In words, with the socket or URI.
    pub why: String,
}

/// The ways of not answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SilenceKind {
    /// There is no socket, or nobody listens on it: no daemon runs.
    Dead,
    /// It accepts, and then says nothing.
    Hung,
    /// It answers, but not about this domain: something that it does to it takes its time (a start, clearing up).
    Busy,
    /// It answers with an error, or not in its protocol.
    Refused,
    /// The program that would ask it is not installed.
    Missing,
}

impl Silence {
    /// It was asked, and did not say.
    pub fn refused(why: impl Into<String>) -> Self {
        Self { kind: SilenceKind::Refused, why: why.into() }
    }
}

impl<T> Fact<T> {
    /// The answer; or that nobody gave one, in these words.
    pub(crate) fn said(answer: Option<T>, silence: &str) -> Self {
        answer.map_or_else(|| Self::Silent(Silence::refused(silence)), Self::Known)
    }

    /// Whether it was asked.
    pub(crate) const fn is_asked(&self) -> bool {
        !matches!(self, Self::NotAsked)
    }
}

impl<T> From<Result<T, Silence>> for Fact<T> {
    fn from(answer: Result<T, Silence>) -> Self {
        answer.map_or_else(Self::Silent, Self::Known)
    }
}

impl From<Silence> for Failure {
    fn from(silence: Silence) -> Self {
        let kind = match silence.kind {
            SilenceKind::Missing => FailureKind::Missing,
            SilenceKind::Hung | SilenceKind::Busy => FailureKind::TimedOut,
            SilenceKind::Dead | SilenceKind::Refused => FailureKind::Refused(None),
        };
        Self::new(kind, silence.why)
    }
}

impl From<Failure> for Silence {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Missing => SilenceKind::Missing,
            FailureKind::TimedOut => SilenceKind::Hung,
            FailureKind::Refused(_) | FailureKind::Crashed | FailureKind::Garbled => SilenceKind::Refused,
        };
        Self { kind, why: failure.said }
    }
}
