// SPDX-License-Identifier: GPL-2.0-or-later
//! The process of a domain among real ones: found, from wherever one asks, and ended.

mod elsewhere;
mod ending;
mod real_processes;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::{Child, Command, Stdio};

use vm_agent::hypervisor::process::Identity;

use crate::shared::eventually;
use crate::unit::process::{qemu, without_uuid};

/// The UUID of a domain among real processes: its own, because another test's domain of the same one would be in doubt.
fn uuid_of(name: &str) -> [u8; 16] {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, name).hash(&mut hasher);
        hasher.finish().to_le_bytes()
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&hash(0));
    bytes[8..].copy_from_slice(&hash(1));
    bytes
}

fn uuid_text(name: &str) -> String {
    let digits: String = uuid_of(name).iter().map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn real(name: &str) -> Identity<'_> {
    Identity { uuid: Some(uuid_of(name)), ..qemu(name) }
}

/// A process of a test: killed and reaped at its end, whatever its end is.
struct Guarded(Child);

impl Guarded {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let process = Self(child);
        // For a moment after its start a program has no arguments yet.
        let arguments = format!("/proc/{}/cmdline", process.pid());
        eventually("it has its arguments", || !std::fs::read(&arguments).unwrap().is_empty());
        process
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An argument that libvirt gives to each of its emulators (here a secret that needs no file): the domain's home.
const MARK: &str = "secret,id=masterKey0,data=/var/lib/libvirt/qemu/domain-1-test/master-key.aes";

/// An emulator without a guest, as libvirt would start it, which lives until it is killed.
fn emulator(arguments: &[&str]) -> Command {
    let mut command = by_hand(arguments);
    command.args(["-object", MARK]);
    command
}

/// One that libvirt has nothing to do with.
fn by_hand(arguments: &[&str]) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(arguments).args(["-machine", "none", "-S", "-display", "none", "-monitor", "none"]);
    command
}

/// A name that no other test, and no other run of the tests, uses.
fn own(name: &str) -> String {
    format!("test-{}-{name}", std::process::id())
}
