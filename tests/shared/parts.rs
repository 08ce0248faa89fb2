// SPDX-License-Identifier: GPL-2.0-or-later
//! A test program that chooses its parts by more than their names, and runs several at once. Prints as `cargo test` does.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// When a part is run unasked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Share {
    /// By every `make test`.
    Short,
    /// With `--long`.
    Long,
    /// Never: by its name alone.
    Named,
}

/// One part: its name, and what it does; what it gives is its row.
pub struct Part {
    pub name: String,
    pub share: Share,
    pub run: Box<dyn Fn() -> String + Send + Sync>,
}

/// What the command line asks for.
#[derive(Default)]
pub struct Choice {
    pub long: bool,
    pub list: bool,
    pub jobs: Option<usize>,
    pub names: Vec<String>,
}

/// What came of the parts.
pub struct Played {
    /// By the parts' names.
    pub rows: BTreeMap<String, String>,
    pub failed: Vec<String>,
    /// How many were not chosen.
    others: usize,
    began: Instant,
}

impl Choice {
    /// Takes a word of the command line.
    pub fn take(&mut self, word: String, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        match word.as_str() {
            "--long" => self.long = true,
            "--list" => self.list = true,
            "--jobs" => match rest.next().and_then(|number| number.parse().ok()) {
                Some(number @ 1..=16) => self.jobs = Some(number),
                _ => return Err("--jobs needs a number from 1 to 16".into()),
            },
            // What else is given to each program of `cargo test`.
            "--nocapture" | "--quiet" | "-q" | "--exact" => {}
            other if other.starts_with("--test-threads") || other.starts_with("--color") => {}
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            _ => self.names.push(word),
        }
        Ok(())
    }

    /// Runs what is chosen; nothing where only the names are asked for.
    pub fn play(&self, parts: Vec<Part>) -> Option<Played> {
        let unasked = if self.long { Share::Long } else { Share::Short };
        let named = |part: &Part| self.names.iter().any(|name| part.name.contains(name.as_str()));
        let chosen = |part: &Part| if self.names.is_empty() { part.share <= unasked } else { named(part) };
        let (parts, others): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(chosen);
        if self.list {
            parts.iter().for_each(|part| println!("{}: test", part.name));
            return None;
        }
        println!("\nrunning {} tests", parts.len());
        let began = Instant::now();
        let rows = Mutex::new(BTreeMap::new());
        let failed = Mutex::new(Vec::new());
        let next = Mutex::new(parts.iter());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs().min(parts.len()) {
                scope.spawn(|| {
                    loop {
                        let Some(part) = next.lock().unwrap().next() else { return };
                        match played(part) {
                            Some(row) => drop(rows.lock().unwrap().insert(part.name.clone(), row)),
                            None => failed.lock().unwrap().push(part.name.clone()),
                        }
                    }
                });
            }
        });
        let (rows, failed) = (rows.into_inner().unwrap(), failed.into_inner().unwrap());
        Some(Played { rows, failed, others: others.len(), began })
    }

    /// A part waits more than it computes, but what is begun by two of them keeps two processors busy.
    fn jobs(&self) -> usize {
        let told = std::env::var("RUST_TEST_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
        self.jobs.unwrap_or(usize::clamp(told, 1, 2))
    }
}

impl Played {
    /// The last lines, and how the program ends.
    pub fn end(self) -> ExitCode {
        if !self.failed.is_empty() {
            println!("\nfailures:");
            self.failed.iter().for_each(|name| println!("    {name}"));
        }
        println!(
            "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
            if self.failed.is_empty() { "ok" } else { "FAILED" },
            self.rows.len(),
            self.failed.len(),
            self.others,
            self.began.elapsed().as_secs_f64()
        );
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
    }
}

/// Its row; none when it failed. A thread of its name, by which the reason of a failure is told.
fn played(part: &Part) -> Option<String> {
    let began = Instant::now();
    let row = std::thread::scope(|scope| {
        let run = || catch_unwind(AssertUnwindSafe(|| (part.run)())).ok();
        std::thread::Builder::new().name(part.name.clone()).spawn_scoped(scope, run).unwrap().join().unwrap()
    });
    let (word, took) = (if row.is_some() { "ok" } else { "FAILED" }, began.elapsed().as_secs());
    println!("test {} ... {word}", part.name);
    println!("  {} ({took} s)", row.as_deref().unwrap_or_default());
    row
}
