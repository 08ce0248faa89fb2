// SPDX-License-Identifier: GPL-2.0-or-later
//! What the documents say, held against the tables, the files and the tests: parameters, codes, paths, links, examples.

use super::meta_data::{VIRTUAL_DOMAIN, VM_SH};
use crate::shared::example;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vm_agent::callers::meta_data::{OCF, RGMANAGER};
use vm_agent::model::action::Action;
use vm_agent::model::budget::{Budget, Share};
use vm_agent::model::caller::Caller;
use vm_agent::model::definition::read;
use vm_agent::model::params::{Concern, DIFFERENCES, Param, Use, table};

const README: &str = include_str!("../../README.md");
const MANUAL: &str = include_str!("../../packaging/vm-agent.8");
const EXIT_CODES: &str = include_str!("../../docs/EXIT-CODES.md");

/// Every page for people: its path in the repository, and its text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in ["", "docs", "tests/hosts"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "md") {
                let page = Path::new(folder).join(&name);
                pages.push((page.clone(), std::fs::read_to_string(root.join(page)).unwrap()));
            }
        }
    }
    pages
}

/// Holds what is between two texts of a file against what the tables give; with UPDATE=1 it is written there.
pub(crate) fn rendered(file: &str, after: &str, before: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_at(text.find(after).unwrap() + after.len());
    let (there, tail) = rest.split_at(if before.is_empty() { rest.len() } else { rest.find(before).unwrap() });
    if there == expected {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(&path, format!("{head}{expected}{tail}")).unwrap();
    }
    let line = there.lines().zip(expected.lines()).position(|(one, other)| one != other);
    let line = line.unwrap_or(there.lines().count().min(expected.lines().count()));
    panic!(
        "{file} differs from the tables (UPDATE=1 cargo test --lib documents writes it):\n- {}\n+ {}",
        there.lines().nth(line).unwrap_or_default(),
        expected.lines().nth(line).unwrap_or_default()
    );
}

#[test]
fn the_files_show_the_meta_data() {
    rendered("agent-metadata/ocf.xml", "", "", &OCF);
    rendered("agent-metadata/rgmanager.xml", "", "", &RGMANAGER);
}

#[test]
fn the_readmes_table_has_every_parameter_with_its_default() {
    let rows = table().filter(|row| matches!(row.used(), Use::Agent | Use::Refused(_))).map(|row| {
        let default = row.default.map(|default| format!("{default} ")).unwrap_or_default();
        format!("| `{}` | {default}| {} |\n", row.name, row.readme)
    });
    rendered(
        "README.md",
        "| parameter | default | what it is |\n|---|---|---|\n",
        "\nrgmanager reads these ",
        &rows.collect::<String>(),
    );
}

#[test]
fn the_page_of_parameters_has_each_of_them_beside_the_predecessors() {
    let rows = table().map(|row| {
        let names: Vec<&str> = std::iter::once(&row.name).chain(row.aliases).copied().collect();
        let theirs = |all: Vec<&'static str>| {
            let known = all.into_iter().find(|known| names.contains(known));
            known.map_or_else(|| "-".to_owned(), |known| format!("`{known}`"))
        };
        let vm_sh = theirs(VM_SH.iter().map(|(name, ..)| *name).collect());
        let virtual_domain = theirs(VIRTUAL_DOMAIN.iter().map(|(name, _)| *name).collect());
        let what = match row.used() {
            Use::Agent | Use::Refused(_) => row.readme,
            Use::Manager => "Read by rgmanager alone, from its own meta-data",
        };
        let differs = DIFFERENCES.iter().find(|(name, _)| *name == row.name).map_or("", |(_, differs)| differs);
        let default = row.default.map(|default| format!(" {default}")).unwrap_or_default();
        format!("| `{}` | {vm_sh} | {virtual_domain} |{default} | {what} | {differs} |\n", row.name)
    });
    let head = "| here | vm.sh | VirtualDomain | default | what it is | other than there, on purpose |\n|---|---|---|---|---|---|\n";
    rendered("docs/PARAMETERS.md", head, "", &rows.collect::<String>());
    for (name, _) in DIFFERENCES {
        assert!(table().any(|row| row.name == *name), "{name} is no parameter");
    }
}

#[test]
fn the_page_on_time_has_every_share() {
    let rows = Share::ALL.iter().map(|share| {
        let row = share.row();
        format!("| `{share:?}` | {} | {} | {} |\n", row.words, row.text(), row.why)
    });
    let course = Budget::of(Action::Stop, Caller::Human, Duration::from_secs(120)).course().to_string();
    assert!(example("explain stop").contains(&course), "README.md tells of another course than\n{course}");
    let before = "prints how the shares follow each other when each takes as long as it may:\n```\n";
    rendered("docs/TIME.md", before, "```\n", &course);
    rendered(
        "docs/TIME.md",
        "| share | what for | how long | why |\n|---|---|---|---|\n",
        "",
        &rows.collect::<String>(),
    );
}

#[test]
fn the_manual_page_lists_every_parameter() {
    let moves = |row: &Param| row.concerns == Concern::Migration;
    let own: Vec<&Param> = table().filter(|row| row.used() == Use::Agent).collect();
    let mut text = String::new();
    for (moving, end) in [(false, ";"), (true, ".")] {
        let names = own.iter().filter(|row| moves(row) == moving).map(|row| match row.aliases {
            [] => row.name.to_owned(),
            aliases => format!("{} (or {})", row.name, aliases.join(", ")),
        });
        let names: Vec<String> = names.collect();
        let mut line = String::new();
        for word in (names.join(", ") + end).split(' ') {
            if line.len() + word.len() > 117 {
                text += &format!("{}\n", line.trim_end());
                line.clear();
            }
            line += &format!("{word} ");
        }
        text += &format!("{}\n", line.trim_end());
    }
    rendered("packaging/vm-agent.8", "\n.nh\n.ad l\n", ".ad\n", &text);
}

#[test]
fn every_parameter_of_the_table_is_told_of() {
    for row in table() {
        for name in std::iter::once(&row.name).chain(row.aliases) {
            assert!(README.contains(&format!("`{name}`")), "README.md does not tell of {name}");
            let words: BTreeSet<&str> = MANUAL.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            assert!(row.used() != Use::Agent || words.contains(name), "the manual page does not tell of {name}");
        }
    }
}

#[test]
fn both_tell_of_every_exit_code() {
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "150", "190"] {
        assert!(EXIT_CODES.contains(&format!("\n| {code} | ")), "docs/EXIT-CODES.md lacks {code}");
        assert!(MANUAL.contains(&format!("\n.B {code}\n")), "the manual page lacks {code}");
    }
}

#[test]
fn every_path_of_the_repository_that_is_told_of_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for (page, text) in pages() {
        // What the log tells of was there once.
        if page == Path::new("CHANGELOG.md") {
            continue;
        }
        for word in text.split(|c: char| c.is_whitespace() || "`,;:()|[]".contains(c)) {
            let path = word.trim_end_matches('.');
            if ["src/", "tests/", "packaging/", "bench/", "fuzz/", "docs/"].iter().any(|it| path.starts_with(it)) {
                assert!(root.join(path).exists(), "{} tells of {path}", page.display());
                found += 1;
            }
        }
    }
    assert!(found > 20, "only {found} paths were found");
}

#[test]
fn every_link_leads_to_a_file_and_one_with_a_tests_name_to_that_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = 0;
    for (page, text) in pages() {
        for (before, after) in text.match_indices("](").map(|(at, found)| (&text[..at], &text[at + found.len()..])) {
            let (label, target) = (before.rsplit('[').next().unwrap(), after.split(')').next().unwrap());
            if target.starts_with("http") {
                continue;
            }
            let file = root.join(page.parent().unwrap()).join(target);
            let linked = std::fs::read_to_string(&file);
            assert!(file.exists(), "{} links to {target}", page.display());
            if let (true, Some(test)) = (target.ends_with(".rs"), label.strip_prefix('`')) {
                let test = format!("fn {}(", test.trim_end_matches('`'));
                assert!(linked.unwrap().contains(&test), "{}: {target} has no {test}", page.display());
                tests += 1;
            }
        }
    }
    assert!(tests > 40, "only {tests} tests are named");
}

#[test]
fn the_example_for_rgmanager_has_only_attributes_that_rgmanager_reads() {
    let text = example("<rm>");
    let document = read(&text).unwrap();
    let meta_data = read(&RGMANAGER).unwrap();
    let known: BTreeSet<&str> =
        meta_data.first("parameters").unwrap().all("parameter").filter_map(|p| p.attribute("name")).collect();
    for attribute in &document.first("vm").unwrap().attributes {
        assert!(known.contains(attribute.name), "{}", attribute.name);
    }
}
