// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that is saved while something goes wrong, or somebody else does something: the folder is full, the save hangs, the
//! agent or libvirt's daemon is killed, an administrator saves it too; and disks that do not tell when they were written.

use super::no_file::LoopIn;
use super::saved::{files, folder, forget_console, goes_on, helper, spelled, tick, was_restored};
use crate::common::*;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Instant;

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

/// The same to slow storage, for which half of the stop's time is not enough: the guest has the other half.
#[test]
fn a_stop_aborts_an_administrators_save_that_takes_too_long_and_the_guest_shuts_down() {
    let host = Host::up();
    let states = folder(&host);
    let storage = Hanging::mounted(&host);
    host.run("mount", &["--bind", "/mnt/hanging", "/var/lib/libvirt/qemu/save"]);
    let vm = host.guest("a").polite().full().persistent().written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    storage.hangs("slow");
    for (dialect, words) in [(Rgmanager, &["save", "a", "/mnt/hanging/a.save"][..]), (Pacemaker, &["managedsave", "a"])]
    {
        let call = |action| match dialect {
            Pacemaker => vm.call_by_name(dialect, action).param("snapshot", &states),
            Rgmanager | VirtualDomain | Ocf | Human => vm.call_by_name(dialect, action),
        };
        call("start").gives(0);
        let before = tick(&vm);
        let mut save = host.command("virsh").arg("-q").args(words).spawn().unwrap();
        until(10, "the pause of the save", || (vm.state() == "paused").then_some(()));
        let answer = call("stop").timeout(40.0).gives(0);
        answer.tells(&["a save of its memory that somebody else has begun is aborted"]);
        assert!(!save.wait().unwrap().success() && !vm.lives());
        assert!(host.console("a").contains(&format!("button {}", before.0)), "the guest was not asked");
        assert_eq!((files(&storage.folder), files(&states)), (Vec::new(), Vec::new()));
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

#[test]
fn a_folder_that_is_full_or_fills_up_ends_in_a_shutdown_and_holds_no_half_image() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "dirty").written();
    let states = "/mnt/states";
    host.run("mkdir", &[states]);
    let mount =
        |size: &str| host.run("mount", &["-t", "tmpfs", "-o", &format!("mode=700,size={size}"), "states", states]);
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", states);
        // Too small from the beginning.
        mount("100m");
        call("start").gives(0);
        vm.ticks();
        let answer = call("stop").gives(0);
        let told = |word: &str| dialect == Rgmanager || answer.to_string().contains(word);
        assert!(told("'a' shut down after") && told("MiB free"), "{answer}");
        assert_eq!(host.run("ls", &["-A", states]), "");
        host.run("umount", &[states]);
        forget_console(&vm);
        // Filled by somebody else while it is saved.
        mount("230m");
        call("start").gives(0);
        vm.ticks();
        let stop = call("stop").spawn();
        let helper = helper(&host);
        helper.signal(Signal::STOP);
        host.run("sh", &["-c", "dd if=/dev/zero of=/mnt/states/other bs=64k 2>/dev/null || :"]);
        helper.signal(Signal::CONT);
        let answer = stop.answer();
        assert_eq!(answer.code, 0, "{answer}");
        let told = |word: &str| dialect == Rgmanager || answer.to_string().contains(word);
        assert!(told("'a' shut down after") && told("its memory was not saved"), "{answer}");
        assert_eq!(host.run("ls", &["-A", states]), "other");
        host.run("umount", &[states]);
        forget_console(&vm);
    }
}

#[test]
fn a_save_that_hangs_is_aborted_when_half_of_the_time_is_over() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").polite().full().written();
    for dialect in BOTH {
        vm.call(dialect, "start").param("snapshot", &states).gives(0);
        vm.ticks();
        let stop = vm.call(dialect, "stop").param("snapshot", &states).timeout(40.0).spawn();
        let helper = helper(&host);
        helper.signal(Signal::STOP);
        let answer = stop.answer();
        assert_eq!(answer.code, 0, "{answer}");
        let told = |word: &str| dialect == Rgmanager || answer.to_string().contains(word);
        assert!(told("its memory was not saved") && told("took too long"), "{answer}");
        assert!(!vm.lives());
        helper.signal(Signal::CONT);
        until(20, "the end of the helper", || {
            host.processes(|args| args[0].ends_with(b"libvirt_iohelper")).is_empty().then_some(())
        });
        vm.call(dialect, "stop").param("snapshot", &states).gives(0);
        assert_eq!(files(&states), [""; 0]);
        forget_console(&vm);
    }
}

/// What lies in the folder tells what a start may do: only a whole image with its record is restored, and an agent that was
/// killed at any moment leaves either that or none.
#[test]
fn of_fifty_saves_that_are_killed_at_random_times_no_half_image_is_ever_restored() {
    killed_fifty_times(&Host::up(), "0");
}

pub(super) fn killed_fifty_times(host: &Host, channels: &str) {
    let states = folder(host);
    let vm = host.guest("a").option("--mem", "64").written();
    let call =
        |dialect, action| vm.call(dialect, action).param("snapshot", &states).param("snapshot_channels", channels);
    // How long one takes that nobody hinders.
    call(Pacemaker, "start").gives(0);
    let began = Instant::now();
    call(Pacemaker, "stop").gives(0);
    let whole = began.elapsed();
    call(Pacemaker, "start").gives(0);
    assert!(was_restored(&vm));
    let mut seed: u64 = 0x5eed;
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for round in 0..50 {
        let dialect = BOTH[round % 2];
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = whole.mul_f64((seed >> 33) as f64 / f64::from(1_u32 << 31) * 1.1);
        let stop = call(dialect, "stop").spawn();
        std::thread::sleep(at);
        stop.kill_group();
        // libvirt goes on with what it was asked for.
        until(30, "the end of the save", || ["running", "absent"].contains(&vm.state().as_str()).then_some(()));
        let found = files(&states);
        let image = states.join(spelled(dialect));
        let recorded = std::fs::read_to_string(states.join(".a.saved")).unwrap();
        let whole =
            image.exists() && recorded.contains(&format!("\"size\":{}", std::fs::metadata(&image).unwrap().len()));
        let ran = vm.lives();
        let answer = call(dialect, "start").gives(0);
        let restored = was_restored(&vm) && !ran;
        assert!(!restored || whole, "round {round}: {found:?} was restored: {answer}");
        let partial = |name: &String| name.ends_with(".partial") || name.ends_with(".restoring");
        assert!(!files(&states).iter().any(partial), "round {round}: {:?}", files(&states));
        let outcome = match (ran, restored, found.is_empty(), image.exists() || !found.is_empty()) {
            (true, ..) => "runs on",
            (false, true, ..) => "restored",
            (false, false, true, _) => "ended without an image",
            (false, false, false, _) => "ended with a half image",
        };
        *outcomes.entry(outcome).or_default() += 1;
        for file in files(&states) {
            assert!(file.contains(".aside-"), "round {round}: {file}");
            std::fs::remove_file(states.join(file)).unwrap();
        }
    }
    println!("{outcomes:?} of kills within {whole:?}");
    assert_eq!(outcomes.values().sum::<u32>(), 50);
    call(Pacemaker, "stop").gives(0);
    call(Pacemaker, "start").gives(0);
    assert!(was_restored(&vm));
}

#[test]
fn a_stop_after_one_that_was_killed_in_its_save_aborts_that_and_shuts_the_guest_down() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").polite().full().written();
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &states);
        call("start").gives(0);
        vm.ticks();
        let stop = call("stop").spawn();
        let helper = helper(&host);
        helper.signal(Signal::STOP);
        stop.kill_group();
        assert_eq!(vm.state(), "paused");
        let mut again = call("stop").spawn();
        if dialect == Pacemaker {
            again.says("a save of its memory that was cut short is aborted");
        }
        let query = ["qemu-monitor-command", "a", r#"{"execute":"query-migrate"}"#];
        until(30, "the abort", || host.virsh(&query).contains("cancel").then_some(()));
        helper.signal(Signal::CONT);
        let answer = again.answer();
        assert_eq!(answer.code, 0, "{answer}");
        assert!(dialect == Rgmanager || answer.to_string().contains("its memory was not saved"), "{answer}");
        assert_eq!(files(&states), [""; 0]);
        call("start").gives(0);
        assert!(!was_restored(&vm));
        vm.destroy();
        forget_console(&vm);
    }
}
