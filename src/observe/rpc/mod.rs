// SPDX-License-Identifier: GPL-2.0-or-later
//! A small client of libvirt's RPC over the daemon's local socket: what is known about domains, within a deadline.
//!
//! It asks and it waits for events; it must never change anything, never wait without a deadline, and never take an
//! error for an answer: "no such domain" is only ever libvirt's own word for it.

mod daemon;
mod error;
pub mod inbox;
pub mod message;
mod socket;
pub mod xdr;

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::time::Deadline;
use inbox::Inbox;
use message::{Incoming, Procedure};
use socket::{Socket, Wait};
use xdr::{Decoder, Encoder, Malformed, sendable};

pub use daemon::candidate_sockets;
pub use error::RpcError;
pub use message::{Domain, LifecycleEvent, TypedValue};

/// `VIR_DOMAIN_XML_SECURE`: with passwords; needs a connection that is not read-only.
pub const XML_SECURE: u32 = 1;
/// `VIR_DOMAIN_XML_INACTIVE`: what the next start will use.
pub const XML_INACTIVE: u32 = 2;
/// `VIR_DOMAIN_XML_MIGRATABLE`: what another host can use; needs a connection that is not read-only.
pub const XML_MIGRATABLE: u32 = 8;
/// `VIR_CONNECT_LIST_DOMAINS_ACTIVE`.
pub const LIST_ACTIVE: u32 = 1;
/// `VIR_CONNECT_LIST_DOMAINS_INACTIVE`.
pub const LIST_INACTIVE: u32 = 2;
/// `VIR_CONNECT_LIST_DOMAINS_PERSISTENT`.
pub const LIST_PERSISTENT: u32 = 4;
/// `VIR_CONNECT_LIST_DOMAINS_TRANSIENT`.
pub const LIST_TRANSIENT: u32 = 8;

/// `VIR_CONNECT_RO`.
const OPEN_READ_ONLY: u32 = 1;
/// `VIR_DOMAIN_EVENT_ID_LIFECYCLE`.
const EVENT_LIFECYCLE: i32 = 0;
/// Above this many events that nobody takes, the oldest are dropped.
const EVENTS_KEPT: usize = 4096;

/// `virDomainInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// `virDomainState`.
    pub state: u32,
    /// The most memory it may have, in KiB.
    pub max_mem_kib: u64,
    /// The memory it has, in KiB.
    pub mem_kib: u64,
    /// Its virtual processors.
    pub vcpus: u32,
    /// The processor time it has used, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// `virDomainControlInfo`: whether the hypervisor's own control of the domain works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlInfo {
    /// `virDomainControlState`: 0 works, 1 runs a job, 2 occupied, 3 broken.
    pub state: u32,
    /// `virDomainControlErrorReason`.
    pub details: u32,
    /// For how long, in milliseconds.
    pub state_time_ms: u64,
}

/// The statistics of a domain's job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStats {
    /// `virDomainJobType`: 0 is no job.
    pub kind: i32,
    /// Its fields, as libvirt names them.
    pub fields: Vec<(String, TypedValue)>,
}

/// A connection to one of libvirt's daemons.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    inbox: Inbox,
    outbox: Vec<u8>,
    deadline: Deadline,
    serial: u32,
    events: VecDeque<LifecycleEvent>,
    /// Where the stream stands: after an error in the middle of a message nothing more can be read from it.
    state: Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Authenticating,
    Open,
    Broken,
}

impl Connection {
    /// Connects to `socket` and opens the hypervisor that `uri` names (the daemon's own choice without one).
    ///
    /// `deadline` holds for this and for all calls until another is set.
    pub fn open(socket: &Path, uri: Option<&str>, read_only: bool, deadline: Deadline) -> Result<Self, RpcError> {
        sendable(uri.unwrap_or_default())?;
        let mut connection = Self {
            socket: Socket::open(socket, &Wait::new("connecting to it", deadline))?,
            inbox: Inbox::default(),
            outbox: Vec::with_capacity(128),
            deadline,
            serial: 0,
            events: VecDeque::new(),
            state: Stream::Authenticating,
        };
        // The daemon lets root in only after it was asked, so this is no formality even if nothing is demanded.
        let ask = "asking what authentication it wants";
        if let Some(kind) = connection.call(Procedure::AuthList, ask, |_| (), message::demanded_authentication)? {
            return Err(RpcError::AuthenticationRequired(kind));
        }
        let flags = if read_only { OPEN_READ_ONLY } else { 0 };
        let arguments = |call: &mut Encoder<'_>| {
            call.optional_string(uri).u32(flags);
        };
        connection.call(Procedure::ConnectOpen, "opening the hypervisor", arguments, |_| Ok(()))?;
        connection.state = Stream::Open;
        Ok(connection)
    }

    /// Sets the deadline of all calls from now on.
    pub const fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// The domain of this name; `None` only when libvirt says that there is none.
    pub fn lookup_by_name(&mut self, name: &str) -> Result<Option<Domain>, RpcError> {
        sendable(name)?;
        let arguments = |call: &mut Encoder<'_>| {
            call.string(name);
        };
        let found = self.call(Procedure::DomainLookupByName, "looking up the domain", arguments, |reply| {
            let domain = Domain::decode(reply)?;
            if domain.name == name { Ok(domain) } else { Err(Malformed("it names another domain than was asked for")) }
        });
        known(found)
    }

    /// The domain of this UUID; `None` only when libvirt says that there is none.
    pub fn lookup_by_uuid(&mut self, uuid: &[u8; 16]) -> Result<Option<Domain>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| {
            call.uuid(uuid);
        };
        let found = self.call(Procedure::DomainLookupByUuid, "looking up the domain", arguments, |reply| {
            let domain = Domain::decode(reply)?;
            if domain.uuid == *uuid { Ok(domain) } else { Err(Malformed("it names another domain than was asked for")) }
        });
        known(found)
    }

    /// The domain's `virDomainState` and the reason for it; `None` when it has vanished.
    pub fn state(&mut self, domain: &Domain) -> Result<Option<(i32, i32)>, RpcError> {
        let arguments = with_flags(domain, 0);
        let doing = "asking for the domain's state";
        known(self.call(Procedure::DomainGetState, doing, arguments, |reply| Ok((reply.i32()?, reply.i32()?))))
    }

    /// The domain's resources; `None` when it has vanished. An ordinary call: it may hang while a hypervisor does.
    pub fn info(&mut self, domain: &Domain) -> Result<Option<Info>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call);
        let found = self.call(Procedure::DomainGetInfo, "asking for the domain's resources", arguments, |reply| {
            Ok(Info {
                state: reply.u32()?,
                max_mem_kib: reply.u64()?,
                mem_kib: reply.u64()?,
                vcpus: reply.u32()?,
                cpu_time_ns: reply.u64()?,
            })
        });
        known(found)
    }

    /// The domain's definition (`XML_*` flags); `None` when it has vanished. An ordinary call: it may hang while a
    /// hypervisor does.
    pub fn xml(&mut self, domain: &Domain, flags: u32) -> Result<Option<String>, RpcError> {
        let arguments = with_flags(domain, flags);
        let doing = "asking for the domain's definition";
        known(self.call(Procedure::DomainGetXmlDesc, doing, arguments, |reply| reply.text().map(str::to_owned)))
    }

    /// Whether the domain has a definition that outlives it; `None` when it has vanished.
    pub fn is_persistent(&mut self, domain: &Domain) -> Result<Option<bool>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call);
        let doing = "asking whether the domain is persistent";
        known(self.call(Procedure::DomainIsPersistent, doing, arguments, |reply| Ok(reply.i32()? != 0)))
    }

    /// Whether the daemon starts the domain by itself; `None` when it has vanished.
    pub fn autostart(&mut self, domain: &Domain) -> Result<Option<bool>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call);
        let doing = "asking for the domain's autostart";
        known(self.call(Procedure::DomainGetAutostart, doing, arguments, |reply| Ok(reply.i32()? != 0)))
    }

    /// Whether the domain can be controlled; `None` when it has vanished.
    pub fn control_info(&mut self, domain: &Domain) -> Result<Option<ControlInfo>, RpcError> {
        let arguments = with_flags(domain, 0);
        let doing = "asking whether the domain can be controlled";
        known(self.call(Procedure::DomainGetControlInfo, doing, arguments, |reply| {
            Ok(ControlInfo { state: reply.u32()?, details: reply.u32()?, state_time_ms: reply.u64()? })
        }))
    }

    /// The statistics of the domain's running job (`virDomainGetJobStatsFlags`); `None` when it has vanished. An
    /// ordinary call: it may hang while a hypervisor does.
    pub fn job_stats(&mut self, domain: &Domain, flags: u32) -> Result<Option<JobStats>, RpcError> {
        let arguments = with_flags(domain, flags);
        let doing = "asking for the domain's job";
        known(self.call(Procedure::DomainGetJobStats, doing, arguments, |reply| {
            Ok(JobStats { kind: reply.i32()?, fields: message::typed_params(reply)? })
        }))
    }

    /// All domains that `flags` (`LIST_*`, 0 for all) let through.
    pub fn list_all(&mut self, flags: u32) -> Result<Vec<Domain>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| {
            call.i32(1).u32(flags);
        };
        self.call(Procedure::ConnectListAllDomains, "listing the domains", arguments, message::domain_list)
    }

    /// The driver's name, as "QEMU".
    pub fn hypervisor_type(&mut self) -> Result<String, RpcError> {
        let doing = "asking for the hypervisor's type";
        self.call(Procedure::ConnectGetType, doing, |_| (), |reply| reply.words().map(Into::into))
    }

    /// The daemon's host.
    pub fn host_name(&mut self) -> Result<String, RpcError> {
        let doing = "asking for the host's name";
        self.call(Procedure::ConnectGetHostname, doing, |_| (), |reply| reply.words().map(Into::into))
    }

    /// The daemon's version of libvirt: 1,000,000 times major, 1,000 times minor, release.
    pub fn lib_version(&mut self) -> Result<u64, RpcError> {
        self.call(Procedure::ConnectGetLibVersion, "asking for libvirt's version", |_| (), |reply| reply.u64())
    }

    /// The hypervisor's version, in the same form.
    pub fn hypervisor_version(&mut self) -> Result<u64, RpcError> {
        self.call(Procedure::ConnectGetVersion, "asking for the hypervisor's version", |_| (), |reply| reply.u64())
    }

    /// Asks the daemon to send this domain's lifecycle events from now on.
    pub fn watch_lifecycle(&mut self, domain: &Domain) -> Result<(), RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call.i32(EVENT_LIFECYCLE).u32(1));
        let doing = "asking for the domain's events";
        self.call(Procedure::ConnectDomainEventCallbackRegisterAny, doing, arguments, |reply| reply.i32().map(drop))
    }

    /// The next event, waiting for it until `deadline`; `None` then.
    pub fn next_event(&mut self, deadline: Deadline) -> Result<Option<LifecycleEvent>, RpcError> {
        let wait = Wait::new("waiting for an event", deadline);
        loop {
            self.sort(&wait)?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.socket.wait_for_input(&wait)? {
                return Ok(None);
            }
            self.fill(&wait)?;
        }
    }

    /// An event that has already arrived.
    pub fn take_queued_event(&mut self) -> Option<LifecycleEvent> {
        self.events.pop_front()
    }

    /// Takes in what has arrived, without waiting; for a caller that polls this connection together with other things.
    pub fn read_available(&mut self) -> Result<(), RpcError> {
        let wait = Wait::new("waiting for an event", self.deadline);
        while self.fill(&wait)? && !wait.deadline.passed() {
            self.sort(&wait)?;
        }
        self.sort(&wait)
    }

    /// Reads what has arrived: whether anything had.
    fn fill(&mut self, wait: &Wait) -> Result<bool, RpcError> {
        let received = self.socket.receive(self.inbox.make_room(), wait);
        self.broken_by(received)
    }

    /// Sorts out all whole messages that have arrived, none of which answers a call that is waiting.
    fn sort(&mut self, wait: &Wait) -> Result<(), RpcError> {
        while self.next_reply(wait)?.is_some() {}
        Ok(())
    }

    /// The next answer that has arrived; events are queued and pings answered on the way.
    fn next_reply(&mut self, wait: &Wait) -> Result<Option<Reply>, RpcError> {
        let reply = self.try_next_reply(wait);
        self.broken_by(reply)
    }

    fn try_next_reply(&mut self, wait: &Wait) -> Result<Option<Reply>, RpcError> {
        while let Some((header, range)) = self.inbox.take()? {
            match message::incoming(&header, &mut self.inbox.payload(range.clone()))? {
                Incoming::Reply { procedure, serial, failed } => {
                    // The answer to a call that was given up comes late; one to no call at all is not for us.
                    if serial == 0 || serial > self.serial {
                        return Err(RpcError::Protocol("it answers a call that was never made".to_owned()));
                    }
                    return Ok(Some(Reply { procedure, serial, failed, payload: range }));
                }
                Incoming::Lifecycle(event) => {
                    if self.events.len() >= EVENTS_KEPT {
                        self.events.pop_front();
                    }
                    self.events.push_back(event);
                }
                Incoming::Ping => self.socket.send(message::PONG, wait)?,
                Incoming::Stray => {}
            }
        }
        Ok(None)
    }

    /// Remembers that nothing more can be made of the stream when `result` is an error.
    fn broken_by<T>(&mut self, result: Result<T, RpcError>) -> Result<T, RpcError> {
        if result.is_err() {
            self.state = Stream::Broken;
        }
        result
    }

    /// Calls a procedure and decodes its answer.
    fn call<T>(
        &mut self,
        procedure: Procedure,
        doing: &'static str,
        arguments: impl FnOnce(&mut Encoder<'_>),
        decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> Result<T, RpcError> {
        self.serial = self.serial.saturating_add(1);
        arguments(&mut message::call(&mut self.outbox, procedure, self.serial));
        message::finish(&mut self.outbox);
        let payload = self.exchange(procedure, &Wait::new(doing, self.deadline))?;
        let mut reply = self.inbox.payload(payload);
        let value = decode(&mut reply)?;
        reply.end()?;
        Ok(value)
    }

    /// Sends the call in the outbox and waits for its answer: where that is in the inbox.
    fn exchange(&mut self, procedure: Procedure, wait: &Wait) -> Result<Range<usize>, RpcError> {
        if self.state == Stream::Broken {
            return Err(RpcError::Closed { doing: wait.doing, error: None });
        }
        let sent = self.socket.send(&self.outbox, wait);
        self.broken_by(sent)?;
        loop {
            while let Some(reply) = self.next_reply(wait)? {
                if reply.serial != self.serial {
                    continue;
                }
                if reply.procedure != procedure.number() {
                    let mixed_up = RpcError::Protocol("it answers another procedure than was called".to_owned());
                    return self.broken_by(Err(mixed_up));
                }
                if reply.failed {
                    return Err(message::error(&mut self.inbox.payload(reply.payload)));
                }
                return Ok(reply.payload);
            }
            if wait.deadline.passed() || !self.socket.wait_for_input(wait)? {
                return Err(wait.timeout());
            }
            self.fill(wait)?;
        }
    }
}

/// Where an answer is in the inbox.
struct Reply {
    procedure: i32,
    serial: u32,
    failed: bool,
    payload: Range<usize>,
}

/// The arguments of the many calls that take a domain and flags.
fn with_flags(domain: &Domain, flags: u32) -> impl FnOnce(&mut Encoder<'_>) {
    move |call| {
        domain.encode(call);
        call.u32(flags);
    }
}

/// An answer, or `None` when libvirt says that there is no such domain.
fn known<T>(answer: Result<T, RpcError>) -> Result<Option<T>, RpcError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_no_domain() => Ok(None),
        Err(error) => Err(error),
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
