// SPDX-License-Identifier: GPL-2.0-or-later
//! logs by hand: what is on record of one virtual machine on this host: what the agent and the cluster wrote, the end of its
//! emulator's log, and of its consoles where these are files. Programs read it all, each within a time, since a disk may hang;
//! what is shown has no control characters. Changes nothing.

use super::managed;
use crate::cluster::Cluster;
use crate::host::look::{Depth, Looker};
use crate::hypervisor::emulator_log;
use crate::model::budget::Share;
use crate::model::call::{Environment, Invocation};
use crate::model::definition::{console_files, read};
use crate::model::facts::Definition;
use crate::model::outcome::Code;
use crate::sys::child::{Child, Ended, end_of_file, find_program};
use crate::sys::hosts;
use crate::sys::roots::Roots;
use crate::sys::time::Deadline;
use std::time::Duration;

/// Where clusters' managers and the system write, where there is no journal to ask.
const FILES: [&str; 4] =
    ["/var/log/pacemaker/pacemaker.log", "/var/log/cluster/rgmanager.log", "/var/log/syslog", "/var/log/messages"];
/// Where libvirt keeps the logs of its emulators.
const EMULATORS: [&str; 2] = [emulator_log::FOLDER, "/var/log/libvirt/libxl"];
/// Who writes of a machine into the journal, beside the agent under the names of resources.
const WRITERS: [&str; 6] =
    ["vm-agent", "vm", "rgmanager", "pacemaker-execd", "pacemaker-controld", "pacemaker-schedulerd"];
/// As much of a file's end as is read.
const END: usize = 1 << 20;
/// How many lines of the journal are looked through.
const JOURNAL: &str = "20000";
/// How long one source may take.
const SOURCE: Duration = Duration::from_secs(5);
/// The longest line that is shown.
const LINE: usize = 1000;

/// What was found, as a screen; whether anything was.
pub(super) fn look(inv: &Invocation, env: &Environment, lines: usize) -> (String, Code) {
    let deadline = inv.budget().deadline();
    let mut looker = Looker::new(inv, env, Roots::default());
    let depth = Depth::default();
    looker.look(inv, depth, inv.budget().share(Share::StatusLook, deadline.left()), deadline);
    let live = looker.ask_last(deadline, |connection, domain| connection.xml(domain, 0));
    looker.read_definition(inv);
    let live = live.as_deref().and_then(|text| read(text).ok().map(|root| console_files(&root)));
    let consoles = live.unwrap_or_else(|| match looker.definition() {
        Definition::File(defined) => read(&defined.text).map(|root| console_files(&root)).unwrap_or_default(),
        Definition::NotLooked | Definition::Unchanged { .. } | Definition::None { .. } | Definition::Bad(_) => {
            Vec::new()
        }
    });
    let name = looker.name().or(inv.params.name.as_deref()).unwrap_or_default().to_owned();
    let mut names = vec![name.clone()];
    if let Cluster::Runs(_, Some(resource)) = managed::ask(inv, env, inv.budget().until(Share::Cluster, deadline)) {
        names.extend(Some(resource.name).filter(|known| *known != name));
    }
    let mut shown =
        Screen { text: format!("{name}: what is on record on {}\n", hosts::own_name()), lines, found: false };
    let journal = journal(&names, deadline);
    // With a journal, the system's files have the same lines.
    let files =
        if journal.as_deref().is_some_and(|it| !it.is_empty()) { FILES.get(..2) } else { Some(FILES.as_slice()) };
    if let Some(journal) = journal {
        shown.part("journal", Some(&journal), |line| mentions(line, &names));
    }
    for file in files.unwrap_or_default() {
        if let Some(text) = end(file, deadline) {
            shown.part(file, Some(&text), |line| mentions(line, &names));
        }
    }
    let logs = EMULATORS.iter().filter(|_| !name.contains('/')).map(|folder| format!("{folder}/{name}.log"));
    for file in logs {
        if let Some(text) = end(&file, deadline) {
            shown.part(&format!("emulator, {file}"), Some(&without_commands(&text)), |_| true);
        }
    }
    for file in consoles {
        shown.part(&format!("console, {file}"), end(&file, deadline).as_deref(), |_| true);
    }
    (shown.text.trim_end().to_owned(), if shown.found { Code::Ok } else { Code::Generic })
}

/// An emulator's log without the words of its command, a line each, which is long: what happened is behind it.
fn without_commands(text: &str) -> String {
    let (mut kept, mut inside) = (String::new(), false);
    for line in text.lines() {
        let goes_on = line.ends_with('\\');
        if !inside && !goes_on {
            kept.push_str(line);
            kept.push('\n');
        } else if !inside {
            kept.push_str("(the command of a start)\n");
        }
        inside = goes_on;
    }
    kept
}

/// The text as far as it is written.
struct Screen {
    text: String,
    /// The most lines of one source.
    lines: usize,
    found: bool,
}

impl Screen {
    /// The last lines of a source that are wanted.
    fn part(&mut self, title: &str, source: Option<&str>, wanted: impl Fn(&str) -> bool) {
        self.text.push_str(&format!("\n{}:\n", plain(title)));
        let Some(source) = source else {
            self.text.push_str("  (it cannot be read)\n");
            return;
        };
        let mut last: Vec<&str> = source.lines().rev().filter(|line| wanted(line)).take(self.lines).collect();
        last.reverse();
        self.found |= !last.is_empty();
        if last.is_empty() {
            self.text.push_str("  (nothing of it)\n");
        }
        for line in last {
            self.text.push_str(format!("  {}", plain(line)).trim_end());
            self.text.push('\n');
        }
    }
}

/// A line without what a terminal would obey.
pub(super) fn plain(line: &str) -> String {
    line.chars().take(LINE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a line has one of the names as a word of its own.
fn mentions(line: &str, names: &[String]) -> bool {
    let of_a_name = |c: char| c.is_alphanumeric() || "_-".contains(c);
    names.iter().filter(|name| !name.is_empty()).any(|name| {
        line.match_indices(name.as_str()).any(|(at, found)| {
            let before = line.get(..at).unwrap_or_default();
            let behind = line.get(at + found.len()..).unwrap_or_default();
            !before.ends_with(of_a_name) && !behind.starts_with(of_a_name)
        })
    })
}

/// What those who write of machines wrote into the journal; nothing where there is none.
fn journal(names: &[String], deadline: Deadline) -> Option<String> {
    let program = find_program("journalctl")?;
    let mut words: Vec<String> =
        ["--quiet", "--no-pager", "--output=short-iso", "--lines", JOURNAL].map(str::to_owned).into();
    let resources = names.iter().map(|name| format!("vm({name})"));
    words.extend(WRITERS.iter().map(ToString::to_string).chain(resources).map(|tag| format!("--identifier={tag}")));
    let finished = Child::new(&program).args(words).capture(8 * END).run(deadline.at_most(SOURCE)).ok()?;
    (finished.ended == Ended::Exited(0)).then(|| String::from_utf8_lossy(&finished.stdout).into_owned())
}

/// The end of a file; nothing where it is not there, or cannot be read in time.
fn end(file: &str, deadline: Deadline) -> Option<String> {
    end_of_file(file, END, deadline.at_most(SOURCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_and_not_a_part_of_one() {
        let names = ["web".to_owned(), "a.b".to_owned(), String::new()];
        for line in ["vm(web): INFO: 'web' runs", "web", "start of vm:web.", "'a.b' is off"] {
            assert!(mentions(line, &names), "{line}");
        }
        for line in ["webserver runs", "my-web runs", "web-1 runs", "axb", ""] {
            assert!(!mentions(line, &names), "{line}");
        }
    }

    #[test]
    fn of_an_emulators_log_what_happened_is_shown_and_not_its_command() {
        let log = "2026: starting up\nLC_ALL=C \\\n/usr/bin/qemu \\\n-S\n2026: tainted\nqemu: no such file\n";
        assert_eq!(
            without_commands(log),
            "2026: starting up\n(the command of a start)\n2026: tainted\nqemu: no such file\n"
        );
    }

    #[test]
    fn the_last_lines_are_shown_and_none_that_a_terminal_obeys() {
        let mut screen = Screen { text: String::new(), lines: 2, found: false };
        screen.part("log", Some("one\ntwo\u{1b}[2J\n\nthree\r\n"), |line| !line.is_empty());
        assert_eq!(screen.text, "\nlog:\n  two [2J\n  three\n");
        assert!(screen.found);
        let mut screen = Screen { text: String::new(), lines: 2, found: false };
        screen.part("a", Some(""), |_| true);
        screen.part("b", None, |_| true);
        assert_eq!(screen.text, "\na:\n  (nothing of it)\n\nb:\n  (it cannot be read)\n");
        assert!(!screen.found);
    }
}
