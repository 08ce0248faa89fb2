// SPDX-License-Identifier: GPL-2.0-or-later
//! Bytes as they arrive, and the messages in them. Pure: whoever owns the socket puts bytes in.
//!
//! It must not trust a length: room is made for what has arrived and for as much again, never for what is announced.

use std::ops::Range;

use super::message::{self, Header};
use super::xdr::{Decoder, Malformed};

/// Room for every answer of a monitor at once; 4 KiB and more only for long ones.
const ROOM: usize = 1024;
const ROOM_FOR_MORE: usize = 4096;
/// An empty buffer above this is given back.
const KEEP: usize = 65_536;

/// Received bytes: those of the messages taken out last, and those not yet taken.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// Takes the next whole message out: its header, and where its payload is until room is made again.
    pub(crate) fn take(&mut self) -> Result<Option<(Header, Range<usize>)>, Malformed> {
        let pending = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(length) = message::length(pending)? else { return Ok(None) };
        let Some(whole) = pending.get(..length) else { return Ok(None) };
        let mut payload = Decoder::new(whole);
        let header = message::header(&mut payload)?;
        let end = self.taken + length;
        self.taken = end;
        Ok(Some((header, end - payload.left()..end)))
    }

    /// How many bytes of memory it holds.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The payload at `range`.
    #[must_use]
    pub(crate) fn payload(&self, range: Range<usize>) -> Decoder<'_> {
        Decoder::new(self.bytes.get(range).unwrap_or_default())
    }

    /// Makes room for more bytes, forgets the messages taken out, and gives the buffer to append to.
    pub(crate) fn make_room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken.min(self.bytes.len()));
        self.taken = 0;
        let have = self.bytes.len();
        if have == 0 && self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
        let announced = message::length(&self.bytes).ok().flatten().unwrap_or(0);
        let missing = announced.saturating_sub(have);
        self.bytes.reserve(missing.clamp(ROOM, have.max(ROOM_FOR_MORE)));
        &mut self.bytes
    }
}
