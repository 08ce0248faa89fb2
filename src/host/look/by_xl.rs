// SPDX-License-Identifier: GPL-2.0-or-later
//! On a Xen host: who controls the machine, what xl says of it, and what xenstore does.
//!
//! A machine whose definition is an xl file is xl's, unless the parameters ask for libvirt. Its word is xl's own list, and
//! libvirt is not needed. Of a machine that is libvirt's xenstore is the second witness.

use super::{Channel, Depth, Looker};
use crate::hypervisor::process::Identity;
use crate::hypervisor::xen::{self, DomainSight};
use crate::model::budget::Share;
use crate::model::call::{Caller, Invocation};
use crate::model::definition::Language;
use crate::model::facts::{Definition, Libvirt, Process, RunId, Silence, Tools};
use crate::model::tools::XL_HERE;
use crate::sys::child::end_of_file;
use crate::sys::time::Deadline;
use std::path::Path;
use std::time::Duration;

/// The most bytes of a device model's arguments.
const ARGUMENTS: usize = 1 << 20;

impl Looker {
    /// Who controls the machine.
    #[must_use]
    pub(crate) fn tools(&self) -> Tools {
        Tools::of(&self.uri)
    }

    /// Finds out who controls it, where its definition tells that.
    pub(crate) fn choose_tools(&mut self, inv: &Invocation) {
        if !self.may_be_xl || self.tools() == Tools::Xl || self.fault.is_some() {
            return;
        }
        if self.definition == Definition::NotLooked {
            self.read_definition(inv);
        }
        if matches!(&self.definition, Definition::File(defined) if defined.language == Language::Xl) {
            self.turn_to_xl();
        }
    }

    /// What who controls it gets of the time of a look; `libvirts`, where that is libvirt.
    pub(super) fn patience(&self, libvirts: Duration, deadline: Deadline) -> Duration {
        match self.tools() {
            Tools::Libvirt => libvirts,
            Tools::Xl => self.budget.share(Share::XlLook, deadline.left()),
        }
    }

    pub(super) fn turn_to_xl(&mut self) {
        self.hang_up();
        (self.uri, self.channel) = (XL_HERE.to_owned(), Channel::Xl);
    }

    /// Whether the machine is one of xl's though its definition, which is out of reach, does not say so: Xen has it, and
    /// libvirt does not.
    pub(super) fn is_lost_to_libvirt(&self, inv: &Invocation, libvirt: &Libvirt, deadline: Deadline) -> bool {
        let active = matches!(libvirt, Libvirt::Domain(domain) if domain.state.active());
        // A person may give no more than its name; to a cluster that means libvirt's own definition.
        let by_hand = inv.caller == Caller::Human;
        let unread = match &self.definition {
            Definition::Bad(_) => true,
            Definition::None { .. } => by_hand,
            Definition::NotLooked | Definition::File(_) | Definition::Unchanged { .. } => false,
        };
        let (true, false, Tools::Libvirt, Some(name)) = (self.may_be_xl && unread, active, self.tools(), self.name())
        else {
            return false;
        };
        let mut nobody = || Err(Silence::refused("it was not asked"));
        matches!(xen::find(&self.roots, name, None, false, deadline, &mut nobody), DomainSight::There { .. })
    }

    /// xl's word. Where xenstore is silent xl hangs, so that is asked first.
    pub(super) fn ask_xl(&mut self, deadline: Deadline) -> Result<Libvirt, Silence> {
        self.by_xl = None;
        let Some(name) = self.sought_name() else {
            return Ok(Libvirt::Ambiguous("neither a name nor a readable definition says which".into()));
        };
        let uuid = self.defined_uuid();
        if xen::is_dom0(&self.roots) == Some(false) {
            self.by_xl = Some(DomainSight::Absent);
            return Ok(Libvirt::NoDomain);
        }
        xen::answers(&self.roots, deadline)?;
        let listed = xen::list(&self.roots, deadline)?;
        let (lookup, sight) = xen::word(&listed, &name, uuid)?;
        self.by_xl = Some(sight);
        Ok(Libvirt::told(lookup))
    }

    /// What the host itself shows of a domain of Xen's.
    pub(super) fn xen_domain(
        &self,
        libvirt: &Libvirt,
        who: &Identity<'_>,
        depth: Depth,
        deadline: Deadline,
    ) -> Process {
        let silent = matches!(libvirt, Libvirt::Silent(_));
        let sight = match &self.by_xl {
            Some(sight) if self.tools() == Tools::Xl && !silent => sight.clone(),
            Some(_) | None => {
                // The word of one that answers is a witness too: then xenstore's own is enough.
                let mut list = || xen::list(&self.roots, deadline);
                xen::find(&self.roots, who.name, who.uuid, silent, deadline, &mut list)
            }
        };
        let active = matches!(libvirt, Libvirt::Domain(domain) if domain.state.active());
        match sight {
            DomainSight::There { id, name, incoming } => {
                let read = |path: &Path| end_of_file(&path.to_string_lossy(), ARGUMENTS, deadline);
                let ending = depth.hardware && xen::has_lost_its_hardware(&self.roots, id, deadline, read);
                Process::Alive { run: RunId::XenDomain(id), incoming, name, ending }
            }
            DomainSight::Absent if active => Process::Unknown("xenstore does not have it".into()),
            // Whoever acts on the guest's reboot is there, so a new domain may come at once.
            DomainSight::Absent => match xen::keeper(&self.roots, who.name) {
                Some(pid) => {
                    Process::MayBe(format!("process {pid}, which xl left behind with it, makes it anew perhaps,"))
                }
                None => Process::NoDomain,
            },
            // xl hangs by the same silence, which is told once.
            DomainSight::MayBe(_) if silent && self.tools() == Tools::Xl => Process::NotLooked,
            DomainSight::MayBe(why) => Process::MayBe(why),
        }
    }
}
