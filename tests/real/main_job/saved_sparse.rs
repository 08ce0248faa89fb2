// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that is saved as a sparse image: by several channels (`snapshot_channels`), or since libvirt's configuration says
//! so. libvirt has these since 11.2, so the hosts have Debian 13.

use super::saved::{files, folder, forget_console, form, goes_on, spelled, tick, was_restored};
use super::saved_faults::killed_fifty_times;
use crate::common::*;
use std::os::unix::fs::MetadataExt;

/// libvirt's number of the form.
const SPARSE: u32 = 6;

#[test]
#[ignore = "by make test-trixie"]
fn memory_that_libvirt_saves_as_a_sparse_image_is_restored() {
    let host = Host::with("libvirt,trixie");
    host.run("sh", &["-c", "echo 'save_image_format = \"sparse\"' >>/etc/libvirt/qemu.conf"]);
    host.service("kill", "libvirtd");
    host.service("start", "libvirtd");
    let states = folder(&host);
    let vm = host.guest("a").polite().written();
    let call = |dialect, action| vm.call(dialect, action).param("snapshot", &states);
    call(Pacemaker, "start").gives(0);
    for dialect in BOTH {
        let before = tick(&vm);
        call(dialect, "stop").gives(0);
        let image = states.join(spelled(dialect));
        assert_eq!(form(&image), SPARSE);
        let takes = std::fs::metadata(&image).unwrap();
        assert!(takes.size() > 64 << 20 && takes.blocks() * 512 < takes.size(), "{takes:?}");
        call(dialect, "start").gives(0);
        goes_on(&vm, &before);
    }
}

#[test]
#[ignore = "by make test-trixie"]
fn memory_is_written_by_several_channels_and_a_start_needs_no_parameter_to_read_it() {
    let host = Host::with("libvirt,trixie");
    let states = folder(&host);
    let vm = host.guest("a").polite().full().written();
    vm.call(Pacemaker, "start").param("snapshot", &states).gives(0);
    for (dialect, use_virsh, channels) in [(Pacemaker, "no", 1), (Rgmanager, "no", 3), (Pacemaker, "yes", 3)] {
        let call = |action| vm.call(dialect, action).param("snapshot", &states).param("use_virsh", use_virsh);
        let by_channels = |action| call(action).param("snapshot_channels", channels.to_string());
        let before = tick(&vm);
        let validated = by_channels("validate-all").depth(10).gives(0);
        assert!(!validated.stderr.contains("snapshot_channels"), "{validated}");
        let stopped = by_channels("stop").gives(0);
        assert!(!stopped.stderr.contains("snapshot_channels"), "{stopped}");
        assert_eq!((form(&states.join(spelled(dialect))), files(&states).len()), (SPARSE, 1));
        let record = std::fs::read_to_string(states.join(".a.saved")).unwrap();
        assert!(record.contains(&format!("\"channels\":{channels}")), "{record}");
        call("start").gives(0);
        assert!(was_restored(&vm));
        goes_on(&vm, &before);
        assert_eq!(files(&states), [""; 0]);
    }
}

/// QEMU itself writes a sparse image, with a thread for each channel: it cannot be ended before the storage answers.
#[test]
#[ignore = "by make test-trixie"]
fn a_stop_whose_storage_hangs_under_a_sparse_save_says_in_time_what_it_waits_for() {
    let host = Host::with("libvirt,trixie");
    let storage = Hanging::mounted(&host);
    let vm = host.guest("a").polite().option("--mem", "640").option("--full", "512").written();
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &storage.point);
        call("start").gives(0);
        vm.ticks();
        let stop = call("stop").param("snapshot_channels", "2").timeout(30.0).spawn();
        until(20, "the channels", || {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", vm.qemu().pid)).ok()?;
            let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
            (names.filter(|name| name.starts_with("mig/src/send")).count() == 2).then_some(())
        });
        storage.hangs("write");
        let answer = stop.answer();
        assert_eq!(answer.code, 1, "{answer}");
        answer.tells(&[
            "its memory was not saved: it took too long",
            "it waits for a device, or for storage that is gone",
        ]);
        storage.answers();
        until(20, "its end", || (!vm.lives()).then_some(()));
        call("stop").gives(0);
        assert_eq!(files(&storage.folder), [""; 0]);
        forget_console(&vm);
    }
}

#[test]
#[ignore = "by make test-trixie"]
fn a_sparse_save_to_slow_storage_is_aborted_when_half_of_the_time_is_over_and_the_guest_shuts_down() {
    let host = Host::with("libvirt,trixie");
    let storage = Hanging::mounted(&host);
    let vm = host.guest("a").polite().full().written();
    storage.hangs("slow");
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &storage.point);
        call("start").gives(0);
        let before = tick(&vm);
        let answer = call("stop").param("snapshot_channels", "2").timeout(60.0).gives(0);
        answer.tells(&["its memory was not saved: it took too long, and was aborted"]);
        assert!(host.console("a").contains(&format!("button {}", before.0)), "the guest was not asked");
        assert_eq!(files(&storage.folder), [""; 0]);
        forget_console(&vm);
    }
}

#[test]
#[ignore = "by make test-trixie"]
fn of_fifty_sparse_saves_that_are_killed_at_random_times_no_half_image_is_ever_restored() {
    killed_fifty_times(&Host::with("libvirt,trixie"), "2");
}

/// The first host's libvirt cannot read such an image, and leaves it to the second.
#[test]
#[ignore = "by make test-trixie"]
fn a_host_with_an_older_libvirt_leaves_a_sparse_image_to_those_that_can_read_it() {
    let cluster = Cluster::with("ssh,libvirt,mixed");
    let states = folder(cluster.host(1));
    let vm = cluster.host(2).guest("a").polite().full().written();
    let call = |host: usize, dialect, action| {
        let call = cluster.host(host).call(dialect, action).named("a").param("path", &vm.folder);
        call.param("snapshot", &states).param("snapshot_channels", "2")
    };
    for dialect in BOTH {
        call(2, dialect, "start").gives(0);
        let before = tick(&vm);
        call(2, dialect, "stop").gives(0);
        assert_eq!(form(&states.join(spelled(dialect))), SPARSE);
        let told = "it is a sparse image, and libvirt 9.0 has no sparse images, 11.2 has";
        call(1, Human, "explain start").run().shows(&[told]);
        call(1, dialect, "start").param("snapshot_required", "yes").gives(1).says(&[told]);
        assert_eq!(files(&states), [spelled(dialect)]);
        call(2, dialect, "start").gives(0);
        goes_on(&vm, &before);
        // What the older one saves, both can read.
        call(2, dialect, "stop").param("force_stop", "yes").gives(0);
        forget_console(&vm);
        call(1, dialect, "start").gives(0);
        let before = tick(&vm);
        call(1, dialect, "stop").gives(0);
        assert_eq!(form(&states.join(spelled(dialect))), 0);
        call(2, dialect, "start").gives(0);
        goes_on(&vm, &before);
        call(2, dialect, "stop").param("force_stop", "yes").gives(0);
        forget_console(&vm);
    }
}
