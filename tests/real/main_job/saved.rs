// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that a stop saves in the folder of `snapshot`, and that a start restores.

use crate::common::*;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder of root's alone that all hosts see.
pub(super) fn folder(host: &Host) -> PathBuf {
    let folder = host.folder("states");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// The names in it, but for the record, which stays.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != ".a.saved").collect();
    names.sort();
    names
}

/// The name of the image in each manager's words.
pub(super) fn spelled(dialect: Dialect) -> &'static str {
    match dialect {
        Rgmanager => "a",
        Pacemaker | VirtualDomain | Ocf | Human => "a.state",
    }
}

/// The boot of the guest and the number of its last whole tick.
pub(super) fn tick(vm: &Vm<'_>) -> (String, u64) {
    until(60, "a tick", || {
        let console = vm.host.console(&vm.name).replace('\r', "");
        let (whole, _) = console.rsplit_once('\n')?;
        let words: Vec<&str> = whole.lines().rev().find(|line| line.starts_with("tick "))?.split(' ').collect();
        Some((words[1].to_owned(), words[2].parse().unwrap()))
    })
}

pub(super) fn goes_on(vm: &Vm<'_>, (boot, number): &(String, u64)) {
    let now = until(30, "a further tick", || Some(tick(vm)).filter(|now| now.1 != *number));
    assert!(now.0 == *boot && now.1 > *number, "{now:?} after {number} of boot {boot}");
}

/// The process by which libvirt writes what it saves: it appears when a save begins, and ends with it.
pub(super) fn helper(host: &Host) -> Process {
    until(20, "libvirt's helper", || host.processes(|args| args[0].ends_with(b"libvirt_iohelper")).into_iter().next())
}

/// What comes next on its console is the next guest's.
pub(super) fn forget_console(vm: &Vm<'_>) {
    std::fs::remove_file(vm.host.shared().join(format!("console-{}.log", vm.name))).unwrap();
}

/// Whether it was restored, by its own process: libvirt gives it the memory as one that comes in.
pub(super) fn was_restored(vm: &Vm<'_>) -> bool {
    let arguments = std::fs::read(format!("/proc/{}/cmdline", vm.qemu().pid)).unwrap();
    arguments.split(|byte| *byte == 0).any(|word| word == b"-incoming")
}

/// The form of an image, by libvirt's number: 0 is plain, 6 is sparse.
pub(super) fn form(image: &Path) -> u32 {
    let mut header = [0; 32];
    std::fs::File::open(image).unwrap().read_exact(&mut header).unwrap();
    u32::from_ne_bytes(header[28..].try_into().unwrap())
}

fn with_disk<'a>(guest: Guest<'a>, host: &Host) -> Vm<'a> {
    let disk = host.shared().join("disk.img");
    host.run("truncate", &["--size=8M", disk.to_str().unwrap()]);
    guest.option("--disk", disk.to_str().unwrap()).written()
}

#[test]
fn a_saved_guest_goes_on_where_it_was_and_its_image_goes_away_once_it_runs() {
    let host = Host::up();
    let states = folder(&host);
    let vm = with_disk(host.guest("a").polite().full(), &host);
    vm.call(Pacemaker, "start").param("snapshot", &states).gives(0);
    vm.ticks();
    // Whoever saves, both restore; by the worker and by virsh, from a file and from libvirt's own definition.
    for (stopper, starter, use_virsh) in [
        (Pacemaker, Pacemaker, "no"),
        (Rgmanager, Rgmanager, "1"),
        (Rgmanager, Pacemaker, "no"),
        (Human, Rgmanager, "no"),
    ] {
        let call = |dialect, action| vm.call(dialect, action).param("snapshot", &states).param("use_virsh", use_virsh);
        let before = tick(&vm);
        let explained = call(Human, "explain stop").run();
        explained.shows(&["save its memory to the folder of snapshot"]);
        let image = states.join(spelled(stopper));
        let answer = call(stopper, "stop").gives(0);
        assert!(
            stopper == Rgmanager || answer.to_string().contains(&format!("was saved to {}", image.display())),
            "{answer}"
        );
        assert_eq!((vm.state().as_str(), files(&states)), ("absent", vec![spelled(stopper).to_owned()]));
        assert_eq!(std::fs::metadata(&image).unwrap().mode() & 0o7777, 0o600);
        vm.watch(stopper).gives(7);
        call(Human, "explain start").run().shows(&["\nsaved memory: ", "restore it from its memory there"]);
        let answer = call(starter, "start").gives(0);
        assert!(starter == Rgmanager || answer.to_string().contains("was restored from its memory"), "{answer}");
        goes_on(&vm, &before);
        assert_eq!(files(&states), [""; 0]);
        assert!(was_restored(&vm));
        vm.watch(starter).gives(0);
    }
    let marked = vm.live_xml();
    assert!(marked.contains("generation=\"5\"") || marked.contains("generation='5'"), "{marked}");
    // Without the parameter it is shut down, and starts afresh.
    let before = tick(&vm);
    vm.call(Pacemaker, "stop").gives(0);
    vm.call(Pacemaker, "start").param("snapshot", &states).gives(0);
    until(60, "another boot", || (tick(&vm).0 != before.0).then_some(()));
}

#[test]
fn libvirts_own_definition_is_saved_and_restored_too() {
    let host = Host::up();
    let states = folder(&host);
    let vm = with_disk(host.guest("a").polite().full(), &host);
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    for dialect in BOTH {
        let call = |action| vm.call_by_name(dialect, action).param("snapshot", &states);
        call("start").gives(0);
        vm.ticks();
        let before = tick(&vm);
        call("stop").gives(0);
        let answer = call("start").gives(0);
        assert!(was_restored(&vm), "{answer}");
        goes_on(&vm, &before);
        call("stop").gives(0);
        // Another definition.
        let edit = format!(
            "virsh dumpxml --inactive a | sed '/<title>/d; s|<vcpu|<title>{dialect:?}</title><vcpu|' >/tmp/a.xml && virsh define /tmp/a.xml"
        );
        host.run("sh", &["-c", &edit]);
        call("start").gives(0).tells(if dialect == Pacemaker { &["the definition was changed"] } else { &[] });
        assert!(!was_restored(&vm) && files(&states).len() == 1, "{:?}", files(&states));
        std::fs::remove_file(states.join(&files(&states)[0])).unwrap();
        vm.destroy();
        forget_console(&vm);
    }
}

#[test]
fn nothing_is_saved_by_kill_restart_or_force_nor_by_a_start_or_monitor() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").written();
    let call = |dialect, action| vm.call(dialect, action).param("snapshot", &states);
    for dialect in BOTH {
        call(dialect, "start").gives(0);
        call(dialect, "status").gives(0);
        call(dialect, "restart").timeout(12.0).gives(0);
        assert!(!was_restored(&vm));
        call(dialect, "stop").param("force_stop", "yes").gives(0);
        call(dialect, "start").gives(0);
        call(dialect, "kill").gives(0);
        assert_eq!(files(&states), [""; 0]);
    }
}

#[test]
fn in_a_shared_folder_each_host_restores_what_another_has_saved_and_only_once() {
    let hosts = Host::several(2, "libvirt");
    let states = folder(&hosts[0]);
    let vm = with_disk(hosts[0].guest("a").polite().full(), &hosts[0]);
    let call = |host: usize, dialect, action| {
        hosts[host].call(dialect, action).named("a").param("path", &vm.folder).param("snapshot", &states)
    };
    call(0, Pacemaker, "start").gives(0);
    vm.ticks();
    for dialect in BOTH {
        let before = tick(&vm);
        call(0, dialect, "stop").gives(0);
        let image = states.join(spelled(dialect));
        let (copy, record) = (states.join("copy"), states.join(".a.saved"));
        let keep = |from: &Path, to: &Path| hosts[0].run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
        keep(&image, &copy);
        let old_record = std::fs::read(&record).unwrap();
        call(1, dialect, "start").gives(0);
        goes_on(&vm, &before);
        call(1, dialect, "stop").gives(0);
        let before = tick(&vm);
        // An older image in the place of the last one, and its record with it or not.
        keep(&image, &states.join("last"));
        let last_record = std::fs::read(&record).unwrap();
        keep(&copy, &image);
        call(0, Human, "explain start").run().shows(&["cannot be restored: its record tells of another image"]);
        keep(&states.join("last"), &image);
        std::fs::write(&record, &old_record).unwrap();
        call(0, Human, "explain start").run().shows(&["cannot be restored: its record tells of another image"]);
        std::fs::write(&record, &last_record).unwrap();
        call(0, dialect, "start").gives(0);
        goes_on(&vm, &before);
        for file in files(&states) {
            std::fs::remove_file(states.join(file)).unwrap();
        }
    }
}

/// What a machine of 128 MiB has is saved as ever, and validate-all takes nothing for wrong.
#[test]
fn where_libvirt_has_no_sparse_images_a_stop_saves_in_the_usual_form_and_says_so() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").polite().written();
    for (dialect, use_virsh) in [(Pacemaker, "no"), (Rgmanager, "yes")] {
        let call = |action| vm.call(dialect, action).param("snapshot", &states).param("use_virsh", use_virsh);
        let by_channels = |action| call(action).param("snapshot_channels", "2");
        call("start").gives(0);
        let before = tick(&vm);
        let told =
            "snapshot_channels=2 is not used, memory is saved in the usual form: libvirt 9.0 has no sparse images";
        by_channels("validate-all").depth(10).gives(0).tells(&[told]);
        by_channels("stop").gives(0).tells(&[told]);
        assert_eq!((form(&states.join(spelled(dialect))), files(&states).len()), (0, 1));
        by_channels("start").gives(0);
        assert!(was_restored(&vm));
        goes_on(&vm, &before);
        vm.destroy();
        forget_console(&vm);
    }
}
