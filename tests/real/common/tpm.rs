// SPDX-License-Identifier: GPL-2.0-or-later
//! An emulated TPM, and whether two of its states are one TPM's.

use super::Host;
use std::path::PathBuf;

/// To be put in the place of `<devices>`.
pub const TPM: &str = "<devices><tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>";

/// The file with everything that an emulated TPM knows, as the host sees it.
pub fn tpm_state(host: &Host, uuid: &str) -> Option<Vec<u8>> {
    let path = format!("/var/lib/libvirt/swtpm/{uuid}/tpm2/tpm2-00.permall");
    let copy: PathBuf = host.shared().join("tpm-state");
    let _ = std::fs::remove_file(&copy);
    host.run("sh", &["-c", "[ ! -e \"$1\" ] || cp \"$1\" \"$2\"", "sh", &path, copy.to_str().unwrap()]);
    std::fs::read(copy).ok()
}

/// How much of one state is in another, in percent: the seeds of a TPM, from which all its keys come, are random.
pub fn alike(one: &[u8], other: &[u8]) -> usize {
    let pieces: Vec<&[u8]> = one.chunks_exact(32).collect();
    let found = pieces.iter().filter(|&&piece| other.windows(32).any(|window| window == piece)).count();
    100 * found / pieces.len()
}
