// SPDX-License-Identifier: GPL-2.0-or-later
//! The trace that other OCF agents leave when they are told to (`trace_ra`, `OCF_TRACE_RA`): here a file with everything
//! that is logged. It stands where theirs do: DIR/TYPE/INSTANCE.ACTION.DATE.TIME, DIR being /var/lib/heartbeat/trace_ra.

use crate::model::call::{Action, Environment, Invocation};
use crate::model::params::boolean;
use crate::sys::text::shown;
use crate::sys::time::utc;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where agents keep their files, unless the caller says so.
const VARLIB: &str = "/var/lib/heartbeat";

/// The file to write to, if a trace is wanted and the file can be made. A trace that fails hinders nothing.
pub(super) fn begin(action: Action, env: &Environment) -> Option<File> {
    let wanted = |name| env.text(name).and_then(boolean) == Some(true);
    if !wanted("OCF_RESKEY_trace_ra") && !wanted("OCF_TRACE_RA") {
        return None;
    }
    let path = match env.text("OCF_TRACE_FILE") {
        Some(path) if path.starts_with('/') => PathBuf::from(path),
        // A descriptor that the caller has opened.
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => Path::new("/dev/fd").join(number),
        Some(_) | None => {
            let path = path(action, env, &utc(SystemTime::now()))?;
            DirBuilder::new().recursive(true).mode(0o755).create(path.parent()?).ok()?;
            path
        }
    };
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).ok()
}

/// Where a trace of this call belongs, at a time as `2026-11-22T04:50:00Z`.
fn path(action: Action, env: &Environment, now: &str) -> Option<PathBuf> {
    let text = |name: &str, default: &str| env.text(name).unwrap_or(default).replace('/', "_");
    let folder = env
        .text("OCF_RESKEY_trace_dir")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env.text("HA_VARLIB").unwrap_or(VARLIB)).join("trace_ra"));
    if !folder.is_absolute() {
        return None;
    }
    let (instance, now) = (text("OCF_RESOURCE_INSTANCE", "default"), now.trim_end_matches('Z').replace('T', "."));
    Some(folder.join(text("OCF_RESOURCE_TYPE", "vm")).join(format!("{instance}.{}.{now}", action.word())))
}

/// The call in a sentence.
pub(super) fn called(inv: &Invocation, env: &Environment) -> String {
    let mut text =
        format!("{} is asked for by {}, within {} s", inv.action.word(), inv.caller.word(), inv.timeout.as_secs());
    for (name, value) in env.reskeys().filter(|(name, value)| !name.starts_with(b"CRM_meta_") && !value.is_empty()) {
        text.push_str(&format!(", {}='{}'", String::from_utf8_lossy(name), shown(value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_stands_where_other_agents_leave_theirs() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.into(), value.into()));
            path(Action::Stop, &Environment::from_pairs(pairs), "2026-11-22T04:50:00Z")
        };
        let named = [("OCF_RESOURCE_INSTANCE", "web"), ("OCF_RESOURCE_TYPE", "VirtualDomain")];
        let expected = Path::new("/var/lib/heartbeat/trace_ra/VirtualDomain/web.stop.2026-11-22.04:50:00");
        assert_eq!(of(&named).as_deref(), Some(expected));
        let elsewhere = of(&[("OCF_RESKEY_trace_dir", "/t"), ("OCF_RESOURCE_INSTANCE", "../a")]);
        assert_eq!(elsewhere.as_deref(), Some(Path::new("/t/vm/.._a.stop.2026-11-22.04:50:00")));
        assert_eq!(of(&[("OCF_RESKEY_trace_dir", "t")]), None);
    }
}
