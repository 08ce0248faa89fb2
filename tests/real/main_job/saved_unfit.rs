// SPDX-License-Identifier: GPL-2.0-or-later
//! Images in the folder of `snapshot` that no start restores: of another run, another definition, without a record, or in a
//! folder that cannot be trusted.

use super::saved::{files, folder, spelled, was_restored};
use crate::common::*;
use std::os::unix::fs::PermissionsExt;

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

/// By the file that it is: its memory may lie in a folder of this host alone, and is stale once that was written.
#[test]
fn the_memory_of_a_machine_on_a_volume_of_a_pool_is_stale_once_that_was_written() {
    let host = Host::up();
    let (states, pool) = (folder(&host), host.folder("pool"));
    std::fs::write(pool.join("volume"), vec![0; 1 << 20]).unwrap();
    host.virsh(&["pool-define-as", "images", "dir", "--target", pool.to_str().unwrap()]);
    host.virsh(&["pool-start", "images"]);
    let guest = host.guest("a").option("--disk", "/disk.img").edit("<disk type='file'", "<disk type='volume'");
    let vm = guest.edit("file='/disk.img'", "pool='images' volume='volume'").written();
    for dialect in BOTH {
        let call = |action| vm.call(dialect, action).param("snapshot", &states);
        let validated = call("validate-all").depth(10).gives(0);
        assert!(!validated.stderr.contains("would not be saved"), "{validated}");
        call("start").gives(0);
        call("stop").gives(0);
        assert_eq!(files(&states), [spelled(dialect)]);
        call("start").gives(0);
        assert!(was_restored(&vm));
        call("stop").gives(0);
        host.run("touch", &[pool.join("volume").to_str().unwrap()]);
        call("start").gives(0).tells(if dialect == Pacemaker { &["volume was written since"] } else { &[] });
        assert!(!was_restored(&vm));
        vm.destroy();
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
