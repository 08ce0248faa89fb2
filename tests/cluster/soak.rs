// SPDX-License-Identifier: GPL-2.0-or-later
//! Events without end on three nodes with five machines that have no disks, so that no lock on a disk helps anybody. The
//! events are drawn from a seed: the same seed gives the same events.

use crate::bed::{Agent, Bed, Resource, State};
use crate::common::until;
use crate::dice::Dice;
use crate::witness::Mark;
use std::time::Duration;

const MACHINES: [&str; 5] = ["a", "b", "c", "d", "e"];
const NODES: usize = 3;

/// Something that happens to a cluster. Numbers are those of hosts.
#[derive(Debug, Clone, Copy)]
enum Event {
    Move(&'static str, usize),
    Standby(usize),
    KillQemu(&'static str),
    PowerOff(&'static str),
    Destroy(&'static str),
    MoveByVirsh(&'static str),
    KillLibvirtd(usize),
    RestartLibvirtd(usize),
    HangLibvirtd(usize),
    Crash(usize),
    Partition(usize),
    Refresh(&'static str),
    Cleanup(&'static str),
    Reload(&'static str, u64),
    Maintenance(usize),
}

impl Dice {
    fn event(&mut self) -> Event {
        let kind = self.below(15);
        // Always drawn, so that an event more in the list does not shift the others' numbers.
        let (machine, node, number) = (MACHINES[self.below(MACHINES.len())], 1 + self.below(NODES), self.below(500));
        match kind {
            0 => Event::Move(machine, node),
            1 => Event::Standby(node),
            2 => Event::KillQemu(machine),
            3 => Event::PowerOff(machine),
            4 => Event::Destroy(machine),
            5 => Event::MoveByVirsh(machine),
            6 => Event::KillLibvirtd(node),
            7 => Event::RestartLibvirtd(node),
            8 => Event::HangLibvirtd(node),
            9 => Event::Crash(node),
            10 => Event::Partition(node),
            11 => Event::Refresh(machine),
            12 => Event::Cleanup(machine),
            13 => Event::Reload(machine, 300 + number as u64),
            _ => Event::Maintenance(node),
        }
    }
}

/// What a soak has seen so far.
#[derive(Default)]
struct Tally {
    moved: usize,
    boots: usize,
    fencings: usize,
}

/// What must not have happened in an event.
struct Fault {
    doubled: Vec<String>,
    restless: Vec<String>,
    booted: Vec<String>,
}

impl Fault {
    fn is_none(&self) -> bool {
        self.doubled.is_empty() && self.restless.is_empty() && self.booted.is_empty()
    }

    fn words(&self) -> String {
        [&self.doubled[..], &self.restless[..], &self.booted[..]].concat().join("; ")
    }
}

/// Plays so many events; gives the row of the table. The predecessor plays until it is caught.
pub fn play(agent: Agent, seed: u64, events: usize) -> String {
    let bed = Bed::up(NODES, agent);
    for machine in MACHINES {
        // Five guests speak less often than one, to leave the processors to the cluster.
        bed.makes(machine, &Resource { guest: &["--append", "pause=0.5"], ..Resource::default() });
    }
    MACHINES.into_iter().for_each(|machine| bed.comes_up(machine));
    let mut dice = Dice::of(seed);
    let (mut tally, mut needless) = (Tally::default(), 0);
    for number in 1..=events {
        let event = dice.event();
        println!("  {} soak of seed {seed}, event {number} of {events}: {event:?}", agent.words());
        let fault = played(&bed, event, &mut tally);
        match agent {
            Agent::Vm if fault.is_none() => {}
            Agent::Vm => {
                tell_logs(&bed);
                panic!("event {number} of seed {seed}, {event:?}: {}", fault.words())
            }
            // Its needless restarts are counted, and a machine that is lost or doubled ends the play.
            Agent::VirtualDomain if fault.doubled.is_empty() && fault.restless.is_empty() => {
                needless += fault.booted.len();
            }
            Agent::VirtualDomain => {
                return format!(
                    "{seed} | {number} of {events} | {event:?}: {}; {needless} needless restarts before",
                    fault.words()
                );
            }
        }
    }
    assert!(agent == Agent::Vm, "the soak has not caught {agent:?} in {events} events of seed {seed}");
    let Tally { moved, boots, fencings } = tally;
    is_well(&bed);
    leaves_nothing(&bed);
    format!(
        "{seed} | {events} of {events} | no second copy, no needless restart, nothing blocked, no process left behind; \
         {boots} boots by the events, {moved} machines moved, {fencings} fencings"
    )
}

/// Plays an event, and holds what happened against what it may do.
fn played(bed: &Bed, event: Event, tally: &mut Tally) -> Fault {
    let places: Vec<usize> = MACHINES.map(|machine| bed.place(machine)).to_vec();
    let place = |machine: &str| places[MACHINES.iter().position(|it| *it == machine).unwrap()];
    let marks: Vec<Mark> = MACHINES.map(|machine| bed.mark(machine)).to_vec();
    let fencings = bed.fencings();
    let may_boot: Vec<&str> = match event {
        Event::KillQemu(machine) | Event::PowerOff(machine) | Event::Destroy(machine) => vec![machine],
        // Pacemaker restarts one that was moved and has failed since (the case cleanup-moved).
        Event::Cleanup(machine) => vec![machine],
        Event::Crash(node) | Event::Partition(node) => {
            MACHINES.into_iter().filter(|machine| place(machine) == node).collect()
        }
        _ => Vec::new(),
    };
    happens(bed, event, place);
    bed.is_whole();
    bed.rests();
    bed.looks_on(Duration::from_secs(1));
    let at_rest = || {
        let states = bed.states(&MACHINES);
        let rests = |(machine, state): (&str, &State)| {
            let runs = bed.witness.runs_on(machine);
            let nodes: Vec<String> = runs.iter().map(|host| bed.host(*host).node()).collect();
            let rests = runs.len() == 1 && state.nodes == nodes && state.words() == "started";
            (!rests).then(|| format!("'{machine}' does not come to rest: {}, runs on {runs:?}", state.words()))
        };
        MACHINES.into_iter().zip(&states).filter_map(rests).collect::<Vec<_>>()
    };
    let mut restless = at_rest();
    for _ in 0..100 {
        if restless.is_empty() {
            break;
        }
        bed.looks_on(Duration::from_secs(1));
        restless = at_rest();
    }
    let mut fault = Fault { doubled: Vec::new(), restless, booted: Vec::new() };
    for ((machine, mark), before) in MACHINES.into_iter().zip(&marks).zip(&places) {
        if fault.restless.is_empty() {
            // A guest that boots is told of now, and not after the next event.
            bed.speaks(machine);
        }
        let happened = bed.since(machine, mark);
        if happened.copies > 1 {
            fault.doubled.push(format!("{} copies of '{machine}' at once", happened.copies));
        }
        if happened.boots > usize::from(may_boot.contains(&machine)) {
            fault.booted.push(format!("'{machine}' booted"));
        }
        tally.boots += happened.boots;
        tally.moved += usize::from(happened.boots == 0 && bed.witness.runs_on(machine) != [*before]);
    }
    tally.fencings += bed.fencings() - fencings;
    fault
}

/// Makes it happen, and undoes what an administrator undoes.
fn happens(bed: &Bed, event: Event, place: impl Fn(&str) -> usize) {
    let gone = |machine: &str, from: usize| {
        until(60, &format!("end of '{machine}'"), || bed.host(from).qemu(machine).is_none().then_some(()));
    };
    match event {
        Event::Move(machine, to) if place(machine) == to => bed.moves(machine, 1 + to % NODES),
        Event::Move(machine, to) => bed.moves(machine, to),
        Event::Standby(node) => {
            bed.standby(node, true);
            bed.standby(node, false);
        }
        Event::KillQemu(machine) => bed.kills(machine),
        Event::PowerOff(machine) => {
            let qemu = bed.host(place(machine)).qemu(machine).unwrap();
            bed.host(place(machine)).virsh(&["shutdown", machine]);
            qemu.end();
        }
        Event::Destroy(machine) => {
            let qemu = bed.host(place(machine)).qemu(machine).unwrap();
            bed.host(place(machine)).virsh(&["destroy", machine]);
            qemu.end();
        }
        Event::MoveByVirsh(machine) => {
            let (from, to) = (place(machine), 1 + place(machine) % NODES);
            bed.moves_by_virsh(machine, from, to);
            gone(machine, from);
            // Where it was a start has failed meanwhile, which the administrator clears.
            until(120, "the cluster's word", || {
                (bed.state(machine).nodes == [bed.host(to).node()] || bed.witness.runs_on(machine).len() > 1)
                    .then_some(())
            });
            bed.rests();
            bed.refreshes(machine);
        }
        Event::KillLibvirtd(node) => {
            bed.host(node).service("kill", "libvirtd");
            bed.looks_on(Duration::from_secs(6));
            bed.host(node).service("start", "libvirtd");
        }
        Event::RestartLibvirtd(node) => bed.restarts_libvirtd(node),
        Event::HangLibvirtd(node) => {
            bed.host(node).service("freeze", "libvirtd");
            bed.looks_on(Duration::from_secs(6));
            bed.host(node).service("thaw", "libvirtd");
        }
        Event::Crash(node) | Event::Partition(node) => {
            let fenced = bed.fencings();
            bed.sits_at(1 + node % NODES);
            let partition = matches!(event, Event::Partition(_));
            bed.lab(if partition { "partition" } else { "kill" }, node);
            until(90, "fencing", || (bed.fencings() > fenced).then_some(()));
            if partition {
                bed.lab("heal", node);
            }
        }
        Event::Refresh(machine) => bed.refreshes(machine),
        Event::Cleanup(machine) => drop(bed.types(&format!("crm_resource --cleanup -r {machine}"))),
        // As docs/TROUBLESHOOTING.md says, since a refresh may have gone before.
        Event::Reload(machine, downtime) => bed.changes(machine, "migration_downtime", &downtime.to_string()),
        Event::Maintenance(node) => {
            bed.property("maintenance-mode", "true");
            bed.rests();
            bed.restarts_libvirtd(node);
            bed.property("maintenance-mode", "false");
        }
    }
}

/// At the end every machine is a started resource that waits for nobody.
fn is_well(bed: &Bed) {
    for machine in MACHINES {
        let state = bed.state(machine);
        assert_eq!(state.words(), "started", "'{machine}': {state:?}");
    }
}

/// Once all are stopped there is no process of theirs or of the agent on any host. Files below /run are told of.
fn leaves_nothing(bed: &Bed) {
    for machine in MACHINES {
        bed.meta(machine, "target-role", "Stopped");
    }
    bed.rests();
    let of_theirs = |args: &[Vec<u8>]| {
        let program = args.first().map(|arg| String::from_utf8_lossy(arg).into_owned()).unwrap_or_default();
        ["vm-agent", "qemu", "/ssh "].iter().any(|part| program.contains(part))
            || args.iter().any(|arg| arg.starts_with(b"guest="))
    };
    for host in bed.cluster.hosts() {
        until(20, &format!("end of all processes on {}", host.name()), || {
            host.processes(of_theirs).is_empty().then_some(())
        });
        let left = host.run("sh", &["-c", "find /run/vm-agent /run/resource-agents -type f 2>/dev/null; true"]);
        println!("  left on {}: {left:?}", host.name());
    }
}

/// What the cluster's logs say of the end.
fn tell_logs(bed: &Bed) {
    for (node, log) in bed.logs() {
        let of_them: Vec<&str> =
            log.lines().filter(|line| line.contains("vm(") || line.contains("Result of ")).collect();
        println!("{node}:\n{}", of_them[of_them.len().saturating_sub(40)..].join("\n"));
    }
}
