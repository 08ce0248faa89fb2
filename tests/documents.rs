// SPDX-License-Identifier: GPL-2.0-or-later
//! What README.md and the manual page say, held against the program: parameters, commands, paths and examples.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "a test runs programs")]

#[path = "real/installed.rs"]
mod installed;

use installed::{Host, agent, need, repository, said};
use std::collections::BTreeSet;
use std::process::Command;
use vm_agent::callers::manager::{OCF, RGMANAGER};
use vm_agent::model::definition::read;
use vm_agent::model::params::{TABLE, Use};

const README: &str = include_str!("../README.md");
const MANUAL: &str = include_str!("../packaging/vm-agent.8");

/// The text between lines of three backticks, for the `n`th time that it contains `mark`.
fn example(mark: &str) -> String {
    let blocks: Vec<&str> = README.split("```").skip(1).step_by(2).filter(|block| block.contains(mark)).collect();
    assert_eq!(blocks.len(), 1, "one example with {mark}");
    blocks[0].split_once('\n').unwrap().1.to_owned()
}

#[test]
fn the_readmes_table_has_every_parameter_with_its_default() {
    let rows: Vec<Vec<&str>> = README
        .lines()
        .skip_while(|line| !line.starts_with("| parameter |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let document = read(OCF).unwrap();
    let published: Vec<(String, &str)> = document
        .first("parameters")
        .unwrap()
        .all("parameter")
        .map(|p| {
            let default = p.first("content").unwrap().attribute("default").unwrap_or_default();
            (format!("`{}`", p.attribute("name").unwrap()), default)
        })
        .collect();
    let told: Vec<(String, &str)> = rows
        .iter()
        .map(|row| (row[0].to_owned(), if row.len() == 2 { "" } else { row[1].trim_matches('|').trim() }))
        .collect();
    assert_eq!(told, published);
}

#[test]
fn every_parameter_of_the_table_is_told_of() {
    for row in TABLE {
        for name in std::iter::once(&row.name).chain(row.aliases) {
            assert!(README.contains(&format!("`{name}`")), "README.md does not tell of {name}");
            let words: BTreeSet<&str> = MANUAL.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            assert!(row.used != Use::Agent || words.contains(name), "the manual page does not tell of {name}");
        }
    }
}

#[test]
fn the_manual_page_has_every_command_and_option() {
    let help = |words: &[&str]| said(Command::new(agent()).args(words).arg("--help").env_clear()).ok();
    let commands = help(&[]);
    let commands = commands.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|c| *c != "help") {
        assert!(MANUAL.contains(&format!("\n.B {command}\n")), "the manual page lacks the command {command}");
        for option in help(&[command]).split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches([',', ']']);
            let escaped = option.replace('-', "\\-");
            assert!(option == "--help" || MANUAL.contains(&escaped), "the manual page lacks {option} of {command}");
        }
    }
}

#[test]
fn both_tell_of_every_exit_code() {
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "150", "190"] {
        assert!(README.contains(&format!("\n| {code} | ")), "README.md lacks {code}");
        assert!(MANUAL.contains(&format!("\n.B {code}\n")), "the manual page lacks {code}");
    }
}

#[test]
fn every_path_of_the_repository_that_is_told_of_exists() {
    let words = README.split(|c: char| c.is_whitespace() || "`,;:()|".contains(c));
    let mut found = 0;
    for path in words.map(|word| word.trim_end_matches('.')) {
        if ["src/", "tests/", "packaging/", "bench/", "fuzz/"].iter().any(|folder| path.starts_with(folder)) {
            assert!(repository().join(path).exists(), "README.md tells of {path}");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} paths were found");
}

#[test]
fn the_example_for_rgmanager_has_only_attributes_that_rgmanager_reads() {
    let text = example("<rm>");
    let document = read(&text).unwrap();
    let meta_data = read(RGMANAGER).unwrap();
    let known: BTreeSet<&str> =
        meta_data.first("parameters").unwrap().all("parameter").filter_map(|p| p.attribute("name")).collect();
    for attribute in &document.first("vm").unwrap().attributes {
        assert!(known.contains(attribute.name), "{}", attribute.name);
    }
}

#[test]
fn the_examples_for_pacemaker_are_accepted_by_its_tools() {
    need(&["pcs", "crm", "cibadmin"]);
    let host = Host::with_the_program("/usr");
    let cib = |prepare: &str, command: &str| {
        let script = format!("cibadmin --empty >/root/cib.xml && {prepare} && {command} && cat /root/cib.xml");
        host.run(&["bash", "-c", &script]).ok()
    };
    let pcs = example("pcs resource create").trim().replace("pcs resource", "pcs -f /root/cib.xml resource");
    let crm = example("crm configure").trim().to_owned();
    let fencing_is_off = "export CIB_file=/root/cib.xml && crm_attribute -n stonith-enabled -v false";
    for written in [cib("true", &pcs), cib(fencing_is_off, &crm)] {
        let start = written.find("<cib").unwrap();
        let document = read(&written[start..]).unwrap();
        let resources = document.first("configuration").unwrap().first("resources").unwrap();
        let primitive = resources.first("primitive").unwrap();
        assert_eq!(primitive.attribute("provider"), Some("vm-agent"), "{written}");
        let operations: Vec<_> = primitive.first("operations").unwrap().all("op").collect();
        let operation = |name: &str| operations.iter().find(|op| op.attribute("name") == Some(name)).unwrap();
        assert_eq!(operation("migrate_to").attribute("on-fail"), Some("block"), "{written}");
        assert_eq!(operation("stop").attribute("timeout"), Some("180s"), "{written}");
        assert_eq!(operation("monitor").attribute("interval"), Some("10s"), "{written}");
        assert!(written.contains(r#"name="allow-migrate" value="true""#), "{written}");
    }
}
