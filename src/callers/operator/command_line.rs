// SPDX-License-Identifier: GPL-2.0-or-later
//! The grammar of what a person types, and the call that it is read as.

use super::{by_hand, convert};
use crate::callers::logging;
use crate::model::call::{Action, Caller, Environment, Invocation};
use crate::model::outcome::Code;
use crate::sys::text::say;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::stderr;
use std::path::PathBuf;

/// Runs a virtual machine as a cluster resource, and tells the truth about it.
///
/// Cluster managers call this program as vm.sh, vm or VirtualDomain, with parameters in the environment; these are the
/// words for a person. The exit codes are the same: 0 done or running, 7 not running, 1 failed or not knowable, 2 wrong
/// arguments, 3 no such action, 4 refused by hand since a cluster manages it, 5 something is missing here, 6 wrong
/// parameters. Clusters are also told 150 (rgmanager: the migration failed, it runs on here) and 190 (Pacemaker: it runs,
/// but not as it should). whereis counts copies: 0 one, 7 none, 190 more than one, 1 not known.
#[derive(Parser)]
#[command(name = "vm-agent", version, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Subcommand)]
pub(super) enum Verb {
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
    /// Show the records of what was done with it here: each action, its answer and the reason
    History {
        #[command(flatten)]
        which: Which,
        /// The most records
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        lines: usize,
        /// Each record as one JSON object on a line, with its facts: what replay reads
        #[arg(long)]
        json: bool,
    },
    /// Decide recorded actions again, by the facts that they tell, and say whether the same comes of them
    Replay {
        /// What history --json has printed, or journalctl --all --output=json; - for standard input
        file: PathBuf,
        /// Print each as a story, facts above a line and what was decided below it, for a file of tests/scenarios
        #[arg(long)]
        story: bool,
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
    /// Say what is wrong with this host, all members of the cluster, and a machine, before it matters
    Doctor {
        #[command(flatten)]
        shown: Shown,
        /// Print the commands that mend what was found, and run none of them
        #[arg(long, conflicts_with = "json")]
        fix_hints: bool,
        /// The other hosts to ask, in place of the cluster's members: n2,n3
        #[arg(long)]
        nodes: Option<OsString>,
    },
    /// Print the commands that make a predecessor's machines resources of this agent, and what has no counterpart
    Convert(convert::ConvertArgs),
    /// Say what Pacemaker would do if something happened, and do nothing
    Plan(PlanArgs),
    /// Print what is known of this host's machines for Prometheus: their states, and what became of their actions
    Metrics(MetricsArgs),
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
pub(super) enum Dialect {
    Ocf,
    Rgmanager,
}

#[derive(Args)]
pub(super) struct Shown {
    #[command(flatten)]
    pub which: Which,
    /// The same facts as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub(super) struct ListArgs {
    /// Also those of the other members of the cluster that runs here
    #[arg(long)]
    pub cluster: bool,
    /// Also those of these hosts: n2,n3
    #[arg(long, conflicts_with = "cluster")]
    pub nodes: Option<OsString>,
    /// The names alone, one a line
    #[arg(long, conflicts_with = "json")]
    pub names: bool,
    /// The same facts as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The libvirt connection URI, or qemu, kvm, xen, lxc
    #[arg(short, long, value_name = "URI")]
    pub connect: Option<OsString>,
    /// End within so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub timeout: Option<f64>,
    /// Any other parameter of a cluster resource (see meta-data), as NAME=VALUE
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<OsString>,
}

#[derive(Args)]
pub(super) struct PlanArgs {
    /// A whole CIB (cibadmin --query), or - for standard input [default: that of the Pacemaker that runs here]
    #[arg(long, value_name = "FILE")]
    pub cib: Option<PathBuf>,
    /// A node is lost; may be given again
    #[arg(long, value_name = "NODE")]
    pub node_lost: Vec<String>,
    /// A virtual machine or resource is moved to another node
    #[arg(long = "move", value_name = "NAME", requires = "to")]
    pub name: Option<String>,
    /// The node to move it to
    #[arg(long, value_name = "NODE", requires = "name")]
    pub to: Option<String>,
    /// libvirt's daemon is dead on a node; may be given again
    #[arg(long, value_name = "NODE")]
    pub libvirtd_dead: Vec<String>,
    /// A virtual machine dies where it runs
    #[arg(long, value_name = "NAME")]
    pub dies: Option<String>,
    /// End within so many seconds
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "30")]
    pub timeout: f64,
}

#[derive(Args)]
pub(super) struct MetricsArgs {
    /// The file to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The libvirt connection URI, or qemu, kvm, xen, lxc
    #[arg(short, long, value_name = "URI")]
    pub connect: Option<OsString>,
    /// End within so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub timeout: Option<f64>,
}

#[derive(Args, Default)]
pub(super) struct Which {
    /// The virtual machine's name
    pub name: Option<OsString>,
    /// Folders to search for its definition: /folder:/folder
    #[arg(long)]
    pub path: Option<OsString>,
    /// The definition's file
    #[arg(long, visible_alias = "config")]
    pub xmlfile: Option<OsString>,
    /// The libvirt connection URI, or qemu, kvm, xen, lxc
    #[arg(short, long, value_name = "URI")]
    pub connect: Option<OsString>,
    /// End within so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub timeout: Option<f64>,
    /// Act even though a cluster manages it, or it may run on another node
    #[arg(long)]
    pub force: bool,
    /// Any other parameter of the cluster resource (see meta-data), as NAME=VALUE
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<OsString>,
}

/// The grammar of the command line, for what is made from it.
#[cfg(test)]
pub(crate) fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

impl Which {
    /// The call that was typed; its code, where it is none.
    pub(super) fn read(
        &self,
        action: Action,
        env: &Environment,
        verbose: bool,
    ) -> Result<(Invocation, Environment), u8> {
        let env = self.environment(env).map_err(|why| {
            say(&mut stderr(), &format!("vm-agent: {why}"));
            Code::Args.number()
        })?;
        logging::to_terminal(&env, verbose);
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

/// The seconds of `--timeout`.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds < 1e9);
    seconds.ok_or_else(|| "expected seconds, more than 0, as in 30 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
