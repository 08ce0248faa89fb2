// SPDX-License-Identifier: GPL-2.0-or-later
//! What a row of the table of parameters is: its names, how its value is read, and what is published of it.
//!
//! A row is made by `row`, which asks for the setter: a parameter that nobody reads does not compile.

use super::Params;
use crate::sys::text::shown;
use std::ffi::OsStr;

/// What a parameter is for this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Read and obeyed.
    Agent,
    /// Read by rgmanager alone; the agent only declares it.
    Manager,
    /// A predecessor's parameter that this agent does not have on purpose: refused when it is set to more than "off", with
    /// what takes its place.
    Refused(&'static str),
}

/// What a parameter is used for: a value that cannot be used hinders that, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Which virtual machine is meant, and by whom it is run.
    Identity,
    /// Bringing it up.
    Start,
    /// Stopping it.
    Stop,
    /// Watching it.
    Watch,
    /// Moving it.
    Migration,
    /// Nothing that this agent does.
    Nothing,
}

/// The form of a value, as published in the meta-data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Any text.
    Text,
    /// One of these words.
    Select(&'static [&'static str]),
    /// 1/yes/true/on or 0/no/false/off, in any case.
    Boolean,
    /// A whole number.
    Integer,
}

/// A value that is none of those that are expected, as a sentence about it.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It cannot be used.
    Refused(String),
    /// It is used as the predecessor reads it.
    Used(String),
}

impl Wrong {
    /// For a value that is none of what is expected.
    pub(super) fn expected(value: impl AsRef<OsStr>, expected: &str) -> Self {
        Self::Refused(format!("'{}' cannot be used; expected {expected}", shown(value.as_ref())))
    }
}

/// How a value becomes what the agent works with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setter {
    /// Yes or no, for this field.
    Flag(fn(&mut Params) -> &mut bool),
    /// Yes or no, where everything else is no: as vm.sh reads it.
    LaxFlag(fn(&mut Params) -> &mut bool),
    /// A whole number up to this one, for this field; in words, what is expected.
    Number(fn(&mut Params) -> &mut u64, u64, &'static str),
    /// A text, read by this function.
    Text(fn(&mut Params, &str) -> Result<(), Wrong>),
    /// Any bytes, read by this function.
    Bytes(fn(&mut Params, &OsStr) -> Result<(), Wrong>),
    /// rgmanager's daemon reads it, and this agent has no use for it.
    Manager,
    /// It is refused for good; in words, what takes its place.
    Refused(&'static str),
}

/// What rgmanager's meta-data publish of a parameter. It is vm.sh's interface, word for word: rgmanager restarts or
/// forgets a running service where a default or a flag changes.
#[derive(Clone, Copy, Debug)]
pub struct VmSh {
    /// Its place in the document.
    pub place: u8,
    /// The type of its value.
    pub kind: &'static str,
    /// Its default; an empty one is passed on as an empty variable.
    pub default: Option<&'static str>,
    /// An attribute that is 1: primary or reconfig.
    pub flag: Option<&'static str>,
    /// What it is, in a few words.
    pub short: &'static str,
    /// What it is, in a sentence or more.
    pub long: &'static str,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// The name in the OCF dialect, and by which messages call it.
    pub name: &'static str,
    /// Other names it is read by, in every dialect; rgmanager's meta-data publish the first.
    pub aliases: &'static [&'static str],
    /// The form of its value.
    pub kind: ValueKind,
    /// Its default in every dialect, read like any value; `None` is "not set".
    pub default: Option<&'static str>,
    /// What a value of it that cannot be used hinders.
    pub concerns: Concern,
    /// How it is read.
    setter: Setter,
    /// What it is, in a few words.
    pub short: &'static str,
    /// What it is, in a sentence or more; the OCF meta-data add the default.
    pub long: &'static str,
    /// What README's table says of it.
    pub readme: &'static str,
    /// What rgmanager's meta-data publish of it.
    pub vm_sh: Option<VmSh>,
    /// Whether a change needs no restart of the virtual machine.
    pub reloadable: bool,
    /// Whether no two resources may have the same value.
    pub unique: bool,
}

/// A row. Its kind is what the setter reads.
pub(super) const fn row(concerns: Concern, name: &'static str, setter: Setter) -> Param {
    let kind = match setter {
        Setter::Flag(_) | Setter::LaxFlag(_) => ValueKind::Boolean,
        Setter::Number(..) => ValueKind::Integer,
        Setter::Text(_) | Setter::Bytes(_) | Setter::Manager | Setter::Refused(_) => ValueKind::Text,
    };
    Param {
        name,
        aliases: &[],
        kind,
        default: None,
        concerns,
        setter,
        short: "",
        long: "",
        readme: "",
        vm_sh: None,
        reloadable: true,
        unique: false,
    }
}

impl Param {
    /// What the OCF meta-data say, shortly and at length.
    pub(super) const fn told(self, short: &'static str, long: &'static str) -> Self {
        Self { short, long, ..self }
    }

    pub(super) const fn readme(self, readme: &'static str) -> Self {
        Self { readme, ..self }
    }

    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn kind(self, kind: ValueKind) -> Self {
        Self { kind, ..self }
    }

    /// Another name; vm.sh's.
    pub(super) const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// A change of it restarts the virtual machine.
    pub(super) const fn restarts(self) -> Self {
        Self { reloadable: false, ..self }
    }

    pub(super) const fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    /// Published to rgmanager at this place, with this type and default.
    pub(super) const fn vm_sh(
        self,
        place: u8,
        kind: &'static str,
        default: Option<&'static str>,
        short: &'static str,
        long: &'static str,
    ) -> Self {
        Self { vm_sh: Some(VmSh { place, kind, default, flag: None, short, long }), ..self }
    }

    /// rgmanager names services by it.
    pub(super) const fn primary(self) -> Self {
        self.flagged("primary")
    }

    /// rgmanager takes a change over while the service runs.
    pub(super) const fn reconfig(self) -> Self {
        self.flagged("reconfig")
    }

    const fn flagged(self, flag: &'static str) -> Self {
        match self.vm_sh {
            Some(vm_sh) => Self { vm_sh: Some(VmSh { flag: Some(flag), ..vm_sh }), ..self },
            None => self,
        }
    }

    /// Whether it is read by this name.
    #[must_use]
    pub fn is_called(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name || self.aliases.iter().any(|alias| alias.as_bytes() == name)
    }

    /// What it is for this agent.
    #[must_use]
    pub const fn used(&self) -> Use {
        match self.setter {
            Setter::Manager => Use::Manager,
            Setter::Refused(instead) => Use::Refused(instead),
            Setter::Flag(_) | Setter::LaxFlag(_) | Setter::Number(..) | Setter::Text(_) | Setter::Bytes(_) => {
                Use::Agent
            }
        }
    }

    /// Whether a predecessor has it and this agent has not.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self.setter, Setter::Refused(_))
    }

    /// Its name in rgmanager's meta-data.
    #[must_use]
    pub fn vm_sh_name(&self) -> &'static str {
        self.aliases.first().copied().unwrap_or(self.name)
    }

    /// Takes a value over.
    pub(super) fn set(&self, params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
        if value.len() > LONGEST {
            let long = value.len();
            return Err(Wrong::Refused(format!("the value is {long} bytes long, at most {LONGEST} were expected")));
        }
        let not_text = || Wrong::Refused(format!("the value '{}' is not UTF-8 text", shown(value)));
        let text = || value.to_str().ok_or_else(not_text);
        match self.setter {
            Setter::Flag(field) => {
                let not_one = || format!("'{}' is not a boolean; expected yes or no", shown(value));
                *field(params) = boolean(text()?).ok_or_else(|| Wrong::Refused(not_one()))?;
            }
            Setter::LaxFlag(field) => {
                let read = boolean(text()?);
                *field(params) = read == Some(true);
                if read.is_none() {
                    return Err(Wrong::Used(format!("'{}' is read as no; expected yes or no", shown(value))));
                }
            }
            Setter::Number(field, most, expected) => {
                let number = text()?.trim().parse().ok().filter(|number| *number <= most);
                *field(params) = number.ok_or_else(|| Wrong::expected(value, expected))?;
            }
            Setter::Text(set) => set(params, text()?)?,
            Setter::Bytes(set) => set(params, value)?,
            Setter::Manager => {}
            Setter::Refused(instead) => {
                if !self.means_off(value) {
                    return Err(Wrong::Refused(format!("refused for good: {instead} (it is '{}')", shown(value))));
                }
            }
        }
        Ok(())
    }

    /// Whether a value of a predecessor's parameter asks for nothing, so that nothing is missing. The predecessor takes
    /// what is not plainly true for "no".
    fn means_off(&self, value: &OsStr) -> bool {
        let read = value.to_str().and_then(boolean);
        match self.kind {
            ValueKind::Boolean => read != Some(true),
            ValueKind::Text | ValueKind::Select(_) | ValueKind::Integer => read == Some(false),
        }
    }
}

/// The longest value that is read (a longer one is a problem, not a memory).
pub const LONGEST: usize = 64 * 1024;

/// A boolean as OCF and rgmanager write it, or `None`.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(&["1", "yes", "true", "on", "y"]) {
        Some(true)
    } else if is(&["0", "no", "false", "off", "n"]) {
        Some(false)
    } else {
        None
    }
}
