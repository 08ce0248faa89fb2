// SPDX-License-Identifier: GPL-2.0-or-later
//! What a domain needs of the host that runs it, beyond its devices: libvirt's secrets, ports, huge pages. Pure.

use super::devices::each;
use super::strict::Element;

/// One of libvirt's secrets, as a definition names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretName {
    /// By UUID.
    Uuid(String),
    /// By what it is for: the kind of use (`ceph`, `iscsi`, `passphrase`) and the name there.
    Usage(String, String),
}

/// A port of the host at which a graphics console listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolePort {
    /// `vnc`, `spice`, ...
    pub kind: String,
    /// The port.
    pub port: u16,
    /// The address that it listens at, if the definition names one.
    pub address: Option<String>,
    /// Whether it must be this port: libvirt chooses another on the next host otherwise.
    pub fixed: bool,
}

impl ConsolePort {
    /// Whether one host cannot have both.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        let everywhere = |port: &Self| matches!(port.address.as_deref(), Some("0.0.0.0" | "::"));
        self.port == other.port && (everywhere(self) || everywhere(other) || self.address == other.address)
    }
}

/// The secrets of disks and of an emulated TPM, each once.
#[must_use]
pub fn secrets(root: &Element<'_>) -> Vec<SecretName> {
    let mut found = Vec::new();
    for devices in root.all("devices") {
        collect_secrets(devices, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn collect_secrets(element: &Element<'_>, found: &mut Vec<SecretName>) {
    for child in &element.children {
        if child.is("secret") && (element.is("auth") || element.is("encryption")) {
            let attribute = |name: &str| child.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned);
            let usage = || Some(SecretName::Usage(attribute("type")?, attribute("usage")?));
            found.extend(attribute("uuid").map(SecretName::Uuid).or_else(usage));
        } else if child.is("encryption") && element.is("backend") {
            found.extend(child.attribute("secret").map(|uuid| SecretName::Uuid(uuid.to_owned())));
        }
        collect_secrets(child, found);
    }
}

/// The ports of the graphics consoles that have a number yet.
#[must_use]
pub fn console_ports(root: &Element<'_>) -> Vec<ConsolePort> {
    let mut ports = Vec::new();
    for graphics in each(root, "graphics") {
        let listen = graphics.first("listen");
        if listen.is_some_and(|listen| matches!(listen.attribute("type"), Some("socket" | "none"))) {
            continue;
        }
        let address = graphics.attribute("listen").or_else(|| listen?.attribute("address")).map(str::to_owned);
        for name in ["port", "tlsPort"] {
            if let Some(port) = graphics.attribute(name).and_then(|port| port.parse().ok()).filter(|port| *port > 0) {
                ports.push(ConsolePort {
                    kind: graphics.attribute("type").unwrap_or_default().to_owned(),
                    port,
                    address: address.clone(),
                    fixed: graphics.attribute("autoport") != Some("yes"),
                });
            }
        }
    }
    ports
}

/// The files of the host that its serial ports and consoles are written to, each once.
#[must_use]
pub fn console_files(root: &Element<'_>) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for device in ["serial", "console", "parallel"].into_iter().flat_map(|name| each(root, name)) {
        let written = device.first("source").filter(|_| device.attribute("type") == Some("file"));
        let paths =
            [written.and_then(|it| it.attribute("path")), device.first("log").and_then(|it| it.attribute("file"))];
        for path in paths.into_iter().flatten() {
            if !files.iter().any(|known| known == path) {
                files.push(path.to_owned());
            }
        }
    }
    files
}

/// Whether its memory is of huge pages; of which sizes in KiB, unless the host chooses. A size of which only some of the
/// guest's nodes are has no part in it.
#[must_use]
pub fn huge_pages(root: &Element<'_>) -> Option<Vec<u64>> {
    let pages = root.first("memoryBacking")?.first("hugepages")?;
    let size = |page: &Element<'_>| {
        let number: u64 = page.attribute("size")?.trim().parse().ok()?;
        super::facts::scale(page.attribute("unit").unwrap_or("KiB")).map(|scale| number.saturating_mul(scale) / 1024)
    };
    Some(pages.all("page").filter(|page| page.attribute("nodeset").is_none()).filter_map(size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::read;

    #[test]
    fn secrets_are_found_wherever_libvirt_takes_them() -> Result<(), crate::model::definition::DefinitionError> {
        let root = read(
            "<domain><devices><disk><auth username='x'><secret type='ceph' uuid='u1'/></auth></disk>\
             <disk><source><auth username='y'><secret type='iscsi' usage='libvirt'/></auth>\
             <encryption format='luks'><secret type='passphrase' uuid='u2'/></encryption></source></disk>\
             <tpm><backend type='emulator'><encryption secret='u1'/></backend></tpm></devices>\
             <metadata><auth><secret type='ceph' uuid='no'/></auth></metadata></domain>",
        )?;
        let uuid = |uuid: &str| SecretName::Uuid(uuid.into());
        assert_eq!(secrets(&root), [uuid("u1"), uuid("u2"), SecretName::Usage("iscsi".into(), "libvirt".into())]);
        Ok(())
    }

    #[test]
    fn ports_collide_where_one_listens_everywhere_or_both_at_one_address()
    -> Result<(), crate::model::definition::DefinitionError> {
        let root = read(
            "<domain><devices><graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1'/>\
             <graphics type='spice' port='5901' tlsPort='5902' autoport='yes'><listen type='address' address='0.0.0.0'/>\
             </graphics><graphics type='vnc' port='-1'/><graphics type='vnc' port='5'><listen type='none'/></graphics>\
             <graphics type='vnc' port='5901' listen='10.0.0.1'/></devices></domain>",
        )?;
        let ports = console_ports(&root);
        let [local, everywhere, tls, other] = ports.as_slice() else { unreachable!("{ports:?}") };
        assert_eq!((local.fixed, everywhere.fixed, tls.port), (true, false, 5902));
        assert!(local.collides_with(everywhere) && everywhere.collides_with(other));
        assert!(!local.collides_with(other) && !local.collides_with(tls));
        Ok(())
    }

    #[test]
    fn consoles_that_are_files_are_told_once() -> Result<(), crate::model::definition::DefinitionError> {
        let root = read(
            "<domain><devices><serial type='file'><source path='/log/a'/></serial><console type='file'><source \
             path='/log/a'/></console><serial type='pty'><source path='/dev/pts/1'/><log file='/log/b' append='on'/>\
             </serial></devices></domain>",
        )?;
        assert_eq!(console_files(&root), ["/log/a", "/log/b"]);
        Ok(())
    }

    #[test]
    fn huge_pages_have_the_sizes_that_all_of_the_memory_may_have()
    -> Result<(), crate::model::definition::DefinitionError> {
        let sizes = |pages: &str| {
            let text = format!("<domain><memoryBacking>{pages}</memoryBacking></domain>");
            read(&text).map(|root| huge_pages(&root))
        };
        assert_eq!(sizes("<locked/>")?, None);
        assert_eq!(sizes("<hugepages/>")?, Some(vec![]));
        let two = "<hugepages><page size='2048'/><page size='1' unit='G' nodeset='0'/></hugepages>";
        assert_eq!(sizes(two)?, Some(vec![2048]));
        Ok(())
    }
}
