// SPDX-License-Identifier: GPL-2.0-or-later
//! Which process is the domain, in tables made for the purpose.

use std::fs;
use std::os::unix::fs::symlink;

use vm_agent::hypervisor::process::{Alive, Driver, Evidence, FoundBy, Identity, Pulse, by_pid_file, pulse};

use super::host::{HOME, Host, Made, QEMU, alive, alive_as, domain, found, made, why};
use super::{UUID, UUID_BYTES, qemu, without_uuid};

#[test]
fn a_table_without_the_domain_proves_its_absence() {
    assert_eq!(Host::new().find(&qemu("web")), Evidence::Absent);
}

#[test]
fn the_process_of_the_pid_file_is_the_domain() {
    let host = Host::new();
    host.add(&domain(300, "guest=web,debug-threads=on"));
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::PidFile));
    assert_eq!(by_pid_file(&host.roots, &qemu("web")).map(|alive| alive.pid), Some(300));
}

#[test]
fn without_a_pid_file_the_domain_is_met_in_the_table() {
    let host = Host::new();
    host.add(&domain(300, "guest=web,debug-threads=on"));
    assert_eq!(by_pid_file(&host.roots, &qemu("web")), None);
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
}

#[test]
fn a_pid_file_that_names_another_process_is_not_believed() {
    for text in ["300", "301", "77", "1", "0", "-1", "", "x", "300 301", "99999999999999999999", "\0\0"] {
        let host = Host::new();
        host.add(&domain(300, "guest=other,debug-threads=on"));
        host.write("run/libvirt/qemu/web.pid", text);
        assert_eq!(by_pid_file(&host.roots, &without_uuid("web")), None, "{text:?}");
        assert_eq!(host.find(&without_uuid("web")), Evidence::Absent, "{text:?}");
    }
}

#[test]
fn names_that_would_leave_the_folder_of_pid_files_are_not_looked_for_there() {
    let host = Host::new();
    host.add(&domain(300, "guest=../evil"));
    host.write("run/libvirt/evil.pid", "300");
    assert_eq!(by_pid_file(&host.roots, &without_uuid("../evil")), None);
    assert_eq!(host.find(&without_uuid("../evil")), alive_as("../evil", 300, FoundBy::Scan));
    assert_eq!(by_pid_file(&host.roots, &without_uuid("")), None);
}

#[test]
fn a_pid_file_that_is_no_small_regular_file_is_not_read() {
    let host = Host::new();
    host.add(&domain(300, "guest=web"));
    let file = host.roots.run.join("libvirt/qemu/web.pid");
    host.write("elsewhere", "300");
    symlink(host.folder.path().join("elsewhere"), &file).unwrap();
    assert_eq!(by_pid_file(&host.roots, &qemu("web")), None);
    fs::remove_file(&file).unwrap();
    fs::write(&file, format!("300{}", " ".repeat(100))).unwrap();
    assert_eq!(by_pid_file(&host.roots, &qemu("web")), None);
    fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(by_pid_file(&host.roots, &qemu("web")), None);
}

#[test]
fn names_are_compared_whole_and_commas_are_doubled() {
    let rows = [
        ("web", "guest=web,debug-threads=on", true),
        ("web", "guest=web", true),
        ("web", "web", true),
        ("web", "web,process=qemu:web", true),
        ("web", "debug-threads=on,guest=web", true),
        ("a,b", "guest=a,,b,debug-threads=on", true),
        ("a,,b", "guest=a,,,,b", true),
        ("a,", "guest=a,,,debug-threads=on", true),
        ("a=b", "guest=a=b,debug-threads=on", true),
        ("w b", "guest=w b,debug-threads=on", true),
        ("bär", "guest=bär,debug-threads=on", true),
        ("web", "guest=web-1,debug-threads=on", false),
        ("web-1", "guest=web,debug-threads=on", false),
        ("w.b", "guest=web,debug-threads=on", false),
        ("web", "guest=web,,x,debug-threads=on", false),
        ("web", "guest=WEB", false),
        ("web", "guest= web", false),
        ("web", "guest=", false),
        ("web", "", false),
        ("web", "process=web", false),
        ("a", "guest=a,,b", false),
    ];
    for (name, argument, expected) in rows {
        let host = Host::new();
        host.add(&domain(300, argument));
        let expected = expected.then_some(300);
        assert_eq!(found(&host.find(&without_uuid(name))), expected, "{name} in {argument}");
    }
}

#[test]
fn the_name_is_looked_for_as_an_argument_of_its_own() {
    let rows: &[&[&str]] = &[
        &[QEMU, "-append", "-name guest=web"],
        &[QEMU, "-display", "none -name guest=web,debug-threads=on"],
        &[QEMU, "-namex", "guest=web"],
        &["-name", "guest=web"],
        &[QEMU, "-name"],
        &[QEMU, "-name", "guest=other", "-name", "guest=web"],
        &[QEMU, "-xen-domid", "5", "-name", "web"],
    ];
    for words in rows {
        let host = Host::new();
        host.add(&made(300, words));
        assert_eq!(host.find(&qemu("web")), Evidence::Absent, "{words:?}");
    }
}

#[test]
fn a_program_that_is_no_emulator_never_counts_whatever_its_arguments() {
    let rows =
        ["/usr/bin/bash", "/usr/bin/vim.basic", "/usr/bin/sleep", "/usr/bin/gdb", "/usr/bin/qemu-img", "/x/vm-agent"];
    for exe in rows {
        let host = Host::new();
        let words = [QEMU, "-name", "guest=web,debug-threads=on", "-S", "-uuid", UUID];
        host.add(&Made { exe: Some(exe), comm: "bash", ..made(300, &words) });
        assert_eq!(host.find(&qemu("web")), Evidence::Absent, "{exe}");
    }
}

#[test]
fn emulators_are_known_by_the_file_that_they_run() {
    let rows = [
        (QEMU, true),
        ("/usr/bin/qemu-system-x86_64 (deleted)", true),
        ("/usr/libexec/qemu-kvm", true),
        ("/usr/bin/kvm", true),
        ("/nix/store/x/bin/.qemu-system-x86_64-wrapped", true),
        ("/opt/vendor/bin/our-vmm", false),
        ("/usr/bin/qemu-nbd", false),
    ];
    for (exe, expected) in rows {
        let host = Host::new();
        host.add(&Made { exe: Some(exe), comm: "x", ..domain(300, "guest=web") });
        assert_eq!(found(&host.find(&qemu("web"))).is_some(), expected, "{exe}");
    }
}

#[test]
fn the_whole_command_line_of_libvirt_under_an_unknown_program_proves_nothing() {
    let host = Host::new();
    let key = r#"{"qom-type":"secret","id":"masterKey0","file":"/var/lib/libvirt/qemu/domain-1-web/master-key.aes"}"#;
    let words = ["/opt/vmm", "-name", "guest=web,debug-threads=on", "-object", key, "-uuid", UUID];
    host.add(&Made { exe: Some("/opt/vmm"), comm: "vmm", ..made(300, &words) });
    // It is not even asked for its arguments, which might be waited for, unless libvirt's pid file names it.
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
    host.write("run/libvirt/qemu/web.pid", "300");
    let evidence = host.find(&qemu("web"));
    assert!(why(&evidence).contains("process 300 (vmm)"), "{evidence:?}");
    assert!(why(&host.find(&without_uuid("web"))).contains("process 300 (vmm)"));
    assert_eq!(host.find(&qemu("we")), Evidence::Absent);
}

#[test]
fn a_domain_of_libvirts_with_the_same_uuid_is_alive_under_its_own_name() {
    let host = Host::new();
    let key = r#"{"qom-type":"secret","id":"masterKey0","file":"/var/lib/libvirt/qemu/domain-1-old/master-key.aes"}"#;
    host.add(&made(300, &[QEMU, "-name", "guest=old,debug-threads=on", "-object", key, "-uuid", UUID]));
    let Evidence::Alive(alive) = host.find(&qemu("web")) else { panic!("not found") };
    assert_eq!((alive.pid, alive.name.as_str(), alive.found_by), (300, "old", FoundBy::Scan));
    assert_eq!(host.find(&without_uuid("web")), Evidence::Absent);
    // One of this very name is it rather than that one.
    host.add(&domain(400, "guest=web,debug-threads=on"));
    let Evidence::Alive(alive) = host.find(&qemu("web")) else { panic!("not found") };
    assert_eq!((alive.pid, alive.name.as_str()), (400, "web"));
    // A pid file of this name does not make another user's process libvirt's.
    let host = Host::new();
    host.add(&Made { uid: 4711, ..made(300, &[QEMU, "-name", "guest=old", "-object", key, "-uuid", UUID]) });
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn a_process_of_the_same_uuid_and_another_name_that_libvirt_did_not_start_is_never_taken_for_it() {
    let host = Host::new();
    host.add(&made(300, &[QEMU, "-name", "guest=database,debug-threads=on", "-uuid", UUID]));
    let evidence = host.find(&qemu("web"));
    assert!(why(&evidence).contains("named database"), "{evidence:?}");
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(by_pid_file(&host.roots, &qemu("web")), None);
}

#[test]
fn another_uuid_counts_only_when_libvirt_itself_says_that_it_is_the_domain() {
    let host = Host::new();
    let other = "00000000-1a69-4a1a-bcd5-8bf2406b3f34";
    host.add(&made(300, &[QEMU, "-name", "guest=web", "-uuid", other]));
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
    host.write("run/libvirt/qemu/web.pid", "300\n");
    let Evidence::Alive(alive) = host.find(&qemu("web")) else { panic!("not found") };
    assert_eq!(alive.uuid.map(|uuid| uuid[0]), Some(0));
}

#[test]
fn what_was_started_by_hand_is_at_most_a_namesake_and_never_the_domain() {
    let other = "00000000-1a69-4a1a-bcd5-8bf2406b3f34";
    let found = |words: &[&str], who: &Identity<'_>| {
        let host = Host::new();
        host.add(&made(300, &[&[QEMU][..], words].concat()));
        host.find(who)
    };
    let namesake = "process 300 (qemu-system-x86) has this name, and libvirt did not start it";
    assert_eq!(found(&["-name", "web"], &qemu("web")), Evidence::Namesake(namesake.into()));
    assert_eq!(found(&["-name", "web"], &without_uuid("web")), Evidence::Namesake(namesake.into()));
    assert_eq!(found(&["-name", "web", "-uuid", other], &without_uuid("web")), Evidence::Namesake(namesake.into()));
    assert_eq!(found(&["-name", "web", "-uuid", other], &qemu("web")), Evidence::Absent);
    let same = found(&["-name", "web", "-uuid", UUID], &qemu("web"));
    assert!(matches!(&same, Evidence::MayBe(why) if why.contains("libvirt did not start it")), "{same:?}");
}

#[test]
fn an_emulator_that_is_ending_is_known_by_a_thread_that_hangs_and_by_another_domains_pid_file() {
    let ending = |host: &Host| {
        host.add(&Made { words: vec![], exe: None, state: "Z", threads: 2, ..domain(300, "") });
    };
    for (name, expected) in [("web", true), ("other", false)] {
        let host = Host::new();
        ending(&host);
        let words = [QEMU, "-name", &format!("guest={name}"), "-object", HOME].map(|word| format!("{word}\0")).concat();
        fs::create_dir_all(host.roots.proc.join("300/task/300")).unwrap();
        fs::create_dir_all(host.roots.proc.join("300/task/301")).unwrap();
        host.write("proc/300/task/300/cmdline", "");
        host.write("proc/300/task/301/cmdline", &words);
        let evidence = host.find(&without_uuid("web"));
        assert_eq!(found(&evidence).is_some(), expected, "{evidence:?}");
        assert_eq!(evidence == Evidence::Absent, !expected);
        match evidence {
            Evidence::Alive(alive) => assert!(alive.ending),
            Evidence::Absent | Evidence::MayBe(_) | Evidence::Namesake(_) | Evidence::Unknown(_) => {}
        }
    }
    let host = Host::new();
    ending(&host);
    assert_eq!(why(&host.find(&qemu("web"))), "process 300 (qemu-system-x86) is starting or ending");
    host.write("run/libvirt/qemu/other.pid", "300");
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn one_that_was_killed_in_the_middle_of_a_call_is_ending() {
    // The flags of a process that has begun to end; SIGKILL among the signals that wait for it.
    for (state, flags, pending, expected) in [
        ("S", 0x0040_0100, "0", false),
        ("D", 0x0040_0100, "0", false),
        ("D", 0x0040_0100, "100", true),
        ("D", 0x0040_0104, "0", true),
    ] {
        let host = Host::new();
        host.add(&Made { state, flags, ..domain(300, "guest=web") });
        let status = format!("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t300\nSigPnd:\t0\nShdPnd:\t0000000000000{pending}\n");
        host.write("proc/300/status", status);
        let Evidence::Alive(alive) = host.find(&qemu("web")) else { panic!("not found") };
        assert_eq!(alive.ending, expected, "{state} {flags:x} {pending}");
        host.write("run/libvirt/qemu/web.pid", "300");
        let expected = if expected { Pulse::Ending(300, 1300) } else { Pulse::Beats };
        assert_eq!(pulse(&host.roots, &qemu("web")), expected);
    }
}

#[test]
fn a_pulse_has_ended_only_when_the_number_in_the_pid_file_is_nobodys() {
    let host = Host::new();
    assert_eq!(pulse(&host.roots, &qemu("web")), Pulse::Beats, "without a pid file libvirt's word counts");
    host.write("run/libvirt/qemu/web.pid", "300");
    assert_eq!(pulse(&host.roots, &qemu("web")), Pulse::Ended(300));
    host.add(&Made { state: "Z", threads: 1, ..domain(300, "guest=web") });
    assert_eq!(pulse(&host.roots, &qemu("web")), Pulse::Ended(300));
    // Where processes could hide nothing is proven.
    host.write("run/libvirt/qemu/web.pid", "301");
    host.mount("rw,hidepid=2", "proc", "rw,hidepid=2");
    host.own_rights("0");
    assert_eq!(pulse(&host.roots, &qemu("web")), Pulse::Beats);
}

#[test]
fn a_target_of_a_migration_says_so() {
    let host = Host::new();
    host.add(&made(300, &[QEMU, "-name", "guest=web", "-object", HOME, "-uuid", UUID, "-incoming", "defer"]));
    let Evidence::Alive(alive) = host.find(&qemu("web")) else { panic!("not found") };
    assert!(alive.incoming);
}

#[test]
fn a_process_that_only_waits_to_be_reaped_is_not_alive() {
    let host = Host::new();
    host.add(&Made { state: "Z", threads: 1, words: vec![], exe: None, ..domain(300, "") });
    host.add(&Made { state: "Z", threads: 1, ..domain(301, "guest=web") });
    host.write("run/libvirt/qemu/web.pid", "301");
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn stopped_and_unkillable_processes_are_alive() {
    for state in ["T", "t", "D", "R", "I"] {
        let host = Host::new();
        host.add(&Made { state, ..domain(300, "guest=web") });
        assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan), "{state}");
    }
}

#[test]
fn kernel_threads_are_not_looked_at() {
    let host = Host::new();
    host.add(&Made { words: vec![], exe: None, comm: "kvm", flags: 0x0020_8040, ..domain(300, "") });
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
}

#[test]
fn a_name_full_of_parentheses_does_not_mislead() {
    let host = Host::new();
    host.add(&Made { comm: "a) Z 1 (b) ", ..domain(300, "guest=web") });
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
}

#[test]
fn the_older_of_two_is_the_domain_because_a_fork_shows_the_arguments_of_its_parent() {
    let host = Host::new();
    host.add(&domain(400, "guest=web"));
    host.add(&domain(300, "guest=web"));
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
}

#[test]
fn a_command_line_without_an_end_proves_nothing() {
    let long = "x".repeat(2 << 20);
    let host = Host::new();
    host.add(&made(300, &[QEMU, "-append", &long, "-name", "guest=web"]));
    assert!(why(&host.find(&qemu("web"))).contains("too long a command line"));
    let host = Host::new();
    host.add(&Made { exe: Some("/usr/bin/rm"), comm: "rm", ..made(300, &["rm", &long, "-name", "guest=web"]) });
    assert_eq!(host.find(&qemu("web")), Evidence::Absent);
    let nearly = "x".repeat(900 << 10);
    let host = Host::new();
    host.add(&made(300, &[QEMU, "-append", &nearly, "-name", "guest=web", "-object", HOME, "-uuid", UUID]));
    assert_eq!(host.find(&qemu("web")), alive(300, FoundBy::Scan));
}

#[test]
fn a_container_is_known_by_its_controller() {
    let controller = "/usr/lib/libvirt/libvirt_lxc";
    let who = Identity { name: "box", uuid: Some(UUID_BYTES), driver: Driver::Lxc };
    let name = || "box".to_owned();
    let expected = |found_by| {
        let (incoming, ending) = (false, false);
        Evidence::Alive(Alive {
            pid: 300,
            start_time_ticks: 1300,
            incoming,
            ending,
            found_by,
            name: name(),
            uuid: None,
        })
    };
    let words = [controller, "--name", "box", "--console", "22", "--handshake", "25"];
    let host = Host::new();
    host.add(&Made { exe: Some(controller), comm: "libvirt_lxc", ..made(300, &words) });
    assert_eq!(host.find(&who), expected(FoundBy::Scan));
    host.write("run/libvirt/lxc/box.pid", "300\n");
    assert_eq!(host.find(&who), expected(FoundBy::PidFile));
    assert_eq!(host.find(&Identity { name: "bo", ..who }), Evidence::Absent);
    assert_eq!(host.find(&qemu("box")), Evidence::Absent, "it is no QEMU");
    let host = Host::new();
    host.add(&Made { exe: Some("/bin/bash"), comm: "bash", ..made(300, &words) });
    host.add(&Made { exe: Some(controller), comm: "libvirt_lxc", uid: 4711, ..made(301, &words) });
    assert_eq!(host.find(&who), Evidence::Absent);
}

#[test]
fn domains_without_a_process_of_their_own_stay_unknown() {
    let host = Host::new();
    let who = Identity { driver: Driver::Other, ..qemu("web") };
    assert!(why(&host.find(&who)).contains("no process of their own"));
}
