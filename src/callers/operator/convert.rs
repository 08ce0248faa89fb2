// SPDX-License-Identifier: GPL-2.0-or-later
//! convert by hand: reads a predecessor's configuration, and gives the commands of `cluster::convert`. Runs none of them.

use super::input::{self, Unread};
use super::{Which, managed, told};
use crate::cluster::convert::{NotConverted, Shell, Wish, convert};
use crate::cluster::{LARGEST, live_cib};
use crate::model::call::{Action, Environment};
use crate::model::outcome::{Code, Outcome};
use crate::sys::child::find_program;
use crate::sys::time::Deadline;
use clap::{Args, ValueEnum};
use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

/// rgmanager's configuration, where it has it.
const CLUSTER_CONF: &str = "/etc/cluster/cluster.conf";

#[derive(Args)]
pub(super) struct ConvertArgs {
    /// A cluster.conf or a CIB, or - for standard input [default: /etc/cluster/cluster.conf, else Pacemaker's own]
    file: Option<PathBuf>,
    /// These machines or resources alone
    names: Vec<String>,
    /// Whose commands [default: those of pcs, unless crmsh alone is installed]
    #[arg(long, value_enum)]
    to: Option<ConvertTo>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ConvertTo {
    Pcs,
    Crm,
}

/// Prints the commands; gives the exit code.
pub(super) fn print(args: &ConvertArgs, env: &Environment, verbose: bool) -> u8 {
    let (inv, env) = match Which::default().read(Action::Status, env, verbose) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let until = inv.budget().deadline();
    match run(args, &|file| managed::name_in(&inv, &env, file, until), until) {
        Ok(text) => {
            // Half of the commands are not to be taken for all.
            match writeln!(stdout(), "{}", text.trim_end()) {
                Err(why) if why.kind() != ErrorKind::BrokenPipe => {
                    let reason = format!("the commands could not be written whole: {why}");
                    told(&Outcome::new(Code::Generic, reason))
                }
                Ok(()) | Err(_) => Code::Ok.number(),
            }
        }
        Err(outcome) => told(&outcome),
    }
}

/// The commands.
///
/// # Errors
/// There is no configuration, it cannot be read, or it has not what is named.
fn run(args: &ConvertArgs, name_in: &dyn Fn(&Path) -> Option<String>, until: Deadline) -> Result<String, Outcome> {
    let (from, bytes) = read(args.file.as_deref(), until)?;
    let to = match args.to {
        Some(ConvertTo::Pcs) => Shell::Pcs,
        Some(ConvertTo::Crm) => Shell::Crm,
        None if find_program("pcs").is_none() && find_program("crm").is_some() => Shell::Crm,
        None => Shell::Pcs,
    };
    convert(&bytes, &Wish { from: &from, to, names: &args.names, name_in }).map_err(|why| match why {
        NotConverted::Unreadable(why) => Outcome::new(Code::Configured, why),
        NotConverted::Unnamed(why) => Outcome::new(Code::Args, why),
    })
}

/// The configuration, and where it is from.
fn read(file: Option<&Path>, until: Deadline) -> Result<(String, Vec<u8>), Outcome> {
    let Some(file) = file else {
        return match input::read(Path::new(CLUSTER_CONF), LARGEST.0, until) {
            Ok(bytes) => Ok((CLUSTER_CONF.to_owned(), bytes)),
            Err(Unread::Missing) => {
                let cib = live_cib(until).map_err(|why| {
                    let reason =
                        format!("there is no {CLUSTER_CONF}, and no CIB: {why}; name a file, or - for standard input");
                    Outcome::new(Code::Installed, reason)
                })?;
                Ok(("the cluster's CIB".to_owned(), cib))
            }
            Err(why) => Err(unreadable(CLUSTER_CONF, &why)),
        };
    };
    let from = input::name(file);
    // What is too large is told, and not read to its end.
    input::read(file, LARGEST.0, until).map(|bytes| (from.clone(), bytes)).map_err(|why| unreadable(&from, &why))
}

fn unreadable(from: &str, why: &Unread) -> Outcome {
    let name = *why == Unread::Missing && !from.contains(['/', '.']);
    let hint = if name { "; the first word is a file, and names come after it" } else { "" };
    Outcome::new(Code::Configured, format!("{from} cannot be read: {why}{hint}"))
}
