// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that keeps the protocol up to a point, and from there on does what a test wants. It ends with its test.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use tempfile::TempDir;
use vm_agent::hypervisor::rpc::Connection;
use vm_agent::sys::time::Deadline;

pub const REMOTE: u32 = 0x2000_8086;
pub const KEEPALIVE: u32 = 0x6b65_6570;
pub const UUID: [u8; 16] = *b"0123456789abcdef";
/// The calls of a monitor: authentication, open, lookup, state.
pub const STAGES: [u32; 4] = [66, 1, 23, 212];

/// What a client has called.
#[derive(Clone, Debug)]
pub struct Call {
    pub procedure: u32,
    pub serial: u32,
    pub arguments: Vec<u8>,
}

impl Call {
    /// The answer to it with this payload.
    pub fn answer(&self, payload: &[u8]) -> Vec<u8> {
        message([REMOTE, 1, self.procedure, 1, self.serial, 0], payload)
    }

    /// libvirt's error as the answer to it.
    pub fn error(&self, code: i32, text: &str) -> Vec<u8> {
        let mut payload = [code.to_be_bytes(), 10_i32.to_be_bytes(), 1_u32.to_be_bytes()].concat();
        payload.extend(string(text));
        payload.extend(2_u32.to_be_bytes());
        payload.extend([0; 4 * 4]);
        payload.extend([0xff; 8]);
        payload.extend([0; 4]);
        message([REMOTE, 1, self.procedure, 1, self.serial, 1], &payload)
    }

    /// The answer of a daemon that has one running domain, "vm".
    pub fn proper_answer(&self) -> Vec<u8> {
        match self.procedure {
            66 => self.answer(&words(&[1, 0])),
            1 | 2 => self.answer(&[]),
            23 | 24 => self.answer(&domain("vm", 7)),
            212 => self.answer(&words(&[1, 1])),
            316 => self.answer(&words(&[0])),
            other => panic!("a call of procedure {other} was not expected"),
        }
    }
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub fn string(text: &str) -> Vec<u8> {
    let mut bytes = words(&[u32::try_from(text.len()).unwrap()]);
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub fn domain(name: &str, id: i32) -> Vec<u8> {
    [string(name), UUID.to_vec(), id.to_be_bytes().to_vec()].concat()
}

pub fn message(header: [u32; 6], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + payload.len()).unwrap();
    [words(&[length]), words(&header), payload.to_vec()].concat()
}

pub fn event(event: u32, detail: u32) -> Vec<u8> {
    message([REMOTE, 1, 318, 2, 0, 0], &[words(&[0]), domain("vm", 7), words(&[event, detail])].concat())
}

/// Reads one call; `None` when the client has gone.
pub fn read_call(stream: &mut UnixStream) -> Option<Call> {
    let mut word = [0; 4];
    stream.read_exact(&mut word).ok()?;
    let mut rest = vec![0; usize::try_from(u32::from_be_bytes(word)).unwrap() - 4];
    stream.read_exact(&mut rest).ok()?;
    let word = |index: usize| u32::from_be_bytes(rest[4 * index..4 * index + 4].try_into().unwrap());
    assert_eq!((word(0), word(1), word(3), word(5)), (REMOTE, 1, 0, 0), "a call's header");
    Some(Call { procedure: word(2), serial: word(4), arguments: rest[24..].to_vec() })
}

/// Serves as a daemon should until the client goes.
pub fn serve(stream: &mut UnixStream) {
    while let Some(call) = read_call(stream) {
        if stream.write_all(&call.proper_answer()).is_err() {
            return;
        }
    }
}

/// Waits until the client goes, and answers nothing.
pub fn be_silent(stream: &mut UnixStream) {
    while read_call(stream).is_some() {}
}

pub struct Fake {
    folder: TempDir,
    server: Option<JoinHandle<()>>,
}

impl Fake {
    /// A server whose only connection is handled by `serve`.
    pub fn new(serve: impl FnOnce(&mut UnixStream) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let server = std::thread::spawn(move || serve(&mut listener.accept().unwrap().0));
        Self { folder, server: Some(server) }
    }

    /// A server that answers properly until procedure `stage` is called, and then does `act`.
    pub fn until(stage: u32, act: impl FnOnce(&mut UnixStream, &Call) + Send + 'static) -> Self {
        Self::new(move |stream| {
            while let Some(call) = read_call(stream) {
                if call.procedure == stage {
                    return act(stream, &call);
                }
                stream.write_all(&call.proper_answer()).unwrap();
            }
            panic!("procedure {stage} was never called");
        })
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn connect(&self, deadline: Deadline) -> Result<Connection, vm_agent::hypervisor::rpc::RpcError> {
        Connection::open(&self.socket(), Some("qemu:///system"), true, deadline)
    }

    /// What a monitor asks.
    pub fn monitor(&self, deadline: Deadline) -> Result<Option<(i32, i32)>, vm_agent::hypervisor::rpc::RpcError> {
        let mut connection = self.connect(deadline)?;
        match connection.lookup_by_name("vm")? {
            Some(domain) => connection.state(&domain),
            None => Ok(None),
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // The client has gone before, so that the server comes to its end.
        let ended = self.server.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.transpose().expect("the server failed").unwrap();
        }
    }
}
