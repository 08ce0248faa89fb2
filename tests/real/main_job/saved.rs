// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that a stop saves in the folder of `snapshot`, and that a start restores: never half of it, and never old.

use crate::common::*;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// The image lies in a folder that is each host's own, and the disk on storage that both have.
#[test]
fn an_image_is_stale_once_the_machine_ran_on_another_host() {
    let hosts = Host::several(2, "libvirt");
    for host in &hosts {
        host.run("mkdir", &["-m", "700", "/var/lib/states"]);
    }
    let disk = hosts[0].shared().join("disk.img");
    hosts[0].run("truncate", &["--size=8M", disk.to_str().unwrap()]);
    let vm = hosts[0].guest("a").writing_on(&disk).written();
    for dialect in BOTH {
        let call = |host: usize, action| {
            hosts[host].call(dialect, action).named("a").param("path", &vm.folder).param("snapshot", "/var/lib/states")
        };
        call(0, "start").gives(0);
        vm.says("wrote");
        call(0, "stop").gives(0);
        assert_eq!(hosts[0].run("ls", &["/var/lib/states"]), spelled(dialect));
        call(1, "start").gives(0);
        let written = || hosts[0].console("a").matches("wrote").count();
        let before = written();
        until(60, "the guest on the other host", || (written() > before).then_some(()));
        call(1, "stop").param("force_stop", "yes").gives(0);
        let required = call(0, "start").param("snapshot_required", "yes").gives(1);
        required.says(&["snapshot_required", "disk.img was written since"]);
        assert_eq!(vm.state(), "absent");
        let answer = call(0, "start").gives(0);
        assert!(dialect == Rgmanager || answer.stderr.contains("was set aside"), "{answer}");
        assert!(!was_restored(&vm));
        let left = hosts[0].run("ls", &["/var/lib/states"]);
        assert!(left.starts_with(&format!("{}.aside-", spelled(dialect))) && left.lines().count() == 1, "{left}");
        hosts[0].run("sh", &["-c", "rm /var/lib/states/*"]);
        vm.destroy();
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

#[test]
fn what_is_not_the_image_of_this_definition_and_run_is_set_aside_and_kept() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").written();
    let text = std::fs::read_to_string(&vm.file).unwrap();
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &states);
        let image = states.join(spelled(dialect));
        let aside = |why: &str| {
            let required = call("start").param("snapshot_required", "yes").gives(1);
            required.says(&["'a' was not started (snapshot_required)"]);
            assert!(!vm.lives());
            let answer = call("start").gives(0);
            assert!(dialect == Rgmanager || answer.stderr.contains(why), "{answer}");
            assert!(!was_restored(&vm));
            let [left] = &files(&states)[..] else { panic!("{:?}", files(&states)) };
            assert!(left.starts_with(&format!("{}.aside-", spelled(dialect))), "{left}");
            std::fs::remove_file(states.join(left)).unwrap();
            vm.destroy();
        };
        let saved = || {
            call("start").gives(0);
            call("stop").gives(0);
            assert!(image.exists());
        };
        // The definition has changed, after the save; and before it, which saves nothing.
        saved();
        std::fs::write(&vm.file, text.replace("<on_reboot>restart", "<on_reboot>destroy")).unwrap();
        aside("the definition was changed since");
        call("start").gives(0);
        std::fs::write(&vm.file, &text).unwrap();
        let answer = call("stop").timeout(8.0).gives(0);
        assert!(dialect == Rgmanager || answer.to_string().contains("its definition was changed since"), "{answer}");
        assert_eq!(files(&states), [""; 0]);
        // As the predecessors have it, without a record.
        std::fs::remove_file(states.join(".a.saved")).unwrap();
        host.virsh(&["create", vm.file.to_str().unwrap()]);
        host.virsh(&["save", "a", image.to_str().unwrap()]);
        aside("it has no record");
        // Cut, with the record of the whole.
        saved();
        host.run("truncate", &["--size=-1", image.to_str().unwrap()]);
        aside("its record tells of another image");
        // A restore was begun, and its agent did not live to see what came of it.
        saved();
        std::fs::rename(&image, states.join(".a.restoring")).unwrap();
        aside("a restore from it was begun");
        // A machine that runs nevertheless has used it.
        saved();
        host.virsh(&["restore", image.to_str().unwrap()]);
        std::fs::rename(&image, states.join(".a.restoring")).unwrap();
        call("start").gives(0);
        assert_eq!(files(&states), [""; 0]);
        vm.destroy();
    }
}

#[test]
fn a_restore_that_fails_keeps_the_image_and_starts_afresh_unless_that_is_not_wanted() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").written();
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &states);
        let image = states.join(spelled(dialect));
        let broken = || {
            call("start").gives(0);
            call("stop").gives(0);
            // Its end is lost, as by a disk that forgot it: by size, time and header it is what was written.
            let break_it = "touch -r \"$1\" /tmp/time && size=$(stat -c %s \"$1\") && truncate --size=20000 \"$1\" && \
                            truncate --size=$size \"$1\" && touch -r /tmp/time \"$1\"";
            host.run("sh", &["-c", break_it, "sh", image.to_str().unwrap()]);
        };
        broken();
        let required = call("start").param("snapshot_required", "1").gives(1);
        required.says(&["'a' was not started (snapshot_required)", "it could not be restored"]);
        assert_eq!(files(&states), [".a.restoring"]);
        call("start").param("snapshot_required", "1").gives(1).says(&["a restore from it was begun"]);
        let answer = call("start").gives(0);
        assert!(dialect == Rgmanager || answer.stderr.contains("a restore from it was begun"), "{answer}");
        vm.destroy();
        std::fs::remove_file(states.join(&files(&states)[0])).unwrap();
        broken();
        let answer = call("start").gives(0);
        assert!(dialect == Rgmanager || answer.stderr.contains("it could not be restored"), "{answer}");
        assert!(!was_restored(&vm));
        let [left] = &files(&states)[..] else { panic!("{:?}", files(&states)) };
        assert!(left.starts_with(&format!("{}.aside-", spelled(dialect))), "{left}");
        std::fs::remove_file(states.join(left)).unwrap();
        vm.destroy();
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

#[test]
fn a_folder_that_cannot_be_trusted_or_read_is_told_of_and_nothing_is_followed_out_of_it() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").written();
    let secret = host.file("secret", "kept");
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &states);
        let missing = states.join("missing");
        let elsewhere = |action| vm.call(dialect, action).param("snapshot", &missing);
        elsewhere("start").gives(1).says(&["there is no folder"]);
        elsewhere("validate-all").depth(10).gives(5).says(&["snapshot: there is no folder"]);
        std::fs::set_permissions(&states, std::fs::Permissions::from_mode(0o777)).unwrap();
        call("start").gives(1).says(&["others may write in the folder"]);
        call("validate-all").depth(10).gives(5).says(&["others may write in the folder"]);
        assert!(!vm.lives());
        std::fs::set_permissions(&states, std::fs::Permissions::from_mode(0o700)).unwrap();
        call("validate-all").depth(10).gives(0);
        // Links in the places of all that is written there.
        let links = [spelled(dialect), ".a.node1.partial", ".a.h1.partial", ".a.saved"];
        for link in links {
            std::os::unix::fs::symlink(&secret, states.join(link)).unwrap();
        }
        call("start").gives(0);
        let answer = call("stop").timeout(8.0).gives(0);
        assert!(dialect == Rgmanager || answer.to_string().contains("is there already"), "{answer}");
        std::fs::remove_file(states.join(spelled(dialect))).unwrap();
        call("start").gives(0);
        call("stop").gives(0);
        assert!(std::fs::symlink_metadata(states.join(spelled(dialect))).unwrap().is_file());
        call("start").gives(0);
        assert!(was_restored(&vm));
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "kept");
        vm.destroy();
        for file in std::fs::read_dir(&states).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
    // A block device does not tell when it was written, and the folder is only this host's.
    let block = "<disk type='block'><source dev='/dev/ram0'/><target dev='vda' bus='virtio'/></disk>";
    let vm = host.guest("b").edit("<controller", &format!("{block}<controller")).written();
    let validated = vm.call(Pacemaker, "validate-all").depth(10).param("snapshot", &states).run();
    assert!(validated.stderr.contains("vda does not tell if it was written since"), "{validated}");
}

/// What lies in the folder tells what a start may do: only a whole image with its record is restored, and an agent that was
/// killed at any moment leaves either that or none.
#[test]
fn of_fifty_saves_that_are_killed_at_random_times_no_half_image_is_ever_restored() {
    let host = Host::up();
    let states = folder(&host);
    let vm = host.guest("a").option("--mem", "64").written();
    let call = |dialect, action| vm.call(dialect, action).param("snapshot", &states);
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
        std::thread::sleep(Duration::from_secs(1));
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
