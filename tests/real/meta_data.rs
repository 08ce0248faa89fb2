// SPDX-License-Identifier: GPL-2.0-or-later
//! The published meta-data as the program prints them, and what the real tools of a cluster make of them.

use crate::common::Host;
use crate::installed::{self, Installed, Said, agent, need, said};
use crate::shared::Moment;
use crate::shared::meta_data::{default, kind, name, published, without_doctype};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use vm_agent::callers::meta_data::{OCF, RGMANAGER};
use vm_agent::model::definition::{Element, read};
use vm_agent::model::params::Params;

const PROVIDED: &str = "ocf:vm-agent:vm";

/// Whatever the environment, and whichever of the standard files are closed.
#[test]
fn meta_data_are_printed_pure_at_once_and_always_the_same() {
    let hostile: &[(&str, &str)] = &[
        ("OCF_OUTPUT_FORMAT", "text"),
        ("LANG", "ja_JP.eucJP"),
        ("OCF_RA_VERSION_MAJOR", "9"),
        ("OCF_RESKEY_name", "../../etc"),
        ("OCF_RESKEY_no_kill", "perhaps"),
        ("OCF_RESKEY_hypervisor_uri", "qemu+ssh://nowhere.invalid/system"),
        ("OCF_RESKEY_CRM_meta_timeout", "1"),
        ("OCF_CHECK_LEVEL", "twenty"),
        ("HA_debug", "1"),
        ("RUST_LOG", "trace"),
    ];
    for (called, document) in [
        ("/usr/share/cluster/vm.sh", RGMANAGER.as_str()),
        ("/usr/lib/ocf/resource.d/vm-agent/vm", OCF.as_str()),
        ("/usr/lib/ocf/resource.d/vm-agent/VirtualDomain", OCF.as_str()),
    ] {
        for closing in ["", "<&-", "2>&-", "<&- 2>&-"] {
            for environment in [&[], hostile] {
                let begin = Moment::now();
                let mut command = Command::new("/bin/bash");
                command.args(["-c", &format!("exec -a \"$1\" \"$0\" meta-data more {closing}")]);
                command.arg(agent()).arg(called).env_clear().envs(environment.iter().copied());
                let answer = said(&mut command);
                assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{called} {closing} {environment:?}");
                assert_eq!(answer.out, document, "{called} {closing} {environment:?}");
                assert!(begin.elapsed() < Duration::from_secs(2));
            }
        }
    }
}

#[test]
fn a_person_gets_both_dialects() {
    for (dialect, document) in [("ocf", OCF.as_str()), ("rgmanager", RGMANAGER.as_str())] {
        let mut command = Command::new(agent());
        command.args(["meta-data", "--dialect", dialect]).env_clear();
        assert_eq!(said(&mut command).ok(), document);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut command = Command::new("/bin/bash");
    command.args(["-c", "exec -a vm \"$0\" meta-data > >(exec <&-)"]).arg(agent()).env_clear();
    let answer = said(&mut command);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    let mut command = Command::new(agent());
    command.arg0("vm").arg("meta-data").env_clear().stdout(std::fs::File::create("/dev/full").unwrap());
    assert!(command.status().unwrap().success(), "a full disk behind stdout is not the agent's failure");
}

#[test]
fn xmllint_and_the_schema_of_pcs_accept_the_meta_data() {
    need(&["xmllint", "pcs"]);
    let schema = "/usr/share/pcs/data/ocf-1.1.rng";
    assert!(std::path::Path::new(schema).is_file(), "pcs has no schema {schema}: is it older than 0.11?");
    let folder = installed::repository().join("agent-metadata");
    for file in ["ocf.xml", "rgmanager.xml"] {
        said(Command::new("xmllint").arg("--noout").arg(folder.join(file))).ok();
    }
    let mut lint = Command::new("xmllint");
    said(lint.args(["--noout", "--relaxng", schema]).arg(folder.join("ocf.xml"))).ok();
    // As ocf-tester does; no file of a DTD is needed.
    let mut lint = Command::new("xmllint");
    said(lint.args(["--noout", "--valid", "--nonet"]).arg(folder.join("ocf.xml"))).ok();
    let broken = OCF.replacen("</shortdesc>", "</shortdesc><more/>", 1);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, broken).unwrap();
    let mut lint = Command::new("xmllint");
    assert_ne!(said(lint.args(["--noout", "--valid", "--nonet"]).arg(file.path())).code, 0, "nothing is validated");
}

/// All words of a text with single blanks, since tools wrap lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tools_of_a_cluster_show_every_parameter_and_action() {
    need(&["pcs", "crm", "crm_resource"]);
    let host = Installed::with_the_program("/usr");
    let text = without_doctype(&OCF);
    let document = read(&text).unwrap();
    let parameters = published(&document);
    let long = |p: &Element<'_>| words(&p.text_of("longdesc").unwrap());

    assert_eq!(host.run(&["crm_resource", "--show-metadata", PROVIDED]).ok().trim_end(), OCF.trim_end());
    assert_eq!(words(&host.run(&["crm_resource", "--list-agents", "ocf:vm-agent"]).ok()), "vm");

    let pcs = host.run(&["pcs", "resource", "describe", "--full", PROVIDED]).ok();
    let pcs_words = words(&pcs);
    assert!(pcs.starts_with("ocf:vm-agent:vm - Virtual machine"), "{pcs}");
    for parameter in &parameters {
        assert!(pcs.contains(&format!("\n  {}", name(parameter))), "pcs does not show {}:\n{pcs}", name(parameter));
        assert!(pcs_words.contains(&long(parameter)), "pcs does not explain {}:\n{pcs}", name(parameter));
    }
    let crm = host.run(&["crm", "ra", "info", PROVIDED]).ok();
    let crm_words = words(&crm);
    for parameter in &parameters {
        let default = default(parameter).map(|value| format!(", [{value}]")).unwrap_or_default();
        let short = parameter.text_of("shortdesc").unwrap();
        let line = format!("\n{} ({}{default}): {short}\n", name(parameter), kind(parameter));
        assert!(crm.contains(&line), "crm does not show:{line}but:\n{crm}");
        assert!(crm_words.contains(&long(parameter)), "crm does not explain {}:\n{crm}", name(parameter));
    }
    for action in document.first("actions").unwrap().all("action") {
        let word = action.attribute("name").unwrap();
        let timeout = action.attribute("timeout").unwrap();
        // Both leave out what a cluster never schedules.
        if !["meta-data", "validate-all"].contains(&word) {
            assert!(crm_words.contains(&format!("{word} timeout={timeout}")), "crm does not show {word}:\n{crm}");
            let there = pcs_words.contains(&format!(" {word}: interval="));
            assert!(there || word == "status", "pcs does not show {word}:\n{pcs}");
        }
    }
}

/// A resource of VirtualDomain's with each parameter that it has; what is not supported here is off.
#[test]
fn the_tools_of_a_cluster_take_a_resource_of_virtual_domains_whose_provider_is_changed() {
    need(&["pcs", "crm", "cibadmin"]);
    let host = Installed::with_the_program("/usr");
    let options = [
        "config=/etc/vm/web.xml",
        "hypervisor=qemu:///system",
        "force_stop=0",
        "migration_transport=ssh",
        "migration_user=root",
        "migration_downtime=0",
        "migration_speed=0",
        "migration_network_suffix=-mig",
        "migrateuri=tcp://%n",
        "migrate_options=--verbose",
        "monitor_scripts=/bin/true",
        "autoset_utilization_cpu=false",
        "autoset_utilization_host_memory=false",
        "autoset_utilization_hv_memory=false",
        "unset_utilization_cpu=false",
        "unset_utilization_host_memory=false",
        "unset_utilization_hv_memory=false",
        "migrateport=49152",
        "remoteuri=qemu+ssh://%n/system",
        "save_config_on_stop=false",
        "sync_config_on_stop=no",
        "snapshot=no",
        "backingfile=no",
        "stateless=false",
        "copyindirs=no",
        "shutdown_mode=acpi",
        "start_resources=false",
    ]
    .join(" ");
    for agent in ["ocf:heartbeat:VirtualDomain", PROVIDED] {
        let with = |prepare: &str, command: &str| {
            let script = format!("cibadmin --empty >/root/cib.xml && {prepare} && {command} {options}");
            host.run(&["bash", "-c", &script])
        };
        let fencing_is_off = "export CIB_file=/root/cib.xml && crm_attribute -n stonith-enabled -v false";
        for answer in [
            // Of a resource as a whole crm traces no agent, and pcs does.
            with("true", &format!("pcs -f /root/cib.xml resource create v {agent} trace_ra=1")),
            with(fencing_is_off, &format!("crm configure primitive v {agent} params")),
        ] {
            assert_eq!(answer.code, 0, "{agent}: {answer:?}");
        }
    }
    let mut line = vec!["crm_resource", "--validate", "--class", "ocf", "--provider", "vm-agent", "--agent", "vm"];
    line.extend(options.split(' ').flat_map(|option| ["--option", option]));
    let checked = host.run(&line);
    assert_eq!(checked.code, 0, "{checked:?}");
}

/// What the installed VirtualDomain publishes, whatever its version: each name with its type, and its default is usable.
#[test]
fn the_installed_virtual_domains_parameters_are_published_with_their_types_and_their_defaults_are_taken() {
    let program = "/usr/lib/ocf/resource.d/heartbeat/VirtualDomain";
    let mut command = Command::new(program);
    command.arg("meta-data").env_clear().env("OCF_ROOT", "/usr/lib/ocf").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let theirs = said(&mut command).ok();
    let (_, theirs) =
        without_doctype(&theirs).split_once("<parameters>").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let theirs = theirs.split_once("</parameters>").unwrap().0.to_owned();
    let theirs = format!("<resource-agent><parameters>{theirs}</parameters></resource-agent>");
    let (theirs, ours) = (read(&theirs).unwrap(), without_doctype(&OCF));
    let ours = read(&ours).unwrap();
    let (theirs, ours) = (published(&theirs), published(&ours));
    assert!(theirs.len() > 20, "only {} parameters were found", theirs.len());
    for parameter in theirs {
        let same = ours.iter().find(|own| name(own) == name(parameter));
        assert_eq!(same.map(|own| kind(own)), Some(kind(parameter)), "{}", name(parameter));
        let value = default(parameter).unwrap_or_default();
        let params = Params::read([(name(parameter).as_bytes(), OsStr::new(value))]);
        assert_eq!(params.problems, [], "{}={value}", name(parameter));
    }
}

#[test]
fn the_tools_of_a_cluster_validate_parameters_through_the_agent() {
    need(&["pcs", "crm_resource"]);
    let host = Installed::with_the_program("/usr");
    let validate = |options: &[&str]| -> Said {
        let mut line = vec!["crm_resource", "--validate", "--class", "ocf", "--provider", "vm-agent", "--agent", "vm"];
        line.extend(options.iter().flat_map(|option| ["--option", *option]));
        host.run(&line)
    };
    let good = validate(&["name=web", "path=/etc/vm:/srv/vm"]);
    assert_eq!(good.code, 0, "{good:?}");
    let bad = validate(&["name=web", "no_kill=perhaps"]);
    assert_eq!(bad.code, 6, "{bad:?}");
    assert!(format!("{}{}", bad.out, bad.err).contains("no_kill: 'perhaps' is not a boolean; expected yes or no"));
    let none = validate(&["path=/etc/vm"]);
    assert_eq!(none.code, 6, "{none:?}");

    let pcs = |options: &[&str]| -> Said {
        let mut line = vec!["pcs", "-f", "/root/cib.xml", "resource", "create", "--agent-validation", "web", PROVIDED];
        line.extend(options);
        host.run(&line)
    };
    host.run(&["bash", "-c", "cibadmin --empty >/root/cib.xml"]).ok();
    let bad = pcs(&["name=web", "no_kill=perhaps"]);
    assert_ne!(bad.code, 0, "{bad:?}");
    assert!(bad.err.contains("no_kill: 'perhaps' is not a boolean"), "{bad:?}");
    let unknown = pcs(&["name=web", "no_such=1"]);
    assert!(unknown.code != 0 && unknown.err.contains("invalid resource option 'no_such'"), "{unknown:?}");
    let good = pcs(&["name=web", "path=/etc/vm:/srv/vm"]);
    assert_eq!(good.code, 0, "{good:?}");
    // A second resource for the same virtual machine would run it twice.
    let mut line = vec!["pcs", "-f", "/root/cib.xml", "resource", "create", "copy", PROVIDED];
    line.push("name=web");
    let twice = host.run(&line);
    assert!(twice.code != 0 && twice.err.contains("name"), "{twice:?}");
}

/// What resource-agents offers to try an agent with finds nothing.
#[test]
fn ocf_tester_passes_the_agent() {
    let host = Host::up();
    host.has_agent();
    let vm = host.guest("a").polite().written();
    let path = format!("path={}", vm.folder.display());
    let mut command = host.command("ocf-tester");
    command.args(["-n", "a", "-o", "name=a", "-o", &path, "/usr/lib/ocf/resource.d/vm-agent/vm"]);
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("passed all tests"), "{said}");
}
