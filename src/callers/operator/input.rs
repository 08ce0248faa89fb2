// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person gives a command to read: a file, or standard input, and no more of it than is taken.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;

/// What is called so; `-` is standard input. Of what is longer than `most` one byte more is read.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(file: &Path, most: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
