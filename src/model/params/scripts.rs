// SPDX-License-Identifier: GPL-2.0-or-later
//! `monitor_scripts`: programs with their arguments. Nothing is evaluated.

use crate::sys::text::shown;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A program of the administrator's, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its full path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Words as a shell would split them, each of them split again: a program and its arguments.
///
/// # Errors
/// A sentence about the word that is no absolute path, or the quote that does not end.
pub(super) fn scripts(text: &[u8]) -> Result<Vec<Script>, String> {
    let mut scripts = Vec::new();
    for script in words(text)? {
        let mut words = words(&script)?.into_iter().map(OsString::from_vec);
        let Some(program) = words.next() else { continue };
        if !Path::new(&program).is_absolute() {
            return Err(format!("'{}' is not a full path; expected programs", shown(&program)));
        }
        scripts.push(Script { program: PathBuf::from(program), args: words.collect() });
    }
    Ok(scripts)
}

fn words(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut words = shlex::bytes::Shlex::new(text);
    let all: Vec<Vec<u8>> = words.by_ref().collect();
    if words.had_error { Err("a quote does not end; expected words".into()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_programs_and_quoted_words_have_arguments() {
        let scripts = scripts(b"/a  '/b c \"d e\"'").unwrap();
        assert_eq!(scripts[0], Script { program: "/a".into(), args: vec![] });
        assert_eq!(scripts[1], Script { program: "/b".into(), args: vec!["c".into(), "d e".into()] });
    }

    #[test]
    fn shell_words_are_not_evaluated() {
        assert_eq!(scripts(b"/a $(reboot)").unwrap_err(), "'$(reboot)' is not a full path; expected programs");
        assert!(scripts(b"'/a").is_err());
    }
}
