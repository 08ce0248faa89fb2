// SPDX-License-Identifier: GPL-2.0-or-later
//! Whose processes count, and when a table that does not show the domain proves nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use vm_agent::hypervisor::process::{Evidence, FoundBy, Verdict, find, silent};
use vm_agent::sys::roots::Roots;

use super::host::{HOME, Host, Made, QEMU, alive, domain, found, libvirt_user, made, why};
use super::{UUID, qemu};

#[test]
fn an_emulator_that_is_ending_may_still_hold_the_disks() {
    let host = Host::new();
    host.add(&Made { words: vec![], exe: None, threads: 1, ..domain(300, "") });
    assert_eq!(why(&host.find(&qemu("web"))), "process 300 (qemu-system-x86) is starting or ending");
    // A first thread that has ended, while others go on.
    let host = Host::new();
    host.add(&Made { words: vec![], exe: None, state: "Z", threads: 2, ..domain(300, "") });
    assert_eq!(why(&host.find(&qemu("web"))), "process 300 (qemu-system-x86) is starting or ending");
}

#[test]
fn an_emulator_that_is_ending_counts_for_the_pid_file_that_names_it_whoever_it_runs_as() {
    let host = Host::new();
    host.add(&Made { words: vec![], exe: None, uid: 4711, ..domain(300, "") });
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(why(&host.find(&qemu("web"))), "process 300 (qemu-system-x86) is starting or ending");
}

#[test]
fn an_emulator_that_has_ended_while_its_arguments_were_waited_for_is_no_doubt() {
    let host = Host::new();
    host.add(&domain(300, "guest=web"));
    host.add(&Made { state: "Z", threads: 1, ..domain(301, "guest=web") });
    let of = |pid| silent(&host.roots, &qemu("web"), pid, FoundBy::Scan);
    let Verdict::MayBe(why) = of(300) else { panic!("{:?}", of(300)) };
    assert!(why.starts_with("process 300 (qemu-system-x86) hangs with its memory locked"), "{why}");
    assert_eq!([of(301), of(302)], [Verdict::Gone, Verdict::Gone]);
}

#[test]
fn processes_of_other_users_do_not_count() {
    let host = Host::new();
    host.add(&Made { uid: 4711, ..domain(300, "guest=web") });
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
    let host = Host::new();
    host.add(&Made { uid: libvirt_user(), ..domain(300, "guest=web") });
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
}

#[test]
fn a_user_of_its_own_is_known_by_the_folder_that_libvirt_gave_to_the_domain() {
    let key = "secret,id=masterKey0,format=raw,file=/var/lib/libvirt/qemu/domain-1-web/master-key.aes";
    let words = [QEMU, "-name", "guest=web", "-object", key, "-uuid", UUID];
    let own = rustix::process::geteuid().as_raw();
    let (uid, other) = if own == 0 { (5000, 5001) } else { (own, own + 1) };
    for (of_process, of_folder, expected) in [(uid, uid, true), (other, uid, false)] {
        let host = Host::new();
        host.domain_folder("domain-1-web", of_folder);
        host.add(&Made { uid: of_process, ..made(300, &words) });
        assert_eq!(found(&host.find(&qemu("web"))).is_some(), expected, "{of_process}");
    }
}

#[test]
fn where_libvirt_keeps_nothing_the_owner_cannot_be_judged() {
    let host = Host::new();
    host.add(&Made { uid: 4711, ..domain(300, "guest=web") });
    fs::remove_dir(host.roots.lib.join("libvirt/qemu")).unwrap();
    assert!(why(&host.find(&qemu("web"))).contains("user 4711"));
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::PidFile));
}

#[test]
fn where_there_is_no_folder_of_libvirts_at_all_another_users_process_is_a_strangers() {
    let host = Host::new();
    host.add(&Made { uid: 4711, ..domain(300, "guest=web") });
    fs::remove_dir(host.roots.lib.join("libvirt/qemu")).unwrap();
    fs::remove_dir(host.roots.run.join("libvirt/qemu")).unwrap();
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn a_domain_of_a_users_own_libvirt_does_not_count_even_if_root_is_that_user() {
    for key in [
        "secret,id=masterKey0,format=raw,file=/root/.config/libvirt/qemu/lib/domain-1-web/master-key.aes",
        r#"{"qom-type":"secret","file":"/root/.config/libvirt/qemu/lib/domain-1-web/master-key.aes"}"#,
        r#"{"qom-type":"secret","file":"\/root\/.config\/libvirt\/qemu\/lib\/domain-1-web\/master-key.aes"}"#,
        "socket,id=charmonitor,path=/root/.config/libvirt/qemu/lib/domain-1-web/monitor.sock,server,nowait",
    ] {
        let host = Host::new();
        host.add(&made(300, &[QEMU, "-name", "guest=web", "-object", key, "-uuid", UUID]));
        assert_eq!(host.find(&qemu("web")), Evidence::Absent, "{key}");
    }
    // A disk kept in a folder of such a name says nothing.
    let disk = "file=/srv/libvirt/qemu/lib/domain-1-web/disk.qcow2,if=virtio";
    let host = Host::new();
    host.add(&made(300, &[QEMU, "-name", "guest=web", "-drive", disk, "-object", HOME, "-uuid", UUID]));
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
}

#[test]
fn a_domain_of_a_libvirt_inside_a_container_does_not_count() {
    let host = Host::new();
    host.add(&Made { namespace: "pid:[4026532999]", ..domain(300, "guest=web") });
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
    // Without the right to see the namespace, the number of nested ones tells.
    fs::remove_file(host.roots.proc.join("300/ns/pid")).unwrap();
    fs::write(host.roots.proc.join("300/ns/pid"), "not a link").unwrap();
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn processes_that_cannot_be_read_may_be_the_domain() {
    let host = Host::new();
    host.add(&domain(300, "guest=other"));
    // A folder in its place: reading it fails, and not because the process is gone.
    fs::remove_file(host.roots.proc.join("300/cmdline")).unwrap();
    fs::create_dir(host.roots.proc.join("300/cmdline")).unwrap();
    assert!(why(&host.find(&qemu("web"))).contains("process 300 cannot be looked at"));
    // One that can be read, and is the domain, is evidence enough.
    host.add(&domain(301, "guest=web"));
    assert_eq!(host.find(&qemu("web")), alive(301, FoundBy::Scan));
}

#[test]
fn processes_that_vanish_while_they_are_read_are_gone() {
    let host = Host::new();
    fs::create_dir(host.roots.proc.join("300")).unwrap();
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn hidden_processes_make_absence_unknown_unless_we_see_everything() {
    for hidepid in ["hidepid=invisible", "hidepid=2", "hidepid=1", "hidepid=noaccess", "hidepid=ptraceable"] {
        let host = Host::new();
        host.mount("rw", "proc", &format!("rw,{hidepid}"));
        assert_eq!(host.find(&qemu("web")), Evidence::Absent, "{hidepid} as root");
        host.own_rights("0000000000000000");
        assert!(why(&host.find(&qemu("web"))).contains("hidepid"), "{hidepid} without rights");
        host.own_rights("000001ffffffffff");
        host.write("proc/77/uid_map", "0 100000 65536\n");
        assert!(why(&host.find(&qemu("web"))).contains("hidepid"), "{hidepid} as a container's root");
        host.add(&domain(300, "guest=web"));
        assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
    }
    let host = Host::new();
    host.own_rights("0000000000000000");
    host.mount("rw", "proc", "rw,hidepid=off");
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn what_is_no_process_table_proves_nothing() {
    let nowhere = Path::new("/nonexistent");
    let roots = Roots { proc: nowhere.into(), run: nowhere.into(), lib: nowhere.into(), ..Roots::default() };
    assert!(why(&find(&roots, &qemu("web"))).contains("/nonexistent"));
    let host = Host::new();
    host.mount("rw", "tmpfs", "rw");
    assert!(why(&host.find(&qemu("web"))).contains("is of type tmpfs"));
    let host = Host::new();
    host.write("proc/77/mountinfo", "22 1 0:21 / / rw - ext4 /dev/root rw\n");
    assert!(why(&host.find(&qemu("web"))).contains("not a mounted proc"));
    let host = Host::new();
    fs::remove_file(host.roots.proc.join("self")).unwrap();
    assert!(why(&host.find(&qemu("web"))).contains("does not show this process itself"));
    let host = Host::new();
    fs::remove_file(host.roots.proc.join("1/stat")).unwrap();
    assert!(why(&host.find(&qemu("web"))).contains("does not show process 1"));
}

#[test]
fn a_container_that_borrows_the_hosts_libvirt_does_not_see_the_hosts_processes() {
    let host = Host::new();
    host.mount_part(&host.roots.run.join("libvirt"));
    assert_eq!(host.find(&qemu("web")), Evidence::Absent, "on the host itself");
    fs::remove_file(host.roots.proc.join("77/ns/pid")).unwrap();
    symlink("pid:[4026532111]", host.roots.proc.join("77/ns/pid")).unwrap();
    assert!(why(&host.find(&qemu("web"))).contains("into this container"));
    host.mount("rw,relatime", "proc", "rw");
    host.mount_whole(&host.roots.run.join("libvirt"));
    assert_eq!(host.find(&qemu("web")), Evidence::Absent, "a file system of its own there");
    let host = Host::new();
    host.mount_part(&host.roots.run.join("libvirt-other"));
    fs::remove_file(host.roots.proc.join("77/ns/pid")).unwrap();
    symlink("pid:[4026532111]", host.roots.proc.join("77/ns/pid")).unwrap();
    assert_eq!(host.find(&qemu("web")), Evidence::Absent, "a container with a libvirt of its own");
}
