// SPDX-License-Identifier: GPL-2.0-or-later
//! What an xl file (xl.cfg(5)) says of its domain: the same facts as of libvirt's XML. Pure.
//!
//! Read strictly is what this agent uses; what else a file says, xl itself judges at the start.

mod devices;
mod syntax;

use super::error::{DefinitionError, shortened};
use super::facts::DefinedDomain;
use super::strict;
use crate::sys::text::parse_uuid;
use syntax::{Assigned, Placed, Value};

/// What may become of a domain at its end, in xl's words.
const ENDS: [&str; 7] =
    ["destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart", "soft-reset"];

/// Reads the facts of an xl file.
///
/// # Errors
/// It is none, it names no domain, or a fact is not what xl demands.
pub fn parse_xl(bytes: &[u8]) -> Result<DefinedDomain, DefinitionError> {
    let text = strict::decode(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = XlFile { text, assigned: syntax::read(text)? };
    let vcpus = file.number("vcpus")?;
    let vcpus_max = file.number("maxvcpus")?.or(vcpus);
    let memory = file.number("memory")?;
    let memory_max = file.number("maxmem")?.or(memory);
    let kibibytes = |mebibytes: Option<u32>| mebibytes.map(|mebibytes| u64::from(mebibytes) * 1024);
    Ok(DefinedDomain {
        name: file.name()?,
        uuid: file.uuid()?,
        domain_type: "xen".into(),
        title: None,
        vcpus_max,
        vcpus_current: vcpus.or(vcpus_max),
        memory_max_kib: kibibytes(memory_max),
        memory_current_kib: kibibytes(memory.or(memory_max)),
        emulator: file.text("device_model_override")?,
        os_type: Some(file.guest()?.to_owned()),
        arch: None,
        machine: None,
        loader: file.text("firmware_override")?,
        nvram: None,
        has_nvram: false,
        kernel: file.text("kernel")?,
        initrd: file.text("ramdisk")?,
        disks: file.each("disk", devices::disk)?,
        interfaces: file.each("vif", devices::interface)?,
        hostdevs: file.each("pci", devices::pci)?,
        filesystems: Vec::new(),
        vtpm: None,
        channels: Vec::new(),
        on_poweroff: file.end("on_poweroff")?,
        on_reboot: file.end("on_reboot")?,
        on_crash: file.end("on_crash")?,
        mark: None,
    })
}

struct XlFile<'t> {
    text: &'t str,
    assigned: Assigned,
}

impl XlFile<'_> {
    fn wrong<T>(&self, at: usize, what: String) -> Result<T, DefinitionError> {
        Err(DefinitionError::at(self.text, at, what))
    }

    /// A string or a number, and where it stands; an empty one counts as unset.
    fn placed(&self, key: &str) -> Result<Option<(&str, usize)>, DefinitionError> {
        match self.assigned.get(key) {
            None => Ok(None),
            Some(Placed { value: Value::Text(text), at }) => {
                Ok(Some((text.as_str(), *at)).filter(|_| !text.is_empty()))
            }
            Some(Placed { value: Value::List(_), at }) => {
                self.wrong(*at, format!("{key} is a list; expected a single value"))
            }
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, DefinitionError> {
        Ok(self.placed(key)?.map(|(text, _)| text.to_owned()))
    }

    /// By the rules for the names of domains and of files; Xen itself has none.
    fn name(&self) -> Result<String, DefinitionError> {
        let Some((name, at)) = self.placed("name")? else {
            return Err(DefinitionError::of_file("no name = \"...\": it names no domain"));
        };
        let why = if name.trim().is_empty() {
            "is blank"
        } else if name.contains('/') {
            "holds a '/'"
        } else if name.chars().any(char::is_control) {
            "holds a control character"
        } else {
            return Ok(name.to_owned());
        };
        self.wrong(at, format!("the name {why}; expected a domain's name"))
    }

    fn uuid(&self) -> Result<Option<[u8; 16]>, DefinitionError> {
        let Some((text, at)) = self.placed("uuid")? else { return Ok(None) };
        match parse_uuid(text) {
            Some(uuid) => Ok(Some(uuid)),
            None => self.wrong(at, "uuid is not 32 hexadecimal digits".into()),
        }
    }

    /// What kind of guest it is, in libvirt's words: `xen` is a paravirtual one.
    fn guest(&self) -> Result<&'static str, DefinitionError> {
        if let Some((kind, at)) = self.placed("type")? {
            return match kind {
                "pv" => Ok("xen"),
                "pvh" => Ok("xenpvh"),
                "hvm" => Ok("hvm"),
                other => self.wrong(at, format!("type is '{}'; expected pv, pvh or hvm", shortened(other))),
            };
        }
        Ok(match self.placed("builder")? {
            Some(("hvm", _)) => "hvm",
            Some(_) | None => "xen",
        })
    }

    /// A whole number: decimal, octal behind a 0, or hexadecimal behind 0x.
    fn number(&self, key: &str) -> Result<Option<u32>, DefinitionError> {
        let Some((text, at)) = self.placed(key)? else { return Ok(None) };
        let text = text.trim();
        let number = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
            (Some(digits), _) => u32::from_str_radix(digits, 16),
            (None, Some(digits)) if !digits.is_empty() => u32::from_str_radix(digits, 8),
            (None, Some(_) | None) => text.parse(),
        };
        match number {
            Ok(number) if !text.starts_with('+') => Ok(Some(number)),
            Ok(_) | Err(_) => self.wrong(at, format!("{key} is '{}'; expected a whole number", shortened(text))),
        }
    }

    fn end(&self, key: &str) -> Result<Option<String>, DefinitionError> {
        match self.placed(key)? {
            None => Ok(None),
            Some((word, _)) if ENDS.contains(&word) => Ok(Some(word.to_owned())),
            Some((word, at)) => {
                let what = format!("{key} is '{}'; expected one of {}", shortened(word), ENDS.join(", "));
                self.wrong(at, what)
            }
        }
    }

    /// What `read` makes of each string of a list.
    fn each<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, DefinitionError> {
        let values = match self.assigned.get(key) {
            None => return Ok(Vec::new()),
            Some(Placed { value: Value::Text(text), .. }) if text.is_empty() => return Ok(Vec::new()),
            Some(Placed { value: Value::Text(_), at }) => {
                return self.wrong(*at, format!("{key} is a single value; expected a list in brackets"));
            }
            Some(Placed { value: Value::List(values), .. }) => values,
        };
        let one = |placed: &Placed| match &placed.value {
            Value::Text(words) => read(words).or_else(|what| self.wrong(placed.at, what)),
            Value::List(_) => self.wrong(placed.at, format!("{key} holds a list; expected strings")),
        };
        values.iter().map(one).collect()
    }
}
