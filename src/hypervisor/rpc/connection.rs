// SPDX-License-Identifier: GPL-2.0-or-later
//! One connection: opening it, making a call, waiting for events, taking leave.
//!
//! There is at most one call at a time. Whatever else arrives meanwhile is taken care of here: events are queued, pings
//! answered, and the answers to calls that were given up are dropped.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use super::error::RpcError;
use super::inbox::Inbox;
use super::message::{self, Incoming, LifecycleEvent, Procedure, RemoteDomain};
use super::socket::{Socket, WaitFor};
use super::xdr::{Decoder, Encoder, Malformed, sendable};
use crate::sys::time::Deadline;

/// `VIR_CONNECT_RO`.
const OPEN_READ_ONLY: u32 = 1;
/// `VIR_DOMAIN_EVENT_ID_LIFECYCLE`.
const EVENT_LIFECYCLE: i32 = 0;
/// `VIR_DOMAIN_EVENT_ID_REBOOT`.
const EVENT_REBOOT: i32 = 1;
/// Above this many events that nobody takes, the oldest are dropped.
const EVENTS_KEPT: usize = 4096;

/// How long the daemon may take to see a client off. It takes a tenth of a millisecond, and longer only on a busy host.
const LEAVE: Duration = Duration::from_millis(250);

/// A connection to one of libvirt's daemons.
pub(crate) struct Connection {
    socket: Socket,
    inbox: Inbox,
    outbox: Vec<u8>,
    deadline: Deadline,
    serial: u32,
    events: VecDeque<LifecycleEvent>,
    stream: StreamState,
    /// What the call was doing that was given up.
    given_up: &'static str,
}

/// Without what came over it, which may be a definition.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a connection ({:?})", self.stream)
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamState {
    /// It has not been let in yet.
    Greeting,
    /// The last call was answered.
    Open,
    /// The last call was given up; its answer may still come.
    Late,
    /// Nothing more can be made of what comes: it ended, or stopped in the middle of a message.
    Broken,
}

impl Connection {
    /// Connects to `socket` and opens the hypervisor that `uri` names (the daemon's own choice without one).
    ///
    /// `deadline` holds for this and for all calls until another is set.
    pub(crate) fn open(
        socket: &Path,
        uri: Option<&str>,
        read_only: bool,
        deadline: Deadline,
    ) -> Result<Self, RpcError> {
        sendable(uri.unwrap_or_default())?;
        let mut connection = Self {
            socket: Socket::open(socket, &WaitFor::new("connecting", deadline))?,
            inbox: Inbox::default(),
            outbox: Vec::with_capacity(128),
            deadline,
            serial: 0,
            events: VecDeque::new(),
            stream: StreamState::Greeting,
            given_up: "",
        };
        match connection.greet(uri, read_only) {
            Ok(()) => Ok(connection),
            // No domain has been asked for: this must not pass for an answer about one.
            Err(error) if error.is_no_domain() => Err(RpcError::Protocol(format!("too early, {error}"))),
            Err(error) => Err(error),
        }
    }

    fn greet(&mut self, uri: Option<&str>, read_only: bool) -> Result<(), RpcError> {
        // The daemon lets root in only after it was asked, so this is no formality even if nothing is demanded.
        let doing = "asking what authentication it wants";
        if let Some(kind) = self.call(Procedure::AuthList, doing, |_| (), message::demanded_authentication)? {
            return Err(RpcError::AuthenticationRequired(kind));
        }
        self.stream = StreamState::Open;
        let arguments = |call: &mut Encoder<'_>| {
            call.optional_string(uri).u32(if read_only { OPEN_READ_ONLY } else { 0 });
        };
        self.call(Procedure::ConnectOpen, "opening the hypervisor", arguments, |_| Ok(()))
    }

    /// Sets the deadline of all calls from now on.
    pub(crate) const fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// Asks the daemon to send this domain's lifecycle events from now on.
    pub(crate) fn watch_lifecycle(&mut self, domain: &RemoteDomain) -> Result<(), RpcError> {
        self.watch(domain, EVENT_LIFECYCLE, "asking for the domain's events")
    }

    /// Asks the daemon to send this domain's reboots from now on, too: they come as [`message::REBOOTED`].
    pub(crate) fn watch_reboots(&mut self, domain: &RemoteDomain) -> Result<(), RpcError> {
        self.watch(domain, EVENT_REBOOT, "asking for the domain's reboots")
    }

    fn watch(&mut self, domain: &RemoteDomain, kind: i32, doing: &'static str) -> Result<(), RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call.i32(kind).u32(1));
        self.call(Procedure::ConnectDomainEventCallbackRegisterAny, doing, arguments, |reply| reply.i32().map(drop))
    }

    /// The next event, waiting for it until `deadline`; `None` then.
    #[cfg(test)]
    pub(crate) fn next_event(&mut self, deadline: Deadline) -> Result<Option<LifecycleEvent>, RpcError> {
        let wait = WaitFor::new("waiting for an event", deadline);
        let mut looked = false;
        loop {
            self.sort(&wait)?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            // What has arrived already is looked at even when the deadline has passed, but only once.
            self.usable(&wait)?;
            if (looked && deadline.passed()) || !self.socket.wait_for_input(&wait)? {
                return Ok(None);
            }
            self.fill(&wait)?;
            looked = true;
        }
    }

    /// An event that has already arrived.
    pub(crate) fn take_queued_event(&mut self) -> Option<LifecycleEvent> {
        self.events.pop_front()
    }

    /// Forgets events that have already arrived.
    pub(crate) fn forget_events(&mut self, such: impl Fn(&LifecycleEvent) -> bool) {
        self.events.retain(|event| !such(event));
    }

    /// Takes in what has arrived, without waiting; for a caller that polls this connection together with other things.
    pub(crate) fn read_available(&mut self) -> Result<(), RpcError> {
        let wait = WaitFor::new("waiting for an event", self.deadline);
        while self.fill(&wait)? && !wait.deadline.passed() {
            self.sort(&wait)?;
        }
        self.sort(&wait)
    }

    /// Whether a call was given up, and its answer may still come.
    #[must_use]
    pub(crate) fn is_late(&self) -> bool {
        self.stream == StreamState::Late
    }

    /// Waits for the answer to the call that was given up, if one was. To ask anew meanwhile would occupy one more of
    /// the daemon's workers, which are few, and get no earlier answer.
    pub(crate) fn catch_up(&mut self) -> Result<(), RpcError> {
        let wait = WaitFor::new(self.given_up, self.deadline);
        loop {
            self.sort(&wait)?;
            if !self.is_late() {
                return Ok(());
            }
            if wait.deadline.passed() || !self.socket.wait_for_input(&wait)? {
                return Err(wait.timeout());
            }
            self.fill(&wait)?;
        }
    }

    /// Reads what has arrived: whether anything had.
    fn fill(&mut self, wait: &WaitFor) -> Result<bool, RpcError> {
        self.usable(wait)?;
        let received = self.socket.receive(self.inbox.make_room(), wait);
        self.broken_by(received)
    }

    /// Sorts out all whole messages that have arrived, none of which answers a call that is waiting.
    fn sort(&mut self, wait: &WaitFor) -> Result<(), RpcError> {
        while let Some(reply) = self.next_reply(wait)? {
            if reply.serial == self.serial && self.stream == StreamState::Late {
                self.stream = StreamState::Open;
            }
        }
        Ok(())
    }

    /// The next answer that has arrived; events are queued and pings answered on the way.
    fn next_reply(&mut self, wait: &WaitFor) -> Result<Option<ReplyAt>, RpcError> {
        let reply = self.try_next_reply(wait);
        self.broken_by(reply)
    }

    fn try_next_reply(&mut self, wait: &WaitFor) -> Result<Option<ReplyAt>, RpcError> {
        if self.stream == StreamState::Broken {
            return Ok(None);
        }
        while let Some((header, range)) = self.inbox.take()? {
            match message::incoming(&header, &mut self.inbox.payload(range.clone()))? {
                Incoming::Reply { procedure, serial, failed } => {
                    // The answer to a call that was given up comes late; one to no call at all is not for us.
                    if serial == 0 || serial > self.serial {
                        return Err(RpcError::Protocol("an answer is for a call that was never made".to_owned()));
                    }
                    return Ok(Some(ReplyAt { procedure, serial, failed, payload: range }));
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

    /// An error once nothing more can be made of the stream.
    fn usable(&self, wait: &WaitFor) -> Result<(), RpcError> {
        match self.stream {
            StreamState::Broken => Err(RpcError::Closed { doing: wait.doing, error: None }),
            StreamState::Greeting | StreamState::Open | StreamState::Late => Ok(()),
        }
    }

    /// Remembers that nothing more can be made of the stream when `result` is an error.
    fn broken_by<T>(&mut self, result: Result<T, RpcError>) -> Result<T, RpcError> {
        if result.is_err() {
            self.stream = StreamState::Broken;
        }
        result
    }

    /// Calls a procedure and decodes its answer.
    pub(super) fn call<T>(
        &mut self,
        procedure: Procedure,
        doing: &'static str,
        arguments: impl FnOnce(&mut Encoder<'_>),
        decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> Result<T, RpcError> {
        self.serial = self.serial.saturating_add(1);
        arguments(&mut message::call(&mut self.outbox, procedure, self.serial));
        message::finish(&mut self.outbox);
        let payload = self.exchange(procedure, &WaitFor::new(doing, self.deadline))?;
        let mut reply = self.inbox.payload(payload);
        let value = decode(&mut reply)?;
        reply.end()?;
        Ok(value)
    }

    /// Sends the call in the outbox and waits for its answer: where that is in the inbox.
    fn exchange(&mut self, procedure: Procedure, wait: &WaitFor) -> Result<Range<usize>, RpcError> {
        self.usable(wait)?;
        if wait.deadline.passed() {
            return Err(wait.timeout());
        }
        let sent = self.socket.send(&self.outbox, wait);
        self.broken_by(sent)?;
        loop {
            while let Some(reply) = self.next_reply(wait)? {
                if reply.serial != self.serial {
                    continue;
                }
                if self.stream == StreamState::Late {
                    self.stream = StreamState::Open;
                }
                if reply.procedure != procedure.number() {
                    let mixed_up = RpcError::Protocol("an answer is for another procedure than was called".to_owned());
                    return self.broken_by(Err(mixed_up));
                }
                if reply.failed {
                    return Err(message::error(&mut self.inbox.payload(reply.payload)));
                }
                return Ok(reply.payload);
            }
            if wait.deadline.passed() || !self.socket.wait_for_input(wait)? {
                self.stream = StreamState::Late;
                self.given_up = wait.doing;
                return Err(wait.timeout());
            }
            self.fill(wait)?;
        }
    }
}

impl Drop for Connection {
    /// Takes leave: the daemon writes an error to its log for each client that just goes, and for each that goes before
    /// it has read the answer to its leave-taking. A daemon that is late anyway is not waited for.
    fn drop(&mut self) {
        if self.stream == StreamState::Open {
            self.deadline = Deadline::after(LEAVE);
            // Whether this works changes nothing: the connection ends.
            let _ = self.call(Procedure::ConnectClose, "closing the connection", |_| (), |_| Ok(()));
        }
    }
}

/// Where an answer is in the inbox.
struct ReplyAt {
    procedure: i32,
    serial: u32,
    failed: bool,
    payload: Range<usize>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
