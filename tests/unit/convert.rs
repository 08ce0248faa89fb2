// SPDX-License-Identifier: GPL-2.0-or-later
//! What `vm-agent convert` prints: for each `FORM.conf` and `FORM.cib` of `tests/convert/` the commands of pcs and of crmsh
//! stand beside it, in `FORM.*.pcs` and `FORM.*.crm`. `UPDATE=1 cargo test --lib convert` writes them; tests/real/convert.rs
//! runs them.

use crate::cluster::convert::{NotConverted, Shell, Wish, convert};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use vm_agent::model::params::{Params, Use, find};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/convert")
}

/// Each form, with where it lies.
fn forms() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "conf" || end == "cib"));
    files.sort();
    files
}

fn converted(bytes: &[u8], to: Shell, names: &[&str]) -> Result<String, NotConverted> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let name_in = |file: &Path| Some(file.file_stem()?.to_str()?.to_owned()).filter(|name| name != "bare");
    convert(bytes, &Wish { from: "FILE", to, names: &names, name_in: &name_in })
}

/// The commands, as a shell's own splitting of lines and words gives them; a here-document is one word of its command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let (mut commands, mut open) = (Vec::new(), String::new());
    let mut here: Option<(Vec<String>, String)> = None;
    for line in text.lines() {
        if let Some((mut words, mut document)) = here.take() {
            if line == "END" {
                words.push(document);
                commands.push(words);
            } else {
                document += &format!("{line}\n");
                here = Some((words, document));
            }
            continue;
        }
        if open.is_empty() && (line.is_empty() || line.starts_with('#')) {
            continue;
        }
        open += &format!("{line}\n");
        // A quote that does not end yet goes on in the next line.
        let Some(mut words) = shlex::split(&open) else { continue };
        open.clear();
        if words[0] == "env" {
            assert_eq!(words[1], "CHARSET=UTF-8");
            words.drain(..2);
        }
        if words.last().is_some_and(|last| last == "<<END") {
            words.pop();
            here = Some((words, String::new()));
        } else {
            commands.push(words);
        }
    }
    assert!(here.is_none() && open.is_empty(), "{text}");
    commands
}

#[test]
fn every_form_becomes_the_commands_beside_it() {
    let update = std::env::vars().any(|(name, value)| name == "UPDATE" && value == "1");
    let forms = forms();
    assert!(forms.iter().filter(|it| it.extension().is_some_and(|end| end == "conf")).count() >= 12);
    for form in forms {
        let bytes = std::fs::read(&form).unwrap();
        for (to, end) in [(Shell::Pcs, "pcs"), (Shell::Crm, "crm")] {
            let text = converted(&bytes, to, &[]).unwrap();
            let beside = PathBuf::from(format!("{}.{end}", form.display()));
            if update {
                std::fs::write(&beside, &text).unwrap();
            }
            let there = std::fs::read_to_string(&beside).unwrap_or_default();
            assert!(
                there == text,
                "{}: UPDATE=1 cargo test --lib convert writes it; it came:\n{text}",
                beside.display()
            );
        }
    }
}

/// Whatever is in a form, a shell runs no more than these programs, and every parameter is one that the agent takes.
#[test]
fn commands_are_those_of_the_tools_and_their_parameters_the_agents() {
    for form in forms() {
        for to in [Shell::Pcs, Shell::Crm] {
            let text = converted(&std::fs::read(&form).unwrap(), to, &[]).unwrap();
            for line in text.lines().filter(|line| line.starts_with('#')) {
                let command = line.starts_with("#     env CHARSET=UTF-8 ");
                assert!(!line.contains(|c: char| c.is_control() || !(c.is_ascii() || command)), "{line}");
            }
            for words in commands(&text) {
                let program = words[0].as_str();
                assert!(["pcs", "crm", "cibadmin", "crm_resource"].contains(&program), "{}: {words:?}", form.display());
                for (name, value) in parameters(&words) {
                    let row = find(name.as_bytes()).unwrap_or_else(|| panic!("no parameter {name}"));
                    assert_eq!(row.used(), Use::Agent, "{name}");
                    let problems = Params::read([(name.as_bytes(), value.as_ref())]).problems;
                    assert_eq!(problems, [], "{}", form.display());
                }
            }
        }
    }
}

/// The agent's parameters in a command.
fn parameters(words: &[String]) -> Vec<(String, String)> {
    let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    match words[0].as_str() {
        "pcs" if words[2] == "create" => {
            words[5..].iter().take_while(|word| *word != "op").map(|word| pair(word).unwrap()).collect()
        }
        "crm_resource" => {
            let value = words[5].strip_prefix("--parameter-value=").unwrap();
            vec![(words[4].clone(), value.to_owned())]
        }
        "crm" if words.len() == 3 => {
            let primitives = words[2].lines().filter(|line| line.starts_with("primitive "));
            let params = primitives.filter_map(|line| line.split_once(" params ")?.1.split(" op ").next());
            params.flat_map(|params| params.split(' ').map(|word| pair(&word.to_owned()).unwrap())).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_machine_can_be_named_and_one_that_is_not_there_is_told() {
    let conf = b"<cluster><rm><vm name='a' path='/v'/><vm name='b' path='/v'/></rm></cluster>";
    for name in ["a", "vm:a"] {
        let text = converted(conf, Shell::Pcs, &[name]).unwrap();
        assert!(text.contains("create a ") && !text.contains("create b "), "{text}");
    }
    let why = NotConverted::Unnamed("FILE has no virtual machine 'c'; it has: a, b".into());
    assert_eq!(converted(conf, Shell::Pcs, &["a", "c"]), Err(why));
    let cib = std::fs::read(folder().join("template.cib")).unwrap();
    let text = converted(&cib, Shell::Pcs, &["a"]).unwrap();
    assert!(text.contains("a is not converted: its template is also that of b"), "{text}");
    let bare = std::fs::read(folder().join("bare.cib")).unwrap();
    let text = converted(&bare, Shell::Pcs, &["in-group"]).unwrap();
    assert!(text.contains("<primitive id=\"in-group\"") && !text.contains("id=\"bare\""), "{text}");
}

#[test]
fn what_is_no_configuration_is_told_with_its_place() {
    for (text, why) in [
        ("", "it is empty"),
        ("<cluster><rm></cluster>", "line 1, column 14: </cluster> where </rm> is expected"),
        ("<cluster>\n<rm><vm name='a'></rm></cluster>", "line 2, column 18: </rm> where </vm> is expected"),
        ("<domain/>", "its first element is <domain>: neither a cluster.conf (<cluster>) nor a CIB (<cib>)"),
        ("<cib/>", "it has no <resources>"),
        ("<configuration/>", "it has no <resources>"),
    ] {
        assert_eq!(
            converted(text.as_bytes(), Shell::Pcs, &[]),
            Err(NotConverted::Unreadable(format!("FILE: {why}"))),
            "{text}"
        );
    }
    let why = NotConverted::Unreadable("FILE: line 2: a byte that is not UTF-8".into());
    assert_eq!(converted(b"<cluster>\n\xff", Shell::Pcs, &[]), Err(why));
    for text in ["<cluster/>", "<cluster><rm/></cluster>", "<cib><configuration><resources/></configuration></cib>"] {
        let text = converted(text.as_bytes(), Shell::Crm, &[]).unwrap();
        assert!(commands(&text).is_empty() && text.contains("to convert in it"), "{text}");
    }
}

#[test]
fn thousands_of_names_that_become_alike_are_told_apart() {
    let vm = |number: u32| format!("<vm name=\"{}\" path=\"/vms\"/>", char::from_u32(0x4e00 + number).unwrap());
    let conf = format!("<cluster><rm>{}</rm></cluster>", (0..9000).map(vm).collect::<String>());
    let text = converted(conf.as_bytes(), Shell::Pcs, &[]).unwrap();
    let created = text.lines().filter_map(|line| line.strip_prefix("pcs resource create ")?.split(' ').next());
    let mut ids: Vec<&str> = created.collect();
    assert_eq!((ids.len(), ids[1], ids[8999]), (9000, "_-2", "_-9000"));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9000);
}

proptest! {
    /// Any text in a name, a value or a domain stays within its word.
    #[test]
    fn nothing_leaves_its_word(name in "\\PC{1,12}", path in "[ -~\n\t]{0,20}", value in "\\PC{0,20}", pcs in any::<bool>()) {
        let escaped = |text: &str| {
            let of = |c| match c {
                '&' | '<' | '>' | '"' | '\'' | '\n' | '\t' => format!("&#{};", u32::from(c)),
                c => c.to_string(),
            };
            text.chars().map(of).collect::<String>()
        };
        let (name, path, value) = (escaped(&name), escaped(&path), escaped(&value));
        let conf = format!(
            "<cluster><rm><failoverdomains><failoverdomain name=\"{value}\" restricted=\"1\"><failoverdomainnode \
             name=\"{name}\"/></failoverdomain></failoverdomains><vm name=\"{name}\" path=\"/{path}\" domain=\"{value}\" \
             status_program=\"{value}\" depend=\"vm:{name}\" recovery=\"{value}\" {}><action name=\"{name}\"/></vm>\
             <service name=\"{name}\"><ip address=\"{value}\"/></service></rm></cluster>",
            "__x=\"1\""
        );
        let cib = format!(
            "<cib><configuration><resources><primitive id=\"{name}\" class=\"ocf\" provider=\"heartbeat\" \
             type=\"VirtualDomain\"><instance_attributes id=\"{value}\"><nvpair id=\"{name}\" name=\"config\" \
             value=\"/{path}\"/><nvpair id=\"x{value}\" name=\"{value}\" value=\"{name}\"/></instance_attributes>\
             </primitive></resources></configuration></cib>"
        );
        for text in [conf, cib] {
            let to = if pcs { Shell::Pcs } else { Shell::Crm };
            let Ok(printed) = converted(text.as_bytes(), to, &[]) else { continue };
            for words in commands(&printed) {
                prop_assert!(["pcs", "crm", "cibadmin", "crm_resource"].contains(&words[0].as_str()), "{}", printed);
            }
        }
    }
}
