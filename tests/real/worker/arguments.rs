// SPDX-License-Identifier: GPL-2.0-or-later
//! Requests as arguments, and arguments that are no request.

use std::time::Duration;

use proptest::collection::btree_set;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use virt::sys;
use vm_agent::model::change::{Change, Flag, Migrate, Rehearsal, ShutdownMode, Wake};
use vm_agent::model::worker::{Ask, CallStep, HostChange, NO_DOMAIN, NO_SUPPORT, Question, Reply, Request, Who};

use super::{IN_PROCESS, Worker, name};

/// Anything that an argument can carry (not nothing: that is an error of its own).
fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "-{0,3}[a-z=,-]{1,8}", "\\PC{1,12}", Just("100".to_owned()), Just("--uri=x".to_owned())]
}

fn xml() -> impl Strategy<Value = String> {
    "[^\\x00]{1,40}"
}

fn question() -> impl Strategy<Value = Ask> {
    let of_a_domain = prop_oneof![
        proptest::option::of("[0-9a-f-]{1,36}").prop_map(|or_uuid| Question::State { or_uuid }),
        any::<bool>().prop_map(|inactive| Question::Xml { inactive }),
        Just(Question::NextXml)
    ];
    let of_the_host = prop_oneof![
        Just(Question::Host),
        xml().prop_map(|names| Question::Volumes { names: names.into() }),
        xml().prop_map(|others| Question::Cpu { others: others.into() }),
        (xml(), any::<bool>()).prop_map(|(xml, starts)| Question::Check { xml: xml.into(), starts }),
        word().prop_map(|path| Question::SavedXml { path }),
    ];
    prop_oneof![
        (who(), of_a_domain).prop_map(|(who, question)| Ask::Question(Some(who), question)),
        of_the_host.prop_map(|question| Ask::Question(None, question)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let mode = select(vec![
        ShutdownMode::Default,
        ShutdownMode::Acpi,
        ShutdownMode::Agent,
        ShutdownMode::Initctl,
        ShutdownMode::Signal,
        ShutdownMode::Paravirt,
    ]);
    let wake = of(select(vec![Wake::Running, Wake::Paused]));
    prop_oneof![
        select(vec![
            Change::Start,
            Change::Resume,
            Change::Wake,
            Change::Suspend,
            Change::Destroy,
            Change::DestroyWaiting,
            Change::DropSaved,
            Change::AbortJob,
            Change::StartPostcopy,
        ]),
        xml().prop_map(|xml| Change::Create { xml: xml.into() }),
        (word(), wake, any::<Option<u32>>(), any::<bool>()).prop_map(|(path, wake, channels, bypass_cache)| {
            Change::Restore { path, wake, channels, bypass_cache }
        }),
        mode.prop_map(|mode| Change::Shutdown { mode }),
        (word(), any::<Option<u32>>(), any::<bool>()).prop_map(|(path, channels, bypass_cache)| Change::Save {
            path,
            channels,
            bypass_cache
        }),
        any::<u64>().prop_map(|ms| Change::SetDowntime { ms }),
        xml().prop_map(|xml| Change::SetMark { xml: xml.into() }),
        // Boxed, as the strategy's value is too large for a test's stack.
        migrate().prop_map(|migrate| Change::Migrate(Box::new(migrate))).boxed(),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![word().prop_map(Who::Name), word().prop_map(Who::Uuid)]
}

fn migrate() -> impl Strategy<Value = Migrate> {
    let flags =
        select(vec![Flag::Live, Flag::P2p, Flag::PersistDest, Flag::NonSharedSynchronousWrites, Flag::Zerocopy]);
    let words = (word(), of(word()), of(word()), of(word()), of(word()), of(word()), of(word()));
    let numbers = (any::<[Option<u64>; 4]>(), any::<[Option<i32>; 7]>());
    let rehearse = of(select(vec![Rehearsal::Brief, Rehearsal::Thorough]));
    (words, numbers, btree_set(flags, 0..4), btree_set("[a-z]{1,4}", 0..3), rehearse).prop_map(
        |(words, (longs, ints), flags, migrate_disks, rehearse)| {
            let (dest_uri, migrate_uri, listen_address, compression, tls_destination, disks_uri, graphics_uri) = words;
            let [downtime_ms, bandwidth, bandwidth_postcopy, compression_xbzrle_cache] = longs;
            Migrate {
                rehearse,
                start_resources: true,
                measure: true,
                dest_uri,
                flags,
                migrate_uri,
                listen_address,
                downtime_ms,
                bandwidth,
                bandwidth_postcopy,
                parallel_connections: ints[0],
                compression,
                compression_mt_level: ints[1],
                compression_mt_threads: ints[2],
                compression_mt_dthreads: ints[3],
                compression_xbzrle_cache,
                auto_converge_initial: ints[4],
                auto_converge_increment: ints[5],
                tls_destination,
                disks_uri,
                disks_port: ints[6],
                migrate_disks,
                graphics_uri,
                dest_xml: None,
                by_virsh: None,
            }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let ask = prop_oneof![
        question(),
        (who(), change()).prop_map(|(who, change)| Ask::Change(who, change)),
        xml().prop_map(|xml| Ask::Host(HostChange::StartResources { xml: xml.into() })),
    ];
    (word(), ask, of(any::<u32>()), of(any::<u32>())).prop_map(|(uri, ask, timeout, parent)| Request {
        uri,
        ask,
        timeout: timeout.map(|ms| Duration::from_millis(ms.into())),
        parent,
    })
}

proptest! {
    #[test]
    fn a_request_survives_the_way_through_arguments_and_input(request in request()) {
        let mut again = Request::parse(request.argv()).unwrap();
        match again.input_mut() {
            None => prop_assert_eq!(request.input(), None),
            Some(text) => *text = request.input().unwrap().into(),
        }
        prop_assert_eq!(again, request);
    }

    #[test]
    fn no_arguments_are_a_panic(arguments in prop::collection::vec(word(), 0..6)) {
        let _ = Request::parse(arguments);
    }
}

#[test]
fn arguments_can_be_read_and_typed_by_a_person() {
    let migrate = Migrate {
        dest_uri: "qemu+ssh://b/system?no_tty=1".into(),
        flags: [Flag::Live, Flag::AutoConverge].into(),
        downtime_ms: Some(300),
        ..Migrate::default()
    };
    let request = Request::change("qemu:///system", name("web 1"), Change::Migrate(Box::new(migrate)));
    let argv = request.argv();
    assert_eq!(
        argv,
        [
            "migrate",
            "--uri=qemu:///system",
            "--name=web 1",
            "--dest-uri=qemu+ssh://b/system?no_tty=1",
            "--downtime-ms=300",
            "--flags=live,auto-converge",
        ]
    );
    let typed = ["migrate", "--name", "web 1", "--uri", "qemu:///system", "--flags", "auto-converge,live"]
        .into_iter()
        .chain(["--dest-uri", "qemu+ssh://b/system?no_tty=1", "--downtime-ms", "300"]);
    assert_eq!(Request::parse(typed.map(String::from)), Ok(request));
}

#[test]
fn arguments_that_are_wrong_are_refused_by_name() {
    for (arguments, reason) in [
        ("", "the first argument is a verb"),
        ("--uri=a host", "the first argument is a verb"),
        ("host", "--uri is missing"),
        ("host --uri", "--uri needs a value"),
        ("host --uri=", "--uri needs a value"),
        ("host --uri=a --uri=b", "--uri is given twice"),
        ("host --uri=a --foo", "no such options: --foo"),
        ("host --uri=a extra", "\"extra\" is not an option"),
        ("dance --uri=a", "unknown variant `dance`"),
        ("dance --uri=a --name=b", "unknown variant `dance`"),
        ("state --uri=a", "state needs --uuid or --name"),
        ("host --uri=a --name=b", "host takes no --uuid and no --name"),
        ("state --uri=a --name=b --uuid=c", "--uuid and --name exclude each other"),
        ("state --uri=a --name", "--name needs a value"),
        ("xml --uri=a --name=b --fresh", "unknown field `fresh`"),
        ("shutdown --uri=a --name=b --mode=rudely", "unknown variant `rudely`"),
        ("set-downtime --uri=a --name=b", "missing field `ms`"),
        ("set-downtime --uri=a --name=b --ms=-1", "a whole number, not \"-1\""),
        ("host --uri=a --timeout-ms=soon", "--timeout-ms is a whole number, not \"soon\""),
        ("migrate --uri=a --name=b --flags=live,dead", "unknown variant `dead`"),
        ("xml --uri=a --name=b --inactive=no", "expected a boolean"),
    ] {
        let error = Request::parse(arguments.split_whitespace().map(String::from)).unwrap_err();
        assert!(error.contains(reason), "{arguments}: {error}");
        match Worker::with_arguments(&Vec::from_iter(arguments.split_whitespace())).end() {
            Reply::Error(failure) => assert_eq!((failure.code, failure.during), (0, CallStep::Arguments)),
            Reply::Ok(_) => panic!("{arguments}"),
        }
    }
}

#[test]
fn an_argument_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"--name=\xff");
    match Worker::with_arguments(&["state".as_ref(), "--uri=test:///default".as_ref(), bad]).end() {
        Reply::Error(failure) => assert_eq!((failure.code, failure.during), (0, CallStep::Arguments)),
        Reply::Ok(_) => panic!("taken"),
    }
}

#[test]
fn input_that_no_definition_can_be_is_refused_before_libvirt_sees_it() {
    let long = vec![b' '; (16 << 20) + 1];
    for (input, reason) in [
        (&b""[..], "standard input is empty"),
        (b"<domain>\0</domain>", "standard input has a NUL byte"),
        (b"<domain>\xff</domain>", "standard input is not UTF-8"),
        (&long, "standard input is longer than 16777216 bytes"),
    ] {
        let mut worker = Worker::with_arguments(&["create", "--uri", IN_PROCESS, "--name", "web"]);
        worker.say(input);
        worker.input = None;
        match worker.end() {
            Reply::Error(failure) => {
                assert_eq!((failure.code, failure.during, &*failure.message), (0, CallStep::Input, reason));
            }
            Reply::Ok(_) => panic!("{reason}"),
        }
    }
}

#[test]
fn the_numbers_that_the_agent_knows_are_libvirts() {
    assert_eq!((NO_DOMAIN, NO_SUPPORT), (sys::VIR_ERR_NO_DOMAIN, sys::VIR_ERR_NO_SUPPORT));
}

#[test]
fn lines_are_as_documented() {
    use vm_agent::model::worker::{Answer, DomainFacts, ErrorReply, Line, Lookup, Progress, Side};
    let facts = DomainFacts {
        name: "a".into(),
        uuid: "u".into(),
        id: None,
        state: 5,
        reason: 1,
        persistent: Some(true),
        saved: None,
        autostart: None,
        job_operation: None,
        job_error: None,
    };
    let failure = ErrorReply { code: 42, domain: 10, during: CallStep::Lookup, message: "no".into() };
    let answer = |answer| Line::End(Reply::Ok(Box::new(answer)));
    let progress = |progress| Line::Progress { progress };
    for (line, expected) in [
        (answer(Answer::default()), json!({"result": "ok"})),
        (
            answer(Answer { lookup: Some(Lookup::Absent), ..Answer::default() }),
            json!({"result": "ok", "lookup": "absent"}),
        ),
        (
            answer(Answer { lookup: Some(Lookup::Found(facts)), ..Answer::default() }),
            json!({"result": "ok", "lookup": {"found":
                {"name": "a", "uuid": "u", "id": null, "state": 5, "reason": 1, "persistent": true}}}),
        ),
        (
            Line::End(Reply::Error(failure.clone())),
            json!({"result": "error", "code": 42, "domain": 10, "during": "lookup", "message": "no"}),
        ),
        (progress(Progress::Asking(Side::Source)), json!({"progress": {"asking": "source"}})),
        (progress(Progress::Begun), json!({"progress": "begun"})),
        (
            progress(Progress::Lost { end: Side::Destination, reason: 2 }),
            json!({"progress": {"lost": {"end": "destination", "reason": 2}}}),
        ),
    ] {
        assert_eq!(serde_json::to_value(&line).unwrap(), expected);
        assert_eq!(Line::parse(&expected.to_string()), Ok(line));
    }
    for garbage in ["", "{}", "null", "{\"result\":\"maybe\"}", "{\"progress\":{\"song\":1}}", "Segmentation fault"] {
        assert!(Line::parse(garbage).is_err(), "{garbage}");
    }
}
