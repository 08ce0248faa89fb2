// SPDX-License-Identifier: GPL-2.0-or-later
//! What is gathered before anything is judged: of each member what it tells of itself, and of the way to the others. It
//! goes over ssh as JSON, so a field that another version of the agent does not know has a default. No I/O.

use crate::cluster::MachinesOfCluster;
use crate::model::lack::Lack;
use crate::model::worker::{DomainListed, HostFacts};
use crate::sys::disk_identity::DiskSeen;
use serde::{Deserialize, Serialize};

/// All that is known.
pub(super) struct ExamSeen {
    /// This host first.
    pub members: Vec<MemberSeen>,
    /// The cluster that runs here; none, where none does.
    pub cluster: Option<Result<MachinesOfCluster, String>>,
    /// The machine that is asked about.
    pub name: Option<String>,
    /// Whether migrations connect by ssh, and whether by TLS.
    pub by_ssh: bool,
    pub by_tls: bool,
    /// The CPU that all members have.
    pub common_cpu: CommonCpu,
}

/// What libvirt here says of the members' CPUs together.
pub(super) enum CommonCpu {
    /// They are alike, or less than two are known.
    NotAsked,
    /// Its XML.
    Is(String),
    /// There is none, in libvirt's words.
    None(String),
    /// libvirt does not say.
    Unknown(String),
}

/// A member.
pub(super) struct MemberSeen {
    pub node: String,
    /// What it tells.
    pub told: Result<HostExam, Untold>,
    /// Its machines, where only libvirt there answered.
    pub domains: Result<Vec<DomainListed>, String>,
    /// When it was asked, and when its answer was here: seconds since 1970.
    pub window: (u64, u64),
    /// The addresses here of the name that its libvirt calls itself; none where that was not asked.
    pub own_name: Option<Vec<String>>,
}

/// Why a member tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// It has no such agent at this place.
    NoAgent(String),
    /// It does not answer, and the cluster knows.
    Offline,
    /// In words.
    Why(String),
}

/// What a member is asked, by its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExamQuestion {
    /// Its own name in the cluster.
    pub node: String,
    /// The others.
    pub others: Vec<String>,
    /// The parameters of the resource.
    pub params: Vec<(String, String)>,
    /// Those of other machines, which may be moved by other names.
    pub also: Vec<Vec<(String, String)>>,
    /// How long it has.
    pub timeout_ms: u64,
}

/// What a host tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct HostExam {
    /// The agent's version.
    pub version: String,
    /// The kernel's own id of its boot.
    pub boot: String,
    /// Seconds since 1970.
    pub clock: u64,
    /// The ways to the others.
    pub ways: Vec<WaySeen>,
    pub files: FilesSeen,
    /// What libvirt here tells; why it does not.
    pub libvirt: Option<LibvirtSeen>,
    pub libvirt_silent: Option<String>,
    /// The machine that is asked about.
    pub machine: Option<MachineSeen>,
    /// Why its kernel lets the agent start and end nothing.
    pub lacks_pidfd: Option<String>,
}

/// The way from one member to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct WaySeen {
    pub node: String,
    /// By which name a migration connects.
    pub host: String,
    /// Whether that has an address.
    pub resolves: bool,
    /// ssh, where a migration uses it.
    pub ssh: Option<SshSeen>,
    /// The last migration port there.
    pub port: Reach,
    /// Where the memory goes, if not to the same name.
    pub data_host: Option<String>,
    pub data_resolves: bool,
}

/// What became of a connection to a port at which nobody is expected to listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reach {
    #[default]
    NotTried,
    /// Refused, or even taken: nothing is between.
    Open,
    /// Nobody answered, or somebody on the way forbade it.
    Closed,
}

/// What ssh says of a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SshSeen {
    pub login: Login,
    /// ssh's own last line, where it failed.
    pub said: String,
    /// Whether the host's key is known under this name, if that could be looked up.
    pub key_known: Option<bool>,
    /// Whether ssh is told to take any key.
    pub unchecked: bool,
    /// What the login printed.
    pub printed: String,
    /// The private keys that it would use, and that exist.
    pub keys: Vec<KeySeen>,
    /// A name of the same host for which ssh's configuration says something else.
    pub configured_as: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Login {
    #[default]
    NotTried,
    Works,
    /// The host's key is not known, or not this one.
    KeyUnknown,
    KeyChanged,
    /// No key was good enough.
    Denied,
    /// There was no connection.
    Silent,
    /// ssh stops at its own configuration.
    Misconfigured,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeySeen {
    pub path: String,
    pub mode: u32,
    pub passphrase: bool,
    /// Whether the file beside it has another one's public key.
    pub other_public: bool,
}

/// A file or folder that sshd and ssh are particular about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SshPath {
    pub path: String,
    pub mode: u32,
    pub uid: u32,
    /// SELinux's label, where SELinux is on.
    pub label: Option<String>,
}

/// What files and the process table of a host tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FilesSeen {
    pub ssh: Vec<SshPath>,
    /// What sshd is told of root's logins.
    pub root_login: Option<String>,
    pub guests_service: bool,
    pub auto_shutdown: Vec<String>,
    /// A cluster manager and systemd are here, and the drop-in is not.
    pub no_ordering: bool,
    /// libvirt's daemons that run.
    pub daemons: Vec<String>,
    pub lock_manager: Option<String>,
    /// How many of the ports for migrations there are, and how many are taken.
    pub ports: u32,
    pub ports_taken: u32,
    pub certificates: Vec<CertificateSeen>,
    /// The CPU's flags.
    pub cpu_flags: Vec<String>,
}

/// A certificate of libvirt's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CertificateSeen {
    pub path: String,
    pub there: bool,
    /// When it ends, in its own words, where that is within 30 days.
    pub ends: Option<String>,
    /// Whether it is for the name by which a migration to this host connects.
    pub names_host: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LibvirtSeen {
    pub host: HostFacts,
    pub domains: Vec<DomainListed>,
    /// The CPU that its hypervisor can give, as XML with each feature.
    pub cpu: Option<String>,
}

/// The machine that is asked about, as a host finds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MachineSeen {
    /// The file of its definition, and its hash.
    pub file: Option<(String, String)>,
    /// Why there is none that can be read.
    pub no_file: Option<String>,
    pub has_uuid: bool,
    /// What it is called in its definition, by which UUID, and with which addresses.
    pub name: Option<String>,
    pub uuid: Option<String>,
    pub macs: Vec<String>,
    pub memory_mib: Option<u64>,
    pub disks: Vec<MachineDisk>,
    pub hostdevs: Vec<String>,
    /// Its NVRAM's path; empty where libvirt chooses it.
    pub nvram: Option<String>,
    /// The folder of that file.
    pub nvram_folder: DiskSeen,
    pub tpm: bool,
    /// Where the state of its emulated TPM is.
    pub tpm_folder: DiskSeen,
    pub on_poweroff: Option<String>,
    /// `host-passthrough`, ...; where the machine is not emulated, and its host's processor counts.
    pub cpu_mode: Option<String>,
    /// What this host lacks for it.
    pub lacks: Vec<Lack>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MachineDisk {
    pub target: String,
    pub path: String,
    pub cache: Option<String>,
    pub written: bool,
    pub seen: DiskSeen,
}
