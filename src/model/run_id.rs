// SPDX-License-Identifier: GPL-2.0-or-later
//! What of a machine can be seen on its host without anybody's word, and by what that is named. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A process: its number, and its start in clock ticks since the boot.
pub(crate) type ProcessId = (u32, u64);

/// One run of a machine on its host. It means the same run for as long as the host is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunId {
    /// The process of an emulator, or of a container's controller.
    Process {
        /// Its number.
        pid: u32,
        /// Its start, in clock ticks since the boot: with the number, its identity.
        start: u64,
    },
    /// A domain of Xen's: its number, which Xen gives to one domain after the other. There is nothing to be held or
    /// signalled: its end is seen by looking, and is the tool stack's to bring about.
    XenDomain(u32),
}

impl RunId {
    /// The process that it is, if it is one.
    #[must_use]
    pub(crate) const fn process(self) -> Option<ProcessId> {
        match self {
            Self::Process { pid, start } => Some((pid, start)),
            Self::XenDomain(_) => None,
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, .. } => write!(f, "process {pid}"),
            Self::XenDomain(id) => write!(f, "Xen domain {id}"),
        }
    }
}
