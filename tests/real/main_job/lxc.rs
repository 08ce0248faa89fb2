// SPDX-License-Identifier: GPL-2.0-or-later
//! A container: libvirt's driver for LXC, whose domains are processes below a controller of their own.

use crate::common::*;
use rustix::process::Signal;
use std::path::{Path, PathBuf};

/// The name is also that of the container's control groups, which all hosts of this machine share.
const NAME: &str = "vm-agent-lab-container";

/// A host whose libvirtd can make containers: it has control groups and /dev/fuse.
struct Containers {
    host: Host,
    file: PathBuf,
}

/// The machine's control groups, of whichever version it has.
const GROUPS: &str = "mknod /dev/fuse c 10 229; \
    if mount -t cgroup2 none /sys/fs/cgroup && grep -qw memory /sys/fs/cgroup/cgroup.controllers; then exit; fi; \
    umount /sys/fs/cgroup; mount -t tmpfs groups /sys/fs/cgroup; \
    for group in memory devices freezer cpuacct cpu blkio; do \
    mkdir /sys/fs/cgroup/$group; mount -t cgroup -o $group $group /sys/fs/cgroup/$group || exit; done";

impl Containers {
    fn up() -> Self {
        let host = Host::with("");
        host.run("sh", &["-c", GROUPS]);
        for daemon in ["virtlogd", "libvirtd"] {
            host.service("start", daemon);
        }
        let root = host.folder("root");
        for folder in ["bin", "dev", "proc", "sys"] {
            host.folder(&format!("root/{folder}"));
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        let init = "#!/bin/busybox sh\ntrap 'exit 0' TERM\nwhile :; do /bin/busybox sleep 0.1; done\n";
        let written = host.script("root/bin/init", "");
        std::fs::write(written, init).unwrap();
        let text = format!(
            "<domain type='lxc'><name>{NAME}</name><memory unit='MiB'>32</memory>\
             <os><type>exe</type><init>/bin/init</init></os><devices>\
             <emulator>/usr/lib/libvirt/libvirt_lxc</emulator>\
             <filesystem type='mount'><source dir='{}'/><target dir='/'/></filesystem>\
             <console type='pty'/></devices></domain>",
            root.display()
        );
        let file = host.file("container.xml", &text);
        Self { host, file }
    }

    fn call(&self, dialect: Dialect, action: &str) -> Call<'_> {
        let call = self.host.call(dialect, action).named(NAME).param("hypervisor", "lxc:///");
        call.param("config", &self.file)
    }

    fn watch(&self, dialect: Dialect) -> Call<'_> {
        self.call(dialect, if dialect == Rgmanager { "status" } else { "monitor" })
    }

    /// The container's controller.
    fn controller(&self) -> Option<Process> {
        let named = |args: &[Vec<u8>]| args.iter().any(|arg| arg == NAME.as_bytes());
        self.host.processes(named).pop()
    }

    /// How many processes of the host are the container's controller, or in it.
    fn count(&self) -> usize {
        let found = self.host.run("sh", &["-c", "pgrep -f '/usr/lib/libvirt/[l]ibvirt_lxc|/bin/[i]nit' || true"]);
        found.lines().count()
    }
}

/// What a container that did not end by itself leaves in the machine's control groups, which outlive the host.
impl Drop for Containers {
    fn drop(&mut self) {
        if let Some(controller) = self.controller() {
            controller.signal(Signal::KILL);
        }
        let tidy = "find /sys/fs/cgroup -depth -type d -name '*vm-agent-lab-container*' -exec rmdir {} + ; \
                    find /sys/fs/cgroup -depth -type d -name machine -exec rmdir {} +";
        let mut command = self.host.command("sh");
        let _ = command.args(["-c", tidy]).env("PATH", "/usr/bin:/bin").output();
    }
}

#[test]
fn a_container_is_started_watched_and_stopped_and_seen_without_libvirt() {
    let containers = Containers::up();
    let host = &containers.host;
    for dialect in BOTH {
        containers.watch(dialect).gives(7);
        containers.call(dialect, "stop").gives(0);
        containers.call(dialect, "start").gives(0);
        containers.watch(dialect).recurring().gives(0);
        containers.call(dialect, "start").gives(0).tells(&["already running"]);
        assert_eq!(containers.count(), 2);
        let said = host.run("virsh", &["-q", "-c", "lxc:///system", "dumpxml", NAME]);
        assert!(said.contains("vm-agent:managed"), "it bears no mark: {said}");
        // libvirt is silent, and the controller is the second witness.
        host.service("freeze", "libvirtd");
        containers.watch(dialect).timeout(20.0).gives(0);
        host.service("thaw", "libvirtd");
        // Its init hears SIGTERM; /dev/initctl, by which libvirt asks first, it has not.
        let answer = containers.call(dialect, "stop").param("shutdown_mode", "signal").timeout(40.0).gives(0);
        answer.tells(&["shut down after"]);
        assert_eq!(containers.count(), 0);
        containers.watch(dialect).gives(7);
    }
    // One whose controller is killed has ended, and one that hears nothing is destroyed.
    containers.call(Pacemaker, "start").gives(0);
    containers.controller().unwrap().signal(Signal::KILL);
    until(20, "the end", || (containers.watch(Pacemaker).run().code == 7).then_some(()));
    containers.call(Pacemaker, "start").gives(0);
    containers.call(Pacemaker, "stop").param("force_stop", "yes").gives(0).tells(&["was destroyed"]);
    containers.watch(Pacemaker).gives(7);
}

/// Nothing says of a definition alone that it is a container's: the answer names the parameter.
#[test]
fn a_containers_definition_for_the_wrong_hypervisor_is_told_of() {
    let host = Host::up();
    let text =
        "<domain type='lxc'><name>a</name><memory>32768</memory><os><type>exe</type><init>/i</init></os></domain>";
    let file = host.file("a.xml", text);
    for dialect in BOTH {
        let call = host.call(dialect, "start").named("a").param("config", Path::new(&file));
        call.gives(5).says(&["hypervisor 'lxc'", "set hypervisor to lxc"]);
    }
}
