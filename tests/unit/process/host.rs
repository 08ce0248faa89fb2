// SPDX-License-Identifier: GPL-2.0-or-later
//! A host made for the purpose: a process table, and libvirt's folders.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vm_agent::hypervisor::process::{Alive, Evidence, FoundBy, Identity, find};
use vm_agent::sys::roots::Roots;

use super::UUID;
use super::UUID_BYTES;

pub const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// What libvirt puts into the arguments of each of its emulators: the domain's home.
pub const HOME: &str =
    r#"{"qom-type":"secret","id":"masterKey0","file":"/var/lib/libvirt/qemu/domain-1-it/master-key.aes"}"#;
pub const OUR_NAMESPACE: &str = "pid:[4026531836]";

/// A host with an empty process table (but for process 1 and ourselves).
pub struct Host {
    pub folder: TempDir,
    pub roots: Roots,
}

/// One process of it.
#[derive(Clone)]
pub struct Made<'a> {
    pub pid: u32,
    pub words: Vec<&'a str>,
    pub exe: Option<&'a str>,
    pub comm: &'a str,
    pub state: &'a str,
    pub uid: u32,
    pub namespace: &'a str,
    pub flags: u32,
    pub threads: u32,
}

pub fn made<'a>(pid: u32, words: &[&'a str]) -> Made<'a> {
    let comm = "qemu-system-x86";
    Made {
        pid,
        words: words.to_vec(),
        exe: Some(QEMU),
        comm,
        state: "S",
        uid: 0,
        namespace: OUR_NAMESPACE,
        flags: 0x0040_0100,
        threads: 3,
    }
}

pub fn domain(pid: u32, name_argument: &str) -> Made<'_> {
    made(pid, &[QEMU, "-name", name_argument, "-S", "-object", HOME, "-uuid", UUID, "-display", "none"])
}

/// The user that libvirt gives its emulators to, here: one that the tests can give a folder to.
pub fn libvirt_user() -> u32 {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 { 64055 } else { own }
}

impl Host {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let roots = Roots { proc: root.join("proc"), run: root.join("run"), lib: root.join("lib"), ..Roots::default() };
        for made in ["run/libvirt/qemu", "run/libvirt/lxc", "lib/libvirt/qemu", "proc/77/ns"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        chown(root.join("lib/libvirt/qemu"), Some(libvirt_user()), None).unwrap();
        symlink("77", root.join("proc/self")).unwrap();
        symlink(OUR_NAMESPACE, root.join("proc/77/ns/pid")).unwrap();
        let host = Self { folder, roots };
        host.write("proc/77/stat", "77 (vm-agent) R 1 77 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 900 0 0");
        host.write("proc/77/cmdline", "vm-agent\0monitor\0web\0");
        host.write("proc/77/uid_map", "         0          0 4294967295\n");
        host.own_rights("000001ffffffffff");
        host.mount("rw,relatime", "proc", "rw");
        host.add(&Made { exe: None, words: vec!["/sbin/init"], comm: "init", ..made(1, &[]) });
        host
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(path), text).unwrap();
    }

    pub fn own_rights(&self, capabilities: &str) {
        let status = format!("Name:\tvm-agent\nUid:\t0\t0\t0\t0\nNSpid:\t77\nCapEff:\t{capabilities}\n");
        self.write("proc/77/status", status);
    }

    pub fn mount(&self, options: &str, kind: &str, more: &str) {
        let point = self.roots.proc.display();
        let text = format!(
            "22 1 0:21 / / rw - ext4 /dev/root rw\n23 22 0:22 / {point} {options} shared:7 - {kind} {kind} {more}\n"
        );
        self.write("proc/77/mountinfo", text);
    }

    fn mount_more(&self, line: &str) {
        let path = self.roots.proc.join("77/mountinfo");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }

    /// Mounts a folder of another file system there.
    pub fn mount_part(&self, point: &Path) {
        self.mount_more(&format!("24 22 0:25 /libvirt {} rw - tmpfs tmpfs rw", point.display()));
    }

    /// Mounts a file system of its own there.
    pub fn mount_whole(&self, point: &Path) {
        self.mount_more(&format!("24 22 0:25 / {} rw - tmpfs tmpfs rw", point.display()));
    }

    pub fn add(&self, made: &Made<'_>) {
        let at = format!("proc/{}", made.pid);
        fs::create_dir_all(self.folder.path().join(&at).join("ns")).unwrap();
        let words: String = made.words.iter().map(|word| format!("{word}\0")).collect();
        self.write(&format!("{at}/cmdline"), words);
        self.write(&format!("{at}/comm"), format!("{}\n", made.comm));
        let Made { pid, comm, state, flags, threads, .. } = made;
        let start = pid + 1000;
        self.write(
            &format!("{at}/stat"),
            format!("{pid} ({comm}) {state} 1 2 3 0 -1 {flags} 0 0 0 0 1 1 0 0 20 0 {threads} 0 {start} 9 9\n"),
        );
        let nested = if made.namespace == OUR_NAMESPACE { "" } else { "\t9" };
        let uid = made.uid;
        self.write(
            &format!("{at}/status"),
            format!("Name:\t{comm}\nUid:\t{uid}\t{uid}\t0\t0\nNSpid:\t{pid}{nested}\n"),
        );
        symlink(made.namespace, self.folder.path().join(&at).join("ns/pid")).unwrap();
        if let Some(exe) = made.exe {
            symlink(exe, self.folder.path().join(&at).join("exe")).unwrap();
        }
    }

    pub fn domain_folder(&self, name: &str, uid: u32) {
        let path: PathBuf = self.roots.lib.join("libvirt/qemu").join(name);
        fs::create_dir(&path).unwrap();
        chown(path, Some(uid), None).unwrap();
    }

    pub fn find(&self, who: &Identity<'_>) -> Evidence {
        find(&self.roots, who)
    }
}

pub fn alive(pid: u32, found_by: FoundBy) -> Evidence {
    alive_as("web", pid, found_by)
}

pub fn alive_as(name: &str, pid: u32, found_by: FoundBy) -> Evidence {
    let start_time_ticks = u64::from(pid) + 1000;
    let name = name.to_owned();
    let (incoming, ending) = (false, false);
    Evidence::Alive(Alive { pid, start_time_ticks, incoming, ending, found_by, name, uuid: Some(UUID_BYTES) })
}

pub fn found(evidence: &Evidence) -> Option<u32> {
    match evidence {
        Evidence::Alive(alive) => Some(alive.pid),
        Evidence::Absent | Evidence::MayBe(_) | Evidence::Namesake(_) | Evidence::Unknown(_) => None,
    }
}

pub fn why(evidence: &Evidence) -> &str {
    match evidence {
        Evidence::Unknown(why) | Evidence::MayBe(why) | Evidence::Namesake(why) => why,
        Evidence::Alive(_) | Evidence::Absent => panic!("it is known: {evidence:?}"),
    }
}
