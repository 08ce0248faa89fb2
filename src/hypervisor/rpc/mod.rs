// SPDX-License-Identifier: GPL-2.0-or-later
//! A small client of libvirt's RPC over the daemon's local socket: what is known about domains, within a deadline.
//!
//! It asks and it waits for events; it must never change anything, never wait without a deadline, and never take an
//! error for an answer: "no such domain" is only ever libvirt's own word for it.
//!
//! `xdr`, `message` and `inbox` turn bytes into values without any I/O; `socket` waits; `connection` brings them
//! together, and `calls` is what can be asked. libvirt documents its protocol as an interface for other clients
//! (docs/support.rst, "RPC protocol"); it is defined by `src/rpc/virnetprotocol.x`, `src/rpc/virkeepaliveprotocol.x`
//! and `src/remote/remote_protocol.x`.

mod calls;
mod connection;
mod error;
pub(crate) mod inbox;
pub(crate) mod message;
pub(super) mod socket;
pub(crate) mod xdr;

pub(crate) use calls::{DiskError, Info, JobStats, LIST_ACTIVE};
pub(crate) use connection::Connection;
pub(crate) use error::RpcError;
pub(crate) use message::{LifecycleEvent, REBOOTED, RemoteDomain, TypedValue};
