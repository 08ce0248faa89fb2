// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person types: status, list, explain.

use crate::common::*;

#[test]
fn status_tells_a_person_everything_on_one_screen() {
    let host = Host::up();
    let vm = host.guest("a").option("--mem", "32").written();
    let answer = vm.call(Human, "status").gives(7);
    assert!(answer.stdout.starts_with("a: not running\n"), "{answer}");
    vm.call(Rgmanager, "start").gives(0);
    let answer = vm.call_by_name(Human, "status").gives(0);
    let uuid = host.virsh(&["domuuid", "a"]);
    for part in [
        "a: running\n",
        ", since 20",
        "process     ",
        &uuid,
        "qemu:///system",
        "1 vCPU, 32 MiB",
        &format!("from {}, unchanged since", vm.file.display()),
        "on node1 for 'vm:a'",
        "pacemaker   monitor would answer 0",
        "rgmanager   status would answer 0",
    ] {
        assert!(answer.stdout.contains(part), "no '{part}' in {answer}");
    }
    assert!(!answer.stdout.contains("WARNING"), "{answer}");
    assert!(answer.stdout.lines().count() < 24, "{answer}");
    std::fs::write(&vm.file, host.guest("a").xml()).unwrap();
    let answer = vm.call(Human, "status").gives(0);
    assert!(answer.stdout.contains("CHANGED since") && answer.stdout.contains("WARNING"), "{answer}");
    host.virsh(&["suspend", "a"]);
    let answer = vm.call_by_name(Human, "status").gives(0);
    assert!(answer.stdout.contains("monitor would answer 190: 'a' is paused by request"), "{answer}");
    assert!(answer.stdout.contains("status would answer 0"), "{answer}");
}

#[test]
fn status_warns_of_autostart_and_of_a_definition_that_could_not_be_started_again() {
    let host = Host::up();
    let vm = host.guest("a").written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    host.virsh(&["autostart", "a"]);
    std::fs::write(&vm.file, "<domain>").unwrap();
    let warned = |code: i32| {
        let answer = vm.call(Human, "status").gives(code);
        assert!(answer.stdout.contains("virsh autostart --disable a"), "{answer}");
        assert!(answer.stdout.contains("could not be started again"), "{answer}");
    };
    warned(7);
    host.virsh(&["start", "a"]);
    warned(0);
}

#[test]
fn status_tells_the_same_facts_as_json() {
    let host = Host::up();
    let vm = host.guest("a").option("--disk", "/dev/null").written();
    let facts = |code: i32| -> serde_json::Value {
        let answer = vm.call(Human, "status").arg("--json").gives(code);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer}"))
    };
    let off = facts(7);
    assert_eq!((&off["name"], &off["presence"]), (&"a".into(), &"not running".into()));
    let plain = host.guest("a").written();
    plain.call(Pacemaker, "start").gives(0);
    let on = facts(0);
    assert_eq!((&on["name"], &on["presence"], &on["state"]), (&"a".into(), &"running".into(), &"running".into()));
    assert_eq!(on["uuid"], host.virsh(&["domuuid", "a"]).as_str());
    let pid = host.run("cat", &["/run/libvirt/qemu/a.pid"]);
    assert_eq!(on["pid"].to_string(), pid);
    assert_eq!((&on["vcpus"], &on["memory_kib"]), (&1.into(), &(16 * 1024).into()));
    assert_eq!((&on["persistent"], &on["autostart"]), (&false.into(), &false.into()));
    assert_eq!(on["definition"]["resource"], "a");
    assert_eq!(on["definition"]["created_from"], plain.file.to_str().unwrap());
    assert_eq!(on["definition"]["unchanged"], true);
    let codes: Vec<&serde_json::Value> = on["cluster"].as_array().unwrap().iter().map(|told| &told["code"]).collect();
    assert_eq!(codes, [0, 0]);
}

#[test]
fn status_is_unknown_when_nobody_can_tell() {
    let host = Host::up();
    // No process of such a hypervisor could prove anything.
    let silent = "test+unix:///default?socket=/nowhere";
    let answer = host.call(Human, "status").named("a").param("hypervisor_uri", silent).timeout(2.0).gives(1);
    assert!(answer.stdout.starts_with("a: unknown\n"), "{answer}");
}

#[test]
fn explain_tells_facts_plan_and_code_and_changes_nothing() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let explain = |action: &str, code: i32, parts: &[&str]| {
        let answer = vm.call(Human, &format!("explain {action}")).gives(code).within(2.0);
        for part in parts {
            assert!(answer.stdout.contains(part), "no '{part}' in {answer}");
        }
    };
    let file = vm.file.to_str().unwrap().to_owned();
    explain("start", 0, &["there is no such domain", &file, "create it from the definition", "would answer 0"]);
    explain("stop", 0, &["nothing", "would answer 0"]);
    explain("monitor", 7, &["would answer 7"]);
    explain("restart", 0, &["read the definition"]);
    assert_eq!(host.virsh(&["list", "--all", "--name"]), "");
    let vm = vm.created();
    let (pid, xml) = (vm.qemu().pid, vm.live_xml());
    for action in ["start", "stop", "kill", "restart", "recover", "status", "monitor", "reload"] {
        let answer = vm.call(Human, &format!("explain {action}")).run();
        assert!(answer.stdout.contains("would answer"), "{answer}");
        assert_eq!((vm.qemu().pid, vm.live_xml(), vm.state().as_str()), (pid, xml.clone(), "running"));
    }
    let answer = vm.call(Human, "explain stop").gives(0);
    assert!(answer.stdout.contains("ask the guest to shut down"), "{answer}");
    let answer = vm.call(Human, "explain stop").param("force_stop", "1").gives(0);
    assert!(answer.stdout.contains("destroy it") && !answer.stdout.contains("ask the guest"), "{answer}");
}

#[test]
fn a_mistyped_name_is_met_with_the_one_that_was_meant() {
    let host = Host::up();
    let vm = host.guest("webserver").written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    let asks = |action: &str, name: &str| host.call(Human, action).named(name).run();
    for action in ["status", "monitor", "stop", "start"] {
        let answer = asks(action, "wbeserver");
        assert!(answer.stderr.contains("did you mean 'webserver'?"), "{answer}");
    }
    for name in ["webserver", "mail"] {
        let answer = asks("stop", name);
        assert!(!answer.stderr.contains("did you mean"), "{answer}");
    }
}

#[test]
fn what_was_typed_wrongly_is_refused_in_words_for_a_person() {
    let host = Host::up();
    let typed = |words: &[&str], expected: &str| {
        let call = words.iter().fold(host.call(Human, "start web"), |call, word| call.arg(*word));
        let answer = call.gives(2);
        assert!(answer.stderr.contains(expected), "{answer}");
    };
    typed(&["--timeout", "1x"], "expected seconds, more than 0, as in 30 or 0.5");
    typed(
        &["-c", "nonsense"],
        "hypervisor_uri: 'nonsense' cannot be used: the URI names no driver; expected qemu, kvm, xen, lxc or a URI",
    );
    let help = host.call(Human, "--help").gives(0);
    for code in ["4 refused by hand", "150 (rgmanager", "190 (Pacemaker"] {
        assert!(help.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(code), "no '{code}' in {help}");
    }
}

#[test]
fn a_start_that_waits_for_libvirt_says_so_at_once_and_names_the_daemon_that_is_installed() {
    let host = Host::up();
    let vm = host.guest("a").written();
    host.service("stop", "libvirtd");
    let mut start = vm.call(Human, "start").timeout(8.0).spawn();
    start.says("start waits for it as long as it may");
    assert!(start.runs());
    let answer = start.answer();
    let (daemon, [socket, _]) = host.daemon();
    assert!(answer.stderr.contains(&format!("/run/libvirt/{socket}")), "{answer}");
    assert_eq!(answer.stderr.contains("virtqemud"), daemon == "virtqemud", "{answer}");
}

#[test]
fn list_shows_what_libvirt_knows_and_a_shell_completes_the_names() {
    let host = Host::up();
    let vm = host.guest("a b").written();
    let list = |words: &[&str]| {
        let answer = host.command(AGENT).arg("list").args(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (answer.status.code().unwrap(), text(answer.stdout), text(answer.stderr))
    };
    assert_eq!(list(&["--names"]), (0, String::new(), String::new()));
    vm.call(Pacemaker, "start").gives(0);
    let kept = host.file("kept.xml", &host.definition("kept", &["--variant", "none"]));
    host.virsh(&["define", kept.to_str().unwrap()]);
    let (code, table, said) = list(&[]);
    let cells = |line: &'_ str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let rows: Vec<Vec<String>> = table.lines().map(cells).collect();
    let file = vm.file.to_str().unwrap();
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(rows[1], ["a b", "running", "a b", file]);
    assert_eq!(rows[2], ["kept", "shut off", "-", "libvirt's own"]);
    assert_eq!(list(&["--names"]), (0, "a b\nkept\n".into(), String::new()));
    let (code, names, said) = list(&["--names", "--nodes", "nowhere.invalid"]);
    assert_eq!((code, names.as_str()), (1, "a b\nkept\n"));
    assert!(said.contains("nowhere.invalid does not tell: "), "{said}");
    std::fs::write(&vm.file, std::fs::read_to_string(&vm.file).unwrap() + "\n").unwrap();
    assert!(list(&[]).1.contains(&format!("{file}, CHANGED since")));
    // Who does not tell has not none.
    let (code, json, said) = list(&["--json", "--nodes", "nowhere.invalid"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["hosts"][0]["machines"][0]["name"].as_str()), (1, Some("a b")), "{json}");
    assert!(
        json["hosts"][1]["silent"].is_string() && said.contains("nowhere.invalid does not tell: "),
        "{json} {said}"
    );
    let completion = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/completions/vm-agent");
    let completed = |names: &str, begun: &str| {
        let typed = format!(
            "vm-agent() {{ {names}; }}; . {completion}; COMP_WORDS=(vm-agent status {begun}) COMP_CWORD=2; \
             _vm_agent vm-agent '{begun}' status; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        host.run("bash", &["-c", &typed])
    };
    assert_eq!(completed(&format!("{AGENT} \"$@\""), "ke"), "kept");
    // A name is a word of the command line, and never a part of the shell's.
    let hostile = r#"printf '%s\n' '$(touch /run/done)' '$(touch${IFS}/run/done)' '*' 'a b'"#;
    let words = completed(hostile, "");
    for word in [r"\$\(touch\ /run/done\)", r"\*", r"a\ b"] {
        assert!(words.lines().any(|line| line == word), "{words}");
    }
    host.run("test", &["!", "-e", "/run/done"]);
    host.service("stop", "libvirtd");
    let (code, _, said) = list(&[]);
    assert!(code == 1 && said.contains("does not tell"), "{said}");
}

#[test]
fn logs_show_the_agents_lines_the_emulators_and_the_consoles_of_one_machine() {
    let host = Host::up();
    let vm = host.guest("a").polite().written().created();
    vm.ticks();
    let line = |text: &str| format!("Nov 30 12:00:00 node1 pacemaker-execd[7] (log_op_output) info: {text}\n");
    let lines = line("a_monitor_0[9] stderr [ WARNING: \u{1b}[31m'a' is paused ]") + &line("ab_start_0 began");
    host.run("mkdir", &["-p", "/var/log/pacemaker"]);
    let log = host.file("pacemaker.log", &lines);
    host.run("cp", &[log.to_str().unwrap(), "/var/log/pacemaker/pacemaker.log"]);
    let answer = vm.call(Human, "logs").gives(0);
    for part in [
        "a: what is on record on node1\n",
        "\n/var/log/pacemaker/pacemaker.log:\n",
        "[31m'a' is paused",
        "\nemulator, /var/log/libvirt/qemu/a.log:\n",
        "\nconsole, ",
    ] {
        assert!(answer.stdout.contains(part), "no '{part}' in {answer}");
    }
    assert!(!answer.stdout.contains("ab_start") && !answer.stdout.contains('\u{1b}'), "{answer}");
    let (_, console) = answer.stdout.split_once("\nconsole, ").unwrap();
    assert!(console.lines().nth(1).is_some_and(|line| line.starts_with("  ") && !line.contains('(')), "{answer}");
    // What is on record outlives the machine.
    vm.destroy();
    let answer = vm.call(Human, "logs").arg("-n").arg("1").gives(0);
    assert!(answer.stdout.contains("shutting down, reason=destroyed"), "{answer}");
    let answer = host.call(Human, "logs").named("nobody").gives(1);
    assert!(!answer.stdout.contains("emulator"), "{answer}");
}

#[test]
fn a_watched_status_is_shown_again_and_again_until_its_reader_goes() {
    let host = Host::up();
    host.guest("a").written();
    let watch = |more: &str| format!("{AGENT} status a --watch=0.1 {more} | grep -m 3 --line-buffered . | wc -l");
    let json = host.run("bash", &["-c", &watch("--json")]);
    assert_eq!(json, "3");
    let text = host.run("bash", &["-c", &format!("{AGENT} status a --watch=0.1 | grep -m 3 '^a: not running'")]);
    assert_eq!(text, ["a: not running"; 3].join("\n"));
}

/// plan, convert and replay read by one function.
#[test]
fn a_file_that_a_person_names_on_storage_that_hangs_ends_a_command_in_time() {
    let host = Host::with("");
    let storage = Hanging::mounted(&host);
    std::fs::write(storage.folder.join("cib"), "<cluster/>").unwrap();
    let plan =
        |code: i32| host.call(Human, "plan").arg("--cib").arg("/mnt/hanging/cib").arg("--timeout").arg("2").gives(code);
    plan(6).tells(&["/mnt/hanging/cib cannot be used: it is no CIB, but <cluster>"]);
    storage.hangs("all");
    plan(6).within(4.0).tells(&["/mnt/hanging/cib cannot be read: its storage did not answer in time"]);
}
