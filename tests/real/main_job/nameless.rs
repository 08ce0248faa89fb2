// SPDX-License-Identifier: GPL-2.0-or-later
//! A resource that has a definition's file and no name: a machine that runs is found whatever becomes of the file.

use crate::common::*;
use crate::shared::eventually;
use std::path::Path;

/// What becomes of a file that was readable; the text is what it is overwritten with.
const UNREADABLE: [Option<&str>; 2] = [None, Some("<domain><name>a</na")];

/// Makes a definition's file unreadable; gives its text.
fn spoil(file: &Path, with: Option<&str>) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    match with {
        Some(with) => std::fs::write(file, with).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
    text
}

/// The cluster sees that it runs, and can stop it.
fn is_watched_and_stopped(vm: &Vm<'_>) {
    let first = vm.qemu().pid;
    vm.call_by_file("monitor").recurring().gives(0);
    vm.call_by_file("monitor").gives(0);
    assert_eq!(vm.qemu().pid, first);
    let answer = vm.call_by_file("stop").param("force_stop", "yes").timeout(20.0).gives(0);
    assert!(!vm.lives(), "it runs on after {answer}");
    // Named is what was stopped, whatever the file says by now.
    assert!(answer.stderr.contains("INFO: stop: 'a' was destroyed"), "{answer}");
}

#[test]
fn what_a_machine_was_started_from_is_told_only_where_it_is_known() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let shown = || vm.call(Human, "status").gives(0).stdout;
    vm.call_by_file("monitor").gives(0);
    let text = shown();
    assert!(text.contains("by another program; taken over for 'rsc'"), "{text}");
    assert!(!text.contains("unchanged since") && text.contains("state       running\n"), "{text}");
    vm.destroy();
    // Started by a person from the same file: that is known, and stays so.
    host.call(Human, "start").param("xmlfile", &vm.file).gives(0);
    vm.call_by_file("start").gives(0);
    let text = shown();
    assert!(text.contains(", unchanged since") && text.contains("for 'rsc'"), "{text}");
}

/// It runs, started for somebody else from the same file; the cluster has found it running, and then the file goes.
fn started_for_somebody_else(start: impl Fn(&Vm<'_>)) {
    let host = Host::up();
    let vm = host.guest("a").written();
    let bystander = host.guest("bystander").written();
    host.call(Human, "start").param("xmlfile", &bystander.file).gives(0);
    // Nobody has marked this one: it might be anybody's.
    let unmarked = host.guest("unmarked").written();
    host.virsh(&["create", unmarked.file.to_str().unwrap()]);
    for with in UNREADABLE {
        start(&vm);
        vm.call_by_file("start").gives(0);
        let text = spoil(&vm.file, with);
        is_watched_and_stopped(&vm);
        assert!(bystander.lives() && unmarked.lives());
        std::fs::write(&vm.file, text).unwrap();
    }
}

#[test]
fn a_machine_that_a_person_started_from_the_same_file_is_found_when_the_file_cannot_be_read() {
    started_for_somebody_else(|vm| {
        vm.host.call(Human, "start").param("xmlfile", &vm.file).gives(0);
        assert!(vm.live_xml().contains("by hand"), "another mark than was meant");
    });
}

#[test]
fn a_machine_that_another_resource_started_from_the_same_file_is_found_when_the_file_cannot_be_read() {
    started_for_somebody_else(|vm| drop(vm.call_by_file("start").instance("former").gives(0)));
}

#[test]
fn a_machine_that_a_resource_finds_running_gets_its_mark_and_is_found_when_the_file_cannot_be_read() {
    let host = Host::up();
    let vm = host.guest("a").written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    let mark = || host.virsh(&["metadata", "a", "https://vm-agent.org/xmlns/domain/1.0"]);
    for with in UNREADABLE {
        vm.call_by_name(Pacemaker, "start").instance("other").gives(0);
        assert!(mark().contains("instance=\"other\"") && mark().contains("source=\"\""), "another mark: {}", mark());
        let text = spoil(&vm.file, with);
        // It bears another's mark, so it is another's.
        vm.call_by_file("monitor").gives(7);
        vm.call_by_file("stop").gives(0);
        assert!(vm.lives());
        std::fs::write(&vm.file, &text).unwrap();
        vm.call_by_file("start").gives(0);
        assert!(!mark().contains("other") && mark().contains(vm.file.to_str().unwrap()), "another mark: {}", mark());
        spoil(&vm.file, with);
        is_watched_and_stopped(&vm);
        std::fs::write(&vm.file, text).unwrap();
    }
}

/// Started by the agent; then the file is edited.
fn edited_while_it_runs(same_uuid: bool) {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call_by_file("start").gives(0);
    let text = std::fs::read_to_string(&vm.file).unwrap();
    let mut edited = text.replace("<name>a</name>", "<name>b</name>");
    if !same_uuid {
        edited = edited.replace(&tag(&text, "uuid"), "11111111-2222-4333-8444-555555555555");
    }
    assert_ne!(edited, text);
    std::fs::write(&vm.file, edited).unwrap();
    is_watched_and_stopped(&vm);
    assert_eq!(host.virsh(&["list", "--all", "--name"]), "");
}

#[test]
fn a_machine_that_is_renamed_in_the_file_while_it_runs_is_found_by_its_mark() {
    edited_while_it_runs(true);
}

#[test]
fn a_machine_that_gets_another_name_and_uuid_in_the_file_while_it_runs_is_found_by_its_mark() {
    edited_while_it_runs(false);
}

#[test]
fn a_monitor_that_is_repeated_reads_the_file_again_only_when_it_has_changed() {
    const UNREAD: &str = "definition: unchanged since it was last read";
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let monitor = || vm.call_by_file("monitor").recurring().var("HA_debug", "1");
    let rests = || eventually("the file is not read again", || monitor().gives(0).stderr.contains(UNREAD));
    let reads = |what: &str| {
        let answer = monitor().run();
        assert!(!answer.stderr.contains(UNREAD), "{what}: {answer}");
        answer
    };
    rests();
    // Of the same length, and with the date that it had.
    let date = std::fs::metadata(&vm.file).unwrap().modified().unwrap();
    let text = std::fs::read_to_string(&vm.file).unwrap();
    std::fs::write(&vm.file, text.replace("<name>a<", "<name>b<")).unwrap();
    std::fs::File::options().write(true).open(&vm.file).unwrap().set_modified(date).unwrap();
    assert_eq!(reads("written").code, 0);
    rests();
    let beside = host.file("beside.xml", &text);
    std::fs::rename(beside, &vm.file).unwrap();
    assert_eq!(reads("replaced").code, 0);
    rests();
    // What is not a monitor that is repeated reads for itself, and what does not run is looked for by what the file says
    // now.
    assert!(!vm.call_by_file("monitor").var("HA_debug", "1").gives(0).stderr.contains(UNREAD));
    vm.destroy();
    assert_eq!(reads("gone").code, 7);
}

#[test]
fn what_libvirt_keeps_of_a_machine_without_a_mark_is_read_once_by_its_monitors() {
    let host = Host::up();
    let vm = host.guest("a").written().created();
    let seen = || host.run("cat", &["/run/vm-agent/a.disks-seen"]);
    vm.watch(Pacemaker).gives(0);
    assert!(!host.virsh(&["dumpxml", "a"]).contains("vm-agent.org"));
    let first = seen();
    vm.watch(Pacemaker).gives(0);
    assert_eq!(seen(), first);
    // Something that libvirt writes down.
    host.virsh(&["desc", "a", "--live", "another"]);
    vm.watch(Pacemaker).gives(0);
    assert_ne!(seen(), first);
}
