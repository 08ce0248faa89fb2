// SPDX-License-Identifier: GPL-2.0-or-later
//! A definition at the begin of a block device: its text ends at the first NUL byte, or with the device.

use super::LocateError;
use crate::model::definition::MAX_BYTES;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// How much is read at once: most definitions are shorter.
const CHUNK: usize = 64 * 1024;

/// The text on it. What the kernel still has of it in memory is not believed: another node may have written it since.
pub(super) fn read(device: File, path: &Path) -> Result<Vec<u8>, LocateError> {
    let _ = fadvise(&device, 0, None, Advice::DontNeed);
    text(device, path)
}

fn text(mut from: impl Read, path: &Path) -> Result<Vec<u8>, LocateError> {
    let (mut text, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        let count = match from.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(LocateError::Io { path: path.to_owned(), error }),
        };
        let new = chunk.get(..count).unwrap_or_default();
        let end = new.iter().position(|byte| *byte == 0);
        text.extend_from_slice(new.get(..end.unwrap_or(count)).unwrap_or_default());
        if text.len() > MAX_BYTES {
            return Err(LocateError::TooLarge { path: path.to_owned(), bytes: text.len() as u64 });
        }
        if end.is_some() || count == 0 {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Result<Vec<u8>, LocateError> {
        text(bytes, Path::new("/dev/a"))
    }

    #[test]
    fn a_text_ends_at_the_first_nul_byte_or_with_the_device() {
        assert_eq!(of(b"<a/>\n\0\0<b/>").unwrap(), b"<a/>\n");
        assert_eq!(of(b"<a/>").unwrap(), b"<a/>");
        assert_eq!(of(&[0; 4096]).unwrap(), b"");
        let long = [vec![b'x'; CHUNK + 7], vec![0; CHUNK]].concat();
        assert_eq!(of(&long).unwrap().len(), CHUNK + 7);
    }

    #[test]
    fn a_device_without_an_end_of_text_is_not_read_whole() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                into.fill(b'x');
                Ok(into.len())
            }
        }
        assert!(matches!(text(Endless, Path::new("/dev/a")), Err(LocateError::TooLarge { .. })));
    }

    #[test]
    fn what_fails_to_be_read_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(ErrorKind::TimedOut.into())
            }
        }
        let told = text(Broken, Path::new("/dev/a")).unwrap_err().to_string();
        assert!(told.starts_with("/dev/a cannot be read: "), "{told}");
    }
}
