// SPDX-License-Identifier: GPL-2.0-or-later
//! Each member for itself, and the members beside each other: libvirt, daemons, versions, certificates, clocks. Pure.

use super::{is_for_libvirt, told};
use crate::callers::operator::doctor::facts::{CertificateSeen, ExamSeen, FilesSeen, HostExam, MemberSeen};
use crate::callers::operator::doctor::finding::CheckFound;
use crate::callers::operator::doctor::table::ExamCheck;
use crate::model::worker::HostFacts;
use crate::sys::text::shell_word;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most seconds that two clocks may be apart.
const APART: u64 = 5;

pub(super) fn judge(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    for (member, exam) in told(seen) {
        let node = &member.node;
        if let Some(why) = &exam.lacks_pidfd {
            let text = format!("the kernel of {node} gives no pidfd: nothing is started or ended there ({why})");
            found.push(CheckFound::at(ExamCheck::OldKernel, node, text));
        } else if let Some(why) = &exam.libvirt_silent {
            found.push(CheckFound::at(ExamCheck::LibvirtSilent, node, format!("libvirt on {node}: {why}")));
        }
        files(seen, node, &exam.files, found);
        clock(member, exam, found);
    }
    for member in &seen.members {
        // With a network of its own the memory goes elsewhere.
        let ways = told(seen).next().into_iter().flat_map(|(_, exam)| &exam.ways);
        if !ways.into_iter().any(|way| way.node == member.node && way.data_host.is_some()) {
            hostname(member, found);
        }
    }
    compare(seen, found);
}

fn files(seen: &ExamSeen, node: &str, files: &FilesSeen, found: &mut Vec<CheckFound>) {
    let mut at = |check, text: String, command: &str| {
        let one = CheckFound::at(check, node, text);
        found.push(if command.is_empty() { one } else { one.mend(command) });
    };
    let beside = !is_for_libvirt(seen);
    if beside && files.guests_service {
        at(
            ExamCheck::GuestsService,
            format!("libvirt-guests.service is enabled on {node}"),
            "systemctl disable libvirt-guests",
        );
    }
    if beside && !files.auto_shutdown.is_empty() {
        at(
            ExamCheck::AutoShutdown,
            format!("/etc/libvirt/qemu.conf on {node} sets {}", files.auto_shutdown.join(", ")),
            "",
        );
    }
    if files.no_ordering {
        let text = format!(
            "systemd on {node} stops machines and libvirt beside the cluster at a shutdown: there is no drop-in"
        );
        at(ExamCheck::NoOrdering, text, "");
    }
    let (monolithic, modular): (Vec<&String>, Vec<&String>) =
        files.daemons.iter().partition(|name| *name == "libvirtd");
    if let (Some(one), Some(other)) = (monolithic.first(), modular.first()) {
        let text = format!("{one} and {other} both run on {node}");
        at(
            ExamCheck::MixedDaemons,
            text,
            "systemctl disable --now libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket",
        );
    }
    if files.ports > 0 && files.ports_taken >= files.ports {
        at(
            ExamCheck::PortsTaken,
            format!("none of the {} ports for migrations is free on {node}", files.ports),
            "ss -tlnp",
        );
    }
    if seen.by_tls {
        for CertificateSeen { path, there, ends, names_host } in &files.certificates {
            if !there {
                at(ExamCheck::NoCertificate, format!("{node} has no {path}"), "");
            }
            if let Some(ends) = ends {
                at(ExamCheck::CertificateEnds, format!("{path} on {node} ends {ends}"), "");
            }
            if *names_host == Some(false) {
                let text = format!("{path} on {node} is not for the name by which a migration connects there");
                at(
                    ExamCheck::CertificateName,
                    text,
                    &format!("openssl x509 -noout -subject -ext subjectAltName -in {}", shell_word(path)),
                );
            }
        }
    }
}

fn clock(member: &MemberSeen, exam: &HostExam, found: &mut Vec<CheckFound>) {
    let (asked, answered) = member.window;
    let off = asked.saturating_sub(exam.clock).max(exam.clock.saturating_sub(answered));
    if off > APART && exam.clock > 0 {
        let text = format!("the clock of {} is {off} s off that of this host", member.node);
        found.push(CheckFound::at(ExamCheck::ClockApart, &member.node, text).mend("chronyc makestep"));
    }
}

/// Without a network of its own a migration's memory goes to the name that libvirt there calls itself.
fn hostname(member: &MemberSeen, found: &mut Vec<CheckFound>) {
    let Ok(exam) = &member.told else { return };
    let (Some(name), Some(addresses)) =
        (exam.libvirt.as_ref().and_then(|it| it.host.hostname.as_ref()), &member.own_name)
    else {
        return;
    };
    let loops = |text: &String| text.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    let why = if name.starts_with("localhost") || (!addresses.is_empty() && addresses.iter().all(loops)) {
        "which is this host itself here"
    } else if addresses.is_empty() {
        "which has no address here"
    } else {
        return;
    };
    let text = format!("libvirt on {} calls itself '{name}', {why}", member.node);
    found.push(CheckFound::at(ExamCheck::BadHostname, &member.node, text));
}

fn compare(seen: &ExamSeen, found: &mut Vec<CheckFound>) {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (member, exam) in told(seen) {
        let Some(uuid) = exam.libvirt.as_ref().and_then(|it| it.host.uuid.as_deref()) else { continue };
        if let Some(other) = known.insert(uuid, &member.node) {
            let text = format!("{other} and {} both have the host UUID {uuid}", member.node);
            found.push(CheckFound::at(ExamCheck::SameHostUuid, &member.node, text));
        }
    }
    let mut members = told(seen);
    let Some((first, ours)) = members.next() else { return };
    let own = |exam: &HostExam| exam.libvirt.as_ref().map(|it| it.host.clone()).unwrap_or_default();
    let our = own(ours);
    for (member, theirs) in members {
        let their = own(theirs);
        let node = &member.node;
        let mut at = |check, text: String| found.push(CheckFound::at(check, node, text));
        if theirs.version != ours.version {
            let (here, there) = (&ours.version, &theirs.version);
            at(ExamCheck::OtherVersion, format!("vm-agent is {here} on {} and {there} on {node}", first.node));
        }
        let differ = |of: fn(&HostFacts) -> Option<u32>| Some((of(&our)?, of(&their)?)).filter(|(a, b)| a != b);
        if let Some((here, there)) = differ(|it| it.daemon_version) {
            let (here, there) = (version(here), version(there));
            at(ExamCheck::OtherLibvirt, format!("libvirt is {here} on {} and {there} on {node}", first.node));
        }
        if let Some((here, there)) = differ(|it| it.hypervisor_version) {
            let (here, there) = (version(here), version(there));
            let what = our.hypervisor.as_deref().unwrap_or("the hypervisor");
            at(ExamCheck::OtherQemu, format!("{what} is {here} on {} and {there} on {node}", first.node));
        }
        let lock = |files: &FilesSeen| files.lock_manager.clone().unwrap_or_else(|| "none".into());
        let (here, there) = (lock(&ours.files), lock(&theirs.files));
        if here != there {
            at(ExamCheck::LockManagers, format!("lock_manager is {here} on {} and {there} on {node}", first.node));
        }
    }
}

/// libvirt's number of a version.
fn version(number: u32) -> String {
    let thousands = number.div_euclid(1000);
    format!("{}.{}.{}", thousands.div_euclid(1000), thousands.rem_euclid(1000), number.rem_euclid(1000))
}
