// SPDX-License-Identifier: GPL-2.0-or-later
//! Children on real processes: every program here misbehaves in its own way.
mod agents;
mod ends;
mod lines;
mod surroundings;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vm_agent::sys::child::{Child, Finished};
use vm_agent::sys::time::Deadline;

/// The agent's executable, which is its own launcher. Cargo builds it for tests/real, and beside this test's executable.
fn agent() -> &'static Path {
    static AGENT: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::current_exe().unwrap().with_file_name("../vm-agent").canonicalize().unwrap());
    &AGENT
}

fn seconds(count: u64) -> Deadline {
    Deadline::after(Duration::from_secs(count))
}

fn milliseconds(count: u64) -> Deadline {
    Deadline::after(Duration::from_millis(count))
}

fn program(path: &str) -> Child<'_> {
    Child::new(Path::new(path)).launcher(agent())
}

fn bash(script: &str) -> Child<'_> {
    program("/bin/bash").args(["-c", script])
}

fn run(script: &str) -> Finished {
    bash(script).run(seconds(30)).unwrap()
}

/// A word that no other test, and no other run, uses: processes of a test carry it as their argv[0].
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mark-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The processes that carry the word, and have not ended.
fn marked(mark: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if words.split(|byte| *byte == 0).next() == Some(mark.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

/// What is written in a file, when it is whole (ends in a line's end).
fn written(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
