// SPDX-License-Identifier: GPL-2.0-or-later
//! What `vm-agent convert` prints, run by a shell with the real pcs and crmsh on a scratch CIB: each form of
//! `tests/convert/`, of which tests/unit/convert.rs holds the text. The CIB is valid without a warning then, and Pacemaker's
//! own scheduler places the machines as rgmanager would.

use crate::installed::{Installed, Said, need, repository};
use std::path::PathBuf;
use vm_agent::callers::meta_data::OCF;
use vm_agent::model::definition::{Element, read};

const CIB: &str = "/root/cib.xml";

/// The forms that end so.
fn forms(end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("tests/convert")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == end));
    files.sort();
    files
}

fn bash(host: &Installed, script: &str) -> Said {
    host.run(&["bash", "-c", &format!("export CIB_file={CIB} && cd /root && {script}")])
}

/// A CIB of four nodes with nothing in it. pcs is told of it by an option, the others by CIB_file.
const EMPTY: &str = r#"cibadmin --empty >"$CIB_file" && crm_attribute -n stonith-enabled -v false &&
    for node in 1 2 3 4; do
        cibadmin --create --scope nodes --xml-text "<node id=\"$node\" uname=\"node$node\"/>" || exit
    done"#;
/// Runs the commands as they stand.
const RUN: &str = r#"bash -e -c 'pcs() { command pcs -f "$CIB_file" "$@"; }; . ./commands'"#;

/// What `command` prints of a form, run on what `prepare` leaves; the CIB then, and what crm_verify says of it.
fn scratch(host: &Installed, prepare: &str, form: &str, to: &str) -> String {
    let printed =
        bash(host, &format!("cp '{form}' FILE && vm-agent convert FILE --to {to} >commands && cat commands")).ok();
    for end in ["conf", "cib"] {
        let golden = std::fs::read_to_string(format!("{form}.{to}")).unwrap();
        assert!(!form.ends_with(end) || end == "cib" || printed == golden, "{form} {to}:\n{printed}");
    }
    let ran = bash(host, &format!("{prepare} && {RUN}"));
    assert_eq!(ran.code, 0, "{form} {to}: {ran:?}");
    let complaint = ["ERROR", "does not exist", "Error", "invalid"].iter().find(|word| ran.err.contains(**word));
    // crmsh calls the state of a cluster that is not there by that word.
    let expected = ran.err.contains("due to lack of quorum");
    assert!(complaint.is_none() || expected, "{form} {to}: {ran:?}");
    let verified = bash(host, "crm_verify -V -x \"$CIB_file\"");
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (0, "", ""), "{form} {to}");
    assert!(!std::path::Path::new("/tmp/no").exists(), "{form}: something was evaluated");
    bash(host, "! [ -e /tmp/no ] && cat \"$CIB_file\"").ok()
}

/// All resources of the agent, with their parameters and what a set says.
fn resources<'a>(cib: &'a Element<'_>) -> Vec<&'a Element<'a>> {
    fn below<'a>(element: &'a Element<'_>, found: &mut Vec<&'a Element<'a>>) {
        for child in &element.children {
            if child.is("primitive") { found.push(child) } else { below(child, found) }
        }
    }
    let mut found = Vec::new();
    below(cib.first("configuration").unwrap().first("resources").unwrap(), &mut found);
    found
}

fn pairs(resource: &Element<'_>, set: &str) -> Vec<(String, String)> {
    let text = |pair: &Element<'_>, name| pair.attribute(name).unwrap().to_owned();
    let pairs = resource.children.iter().filter(|it| it.is(set)).flat_map(|set| set.all("nvpair"));
    let mut pairs: Vec<_> = pairs.map(|pair| (text(pair, "name"), text(pair, "value"))).collect();
    pairs.sort();
    pairs
}

/// Where the scheduler puts a resource when these nodes are there and the commands' maintenance is over.
fn placed(host: &Installed, up: &[u8], resource: &str) -> Option<String> {
    let up: Vec<String> = up.iter().map(|node| format!("--node-up=node{node}")).collect();
    let script = format!(
        "cp cib.xml sim.xml && CIB_file=sim.xml crm_attribute -n maintenance-mode -v false && \
         crm_simulate -x sim.xml --quorum=1 --simulate {}",
        up.join(" ")
    );
    let said = bash(host, &script).ok();
    let after = said.split("Revised Cluster Status").nth(1).unwrap_or_else(|| panic!("{said}")).to_owned();
    let line = after.lines().find(|line| line.contains(&format!("{resource}\t("))).unwrap_or_else(|| panic!("{said}"));
    line.split("Started ").nth(1).map(|node| node.trim().to_owned())
}

/// The same machines by both tools: parameters, times, scores.
fn by(to: &str) {
    need(&["pcs", "crm", "cibadmin", "crm_verify", "crm_simulate"]);
    let host = Installed::with_the_program("/usr");
    let (mut machines, mut ran) = (0, 0);
    for form in forms("conf") {
        let form = form.display().to_string();
        let text = scratch(&host, EMPTY, &form, to);
        let cib = read(&text[text.find("<cib").unwrap()..]).unwrap();
        for resource in resources(&cib) {
            assert_eq!((resource.attribute("provider"), resource.attribute("type")), (Some("vm-agent"), Some("vm")));
            for (name, value) in pairs(resource, "instance_attributes") {
                assert!(OCF.contains(&format!("<parameter name=\"{name}\"")), "{form}: {name}");
                assert!(!value.is_empty(), "{form}: {name}");
            }
            let meta = pairs(resource, "meta_attributes");
            assert!(meta.iter().any(|(name, _)| name == "allow-migrate"), "{form}: {meta:?}");
            let operations: Vec<_> = resource.first("operations").unwrap().all("op").collect();
            let of = |name: &str| operations.iter().find(|op| op.attribute("name") == Some(name)).unwrap();
            assert_eq!(of("migrate_to").attribute("on-fail"), Some("block"), "{form}");
            assert!(of("stop").attribute("timeout").is_some() && of("start").attribute("timeout").is_some());
            machines += 1;
        }
        means(&host, &form, &cib);
        ran += 1;
    }
    assert!(ran >= 12 && machines > 25, "{ran} forms, {machines} machines");
}

/// What the forms mean beyond being valid.
fn means(host: &Installed, form: &str, cib: &Element<'_>) {
    let name = form.rsplit('/').next().unwrap();
    let all = resources(cib);
    let value = |id: &str, set: &str, name: &str| {
        let resource = all.iter().find(|it| it.attribute("id") == Some(id)).unwrap_or_else(|| panic!("no {id}"));
        pairs(resource, set).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    };
    let there = |node: u8| Some(format!("node{node}"));
    match name {
        "ordered.conf" => {
            assert_eq!(placed(host, &[1, 2, 3, 4], "web"), there(1));
            assert!([there(2), there(3)].contains(&placed(host, &[2, 3, 4], "web")));
            assert_eq!(placed(host, &[4], "web"), there(4));
            assert_eq!(value("web", "meta_attributes", "migration-threshold").as_deref(), Some("3"));
        }
        "restricted.conf" => {
            assert_eq!(placed(host, &[1, 2, 3, 4], "web"), there(1));
            assert_eq!(placed(host, &[2, 3], "web"), there(2));
            assert_eq!(placed(host, &[3, 4], "web"), None);
        }
        "disable.conf" => {
            assert_eq!(placed(host, &[1, 2], "d"), None);
            assert!(placed(host, &[1, 2], "a").is_some());
        }
        "exclusive.conf" => {
            let nodes = ["a", "b", "c", "d", "e"].map(|id| placed(host, &[1, 2, 3, 4], id).unwrap());
            assert!(
                nodes[0] != nodes[1] && nodes[2..].iter().all(|it| *it != nodes[0] && *it != nodes[1]),
                "{nodes:?}"
            );
        }
        "depend.conf" => {
            let constraints = cib.first("configuration").unwrap().first("constraints").unwrap();
            let order = constraints.first("rsc_order").unwrap();
            let said = ["first", "then", "symmetrical"].map(|name| order.attribute(name).unwrap());
            assert_eq!(said, ["db", "web", "false"]);
        }
        "actions.conf" => {
            let program = value("web", "instance_attributes", "status_program");
            assert_eq!(program.as_deref(), Some("/usr/local/bin/check web"));
        }
        "hostile.conf" => {
            for (id, name, expected) in [
                ("it_s__HOME__x___id_", "name", "it's $HOME \"x\" `id`"),
                ("it_s__HOME__x___id_", "path", "/etc/vm/a b:/srv/&<'"),
                ("vm-1st", "path", "/etc/vm/$(touch /tmp/no)"),
                ("vm-1st", "status_program", "-x 'a' \"$b\" \\ ; # !! %s <end>"),
                ("vm--rf", "name", "-rf"),
                ("END", "name", "END"),
                ("_mlaut", "name", "\u{fc}mlaut"),
                ("_mlaut", "path", "/etc/v\u{f6}"),
            ] {
                assert_eq!(value(id, "instance_attributes", name).as_deref(), Some(expected), "{id}");
            }
            assert_eq!(all.len(), 6);
        }
        _ => {}
    }
}

#[test]
fn what_is_converted_to_pcs_runs_on_a_scratch_cib_which_is_valid_then() {
    by("pcs");
}

#[test]
fn what_is_converted_to_crmsh_runs_on_a_scratch_cib_which_is_valid_then() {
    by("crm");
}

/// Its resources become the agent's in place; what is in them stays.
#[test]
fn resources_of_heartbeats_agents_become_this_agents_in_a_scratch_cib() {
    need(&["pcs", "crm", "cibadmin", "crm_verify"]);
    let host = Installed::with_the_program("/usr");
    let mut changed = 0;
    for (form, to) in forms("cib").iter().flat_map(|form| [(form, "pcs"), (form, "crm")]) {
        let before = std::fs::read_to_string(form).unwrap();
        let before = read(&before).unwrap();
        let form = form.display().to_string();
        let text = scratch(&host, &format!("cp '{form}' \"$CIB_file\""), &form, to);
        let after = read(&text[text.find("<cib").unwrap()..]).unwrap();
        let kept = form.ends_with("/kept.cib");
        for (before, after) in resources(&before).into_iter().zip(resources(&after)) {
            assert_eq!(before.attribute("id"), after.attribute("id"));
            let was = before.attribute("type");
            let stays = kept || matches!(before.attribute("id"), Some("vm-memory" | "vm-none"));
            let is = if matches!(was, Some("VirtualDomain" | "Xen")) && !stays { Some("vm") } else { was };
            assert_eq!(after.attribute("type"), is, "{text}");
            changed += usize::from(is != was);
            let (had, has) = (pairs(before, "instance_attributes"), pairs(after, "instance_attributes"));
            for pair in &had {
                assert!(has.contains(pair), "{pair:?} is gone: {text}");
            }
            for op in before.first("operations").into_iter().flat_map(|it| it.all("op")) {
                let still =
                    after.first("operations").unwrap().all("op").any(|it| it.attribute("id") == op.attribute("id"));
                assert!(still, "{:?} is gone: {text}", op.attribute("id"));
            }
        }
    }
    assert_eq!(changed, 20);
}

/// The definition's name is taken where the definition is; what is wrong is told in one sentence, with its place.
#[test]
fn convert_reads_files_standard_input_and_definitions_and_says_what_it_cannot_read() {
    let host = Installed::with_the_program("/usr");
    let form = repository().join("tests/convert/bare.cib").display().to_string();
    let definition = "<domain type=\"qemu\"><name>its-name</name></domain>";
    let script = format!(
        "mkdir -p vm && echo '{definition}' >vm/bare.xml && sed s:/etc/vm/:/root/vm/: '{form}' | vm-agent convert - its-name; \
         sed s:/etc/vm/:/root/vm/: '{form}' | vm-agent convert - bare"
    );
    let said = bash(&host, &script).ok();
    assert!(said.contains("name=\"name\" value=\"its-name\""), "{said}");
    for (script, code, sentence) in [
        ("vm-agent convert", 5, "there is no /etc/cluster/cluster.conf, and no CIB: "),
        ("vm-agent convert nowhere", 6, "vm-agent: nowhere cannot be read: No such file or directory"),
        ("vm-agent convert web", 6, "the first word is a file, and names come after it"),
        ("vm-agent convert /root", 6, "vm-agent: /root cannot be read: Is a directory"),
        ("vm-agent convert /dev/zero", 6, "vm-agent: /dev/zero: it is larger than 32 MiB"),
        ("echo '<a/>' | vm-agent convert -", 6, "vm-agent: standard input: its first element is <a>"),
        ("printf '<cluster>\\n<rm' | vm-agent convert -", 6, "vm-agent: standard input: line 2"),
        (
            "echo '<cluster><rm><vm name=\"a\"/></rm></cluster>' | vm-agent convert - >/dev/full",
            1,
            "vm-agent: the commands could not be written whole: No space left on device",
        ),
        ("echo '<cluster/>' | vm-agent convert - web", 2, "vm-agent: standard input has no virtual machine 'web'"),
    ] {
        let said = bash(&host, script);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{script}: {said:?}");
        assert!(said.err.contains(sentence) && said.err.lines().count() == 1, "{script}: {said:?}");
    }
    let script = "mkdir -p /etc/cluster && echo '<cluster><rm><vm name=\"web\"/></rm></cluster>' \
                  >/etc/cluster/cluster.conf && vm-agent convert";
    let said = bash(&host, script).ok();
    assert!(said.contains("# From /etc/cluster/cluster.conf (rgmanager)") && said.contains("create web "), "{said}");
}
