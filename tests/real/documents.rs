// SPDX-License-Identifier: GPL-2.0-or-later
//! The manual page held against the program's help, and README.md's examples against the tools of a cluster.

use crate::common::{Call, Cluster, Dialect::Rgmanager, until};
use crate::installed::{Installed, agent, need, said};
use crate::shared::example;
use std::process::Command;
use vm_agent::model::definition::read;

const MANUAL: &str = include_str!("../../packaging/vm-agent.8");

#[test]
fn the_manual_page_has_every_command_and_option() {
    let help = |words: &[&str]| said(Command::new(agent()).args(words).arg("--help").env_clear()).ok();
    let commands = help(&[]);
    let commands = commands.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|c| *c != "help") {
        assert!(MANUAL.contains(&format!("\n.B {command}\n")), "the manual page lacks the command {command}");
        // Its own options, and not those of other programs that the words beside them tell of.
        let help = help(&[command]);
        let options = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let options = options.filter_map(|line| line.split("  ").next()).flat_map(str::split_whitespace);
        for option in options.filter(|word| word.starts_with("--")) {
            // `--watch[=<S>]` has a value that may be left out.
            let option = option.split('[').next().unwrap().trim_end_matches([',', ']']);
            let escaped = option.replace('-', "\\-");
            assert!(option == "--help" || MANUAL.contains(&escaped), "the manual page lacks {option} of {command}");
        }
    }
}

#[test]
fn the_examples_for_pacemaker_are_accepted_by_its_tools() {
    need(&["pcs", "crm", "cibadmin"]);
    let host = Installed::with_the_program("/usr");
    let cib = |prepare: &str, command: &str| {
        let script = format!("cibadmin --empty >/root/cib.xml && {prepare} && {command} && cat /root/cib.xml");
        host.run(&["bash", "-c", &script]).ok()
    };
    let pcs = example("name=web path=/etc/vm:/srv/vm op").trim().replace("pcs ", "pcs -f /root/cib.xml ");
    let crm = example("crm configure primitive").trim().to_owned();
    let in_full = example("pcs property set migration-limit").trim().replace("pcs ", "pcs -f /root/cib.xml ");
    let in_full = in_full.replace('\n', " && ");
    let by_crm = example("crm configure <<").trim().to_owned() + "\ntrue";
    let fencing_is_off = "export CIB_file=/root/cib.xml && crm_attribute -n stonith-enabled -v false";
    let (short, long) =
        ([cib("true", &pcs), cib(fencing_is_off, &crm)], [cib("true", &in_full), cib(fencing_is_off, &by_crm)]);
    for written in &long {
        let devices = written.matches("type=\"fence_ipmilan\"").count();
        assert_eq!((devices, written.matches("score=\"-INFINITY\"").count()), (2, 2), "{written}");
        let parts = [
            r#"name="monitor_wait" value="30""#,
            r#"name="migration-limit" value="2""#,
            "OCF_CHECK_LEVEL\" value=\"10",
        ];
        assert!(parts.iter().all(|part| written.contains(part)), "{written}");
    }
    for (written, interval) in short.iter().map(|it| (it, "10s")).chain(long.iter().map(|it| (it, "1s"))) {
        let start = written.find("<cib").unwrap();
        let document = read(&written[start..]).unwrap();
        let resources = document.first("configuration").unwrap().first("resources").unwrap();
        let primitive = resources.all("primitive").find(|it| it.attribute("id") == Some("web")).unwrap();
        assert_eq!(primitive.attribute("provider"), Some("vm-agent"), "{written}");
        let operations: Vec<_> = primitive.first("operations").unwrap().all("op").collect();
        let operation = |name: &str| operations.iter().find(|op| op.attribute("name") == Some(name)).unwrap();
        assert_eq!(operation("migrate_to").attribute("on-fail"), Some("block"), "{written}");
        assert_eq!(operation("stop").attribute("timeout"), Some("180s"), "{written}");
        assert_eq!(operation("monitor").attribute("interval"), Some(interval), "{written}");
        assert!(written.contains(r#"name="allow-migrate" value="true""#), "{written}");
    }
}

/// rgmanager itself is not to be had any more; what it would call is called, with each attribute as it hands it over.
#[test]
fn the_example_for_rgmanager_starts_moves_and_stops_a_machine() {
    let attributes = ["name", "path", "domain", "recovery", "max_restarts", "restart_expire_time"];
    let text = example("<vm name=");
    let document = read(text.trim()).unwrap();
    let vm = document.first("vm").unwrap();
    let seconds: f64 = vm.first("action").unwrap().attribute("timeout").unwrap().parse().unwrap();
    let cluster = Cluster::up();
    let web = cluster.host(1).guest("web").polite().written();
    for host in cluster.hosts() {
        host.run("mkdir", &["-p", "/srv/vm"]);
        host.run("cp", &[web.file.to_str().unwrap(), "/srv/vm/web.xml"]);
    }
    let call = |on: usize, action: &str| -> Call<'_> {
        attributes.iter().fold(cluster.host(on).call(Rgmanager, action), |call, name| {
            let value = vm.attribute(name).unwrap();
            if *name == "name" { call.named(value) } else { call.param(name, value) }
        })
    };
    call(2, "status").gives(7);
    call(1, "start").gives(0);
    web.ticks();
    call(1, "migrate").arg(cluster.host(2).node()).timeout(seconds).gives(0);
    call(1, "status").gives(7);
    call(2, "status").gives(0);
    call(2, "stop").gives(0);
    until(10, "no process", || cluster.hosts().iter().all(|host| host.qemu("web").is_none()).then_some(()));
}
