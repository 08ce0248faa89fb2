// SPDX-License-Identifier: GPL-2.0-or-later
//! What a host's machines are for Prometheus: what is on record of their actions, and their states.

use crate::common::*;

#[test]
fn metrics_tell_states_actions_and_time_away_and_say_unknown_when_libvirt_is_dead() {
    let host = Host::up();
    let vm = host.guest("a").written();
    vm.call(Pacemaker, "start").gives(0);
    let record = || host.run("stat", &["-c", "%i %Y", "/run/vm-agent/a.tally"]);
    let before = record();
    vm.watch(Pacemaker).gives(0);
    assert_eq!(record(), before, "a monitor that finds all well counts nothing");
    vm.call(Human, "restart").gives(0);
    host.virsh(&["suspend", "a"]);
    vm.watch(Pacemaker).param("on_pause", "resume").gives(0);
    let file = host.folder("textfile").join("vm.prom");
    let written = || {
        let answer = host.call(Human, "metrics").arg("--output").arg(&file).gives(0);
        assert_eq!(answer.stdout, "", "{answer}");
        std::fs::read_to_string(&file).unwrap()
    };
    let has = |text: &str, samples: &[&str]| {
        assert!(text.ends_with("# EOF\n"), "{text}");
        for sample in samples {
            assert!(text.lines().any(|line| line.strip_prefix("vm_agent_") == Some(sample)), "no {sample} in {text}");
        }
    };
    let counted = [
        "action_last_code{machine=\"a\",action=\"start\"} 0",
        "actions_total{machine=\"a\",action=\"restart\",result=\"ok\"} 1",
        "actions_total{machine=\"a\",action=\"restart\",result=\"failed\"} 0",
    ];
    let text = written();
    has(&text, &counted);
    has(&text, &["hypervisor_answers{uri=\"qemu:///system\"} 1", "machine_state{machine=\"a\",state=\"running\"} 1"]);
    for beginning in ["away_seconds_total{machine=\"a\",cause=\"restart\"} ", "machine_started_timestamp_seconds{"] {
        assert!(text.contains(&format!("vm_agent_{beginning}")), "no {beginning} in {text}");
    }
    assert_eq!(host.run("stat", &["-c", "%a", file.to_str().unwrap()]), "644");
    assert_eq!(host.call(Human, "metrics").gives(0).stdout.lines().count(), text.lines().count());
    host.service("stop", "libvirtd");
    let text = written();
    has(&text, &counted);
    has(&text, &["hypervisor_answers{uri=\"qemu:///system\"} 0", "machine_state{machine=\"a\",state=\"unknown\"} 1"]);
    has(&text, &["machine_state{machine=\"a\",state=\"running\"} 0"]);
}

#[test]
fn metrics_are_written_whole_or_not_at_all_and_storage_that_hangs_ends_them_in_time() {
    let host = Host::with("");
    let storage = Hanging::mounted(&host);
    let write = |code: i32, file: &str| {
        host.call(Human, "metrics").arg("--output").arg(file).arg("--timeout").arg("3").gives(code).within(5.0)
    };
    let folder = host.folder("textfile");
    write(0, folder.join("vm.prom").to_str().unwrap());
    assert_eq!(host.run("ls", &["-A", folder.to_str().unwrap()]), "vm.prom");
    storage.hangs("all");
    write(1, "/mnt/hanging/vm.prom").tells(&["vm.prom was not written: its storage did not answer in time"]);
    write(1, "/dev/null").tells(&["/dev/null was not written: there is something that is no regular file"]);
    write(1, "/nowhere/vm.prom").tells(&["/nowhere/vm.prom was not written: its folder: No such file"]);
    assert_eq!(host.run("stat", &["-c", "%F", "/dev/null"]), "character special file");
}
