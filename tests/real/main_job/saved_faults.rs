// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that is saved while somebody else does something: an administrator saves it too, libvirt's daemon is killed; and
//! disks that do not tell when they were written, in a folder that two hosts mount.

use super::no_file::LoopIn;
use super::saved::{files, folder, forget_console, goes_on, helper, spelled, tick, was_restored};
use crate::common::*;
use rustix::process::Signal;

/// `virsh save` by hand, in the middle of which the stop comes: with the folder of `snapshot`, and without.
#[test]
fn a_stop_waits_for_an_administrators_save_and_loses_nothing_of_it() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").polite().full().written();
    let own = host.folder("own").join("a.save");
    for dialect in BOTH {
        let call = |action| match dialect {
            Pacemaker => vm.call(dialect, action),
            Rgmanager | VirtualDomain | Ocf | Human => vm.call(dialect, action).param("snapshot", &states),
        };
        call("start").gives(0);
        let before = tick(&vm);
        let mut save = host.command("virsh").args(["-q", "save", "a", own.to_str().unwrap()]).spawn().unwrap();
        let helper = helper(&host);
        helper.signal(Signal::STOP);
        until(10, "the pause of the save", || (vm.state() == "paused").then_some(()));
        // Half of what it has is twice what the first look takes.
        let stop = call("stop").timeout(60.0).spawn();
        until(10, "the stop", || {
            host.run("sh", &["-c", "cat /run/vm-agent/a.lock || :"]).starts_with("stop").then_some(())
        });
        helper.signal(Signal::CONT);
        let answer = stop.answer();
        assert!(save.wait().unwrap().success() && answer.code == 0 && !vm.lives(), "{answer}");
        let told = "with a save that somebody else had begun";
        assert!(dialect == Rgmanager || answer.to_string().contains(told), "{answer}");
        assert_eq!(files(&states), [""; 0]);
        host.virsh(&["restore", own.to_str().unwrap()]);
        goes_on(&vm, &before);
        vm.destroy();
        forget_console(&vm);
    }
}

/// The daemon dies while it saves, and comes back to a machine that nobody saves any more.
#[test]
fn a_libvirtd_that_is_killed_in_a_save_leaves_no_image_that_is_restored() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").polite().full().written();
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &states);
        call("start").gives(0);
        vm.ticks();
        let stop = call("stop").timeout(60.0).spawn();
        let helper = helper(&host);
        helper.signal(Signal::STOP);
        host.service("kill", "libvirtd");
        helper.signal(Signal::CONT);
        host.service("start", "libvirtd");
        let answer = stop.answer();
        assert!(answer.code == 0 && !vm.lives(), "{answer}");
        println!("{dialect:?}: {answer}");
        println!("left: {:?}", files(&states));
        let restorable = states.join(spelled(dialect)).exists();
        call("start").gives(0);
        assert!(!was_restored(&vm) || restorable);
        assert!(!was_restored(&vm), "half an image");
        assert!(!files(&states).iter().any(|name| name.ends_with(".partial")), "{:?}", files(&states));
        vm.destroy();
        forget_console(&vm);
        for file in files(&states) {
            std::fs::remove_file(states.join(file)).unwrap();
        }
    }
}

/// The folder is mounted by FUSE in the name of a file system that several hosts mount; or of none.
#[test]
fn a_machine_on_a_block_device_goes_on_on_another_host_from_a_folder_that_both_mount_and_else_is_shut_down() {
    let hosts = Host::several(2, "libvirt");
    let image = hosts[0].shared().join("disk.img");
    hosts[0].run("truncate", &["--size=8M", image.to_str().unwrap()]);
    let device = LoopIn::over(&hosts[0], &image);
    let number = device.1.strip_prefix("/dev/loop").unwrap().to_owned();
    hosts[1].run("sh", &["-c", &format!("[ -e {0} ] || mknod {0} b 7 {number}", device.1)]);
    let guest =
        hosts[0].guest("a").polite().full().option("--disk", &device.1).edit("<disk type='file'", "<disk type='block'");
    let vm = guest.edit("<source file=", "<source dev=").written();
    let call = |host: usize, action| {
        let call = hosts[host].call(Pacemaker, action).named("a").param("path", &vm.folder);
        call.param("snapshot", "/mnt/hanging").timeout(60.0)
    };
    for (kind, shared) in [("fuse.glusterfs", true), ("fuse.mergerfs", false)] {
        let mounts = [Hanging::mounted_as(&hosts[0], kind), Hanging::mounted_as(&hosts[1], kind)];
        call(0, "start").gives(0);
        let before = tick(&vm);
        let stop = call(0, "stop").gives(0);
        let told = if shared { "was saved to" } else { "vda does not tell if it was written since" };
        assert!(stop.to_string().contains(told), "{stop}");
        let start = call(1, "start").gives(0);
        let restored = start.to_string().contains("was restored from its memory");
        assert_eq!(restored, shared, "{start}");
        if shared {
            goes_on(&vm, &before);
        }
        assert_eq!(files(&mounts[0].folder), [""; 0]);
        call(1, "stop").param("force_stop", "yes").gives(0);
        forget_console(&vm);
    }
}
