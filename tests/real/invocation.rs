// SPDX-License-Identifier: GPL-2.0-or-later
//! How the program is called: what is in the environment and what is not, files that are closed, arguments that make no
//! sense. No virtual machine is needed, and none of this machine's is named.
use crate::common::*;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use vm_agent::callers::meta_data::{OCF, RGMANAGER};
use vm_agent::model::params::table;

/// A machine that nobody has; another one for each test, since agents at one machine wait for each other.
fn nobody() -> String {
    // Other runs of these tests may be under way.
    format!("vm-agent-test-{}-{}", std::process::id(), std::thread::current().name().unwrap())
}

fn call(dialect: Dialect, action: &str) -> Call<'static> {
    Call::new(None, dialect, action).timeout(1.0)
}

/// Runs a shell's words with `$0` a link of this name to the agent, without any environment.
fn shell(link: &str, words: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(link);
    symlink(AGENT, &link).unwrap();
    let mut bash = Command::new("/bin/bash");
    bash.env_clear().stdin(Stdio::null()).args(["-c", words]).arg(link).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn meta_data_need_no_environment_and_no_open_files_but_the_output() {
    let ocf = ["vm", "VirtualDomain", "Xen"].map(|link| (link, OCF.as_str()));
    for (link, expected) in std::iter::once(("vm.sh", RGMANAGER.as_str())).chain(ocf) {
        for files in ["", "<&-", "2>&-", "<&- 2>&-"] {
            let output = shell(link, &format!("exec env -i \"$0\" meta-data {files}"));
            assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), expected), "{link} {files}");
            assert!(output.stderr.is_empty());
        }
        for variable in ["OCF_OUTPUT_FORMAT=text", "OCF_OUTPUT_FORMAT=log", "HA_debug=1", "OCF_RESKEY_name="] {
            let output = shell(link, &format!("exec env -i {variable} \"$0\" meta-data"));
            assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), expected), "{variable}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_and_a_full_disk_are_no_bugs() {
    for words in ["meta-data", "usage", "--help", "bogus", "monitor"] {
        for link in ["vm.sh", "vm", "vm-agent"] {
            let pipe = shell(link, &format!("\"$0\" {words} 2>&1 | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"));
            let full = shell(link, &format!("exec \"$0\" {words} >/dev/full 2>/dev/full"));
            let gone = shell(link, &format!("exec \"$0\" {words} >&- 2>&- <&-"));
            let plain = shell(link, &format!("exec \"$0\" {words}"));
            for output in [pipe, full, gone] {
                assert_eq!(output.status.code(), plain.status.code(), "{link} {words}: {output:?}");
            }
            assert!(plain.status.code().is_some_and(|code| code <= 7), "{plain:?}");
            assert!(!text(&plain.stderr).contains("bug"), "{plain:?}");
        }
    }
}

#[test]
fn actions_answer_the_same_without_any_open_file() {
    for link in ["vm.sh", "vm"] {
        for action in ["start", "stop", "status", "monitor", "validate-all", "reload", "recover", "restart", "kill"] {
            let words = format!(
                "OCF_RESKEY_name={} OCF_RESKEY_CRM_meta_timeout=1000 \
                                 OCF_RESKEY_RGMANAGER_meta_timeout=1 OCF_RESKEY_path=/no/such \"$0\" {action}",
                nobody()
            );
            let open = shell(link, &format!("exec env -i {words}"));
            let closed = shell(link, &format!("exec env -i {words} <&- >&- 2>&-"));
            assert!(closed.status.code().is_some(), "{link} {action}: {closed:?}");
            assert_eq!(closed.status.code(), open.status.code(), "{link} {action}");
        }
    }
}

#[test]
fn a_folder_that_is_gone_is_a_good_place_to_be_called_from() {
    let words =
        format!("cd \"$(mktemp -d)\" && rmdir \"$PWD\" && exec env -i OCF_RESKEY_name={} \"$0\" monitor", nobody());
    let output = shell("vm", &words);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

#[test]
fn without_an_action_the_usage_is_told_and_2_answered() {
    for dialect in [Rgmanager, Pacemaker, Ocf, Human] {
        let answer = call(dialect, "").var("OCF_EXIT_REASON_PREFIX", "").run();
        assert_eq!(answer.code, 2, "{answer}");
        assert!(answer.stderr.to_lowercase().contains("usage"), "{answer}");
    }
}

#[test]
fn an_unknown_action_is_3() {
    for dialect in [Rgmanager, Pacemaker, Ocf, Human] {
        for action in ["promote", "START", "start.", "méta", "--start"] {
            if dialect == Human && action.starts_with('-') {
                call(dialect, action).gives(2);
            } else {
                call(dialect, action).gives(3);
            }
        }
    }
    let answer = call(Pacemaker, "notify").gives(3).says(&["'notify' is not an action"]);
    assert!(answer.stderr.contains("usage: "), "{answer}");
}

#[test]
fn usage_lists_the_actions() {
    for dialect in [Rgmanager, Pacemaker, Human] {
        let answer = call(dialect, "usage").gives(0);
        for action in ["start", "stop", "status", "monitor", "validate-all", "meta-data", "restart", "recover", "kill"]
        {
            assert!(answer.stdout.contains(action), "no {action} in {answer}");
        }
    }
    for option in ["--help", "--version"] {
        call(Human, option).gives(0);
    }
}

#[test]
fn further_arguments_are_ignored() {
    for dialect in [Rgmanager, Pacemaker, Ocf] {
        let answer = call(dialect, "monitor").named(nobody()).arg("--help").arg("start").arg("\u{1}").gives(7);
        assert!(answer.stdout.is_empty(), "{answer}");
        assert!(call(dialect, "meta-data").arg("x").gives(0).stdout.starts_with("<?xml"));
    }
}

#[test]
fn the_caller_can_be_named() {
    let answer = call(Human, "meta-data").var("VM_AGENT_CALLER", "rgmanager").gives(0);
    assert_eq!(answer.stdout, *RGMANAGER);
    let answer = call(Rgmanager, "meta-data").var("VM_AGENT_CALLER", "pacemaker").gives(0);
    assert_eq!(answer.stdout, *OCF);
    call(Human, "monitor").var("OCF_RESKEY_name", nobody()).gives(7);
}

#[test]
fn empty_values_are_unset() {
    for dialect in [Rgmanager, Pacemaker] {
        for action in ["monitor", "stop", "validate-all", "start"] {
            let plain = call(dialect, action).named(nobody()).run();
            let mut empty = call(dialect, action).named(nobody());
            for row in table().filter(|row| row.name != "name") {
                for name in [row.name].iter().chain(row.aliases) {
                    empty = empty.param(name, "");
                }
            }
            let empty = empty.var("VM_AGENT_CALLER", "").var("HA_debug", "").run();
            assert_eq!((empty.code, &empty.reason), (plain.code, &plain.reason), "{empty}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_a_problem_of_their_parameter_and_no_more() {
    let bytes = OsStr::from_bytes(b"\xff/\xfe\x80\n\x1b[2J");
    for dialect in [Rgmanager, Pacemaker] {
        for row in table() {
            for name in [row.name].iter().chain(row.aliases) {
                let with = |action: &str| call(dialect, action).named(nobody()).param(name, bytes);
                // rgmanager counts in whole seconds, and a start waits for a daemon as long as it may.
                if dialect == Pacemaker {
                    assert_ne!(with("start").timeout(0.3).run().code, 0);
                }
                with("validate-all").run();
                with("reload").gives(0);
                with("monitor").gives(7);
                with("stop").gives(0);
            }
        }
        for variable in [
            "OCF_RESOURCE_INSTANCE",
            "OCF_RESKEY_CRM_meta_interval",
            "OCF_RESKEY_CRM_meta_timeout",
            "OCF_RESKEY_RGMANAGER_meta_timeout",
            "OCF_CHECK_LEVEL",
            "OCF_RESKEY_CRM_meta_on_node",
            "VM_AGENT_CALLER",
        ] {
            call(dialect, "monitor").named(nobody()).timeout(30.0).var(variable, bytes).gives(7);
        }
        call(dialect, "monitor").named(nobody()).var(OsStr::from_bytes(b"OCF_RESKEY_\xff"), bytes).gives(7);
    }
    for word in [bytes, OsStr::new("")] {
        assert_ne!(call(Human, "").arg(word).run().code, 0);
        call(Human, "monitor").arg(word).gives(2);
        assert_ne!(call(Human, "monitor").arg("-o").arg(word).run().code, 0);
    }
    let answer = call(Pacemaker, "").arg(bytes).run();
    assert_eq!(answer.code, 3, "{answer}");
}

#[test]
fn a_mebibyte_of_values_is_read_or_refused() {
    // The kernel takes no single variable beyond 128 KiB; nine of them are more than a mebibyte.
    let long = "x".repeat(127 * 1024);
    let names = [
        "path",
        "config",
        "shutdown_mode",
        "status_program",
        "monitor_scripts",
        "snapshot",
        "migrate_options",
        "migration_mapping",
        "hypervisor",
    ];
    for dialect in [Rgmanager, Pacemaker] {
        let with = |action: &str| {
            names.iter().fold(call(dialect, action).named(nobody()), |call, name| call.param(name, &long))
        };
        with("start").gives(6);
        with("validate-all").gives(6);
        with("monitor").run();
        with("stop").run();
        call(dialect, "start").named(&*long).gives(6).says(&["name"]);
        let one = call(dialect, "start").named(nobody()).param("use_virsh", &long).gives(6);
        one.says(&["use_virsh", "130048 bytes", "at most 65536"]);
    }
    call(Human, "start").named(&*long).gives(2);
}

#[test]
fn a_name_that_could_leave_its_folder_is_refused_and_no_machine_was_ever_started_by_it() {
    for dialect in [Rgmanager, Pacemaker] {
        for name in ["a/b", "../a", ".", "..", "/etc/passwd", " ", "a\nb"] {
            call(dialect, "start").named(name).param("path", "/tmp").gives(6).says(&["name"]);
            call(dialect, "validate-all").named(name).gives(6).says(&["name"]);
            call(dialect, "stop").named(name).gives(0).tells(&["can never have been started: name"]);
            call(dialect, "monitor").named(name).gives(7).says(&["can never have been started: name"]);
        }
    }
    call(Human, "start").named("a/b").gives(2);
    call(Human, "status").named("..").gives(2);
}

#[test]
fn a_start_that_names_no_machine_is_not_configured() {
    for dialect in [Rgmanager, Pacemaker, Ocf] {
        for action in ["start", "restart", "recover", "validate-all"] {
            call(dialect, action).gives(6).says(&["neither name nor config is set"]);
        }
        call(dialect, "start").param("path", "/tmp").gives(6);
        call(dialect, "start").param("config", "").gives(6).says(&["neither name nor config is set"]);
    }
    call(Human, "start").gives(2);
}

#[test]
fn reasons_are_plain_and_short_whatever_is_in_them() {
    let name = "Mäuschen \"<&>\" \u{202e}\u{1f600}\u{2018}".repeat(8);
    for dialect in [Rgmanager, Pacemaker] {
        for action in ["start", "monitor", "validate-all", "restart"] {
            // What a reason must be is checked at each call.
            let call = call(dialect, action).named(&name).param("config", format!("/no/such/{name}"));
            assert!(matches!(call.run().code, 0 | 1 | 5 | 7));
        }
    }
    let prefixed = call(Ocf, "start").var("OCF_EXIT_REASON_PREFIX", "said: ").param("use_virsh", "x").gives(6);
    assert!(!prefixed.says(&["use_virsh: 'x'"]).stderr.contains("ocf-exit-reason"));
}

#[test]
fn timeouts_of_any_size_are_taken() {
    for value in ["0", "1", "18446744073709551615", "99999999999999999999", "-5", "1.5", "20s", " 7 ", "0x10"] {
        let vars = ["OCF_RESKEY_CRM_meta_timeout", "OCF_RESKEY_RGMANAGER_meta_timeout", "OCF_CHECK_LEVEL"];
        for dialect in [Rgmanager, Pacemaker] {
            let vars = |call: Call<'static>| vars.iter().fold(call.timeout(150.0), |call, name| call.var(*name, value));
            let answer = vars(call(dialect, "monitor").named(nobody())).run();
            assert!(matches!(answer.code, 1 | 7), "{answer}");
            let answer = vars(call(dialect, "stop").named(nobody())).run();
            assert!(matches!(answer.code, 0 | 1), "{answer}");
            vars(call(dialect, "meta-data")).gives(0);
        }
    }
    for value in ["nan", "inf", "-1", "0", "1e300", "x"] {
        call(Human, "stop").arg(nobody()).arg("--timeout").arg(value).gives(2);
    }
}

#[test]
fn the_agent_links_nothing_but_the_c_runtime() {
    let needed = needed(&std::fs::read(AGENT).unwrap());
    println!("{needed:?}");
    assert!(needed.iter().any(|name| name.starts_with("libc.")), "{needed:?}");
    let allowed = ["libc.", "libgcc_s.", "libm.", "ld-linux", "linux-vdso"];
    let others: Vec<&String> =
        needed.iter().filter(|name| !allowed.iter().any(|start| name.starts_with(start))).collect();
    assert!(others.is_empty(), "linked against {others:?}");
    let worker = self::needed(&std::fs::read(WORKER).unwrap());
    assert!(worker.iter().any(|name| name.starts_with("libvirt.")), "the reader finds nothing: {worker:?}");
}

/// The names of the libraries that a 64-bit little-endian ELF file asks for (DT_NEEDED).
fn needed(file: &[u8]) -> Vec<String> {
    let number = |at: usize, bytes: usize| -> usize {
        file[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    assert_eq!(&file[..6], b"\x7fELF\x02\x01");
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    // Each program header: kind, place in the file, address, size in the file.
    let segments: Vec<[usize; 4]> = (0..count)
        .map(|n| headers + n * size)
        .map(|at| [number(at, 4), number(at + 8, 8), number(at + 16, 8), number(at + 32, 8)])
        .collect();
    let place = |address: usize| {
        let within = |s: &&[usize; 4]| s[0] == 1 && (s[2]..s[2] + s[3]).contains(&address);
        let segment = segments.iter().find(within).unwrap();
        address - segment[2] + segment[1]
    };
    let Some(dynamic) = segments.iter().find(|segment| segment[0] == 2) else { return Vec::new() };
    let entries: Vec<(usize, usize)> = (dynamic[1]..dynamic[1] + dynamic[3])
        .step_by(16)
        .map(|at| (number(at, 8), number(at + 8, 8)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let Some((_, names)) = entries.iter().find(|(tag, _)| *tag == 5) else { return Vec::new() };
    let names = place(*names);
    let name =
        |offset: usize| file[names + offset..].iter().copied().take_while(|byte| *byte != 0).collect::<Vec<u8>>();
    entries.iter().filter(|(tag, _)| *tag == 1).map(|(_, offset)| text(&name(*offset))).collect()
}

#[test]
fn a_person_who_mistypes_is_told_what_was_expected() {
    let name = nobody();
    for (words, expected) in [
        (&["status"][..], "which virtual machine"),
        (&["status", name.as_str(), "-o", "no_kill"], "NAME=VALUE"),
        (&["status", name.as_str(), "-o", "colour=red"], "no such parameter"),
        (&["start", name.as_str(), "-o", "no_kill=perhaps"], "expected yes or no"),
        (&["status", name.as_str(), "--paht", "/x"], "--path"),
        (&["explain"], "ACTION"),
    ] {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let answer =
            words[1..].iter().fold(call(Human, words[0].to_str().unwrap()), |call, word| call.arg(word)).gives(2);
        assert!(answer.stderr.contains(expected), "no '{expected}' in {answer}");
    }
    call(Human, "explain").arg("dance").arg(nobody()).gives(3);
}
