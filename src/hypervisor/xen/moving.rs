// SPDX-License-Identifier: GPL-2.0-or-later
//! Moving a domain by xl: its words, and what can be asked beforehand. `xl migrate` checks nothing, always moves live, and
//! waits for a host that is silent without an end, unless ssh is told to end that.

use super::{Role, list_at, missing, remote, role};
use crate::model::failure::Failure;
use crate::model::uri::Uri;
use crate::model::worker::CallStep;
use crate::sys::child::{Child, Ended, find_program};
use crate::sys::time::Deadline;
use std::ffi::OsString;
use std::path::Path;

/// The hypervisor's version since which `xl info` surely tells of shadow paging.
const TELLS_SHADOW: (u32, u32) = (4, 14);

/// The words that move the domain of this number to the host that `uri` names.
///
/// # Errors
/// The URI names no host.
pub(super) fn words(id: u32, uri: &str, deadline: Deadline) -> Result<Vec<OsString>, Failure> {
    let uri = Uri::parse(uri).map_err(|error| Failure::refused(error.to_string()))?;
    let (options, host) = remote::to(&uri, deadline).ok_or_else(|| Failure::refused("the URI names no host"))?;
    // xl gives this line to a shell; every word of it is ours, or a number.
    let ssh = format!("ssh {}", options.join(" "));
    Ok(["migrate", "-s", &ssh, &id.to_string(), &host].map(OsString::from).into())
}

/// What stands in the way of moving the domain of this number and name to the host that `uri` names.
///
/// # Errors
/// Something does, or nobody tells.
pub(crate) fn check(id: u32, name: &str, uri: &str, thorough: bool, deadline: Deadline) -> Result<(), Failure> {
    if !moves_live(id, deadline)? {
        return Err(never_live("let libvirt move it with a pause (use_virsh=1, migrate=pause)"));
    }
    let target = Uri::parse(uri).map_err(|error| Failure::refused(error.to_string()))?;
    let at_target = |failure: Failure| Failure { at: Some(CallStep::ConnectDestination), ..failure };
    let there = list_at(&target, deadline).map_err(|silence| at_target(silence.into()))?;
    if let Some(other) =
        there.iter().find(|one| one.name.as_deref().and_then(|own| role(own, name)) == Some(Role::Itself))
    {
        let why = format!("Xen domain {} there has this name already", other.id);
        return Err(Failure { at: Some(CallStep::Preflight), ..Failure::refused(why) });
    }
    if thorough {
        let (mut args, host) =
            remote::to(&target, deadline).ok_or_else(|| Failure::refused("the URI names no host"))?;
        args.extend(["--".to_owned(), host, "xl".into(), "info".into()]);
        let ssh = find_program("ssh").ok_or_else(|| missing("ssh"))?;
        let info = said(&ssh, args, CallStep::ConnectDestination, deadline)?;
        let needs = here(&["list", &id.to_string()], deadline).ok().and_then(|text| memory(&text));
        memory_suffices(&info, needs)?;
    }
    Ok(())
}

/// What keeps a domain from moving live that `moves_live` says no of, with another way to move it.
pub(super) fn never_live(otherwise: &str) -> Failure {
    let why =
        format!("this hypervisor has no shadow paging, and cannot move a PV guest live: {otherwise}, or make it PVH");
    Failure { at: Some(CallStep::Preflight), ..Failure::refused(why) }
}

/// Whether the hypervisor can follow what this domain writes while it moves: of a PV guest only with shadow paging, which
/// older hypervisors have and do not tell of.
///
/// # Errors
/// xl does not tell.
pub(super) fn moves_live(id: u32, deadline: Deadline) -> Result<bool, Failure> {
    let info = here(&["info"], deadline)?;
    let domains = here(&["list", "-l", &id.to_string()], deadline);
    Ok(!lacks_shadow_paging(&info) || domains.ok().and_then(|text| kind(&text)).as_deref() != Some("pv"))
}

/// By the answer of `xl info`.
fn lacks_shadow_paging(info: &str) -> bool {
    let number = |key| value(info, key).and_then(|number| number.parse::<u32>().ok());
    let (Some(major), Some(minor), Some(caps)) = (number("xen_major"), number("xen_minor"), value(info, "virt_caps"))
    else {
        return false;
    };
    (major, minor) >= TELLS_SHADOW && !caps.split(' ').any(|cap| cap == "shadow")
}

/// Whether the target has the memory. Where its dom0 may give some back, xl makes room by itself.
fn memory_suffices(info: &str, needs: Option<u64>) -> Result<(), Failure> {
    let free = value(info, "free_memory").and_then(|free| free.parse::<u64>().ok());
    let fixed = value(info, "xen_commandline").is_some_and(|line| line.contains("dom0_mem"));
    match (free, needs) {
        (Some(free), Some(needs)) if fixed && free < needs => {
            let why = format!("it needs {needs} MiB of memory, and {free} MiB are free there");
            Err(Failure { at: Some(CallStep::Preflight), ..Failure::refused(why) })
        }
        (_, _) => Ok(()),
    }
}

/// What xl says here.
fn here(args: &[&str], deadline: Deadline) -> Result<String, Failure> {
    let xl = find_program("xl").ok_or_else(|| missing("xl"))?;
    said(&xl, args.iter().map(|arg| (*arg).to_owned()).collect(), CallStep::Preflight, deadline)
}

fn said(program: &Path, args: Vec<String>, at: CallStep, deadline: Deadline) -> Result<String, Failure> {
    let failed = |failure: Failure| Failure { at: Some(at), ..failure };
    let run = Child::new(program).args(args).env("HOME", "/root").run(deadline);
    let finished = run.map_err(|error| failed(Failure::refused(error.to_string())))?;
    match finished.ended {
        Ended::Exited(0) => Ok(String::from_utf8_lossy(&finished.stdout).into_owned()),
        Ended::Exited(_) | Ended::Signalled(_) | Ended::TimedOut => Err(failed(super::failure(&finished.stderr))),
    }
}

/// A value of `xl info`.
fn value<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    info.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        (own.trim() == key).then(|| value.trim())
    })
}

/// The kind of guest in the answer of `xl list -l`.
fn kind(text: &str) -> Option<String> {
    let domains: serde_json::Value = serde_json::from_str(text).ok()?;
    let domain = domains.get(0).unwrap_or(&domains);
    domain.pointer("/config/c_info/type")?.as_str().map(str::to_owned)
}

/// The MiB of a domain's line in `xl list`.
fn memory(text: &str) -> Option<u64> {
    // Behind the name and the number; a name may hold blanks.
    let line = text.lines().nth(1)?;
    line.split_whitespace().rev().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_bounded_in_time_by_ssh() {
        let words =
            words(7, "xl+ssh://vm@b:2222?no_tty=1", Deadline::after(std::time::Duration::from_secs(60))).unwrap();
        let ssh = "ssh -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=5 -oServerAliveCountMax=3 -p 2222";
        assert_eq!(words, ["migrate", "-s", ssh, "7", "vm@b"]);
    }

    #[test]
    fn what_xl_tells_of_a_host_and_a_domain_is_read() {
        let info = "host                   : n2\nvirt_caps              : pv hvm hap\nfree_memory            : 100\n\
                    xen_commandline        : dom0_mem=640M,max:640M console=com1\n";
        assert_eq!(value(info, "virt_caps"), Some("pv hvm hap"));
        let of = |minor: u32, caps: &str| {
            format!("xen_major              : 4\nxen_minor              : {minor}\nvirt_caps              : {caps}\n")
        };
        assert!(lacks_shadow_paging(&of(17, "pv hvm hap")) && !lacks_shadow_paging(&of(17, "pv hvm hap shadow")));
        // An older one has it, and does not say so; and what cannot be read forbids nothing.
        assert!(!lacks_shadow_paging(&of(11, "pv hvm")) && !lacks_shadow_paging(info));
        assert!(memory_suffices(info, Some(96)).is_ok() && memory_suffices(info, Some(128)).is_err());
        assert!(memory_suffices(&info.replace("dom0_mem", "x"), Some(128)).is_ok());
        assert_eq!(kind("[{\"domid\":1,\"config\":{\"c_info\":{\"type\":\"pv\"}}}]").as_deref(), Some("pv"));
        let list = "Name ID Mem VCPUs\tState\tTime(s)\na b                                        3    96     1     -b----       1.5\n";
        assert_eq!(memory(list), Some(96));
    }
}
