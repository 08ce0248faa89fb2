// SPDX-License-Identifier: GPL-2.0-or-later
//! Definitions that are no files: on a block device, or printed by a command. A start reads them; nothing else needs them.

use crate::common::*;
use crate::installed::said;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As long as a small volume.
const LENGTH: usize = 1 << 20;

/// A block device of this machine over a file, which a host sees under a path of its own; detached at the end.
struct Volume<'a> {
    host: &'a Host,
    device: String,
    /// Where the host sees it.
    path: PathBuf,
}

impl<'a> Volume<'a> {
    fn with(host: &'a Host, text: &str) -> Self {
        let file = host.file("volume", "");
        std::fs::File::options().write(true).open(&file).unwrap().set_len(LENGTH as u64).unwrap();
        let device = said(Command::new("losetup").args(["--find", "--show"]).arg(&file)).ok().trim().to_owned();
        let volume = Self { host, device, path: "/dev/definitions/a".into() };
        let number = volume.device.strip_prefix("/dev/loop").unwrap();
        let make = format!("mkdir -p /dev/definitions && mknod /dev/definitions/a b 7 {number}");
        host.run("sh", &["-c", &make]);
        volume.write(text);
        volume
    }

    /// Puts a text at its begin, and nothing behind it.
    fn write(&self, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(LENGTH, 0);
        let device = std::fs::File::options().write(true).open(&self.device).unwrap();
        device.write_all_at(&bytes, 0).unwrap();
        device.sync_all().unwrap();
    }

    fn text(&self) -> String {
        let bytes = std::fs::read(&self.device).unwrap();
        assert_eq!(bytes.len(), LENGTH);
        String::from_utf8(bytes).unwrap().trim_end_matches('\0').to_owned()
    }

    /// The host does not see it any more.
    fn is_gone(&self) {
        self.host.run("rm", &[self.path.to_str().unwrap()]);
    }
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

/// The same definition in other words.
fn edited(text: &str) -> String {
    text.replacen("</name>", "</name><description>edited</description>", 1)
}

#[test]
fn a_definition_on_a_block_device_starts_the_machine_and_is_not_needed_after_that() {
    let host = Host::up();
    let text = host.guest("a").polite().xml();
    let volume = Volume::with(&host, &text);
    let call = |action: &str| host.call(VirtualDomain, action).instance("rsc").param("config", &volume.path);
    call("monitor").gives(7);
    call("start").gives(0);
    let mark = host.virsh(&["metadata", "a", "https://vm-agent.org/xmlns/domain/1.0"]);
    assert!(mark.contains("source=\"/dev/definitions/a\""), "{mark}");
    let status = || host.call(Human, "status").named("a").gives(0);
    status().shows(&["from /dev/definitions/a, unchanged since"]);
    call("monitor").recurring().depth(10).gives(0);

    // Somebody edits it: that is told, once, and changes nothing.
    volume.write(&edited(&text));
    status().shows(&["CHANGED since"]);
    let answer = call("monitor").recurring().depth(10).gives(0);
    answer.tells(&["WARNING: /dev/definitions/a gives another definition by now than 'a' was started from"]);
    let answer = call("monitor").recurring().depth(10).gives(0);
    assert_eq!(answer.stderr, "");

    // What was changed in the machine is not written over somebody's volume.
    let answer = call("stop").param("save_config_on_stop", "yes").timeout(60.0).gives(0);
    answer.tells(&["WARNING: what was changed in 'a'", "is no file"]);
    assert_eq!(volume.text(), edited(&text));
    assert_eq!(host.run("ls", &["/dev/definitions"]), "a");
    let answer = call("start").gives(0);
    answer.tells(&["WARNING: 'a' is started from another definition than the last time here"]);

    // Its storage goes.
    volume.is_gone();
    for recurring in [false, true] {
        let call = call("monitor");
        if recurring { call.recurring() } else { call }.gives(0).within(1.5);
    }
    call("monitor").recurring().depth(10).gives(0);
    call("stop").timeout(60.0).gives(0);
    assert!(host.qemu("a").is_none());
    call("start").gives(5).says(&["there is no /dev/definitions/a"]);
}

#[test]
fn a_block_device_may_stand_in_path_and_one_without_a_definition_starts_nothing() {
    let host = Host::up();
    let volume = Volume::with(&host, &host.guest("a").xml());
    let call = |action: &str, path: &str| host.call(Rgmanager, action).named("a").param("path", path);
    // In the place of a folder, and in a folder as one of a machine's name.
    for path in ["/nowhere:/dev/definitions/a:/etc", "/dev/definitions"] {
        call("start", path).gives(0);
        call("kill", path).gives(0);
    }
    host.call(Rgmanager, "start").named("b").param("path", &volume.path).gives(5).says(&["'a'", "'b'"]);
    volume.write("");
    for path in ["/dev/definitions/a", "/dev/definitions"] {
        call("start", path).gives(5).says(&["/dev/definitions/a is empty"]);
    }
    assert!(host.qemu("a").is_none());
}

/// A loop device in a host, over a file there; detached at the end.
pub(super) struct LoopIn<'a>(&'a Host, pub(super) String);

impl<'a> LoopIn<'a> {
    pub(super) fn over(host: &'a Host, file: &Path) -> Self {
        let attach = "mknod /dev/loop-control c 10 237; for n in $(seq 0 31); do mknod /dev/loop$n b 7 $n; done; \
                      losetup --find --show \"$1\"";
        Self(host, host.run("sh", &["-c", attach, "sh", file.to_str().unwrap()]))
    }
}

impl Drop for LoopIn<'_> {
    fn drop(&mut self) {
        let mut detach = self.0.command("losetup");
        let _ = detach.args(["--detach", &self.1]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").status();
    }
}

#[test]
fn a_block_device_that_hangs_fails_a_start_in_time_and_hinders_neither_a_monitor_nor_a_stop() {
    let host = Host::up();
    let storage = Hanging::mounted(&host);
    let mut bytes = host.guest("a").polite().xml().into_bytes();
    bytes.resize(LENGTH, 0);
    std::fs::write(storage.folder.join("volume"), bytes).unwrap();
    let device = LoopIn::over(&host, &storage.point.join("volume"));
    let call = |action: &str| host.call(VirtualDomain, action).instance("rsc").param("config", &device.1);
    call("start").gives(0);
    storage.hangs("all");
    call("monitor").recurring().gives(0).within(1.5);
    call("monitor").gives(0).within(1.5);
    call("stop").timeout(60.0).gives(0).within(10.0);
    assert!(host.qemu("a").is_none());
    call("start").timeout(8.0).gives(1).says(&["the definition could not be read within", "its storage hangs"]);
    storage.answers();
    call("start").gives(0);
    call("kill").gives(0);
}

/// A command that tells of each of its runs, and does what a file says.
struct Printer<'a> {
    host: &'a Host,
    words: String,
}

impl<'a> Printer<'a> {
    fn doing(host: &'a Host, lines: &str) -> Self {
        let runs = host.file("runs", "");
        let does = host.file("does", lines);
        let program = host.script("print it", &format!("echo \"$*\" >>{}\n. {}", runs.display(), does.display()));
        Self { host, words: format!("'{}' 'pool/a b' $(reboot)", program.display()) }
    }

    fn now_does(&self, lines: &str) {
        self.host.file("does", lines);
    }

    /// With what it was run since the last time.
    fn runs(&self) -> String {
        let runs = std::fs::read_to_string(self.host.shared().join("runs")).unwrap();
        self.host.file("runs", "");
        runs
    }

    fn call(&self, action: &str) -> Call<'a> {
        self.host.call(VirtualDomain, action).instance("rsc").param("definition_command", &self.words)
    }
}

const ONE_RUN: &str = "pool/a b $(reboot)\n";

#[test]
fn a_definition_that_a_command_prints_is_asked_for_once_and_no_stop_waits_for_it() {
    let host = Host::up();
    let text = host.guest("a").polite().xml();
    let file = host.file("definition", &text);
    let prints = format!("cat {}", file.display());
    let printer = Printer::doing(&host, &prints);
    printer.call("start").gives(0);
    assert_eq!(printer.runs(), ONE_RUN);
    host.file("definition", &edited(&text));
    printer.call("monitor").recurring().gives(0);
    printer.call("monitor").gives(0);
    assert_eq!(printer.runs(), "", "a monitor has run it");
    let answer = printer.call("monitor").recurring().depth(10).gives(0);
    answer.tells(&["WARNING: ", "gives another definition by now than 'a' was started from"]);
    assert_eq!(printer.runs(), ONE_RUN);

    printer.now_does("echo slow >&2; exec sleep 777");
    printer.call("monitor").recurring().gives(0).within(1.5);
    let answer = printer.call("monitor").recurring().depth(10).timeout(12.0).gives(0);
    answer.tells(&["WARNING: 'a' could not be started again now: definition_command did not end within"]);
    assert_eq!(printer.runs(), ONE_RUN);
    printer.call("stop").timeout(60.0).gives(0).within(10.0);
    assert!(host.qemu("a").is_none());
    printer.call("monitor").recurring().gives(7).within(1.5);
    assert_eq!(printer.runs(), "", "a stop has run it");
    let hangs = printer.call("start").timeout(10.0).gives(1);
    hangs.says(&["definition_command did not end within", "slow"]);
    assert!(host.processes(|args| args.iter().any(|arg| arg == b"777")).is_empty(), "it was left behind");

    printer.now_does(&prints);
    let answer = printer.call("start").gives(0);
    answer.tells(&["WARNING: 'a' is started from another definition than the last time here"]);
}

#[test]
fn a_command_that_prints_no_definition_starts_nothing_and_its_words_are_told() {
    let host = Host::up();
    let printer = Printer::doing(&host, "");
    for (does, code, words) in [
        ("echo first >&2; echo 'no such image' >&2; exit 2", 1, "ended with 2: no such image"),
        ("kill -9 $$", 1, "was killed by signal 9"),
        ("true", 5, "printed nothing; expected libvirt's XML"),
        ("echo hello", 5, "is some other text; expected libvirt's XML"),
        ("head -c 5000000 /dev/zero | tr '\\0' '<'", 5, "too much for a definition"),
    ] {
        printer.now_does(does);
        printer.call("start").gives(code).says(&["definition_command", words]);
    }
    for (command, code, words) in [
        ("no-such-program a", 5, "there is no program 'no-such-program' in /usr/sbin:"),
        ("/no/such/program a", 5, "/no/such/program does not exist"),
        ("bin/print a", 6, "'bin/print' is no full path"),
        ("'cat a", 6, "has a quote that does not end"),
    ] {
        let call = |action: &str| host.call(Pacemaker, action).named("a").param("definition_command", command);
        call("start").gives(code).says(&["definition_command", words]);
        // It concerns no machine that may run.
        call("monitor").gives(7);
        call("stop").gives(0);
    }
    let both = printer.call("start").param("config", Path::new("/etc/a.xml"));
    both.gives(6).says(&["definition_command and config are both set"]);
    assert!(host.virsh(&["list", "--all", "--name"]).trim().is_empty());
}
