// SPDX-License-Identifier: GPL-2.0-or-later
//! monitor and status. Pure.

use super::history::History;
use super::step::{Delay, Next, Query};
use super::stop::{pass_queue, queue_passed};
use super::words::{advice, as_process, end_of, ending, its_process, still_starting, stray};
use super::{
    agent, answer, degraded, ended, guest_check, meant_is_unknown, paused, share, starting_up, wait_or, with_problems,
};
use crate::model::budget::Share;
use crate::model::call::Invocation;
use crate::model::facts::{Fact, Facts, Silence};
use crate::model::outcome::Code;
use crate::model::presence::Presence;
use crate::model::state::{Motion, Pause, State};
use crate::policy::health::{self, Health};

pub(super) fn monitor(inv: &Invocation, seen: &Facts, done: &History) -> Next {
    let second_look = || {
        let longest = share(inv, done, Share::SecondLook);
        (done.waited < longest).then(|| Next::Wait(Delay::UntilChange(longest - done.waited)))
    };
    let word = share(inv, done, Share::Word);
    match seen.here.presence() {
        Presence::Active(domain) if starting_up(seen, domain) => {
            wait_or(done, word, || format!("libvirt is still starting '{}', which is {}", domain.name, domain.state))
        }
        Presence::Active(domain) => {
            let health = health::health(domain.state, domain.motion);
            let code = health::code(health, inv);
            // The last moments of a migration that somebody else drives look like one that is stuck.
            if domain.state == State::Paused(Pause::Migration)
                && health == Health::Failed
                && let Some(look) = second_look()
            {
                return look;
            }
            // "Not running" needs libvirt's word on where it comes from, which it may give at the next look.
            if domain.motion == Motion::Unknown
                && code == Code::NotRunning
                && let Some(look) = second_look()
            {
                return look;
            }
            // libvirt notices an end within milliseconds, unless it hangs.
            if let Some(ends) = end_of(seen, domain) {
                return second_look().unwrap_or_else(|| answer(Code::Generic, ends));
            }
            if let Some(next) = paused::paused(inv, domain, health, seen, done) {
                return next;
            }
            if health == Health::Well && inv.check_level >= 10 && guest_check(inv) {
                match &seen.answers.guest {
                    Fact::NotAsked => return Next::Ask(Query::Guest),
                    Fact::Silent(Silence { why, .. }) => {
                        return answer(Code::Generic, format!("'{}' runs, but its check failed: {why}", domain.name));
                    }
                    Fact::Known(()) => {}
                }
            }
            if health == Health::Well
                && let Some(next) = agent::asked(inv, domain, seen, done)
            {
                return next;
            }
            // What has happened to it is over; a person wants to know when.
            let has_ended = matches!(domain.state, State::Paused(Pause::Watchdog | Pause::Crashed) | State::Crashed(_));
            let since = match &seen.answers.cause {
                Fact::NotAsked if has_ended && !done.left.is_zero() => return Next::Ask(Query::Cause),
                Fact::Known(cause) if has_ended => cause.told(),
                Fact::NotAsked | Fact::Silent(_) | Fact::Known(_) => String::new(),
            };
            let advice = advice(seen.here.tools, domain, health);
            with_problems(inv, code, format!("'{}' is {}{since}{advice}", domain.name, domain.state))
        }
        // It may be the placeholder of a machine that runs elsewhere: a probe does not claim it as long as libvirt may
        // still tell.
        Presence::Blind { incoming: true, .. } if inv.probe() && done.waited < word => {
            Next::Wait(Delay::UntilChange(word - done.waited))
        }
        Presence::Blind { run, name, ending: true, silence, .. } => second_look().unwrap_or_else(|| {
            let its = its_process(run, name, seen.here.label());
            answer(Code::Generic, format!("{its} {}; {}", ending(run), silence.why))
        }),
        Presence::Blind { ran: false, run, name, silence, .. } => {
            wait_or(done, word, || still_starting(seen.here.label(), (run, name), silence))
        }
        Presence::Blind { run, name, silence, .. } => {
            // The guest can be asked without libvirt.
            if inv.check_level >= 10 && guest_check(inv) && !seen.answers.guest.is_asked() && !done.left.is_zero() {
                return Next::Ask(Query::Guest);
            }
            let runs = format!("'{}' runs {}", seen.here.label(), as_process(run, name, seen.here.label()));
            if let Fact::Silent(Silence { why, .. }) = &seen.answers.guest {
                return answer(Code::Generic, format!("{runs}, but its check failed: {why}"));
            }
            let code = if inv.params.degraded_when_blind { degraded(inv) } else { Code::Ok };
            answer(code, format!("{runs}, but {}", silence.why))
        }
        Presence::Stray { run, name, .. } => second_look().unwrap_or_else(|| {
            answer(
                Code::Generic,
                format!("{}; stop it to clean up", stray(seen, (run, name), "runs, but libvirt lost the domain")),
            )
        }),
        Presence::Off(_) if seen.here.starting.is_some() && !queue_passed(inv, seen, done) => {
            pass_queue(inv, seen.here.label(), seen, done)
        }
        // A guest that reboots keeps its process; where domains have none to look for, it may be a new domain soon. A
        // daemon that is dead may be restarting, and tells more then.
        Presence::Off(why) => match second_look() {
            Some(look)
                if inv.recurring
                    && (seen.here.is_dead() || !seen.here.has_no_process() || seen.here.may_begin_anew()) =>
            {
                look
            }
            Some(_) | None => ended::off(inv, why, seen, done),
        },
        // Which machine is meant cannot be told here, where its definition is out of reach. A failed probe would have it
        // stopped here, which fails for the same reason and has this node fenced; Pacemaker takes 5 for "not here".
        Presence::Unknown(why) if inv.probe() && meant_is_unknown(seen) => answer(Code::Installed, why),
        // libvirt is at it, and will be through: a probe that answers 1 may cost a healthy copy elsewhere.
        Presence::Unknown(why) if seen.here.is_busy() => wait_or(done, word, || why),
        // A short wait covers a daemon that is restarting.
        Presence::Unknown(why) => second_look().unwrap_or_else(|| answer(Code::Generic, why)),
    }
}
