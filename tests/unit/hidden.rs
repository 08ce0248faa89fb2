// SPDX-License-Identifier: GPL-2.0-or-later
//! No type that holds a definition's text prints it, so that no line of a log can.

use vm_agent::host::locate::Found;
use vm_agent::model::change::Change;
use vm_agent::model::definition::Language;
use vm_agent::model::definition::read;
use vm_agent::model::facts::{Answers, Defined, Definition, Facts, Libvirt, Place, Process};
use vm_agent::model::worker::{Answer, Request, Who};
use vm_agent::sys::child::{Ended, Finished};

const TEXT: &str = "<domain><name>web</name><graphics type='vnc' passwd='kwort'>kwort</graphics></domain>";

#[test]
fn what_holds_a_definition_does_not_print_it() {
    let defined = Defined {
        path: "/d/web.xml".into(),
        text: TEXT.into(),
        name: "web".into(),
        uuid: None,
        language: Language::Xml,
    };
    let seen = Facts {
        here: Place { name: Some("web".into()), process: Process::Gone, ..Place::by_word(Libvirt::NoDomain) },
        definition: Definition::File(Box::new(defined)),
        hindrance: None,
        answers: Answers::default(),
    };
    let root = read(TEXT).unwrap();
    let found = Found::File { path: "/d/web.xml".into(), text: TEXT.into(), kind: Language::Xml };
    let finished = Finished {
        ended: Ended::Exited(0),
        stdout: TEXT.into(),
        stderr: Vec::new(),
        dropped: 0,
        survivors: 0,
        took: std::time::Duration::ZERO,
    };
    for told in [
        format!("{seen:?}"),
        seen.to_string(),
        format!(
            "{:?}",
            Request::change("qemu:///system", Who::Name("web".into()), Change::Create { xml: TEXT.into() })
        ),
        format!("{:?}", Answer { xml: Some(TEXT.into()), ..Answer::default() }),
        format!("{root:?}"),
        format!("{found:?}"),
        format!("{finished:?}"),
    ] {
        let numbers = format!("{:?}", b"kwort").replace(['[', ']'], "");
        assert!(!told.contains("kwort") && !told.contains(&numbers) && !told.is_empty(), "{told}");
    }
    assert_eq!(
        seen.to_string().split("; ").take(2).collect::<Vec<_>>(),
        ["web: libvirt: answered: there is no such domain", "host: all processes were read, and none is the domain's"]
    );
}
