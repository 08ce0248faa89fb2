// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts of a story: `key words...` lines. `read` is their whole grammar.

use std::ffi::OsString;
use std::time::Duration;
use vm_agent::engine::imagine::Imagined;
use vm_agent::engine::story::STATES;
use vm_agent::model::call::{Action, Caller, Environment, Invocation};
use vm_agent::model::definition::Language;
use vm_agent::model::facts::{
    Answers, Defined, Definition, Domain, Fact, Facts, GuestAgent, Libvirt, Peer, Place, Process, RunId, Silence,
    SilenceKind, Since, Starting, Tools, Tries,
};
use vm_agent::model::failure::{Failure, FailureKind};
use vm_agent::model::outcome::{Code, Outcome};
use vm_agent::model::saved_state::SavedState;
use vm_agent::model::standing::Standing;
use vm_agent::model::state::Motion;
use vm_agent::model::state::State;
use vm_agent::model::storage::OpenDisk;
use vm_agent::policy::hope::Hope;
use vm_agent::policy::moving::{Failed, NEVER};

pub(super) fn read(facts: &str) -> (Invocation, Facts, Imagined) {
    let mut caller = Caller::Pacemaker;
    let mut action = Action::Monitor;
    let mut env: Vec<(OsString, OsString)> = vec![("OCF_RESKEY_name".into(), "foo".into())];
    let mut world = Imagined::default();
    let mut seen = Facts {
        here: Place { name: Some("foo".into()), ..Place::by_word(Libvirt::NoDomain) },
        definition: Definition::NotLooked,
        hindrance: None,
        answers: Answers::default(),
    };
    let mut later = false;
    let mut target = None;
    for line in facts.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        let said = || Some(rest.to_owned());
        let fails = || Some(failure(rest));
        match key {
            "caller" => caller = Caller::parse(rest).unwrap(),
            "action" => {
                let mut words = rest.split(' ');
                action = Action::parse(words.next().unwrap().as_bytes()).unwrap();
                for word in words {
                    match word {
                        "recurring" => env.push(("OCF_RESKEY_CRM_meta_interval".into(), "10000".into())),
                        level => env.push(("OCF_CHECK_LEVEL".into(), level.strip_prefix("depth=").unwrap().into())),
                    }
                }
            }
            "timeout" => {
                env.push(("OCF_RESKEY_RGMANAGER_meta_timeout".into(), rest.into()));
                env.push(("OCF_RESKEY_CRM_meta_timeout".into(), format!("{rest}000").into()));
            }
            "param" => {
                let (name, value) = rest.split_once('=').unwrap();
                env.push((format!("OCF_RESKEY_{name}").into(), value.into()));
            }
            "libvirt" if later => world.later.get_or_insert_default().0 = Some(libvirt(rest)),
            "libvirt" => seen.here.libvirt = libvirt(rest),
            "process" if later => world.later.get_or_insert_default().1 = Some(process(rest)),
            "process" => seen.here.process = process(rest),
            "tools" => seen.here.tools = if rest == "xl" { Tools::Xl } else { Tools::Libvirt },
            "hindrance" => seen.hindrance = said(),
            "later" => later = true,
            "end" => {
                world.after_end = Some(match rest {
                    "unnoticed" => seen.here.libvirt.clone(),
                    other => libvirt(other),
                });
            }
            // The process of these stories started at 99.
            "starting" => seen.here.starting = Some(Starting { agent: (12, 50), daemon: None }),
            "told-to-run" => seen.here.told_to_run = Some(rest == "yes"),
            "queue" => world.queue_stands = said(),
            "definition" => world.definition = Some(definition(rest)),
            "known" => seen.definition = definition(rest),
            "guest" if rest == "reboots" => world.reboots = true,
            "guest" => world.stubborn = rest == "stubborn",
            "resources" => world.resources_fail = fails(),
            "start" if rest == "dies" => world.start_dies = true,
            "start" => world.start_fails = fails(),
            "ask" => world.ask_fails = fails(),
            "resume" => world.resume_fails = fails(),
            "agent" => world.agent = agent(rest),
            "since" => {
                let (at, ago) = rest.split_once(' ').unwrap();
                let ago = Duration::from_secs(ago.parse().unwrap());
                world.cause.since = Some(Since { at: at.into(), ago });
            }
            "disk" => world.cause.disks = said(),
            "ended" => world.cause.ended = said(),
            // How often it was resumed, and how many seconds ago the last time was.
            "tried" => {
                let (count, last) = rest.split_once(' ').unwrap_or((rest, "0"));
                let last = Duration::from_secs(last.parse().unwrap());
                world.cause.tried = Some(Tries { count: count.parse().unwrap(), last });
            }
            "keep-stopped" => world.keep_fails = fails(),
            "wake" => world.wake_fails = fails(),
            "destroy" => world.destroy_fails = fails(),
            "kill" => world.kill_fails = fails(),
            "lingers" => world.lingers = true,
            "moved-to" => world.moved_to = said(),
            "unfinished" => world.unfinished = true,
            "pausing" => world.pausing = true,
            "elsewhere" => {
                world.elsewhere = match rest {
                    "running" => Place::by_word(libvirt("running")),
                    "not running" => Place::by_word(Libvirt::NoDomain),
                    other => Place::silent(other),
                }
            }
            "storage" => {
                let (disk, by) = rest.split_once(": ").unwrap();
                let open = |place: &str, by: &str| OpenDisk {
                    disk: disk.into(),
                    place: place.into(),
                    by: by.into(),
                    lapses: false,
                };
                world.open_elsewhere = match (disk, by.rsplit_once(" at ")) {
                    ("silent", _) => Fact::Silent(Silence::refused(by)),
                    ("untold", _) => Fact::Silent(Silence { kind: SilenceKind::Missing, why: by.into() }),
                    (_, Some((by, place))) => Fact::Known(Some(open(place, by))),
                    (_, None) => panic!("no such storage: {rest}"),
                }
            }
            "instance" => env.push(("OCF_RESOURCE_INSTANCE".into(), rest.into())),
            "members" => world.peers = Fact::Silent(Silence::refused(rest)),
            "member" => match &mut world.peers {
                Fact::Known(peers) => peers.push(peer(rest)),
                other => panic!("{other:?} and {rest}"),
            },
            "kept" => world.kept = if rest == "no" { Fact::Known(false) } else { silent(rest) },
            "saved" => world.saved = if rest.is_empty() { Fact::Known(true) } else { silent(rest) },
            "own-save" => world.own_save = if rest == "yes" { Fact::Known(true) } else { silent(rest) },
            "drop" => world.drop_fails = fails(),
            "state" => world.state = state(rest),
            "restore" if rest == "dies" => world.start_dies = true,
            "restore" => world.restore_fails = fails(),
            "set-aside" => world.aside_fails = fails(),
            "save" => {
                world.save_fails = fails();
                if let (true, Some(failure)) = (rest.starts_with("it took too long"), &mut world.save_fails) {
                    failure.kind = FailureKind::TimedOut;
                }
            }
            "arrives" => world.arrives = true,
            "target" => world.target_fails = fails(),
            "check" => world.check_fails = said(),
            "to" => target = Some(rest.into()),
            "there" => world.there = there(rest),
            "silent-first" => world.target_silent = rest.parse().unwrap(),
            "paused-late" => world.paused_late = true,
            "move-fails" => world.move_fails.push(failed(rest)),
            "after-move" => world.after_move = Some(libvirt(rest)),
            "rehearse" => world.rehearse = true,
            "in-the-way" => world.in_the_way = said(),
            "stuck" => world.stuck = true,
            "interrupted" => world.interrupted = true,
            "beside" => world.beside = said(),
            "stays" => world.stays = true,
            "first-monitor" => world.first_monitor = true,
            "switched" => world.switched = said(),
            other => panic!("no such fact: {other}"),
        }
    }
    let inv = Invocation::from_manager(caller, action, None, &Environment::from_pairs(env));
    (Invocation { target, ..inv }, seen, world)
}

/// `answers`, `never`, `silent 2`, `excused` or `refused`: what asking the guest's agent comes to.
fn agent(words: &str) -> Fact<GuestAgent> {
    let why = "it is not connected".to_owned();
    Fact::Known(match words.split_once(' ').unwrap_or((words, "")) {
        ("answers", _) => GuestAgent::Answers,
        ("never", _) => GuestAgent::NeverYet(why),
        ("silent", times) => GuestAgent::Silent { times: times.parse().unwrap(), why },
        ("excused", _) => GuestAgent::Excused("/run/vm-agent/foo.maintenance".into()),
        ("refused", _) => return Fact::Silent(Silence::refused("libvirt has no time")),
        other => panic!("no such agent: {other:?}"),
    })
}

/// `fits`, `silent why`, or why it is unfit.
fn state(words: &str) -> Fact<SavedState> {
    let path = "/saved/foo.state".to_owned();
    match words.split_once(' ') {
        None => Fact::Known(SavedState::Fits { path, saved: "saved at 2026-11-22T04:50:00Z on node1".into() }),
        Some(("silent", why)) => Fact::Silent(Silence::refused(why)),
        Some(_) => Fact::Known(SavedState::Unfit { path, why: words.to_owned() }),
    }
}

fn silent(why: &str) -> Fact<bool> {
    Fact::Silent(Silence::refused(why))
}

fn libvirt(words: &str) -> Libvirt {
    let all: Vec<&str> = words.split(' ').collect();
    match all[..] {
        ["none"] => Libvirt::NoDomain,
        ["unusable", ..] => Libvirt::Unusable(words["unusable ".len()..].to_owned()),
        ["ambiguous", ..] => Libvirt::Ambiguous(words["ambiguous ".len()..].to_owned()),
        [kind @ ("dead" | "hung" | "busy" | "refused" | "missing"), ref why @ ..] => Libvirt::Silent(Silence {
            kind: match kind {
                "dead" => SilenceKind::Dead,
                "hung" => SilenceKind::Hung,
                "busy" => SilenceKind::Busy,
                "missing" => SilenceKind::Missing,
                _ => SilenceKind::Refused,
            },
            why: if why.is_empty() { format!("libvirt is {kind}") } else { why.join(" ") },
        }),
        [state, ref motion @ ..] => Libvirt::Domain(Domain {
            name: "foo".into(),
            uuid: [7; 16],
            state: named(state),
            motion: match motion {
                [] => Motion::None,
                ["arriving"] => Motion::Arriving,
                ["leaving"] => Motion::Leaving,
                ["motion-unknown"] => Motion::Unknown,
                other => panic!("no such motion: {other:?}"),
            },
        }),
        ref other => panic!("no such libvirt: {other:?}"),
    }
}

fn there(words: &str) -> Place {
    match words.split_once(' ').unwrap_or((words, "")) {
        ("off", _) => Place::by_word(Libvirt::NoDomain),
        ("arriving", _) => Place::by_word(libvirt("paused-migration arriving")),
        ("running", _) => Place::by_word(libvirt("running")),
        ("silent", why) => Place::silent(why),
        other => panic!("no such target: {other:?}"),
    }
}

/// `node2 online running`: a member's name, how the cluster sees it (`believed`: online, and running it by its record), and
/// how the machine is there.
fn peer(words: &str) -> Peer {
    let [node, standing, rest] = words.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("no such member: {words}")
    };
    let on_record = (standing == "believed").then_some(true);
    let standing = match standing {
        "online" | "believed" => Standing::Online,
        "unknown" => Standing::Unknown,
        "offline" => Standing::Offline,
        "unfenced" => Standing::Unfenced,
        "unclean" => Standing::Unclean,
        other => panic!("no such standing: {other}"),
    };
    Peer { node: node.into(), standing, on_record, place: there(rest) }
}

/// `refused`, or of the kind that its first word says.
fn failure(words: &str) -> Failure {
    match words.split_once(' ') {
        Some(("missing", said)) => Failure::new(FailureKind::Missing, said),
        Some(_) | None => Failure::refused(words),
    }
}

/// `lost 1 why`: what there is to hope for, after how many looks the target need not be asked, and why it failed.
fn failed(words: &str) -> Failed {
    let [hope, looks, why] = words.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("no such failure: {words}") };
    let hope = match hope {
        "lost" => Hope::Lost,
        "soon" => Hope::Soon,
        "silent" => Hope::Silent,
        other => panic!("no such hope: {other}"),
    };
    Failed { why: why.to_owned(), hope, held: false, looks: looks.parse().unwrap_or(NEVER) }
}

fn process(words: &str) -> Process {
    match words {
        "not-looked" => Process::NotLooked,
        "gone" => Process::Gone,
        "no-domain" => Process::NoDomain,
        "alive" => Process::Alive {
            run: RunId::Process { pid: 4711, start: 99 },
            incoming: false,
            name: "foo".into(),
            ending: false,
        },
        "domain" => Process::Alive { run: RunId::XenDomain(7), incoming: false, name: "foo".into(), ending: false },
        "still-domain" => {
            Process::Alive { run: RunId::XenDomain(7), incoming: false, name: "foo".into(), ending: true }
        }
        "renamed" => Process::Alive {
            run: RunId::Process { pid: 4711, start: 99 },
            incoming: false,
            name: "old".into(),
            ending: false,
        },
        "ending" => Process::Alive {
            run: RunId::Process { pid: 4711, start: 99 },
            incoming: false,
            name: "foo".into(),
            ending: true,
        },
        "incoming" => Process::Alive {
            run: RunId::Process { pid: 4711, start: 99 },
            incoming: true,
            name: "foo".into(),
            ending: false,
        },
        other => match other.split_once(' ') {
            Some(("maybe", why)) => Process::MayBe(why.to_owned()),
            Some(("namesake", why)) => Process::Namesake(why.to_owned()),
            Some(_) | None => Process::Unknown(other.to_owned()),
        },
    }
}

fn definition(words: &str) -> Definition {
    match words {
        "unchanged" => Definition::Unchanged { name: "foo".into(), uuid: None },
        "none" => Definition::None { looked_at: vec!["/a/foo".into(), "/a/foo.xml".into()] },
        "file" => Definition::File(Box::new(Defined {
            path: "/a/foo.xml".into(),
            text: "<domain/>".into(),
            language: Language::Xml,
            name: "foo".into(),
            uuid: None,
        })),
        other => Definition::Bad(Outcome::new(Code::Installed, other)),
    }
}

fn named(word: &str) -> State {
    let found = STATES.iter().find(|(known, _, _)| *known == word);
    let (_, state, reason) = *found.unwrap_or_else(|| panic!("no such state: {word}"));
    State::from_numbers(state, reason)
}
