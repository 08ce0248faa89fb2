// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what `ocf:heartbeat:Xen` has, where they mean the same here, or are refused with the reason.

use super::Params;
use super::table::Concern::{Migration, Nothing, Start, Stop};
use super::table::Setter::Text;
use super::table::{Param, ValueKind, Wrong, boolean, row};
use crate::model::change::ShutdownMode;
use crate::sys::text::shown;

/// A guest that is given longer than this is given as long as the stop has.
const LONGEST_SHUTDOWN: u64 = 86_400;

pub(super) static ROWS: &[Param] = &[
    row(Stop, "shutdown_timeout", Text(shutdown_timeout))
        .kind(ValueKind::Integer)
        .told(
            "Seconds for the guest to shut down",
            "Seconds that a stop gives the guest to shut down before it is destroyed, at most; 0 destroys it at once. \
             Unset, the guest has all of the stop's time but what is kept to destroy it.",
        )
        .readme("Seconds that a stop gives the guest, at most; unset, all but what is kept to destroy it"),
    row(Stop, "shutdown_acpi", Text(shutdown_acpi))
        .kind(ValueKind::Boolean)
        .told(
            "Shut down by the power button",
            "yes: the same as shutdown_mode=acpi,default, by the name that ocf:heartbeat:Xen has for it.",
        )
        .readme("yes: shutdown_mode=acpi,default, by ocf:heartbeat:Xen's name"),
    row(Migration, "node_ip_attribute", Text(node_ip_attribute))
        .told(
            "Node attribute with the address",
            "Name of an attribute of Pacemaker's nodes that holds the host or address by which a migration reaches the \
             node; a node that has none is reached as without it.",
        )
        .readme("Attribute of Pacemaker's nodes with the address that a migration goes to"),
    row(Start, "allow_mem_management", Text(allow_mem_management))
        .kind(ValueKind::Boolean)
        .told(
            "Change dom0's memory at a start",
            "Whether a start and a stop change the memory of dom0 and of other domains. Not supported: start refuses it. \
             Fix dom0's memory (dom0_mem on the hypervisor's command line), or let xl make room (autoballoon in xl.conf).",
        )
        .readme("Refused: it would change the memory of dom0 and of other domains"),
    row(Nothing, "reserved_Dom0_memory", Text(|_, _| Ok(())))
        .kind(ValueKind::Integer)
        .told(
            "Memory that dom0 keeps",
            "Memory that allow_mem_management leaves to dom0. Without that it means nothing.",
        )
        .readme("Belongs to allow_mem_management, and means nothing without it"),
];

fn shutdown_timeout(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let seconds = text.trim().parse().ok().filter(|seconds| *seconds <= LONGEST_SHUTDOWN);
    params.shutdown_timeout = Some(seconds.ok_or_else(|| Wrong::expected(text, "seconds, up to 86400"))?);
    Ok(())
}

fn truth(text: &str) -> Result<bool, Wrong> {
    boolean(text)
        .ok_or_else(|| Wrong::Refused(format!("'{}' is not a boolean; expected yes or no", shown(text.as_ref()))))
}

fn shutdown_acpi(params: &mut Params, text: &str) -> Result<(), Wrong> {
    if truth(text)? {
        params.shutdown_modes = vec![ShutdownMode::Acpi, ShutdownMode::Default];
    }
    Ok(())
}

fn node_ip_attribute(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.#".contains(&byte));
    if !plain || text.starts_with('-') {
        return Err(Wrong::expected(text, "the name of a node attribute"));
    }
    params.migration.node_attribute = Some(text.to_owned());
    Ok(())
}

fn allow_mem_management(_: &mut Params, text: &str) -> Result<(), Wrong> {
    match truth(text)? {
        false => Ok(()),
        true => Err(Wrong::Refused(
            "is not supported, since it changes the memory of dom0 and of other domains: fix it by dom0_mem on the \
             hypervisor's command line, and unset this"
                .into(),
        )),
    }
}
