// SPDX-License-Identifier: GPL-2.0-or-later
//! By hand: the command line of a person, and what only a person wants. May use everything; nothing else uses it.

mod by_hand;
mod convert;
mod explain;
mod json;
mod list;
mod logs;
mod managed;
mod members;
mod missing;
mod progress;
mod status;
mod whereis;

use crate::callers::logging;
use crate::callers::meta_data::{OCF, RGMANAGER};
use crate::callers::validate;
use crate::engine;
use crate::model::call::{Action, Caller, Environment, Invocation};
use crate::model::outcome::{Code, Outcome};
use crate::sys::roots::Roots;
use crate::sys::text::say;
use crate::sys::time::Deadline;
use by_hand::Hint;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::{stderr, stdout};
use std::time::Duration;

/// Runs a virtual machine as a cluster resource, and tells the truth about it.
///
/// Cluster managers call this program as vm.sh, vm or VirtualDomain, with parameters in the environment; these are the
/// words for a person. The exit codes are the same: 0 done or running, 7 not running, 1 failed or not knowable, 2 wrong
/// arguments, 3 no such action, 4 refused by hand since a cluster manages it, 5 something is missing here, 6 wrong
/// parameters. Clusters are also told 150 (rgmanager: the migration failed, it runs on here) and 190 (Pacemaker: it runs,
/// but not as it should). whereis counts copies: 0 one, 7 none, 190 more than one, 1 not known.
#[derive(Parser)]
#[command(name = "vm-agent", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the virtual machine's state, and what a cluster would be told
    Status {
        #[command(flatten)]
        shown: Shown,
        /// Show it again every so many seconds, until interrupted
        #[arg(long, value_name = "S", value_parser = seconds, num_args = 0..=1, default_missing_value = "2", require_equals = true)]
        watch: Option<f64>,
    },
    /// Show what is on record of it here: the agent's and the cluster's lines, the ends of its emulator's log and consoles
    Logs {
        #[command(flatten)]
        which: Which,
        /// The most lines of each
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        lines: usize,
    },
    /// Say on which hosts it runs, and where libvirt has a definition of it: this one, and all members of the cluster
    Whereis {
        #[command(flatten)]
        shown: Shown,
        /// The other hosts to ask, in place of the cluster's members: n2,n3
        #[arg(long)]
        nodes: Option<OsString>,
    },
    /// List this host's virtual machines: their states, and the resources that they were started for
    List(ListArgs),
    /// Print the commands that make a predecessor's machines resources of this agent, and what has no counterpart
    Convert(convert::ConvertArgs),
    /// Start it: from its definition's file, or libvirt's own definition
    Start(Which),
    /// Ask the guest to shut down; destroy it if it does not in time
    Stop(Which),
    /// Destroy it at once
    Kill(Which),
    /// Stop it, then start it
    Restart(Which),
    /// Restart it unless it runs well
    Recover(Which),
    /// Move it to another host while it runs
    Migrate {
        #[command(flatten)]
        which: Which,
        /// The host to move it to
        host: Option<OsString>,
        /// Only check both ends, and move nothing
        #[arg(long)]
        rehearse: bool,
    },
    /// Say in one line what a cluster's monitor would
    Monitor(Which),
    /// Say what an action would find and do, and do nothing
    Explain {
        /// The action (start, stop, monitor, migrate, ...)
        action: OsString,
        #[command(flatten)]
        which: Which,
        /// Where to, for a migration
        host: Option<OsString>,
    },
    /// Check the parameters; with -o OCF_CHECK_LEVEL=10 also this host
    ValidateAll(Which),
    /// Take over changed parameters (nothing to do by hand)
    #[command(aliases = ["reload-agent", "reconfig"])]
    Reload(Which),
    /// Print the meta-data
    MetaData {
        /// As this caller reads them
        #[arg(long, value_enum, default_value_t = Dialect::Ocf)]
        dialect: Dialect,
    },
    /// Print this help
    Usage,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dialect {
    Ocf,
    Rgmanager,
}

#[derive(Args)]
struct Shown {
    #[command(flatten)]
    which: Which,
    /// The same facts as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ListArgs {
    /// Also those of the other members of the cluster that runs here
    #[arg(long)]
    cluster: bool,
    /// Also those of these hosts: n2,n3
    #[arg(long, conflicts_with = "cluster")]
    nodes: Option<OsString>,
    /// The names alone, one a line
    #[arg(long, conflicts_with = "json")]
    names: bool,
    /// The same facts as one JSON object
    #[arg(long)]
    json: bool,
    /// The libvirt connection URI, or qemu, kvm, xen, lxc
    #[arg(short, long, value_name = "URI")]
    connect: Option<OsString>,
    /// End within so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<f64>,
    /// Any other parameter of a cluster resource (see meta-data), as NAME=VALUE
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE")]
    options: Vec<OsString>,
}

#[derive(Args, Default)]
struct Which {
    /// The virtual machine's name
    name: Option<OsString>,
    /// Folders to search for its definition: /folder:/folder
    #[arg(long)]
    path: Option<OsString>,
    /// The definition's file
    #[arg(long, visible_alias = "config")]
    xmlfile: Option<OsString>,
    /// The libvirt connection URI, or qemu, kvm, xen, lxc
    #[arg(short, long, value_name = "URI")]
    connect: Option<OsString>,
    /// End within so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<f64>,
    /// Act even though a cluster manages it, or it may run on another node
    #[arg(long)]
    force: bool,
    /// Any other parameter of the cluster resource (see meta-data), as NAME=VALUE
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE")]
    options: Vec<OsString>,
}

/// The grammar of the command line, for what is made from it.
#[cfg(test)]
pub(crate) fn command_line() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Carries out what a person typed; the result is the exit code.
#[must_use]
pub fn run(args: &[OsString], env: &Environment) -> u8 {
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
                    (report.code, if shown.json { report.json() } else { report.text() })
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
        Verb::List(ListArgs { cluster, nodes, names, json, connect, timeout, mut options }) => {
            let others = cluster || nodes.is_some();
            options.extend(nodes.map(guard_nodes));
            let which = Which { connect, timeout, options, ..Which::default() };
            let (inv, env) = match which.read(Action::Status, env, verbose) {
                Ok(read) => read,
                Err(code) => return code,
            };
            let list = list::look(&inv, &env, others);
            let text = if json { list.json() } else { list.text(names) };
            if !text.is_empty() {
                say(&mut stdout(), &text);
            }
            list.warnings().for_each(|warning| say(&mut stderr(), &format!("vm-agent: {warning}")));
            missing::tell(&inv, &env, list.code());
            return list.code().number();
        }
        Verb::Convert(args) => return convert::print(&args, env, verbose),
        Verb::Whereis { mut shown, nodes } => {
            shown.which.options.extend(nodes.map(guard_nodes));
            return with(&shown.which, Action::Status, env, verbose, |inv, env| {
                let whereis = whereis::look(inv, env);
                say(&mut stdout(), &if shown.json { whereis.json() } else { whereis.text() });
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
                say(&mut stdout(), &text);
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

/// `--nodes`, as the parameter that it is.
fn guard_nodes(nodes: OsString) -> OsString {
    let mut option = OsString::from("guard_nodes=");
    option.push(nodes);
    option
}

/// The seconds of `--timeout`.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds < 1e9);
    seconds.ok_or_else(|| "expected seconds, more than 0, as in 30 or 0.5".to_owned())
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

impl Which {
    /// The call that was typed; its code, where it is none.
    fn read(&self, action: Action, env: &Environment, verbose: bool) -> Result<(Invocation, Environment), u8> {
        let env = self.environment(env).map_err(|why| {
            say(&mut stderr(), &format!("vm-agent: {why}"));
            Code::Args.number()
        })?;
        logging::init(Caller::Human, &env, "", verbose, None);
        Ok((Invocation::from_manager(Caller::Human, action, None, &env), env))
    }

    /// What was typed, as the environment of a cluster manager would say it.
    fn environment(&self, env: &Environment) -> Result<Environment, String> {
        let mut pairs: Vec<(OsString, OsString)> = env.pairs().to_vec();
        pairs.retain(|(name, _)| !name.as_encoded_bytes().starts_with(b"OCF_"));
        let mut set = |name: &str, value: &Option<OsString>| {
            if let Some(value) = value {
                pairs.push((format!("OCF_RESKEY_{name}").into(), value.clone()));
            }
        };
        set("name", &self.name);
        set("path", &self.path);
        set("config", &self.xmlfile);
        set("hypervisor_uri", &self.connect);
        if let Some(seconds) = self.timeout {
            set("CRM_meta_timeout", &Some(format!("{:.0}", (seconds * 1000.0).ceil()).into()));
        }
        for option in &self.options {
            let text = option.to_str().ok_or("-o: the text is not UTF-8")?;
            let (name, value) = text.split_once('=').ok_or(format!("-o '{text}': expected NAME=VALUE"))?;
            if name == "OCF_CHECK_LEVEL" {
                pairs.push((name.into(), value.into()));
            } else if crate::model::params::find(name.as_bytes()).is_some() {
                pairs.push((format!("OCF_RESKEY_{name}").into(), value.into()));
            } else {
                let meant = by_hand::meant(name, crate::model::params::table().map(|row| row.name));
                return Err(format!("-o '{name}': there is no such parameter (see vm-agent meta-data){meant}"));
            }
        }
        Ok(Environment::from_pairs(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
