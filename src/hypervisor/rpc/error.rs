// SPDX-License-Identifier: GPL-2.0-or-later
//! Why libvirt could not be asked, or what it refused. What follows from it is decided by whoever asked: there is no
//! conversion to an exit code, because the same error means different things in different actions.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::xdr::Malformed;

/// `VIR_ERR_NO_DOMAIN`: libvirt's own answer that it knows no such domain.
const NO_DOMAIN: i32 = 42;

/// What a question about one domain was doing when it was not answered.
pub(super) const LOOKING_UP: &str = "looking up the domain";
/// The same, of the question for its state.
pub(super) const ASKING_FOR_STATE: &str = "asking for the domain's state";

/// Why a call has no answer. Only `Libvirt` comes from libvirt: all others say nothing about a domain.
#[derive(Debug)]
pub(crate) enum RpcError {
    /// No connection to the socket.
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The daemon wants authentication of this kind (`polkit`, `sasl`) first.
    AuthenticationRequired(String),
    /// Nothing came before the deadline.
    Timeout {
        /// What was being done, as in "while ...".
        doing: &'static str,
        /// How long this call had waited.
        waited: Duration,
    },
    /// The connection ended.
    Closed {
        /// What was being done, as in "while ...".
        doing: &'static str,
        /// What the kernel said, if it was more than the end of the stream.
        error: Option<io::Error>,
    },
    /// What came is not libvirt's protocol.
    Protocol(String),
    /// The daemon that answers speaks for another one (virtproxyd), and nobody listens at the socket of that.
    Unreached {
        /// libvirt's own words, with the socket.
        message: String,
    },
    /// libvirt answered with an error.
    Libvirt {
        /// `virErrorNumber`.
        code: i32,
        /// libvirt's own words.
        message: String,
    },
}

impl RpcError {
    /// Whether this is libvirt's own answer that there is no such domain.
    #[must_use]
    pub(crate) const fn is_no_domain(&self) -> bool {
        matches!(self, Self::Libvirt { code: NO_DOMAIN, .. })
    }

    /// Whether it was a question about one domain that was not answered.
    #[must_use]
    pub(crate) fn is_silence_about_a_domain(&self) -> bool {
        matches!(self, Self::Timeout { doing, .. } if *doing == LOOKING_UP || *doing == ASKING_FOR_STATE)
    }

    /// Whether there is no such socket.
    #[must_use]
    pub(crate) fn is_absent_socket(&self) -> bool {
        matches!(self, Self::Connect { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// The socket to which there is no connection.
    #[must_use]
    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Connect { socket, .. } => Some(socket),
            Self::AuthenticationRequired(_)
            | Self::Timeout { .. }
            | Self::Closed { .. }
            | Self::Protocol(_)
            | Self::Unreached { .. }
            | Self::Libvirt { .. } => None,
        }
    }

    /// Whether nobody listens at the socket, or at the one behind it: it is absent, or nobody accepts connections there.
    #[must_use]
    pub(crate) fn is_nobody_listening(&self) -> bool {
        match self {
            Self::Connect { error, .. } => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
            }
            Self::Unreached { .. } => true,
            Self::AuthenticationRequired(_)
            | Self::Timeout { .. }
            | Self::Closed { .. }
            | Self::Protocol(_)
            | Self::Libvirt { .. } => false,
        }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { socket, error } => {
                let socket = socket.display();
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
                    write!(f, "nobody listens at {socket}")
                } else {
                    write!(f, "cannot connect to {socket}: {error}")
                }
            }
            Self::AuthenticationRequired(kind) => write!(f, "libvirt demands {kind} authentication"),
            Self::Timeout { doing, waited } => {
                write!(f, "libvirt did not answer within {:.1} s while {doing}", waited.as_secs_f64())
            }
            Self::Closed { doing, error: None } => write!(f, "libvirt closed the connection while {doing}"),
            Self::Closed { doing, error: Some(error) } => {
                write!(f, "the connection to libvirt broke while {doing}: {error}")
            }
            Self::Protocol(what) => write!(f, "libvirt's protocol is not kept: {what}"),
            Self::Unreached { message } => f.write_str(message),
            Self::Libvirt { code, message, .. } => write!(f, "libvirt says: {message} (error {code})"),
        }
    }
}

impl std::error::Error for RpcError {}

impl From<Malformed> for RpcError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol(malformed.0.to_owned())
    }
}
