// SPDX-License-Identifier: GPL-2.0-or-later
//! A machine's life in one dom0: found, started, watched, stopped.

use crate::Case;
use crate::common::*;
use crate::dom0::{Dom0, Guest};
use crate::shared::parts::Share::{Long, Short};

pub const CASES: &[Case] = &[
    ("life::a_definition_of_libvirts_is_started_watched_and_stopped", Long, libvirts_life),
    ("life::an_xl_file_and_a_definition_in_two_folders_of_one_path_live_side_by_side", Short, both_kinds),
    ("life::a_guest_that_ignores_the_request_is_destroyed_in_time", Long, deaf),
    ("life::what_was_destroyed_behind_our_back_is_not_running_and_can_be_started", Long, destroyed),
    ("life::a_crashed_guest_that_xen_preserved_has_failed_until_it_is_stopped", Long, crashed),
    ("life::an_xl_file_is_started_by_libvirt_where_libvirt_is_asked_for", Long, through_libvirt),
    ("life::a_file_that_names_another_machine_starts_nothing", Long, misnamed),
    ("life::a_paused_guest_is_told_and_left_and_can_be_stopped", Long, paused),
    ("life::status_explain_and_validate_all_speak_of_xl", Long, by_hand),
];

/// Starts it, for the second time too, and waits for the guest; gives its boot.
pub fn started(guest: &Guest<'_>, dialect: Dialect, before: &str) -> String {
    guest.watch(dialect).gives(7);
    guest.call(dialect, "start").gives(0);
    let id = guest.id().unwrap_or_else(|| panic!("a start said 0, but there is no '{}'", guest.name));
    guest.watch(dialect).gives(0);
    guest.call(dialect, "start").gives(0);
    assert_eq!(guest.id(), Some(id), "the second start made another domain");
    guest.host.boots(guest.name, before)
}

/// Stops it, which must ask the guest.
pub fn stopped(guest: &Guest<'_>, dialect: Dialect, boot: &str) {
    guest.call(dialect, "stop").gives(0);
    assert_eq!(guest.id(), None);
    assert!(guest.was_asked(boot), "the guest was not asked");
    guest.call(dialect, "stop").gives(0);
    guest.watch(dialect).gives(7);
}

fn libvirts_life() {
    let host = Dom0::up();
    let guest = host.guest("web").option("--xml").written();
    let mut boot = String::new();
    for dialect in BOTH {
        boot = started(&guest, dialect, &boot);
        assert!(host.libvirt_has("web"));
        stopped(&guest, dialect, &boot);
    }
}

fn both_kinds() {
    let host = Dom0::up();
    let path = "/srv/first:/srv/second";
    let ours = host.guest("web").path(path).written_in("/srv/first");
    let theirs = host.guest("mail").path(path).option("--xml").written_in("/srv/second");
    host.script("/srv/check", "[ -e /srv/healthy ]");
    let (mut web, mut mail) = (String::new(), String::new());
    for dialect in BOTH {
        web = started(&ours, dialect, &web);
        mail = started(&theirs, dialect, &mail);
        assert!(!host.libvirt_has("web") && host.libvirt_has("mail"), "each by its own tool stack");

        for guest in [&ours, &theirs] {
            let deep = || guest.watch(dialect).depth(10).param("status_program", "/srv/check");
            host.run("rm -f /srv/healthy");
            deep().gives(1);
            host.run("touch /srv/healthy");
            deep().gives(0);
        }

        stopped(&ours, dialect, &web);
        assert!(theirs.id().is_some(), "the other machine was stopped too");
        theirs.watch(dialect).gives(0);
        stopped(&theirs, dialect, &mail);
    }
}

fn deaf() {
    let host = Dom0::up();
    for (dialect, name, option) in [(Rgmanager, "web", "--deaf"), (Pacemaker, "mail", "--xml")] {
        let guest = host.guest(name).option("--deaf").option(option).written();
        guest.call(dialect, "start").gives(0);
        let boot = host.boots(name, "");
        // Answer::check sees that it is gone, and that the answer came in time.
        guest.call(dialect, "stop").timeout(40.0).gives(0);
        assert!(guest.was_asked(&boot), "the guest was not asked");
        guest.watch(dialect).gives(7);
    }
}

fn destroyed() {
    let host = Dom0::up();
    for (dialect, name, option) in [(Rgmanager, "web", ""), (Pacemaker, "mail", ""), (Rgmanager, "xml", "--xml")] {
        let guest = if option.is_empty() { host.guest(name) } else { host.guest(name).option(option) }.written();
        guest.call(dialect, "start").gives(0);
        let first = guest.id();
        host.run(&format!("xl destroy {name}"));
        guest.watch(dialect).gives(7);
        guest.call(dialect, "start").gives(0);
        assert!(guest.id() > first);
        host.run(&format!("xl destroy {name}"));
        guest.call(dialect, "stop").gives(0);
    }
}

fn crashed() {
    let host = Dom0::up();
    let guest = host.guest("web").option("on_crash=\"preserve\"").written();
    let mut boot = String::new();
    for dialect in BOTH {
        guest.call(dialect, "start").gives(0);
        boot = host.boots("web", &boot);
        host.run("xl sysrq web c");
        let state = || host.run("xl list web").lines().last()?.split_whitespace().nth(4).map(str::to_owned);
        until(60, "the crash", || state()?.contains('c').then_some(()));
        guest.watch(dialect).gives(1).says(&["crashed"]);
        let id = guest.id();
        guest.call(dialect, "start").gives(1).says(&["crashed"]);
        assert_eq!(guest.id(), id, "what was preserved is somebody's to look at, until a stop");
        guest.call(dialect, "stop").gives(0).within(30.0);
        guest.watch(dialect).gives(7);
        guest.call(dialect, "start").gives(0);
        boot = host.boots("web", &boot);
        guest.call(dialect, "stop").gives(0);
    }
}

fn through_libvirt() {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    let mut boot = String::new();
    for (dialect, parameter, value) in
        [(Rgmanager, "use_virsh", "1"), (Pacemaker, "use_virsh", "1"), (Pacemaker, "hypervisor_uri", "xen:///system")]
    {
        guest.watch(dialect).param(parameter, value).gives(7);
        guest.call(dialect, "start").param(parameter, value).gives(0);
        assert!(host.libvirt_has("web"), "{parameter}={value} asks for libvirt");
        boot = host.boots("web", &boot);
        guest.watch(dialect).param(parameter, value).gives(0);
        // Without the parameter it is the same machine.
        guest.watch(dialect).gives(0);
        guest.call(dialect, "stop").param(parameter, value).gives(0);
        assert!(guest.was_asked(&boot), "the guest was not asked");
        assert_eq!(guest.id(), None);
    }
}

fn misnamed() {
    let host = Dom0::up();
    let guest = host.guest("web");
    for (file, options) in [("/srv/web", &["mail"][..]), ("/srv/web.xml", &["mail", "--xml"])] {
        let other = if options.len() > 1 { host.guest("mail").option("--xml") } else { host.guest("mail") };
        host.file(file, &other.text());
        for dialect in BOTH {
            let answer = guest.call(dialect, "start").run();
            assert!(!matches!(answer.code, 0 | 7), "{answer}");
            let answer = answer.says(&["mail"]);
            assert_eq!(host.domains(), [] as [&str; 0], "{answer}");
            guest.watch(dialect).gives(7);
            guest.call(dialect, "stop").gives(0);
        }
        host.run(&format!("rm {file}"));
    }
    // What runs under the other name is nobody's business.
    host.file("/srv/mail", &host.guest("mail").text());
    host.run("xl create /srv/mail");
    host.file("/srv/web", &host.guest("mail").text());
    for dialect in BOTH {
        guest.call(dialect, "stop").gives(0);
        assert_eq!(host.domains(), ["mail"]);
    }
}

fn paused() {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    let mut boot = String::new();
    for dialect in BOTH {
        guest.call(dialect, "start").gives(0);
        boot = host.boots("web", &boot);
        host.run("xl pause web");
        guest.watch(dialect).gives(if dialect == Pacemaker { 190 } else { 0 });
        guest.call(dialect, "start").gives(0).tells(&["paused"]);
        assert!(host.run("xl list web").contains("--p---"), "a person paused it");
        guest.call(dialect, "stop").gives(0);
        guest.watch(dialect).gives(7);
    }
}

fn by_hand() {
    let host = Dom0::up();
    let guest = host.guest("web").written();
    guest.call(Human, "explain start").gives(0).shows(&["xl", "/srv/web"]);
    guest.call(Human, "status").gives(7);
    guest.call(Human, "start").gives(0);
    guest.call(Human, "status").gives(0).shows(&["web: running", "xl", "96 MiB", "1 vCPU"]);
    guest.call(Human, "explain stop").gives(0).shows(&["xl"]);
    guest.call(Pacemaker, "validate-all").gives(0);
    guest.call(Human, "stop").gives(0);
    host.file("/srv/web", "name = \"web\"\nmemory = [\n");
    guest.call(Pacemaker, "validate-all").run().says(&["/srv/web"]);
    // As README.md has them.
    let shop = host.guest("shop").written_in("/etc/xen");
    host.call(Human, "start").arg("--config").arg("/etc/xen/shop").gives(0);
    assert!(shop.id().is_some());
    let call = |action| host.call(Pacemaker, action).param("config", "/etc/xen/shop").param("name", "shop");
    call("monitor").gives(0);
    call("stop").gives(0);
    call("start").gives(0);
    host.call(Human, "stop").named("shop").gives(0);
    call("monitor").gives(7);
}
