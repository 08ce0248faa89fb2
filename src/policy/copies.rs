// SPDX-License-Identifier: GPL-2.0-or-later
//! How many copies of a machine run, by what is seen at several places. Pure.
//!
//! While a machine moves it is in two places, and is one copy: the target's placeholder waits for its memory, and what stands
//! still at the source after that was one. Places are looked at one after the other, so that a machine that moves meanwhile
//! may be seen at both ends: two copies are two only where each was seen before and after the other.

use crate::model::facts::Place;
use crate::model::presence::Presence;
use crate::model::state::{Pause, State};

/// What a place has of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// All of it: it runs, or stands still in a way that no migration has caused.
    Copy,
    /// What a migration, or a start, has of it there: it does not run.
    Part,
    /// Nothing, by evidence.
    Nothing,
    /// Nobody can tell.
    Unknown,
}

/// What a place has of it.
#[must_use]
pub(crate) fn holds(place: &Place) -> Holds {
    match place.presence() {
        Presence::Active(domain) => match domain.state {
            State::Paused(Pause::Migration | Pause::StartingUp | Pause::PostCopy | Pause::PostCopyFailed) => {
                Holds::Part
            }
            State::Running(_)
            | State::Blocked
            | State::Paused(_)
            | State::InShutdown
            | State::ShutOff(_)
            | State::Crashed(_)
            | State::PmSuspended
            | State::NoState
            | State::Other(_) => Holds::Copy,
        },
        // Once it may have been a placeholder, and nobody says what it is now.
        Presence::Blind { incoming: true, .. } => Holds::Unknown,
        Presence::Blind { ran: false, .. } => Holds::Part,
        Presence::Blind { .. } | Presence::Stray { .. } => Holds::Copy,
        Presence::Off(_) => Holds::Nothing,
        Presence::Unknown(_) => Holds::Unknown,
    }
}

/// How many copies there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    None,
    /// It runs at one place, or is on its way between two.
    One,
    Several,
    /// Nobody can tell: a place is silent, where there may be one.
    Unknown,
}

/// How many there are, by what all places have.
#[must_use]
pub(crate) fn count(places: &[Holds]) -> Copies {
    let of = |what| places.iter().filter(|holds| **holds == what).count();
    match (of(Holds::Copy), of(Holds::Unknown), of(Holds::Part)) {
        (2.., _, _) => Copies::Several,
        (_, 1.., _) => Copies::Unknown,
        (1, 0, _) | (0, 0, 1..) => Copies::One,
        (0, 0, 0) => Copies::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::{Domain, Libvirt};
    use crate::model::state::Motion;

    #[test]
    fn a_machine_that_moves_is_one_copy_at_every_moment() {
        let at = |state: i32, reason: i32| {
            let state = State::from_numbers(state, reason);
            holds(&Place::by_word(Libvirt::Domain(Domain {
                name: "a".into(),
                uuid: [7; 16],
                state,
                motion: Motion::None,
            })))
        };
        let (running, waits, off) = (at(1, 1), at(3, 2), at(5, 4));
        let (half, post_copy) = (at(3, 12), at(1, 10));
        for ends in [[running, waits], [waits, waits], [waits, running], [off, running], [half, post_copy]] {
            assert_eq!(count(&ends), Copies::One, "{ends:?}");
        }
        assert_eq!(count(&[running, at(3, 1), off]), Copies::Several);
        assert_eq!(count(&[off, off]), Copies::None);
    }

    #[test]
    fn silence_is_neither_none_nor_one_and_hides_no_second_copy() {
        let all = [Holds::Copy, Holds::Part, Holds::Nothing, Holds::Unknown];
        for places in all.iter().flat_map(|a| all.iter().flat_map(|b| all.map(|c| [*a, *b, c]))) {
            let copies = places.iter().filter(|holds| **holds == Holds::Copy).count();
            let silent = places.contains(&Holds::Unknown);
            let expected = if copies > 1 { Copies::Several } else { Copies::Unknown };
            assert_eq!(silent || copies > 1, count(&places) == expected, "{places:?}");
        }
    }
}
