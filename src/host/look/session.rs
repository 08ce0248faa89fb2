// SPDX-License-Identifier: GPL-2.0-or-later
//! A user's own libvirt, `qemu:///session`: libvirt finds its daemon, and starts it where it does not run, by what the
//! user's environment says. Who asked another daemon would tell an untruth, so programs that ask get the same.

use crate::model::call::Environment;
use crate::model::uri::Uri;
use crate::sys::child;
use crate::sys::roots::Roots;
use std::path::{Path, PathBuf};

/// What names the folders of a user's libvirt.
const NAMES: [&str; 4] = ["HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"];

/// Has a session of this host asked as its user would. Who is not root has locks and records in folders of their own.
pub(super) fn take_in(uri: &Uri, env: &Environment, roots: &mut Roots) {
    if uri.path != "/session" || uri.host.is_some() {
        return;
    }
    let known = NAMES.into_iter().filter_map(|name| Some((name.into(), env.get(name)?.to_owned())));
    child::serve_user(known.collect());
    if !rustix::process::geteuid().is_root() {
        (roots.run, roots.lib) = folders(env, roots);
    }
}

/// A user's counterparts of /run and /var/lib, as far as the environment names them.
fn folders(env: &Environment, roots: &Roots) -> (PathBuf, PathBuf) {
    let absolute = |name: &str| env.get(name).map(Path::new).filter(|path| path.is_absolute()).map(Path::to_path_buf);
    let below_home = |folder: &str| absolute("HOME").map(|home| home.join(folder));
    let run = absolute("XDG_RUNTIME_DIR").or_else(|| below_home(".cache"));
    let lib = absolute("XDG_STATE_HOME").or_else(|| below_home(".local/state"));
    (run.unwrap_or_else(|| roots.run.clone()), lib.unwrap_or_else(|| roots.lib.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_locks_and_records_lie_where_the_user_may_write() {
        let of = |pairs: &[(&str, &str)]| {
            let env = Environment::from_pairs(pairs.iter().map(|(name, value)| (name.into(), value.into())));
            let (run, lib) = folders(&env, &Roots::default());
            (run.display().to_string(), lib.display().to_string())
        };
        let home = ("HOME", "/home/u");
        assert_eq!(of(&[home, ("XDG_RUNTIME_DIR", "/run/user/7")]).0, "/run/user/7");
        assert_eq!(of(&[home, ("XDG_STATE_HOME", "/s")]), ("/home/u/.cache".to_owned(), "/s".to_owned()));
        assert_eq!(of(&[home, ("XDG_RUNTIME_DIR", "u")]).0, "/home/u/.cache", "a relative path names no folder");
        assert_eq!(of(&[]), ("/run".to_owned(), "/var/lib".to_owned()));
    }
}
