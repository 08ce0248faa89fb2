// SPDX-License-Identifier: GPL-2.0-or-later
//! HVM guests: a QEMU for each, its device model, emulates their hardware. These know nothing of Xen, so that only a press of
//! their power button asks them to shut down.

use crate::Case;
use crate::common::*;
use crate::dom0::{Dom0, Guest};
use crate::life::{started, stopped};
use crate::shared::parts::Share::Long;

pub const CASES: &[Case] = &[
    ("hvm::a_guest_without_drivers_for_xen_is_asked_by_its_power_button", Long, asked),
    ("hvm::one_that_ignores_its_power_button_is_destroyed_in_time", Long, deaf),
    ("hvm::one_that_was_destroyed_is_not_running_and_can_be_started", Long, destroyed),
    ("hvm::one_whose_device_model_was_killed_stands_still_and_is_said_to", Long, stands_still),
    ("hvm::what_an_hvm_guest_needs_and_dom0_lacks_is_told_in_a_sentence", Long, lacking),
];

const MODEL: &str = "/usr/libexec/xen-qemu-system-i386";

/// One of xl's, and one of libvirt's.
fn of_each(host: &Dom0) -> [Guest<'_>; 2] {
    // Names of their own: the console of one that ran before is still there.
    [host.guest("web").option("--hvm").written(), host.guest("mail").option("--hvm").option("--xml").written()]
}

fn asked() {
    let host = Dom0::up();
    for guest in of_each(&host) {
        let mut boot = String::new();
        for dialect in BOTH {
            boot = started(&guest, dialect, &boot);
            stopped(&guest, dialect, &boot);
        }
    }
}

fn deaf() {
    let host = Dom0::up();
    for (guest, dialect) in of_each(&host).into_iter().zip(BOTH) {
        let guest = guest.option("--deaf").written();
        guest.call(dialect, "start").gives(0);
        let boot = host.boots(guest.name, "");
        guest.call(dialect, "stop").timeout(40.0).gives(0);
        assert!(guest.was_asked(&boot), "the guest was not asked");
        guest.watch(dialect).gives(7);
    }
}

fn destroyed() {
    let host = Dom0::up();
    for (guest, dialect) in of_each(&host).into_iter().zip(BOTH) {
        guest.call(dialect, "start").gives(0);
        let first = guest.id();
        host.run(&format!("xl destroy {}", guest.name));
        guest.watch(dialect).gives(7);
        guest.call(dialect, "start").gives(0);
        assert!(guest.id() > first);
        host.run(&format!("xl destroy {}", guest.name));
        guest.call(dialect, "stop").gives(0);
    }
}

/// xl and libvirt call it running, and a monitor that is not to look deeper has nothing but their word.
fn stands_still() {
    const SAID: &str = "stands still, though Xen runs it: its device model (QEMU) has ended";
    let host = Dom0::up();
    for (guest, dialect) in of_each(&host).into_iter().zip(BOTH) {
        guest.call(dialect, "start").gives(0);
        let boot = host.boots(guest.name, "");
        guest.watch(dialect).depth(10).gives(0);
        let id = guest.id().unwrap();
        host.run(&format!("kill -KILL $(xenstore-read /local/domain/{id}/image/device-model-pid)"));
        assert_eq!(guest.id(), Some(id), "Xen has taken note of it");
        guest.watch(dialect).gives(0);
        guest.watch(dialect).depth(10).gives(1).says(&[SAID]);
        guest.call(Human, "status").gives(1).shows(&[": running", SAID]);
        guest.call(dialect, "start").gives(1).says(&[SAID, "stop it first"]);
        assert_eq!(guest.id(), Some(id), "it was started beside itself, or ended");
        // It hears nothing, so that nothing is waited for.
        guest.call(dialect, "stop").gives(0).within(30.0);
        assert!(!guest.was_asked(&boot));
        guest.watch(dialect).gives(7);
        guest.call(dialect, "start").gives(0);
        host.boots(guest.name, &boot);
        guest.call(dialect, "stop").gives(0);
    }
}

fn lacking() {
    let host = Dom0::up();
    for (guest, dialect) in of_each(&host).into_iter().zip(BOTH) {
        let refused = |words: &[&str]| {
            let answer = guest.call(dialect, "start").run();
            assert!(!matches!(answer.code, 0 | 6 | 7), "{answer}");
            println!("{}", answer.reason);
            answer.says(words);
            assert_eq!(host.domains(), [] as [&str; 0], "what could not be started is left");
            guest.watch(dialect).gives(7);
        };
        host.run(&format!("mv {MODEL} /root/model"));
        refused(&["the device model", MODEL, "cannot be run: No such file"]);
        guest.call(dialect, "validate-all").depth(10).run().tells(&["needs a device model", MODEL]);
        host.script(MODEL, "exit 1");
        refused(&["the device model (QEMU) did not start"]);
        host.run(&format!("mv -f /root/model {MODEL}; mv /usr/lib/xen-*/boot/hvmloader /root/hvmloader"));
        refused(&["hvmloader, which it needs, cannot be opened: No such file or directory"]);
        host.run("mv /root/hvmloader /usr/lib/xen-*/boot/");
        guest.call(dialect, "start").gives(0);
        guest.call(dialect, "stop").gives(0);
    }
}
