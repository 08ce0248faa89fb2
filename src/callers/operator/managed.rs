// SPDX-License-Identifier: GPL-2.0-or-later
//! What the cluster that runs here has to do with a virtual machine. One that manages it must be told what a person
//! wants, or it takes what the person did for a failure; one that leaves it to people still knows where else it may run.

use super::members;
use crate::cluster::{self, Cluster, Manager, Resource, Wanted};
use crate::host::look::Looker;
use crate::host::records;
use crate::model::budget::Share;
use crate::model::call::{Action, Environment, Invocation};
use crate::model::params::Params;
use crate::sys::roots::Roots;
use crate::sys::text::{shell_word, shown};
use crate::sys::time::Deadline;
use std::path::Path;

/// The sentence that refuses what a person wants to do, for the cluster's sake.
#[must_use]
pub(super) fn refusal(inv: &Invocation, env: &Environment) -> Option<String> {
    // What a cluster says in its place: pcs resource, clusvcadm, and what follows the resource's name.
    let host = inv.target.as_ref().map_or_else(|| "NODE".to_owned(), |host| shown(host));
    let (verb, option, to) = match inv.action {
        Action::Stop | Action::Kill => ("disable", "-d", (String::new(), String::new())),
        Action::Start => ("enable", "-e", (String::new(), String::new())),
        Action::Restart | Action::Recover => ("restart", "-R", (String::new(), String::new())),
        Action::Migrate => ("move", "-M", (format!(" {host}"), format!(" -m {host}"))),
        Action::Status
        | Action::Monitor
        | Action::MetaData
        | Action::ValidateAll
        | Action::Reload
        | Action::MigrateTo
        | Action::MigrateFrom
        | Action::Usage => return None,
    };
    let until = Deadline::after(inv.budget().share(Share::Cluster, inv.timeout));
    let (kind, resource) = match ask(inv, env, until) {
        Cluster::None => return None,
        Cluster::Unknown(why) => {
            return Some(format!(
                "cannot tell whether a cluster manages this virtual machine: {why}; nothing was done: \
                 see what the cluster says of it, or add --force"
            ));
        }
        Cluster::Runs(kind, resource) => (kind, resource),
    };
    if let Some(Resource { name, managed: true, .. }) = &resource {
        let service = shell_word(name);
        let instead = match kind {
            // A service is relocated: rgmanager moves none while it runs.
            Manager::Rgmanager if option == "-M" && name.starts_with("service:") => {
                format!("clusvcadm -r {service}{}", to.1)
            }
            Manager::Rgmanager => format!("clusvcadm {option} {service}{}", to.1),
            Manager::Pacemaker => format!("pcs resource {verb} {service}{}", to.0),
        };
        return Some(format!(
            "nothing was done: {} manages this virtual machine as '{name}'; use '{instead}', or add --force",
            kind.word()
        ));
    }
    // A stop here is harmless elsewhere, and a migration asks its target itself.
    let starts = matches!(inv.action, Action::Start | Action::Restart | Action::Recover);
    if starts { members::refusal(inv, env, kind, resource.as_ref(), until) } else { None }
}

/// Asks the cluster that runs here about the virtual machine of this call.
pub(super) fn ask(inv: &Invocation, env: &Environment, until: Deadline) -> Cluster {
    let Some(software) = cluster::here() else { return Cluster::None };
    let name_in = |config: &Path| name_in(inv, env, config, until);
    let config = inv.params.definition_is_from();
    let name = inv.params.name.clone().or_else(|| name_in(config?));
    let asked = Wanted { name, config, name_in: &name_in };
    cluster::ask(software, &asked, until)
}

/// The name in a definition's file, if it can be read in time.
pub(super) fn name_in(inv: &Invocation, env: &Environment, config: &Path, until: Deadline) -> Option<String> {
    let params = Params { name: None, config: Some(config.to_owned()), definition_command: None, ..inv.params.clone() };
    let of_file = Invocation { params, ..inv.clone() };
    let mut looker = Looker::new(&of_file, env, Roots::default());
    if !until.passed() {
        looker.read_definition_by(&of_file, inv.budget().until(Share::ResourceFile, until));
    }
    // What is no file is the text of a command, which is not run for this.
    let seen_before = || records::known(&looker.roots.run, config).map(|known| known.name);
    looker.name().map(str::to_owned).or_else(seen_before)
}
