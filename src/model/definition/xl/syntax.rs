// SPDX-License-Identifier: GPL-2.0-or-later
//! The syntax of xl's files: `key = value`, where a value is a string, a number, or a list of values. Pure.
//!
//! As Xen's own reader has it (xl.cfg(5), libxlu): of two values of a key the later one counts, `+=` adds to the earlier,
//! a `;` ends an assignment like the end of its line, and only inside of a list may a line end anywhere.
//! This file must not know what a key means.

use super::super::error::{DefinitionError, shortened};
use std::collections::BTreeMap;

/// How deep lists may be nested: far more than any key takes, and a bound on the stack.
const MAX_DEPTH: usize = 16;

/// What stands behind a `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string without its quotes, or a number as it was written.
    Text(String),
    /// `[ ... ]`.
    List(Vec<Placed>),
}

/// A value, and at which byte it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) value: Value,
    pub(super) at: usize,
}

/// What a file assigns.
pub(super) type Assigned = BTreeMap<String, Placed>;

/// Reads a whole file.
pub(super) fn read(text: &str) -> Result<Assigned, DefinitionError> {
    let mut reader = XlReader { text, at: 0 };
    let mut assigned = Assigned::new();
    loop {
        reader.skip(&[' ', '\t', '\r', '\n', ';']);
        let Some(first) = reader.peek() else { return Ok(assigned) };
        let at = reader.at;
        let key = reader.word();
        if !first.is_ascii_lowercase()
            || !key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            return Err(reader.no_key(at, key));
        }
        reader.skip(BLANKS);
        let adds = reader.take("+=");
        if !adds && !reader.take("=") {
            return Err(reader.no_assignment(at, key));
        }
        reader.skip(BLANKS);
        let placed = reader.value(0)?;
        reader.end_of_assignment(key)?;
        let placed = match assigned.remove(key).filter(|_| adds) {
            Some(earlier) => added(text, earlier, placed)?,
            None => placed,
        };
        assigned.insert(key.to_owned(), placed);
    }
}

/// What may stand between two words of a line. Xen itself takes no carriage return; it says so by itself.
const BLANKS: &[char] = &[' ', '\t', '\r'];

/// What `+=` makes of two values.
fn added(text: &str, earlier: Placed, more: Placed) -> Result<Placed, DefinitionError> {
    let value = match (earlier.value, more.value) {
        (Value::Text(before), Value::Text(after)) => Value::Text(before + &after),
        (Value::List(mut before), Value::List(after)) => {
            before.extend(after);
            Value::List(before)
        }
        (Value::Text(_), Value::List(_)) | (Value::List(_), Value::Text(_)) => {
            return Err(DefinitionError::at(text, more.at, "'+=' adds a list to a string, or a string to a list"));
        }
    };
    Ok(Placed { value, at: earlier.at })
}

struct XlReader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> XlReader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes `words`, if they come next.
    fn take(&mut self, words: &str) -> bool {
        let comes = self.rest().starts_with(words);
        self.at += if comes { words.len() } else { 0 };
        comes
    }

    /// Passes by these characters, and by comments.
    fn skip(&mut self, blanks: &[char]) {
        loop {
            self.at = self.text.len() - self.rest().trim_start_matches(blanks).len();
            if self.peek() != Some('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Letters, digits and underscores.
    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn wrong<T>(&self, at: usize, what: impl Into<String>) -> Result<T, DefinitionError> {
        Err(DefinitionError::at(self.text, at, what))
    }

    /// Why an assignment cannot begin here.
    fn no_key(&self, at: usize, word: &str) -> DefinitionError {
        let rest = self.text.get(at..).unwrap_or_default();
        let what = match rest.chars().next() {
            Some('(') if at == 0 => "this is an SXP form, which only the former tools xm and xend read".to_owned(),
            Some('{' | '[') if at == 0 => {
                "this is a JSON form, as 'xl list -l' prints it; expected key = value (xl.cfg(5))".to_owned()
            }
            Some(c) if word.is_empty() => format!("'{}' where a key is expected", shortened(&c.to_string())),
            Some(_) | None => {
                format!("'{}' is not a key of xl's: these are small letters, digits and underscores", shortened(word))
            }
        };
        DefinitionError::at(self.text, at, what)
    }

    /// Why no `=` follows a key.
    fn no_assignment(&self, at: usize, key: &str) -> DefinitionError {
        const PYTHON: [&str; 14] = [
            "import", "from", "def", "class", "if", "else", "elif", "for", "while", "try", "except", "print", "return",
            "with",
        ];
        if PYTHON.contains(&key) {
            return DefinitionError::at(self.text, at, format!("'{key}' is Python, which xm ran and xl does not"));
        }
        DefinitionError::at(self.text, self.at, format!("no '=' behind the key '{}'", shortened(key)))
    }

    fn value(&mut self, depth: usize) -> Result<Placed, DefinitionError> {
        let at = self.at;
        let value = match self.peek() {
            Some('[') if depth < MAX_DEPTH => self.list(depth)?,
            Some('[') => return self.wrong(at, "lists are nested too deeply"),
            Some(quote @ ('\'' | '"')) => Value::Text(self.string(quote)?),
            Some(c) if c.is_ascii_digit() => {
                let number = self.word();
                let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'x');
                if !number.bytes().all(digits) {
                    return self.wrong(at, format!("'{}' is no number; a string needs quotes", shortened(number)));
                }
                Value::Text(number.to_owned())
            }
            Some('\n' | ';' | '#') | None => return self.wrong(at, "no value behind the '='"),
            Some(_) => return self.wrong(at, "a value is a string in quotes, a number, or a list in brackets"),
        };
        Ok(Placed { value, at })
    }

    fn list(&mut self, depth: usize) -> Result<Value, DefinitionError> {
        const ANYWHERE: &[char] = &[' ', '\t', '\r', '\n'];
        let opened = self.at;
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.skip(ANYWHERE);
            match self.peek() {
                Some(']') => break,
                None => return self.wrong(opened, "this list is not closed"),
                Some(_) => values.push(self.value(depth + 1)?),
            }
            self.skip(ANYWHERE);
            if !self.take(",") && self.peek() != Some(']') {
                return match self.peek() {
                    None => self.wrong(opened, "this list is not closed"),
                    Some(_) => self.wrong(self.at, "expected ',' or ']' behind a value of a list"),
                };
            }
        }
        self.at += 1;
        Ok(Value::List(values))
    }

    fn string(&mut self, quote: char) -> Result<String, DefinitionError> {
        let opened = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek().filter(|c| *c != '\n') else {
                return self.wrong(opened, "this string is not closed on its line");
            };
            let at = self.at;
            self.at += c.len_utf8();
            if c == quote {
                break;
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let escaped = self.peek();
            text.push(match escaped {
                Some(c @ ('\\' | '\'' | '"')) => c,
                Some('a') => '\u{7}',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                // Xen's releases read the digits differently.
                Some('x' | '0'..='7') => return self.wrong(at, "write the character itself in place of its number"),
                Some(_) | None => return self.wrong(at, "a '\\' before a character that needs none"),
            });
            self.at += 1;
        }
        if text.is_empty() && self.peek() == Some(quote) {
            return self.wrong(opened, "three quotes are Python, which xm ran and xl does not");
        }
        Ok(text)
    }

    fn end_of_assignment(&mut self, key: &str) -> Result<(), DefinitionError> {
        self.skip(BLANKS);
        match self.peek() {
            None | Some('\n' | ';') => Ok(()),
            Some(_) => {
                let what = format!("more than one value behind '{key} ='; expected the end of the line");
                self.wrong(self.at, what)
            }
        }
    }
}
