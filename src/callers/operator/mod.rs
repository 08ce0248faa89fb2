// SPDX-License-Identifier: GPL-2.0-or-later
//! By hand: the command line of a person, and what only a person wants. May use everything; nothing else uses it.

mod by_hand;
pub(crate) mod command_line;
mod convert;
mod doctor;
mod explain;
mod history;
mod input;
mod json;
mod list;
mod logs;
mod managed;
mod members;
mod metrics;
mod missing;
mod plan;
mod progress;
mod replay;
mod status;
mod terminal;
mod whereis;

use crate::callers::meta_data::{OCF, RGMANAGER};
use crate::callers::validate;
use crate::engine;
use crate::model::call::{Action, Environment, Invocation};
use crate::model::outcome::{Code, Outcome};
use crate::sys::roots::Roots;
use crate::sys::text::say;
use crate::sys::time::Deadline;
use by_hand::Hint;
use clap::Parser;
use clap::error::ErrorKind;
use command_line::{Cli, Dialect, ListArgs, MetricsArgs, Verb, Which};
use std::ffi::OsString;
use std::io::{stderr, stdout};
use std::time::Duration;

/// Carries out what a person typed; the result is the exit code.
#[must_use]
pub fn run(args: &[OsString], env: &Environment) -> u8 {
    if args == doctor::ASKED {
        return doctor::answer();
    }
    let cli = match Cli::try_parse_from(std::iter::once(OsString::from("vm-agent")).chain(args.iter().cloned())) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let code = if error.exit_code() == 0 {
                Code::Ok
            } else if error.kind() == ErrorKind::InvalidSubcommand {
                Code::Unimplemented
            } else {
                Code::Args
            };
            return code.number();
        }
    };
    let verbose = cli.verbose;
    let outcome = match cli.verb {
        Verb::Usage => {
            let _ = <Cli as clap::CommandFactory>::command().print_help();
            return Code::Ok.number();
        }
        Verb::MetaData { dialect } => {
            let text = match dialect {
                Dialect::Ocf => &OCF,
                Dialect::Rgmanager => &RGMANAGER,
            };
            say(&mut stdout(), text.trim_end());
            return Code::Ok.number();
        }
        Verb::Status { shown, watch } => {
            return with(&shown.which, Action::Status, env, verbose, |inv, env| {
                let show = || {
                    let report = status::look(inv, env);
                    (report.code, if shown.json { report.json() } else { terminal::fit(report.text()) })
                };
                let code = match watch {
                    Some(seconds) => progress::watch(Duration::from_secs_f64(seconds), &show),
                    None => {
                        let (code, text) = show();
                        say(&mut stdout(), &text);
                        code
                    }
                };
                Outcome::new(code, String::new())
            });
        }
        Verb::Logs { which, lines } => {
            return with(&which, Action::Status, env, verbose, |inv, env| {
                let (text, code) = logs::look(inv, env, lines);
                say(&mut stdout(), &text);
                Outcome::new(code, String::new())
            });
        }
        Verb::History { which, lines, json } => {
            return with(&which, Action::Status, env, verbose, |inv, env| {
                let (text, told, code) = history::look(inv, env, lines, json);
                if !text.is_empty() {
                    say(&mut stdout(), &text);
                }
                told.iter().for_each(|told| say(&mut stderr(), &format!("vm-agent: {told}")));
                Outcome::new(code, String::new())
            });
        }
        Verb::Replay { file, story } => return replay::print(&file, story),
        Verb::List(ListArgs { cluster, nodes, names, json, connect, timeout, mut options }) => {
            let others = cluster || nodes.is_some();
            options.extend(nodes.map(guard_nodes));
            let which = Which { connect, timeout, options, ..Which::default() };
            let (inv, env) = match which.read(Action::Status, env, verbose) {
                Ok(read) => read,
                Err(code) => return code,
            };
            let (text, warnings) = if names {
                let (names, warnings) = list::names(&inv, &env, others);
                (Vec::from_iter(names).join("\n"), warnings)
            } else {
                let list = list::look(&inv, &env, others);
                (if json { list.json() } else { list.text() }, list.warnings().collect())
            };
            if !text.is_empty() {
                say(&mut stdout(), &text);
            }
            // Who does not tell all has failed to.
            let code = if warnings.is_empty() { Code::Ok } else { Code::Generic };
            warnings.iter().for_each(|warning| say(&mut stderr(), &format!("vm-agent: {warning}")));
            missing::tell(&inv, &env, code);
            return code.number();
        }
        Verb::Convert(args) => return convert::print(&args, env, verbose),
        Verb::Plan(args) => {
            return told(&plan::run(&args, Deadline::after(Duration::from_secs_f64(args.timeout))));
        }
        Verb::Metrics(MetricsArgs { output, connect, timeout }) => {
            let (inv, env) = match (Which { connect, timeout, ..Which::default() }).read(Action::Status, env, verbose) {
                Ok(read) => read,
                Err(code) => return code,
            };
            return told(&metrics::run(&inv, &env, output.as_deref()));
        }
        Verb::Doctor { mut shown, fix_hints, nodes } => {
            shown.which.options.extend(nodes.map(guard_nodes));
            let (inv, env) = match shown.which.read(Action::ValidateAll, env, verbose) {
                Ok(read) => read,
                Err(code) => return code,
            };
            if let Some(problem) = inv.params.problems.first() {
                say(&mut stderr(), &format!("vm-agent: {problem}"));
                return Code::Args.number();
            }
            let doctor = doctor::look(&inv, &env);
            let text = match (shown.json, fix_hints) {
                (true, _) => doctor.json(),
                (false, true) => doctor.hints(),
                (false, false) => terminal::fit(doctor.text()),
            };
            say(&mut stdout(), &text);
            missing::tell(&inv, &env, doctor.code);
            return doctor.code.number();
        }
        Verb::Whereis { mut shown, nodes } => {
            shown.which.options.extend(nodes.map(guard_nodes));
            return with(&shown.which, Action::Status, env, verbose, |inv, env| {
                let whereis = whereis::look(inv, env);
                say(&mut stdout(), &if shown.json { whereis.json() } else { terminal::fit(whereis.text()) });
                Outcome::new(whereis.code, String::new())
            });
        }
        Verb::Explain { action, which, host } => {
            let word = crate::sys::text::shown(&action);
            let action = match Action::parse(action.as_encoded_bytes()).filter(|action| explainable(*action)) {
                None => {
                    let known = Action::ALL.into_iter().filter(|action| explainable(*action));
                    let meant = by_hand::meant(&word, known.flat_map(|action| action.row().words).copied());
                    say(&mut stderr(), &format!("vm-agent: '{word}' is not an action that can be explained{meant}"));
                    return Code::Unimplemented.number();
                }
                Some(action) => action,
            };
            return with(&which, action, env, verbose, |inv, env| {
                let inv = Invocation { target: host.or_else(|| inv.target.clone()), ..inv.clone() };
                let (text, code) = explain::run(&inv, env);
                say(&mut stdout(), &terminal::fit(text));
                let refusal = if which.force { None } else { managed::refusal(&inv, env) };
                if let Some(refusal) = &refusal {
                    say(&mut stdout(), &format!("by hand it would be refused ({}): {refusal}", Code::Perm.number()));
                }
                Outcome::new(if refusal.is_some() { Code::Perm } else { code }, String::new())
            });
        }
        Verb::ValidateAll(which) => {
            return with(&which, Action::ValidateAll, env, verbose, |inv, env| {
                validate::run(inv, env, &mut |finding| say(&mut stderr(), finding))
            });
        }
        Verb::Migrate { which, host, rehearse } => {
            return with(&which, Action::Migrate, env, verbose, |inv, env| {
                let inv = Invocation { target: host, ..inv.clone() };
                if rehearse {
                    return engine::rehearse(&inv, env, Roots::default());
                }
                change(&inv, env, which.force, |inv| progress::run(inv, env))
            });
        }
        Verb::Start(which) => (which, Action::Start),
        Verb::Stop(which) => (which, Action::Stop),
        Verb::Kill(which) => (which, Action::Kill),
        Verb::Restart(which) => (which, Action::Restart),
        Verb::Recover(which) => (which, Action::Recover),
        Verb::Monitor(which) => (which, Action::Monitor),
        Verb::Reload(which) => (which, Action::Reload),
    };
    let (which, action) = outcome;
    with(&which, action, env, verbose, |inv, env| {
        let act = |inv: &Invocation| progress::run(inv, env);
        if by_hand::changes(action) { change(inv, env, which.force, act) } else { act(inv) }
    })
}

/// Changes something unless the cluster that runs here stands against it, in the time that asking the cluster has left;
/// puts on record that it was asked for, and what came of it.
fn change(inv: &Invocation, env: &Environment, force: bool, act: impl FnOnce(&Invocation) -> Outcome) -> Outcome {
    let deadline = Deadline::after(inv.timeout);
    let refusal = if force { None } else { managed::refusal(inv, env) };
    let outcome = match refusal {
        Some(refusal) => Outcome::new(Code::Perm, refusal),
        None => {
            let hint = Hint::look(inv, env);
            let starts = matches!(inv.action, Action::Start | Action::Restart | Action::Recover);
            if let (Some(Hint::Waits(why)), true) = (&hint, starts) {
                say(&mut stderr(), &format!("vm-agent: {why}; {} waits for it as long as it may", inv.action.word()));
            }
            let mut acting = Invocation { timeout: deadline.left(), ..inv.clone() };
            if force {
                acting.params.guard_nodes.clear();
            }
            let outcome = act(&acting);
            if let Some(Hint::Mistyped(question)) = &hint {
                say(&mut stderr(), &format!("vm-agent: {question}"));
            }
            outcome
        }
    };
    by_hand::record(inv, env, force, &outcome);
    outcome
}

/// Whether there is anything to explain of an action.
const fn explainable(action: Action) -> bool {
    !matches!(action, Action::MetaData | Action::ValidateAll | Action::Usage)
}

/// Says why a command has failed, if it has; gives its exit code.
fn told(outcome: &Outcome) -> u8 {
    if !outcome.reason.is_empty() {
        say(&mut stderr(), &format!("vm-agent: {}", outcome.reason));
        missing::tell_of_rights(outcome.code);
    }
    outcome.code.number()
}

/// `--nodes`, as the parameter that it is.
fn guard_nodes(nodes: OsString) -> OsString {
    let mut option = OsString::from("guard_nodes=");
    option.push(nodes);
    option
}

/// Reads the parameters, does it, and says how it ended.
fn with(
    which: &Which,
    action: Action,
    env: &Environment,
    verbose: bool,
    act: impl FnOnce(&Invocation, &Environment) -> Outcome,
) -> u8 {
    let (inv, env) = match which.read(action, env, verbose) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let named = [&which.name, &which.xmlfile].into_iter().flatten().any(|value| !value.is_empty());
    let outcome = match inv.params.problems.first() {
        Some(problem) if action != Action::ValidateAll => Outcome::new(Code::Args, problem.to_string()),
        None if !named => Outcome::new(Code::Args, "which virtual machine? give its name (see --help)"),
        Some(_) | None => act(&inv, &env),
    };
    let asked = action.watches() && outcome.code == Code::NotRunning;
    if asked && let Some(Hint::Mistyped(question)) = Hint::look(&inv, &env) {
        say(&mut stderr(), &format!("vm-agent: {question}"));
    }
    if !outcome.reason.is_empty() {
        let line = format!("vm-agent: {}", outcome.reason);
        match outcome.code {
            Code::Ok | Code::NotRunning => say(&mut stdout(), &line),
            Code::Generic
            | Code::Args
            | Code::Unimplemented
            | Code::Perm
            | Code::Installed
            | Code::Configured
            | Code::StayedHere
            | Code::Degraded => say(&mut stderr(), &line),
        }
    }
    missing::tell(&inv, &env, outcome.code);
    outcome.code.number()
}
