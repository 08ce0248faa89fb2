// SPDX-License-Identifier: GPL-2.0-or-later
//! What a child writes, kept within a limit. More is read, so that the child never waits for us, and dropped.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// What is read of a stream at once.
const CHUNK: usize = 64 * 1024;

/// A pipe that the child writes into, until its end.
#[derive(Debug)]
pub(super) struct Pipe(Option<OwnedFd>);

/// Which part of a stream is kept when it is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The beginning.
    Start,
    /// The end.
    End,
    /// The beginning of each line.
    Lines,
}

/// A stream of a child.
pub(super) struct Stream {
    pipe: Pipe,
    pub(super) keep: Keep,
    pub(super) kept: VecDeque<u8>,
    limit: usize,
    /// Bytes that were not kept.
    pub(super) dropped: u64,
    /// The rest of a line that is too long is being dropped.
    skipping: bool,
}

impl Pipe {
    /// A piece of what is in the pipe. None: there is nothing now, or nothing any more.
    fn read(&mut self) -> Option<Vec<u8>> {
        let fd = self.0.as_ref()?;
        let mut chunk = Vec::with_capacity(CHUNK);
        match rustix::io::retry_on_intr(|| rustix::io::read(fd, rustix::buffer::spare_capacity(&mut chunk))) {
            Ok(0) => self.0 = None,
            Ok(_) => return Some(chunk),
            Err(Errno::AGAIN) => {}
            Err(_) => self.0 = None,
        }
        None
    }
}

impl Stream {
    pub(super) fn new(pipe: Option<OwnedFd>, keep: Keep, limit: usize) -> Self {
        Self { pipe: Pipe(pipe), keep, kept: VecDeque::new(), limit, dropped: 0, skipping: false }
    }

    pub(super) fn fd(&self) -> Option<&OwnedFd> {
        self.pipe.0.as_ref()
    }

    /// Takes in what is in the pipe now, a piece of it; whether there was anything.
    pub(super) fn take_in(&mut self) -> bool {
        let Some(chunk) = self.pipe.read() else { return false };
        match self.keep {
            Keep::Start => self.keep_start(&chunk),
            Keep::End => {
                self.kept.extend(&chunk);
                let excess = self.kept.len().saturating_sub(self.limit);
                self.kept.drain(..excess);
                self.dropped += excess as u64;
            }
            Keep::Lines => chunk.split_inclusive(|byte| *byte == b'\n').for_each(|part| self.keep_line(part)),
        }
        true
    }

    fn keep_start(&mut self, chunk: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len()).min(chunk.len());
        self.kept.extend(chunk.iter().take(room));
        self.dropped += (chunk.len() - room) as u64;
    }

    fn keep_line(&mut self, part: &[u8]) {
        let ends = part.last() == Some(&b'\n');
        let text = part.strip_suffix(b"\n").unwrap_or(part);
        let length = self.kept.iter().rev().take_while(|byte| **byte != b'\n').count();
        let room = if self.skipping { 0 } else { self.limit.saturating_sub(length).min(text.len()) };
        self.kept.extend(text.iter().take(room));
        self.dropped += (text.len() - room) as u64;
        self.skipping = !ends && (self.skipping || room < text.len());
        if ends {
            self.kept.push_back(b'\n');
        }
    }

    /// The first line that is whole, without its end.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.kept.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.kept.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    /// All that is kept, within the limit.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        let excess = self.kept.len().saturating_sub(self.limit);
        self.dropped += excess as u64;
        self.kept.truncate(self.limit);
        std::mem::take(&mut self.kept).into()
    }
}
