// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirt's messages: the frame, the header, and the values of the few procedures that are called.
//!
//! The facts are libvirt's `src/rpc/virnetprotocol.x`, `src/rpc/virkeepaliveprotocol.x` and
//! `src/remote/remote_protocol.x`. Pure: no I/O. Numbers that libvirt may extend (states, reasons, events, error codes)
//! stay numbers; what would be read wrongly if it were anything else is an error.

use super::error::RpcError;
use super::xdr::{Decoder, Encoder, Malformed};
use rustix::io::Errno;

/// The hypervisors' program (`REMOTE_PROGRAM`), of whose protocol there is one version.
pub(crate) const REMOTE_PROGRAM: u32 = 0x2000_8086;
/// The program that asks whether the other side lives (`KEEPALIVE_PROGRAM`).
pub(crate) const KEEPALIVE_PROGRAM: u32 = 0x6b65_6570;
/// The version of both programs' protocols.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

/// The longest message, its length word included (`VIR_NET_MESSAGE_MAX` and `VIR_NET_MESSAGE_LEN_MAX`).
pub(crate) const MESSAGE_MAX: usize = 33_554_432 + LENGTH_SIZE;
/// The shortest message: a length word and a header.
pub(crate) const MESSAGE_MIN: usize = LENGTH_SIZE + HEADER_SIZE;
const LENGTH_SIZE: usize = 4;
const HEADER_SIZE: usize = 24;

/// `REMOTE_DOMAIN_LIST_MAX`.
const DOMAIN_LIST_MAX: usize = 16_384;
/// `REMOTE_DOMAIN_DISK_ERRORS_MAX`.
pub(crate) const DISK_ERRORS_MAX: u32 = 256;
/// The bytes that a disk's error takes at least: an empty name, the error.
const DISK_ERROR_SIZE: usize = 8;
/// `REMOTE_AUTH_TYPE_LIST_MAX`.
const AUTH_LIST_MAX: usize = 20;
/// Well above `REMOTE_DOMAIN_JOB_STATS_MAX`, which libvirt has raised before.
const TYPED_PARAMS_MAX: usize = 1024;
/// The bytes that a domain takes at least: an empty name, the UUID, the id.
const DOMAIN_SIZE: usize = 24;
/// The bytes that a typed parameter takes at least: an empty name, the type, a word.
const TYPED_PARAM_SIZE: usize = 12;

/// The procedures called, and the events understood (`remote_procedure`). Those that the daemon serves by its priority
/// workers are marked: they are answered even when all ordinary workers hang in a hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Procedure {
    /// Priority.
    ConnectOpen = 1,
    /// Priority.
    ConnectClose = 2,
    /// Ordinary.
    DomainGetXmlDesc = 14,
    /// Priority.
    DomainGetAutostart = 15,
    /// Ordinary.
    DomainGetInfo = 16,
    /// Priority.
    DomainLookupByName = 23,
    /// Priority.
    DomainLookupByUuid = 24,
    /// Priority.
    #[cfg(test)]
    ConnectSupportsFeature = 60,
    /// Priority.
    AuthList = 66,
    /// Priority.
    DomainIsPersistent = 151,
    /// Priority.
    ConnectGetLibVersion = 157,
    /// Ordinary.
    DomainHasManagedSaveImage = 183,
    /// Priority.
    DomainGetState = 212,
    /// Ordinary.
    DomainGetDiskErrors = 263,
    /// Priority.
    ConnectListAllDomains = 273,
    /// Ordinary.
    DomainGetJobStats = 298,
    /// Priority.
    ConnectDomainEventCallbackRegisterAny = 316,
    /// Sent by the daemon.
    DomainEventCallbackLifecycle = 318,
    /// Sent by the daemon.
    DomainEventCallbackReboot = 319,
}

impl Procedure {
    /// Its number.
    #[must_use]
    pub(crate) const fn number(self) -> i32 {
        self as i32
    }
}

/// `virNetMessageType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// A call.
    Call,
    /// The answer to a call.
    Reply,
    /// A message that answers nothing.
    Message,
    /// A piece of a stream.
    Stream,
    /// A call that carries file descriptors.
    CallWithFds,
    /// An answer that carries file descriptors.
    ReplyWithFds,
}

/// `virNetMessageStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageStatus {
    /// Done.
    Ok,
    /// Failed; an error follows.
    Error,
    /// A stream goes on.
    Continue,
}

/// `virNetMessageHeader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The program.
    pub program: u32,
    /// The version of its protocol.
    pub version: u32,
    /// The procedure's number in the program.
    pub procedure: i32,
    /// What kind of message this is.
    pub kind: MessageKind,
    /// Which call it belongs to.
    pub serial: u32,
    /// How the call went.
    pub status: MessageStatus,
}

/// The length of the message that begins with `bytes`, its length word included; `None` while that word is incomplete.
pub(crate) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(word) = bytes.first_chunk::<LENGTH_SIZE>() else { return Ok(None) };
    match usize::try_from(u32::from_be_bytes(*word)) {
        Ok(length) if (MESSAGE_MIN..=MESSAGE_MAX).contains(&length) => Ok(Some(length)),
        Ok(length) if length < MESSAGE_MIN => Err(Malformed("a message is shorter than its header")),
        _ => Err(Malformed("a message is longer than the protocol allows")),
    }
}

/// Reads past a message's length word and its header: what is left of `message` is its payload.
pub(crate) fn header(message: &mut Decoder<'_>) -> Result<Header, Malformed> {
    message.u32()?;
    Ok(Header {
        program: message.u32()?,
        version: message.u32()?,
        procedure: message.i32()?,
        kind: match message.u32()? {
            0 => MessageKind::Call,
            1 => MessageKind::Reply,
            2 => MessageKind::Message,
            3 => MessageKind::Stream,
            4 => MessageKind::CallWithFds,
            5 => MessageKind::ReplyWithFds,
            _ => return Err(Malformed("a message is of no known type")),
        },
        serial: message.u32()?,
        status: match message.u32()? {
            0 => MessageStatus::Ok,
            1 => MessageStatus::Error,
            2 => MessageStatus::Continue,
            _ => return Err(Malformed("a message is of no known status")),
        },
    })
}

/// Starts a call in `out`; [`finish`] must follow the arguments.
pub(crate) fn call(out: &mut Vec<u8>, procedure: Procedure, serial: u32) -> Encoder<'_> {
    out.clear();
    let mut encoder = Encoder::new(out);
    encoder.u32(0).u32(REMOTE_PROGRAM).u32(PROTOCOL_VERSION).i32(procedure.number()).u32(0).u32(serial).u32(0);
    encoder
}

/// Writes the length of the message in `out` into its length word.
pub(crate) fn finish(out: &mut [u8]) {
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
    if let Some(word) = out.first_chunk_mut::<LENGTH_SIZE>() {
        *word = length.to_be_bytes();
    }
}

/// The answer to a keepalive ping: a whole message of the program "keep", version 1, procedure 2, type 2.
pub(crate) const PONG: &[u8; MESSAGE_MIN] = b"\0\0\0\x1ckeep\0\0\0\x01\0\0\0\x02\0\0\0\x02\0\0\0\0\0\0\0\0";

/// What a message means to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// An answer.
    Reply {
        /// The procedure that was called.
        procedure: i32,
        /// Which call it answers.
        serial: u32,
        /// Whether an error follows instead of a value.
        failed: bool,
    },
    /// Something happened to a domain.
    Lifecycle(LifecycleEvent),
    /// The daemon asks whether this client lives.
    Ping,
    /// Something nobody asked for, which does no harm.
    Stray,
}

/// What the message with this header means; `payload` is what follows the header, and is not read for a reply.
pub(crate) fn incoming(header: &Header, payload: &mut Decoder<'_>) -> Result<Incoming, Malformed> {
    if header.program == KEEPALIVE_PROGRAM {
        let ping = header.version == PROTOCOL_VERSION && header.procedure == 1 && header.kind == MessageKind::Message;
        return Ok(if ping { Incoming::Ping } else { Incoming::Stray });
    }
    match header.kind {
        MessageKind::Reply => {
            if header.program != REMOTE_PROGRAM || header.version != PROTOCOL_VERSION {
                return Err(Malformed("an answer is for a program that was not called"));
            }
            let failed = match header.status {
                MessageStatus::Ok => false,
                MessageStatus::Error => true,
                MessageStatus::Continue => return Err(Malformed("an answer promises more to come")),
            };
            Ok(Incoming::Reply { procedure: header.procedure, serial: header.serial, failed })
        }
        MessageKind::Message => {
            let ours = header.program == REMOTE_PROGRAM && header.version == PROTOCOL_VERSION;
            if ours && header.procedure == Procedure::DomainEventCallbackLifecycle.number() {
                lifecycle_event(payload).map(Incoming::Lifecycle)
            } else if ours && header.procedure == Procedure::DomainEventCallbackReboot.number() {
                reboot_event(payload).map(Incoming::Lifecycle)
            } else {
                Ok(Incoming::Stray)
            }
        }
        MessageKind::Stream => Ok(Incoming::Stray),
        MessageKind::ReplyWithFds => Err(Malformed("an answer carries file descriptors that were not asked for")),
        MessageKind::Call | MessageKind::CallWithFds => Err(Malformed("the daemon calls its own client")),
    }
}

/// A domain as libvirt identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteDomain {
    /// Its name; a question mark stands for what was not UTF-8, so that only the UUID identifies it without doubt.
    pub name: String,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its id while it is active, else -1.
    pub id: i32,
}

impl RemoteDomain {
    /// Appends it to a call.
    pub(crate) fn encode(&self, call: &mut Encoder<'_>) {
        call.string(&self.name).uuid(&self.uuid).i32(self.id);
    }

    /// Reads one.
    pub(crate) fn decode(reply: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self { name: reply.words()?.into_owned(), uuid: reply.uuid()?, id: reply.i32()? })
    }
}

/// The guest began anew in the same domain: to libvirt an event of another kind, `VIR_DOMAIN_EVENT_ID_REBOOT`.
pub(crate) const REBOOTED: i32 = i32::MAX;

/// A change in a domain's life (`virDomainEventType`, and its detail).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LifecycleEvent {
    /// The domain's UUID.
    pub uuid: [u8; 16],
    /// `virDomainEventType`: 0 defined, 1 undefined, 2 started, 3 suspended, 4 resumed, 5 stopped, 6 shut down,
    /// 7 suspended by its power management, 8 crashed; or [`REBOOTED`].
    pub event: i32,
    /// Its reason; a number of its own for each event.
    pub detail: i32,
}

/// `remote_domain_event_callback_lifecycle_msg`.
fn lifecycle_event(message: &mut Decoder<'_>) -> Result<LifecycleEvent, Malformed> {
    let _callback = message.i32()?;
    let _name = message.bytes()?;
    let uuid = message.uuid()?;
    let _id = message.i32()?;
    let event = LifecycleEvent { uuid, event: message.i32()?, detail: message.i32()? };
    message.end()?;
    Ok(event)
}

/// `remote_domain_event_callback_reboot_msg`.
fn reboot_event(message: &mut Decoder<'_>) -> Result<LifecycleEvent, Malformed> {
    let _callback = message.i32()?;
    let domain = RemoteDomain::decode(message)?;
    message.end()?;
    Ok(LifecycleEvent { uuid: domain.uuid, event: REBOOTED, detail: 0 })
}

/// `remote_connect_list_all_domains_ret`.
pub(crate) fn domain_list(reply: &mut Decoder<'_>) -> Result<Vec<RemoteDomain>, Malformed> {
    let count = reply.count(DOMAIN_LIST_MAX, DOMAIN_SIZE)?;
    let mut domains = Vec::with_capacity(count);
    for _ in 0..count {
        domains.push(RemoteDomain::decode(reply)?);
    }
    let _total = reply.u32()?;
    Ok(domains)
}

/// `remote_domain_get_disk_errors_ret`: each disk that has failed, with the error (`virDomainDiskErrorCode`).
pub(crate) fn disk_errors(reply: &mut Decoder<'_>) -> Result<Vec<(String, i32)>, Malformed> {
    let count = reply.count(DISK_ERRORS_MAX as usize, DISK_ERROR_SIZE)?;
    let mut errors = Vec::with_capacity(count);
    for _ in 0..count {
        errors.push((reply.words()?.into_owned(), reply.i32()?));
    }
    let _total = reply.i32()?;
    Ok(errors)
}

/// `remote_auth_list_ret`: the kind of authentication that is demanded; `None` when none is.
pub(crate) fn demanded_authentication(reply: &mut Decoder<'_>) -> Result<Option<String>, Malformed> {
    let count = reply.count(AUTH_LIST_MAX, 4)?;
    let mut demanded: Option<String> = None;
    let mut none = count == 0;
    for _ in 0..count {
        let kind = match reply.i32()? {
            0 => {
                none = true;
                continue;
            }
            1 => "sasl".to_owned(),
            2 => "polkit".to_owned(),
            other => format!("unknown ({other})"),
        };
        demanded.get_or_insert(kind);
    }
    Ok(if none { None } else { demanded })
}

/// `VIR_ERR_SYSTEM_ERROR` and `VIR_FROM_RPC`: by these a daemon says that it could not connect to another one.
const NO_CONNECTION: (i32, i32) = (38, 7);

/// `remote_error`. Its first three values are what matters; a message that ends after them is understood too.
pub(crate) fn error(reply: &mut Decoder<'_>) -> RpcError {
    let mut decode = || -> Result<RpcError, Malformed> {
        let (code, from) = (reply.i32()?, reply.i32()?);
        let message = if reply.present()? { reply.words()?.into_owned() } else { "no reason given".to_owned() };
        let nobody = [Errno::NOENT, Errno::CONNREFUSED].map(Errno::raw_os_error);
        if (code, from) == NO_CONNECTION && errno(reply).is_ok_and(|errno| nobody.contains(&errno)) {
            return Ok(RpcError::Unreached { message });
        }
        Ok(RpcError::Libvirt { code, message })
    };
    decode().unwrap_or_else(RpcError::from)
}

/// What the kernel said, of an error that is about no domain: behind the level, and texts.
fn errno(reply: &mut Decoder<'_>) -> Result<i32, Malformed> {
    reply.i32()?;
    if reply.present()? {
        return Err(Malformed("is about a domain"));
    }
    for _ in 0..3 {
        if reply.present()? {
            reply.words()?;
        }
    }
    reply.i32()
}

/// A value of `remote_typed_param`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TypedValue {
    /// `int`.
    Int(i32),
    /// `unsigned int`.
    UInt(u32),
    /// `long long`.
    LongLong(i64),
    /// `unsigned long long`.
    ULongLong(u64),
    /// `double`.
    Double(f64),
    /// A truth value.
    Boolean(bool),
    /// A string; a question mark stands for what was not UTF-8.
    String(String),
}

/// An array of `remote_typed_param`.
pub(crate) fn typed_params(reply: &mut Decoder<'_>) -> Result<Vec<(String, TypedValue)>, Malformed> {
    let count = reply.count(TYPED_PARAMS_MAX, TYPED_PARAM_SIZE)?;
    let mut params = Vec::with_capacity(count);
    for _ in 0..count {
        let field = reply.words()?.into_owned();
        let value = match reply.i32()? {
            1 => TypedValue::Int(reply.i32()?),
            2 => TypedValue::UInt(reply.u32()?),
            3 => TypedValue::LongLong(reply.i64()?),
            4 => TypedValue::ULongLong(reply.u64()?),
            5 => TypedValue::Double(reply.f64()?),
            6 => TypedValue::Boolean(reply.i32()? != 0),
            7 => TypedValue::String(reply.words()?.into_owned()),
            _ => return Err(Malformed("a parameter is of no known type")),
        };
        params.push((field, value));
    }
    Ok(params)
}
