// SPDX-License-Identifier: GPL-2.0-or-later
//! Each check, by facts that have its fault and no other; a healthy pair of members; the page and the JSON of the table.

use super::facts::*;
use super::table::ExamCheck;
use super::*;
use crate::cluster::{MachineResource, MachinesOfCluster, OperationSet};
use crate::model::lack::{Lack, LackKind};
use crate::model::worker::{DomainFacts, DomainListed, HostFacts};
use crate::sys::disk_identity::{DiskSeen, Storage};
use std::collections::BTreeSet;

fn domain(name: &str, number: u32, runs: bool) -> DomainListed {
    let facts = DomainFacts {
        name: name.into(),
        uuid: format!("00000000-0000-4000-8000-{number:012}"),
        id: runs.then_some(1),
        state: if runs { 1 } else { 5 },
        reason: 1,
        persistent: Some(true),
        autostart: Some(false),
        saved: Some(false),
        job_operation: None,
        job_error: None,
    };
    DomainListed { facts, mark: None, macs: vec![format!("52:54:00:00:00:{number:02}")], snapshots: Some(0) }
}

fn exam(node: &str, other: &str) -> HostExam {
    let ssh = SshSeen { login: Login::Works, key_known: Some(true), ..SshSeen::default() };
    let way = WaySeen {
        node: other.into(),
        host: other.into(),
        resolves: true,
        ssh: Some(ssh),
        port: Reach::Open,
        data_host: None,
        data_resolves: true,
    };
    let path = |path: &str, mode| SshPath { path: path.into(), mode, uid: 0, label: None };
    let files = FilesSeen {
        ssh: vec![path("/root", 0o700), path("/root/.ssh", 0o700), path("/root/.ssh/authorized_keys", 0o644)],
        daemons: vec!["libvirtd".into()],
        ports: 64,
        cpu_flags: vec!["sse".into(), "avx".into()],
        certificates: vec![CertificateSeen {
            path: "/etc/pki/libvirt/servercert.pem".into(),
            there: true,
            ends: None,
            names_host: Some(true),
        }],
        ..FilesSeen::default()
    };
    let host = HostFacts {
        daemon_version: Some(9_000_000),
        hypervisor: Some("QEMU".into()),
        hypervisor_version: Some(8_002_000),
        hostname: Some(node.into()),
        uuid: Some(format!("host of {node}")),
        ..HostFacts::default()
    };
    let disk = MachineDisk {
        target: "vda".into(),
        path: "/vms/a.qcow2".into(),
        cache: Some("none".into()),
        written: true,
        seen: DiskSeen {
            there: Some(true),
            storage: Storage::Shared,
            kind: "NFS".into(),
            numbers: (7, 4711),
            size: 1 << 30,
            identity: None,
        },
    };
    let machine = MachineSeen {
        file: Some(("/vms/a.xml".into(), "5a".into())),
        has_uuid: true,
        memory_mib: Some(2048),
        disks: vec![disk],
        ..MachineSeen::default()
    };
    HostExam {
        version: "0.1.0".into(),
        boot: format!("boot of {node}"),
        clock: 1000,
        ways: vec![way],
        files,
        libvirt: Some(LibvirtSeen { host, domains: Vec::new(), cpu: Some(cpu(&["sse", "avx"])) }),
        libvirt_silent: None,
        machine: Some(machine),
        lacks_pidfd: None,
    }
}

fn operation(name: &str, interval_ms: u64, timeout_ms: u64, on_fail: Option<&str>) -> OperationSet {
    OperationSet { name: name.into(), interval_ms, timeout_ms, on_fail: on_fail.map(str::to_owned), id: None }
}

fn resource() -> MachineResource {
    MachineResource {
        id: "a".into(),
        provider: "vm-agent".into(),
        params: vec![("name".into(), "a".into()), ("path".into(), "/vms".into())],
        cloned: false,
        managed: true,
        may_move: true,
        sticks: true,
        operations: vec![
            operation("start", 0, 90_000, None),
            operation("stop", 0, 180_000, None),
            operation("monitor", 10_000, 30_000, None),
            operation("migrate_to", 0, 600_000, Some("block")),
        ],
    }
}

/// Two members with a machine, without a fault.
fn healthy() -> ExamSeen {
    let member = |node: &str, other: &str, domains| MemberSeen {
        node: node.into(),
        told: Ok(exam(node, other)),
        domains: Ok(domains),
        window: (999, 1001),
        own_name: Some(vec!["10.0.0.2".into()]),
    };
    let here = member("node1", "node2", vec![domain("a", 1, true), domain("local", 2, true)]);
    let there = member("node2", "node1", vec![domain("a", 1, false), domain("other", 3, false)]);
    let cluster = MachinesOfCluster {
        fences: true,
        has_device: true,
        machines: vec![resource()],
        ..MachinesOfCluster::default()
    };
    ExamSeen {
        members: vec![here, there],
        cluster: Some(Ok(cluster)),
        name: Some("a".into()),
        by_ssh: true,
        by_tls: true,
        common_cpu: CommonCpu::NotAsked,
    }
}

/// A CPU with such features.
fn cpu(features: &[&str]) -> String {
    let features = features.iter().map(|name| format!("  <feature policy='require' name='{name}'/>\n"));
    format!("<cpu mode='custom'>\n  <model>EPYC</model>\n{}</cpu>", features.collect::<String>())
}

/// The second member's has not all that the first one's has.
fn lesser_cpu(seen: &mut ExamSeen) {
    node2(seen).libvirt.as_mut().unwrap().cpu = Some(cpu(&["sse"]));
    seen.common_cpu = CommonCpu::Is(cpu(&["sse"]));
}

fn node2(seen: &mut ExamSeen) -> &mut HostExam {
    seen.members[1].told.as_mut().unwrap()
}

fn ssh(seen: &mut ExamSeen) -> &mut SshSeen {
    node2(seen).ways[0].ssh.as_mut().unwrap()
}

fn way_of(seen: &mut ExamSeen, member: usize) -> &mut WaySeen {
    &mut seen.members[member].told.as_mut().unwrap().ways[0]
}

/// ssh from here to the second member.
fn way_here(seen: &mut ExamSeen) -> &mut SshSeen {
    way_of(seen, 0).ssh.as_mut().unwrap()
}

/// Another member, as well as the others.
fn third(seen: &mut ExamSeen) {
    let mut third = healthy().members.remove(1);
    third.node = "node3".into();
    third.told.as_mut().unwrap().libvirt.as_mut().unwrap().host.uuid = Some("third".into());
    seen.members.push(third);
}

fn denied(seen: &mut ExamSeen) -> &mut SshSeen {
    let ssh = ssh(seen);
    (ssh.login, ssh.said) = (Login::Denied, "Permission denied (publickey).".into());
    ssh.keys = vec![KeySeen { path: "/root/.ssh/id_rsa".into(), mode: 0o600, passphrase: false, other_public: false }];
    ssh
}

fn cluster(seen: &mut ExamSeen) -> &mut MachinesOfCluster {
    seen.cluster.as_mut().unwrap().as_mut().unwrap()
}

fn vm(seen: &mut ExamSeen) -> &mut MachineResource {
    &mut cluster(seen).machines[0]
}

fn op<'a>(seen: &'a mut ExamSeen, name: &str) -> &'a mut OperationSet {
    vm(seen).operations.iter_mut().find(|it| it.name == name).unwrap()
}

fn machine(seen: &mut ExamSeen) -> &mut MachineSeen {
    node2(seen).machine.as_mut().unwrap()
}

fn both(seen: &mut ExamSeen, change: impl Fn(&mut MachineSeen)) {
    seen.members.iter_mut().for_each(|member| change(member.told.as_mut().unwrap().machine.as_mut().unwrap()));
}

fn domains(seen: &mut ExamSeen, member: usize) -> &mut Vec<DomainListed> {
    seen.members[member].domains.as_mut().unwrap()
}

fn lacks(seen: &mut ExamSeen, kind: LackKind) {
    machine(seen).lacks.push(Lack::new(kind, "it", "this host lacks it".into()));
}

/// The fault of a check, and of no other.
type Fault = (ExamCheck, fn(&mut ExamSeen));

const FAULTS: &[Fault] = &[
    (ExamCheck::NotKnown, |it| it.members[1].told = Err(Untold::Why("it did not answer in time".into()))),
    (ExamCheck::NotKnown, |it| it.cluster = Some(Err("cibadmin did not answer".into()))),
    (ExamCheck::NotKnown, |it| *ssh(it) = SshSeen { said: "ssh is not installed".into(), ..SshSeen::default() }),
    (ExamCheck::NotKnown, |it| machine(it).disks[0].seen = DiskSeen::default()),
    (ExamCheck::NotKnown, |it| {
        both(it, |machine| {
            let device =
                DiskSeen { there: Some(true), storage: Storage::Device, kind: "loop0".into(), ..DiskSeen::default() };
            machine.disks[0].seen = device;
        });
    }),
    (ExamCheck::NotKnown, |it| {
        it.members[1].told = Err(Untold::Offline);
        way_here(it).login = Login::Silent;
    }),
    (ExamCheck::NoAgent, |it| it.members[1].told = Err(Untold::NoAgent("/usr/sbin/vm-agent".into()))),
    (ExamCheck::OtherVersion, |it| node2(it).version = "0.2.0".into()),
    (ExamCheck::ClockApart, |it| node2(it).clock = 1020),
    (ExamCheck::ClockApart, |it| node2(it).clock = 980),
    (ExamCheck::SshRefused, |it| {
        denied(it);
    }),
    (ExamCheck::SshSilent, |it| ssh(it).login = Login::Silent),
    // A member that nobody gets to, by whomever it was tried.
    (ExamCheck::SshSilent, |it| {
        third(it);
        it.members[1].told = Err(Untold::Why("ssh to it failed: Connection refused".into()));
        for member in [0, 2] {
            let way = WaySeen { node: "node2".into(), host: "node2".into(), ..way_of(it, member).clone() };
            *way_of(it, member) = way;
            way_of(it, member).ssh.as_mut().unwrap().login = Login::Silent;
        }
    }),
    (ExamCheck::HostKeyChanged, |it| {
        it.members[1].told = Err(Untold::Why("ssh to it failed: Host key verification failed.".into()));
        way_here(it).login = Login::KeyChanged;
    }),
    (ExamCheck::HostKeyUnknown, |it| ssh(it).login = Login::KeyUnknown),
    (ExamCheck::HostKeyChanged, |it| ssh(it).login = Login::KeyChanged),
    (ExamCheck::HostPattern, |it| denied(it).configured_as = Some("node1.example".into())),
    (ExamCheck::KeyReadable, |it| denied(it).keys[0].mode = 0o644),
    (ExamCheck::KeyReadable, |it| {
        let key = SshPath { path: "/root/.ssh/id_rsa".into(), mode: 0o600, uid: 1000, label: None };
        node2(it).files.ssh.push(key);
    }),
    (ExamCheck::KeyLocked, |it| denied(it).keys[0].passphrase = true),
    (ExamCheck::NoKey, |it| denied(it).keys.clear()),
    (ExamCheck::SshFilesOpen, |it| node2(it).files.ssh[1].mode = 0o775),
    (ExamCheck::SshFilesOpen, |it| node2(it).files.ssh[2].uid = 1000),
    (ExamCheck::SshLabel, |it| node2(it).files.ssh[2].label = Some("unconfined_u:object_r:user_home_t:s0".into())),
    (ExamCheck::NoAddress, |it| {
        node2(it).ways[0].resolves = false;
        ssh(it).login = Login::Silent;
    }),
    (ExamCheck::NoAddress, |it| {
        let way = &mut node2(it).ways[0];
        (way.data_host, way.data_resolves, way.port) = (Some("node1-mig".into()), false, Reach::NotTried);
    }),
    (ExamCheck::HostKeyUnchecked, |it| ssh(it).unchecked = true),
    (ExamCheck::LoginTalks, |it| ssh(it).printed = "Welcome!".into()),
    (ExamCheck::OtherPublicKey, |it| denied(it).keys[0].other_public = true),
    (ExamCheck::RootLogin, |it| {
        denied(it);
        it.members[0].told.as_mut().unwrap().files.root_login = Some("no".into());
    }),
    (ExamCheck::SshConfig, |it| {
        (ssh(it).login, ssh(it).said) = (Login::Misconfigured, "Bad owner or permissions on /root/.ssh/config".into());
    }),
    (ExamCheck::FencingOff, |it| cluster(it).fences = false),
    (ExamCheck::NoFenceDevice, |it| cluster(it).has_device = false),
    (ExamCheck::NoFenceDevice, |it| cluster(it).unfenced = vec!["node2".into()]),
    (ExamCheck::TwoResources, |it| {
        let other = MachineResource { id: "b".into(), params: vec![("name".into(), "a".into())], ..vm(it).clone() };
        cluster(it).machines.push(other);
    }),
    (ExamCheck::NoName, |it| vm(it).params = vec![("config".into(), "/vms/a.xml".into())]),
    (ExamCheck::StopTooShort, |it| op(it, "stop").timeout_ms = 30_000),
    (ExamCheck::StopTooShort, |it| vm(it).params.push(("shutdown_timeout".into(), "170".into()))),
    (ExamCheck::StopTooShort, |it| vm(it).operations.retain(|it| it.name != "stop")),
    (ExamCheck::MoveTooShort, |it| op(it, "migrate_to").timeout_ms = 30_000),
    (ExamCheck::MoveTooShort, |it| vm(it).params.push(("migration_speed".into(), "5".into()))),
    (ExamCheck::NoMoves, |it| vm(it).may_move = false),
    (ExamCheck::NoMoves, |it| {
        cluster(it).rgmanagers = true;
        vm(it).may_move = false;
    }),
    (ExamCheck::FailedMoveStops, |it| op(it, "migrate_to").on_fail = None),
    (ExamCheck::NotWatched, |it| op(it, "monitor").interval_ms = 0),
    (ExamCheck::Cloned, |it| vm(it).cloned = true),
    (ExamCheck::StopIgnored, |it| op(it, "stop").on_fail = Some("ignore".into())),
    (ExamCheck::OtherAgent, |it| vm(it).provider = "heartbeat".into()),
    (ExamCheck::NoQuorum, |it| {
        cluster(it).ignores_quorum = true;
        third(it);
    }),
    (ExamCheck::NotManaged, |it| vm(it).managed = false),
    (ExamCheck::BadParameter, |it| vm(it).params.push(("migrate".into(), "sideways".into()))),
    (ExamCheck::MonitorTooShort, |it| vm(it).params.push(("monitor_wait".into(), "30".into()))),
    (ExamCheck::NotSticky, |it| vm(it).sticks = false),
    (ExamCheck::SameName, |it| domains(it, 1).push(domain("local", 4, false))),
    (ExamCheck::SameUuid, |it| {
        domains(it, 1).push(DomainListed { macs: Vec::new(), ..domain("copy-of-local", 2, false) });
    }),
    // The machine that is off is known by its file alone.
    (ExamCheck::SameName, |it| {
        domains(it, 0).remove(0);
        both(it, |machine| (machine.name, machine.uuid) = (Some("a".into()), Some("its-own".into())));
    }),
    (ExamCheck::SameUuid, |it| {
        let uuid = domains(it, 1)[1].facts.uuid.clone();
        it.members.iter_mut().for_each(|member| drop(member.domains.as_mut().unwrap().remove(0)));
        both(it, |machine| (machine.name, machine.uuid) = (Some("a".into()), Some(uuid.clone())));
    }),
    (ExamCheck::SameMac, |it| {
        let macs = domains(it, 1)[1].macs.clone();
        both(it, |machine| {
            (machine.name, machine.uuid) = (Some("a".into()), Some("00000000-0000-4000-8000-000000000001".into()));
            machine.macs.clone_from(&macs);
        });
    }),
    (ExamCheck::SameMac, |it| domains(it, 1)[1].macs = vec!["52:54:00:00:00:01".into()]),
    (ExamCheck::Autostart, |it| domains(it, 1)[0].facts.autostart = Some(true)),
    (ExamCheck::RunsTwice, |it| domains(it, 1)[0] = domain("a", 1, true)),
    (ExamCheck::FileDiffers, |it| machine(it).file = Some(("/vms/a.xml".into(), "6b".into()))),
    (ExamCheck::FileMissing, |it| {
        *machine(it) = MachineSeen { no_file: Some("it is not there".into()), ..MachineSeen::default() }
    }),
    (ExamCheck::NoUuid, |it| both(it, |machine| machine.has_uuid = false)),
    (ExamCheck::SavedMemory, |it| domains(it, 1)[0].facts.saved = Some(true)),
    (ExamCheck::HasSnapshots, |it| domains(it, 1)[0].snapshots = Some(1)),
    (ExamCheck::NoEmulator, |it| lacks(it, LackKind::EmulatorMissing)),
    (ExamCheck::NoNetwork, |it| lacks(it, LackKind::BridgeMissing)),
    (ExamCheck::NoStorage, |it| lacks(it, LackKind::PoolInactive)),
    (ExamCheck::NoFirmware, |it| lacks(it, LackKind::FirmwareMissing)),
    (ExamCheck::NoTpm, |it| lacks(it, LackKind::TpmEmulatorMissing)),
    (ExamCheck::NoHostDevice, |it| lacks(it, LackKind::PciMissing)),
    (ExamCheck::LesserCpu, |it| lacks(it, LackKind::CpuIncompatible)),
    (ExamCheck::NoSecret, |it| lacks(it, LackKind::SecretMissing)),
    (ExamCheck::LackingNow, |it| lacks(it, LackKind::PortInUse)),
    (ExamCheck::PerhapsLacking, |it| lacks(it, LackKind::PciGroupShared)),
    (ExamCheck::LocalDisk, |it| {
        both(it, |machine| {
            (machine.disks[0].seen.storage, machine.disks[0].seen.kind) = (Storage::Local, "ext4".into())
        });
    }),
    (ExamCheck::OtherDisk, |it| machine(it).disks[0].seen.numbers.1 = 1),
    (ExamCheck::OtherDisk, |it| {
        let boot = it.members[0].told.as_ref().unwrap().boot.clone();
        node2(it).boot = boot;
        machine(it).disks[0].seen.numbers.0 = 8;
    }),
    (ExamCheck::OtherDisk, |it| {
        both(it, |machine| {
            machine.disks[0].seen = DiskSeen {
                there: Some(true),
                storage: Storage::Device,
                identity: Some("naa.1".into()),
                ..DiskSeen::default()
            };
        });
        machine(it).disks[0].seen.identity = Some("naa.2".into());
    }),
    (ExamCheck::CacheMode, |it| both(it, |machine| machine.disks[0].cache = Some("unsafe".into()))),
    (ExamCheck::HostDevice, |it| both(it, |machine| machine.hostdevs.push("pci 0000:01:00.0".into()))),
    (ExamCheck::OwnNvram, |it| both(it, |machine| machine.nvram = Some(String::new()))),
    (ExamCheck::OwnTpm, |it| both(it, |machine| machine.tpm = true)),
    (ExamCheck::OtherCpu, |it| {
        both(it, |machine| machine.cpu_mode = Some("host-passthrough".into()));
        lesser_cpu(it);
    }),
    // Of a libvirt that does not tell it, by the kernel's word.
    (ExamCheck::OtherCpu, |it| {
        both(it, |machine| machine.cpu_mode = Some("host-model".into()));
        node2(it).libvirt.as_mut().unwrap().cpu = None;
        node2(it).files.cpu_flags.pop();
    }),
    (ExamCheck::OtherCpus, lesser_cpu),
    (ExamCheck::NoCommonCpu, |it| {
        lesser_cpu(it);
        it.common_cpu = CommonCpu::None("CPU vendors do not match".into());
    }),
    (ExamCheck::NotKnown, |it| it.common_cpu = CommonCpu::Unknown("it did not answer in time".into())),
    (ExamCheck::GuestRestarts, |it| both(it, |machine| machine.on_poweroff = Some("restart".into()))),
    (ExamCheck::SmallMember, |it| {
        node2(it).libvirt.as_mut().unwrap().host.memory_kib.insert("total".into(), 1 << 20);
    }),
    (ExamCheck::LibvirtSilent, |it| node2(it).libvirt_silent = Some("it does not answer".into())),
    (ExamCheck::GuestsService, |it| node2(it).files.guests_service = true),
    (ExamCheck::AutoShutdown, |it| node2(it).files.auto_shutdown.push("auto_shutdown_poweroff".into())),
    (ExamCheck::NoOrdering, |it| node2(it).files.no_ordering = true),
    (ExamCheck::MixedDaemons, |it| node2(it).files.daemons.push("virtqemud".into())),
    (ExamCheck::LockManagers, |it| node2(it).files.lock_manager = Some("sanlock".into())),
    (ExamCheck::OtherLibvirt, |it| node2(it).libvirt.as_mut().unwrap().host.daemon_version = Some(11_003_000)),
    (ExamCheck::OtherQemu, |it| node2(it).libvirt.as_mut().unwrap().host.hypervisor_version = Some(10_000_000)),
    (ExamCheck::SameHostUuid, |it| node2(it).libvirt.as_mut().unwrap().host.uuid = Some("host of node1".into())),
    (ExamCheck::BadHostname, |it| it.members[1].own_name = Some(Vec::new())),
    // One that starts no program knows nothing of libvirt, nor of ways, and it is told why.
    (ExamCheck::OldKernel, |it| {
        let why = "Linux 4.18.0: Function not implemented";
        let exam = node2(it);
        (exam.lacks_pidfd, exam.libvirt_silent, exam.libvirt) = (Some(why.into()), Some(why.into()), None);
        *ssh(it) = SshSeen { said: why.into(), ..SshSeen::default() };
    }),
    (ExamCheck::OldKernel, |it| {
        it.members[0].told.as_mut().unwrap().lacks_pidfd = Some("Linux 4.18.0: Function not implemented".into());
        it.members[1].told = Err(Untold::Why("ssh to it failed: Function not implemented".into()));
    }),
    (ExamCheck::BadHostname, |it| it.members[1].own_name = Some(vec!["127.0.1.1".into()])),
    (ExamCheck::PortsTaken, |it| node2(it).files.ports_taken = 64),
    (ExamCheck::PortsClosed, |it| node2(it).ways[0].port = Reach::Closed),
    (ExamCheck::CertificateEnds, |it| node2(it).files.certificates[0].ends = Some("Dec  1 2026".into())),
    (ExamCheck::CertificateName, |it| node2(it).files.certificates[0].names_host = Some(false)),
    (ExamCheck::NoCertificate, |it| node2(it).files.certificates[0].there = false),
];

fn ids(seen: &ExamSeen) -> Vec<&'static str> {
    Doctor::of(seen).findings.iter().map(|it| it.id).collect()
}

#[test]
fn a_healthy_pair_has_no_fault() {
    let doctor = Doctor::of(&healthy());
    assert_eq!(doctor.text(), "no fault was found; asked: node1, node2");
    assert_eq!(doctor.code, Code::Ok);
    let mut alone = healthy();
    (alone.cluster, alone.name) = (None, None);
    assert!(ids(&alone).is_empty());
    // Without a cluster who else there is must be told.
    let hint = "--nodes n2,n3 names them";
    assert!(!Doctor::of(&alone).text().contains(hint));
    alone.members.pop();
    // libvirt starts and ends the machines of a host that is in no cluster.
    let here = alone.members[0].told.as_mut().unwrap();
    (here.files.guests_service, here.files.auto_shutdown) = (true, vec!["auto_shutdown_poweroff".into()]);
    domains(&mut alone, 0)[0].facts.autostart = Some(true);
    alone.name = Some("a".into());
    assert!(ids(&alone).is_empty(), "{:?}", ids(&alone));
    assert!(Doctor::of(&alone).text().ends_with(hint), "{}", Doctor::of(&alone).text());
}

#[test]
fn each_fault_is_found_by_its_check_and_by_no_other() {
    for (check, fault) in FAULTS {
        let mut seen = healthy();
        fault(&mut seen);
        let doctor = Doctor::of(&seen);
        let found: Vec<&str> = doctor.findings.iter().map(|it| it.id).collect();
        assert_eq!(found, [check.row().id], "{check:?}: {}", doctor.text());
        let expected = match check.row().level {
            Level::Error => Code::Generic,
            Level::Warning => Code::Degraded,
            Level::Notice => Code::Ok,
        };
        assert_eq!(doctor.code, expected, "{check:?}");
    }
}

#[test]
fn each_check_has_a_fault_that_shows_it_and_a_code_of_its_own() {
    let shown: BTreeSet<ExamCheck> = FAULTS.iter().map(|(check, _)| *check).collect();
    let missing: Vec<&ExamCheck> = ExamCheck::ALL.iter().filter(|check| !shown.contains(check)).collect();
    assert!(missing.is_empty(), "no fault shows {missing:?}");
    let codes: Vec<&str> = ExamCheck::ALL.iter().map(|check| check.row().id).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
    for row in ExamCheck::ALL.iter().map(|check| check.row()) {
        assert!(row.id.len() == 5 && row.id.starts_with("VA"), "{}", row.id);
        assert!(row.why.ends_with('.') && row.mend.ends_with('.') && !row.what.ends_with('.'), "{}", row.id);
    }
}

#[test]
fn a_silent_member_is_not_known_and_what_its_libvirt_told_still_counts() {
    let mut seen = healthy();
    seen.members[1].told = Err(Untold::Why("ssh to it failed".into()));
    domains(&mut seen, 1)[0] = domain("a", 1, true);
    assert_eq!(ids(&seen), ["VA305", "VA001"]);
    let doctor = Doctor::of(&seen);
    assert!(doctor.text().ends_with("1 error, 1 warning; asked: node1; silent: node2"), "{}", doctor.text());
    assert_eq!(doctor.members[1].silent.as_deref(), Some("ssh to it failed"));
}

#[test]
fn what_the_firmware_and_the_tpm_keep_on_shared_storage_is_no_members_own() {
    let shared = DiskSeen { there: Some(true), storage: Storage::Shared, numbers: (1, 2), ..DiskSeen::default() };
    let mut seen = healthy();
    both(&mut seen, |machine| {
        (machine.nvram, machine.tpm) = (Some("/vms/a.fd".into()), true);
        (machine.nvram_folder, machine.tpm_folder) = (shared.clone(), shared.clone());
    });
    assert!(ids(&seen).is_empty(), "{:?}", ids(&seen));
    machine(&mut seen).nvram_folder.numbers.1 = 3;
    machine(&mut seen).tpm_folder.storage = Storage::Local;
    assert_eq!(ids(&seen), ["VA406", "VA407"]);
}

#[test]
fn two_resources_are_one_machines_by_their_files_too() {
    let twins = |own: &[(&str, &str)], other: &[(&str, &str)]| {
        let params =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut seen = healthy();
        let second = MachineResource { id: "b".into(), params: params(other), ..vm(&mut seen).clone() };
        vm(&mut seen).params = params(own);
        cluster(&mut seen).machines.push(second);
        ids(&seen).contains(&"VA203")
    };
    assert!(twins(&[("config", "/vms/a.xml")], &[("config", "/vms/a.xml")]));
    assert!(twins(&[("config", "/vms/a.xml")], &[("name", "a")]) && twins(&[("name", "a")], &[("config", "/x/a.xml")]));
    assert!(!twins(&[("config", "/vms/a.xml")], &[("config", "/x/a.xml")]));
    assert!(!twins(&[("name", "a"), ("config", "/vms/x.xml")], &[("name", "b"), ("config", "/vms/x.xml")]));
}

#[test]
fn a_machine_that_is_moving_does_not_run_twice() {
    let mut seen = healthy();
    let arriving = &mut domains(&mut seen, 1)[0].facts;
    // Paused, for a migration.
    (arriving.id, arriving.state, arriving.reason) = (Some(3), 3, 2);
    assert!(ids(&seen).is_empty(), "{:?}", ids(&seen));
}

#[test]
fn commands_are_printed_below_what_they_mend_and_hostile_names_stay_words() {
    let printed = |name: &str| {
        let mut seen = healthy();
        domains(&mut seen, 1)[0].facts.autostart = Some(true);
        for member in 0..2 {
            domains(&mut seen, member)[0].facts.name = name.into();
        }
        seen.name = Some(name.into());
        seen.cluster = None;
        Doctor::of(&seen).hints()
    };
    let commands = |name: &str| -> Vec<String> {
        let hints = printed(name);
        assert!(hints.starts_with("# vm-agent has run none of this"), "{hints}");
        let commands = hints.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        commands.map(str::to_owned).collect()
    };
    for (name, word) in [
        ("x; reboot #", "'x; reboot #'"),
        ("it's  two", r"'it'\''s  two'"),
        ("m\u{f6}bel", "'m\u{f6}bel'"),
        (&"long".repeat(20), &"long".repeat(20)),
    ] {
        assert_eq!(commands(name), [format!("virsh autostart --disable {word}")]);
    }
    // What is no word on one line is left to the person.
    assert_eq!(commands("x\nreboot"), [""; 0]);
    assert!(printed("x\nreboot").ends_with("\n# Turn its autostart off."));
}

#[test]
fn the_cpu_that_all_members_have_is_printed_for_the_definition() {
    let mut seen = healthy();
    lesser_cpu(&mut seen);
    let doctor = Doctor::of(&seen);
    assert!(doctor.text().contains("the CPU of node2 lacks avx, which node1 has"), "{}", doctor.text());
    let cpu =
        "# for the definition: <cpu mode='custom'><model>EPYC</model><feature policy='require' name='sse'/></cpu>";
    assert!(doctor.hints().lines().any(|line| line == cpu), "{}", doctor.hints());
}

#[test]
fn a_name_that_nobody_has_is_told_once_with_the_one_that_was_meant() {
    let mut seen = healthy();
    seen.name = Some("locla".into());
    both(&mut seen, |machine| {
        *machine = MachineSeen { no_file: Some("there is none".into()), ..MachineSeen::default() }
    });
    let text = Doctor::of(&seen).text();
    assert!(
        text.contains("VA307  no member has a definition of 'locla': there is none; did you mean 'local'?"),
        "{text}"
    );
    assert_eq!(text.matches("VA307").count(), 1, "{text}");
}

#[test]
fn what_a_member_answers_is_read_as_it_was_said() {
    let told = exam("node2", "node1");
    let line = json::line(&told);
    assert_eq!(serde_json::from_str::<HostExam>(&line).unwrap(), told);
    // What another version of the agent leaves out or adds does not make it silent.
    let other: HostExam = serde_json::from_str(r#"{"version":"9","new":1,"files":{"ports":2}}"#).unwrap();
    assert_eq!((other.version.as_str(), other.files.ports), ("9", 2));
}

#[test]
fn the_page_of_checks_has_each_of_them() {
    let rows = ExamCheck::ALL.iter().map(|check| {
        let row = check.row();
        format!("| {} | {} | {} | {} | {} |\n", row.id, row.level.word(), row.what, row.why, row.mend)
    });
    let head = "| code | level | what is true | why it matters | how to mend it |\n|---|---|---|---|---|\n";
    crate::unit::documents::rendered("docs/DOCTOR.md", head, "", &rows.collect::<String>());
}

#[test]
fn the_page_on_json_has_every_field_of_doctor() {
    let mut seen = healthy();
    domains(&mut seen, 1)[0].facts.autostart = Some(true);
    let mut doctor = Doctor::of(&seen);
    doctor.members.iter_mut().for_each(|it| it.silent = Some(String::new()));
    json::documented("doctor", VERSION, &doctor.json());
}
