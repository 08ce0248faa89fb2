// SPDX-License-Identifier: GPL-2.0-or-later
//! What can be asked: one function a question. A question about a domain that has vanished meanwhile is answered with
//! `None`, and with `None` only then.

use super::connection::Connection;
use super::error::{ASKING_FOR_STATE, LOOKING_UP, RpcError};
use super::message::{self, Procedure, RemoteDomain, TypedValue};
use super::xdr::{Encoder, Malformed, sendable};

/// `VIR_CONNECT_LIST_DOMAINS_ACTIVE`.
pub(crate) const LIST_ACTIVE: u32 = 1;

/// `VIR_DOMAIN_DISK_ERROR_NO_SPACE`; libvirt tells no other error from the rest.
const NO_SPACE: i32 = 2;

/// A disk that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskError {
    /// As its definition calls it (`vda`).
    pub disk: String,
    /// It has no space left; else it is any other error.
    pub no_space: bool,
}

/// `virDomainInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    /// `virDomainState`.
    pub state: u32,
    /// The most memory it may have, in KiB.
    pub max_mem_kib: u64,
    /// The memory it has, in KiB.
    pub mem_kib: u64,
    /// Its virtual processors.
    pub vcpus: u32,
    /// The processor time it has used, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// The statistics of a domain's job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobStats {
    /// `virDomainJobType`: 0 is no job.
    pub kind: i32,
    /// Its fields, as libvirt names them.
    pub fields: Vec<(String, TypedValue)>,
}

impl Connection {
    /// The domain of this name; `None` only when libvirt says that there is none.
    pub(crate) fn lookup_by_name(&mut self, name: &str) -> Result<Option<RemoteDomain>, RpcError> {
        sendable(name)?;
        let arguments = |call: &mut Encoder<'_>| {
            call.string(name);
        };
        let found = self.call(Procedure::DomainLookupByName, LOOKING_UP, arguments, |reply| {
            let domain = RemoteDomain::decode(reply)?;
            if domain.name == name {
                Ok(domain)
            } else {
                Err(Malformed("an answer names another domain than was asked for"))
            }
        });
        known(found)
    }

    /// The domain of this UUID; `None` only when libvirt says that there is none.
    pub(crate) fn lookup_by_uuid(&mut self, uuid: &[u8; 16]) -> Result<Option<RemoteDomain>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| {
            call.uuid(uuid);
        };
        let found = self.call(Procedure::DomainLookupByUuid, LOOKING_UP, arguments, |reply| {
            let domain = RemoteDomain::decode(reply)?;
            if domain.uuid == *uuid {
                Ok(domain)
            } else {
                Err(Malformed("an answer names another domain than was asked for"))
            }
        });
        known(found)
    }

    /// The domain's `virDomainState` and the reason for it; `None` when it has vanished.
    pub(crate) fn state(&mut self, domain: &RemoteDomain) -> Result<Option<(i32, i32)>, RpcError> {
        let arguments = with_flags(domain, 0);
        known(
            self.call(Procedure::DomainGetState, ASKING_FOR_STATE, arguments, |reply| Ok((reply.i32()?, reply.i32()?))),
        )
    }

    /// The domain's resources; `None` when it has vanished. An ordinary call: it may hang while a hypervisor does.
    pub(crate) fn info(&mut self, domain: &RemoteDomain) -> Result<Option<Info>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call);
        let found = self.call(Procedure::DomainGetInfo, "asking for the domain's resources", arguments, |reply| {
            Ok(Info {
                state: reply.u32()?,
                max_mem_kib: reply.u64()?,
                mem_kib: reply.u64()?,
                vcpus: reply.u32()?,
                cpu_time_ns: reply.u64()?,
            })
        });
        known(found)
    }

    /// The domain's definition (`virDomainXMLFlags`); `None` when it has vanished. An ordinary call: it may hang while a
    /// hypervisor does.
    pub(crate) fn xml(&mut self, domain: &RemoteDomain, flags: u32) -> Result<Option<String>, RpcError> {
        let arguments = with_flags(domain, flags);
        let doing = "asking for the domain's definition";
        known(self.call(Procedure::DomainGetXmlDesc, doing, arguments, |reply| reply.text().map(str::to_owned)))
    }

    /// Whether the domain has a definition that outlives it; `None` when it has vanished.
    pub(crate) fn is_persistent(&mut self, domain: &RemoteDomain) -> Result<Option<bool>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call);
        let doing = "asking whether the domain is persistent";
        known(self.call(Procedure::DomainIsPersistent, doing, arguments, |reply| Ok(reply.i32()? != 0)))
    }

    /// Whether the memory of the domain is saved, and its next start will restore it; `None` when it has vanished.
    pub(crate) fn has_managed_save(&mut self, domain: &RemoteDomain) -> Result<Option<bool>, RpcError> {
        let arguments = with_flags(domain, 0);
        let doing = "asking whether the domain's memory is saved";
        known(self.call(Procedure::DomainHasManagedSaveImage, doing, arguments, |reply| Ok(reply.i32()? != 0)))
    }

    /// The disks of the domain that have failed since it last ran, each with the error; `None` when it has vanished. An
    /// ordinary call: it may hang while a hypervisor does.
    pub(crate) fn disk_errors(&mut self, domain: &RemoteDomain) -> Result<Option<Vec<DiskError>>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| {
            domain.encode(call);
            call.u32(message::DISK_ERRORS_MAX).u32(0);
        };
        let doing = "asking for the domain's disk errors";
        let found = known(self.call(Procedure::DomainGetDiskErrors, doing, arguments, message::disk_errors));
        let named = |(disk, error)| DiskError { disk, no_space: error == NO_SPACE };
        found.map(|errors| errors.map(|errors| errors.into_iter().map(named).collect()))
    }

    /// Whether the daemon starts the domain by itself; `None` when it has vanished.
    pub(crate) fn autostart(&mut self, domain: &RemoteDomain) -> Result<Option<bool>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| domain.encode(call);
        let doing = "asking for the domain's autostart";
        known(self.call(Procedure::DomainGetAutostart, doing, arguments, |reply| Ok(reply.i32()? != 0)))
    }

    /// The statistics of the domain's running job (`virDomainGetJobStatsFlags`); `None` when it has vanished. An
    /// ordinary call: it may hang while a hypervisor does.
    pub(crate) fn job_stats(&mut self, domain: &RemoteDomain, flags: u32) -> Result<Option<JobStats>, RpcError> {
        let arguments = with_flags(domain, flags);
        let doing = "asking for the domain's job";
        known(self.call(Procedure::DomainGetJobStats, doing, arguments, |reply| {
            Ok(JobStats { kind: reply.i32()?, fields: message::typed_params(reply)? })
        }))
    }

    /// All domains that `flags` (`LIST_*`, 0 for all) let through.
    pub(crate) fn list_all(&mut self, flags: u32) -> Result<Vec<RemoteDomain>, RpcError> {
        let arguments = |call: &mut Encoder<'_>| {
            call.i32(1).u32(flags);
        };
        self.call(Procedure::ConnectListAllDomains, "listing the domains", arguments, message::domain_list)
    }

    /// Returns when libvirt has begun with all ordinary calls that it was asked for before this one, by whomever: it takes
    /// them in turn, while questions like [`Self::lookup_by_name`] overtake them.
    pub(crate) fn pass_the_queue(&mut self) -> Result<(), RpcError> {
        // An ordinary call about a domain that there is not: it waits for no domain.
        let nobody = RemoteDomain { name: "-".into(), uuid: [0; 16], id: -1 };
        match self.info(&nobody) {
            Ok(_) | Err(RpcError::Libvirt { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The daemon's version of libvirt: 1,000,000 times major, 1,000 times minor, release.
    pub(crate) fn lib_version(&mut self) -> Result<u64, RpcError> {
        self.call(Procedure::ConnectGetLibVersion, "asking for libvirt's version", |_| (), |reply| reply.u64())
    }

    /// Has the daemon ping this client whenever nothing is sent for a while, and drop it when no answer comes: nothing for
    /// a client that only polls. Any client must answer, and a test sees that this one does.
    #[cfg(test)]
    pub(crate) fn ask_for_pings(&mut self) -> Result<bool, RpcError> {
        let arguments = |call: &mut Encoder<'_>| {
            // `VIR_DRV_FEATURE_PROGRAM_KEEPALIVE`.
            call.i32(10);
        };
        let doing = "asking for a feature";
        self.call(Procedure::ConnectSupportsFeature, doing, arguments, |reply| Ok(reply.i32()? != 0))
    }
}

/// The arguments of the many calls that take a domain and flags.
fn with_flags(domain: &RemoteDomain, flags: u32) -> impl FnOnce(&mut Encoder<'_>) {
    move |call| {
        domain.encode(call);
        call.u32(flags);
    }
}

/// An answer, or `None` when libvirt says that there is no such domain.
fn known<T>(answer: Result<T, RpcError>) -> Result<Option<T>, RpcError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_no_domain() => Ok(None),
        Err(error) => Err(error),
    }
}
