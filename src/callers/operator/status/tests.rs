// SPDX-License-Identifier: GPL-2.0-or-later
//! The fields of status as JSON, held against docs/JSON.md.

use super::*;

/// One with all that there is.
fn report() -> Report {
    let text = || Some(String::new());
    Report {
        version: VERSION,
        code: Code::Ok,
        name: text(),
        presence: "running",
        state: String::new(),
        uuid: text(),
        since: text(),
        uri: String::new(),
        pid: Some(1),
        xen_domain: Some(1),
        process_since: text(),
        persistent: Some(true),
        autostart: Some(true),
        vcpus: Some(1),
        memory_kib: Some(1),
        disks: vec![DiskShown { target: String::new(), source: text(), device: String::new() }],
        definition: DefinitionFacts {
            file: text(),
            created_from: text(),
            started: text(),
            started_on: text(),
            resource: text(),
            unchanged: Some(true),
            problem: text(),
        },
        cluster: vec![Told { caller: "", action: "", code: 0, reason: String::new() }],
        managed_by: Some(ManagedBy { cluster: "", resource: String::new(), managed: true }),
        members: vec![MemberSaid::sample()],
        warnings: vec![String::new()],
    }
}

#[test]
fn the_page_on_json_has_every_field_of_status() {
    crate::callers::operator::json::documented("status", VERSION, &report().json());
}

#[test]
fn a_command_that_is_advised_names_the_machine_in_one_word() {
    let mut report = Report { name: Some("a $(b)".into()), ..report() };
    report.warn();
    assert!(report.warnings[1].ends_with("run virsh autostart --disable 'a $(b)'"), "{:?}", report.warnings);
}
