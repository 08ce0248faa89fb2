// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person is told beside the answer, and what is put on record of what a person did.

use crate::callers::logging;
use crate::host::look::{Depth, Looker};
use crate::model::budget::Share;
use crate::model::call::{Action, Environment, Invocation};
use crate::model::facts::{Definition, Libvirt, SilenceKind};
use crate::model::outcome::Outcome;
use crate::sys::roots::Roots;
use crate::sys::text::shown;
use crate::sys::time::Deadline;

/// Whether an action changes anything.
pub(super) const fn changes(action: Action) -> bool {
    match action {
        Action::Start | Action::Stop | Action::Kill | Action::Restart | Action::Recover | Action::Migrate => true,
        Action::Status
        | Action::Monitor
        | Action::MetaData
        | Action::ValidateAll
        | Action::Reload
        | Action::MigrateTo
        | Action::MigrateFrom
        | Action::Usage => false,
    }
}

/// What a person who waits, or has mistyped a name, would like to know at once.
pub(super) enum Hint {
    /// The action will wait for libvirt; why.
    Waits(String),
    /// There is no such machine; the names that are like it.
    Mistyped(String),
}

impl Hint {
    /// Looks briefly for something to tell; changes nothing.
    pub(super) fn look(inv: &Invocation, env: &Environment) -> Option<Self> {
        let deadline = Deadline::after(inv.budget().share(Share::Hint, inv.timeout));
        let mut looker = Looker::new(inv, env, Roots::default());
        let seen = looker.look(inv, Depth::default(), deadline.left(), deadline);
        match &seen.here.libvirt {
            Libvirt::Silent(silence) => match silence.kind {
                SilenceKind::Dead | SilenceKind::Hung => Some(Self::Waits(silence.why.clone())),
                SilenceKind::Busy | SilenceKind::Refused | SilenceKind::Missing => None,
            },
            Libvirt::NoDomain => {
                looker.read_definition(inv);
                if !matches!(looker.definition(), Definition::NotLooked | Definition::None { .. }) {
                    return None;
                }
                let name = inv.params.name.as_deref()?;
                let question = meant(name, looker.all_names().iter().map(String::as_str));
                (!question.is_empty()).then(|| Self::Mistyped(format!("libvirt knows no '{name}'{question}")))
            }
            Libvirt::Domain(_) | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) => None,
        }
    }
}

/// What somebody may have meant who typed `typed`, as a question behind a sentence; nothing, where nothing is like it.
pub(super) fn meant<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    let like: Vec<&str> = known.filter(|known| is_like(known, typed)).collect();
    if like.is_empty() { String::new() } else { format!("; did you mean '{}'?", like.join("' or '")) }
}

/// Whether somebody who meant `known` may have typed `typed`: another case, or at most two letters wrong.
fn is_like(known: &str, typed: &str) -> bool {
    let (known, typed) = (known.to_lowercase(), typed.to_lowercase());
    let most = if typed.chars().count() < 4 { 1 } else { 2 };
    distance(&known.chars().collect::<Vec<_>>(), &typed.chars().collect::<Vec<_>>()) <= most
}

/// How many letters must be put in, left out, replaced or exchanged with their neighbour to make one text of the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(from != to)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let exchanged = i > 0 && j > 0 && a.get(i - 1) == Some(to) && b.get(j - 1) == Some(from);
            if exchanged {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

/// Puts on record that a person acted, and what came of it.
pub(super) fn record(inv: &Invocation, env: &Environment, force: bool, outcome: &Outcome) {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = user_name(&passwd, uid).map_or_else(|| format!("uid {uid}"), str::to_owned);
    let sudo = env.text("SUDO_USER").map(|user| format!(", by sudo {user}")).unwrap_or_default();
    let name = inv.params.name.clone().or_else(|| Some(inv.params.definition_is_from()?.display().to_string()));
    let target = inv.target.as_ref().map(|host| format!(" to {}", shown(host))).unwrap_or_default();
    let force = if force { " --force" } else { "" };
    logging::record(&format!(
        "{user}{sudo}: {} '{}'{target}{force}: answer {}: {}",
        inv.action.word(),
        name.unwrap_or_default(),
        outcome.code.number(),
        outcome.reason
    ));
}

/// The name of a user of this host.
fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_like_one_with_a_slip_of_the_fingers() {
        for (known, typed) in [("web", "wbe"), ("web", "Web"), ("web01", "web1"), ("database", "datbaase"), ("a", "b")]
        {
            assert!(is_like(known, typed), "{known} {typed}");
        }
        for (known, typed) in [("web", "mail"), ("web", "bew1"), ("database", "datasets")] {
            assert!(!is_like(known, typed), "{known} {typed}");
        }
    }

    #[test]
    fn a_user_is_named_by_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nadmin:x:1000:1000::/:/bin/sh\n";
        assert_eq!(
            (user_name(passwd, 0), user_name(passwd, 1000), user_name(passwd, 1)),
            (Some("root"), Some("admin"), None)
        );
    }
}
