// SPDX-License-Identifier: GPL-2.0-or-later
//! The published meta-data: held against the table of parameters, against vm.sh's interface, and against what the real
//! tools of a cluster make of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "a test runs programs")]

#[path = "real/common/clock.rs"]
mod clock;
#[path = "real/installed.rs"]
mod installed;

use clock::Moment;
use installed::{Host, Said, agent, need, said};
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use vm_agent::callers::manager::{OCF, RGMANAGER};
use vm_agent::model::call::{Action, Caller};
use vm_agent::model::definition::{Element, read};
use vm_agent::model::params::{Kind, Param, TABLE, Use, boolean, find};

const PROVIDED: &str = "ocf:vm-agent:vm";

/// The parameters that a document publishes.
fn published<'a>(document: &'a Element<'_>) -> Vec<&'a Element<'a>> {
    document.first("parameters").unwrap().all("parameter").collect()
}

fn name<'a>(parameter: &'a Element<'_>) -> &'a str {
    parameter.attribute("name").unwrap()
}

fn default<'a>(parameter: &'a Element<'_>) -> Option<&'a str> {
    parameter.first("content").unwrap().attribute("default")
}

fn kind<'a>(parameter: &'a Element<'_>) -> &'a str {
    parameter.first("content").unwrap().attribute("type").unwrap()
}

/// Every attribute of an element but the name, sorted, as `a=1 b=2`.
fn flags(element: &Element<'_>) -> String {
    let mut flags: Vec<String> =
        element.attributes.iter().filter(|a| a.name != "name").map(|a| format!("{}={}", a.name, a.value)).collect();
    flags.sort();
    flags.join(" ")
}

/// Whether two defaults mean the same: booleans have several spellings.
fn same_default(kind: Kind, one: Option<&str>, other: Option<&str>) -> bool {
    match (kind, one, other) {
        (Kind::Boolean, Some(one), Some(other)) => boolean(one).is_some() && boolean(one) == boolean(other),
        _ => one == other,
    }
}

#[test]
fn ocf_publishes_exactly_what_the_agent_reads() {
    let document = read(OCF).unwrap();
    let names: BTreeSet<&str> = published(&document).into_iter().map(name).collect();
    let read: BTreeSet<&str> = TABLE.iter().filter(|p| p.ocf).map(|p| p.name).collect();
    assert_eq!(names, read);
    for row in TABLE {
        assert_eq!(row.ocf, row.used == Use::Agent, "{}: OCF publishes what works, and nothing else", row.name);
    }
}

#[test]
fn each_ocf_parameter_has_the_type_default_and_reload_of_the_table() {
    let document = read(OCF).unwrap();
    for parameter in published(&document) {
        let row = find(name(parameter).as_bytes()).unwrap();
        assert_eq!(row.name, name(parameter), "an alias is not published");
        let expected: &[&str] = match row.kind {
            Kind::Text => &["string", "select"],
            Kind::Boolean => &["boolean"],
            Kind::Integer => &["integer"],
        };
        assert!(expected.contains(&kind(parameter)), "{}: {}", row.name, kind(parameter));
        let published = default(parameter);
        assert!(same_default(row.kind, published, row.default), "{}: {published:?}, {:?}", row.name, row.default);
        let reloadable = parameter.attribute("reloadable") == Some("1");
        assert_eq!(reloadable, row.reloadable, "{}: reloadable", row.name);
        // pcs shows no defaults, so the words must.
        if let Some(default) = published {
            let words = parameter.text_of("longdesc").unwrap();
            assert!(words.ends_with(&format!("Default: {default}.")), "{}: no default in: {words}", row.name);
        }
    }
}

#[test]
fn each_rgmanager_parameter_is_read_by_the_agent_or_by_rgmanager_and_an_unsupported_one_says_so() {
    let document = read(RGMANAGER).unwrap();
    let names: BTreeSet<&str> = published(&document).into_iter().map(name).collect();
    let rows: BTreeSet<&str> = TABLE.iter().filter_map(|p| p.rgmanager).collect();
    assert_eq!(names, rows);
    for parameter in published(&document) {
        let row = find(name(parameter).as_bytes()).expect("a published name is a name or alias of the table");
        assert_eq!(row.rgmanager, Some(name(parameter)));
        let words = parameter.text_of("longdesc").unwrap();
        assert_eq!(words.contains("Not supported yet"), row.used == Use::Unsupported, "{}: {words}", row.name);
        assert_eq!(words.contains("Read by rgmanager"), row.used == Use::Manager, "{}: {words}", row.name);
    }
}

#[test]
fn the_table_has_each_name_once() {
    let mut names: Vec<&str> =
        TABLE.iter().flat_map(|p: &Param| std::iter::once(&p.name).chain(p.aliases)).copied().collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// What rgmanager's vm.sh publishes: name, flags, type, default. A difference would change what rgmanager does with a
/// running virtual machine when cluster.conf changes.
const VM_SH: &[(&str, &str, &str, Option<&str>)] = &[
    ("name", "primary=1", "string", None),
    ("domain", "reconfig=1", "string", None),
    ("autostart", "reconfig=1", "boolean", Some("1")),
    ("exclusive", "reconfig=1", "boolean", Some("0")),
    ("recovery", "reconfig=1", "string", None),
    ("migration_mapping", "reconfig=1", "string", None),
    ("use_virsh", "", "integer", Some("")),
    ("xmlfile", "", "string", None),
    ("migrate", "", "string", Some("live")),
    ("migrate_options", "", "string", None),
    ("tunnelled", "", "string", Some("")),
    ("path", "", "string", None),
    ("snapshot", "", "string", Some("")),
    ("depend", "", "string", None),
    ("depend_mode", "", "string", Some("hard")),
    ("max_restarts", "reconfig=1", "string", Some("0")),
    ("restart_expire_time", "reconfig=1", "string", Some("0")),
    ("status_program", "reconfig=1", "string", Some("")),
    ("hypervisor", "", "string", Some("auto")),
    ("hypervisor_uri", "", "string", Some("auto")),
    ("migration_uri", "", "string", Some("auto")),
    ("no_kill", "", "boolean", Some("false")),
];

const VM_SH_ACTIONS: &[(&str, &str)] = &[
    ("start", "timeout=300"),
    ("stop", "timeout=120"),
    ("status", "interval=30 timeout=10"),
    ("monitor", "interval=30 timeout=10"),
    ("status", "depth=10 interval=60 timeout=20"),
    ("monitor", "depth=10 interval=60 timeout=20"),
    ("reconfig", "timeout=10"),
    ("migrate", "timeout=10m"),
    ("meta-data", "timeout=5"),
    ("validate-all", "timeout=5"),
];

#[test]
fn rgmanager_sees_the_interface_of_vm_sh_and_one_parameter_more() {
    let document = read(RGMANAGER).unwrap();
    assert!(document.is("resource-agent"));
    assert_eq!(document.attribute("name"), Some("vm"), "the name is the element in cluster.conf");
    assert_eq!(document.text_of("version").as_deref(), Some("1.0"));
    let parameters: Vec<_> =
        published(&document).into_iter().map(|p| (name(p), flags(p), kind(p), default(p))).collect();
    // Without a default it is absent unless somebody sets it, so that an upgrade changes no service's environment.
    let ours = ("saved_memory", "reconfig=1", "string", None);
    let expected: Vec<_> = VM_SH.iter().chain([&ours]).map(|(n, f, k, d)| (*n, (*f).to_owned(), *k, *d)).collect();
    assert_eq!(parameters, expected);
    let actions: Vec<_> =
        document.first("actions").unwrap().all("action").map(|a| (a.attribute("name").unwrap(), flags(a))).collect();
    let expected: Vec<_> = VM_SH_ACTIONS.iter().map(|(n, f)| (*n, (*f).to_owned())).collect();
    assert_eq!(actions, expected);
    let special = document.first("special").unwrap();
    assert_eq!(special.attribute("tag"), Some("rgmanager"));
    assert_eq!(flags(special.first("attributes").unwrap()), "destroy_on_delete=0 init_on_add=0 maxinstances=1");
    assert_eq!(special.children.len(), 1, "a child type would make it no virtual machine that migrates");
}

#[test]
fn the_agents_own_timeouts_are_the_published_ones() {
    let seconds = |text: &str| -> u64 {
        match text.strip_suffix('m') {
            Some(minutes) => minutes.parse::<u64>().unwrap() * 60,
            None => text.trim_end_matches('s').parse().unwrap(),
        }
    };
    for (text, caller) in [(OCF, Caller::Pacemaker), (RGMANAGER, Caller::Rgmanager)] {
        let document = read(text).unwrap();
        for action in document.first("actions").unwrap().all("action") {
            let word = action.attribute("name").unwrap();
            let parsed = Action::parse(word.as_bytes()).unwrap_or_else(|| panic!("{word} is published but unknown"));
            // These two never wait for anything, and a start may take longer than a manager's default gives it.
            if matches!(parsed, Action::MetaData | Action::ValidateAll | Action::Start)
                || action.attribute("depth") == Some("10")
            {
                continue;
            }
            let published = seconds(action.attribute("timeout").unwrap());
            assert_eq!(parsed.default_timeout(caller).as_secs(), published, "{caller:?} {word}");
        }
    }
}

/// Whatever the environment, and whichever of the standard files are closed.
#[test]
fn meta_data_are_printed_pure_at_once_and_always_the_same() {
    let hostile: &[(&str, &str)] = &[
        ("OCF_OUTPUT_FORMAT", "text"),
        ("LANG", "ja_JP.eucJP"),
        ("OCF_RA_VERSION_MAJOR", "9"),
        ("OCF_RESKEY_name", "../../etc"),
        ("OCF_RESKEY_no_kill", "perhaps"),
        ("OCF_RESKEY_hypervisor_uri", "qemu+ssh://nowhere.invalid/system"),
        ("OCF_RESKEY_CRM_meta_timeout", "1"),
        ("OCF_CHECK_LEVEL", "twenty"),
        ("HA_debug", "1"),
        ("RUST_LOG", "trace"),
    ];
    for (called, document) in [
        ("/usr/share/cluster/vm.sh", RGMANAGER),
        ("/usr/lib/ocf/resource.d/vm-agent/vm", OCF),
        ("/usr/lib/ocf/resource.d/vm-agent/VirtualDomain", OCF),
    ] {
        for closing in ["", "<&-", "2>&-", "<&- 2>&-"] {
            for environment in [&[], hostile] {
                let begin = Moment::now();
                let mut command = Command::new("/bin/bash");
                command.args(["-c", &format!("exec -a \"$1\" \"$0\" meta-data more {closing}")]);
                command.arg(agent()).arg(called).env_clear().envs(environment.iter().copied());
                let answer = said(&mut command);
                assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{called} {closing} {environment:?}");
                assert_eq!(answer.out, document, "{called} {closing} {environment:?}");
                assert!(begin.elapsed() < Duration::from_secs(2));
            }
        }
    }
}

#[test]
fn a_person_gets_both_dialects() {
    for (dialect, document) in [("ocf", OCF), ("rgmanager", RGMANAGER)] {
        let mut command = Command::new(agent());
        command.args(["meta-data", "--dialect", dialect]).env_clear();
        assert_eq!(said(&mut command).ok(), document);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut command = Command::new("/bin/bash");
    command.args(["-c", "exec -a vm \"$0\" meta-data > >(exec <&-)"]).arg(agent()).env_clear();
    let answer = said(&mut command);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    let mut command = Command::new(agent());
    command.arg0("vm").arg("meta-data").env_clear().stdout(std::fs::File::create("/dev/full").unwrap());
    assert!(command.status().unwrap().success(), "a full disk behind stdout is not the agent's failure");
}

#[test]
fn meta_data_are_ascii_and_of_this_version() {
    // Pacemaker 2.1 loses messages with other characters.
    assert!(OCF.is_ascii() && RGMANAGER.is_ascii());
    let document = read(OCF).unwrap();
    assert_eq!(document.attribute("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(document.text_of("version").as_deref(), Some("1.1"), "reload-agent needs 1.1");
}

#[test]
fn xmllint_and_the_schema_of_pcs_accept_the_meta_data() {
    need(&["xmllint", "pcs"]);
    let schema = "/usr/share/pcs/data/ocf-1.1.rng";
    assert!(std::path::Path::new(schema).is_file(), "pcs has no schema {schema}: is it older than 0.11?");
    let folder = installed::repository().join("agent-metadata");
    for file in ["ocf.xml", "rgmanager.xml"] {
        said(Command::new("xmllint").arg("--noout").arg(folder.join(file))).ok();
    }
    let mut lint = Command::new("xmllint");
    said(lint.args(["--noout", "--relaxng", schema]).arg(folder.join("ocf.xml"))).ok();
}

/// All words of a text with single blanks, since tools wrap lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tools_of_a_cluster_show_every_parameter_and_action() {
    need(&["pcs", "crm", "crm_resource"]);
    let host = Host::with_the_program("/usr");
    let document = read(OCF).unwrap();
    let parameters = published(&document);
    let long = |p: &Element<'_>| words(&p.text_of("longdesc").unwrap());

    assert_eq!(host.run(&["crm_resource", "--show-metadata", PROVIDED]).ok().trim_end(), OCF.trim_end());
    assert_eq!(words(&host.run(&["crm_resource", "--list-agents", "ocf:vm-agent"]).ok()), "vm");

    let pcs = host.run(&["pcs", "resource", "describe", "--full", PROVIDED]).ok();
    let pcs_words = words(&pcs);
    assert!(pcs.starts_with("ocf:vm-agent:vm - Virtual machine"), "{pcs}");
    for parameter in &parameters {
        assert!(pcs.contains(&format!("\n  {}", name(parameter))), "pcs does not show {}:\n{pcs}", name(parameter));
        assert!(pcs_words.contains(&long(parameter)), "pcs does not explain {}:\n{pcs}", name(parameter));
    }
    let crm = host.run(&["crm", "ra", "info", PROVIDED]).ok();
    let crm_words = words(&crm);
    for parameter in &parameters {
        let default = default(parameter).map(|value| format!(", [{value}]")).unwrap_or_default();
        let short = parameter.text_of("shortdesc").unwrap();
        let line = format!("\n{} ({}{default}): {short}\n", name(parameter), kind(parameter));
        assert!(crm.contains(&line), "crm does not show:{line}but:\n{crm}");
        assert!(crm_words.contains(&long(parameter)), "crm does not explain {}:\n{crm}", name(parameter));
    }
    for action in document.first("actions").unwrap().all("action") {
        let word = action.attribute("name").unwrap();
        let timeout = action.attribute("timeout").unwrap();
        // Both leave out what a cluster never schedules.
        if !["meta-data", "validate-all"].contains(&word) {
            assert!(crm_words.contains(&format!("{word} timeout={timeout}")), "crm does not show {word}:\n{crm}");
            let there = pcs_words.contains(&format!(" {word}: interval="));
            assert!(there || word == "status", "pcs does not show {word}:\n{pcs}");
        }
    }
}

#[test]
fn the_tools_of_a_cluster_validate_parameters_through_the_agent() {
    need(&["pcs", "crm_resource"]);
    let host = Host::with_the_program("/usr");
    let validate = |options: &[&str]| -> Said {
        let mut line = vec!["crm_resource", "--validate", "--class", "ocf", "--provider", "vm-agent", "--agent", "vm"];
        line.extend(options.iter().flat_map(|option| ["--option", *option]));
        host.run(&line)
    };
    let good = validate(&["name=web", "path=/etc/vm:/srv/vm"]);
    assert_eq!(good.code, 0, "{good:?}");
    let bad = validate(&["name=web", "no_kill=perhaps"]);
    assert_eq!(bad.code, 6, "{bad:?}");
    assert!(format!("{}{}", bad.out, bad.err).contains("no_kill: 'perhaps' is not a boolean; expected yes or no"));
    let none = validate(&["path=/etc/vm"]);
    assert_eq!(none.code, 6, "{none:?}");

    let pcs = |options: &[&str]| -> Said {
        let mut line = vec!["pcs", "-f", "/root/cib.xml", "resource", "create", "--agent-validation", "web", PROVIDED];
        line.extend(options);
        host.run(&line)
    };
    host.run(&["bash", "-c", "cibadmin --empty >/root/cib.xml"]).ok();
    let bad = pcs(&["name=web", "no_kill=perhaps"]);
    assert_ne!(bad.code, 0, "{bad:?}");
    assert!(bad.err.contains("no_kill: 'perhaps' is not a boolean"), "{bad:?}");
    let unknown = pcs(&["name=web", "no_such=1"]);
    assert!(unknown.code != 0 && unknown.err.contains("invalid resource option 'no_such'"), "{unknown:?}");
    let good = pcs(&["name=web", "path=/etc/vm:/srv/vm"]);
    assert_eq!(good.code, 0, "{good:?}");
    // A second resource for the same virtual machine would run it twice.
    let mut line = vec!["pcs", "-f", "/root/cib.xml", "resource", "create", "copy", PROVIDED];
    line.push("name=web");
    let twice = host.run(&line);
    assert!(twice.code != 0 && twice.err.contains("name"), "{twice:?}");
}
