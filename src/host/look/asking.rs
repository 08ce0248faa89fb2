// SPDX-License-Identifier: GPL-2.0-or-later
//! Asking libvirt: over its RPC, or through the worker for a URI that is not spoken here.

use super::NO_CONNECT;
use super::seek::Sighting;
use super::{Channel, Depth, Looker};
use crate::hypervisor::backend;
use crate::hypervisor::process::Driver;
use crate::hypervisor::rpc::{self, Connection, RpcError};
use crate::hypervisor::xen;
use crate::model::budget::Share;
use crate::model::facts::{Domain, Libvirt, Silence, SilenceKind};
use crate::model::state::Motion;
use crate::model::uri::daemon_of;
use crate::model::worker::Who;
use crate::sys::child::find_program;
use crate::sys::time::Deadline;
use std::path::Path;
use std::time::{Duration, Instant};

impl Looker {
    /// Asks libvirt, on the open connection if there is one; a connection that broke is made anew once.
    pub(super) fn ask(&mut self, depth: Depth, deadline: Deadline) -> Result<Libvirt, Silence> {
        if let Some(fault) = self.fault.clone() {
            if let Err(why) = self.adopt_by_mark() {
                return Ok(Libvirt::Ambiguous(format!("{why} ({fault})")));
            }
            let Some(machine) = &self.machine else { return Ok(Libvirt::Unusable(fault)) };
            log::warn!("'{}' is known by its mark alone, since {fault}", machine.name);
        }
        if matches!(self.channel, Channel::Xl) {
            return self.ask_xl(deadline);
        }
        if matches!(self.channel, Channel::Worker | Channel::None) {
            return by_worker(&self.uri, self.sought_name().as_deref(), deadline);
        }
        let mut may_be_stale = self.connection.is_some();
        // What is kept back tells a daemon that is silent from one that does not answer for this domain.
        let (all, deadline) = (deadline, self.budget.keeping(Share::OtherClient, deadline));
        loop {
            match self.connect(deadline) {
                Ok(()) => {}
                Err(Unconnected::Silent(silence)) => return Err(silence),
                // In a dom0 the daemon may have lost its driver while domains run; whether any does, the host itself tells.
                Err(Unconnected::NoDriver(message))
                    if self.driver == Driver::Xen && xen::is_dom0(&self.roots) != Some(false) =>
                {
                    let why = format!("libvirt's Xen driver did not start here; see libvirtd's log ({message})");
                    return Err(Silence { kind: SilenceKind::Missing, why });
                }
                // No daemon here can ever have run a machine by this URI.
                Err(Unconnected::NoDriver(message)) => {
                    self.fault = Some(format!("hypervisor '{}' cannot be used here: {message}", self.uri));
                    return self.ask(depth, deadline);
                }
            }
            match self.ask_connection(depth, deadline) {
                Ok(libvirt) => return Ok(libvirt),
                // The connection is kept: its late answer ends the wait for this domain.
                Err(error) if error.is_silence_about_a_domain() && self.answers_others(all) => {
                    return Err(busy(&error));
                }
                Err(error) => {
                    self.hang_up();
                    if !may_be_stale || !matches!(error, RpcError::Closed { .. }) || deadline.passed() {
                        return Err(blind(&error));
                    }
                    may_be_stale = false;
                }
            }
        }
    }

    /// Whether libvirt's daemon, if it answers in time, has a driver for the hypervisor.
    pub(crate) fn check_hypervisor(&mut self, deadline: Deadline) -> Result<(), String> {
        match self.connect(deadline) {
            Err(Unconnected::NoDriver(message)) => Err(format!("'{}' cannot be used here: {message}", self.uri)),
            Ok(()) | Err(Unconnected::Silent(_)) => Ok(()),
        }
    }

    pub(super) fn connect(&mut self, deadline: Deadline) -> Result<(), Unconnected> {
        let Channel::Rpc { sockets, name } = &self.channel else { return Ok(()) };
        if let Some(connection) = &mut self.connection {
            connection.set_deadline(deadline);
            return Ok(());
        }
        let began = Instant::now();
        let mut first: Option<RpcError> = None;
        for (readable, writable) in sockets {
            let share = if readable == writable { deadline } else { self.budget.keeping(Share::OtherSocket, deadline) };
            let error = match Connection::open(readable, Some(name), true, share) {
                Ok(connection) => {
                    (self.connection, self.socket) = (Some(connection), Some(readable.clone()));
                    return Ok(());
                }
                Err(error) => error,
            };
            // Anybody may fill the read-only socket, and it may be switched off. The other is for few, and we are root. It
            // is the same daemon's: another one's word would be none about what this one runs.
            let silent = matches!(error, RpcError::Timeout { .. });
            if (silent || error.is_nobody_listening())
                && readable != writable
                && let Ok(connection) = Connection::open(writable, Some(name), true, deadline)
            {
                (self.connection, self.socket) = (Some(connection), Some(writable.clone()));
                return Ok(());
            }
            if let RpcError::Timeout { doing, .. } = error {
                return Err(Unconnected::Silent(blind(&RpcError::Timeout { doing, waited: began.elapsed() })));
            }
            if let RpcError::Libvirt { code: NO_CONNECT, message, .. } = error {
                return Err(Unconnected::NoDriver(message));
            }
            // virtproxyd knows no daemon for it, and neither its socket nor its program is here. (Processes tell of
            // all other drivers' domains.)
            if let (RpcError::Unreached { message }, Driver::Other | Driver::Xen, Some(own)) =
                (&error, self.driver, &first)
                && own.is_absent_socket()
                && !has_daemon(own.socket())
            {
                return Err(Unconnected::NoDriver(message.clone()));
            }
            if !error.is_nobody_listening() {
                return Err(Unconnected::Silent(blind(&error)));
            }
            // A socket at which nobody listens says more than one that this host never had; and the socket of a daemon that
            // is installed more than one of another kind.
            let says_more = |first: &RpcError| {
                first.is_absent_socket()
                    && (!error.is_absent_socket() || (!has_daemon(first.socket()) && has_daemon(error.socket())))
            };
            if first.as_ref().is_none_or(says_more) {
                first = Some(error);
            }
        }
        Err(Unconnected::Silent(match first {
            Some(error) => blind(&error),
            None => Silence { kind: SilenceKind::Dead, why: format!("'{}' has no socket to connect to", self.uri) },
        }))
    }

    /// Whether the daemon answers another client, after it has not answered about a domain.
    pub(super) fn answers_others(&self, deadline: Deadline) -> bool {
        let (Some(socket), Channel::Rpc { name, .. }) = (&self.socket, &self.channel) else { return false };
        Connection::open(socket, Some(name), true, deadline).is_ok()
    }

    pub(super) fn ask_connection(&mut self, depth: Depth, deadline: Deadline) -> Result<Libvirt, RpcError> {
        self.open_connection()?.catch_up()?;
        (self.hindrance, self.is_anothers) = (None, false);
        let (domain, state) = match self.seek(depth.thorough)? {
            Sighting::Domain(domain, state) => (domain, state),
            Sighting::Nothing => return Ok(Libvirt::NoDomain),
            Sighting::CannotTell(why) => return Ok(Libvirt::Ambiguous(why)),
        };
        let mut motion = Motion::None;
        if (state.may_be_arriving() || (depth.thorough && state.active()))
            && let Some(connection) = &mut self.connection
        {
            connection.set_deadline(self.budget.until(Share::Job, deadline));
            motion = match connection.job_stats(&domain, 0) {
                Ok(stats) => Motion::of_job(state, Ok(operation(stats.as_ref()))),
                Err(RpcError::Libvirt { code, .. }) => Motion::of_job(state, Err(code)),
                // The connection is of no more use, but the state that it told is.
                Err(error) => {
                    log::debug!("whether a migration is on was not answered: {error}");
                    self.hang_up();
                    Motion::Unknown
                }
            };
        }
        self.last = Some(domain.clone());
        Ok(Libvirt::Domain(Domain { name: domain.name, uuid: domain.uuid, state, motion }))
    }
}

/// Whether the daemon of such a socket (`virtqemud-sock`, `libvirt-sock-ro`) is installed here.
pub(super) fn has_daemon(socket: Option<&Path>) -> bool {
    socket.is_some_and(|socket| find_program(daemon_of(socket)).is_some())
}

/// What a job does (`virDomainJobOperation`); 0 without one.
fn operation(stats: Option<&rpc::JobStats>) -> i32 {
    match stats.and_then(|stats| stats.fields.iter().find(|(field, _)| field == "operation")) {
        Some((_, rpc::TypedValue::Int(operation))) => *operation,
        Some(_) | None => 0,
    }
}

/// Why there is no connection.
pub(super) enum Unconnected {
    Silent(Silence),
    /// libvirt's daemon has no driver for the URI; its words.
    NoDriver(String),
}

/// What it says that a daemon that answers others did not answer about the domain. libvirt holds a domain's lock from the
/// beginning of a start to its end, while storage and hooks take their time, and again while it clears up behind the
/// domain; a lookup waits for that lock.
pub(super) fn busy(error: &RpcError) -> Silence {
    let waited = if let RpcError::Timeout { waited, .. } = error { waited.as_secs_f32() } else { 0.0 };
    Silence {
        kind: SilenceKind::Busy,
        why: format!("libvirt is busy with it and does not answer (waited {waited:.1} s)"),
    }
}

/// A daemon that was waited for so briefly has not been silent.
const A_MOMENT: Duration = Duration::from_millis(50);

/// What a failed call says about the daemon.
pub(super) fn blind(error: &RpcError) -> Silence {
    let kind = match error {
        RpcError::Connect { .. } if error.is_nobody_listening() => SilenceKind::Dead,
        RpcError::Closed { .. } | RpcError::Unreached { .. } => SilenceKind::Dead,
        RpcError::Timeout { .. } => SilenceKind::Hung,
        RpcError::Connect { .. }
        | RpcError::AuthenticationRequired(_)
        | RpcError::Protocol(_)
        | RpcError::Libvirt { .. } => SilenceKind::Refused,
    };
    if let RpcError::Timeout { waited, .. } = error {
        let why = if *waited < A_MOMENT {
            "libvirt's daemon does not answer in the time that is left".to_owned()
        } else {
            format!("libvirt's daemon does not answer (waited {:.1} s)", waited.as_secs_f32())
        };
        return Silence { kind, why };
    }
    let why = match kind {
        SilenceKind::Dead => format!("libvirt's daemon does not run ({error})"),
        SilenceKind::Hung | SilenceKind::Busy => format!("libvirt's daemon does not answer ({error})"),
        SilenceKind::Refused | SilenceKind::Missing => format!("libvirt cannot be asked ({error})"),
    };
    Silence { kind, why }
}

/// Asks through the worker, for a URI that is not spoken here: the same answers at a higher price.
pub(super) fn by_worker(uri: &str, name: Option<&str>, deadline: Deadline) -> Result<Libvirt, Silence> {
    let Some(name) = name else {
        return Ok(Libvirt::Ambiguous("neither a name nor a readable definition says which".into()));
    };
    match backend::lookup(uri, Who::Name(name.to_owned()), deadline) {
        Ok(lookup) => Ok(Libvirt::told(lookup)),
        Err(failure) => {
            let why = format!("libvirt cannot be asked ({failure})");
            Err(Silence { why, ..failure.into() })
        }
    }
}
