// SPDX-License-Identifier: GPL-2.0-or-later
//! What goes with a machine besides its disks: the state of its TPM, its firmware's variables, saved memory, overlays.

use super::saved::{forget_console, goes_on, tick};
use crate::common::*;

#[test]
fn the_state_of_an_emulated_tpm_outlives_a_stop() {
    let host = Host::up();
    let vm = host.guest("a").edit("<devices>", TPM).written();
    let uuid = tag(&std::fs::read_to_string(&vm.file).unwrap(), "uuid");
    // One that a persistent definition had before is the same machine's.
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    host.virsh(&["start", "a"]);
    vm.destroy();
    let first = tpm_state(&host, &uuid).expect("a persistent domain keeps it");
    host.virsh(&["undefine", "a", "--keep-tpm"]);
    for dialect in [Rgmanager, Pacemaker, VirtualDomain, Human] {
        for use_virsh in ["no", "yes"] {
            vm.call(dialect, "start").param("use_virsh", use_virsh).gives(0);
            assert!(vm.live_xml().contains("persistent_state='yes'"));
            vm.call(dialect, "stop").param("force_stop", "yes").gives(0);
            let now = tpm_state(&host, &uuid).expect("the state is kept");
            assert!(alike(&first, &now) > 80, "another TPM: {} %", alike(&first, &now));
        }
    }
    vm.call(Pacemaker, "start").gives(0);
    vm.call(Pacemaker, "restart").param("force_stop", "yes").gives(0);
    vm.call(Pacemaker, "kill").gives(0);
    assert!(alike(&first, &tpm_state(&host, &uuid).unwrap()) > 80);
}

#[test]
fn a_tpm_whose_definition_gives_its_state_up_is_left_to_that_and_validate_all_says_so() {
    let host = Host::up();
    let given_up = TPM.replace("version", "persistent_state='no' version");
    let vm = host.guest("a").edit("<devices>", &given_up).written();
    let uuid = tag(&std::fs::read_to_string(&vm.file).unwrap(), "uuid");
    let answer = vm.call(Pacemaker, "validate-all").gives(0);
    assert!(answer.stderr.contains("each stop deletes the state of its emulated TPM"), "{answer}");
    vm.call(Pacemaker, "start").gives(0);
    let first = tpm_state(&host, &uuid).unwrap();
    let answer = vm.call(Human, "status").gives(0);
    assert!(answer.stdout.contains("its stop deletes the state of its emulated TPM"), "{answer}");
    vm.call(Pacemaker, "stop").param("force_stop", "yes").gives(0);
    assert_eq!(tpm_state(&host, &uuid), None);
    vm.call(Pacemaker, "start").gives(0);
    let other = tpm_state(&host, &uuid).unwrap();
    assert!(alike(&first, &other) < 80, "the test cannot tell one TPM from another: {} %", alike(&first, &other));
}

#[test]
fn the_variables_of_a_firmware_outlive_a_stop() {
    let host = Host::up();
    let (code, vars) = (host.shared().join("code.fd"), host.shared().join("vars.fd"));
    std::fs::write(&code, vec![0; 1 << 20]).unwrap();
    std::fs::write(&vars, vec![7; 128 << 10]).unwrap();
    let firmware = format!(
        "<loader readonly='yes' type='pflash'>{}</loader><nvram template='{}'/></os>",
        code.display(),
        vars.display()
    );
    let vm = host.guest("a").edit("</os>", &firmware).written();
    let answer = vm.call(Pacemaker, "validate-all").gives(0);
    assert!(answer.stderr.contains("(NVRAM) are each node's own, unless /var/lib/libvirt/qemu/nvram"), "{answer}");
    for dialect in BOTH {
        vm.call(dialect, "start").gives(0);
        let path = "/var/lib/libvirt/qemu/nvram/a_VARS.fd";
        host.run("sh", &["-c", "printf written | dd of=\"$1\" conv=notrunc status=none", "sh", path]);
        vm.call(dialect, "stop").param("force_stop", "yes").gives(0);
        vm.call(dialect, "start").gives(0);
        assert_eq!(host.run("head", &["-c", "7", path]), "written");
        vm.call(dialect, "restart").param("force_stop", "yes").gives(0);
        assert_eq!(host.run("head", &["-c", "7", path]), "written");
        vm.destroy();
    }
}

#[test]
fn a_tpm_without_a_uuid_is_told_of() {
    let host = Host::up();
    let xml = host.guest("a").edit("<devices>", TPM).xml();
    let uuid = format!("<uuid>{}</uuid>", tag(&xml, "uuid"));
    let vm = host.guest("a").edit("<devices>", TPM).edit(&uuid, "").written();
    vm.call(Pacemaker, "validate-all").gives(1).says(&["emulated TPM and no <uuid>"]);
    let answer = vm.call(Pacemaker, "start").gives(0);
    assert!(answer.stderr.contains("emulated TPM and no <uuid>"), "{answer}");
}

/// Whether libvirt has saved memory of it.
fn is_saved(vm: &Vm<'_>) -> bool {
    vm.host.virsh(&["dominfo", &vm.name]).lines().any(|line| line.starts_with("Managed save:") && line.ends_with("yes"))
}

/// A machine of libvirt's own definition whose memory was saved, as libvirt-guests does it at a shutdown.
fn saved(vm: &Vm<'_>) {
    vm.host.virsh(&["define", vm.file.to_str().unwrap()]);
    if vm.state() != "running" {
        vm.host.virsh(&["start", &vm.name]);
    }
    vm.host.virsh(&["managedsave", &vm.name]);
    assert!(is_saved(vm) && !vm.lives());
}

#[test]
fn saved_memory_is_neither_restored_nor_passed_by_without_being_told_to() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in [Rgmanager, Pacemaker, Human] {
        for use_virsh in ["no", "yes"] {
            // From libvirt's own definition, and from a file beside it.
            for from_file in [false, true] {
                saved(&vm);
                let call = |action: &str| {
                    let call = if from_file { vm.call(dialect, action) } else { vm.call_by_name(dialect, action) };
                    call.param("use_virsh", use_virsh)
                };
                for words in [None, Some("refuse")] {
                    let start = words.iter().fold(call("start"), |call, words| call.param("saved_memory", words));
                    let out = ["saved memory", "virsh start, saved_memory=use", "virsh managedsave-remove, =drop"];
                    start.gives(1).says(&out).within(5.0);
                    assert!(is_saved(&vm) && !vm.lives());
                }
                let answer = call("start").param("saved_memory", "use").gives(0);
                assert!(answer.to_string().contains("restored from its saved memory"), "{answer}");
                assert!(vm.lives() && !is_saved(&vm));
                host.virsh(&["managedsave", "a"]);
                let answer = call("start").param("saved_memory", "drop").gives(0);
                let told = answer.stderr.contains("discarded") || dialect == Rgmanager;
                assert!(told && !answer.to_string().contains("restored"), "{answer}");
                assert!(vm.lives() && !is_saved(&vm));
                vm.destroy();
            }
        }
    }
    // Only what was restored goes on where it was.
    host.virsh(&["undefine", "a"]);
    let vm = host.guest("a").polite().written();
    saved(&vm);
    forget_console(&vm);
    vm.call_by_name(Pacemaker, "start").param("saved_memory", "drop").gives(0);
    let before = tick(&vm);
    host.virsh(&["managedsave", "a"]);
    vm.call_by_name(Pacemaker, "start").param("saved_memory", "use").gives(0);
    goes_on(&vm, &before);
}

#[test]
fn a_restart_that_would_find_saved_memory_stops_nothing() {
    let host = Host::up();
    let vm = host.guest("a").written();
    saved(&vm);
    // Somebody has passed it by.
    let vm = vm.created();
    let first = vm.qemu().pid;
    for dialect in BOTH {
        vm.call(dialect, "restart").param("force_stop", "yes").gives(1).says(&["saved memory"]);
        assert_eq!(vm.qemu().pid, first);
    }
    let answer = vm.call(Human, "status").gives(0);
    assert!(answer.stdout.contains("libvirt has saved its memory"), "{answer}");
    vm.call(Pacemaker, "validate-all").depth(10).gives(1).says(&["saved memory"]);
    vm.call(Pacemaker, "restart").param("force_stop", "yes").param("saved_memory", "drop").gives(0);
    assert!(vm.lives() && !is_saved(&vm));
    vm.call(Pacemaker, "validate-all").param("saved_memory", "perhaps").gives(6).says(&["refuse, use or drop"]);
}

#[test]
fn an_overlay_that_was_made_behind_the_definition_is_told_of_and_no_start_runs_from_the_base_image() {
    let host = Host::up();
    let base = host.shared().join("a.qcow2");
    let image = |words: &[&str]| host.run("qemu-img", words);
    image(&["create", "-q", "-f", "qcow2", base.to_str().unwrap(), "8M"]);
    let vm = host.guest("a").option("--disk", base.to_str().unwrap()).written();
    let record = "/var/lib/vm-agent/a.disks";
    for dialect in BOTH {
        vm.call(dialect, "start").gives(0);
        vm.watch(Pacemaker).gives(0);
        let overlay = host.shared().join("overlay.qcow2");
        let spec = format!("vda,file={}", overlay.display());
        let snapshot = ["snapshot-create-as", "a", "one", "--disk-only", "--no-metadata", "--diskspec", spec.as_str()];
        host.virsh(&snapshot);
        // Told once, to the cluster, and by hand as long as it is so.
        vm.call(Human, "monitor").gives(0);
        let told = ["vda of 'a' runs from", overlay.to_str().unwrap()];
        vm.watch(Pacemaker).gives(190).says(&told[..1]);
        vm.watch(Pacemaker).gives(0);
        let status = vm.call(Human, "status").gives(0);
        assert!(told.iter().all(|word| status.stdout.contains(word)), "{status}");
        vm.call(dialect, "restart").param("force_stop", "yes").gives(1).says(&["not stopped", told[0]]);
        assert!(vm.lives());
        vm.call(dialect, "stop").param("force_stop", "yes").gives(0).tells(&["ERROR", told[0]]);
        // Neither dialect starts it from the image below, which would be written.
        for starter in BOTH {
            vm.call(starter, "start").gives(1).says(&["'a' was not started: its vda ran from"]);
        }
        assert!(!vm.lives());
        vm.call(dialect, "stop").gives(0);
        // Committed, and the record taken away.
        image(&["commit", "-q", overlay.to_str().unwrap()]);
        host.run("rm", &[record, overlay.to_str().unwrap()]);
        vm.call(dialect, "start").gives(0);
        // A commit of the running machine brings it back to what the definition says.
        host.virsh(&snapshot);
        vm.watch(Pacemaker).gives(190);
        host.virsh(&["blockcommit", "a", "vda", "--active", "--pivot", "--wait"]);
        vm.watch(Pacemaker).gives(0);
        vm.call(dialect, "stop").param("force_stop", "yes").gives(0);
        vm.call(dialect, "start").gives(0);
        vm.call(dialect, "kill").gives(0);
        host.run("rm", &["-f", overlay.to_str().unwrap()]);
    }
    // A definition that names the overlay settles it as well.
    vm.call(Pacemaker, "start").gives(0);
    let overlay = host.shared().join("kept.qcow2");
    let spec = format!("vda,file={}", overlay.display());
    host.virsh(&["snapshot-create-as", "a", "two", "--disk-only", "--no-metadata", "--diskspec", &spec]);
    vm.call(Pacemaker, "kill").gives(0);
    vm.call(Pacemaker, "start").gives(1);
    let text = std::fs::read_to_string(&vm.file).unwrap();
    std::fs::write(&vm.file, text.replace(base.to_str().unwrap(), overlay.to_str().unwrap())).unwrap();
    vm.call(Pacemaker, "start").gives(0);
    // One that ends by itself, and that no stop saw: the monitor has put the overlay on record.
    let spec = format!("vda,file={}", host.shared().join("third.qcow2").display());
    host.virsh(&["snapshot-create-as", "a", "three", "--disk-only", "--no-metadata", "--diskspec", &spec]);
    vm.watch(Pacemaker).gives(190);
    vm.destroy();
    vm.watch(Pacemaker).gives(7);
    vm.call(Pacemaker, "stop").gives(0);
    vm.call(Pacemaker, "start").gives(1).says(&["'a' was not started: its vda ran from"]);
    // A record that was lost in part is no leave to start.
    host.run("truncate", &["--size=9", record]);
    vm.call(Pacemaker, "start").gives(1).says(&[record, "cannot be read"]);
    assert!(!vm.lives());
}
