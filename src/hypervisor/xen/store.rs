// SPDX-License-Identifier: GPL-2.0-or-later
//! xenstore over its daemon's socket: which domains of this host have which names, within a deadline. Only reads.
//!
//! Xen documents the protocol (docs/misc/xenstore.txt): a header of four words (kind, number of the request, transaction,
//! length), then the payload, whose texts end with a NUL. xenstored answers one request after the other.

use crate::hypervisor::rpc::RpcError;
use crate::hypervisor::rpc::socket::{Socket, WaitFor};
use crate::model::facts::{Silence, SilenceKind};
use crate::sys::roots::Roots;
use crate::sys::text::parse_uuid;
use crate::sys::time::Deadline;

/// `XS_DIRECTORY`: the names below a path.
const DIRECTORY: u32 = 1;
/// `XS_READ`: the value of a path.
const READ: u32 = 2;
/// `XS_WATCH_EVENT`: answers no request.
const WATCH_EVENT: u32 = 15;
/// `XS_ERROR`: the payload is an error's name.
const ERROR: u32 = 16;
/// `XS_IS_DOMAIN_INTRODUCED`: whether xenstored knows a domain as made.
const IS_INTRODUCED: u32 = 17;
/// The bytes of a header.
const HEADER: usize = 16;
/// The most that a payload may have.
const MOST: usize = 4096;
/// The domains' folder.
const DOMAINS: &str = "/local/domain";

/// A domain of this host, as xenstore has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number.
    pub id: u32,
    /// Its name; a domain that is being made or taken down has none.
    pub name: Option<String>,
    /// Its UUID.
    pub uuid: Option<[u8; 16]>,
    /// Whether it has been made, and is not gone: what a domain left behind in xenstore is no domain.
    pub introduced: bool,
}

/// All domains of this host but the first, which is this host itself.
///
/// # Errors
/// xenstored does not say.
pub(crate) fn domains(roots: &Roots, deadline: Deadline) -> Result<Vec<Stored>, Silence> {
    Store::open(roots, deadline).and_then(|mut store| store.domains()).map_err(|error| silence(&error))
}

/// What xenstore says of who emulates a domain's hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hardware {
    /// The process of its device model; none where it has none, or that is a domain.
    pub process: Option<u32>,
    /// Whether the guest has drivers for Xen, which may need no such process.
    pub drivers: bool,
}

/// Who emulates the hardware of the domain of this number.
///
/// # Errors
/// xenstored does not say.
pub(crate) fn hardware(roots: &Roots, id: u32, deadline: Deadline) -> Result<Hardware, Silence> {
    let asked = |mut store: Store| {
        let pid = store.ask(READ, &format!("{DOMAINS}/{id}/image/device-model-pid"))?;
        // A guest's drivers say there that they take requests.
        let drivers = store.ask(READ, &format!("{DOMAINS}/{id}/control/feature-poweroff"))?;
        let process = pid.and_then(|pid| std::str::from_utf8(&pid).ok()?.parse().ok());
        Ok(Hardware { process, drivers: drivers.is_some_and(|word| word.starts_with(b"1")) })
    };
    Store::open(roots, deadline).and_then(asked).map_err(|error| silence(&error))
}

/// A connection to xenstored.
struct Store {
    socket: Socket,
    wait: WaitFor,
    number: u32,
}

impl Store {
    fn open(roots: &Roots, deadline: Deadline) -> Result<Self, RpcError> {
        let wait = WaitFor::new("asking xenstored", deadline);
        let socket = Socket::open(&roots.run.join("xenstored/socket"), &wait)?;
        Ok(Self { socket, wait, number: 0 })
    }

    fn domains(&mut self) -> Result<Vec<Stored>, RpcError> {
        let ids = self.ask(DIRECTORY, DOMAINS)?.ok_or_else(|| wrong("there is no /local/domain"))?;
        let mut domains = Vec::new();
        for id in ids.split(|byte| *byte == 0).filter(|id| !id.is_empty()) {
            let text = String::from_utf8_lossy(id);
            let id: u32 = text.parse().map_err(|_| wrong("a domain's number is none"))?;
            if id == 0 {
                continue;
            }
            let name = self.ask(READ, &format!("{DOMAINS}/{id}/name"))?;
            let uuid = self.ask(READ, &format!("{DOMAINS}/{id}/vm"))?;
            let introduced = self.ask(IS_INTRODUCED, &id.to_string())?;
            domains.push(Stored {
                id,
                name: name.map(|name| String::from_utf8_lossy(&name).into_owned()).filter(|name| !name.is_empty()),
                uuid: uuid.and_then(|path| parse_uuid(std::str::from_utf8(&path).ok()?.strip_prefix("/vm/")?)),
                introduced: introduced.is_some_and(|word| word.starts_with(b"T")),
            });
        }
        Ok(domains)
    }

    /// What xenstored answers; nothing, where there is no such path.
    fn ask(&mut self, kind: u32, path: &str) -> Result<Option<Vec<u8>>, RpcError> {
        self.number += 1;
        let length = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        let mut request: Vec<u8> = [kind, self.number, 0, length].iter().flat_map(|word| word.to_ne_bytes()).collect();
        request.extend_from_slice(path.as_bytes());
        request.push(0);
        self.socket.send(&request, &self.wait)?;
        loop {
            let header = self.take(HEADER)?;
            let mut words = header.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_ne_bytes));
            let (Some(answers), Some(number), Some(_), Some(length)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(wrong("a header is too short"));
            };
            let length = usize::try_from(length).ok().filter(|length| *length <= MOST);
            let payload = self.take(length.ok_or_else(|| wrong("an answer is too long"))?)?;
            match answers {
                WATCH_EVENT => {}
                _ if number != self.number => return Err(wrong("an answer is to another request")),
                ERROR if payload.starts_with(b"ENOENT") => return Ok(None),
                ERROR => {
                    let name = String::from_utf8_lossy(&payload).trim_end_matches('\0').to_owned();
                    return Err(wrong(&format!("it refuses: {name}")));
                }
                _ if answers == kind => return Ok(Some(payload)),
                _ => return Err(wrong("an answer is of another kind")),
            }
        }
    }

    /// So many bytes that arrive. Only what was asked for comes, so nothing of a next answer is read.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, RpcError> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            if !self.socket.receive(&mut bytes, &self.wait)? && !self.socket.wait_for_input(&self.wait)? {
                return Err(self.wait.timeout());
            }
        }
        if bytes.len() > length { Err(wrong("it says more than was asked")) } else { Ok(bytes) }
    }
}

fn wrong(what: &str) -> RpcError {
    RpcError::Protocol(what.to_owned())
}

/// What a failed question says of xenstored.
fn silence(error: &RpcError) -> Silence {
    let (kind, why) = match error {
        RpcError::Connect { socket, error: _ } if error.is_nobody_listening() => {
            (SilenceKind::Dead, format!("xenstored does not run (nobody listens at {})", socket.display()))
        }
        RpcError::Connect { socket, error } => {
            (SilenceKind::Refused, format!("xenstored cannot be asked ({}: {error})", socket.display()))
        }
        RpcError::Timeout { waited, .. } => {
            (SilenceKind::Hung, format!("xenstored does not answer (waited {:.1} s)", waited.as_secs_f32()))
        }
        RpcError::Closed { .. } => (SilenceKind::Dead, "xenstored closed the connection".into()),
        RpcError::Protocol(what) => (SilenceKind::Refused, format!("xenstored cannot be understood: {what}")),
        RpcError::AuthenticationRequired(_) | RpcError::Unreached { .. } | RpcError::Libvirt { .. } => {
            (SilenceKind::Refused, format!("xenstored cannot be asked ({error})"))
        }
    };
    Silence { kind, why }
}
