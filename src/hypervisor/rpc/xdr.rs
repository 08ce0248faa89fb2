// SPDX-License-Identifier: GPL-2.0-or-later
//! XDR (RFC 4506), as far as libvirt's protocol uses it: big-endian words of 4 or 8 bytes, strings padded to 4 bytes.
//!
//! Pure: bytes in, values out. Nothing here trusts a length: each is held against what is left of the message before a
//! byte is allocated for it.

use std::borrow::Cow;

/// The longest string that libvirt's protocol allows, in bytes (`REMOTE_STRING_MAX`).
pub(crate) const STRING_MAX: usize = 4_194_304;

/// Why bytes are no message of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub &'static str);

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `bytes`.
    #[must_use]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes have not been read.
    #[must_use]
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// An error unless everything has been read.
    pub(crate) const fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("a message has bytes left over at its end")) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("a message ends too early"))?;
        self.rest = rest;
        Ok(*head)
    }

    /// An unsigned word.
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A signed word.
    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// An unsigned double word.
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A signed double word.
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A double.
    pub(crate) fn f64(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_be_bytes)
    }

    /// A UUID: 16 bytes without a length.
    pub(crate) fn uuid(&mut self) -> Result<[u8; 16], Malformed> {
        self.array()
    }

    /// Whether an optional value follows.
    pub(crate) fn present(&mut self) -> Result<bool, Malformed> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("an optional value is neither there nor absent")),
        }
    }

    /// The length of an array of at most `limit` elements that each take at least `least` bytes.
    pub(crate) fn count(&mut self, limit: usize, least: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.u32()?).map_err(|_| Malformed("an array is too long"))?;
        if count > limit {
            return Err(Malformed("an array is longer than the protocol allows"));
        }
        if count.saturating_mul(least) > self.rest.len() {
            return Err(Malformed("an array is longer than the message"));
        }
        Ok(count)
    }

    /// The bytes of a string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed("a string is too long"))?;
        if length > STRING_MAX {
            return Err(Malformed("a string is longer than the protocol allows"));
        }
        let (padded, rest) = self
            .rest
            .split_at_checked(length.next_multiple_of(4))
            .ok_or(Malformed("a string is longer than the message"))?;
        self.rest = rest;
        padded.get(..length).ok_or(Malformed("a string is longer than the message"))
    }

    /// A string for people: a question mark stands for what is not UTF-8, so that it is never longer than what arrived.
    pub(crate) fn words(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let bytes = self.bytes()?;
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push('?');
            }
        }
        Ok(Cow::Owned(text))
    }

    /// A string for programs: what is not UTF-8 is an error.
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

/// Appends values to a message that is being built.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// An encoder that appends to `out`.
    pub(crate) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// An unsigned word.
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A signed word.
    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A UUID.
    pub(crate) fn uuid(&mut self, value: &[u8; 16]) -> &mut Self {
        self.out.extend_from_slice(value);
        self
    }

    /// A string, of which at most the first [`STRING_MAX`] bytes are sent; [`sendable`] tells beforehand.
    pub(crate) fn string(&mut self, value: &str) -> &mut Self {
        let bytes = value.as_bytes().get(..STRING_MAX).unwrap_or(value.as_bytes());
        // The length is at most STRING_MAX, so that it fits.
        self.u32(u32::try_from(bytes.len()).unwrap_or(0));
        self.out.extend_from_slice(bytes);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        self
    }

    /// A string that may be absent.
    pub(crate) fn optional_string(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.u32(1).string(value),
            None => self.u32(0),
        }
    }
}

/// Whether the other side would see `value` as it is: a NUL byte would end it there, and it would name something else.
pub(crate) fn sendable(value: &str) -> Result<(), Malformed> {
    if value.len() > STRING_MAX {
        return Err(Malformed("a name is longer than a message can carry"));
    }
    if value.contains('\0') {
        return Err(Malformed("a name has a NUL byte"));
    }
    Ok(())
}
