// SPDX-License-Identifier: GPL-2.0-or-later
//! The ways between the members: names, ssh with its keys and files, ports. Of several findings about one login the most
//! particular is told: it is what the others follow from. Pure.

use super::told;
use crate::callers::operator::doctor::facts::{ExamSeen, KeySeen, Login, Reach, SshPath, SshSeen, Untold, WaySeen};
use crate::callers::operator::doctor::finding::CheckFound;
use crate::callers::operator::doctor::table::ExamCheck;
use crate::sys::text::shell_word;
use std::collections::BTreeMap;

/// The mode bits by which others than the owner may write, and may do anything at all.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS: u32 = 0o077;

pub(super) fn judge(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let out: Vec<&str> = told(seen)
        .filter(|(_, exam)| matches!(exam.files.root_login.as_deref(), Some("no" | "forced-commands-only")))
        .map(|(member, _)| member.node.as_str())
        .collect();
    silent(seen, found);
    for (member, exam) in told(seen) {
        // Who can start no program goes no way.
        for way in exam.ways.iter().filter(|_| exam.lacks_pidfd.is_none()) {
            self::way(&member.node, way, out.contains(&way.node.as_str()), found);
        }
        if seen.by_ssh {
            if out.contains(&member.node.as_str()) && is_refused(seen, &member.node) {
                let value = exam.files.root_login.as_deref().unwrap_or_default();
                let text = format!("sshd on {} has PermitRootLogin {value}: no migration gets in", member.node);
                found.push(CheckFound::at(ExamCheck::RootLogin, &member.node, text));
            }
            files(&member.node, &exam.files.ssh, found);
        }
    }
}

/// The members that no ssh gets to, each told once, whoever has tried; one that is offline is told as that.
fn silent(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let mut silent: BTreeMap<(&str, &str), (Vec<&str>, &str)> = BTreeMap::new();
    let is_offline = |node: &str| seen.members.iter().any(|it| it.node == node && it.told == Err(Untold::Offline));
    for (member, exam) in told(seen) {
        for way in exam.ways.iter().filter(|way| way.resolves && !is_offline(&way.node)) {
            let Some(ssh) = way.ssh.as_ref().filter(|ssh| ssh.login == Login::Silent) else { continue };
            silent.entry((&way.node, &way.host)).or_insert((Vec::new(), &ssh.said)).0.push(&member.node);
        }
    }
    for ((node, host), (from, said)) in silent {
        let gets = if from.len() == 1 { "gets" } else { "get" };
        let said = if said.is_empty() { "it did not answer in time" } else { said };
        let text = format!("{} {gets} no connection by ssh to {host}: {said}", from.join(" and "));
        found.push(CheckFound::at(ExamCheck::SshSilent, node, text));
    }
}

fn way(from: &str, way: &WaySeen, root_is_out: bool, found: &mut Vec<CheckFound>) {
    let WaySeen { node, host, .. } = way;
    let works = way.ssh.as_ref().is_some_and(|ssh| ssh.login == Login::Works);
    if !way.resolves && !works {
        let text = format!("{from} does not know the name {host}, by which a migration to {node} connects");
        return found.push(
            CheckFound::at(ExamCheck::NoAddress, from, text).mend(format!("getent ahosts {}", shell_word(host))),
        );
    }
    if let (Some(data), false) = (&way.data_host, way.data_resolves) {
        let text = format!("{from} does not know the name {data}, to which the memory of a migration to {node} goes");
        found
            .push(CheckFound::at(ExamCheck::NoAddress, from, text).mend(format!("getent ahosts {}", shell_word(data))));
    }
    let silent = way.ssh.as_ref().is_some_and(|ssh| ssh.login == Login::Silent);
    if way.port == Reach::Closed && !silent {
        let to = way.data_host.as_ref().unwrap_or(host);
        let text = format!("no migration port of {node} answers {from} at {to}, not even with a refusal");
        let mend = "firewall-cmd --permanent --add-port=49152-49215/tcp && firewall-cmd --reload";
        found.push(CheckFound::at(ExamCheck::PortsClosed, node, text).mend(mend));
    }
    if let Some(ssh) = &way.ssh {
        self::ssh(from, way, ssh, root_is_out, found);
    }
}

fn ssh(from: &str, way: &WaySeen, ssh: &SshSeen, root_is_out: bool, found: &mut Vec<CheckFound>) {
    let WaySeen { node, host, .. } = way;
    let at = |check, text: String| CheckFound::at(check, from, text);
    let quoted = shell_word(host);
    match ssh.login {
        Login::Works => {
            if !ssh.printed.is_empty() {
                let text = format!("a login at {host} without a terminal prints '{}'", ssh.printed);
                found.push(CheckFound::at(ExamCheck::LoginTalks, node, text));
            }
        }
        Login::NotTried => {
            let text = format!("whether {from} gets into {host} by ssh is not known: {}", ssh.said);
            found.push(at(ExamCheck::NotKnown, text));
        }
        // Told of that member, once.
        Login::Silent => {}
        Login::Misconfigured => {
            found.push(at(ExamCheck::SshConfig, format!("ssh on {from} goes to no host: {}", ssh.said)));
        }
        Login::KeyChanged => {
            let text = format!("{host} shows {from} another host key than the one that is known");
            found.push(at(ExamCheck::HostKeyChanged, text).mend(format!("ssh-keygen -R {quoted}")));
        }
        Login::KeyUnknown => {
            let text = format!("{from} does not know the host key of {node} under the name {host}");
            let mend = format!("ssh-keyscan {quoted} >> ~/.ssh/known_hosts");
            found.push(at(ExamCheck::HostKeyUnknown, text).mend(mend));
        }
        // Why is told of that member itself.
        Login::Denied if root_is_out => {}
        Login::Denied => found.push(denied(from, way, ssh)),
    }
    if ssh.unchecked {
        found.push(at(ExamCheck::HostKeyUnchecked, format!("ssh on {from} takes any host key of {host}")));
    }
}

/// Why no key was good enough, as far as it is seen from here.
fn denied(from: &str, way: &WaySeen, ssh: &SshSeen) -> CheckFound {
    let WaySeen { node, host, .. } = way;
    let at = |check, text: String| CheckFound::at(check, from, text);
    if let Some(other) = &ssh.configured_as {
        return at(
            ExamCheck::HostPattern,
            format!(
                "~/.ssh/config on {from} has an entry for {other}, and none for {host}, by which a migration connects"
            ),
        )
        .mend(format!("ssh -G {} | grep -E '^(user|identityfile) '", shell_word(host)));
    }
    let paths = |keys: &[&KeySeen]| keys.iter().map(|key| shell_word(&key.path)).collect::<Vec<_>>().join(" ");
    let open: Vec<&KeySeen> = ssh.keys.iter().filter(|key| key.mode & OTHERS != 0).collect();
    if !open.is_empty() {
        let text = format!("{} on {from} can be read by others: ssh does not use it at {host}", paths(&open));
        return at(ExamCheck::KeyReadable, text).mend(format!("chmod 600 {}", paths(&open)));
    }
    let locked: Vec<&KeySeen> = ssh.keys.iter().filter(|key| key.passphrase).collect();
    if !locked.is_empty() && locked.len() == ssh.keys.len() {
        let text = format!("{} on {from} has a passphrase, and {host} lets in by no other key", paths(&locked));
        return at(ExamCheck::KeyLocked, text).mend("ssh-keygen -t ed25519 -N '' -f ~/.ssh/id_ed25519_cluster");
    }
    let others: Vec<&KeySeen> = ssh.keys.iter().filter(|key| key.other_public).collect();
    if let Some(key) = others.first() {
        let text =
            format!("{}.pub on {from} is not of the private key beside it: {host} lets it in by neither", key.path);
        let path = shell_word(&key.path);
        return at(ExamCheck::OtherPublicKey, text).mend(format!("ssh-keygen -y -f {path} >{path}.pub"));
    }
    if ssh.keys.is_empty() {
        let text = format!("root on {from} has no key for ssh to {host}");
        let make = "ssh-keygen -t ed25519 -N '' -f ~/.ssh/id_ed25519";
        return at(ExamCheck::NoKey, text).mend(make).mend(format!("ssh-copy-id {}", shell_word(host)));
    }
    let said = if ssh.said.is_empty() { "it runs no command there" } else { &ssh.said };
    let text = format!("{host} does not let {from} in by ssh without a password: {said}");
    at(ExamCheck::SshRefused, text)
        .mend(format!("ssh-copy-id {}", shell_word(host)))
        .mend(format!("ssh -o BatchMode=yes {} true  # shows whether {node} lets it in now", shell_word(host)))
}

/// Whether somebody is not let in at a member. (Another user may be meant.)
fn is_refused(seen: &ExamSeen, node: &str) -> bool {
    let ways = told(seen).flat_map(|(_, exam)| &exam.ways).filter(|way| way.node == node);
    ways.filter_map(|way| way.ssh.as_ref()).any(|ssh| ssh.login == Login::Denied)
}

fn files(node: &str, paths: &[SshPath], found: &mut Vec<CheckFound>) {
    for SshPath { path, mode, uid, label } in paths {
        let quoted = shell_word(path);
        let is_key = path.rsplit('/').next().is_some_and(|name| name.starts_with("id_"));
        // ssh itself looks at the modes of root's own keys alone.
        if is_key && *uid != 0 && !path.ends_with(".pub") {
            let text = format!("{path} on {node} is of user {uid}, who can read it");
            let mend = format!("chown root:root {quoted} && chmod 600 {quoted}");
            found.push(CheckFound::at(ExamCheck::KeyReadable, node, text).mend(mend));
        }
        if !is_key && (mode & OTHERS_WRITE != 0 || *uid != 0) {
            let text =
                format!("{path} on {node} has the mode {mode:o} and is of user {uid}: sshd passes by the keys in it");
            let mend = format!("chown root:root {quoted} && chmod go-w {quoted}");
            found.push(CheckFound::at(ExamCheck::SshFilesOpen, node, text).mend(mend));
        }
        // The home has a label of its own.
        let labelled = label.as_ref().is_none_or(|label| label.contains(":ssh_home_t")) || !path.contains("/.ssh");
        if !labelled {
            let text = format!("{path} on {node} has the label {}", label.as_deref().unwrap_or_default());
            found.push(CheckFound::at(ExamCheck::SshLabel, node, text).mend("restorecon -R ~/.ssh"));
        }
    }
}
