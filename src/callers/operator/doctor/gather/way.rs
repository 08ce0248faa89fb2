// SPDX-License-Identifier: GPL-2.0-or-later
//! The way from this host to another member, as a migration goes it: the name, ssh, and the port for the memory. Nothing is
//! changed by trying it: ssh learns no key, and the port is the last of its range, at which a migration that waits is met
//! only where all others are taken (who connects to a waiting one ends it).

use super::files::home;
use crate::callers::operator::doctor::facts::{KeySeen, Login, Reach, SshSeen, WaySeen};
use crate::host::peers;
use crate::hypervisor::xen::remote;
use crate::model::call::Invocation;
use crate::model::target::{self, Target};
use crate::model::uri::Uri;
use crate::sys::child::{Child, Ended, Finished, find_program};
use crate::sys::hosts;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a port may be silent: a host that is there answers at once.
const PORT: Duration = Duration::from_secs(2);
/// What keeps ssh from learning or doing anything but what it is asked.
const UNCHANGED: [&str; 5] = [
    "-oStrictHostKeyChecking=yes",
    "-oUpdateHostKeys=no",
    "-oClearAllForwardings=yes",
    "-oPermitLocalCommand=no",
    "-oLogLevel=ERROR",
];
/// A name in a pattern's place.
const ANY: &str = "x";

/// Where a migration to a node would connect.
pub(super) fn to(node: &str, inv: &Invocation, source: &str) -> Result<(Target, Uri), String> {
    let uri = peers::uri(node, inv, source)?;
    let parsed = Uri::parse(&uri).map_err(|why| why.to_string())?;
    let target = target::find(node, &inv.params.migration, source, false);
    Ok((target.unwrap_or(Target { node: node.to_owned(), uri, data_uri: None }), parsed))
}

/// Whether a URI is reached by ssh.
pub(super) fn by_ssh(uri: &Uri) -> bool {
    uri.transport.as_deref() == Some("ssh")
}

/// Runs ssh to the host of a URI with a command for its shell; nothing where there is no ssh, or no host in it.
pub(super) fn ssh(uri: &Uri, command: &str, input: &[u8], most: usize, until: Deadline) -> Result<Finished, String> {
    let program = find_program("ssh").ok_or("ssh is not installed")?;
    let (mut args, host) = remote::to(uri, until).ok_or("the URI names no host")?;
    args.extend(UNCHANGED.map(str::to_owned));
    if let Some(key) = uri.parameter("keyfile").and_then(|key| String::from_utf8(key).ok()) {
        args.push(format!("-i{key}"));
    }
    if let Some(known) = uri.parameter("known_hosts").and_then(|known| String::from_utf8(known).ok()) {
        args.push(format!("-oUserKnownHostsFile={known}"));
    }
    args.extend(["-T", "-enone", "--"].map(str::to_owned));
    args.extend([host, command.to_owned()]);
    Child::new(&program).args(args).stdin(input).capture(most).run(until).map_err(|why| why.to_string())
}

/// Goes the way to a node, and tries a port there.
pub(super) fn look(node: &str, target: &Target, uri: &Uri, port: Option<u16>, until: Deadline) -> WaySeen {
    let host = uri.host.clone().unwrap_or_default();
    let addresses = addresses(&host, until);
    let data_host = target.data_uri.as_deref().and_then(|uri| Uri::parse(uri).ok()?.host).filter(|it| *it != host);
    let data = data_host.as_deref().map(|host| self::addresses(host, until));
    let port = match (data.as_ref().unwrap_or(&addresses).first(), port) {
        (Some(address), Some(port)) => reach((*address, port), until),
        (Some(_) | None, _) => Reach::NotTried,
    };
    let data_resolves = data.as_ref().is_none_or(|all| !all.is_empty());
    let ssh = by_ssh(uri).then(|| by_ssh_to(node, uri, until));
    WaySeen { node: node.to_owned(), resolves: !addresses.is_empty(), host, ssh, port, data_host, data_resolves }
}

fn addresses(host: &str, until: Deadline) -> Vec<IpAddr> {
    match host.parse() {
        Ok(address) => vec![address],
        Err(_) => hosts::addresses(host, until),
    }
}

fn reach(at: (IpAddr, u16), until: Deadline) -> Reach {
    let patience = until.at_most(PORT).left();
    if patience.is_zero() {
        return Reach::NotTried;
    }
    match TcpStream::connect_timeout(&at.into(), patience).map_err(|error| error.kind()) {
        Ok(_) | Err(ErrorKind::ConnectionRefused) => Reach::Open,
        Err(ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => Reach::Closed,
        // What this host itself cannot do says nothing.
        Err(_) => Reach::NotTried,
    }
}

fn by_ssh_to(node: &str, uri: &Uri, until: Deadline) -> SshSeen {
    let done = match ssh(uri, "true", b"", 4096, until) {
        Ok(done) => done,
        Err(why) => return SshSeen { said: why, ..SshSeen::default() },
    };
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    let login = login(done.ended, &errors);
    let host = uri.host.as_deref().unwrap_or_default();
    let config = configuration(uri, host, until);
    let value = |name: &str| config.get(name).and_then(|all| all.first()).map(String::as_str);
    let home = home(Path::new("/"));
    let mut seen = SshSeen {
        login,
        said: said(done.ended, &errors),
        unchecked: matches!(value("stricthostkeychecking"), Some("no" | "off" | "false")),
        printed: ascii_line(String::from_utf8_lossy(&done.stdout).trim(), 60),
        ..SshSeen::default()
    };
    seen.key_known = if login == Login::Works { Some(true) } else { is_known(&config, &home, until) };
    if login == Login::Denied {
        let keys = config.get("identityfile").into_iter().flatten().map(|path| expanded(path, &home));
        seen.keys = keys.filter_map(|path| key(&path, until)).collect();
        let own = std::fs::read_to_string(home.join(".ssh/config")).unwrap_or_default();
        let such = |name: &String| configuration(uri, name, until);
        let differs = |other: &BTreeMap<String, Vec<String>>| {
            ["identityfile", "user"].iter().any(|key| !other.is_empty() && other.get(*key) != config.get(*key))
        };
        seen.configured_as = other_names(host, node, &own).into_iter().find(|name| differs(&such(name)));
    }
    seen
}

/// The last that ssh said; nothing where it had no time to.
fn said(ended: Ended, errors: &str) -> String {
    match errors.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => ascii_line(line, 160),
        None if ended == Ended::Exited(255) => {
            "it closes the connection without a word, as sshd does for a while after failed logins (PerSourcePenalties)"
                .into()
        }
        None => String::new(),
    }
}

/// What became of a login, by ssh's end and its own words, which it says in English alone.
fn login(ended: Ended, errors: &str) -> Login {
    match ended {
        Ended::Exited(0) => Login::Works,
        _ if errors.contains("IDENTIFICATION HAS CHANGED") => Login::KeyChanged,
        _ if errors.contains("Host key verification failed") => Login::KeyUnknown,
        _ if errors.contains("Permission denied") || errors.contains("Too many authentication failures") => {
            Login::Denied
        }
        _ if errors.contains("Bad owner or permissions on") || errors.contains("bad configuration option") => {
            Login::Misconfigured
        }
        Ended::Exited(255) | Ended::TimedOut => Login::Silent,
        // The login worked, and there is no shell that runs a command.
        Ended::Exited(_) | Ended::Signalled(_) => Login::Denied,
    }
}

/// What ssh is configured to do for a name, each key with its values; nothing where it does not say.
fn configuration(uri: &Uri, host: &str, until: Deadline) -> BTreeMap<String, Vec<String>> {
    let Some(program) = find_program("ssh") else { return BTreeMap::new() };
    let mut args: Vec<OsString> = vec!["-G".into()];
    args.extend(uri.port.map(|port| format!("-p{port}").into()));
    let user = uri.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    args.extend(["--".into(), format!("{user}{host}").into()]);
    let Ok(done) = Child::new(&program).args(args).run(until) else { return BTreeMap::new() };
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in String::from_utf8_lossy(&done.stdout).lines().filter_map(|line| line.split_once(' ')) {
        found.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    found
}

/// Whether the host's key is known, as ssh would look it up.
fn is_known(config: &BTreeMap<String, Vec<String>>, home: &Path, until: Deadline) -> Option<bool> {
    let program = find_program("ssh-keygen")?;
    let value = |name: &str| config.get(name).and_then(|all| all.first()).map(String::as_str);
    let alias = value("hostkeyalias").filter(|alias| *alias != "none");
    let name = match (alias, value("hostname")?, value("port")) {
        (Some(alias), ..) => alias.to_owned(),
        (None, host, None | Some("22")) => host.to_owned(),
        (None, host, Some(port)) => format!("[{host}]:{port}"),
    };
    let files = ["userknownhostsfile", "globalknownhostsfile"].iter().filter_map(|key| value(key));
    let files = files.flat_map(|files| files.split(' ')).map(|path| expanded(path, home)).filter(|path| path.is_file());
    let mut known = Some(false);
    for file in files {
        let args = [OsString::from("-F"), name.clone().into(), "-f".into(), file.into()];
        match Child::new(&program).args(args).run(until).map(|done| done.ended) {
            Ok(Ended::Exited(0)) => return Some(true),
            Ok(Ended::Exited(_)) => {}
            Ok(Ended::TimedOut | Ended::Signalled(_)) | Err(_) => known = None,
        }
    }
    known
}

/// A path as ssh prints it, where `~` is root's home.
fn expanded(path: &str, home: &Path) -> PathBuf {
    path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |rest| home.join(rest))
}

/// A private key, if it exists.
fn key(path: &Path, until: Deadline) -> Option<KeySeen> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    let asked = find_program("ssh-keygen").and_then(|program| {
        let args = [OsString::from("-y"), "-P".into(), "".into(), "-f".into(), path.into()];
        Child::new(&program).args(args).run(until).ok()
    });
    let said =
        |of: fn(&Finished) -> &Vec<u8>| asked.as_ref().map(|done| String::from_utf8_lossy(of(done)).into_owned());
    let passphrase = said(|done| &done.stderr).is_some_and(|errors| errors.contains("incorrect passphrase"));
    let beside = std::fs::read_to_string(PathBuf::from(format!("{}.pub", path.display()))).ok();
    let words = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    let public = said(|done| &done.stdout).filter(|text| !text.trim().is_empty());
    let other_public = public.zip(beside).is_some_and(|(public, beside)| words(&public) != words(&beside));
    Some(KeySeen { path: path.display().to_string(), mode, passphrase, other_public })
}

/// Other names of the same host: its node's name, the one without a domain, and those that Host lines of this
/// configuration would take it by.
fn other_names(host: &str, node: &str, config: &str) -> Vec<String> {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let mut names = vec![node.to_owned(), short(host)];
    let lines = config.lines().filter_map(|line| line.trim_start().split_once([' ', '\t', '=']));
    let patterns =
        lines.filter(|(word, _)| word.eq_ignore_ascii_case("host")).flat_map(|(_, all)| all.split_whitespace());
    for pattern in patterns.map(|pattern| pattern.trim_matches('"')).filter(|pattern| !pattern.starts_with('!')) {
        let name = pattern.replace(['*', '?'], ANY);
        if short(&name) == short(host) {
            names.push(name);
        }
    }
    let is_address = host.parse::<IpAddr>().is_ok();
    names.retain(|name| !name.is_empty() && !name.eq_ignore_ascii_case(host) && (*name == node || !is_address));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshs_words_tell_its_failures_apart() {
        for (code, words, expected) in [
            (0, "Warning: something", Login::Works),
            (
                255,
                "No ED25519 host key is known for n2 and you have requested strict checking.\nHost key verification failed.\n",
                Login::KeyUnknown,
            ),
            (
                255,
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
                Login::KeyChanged,
            ),
            (255, "root@n2: Permission denied (publickey,password).\n", Login::Denied),
            (255, "ssh: connect to host n2 port 22: Connection refused\n", Login::Silent),
            (255, "Bad owner or permissions on /root/.ssh/config\n", Login::Misconfigured),
            (
                255,
                "/root/.ssh/config: line 1: Bad configuration option: hots\n/root/.ssh/config: terminating, 1 bad configuration options\n",
                Login::Misconfigured,
            ),
            (1, "This account is not available.\n", Login::Denied),
        ] {
            assert_eq!(login(Ended::Exited(code), words), expected, "{words}");
        }
        assert_eq!(login(Ended::TimedOut, ""), Login::Silent);
    }

    #[test]
    fn a_connection_that_is_closed_is_no_silence() {
        assert!(said(Ended::Exited(255), "\n").starts_with("it closes the connection without a word"));
        assert_eq!(said(Ended::TimedOut, ""), "");
        assert_eq!(said(Ended::Exited(255), "a\n b \n"), "b");
    }

    #[test]
    fn a_host_may_be_configured_under_another_form_of_its_name() {
        let config = "Host node2.example node3\n  IdentityFile x\nhost=\"node2-*\" !node2.y\nHost *\n";
        assert_eq!(other_names("node2", "node2", config), ["node2.example"]);
        assert_eq!(other_names("node2.example", "node2", config), ["node2"]);
        assert_eq!(other_names("node2-mig", "node2", config), ["node2"]);
        assert_eq!(other_names("10.0.0.2", "node2", config), ["node2"]);
    }
}
