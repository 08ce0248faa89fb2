// SPDX-License-Identifier: GPL-2.0-or-later
//! What was found: a check, where, a sentence, and the commands that mend it. Pure.

use super::table::ExamCheck;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckFound {
    pub check: ExamCheck,
    /// The member where it is mended; none, where it is the cluster's.
    pub node: Option<String>,
    /// One sentence.
    pub text: String,
    /// What mends it, to be read and run by a person; on that member.
    pub commands: Vec<String>,
}

impl CheckFound {
    /// One at a member.
    pub(super) fn at(check: ExamCheck, node: &str, text: impl Into<String>) -> Self {
        Self { check, node: Some(node.to_owned()), text: text.into(), commands: Vec::new() }
    }

    /// One of the whole cluster.
    pub(super) fn of_all(check: ExamCheck, text: impl Into<String>) -> Self {
        Self { check, node: None, text: text.into(), commands: Vec::new() }
    }

    pub(super) fn mend(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }
}
