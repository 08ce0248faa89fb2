// SPDX-License-Identifier: GPL-2.0-or-later
//! The process that writes a file of the log's, or a trace, for an agent that must not hang with their storage.

use super::log_file::APPENDED;
use super::trace;
use crate::sys::text::say;
use rustix::fs::OFlags;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write, stdin, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The life of the process that writes; `args` are what follows [`super::log_file::WORD`], and the result is its exit code, which nobody reads.
/// What is wrong is said once on standard output. Where the lines end, so does it, and by no signal but SIGKILL before.
pub(super) fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = args.into_iter().collect();
    let _ = rustix::thread::set_name(c"vm-agent-log");
    for signal in [SIGTERM, SIGINT] {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    let lines = stdin().lock().split(b'\n').map_while(Result::ok);
    match write(&words, lines) {
        Ok(()) => 0,
        Err(error) => {
            say(&mut stdout(), &error.to_string());
            1
        }
    }
}

/// Writes these lines; an error is one of the opening. To lose a line is none.
fn write(words: &[OsString], lines: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
    let appended = match words {
        [what, path] if what == APPENDED => Some(Path::new(path)),
        _ => None,
    };
    let mut opened = if appended.is_some() { None } else { Some(trace::opened(words)?) };
    for mut line in lines {
        line.push(b'\n');
        let _ = match (&mut opened, appended) {
            (Some(file), _) => file.write_all(&line),
            (None, Some(path)) => append(path, &line),
            (None, None) => Ok(()),
        };
    }
    Ok(())
}

fn append(path: &Path, line: &[u8]) -> std::io::Result<()> {
    // A FIFO that nobody reads holds nobody up.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file: File = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    file.write_all(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_to_a_log_file_also_to_the_next_one_where_it_was_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("log"), folder.path().join("log.1"));
        let words = [APPENDED.into(), path.clone().into_os_string()];
        let mut count = 0;
        let lines = std::iter::from_fn(|| {
            count += 1;
            if count == 3 {
                std::fs::rename(&path, &aside).unwrap();
            }
            (count < 4).then(|| format!("line {count}").into_bytes())
        });
        write(&words, lines).unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!((text(&aside).as_str(), text(&path).as_str()), ("line 1\nline 2\n", "line 3\n"));
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_of_a_trace_and_none_of_the_log() {
        let lines = || std::iter::once(b"line".to_vec());
        assert!(write(&[APPENDED.into(), "/nowhere/log".into()], lines()).is_ok());
        assert!(write(&["file".into(), "/dev/null/trace".into()], lines()).is_err());
        assert!(write(&["nonsense".into()], lines()).is_err());
    }
}
