// SPDX-License-Identifier: GPL-2.0-or-later
//! The definition's file is gone or broken, and names that are nearly the same.

use super::daemon::well;
use super::trial::{After::*, Fault, expect, machines};
use crate::common::*;

/// What becomes of a machine whose definition cannot be used: it is watched and stopped as ever, and not started.
fn without(fault: Fault<'_>, says: &str) {
    let text = std::sync::OnceLock::new();
    let path = |host: &Host| host.shared().join("vms-a/a.xml");
    let clear = |host: &Host| {
        if let Some(text) = text.get() {
            std::fs::write(path(host), text).unwrap();
        }
    };
    let keep = |host: &Host| {
        text.get_or_init(|| std::fs::read_to_string(path(host)).unwrap());
    };
    let half = says != "has no definition";
    let set = |host: &Host, _: Option<&Process>| {
        keep(host);
        if half {
            let text = text.get().unwrap();
            std::fs::write(path(host), &text[..text.len() / 2]).unwrap();
        } else {
            let _ = std::fs::remove_file(path(host));
        }
    };
    well(fault).set(set).clear(clear).start(expect(&[5], (0.5, 30.0), Gone, &[says])).play();
}

#[test]
fn a_definition_that_was_removed_keeps_nothing_but_the_next_start_from_working() {
    let host = Host::up();
    without(Fault::new(&host, 21, "definition removed"), "has no definition");
}

#[test]
fn a_definition_that_is_half_written_keeps_nothing_but_the_next_start_from_working() {
    let host = Host::up();
    without(Fault::new(&host, 22, "definition half written"), "a.xml: ");
}

#[test]
fn a_machine_is_found_by_its_mark_when_only_the_lost_definition_told_its_name() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let call = |action: &str| vm.call_by_file(action).timeout(8.0);
    for text in [None, Some("<domain type='qemu'><na")] {
        let definition = std::fs::read_to_string(&vm.file).unwrap();
        call("start").timeout(30.0).gives(0);
        match text {
            None => std::fs::remove_file(&vm.file).unwrap(),
            Some(text) => std::fs::write(&vm.file, text).unwrap(),
        }
        call("monitor").gives(0);
        call("monitor").recurring().gives(0);
        call("stop").gives(0);
        assert_eq!(machines(&host), [0; 0]);
        call("start").gives(5);
        // Somebody else's machine is none of this resource's.
        std::fs::write(host.shared().join("b.xml"), host.guest("b").xml()).unwrap();
        host.virsh(&["create", host.shared().join("b.xml").to_str().unwrap()]);
        call("stop").gives(0).within(2.5);
        call("monitor").gives(7).within(2.5);
        assert_eq!(host.state("b"), "running");
        host.virsh(&["destroy", "b"]);
        std::fs::write(&vm.file, definition).unwrap();
    }
}

#[test]
fn machines_whose_names_begin_alike_are_not_taken_for_each_other() {
    let host = Host::up();
    let others: Vec<Vm<'_>> = ["a-1", "aa", "A"].into_iter().map(|name| host.guest(name).written().created()).collect();
    let unharmed = || {
        for vm in &others {
            assert!(vm.lives(), "{} was ended", vm.name);
        }
    };
    well(Fault::new(&host, 23, "other machines named a-1, aa, A")).play();
    unharmed();
    host.service("kill", "libvirtd");
    let vm = host.guest("a").written();
    for dialect in BOTH {
        vm.call(dialect, "monitor").timeout(4.0).gives(7);
        vm.call(dialect, "stop").timeout(4.0).gives(0);
    }
    vm.call(Pacemaker, "start").timeout(3.0).gives(1);
    unharmed();
    for name in ["a-1", "aa", "A"] {
        host.call(Pacemaker, "monitor").named(name).timeout(4.0).gives(0);
    }
}
