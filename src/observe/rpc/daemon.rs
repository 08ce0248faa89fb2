// SPDX-License-Identifier: GPL-2.0-or-later
//! Which of libvirt's daemons serves a driver, and where its socket is. Pure: nothing is looked up.

use std::path::{Path, PathBuf};

/// The sockets at which a driver's domains can be asked for, in the order to try: the hypervisor's own daemon
/// (`virtqemud` and so on), then the one for all (`libvirtd`, or `virtproxyd` in its place). `run_dir` is `/run`.
#[must_use]
pub fn candidate_sockets(driver: &str, read_only: bool, run_dir: &Path) -> Vec<PathBuf> {
    let suffix = if read_only { "sock-ro" } else { "sock" };
    let folder = run_dir.join("libvirt");
    let mut sockets = Vec::with_capacity(2);
    // The driver comes from a URI: it must not lead out of the folder.
    if !driver.is_empty() && driver.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        sockets.push(folder.join(format!("virt{driver}d-{suffix}")));
    }
    sockets.push(folder.join(format!("libvirt-{suffix}")));
    sockets
}
