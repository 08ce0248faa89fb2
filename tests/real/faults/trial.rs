// SPDX-License-Identifier: GPL-2.0-or-later
//! One fault, played through all actions: each answer is held against what is expected, and so is what is left.

use crate::common::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// How many faults there are; with the last one the table is printed.
const FAULTS: usize = 27;

/// What must be true after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The same QEMU runs as before.
    Lives,
    /// No QEMU runs.
    Gone,
    /// One QEMU runs, that did not before.
    Started,
    /// One QEMU runs, or none.
    AtMostOne,
}
use After::*;

/// What is expected of a call.
#[derive(Clone, Debug)]
pub struct Expected {
    codes: Vec<i32>,
    timeout: f64,
    limit: f64,
    says: Vec<String>,
    after: After,
}

/// One of `codes`, within `limit` seconds of the `timeout` that the caller gives; `after` is what is left.
pub fn expect(codes: &[i32], (limit, timeout): (f64, f64), after: After, says: &[&str]) -> Expected {
    let says = says.iter().map(|&word| word.to_owned()).collect();
    Expected { codes: codes.to_vec(), timeout, limit, says, after }
}

/// The columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Probe,
    Monitor,
    Status,
    ByHand,
    StartRunning,
    Stop,
    StopRgmanager,
    ProbeOff,
    Start,
}
use Column::*;

const COLUMNS: [(Column, &str); 9] = [
    (Probe, "probe"),
    (Monitor, "monitor"),
    (Status, "status (rgmanager)"),
    (ByHand, "status by hand"),
    (StartRunning, "start, it runs"),
    (Stop, "stop"),
    (StopRgmanager, "stop (rgmanager)"),
    (ProbeOff, "probe, it is off"),
    (Start, "start"),
];

type Set<'a> = Box<dyn Fn(&Host, Option<&Process>) + 'a>;
type Clear<'a> = Box<dyn Fn(&Host) + 'a>;

/// A fault that is being described. The machine is called `a`, and has no kernel: it never answers the power button.
pub struct Fault<'a> {
    host: &'a Host,
    number: usize,
    name: &'static str,
    set: Set<'a>,
    clear: Clear<'a>,
    params: Vec<(&'static str, &'static str)>,
    watch: Option<Expected>,
    monitor: Option<Expected>,
    by_hand: Option<Expected>,
    start_running: Option<Expected>,
    stop: Option<Expected>,
    probe_off: Option<Expected>,
    start: Option<Expected>,
}

impl<'a> Fault<'a> {
    /// The fault of this number (its row in the table) and name.
    pub fn new(host: &'a Host, number: usize, name: &'static str) -> Self {
        Self {
            host,
            number,
            name,
            set: Box::new(|_, _| ()),
            clear: Box::new(|_| ()),
            params: Vec::new(),
            watch: None,
            monitor: None,
            by_hand: None,
            start_running: None,
            stop: None,
            probe_off: None,
            start: None,
        }
    }

    /// Makes the fault; it is given the QEMU, if one runs.
    pub fn set(mut self, set: impl Fn(&Host, Option<&Process>) + 'a) -> Self {
        self.set = Box::new(set);
        self
    }

    /// Takes the fault away. Done also when it is not there.
    pub fn clear(mut self, clear: impl Fn(&Host) + 'a) -> Self {
        self.clear = Box::new(clear);
        self
    }

    /// A parameter of all calls.
    pub fn param(mut self, name: &'static str, value: &'static str) -> Self {
        self.params.push((name, value));
        self
    }

    /// Probe, monitor, status and status by hand, while it runs.
    pub fn watch(mut self, expected: Expected) -> Self {
        self.watch = Some(expected);
        self
    }

    /// The recurring monitor, where that is not as `watch` says.
    pub fn monitor(mut self, expected: Expected) -> Self {
        self.monitor = Some(expected);
        self
    }

    /// Status by hand, where that is not as `watch` says.
    pub fn by_hand(mut self, expected: Expected) -> Self {
        self.by_hand = Some(expected);
        self
    }

    /// A start, while it runs.
    pub fn start_running(mut self, expected: Expected) -> Self {
        self.start_running = Some(expected);
        self
    }

    /// A stop, while it runs.
    pub fn stop(mut self, expected: Expected) -> Self {
        self.stop = Some(expected);
        self
    }

    /// A probe when it does not run.
    pub fn probe_off(mut self, expected: Expected) -> Self {
        self.probe_off = Some(expected);
        self
    }

    /// A start when it does not run.
    pub fn start(mut self, expected: Expected) -> Self {
        self.start = Some(expected);
        self
    }

    /// Plays it.
    pub fn play(self) {
        let host = self.host;
        let vm = host.guest("a").written();
        let begin = || {
            if !vm.lives() {
                vm.call(Pacemaker, "start").gives(0);
            }
            (self.set)(host, Some(&vm.qemu()));
        };
        let files = files(host);
        begin();
        let watch = self.watch.as_ref();
        self.see(Probe, &vm, watch, |vm| vm.call(Pacemaker, "monitor"));
        self.see(Monitor, &vm, self.monitor.as_ref().or(watch), |vm| vm.call(Pacemaker, "monitor").recurring());
        self.see(Status, &vm, self.monitor.as_ref().or(watch), |vm| vm.call(Rgmanager, "status"));
        self.see(ByHand, &vm, self.by_hand.as_ref().or(watch), |vm| vm.call(Human, "status"));
        self.see(StartRunning, &vm, self.start_running.as_ref(), |vm| vm.call(Pacemaker, "start"));
        self.see(Stop, &vm, self.stop.as_ref(), |vm| vm.call(Pacemaker, "stop"));
        if self.probe_off.is_some() || self.start.is_some() {
            if vm.lives() {
                (self.clear)(host);
                vm.destroy();
                (self.set)(host, None);
            }
            self.see(ProbeOff, &vm, self.probe_off.as_ref(), |vm| vm.call(Pacemaker, "monitor"));
            self.see(Start, &vm, self.start.as_ref(), |vm| vm.call(Pacemaker, "start"));
        }
        (self.clear)(host);
        if self.stop.is_some() {
            begin();
            self.see(StopRgmanager, &vm, self.stop.as_ref(), |vm| vm.call(Rgmanager, "stop"));
            (self.clear)(host);
        }
        let left: Vec<String> = self::files(host).difference(&files).cloned().collect();
        assert_eq!(left, Vec::<String>::new(), "{}: files were left behind", self.name);
        finish(self.number, self.name);
    }

    fn see(&self, column: Column, vm: &Vm<'a>, expected: Option<&Expected>, call: impl Fn(&Vm<'a>) -> Call<'a>) {
        let Some(expected) = expected else { return };
        let before = self.host.qemu("a").map(|process| process.pid);
        let call = self.params.iter().fold(call(vm), |call, (name, value)| call.param(name, value));
        let answer = call.timeout(expected.timeout).run();
        let what = format!("{}, {column:?}: {answer}", self.name);
        assert!(expected.codes.contains(&answer.code), "expected {:?} from {what}", expected.codes);
        let text = format!("{}{}", answer.stdout, answer.stderr);
        for word in &expected.says {
            assert!(text.contains(word), "no '{word}' in {what}");
        }
        let answer = answer.within(expected.limit + SLACK);
        nothing_left(self.host, &what);
        let now: Vec<i32> = machines(self.host);
        let as_expected = match expected.after {
            Lives => before.is_some() && now == before.into_iter().collect::<Vec<_>>(),
            Gone => now.is_empty(),
            Started => now.len() == 1 && before.is_none(),
            AtMostOne => now.len() <= 1,
        };
        assert!(as_expected, "expected {:?} of process {before:?}, there is {now:?}; {what}", expected.after);
        let codes: Vec<String> = expected.codes.iter().map(ToString::to_string).collect();
        let left = match expected.after {
            Lives => "lives",
            Gone => "none",
            Started => "runs",
            AtMostOne => "one or none",
        };
        let cell = format!("{}, {left}, {} of {} s", codes.join(" or "), expected.limit, expected.timeout);
        note(self.number, self.name, column, cell, &sentence(&answer, self.host));
    }
}

/// What entering the host, and a machine with other things to do, may add to a time.
const SLACK: f64 = 1.5;

/// The QEMUs of `a`.
pub fn machines(host: &Host) -> Vec<i32> {
    host.processes(|args| args.iter().any(|arg| arg.starts_with(b"guest=a,"))).iter().map(|p| p.pid).collect()
}

/// No agent, worker, virsh or fake of one runs any more.
pub fn nothing_left(host: &Host, what: &str) {
    let ours = |args: &[Vec<u8>]| {
        let named =
            |name: &str| args.iter().take(2).any(|arg| arg.rsplit(|b| *b == b'/').next() == Some(name.as_bytes()));
        ["vm-agent", "vm-agent-by-hand", "vm-agent-libvirt", "vm", "vm.sh", "virsh"].into_iter().any(named)
            || args.iter().any(|arg| arg == LEFT.as_bytes())
    };
    let left = host.processes(ours);
    // One that was killed may need a moment to be gone.
    let stays = left.iter().filter(|process| !process.ended_within(Duration::from_secs(2))).count();
    assert_eq!(stays, 0, "processes were left behind: {left:?} after {what}");
}

/// What a fake sleeps, so that it can be told from all others.
pub const LEFT: &str = "314159";

/// The files of the host that the agent could leave behind. Its lock is meant to stay.
fn files(host: &Host) -> BTreeSet<String> {
    // Only what is the host's own: all else shows this machine's files too.
    let places = "/tmp /run /dev/shm";
    let others = "-path '/run/libvirt*' -o -path /run/lab -o -path '/run/vm-agent*' -o -path '/run/service*'";
    let find =
        format!("find {places} -xdev \\( {others} -o -path '*/.cache*' \\) -prune -o -type f -print 2>/dev/null; true");
    host.run("sh", &["-c", &find]).lines().map(str::to_owned).collect()
}

/// The sentence of an answer, without what differs from run to run.
fn sentence(answer: &Answer, host: &Host) -> String {
    let by_log = answer.stderr.lines().rev().find_map(|line| line.strip_prefix("INFO: "));
    let by_hand = answer.stdout.lines().next();
    let text = [Some(answer.reason.as_str()), by_log, by_hand].into_iter().flatten().find(|text| !text.is_empty());
    let text = text.unwrap_or_default().replace(host.shared().to_str().unwrap(), "/DIR");
    let mut out = String::new();
    for c in text.chars() {
        match (c.is_ascii_digit(), out.ends_with('N')) {
            (true, true) => {}
            (true, false) => out.push('N'),
            (false, _) => out.push(c),
        }
    }
    out
}

#[derive(Default)]
struct Row {
    name: &'static str,
    cells: BTreeMap<Column, String>,
    sentences: Vec<String>,
    done: bool,
}

static TABLE: Mutex<BTreeMap<usize, Row>> = Mutex::new(BTreeMap::new());

fn note(number: usize, name: &'static str, column: Column, cell: String, sentence: &str) {
    let mut table = TABLE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let row = table.entry(number).or_default();
    row.name = name;
    row.cells.insert(column, cell);
    if !sentence.is_empty() {
        let title = COLUMNS.iter().find(|(c, _)| *c == column).unwrap().1;
        row.sentences.push(format!("{title}: {sentence}"));
    }
}

/// Writes the table so far; prints it when it is whole.
fn finish(number: usize, name: &'static str) {
    let mut table = TABLE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let row = table.entry(number).or_default();
    (row.name, row.done) = (name, true);
    let mut text = String::from("| fault |");
    for (_, title) in COLUMNS {
        write!(text, " {title} |").unwrap();
    }
    text.push_str("\n|-|");
    text.push_str(&"-|".repeat(COLUMNS.len()));
    text.push('\n');
    for row in table.values().filter(|row| row.done) {
        write!(text, "| {} |", row.name).unwrap();
        for (column, _) in COLUMNS {
            write!(text, " {} |", row.cells.get(&column).map_or("", String::as_str)).unwrap();
        }
        text.push('\n');
    }
    let mut words = String::new();
    for row in table.values().filter(|row| row.done) {
        writeln!(words, "{}", row.name).unwrap();
        for sentence in &row.sentences {
            writeln!(words, "  {sentence}").unwrap();
        }
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    std::fs::write(target.join("fault-table.md"), &text).unwrap();
    std::fs::write(target.join("fault-sentences.txt"), &words).unwrap();
    if table.values().filter(|row| row.done).count() == FAULTS {
        // Not by print!, which a passing test keeps to itself.
        let _ = write!(std::io::stderr(), "\nanswer, machine, within so many seconds of the timeout\n{text}\n");
    }
}
