// SPDX-License-Identifier: GPL-2.0-or-later
//! The text that is printed: commands whose every word is quoted for a shell where that is needed, and comments on one line
//! each, of ASCII but for a command in one, which nothing in a name can leave.

use crate::sys::text::{ascii_line, shell_word};
use std::collections::BTreeMap;

/// How wide comments are.
const WIDTH: usize = 118;
/// The most that is said of one thing.
const LONGEST: usize = 1000;

/// The text as far as it is written.
#[derive(Default)]
pub(super) struct ShellText(String);

impl ShellText {
    /// A comment.
    pub(super) fn told(&mut self, text: &str) {
        self.comment("# ", "#   ", text);
    }

    /// A comment below another one.
    pub(super) fn point(&mut self, text: &str) {
        self.comment("#   - ", "#     ", text);
    }

    /// A command that a person is to run later, in a comment.
    pub(super) fn later(&mut self, words: &[&str], why: &str) {
        // Nothing leaves the comment; the command stays what it is.
        let line = line(words).replace(char::is_control, " ");
        self.0.push_str(&format!("#     {line}   # {}\n", ascii_line(why, LONGEST)));
    }

    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// A command.
    pub(super) fn run<S: AsRef<str>>(&mut self, words: &[S]) {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        self.0.push_str(&line(&words));
        self.0.push('\n');
    }

    /// crmsh's commands, which all take effect together. They hold only what it takes unquoted.
    pub(super) fn crm(&mut self, lines: &[String]) {
        self.0.push_str("crm configure <<'END'\n");
        for line in lines.iter().map(String::as_str).chain(["commit", "END"]) {
            self.0.push_str(line);
            self.0.push('\n');
        }
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    fn comment(&mut self, first: &str, next: &str, text: &str) {
        let mut line = first.to_owned();
        let mut begun = true;
        for word in ascii_line(text, LONGEST).split(' ').filter(|word| !word.is_empty()) {
            if !begun && line.len() + 1 + word.len() > WIDTH {
                self.0.push_str(&line);
                self.0.push('\n');
                line = next.to_owned();
                begun = true;
            }
            if !begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = false;
        }
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

/// A command. Pacemaker's own take their words for ASCII in any locale, unless GLib is told otherwise: crm_resource, and
/// cibadmin since 3.0.
fn line(words: &[&str]) -> String {
    let takes_all = !matches!(words.first(), Some(&("crm_resource" | "cibadmin")));
    let environment: &[&str] =
        if takes_all || words.iter().all(|word| word.is_ascii()) { &[] } else { &["env", "CHARSET=UTF-8"] };
    let words: Vec<String> = environment.iter().chain(words).map(|word| shell_word(word)).collect();
    words.join(" ")
}

/// Whether crmsh takes a value as it stands.
pub(super) fn plain_for_crm(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,+-".contains(c);
    value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && value.chars().all(plain)
}

/// Whether Pacemaker keeps a value: it writes a line break as two other characters.
pub(super) fn keeps(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

/// A value in XML.
pub(in crate::cluster) fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            c if c.is_control() => text.push_str(&format!("&#{};", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

/// Names by which things are told apart in a CIB, each given once; and the number of the last one that is like it.
#[derive(Default)]
pub(super) struct Ids(BTreeMap<String, u32>);

impl Ids {
    /// Takes those that there are already.
    pub(super) fn taken(ids: impl Iterator<Item = String>) -> Self {
        Self(ids.map(|id| (id, 1)).collect())
    }

    /// A name that is like `wanted`, that XML allows, and that nothing else has.
    pub(super) fn fresh(&mut self, wanted: &str) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let mut base: String = wanted.chars().take(100).map(fits).collect();
        if !base.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            base.insert_str(0, "vm-");
        }
        let mut number = self.0.get(&base).copied().unwrap_or(1);
        let mut id = base.clone();
        while self.0.contains_key(&id) {
            number += 1;
            id = format!("{base}-{number}");
        }
        self.0.insert(id.clone(), 1);
        self.0.insert(base, number);
        id
    }
}
