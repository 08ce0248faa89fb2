// SPDX-License-Identifier: GPL-2.0-or-later
//! `definition_command`: a command whose output is the definition. Words are words: nothing is evaluated.

use crate::sys::text::shown;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A command of the administrator's that prints a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionCommand {
    /// As it is written: by this the definition is known in marks and records.
    pub text: PathBuf,
    /// Its program: a full path, or a name to be looked for where programs are.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl DefinitionCommand {
    /// Splits the text as a shell would.
    ///
    /// # Errors
    /// A sentence: a quote does not end, there is no word, or the first one can be no program.
    pub(super) fn parse(text: &OsStr) -> Result<Self, String> {
        const EXPECTED: &str = "expected a program, by its full path or its name, and its arguments";
        let mut words = shlex::bytes::Shlex::new(text.as_bytes());
        let mut all: Vec<OsString> = words.by_ref().map(OsString::from_vec).collect();
        if words.had_error {
            return Err(format!("'{}' has a quote that does not end; {EXPECTED}", shown(text)));
        }
        if all.is_empty() {
            return Err(format!("'{}' has no word; {EXPECTED}", shown(text)));
        }
        let program = all.remove(0);
        let is_path = program.as_bytes().contains(&b'/');
        if program.is_empty() || (is_path && !Path::new(&program).is_absolute()) {
            return Err(format!("'{}' is no full path; {EXPECTED}", shown(&program)));
        }
        Ok(Self { text: text.into(), program, args: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_never_evaluated() {
        let command = DefinitionCommand::parse("rbd image-meta get 'pool/a b' $(reboot)".as_ref()).unwrap();
        assert_eq!(command.program, "rbd");
        assert_eq!(command.args, ["image-meta", "get", "pool/a b", "$(reboot)"]);
    }

    #[test]
    fn what_can_be_no_program_is_told_with_what_was_expected() {
        for (text, why) in
            [("'rbd", "quote"), ("  ", "no word"), ("bin/xml a", "'bin/xml' is no full path"), ("''", "''")]
        {
            let told = DefinitionCommand::parse(text.as_ref()).unwrap_err();
            assert!(told.contains(why) && told.contains("expected a program"), "{text}: {told}");
        }
        DefinitionCommand::parse("/usr/local/bin/xml-of web".as_ref()).unwrap();
    }
}
