// SPDX-License-Identifier: GPL-2.0-or-later
//! Storage that hangs when it is told to: whoever waits for it is in uninterruptible sleep.

use super::{Host, until};
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A file system in a host that shows the files of a folder. Its end is the file system's.
pub struct Hanging<'a> {
    host: &'a Host,
    server: Child,
    /// Where its files are in fact, and never hang.
    pub folder: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    control: PathBuf,
}

impl<'a> Hanging<'a> {
    /// Mounts one; it answers.
    pub fn mounted(host: &'a Host) -> Self {
        Self::mounted_as(host, "fuse")
    }

    /// Mounts one as what several hosts may mount, by the kernel's word for it; all hosts see the same files.
    pub fn mounted_as(host: &'a Host, kind: &str) -> Self {
        let (folder, control) = (host.folder("behind"), host.shared().join("silent"));
        let point = PathBuf::from("/mnt/hanging");
        host.run("sh", &["-c", "mkdir -p /mnt/hanging; [ -e /dev/fuse ] || mknod /dev/fuse c 10 229"]);
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/hanging");
        let mut command = host.command(program);
        command.arg(&point).arg(&folder).arg(&control).arg(kind).stdout(Stdio::null());
        let server = command.spawn().unwrap();
        until(20, "the file system", || host.run("cat", &["/proc/mounts"]).contains("/mnt/hanging fuse").then_some(()));
        Self { host, server, folder, point, control }
    }

    /// It answers no request of this kind any more: `all` or `write`; or it is `slow` to write.
    pub fn hangs(&self, what: &str) {
        std::fs::write(&self.control, what).unwrap();
    }

    /// It answers again, also what was asked in the meantime.
    pub fn answers(&self) {
        let _ = std::fs::remove_file(&self.control);
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        // What waits for it gets an error.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let mut umount = self.host.command("umount");
        let _ = umount.arg("-l").arg(&self.point).stderr(Stdio::null()).status();
    }
}
