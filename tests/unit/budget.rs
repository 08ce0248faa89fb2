// SPDX-License-Identifier: GPL-2.0-or-later
//! The shares of an action's time: what must hold of them for any timeout, and that nothing takes time but by them.

use super::layers::{code, sources};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;
use vm_agent::model::action::Action;
use vm_agent::model::budget::{Budget, Share};
use vm_agent::model::caller::Caller;

const CALLERS: [Caller; 4] = [Caller::Pacemaker, Caller::Rgmanager, Caller::Ocf, Caller::Human];

fn budget() -> impl Strategy<Value = (Action, Budget, Duration)> {
    let times = prop_oneof![1_000..120_000_u64, 1_000..86_400_000_u64];
    (proptest::sample::select(&Action::ALL[..]), proptest::sample::select(&CALLERS[..]), times).prop_map(
        |(action, caller, ms)| {
            let timeout = Duration::from_millis(ms);
            (action, Budget::of(action, caller, timeout), timeout)
        },
    )
}

fn sum<'a>(parts: impl IntoIterator<Item = &'a (Share, Duration)>) -> Duration {
    parts.into_iter().map(|(_, time)| *time).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_shares_of_an_action_never_add_up_to_more_than_its_timeout((_, budget, timeout) in budget()) {
        let course = budget.course();
        let kept = course.kept.as_ref().map_or(Duration::ZERO, |(kept, _)| kept.1);
        prop_assert_eq!(sum(&course.before) + course.rest.1 + kept + course.answer.1, timeout, "{}", course);
        if let Some((kept, used)) = &course.kept {
            prop_assert!(sum(used) <= kept.1, "{}", course);
        }
    }

    #[test]
    fn whatever_comes_before_it_a_stop_keeps_its_time_to_end_the_machine_by_force(
        (action, budget, _) in budget(),
        used in proptest::collection::vec((0..5_usize, 0.0..=1.0), 0..12),
    ) {
        let kept = match action {
            Action::Stop | Action::Kill => Share::Force,
            Action::Restart | Action::Recover => Share::StartAgain,
            _ => return Ok(()),
        };
        // A restart gives up where it does not get the lock.
        let locks = if kept == Share::Force { [Share::Lock, Share::LockAtLast] } else { [Share::Definition; 2] };
        let mut left = budget.time();
        for (which, part) in used {
            let share = [Share::Definition, locks[0], locks[1], Share::Resume, Share::Wake][which];
            left -= budget.share(share, left).min(left).mul_f64(part);
        }
        let reserve = budget.share(kept, left);
        prop_assert!(left >= reserve, "{left:?} of {reserve:?} are left");
        // The worst that follows: a daemon that hangs in a look, in the destroy, and in the look after that.
        let look = |left: Duration| left - budget.share(Share::Look, left);
        left = look(reserve);
        left = look(budget.share(Share::Kill, left));
        let signals = budget.share(Share::Sigterm, left) + budget.share(Share::Sigkill, left - budget.share(Share::Sigterm, left));
        prop_assert!(signals >= (reserve / 20).min(Duration::from_secs(1)) && signals < left, "{signals:?} of {left:?}");
    }

    #[test]
    fn no_share_is_nothing_as_long_as_there_is_time((_, budget, timeout) in budget()) {
        for share in Share::ALL {
            prop_assert!(!budget.share(*share, budget.time()).is_zero(), "{share:?} of {timeout:?}");
        }
        prop_assert!(budget.time() < budget.time_to_look() && budget.time_to_look() < timeout);
    }
}

#[test]
fn at_usual_timeouts_the_shares_are_these() {
    let of = |action, seconds: u64, shares: &[Share]| -> Vec<f32> {
        let budget = Budget::of(action, Caller::Pacemaker, Duration::from_secs(seconds));
        shares.iter().map(|share| budget.share(*share, budget.time()).as_secs_f32()).collect()
    };
    let stop = [Share::Answer, Share::Lock, Share::Definition, Share::Look, Share::Force, Share::Kill, Share::Wake];
    assert_eq!(of(Action::Stop, 120, &stop), [2.0, 29.5, 10.0, 5.0, 20.0, 5.0, 5.0]);
    assert_eq!(of(Action::Stop, 60, &stop), [2.0, 14.5, 10.0, 5.0, 20.0, 5.0, 5.0]);
    assert_eq!(of(Action::Stop, 20, &stop), [1.0, 4.5, 5.0, 5.0, 10.0, 5.0, 5.0]);
    let watch = [Share::Answer, Share::Definition, Share::Look, Share::SecondLook, Share::Word];
    assert_eq!(of(Action::Monitor, 30, &watch), [1.5, 5.0, 2.0, 3.0, 15.0]);
    assert_eq!(of(Action::Status, 10, &watch), [0.5, 2.0, 2.0, 3.0, 5.0]);
    let start = [Share::Answer, Share::Lock, Share::Definition, Share::Look, Share::Create, Share::DaemonRefuses];
    assert_eq!(of(Action::Start, 90, &start), [2.0, 88.0, 78.0, 5.0, 10.0, 10.0]);
    assert_eq!(of(Action::Start, 20, &start), [1.0, 19.0, 14.0, 5.0, 5.0, 10.0]);
    let moving = [Share::Look, Share::Begin, Share::GiveUp, Share::Close, Share::Over, Share::Target];
    assert_eq!(of(Action::Migrate, 602, &moving), [5.0, 20.0, 30.0, 10.0, 5.0, 10.0]);
    assert_eq!(of(Action::Migrate, 62, &moving), [5.0, 15.5, 6.0, 2.0, 1.0, 10.0]);
}

/// The code of the agent, by its file's path.
fn agent() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let path = |file: &Path| file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let all = files.iter().map(|file| (path(file), code(file)));
    all.filter(|(path, _)| !path.starts_with("bin/") && !path.starts_with("model/budget/")).collect()
}

/// What is called so is a time that something may take, or that is left.
const TIMES: [&str; 13] = [
    "timeout", "left", "time", "deadline", "until", "patience", "reserve", "share", "longest", "margin", "limit",
    "most", "kept",
];

/// Where small parts of something else are taken: of what a migration is forecast to need, and of the largest number.
const OTHER_PARTS: [&str; 2] = ["policy/converge.rs", "callers/operator/by_hand.rs"];

/// Whether a line divides what is called a time, or takes something from what is left.
fn divides(line: &str) -> bool {
    let name = |before: &str| {
        let before = before.trim_end().trim_end_matches("()").to_owned();
        before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap().to_owned()
    };
    let of = |names: &[&str], sign: &str| line.match_indices(sign).any(|(at, _)| names.contains(&&*name(&line[..at])));
    [" / ", ".mul_f", ".div_f", ".checked_div("].iter().any(|sign| of(&TIMES, sign))
        || [" - ", ".saturating_sub(", ".checked_sub("].iter().any(|sign| of(&["timeout", "left", "deadline"], sign))
}

/// Whether a line takes a half, a quarter or a twentieth of anything.
fn takes_a_part(line: &str) -> bool {
    line.split(" / ").skip(1).any(|after| {
        let digits = after.chars().take_while(|c| c.is_ascii_digit() || *c == '_').count();
        (1..3).contains(&digits)
    })
}

/// Whether a line names a length of time, other than as a constant with a name.
fn names_a_time(line: &str) -> bool {
    let literal = |after: &str| after.starts_with(|c: char| c.is_ascii_digit());
    let named = line
        .trim_start()
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub(super) ")
        .trim_start_matches("pub ");
    ["Duration::from_secs(", "Duration::from_millis(", "Duration::new("]
        .iter()
        .any(|made| line.split(made).skip(1).any(literal))
        && !named.starts_with("const ")
}

#[test]
fn only_the_budget_divides_time_and_every_other_length_of_time_has_a_name() {
    for line in
        ["let x = self.deadline.left() / 4;", "inv.timeout / 2", "(timeout / 20).clamp(a, b)", "left.mul_f32(0.5)"]
    {
        assert!(divides(line), "{line}");
    }
    assert!(divides("done.left.saturating_sub(x)") && !divides("bytes / rate") && !divides("number of / left"));
    assert!(takes_a_part("(whole / 4).min(x)") && !takes_a_part("kib / 1024") && !takes_a_part("bytes / rate"));
    assert!(names_a_time("x(Duration::from_secs(3))"));
    assert!(
        !names_a_time("pub(super) const A: Duration = Duration::from_secs(3);")
            && !names_a_time("map(Duration::from_secs)")
    );
    let mut wrong = Vec::new();
    for (path, code) in agent() {
        let below = path.starts_with("sys/");
        let may_divide = below || OTHER_PARTS.contains(&path.as_str());
        // In the imagined world time passes by being taken away.
        let code = code.replace("self.left = self.left.saturating_sub(spent)", "");
        for line in code.lines() {
            if divides(line) || (takes_a_part(line) && !may_divide) || (names_a_time(line) && !below) {
                wrong.push(format!("src/{path}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "a share belongs into src/model/budget/share.rs:\n{}", wrong.join("\n"));
}

#[test]
fn every_share_is_taken_somewhere() {
    let agent = agent();
    for share in Share::ALL {
        let name = format!("Share::{share:?}");
        let whole = |after: &str| !after.starts_with(|c: char| c.is_alphanumeric());
        let taken = agent.iter().any(|(_, code)| code.split(&name).skip(1).any(whole));
        // These the budget takes by itself: what is kept for the answer, and for the end of an action.
        let own = matches!(share, Share::Answer | Share::Create | Share::Force | Share::StartAgain);
        assert!(taken != own, "{name}");
    }
}
