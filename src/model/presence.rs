// SPDX-License-Identifier: GPL-2.0-or-later
//! What an observation comes down to: whether the domain runs here, by which evidence. Pure.
//!
//! The only place where "unknown" could become "not running".

use crate::model::facts::{Domain, Facts, Libvirt, Process, Silence, SilenceKind};
use crate::model::state::{Pause, State};

/// How certain it is where the domain is; what `Facts` comes down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence<'a> {
    /// libvirt says that it is active.
    Active(&'a Domain),
    /// Only its process can be seen, since libvirt does not answer.
    Blind {
        /// The process.
        pid: u32,
        /// Its identity.
        start: u64,
        /// Whether it was started to receive a migration.
        incoming: bool,
        /// The name that it was started under.
        name: &'a str,
        /// Whether it is on its way to its end.
        ending: bool,
        /// Whether the guest was ever told to run: an emulator that libvirt has only made is no running machine.
        ran: bool,
        /// Why libvirt does not answer.
        silence: &'a Silence,
    },
    /// libvirt says that it is not active, but its process lives.
    Stray {
        /// The process.
        pid: u32,
        /// Its identity.
        start: u64,
        /// The name that it was started under.
        name: &'a str,
    },
    /// It is not running here, by evidence; the sentence says which.
    Off(String),
    /// Nobody can tell, and why. Never to be taken for `Off`.
    Unknown(String),
}

/// Brings the facts together.
#[must_use]
pub fn presence(seen: &Facts) -> Presence<'_> {
    let name = label(seen);
    match (&seen.libvirt, &seen.process) {
        (Libvirt::Domain(domain), _) if domain.state.active() => Presence::Active(domain),
        (Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_), Process::Alive { pid, start, name, .. }) => {
            Presence::Stray { pid: *pid, start: *start, name }
        }
        (Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_), Process::MayBe(why)) => {
            Presence::Unknown(format!("{why} and may be '{name}', of which libvirt says that it does not run"))
        }
        (Libvirt::Domain(domain), Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::Unknown(_)) => {
            Presence::Off(format!("'{name}' is {}", domain.state))
        }
        (Libvirt::NoDomain, Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::Unknown(_)) => {
            Presence::Off(format!("'{name}' is not running: libvirt knows no such domain"))
        }
        (Libvirt::Unusable(why), Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::Unknown(_)) => {
            Presence::Off(format!("not running, since it can never have been started: {why}"))
        }
        (Libvirt::Ambiguous(why), _) => Presence::Unknown(why.clone()),
        (Libvirt::Silent(silence), Process::Alive { pid, start, incoming, name, ending }) => {
            let ran = seen.told_to_run.unwrap_or(seen.starting.is_none());
            Presence::Blind { pid: *pid, start: *start, incoming: *incoming, name, ending: *ending, ran, silence }
        }
        // It has no process yet. Whoever asked for the start may be gone; libvirt goes on with it.
        (Libvirt::Silent(Silence { kind: SilenceKind::Busy, .. }), Process::Gone | Process::Namesake(_))
            if seen.starting.is_some() =>
        {
            Presence::Unknown(format!(
                "libvirt is still starting '{name}' and does not answer for it; see what it waits for (storage, a hook)"
            ))
        }
        (Libvirt::Silent(silence), Process::Gone | Process::Namesake(_)) if seen.starting.is_some() => {
            Presence::Unknown(format!("libvirt is still starting '{name}', as far as is known: {}", silence.why))
        }
        (Libvirt::Silent(Silence { kind: SilenceKind::Busy, why }), Process::Gone | Process::Namesake(_)) => {
            Presence::Unknown(format!("cannot tell whether '{name}' is running: {why}"))
        }
        (Libvirt::Silent(silence), Process::Gone | Process::Namesake(_)) => {
            Presence::Off(format!("'{name}' is not running: it has no process ({})", silence.why))
        }
        (Libvirt::Silent(silence), Process::Unknown(why) | Process::MayBe(why)) => {
            Presence::Unknown(format!("whether '{name}' runs cannot be told: {}; {why}", silence.why))
        }
        (Libvirt::Silent(silence), Process::NotLooked) => {
            Presence::Unknown(format!("whether '{name}' runs cannot be told: {}", silence.why))
        }
    }
}

/// The name of the domain in sentences: of the machine that runs, where one does.
#[must_use]
pub fn label(seen: &Facts) -> &str {
    match &seen.libvirt {
        Libvirt::Domain(domain) if domain.state.active() => &domain.name,
        // What is off may be the definition of its new name, and not what ran.
        Libvirt::Domain(domain) => seen.name.as_deref().unwrap_or(&domain.name),
        Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
            seen.name.as_deref().unwrap_or("the virtual machine")
        }
    }
}

/// Whether libvirt shows what came of a start that is on record: the machine runs, or at least was told to.
#[must_use]
pub fn shows_the_start(seen: &Facts) -> bool {
    seen.starting.is_some()
        && matches!(&seen.libvirt, Libvirt::Domain(domain)
            if domain.state.active() && domain.state != State::Paused(Pause::StartingUp))
}

/// Why libvirt does not answer, where it does not.
#[must_use]
pub fn silent(seen: &Facts) -> Option<SilenceKind> {
    match &seen.libvirt {
        Libvirt::Silent(silence) => Some(silence.kind),
        Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => None,
    }
}

/// Whether nobody listens at libvirt's sockets.
#[must_use]
pub fn dead(seen: &Facts) -> bool {
    silent(seen) == Some(SilenceKind::Dead)
}

/// Whether libvirt's daemon takes a call and does not answer.
#[must_use]
pub fn hung(seen: &Facts) -> bool {
    silent(seen) == Some(SilenceKind::Hung)
}

/// Whether libvirt's daemon answers others, and not about this domain.
#[must_use]
pub fn busy(seen: &Facts) -> bool {
    silent(seen) == Some(SilenceKind::Busy)
}

/// Whether libvirt is at something with a domain that has no process.
#[must_use]
pub fn clearing_up(seen: &Facts) -> bool {
    busy(seen) && matches!(seen.process, Process::Gone | Process::Namesake(_))
}
