// SPDX-License-Identifier: GPL-2.0-or-later
//! What keeps a migration from its begin, and whether it is worth waiting for. Pure.
//!
//! A move that fails is an outage where the manager answers it with a stop and a start elsewhere. So a reason that may pass
//! by itself is waited for, while the machine runs on. Nothing but the words of a connection's failure tells the kinds
//! apart; a kind that is not known is taken for one that passes, which costs time and nothing else.

use crate::model::failure::Failure;
use crate::model::worker::CallStep;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a reason is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hope {
    /// It lasts until somebody mends it, or trying again could do harm: told at once.
    Lost,
    /// It may pass at any moment: waited for as long as there is time.
    Soon,
    /// The host may be dead, and a cluster waits for this migration's answer before it does anything about that: waited for
    /// some time only.
    Silent,
}

/// Between two tries, at first and at most.
const BETWEEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// A try that has less time than this cannot bring much.
pub(crate) const ENOUGH: Duration = Duration::from_secs(10);

/// What a person has to mend, in the words of ssh, libvirt and TLS.
const LASTING: [&str; 15] = [
    "permission denied",
    "host key verification failed",
    "authentication fail",
    "name or service not known",
    "no address associated",
    "name does not resolve",
    "certificate",
    "command not found",
    "not found in path",
    "bad configuration option",
    "no connection driver",
    "unsupported",
    "invalid connection uri",
    "unknown host",
    "unknown procedure",
];
/// What is heard of a host that is not there.
const SILENT: [&str; 5] = ["timed out", "no route to host", "network is unreachable", "host is down", "did not answer"];

/// What a failed try leaves to hope for. One that had `begun` may have been aborted by somebody, a stop perhaps: it is not
/// done again, unless the source's daemon did not even reach the target.
#[must_use]
pub(crate) fn of(failure: &Failure, begun: bool) -> Hope {
    match failure.at {
        Some(CallStep::ConnectDestination) => of_connection(&failure.said),
        Some(CallStep::Leftover | CallStep::Connect) if !begun => Hope::Soon,
        Some(CallStep::Call) if failure.said.contains("ailed to connect to remote libvirt URI") => {
            of_connection(&failure.said)
        }
        Some(
            CallStep::Leftover
            | CallStep::Connect
            | CallStep::Arguments
            | CallStep::Input
            | CallStep::Lookup
            | CallStep::Preflight
            | CallStep::Call
            | CallStep::Deadline,
        )
        | None => Hope::Lost,
    }
}

/// What is left to hope for where a connection failed, by its words.
#[must_use]
pub(crate) fn of_connection(message: &str) -> Hope {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&LASTING) {
        Hope::Lost
    } else if says(&SILENT) {
        Hope::Silent
    } else {
        Hope::Soon
    }
}

/// How long to wait after so many tries.
#[must_use]
pub(crate) fn pause(tries: u32) -> Duration {
    (BETWEEN.0 * 2_u32.saturating_pow(tries.saturating_sub(1).min(8))).min(BETWEEN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: CallStep, said: &str) -> Failure {
        Failure { at: Some(step), ..Failure::refused(said) }
    }

    fn connecting(message: &str) -> Hope {
        of(&at(CallStep::ConnectDestination, message), false)
    }

    #[test]
    fn what_may_pass_is_waited_for_and_what_lasts_is_not() {
        for soon in [
            "Cannot recv data: ssh: connect to host node2 port 22: Connection refused: Connection reset by peer",
            "Cannot recv data: kex_exchange_identification: Connection closed by remote host",
            "Cannot recv data: ssh_exchange_identification: read: Connection reset by peer",
            "End of file while reading data: Ncat: Connection refused.: Input/output error",
            "virt-ssh-helper: could not proxy traffic: Failed to connect socket to '/run/x': Connection refused",
            "Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory",
            "ssh: Could not resolve hostname node2: Temporary failure in name resolution",
            "End of file while reading data: : Input/output error",
            "Cannot recv data: Connection closed by UNKNOWN port 65535: Connection reset by peer",
            "Cannot recv data: banner line contains invalid characters",
        ] {
            assert_eq!(connecting(soon), Hope::Soon, "{soon}");
        }
        for lost in [
            "Cannot recv data: root@node2: Permission denied (publickey,password).",
            "Cannot recv data: Host key verification failed.",
            "ssh: Could not resolve hostname node9: Name or service not known",
            "The server certificate has expired",
        ] {
            assert_eq!(connecting(lost), Hope::Lost, "{lost}");
        }
        for silent in
            ["ssh: connect to host n port 22: No route to host", "connect to host n port 22: Connection timed out"]
        {
            assert_eq!(connecting(silent), Hope::Silent, "{silent}");
        }
    }

    #[test]
    fn what_libvirt_had_begun_is_not_done_again_unless_its_daemon_did_not_reach_the_target() {
        let call = |message: &str| of(&at(CallStep::Call, message), true);
        assert_eq!(call("operation aborted: migration out job: canceled by client"), Hope::Lost);
        let p2p = "operation failed: Failed to connect to remote libvirt URI qemu+ssh://n/system: Cannot recv data: ";
        assert_eq!(call(&format!("{p2p}kex_exchange_identification: Connection closed by remote host")), Hope::Soon);
        assert_eq!(call(&format!("{p2p}Host key verification failed.")), Hope::Lost);
        for step in [CallStep::Preflight, CallStep::Deadline] {
            assert_eq!(of(&at(step, ""), false), Hope::Lost);
        }
    }

    #[test]
    fn the_pauses_grow_and_end_growing() {
        let pauses: Vec<u64> = (1..8).map(|tries| pause(tries).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5, 5, 5]);
    }
}
