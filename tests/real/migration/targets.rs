// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a machine is moved to, for each combination of the parameters that say so: VirtualDomain itself is asked, with a
//! virsh that only writes down what it is called with. Where vm-agent computes something else, that is on purpose, and
//! stands here and in docs/BEHAVIOUR.md.

use crate::common::*;
use std::path::PathBuf;

/// A target's name in the cluster.
const NODE: &str = "node2.example";

/// Parameters, by name.
type Given = Vec<(&'static str, &'static str)>;

/// Where libvirt is told to connect, and where to send the memory.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    control: String,
    data: Option<String>,
}

/// VirtualDomain on a host, whose virsh only writes.
struct Oracle {
    host: Host,
    bin: PathBuf,
    config: PathBuf,
}

impl Oracle {
    fn up() -> Self {
        let host = Host::up();
        let words = "case \" $* \" in *' domstate '*) echo running ;; *' migrate '*) printf '%s\\n' \"$@\" ;; esac";
        let bin = host.script("oracle/virsh", words).parent().unwrap().to_owned();
        // Whoever connects is refused at once.
        host.run("sh", &["-c", "echo 127.0.0.1 node2.example node2-mig.example >>/etc/hosts"]);
        let config = host.file("oracle/a.xml", "<domain type='qemu'>\n<name>a</name>\n</domain>\n");
        Self { host, bin, config }
    }

    fn asks(&self, given: &Given) -> Asked {
        let mut command = self.host.command("/usr/lib/ocf/resource.d/heartbeat/VirtualDomain");
        command.arg("migrate_to").env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.bin.display()));
        for (name, value) in [
            ("OCF_ROOT", "/usr/lib/ocf"),
            ("OCF_RA_VERSION_MAJOR", "1"),
            ("OCF_RA_VERSION_MINOR", "0"),
            ("OCF_RESOURCE_INSTANCE", "a"),
            ("OCF_RESKEY_CRM_meta_timeout", "20000"),
            ("OCF_RESKEY_CRM_meta_migrate_target", NODE),
            ("OCF_RESKEY_hypervisor", "qemu:///system"),
        ] {
            command.env(name, value);
        }
        command.env("OCF_RESKEY_config", &self.config);
        command.envs(given.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value)));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{given:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let mut words = said.lines().skip_while(|word| *word != "a").skip(1).map(str::to_owned);
        let control = words.next().unwrap_or_else(|| panic!("{given:?}: {said}"));
        let asked = Asked { control, data: words.next() };
        assert_eq!(words.next(), None, "{given:?}: {said}");
        asked
    }

    /// What vm-agent computes, as `explain` tells it.
    fn explained(&self, given: &Given) -> Asked {
        let call = self.host.call(Human, "explain migrate").named("a").arg(NODE);
        let call = given.iter().fold(call, |call, (name, value)| call.param(name, value));
        let answer = call.run();
        let begin = format!("target {NODE} (");
        let line = answer.stdout.lines().find_map(|line| line.strip_prefix(&begin));
        let target = line.and_then(|line| line.split("): ").next()).unwrap_or_else(|| panic!("{given:?}: {answer}"));
        let (control, data) = target.split_once("; memory to ").map_or((target, None), |(uri, data)| (uri, Some(data)));
        Asked { control: control.into(), data: data.map(str::to_owned) }
    }
}

/// What vm-agent makes of it, on purpose.
fn meant(given: &Given, theirs: Asked) -> Asked {
    let set = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let mut control = theirs.control;
    // Without a transport libvirt would take TLS, for which hardly anybody has certificates: it is ssh.
    if set("remoteuri").is_none() && set("migration_transport").is_none() {
        control = control.replacen("://", "+ssh://", 1);
    }
    // ssh must not ask anybody anything.
    if control.contains("+ssh:") {
        control += "?no_tty=1";
    }
    let written =
        set("migrateuri").is_some() || set("migrate_options").is_some_and(|text| text.contains("--migrateuri"));
    let data = theirs.data.map(|data| {
        // A user is for the connection, and no part of where the memory goes.
        let data = data.replace("vm@", "");
        let (host, port) = match data.strip_prefix("tcp:").and_then(|rest| rest.rsplit_once(':')) {
            Some(parts) if !written => parts,
            // Xen's has no scheme, which libvirt would add.
            None if !written => return format!("tcp://{data}"),
            Some(_) | None => return data,
        };
        // A port that nobody chose is drawn by lot there, and may be taken: libvirt finds a free one.
        match set("migrateport") {
            Some(_) => format!("tcp://{host}:{port}"),
            None => format!("tcp://{host}"),
        }
    });
    Asked { control, data }
}

#[test]
fn each_combination_of_where_to_means_what_it_means_to_virtual_domain() {
    let oracle = Oracle::up();
    let choices: [&[Option<(&'static str, &'static str)>]; 6] = [
        &[None, Some(("remoteuri", "qemu+tcp://%n/system"))],
        &[None, Some(("migration_network_suffix", "-mig"))],
        &[None, Some(("migrateuri", "tcp://%n:49999"))],
        &[None, Some(("migrateport", "16509"))],
        &[
            None,
            Some(("migrate_options", "--unsafe --migrateuri=tcp://%n-opt:1 --persistent")),
            Some(("migrate_options", "--unsafe")),
        ],
        &[None, Some(("migration_transport", "ssh")), Some(("migration_transport", "tls"))],
    ];
    let mut table: Vec<Given> = vec![Vec::new()];
    for choice in choices {
        table = table
            .iter()
            .flat_map(|given| choice.iter().map(|more| given.iter().copied().chain(*more).collect()))
            .collect();
    }
    assert_eq!(table.len(), 144);
    let user = ("migration_user", "vm");
    let xen = ("hypervisor", "xen:///system");
    table.extend([
        vec![user],
        vec![user, ("migration_network_suffix", "-mig")],
        vec![user, ("migrateuri", "tcp://%n:49999")],
        vec![user, ("remoteuri", "qemu+ssh://%n/system")],
        vec![xen],
        vec![xen, ("migration_network_suffix", "-mig"), ("migration_transport", "ssh")],
        vec![xen, ("migration_network_suffix", "-mig"), ("migrateport", "16509")],
        vec![("hypervisor", "qemu:///session"), ("migration_transport", "ssh")],
    ]);
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|given| {
            let theirs = oracle.asks(given);
            let told = format!("{given:?}:\n  VirtualDomain {theirs:?}");
            let (meant, ours) = (meant(given, theirs), oracle.explained(given));
            (meant != ours).then(|| format!("{told}\n  meant {meant:?}\n  vm-agent {ours:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
