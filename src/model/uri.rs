// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirt's connection URIs: `driver[+transport]://[user@][host][:port]/path[?name=value&...]`, and whether the daemon
//! that one names can be asked over its local socket. Pure: nothing is looked up, and nothing is connected.
//!
//! The rules are those of libvirt's own client (`src/remote/remote_driver.c`, `remote_sockets.c`, `docs/uri.rst`). What
//! they do not clearly make a local socket is left to libvirt's library: a guess could ask another daemon.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The drivers that live in a daemon; the others (`test`, `esx`, ...) run inside libvirt's library unless a transport
/// says otherwise.
const DAEMON_DRIVERS: [&str; 7] = ["qemu", "xen", "lxc", "vbox", "bhyve", "ch", "vz"];

/// The parameters that the client keeps to itself; the others go on to the driver.
const CLIENT_PARAMETERS: [&str; 17] = [
    "name",
    "command",
    "socket",
    "auth",
    "sshauth",
    "netcat",
    "keyfile",
    "pkipath",
    "known_hosts",
    "known_hosts_verify",
    "tls_priority",
    "mode",
    "proxy",
    "no_sanity",
    "no_verify",
    "no_tty",
    "authfile",
];

/// A connection URI in its parts, each as it was written: still percent-encoded, so that nothing is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uri {
    /// The hypervisor's driver, as "qemu".
    pub driver: String,
    /// How the daemon is reached ("unix", "ssh", "tls", "tcp", ...), if it was said; in small letters.
    pub transport: Option<String>,
    /// The user to log in as.
    pub user: Option<String>,
    /// The host; an IPv6 address without its brackets.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The path, as "/system".
    pub path: String,
    /// The parameters in their order; one without "=" has an empty value.
    pub query: Vec<(String, String)>,
    /// What follows "#".
    pub fragment: Option<String>,
}

/// Why a text is no connection URI: words that follow "the URI".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAUri(pub &'static str);

impl fmt::Display for NotAUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the URI {}", self.0)
    }
}

impl std::error::Error for NotAUri {}

impl Uri {
    /// Takes a URI apart.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAUri> {
        if text.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(NotAUri("has a blank or a control character"));
        }
        let (scheme, rest) = text.split_once(':').ok_or(NotAUri("names no driver"))?;
        let (driver, transport) = match scheme.split_once('+') {
            Some((driver, transport)) => (driver, Some(transport.to_ascii_lowercase())),
            None => (scheme, None),
        };
        let word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        if !word(driver) {
            return Err(NotAUri("names no driver"));
        }
        if !transport.as_deref().is_none_or(word) {
            return Err(NotAUri("names no transport after its \"+\""));
        }
        let (rest, fragment) = split_off(rest, '#');
        let (rest, query) = split_off(rest, '?');
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.find('/').and_then(|slash| rest.split_at_checked(slash)).unwrap_or((rest, "")),
            None => ("", rest),
        };
        if !path.is_empty() && !path.starts_with('/') {
            return Err(NotAUri("has a path that does not begin with \"/\""));
        }
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self {
            driver: driver.to_owned(),
            transport,
            user,
            host: some(host),
            port,
            path: path.to_owned(),
            query: parameters(query.unwrap_or_default()),
            fragment: fragment.map(str::to_owned),
        })
    }

    /// The decoded value of a parameter; of several the last, as libvirt has it. Names match in any case.
    #[must_use]
    pub(crate) fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        self.query.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| percent_decoded(value))
    }

    /// The sockets at which this URI's daemon can be asked, in the order to try; `None` when it is not to be asked over
    /// a local socket of the system's daemons. `run_dir` is `/run`. A socket that the URI itself names stands alone, and
    /// serves reads and writes alike.
    #[must_use]
    pub(crate) fn local_sockets(&self, read_only: bool, run_dir: &Path) -> Option<Vec<PathBuf>> {
        let local = match self.transport.as_deref() {
            None => DAEMON_DRIVERS.contains(&self.driver.as_str()),
            Some(transport) => transport == "unix",
        };
        if !local || self.host.is_some() || self.user.is_some() || self.port.is_some() {
            return None;
        }
        // Demanding an authentication, even one that the daemon does not ask for, is more than is spoken here.
        if self.parameter("auth").is_some_and(|auth| !auth.eq_ignore_ascii_case(b"none")) {
            return None;
        }
        let path = percent_decoded(&self.path);
        if !path.starts_with(b"/") || path == b"/embed" {
            return None;
        }
        if let Some(socket) = self.parameter("socket") {
            let usable = socket.starts_with(b"/") && !socket.contains(&0);
            return usable.then(|| vec![PathBuf::from(OsString::from_vec(socket))]);
        }
        if path == b"/session" {
            return None;
        }
        let mut sockets = candidate_sockets(&self.driver, read_only, run_dir);
        match self.parameter("mode").as_deref() {
            None | Some(b"auto") => {}
            Some(b"legacy") => sockets = sockets.split_off(sockets.len().saturating_sub(1)),
            Some(b"direct") => sockets.truncate(sockets.len().saturating_sub(1)),
            Some(_) => return None,
        }
        (!sockets.is_empty()).then_some(sockets)
    }

    /// Whether it leads to one of the system's own daemons, where it names a socket; what another daemon's machines are like
    /// here is not known.
    #[must_use]
    pub(crate) fn is_of_the_system(&self, run_dir: &Path) -> bool {
        let Some(socket) = self.parameter("socket") else { return true };
        let socket = PathBuf::from(OsString::from_vec(socket));
        [false, true].iter().any(|read_only| candidate_sockets(&self.driver, *read_only, run_dir).contains(&socket))
    }

    /// What the daemon is asked to open: the URI without its transport, its host, and the parameters that only concern
    /// the client; or what its parameter "name" says.
    #[must_use]
    pub(crate) fn open_name(&self) -> String {
        if let Some(name) = self.parameter("name") {
            return String::from_utf8_lossy(&name).into_owned();
        }
        let for_driver = |name: &str| !CLIENT_PARAMETERS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        let query = self.query.iter().filter(|(name, _)| for_driver(name));
        tail(format!("{}://{}", self.driver, self.path), query, self.fragment.as_deref())
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.driver)?;
        if let Some(transport) = &self.transport {
            write!(f, "+{transport}")?;
        }
        f.write_str("://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if let Some(host) = &self.host {
            if host.contains(':') { write!(f, "[{host}]")? } else { f.write_str(host)? }
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&tail(self.path.clone(), self.query.iter(), self.fragment.as_deref()))
    }
}

fn tail<'a>(mut text: String, query: impl Iterator<Item = &'a (String, String)>, fragment: Option<&'a str>) -> String {
    for (index, (name, value)) in query.enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        // A bare ";" would separate parameters where no "&" follows.
        text.push_str(&name.replace(';', "%3B"));
        text.push('=');
        text.push_str(&value.replace(';', "%3B"));
    }
    if let Some(fragment) = fragment {
        text.push('#');
        text.push_str(fragment);
    }
    text
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), NotAUri> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(NotAUri("has a bracket that is not closed"))?;
            if !after.is_empty() && !after.starts_with(':') {
                return Err(NotAUri("has something between its host and its path"));
            }
            (host, after.strip_prefix(':'))
        }
        None => split_off(place, ':'),
    };
    if host.contains(['[', ']']) {
        return Err(NotAUri("has a bracket where none belongs"));
    }
    match port {
        None | Some("") => Ok((host, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse().map(|port| (host, Some(port))).map_err(|_| NotAUri("has a port that does not exist"))
        }
        Some(_) => Err(NotAUri("has a port that is no number")),
    }
}

/// Parameters stand between "&"; where no "&" follows, between ";".
fn parameters(mut query: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    while !query.is_empty() {
        let (piece, rest) = query.split_once('&').or_else(|| query.split_once(';')).unwrap_or((query, ""));
        query = rest;
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        if !name.is_empty() {
            parameters.push((name.to_owned(), value.to_owned()));
        }
    }
    parameters
}

/// The bytes that a text with `%xx` stands for; a "%" that no two hexadecimal digits follow stands for itself.
#[must_use]
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(byte);
        if byte != b'%' {
            continue;
        }
        if let Some((digits, after)) = after.split_first_chunk::<2>() {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            if let [Some(high), Some(low)] = digits.map(digit) {
                decoded.pop();
                decoded.push(high << 4 | low);
                rest = after;
            }
        }
    }
    decoded
}

/// The daemon that listens at such a socket (`virtqemud-sock`, `libvirt-sock-ro`).
#[must_use]
pub(crate) fn daemon_of(socket: &Path) -> &str {
    let name = socket.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name.split("-sock").next() {
        Some("libvirt") => "libvirtd",
        Some(daemon) => daemon,
        None => name,
    }
}

/// The sockets at which a driver's domains can be asked for, in the order to try: the hypervisor's own daemon
/// (`virtqemud` and so on), then the one for all (`libvirtd`, or `virtproxyd` in its place). `run_dir` is `/run`.
#[must_use]
pub(crate) fn candidate_sockets(driver: &str, read_only: bool, run_dir: &Path) -> Vec<PathBuf> {
    let suffix = if read_only { "sock-ro" } else { "sock" };
    let folder = run_dir.join("libvirt");
    let mut sockets = Vec::with_capacity(2);
    // The driver comes from a URI: it must not lead out of the folder.
    if !driver.is_empty() && driver.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        sockets.push(folder.join(format!("virt{driver}d-{suffix}")));
    }
    sockets.push(folder.join(format!("libvirt-{suffix}")));
    sockets
}
