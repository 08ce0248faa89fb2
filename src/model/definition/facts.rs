// SPDX-License-Identifier: GPL-2.0-or-later
//! What a definition says about the domain as a whole. Pure.
//!
//! Only children of the root are asked: a `<name>` in metadata, in a comment or of another namespace never counts.

use super::devices::{self, Disk, Filesystem, Interface};
use super::error::{DefinitionError, shortened};
use super::mark::{self, Mark, Switched};
use super::strict::{self, Element};
use super::tpm::{self, TpmState};
use crate::sys::text::parse_uuid;

/// The facts of a definition, whatever it is written in. A fact that the definition leaves out is `None` or empty; defaults
/// are filled in only where a field says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedDomain {
    /// The name, exactly as libvirt takes it: blanks at its ends belong to it.
    pub name: String,
    /// The UUID; without one libvirt invents a new one at each start.
    pub uuid: Option<[u8; 16]>,
    /// The hypervisor's driver: `kvm`, `qemu`, `xen`, `lxc`, `test`, ...
    pub domain_type: String,
    /// A title for people.
    pub title: Option<String>,
    /// The most virtual CPUs.
    pub vcpus_max: Option<u32>,
    /// The virtual CPUs at start; by default all.
    pub vcpus_current: Option<u32>,
    /// The memory at start in KiB, rounded up; not the ceiling of hot-plugging (`<maxMemory>`).
    pub memory_max_kib: Option<u64>,
    /// The memory that the balloon leaves in KiB, rounded up; by default all.
    pub memory_current_kib: Option<u64>,
    /// The path of the emulator.
    pub emulator: Option<String>,
    /// `hvm`, `xen`, `xenpvh`, `exe`, ...
    pub os_type: Option<String>,
    /// The architecture of the guest: `x86_64`, ...
    pub arch: Option<String>,
    /// The machine type.
    pub machine: Option<String>,
    /// The firmware's file.
    pub loader: Option<String>,
    /// The file of the firmware's variables.
    pub nvram: Option<String>,
    /// Whether the firmware keeps variables in a file, be it one that libvirt names.
    pub has_nvram: bool,
    /// The kernel that is booted directly.
    pub kernel: Option<String>,
    /// Its initial RAM disk.
    pub initrd: Option<String>,
    /// The disks, in the definition's order.
    pub disks: Vec<Disk>,
    /// The network interfaces, in the definition's order.
    pub interfaces: Vec<Interface>,
    /// Devices of the host given to the guest, each in a few words ("pci 0000:01:00.0"): they hinder a migration.
    pub hostdevs: Vec<String>,
    /// Folders of the host shared with the guest.
    pub filesystems: Vec<Filesystem>,
    /// What becomes of the state of the emulated TPM, a folder of the host, if there is one.
    pub vtpm: Option<TpmState>,
    /// The names of the channels: `org.qemu.guest_agent.0` is the guest agent.
    pub channels: Vec<String>,
    /// What libvirt does when the guest powers off: `destroy` by default.
    pub on_poweroff: Option<String>,
    /// What libvirt does when the guest reboots: `restart` by default.
    pub on_reboot: Option<String>,
    /// What libvirt does when the guest crashes: `destroy` by default.
    pub on_crash: Option<String>,
    /// Our own mark, if the domain was started by this agent.
    pub mark: Option<Mark>,
}

/// Reads the facts of a definition, or of a running domain's XML.
///
/// # Errors
/// The text is no well-formed definition of one domain with a name that libvirt takes, or a fact is not what libvirt
/// demands (a number, a UUID).
pub fn parse(text: &[u8]) -> Result<DefinedDomain, DefinitionError> {
    let text = strict::decode(text)?;
    let root = strict::read(text)?;
    facts(text, &root)
}

/// Who an active domain is, by libvirt's own status file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Our mark, if it has one.
    pub mark: Option<Mark>,
    /// Its disks that were switched since the mark was made; nothing where no mark tells what they were.
    pub switched: Option<Vec<Switched>>,
}

/// Reads libvirt's status file of an active domain (`<domstatus>`, with the domain's live definition in it).
#[must_use]
pub fn status_file(text: &[u8]) -> Option<Recorded> {
    let text = strict::decode(text).ok()?;
    let root = strict::read(text).ok()?;
    let domain = root.is("domstatus").then(|| root.first("domain")).flatten()?;
    let (name, uuid) = (name(text, domain).ok()?, parse_uuid(&domain.text_of("uuid")?)?);
    let mark = mark::of(domain);
    let telling = mark.as_ref().filter(|mark| !mark.disks.is_empty());
    let switched = telling.map(|mark| mark::switched(&devices::disks(domain), mark));
    Some(Recorded { name, uuid, mark, switched })
}

/// The facts of a document that was read.
pub(super) fn facts(text: &str, root: &Element<'_>) -> Result<DefinedDomain, DefinitionError> {
    check_root(text, root)?;
    let os = root.first("os");
    let os_type = os.and_then(|os| os.first("type"));
    let os_text = |name: &str| os.and_then(|os| os.text_of(name));
    let vcpu = root.first("vcpu");
    let vcpus_max = vcpu.map(|e| count(text, e, &e.text)).transpose()?.flatten();
    let vcpus_current =
        vcpu.and_then(|e| e.attribute("current").map(|current| count(text, e, current))).transpose()?.flatten();
    let memory_max_kib = root.first("memory").map(|e| kibibytes(text, e)).transpose()?.flatten();
    let memory_current_kib = root.first("currentMemory").map(|e| kibibytes(text, e)).transpose()?.flatten();
    let Some(domain_type) = root.attribute("type").filter(|kind| !kind.is_empty()) else {
        return Err(DefinitionError::at(text, root.start_tag.start, "<domain> has no type, such as type='kvm'"));
    };
    Ok(DefinedDomain {
        name: name(text, root)?,
        uuid: root.first("uuid").filter(|e| !e.text.is_empty()).map(|e| uuid(text, e)).transpose()?,
        domain_type: domain_type.to_owned(),
        title: root.text_of("title"),
        vcpus_max,
        vcpus_current: vcpus_current.or(vcpus_max),
        memory_max_kib,
        memory_current_kib: memory_current_kib.or(memory_max_kib),
        emulator: devices::each(root, "emulator").map(|e| e.text.clone()).find(|path| !path.is_empty()),
        os_type: os_type.map(|e| e.text.clone()).filter(|kind| !kind.is_empty()),
        arch: os_type.and_then(|e| e.attribute("arch")).map(str::to_owned),
        machine: os_type.and_then(|e| e.attribute("machine")).map(str::to_owned),
        loader: os_text("loader"),
        nvram: os_text("nvram").filter(|path| !path.trim().is_empty()).or_else(|| {
            let source = os?.first("nvram")?.first("source")?;
            devices::source(source)
        }),
        has_nvram: os.is_some_and(keeps_variables),
        kernel: os_text("kernel"),
        initrd: os_text("initrd"),
        disks: devices::disks(root),
        interfaces: devices::interfaces(root),
        hostdevs: devices::hostdevs(root),
        filesystems: devices::filesystems(root),
        vtpm: tpm::state(root),
        channels: devices::channels(root),
        on_poweroff: root.text_of("on_poweroff"),
        on_reboot: root.text_of("on_reboot"),
        on_crash: root.text_of("on_crash"),
        mark: mark::of(root),
    })
}

/// Whether a firmware of this `<os>` has variables that outlive the domain.
fn keeps_variables(os: &Element<'_>) -> bool {
    let loader = |name: &str| os.first("loader").and_then(|loader| loader.attribute(name));
    let efi = os.attribute("firmware") == Some("efi") || loader("type") == Some("pflash");
    os.first("nvram").is_some() || (efi && loader("stateless") != Some("yes"))
}

/// Refuses everything that is not a domain's definition.
pub(super) fn check_root(text: &str, root: &Element<'_>) -> Result<(), DefinitionError> {
    if root.is("domain") {
        return Ok(());
    }
    let name = shortened(root.name);
    let what = match (&root.namespace, root.name) {
        (Some(namespace), "domain") => {
            format!("<domain> is of the namespace '{}'; a definition's has none", shortened(namespace))
        }
        (_, "domstatus") => {
            "<domstatus> is libvirt's own status file of a running domain; expected a definition, <domain>".into()
        }
        _ => format!("the root element is <{name}>; expected <domain>"),
    };
    Err(DefinitionError::at(text, root.start_tag.start, what))
}

/// The name, by libvirt's rules; exactly one, where libvirt silently takes the first.
fn name(text: &str, root: &Element<'_>) -> Result<String, DefinitionError> {
    let mut names = root.all("name");
    let Some(element) = names.next() else {
        return Err(DefinitionError::at(text, root.start_tag.start, "<domain> has no <name>"));
    };
    let wrong = |element: &Element<'_>, what: &str| Err(DefinitionError::at(text, element.start_tag.start, what));
    if let Some(second) = names.next() {
        return wrong(second, "a second <name>; a domain has one");
    }
    if let Some(inside) = element.children.first() {
        return wrong(inside, "an element inside <name>; expected text only");
    }
    let name = element.text.as_str();
    if name.trim().is_empty() {
        return wrong(element, "<name> is empty");
    }
    if name.contains('/') {
        return wrong(element, "<name> holds a '/', which libvirt refuses");
    }
    if name.contains('\n') {
        return wrong(element, "<name> holds a line break, which libvirt refuses");
    }
    Ok(name.to_owned())
}

fn uuid(text: &str, element: &Element<'_>) -> Result<[u8; 16], DefinitionError> {
    parse_uuid(&element.text)
        .ok_or_else(|| DefinitionError::at(text, element.start_tag.start, "<uuid> is not 32 hexadecimal digits"))
}

/// A number of virtual CPUs; `None` when it is empty, as in `<vcpu placement='auto'/>`.
fn count(text: &str, element: &Element<'_>, value: &str) -> Result<Option<u32>, DefinitionError> {
    match value.trim() {
        "" => Ok(None),
        digits => match digits.parse() {
            Ok(count) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(count)),
            _ => {
                let what = format!("<{}> holds '{}'; expected a number", element.name, shortened(digits));
                Err(DefinitionError::at(text, element.start_tag.start, what))
            }
        },
    }
}

/// An amount of memory in KiB, rounded up; `None` when it is empty.
fn kibibytes(text: &str, element: &Element<'_>) -> Result<Option<u64>, DefinitionError> {
    let wrong = |what: String| Err(DefinitionError::at(text, element.start_tag.start, what));
    let digits = element.text.trim();
    if digits.is_empty() {
        return Ok(None);
    }
    let number: Option<u64> = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    let unit = element.attribute("unit").unwrap_or("KiB");
    let Some(scale) = scale(unit) else {
        return wrong(format!("<{}> has the unit '{}'; expected KiB, MiB, GiB, ...", element.name, shortened(unit)));
    };
    match number.and_then(|number| number.checked_mul(scale)) {
        Some(bytes) => Ok(Some(bytes.div_ceil(1024))),
        None => {
            wrong(format!("<{}> holds '{}'; expected a whole number below 16 EiB", element.name, shortened(digits)))
        }
    }
}

/// The bytes of a unit as libvirt understands it: letters of either case; `k` and `KiB` are 1024, `KB` is 1000.
pub(super) fn scale(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    if matches!(unit.as_str(), "b" | "byte" | "bytes") {
        return Some(1);
    }
    let mut chars = unit.chars();
    let power = match chars.next()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        'e' => 6,
        _ => return None,
    };
    match chars.as_str() {
        "" | "ib" => Some(1 << (10 * power)),
        "b" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_units_are_libvirts() {
        for (unit, bytes) in [
            ("b", 1),
            ("bytes", 1),
            ("KB", 1000),
            ("k", 1024),
            ("KiB", 1024),
            ("MB", 1_000_000),
            ("M", 1 << 20),
            ("MiB", 1 << 20),
            ("GB", 1_000_000_000),
            ("G", 1 << 30),
            ("GiB", 1 << 30),
            ("TB", 1_000_000_000_000),
            ("T", 1 << 40),
            ("TiB", 1 << 40),
            ("gib", 1 << 30),
            ("E", 1 << 60),
        ] {
            assert_eq!(scale(unit), Some(bytes), "{unit}");
        }
        for unit in ["", "x", "KiBs", "kk", "i", "KBB", "Ki"] {
            assert_eq!(scale(unit), None, "{unit}");
        }
    }
}
