// SPDX-License-Identifier: GPL-2.0-or-later
//! How values are read.

use super::*;

fn read(pairs: &[(&str, &str)]) -> Params {
    Params::read(pairs.iter().map(|(n, v)| (n.as_bytes(), OsStr::new(*v))))
}

#[test]
fn both_predecessors_spellings_are_read() {
    assert_eq!(read(&[("xmlfile", "/a.xml")]).config, read(&[("config", "/a.xml")]).config);
}

#[test]
fn an_empty_value_is_unset() {
    assert_eq!(read(&[("use_virsh", ""), ("snapshot", ""), ("name", "")]), read(&[]));
}

#[test]
fn hypervisor_uri_wins_over_hypervisor_in_any_order() {
    for pairs in [
        [("hypervisor", "xen"), ("hypervisor_uri", "qemu:///system")],
        [("hypervisor_uri", "qemu:///system"), ("hypervisor", "xen")],
    ] {
        assert_eq!(read(&pairs).hypervisor.as_deref(), Some("qemu:///system"));
    }
}

#[test]
fn a_bad_value_names_parameter_value_and_expectation() {
    let params = read(&[("no_kill", "perhaps")]);
    assert_eq!(params.problems[0].to_string(), "no_kill: 'perhaps' is not a boolean; expected yes or no");
    assert!(!params.no_kill);
}

#[test]
fn an_unsupported_parameter_is_a_problem_only_when_it_asks_for_something() {
    assert!(read(&[("copyindirs", "no"), ("migrate", "live"), ("backingfile", "false")]).problems.is_empty());
    assert_eq!(read(&[("copyindirs", "/s")]).problems.len(), 1);
}

#[test]
fn the_folder_for_saved_memory_is_a_full_path_or_switched_off() {
    assert_eq!(read(&[("snapshot", "/s")]).snapshot.as_deref(), Some("/s"));
    for off in ["", "no", "0", "false", "off"] {
        assert_eq!(read(&[("snapshot", off)]), read(&[]), "{off}");
    }
    for bad in ["s", "yes", "../s", "/a\nb"] {
        let params = read(&[("snapshot", bad)]);
        assert_eq!((params.snapshot, params.problems.len()), (None, 1), "{bad}");
    }
}

#[test]
fn what_the_predecessor_takes_for_no_is_off() {
    for off in ["0", "No", "off", "never", ""] {
        assert_eq!(read(&[("stateless", off)]).problems, [], "{off}");
    }
    assert_eq!(read(&[("stateless", "On")]).problems.len(), 1);
    for name in ["save_config_on_stop", "sync_config_on_stop", "start_resources"] {
        let params = read(&[(name, "never")]);
        assert!(params.problems.iter().all(|problem| problem.used) && !params.saves_config(), "{name}");
    }
    assert_eq!(read(&[("backingfile", "never")]).problems.len(), 1);
}

/// A predecessor's resource has set them, or a tool has.
#[test]
fn no_parameters_off_value_is_an_error_under_any_of_its_names() {
    for row in table() {
        let mut off = vec![""];
        match row.kind {
            ValueKind::Boolean => off.extend(["0", "no", "No", "FALSE", "off", "n"]),
            ValueKind::Integer => off.push("0"),
            ValueKind::Text | ValueKind::Select(_) => {}
        }
        match row.name {
            "snapshot" | "backingfile" | "copyindirs" => off.extend(["0", "no", "false", "off"]),
            "migration_compression" => off.extend(["no", "off", "none"]),
            "guard" => off.push("off"),
            "hypervisor" | "hypervisor_uri" | "migration_uri" | "remoteuri" => off.push("auto"),
            _ => {}
        }
        off.extend(row.default);
        off.extend(row.vm_sh.and_then(|vm_sh| vm_sh.default));
        for name in std::iter::once(&row.name).chain(row.aliases) {
            for value in &off {
                assert_eq!(read(&[(name, value)]).problems, [], "{name}={value}");
            }
        }
    }
    assert_eq!(read(&[("migrateport", "0"), ("migration_compression", "off")]).migration, read(&[]).migration);
}

#[test]
fn what_is_refused_for_good_says_what_takes_its_place() {
    let said = |name, value| read(&[(name, value)]).problems[0].to_string();
    assert_eq!(
        said("backingfile", "/base.qcow2"),
        "backingfile: refused for good: give the disk a transient element in the definition (it is '/base.qcow2')"
    );
    assert!(said("stateless", "1").contains("a disk with a transient element forgets"));
    assert!(said("copyindirs", "/etc").contains("put the files into the image"));
}

#[test]
fn a_default_that_is_given_changes_nothing() {
    for row in table() {
        if let Some(default) = row.default {
            assert_eq!(read(&[(row.name, default)]), read(&[]), "{}", row.name);
        }
    }
    let params = read(&[]);
    assert_eq!(params.problems, []);
    assert_eq!(params.shutdown_modes, [ShutdownMode::Default]);
    assert!(params.migration.live && params.migration.auto_converge && params.migration.downtime_max == 2000);
}

#[test]
fn an_own_name_wins_over_an_alias_in_any_order() {
    for pairs in [[("config", "/a"), ("xmlfile", "relative")], [("xmlfile", "relative"), ("config", "/a")]] {
        assert_eq!(read(&pairs), read(&[("config", "/a")]));
    }
}

#[test]
fn texts_are_read_once_and_a_bad_one_is_a_problem() {
    for (name, bad) in [
        ("path", "/a:b"),
        ("monitor_scripts", "relative"),
        ("migrate_options", "--bandwidth"),
        ("migrate_options", "'--live"),
        ("migration_mapping", "n:a:b"),
        ("hypervisor", "qemu:///nowhere"),
    ] {
        let problems = read(&[(name, bad)]).problems;
        assert_eq!(problems.iter().map(|p| p.param.as_str()).collect::<Vec<_>>(), [name], "{bad}");
    }
    // virsh says what makes no sense to it; what are no words it never gets.
    assert_eq!(read(&[("migrate_options", "--bandwidth"), ("migrate_backend", "virsh")]).problems, []);
    assert_eq!(read(&[("migrate_options", "'--live"), ("migrate_backend", "virsh")]).problems.len(), 1);
}

#[test]
fn what_the_xen_agents_users_have_set_is_understood_or_refused_with_the_reason() {
    let params = read(&[
        ("xmfile", "/etc/xen/web"),
        ("shutdown_timeout", "60"),
        ("shutdown_acpi", "1"),
        ("node_ip_attribute", "storage-ip"),
        ("allow_mem_management", "0"),
        ("reserved_Dom0_memory", "512"),
    ]);
    assert_eq!(params.problems, []);
    assert_eq!(params.config.as_deref(), Some(std::path::Path::new("/etc/xen/web")));
    assert_eq!((params.shutdown_timeout, params.shutdown_modes[0]), (Some(60), ShutdownMode::Acpi));
    assert_eq!(params.migration.node_attribute.as_deref(), Some("storage-ip"));
    for (name, bad) in [
        ("allow_mem_management", "1"),
        ("shutdown_timeout", "soon"),
        ("shutdown_acpi", "perhaps"),
        ("node_ip_attribute", "-x"),
        ("node_ip_attribute", "a b"),
    ] {
        assert_eq!(read(&[(name, bad)]).problems.len(), 1, "{name}={bad}");
    }
}

#[test]
fn libvirt_is_asked_for_by_a_uri_and_not_by_a_drivers_word() {
    for (name, value, asks) in [
        ("hypervisor", "xen", false),
        ("hypervisor", "auto", false),
        ("hypervisor", "xen:///system", true),
        ("hypervisor_uri", "xen:///system", true),
        ("hypervisor_uri", "auto", false),
        ("use_virsh", "1", true),
        ("use_virsh", "0", false),
    ] {
        assert_eq!(read(&[(name, value)]).ask_for_libvirt(), asks, "{name}={value}");
    }
}

#[test]
fn a_name_that_leaves_its_folder_is_refused() {
    for name in ["../b", "a/b", "..", " "] {
        assert_eq!(read(&[("name", name)]).name, None, "{name}");
    }
}
