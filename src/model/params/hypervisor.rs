// SPDX-License-Identifier: GPL-2.0-or-later
//! `hypervisor` and `hypervisor_uri`: a driver's word or a connection URI becomes a URI.

use crate::model::uri::Uri;
use crate::sys::text::shown;
use std::ffi::OsStr;

/// The drivers that libvirt has or had (its documentation, "Hypervisor drivers"); a URI of another one was never opened.
const DRIVERS: [&str; 17] = [
    "qemu",
    "xen",
    "lxc",
    "test",
    "vbox",
    "vz",
    "parallels",
    "openvz",
    "bhyve",
    "ch",
    "esx",
    "vpx",
    "gsx",
    "hyperv",
    "vmwareplayer",
    "vmwarews",
    "vmwarefusion",
];

const EXPECTED: &str = "expected qemu, kvm, xen, lxc or a URI as qemu:///system";

/// The URI of the system's daemon for a driver's word, in small letters.
#[must_use]
pub fn of_driver(word: &str) -> Option<&'static str> {
    match word {
        "qemu" | "kvm" => Some("qemu:///system"),
        "xen" => Some("xen:///system"),
        "lxc" => Some("lxc:///system"),
        _ => None,
    }
}

/// The URI that a value names, a driver's word in any case; `auto` names none.
///
/// # Errors
/// What follows the value in a sentence: it can never have started a machine.
pub(super) fn named(text: &str) -> Result<Option<String>, String> {
    let word = text.to_ascii_lowercase();
    if word == "auto" {
        return Ok(None);
    }
    if let Some(uri) = of_driver(&word) {
        return Ok(Some(uri.to_owned()));
    }
    let uri = Uri::parse(text).map_err(|error| format!("cannot be used: {error}; {EXPECTED}"))?;
    if !DRIVERS.contains(&uri.driver.as_str()) {
        return Err(format!("cannot be used: libvirt has no driver '{}'; {EXPECTED}", shown(OsStr::new(&uri.driver))));
    }
    if uri.driver == "qemu" && !matches!(uri.path.as_str(), "/system" | "/session" | "/embed") {
        return Err("cannot be used: a URI of qemu ends in /system or /session".into());
    }
    Ok(Some(text.to_owned()))
}
