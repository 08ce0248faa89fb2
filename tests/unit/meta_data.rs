// SPDX-License-Identifier: GPL-2.0-or-later
//! The published meta-data, held against the table of parameters and against vm.sh's interface.

use std::collections::BTreeSet;
use vm_agent::callers::manager::{OCF, RGMANAGER};
use vm_agent::model::call::{Action, Caller};
use vm_agent::model::definition::{Element, read};
use vm_agent::model::params::{Kind, Param, Use, boolean, find, table};

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
    let read: BTreeSet<&str> = table().filter(|p| p.used() == Use::Agent).map(|p| p.name).collect();
    assert_eq!(names, read);
}

#[test]
fn each_ocf_parameter_has_the_type_default_and_reload_of_the_table() {
    let document = read(OCF).unwrap();
    for parameter in published(&document) {
        let row = find(name(parameter).as_bytes()).unwrap();
        assert_eq!(row.name, name(parameter), "an alias is not published");
        let expected: &[&str] = match row.kind {
            Kind::Text => &["string"],
            Kind::Select(_) => &["select"],
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
    let rows: BTreeSet<&str> = table().filter(|p| p.vm_sh.is_some()).map(Param::vm_sh_name).collect();
    assert_eq!(names, rows);
    for parameter in published(&document) {
        let row = find(name(parameter).as_bytes()).expect("a published name is a name or alias of the table");
        let words = parameter.text_of("longdesc").unwrap();
        assert_eq!(words.contains("Not supported yet"), row.used() == Use::Unsupported, "{}: {words}", row.name);
        assert_eq!(words.contains("Read by rgmanager"), row.used() == Use::Manager, "{}: {words}", row.name);
    }
}

#[test]
fn the_table_has_each_name_once() {
    let mut names: Vec<&str> =
        table().flat_map(|p: &Param| std::iter::once(&p.name).chain(p.aliases)).copied().collect();
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

#[test]
fn meta_data_are_ascii_and_of_this_version() {
    // Pacemaker 2.1 loses messages with other characters.
    assert!(OCF.is_ascii() && RGMANAGER.is_ascii());
    let document = read(OCF).unwrap();
    assert_eq!(document.attribute("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(document.text_of("version").as_deref(), Some("1.1"), "reload-agent needs 1.1");
}
