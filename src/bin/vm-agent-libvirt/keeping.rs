// SPDX-License-Identifier: GPL-2.0-or-later
//! What a move must not lose: the state of an emulated TPM, and the variables of a firmware.
//!
//! libvirt deletes the state of a transient domain's TPM at its end, unless the definition says that it is kept. A domain
//! that was started from libvirt's own definition need not say so; it is transient where it arrives, and its next stop there
//! would lose what only that host has now. So it arrives with the word. Likewise a definition that is undefined after the move
//! is undefined without its state.

use crate::output;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;
use vm_agent::model::change::{Flag, Migrate};
use vm_agent::model::definition::{self, TpmState};
use vm_agent::model::worker::Progress;

/// libvirt keeps a TPM's state at an undefinition that says so since 8.9.0; a firmware's variables since 2.3.0.
const KEEP_TPM_SINCE: u32 = 8_009_000;
/// libvirt's error numbers for a definition that cannot be used: XML error, configuration not supported, XML detail.
const OF_THE_TEXT: [u32; 3] = [27, 67, 35];

/// What is done for the state of a domain that moves.
#[derive(Default)]
pub(crate) struct Keeping {
    /// The definition to arrive with, where it is another than the domain's own.
    pub dest_xml: Option<String>,
    /// The state of its TPM, where libvirt's own undefinition is not to be trusted with it.
    undefine: Option<Option<TpmState>>,
}

impl Keeping {
    pub(crate) fn of(domain: &Domain, migrate: &Migrate) -> Self {
        let Ok(text) = domain.xml_desc(sys::VIR_DOMAIN_XML_MIGRATABLE | sys::VIR_DOMAIN_XML_SECURE) else {
            return Self::default();
        };
        let Ok(facts) = definition::parse(text.as_bytes()) else { return Self::default() };
        let undefine = migrate.flags.contains(&Flag::UndefineSource)
            && (facts.vtpm.is_some() || facts.has_nvram)
            && domain.is_persistent().unwrap_or(false);
        Self { dest_xml: definition::with_kept_tpm(&text).ok().flatten(), undefine: undefine.then_some(facts.vtpm) }
    }

    /// Whether libvirt is asked for this flag.
    pub(crate) const fn leaves(&self, flag: Flag) -> bool {
        !(matches!(flag, Flag::UndefineSource) && self.undefine.is_some())
    }

    /// Whether the domain may move without the word when it cannot move with it.
    pub(crate) fn is_hindered_by(&self, error: &Error) -> bool {
        self.dest_xml.is_some() && OF_THE_TEXT.contains(&error.code().to_raw())
    }

    /// After the move: the definition here goes, as was asked for, and the state stays.
    pub(crate) fn undefine(&self, source: &Connect, domain: &Domain) {
        let Some(vtpm) = self.undefine else { return };
        let keeps = source.lib_version().is_ok_and(|version| version >= KEEP_TPM_SINCE);
        let undefined = match (keeps, vtpm) {
            (true, _) => domain.undefine_flags(sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | sys::VIR_DOMAIN_UNDEFINE_KEEP_TPM),
            (false, None | Some(TpmState::Kept)) => domain.undefine_flags(sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM),
            (false, Some(TpmState::Deleted | TpmState::Unsaid)) => {
                return warn(
                    "its definition stays here: this libvirt would delete the state of its TPM with it".into(),
                );
            }
        };
        if let Err(error) = undefined {
            warn(format!("its definition stays here: {}", error.message()));
        }
    }
}

pub(crate) fn warn(sentence: String) {
    output::progress(Progress::Warning(sentence));
}
