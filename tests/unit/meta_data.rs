// SPDX-License-Identifier: GPL-2.0-or-later
//! The published meta-data, held against the table of parameters and against vm.sh's interface.

use crate::shared::meta_data::{default, kind, name, published, without_doctype};
use std::collections::BTreeSet;
use vm_agent::callers::meta_data::{OCF, RGMANAGER};
use vm_agent::model::call::{Action, Caller, Environment, Invocation};
use vm_agent::model::definition::{Element, read};
use vm_agent::model::params::{Param, Use, find, table};

/// Every attribute of an element but the name, sorted, as `a=1 b=2`.
fn flags(element: &Element<'_>) -> String {
    let mut flags: Vec<String> =
        element.attributes.iter().filter(|a| a.name != "name").map(|a| format!("{}={}", a.name, a.value)).collect();
    flags.sort();
    flags.join(" ")
}

/// The parameters of VirtualDomain 4.12, and their types.
pub(super) const VIRTUAL_DOMAIN: &[(&str, &str)] = &[
    ("config", "string"),
    ("hypervisor", "string"),
    ("force_stop", "boolean"),
    ("migration_transport", "string"),
    ("migration_user", "string"),
    ("migration_downtime", "integer"),
    ("migration_speed", "integer"),
    ("migration_network_suffix", "string"),
    ("migrateuri", "string"),
    ("migrate_options", "string"),
    ("monitor_scripts", "string"),
    ("autoset_utilization_cpu", "boolean"),
    ("autoset_utilization_host_memory", "boolean"),
    ("autoset_utilization_hv_memory", "boolean"),
    ("unset_utilization_cpu", "boolean"),
    ("unset_utilization_host_memory", "boolean"),
    ("unset_utilization_hv_memory", "boolean"),
    ("migrateport", "integer"),
    ("remoteuri", "string"),
    ("save_config_on_stop", "boolean"),
    ("sync_config_on_stop", "boolean"),
    ("snapshot", "string"),
    ("backingfile", "string"),
    ("stateless", "boolean"),
    ("copyindirs", "string"),
    ("shutdown_mode", "string"),
    ("start_resources", "boolean"),
];

/// What takes the place of a parameter that is refused for good.
fn refused(row: &Param) -> Option<&'static str> {
    match row.used() {
        Use::Refused(instead) => Some(instead),
        Use::Agent | Use::Manager => None,
    }
}

/// pcs and crmsh take no parameter that is not published, not even one that is off.
#[test]
fn ocf_publishes_every_parameter_of_both_predecessors_and_what_does_nothing_here_as_deprecated() {
    let text = without_doctype(&OCF);
    let document = read(&text).unwrap();
    let published = published(&document);
    for (theirs, form) in VIRTUAL_DOMAIN {
        let ours = published.iter().find(|parameter| name(parameter) == *theirs);
        assert_eq!(ours.map(|ours| kind(ours)), Some(*form), "{theirs}");
    }
    for (theirs, ..) in VM_SH {
        assert!(published.iter().any(|parameter| name(parameter) == *theirs), "{theirs}");
    }
    for parameter in published {
        let row = find(name(parameter).as_bytes()).expect("a published name is a name or alias of the table");
        let words = parameter.text_of("longdesc").unwrap();
        let replaced =
            parameter.first("deprecated").map(|it| it.first("replaced-with").and_then(|it| it.attribute("name")));
        let expected = match row.used() {
            _ if row.name != name(parameter) => Some(Some(row.name)),
            Use::Agent => None,
            Use::Manager | Use::Refused(_) => Some(None),
        };
        assert_eq!(replaced, expected, "{}", name(parameter));
        let instead = parameter.first("deprecated").and_then(|it| it.text_of("desc"));
        assert_eq!(instead.as_deref(), refused(row), "{}", row.name);
        assert_eq!(words.contains("Refused for good"), refused(row).is_some(), "{}: {words}", row.name);
        assert!(!words.contains("Not supported yet"), "{}: {words}", row.name);
        assert_eq!(words.contains("Read by rgmanager"), row.used() == Use::Manager, "{}: {words}", row.name);
    }
}

/// As resources of theirs are found to say it: in any spelling of no, as 0, with nothing, and as their own default.
#[test]
fn each_parameter_of_both_predecessors_may_be_switched_off_to_each_manager() {
    let words = ["no", "No", "0", "false", "FALSE", "off", "n", ""];
    let off = |kind: &str, own: Option<&'static str>| -> Vec<&'static str> {
        let all = match kind {
            "boolean" => words.to_vec(),
            "integer" => vec!["0", ""],
            _ => vec![""],
        };
        all.into_iter().chain(own).collect()
    };
    let theirs = VIRTUAL_DOMAIN.iter().map(|(name, kind)| (*name, off(kind, None)));
    let vm_sh = VM_SH.iter().map(|(name, _, kind, own)| (*name, off(kind, *own)));
    // Texts that are read as a switch, too.
    let switches =
        ["tunnelled", "use_virsh", "snapshot", "backingfile", "copyindirs"].map(|name| (name, words.to_vec()));
    let mut tried = 0;
    for (name, values) in theirs.chain(vm_sh).chain(switches) {
        for (caller, value) in
            [Caller::Pacemaker, Caller::Rgmanager].into_iter().flat_map(|it| values.iter().map(move |v| (it, *v)))
        {
            let named = if name == "name" { vec![] } else { vec![("OCF_RESKEY_name".into(), "a".into())] };
            let pairs = named.into_iter().chain([(format!("OCF_RESKEY_{name}").into(), value.into())]);
            let inv = Invocation::from_manager(caller, Action::Start, None, &Environment::from_pairs(pairs));
            assert!(inv.params.problems.is_empty(), "{caller:?} {name}={value}: {:?}", inv.params.problems);
            tried += 1;
        }
    }
    assert!(tried > 250, "{tried}");
}

#[test]
fn only_what_says_which_machine_is_meant_restarts_it() {
    let text = without_doctype(&OCF);
    let document = read(&text).unwrap();
    let restarts = |parameter: &&&Element<'_>| parameter.attribute("reloadable") != Some("1");
    let names: Vec<_> =
        published(&document).iter().filter(restarts).map(|parameter| name(parameter).to_owned()).collect();
    assert_eq!(
        names,
        ["name", "config", "xmlfile", "xmfile", "definition_command", "path", "hypervisor", "hypervisor_uri"]
    );
}

#[test]
fn no_row_lacks_its_words() {
    for row in table() {
        let told = [row.short, row.long, row.vm_sh.map_or("-", |it| it.short), row.vm_sh.map_or("-", |it| it.long)];
        assert!(told.iter().all(|words| !words.is_empty()), "{}", row.name);
        let stands_in_the_table = row.used() == Use::Agent || refused(row).is_some();
        assert_eq!(row.readme.is_empty(), !stands_in_the_table, "{}", row.name);
    }
    let mut places: Vec<u8> = table().filter_map(|row| Some(row.vm_sh?.place)).collect();
    places.sort_unstable();
    assert!(places.iter().zip(1..).all(|(place, expected)| *place == expected), "{places:?}");
}

#[test]
fn each_rgmanager_parameter_is_read_by_the_agent_or_by_rgmanager_and_an_unsupported_one_says_so() {
    let document = read(&RGMANAGER).unwrap();
    let names: BTreeSet<&str> = published(&document).into_iter().map(name).collect();
    let rows: BTreeSet<&str> = table().filter(|p| p.vm_sh.is_some()).map(Param::vm_sh_name).collect();
    assert_eq!(names, rows);
    for parameter in published(&document) {
        let row = find(name(parameter).as_bytes()).expect("a published name is a name or alias of the table");
        let words = parameter.text_of("longdesc").unwrap();
        assert!(!words.contains("Not supported yet"), "{}: {words}", row.name);
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
pub(super) const VM_SH: &[(&str, &str, &str, Option<&str>)] = &[
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
fn rgmanager_sees_the_interface_of_vm_sh_and_some_parameters_more() {
    let document = read(&RGMANAGER).unwrap();
    assert!(document.is("resource-agent"));
    assert_eq!(document.attribute("name"), Some("vm"), "the name is the element in cluster.conf");
    assert_eq!(document.text_of("version").as_deref(), Some("1.0"));
    let parameters: Vec<_> =
        published(&document).into_iter().map(|p| (name(p), flags(p), kind(p), default(p))).collect();
    // Without a default each is absent unless somebody sets it, so that an upgrade changes no service's environment.
    let text = [
        "saved_memory",
        "guard",
        "on_io_error",
        "on_pause",
        "reboot_grace",
        "monitor_agent",
        "monitor_agent_failures",
        "started_when",
    ]
    .map(|name| (name, "string"));
    let others = [("snapshot_required", "boolean"), ("definition_command", "string")];
    let ours: Vec<_> = text.into_iter().chain(others).collect();
    let ours = ours.iter().map(|(name, kind)| (*name, "reconfig=1", *kind, None)).collect::<Vec<_>>();
    let expected: Vec<_> = VM_SH.iter().chain(&ours).map(|(n, f, k, d)| (*n, (*f).to_owned(), *k, *d)).collect();
    assert_eq!(parameters, expected);
    // rgmanager looks each up by its name and depth.
    let actions: BTreeSet<_> =
        document.first("actions").unwrap().all("action").map(|a| (a.attribute("name").unwrap(), flags(a))).collect();
    let expected: BTreeSet<_> = VM_SH_ACTIONS.iter().map(|(n, f)| (*n, (*f).to_owned())).collect();
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
    for (text, caller) in [(&OCF, Caller::Pacemaker), (&RGMANAGER, Caller::Rgmanager)] {
        let text = without_doctype(text);
        let document = read(&text).unwrap();
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
    let text = without_doctype(&OCF);
    let document = read(&text).unwrap();
    assert_eq!(document.attribute("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(document.text_of("version").as_deref(), Some("1.1"), "reload-agent needs 1.1");
}
