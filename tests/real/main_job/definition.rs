// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the definition is found, what is wrong with it, and that a running machine does not need it.

use crate::common::*;
use std::ffi::OsStr;
use std::path::Path;

fn describe(vm: &str, host: &Host, text: &str) -> String {
    host.guest(vm).edit("<memory", &format!("<description>{text}</description>\n  <memory")).xml()
}

#[test]
fn the_first_folder_of_a_path_that_has_the_definition_wins_and_name_goes_before_name_xml() {
    let host = Host::up();
    host.file("second/a.xml", &describe("a", &host, "second, with the suffix"));
    host.file("third/a.xml", &describe("a", &host, "third"));
    let (first, second, third) = (host.folder("first"), host.folder("second"), host.folder("third"));
    let path = joined(&[&first, Path::new("/no/such folder"), &second, &third]);
    for dialect in [Rgmanager, Pacemaker, Human] {
        let started = |expected: &str| {
            host.call(dialect, "start").named("a").param("path", &path).gives(0);
            assert_eq!(tag(&host.virsh(&["dumpxml", "a"]), "description"), expected);
            host.virsh(&["destroy", "a"]);
        };
        started("second, with the suffix");
        let plain = host.file("second/a", &describe("a", &host, "second, without the suffix"));
        started("second, without the suffix");
        std::fs::remove_file(plain).unwrap();
    }
}

#[test]
fn folder_names_are_never_evaluated() {
    let host = Host::up();
    let names = [
        "two  blanks",
        "br[ac]k*t?",
        "semi;touch evaluated",
        "$(touch evaluated)",
        "`touch evaluated`",
        "a'b\"c",
        "-x",
        "$HOME\\",
    ];
    for (dialect, names) in [(Rgmanager, &names[..]), (Pacemaker, &names[..]), (Human, &names[2..4])] {
        for name in names {
            let vm = host.file(&format!("{name}/a.xml"), &host.guest("a").xml());
            let path = joined(&[&host.folder("empty *"), vm.parent().unwrap()]);
            host.call(dialect, "start").named("a").param("path", path).gives(0);
            assert!(host.virsh(&["dumpxml", "a"]).contains("sha256="), "not from the file in '{name}'");
            host.virsh(&["destroy", "a"]);
        }
    }
    let names = host.run("ls", &["/", host.shared().to_str().unwrap()]);
    assert!(!names.lines().any(|name| name == "evaluated"), "{names}");
}

#[test]
fn a_definitions_file_wins_over_the_path() {
    let host = Host::up();
    let other = host.file("path/a.xml", &describe("a", &host, "path"));
    let file = host.file("odd name", &describe("a", &host, "file"));
    for (dialect, param) in [(Rgmanager, "xmlfile"), (Pacemaker, "config"), (Human, "xmlfile")] {
        let call = host.call(dialect, "start").named("a").param("path", other.parent().unwrap());
        call.param(param, &file).gives(0);
        assert_eq!(tag(&host.virsh(&["dumpxml", "a"]), "description"), "file");
        host.virsh(&["destroy", "a"]);
    }
}

#[test]
fn a_machine_that_is_defined_nowhere_is_not_installed_here() {
    let host = Host::up();
    let folder = host.folder("empty");
    for dialect in BOTH {
        let call = || host.call(dialect, "start").named("a");
        call().param("path", &folder).gives(5).says(&["'a'", "no definition"]);
        call().gives(5).says(&["libvirt knows none"]);
        call().param("config", folder.join("a.xml")).gives(5).says(&["there is no"]);
        host.call(dialect, "monitor").named("a").param("config", folder.join("a.xml")).timeout(3.0).gives(7);
    }
}

#[test]
fn a_definition_of_another_name_is_refused_with_both_names_and_nothing_is_created() {
    let host = Host::up();
    let file = host.file("a.xml", &host.guest("other").xml());
    for dialect in BOTH {
        host.call(dialect, "start").named("a").param("config", &file).gives(5).says(&["'other'", "'a'"]);
        host.call(dialect, "start").named("a").param("path", host.shared()).gives(5).says(&["'other'", "'a'"]);
        assert_eq!(host.virsh(&["list", "--all", "--name"]), "");
    }
}

#[test]
fn comments_and_nested_names_do_not_mislead() {
    let host = Host::up();
    let inside = "<!-- <name>x</name> --><metadata><p:name xmlns:p='http://p/'>y</p:name></metadata>\n  <memory";
    let file = host.file("a.xml", &host.guest("a").edit("<memory", inside).xml());
    host.call(VirtualDomain, "start").instance("rsc").param("config", &file).gives(0);
    assert_eq!(host.state("a"), "running");
}

#[test]
fn a_definition_that_cannot_be_used_bars_the_start_only() {
    let host = Host::up();
    let good = host.guest("a").xml();
    let half = &good[..good.len() / 2];
    let twice = format!("{good}{good}");
    let doctype = format!("<!DOCTYPE domain [<!ENTITY n 'a'>]>{good}");
    let huge = format!("<!-- {} -->{good}", "x".repeat(5 << 20));
    let bad: [(&str, &str); 7] = [
        ("half written", half),
        ("two roots", &twice),
        ("a doctype", &doctype),
        ("5 MiB", &huge),
        ("empty", ""),
        ("other text", "not a definition\n"),
        ("Xen's form", "name = \"a\"\nmemory = 512\n"),
    ];
    let check = |what: &str, file: &Path| {
        for (n, dialect) in BOTH.into_iter().enumerate() {
            let call = |action: &str| host.call(dialect, action).named("a").param("config", file);
            if host.state("a") == "absent" {
                call("start").gives(5);
                call("validate-all").depth(10).gives(5);
                assert_eq!(host.state("a"), "absent", "{what}");
                call(["status", "monitor"][n]).gives(7).within(1.5);
            } else {
                call("start").gives(0);
                call(["status", "monitor"][n]).gives(0);
            }
        }
    };
    let run = |what: &str, file: &Path| {
        check(what, file);
        let vm = host.guest("a").written().created();
        check(what, file);
        for dialect in BOTH {
            vm.call_by_name(dialect, "stop").param("config", file).param("force_stop", "1").gives(0);
        }
    };
    for (what, text) in bad {
        run(what, &host.file("bad.xml", text));
    }
    // Nobody waits for a FIFO, and a folder is no file.
    std::fs::remove_file(host.shared().join("bad.xml")).unwrap();
    host.run("mkfifo", &[host.shared().join("bad.xml").to_str().unwrap()]);
    run("a FIFO", &host.shared().join("bad.xml"));
    run("a folder", &host.folder("folder"));
    std::os::unix::fs::symlink("/no/such", host.shared().join("link.xml")).unwrap();
    run("a link to nothing", &host.shared().join("link.xml"));
}

#[test]
fn an_xl_file_is_for_a_dom0_alone() {
    let host = Host::up();
    let file = host.file("a", "name = \"a\"\nmemory = 512\n");
    for dialect in BOTH {
        let call = host.call(dialect, "start").named("a").param("path", file.parent().unwrap());
        call.gives(5).says(&["is an xl file, and this host is no Xen dom0"]);
    }
}

#[test]
fn a_running_machine_is_watched_and_stopped_without_its_file() {
    let host = Host::up();
    for dialect in BOTH {
        let vm = host.guest("a").polite().written();
        vm.call(dialect, "start").gives(0);
        vm.ticks();
        std::fs::remove_dir_all(&vm.folder).unwrap();
        vm.watch(dialect).gives(0);
        vm.call(dialect, "start").gives(0);
        vm.call(dialect, "stop").timeout(40.0).gives(0).within(10.0);
        vm.watch(dialect).gives(7).within(1.5);
        std::fs::remove_file(host.shared().join("console-a.log")).unwrap();
    }
}

#[test]
fn without_a_name_the_definition_names_it_and_the_mark_finds_it_when_the_file_is_gone() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let bystander = host.guest("bystander").written();
    bystander.call(Pacemaker, "start").gives(0);
    vm.call_by_file("monitor").gives(7);
    vm.call_by_file("stop").gives(0);
    vm.call_by_file("start").gives(0);
    vm.call_by_file("monitor").recurring().gives(0);
    for text in [None, Some("<domain><name>a</na")] {
        std::fs::remove_file(&vm.file).unwrap();
        if let Some(text) = text {
            std::fs::write(&vm.file, text).unwrap();
        }
        vm.call_by_file("monitor").gives(0);
        vm.call_by_file("monitor").recurring().gives(0);
        vm.call_by_file("start").gives(0);
        if text.is_none() {
            std::fs::write(&vm.file, "").unwrap();
        }
    }
    vm.call_by_file("stop").param("force_stop", "true").gives(0);
    assert!(!vm.lives());
    assert!(bystander.lives());
    // All that runs is marked as another's, so it is known that this one does not run.
    vm.call_by_file("monitor").gives(7);
    vm.call_by_file("stop").gives(0);
    // One without a mark is a stranger's: nothing ties it to this resource.
    let unmarked = host.guest("unmarked").written().created();
    vm.call_by_file("monitor").timeout(4.0).gives(7);
    vm.call_by_file("stop").timeout(4.0).gives(0);
    vm.call_by_file("start").timeout(30.0).gives(5).within(3.0).says(&["a.xml"]);
    assert!(unmarked.lives() && bystander.lives());
}

#[test]
fn the_mark_tells_resource_definition_time_and_node() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let file = vm.file.to_str().unwrap();
    let hash = host.run("sha256sum", &[file]);
    let hash = hash.split(' ').next().unwrap();
    for (dialect, instance) in [(Rgmanager, "vm:a"), (Pacemaker, "a"), (Human, "by hand")] {
        vm.call(dialect, "start").gives(0);
        let mark = host.virsh(&["metadata", "a", "https://vm-agent.org/xmlns/domain/1.0"]);
        for part in [
            format!("instance=\"{instance}\""),
            format!("source=\"{file}\""),
            format!("sha256=\"{hash}\""),
            "node=\"node1\"".into(),
            "started=\"20".into(),
        ] {
            assert!(mark.contains(&part), "no {part} in {mark}");
        }
        vm.destroy();
    }
    assert_eq!(std::fs::read_to_string(&vm.file).unwrap(), host.guest("a").xml(), "the file was changed");
}

#[test]
fn libvirts_own_definition_is_started_marked_and_left_in_place() {
    let host = Host::up();
    let vm = host.guest("a").written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    let before = host.virsh(&["dumpxml", "--inactive", "a"]);
    let empty = host.folder("empty");
    for dialect in [Rgmanager, Pacemaker, Human] {
        vm.call_by_name(dialect, "start").gives(0);
        assert!(vm.live_xml().contains("vm-agent.org/xmlns"), "not marked");
        vm.call_by_name(dialect, "start").param("path", &empty).gives(0);
        vm.call_by_name(dialect, "stop").param("force_stop", "yes").gives(0);
        vm.call_by_name(dialect, "stop").gives(0);
        assert_eq!(vm.state(), "shut off");
        assert_eq!(host.virsh(&["dumpxml", "--inactive", "a"]), before);
    }
}

#[test]
fn a_file_beside_libvirts_own_definition_is_created_and_the_definition_stays() {
    let host = Host::up();
    host.virsh(&["define", host.file("own.xml", &describe("a", &host, "own")).to_str().unwrap()]);
    let before = host.virsh(&["dumpxml", "--inactive", "a"]);
    let file = host.file("a.xml", &describe("a", &host, "file"));
    for dialect in BOTH {
        host.call(dialect, "start").named("a").param("config", &file).gives(0);
        assert_eq!(tag(&host.virsh(&["dumpxml", "a"]), "description"), "file");
        host.call(dialect, "stop").named("a").param("config", &file).param("force_stop", "on").gives(0);
        assert_eq!(host.state("a"), "shut off");
        assert_eq!(host.virsh(&["dumpxml", "--inactive", "a"]), before);
    }
    // With another UUID libvirt refuses; nothing is undefined to please it, and what to do is told.
    let uuid = ["--uuid", "11111111-2222-4333-8444-555555555555"];
    let file = host.file("a.xml", &host.definition("a", &[&["--variant", "none"], &uuid[..]].concat()));
    for dialect in BOTH {
        let answer = host.call(dialect, "start").named("a").param("config", &file).gives(1);
        answer.says(&["'a' was not started: libvirt keeps 'a' as ", ": take that UUID, or rename one of the"]);
        assert_eq!(host.virsh(&["dumpxml", "--inactive", "a"]), before);
    }
}

#[test]
fn names_that_look_like_options_numbers_or_parts_of_others_mean_only_themselves() {
    let host = Host::up();
    let names = ["1", "web", "web-1", "a b", "$(id)", "w.b", "-v"];
    let start = |dialect, name: &str| {
        // The file is named by a number: not every name can be in a console's.
        let guest = host.guest(&uuid(name)).option("--uuid", &uuid(name));
        let text = guest.edit(&format!("<name>{}</name>", uuid(name)), &format!("<name>{name}</name>")).xml();
        host.call(dialect, "start").named(name).param("config", host.file("definition", &text)).gives(0);
    };
    for dialect in BOTH {
        let call = |action: &str, name: &str| host.call(dialect, action).named(name);
        for (n, name) in names.into_iter().enumerate() {
            call("stop", name).gives(0).within(1.5);
            let watch = if dialect == Rgmanager { "status" } else { "monitor" };
            call(watch, name).gives(7).within(1.5);
            start(dialect, name);
            call(watch, name).gives(0).within(1.5);
            assert_eq!(host.virsh(&["list", "--name"]).lines().count(), n + 1);
        }
        for (n, name) in names.into_iter().enumerate() {
            call("kill", name).timeout(20.0).gives(0);
            let left = host.virsh(&["list", "--name"]);
            let left: Vec<&str> = left.lines().collect();
            assert_eq!(left.len(), names.len() - n - 1, "after {name}: {left:?}");
            assert!(!left.contains(&name));
        }
    }
}

fn uuid(name: &str) -> String {
    let sum = name.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("{sum:08x}-2222-4333-8444-555555555555")
}

#[test]
fn changes_go_through_virsh_when_that_is_wanted() {
    let host = Host::up();
    let vm = host.guest("a").written();
    for dialect in [Rgmanager, Pacemaker, Human] {
        let call = |action: &str| vm.call(dialect, action).param("use_virsh", OsStr::new("1"));
        call("start").gives(0);
        assert!(vm.live_xml().contains("vm-agent.org/xmlns"), "not marked");
        host.virsh(&["suspend", "a"]);
        call("stop").timeout(8.0).gives(0);
        host.virsh(&["define", vm.file.to_str().unwrap()]);
        vm.call_by_name(dialect, "start").param("use_virsh", "1").gives(0);
        assert!(vm.live_xml().contains("vm-agent.org/xmlns"), "not marked");
        call("kill").gives(0);
        host.virsh(&["undefine", "a"]);
    }
}
