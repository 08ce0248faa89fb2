// SPDX-License-Identifier: GPL-2.0-or-later
//! What a host lacks for a domain, as far as its libvirt can be asked: before a migration, and for validate-all.

use crate::capabilities::Capabilities;
use crate::{cpu, ffi};
use virt::connect::Connect;
use virt::error::Error;
use virt::sys;
use vm_agent::model::definition::{self, DefinedDomain, DiskKind, Element, SecretName};
use vm_agent::model::lack::{Lack, LackKind};
use vm_agent::model::worker::{Lacks, NO_SUPPORT};

/// libvirt's error numbers for a thing that a host does not have.
pub(crate) const NO_NETWORK: u32 = 43;
pub(crate) const NO_STORAGE_POOL: u32 = 49;
pub(crate) const NO_STORAGE_VOL: u32 = 50;
const NO_INTERFACE: u32 = 57;
const NO_SECRET: u32 = 66;
/// For a kind of machine that a host does not have: invalid argument, internal, configuration not supported.
const REFUSALS: [u32; 3] = [8, 1, 67];
/// For a system call that failed: of QEMU's driver when it looks at the emulator.
const SYSTEM_ERROR: u32 = 38;
/// For a CPU that lacks something.
const CPU_INCOMPATIBLE: u32 = 91;

/// The host that is asked, and what is found.
pub(crate) struct Check<'a> {
    pub connection: &'a Connect,
    pub facts: &'a DefinedDomain,
    pub root: &'a Element<'a>,
    pub text: &'a str,
    /// What the host is called.
    pub there: &'a str,
    /// Whether networks and pools that are not active will be started.
    pub starts: bool,
    pub lacks: Lacks,
}

impl Check<'_> {
    /// Everything but what others use on the host at this moment.
    pub(crate) fn everything(&mut self) {
        self.networks();
        self.bridges_of_networks();
        self.pools();
        self.volumes();
        self.host_interfaces();
        self.secrets();
        self.machine();
    }

    pub(crate) fn miss(&mut self, kind: LackKind, what: &str, sentence: String) {
        self.lacks.missing.push(Lack::new(kind, what, sentence));
    }

    pub(crate) fn unknown(&mut self, what: &str, error: &Error) {
        self.lacks.unknown.push(format!("{what} is not known: {}", error.message()));
    }

    pub(crate) fn networks(&mut self) {
        let (facts, there) = (self.facts, self.there);
        for network in facts.interfaces.iter().filter_map(|interface| interface.network.as_deref()) {
            match self.connection.lookup_network_by_name(network).and_then(|network| network.is_active()) {
                Ok(active) if active || self.starts => {}
                Ok(_) => {
                    let sentence = format!("the network '{network}' is not active on {there}: start it there");
                    self.miss(LackKind::NetworkInactive, network, sentence);
                }
                Err(error) if error.code().to_raw() == NO_NETWORK => {
                    let sentence = format!("{there} has no network '{network}': define and start it there");
                    self.miss(LackKind::NetworkMissing, network, sentence);
                }
                Err(error) => self.unknown(&format!("whether {there} has the network '{network}'"), &error),
            }
        }
    }

    pub(crate) fn pools(&mut self) {
        let (facts, there) = (self.facts, self.there);
        let volumes = facts.disks.iter().filter(|disk| disk.kind == DiskKind::Volume);
        for pool in volumes.filter_map(|disk| disk.source.as_deref()?.split('/').next()) {
            match self.connection.lookup_storage_pool_by_name(pool).and_then(|pool| pool.is_active()) {
                Ok(active) if active || self.starts => {}
                Ok(_) => {
                    let sentence = format!("the storage pool '{pool}' is not active on {there}: start it there");
                    self.miss(LackKind::PoolInactive, pool, sentence);
                }
                Err(error) if error.code().to_raw() == NO_STORAGE_POOL => {
                    let sentence = format!("{there} has no storage pool '{pool}': define and start it there");
                    self.miss(LackKind::PoolMissing, pool, sentence);
                }
                Err(error) => self.unknown(&format!("whether {there} has the storage pool '{pool}'"), &error),
            }
        }
    }

    /// A network that only names a bridge is active without it; whoever is connected to it is not.
    fn bridges_of_networks(&mut self) {
        let (facts, there) = (self.facts, self.there);
        for name in facts.interfaces.iter().filter_map(|interface| interface.network.as_deref()) {
            // That it is missing has been said.
            let Ok(text) = self.connection.lookup_network_by_name(name).and_then(|network| network.xml_desc(0)) else {
                continue;
            };
            let Ok(root) = definition::read(&text) else { continue };
            let only_named = root.first("forward").is_some_and(|forward| forward.attribute("mode") == Some("bridge"));
            let bridge = root.first("bridge").and_then(|bridge| bridge.attribute("name")).filter(|_| only_named);
            let Some(bridge) = bridge else { continue };
            if let Ok(false) = self.has_interface(bridge) {
                let sentence =
                    format!("{there} has no bridge '{bridge}', which the network '{name}' names: set it up there");
                self.miss(LackKind::BridgeMissing, bridge, sentence);
            }
        }
    }

    /// Volumes, of pools that are active. One that was made elsewhere since is found by a start that starts pools.
    fn volumes(&mut self) {
        let (facts, there) = (self.facts, self.there);
        let volumes = facts.disks.iter().filter(|disk| disk.kind == DiskKind::Volume && !disk.may_be_missing);
        for source in volumes.filter_map(|disk| disk.source.as_deref()).filter(|_| !self.starts).collect::<Vec<_>>() {
            let Some((pool_name, volume)) = source.split_once('/') else { continue };
            let Ok(pool) = self.connection.lookup_storage_pool_by_name(pool_name) else { continue };
            if !pool.is_active().unwrap_or(false) {
                continue;
            }
            let found = pool.lookup_storage_vol_by_name(volume);
            if found.is_err_and(|error| error.code().to_raw() == NO_STORAGE_VOL) {
                let sentence = format!(
                    "the storage pool '{pool_name}' of {there} has no volume '{volume}': 'virsh pool-refresh' finds new ones"
                );
                self.miss(LackKind::VolumeMissing, source, sentence);
            }
        }
    }

    /// Bridges, and the devices under macvtap.
    fn host_interfaces(&mut self) {
        let (facts, there) = (self.facts, self.there);
        for interface in &facts.interfaces {
            let (what, kind) = match interface.kind.as_str() {
                // Which bridge a network has is that host's own affair.
                "bridge" if interface.network.is_none() => ("bridge", LackKind::BridgeMissing),
                "direct" if interface.network.is_none() => ("network device", LackKind::NetworkDeviceMissing),
                _ => continue,
            };
            let Some(name) = interface.source.as_deref() else { continue };
            match self.has_interface(name) {
                Ok(true) => {}
                Ok(false) => self.miss(kind, name, format!("{there} has no {what} '{name}': set it up there")),
                Err(error) => self.unknown(&format!("whether {there} has the {what} '{name}'"), &error),
            }
        }
    }

    fn has_interface(&self, name: &str) -> Result<bool, Error> {
        match self.connection.lookup_interface_by_name(name) {
            Ok(_) => return Ok(true),
            Err(error) if error.code().to_raw() == NO_INTERFACE => return Ok(false),
            // Its driver is a part that distributions leave out.
            Err(_) => {}
        }
        let devices = self.connection.list_all_node_devices(sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET)?;
        let element = format!("<interface>{name}</interface>");
        Ok(devices.iter().any(|device| device.xml_desc(0).is_ok_and(|xml| xml.contains(&element))))
    }

    fn secrets(&mut self) {
        let there = self.there;
        for secret in definition::secrets(self.root) {
            let (found, words) = match &secret {
                SecretName::Uuid(uuid) => (self.connection.lookup_secret_by_uuid_string(uuid), uuid.clone()),
                SecretName::Usage(kind, usage) => {
                    let number = match kind.as_str() {
                        "passphrase" => sys::VIR_SECRET_USAGE_TYPE_VOLUME,
                        "ceph" => sys::VIR_SECRET_USAGE_TYPE_CEPH,
                        "iscsi" => sys::VIR_SECRET_USAGE_TYPE_ISCSI,
                        _ => sys::VIR_SECRET_USAGE_TYPE_NONE,
                    };
                    let number = i32::try_from(number).unwrap_or(0);
                    (self.connection.lookup_secret_by_usage(number, usage), format!("for {kind} '{usage}'"))
                }
            };
            match found {
                Ok(_) => {}
                Err(error) if error.code().to_raw() == NO_SECRET => {
                    let sentence = format!("{there} has no secret {words}: define it there, and set its value");
                    self.miss(LackKind::SecretMissing, &words, sentence);
                }
                Err(error) => self.unknown(&format!("whether {there} has the secret {words}"), &error),
            }
        }
    }

    /// Whether the hypervisor runs this type of domain, its emulator has this kind of machine, and the CPU will do.
    pub(crate) fn machine(&mut self) {
        let (facts, there) = (self.facts, self.there);
        let domain_type = facts.domain_type.as_str();
        match Capabilities::of(self.connection).map(|capabilities| capabilities.domain_types) {
            Ok(types) if types.iter().any(|offered| offered == domain_type) => {}
            Ok(types) => {
                let types = if types.is_empty() { "none at all".to_owned() } else { types.join(", ") };
                let sentence =
                    format!("libvirt on {there} cannot run a domain of type '{domain_type}', only of these: {types}");
                let way_out = if domain_type == "kvm" { "; /dev/kvm is missing there, or not usable" } else { "" };
                return self.miss(LackKind::DomainType, domain_type, sentence + way_out);
            }
            Err(error) => self.unknown(&format!("whether {there} can run domains of type '{domain_type}'"), &error),
        }
        let [emulator, arch, machine] = [&facts.emulator, &facts.arch, &facts.machine].map(Option::as_deref);
        match self.connection.domain_capabilities(emulator, arch, machine, Some(domain_type), 0) {
            Ok(capabilities) => self.offers(&capabilities),
            // Containers have no machine to be asked for.
            Err(error) if error.code().to_raw() == NO_SUPPORT => return,
            Err(error) if refuses(&error) => {
                let sentence = format!("{there} cannot run this kind of machine: {}", error.message());
                return self.miss(LackKind::MachineType, machine.unwrap_or(domain_type), sentence);
            }
            Err(error) => self.unknown(&format!("whether {there} can run this kind of machine"), &error),
        }
        // Under emulation every CPU that the emulator knows will do.
        if domain_type != "kvm" {
            return;
        }
        let Some(cpu) = self.root.first("cpu").and_then(|cpu| self.text.get(cpu.span())) else { return };
        match ffi::compare_cpu(self.connection, facts, cpu) {
            Ok(()) => {}
            Err(error) if error.code().to_raw() == CPU_INCOMPATIBLE => {
                let sentence = format!("the CPU of {there} cannot run it: {}", error.message());
                self.miss(LackKind::CpuIncompatible, "cpu", sentence);
            }
            Err(error) => self.unknown(&format!("whether the CPU of {there} can run it"), &error),
        }
    }

    /// Where libvirt chooses the firmware, it must have one of that kind; it must have what emulates a TPM, and the model of
    /// CPU. What an older libvirt does not tell is not missing.
    fn offers(&mut self, capabilities: &str) {
        let Ok(capabilities) = definition::read(capabilities) else { return };
        let lacks = |element: Option<&Element<'_>>, choice: &str, wanted: &str| {
            let offered = element?.all("enum").find(|offered| offered.attribute("name") == Some(choice))?;
            (!offered.all("value").any(|value| value.text == wanted)).then_some(())
        };
        // A domain that runs has one.
        let chosen = self.facts.loader.is_some();
        let wanted = self.root.first("os").filter(|_| !chosen).and_then(|os| os.attribute("firmware"));
        let there = self.there;
        if let Some(wanted) = wanted
            && lacks(capabilities.first("os"), "firmware", wanted).is_some()
        {
            let sentence = format!("libvirt on {there} finds no firmware '{wanted}': install its package (ovmf) there");
            self.miss(LackKind::FirmwareKind, wanted, sentence);
        }
        let tpm = capabilities.first("devices").and_then(|devices| devices.first("tpm"));
        if self.facts.vtpm.is_some() && lacks(tpm, "backendModel", "emulator").is_some() {
            let sentence = format!("libvirt on {there} finds nothing that emulates a TPM: install swtpm there");
            self.miss(LackKind::TpmEmulatorMissing, "swtpm", sentence);
        }
        if let Some(model) = cpu::unknown_model(self.connection, &capabilities, self.root) {
            let sentence =
                format!("{there} cannot give it the CPU '{model}', which its libvirt or emulator does not know");
            self.miss(LackKind::CpuIncompatible, &model, sentence);
        }
    }

    /// Huge pages come from a pool of their own, and all that a guest has are taken at its start.
    pub(crate) fn huge_pages(&mut self) {
        let there = self.there;
        let (Some(sizes), Some(needed)) = (definition::huge_pages(self.root), self.facts.memory_max_kib) else {
            return;
        };
        let offered = match Capabilities::of(self.connection) {
            Ok(capabilities) => capabilities.page_sizes,
            Err(error) => return self.unknown(&format!("which huge pages {there} has"), &error),
        };
        // Without a size the host chooses.
        let ordinary = offered.iter().min().copied().unwrap_or(4);
        let wanted = |size: &&u32| match sizes.as_slice() {
            [] => **size > ordinary,
            sizes => sizes.contains(&u64::from(**size)),
        };
        let mut most = 0;
        for size in offered.iter().filter(wanted) {
            match self.free_pages(*size) {
                Ok(free) => most = most.max(free.saturating_mul(u64::from(*size))),
                Err(error) => return self.unknown(&format!("how many huge pages are free on {there}"), &error),
            }
        }
        if most < needed {
            let (most, needed) = (most / 1024, needed / 1024);
            let sentence =
                format!("{there} has {most} MiB of such huge pages free, it needs {needed}: reserve more there");
            self.miss(LackKind::HugePages, "huge pages", sentence);
        }
    }

    fn free_pages(&self, size: u32) -> Result<u64, Error> {
        let cells = self.connection.node_info()?.nodes;
        Ok(self.connection.free_pages(&[size], 0, cells, 0)?.iter().sum())
    }

    /// The ports that another domain there has.
    pub(crate) fn ports(&mut self) {
        let there = self.there;
        let wanted: Vec<_> = definition::console_ports(self.root).into_iter().filter(|port| port.fixed).collect();
        if wanted.is_empty() {
            return;
        }
        let domains = match self.connection.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE) {
            Ok(domains) => domains,
            Err(error) => return self.unknown(&format!("which console ports are in use on {there}"), &error),
        };
        for other in &domains {
            let Ok(text) = other.xml_desc(0) else { continue };
            let Ok(root) = definition::read(&text) else { continue };
            let taken = definition::console_ports(&root);
            for port in wanted.iter().filter(|port| taken.iter().any(|taken| taken.collides_with(port))) {
                let name = other.name().unwrap_or_default();
                let sentence = format!("its {} port {} is in use on {there}, by '{name}'", port.kind, port.port);
                self.miss(LackKind::PortInUse, &port.port.to_string(), sentence);
            }
        }
    }
}

/// Whether libvirt says that there is no such machine, rather than that it cannot say.
fn refuses(error: &Error) -> bool {
    let no_emulator = error.code().to_raw() == SYSTEM_ERROR && error.domain().to_raw() == sys::VIR_FROM_QEMU;
    no_emulator || REFUSALS.contains(&error.code().to_raw())
}
