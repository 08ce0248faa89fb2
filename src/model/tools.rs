// SPDX-License-Identifier: GPL-2.0-or-later
//! Who controls a machine, and whose word on it is asked. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;

/// xl on this host.
pub(crate) const XL_HERE: &str = "xl:///";

/// The tool stacks. libvirt knows no domain that xl has made; xl sees all of Xen's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tools {
    /// libvirt: by its daemon.
    #[default]
    Libvirt,
    /// Xen's own: by the program xl.
    Xl,
}

impl Tools {
    /// Whose word a connection URI names: xl's own are `xl:///` for this host, and `xl+ssh://HOST` for another.
    #[must_use]
    pub(crate) fn of(uri: &str) -> Self {
        if uri.split([':', '+']).next() == Some("xl") { Self::Xl } else { Self::Libvirt }
    }

    /// How a person lets a paused machine run on.
    #[must_use]
    pub(crate) const fn resume(self) -> &'static str {
        match self {
            Self::Libvirt => "virsh resume",
            Self::Xl => "xl unpause",
        }
    }

    /// Where the log of a machine is that ended right after its start.
    #[must_use]
    pub(crate) const fn logs(self) -> &'static str {
        match self {
            Self::Libvirt => "/var/log/libvirt",
            Self::Xl => "/var/log/xen",
        }
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Libvirt => "libvirt",
            Self::Xl => "xl",
        })
    }
}
