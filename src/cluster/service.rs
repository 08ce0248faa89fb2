// SPDX-License-Identifier: GPL-2.0-or-later
//! What the cluster says of each virtual machine that is a resource of it.

use super::Resource;
use std::path::PathBuf;

/// A virtual machine as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// `foo` or `vm:foo`.
    pub resource: String,
    /// The machine's name, where the configuration has it.
    pub machine: Option<String>,
    /// The file of its definition, from the configuration.
    pub config: Option<PathBuf>,
    /// The cluster's word: started, stopped, failed, ...
    pub state: String,
    /// Whether that is about to change: the cluster starts, stops or moves it.
    pub changing: bool,
    /// Where the cluster has it.
    pub nodes: Vec<String>,
    /// Whether the cluster acts on it now.
    pub managed: bool,
    /// Its last action has failed.
    pub failed: bool,
    /// The cluster does nothing with it until a person has seen to it.
    pub blocked: bool,
}

/// All of them, and this node's name in the cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Services {
    pub here: String,
    pub all: Vec<Service>,
}

impl Service {
    /// One of which nobody has said yet how it is.
    pub(super) fn of(Resource { name, managed, params }: Resource) -> Self {
        let parameter = |wanted: &str| {
            params.iter().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
        };
        Self {
            machine: parameter("name").map(str::to_owned),
            config: super::config_of(&parameter).map(PathBuf::from),
            resource: name,
            state: "unknown".into(),
            changing: false,
            nodes: Vec::new(),
            managed,
            failed: false,
            blocked: false,
        }
    }

    /// Takes over the cluster's word for its state, which may be one for what it is about to do.
    pub(super) fn is_in(&mut self, word: &str) {
        self.state = word.to_ascii_lowercase();
        self.changing |= !matches!(self.state.as_str(), "started" | "stopped" | "disabled" | "failed" | "unknown");
    }
}
