// SPDX-License-Identifier: GPL-2.0-or-later
//! Single facts in the words of a story. Pure.

use crate::model::facts::{Libvirt, Peer, Place, Process, RunId, SilenceKind};
use crate::model::presence::Presence;
use crate::model::standing::Standing;
use crate::model::state::{Motion, State};

/// libvirt's two words for a state, as `virsh domstate --reason` would say them, and its two numbers.
pub(crate) const STATES: [(&str, i32, i32); 32] = [
    ("nostate", 0, 0),
    ("running", 1, 1),
    ("running-postcopy", 1, 10),
    ("running-postcopy-failed", 1, 11),
    ("blocked", 2, 0),
    ("paused-unknown", 3, 0),
    ("paused-user", 3, 1),
    ("paused-migration", 3, 2),
    ("paused-save", 3, 3),
    ("paused-dump", 3, 4),
    ("paused-ioerror", 3, 5),
    ("paused-watchdog", 3, 6),
    ("paused-from-snapshot", 3, 7),
    ("paused-shutting-down", 3, 8),
    ("paused-snapshot", 3, 9),
    ("paused-crashed", 3, 10),
    ("paused-starting", 3, 11),
    ("paused-postcopy", 3, 12),
    ("paused-postcopy-failed", 3, 13),
    ("paused-api-error", 3, 14),
    ("in-shutdown", 4, 0),
    ("off", 5, 0),
    ("off-shutdown", 5, 1),
    ("off-destroyed", 5, 2),
    ("off-crashed", 5, 3),
    ("off-migrated", 5, 4),
    ("off-saved", 5, 5),
    ("off-failed", 5, 6),
    ("crashed", 6, 0),
    ("crashed-panicked", 6, 1),
    ("pmsuspended", 7, 0),
    ("unheard-of", 99, 0),
];

/// The numbers of every story's machine.
const RUNS: (RunId, RunId) = (RunId::Process { pid: 4711, start: 99 }, RunId::XenDomain(7));

/// The run that a story has in the place of this one.
pub(super) const fn run_of(run: RunId) -> RunId {
    match run {
        RunId::Process { .. } => RUNS.0,
        RunId::XenDomain(_) => RUNS.1,
    }
}

fn state(state: State) -> String {
    let known = STATES.iter().find(|(_, number, reason)| State::from_numbers(*number, *reason) == state);
    known.map_or("unheard-of", |(word, ..)| word).to_owned()
}

pub(super) fn libvirt(libvirt: &Libvirt) -> String {
    match libvirt {
        Libvirt::NoDomain => "none".into(),
        Libvirt::Unusable(why) => format!("unusable {why}"),
        Libvirt::Ambiguous(why) => format!("ambiguous {why}"),
        Libvirt::Silent(silence) => format!(
            "{} {}",
            match silence.kind {
                SilenceKind::Dead => "dead",
                SilenceKind::Hung => "hung",
                SilenceKind::Busy => "busy",
                SilenceKind::Refused => "refused",
                SilenceKind::Missing => "missing",
            },
            silence.why
        ),
        Libvirt::Domain(domain) => format!(
            "{}{}",
            state(domain.state),
            match domain.motion {
                Motion::None => "",
                Motion::Arriving => " arriving",
                Motion::Leaving => " leaving",
                Motion::Unknown => " motion-unknown",
            }
        ),
    }
}

/// The word for a process, of a machine of this name.
pub(super) fn process(process: &Process, label: Option<&str>) -> String {
    match process {
        Process::NotLooked => "not-looked".into(),
        Process::Gone => "gone".into(),
        Process::NoDomain => "no-domain".into(),
        Process::Alive { run: RunId::XenDomain(_), ending: true, .. } => "still-domain".into(),
        Process::Alive { ending: true, .. } => "ending".into(),
        Process::Alive { incoming: true, .. } => "incoming".into(),
        Process::Alive { run: RunId::XenDomain(_), .. } => "domain".into(),
        Process::Alive { name, .. } if label.is_some_and(|label| label != name) => "renamed".into(),
        Process::Alive { .. } => "alive".into(),
        Process::MayBe(why) => format!("maybe {why}"),
        Process::Namesake(why) => format!("namesake {why}"),
        Process::Unknown(why) => why.clone(),
    }
}

/// How it is where it once went.
pub(super) fn elsewhere(place: &Place) -> String {
    match place.presence() {
        Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. } => "running".into(),
        Presence::Off(_) => "not running".into(),
        Presence::Unknown(why) => place.silence().map_or(why, |silence| silence.why.clone()),
    }
}

/// How it is at another host.
pub(super) fn there(place: &Place) -> String {
    match (&place.libvirt, place.presence()) {
        (Libvirt::Domain(domain), Presence::Active(_)) if domain.motion == Motion::Arriving => "arriving".into(),
        (_, Presence::Active(_) | Presence::Blind { .. } | Presence::Stray { .. }) => "running".into(),
        (_, Presence::Off(_)) => "off".into(),
        (_, Presence::Unknown(why)) => {
            format!("silent {}", place.silence().map_or(why, |silence| silence.why.clone()))
        }
    }
}

pub(super) fn peer(peer: &Peer) -> String {
    let standing = match (peer.standing, peer.on_record) {
        (Standing::Online, Some(true)) => "believed",
        (Standing::Online, _) => "online",
        (Standing::Offline, _) => "offline",
        (Standing::Unfenced, _) => "unfenced",
        (Standing::Unclean, _) => "unclean",
        (Standing::Unknown, _) => "unknown",
    };
    format!("{} {standing} {}", peer.node, there(&peer.place))
}
