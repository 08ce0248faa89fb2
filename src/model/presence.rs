// SPDX-License-Identifier: GPL-2.0-or-later
//! What is known of a place comes down to: whether the machine runs there, by which evidence. Pure.
//!
//! The only code in which "unknown" could become "not running".

use crate::model::facts::{Domain, Libvirt, Place, Process, RunId, Silence, SilenceKind, Tools};
use crate::model::state::{Pause, State};

/// How certain it is whether the machine runs at a place. `D` is what matters of an active domain: all of it, until it is
/// mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence<'a, D = &'a Domain> {
    /// libvirt, or xl, says that it is active.
    Active(D),
    /// Only its process, or its domain in xenstore, can be seen, since who controls it does not answer.
    Blind {
        /// Which.
        run: RunId,
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
    /// Who controls it says that it is not active, but its process lives, or its domain is there.
    Stray {
        /// Which.
        run: RunId,
        /// The name that it was started under.
        name: &'a str,
    },
    /// It is not running there, by evidence; the sentence says which.
    Off(String),
    /// Nobody can tell, and why. Never to be taken for `Off`.
    Unknown(String),
}

impl<'a, D> Presence<'a, D> {
    /// The same, with what matters of an active domain.
    pub fn map<E>(self, of: impl FnOnce(D) -> E) -> Presence<'a, E> {
        match self {
            Self::Active(domain) => Presence::Active(of(domain)),
            Self::Blind { run, incoming, name, ending, ran, silence } => {
                Presence::Blind { run, incoming, name, ending, ran, silence }
            }
            Self::Stray { run, name } => Presence::Stray { run, name },
            Self::Off(why) => Presence::Off(why),
            Self::Unknown(why) => Presence::Unknown(why),
        }
    }
}

impl Place {
    /// Brings libvirt's word and the process table's together.
    #[must_use]
    pub(crate) fn presence(&self) -> Presence<'_> {
        let (name, tools) = (self.label(), self.tools);
        match (&self.libvirt, &self.process) {
            (Libvirt::Domain(domain), _) if domain.state.active() => Presence::Active(domain),
            (Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_), Process::Alive { run, name, .. }) => {
                Presence::Stray { run: *run, name }
            }
            (Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_), Process::MayBe(why)) => {
                Presence::Unknown(format!("{why} and may be '{name}', of which {tools} says that it does not run"))
            }
            (
                Libvirt::Domain(domain),
                Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::NoDomain | Process::Unknown(_),
            ) => Presence::Off(format!("'{name}' is {}", domain.state)),
            (
                Libvirt::NoDomain,
                Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::NoDomain | Process::Unknown(_),
            ) => Presence::Off(format!("'{name}' is not running: {tools} knows no such domain")),
            (
                Libvirt::Unusable(why),
                Process::NotLooked | Process::Namesake(_) | Process::Gone | Process::NoDomain | Process::Unknown(_),
            ) => Presence::Off(format!("not running, since it can never have been started: {why}")),
            (Libvirt::Ambiguous(why), _) => Presence::Unknown(why.clone()),
            (Libvirt::Silent(silence), Process::Alive { run, incoming, name, ending }) => {
                let ran = self.told_to_run.unwrap_or(self.starting.is_none());
                Presence::Blind { run: *run, incoming: *incoming, name, ending: *ending, ran, silence }
            }
            // It has no process yet. Whoever asked for the start may be gone; libvirt goes on with it.
            (
                Libvirt::Silent(Silence { kind: SilenceKind::Busy, .. }),
                Process::Gone | Process::NoDomain | Process::Namesake(_),
            ) if self.starting.is_some() => Presence::Unknown(format!(
                "libvirt is still starting '{name}' and does not answer for it; see what it waits for (storage, a hook)"
            )),
            (Libvirt::Silent(silence), Process::Gone | Process::NoDomain | Process::Namesake(_))
                if self.starting.is_some() =>
            {
                Presence::Unknown(format!("libvirt is still starting '{name}', as far as is known: {}", silence.why))
            }
            (
                Libvirt::Silent(Silence { kind: SilenceKind::Busy, why }),
                Process::Gone | Process::NoDomain | Process::Namesake(_),
            ) => Presence::Unknown(format!("cannot tell whether '{name}' is running: {why}")),
            (Libvirt::Silent(silence), Process::Gone | Process::Namesake(_)) => {
                Presence::Off(format!("'{name}' is not running: it has no process ({})", silence.why))
            }
            (Libvirt::Silent(silence), Process::NoDomain) => {
                Presence::Off(format!("'{name}' is not running: Xen has no such domain ({})", silence.why))
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
    pub(crate) fn label(&self) -> &str {
        match &self.libvirt {
            Libvirt::Domain(domain) if domain.state.active() => &domain.name,
            // What is off may be the definition of its new name, and not what ran.
            Libvirt::Domain(domain) => self.name.as_deref().unwrap_or(&domain.name),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
                self.name.as_deref().unwrap_or("the virtual machine")
            }
        }
    }

    /// Whether libvirt shows what came of a start that is on record: the machine runs, or at least was told to.
    #[must_use]
    pub(crate) fn shows_the_start(&self) -> bool {
        self.starting.is_some()
            && matches!(&self.libvirt, Libvirt::Domain(domain)
                if domain.state.active() && domain.state != State::Paused(Pause::StartingUp))
    }

    /// Why libvirt does not answer, where it does not.
    #[must_use]
    pub(crate) const fn silence(&self) -> Option<&Silence> {
        match &self.libvirt {
            Libvirt::Silent(silence) => Some(silence),
            Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => None,
        }
    }

    /// Why libvirt's word does not tell whether the machine runs, where it does not.
    #[must_use]
    pub(crate) fn why_unknown(&self) -> &str {
        match &self.libvirt {
            Libvirt::Silent(Silence { why, .. }) | Libvirt::Ambiguous(why) => why,
            Libvirt::Domain(_) | Libvirt::NoDomain | Libvirt::Unusable(_) => "",
        }
    }

    /// Whether libvirt says that it knows no such domain.
    #[must_use]
    pub(crate) const fn has_no_domain(&self) -> bool {
        matches!(self.libvirt, Libvirt::NoDomain)
    }

    /// Whether nobody listens at libvirt's sockets.
    #[must_use]
    pub(crate) fn is_dead(&self) -> bool {
        self.is_silent_as(SilenceKind::Dead)
    }

    /// Whether libvirt's daemon takes a call and does not answer.
    #[must_use]
    pub(crate) fn is_hung(&self) -> bool {
        self.is_silent_as(SilenceKind::Hung)
    }

    /// Whether libvirt's daemon answers others, and not about this domain.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        self.is_silent_as(SilenceKind::Busy)
    }

    /// Whether libvirt is at something with a domain that has no process.
    #[must_use]
    pub(crate) fn is_clearing_up(&self) -> bool {
        self.is_busy() && self.has_no_process()
    }

    /// Whether all processes were read, and none is the machine's.
    #[must_use]
    pub(crate) const fn has_no_process(&self) -> bool {
        matches!(self.process, Process::Gone | Process::NoDomain | Process::Namesake(_))
    }

    /// Whether a machine that is off may be one that reboots: where that makes a new domain, there is none for a moment. Of
    /// a machine of xl's the process tells that xl has left behind with it.
    #[must_use]
    pub(crate) const fn may_begin_anew(&self) -> bool {
        matches!((&self.process, self.tools), (Process::NoDomain, Tools::Libvirt))
    }

    fn is_silent_as(&self, kind: SilenceKind) -> bool {
        self.silence().is_some_and(|silence| silence.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Starting;
    use crate::model::state::{Crash, Motion, Off, Running};

    const KINDS: [SilenceKind; 5] =
        [SilenceKind::Dead, SilenceKind::Hung, SilenceKind::Busy, SilenceKind::Refused, SilenceKind::Missing];

    fn all_libvirts() -> Vec<Libvirt> {
        let domain = |state| Libvirt::Domain(Domain { name: "a".into(), uuid: [7; 16], state, motion: Motion::None });
        let silent = |kind| Libvirt::Silent(Silence { kind, why: "w".into() });
        let mut all = vec![
            domain(State::Running(Running::Plain)),
            domain(State::Paused(Pause::Migration)),
            domain(State::Crashed(Crash::Unknown)),
            domain(State::ShutOff(Off::Shutdown)),
            Libvirt::NoDomain,
            Libvirt::Unusable("w".into()),
            Libvirt::Ambiguous("w".into()),
        ];
        all.extend(KINDS.map(silent));
        all
    }

    fn all_processes() -> Vec<Process> {
        let runs = [RunId::Process { pid: 1, start: 2 }, RunId::XenDomain(3)];
        let alive = |run, incoming, ending| Process::Alive { run, incoming, name: "a".into(), ending };
        let mut all = vec![
            Process::NotLooked,
            Process::MayBe("w".into()),
            Process::Namesake("w".into()),
            Process::Gone,
            Process::NoDomain,
            Process::Unknown("w".into()),
        ];
        for run in runs {
            all.extend([(false, false), (false, true), (true, false), (true, true)].map(|(i, e)| alive(run, i, e)));
        }
        all
    }

    fn all_places() -> Vec<Place> {
        let mut all = Vec::new();
        for libvirt in all_libvirts() {
            for process in all_processes() {
                for starting in [None, Some(Starting { agent: (1, 2), daemon: None })] {
                    for told_to_run in [None, Some(false), Some(true)] {
                        let (libvirt, process, starting) = (libvirt.clone(), process.clone(), starting.clone());
                        let place =
                            Place { name: Some("a".into()), process, starting, told_to_run, ..Place::by_word(libvirt) };
                        all.push(place);
                    }
                }
            }
        }
        all
    }

    #[test]
    fn unknown_never_becomes_off() {
        for place in all_places() {
            let alive = matches!(place.process, Process::Alive { .. });
            let may_be = alive || matches!(place.process, Process::MayBe(_));
            // libvirt's own word, that of a whole process table, or that no parameter could have started it.
            let evidence = match &place.libvirt {
                Libvirt::Domain(domain) => !domain.state.active() && !may_be,
                Libvirt::NoDomain | Libvirt::Unusable(_) => !may_be,
                Libvirt::Ambiguous(_) => false,
                // Behind the back of a daemon that is at it, or was asked for it, a process may come any moment.
                Libvirt::Silent(_) => place.has_no_process() && place.starting.is_none() && !place.is_busy(),
            };
            assert_eq!(matches!(place.presence(), Presence::Off(_)), evidence, "{place:?}");
        }
    }

    #[test]
    fn what_lives_is_neither_off_nor_unknown_wherever_it_is_known_which_is_meant() {
        for place in all_places() {
            let active = matches!(&place.libvirt, Libvirt::Domain(domain) if domain.state.active());
            assert_eq!(matches!(place.presence(), Presence::Active(_)), active, "{place:?}");
            if matches!(place.process, Process::Alive { .. }) && !matches!(place.libvirt, Libvirt::Ambiguous(_)) {
                assert!(!matches!(place.presence(), Presence::Off(_) | Presence::Unknown(_)), "{place:?}");
            }
        }
    }
}
