// SPDX-License-Identifier: GPL-2.0-or-later
//! A private libvirtd: its own sockets, its own mount namespace in which nothing of the machine's own libvirt is to be
//! seen, and its end with the test that started it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::eventually;

const DAEMON: &str = "/usr/sbin/libvirtd";
const PRIVATE: &str = "for folder in /run /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt/qemu; do \
                       test ! -d $folder || mount -t tmpfs none $folder || exit; done; exec \"$@\"";

pub struct Libvirtd {
    folder: TempDir,
    daemon: Child,
}

impl Libvirtd {
    /// Starts one. `settings` come before those that make it private.
    pub fn start(settings: &str) -> Self {
        assert!(geteuid().is_root() && fs::exists(DAEMON).unwrap(), "these tests need root and {DAEMON}");
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let auth = if settings.contains("auth_unix_rw") { "" } else { "auth_unix_rw = \"none\"\n" };
        let settings = format!(
            "{settings}\n{auth}auth_unix_ro = \"none\"\nunix_sock_dir = \"{place}\"\nunix_sock_ro_perms = \"0700\"\n\
             log_outputs = \"3:file:{place}/log\"\nadmin_max_clients = 1\n"
        );
        fs::write(folder.path().join("conf"), settings).unwrap();
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE, "sh"])
            .args([DAEMON, "--config"])
            .arg(folder.path().join("conf"))
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut daemon = Self { folder, daemon };
        eventually("libvirtd listens", || {
            let ended = daemon.daemon.try_wait().unwrap();
            assert!(ended.is_none(), "libvirtd ended: {ended:?} {}", daemon.read("stderr"));
            UnixStream::connect(daemon.socket("libvirt-sock-ro")).is_ok()
        });
        eventually("libvirtd has complained of that client", || daemon.complaints() == 1);
        daemon
    }

    /// How often the daemon has written to its log of a client that went without a word, or too early.
    pub fn complaints(&self) -> usize {
        let log = self.read("log");
        log.matches("End of file").count() + log.matches("Broken pipe").count()
    }

    /// A client connects and goes without a word; waits for the complaint, so that those of before are in the log too.
    pub fn let_a_client_just_go(&self) {
        let before = self.complaints();
        drop(UnixStream::connect(self.socket("libvirt-sock-ro")).unwrap());
        eventually("libvirtd has complained", || self.complaints() > before);
    }

    /// A folder that it shares with the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// By which libvirt's clients reach its test driver.
    pub fn uri(&self) -> String {
        format!("test+unix:///default?socket={}", self.socket("libvirt-sock").display())
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    /// As an administrator does it.
    pub fn virsh(&self, arguments: &[&str]) {
        let output = Command::new("virsh").arg("-c").arg(self.uri()).args(arguments).output().unwrap();
        assert!(output.status.success(), "virsh {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes a definition for `virsh`, and gives its path.
    pub fn definition(&self, name: &str) -> String {
        let path = self.folder.path().join("definition.xml");
        let xml =
            format!("<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>");
        fs::write(&path, xml).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.daemon), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

impl Drop for Libvirtd {
    fn drop(&mut self) {
        // It may be stopped, and has nothing to save: its folder goes with it.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
