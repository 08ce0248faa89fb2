// SPDX-License-Identifier: GPL-2.0-or-later
//! What happens to the machines, by the word of nobody who manages them: the process table says where each runs at every
//! moment, the guest's own console how often it booted and whether two copies spoke at once.

use crate::common::Cluster;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the process table.
const PAUSE: Duration = Duration::from_millis(50);
/// Two copies for less than this are one: libvirt writes down that a moved copy stands still a moment after it does.
const OVERLAP: Duration = Duration::from_millis(300);
/// Lines of the console in a wrong order that are no second copy yet: each host writes them by a process of its own.
const SHUFFLED: usize = 3;
/// So long a process may still become an emulator: until then it has its parent's command line.
const YOUNG: Duration = Duration::from_secs(10);

/// The hosts on which a machine runs, from a moment on.
type Course = Vec<(Instant, Vec<usize>)>;

/// Looks on from its begin to its end.
pub struct Witness {
    cluster: Arc<Cluster>,
    courses: Arc<Mutex<BTreeMap<String, Course>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A moment from which on something is told, and the boot that the guest had then.
#[derive(Clone)]
pub struct Mark {
    pub at: Instant,
    told: usize,
}

/// What happened to a machine since a mark.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Boots of the guest's kernel.
    pub boots: usize,
    /// How long no copy of it ran.
    pub away: Duration,
    /// The most copies that ran at once.
    pub copies: usize,
    /// Until where it ran changed for the last time.
    pub settled: Duration,
}

impl Witness {
    pub fn of(cluster: &Arc<Cluster>) -> Self {
        let (courses, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (cluster, courses, over) = (Arc::clone(cluster), Arc::clone(&courses), Arc::clone(&over));
            move || look_on(&cluster, &courses, &over)
        });
        Self { cluster: Arc::clone(cluster), courses, over, thread: Some(thread) }
    }

    pub fn mark(&self, machine: &str) -> Mark {
        Mark { at: Instant::now(), told: self.lines(machine).len() }
    }

    /// Where it runs at this moment, once for each copy.
    pub fn runs_on(&self, machine: &str) -> Vec<usize> {
        let courses = self.courses.lock().unwrap();
        courses.get(machine).and_then(|course| course.last()).map(|(_, hosts)| hosts.clone()).unwrap_or_default()
    }

    /// What has happened to it since.
    pub fn since(&self, machine: &str, mark: &Mark) -> Happened {
        let now = Instant::now();
        let course = self.courses.lock().unwrap().get(machine).cloned().unwrap_or_default();
        let mut happened = Happened { boots: 0, away: Duration::ZERO, copies: 0, settled: Duration::ZERO };
        let mut doubled = Duration::ZERO;
        for (place, (from, hosts)) in course.iter().enumerate() {
            let until = course.get(place + 1).map_or(now, |(next, _)| *next);
            let lasted = until.saturating_duration_since((*from).max(mark.at));
            if *from > mark.at {
                happened.settled = from.duration_since(mark.at);
            }
            doubled = if hosts.len() > 1 { doubled + lasted } else { Duration::ZERO };
            match hosts.len() {
                _ if lasted.is_zero() => {}
                0 => happened.away += lasted,
                1 => happened.copies = happened.copies.max(1),
                more if doubled >= OVERLAP => happened.copies = happened.copies.max(more),
                _ => {}
            }
        }
        let lines = self.lines(machine);
        happened.boots = boots(&lines) - boots(&lines[..mark.told.min(lines.len())]);
        if spoke_in_turn(&lines[mark.told.min(lines.len())..]) {
            happened.copies = happened.copies.max(2);
        }
        happened
    }

    /// The boots and ticks of a guest's console, in the order in which they came: its boot, and its counter.
    fn lines(&self, machine: &str) -> Vec<(String, u64)> {
        let text = self.cluster.host(1).console(machine).replace('\r', "");
        let Some((whole, _)) = text.rsplit_once('\n') else { return Vec::new() };
        let line = |line: &str| {
            let mut words = line.split(' ');
            let (kind, boot, next) = (words.next()?, words.next()?, words.next()?);
            match kind {
                "boot" if next.starts_with("lab=") => Some((boot.to_owned(), 0)),
                "tick" if boot.len() == 8 && words.next()?.contains('.') => Some((boot.to_owned(), next.parse().ok()?)),
                _ => None,
            }
        };
        whole.lines().filter_map(line).collect()
    }

    /// How much it has told.
    pub fn told(&self, machine: &str) -> usize {
        self.lines(machine).len()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn boots(lines: &[(String, u64)]) -> usize {
    let mut known: Vec<&str> = lines.iter().map(|(boot, _)| boot.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    known.len()
}

/// Whether an old boot is told of after a newer one, or a counter does not grow: then two copies have spoken in turn.
fn spoke_in_turn(lines: &[(String, u64)]) -> bool {
    let mut last: Vec<(&str, u64)> = Vec::new();
    let mut wrong = 0;
    for (boot, number) in lines {
        match last.iter().position(|(known, _)| known == boot) {
            None => last.push((boot, *number)),
            Some(place) => {
                if place + 1 < last.len() || *number <= last[place].1 {
                    wrong += 1;
                }
                last[place].1 = last[place].1.max(*number);
            }
        }
    }
    wrong > SHUFFLED
}

/// A process seen before: since when, and the machine that it is, as far as it was one.
struct Known {
    since: Instant,
    emulates: Option<(usize, String)>,
}

fn look_on(cluster: &Cluster, courses: &Mutex<BTreeMap<String, Course>>, over: &AtomicBool) {
    let mut known: HashMap<i32, Known> = HashMap::new();
    let began = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let spaces: Vec<Option<PathBuf>> = cluster.hosts().iter().map(crate::common::Host::namespace).collect();
        let numbers: Vec<i32> = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        known.retain(|pid, _| numbers.contains(pid));
        let mut running: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for pid in numbers {
            let seen = known.entry(pid).or_insert(Known { since: Instant::now(), emulates: None });
            if seen.emulates.is_none() && seen.since.elapsed() < YOUNG {
                seen.emulates = emulates(pid, &spaces);
            }
            let Some((host, machine)) = &seen.emulates else { continue };
            if executes(cluster, *host, machine) {
                running.entry(machine.clone()).or_default().push(*host);
            }
        }
        let now = Instant::now();
        let mut courses = courses.lock().unwrap();
        for machine in running.keys() {
            courses.entry(machine.clone()).or_insert_with(|| vec![(began, Vec::new())]);
        }
        for (machine, course) in courses.iter_mut() {
            let mut hosts = running.remove(machine).unwrap_or_default();
            hosts.sort_unstable();
            if course.last().is_none_or(|(_, last)| *last != hosts) {
                course.push((now, hosts));
            }
        }
        drop(courses);
        std::thread::sleep(PAUSE);
    }
}

/// The machine that a process emulates, and on which of the hosts.
fn emulates(pid: i32, spaces: &[Option<PathBuf>]) -> Option<(usize, String)> {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut args = text.split(|byte| *byte == 0);
    let named = args.find_map(|arg| std::str::from_utf8(arg).ok()?.strip_prefix("guest="))?;
    let machine = named.split(',').next()?.to_owned();
    let space = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let place = spaces.iter().position(|host| host.is_some() && *host == space)?;
    Some((place + 1, machine))
}

/// Whether its processors run: a copy that waits for its memory, or has given it away, is paused in libvirt's own record.
fn executes(cluster: &Cluster, host: usize, machine: &str) -> bool {
    let Some(first) = cluster.host(host).first_process() else { return false };
    let record = format!("/proc/{first}/root/run/libvirt/qemu/{machine}.xml");
    let mut head = [0; 1024];
    let count = std::fs::File::open(record).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..count]);
    !(head.contains("<domstatus state='paused'") || head.contains("<domstatus state='shutoff'"))
}
