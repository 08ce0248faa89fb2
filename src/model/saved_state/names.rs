// SPDX-License-Identifier: GPL-2.0-or-later
//! The names of the files in the folder of `snapshot`. Pure.

use crate::model::caller::Caller;

/// The names that a machine's image may have, the caller's own first: by this it is written.
#[must_use]
pub(crate) fn spellings(caller: Caller, name: &str) -> [String; 2] {
    let (by_virtual_domain, by_vm_sh) = (format!("{name}.state"), name.to_owned());
    match caller {
        Caller::Rgmanager => [by_vm_sh, by_virtual_domain],
        Caller::Pacemaker | Caller::Ocf | Caller::Human => [by_virtual_domain, by_vm_sh],
    }
}

/// The image while it is written on this node. Another node's is not ours to remove: it may be at it.
#[must_use]
pub(crate) fn partial(name: &str, node: &str) -> String {
    format!(".{name}.{node}.partial")
}

/// The image from which a restore was begun.
#[must_use]
pub(crate) fn restoring(name: &str) -> String {
    format!(".{name}.restoring")
}

/// The record beside the image.
#[must_use]
pub(crate) fn record(name: &str) -> String {
    format!(".{name}.saved")
}

/// The record while it is written.
#[must_use]
pub(crate) fn new_record(name: &str, node: &str) -> String {
    format!(".{name}.{node}.saved")
}
