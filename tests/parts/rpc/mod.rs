// SPDX-License-Identifier: GPL-2.0-or-later
//! The RPC client against a real libvirtd and its test driver.

mod real;
mod real_faults;

use crate::shared::Libvirtd;
use crate::unit::rpc::soon;
use vm_agent::hypervisor::rpc::Connection;

impl Libvirtd {
    /// A connection that may do anything; the domains live as long as any connection is open.
    fn connect(&self) -> Connection {
        Connection::open(&self.socket("libvirt-sock"), Some("test:///default"), false, soon()).unwrap()
    }
}
