// SPDX-License-Identifier: GPL-2.0-or-later
//! Disks that somebody else has open: by QEMU's own locks, by virtlockd's, and on storage that does not say.

use super::no_file::LoopIn;
use crate::common::{BOTH, Dialect::*, Hanging, Host, Vm, until};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::path::{Path, PathBuf};

/// A disk that all hosts see, and a guest that has it.
fn with_disk<'a>(host: &'a Host, disk: &Path) -> Vm<'a> {
    host.guest("a").option("--disk", disk.to_str().unwrap()).written()
}

fn image(host: &Host, name: &str, format: &str) -> PathBuf {
    let disk = host.shared().join(name);
    host.run("qemu-img", &["create", "-q", "-f", format, disk.to_str().unwrap(), "1M"]);
    disk
}

/// The bytes that are asked for are those of the QEMU that is installed.
#[test]
fn a_machine_whose_disk_is_open_on_another_host_is_not_created_here_until_it_is_closed() {
    let hosts = Host::several(2, "libvirt");
    for (name, format) in [("raw.img", "raw"), ("qcow2.img", "qcow2")] {
        let vm = with_disk(&hosts[0], &image(&hosts[0], name, format));
        let create = || hosts[1].virsh(&["create", vm.file.to_str().unwrap()]);
        for dialect in BOTH {
            create();
            for kept in [false, true] {
                if kept {
                    hosts[0].virsh(&["define", vm.file.to_str().unwrap()]);
                }
                let start = if kept { vm.call_by_name(dialect, "start") } else { vm.call(dialect, "start") };
                start.gives(1).says(&["vda is open elsewhere: a QEMU writes it"]);
                assert!(!vm.lives(), "nothing was created");
            }
            assert_eq!(vm.state(), "shut off");
            hosts[0].virsh(&["undefine", "a"]);
            let explained = vm.call(Human, "explain start").gives(1);
            assert!(explained.stdout.contains("\nstorage: vda is open elsewhere: a QEMU writes it"), "{explained}");
            // Asked for all the same, QEMU refuses it by the same lock.
            let refused = vm.call(dialect, "start").param("guard", "off").gives(1);
            refused.says(&[name, "is open elsewhere (QEMU's lock on it)"]);
            hosts[1].virsh(&["destroy", "a"]);
            vm.call(dialect, "start").param("guard", "strict").gives(0);
            vm.call(dialect, "restart").param("force_stop", "yes").gives(0);
            vm.destroy();
        }
    }
}

#[test]
fn what_reads_a_disk_and_allows_writers_or_is_shared_keeps_no_machine_from_its_start() {
    let host = Host::up();
    let disk = image(&host, "disk.img", "qcow2");
    let vm = with_disk(&host, &disk);
    let read = ["-r", "-U", "-f", "qcow2", "-c", "sleep 60000", disk.to_str().unwrap()];
    let mut reader = host.command("/usr/bin/qemu-io").args(read).spawn().unwrap();
    until(20, "the reader", || (!host.processes(|args| args[0].ends_with(b"qemu-io")).is_empty()).then_some(()));
    for dialect in BOTH {
        vm.call(dialect, "start").gives(0);
        vm.destroy();
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
    let shared = host.guest("b").option("--disk", image(&host, "shared.img", "raw").to_str().unwrap());
    let shared = shared.edit("<target ", "<shareable/><target ").written().created();
    let other = shared.folder.join("other.xml");
    let text = std::fs::read_to_string(&shared.file).unwrap();
    let (before, uuid) = text.split_once("<uuid>").unwrap();
    let (_, after) = uuid.split_once("</uuid>").unwrap();
    std::fs::write(
        &other,
        format!("{before}{after}").replace("<name>b<", "<name>other<").replace("console-b", "console-other"),
    )
    .unwrap();
    host.call(Pacemaker, "start").named("other").param("config", &other).gives(0);
}

/// Somebody on this host is called by his name.
#[test]
fn whoever_has_a_disk_open_on_this_host_is_named() {
    let host = Host::up();
    let disk = image(&host, "disk.img", "raw");
    let vm = with_disk(&host, &disk);
    let holder = host.guest("b").option("--disk", disk.to_str().unwrap()).written().created();
    let answer = vm.call(Pacemaker, "start").gives(1);
    answer.says(&["vda is open elsewhere: process ", " here (qemu-system-x86) writes it"]);
    holder.destroy();
    vm.call(Pacemaker, "start").gives(0);
}

#[test]
fn a_disk_on_storage_that_hangs_costs_a_start_its_share_and_hinders_only_the_strict() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    std::fs::write(storage.folder.join("disk.img"), vec![0; 1 << 20]).unwrap();
    let vm = with_disk(&host, &storage.point.join("disk.img"));
    storage.hangs("all");
    for dialect in BOTH {
        let strict = vm.call(dialect, "start").param("guard", "strict").timeout(30.0).gives(1);
        strict.says(&["guard is strict", "who has its disks open is not known: vda: its storage does not"]);
        assert_eq!(vm.state(), "absent");
    }
    let mut start = vm.call(Pacemaker, "start").timeout(60.0).spawn();
    start.says("whether its disks are open elsewhere is not known");
    storage.answers();
    let answer = start.answer();
    assert_eq!(answer.code, 0, "{answer}");
}

/// The pool is a folder that both hosts have. While it is not active nobody can tell, and a start that brings it up asks again.
#[test]
fn a_volume_of_a_pool_is_asked_about_as_the_file_that_it_is_here() {
    let hosts = Host::several(2, "libvirt");
    let pool = hosts[0].folder("pool");
    let guest = hosts[0].guest("a").option("--disk", "/disk.img").edit("<disk type='file'", "<disk type='volume'");
    let vm = guest.edit("file='/disk.img'", "pool='images' volume='disk.img'").written();
    image(&hosts[0], "pool/disk.img", "raw");
    for host in &hosts {
        host.virsh(&["pool-define-as", "images", "dir", "--target", pool.to_str().unwrap()]);
        host.virsh(&["pool-start", "images"]);
    }
    let open = format!("vda is open elsewhere: a QEMU writes it ({}", pool.join("disk.img").display());
    for dialect in BOTH {
        let strict = || vm.call(dialect, "start").param("guard", "strict");
        hosts[1].virsh(&["create", vm.file.to_str().unwrap()]);
        vm.call(dialect, "start").gives(1).says(&["vda is open elsewhere: a QEMU writes it"]);
        vm.call(Human, "explain start").gives(1).shows(&[&open]);
        hosts[0].virsh(&["pool-destroy", "images"]);
        strict().gives(1).says(&["guard is strict", "storage pool 'images' is not active"]);
        strict().param("start_resources", "yes").gives(1).says(&["vda is open elsewhere: a QEMU writes it"]);
        hosts[0].virsh(&["pool-destroy", "images"]);
        hosts[1].virsh(&["destroy", "a"]);
        strict().param("start_resources", "yes").gives(0);
        vm.destroy();
        strict().gives(0);
        vm.destroy();
    }
}

/// Storage of a protocol that has no witness, a volume of a pool that nobody has, and a block device.
#[test]
fn whoever_wants_to_be_certain_starts_nothing_from_a_disk_of_which_nobody_tells() {
    let host = Host::up();
    let image = host.file("image", "");
    host.run("truncate", &["--size=1M", image.to_str().unwrap()]);
    let device = LoopIn::over(&host, &image);
    let nbd = "<source protocol='nbd' name='a'><host name='127.0.0.1' port='1'/></source>";
    let block = format!("<source dev='{}'/>", device.1);
    for (kind, source, why, starts) in [
        ("network", nbd, "vda: no witness for disks of this kind", 1),
        ("volume", "<source pool='p' volume='v'/>", "vda: no storage pool with matching name", 1),
        ("block", &block, "vda: no witness for loop", 0),
    ] {
        let guest = host.guest("a").option("--disk", "/disk.img");
        let guest = guest.edit("<disk type='file'", &format!("<disk type='{kind}'"));
        let vm = guest.edit("<source file='/disk.img'/>", source).written();
        for dialect in BOTH {
            vm.call(dialect, "start").param("guard", "strict").gives(1).says(&["guard is strict", why]);
            // By default nothing is said of that, and libvirt is asked for what may not be there.
            let start = vm.call(dialect, "start").gives(starts);
            assert!(!start.to_string().contains("disks are open elsewhere"), "{start}");
            vm.call(dialect, "stop").param("force_stop", "yes").gives(0);
        }
    }
}

/// No Ceph is here: a program in its place says what `rbd status` says.
#[test]
fn an_rbd_image_is_asked_for_its_watchers_where_rbd_is_installed() {
    let host = Host::up();
    let source = "<source protocol='rbd' name='vms/a'><host name='127.0.0.1' port='1'/></source>";
    let guest = host.guest("a").option("--disk", "/disk.img").edit("<disk type='file'", "<disk type='network'");
    let vm = guest.edit("<source file='/disk.img'/>", source).written();
    let says = |lines: &str| host.run("cp", &[host.script("rbd", lines).to_str().unwrap(), "/usr/bin/rbd"]);
    let strict = || vm.call(Pacemaker, "start").param("guard", "strict").timeout(10.0).gives(1);
    says(r#"echo '{"watchers":[{"address":"10.0.0.2:0/2318","client":4123,"cookie":1}]}'"#);
    vm.call(Rgmanager, "start")
        .timeout(6.0)
        .gives(1)
        .says(&["vda is open elsewhere: RBD client 10.0.0.2:0/2318 watches it"]);
    says("echo 'rbd: error opening image a: (1) Operation not permitted' >&2; exit 1");
    strict().says(&["who has its disks open is not known: vda: rbd ended with 1"]);
    says("sleep 60");
    strict().says(&["who has its disks open is not known: vda: rbd did not answer in time"]);
    assert_eq!(vm.state(), "absent");
}

/// virtlockd locks a byte of the disk itself, or a file for each disk. QEMU would meet its own locks first, where it has
/// any.
#[test]
fn a_disk_that_virtlockd_has_leased_is_open_and_libvirts_refusal_is_told_in_a_sentence() {
    let host = Host::up();
    let disk = image(&host, "disk.img", "raw");
    let vm = with_disk(&host, &disk);
    let restarted = |settings: &str| {
        host.run("sh", &["-c", settings]);
        host.service("stop", "libvirtd");
        host.service("start", "libvirtd");
    };
    restarted("mkdir -p /etc/libvirt; echo 'lock_manager = \"lockd\"' >/etc/libvirt/qemu.conf; virtlockd -d");
    let lease = leased(&disk);
    for dialect in BOTH {
        vm.call(dialect, "start").gives(1).says(&["vda is open elsewhere: virtlockd has leased it"]);
        let refused = vm.call(dialect, "start").param("guard", "off").gives(1);
        refused.says(&[disk.to_str().unwrap(), "is open elsewhere (virtlockd's lease of it)"]);
    }
    drop(lease);
    vm.call(Pacemaker, "start").gives(0);
    vm.destroy();
    let folder = host.folder("leases");
    let settings = format!("echo 'file_lockspace_dir = \"{}\"' >/etc/libvirt/qemu-lockd.conf", folder.display());
    restarted(&settings);
    vm.call(Pacemaker, "start").gives(0);
    let file = std::fs::read_dir(&folder).unwrap().next().expect("a lease").unwrap().path();
    // It removes the file with the lease.
    vm.destroy();
    let lease = leased(&file);
    vm.call(Pacemaker, "start").gives(1).says(&["vda is open elsewhere: virtlockd has leased it"]);
    drop(lease);
    vm.call(Pacemaker, "start").gives(0);
}

/// The lock that virtlockd takes, held by an open file: by somebody whom no libvirtd here knows.
fn leased(path: &Path) -> std::fs::File {
    let file = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    let (l_type, l_whence) = (libc::F_WRLCK as i16, libc::SEEK_SET as i16);
    let lock = libc::flock { l_type, l_whence, l_start: 0, l_len: 1, l_pid: 0 };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}
