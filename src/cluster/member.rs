// SPDX-License-Identifier: GPL-2.0-or-later
//! The members of a cluster, as the cluster itself sees them.

use crate::model::standing::Standing;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub node: String,
    pub standing: Standing,
    /// Whether the cluster has on record that the resource runs there; nothing, where it was not asked about one.
    pub on_record: Option<bool>,
}

impl Member {
    /// Whether the cluster's word is proof enough that the resource does not run there: what a node ran that left, or was
    /// fenced, is off, unless it was told to leave it running.
    pub(crate) fn is_out(&self) -> bool {
        match self.standing {
            Standing::Offline => self.on_record == Some(false),
            Standing::Online | Standing::Unfenced | Standing::Unclean | Standing::Unknown => false,
        }
    }
}

/// The members of the cluster that runs here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Members {
    /// This node.
    pub here: String,
    pub others: Vec<Member>,
}

impl Members {
    /// The other member of this name. Only the very name is it: a host of another site may be called alike.
    pub(crate) fn other(&self, node: &str) -> Option<&Member> {
        self.others.iter().find(|member| member.node.eq_ignore_ascii_case(node))
    }
}
