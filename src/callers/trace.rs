// SPDX-License-Identifier: GPL-2.0-or-later
//! The trace that other OCF agents leave when they are told to (`trace_ra`, `OCF_TRACE_RA`): here a file with everything
//! that is logged. It stands where theirs do: DIR/TYPE/INSTANCE.ACTION.DATE.TIME, DIR being /var/lib/heartbeat/trace_ra.
//! What is wanted where is read as ocf-shellfuncs of resource-agents reads it, but that the time is UTC, and that nobody
//! but the file's owner may read it.

use super::log_file::LogFile;
use crate::model::call::{Environment, Invocation};
use crate::model::params::boolean;
use crate::sys::text::shown;
use crate::sys::time::utc;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{IsTerminal, stderr, stdin};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where agents keep their files, unless the caller says so.
const VARLIB: &str = "/var/lib/heartbeat";

/// Where a trace goes.
#[derive(Debug, PartialEq, Eq)]
enum TraceTo {
    /// A descriptor that the caller has opened.
    Descriptor(String),
    /// A file that the caller has named; its folder is made.
    File(PathBuf),
    /// A file, which is of this call alone, below a folder of many; both are made.
    Below(PathBuf, PathBuf),
    /// Where a person who calls sees it.
    Terminal,
}

/// What gets the lines of a trace.
#[derive(Debug)]
pub(super) enum Trace {
    Terminal(File),
    File(LogFile),
}

/// What to write to, if a trace is wanted; and why there is none, or none where it is wanted. A trace that fails hinders
/// nothing, and is told of at the end.
pub(super) fn begin(inv: &Invocation, env: &Environment) -> (Option<Trace>, Option<String>) {
    if !is_wanted(inv, env) {
        return (None, None);
    }
    let (to, trouble) = destination(inv, env, stdin().is_terminal(), &utc(SystemTime::now()));
    let words = match &to {
        None => return (None, trouble),
        Some(TraceTo::Terminal) => {
            return match stderr().as_fd().try_clone_to_owned() {
                Ok(terminal) => (Some(Trace::Terminal(terminal.into())), trouble),
                Err(error) => (None, Some(format!("stderr cannot be written to: {error}; there is no trace"))),
            };
        }
        Some(TraceTo::Descriptor(number)) => vec![DESCRIPTOR.into(), number.into()],
        Some(TraceTo::File(path)) => vec![FILE.into(), path.into()],
        Some(TraceTo::Below(folder, file)) => vec![BELOW.into(), folder.into(), file.into()],
    };
    (to.map(|to| Trace::File(LogFile::of(trouble_of(&to), words))), trouble)
}

/// The words for what a trace goes to.
const DESCRIPTOR: &str = "descriptor";
const FILE: &str = "file";
const BELOW: &str = "below";

/// Opens what these words mean. Its storage may hang.
pub(super) fn opened(words: &[OsString]) -> std::io::Result<File> {
    match words {
        [what, number] if what == DESCRIPTOR => open(&TraceTo::Descriptor(number.to_string_lossy().into_owned())),
        [what, path] if what == FILE => open(&TraceTo::File(path.into())),
        [what, folder, file] if what == BELOW => open(&TraceTo::Below(folder.into(), file.into())),
        _ => Err(std::io::Error::other("these words mean no file")),
    }
}

/// `OCF_TRACE_RA` decides where it is set, by either answer.
fn is_wanted(inv: &Invocation, env: &Environment) -> bool {
    env.text("OCF_TRACE_RA").map_or(inv.params.trace, |text| boolean(text) == Some(true))
}

fn open(to: &TraceTo) -> std::io::Result<File> {
    match to {
        TraceTo::Descriptor(number) => OpenOptions::new().append(true).open(Path::new("/dev/fd").join(number)),
        TraceTo::File(path) => {
            make_folder_of(path)?;
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(flags).open(path)
        }
        TraceTo::Below(folder, file) => {
            let path = folder.join(file);
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
            // Whoever may write there could have put a link in this file's place, or in its folder's.
            let facts = std::fs::metadata(folder)?;
            if facts.mode() & 0o022 != 0 || ![0, geteuid().as_raw()].contains(&facts.uid()) {
                return Err(std::io::Error::other("others may write in that folder"));
            }
            make_folder_of(&path)?;
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
        }
        TraceTo::Terminal => Ok(File::from(stderr().as_fd().try_clone_to_owned()?)),
    }
}

fn make_folder_of(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o755).create(folder))
}

/// That it cannot be written, in words.
fn trouble_of(to: &TraceTo) -> String {
    match to {
        TraceTo::Descriptor(number) => format!("there is no trace, as descriptor {number} cannot be written to"),
        TraceTo::File(path) => format!("there is no trace, as {} cannot be written", path.display()),
        TraceTo::Below(folder, file) => {
            format!("there is no trace, as {} cannot be written", folder.join(file).display())
        }
        TraceTo::Terminal => "there is no trace, as stderr cannot be written to".to_owned(),
    }
}

/// Where a trace of this call belongs, at a time as `2026-11-22T04:50:00Z`; and what of the wishes cannot be followed.
fn destination(
    inv: &Invocation,
    env: &Environment,
    at_a_terminal: bool,
    now: &str,
) -> (Option<TraceTo>, Option<String>) {
    let trouble = match env.get("OCF_TRACE_FILE").map(|text| (text, text.to_str().map(str::as_bytes))) {
        None => None,
        Some((_, Some([number @ b'3'..=b'9']))) => {
            return (Some(TraceTo::Descriptor(char::from(*number).to_string())), None);
        }
        // The root's own folder is no place for it.
        Some((path, _)) if Path::new(path).is_absolute() && Path::new(path).components().count() > 2 => {
            return (Some(TraceTo::File(path.into())), None);
        }
        Some((other, _)) => Some(format!(
            "OCF_TRACE_FILE: '{}' is no place for a trace; expected an absolute path, or a descriptor from 3 to 9",
            shown(other)
        )),
    };
    if at_a_terminal {
        return (Some(TraceTo::Terminal), trouble);
    }
    let text = |name: &str, default: &str| env.text(name).unwrap_or(default).replace('/', "_");
    let by_default = || Path::new(env.text("HA_VARLIB").unwrap_or(VARLIB)).join("trace_ra");
    let folder = inv.params.trace_dir.clone().unwrap_or_else(by_default);
    let (instance, now) = (text("OCF_RESOURCE_INSTANCE", "default"), now.trim_end_matches('Z').replace('T', "."));
    let file = format!("{instance}.{}.{now}", inv.action.word());
    (Some(TraceTo::Below(folder, Path::new(&text("OCF_RESOURCE_TYPE", "vm")).join(file))), trouble)
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
    use crate::model::call::{Action, Caller};

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn call(env: &Environment) -> Invocation {
        Invocation::from_manager(Caller::Pacemaker, Action::Stop, None, env)
    }

    fn of(pairs: &[(&str, &str)], at_a_terminal: bool) -> (Option<TraceTo>, Option<String>) {
        let env = env(pairs);
        destination(&call(&env), &env, at_a_terminal, "2026-11-22T04:50:00Z")
    }

    fn file(path: &str) -> (Option<TraceTo>, Option<String>) {
        (Some(TraceTo::File(path.into())), None)
    }

    fn below(folder: &str, file: &str) -> (Option<TraceTo>, Option<String>) {
        (Some(TraceTo::Below(folder.into(), file.into())), None)
    }

    const NAMED: [(&str, &str); 2] = [("OCF_RESOURCE_INSTANCE", "web"), ("OCF_RESOURCE_TYPE", "VirtualDomain")];
    const FOLDER: &str = "/var/lib/heartbeat/trace_ra";
    const PLACE: &str = "VirtualDomain/web.stop.2026-11-22.04:50:00";

    #[test]
    fn a_trace_stands_where_other_agents_leave_theirs() {
        assert_eq!(of(&NAMED, false), below(FOLDER, PLACE));
        assert_eq!(of(&NAMED, true), (Some(TraceTo::Terminal), None));
        let elsewhere = of(&[("OCF_RESKEY_trace_dir", "/t"), ("OCF_RESOURCE_INSTANCE", "../a")], false);
        assert_eq!(elsewhere, below("/t", "vm/.._a.stop.2026-11-22.04:50:00"));
    }

    #[test]
    fn the_callers_descriptor_or_file_is_taken_and_what_is_neither_is_told_of() {
        let with = |value: &str| of(&[&NAMED[..], &[("OCF_TRACE_FILE", value)]].concat(), false);
        assert_eq!(with("7"), (Some(TraceTo::Descriptor("7".into())), None));
        assert_eq!(with("/tmp/trace"), file("/tmp/trace"));
        for other in ["0", "2", "10", "trace", "/trace", "/"] {
            let (to, why) = with(other);
            assert_eq!(to, below(FOLDER, PLACE).0, "{other}");
            assert!(why.is_some_and(|why| why.contains("descriptor from 3 to 9")), "{other}");
        }
    }

    #[test]
    fn the_variable_decides_where_it_is_set_and_the_parameter_elsewhere() {
        let wanted = |variable: &str, parameter: &str| {
            let env = env(&[("OCF_TRACE_RA", variable), ("OCF_RESKEY_trace_ra", parameter)]);
            is_wanted(&call(&env), &env)
        };
        assert!(wanted("1", "") && wanted("yes", "0") && wanted("", "true"));
        assert!(!wanted("0", "1") && !wanted("", "") && !wanted("", "no") && !wanted("perhaps", "1"));
    }

    #[test]
    fn a_file_below_a_folder_of_traces_is_new_and_nobody_else_may_write_there() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let traces = folder.path().join("traces");
        let to = |name: &str| TraceTo::Below(traces.clone(), Path::new("vm").join(name));
        assert!(open(&to("a")).is_ok());
        assert!(open(&to("a")).is_err(), "what was there is kept");
        std::os::unix::fs::symlink(folder.path().join("victim"), traces.join("vm/b")).unwrap();
        assert!(open(&to("b")).is_err() && !folder.path().join("victim").exists());
        std::fs::set_permissions(&traces, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(open(&to("c")).is_err_and(|why| why.to_string().contains("others may write")));
    }

    #[test]
    fn a_file_of_an_earlier_call_is_written_anew_and_its_folder_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/trace");
        for _ in 0..2 {
            std::io::Write::write_all(&mut opened(&[FILE.into(), path.clone().into()]).unwrap(), b"begun").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "begun");
        }
        assert!(opened(&[FILE.into(), path.join("trace").into()]).is_err());
    }
}
