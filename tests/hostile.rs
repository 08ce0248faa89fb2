// SPDX-License-Identifier: GPL-2.0-or-later
//! What nobody should do: hostile environments and definitions through the real executable on a real host, and every
//! observation that can be made up through the policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm, clippy::disallowed_methods, reason = "a test starts programs")]

mod common;

use common::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;
use vm_agent::decide::{self, History, Next, Step};
use vm_agent::imagine::{World, play};
use vm_agent::invocation::{Action, Caller, Environment, Invocation};
use vm_agent::observe::starting::Starting;
use vm_agent::observe::state::{Pause, State};
use vm_agent::observe::{Blind, Defined, Definition, Domain, Libvirt, NoAnswer, Observation, Process as Seen};
use vm_agent::ocf::{Code, Outcome};
use vm_agent::params::{ShutdownMode, TABLE};
use vm_agent::verdict::{Health, Motion, health};

/// As many hostile calls of each kind.
const CALLS: usize = 110;

const ACTIONS: [&str; 16] = [
    "start",
    "stop",
    "kill",
    "monitor",
    "status",
    "validate-all",
    "reload",
    "reload-agent",
    "recover",
    "restart",
    "migrate",
    "migrate_to",
    "migrate_from",
    "meta-data",
    "usage",
    "bogus",
];

/// Values that have broken some program.
fn value() -> impl Strategy<Value = OsString> {
    const KNOWN: [&str; 38] = [
        "",
        " ",
        "0",
        "1",
        "-1",
        "yes",
        "99999999999999999999",
        "1e9",
        "NaN",
        "0x10",
        "true\n",
        "$(touch /evaluated)",
        "`touch /evaluated`",
        "; touch /evaluated",
        "| touch /evaluated",
        "a\"b'c",
        "%s%n%s%n",
        "../../etc/passwd",
        "/",
        "/dev/zero",
        "/dev/tty",
        "/proc/self/mem",
        "/proc/kmsg",
        "/etc/passwd",
        "relative/path",
        "/a:/b::/c:",
        "::::",
        "*",
        "[",
        "\u{202e}\u{1f600}",
        "\n\nocf-exit-reason:forged",
        "qemu:///session",
        "test:///default",
        "xen",
        "lxc:///",
        "qemu+unix:///system?socket=/dev/null",
        "no://such/driver",
        "qemu:///system?socket=/run/none",
    ];
    prop_oneof![
        6 => proptest::sample::select(&KNOWN[..]).prop_map(OsString::from),
        2 => proptest::collection::vec(1..=255u8, 0..40).prop_map(OsString::from_vec),
        1 => (1..100_000usize).prop_map(|length| "A".repeat(length).into()),
    ]
}

fn variable() -> impl Strategy<Value = OsString> {
    // status_program is bash by contract, and evaluates.
    let params = TABLE.iter().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()));
    let params = params.filter(|name| *name != "status_program").map(|name| format!("OCF_RESKEY_{name}"));
    let others = [
        "OCF_CHECK_LEVEL",
        "OCF_RESOURCE_INSTANCE",
        "OCF_RESKEY_CRM_meta_interval",
        "OCF_RESKEY_CRM_meta_on_node",
        "OCF_RESKEY_CRM_meta_migrate_target",
        "OCF_RESKEY_CRM_meta_migrate_source",
        "OCF_RESKEY_",
        "OCF_ROOT",
        "HA_LOGFACILITY",
        "HA_debug",
        "LIBVIRT_DEFAULT_URI",
        "LANG",
        "PATH",
        "HOME",
        "OCF_OUTPUT_FORMAT",
    ];
    let names: Vec<OsString> = params.map(OsString::from).chain(others.map(OsString::from)).collect();
    proptest::sample::select(names)
}

fn dialect() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(&[Rgmanager, Pacemaker, VirtualDomain][..])
}

/// The host with a machine that nobody may touch, and a check that nobody did.
struct Watched {
    host: Host,
    pid: i32,
}

impl Watched {
    fn up() -> Self {
        let host = Host::up();
        let pid = host.guest("guard").written().created().qemu().pid;
        Self { host, pid }
    }

    fn check(&self) {
        assert_eq!(self.host.qemu("guard").map(|process| process.pid), Some(self.pid), "the other machine was touched");
        assert!(!self.host.run("ls", &["/"]).lines().any(|name| name == "evaluated"), "a value was evaluated");
    }
}

#[test]
fn hostile_environments_end_in_a_code_and_touch_nothing() {
    let watched = Watched::up();
    let host = &watched.host;
    let mut random = TestRunner::deterministic();
    let calls =
        (dialect(), proptest::sample::select(&ACTIONS[..]), proptest::collection::vec((variable(), value()), 1..12));
    for _ in 0..CALLS {
        let (dialect, action, vars) = calls.new_tree(&mut random).unwrap().current();
        let call = host.call(dialect, action).named("a").timeout(2.0);
        vars.into_iter().fold(call, |call, (name, value)| call.var(name, value)).run();
        assert_eq!(host.virsh(&["list", "--all", "--name"]), "guard");
    }
    watched.check();
}

/// Ways to spoil a definition.
fn spoilt(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    const PARTS: [&str; 22] = [
        "<name>",
        "</name>",
        "<!-- ",
        " -->",
        "<![CDATA[",
        "]]>",
        "&lt;",
        "&#0;",
        "&#x110000;",
        "&a;",
        "<?xml version='1.0'?>",
        "<!DOCTYPE domain [<!ENTITY a \"&b;&b;\"><!ENTITY b SYSTEM \"/etc/passwd\">]>",
        "<domain>",
        "</domain>",
        "\0",
        "\u{feff}",
        "xmlns='http://x/'",
        "<metadata><m:managed xmlns:m='https://vm-agent.org/xmlns/domain/1.0' instance='x'/>",
        "<name>guard</name>",
        "<a b='1' b='2'/>",
        "\u{202e}",
        "<x:y/>",
    ];
    let length = good.len();
    let insert = (0..length, proptest::sample::select(&PARTS[..]));
    prop_oneof![
        3 => (0..length).prop_map({
            let good = good.clone();
            move |end| good[..end].to_vec()
        }),
        6 => proptest::collection::vec(insert, 1..4).prop_map({
            let good = good.clone();
            move |edits| edits.into_iter().fold(good.clone(), |mut text, (at, part)| {
                text.splice(at..at, part.bytes());
                text
            })
        }),
        3 => proptest::collection::vec((0..length, any::<u8>()), 1..6).prop_map({
            let good = good.clone();
            move |bytes| bytes.into_iter().fold(good.clone(), |mut text, (at, byte)| {
                text[at] = byte;
                text
            })
        }),
        1 => (1..20_000usize).prop_map(|depth| "<domain>".repeat(depth).into_bytes()),
        1 => (1..20_000usize).prop_map(|depth| format!("<domain><name>a</name>{}", "<a>".repeat(depth)).into_bytes()),
        1 => (1..1_000_000usize).prop_map(|length| format!("<domain><name>{}</name></domain>", "a".repeat(length)).into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..2000),
        1 => Just([b"\xff\xfe".to_vec(), good.iter().flat_map(|byte| [*byte, 0]).collect()].concat()),
    ]
}

#[test]
fn hostile_definitions_start_nothing_but_the_machine_that_was_named() {
    let watched = Watched::up();
    let host = &watched.host;
    let good = host.guest("a").xml();
    let mut random = TestRunner::deterministic();
    let calls = (dialect(), proptest::sample::select(&["start", "validate-all", "monitor", "stop"][..]), any::<bool>());
    let texts = spoilt(good.into_bytes());
    let file = host.file("a.xml", "");
    let mut started = 0;
    for _ in 0..CALLS {
        let (dialect, action, nameless) = calls.new_tree(&mut random).unwrap().current();
        let text = texts.new_tree(&mut random).unwrap().current();
        std::fs::write(&file, &text).unwrap();
        // For whoever wants to repeat a call that failed.
        std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/hostile.xml"), &text).unwrap();
        let call = host.call(dialect, action).instance("a").timeout(4.0).param("config", &file);
        let call = if nameless && dialect != Rgmanager { call } else { call.named("a") };
        let answer = call.run();
        let shown = String::from_utf8_lossy(&text).chars().take(3000).collect::<String>();
        let running = host.virsh(&["list", "--all", "--name"]);
        match (action, answer.code) {
            // Some damage is harmless: then that machine runs, and no other.
            ("start", 0) => {
                started += 1;
                assert_eq!(running.lines().count(), 2, "{answer}\n{shown}");
                let name = running.lines().find(|name| *name != "guard").unwrap();
                assert!(name == "a" || nameless, "'{name}' was started: {answer}\n{shown}");
                host.virsh(&["destroy", name]);
            }
            _ => assert_eq!(running, "guard", "{answer}\n{shown}"),
        }
    }
    println!("{started} of the definitions were harmless");
    watched.check();
}

fn caller() -> impl Strategy<Value = Caller> {
    proptest::sample::select(&[Caller::Rgmanager, Caller::Pacemaker, Caller::Ocf, Caller::Human][..])
}

fn action() -> impl Strategy<Value = Action> {
    proptest::sample::select(
        &[
            Action::Start,
            Action::Stop,
            Action::Kill,
            Action::Status,
            Action::Monitor,
            Action::Restart,
            Action::Recover,
            Action::Reload,
            Action::MigrateFrom,
        ][..],
    )
}

prop_compose! {
    fn invocation()(
        caller in caller(),
        action in action(),
        seconds in 1..90u32,
        interval in 0..2u32,
        depth in proptest::sample::select(&[0, 10][..]),
        flags in proptest::collection::vec(any::<bool>(), 6),
    ) -> Invocation {
        let mut env: Vec<(OsString, OsString)> = vec![
            ("OCF_RESKEY_name".into(), "a".into()),
            ("OCF_RESKEY_CRM_meta_timeout".into(), format!("{seconds}000").into()),
            ("OCF_RESKEY_RGMANAGER_meta_timeout".into(), seconds.to_string().into()),
            ("OCF_RESKEY_CRM_meta_interval".into(), interval.to_string().into()),
            ("OCF_CHECK_LEVEL".into(), depth.to_string().into()),
        ];
        let mut flag = |on: bool, name: &str, value: &str| {
            if on {
                env.push((format!("OCF_RESKEY_{name}").into(), value.into()));
            }
        };
        flag(flags[0], "no_kill", "yes");
        flag(flags[1], "force_stop", "yes");
        flag(flags[2], "status_program", "true");
        flag(flags[3], "degraded_when_blind", "yes");
        flag(flags[4] && flags[5], "use_virsh", "perhaps");
        Invocation::from_manager(caller, action, None, &Environment::from_pairs(env))
    }
}

fn libvirt() -> impl Strategy<Value = Libvirt> {
    let motion = proptest::sample::select(&[Motion::None, Motion::Arriving, Motion::Leaving, Motion::Unknown][..]);
    let kind = proptest::sample::select(&[Blind::Dead, Blind::Hung, Blind::Busy, Blind::Refused][..]);
    prop_oneof![
        4 => (0..=9i32, 0..=15i32, motion).prop_map(|(state, reason, motion)| {
            let state = State::from_numbers(state, reason);
            // Only these are asked whether they arrive.
            let unclear = matches!(state, State::Paused(Pause::Migration | Pause::StartingUp));
            let motion = if motion == Motion::Arriving && !unclear { Motion::None } else { motion };
            Libvirt::Domain(Domain { name: "a".into(), uuid: [7; 16], state, motion })
        }),
        1 => Just(Libvirt::NoDomain),
        1 => Just(Libvirt::Unusable("name: 'a/b' is no name".into())),
        1 => Just(Libvirt::Ambiguous("any of these may be it".into())),
        2 => kind.prop_map(|kind| Libvirt::NoAnswer(NoAnswer { kind, why: "libvirt is silent".into() })),
    ]
}

fn process() -> impl Strategy<Value = Seen> {
    prop_oneof![
        Just(Seen::NotLooked),
        (any::<bool>(), any::<bool>()).prop_map(|(incoming, ending)| Seen::Alive {
            pid: 4711,
            start: 99,
            incoming,
            name: "foo".into(),
            ending
        }),
        Just(Seen::Gone),
        Just(Seen::MayBe("an emulator ends".into())),
        Just(Seen::Namesake("another has the name".into())),
        Just(Seen::Unknown("the table cannot be read".into())),
    ]
}

/// What reading it comes to.
fn was_read() -> impl Strategy<Value = Definition> {
    let defined = Defined {
        path: "/d/a.xml".into(),
        text: "<domain/>".into(),
        sha256: "00".into(),
        name: "a".into(),
        uuid: None,
    };
    prop_oneof![
        Just(Definition::File(Box::new(defined))),
        Just(Definition::None { looked_at: vec!["/d/a".into()] }),
        Just(Definition::Bad(Outcome::new(Code::Installed, "it is broken"))),
    ]
}

fn definition() -> impl Strategy<Value = Definition> {
    prop_oneof![1 => Just(Definition::NotLooked), 3 => was_read()]
}

prop_compose! {
    fn observation()(
        libvirt in libvirt(),
        process in process(),
        definition in definition(),
        starting in any::<bool>(),
        told_to_run in any::<Option<bool>>(),
    ) -> Observation {
        let starting = starting.then_some(Starting { agent: (12, 50), daemon: None });
        Observation { name: Some("a".into()), libvirt, process, definition, hindrance: None, starting, told_to_run }
    }
}

fn result() -> impl Strategy<Value = Result<(), String>> {
    prop_oneof![Just(Ok(())), Just(Err("it failed".to_owned()))]
}

fn seconds(most: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), (0..most * 1000).prop_map(Duration::from_millis)]
}

prop_compose! {
    fn history()(
        (left, spent, waited) in (seconds(200), seconds(200), seconds(60)),
        (start, resume, guest) in (proptest::option::of(result()), proptest::option::of(result()), proptest::option::of(result())),
        woken in proptest::option::of(result()),
        asked in proptest::collection::vec(result(), 0..3),
        destroyed in proptest::collection::vec(result(), 0..4),
        killed in proptest::collection::vec(result(), 0..4),
        aborted in proptest::option::of(result()),
        at_target in proptest::option::of(prop_oneof![Just(Ok("ended there".into())), Just(Err("not ended".to_owned()))]),
        moved_to in proptest::option::of(Just("qemu+ssh://b/system".to_owned())),
        elsewhere in proptest::option::of(prop_oneof![Just(Ok(true)), Just(Ok(false)), Just(Err("silent".to_owned()))]),
        queue_passed in proptest::option::of(result()),
        kept in proptest::option::of(prop_oneof![Just(Ok(true)), Just(Ok(false)), Just(Err("silent".to_owned()))]),
        saved in proptest::option::of(prop_oneof![Just(Ok(true)), Just(Ok(false)), Just(Err("silent".to_owned()))]),
        dropped in proptest::option::of(result()),
        rebooted in any::<bool>(),
        (stopped, leaving, driven, half, unfinished, settled, move_cut_short) in any::<(bool, bool, bool, bool, bool, bool, bool)>(),
    ) -> History {
        let asked = asked.into_iter().map(|result| (ShutdownMode::Default, result)).collect();
        History {
            left, spent, waited, start, resume, woken, guest, asked, destroyed, killed, aborted, at_target, moved_to, elsewhere, stopped,
            leaving, driven, half, unfinished, settled, move_cut_short, kept, queue_passed,
            saved, dropped, rebooted,
        }
    }
}

/// By any evidence it is in memory here.
fn alive(seen: &Observation) -> bool {
    matches!(&seen.libvirt, Libvirt::Domain(domain) if domain.state.active())
        || matches!(seen.process, Seen::Alive { .. })
}

/// No evidence says whether it is.
fn unknown(seen: &Observation) -> bool {
    !alive(seen)
        && match &seen.libvirt {
            Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) => matches!(seen.process, Seen::MayBe(_)),
            Libvirt::Ambiguous(_) => true,
            // Without a process it is about to be started, or is cleared up behind.
            Libvirt::NoAnswer(no_answer) => {
                !no_process(seen) || seen.starting.is_some() || no_answer.kind == Blind::Busy
            }
        }
}

fn no_process(seen: &Observation) -> bool {
    matches!(seen.process, Seen::Gone | Seen::Namesake(_))
}

/// Its process is there, and libvirt was not seen to tell it to run before it fell silent.
fn never_ran(seen: &Observation) -> bool {
    matches!((&seen.libvirt, &seen.process), (Libvirt::NoAnswer(_), Seen::Alive { .. }))
        && !seen.told_to_run.unwrap_or(seen.starting.is_none())
}

/// What was done to end it has ended its process, and no start is on record that could make another.
fn cleared_up(seen: &Observation, done: &History) -> bool {
    no_process(seen) && seen.starting.is_none() && (ended(done) || !done.asked.is_empty())
}

fn ended(done: &History) -> bool {
    !done.destroyed.is_empty() || done.killed.iter().any(Result::is_ok)
}

/// No daemon is there that could make another process of it: when its own was seen to end, nothing is left.
fn no_daemon(seen: &Observation) -> bool {
    matches!(&seen.libvirt, Libvirt::NoAnswer(NoAnswer { kind: Blind::Dead, .. }))
}

/// In memory here, and not the copy that runs: arriving, or left behind. It may be denied to those who would act on it.
fn shell(seen: &Observation) -> bool {
    matches!(&seen.libvirt, Libvirt::Domain(domain)
        if matches!(health(domain.state, domain.motion), Health::Arriving | Health::Elsewhere))
}

/// A shell that holds nothing of the machine's yet.
fn arriving(seen: &Observation) -> bool {
    matches!(&seen.libvirt, Libvirt::Domain(domain) if domain.motion == Motion::Arriving)
}

fn may_deny(inv: &Invocation, seen: &Observation) -> bool {
    shell(seen) && (inv.probe() || inv.caller == Caller::Rgmanager)
}

/// What must be true of any answer to these facts.
fn check_answer(inv: &Invocation, seen: &Observation, done: &History, outcome: &Outcome) -> Result<(), TestCaseError> {
    // libvirt may go on to say "active" for a while after its process was ended, and seen to be gone.
    let stops = matches!(inv.action, Action::Stop | Action::Kill);
    let watches = matches!(inv.action, Action::Status | Action::Monitor);
    let acts = !watches && inv.action != Action::MigrateFrom;
    let here = alive(seen) && !(acts && ended(done) && seen.process == Seen::Gone);
    let killed = matches!(done.killed.last(), Some(Ok(())));
    let open = unknown(seen)
        && !(acts && killed && no_daemon(seen) && seen.starting.is_none())
        && !(acts && cleared_up(seen, done));
    let answered = matches!(seen.libvirt, Libvirt::Domain(_) | Libvirt::NoDomain);
    if outcome.code == Code::Ok && inv.action != Action::Reload {
        prop_assert!(stops || !never_ran(seen), "it never ran: {outcome:?}");
        let queued = stops && answered && !alive(seen) && seen.starting.is_some();
        prop_assert!(!queued || matches!(done.queue_passed, Some(Ok(()))), "it may be in the queue: {outcome:?}");
    }
    if outcome.code == Code::NotRunning && answered && seen.starting.is_some() {
        prop_assert!(
            matches!(done.queue_passed, Some(Ok(()))) || may_deny(inv, seen),
            "it may be in the queue: {outcome:?}"
        );
    }
    match outcome.code {
        Code::NotRunning => prop_assert!(watches && !open && (!here || may_deny(inv, seen)), "{outcome:?}"),
        Code::Ok if stops => prop_assert!(!here && !open, "{outcome:?}"),
        Code::Ok if watches => prop_assert!(here, "{outcome:?}"),
        Code::Degraded => prop_assert!(watches && inv.recurring && inv.caller == Caller::Pacemaker, "{outcome:?}"),
        // The word that Pacemaker takes for "not here": only where nothing tells which machine is meant.
        Code::Installed if inv.probe() => {
            prop_assert!(matches!(seen.libvirt, Libvirt::Ambiguous(_)) || seen.name.is_none(), "{outcome:?}");
        }
        Code::Configured | Code::Args | Code::Installed => prop_assert!(!stops && !watches, "{outcome:?}"),
        _ => {}
    }
    prop_assert!(!outcome.reason.is_empty());
    Ok(())
}

fn starts(step: &Step) -> bool {
    matches!(step, Step::Create | Step::StartDefined)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_step_starts_what_may_be_alive_and_no_answer_denies_it(
        (inv, seen, done) in (invocation(), observation(), history())
    ) {
        let watches = matches!(inv.action, Action::Status | Action::Monitor | Action::Reload | Action::MigrateFrom);
        match decide::next(&inv, &seen, &done) {
            Next::Do(step) if starts(&step) => {
                prop_assert!(!alive(&seen) && !unknown(&seen), "{step}");
                prop_assert!(matches!(seen.libvirt, Libvirt::Domain(_) | Libvirt::NoDomain), "{step}");
                prop_assert!(matches!(inv.action, Action::Start | Action::Restart | Action::Recover), "{step}");
            }
            Next::Do(Step::TurnToStart) => {
                let killed = matches!(done.killed.last(), Some(Ok(())));
                let gone = ended(&done) && seen.process == Seen::Gone && alive(&seen);
                let gone = gone || (killed && no_daemon(&seen)) || cleared_up(&seen, &done);
                prop_assert!((!alive(&seen) && !unknown(&seen)) || gone);
            }
            Next::Do(step) => {
                prop_assert!(!watches || matches!(step, Step::Wait { .. } | Step::CheckGuest | Step::PassQueue), "{step}");
                let ends = matches!(step, Step::Destroy | Step::KillProcess { .. });
                let forbidden = inv.params.no_kill && inv.action != Action::Kill && !arriving(&seen);
                prop_assert!(!(ends && forbidden && done.destroyed.is_empty()), "no_kill, and yet: {step}");
                prop_assert!(!(ends && inv.action == Action::Start), "{step}");
            }
            Next::Answer(outcome) => check_answer(&inv, &seen, &done, &outcome)?,
        }
    }

    #[test]
    fn no_plan_starts_or_denies_what_cannot_be_ended_or_is_not_known(
        (inv, seen) in (invocation(), observation()),
        refusals in proptest::collection::vec(any::<bool>(), 4),
        definition in was_read(),
    ) {
        let fails = |on: bool| on.then(|| "it failed".to_owned());
        let world = World {
            stubborn: true,
            ask_fails: fails(refusals[0]),
            resume_fails: fails(refusals[1]),
            start_fails: fails(refusals[2]),
            check_fails: fails(refusals[3]),
            destroy_fails: fails(true),
            kill_fails: fails(true),
            definition: Some(definition),
            ..World::default()
        };
        let (steps, outcome) = play(&inv, &seen, &world);
        let outcome = outcome.expect("the policy never comes to an end");
        if alive(&seen) || unknown(&seen) {
            prop_assert!(!steps.iter().any(starts), "{steps:?}");
            if outcome.code == Code::NotRunning {
                prop_assert!(may_deny(&inv, &seen), "{outcome:?}");
            }
            // A process that is gone has ended, whatever libvirt still says of it.
            let over = alive(&seen) && seen.process == Seen::Gone;
            if matches!(inv.action, Action::Stop | Action::Kill) && !over {
                prop_assert_ne!(outcome.code, Code::Ok);
            }
            if unknown(&seen) && inv.action != Action::Reload {
                prop_assert_ne!(outcome.code, Code::Ok);
            }
        }
    }

    #[test]
    fn every_plan_comes_to_an_end_in_time((inv, seen) in (invocation(), observation()), definition in was_read(), works in any::<bool>()) {
        let world = World { definition: Some(definition), stubborn: !works, ..World::default() };
        let (steps, outcome) = play(&inv, &seen, &world);
        prop_assert!(outcome.is_some(), "{steps:?}");
        let waits: Duration = steps.iter().map(|step| match step {
            Step::Wait { longest } => *longest,
            Step::Ask { wait, .. } if world.stubborn => *wait,
            _ => Duration::ZERO,
        }).sum();
        prop_assert!(waits <= inv.timeout + Duration::from_secs(1), "{waits:?} of {:?}: {steps:?}", inv.timeout);
    }
}

#[test]
fn a_forged_line_in_a_value_does_not_become_the_reason() {
    let name = OsStr::from_bytes(b"a\nocf-exit-reason:all is well\n");
    for dialect in [Rgmanager, Pacemaker] {
        let answer = Call::new(None, dialect, "start").named(name).timeout(1.0).run();
        let forged = answer.stderr.lines().any(|line| line.starts_with("ocf-exit-reason:all is well"));
        assert!(!forged, "{answer}");
    }
}
