// SPDX-License-Identifier: GPL-2.0-or-later
//! The way to xl on another host: ssh, which must neither ask anybody nor wait for ever. Pure.

use crate::model::uri::Uri;
use crate::sys::time::Deadline;

/// How often the other host must give a sign of life, in seconds, and how often it may miss that.
const ALIVE: (u64, u64) = (5, 3);
/// The longest wait for a connection, in seconds.
const CONNECTS: u64 = 10;

/// ssh's options, and the host that it is given.
#[must_use]
pub(crate) fn to(uri: &Uri, deadline: Deadline) -> Option<(Vec<String>, String)> {
    let host = uri.host.as_ref()?;
    let mut args = options(deadline);
    if let Some(port) = uri.port {
        args.extend(["-p".to_owned(), port.to_string()]);
    }
    Some((args, uri.user.as_ref().map_or_else(|| host.clone(), |user| format!("{user}@{host}"))))
}

/// What bounds it in time.
#[must_use]
fn options(deadline: Deadline) -> Vec<String> {
    let connects = deadline.left().as_secs().clamp(1, CONNECTS);
    let (every, missed) = ALIVE;
    [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={connects}"),
        format!("ServerAliveInterval={every}"),
        format!("ServerAliveCountMax={missed}"),
    ]
    .into_iter()
    .map(|option| format!("-o{option}"))
    .collect()
}
