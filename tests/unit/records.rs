// SPDX-License-Identifier: GPL-2.0-or-later
//! Records of actions: what is in them and what never is, where they go, and what replay makes of one that was altered.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::LazyLock;
use vm_agent::callers::records::{FACTS, KINDS, write};
use vm_agent::engine::imagine::{Imagined, play_recorded};
use vm_agent::engine::recording::Recording;
use vm_agent::engine::replay::{Readable, Replayed, replay};
use vm_agent::engine::story::story;
use vm_agent::model::action::{Action, Class};
use vm_agent::model::call::{Caller, Environment, Invocation};
use vm_agent::model::definition::Language;
use vm_agent::model::facts::{Answers, Defined, Definition, Fact, Facts, Libvirt, Peer, Place, Process};
use vm_agent::model::outcome::Outcome;
use vm_agent::model::standing::Standing;
use vm_agent::sys::roots::Roots;

/// A call of Pacemaker's.
fn call(action: Action, params: &[(&str, &str)]) -> Invocation {
    let mut pairs: Vec<(OsString, OsString)> = vec![
        ("OCF_RESKEY_CRM_meta_timeout".into(), "60000".into()),
        ("OCF_RESKEY_CRM_meta_on_node".into(), "node1".into()),
        ("OCF_RESOURCE_INSTANCE".into(), "web-vm".into()),
        ("OCF_RESKEY_name".into(), "web".into()),
        ("OCF_SECRET".into(), "kwort".into()),
        ("OCF_RESKEY_no_parameter".into(), "kwort".into()),
        ("PASSWORD".into(), "kwort".into()),
    ];
    pairs.extend(params.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}").into(), value.into())));
    Invocation::from_manager(Caller::Pacemaker, action, None, &Environment::from_pairs(pairs))
}

/// A start that reads a definition and succeeds, as it is recorded.
fn start(inv: &Invocation, peers: Vec<Peer>) -> (Recording, Outcome) {
    let defined = Defined {
        path: "/d/web.xml".into(),
        text: "<domain><graphics passwd='kwort'/></domain>".into(),
        name: "web".into(),
        uuid: Some([7; 16]),
        language: Language::Xml,
    };
    let seen = Facts {
        here: Place { name: Some("web".into()), process: Process::Gone, ..Place::by_word(Libvirt::NoDomain) },
        definition: Definition::NotLooked,
        hindrance: None,
        answers: Answers::default(),
    };
    let definition = Some(Definition::File(Box::new(defined)));
    let world = Imagined { definition, peers: Fact::Known(peers), ..Imagined::default() };
    let mut recording = Recording::begin();
    let (_, outcome) = play_recorded(inv, &seen, &world, &mut recording);
    (recording, outcome.unwrap())
}

static RECORD: LazyLock<String> = LazyLock::new(|| {
    let inv = call(Action::Start, &[]);
    let (recording, outcome) = start(&inv, Vec::new());
    recording.text(&inv, &outcome)
});

/// What is decided of a record again.
fn again(text: &str) -> Replayed {
    replay(Readable::of(text).unwrap())
}

#[test]
fn no_record_has_a_definitions_text_or_what_may_be_a_password() {
    let inv = call(
        Action::Start,
        &[
            ("status_program", "PGPASSWORD=kwort psql"),
            ("monitor_scripts", "'/bin/check kwort'"),
            ("definition_command", "/bin/fetch --token kwort"),
            ("hypervisor_uri", "qemu+tcp://me:kwort@web/system"),
        ],
    );
    let (recording, outcome) = start(&inv, Vec::new());
    let text = recording.text(&inv, &outcome);
    assert!(!text.contains("kwort") && text.contains("qemu+tcp://me:-@web/system"), "{text}");
    assert!(again(&text).looks.iter().all(|look| look.is_same()), "{text}");
}

#[test]
fn a_record_is_bounded_whatever_was_seen() {
    let long = "x".repeat(100_000);
    let inv = call(Action::Start, &[("migrate_options", &long[..60_000]), ("status_program", &long[..9000])]);
    let why = Place::silent(&long[..300]);
    let member = |n: usize| {
        let (node, place) = (format!("n{n}"), why.clone());
        Peer { node, standing: Standing::Online, on_record: None, place }
    };
    for count in [0, 20, 500] {
        let (recording, outcome) = start(&inv, (0..count).map(member).collect());
        let text = recording.text(&inv, &outcome);
        assert!(text.len() < 60_000, "{}", text.len());
        let replayed = again(&text);
        assert_eq!(replayed.left_out > 0, count == 500, "{replayed:?}");
        assert_eq!(replayed.otherwise, ["migrate_options"]);
    }
}

#[test]
fn a_fact_that_was_altered_is_decided_otherwise() {
    let whole = again(&RECORD);
    assert!(whole.looks.len() > 3 && whole.looks.iter().all(|look| look.is_same()), "{whole:?}");
    let altered = RECORD.replacen("\"NoDomain\"", "{\"Silent\":{\"kind\":\"Hung\",\"why\":\"w\"}}", 1);
    assert_ne!(altered, *RECORD);
    assert!(again(&altered).looks.iter().any(|look| !look.is_same()));
    let asked_for_otherwise = RECORD.replacen("\"action\":\"start\"", "\"action\":\"stop\"", 1);
    assert!(again(&asked_for_otherwise).looks.iter().any(|look| !look.is_same()));
}

#[test]
fn a_record_of_a_real_machine_becomes_a_story_in_the_words_of_a_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let made = |name: &str| {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap();
        story(&Readable::of(record[FACTS].as_str().unwrap()).unwrap())
    };
    assert_eq!(
        made("stop-by-force.json"),
        "# recorded-stop: As vm-agent 0.1.0 has recorded it; say here what is wrong.\n\
         caller human\naction stop\ntimeout 60\nparam force_stop=yes\nparam path=/srv/vm\nlibvirt running\n\
         process alive\nend none\n---\ndestroy it\nanswer 0 'foo' was destroyed after 0.6 s\n"
    );
    for file in fs::read_dir(&folder).unwrap() {
        let text = made(file.unwrap().file_name().to_str().unwrap());
        assert!(text.contains("\n---\n") && text.lines().last().unwrap().starts_with("answer "), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_with_any_bytes_changed_is_read_or_refused(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4), cut in proptest::option::of(any::<usize>()),
    ) {
        let mut bytes = RECORD.clone().into_bytes();
        let length = bytes.len();
        changes.into_iter().for_each(|(place, byte)| bytes[place % length] = byte);
        bytes.truncate(cut.map_or(length, |cut| cut % length));
        let _ = Readable::of(&String::from_utf8_lossy(&bytes)).map(replay);
    }

    #[test]
    fn a_record_with_any_numbers_is_read_or_refused(number in prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)], which in any::<usize>()) {
        let parts: Vec<&str> = RECORD.split_inclusive(|c: char| !c.is_ascii_digit()).collect();
        let numbers: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].len() > 1).collect();
        let place = numbers[which % numbers.len()];
        let text: String = parts.iter().enumerate().map(|(at, part)| {
            if at == place { format!("{number}{}", &part[part.len() - 1..]) } else { (*part).to_owned() }
        }).collect();
        let _ = Readable::of(&text).map(replay);
    }
}

/// The fields of a datagram, as the journal reads them.
fn fields(datagram: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(datagram).unwrap();
    text.lines().map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn the_journal_gets_a_record_with_all_fields_that_are_documented() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots { run: folder.path().into(), ..Roots::default() };
    fs::create_dir_all(folder.path().join("systemd/journal")).unwrap();
    let journal = UnixDatagram::bind(folder.path().join("systemd/journal/socket")).unwrap();
    let inv = call(Action::Start, &[]);
    let (recording, outcome) = start(&inv, Vec::new());
    write(&inv, &recording, &outcome, &roots);
    let mut datagram = vec![0; 256 * 1024];
    let length = journal.recv(&mut datagram).unwrap();
    let fields = fields(&datagram[..length]);
    assert!(!folder.path().join("vm-agent/records").exists(), "it went to both");
    for (name, value) in [
        ("MESSAGE_ID", "1130b5d2215f4448b4df18eff1a70dc5"),
        ("VM_NAME", "web"),
        ("VM_UUID", "00000000-0000-0000-0000-000000000000"),
        ("OCF_ACTION", "start"),
        ("OCF_RC", "0"),
        ("OCF_RESOURCE_INSTANCE", "web-vm"),
        ("NODE", "node1"),
        ("CALLER", "pacemaker"),
        ("PRIORITY", "6"),
        ("REASON", &outcome.reason),
        ("MESSAGE", &format!("start of 'web' answered 0: {}", outcome.reason)),
    ] {
        assert_eq!(fields[name], value, "{name}");
    }
    assert!(fields["DURATION_MS"].parse::<u64>().is_ok());
    assert_eq!(fields[FACTS], recording.text(&inv, &outcome));
    let page = include_str!("../../docs/RECORDS.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<&str> = rows.filter(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())).collect();
    assert_eq!(fields.keys().map(String::as_str).collect::<BTreeSet<_>>(), documented, "docs/RECORDS.md");
    for (class, id) in KINDS {
        assert!(page.contains(&format!("`{id}`")), "docs/RECORDS.md does not tell of {class:?}");
    }
    for class in Action::ALL.map(Action::class) {
        let count = KINDS.iter().filter(|(known, _)| *known == class).count();
        assert_eq!(count, usize::from(class != Class::Print), "{class:?}");
    }
}

#[test]
fn without_a_journal_the_records_are_lines_of_a_bounded_file_for_root_alone() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots { run: folder.path().into(), ..Roots::default() };
    let path = |name: &str| folder.path().join("vm-agent").join(name);
    let size = |path: &Path| fs::metadata(path).map_or(0, |facts| facts.len());
    let inv = call(Action::Start, &[]);
    let (recording, outcome) = start(&inv, Vec::new());
    write(&inv, &recording, &outcome, &roots);
    let line = fs::read_to_string(path("records")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(line.ends_with('\n') && record["VM_NAME"] == "web" && record[FACTS].is_string(), "{line}");
    assert!(record["__REALTIME_TIMESTAMP"].as_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(fs::metadata(path("records")).unwrap().permissions().mode() & 0o777, 0o600);
    for _ in 0..1_500_000 / line.len() {
        write(&inv, &recording, &outcome, &roots);
        assert!(size(&path("records")) < 600 * 1024);
    }
    let old = fs::read_to_string(path("records.1")).unwrap();
    assert!(old.len() > 500 * 1024 && old.len() < 600 * 1024 && old.ends_with("}\n"), "{}", old.len());
    assert_eq!(fs::read_dir(folder.path().join("vm-agent")).unwrap().count(), 2);
}

#[test]
fn a_name_of_any_bytes_is_one_line_of_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots { run: folder.path().into(), ..Roots::default() };
    let bytes = OsString::from_vec(b"a\n\xffVM_NAME=b\x1b\0".to_vec());
    let pairs =
        ["OCF_RESKEY_name", "OCF_RESOURCE_INSTANCE", "OCF_RESKEY_CRM_meta_on_node", "OCF_RESKEY_migrate_options"]
            .map(|name| (name.into(), bytes.clone()));
    let inv = Invocation::from_manager(Caller::Pacemaker, Action::Start, None, &Environment::from_pairs(pairs));
    let (recording, outcome) = start(&inv, Vec::new());
    write(&inv, &recording, &outcome, &roots);
    let text = fs::read_to_string(folder.path().join("vm-agent/records")).unwrap();
    assert_eq!(text.lines().count(), 1);
    let record: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert!(record.values().all(|value| !value.contains(|c: char| c.is_control())), "{record:?}");
    Readable::of(&record[FACTS]).unwrap();
}

/// Reports of faults that are mended, and actions of real machines. `UPDATE=1 cargo test --lib records` takes over what is
/// decided otherwise on purpose.
#[test]
fn every_record_that_was_kept_is_decided_as_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        let read = Readable::of(record[FACTS].as_str().unwrap());
        let replayed = replay(read.unwrap_or_else(|why| panic!("{}: {why}", file.display())));
        let differ: Vec<_> = replayed.looks.iter().filter(|look| !look.is_same()).collect();
        if differ.is_empty() || !std::env::vars().any(|(name, value)| name == "UPDATE" && value == "1") {
            assert!(differ.is_empty(), "{}: {differ:#?}", file.display());
            continue;
        }
        let mut facts: serde_json::Value = serde_json::from_str(record[FACTS].as_str().unwrap()).unwrap();
        for (at, look) in replayed.looks.iter().enumerate() {
            facts["looks"][at]["next"] = look.today.clone().into();
        }
        record[FACTS] = facts.to_string().into();
        fs::write(&file, format!("{record}\n")).unwrap();
    }
}
