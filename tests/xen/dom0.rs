// SPDX-License-Identifier: GPL-2.0-or-later
//! A real dom0, made by `tests/xen/lab`, gone when its laboratory is dropped; and guests of it.

use crate::common::{AGENT, Call, Dialect, Dialect::*, Place, until};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Once};

/// A host with Xen, xl and libvirt.
pub struct Dom0 {
    lab: Arc<Laboratory>,
    number: usize,
}

struct Laboratory(tempfile::TempDir);

/// What the kernel of a guest drew at its boot, and how often it has ticked since.
pub type Tick = (String, u64);

fn lab(verb: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xen/lab"));
    command.arg(verb).env("LAB_BIN", Path::new(AGENT).parent().unwrap());
    command
}

fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{text}{}", String::from_utf8_lossy(&stderr));
    text
}

impl Dom0 {
    /// Starts one.
    pub fn up() -> Self {
        Self::several(1).remove(0)
    }

    /// Starts two that reach each other, as node1 and node2.
    pub fn pair() -> [Self; 2] {
        Self::several(2).try_into().ok().unwrap()
    }

    fn several(count: usize) -> Vec<Self> {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| drop(done(&mut lab("prepare"))));
        let laboratory = Arc::new(Laboratory(tempfile::tempdir().unwrap()));
        done(lab("up").arg(laboratory.0.path()).arg(count.to_string()));
        (1..=count).map(|number| Self { lab: Arc::clone(&laboratory), number }).collect()
    }

    /// Runs a verb of the laboratory for this host, which must succeed; gives its output.
    pub fn lab(&self, verb: &str, args: &[&str]) -> String {
        done(lab(verb).arg(self.lab.0.path()).arg(format!("h{}", self.number)).args(args))
    }

    /// Runs a line of bash there that must succeed; gives its output without the last line's end.
    pub fn run(&self, line: &str) -> String {
        done(&mut self.bash(line)).trim_end().to_owned()
    }

    /// Whether a line of bash succeeds there.
    pub fn succeeds(&self, line: &str) -> bool {
        self.bash(line).output().unwrap().status.success()
    }

    fn bash(&self, line: &str) -> Command {
        let mut command = self.command(OsStr::new("/bin/bash"));
        command.args(["-c", line]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }

    /// Writes a file there.
    pub fn file(&self, path: &str, text: &str) {
        self.put(path, text, "lab put");
    }

    /// Writes a shell script there.
    pub fn script(&self, path: &str, lines: &str) {
        self.put(path, &format!("#!/bin/sh\n{lines}\n"), "lab put, executable");
        self.run(&format!("chmod 755 {path}"));
    }

    fn put(&self, path: &str, text: &str, what: &str) {
        let file = self.lab.0.path().join("put");
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{what}: {error}"));
        self.lab("put", &[file.to_str().unwrap(), path]);
    }

    /// A call of the agent on this host.
    pub fn call(&self, dialect: Dialect, action: &str) -> Call<'_> {
        Call::new(Some(self), dialect, action)
    }

    /// A guest of this host, whose file is not written.
    pub fn guest(&self, name: &'static str) -> Guest<'_> {
        Guest { host: self, name, options: Vec::new(), params: Vec::new(), path: "/srv".into() }
    }

    /// The names of all domains that Xen has, but for dom0.
    pub fn domains(&self) -> Vec<String> {
        let list = self.run("timeout 60 xl list");
        let names = list.lines().skip(2).filter_map(|line| line.split_whitespace().next());
        names.map(str::to_owned).collect()
    }

    /// A domain's number; none where Xen has no domain of this name.
    pub fn id(&self, name: &str) -> Option<u32> {
        let list = self.run("timeout 60 xl list");
        let of_it = list.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))?;
        of_it.split_whitespace().next()?.parse().ok()
    }

    /// Whether libvirt lists it as running.
    pub fn libvirt_has(&self, name: &str) -> bool {
        self.run("virsh -q -c xen:///system list --name").lines().any(|line| line == name)
    }

    /// What the guests of this name have written on their consoles here.
    pub fn console(&self, name: &str) -> String {
        self.lab("console", &[name])
    }

    /// The last tick of a guest on this host.
    pub fn tick(&self, name: &str) -> Option<Tick> {
        let console = self.console(name);
        // The last line may not be whole.
        let whole = console.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut words = whole.lines().rev().find_map(|line| line.strip_prefix("tick "))?.split(' ');
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    }

    /// A boot that is none of these, whose guest ticks now.
    pub fn boots(&self, name: &str, before: &str) -> String {
        let new = || self.tick(name).map(|(boot, _)| boot).filter(|boot| boot != before);
        until(120, &format!("boot of '{name}'"), new)
    }

    /// The guest ticks on here, and is the one that has ticked so before.
    pub fn goes_on(&self, name: &str, since: &Tick) -> Tick {
        let later = || self.tick(name).filter(|(boot, count)| *boot == since.0 && *count > since.1 + 1);
        until(60, &format!("'{name}' going on since {since:?}"), later)
    }
}

impl Place for Dom0 {
    fn agent(&self, name: &str) -> PathBuf {
        let folder = match name {
            "vm.sh" => "/usr/share/cluster",
            "vm-agent" => "/usr/sbin",
            _ => "/usr/lib/ocf/resource.d/vm-agent",
        };
        Path::new(folder).join(name)
    }

    fn command(&self, program: &OsStr) -> Command {
        let mut command = lab("exec");
        command.env_clear().arg(self.lab.0.path()).args([&format!("h{}", self.number), "--"]).arg(program);
        command
    }

    fn node(&self) -> String {
        format!("node{}", self.number)
    }

    /// Where Xen cannot be asked, because a test wants it so, that test looks afterwards.
    fn alive(&self, name: &str) -> Option<String> {
        let list = self.bash("timeout 10 /usr/lib/xen-[0-9]*/bin/xl list").output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        list.lines().find(|line| line.split_whitespace().next() == Some(name)).map(str::to_owned)
    }

    /// By ssh, on an emulated processor.
    fn entry(&self) -> f64 {
        3.0
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        let output = lab("down").arg(self.0.path()).output().unwrap();
        if !output.status.success() && !std::thread::panicking() {
            panic!("lab down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// A guest and how it is called.
pub struct Guest<'a> {
    pub host: &'a Dom0,
    pub name: &'static str,
    options: Vec<&'static str>,
    params: Vec<(&'static str, &'static str)>,
    path: String,
}

impl<'a> Guest<'a> {
    /// An option of `lab guest`, or a further line of the file.
    pub fn option(mut self, option: &'static str) -> Self {
        self.options.push(option);
        self
    }

    /// A parameter of all its calls.
    pub fn param(mut self, name: &'static str, value: &'static str) -> Self {
        self.params.push((name, value));
        self
    }

    /// The parameter `path` of its calls.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// Its file's text.
    pub fn text(&self) -> String {
        done(lab("guest").arg(self.name).args(&self.options))
    }

    /// The same with its file in the last folder of the path.
    pub fn written(self) -> Self {
        let folder = self.path.rsplit(':').next().unwrap().to_owned();
        self.written_in(&folder)
    }

    /// The same with its file in this folder.
    pub fn written_in(self, folder: &str) -> Self {
        let end = if self.options.contains(&"--xml") { ".xml" } else { "" };
        self.host.file(&format!("{folder}/{}{end}", self.name), &self.text());
        self
    }

    /// The same guest on another host, which has the same file.
    pub fn also_on<'b>(&self, host: &'b Dom0) -> Guest<'b> {
        let (options, params, path) = (self.options.clone(), self.params.clone(), self.path.clone());
        Guest { host, name: self.name, options, params, path }.written()
    }

    /// A call for it: its name, the path and its own parameters.
    pub fn call(&self, dialect: Dialect, action: &str) -> Call<'a> {
        let call = self.host.call(dialect, action).named(self.name).param("path", &self.path);
        self.params.iter().fold(call, |call, (name, value)| call.param(name, value))
    }

    /// The recurring status of rgmanager, the recurring monitor of Pacemaker.
    pub fn watch(&self, dialect: Dialect) -> Call<'a> {
        match dialect {
            Rgmanager | Human => self.call(dialect, "status"),
            Pacemaker | VirtualDomain | Ocf => self.call(dialect, "monitor").recurring(),
        }
    }

    /// Its domain's number.
    pub fn id(&self) -> Option<u32> {
        self.host.id(self.name)
    }

    /// Whether dom0 has asked the guest of this boot to shut down.
    pub fn was_asked(&self, boot: &str) -> bool {
        self.host.console(self.name).lines().any(|line| line == format!("asked {boot}"))
    }
}
