// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person reads at a terminal fits its width: a sentence that is longer goes on below where it began. What goes into a
//! file or a pipe stays one line each.

use std::io::stdout;

/// A terminal that is narrower cannot be helped.
const NARROWEST: u16 = 40;
/// The last column before which a sentence begins beside its label.
const LABELS: usize = 24;

/// The text for standard output.
pub(super) fn fit(text: String) -> String {
    match rustix::termios::tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col >= NARROWEST => {
            let lines = text.lines().map(|line| wrapped(line, usize::from(size.ws_col)));
            lines.collect::<Vec<_>>().join("\n")
        }
        Ok(_) | Err(_) => text,
    }
}

fn wrapped(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let indent = indent(line);
    let label: String = line.chars().take(indent).collect();
    let (mut text, mut column) = (label.clone(), indent);
    for word in line.strip_prefix(&label).unwrap_or_default().split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > indent {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text
}

/// Where the sentence of a line begins: behind the last gap of two spaces or more that is near its begin.
fn indent(line: &str) -> usize {
    let (mut gap, mut indent) = (0_usize, 0);
    for (at, letter) in line.chars().take(LABELS).enumerate() {
        if letter == ' ' {
            gap += 1;
        } else {
            indent = if gap > 1 { at } else { indent };
            gap = 0;
        }
    }
    indent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_goes_on_below_where_it_began() {
        let line = "error    VA307  node1 has no definition of 'web' that can be used: there is none";
        let expected = "error    VA307  node1 has no definition of\n                'web' that can be used: there\n                is none";
        assert_eq!(wrapped(line, 46), expected);
        assert_eq!(wrapped(line, 80), line);
        assert_eq!(wrapped("  state       it runs and runs", 24), "  state       it runs\n              and runs");
        assert_eq!(wrapped("a sentence without any label", 14), "a sentence\nwithout any\nlabel");
    }

    #[test]
    fn a_word_that_is_longer_than_a_line_stays_whole() {
        assert_eq!(wrapped("file  /a/very/long/path/of/it x", 12), "file  /a/very/long/path/of/it\n      x");
        assert_eq!(wrapped("ä  öööööö ü", 8), "ä  öööööö\n   ü");
    }
}
