// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of actions: one row each, with its words, its kind, its timeouts and what the meta-data publish of it. Pure.
//!
//! A new action is a variant, its row, its place in `ALL`, and what the compiler then asks for: each `match` over `Action`
//! names all of them.

use crate::model::caller::Caller;
use std::time::Duration;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make it run here.
    Start,
    /// Make it not run here.
    Stop,
    /// Make it not run here, without asking the guest.
    Kill,
    /// Tell whether it runs here (rgmanager's and a person's word).
    Status,
    /// Tell whether it runs here (OCF's word).
    Monitor,
    /// Move it to another node, on the source (Pacemaker).
    MigrateTo,
    /// Receive it, on the target (Pacemaker).
    MigrateFrom,
    /// Take changed parameters over; the virtual machine is not touched (OCF 1.0, OCF 1.1, rgmanager).
    Reload,
    /// Move it to another node (rgmanager's and a person's word).
    Migrate,
    /// Stop it, then start it.
    Restart,
    /// Restart it unless it runs well.
    Recover,
    /// Check the parameters and, at level 10, the host.
    ValidateAll,
    /// Print the meta-data.
    MetaData,
    /// Print the list of actions.
    Usage,
}

/// What an action is in kind, where that is all that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It ends with a virtual machine that runs here.
    Start,
    /// It ends without one.
    Stop,
    /// It tells whether there is one.
    Watch,
    /// It moves one away from here.
    Move,
    /// It receives one.
    Receive,
    /// It takes parameters over.
    Reload,
    /// It only prints, and knows no virtual machine.
    Print,
}

/// A time limit that depends on the caller, in seconds.
#[derive(Clone, Copy, Debug)]
struct Seconds {
    pacemaker: u64,
    ocf: u64,
    rgmanager: u64,
    hand: u64,
}

/// The same for all callers.
const fn all(seconds: u64) -> Seconds {
    Seconds { pacemaker: seconds, ocf: seconds, rgmanager: seconds, hand: seconds }
}

/// For what starts or stops: an OCF caller that tells no time is likely drbd-reactor's wrapper, a systemd unit, which is
/// killed after 90 s.
const fn acting(seconds: u64) -> Seconds {
    Seconds { ocf: 80, ..all(seconds) }
}

/// For what watches.
const WATCHING: Seconds = Seconds { rgmanager: 10, hand: 10, ..all(30) };

/// What meta-data say of an action. Times are written as the manager writes them.
#[derive(Debug)]
pub struct Published {
    /// The word that the manager calls.
    pub word: &'static str,
    /// The proposed timeout.
    pub timeout: &'static str,
    /// The proposed interval.
    pub interval: Option<&'static str>,
    /// How deep a check it is.
    pub depth: Option<&'static str>,
}

const fn once(word: &'static str, timeout: &'static str) -> Published {
    Published { word, timeout, interval: None, depth: None }
}

const fn repeated(
    word: &'static str,
    timeout: &'static str,
    interval: &'static str,
    depth: Option<&'static str>,
) -> Published {
    Published { word, timeout, interval: Some(interval), depth }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct ActionRow {
    /// What it is called; the first is its name in messages.
    pub words: &'static [&'static str],
    /// Its kind.
    pub class: Class,
    /// How long it may take when the caller does not say. The meta-data may propose another time for a manager to give.
    timeout: Seconds,
    /// What the OCF meta-data publish of it.
    pub ocf: &'static [Published],
    /// What rgmanager's meta-data publish of it: what is not there is never called by rgmanager.
    pub rgmanager: &'static [Published],
}

const fn row(class: Class, words: &'static [&'static str], timeout: Seconds) -> ActionRow {
    ActionRow { words, class, timeout, ocf: &[], rgmanager: &[] }
}

impl Action {
    /// Every action, in the order in which the meta-data publish them.
    pub const ALL: [Self; 14] = [
        Self::Start,
        Self::Stop,
        Self::Kill,
        Self::Status,
        Self::Monitor,
        Self::MigrateTo,
        Self::MigrateFrom,
        Self::Reload,
        Self::Migrate,
        Self::Restart,
        Self::Recover,
        Self::ValidateAll,
        Self::MetaData,
        Self::Usage,
    ];

    /// The table.
    #[must_use]
    pub const fn row(self) -> ActionRow {
        match self {
            Self::Start => {
                const {
                    ActionRow {
                        ocf: &[once("start", "90s")],
                        rgmanager: &[once("start", "300")],
                        ..row(Class::Start, &["start"], acting(300))
                    }
                }
            }
            Self::Stop => {
                const {
                    ActionRow {
                        ocf: &[once("stop", "120s")],
                        rgmanager: &[once("stop", "120")],
                        ..row(Class::Stop, &["stop"], acting(120))
                    }
                }
            }
            Self::Kill => row(Class::Stop, &["kill"], acting(120)),
            Self::Status => {
                const {
                    ActionRow {
                        ocf: &[repeated("status", "30s", "10s", Some("0"))],
                        rgmanager: &[repeated("status", "10", "30", None), repeated("status", "20", "60", Some("10"))],
                        ..row(Class::Watch, &["status"], WATCHING)
                    }
                }
            }
            Self::Monitor => {
                const {
                    ActionRow {
                        ocf: &[
                            repeated("monitor", "30s", "10s", Some("0")),
                            repeated("monitor", "60s", "60s", Some("10")),
                        ],
                        rgmanager: &[
                            repeated("monitor", "10", "30", None),
                            repeated("monitor", "20", "60", Some("10")),
                        ],
                        ..row(Class::Watch, &["monitor"], WATCHING)
                    }
                }
            }
            Self::MigrateTo => {
                const { ActionRow { ocf: &[once("migrate_to", "600s")], ..row(Class::Move, &["migrate_to"], all(600)) } }
            }
            Self::MigrateFrom => {
                const { ActionRow { ocf: &[once("migrate_from", "60s")], ..row(Class::Receive, &["migrate_from"], all(60)) } }
            }
            Self::Reload => {
                const {
                    ActionRow {
                        ocf: &[once("reload-agent", "20s")],
                        rgmanager: &[once("reconfig", "10")],
                        ..row(
                            Class::Reload,
                            &["reload", "reload-agent", "reconfig"],
                            Seconds { rgmanager: 10, ..all(20) },
                        )
                    }
                }
            }
            Self::Migrate => {
                const { ActionRow { rgmanager: &[once("migrate", "10m")], ..row(Class::Move, &["migrate"], all(600)) } }
            }
            Self::Restart => row(Class::Start, &["restart"], acting(300)),
            Self::Recover => row(Class::Start, &["recover"], acting(300)),
            Self::ValidateAll => {
                const {
                    ActionRow {
                        ocf: &[once("validate-all", "20s")],
                        rgmanager: &[once("validate-all", "5")],
                        ..row(Class::Print, &["validate-all"], all(20))
                    }
                }
            }
            Self::MetaData => {
                const {
                    ActionRow {
                        ocf: &[once("meta-data", "5s")],
                        rgmanager: &[once("meta-data", "5")],
                        ..row(Class::Print, &["meta-data"], all(20))
                    }
                }
            }
            Self::Usage => row(Class::Print, &["usage", "help"], all(20)),
        }
    }

    /// The action called `word`.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.row().words.iter().any(|known| known.as_bytes() == word))
    }

    /// Its name in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().words.first().copied().unwrap_or_default()
    }

    /// Its kind.
    #[must_use]
    pub const fn class(self) -> Class {
        self.row().class
    }

    /// Whether it tells if there is a machine, and changes nothing.
    #[must_use]
    pub const fn watches(self) -> bool {
        matches!(self.class(), Class::Watch)
    }

    /// Whether it ends a machine, and does nothing more.
    #[must_use]
    pub const fn ends(self) -> bool {
        matches!(self, Self::Stop | Self::Kill)
    }

    /// Whether it moves a machine away from this host.
    #[must_use]
    pub const fn moves(self) -> bool {
        matches!(self.class(), Class::Move)
    }

    /// How long it may take when the caller does not say.
    #[must_use]
    pub const fn default_timeout(self, caller: Caller) -> Duration {
        let Seconds { pacemaker, ocf, rgmanager, hand } = self.row().timeout;
        Duration::from_secs(match caller {
            Caller::Pacemaker => pacemaker,
            Caller::Ocf => ocf,
            Caller::Rgmanager => rgmanager,
            Caller::Human => hand,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_one_actions() {
        let mut words: Vec<&str> = Action::ALL.iter().flat_map(|action| action.row().words).copied().collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
        for action in Action::ALL {
            let row = action.row();
            assert_eq!(Action::parse(action.word().as_bytes()), Some(action));
            for published in row.ocf.iter().chain(row.rgmanager) {
                assert!(row.words.contains(&published.word), "{} is published and not known", published.word);
            }
        }
    }
}
