// SPDX-License-Identifier: GPL-2.0-or-later
//! Tool stacks that are dead, hang or are mixed: a monitor never says 7 and a stop never 0 while a domain of that name runs,
//! and nothing is started twice.

use crate::Case;
use crate::common::*;
use crate::dom0::{Dom0, Guest};
use crate::shared::parts::Share::{Long, Short};

pub const CASES: &[Case] = &[
    ("faults::a_hanging_xenstored_is_no_evidence_of_anything", Short, xenstored_hangs),
    ("faults::a_domain_of_xl_is_never_denied_while_libvirt_answers", Short, unknown_to_libvirt),
    ("faults::without_xl_nothing_is_denied", Long, || broken_xl(":")),
    ("faults::an_xl_that_hangs_is_given_up_in_time", Long, || {
        broken_xl("printf '#!/bin/sh\\nexec sleep 1000\\n' >/usr/sbin/xl && chmod 755 /usr/sbin/xl")
    }),
    ("faults::an_xl_that_only_fails_denies_nothing", Long, || {
        broken_xl("printf '#!/bin/sh\\nexit 1\\n' >/usr/sbin/xl && chmod 755 /usr/sbin/xl")
    }),
    ("faults::an_xl_that_prints_nonsense_denies_nothing", Long, || {
        broken_xl("printf '#!/bin/sh\\necho Name; echo web\\n' >/usr/sbin/xl && chmod 755 /usr/sbin/xl")
    }),
    ("faults::xls_machines_do_not_need_libvirtd", Long, || without_libvirtd("kill", "start")),
    ("faults::xls_machines_do_not_need_a_libvirtd_that_answers", Long, || without_libvirtd("freeze", "thaw")),
    ("faults::libvirts_machines_are_not_denied_while_libvirtd_is_away", Long, libvirts_without_libvirtd),
    ("faults::a_dead_xenconsoled_fails_a_start_and_nothing_else", Long, xenconsoled_dead),
];

/// A name that only libvirt's definition is known of, but xl made the domain.
fn unknown_to_libvirt() {
    let host = Dom0::up();
    let guest = host.guest("web").option("--xml").written();
    host.file("/root/web", &host.guest("web").text());
    for dialect in BOTH {
        host.run("xl create /root/web");
        let id = guest.id();
        assert!(!host.libvirt_has("web"));
        let answer = guest.watch(dialect).run();
        assert!(!matches!(answer.code, 7), "it runs: {answer}");
        let answer = guest.call(dialect, "start").run();
        assert_eq!((guest.id(), host.domains().len()), (id, 1), "{answer}");
        // Answer::check: 0 only when it is gone.
        guest.call(dialect, "stop").gives(0);
        guest.watch(dialect).gives(7);
    }
}

/// What all that watch say at the same moment.
fn watched(guest: &Guest<'_>) -> Vec<Answer> {
    let calls = [guest.watch(Rgmanager), guest.watch(Pacemaker), guest.call(Pacemaker, "monitor")];
    std::thread::scope(|scope| {
        let calls = calls.map(|call| scope.spawn(move || call.timeout(15.0).run()));
        calls.map(|call| call.join().unwrap()).into()
    })
}

/// What each manager's start says.
fn begun(guest: &Guest<'_>) -> [Answer; 2] {
    BOTH.map(|dialect| guest.call(dialect, "start").timeout(15.0).run())
}

/// Nobody may say that it is off, and a start makes no second one.
fn denies_nothing(guest: &Guest<'_>, mended: &dyn Fn(), broken: &dyn Fn()) {
    let id = guest.id();
    assert!(id.is_some());
    broken();
    let (watched, begun) = (watched(guest), begun(guest));
    mended();
    for answer in &watched {
        assert_ne!(answer.code, 7, "it runs: {answer}");
    }
    assert_eq!((guest.id(), guest.host.domains().len()), (id, 1), "{} {}", begun[0], begun[1]);
    for dialect in BOTH {
        guest.watch(dialect).gives(0);
    }
}

/// Of a machine that does not run only what other evidence says is known, and nothing is started.
fn starts_nothing(guest: &Guest<'_>, mended: &dyn Fn(), broken: &dyn Fn(), evidence: bool) {
    assert_eq!(guest.id(), None);
    broken();
    let (watched, begun) = (watched(guest), begun(guest));
    mended();
    for answer in &watched {
        assert!(matches!(answer.code, 1 | 5) || evidence && answer.code == 7, "{answer}");
    }
    for answer in &begun {
        assert!(matches!(answer.code, 1 | 5), "{answer}");
    }
    assert_eq!(guest.host.domains(), [] as [&str; 0], "{} {}", begun[0], begun[1]);
    for dialect in BOTH {
        guest.watch(dialect).gives(7);
    }
}

/// A stop that cannot know says so; one that says 0 has done it.
fn stops_or_says_so(guest: &Guest<'_>, mended: &dyn Fn(), broken: &dyn Fn()) {
    for dialect in BOTH {
        if guest.id().is_none() {
            guest.call(dialect, "start").gives(0);
        }
        broken();
        let answer = guest.call(dialect, "stop").timeout(30.0).run();
        mended();
        let alive = guest.id();
        assert!(matches!(answer.code, 0 | 1 | 5), "{answer}");
        assert_eq!(answer.code == 0, alive.is_none(), "{answer}");
        guest.call(dialect, "stop").gives(0);
        assert_eq!(guest.id(), None);
    }
}

fn xenstored_hangs() {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    let broken = || drop(host.lab("service", &["freeze", "xenstored"]));
    let mended = || drop(host.lab("service", &["thaw", "xenstored"]));
    starts_nothing(&guest, &mended, &broken, false);
    guest.call(Rgmanager, "start").gives(0);
    denies_nothing(&guest, &mended, &broken);
    stops_or_says_so(&guest, &mended, &broken);
}

/// xl is broken by a line of shell, and mended again.
fn broken_xl(line: &str) {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    let broken = || drop(host.run(&format!("mv /usr/sbin/xl /usr/sbin/xl.away; {line}")));
    let mended = || drop(host.run("mv -f /usr/sbin/xl.away /usr/sbin/xl"));
    guest.call(Rgmanager, "start").gives(0);
    denies_nothing(&guest, &mended, &broken);
    stops_or_says_so(&guest, &mended, &broken);
    // xenstore knows it without xl.
    starts_nothing(&guest, &mended, &broken, true);
}

fn without_libvirtd(broken: &str, mended: &str) {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    let mut boot = String::new();
    host.lab("service", &[broken, "libvirtd"]);
    for dialect in BOTH {
        guest.call(dialect, "start").gives(0);
        boot = host.boots("web", &boot);
        guest.watch(dialect).gives(0);
        guest.call(dialect, "start").gives(0);
        guest.call(dialect, "stop").gives(0);
        assert!(guest.was_asked(&boot), "the guest was not asked");
        guest.watch(dialect).gives(7);
    }
    host.lab("service", &[mended, "libvirtd"]);
    guest.watch(Rgmanager).gives(7);
}

fn libvirts_without_libvirtd() {
    let host = Dom0::up();
    let guest = host.guest("web").option("--xml").written();
    for (broken, mended) in [("freeze", "thaw"), ("kill", "start")] {
        guest.call(Pacemaker, "start").gives(0);
        let id = guest.id();
        host.lab("service", &[broken, "libvirtd"]);
        for dialect in BOTH {
            guest.watch(dialect).timeout(20.0).gives(0);
            guest.call(dialect, "start").timeout(20.0).run();
            assert_eq!((guest.id(), host.domains().len()), (id, 1));
        }
        // Xen itself ends it.
        guest.call(Rgmanager, "stop").timeout(60.0).gives(0);
        host.lab("service", &[mended, "libvirtd"]);
        until(30, "libvirtd", || host.succeeds("virsh -q -c xen:///system list").then_some(()));
        assert!(!host.libvirt_has("web"));
        guest.watch(Pacemaker).gives(7);
    }
}

fn xenconsoled_dead() {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    for dialect in BOTH {
        host.lab("service", &["kill", "xenconsoled"]);
        let answer = guest.call(dialect, "start").run();
        assert!(!matches!(answer.code, 0 | 6 | 7), "{answer}");
        assert_eq!(host.domains(), [] as [&str; 0], "what could not be started is left: {answer}");
        guest.watch(dialect).gives(7);
        host.lab("service", &["start", "xenconsoled"]);
        guest.call(dialect, "start").gives(0);
        host.lab("service", &["kill", "xenconsoled"]);
        guest.watch(dialect).gives(0);
        guest.call(dialect, "stop").gives(0);
        host.lab("service", &["start", "xenconsoled"]);
    }
}
