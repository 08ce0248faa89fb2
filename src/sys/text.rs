// SPDX-License-Identifier: GPL-2.0-or-later
//! Texts as they are written and shown: lines for managers and people, UUIDs, hashes.

use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write;

/// The longest name that a sentence without room shows whole.
const NAME: usize = 32;

/// `text` as one printable ASCII line of at most `limit` characters: Pacemaker 2.1 cuts exit reasons at 128 and breaks
/// its own messages on other characters.
#[must_use]
pub fn ascii_line(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit));
    for c in text.trim().chars() {
        let c = match c {
            ' '..='~' => c,
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            c if c.is_whitespace() => ' ',
            c if c.is_control() => continue,
            _ => '?',
        };
        if c == ' ' && line.ends_with(' ') {
            continue;
        }
        line.push(c);
    }
    if line.len() > limit {
        line.truncate(limit.saturating_sub(3));
        line.truncate(line.trim_end().len());
        line.push_str("...");
    }
    line
}

/// A sentence that is longer than `limit`, with the names in it (what stands in single quotes) shortened in their middle:
/// the reason, which comes after a name, must not be pushed out of sight by it.
#[must_use]
pub fn names_shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    // Every second part is between quotes. An apostrophe in the text only makes this shorten less, or other words.
    let parts = text.split('\'').enumerate().map(|(place, part)| {
        let long = place % 2 == 1 && part.chars().count() > NAME && !part.contains(' ');
        if long { middle_out(part) } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("'")
}

/// The beginning and the end of a name.
fn middle_out(name: &str) -> String {
    let end = name.chars().count().saturating_sub(NAME / 2 - 1);
    let (first, last) = (name.chars().take(NAME / 2 - 2), name.chars().skip(end));
    first.chain("...".chars()).chain(last).collect()
}

/// A value for a message: printable, and not longer than fits.
#[must_use]
pub fn shown(value: &OsStr) -> String {
    ascii_line(&value.to_string_lossy().chars().take(200).collect::<String>(), 40)
}

/// A word as a shell reads it back, whole.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,=@%+-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A line to a reader that may have gone away.
pub fn say(to: &mut dyn Write, line: &str) {
    let _ = to.write_all(format!("{line}\n").as_bytes());
}

/// A UUID as people and libvirt write it.
#[must_use]
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Sixteen bytes in hexadecimal; hyphens and blanks between bytes mean nothing, as for libvirt.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut slots = bytes.iter_mut();
    let mut digits = text.trim().chars().peekable();
    while let Some(first) = digits.next() {
        if first == '-' || first == ' ' {
            continue;
        }
        let value = first.to_digit(16)? * 16 + digits.next()?.to_digit(16)?;
        *slots.next()? = u8::try_from(value).ok()?;
    }
    if slots.next().is_none() { Some(bytes) } else { None }
}

/// The SHA-256 of a definition's bytes, as 64 hexadecimal digits: what a mark holds.
#[must_use]
pub fn sha256_hex(text: &[u8]) -> String {
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_leaves_room_for_the_reason() {
        let name = format!("begin{}end", "x".repeat(102));
        let text = names_shortened(&format!("'{name}' was not started: the disk of '{name}' is in use"), 120);
        assert_eq!(text.len(), "'' was not started: the disk of '' is in use".len() + 2 * NAME, "{text}");
        assert!(text.starts_with("'beginxxxxxxxxx...xxx") && text.contains("end' was not started: "), "{text}");
        let short = format!("'{name}' runs");
        assert_eq!(names_shortened(&short, 120), short);
        let sentence = format!("libvirt's words: {}", "it isn't there ".repeat(10));
        assert_eq!(names_shortened(&sentence, 120), sentence);
    }
}
