// SPDX-License-Identifier: GPL-2.0-or-later
//! The worker as its caller sees it: arguments and input in, lines out. On libvirt's test driver, inside the worker's own
//! process where one call is enough, and behind a private libvirtd where a domain must live on between calls.

mod arguments;
mod daemon;
mod verbs;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::common::WORKER;
use vm_agent::model::change::Change;
use vm_agent::model::worker::{Answer, ErrorReply, Line, Progress, Question, Reply, Request, Who};

/// A hypervisor inside the worker, with one domain, `test`, as long as the worker lives.
const IN_PROCESS: &str = "test:///default";

/// A worker that is running.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(request: &Request) -> Self {
        let mut worker = Self::with_arguments(&request.argv());
        if let Some(input) = request.input() {
            worker.say(input);
        }
        worker.input = None;
        worker
    }

    fn with_arguments<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Self {
        let mut child = Command::new(WORKER)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Writes to its standard input. A worker that has already answered does not read.
    fn say(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.input.as_mut().unwrap().write_all(text.as_ref());
    }

    /// The next line.
    fn line(&mut self) -> Line {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        Line::parse(&line).unwrap_or_else(|why| panic!("{why}: {line:?} {}", self.errors()))
    }

    fn progress(&mut self) -> Progress {
        match self.line() {
            Line::Progress { progress } => progress,
            Line::End(reply) => panic!("it has ended: {reply:?}"),
        }
    }

    /// The end: after exactly one result, with the exit status that goes with it, and nothing on standard error.
    fn end(mut self) -> Reply {
        let reply = loop {
            if let Line::End(reply) = self.line() {
                break reply;
            }
        };
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!((rest, self.errors()), (String::new(), String::new()));
        let status = i32::from(matches!(reply, Reply::Error(_)));
        assert_eq!(self.child.wait().unwrap().code(), Some(status));
        reply
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }

    fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }
}

fn ask(request: &Request) -> Reply {
    Worker::start(request).end()
}

fn ok(request: &Request) -> Answer {
    match ask(request) {
        Reply::Ok(answer) => *answer,
        Reply::Error(failure) => panic!("{request:?}: {failure:?}"),
    }
}

fn failure(request: &Request) -> ErrorReply {
    match ask(request) {
        Reply::Ok(answer) => panic!("{request:?}: {answer:?}"),
        Reply::Error(failure) => failure,
    }
}

fn name(name: &str) -> Who {
    Who::Name(name.into())
}

/// What can be asked for of a domain.
trait Word {
    fn request(self, uri: String, who: Who) -> Request;
}

impl Word for Question {
    fn request(self, uri: String, who: Who) -> Request {
        Request::domain(uri, who, self)
    }
}

impl Word for Change {
    fn request(self, uri: String, who: Who) -> Request {
        Request::change(uri, who, self)
    }
}

/// About the domain that the hypervisor inside the worker has.
fn of_test(word: impl Word) -> Request {
    word.request(IN_PROCESS.into(), name("test"))
}
fn of_host(question: Question) -> Request {
    Request::host(IN_PROCESS, question)
}

fn definition(name: &str) -> String {
    format!("<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>")
}
