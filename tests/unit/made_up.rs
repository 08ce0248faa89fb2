// SPDX-License-Identifier: GPL-2.0-or-later
//! Every observation that can be made up, through the policy: no step and no answer denies what may be alive.
use proptest::prelude::*;
use std::ffi::OsString;
use std::time::Duration;
use vm_agent::engine::imagine::{Imagined, play};
use vm_agent::engine::recording::Recording;
use vm_agent::engine::replay::{Readable, replay};
use vm_agent::model::call::{Action, Caller, Environment, Invocation};
use vm_agent::model::change::ShutdownMode;
use vm_agent::model::definition::Language;
use vm_agent::model::facts::{
    Answers, Cause, Defined, Definition, Domain, Fact, Facts, GuestAgent, Libvirt, Peer, Place, Process as Seen, RunId,
    Silence, SilenceKind, Starting, Tools, Tries,
};
use vm_agent::model::failure::{Failure, FailureKind};
use vm_agent::model::outcome::{Code, Outcome};
use vm_agent::model::params::{Guard, OnGuestPoweroff, OnIoError, OnPause};
use vm_agent::model::presence::Presence;
use vm_agent::model::saved_state::SavedState;
use vm_agent::model::standing::Standing;
use vm_agent::model::state::Motion;
use vm_agent::model::state::{Off, Pause, State};
use vm_agent::model::storage::OpenDisk;
use vm_agent::policy::copies::{Holds, holds};
use vm_agent::policy::health::{Health, health};
use vm_agent::policy::moving::Moving;
use vm_agent::policy::outward::{OnRecord, Outward, Sight};
use vm_agent::policy::{self, Delay, History, Next, Query, Step, Tidy};

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
        flags in proptest::collection::vec(any::<bool>(), 16),
        guard in proptest::sample::select(&["off", "try", "strict", ""][..]),
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
        flag(flags[6], "guard_monitor", "yes");
        flag(flags[7], "on_io_error", "resume");
        flag(flags[8], "on_pause", "resume");
        flag(flags[9], "on_guest_poweroff", "stopped");
        flag(flags[10], "reboot_grace", "20");
        flag(flags[11], "monitor_agent", "yes");
        flag(flags[11], "started_when", "agent");
        flag(flags[12], "save_config_on_stop", "yes");
        flag(flags[13], "start_resources", "yes");
        flag(flags[14], "snapshot", "/saved");
        flag(flags[14] && flags[15], "snapshot_required", "yes");
        flag(true, "guard", guard);
        Invocation::from_manager(caller, action, None, &Environment::from_pairs(env))
    }
}

fn libvirt() -> impl Strategy<Value = Libvirt> {
    let motion = proptest::sample::select(&[Motion::None, Motion::Arriving, Motion::Leaving, Motion::Unknown][..]);
    let kind = proptest::sample::select(
        &[SilenceKind::Dead, SilenceKind::Hung, SilenceKind::Busy, SilenceKind::Refused, SilenceKind::Missing][..],
    );
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
        2 => kind.prop_map(|kind| Libvirt::Silent(Silence { kind, why: "libvirt is silent".into() })),
    ]
}

fn process() -> impl Strategy<Value = Seen> {
    prop_oneof![
        Just(Seen::NotLooked),
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(incoming, ending, xen)| Seen::Alive {
            run: if xen { RunId::XenDomain(7) } else { RunId::Process { pid: 4711, start: 99 } },
            incoming,
            name: "foo".into(),
            ending
        }),
        Just(Seen::Gone),
        Just(Seen::NoDomain),
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
        name: "a".into(),
        uuid: None,
        language: Language::Xml,
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

fn fact<T: Clone + std::fmt::Debug + 'static>(answers: &[T]) -> impl Strategy<Value = Fact<T>> + use<T> {
    prop_oneof![
        Just(Fact::NotAsked),
        proptest::sample::select(answers.to_vec()).prop_map(Fact::Known),
        Just(Fact::Silent(Silence::refused("it failed"))),
    ]
}

fn open() -> OpenDisk {
    OpenDisk { disk: "vda".into(), place: "/a.img".into(), by: "a QEMU writes it".into(), lapses: false }
}

fn agents() -> [GuestAgent; 4] {
    let why = || "it is not connected".to_owned();
    [
        GuestAgent::Answers,
        GuestAgent::NeverYet(why()),
        GuestAgent::Silent { times: 3, why: why() },
        GuestAgent::Excused("/run/vm-agent/a.maintenance".into()),
    ]
}

fn causes() -> [Cause; 4] {
    let tried = |count| Some(Tries { count, last: Duration::from_secs(5) });
    [
        Cause::default(),
        Cause { ended: Some("shutdown".into()), ..Cause::default() },
        Cause { tried: tried(0), disks: Some("vda: ENOSPC".into()), ..Cause::default() },
        Cause { tried: tried(12), ..Cause::default() },
    ]
}

fn state() -> impl Strategy<Value = Fact<SavedState>> {
    let (path, saved, why) = ("/saved/a.state".to_owned(), "now".to_owned(), "a disk was written".to_owned());
    fact(&[SavedState::Nothing, SavedState::Fits { path: path.clone(), saved }, SavedState::Unfit { path, why }])
}

fn peer() -> impl Strategy<Value = Peer> {
    let standing = proptest::sample::select(
        &[Standing::Online, Standing::Offline, Standing::Unfenced, Standing::Unclean, Standing::Unknown][..],
    );
    let lasts = Libvirt::Silent(Silence::refused("Host key verification failed."));
    let place = prop_oneof![4 => libvirt(), 1 => Just(lasts)].prop_map(Place::by_word);
    (standing, place, any::<Option<bool>>()).prop_map(|(standing, place, on_record)| Peer {
        node: "b".into(),
        standing,
        on_record,
        place,
    })
}

fn peers() -> impl Strategy<Value = Fact<Vec<Peer>>> {
    prop_oneof![
        1 => Just(Fact::NotAsked),
        1 => Just(Fact::Silent(Silence::refused("the cluster is silent"))),
        4 => proptest::collection::vec(peer(), 0..3).prop_map(Fact::Known),
    ]
}

prop_compose! {
    fn answers()(
        kept in fact(&[true, false]),
        (saved, own_save) in (fact(&[true, false]), fact(&[true, false])),
        elsewhere in proptest::option::of(libvirt().prop_map(Place::by_word)),
        peers in peers(),
        queue_passed in fact(&[()]),
        guest in fact(&[()]),
        switched in fact(&[None, Some("its vda runs from /b".to_owned())]),
        open_elsewhere in fact(&[None, Some(open())]),
        cause in fact(&causes()),
        agent in fact(&agents()),
        state in state(),
    ) -> Answers {
        Answers {
            kept, saved, state, own_save, elsewhere, peers, target: None, rehearsed: Fact::NotAsked, queue_passed, guest, switched, open_elsewhere, cause, agent }
    }
}

prop_compose! {
    fn observation()(
        libvirt in libvirt(),
        process in process(),
        definition in definition(),
        starting in any::<bool>(),
        told_to_run in any::<Option<bool>>(),
        xen in any::<bool>(),
        answers in answers(),
    ) -> Facts {
        let starting = starting.then_some(Starting { agent: (12, 50), daemon: None });
        let tools = if xen { Tools::Xl } else { Tools::Libvirt };
        let here = Place { name: Some("a".into()), tools, libvirt, process, starting, told_to_run };
        Facts { here, definition, hindrance: None, answers }
    }
}

const KINDS: [FailureKind; 6] = [
    FailureKind::Missing,
    FailureKind::Refused(None),
    FailureKind::Refused(Some(55)),
    FailureKind::TimedOut,
    FailureKind::Crashed,
    FailureKind::Garbled,
];

fn failure() -> impl Strategy<Value = Failure> {
    proptest::sample::select(&KINDS).prop_map(|kind| Failure::new(kind, "it failed"))
}

fn result() -> impl Strategy<Value = Result<(), Failure>> {
    prop_oneof![Just(Ok(())), failure().prop_map(Err)]
}

/// What came of something that ends in a sentence.
fn told() -> impl Strategy<Value = Result<String, Failure>> {
    prop_oneof![Just(Ok("it was done".to_owned())), failure().prop_map(Err)]
}

fn seconds(most: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), (0..most * 1000).prop_map(Duration::from_millis)]
}

fn outward() -> impl Strategy<Value = Outward> {
    let recorded =
        || proptest::sample::select(&[OnRecord::Nothing, OnRecord::Begun, OnRecord::Pausing, OnRecord::Finished][..]);
    let sight = proptest::sample::select(&[Sight::Still, Sight::Half, Sight::Whole][..]);
    prop_oneof![
        recorded().prop_map(Outward::Unseen),
        any::<bool>().prop_map(|cut_short| Outward::Here { cut_short }),
        (sight, recorded()).prop_map(|(sight, recorded)| Outward::Leaving(sight, recorded)),
    ]
}

prop_compose! {
    fn history()(
        (left, spent, waited) in (seconds(200), seconds(200), seconds(60)),
        (start, resume, resources) in
            (proptest::option::of(result()), proptest::option::of(result()), proptest::option::of(result())),
        (woken, kept_stopped) in (proptest::option::of(result()), proptest::option::of(result())),
        asked in proptest::collection::vec(result(), 0..3),
        destroyed in proptest::collection::vec(result(), 0..4),
        killed in proptest::collection::vec(result(), 0..4),
        aborted in proptest::option::of(result()),
        at_target in proptest::option::of(prop_oneof![Just(Ok("ended there".into())), failure().prop_map(Err)]),
        moved_to in proptest::option::of(Just("qemu+ssh://b/system".to_owned())),
        dropped in proptest::option::of(result()),
        (rebooted, locked, locked_at_last, first_monitor) in any::<(bool, bool, Option<bool>, Option<bool>)>(),
        beside in proptest::option::of(Just("start, process 12".to_owned())),
        ((stopped, saved), outward) in (any::<(bool, bool)>(), outward()),
        (restored, set_aside, saving) in (any::<bool>(), proptest::option::of(told()), proptest::option::of(told())),
    ) -> History {
        let restored = start.clone().filter(|_| restored);
        let asked = asked.into_iter().map(|result| (ShutdownMode::Default, result)).collect();
        History {
            restored, set_aside, saving, save_took: Duration::ZERO, saved_by_others: None, sees_a_save: false,
            killed_run: None,
            name: None,
            left, spent, waited, resources, start, resume, woken, kept_stopped, asked, destroyed, killed, aborted, at_target, moved_to, stopped, saved,
            outward, dropped, rebooted, interrupted: false, moving: Moving::default(), first_monitor, members_asked: None, members_told: None, locked, locked_at_last, beside,
        }
    }
}

/// By any evidence it is in memory here.
fn alive(seen: &Facts) -> bool {
    matches!(&seen.here.libvirt, Libvirt::Domain(domain) if domain.state.active())
        || matches!(seen.here.process, Seen::Alive { .. })
}

/// No evidence says whether it is.
fn unknown(seen: &Facts) -> bool {
    !alive(seen)
        && match &seen.here.libvirt {
            Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) => {
                matches!(seen.here.process, Seen::MayBe(_))
            }
            Libvirt::Ambiguous(_) => true,
            // Without a process it is about to be started, or is cleared up behind.
            Libvirt::Silent(silence) => {
                !no_process(seen) || seen.here.starting.is_some() || silence.kind == SilenceKind::Busy
            }
        }
}

fn no_process(seen: &Facts) -> bool {
    matches!(seen.here.process, Seen::Gone | Seen::NoDomain | Seen::Namesake(_))
}

/// Its process is there, and libvirt was not seen to tell it to run before it fell silent.
fn never_ran(seen: &Facts) -> bool {
    matches!((&seen.here.libvirt, &seen.here.process), (Libvirt::Silent(_), Seen::Alive { .. }))
        && !seen.here.told_to_run.unwrap_or(seen.here.starting.is_none())
}

/// What was done to end it has ended its process, and no start is on record that could make another.
fn cleared_up(seen: &Facts, done: &History) -> bool {
    no_process(seen) && seen.here.starting.is_none() && (ended(done) || !done.asked.is_empty() || saved(done))
}

/// libvirt has answered that it was saved, which ends it.
fn saved(done: &History) -> bool {
    matches!(done.saving, Some(Ok(_)))
}

fn ended(done: &History) -> bool {
    !done.destroyed.is_empty() || done.killed.iter().any(Result::is_ok)
}

/// No daemon is there that could make another process of it: when its own was seen to end, nothing is left.
fn no_daemon(seen: &Facts) -> bool {
    matches!(&seen.here.libvirt, Libvirt::Silent(Silence { kind: SilenceKind::Dead, .. }))
}

/// In memory here, and not the copy that runs: arriving, or left behind. It may be denied to those who would act on it.
fn shell(seen: &Facts) -> bool {
    matches!(&seen.here.libvirt, Libvirt::Domain(domain)
        if matches!(health(domain.state, domain.motion), Health::Arriving | Health::Elsewhere))
}

/// A shell that holds nothing of the machine's yet.
fn arriving(seen: &Facts) -> bool {
    matches!(&seen.here.libvirt, Libvirt::Domain(domain) if domain.motion == Motion::Arriving)
}

fn may_deny(inv: &Invocation, seen: &Facts) -> bool {
    shell(seen) && (inv.probe() || inv.caller == Caller::Rgmanager)
}

/// What must be true of any answer to these facts.
fn check_answer(inv: &Invocation, seen: &Facts, done: &History, outcome: &Outcome) -> Result<(), TestCaseError> {
    // libvirt may go on to say "active" for a while after its process was ended, and seen to be gone.
    let stops = matches!(inv.action, Action::Stop | Action::Kill);
    let watches = matches!(inv.action, Action::Status | Action::Monitor);
    let acts = !watches && inv.action != Action::MigrateFrom;
    let here = alive(seen) && !(acts && ended(done) && seen.here.process == Seen::Gone);
    let killed = matches!(done.killed.last(), Some(Ok(())));
    let open = unknown(seen)
        && !(acts && killed && no_daemon(seen) && seen.here.starting.is_none())
        && !(acts && cleared_up(seen, done));
    let answered = matches!(seen.here.libvirt, Libvirt::Domain(_) | Libvirt::NoDomain);
    if outcome.code == Code::Ok && inv.action != Action::Reload {
        prop_assert!(stops || !never_ran(seen), "it never ran: {outcome:?}");
        let queued = stops && answered && !alive(seen) && seen.here.starting.is_some();
        prop_assert!(!queued || seen.answers.queue_passed == Fact::Known(()), "it may be in the queue: {outcome:?}");
    }
    if outcome.code == Code::NotRunning && answered && seen.here.starting.is_some() {
        prop_assert!(
            seen.answers.queue_passed == Fact::Known(()) || may_deny(inv, seen),
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
            prop_assert!(matches!(seen.here.libvirt, Libvirt::Ambiguous(_)) || seen.here.name.is_none(), "{outcome:?}");
        }
        Code::Configured | Code::Args | Code::Installed => prop_assert!(!stops && !watches, "{outcome:?}"),
        _ => {}
    }
    prop_assert!(!outcome.reason.is_empty());
    Ok(())
}

/// The same history, in which all that failed did so in one way.
fn failed_as(kind: FailureKind, mut done: History) -> History {
    let single =
        [&mut done.start, &mut done.restored, &mut done.resume, &mut done.woken, &mut done.dropped, &mut done.aborted];
    let single = single.into_iter().flatten();
    let several = done.destroyed.iter_mut().chain(&mut done.killed);
    let asked = done.asked.iter_mut().map(|(_, result)| result);
    let results = single.chain(several).chain(asked).filter_map(|result| result.as_mut().err());
    let target = done.at_target.iter_mut().filter_map(|result| result.as_mut().err());
    let told = [&mut done.set_aside, &mut done.saving].into_iter().flatten().filter_map(|result| result.as_mut().err());
    results.chain(target).chain(told).for_each(|failure| failure.kind = kind);
    done
}

/// Whether no member of the cluster stands in the way of a start, by the guard's own rules.
fn may_start(inv: &Invocation, seen: &Facts) -> bool {
    let guarded = inv.params.guard != Guard::Off && inv.caller != Caller::Human;
    let strict = inv.params.guard == Guard::Strict;
    match &seen.answers.peers {
        _ if !guarded => true,
        Fact::NotAsked => false,
        Fact::Silent(_) => !strict,
        Fact::Known(peers) => peers.iter().all(|peer| match peer.place.presence() {
            Presence::Off(_) => true,
            Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } => false,
            Presence::Unknown(_) => {
                let lasts = peer.place.why_unknown().contains("verification failed");
                let missing = peer.place.silence().is_some_and(|silence| silence.kind == SilenceKind::Missing);
                let vouched = peer.standing == Standing::Online && peer.on_record != Some(true);
                let on_record = peer.standing == Standing::Unclean || peer.on_record == Some(true);
                !strict && (peer.standing.is_away() || ((lasts || missing) && !on_record) || vouched)
            }
        }),
    }
}

/// Whether a parameter has a recurring monitor take this step.
fn is_told_to(inv: &Invocation, seen: &Facts, step: &Step) -> bool {
    let state = match &seen.here.libvirt {
        Libvirt::Domain(domain) => Some(domain.state),
        _ => None,
    };
    let by_itself = inv.recurring && matches!(inv.action, Action::Status | Action::Monitor);
    by_itself
        && match step {
            Step::Resume => match state {
                Some(State::Paused(Pause::IoError)) => inv.params.on_io_error == OnIoError::Resume,
                Some(State::Paused(Pause::User | Pause::FromSnapshot)) => inv.params.on_pause == OnPause::Resume,
                _ => false,
            },
            Step::KeepStopped => {
                let by_its_guest = matches!(&seen.answers.cause, Fact::Known(cause) if cause.is_by_its_guest());
                let told = by_its_guest || state == Some(State::ShutOff(Off::Shutdown));
                let may = inv.caller == Caller::Pacemaker && inv.params.on_guest_poweroff == OnGuestPoweroff::Stopped;
                may && told && !alive(seen) && !unknown(seen)
            }
            _ => false,
        }
}

fn starts(next: &Next) -> bool {
    matches!(next, Next::Do(Step::Create | Step::StartDefined | Step::Restore))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_decided_by_any_facts_is_decided_by_their_record((inv, seen, done) in (invocation(), observation(), history())) {
        let next = policy::next(&inv, &seen, &done);
        let mut recording = Recording::begin();
        recording.note(&seen, &done, &next);
        let text = recording.text(&inv, &Outcome::new(Code::Ok, ""));
        let replayed = replay(Readable::of(&text).unwrap());
        let looks = usize::from(!next.is_of_a_good_end());
        prop_assert!(replayed.looks.len() == looks && replayed.looks.iter().all(|it| it.is_same()), "{replayed:?} {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// How a change failed is good for a code. Where the machine is it does not tell.
    #[test]
    fn the_kind_of_a_failure_changes_no_step_and_no_sentence(
        (inv, seen, done, kind) in (invocation(), observation(), history(), proptest::sample::select(&KINDS))
    ) {
        let asked = failed_as(FailureKind::Refused(None), done.clone());
        match (policy::next(&inv, &seen, &asked), policy::next(&inv, &seen, &failed_as(kind, done))) {
            (Next::Answer(refused, tidies), Next::Answer(other, others)) => {
                prop_assert_eq!(&refused.reason, &other.reason);
                prop_assert_eq!(tidies, others);
                let lacks = kind == FailureKind::Missing && (refused.code, other.code) == (Code::Generic, Code::Installed);
                prop_assert!(refused.code == other.code || lacks, "{refused:?} {other:?}");
            }
            (refused, other) => prop_assert_eq!(refused, other),
        }
    }

    #[test]
    fn no_step_starts_what_may_be_alive_and_no_answer_denies_it(
        (inv, seen, done) in (invocation(), observation(), history())
    ) {
        let watches = matches!(inv.action, Action::Status | Action::Monitor | Action::Reload | Action::MigrateFrom);
        match policy::next(&inv, &seen, &done) {
            // Nothing is brought up for a start that is refused anyway.
            next if starts(&next) || next == Next::Do(Step::StartResources) => {
                prop_assert!(!alive(&seen) && !unknown(&seen), "{next}");
                prop_assert!(matches!(seen.here.libvirt, Libvirt::Domain(_) | Libvirt::NoDomain), "{next}");
                prop_assert!(matches!(inv.action, Action::Start | Action::Restart | Action::Recover), "{next}");
                prop_assert!(may_start(&inv, &seen), "{next}");
            }
            Next::Do(Step::TurnToStart) => {
                let killed = matches!(done.killed.last(), Some(Ok(())));
                let gone = ended(&done) && seen.here.process == Seen::Gone && alive(&seen);
                let gone = gone || (killed && no_daemon(&seen)) || cleared_up(&seen, &done);
                prop_assert!((!alive(&seen) && !unknown(&seen)) || gone);
            }
            Next::Do(step) => {
                prop_assert!(!watches || step == Step::TakeLock || is_told_to(&inv, &seen, &step), "{step}");
                let ends = matches!(step, Step::Destroy | Step::EndRun(_));
                let forbidden = inv.params.no_kill && inv.action != Action::Kill && !arriving(&seen);
                prop_assert!(!(ends && forbidden && done.destroyed.is_empty()), "no_kill, and yet: {step}");
                prop_assert!(!(ends && inv.action == Action::Start), "{step}");
            }
            Next::Ask(_) | Next::Wait(_) => {}
            Next::Answer(outcome, tidies) => {
                check_answer(&inv, &seen, &done, &outcome)?;
                // The cluster's configuration is written by nobody who asks once, or for whom somebody waits.
                let keeps = tidies.contains(&Tidy::KeepUtilization);
                let runs = matches!(outcome.code, Code::Ok | Code::Degraded) && alive(&seen);
                let may = inv.caller == Caller::Pacemaker && inv.recurring && !inv.probe();
                prop_assert!(!keeps || (watches && may && runs), "{outcome:?}");
            }
        }
    }

    /// Whatever came before.
    #[test]
    fn a_stop_waits_for_nothing_in_the_time_that_it_keeps_to_end_the_machine_by_force(
        (inv, seen, done) in (invocation(), observation(), history()),
        (left, waited) in (seconds(30), seconds(10)),
    ) {
        let ends = matches!(inv.action, Action::Stop | Action::Kill);
        let is_there = matches!(seen.here.presence(), Presence::Active(_) | Presence::Blind { .. });
        let done = History { left, waited, destroyed: Vec::new(), killed: Vec::new(), stopped: false, ..done };
        let next = policy::next(&inv, &seen, &done);
        if let Next::Wait(Delay::UntilChange(longest)) | Next::Do(Step::Ask { wait: longest, .. }) = next {
            let free = inv.budget().free(left);
            prop_assert!(!ends || !is_there || inv.params.no_kill || longest <= free, "{longest:?} of {free:?}");
        }
    }

    /// Nothing that saving comes to may cost a machine its end, or hide that it was not done.
    #[test]
    fn a_definition_is_saved_once_in_spare_time_while_libvirt_can_tell_and_else_a_stop_says_that_it_was_not(
        (inv, seen, done) in (invocation(), observation(), history()),
    ) {
        let acted = !done.asked.is_empty() || !done.destroyed.is_empty() || !done.killed.is_empty();
        match policy::next(&inv, &seen, &done) {
            Next::Do(Step::SaveDefinition) => {
                prop_assert!(inv.params.saves_config() && !done.saved && inv.action != Action::Kill);
                prop_assert!(matches!(seen.here.presence(), Presence::Active(_)));
                prop_assert!(!inv.budget().free(done.left).is_zero() || inv.params.no_kill);
            }
            Next::Answer(outcome, tidies) if inv.action == Action::Stop && outcome.code == Code::Ok => {
                let warns = tidies.iter().any(|it| matches!(it, Tidy::Warn(why) if why.contains("was not saved")));
                prop_assert_eq!(warns, acted && inv.params.saves_config() && !done.saved);
            }
            Next::Answer(..) | Next::Ask(_) | Next::Do(_) | Next::Wait(_) => {}
        }
    }

    /// Whatever else is seen.
    #[test]
    fn nothing_is_started_whose_disks_are_open_elsewhere_and_what_is_not_known_hinders_only_the_strict(
        (inv, seen, done) in (invocation(), observation(), history()),
    ) {
        let next = |answer| {
            let answers = Answers { open_elsewhere: answer, ..seen.answers.clone() };
            policy::next(&inv, &Facts { answers, ..seen.clone() }, &done)
        };
        let (guarded, strict) = (inv.params.guard != Guard::Off, inv.params.guard == Guard::Strict);
        let free = next(Fact::Known(None));
        prop_assert!(!(guarded && starts(&next(Fact::Known(Some(open()))))));
        prop_assert!(!(guarded && starts(&next(Fact::NotAsked))));
        let brings_up = Next::Do(Step::StartResources);
        prop_assert!(!(guarded && [Fact::Known(Some(open())), Fact::NotAsked].map(&next).contains(&brings_up)));
        let silent = next(Fact::Silent(Silence::refused("it hangs")));
        if strict {
            prop_assert!(!starts(&silent));
        } else {
            prop_assert_eq!(&silent, &free);
        }
        if !guarded {
            prop_assert_eq!(&next(Fact::Known(Some(open()))), &free);
        }
    }

    /// Whoever watches asks the others only where it was told to, and takes nobody's silence for anything.
    #[test]
    fn a_second_copy_is_told_of_where_one_is_seen_and_silence_elsewhere_changes_no_answer(
        (inv, seen, done) in (invocation(), observation(), history()), other in peer(),
    ) {
        // Whoever watches has started nothing.
        let done = History { start: None, ..done };
        let next = |peers| {
            let answers = Answers { peers, ..seen.answers.clone() };
            policy::next(&inv, &Facts { answers, ..seen.clone() }, &done)
        };
        let watches = matches!(inv.action, Action::Status | Action::Monitor);
        let looks = inv.recurring && inv.params.guard != Guard::Off && (inv.check_level >= 10 || inv.params.guard_monitor);
        let nobody = next(Fact::Known(Vec::new()));
        if !watches {
            return Ok(());
        }
        let asked = next(Fact::NotAsked);
        if asked == Next::Ask(Query::Members) {
            prop_assert!(looks && holds(&seen.here) == Holds::Copy, "{asked}");
        } else {
            prop_assert_eq!(&asked, &nobody);
        }
        prop_assert_eq!(&next(Fact::Silent(Silence::refused("the cluster is silent"))), &nobody);
        let both = holds(&other.place) == Holds::Copy && holds(&seen.here) == Holds::Copy;
        let found = next(Fact::Known(vec![other]));
        let alarms = matches!(&found, Next::Answer(_, tidies) if tidies.iter().any(|it| matches!(it, Tidy::Alert(_))));
        prop_assert!(!alarms || (looks && both), "{found}");
        if let (Next::Answer(outcome, _), Next::Answer(alone, _)) = (&found, &nobody) {
            let well = matches!(alone.code, Code::Ok | Code::Degraded);
            prop_assert_eq!(alarms, looks && both && well);
            let code = if inv.caller == Caller::Pacemaker { Code::Degraded } else { Code::Ok };
            prop_assert!(if alarms { outcome.code == code } else { outcome == alone }, "{found} {nobody}");
        } else {
            prop_assert_eq!(&found, &nobody);
        }
    }

    #[test]
    fn no_plan_starts_what_its_storage_says_is_open_elsewhere(
        (inv, seen) in (invocation(), observation()), definition in was_read(), saved in fact(&[true, false]),
    ) {
        let world = Imagined {
            definition: Some(definition), saved, open_elsewhere: Fact::Known(Some(open())), ..Imagined::default()
        };
        let seen = Facts { answers: Answers::default(), ..seen };
        let (steps, _) = play(&inv, &seen, &world);
        prop_assert!(inv.params.guard == Guard::Off || !steps.iter().any(starts), "{steps:?}");
    }

    #[test]
    fn no_plan_starts_or_denies_what_cannot_be_ended_or_is_not_known(
        (inv, seen) in (invocation(), observation()),
        refusals in proptest::collection::vec(any::<bool>(), 4),
        definition in was_read(),
    ) {
        let fails = |on: bool| on.then(|| Failure::refused("it failed"));
        let world = Imagined {
            stubborn: true,
            ask_fails: fails(refusals[0]),
            resume_fails: fails(refusals[1]),
            start_fails: fails(refusals[2]),
            check_fails: refusals[3].then(|| "it failed".to_owned()),
            destroy_fails: fails(true),
            kill_fails: fails(true),
            save_fails: fails(true),
            definition: Some(definition),
            ..Imagined::default()
        };
        let (steps, outcome) = play(&inv, &seen, &world);
        let outcome = outcome.expect("the policy never comes to an end");
        if alive(&seen) || unknown(&seen) {
            prop_assert!(!steps.iter().any(starts), "{steps:?}");
            if outcome.code == Code::NotRunning {
                prop_assert!(may_deny(&inv, &seen), "{outcome:?}");
            }
            // A process that is gone has ended, whatever libvirt still says of it.
            let over = alive(&seen) && seen.here.process == Seen::Gone;
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
        let world = Imagined { definition: Some(definition), stubborn: !works, ..Imagined::default() };
        let (steps, outcome) = play(&inv, &seen, &world);
        prop_assert!(outcome.is_some(), "{steps:?}");
        let waits: Duration = steps.iter().map(|step| match step {
            Next::Wait(Delay::UntilChange(longest) | Delay::Stay(longest)) => *longest,
            Next::Do(Step::Ask { wait, .. }) if world.stubborn => *wait,
            _ => Duration::ZERO,
        }).sum();
        prop_assert!(waits <= inv.timeout + Duration::from_secs(1), "{waits:?} of {:?}: {steps:?}", inv.timeout);
    }
}
