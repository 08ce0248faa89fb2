// SPDX-License-Identifier: GPL-2.0-or-later
//! The folders of the host that the agent looks in.

use std::path::PathBuf;

/// Where to look: the host's own folders, or a tree made by a test.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The process table: `/proc`.
    pub proc: PathBuf,
    /// What the kernel tells of the machine: `/sys`.
    pub sys: PathBuf,
    /// Where libvirt keeps pid files: `/run`.
    pub run: PathBuf,
    /// Where libvirt keeps its domains' files: `/var/lib`.
    pub lib: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), run: "/run".into(), lib: "/var/lib".into() }
    }
}
