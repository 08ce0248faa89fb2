// SPDX-License-Identifier: GPL-2.0-or-later
//! Which utilization attributes of its resource a machine keeps in Pacemaker's configuration. Pure.

use super::Params;
use super::table::Concern::Watch;
use super::table::Setter::{Flag, Text};
use super::table::{Param, ValueKind, Wrong, boolean, row};
use crate::sys::text::shown;

pub(super) static ROWS: &[Param] = &[
    row(Watch, "autoset_utilization_cpu", Text(autoset_cpu))
        .kind(ValueKind::Boolean)
        .told(
            "Keep the utilization cpu",
            "yes: the resource's utilization attribute cpu is kept at the number of virtual processors, by recurring \
             monitors of a virtual machine that runs well; no: it is left alone. Unset: yes.",
        )
        .readme("Pacemaker: keep the utilization attribute cpu (if unset: yes)"),
    row(Watch, "autoset_utilization_host_memory", Text(autoset_host_memory))
        .kind(ValueKind::Boolean)
        .told(
            "Keep the utilization host_memory",
            "yes: the resource's utilization attribute host_memory is kept at the virtual machine's memory in MiB; no: \
             it is left alone. Unset: yes, but under the agent's name vm not on Xen.",
        )
        .readme("Pacemaker: keep host_memory, in MiB (if unset: yes; as `vm` not on Xen)"),
    row(Watch, "autoset_utilization_hv_memory", Text(autoset_hv_memory))
        .kind(ValueKind::Boolean)
        .told(
            "Keep the utilization hv_memory",
            "yes: the resource's utilization attribute hv_memory is kept at the virtual machine's memory in MiB; no: it \
             is left alone. Unset: yes under the agent's name VirtualDomain; under vm on Xen alone.",
        )
        .readme("Pacemaker: keep hv_memory, in MiB (if unset: as `vm` on Xen alone)"),
    row(Watch, "unset_utilization_cpu", Flag(unset_cpu))
        .default("no")
        .told(
            "Remove the utilization cpu",
            "yes: the resource's utilization attribute cpu is removed, where autoset_utilization_cpu is off.",
        )
        .readme("Pacemaker: remove cpu, where it is not kept"),
    row(Watch, "unset_utilization_host_memory", Flag(unset_host_memory))
        .default("no")
        .told(
            "Remove the utilization host_memory",
            "yes: the resource's utilization attribute host_memory is removed, where \
             autoset_utilization_host_memory is off.",
        )
        .readme("Pacemaker: remove host_memory, where it is not kept"),
    row(Watch, "unset_utilization_hv_memory", Flag(unset_hv_memory))
        .default("no")
        .told(
            "Remove the utilization hv_memory",
            "yes: the resource's utilization attribute hv_memory is removed, where autoset_utilization_hv_memory is off.",
        )
        .readme("Pacemaker: remove hv_memory, where it is not kept"),
];

/// What is said of one attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OneUtilization {
    /// Whether it is kept at what the machine has; where nothing is said, that depends on who asks.
    autoset: Option<bool>,
    /// Whether it is removed, where it is not kept.
    unset: bool,
}

/// What is said of all that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utilization {
    cpu: OneUtilization,
    host_memory: OneUtilization,
    hv_memory: OneUtilization,
}

/// What is to become of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UtilizationOf {
    /// It is the number of virtual processors.
    Cpu,
    /// It is the memory in MiB.
    Memory,
    /// It is not there.
    Nothing,
}

impl Utilization {
    /// What is to become of which attributes. VirtualDomain keeps all three; a hypervisor's memory is counted once, under the
    /// name that its hosts have theirs: Xen's own is hv_memory.
    pub(crate) fn wanted(
        self,
        as_virtual_domain: bool,
        on_xen: bool,
    ) -> impl Iterator<Item = (&'static str, UtilizationOf)> {
        let one = |name, attribute: OneUtilization, keep, default| {
            let autoset = attribute.autoset.unwrap_or(default);
            autoset.then_some((name, keep)).or(attribute.unset.then_some((name, UtilizationOf::Nothing)))
        };
        let all = [
            one("cpu", self.cpu, UtilizationOf::Cpu, true),
            one("host_memory", self.host_memory, UtilizationOf::Memory, as_virtual_domain || !on_xen),
            one("hv_memory", self.hv_memory, UtilizationOf::Memory, as_virtual_domain || on_xen),
        ];
        all.into_iter().flatten()
    }
}

pub(super) fn autoset_cpu(params: &mut Params, text: &str) -> Result<(), Wrong> {
    autoset(&mut params.utilization.cpu, text)
}

pub(super) fn autoset_host_memory(params: &mut Params, text: &str) -> Result<(), Wrong> {
    autoset(&mut params.utilization.host_memory, text)
}

pub(super) fn autoset_hv_memory(params: &mut Params, text: &str) -> Result<(), Wrong> {
    autoset(&mut params.utilization.hv_memory, text)
}

/// VirtualDomain takes what is not plainly true for no.
fn autoset(attribute: &mut OneUtilization, text: &str) -> Result<(), Wrong> {
    let read = boolean(text);
    attribute.autoset = Some(read == Some(true));
    if read.is_none() {
        return Err(Wrong::Used(format!("'{}' is read as no; expected yes or no", shown(text.as_ref()))));
    }
    Ok(())
}

pub(super) const fn unset_cpu(params: &mut Params) -> &mut bool {
    &mut params.utilization.cpu.unset
}

pub(super) const fn unset_host_memory(params: &mut Params) -> &mut bool {
    &mut params.utilization.host_memory.unset
}

pub(super) const fn unset_hv_memory(params: &mut Params) -> &mut bool {
    &mut params.utilization.hv_memory.unset
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn wanted(pairs: &[(&str, &str)], as_virtual_domain: bool, on_xen: bool) -> Vec<(&'static str, UtilizationOf)> {
        let params = Params::read(pairs.iter().map(|(name, value)| (name.as_bytes(), OsStr::new(*value))));
        assert_eq!(params.problems, []);
        params.utilization.wanted(as_virtual_domain, on_xen).collect()
    }

    #[test]
    fn what_is_kept_depends_on_the_name_and_the_hypervisor_until_a_parameter_says_it() {
        let (cpu, host, hv) =
            (("cpu", UtilizationOf::Cpu), ("host_memory", UtilizationOf::Memory), ("hv_memory", UtilizationOf::Memory));
        assert_eq!(wanted(&[], false, false), [cpu, host]);
        assert_eq!(wanted(&[], false, true), [cpu, hv]);
        assert_eq!(wanted(&[], true, false), [cpu, host, hv]);
        assert_eq!(wanted(&[("autoset_utilization_hv_memory", "1")], false, false), [cpu, host, hv]);
        assert_eq!(wanted(&[("autoset_utilization_cpu", "no")], true, false), [host, hv]);
        // What is kept is not removed.
        let both = [("unset_utilization_cpu", "yes"), ("autoset_utilization_host_memory", "off")];
        assert_eq!(wanted(&both, false, false), [cpu]);
        let removed = [("unset_utilization_cpu", "yes"), ("autoset_utilization_cpu", "off")];
        assert_eq!(wanted(&removed, false, false), [("cpu", UtilizationOf::Nothing), host]);
    }
}
