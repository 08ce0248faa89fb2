// SPDX-License-Identifier: GPL-2.0-or-later
//! A real host with a libvirtd of its own, made by `tests/hosts/lab`, gone when its laboratory is dropped.

use super::{AGENT, Call, Dialect, Guest, Place, Process, WORKER};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Once, OnceLock};

/// A host that runs libvirtd. It knows the same paths as this machine below `shared()`.
pub struct Host {
    lab: Arc<Laboratory>,
    /// Its number; its name in the laboratory is h and the number, in the cluster node and the number.
    number: usize,
}

/// Hosts that came up together, and go together.
struct Laboratory(tempfile::TempDir);

fn lab_program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/lab")
}

fn lab(verb: &str, folder: &Path) -> Command {
    let mut command = Command::new(lab_program());
    command.arg(verb).arg(folder).env("LAB_BIND", Path::new(AGENT).parent().unwrap());
    command.env("LAB_BELOW", another_version());
    command
}

/// Files as of another version of the agent, which all hosts find installed on their machine: a test that is played by it,
/// and not by what it is about, fails.
fn another_version() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("another-version");
        for program in ["sbin/vm-agent", "libexec/vm-agent/vm-agent-by-hand", "libexec/vm-agent/vm-agent-libvirt"] {
            write_program(&folder.join("usr").join(program), "#!/bin/sh\necho 'vm-agent 0.0.1' >&2\nexit 99\n");
        }
        let links = [
            ("lib/ocf/resource.d/vm-agent/vm", "../../../../sbin/vm-agent"),
            ("lib/ocf/resource.d/vm-agent/VirtualDomain", "../../../../sbin/vm-agent"),
            ("share/cluster/vm.sh", "../../sbin/vm-agent"),
        ];
        // This alone is seen in the hosts.
        write_program(&folder.join("usr/share/another-version"), "");
        for (link, target) in links {
            let link = folder.join("usr").join(link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            // Another test program may make it at the same time.
            let _ = symlink(target, &link);
            assert_eq!(std::fs::read_link(link).unwrap(), Path::new(target));
        }
        folder
    })
}

fn write_program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    file.persist(path).unwrap();
}

fn done(what: &str, output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

impl Host {
    /// Starts one with a libvirtd. Without root, or without what the laboratory needs, the test fails and says so.
    pub fn up() -> Self {
        Self::with("libvirt")
    }

    /// Starts one that has such services.
    pub fn with(services: &str) -> Self {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| drop(done("lab prepare", Command::new(lab_program()).arg("prepare").output().unwrap())));
        Self::several(1, services).remove(0)
    }

    /// Starts several that have such services; what they need must have been prepared.
    pub fn several(count: usize, with: &str) -> Vec<Self> {
        assert!(Path::new(WORKER).is_file(), "{WORKER} was not built");
        assert!(rustix::process::geteuid().is_root(), "these tests make real hosts, and need root for it");
        if with.split(',').any(|word| matches!(word, "trixie" | "mixed")) {
            static PREPARED: Once = Once::new();
            let prepare = || Command::new(lab_program()).args(["prepare", "--trixie"]).output().unwrap();
            PREPARED.call_once(|| drop(done("lab prepare --trixie", prepare())));
        }
        let lab = Arc::new(Laboratory(tempfile::tempdir().unwrap()));
        let host = |number| Self { lab: Arc::clone(&lab), number };
        let hosts: Vec<Self> = (1..=count).map(host).collect();
        hosts[0].lab("up", &[&count.to_string(), "--with", with]);
        let bin = hosts[0].folder("bin");
        for name in ["vm.sh", "vm", "VirtualDomain", "vm-agent"] {
            symlink(AGENT, bin.join(name)).unwrap();
        }
        hosts
    }

    /// Runs a verb of the laboratory, which must succeed; gives its output.
    pub fn lab(&self, verb: &str, args: &[&str]) -> String {
        done(&format!("lab {verb} {args:?}"), lab(verb, self.lab.0.path()).args(args).output().unwrap())
    }

    /// Its name in the laboratory.
    pub fn name(&self) -> String {
        format!("h{}", self.number)
    }

    /// Its name in the cluster.
    pub fn node(&self) -> String {
        format!("node{}", self.number)
    }

    /// The daemon that has QEMU's machines there, and how its sockets are called.
    pub fn daemon(&self) -> (&'static str, [&'static str; 2]) {
        let root = PathBuf::from(format!("/proc/{}/root", self.first_process().unwrap()));
        match root.join("usr/sbin/virtqemud").exists() {
            true => ("virtqemud", ["virtqemud-sock", "virtqemud-sock-ro"]),
            false => ("libvirtd", ["libvirt-sock", "libvirt-sock-ro"]),
        }
    }

    /// Its PID 1 as this machine numbers it; none while it is down.
    pub fn first_process(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.lab.0.path().join(self.name()).join("pid")).ok()?;
        pid.split_whitespace().next()?.parse().ok()
    }

    /// The PID namespace of its processes, as `/proc/PID/ns/pid` names it; none while it is down.
    pub fn namespace(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/ns/pid", self.first_process()?)).ok()
    }

    /// The folder that has the same path there and here.
    pub fn shared(&self) -> PathBuf {
        self.lab.0.path().join("shared")
    }

    /// A folder of this name in `shared()`.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.shared().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A file in `shared()`.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.shared().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A program in `shared()`: a shell script of these lines.
    pub fn script(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.file(name, &format!("#!/bin/sh\n{lines}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A command that runs there, with the environment that it is given and no other.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = lab("exec", self.lab.0.path());
        command.env_clear().args([&self.name(), "--"]).arg(program);
        command
    }

    /// Runs a program there that must succeed; gives its output without the last line's end.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        done(&format!("{program} {args:?}"), output).trim_end().to_owned()
    }

    /// Runs a virsh that must succeed.
    pub fn virsh(&self, args: &[&str]) -> String {
        self.run("virsh", &[&["-q", "-c", "qemu:///system"], args].concat())
    }

    /// What libvirt says of a domain: "running", "shut off", ..., or "absent".
    pub fn state(&self, name: &str) -> String {
        let mut virsh = self.command("virsh");
        virsh.args(["-q", "-c", "qemu:///system", "domstate", name]);
        let output = virsh.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        // It may go between the two questions that virsh asks.
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("failed to get domain") || said.contains("Domain not found") {
            return "absent".into();
        }
        done(&format!("virsh domstate {name}"), output).trim_end().to_owned()
    }

    /// Stops, starts, kills, freezes or thaws a service of the host.
    pub fn service(&self, what: &str, name: &str) {
        match what {
            // At once: while a program is started for it, a busy machine goes on with what is to be frozen.
            "freeze" => self.service_process(name).signal(Signal::STOP),
            "thaw" => self.service_process(name).signal(Signal::CONT),
            _ => drop(self.lab("service", &[&self.name(), what, name])),
        }
    }

    fn service_process(&self, name: &str) -> Process {
        let first = self.first_process().unwrap();
        let number = std::fs::read_to_string(format!("/proc/{first}/root/run/service/{name}")).unwrap();
        let is_it = |pid: &Process| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", pid.pid)).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            numbers.split_whitespace().last() == Some(number.trim())
        };
        let found = self.processes(|_| true).into_iter().find(is_it);
        found.unwrap_or_else(|| panic!("{name} does not run on {}", self.name()))
    }

    /// Puts the agent where Pacemaker looks for it, as `ocf:vm-agent:vm`.
    pub fn has_agent(&self) {
        self.has_agent_as("vm");
    }

    /// The same under another name of its own.
    pub fn has_agent_as(&self, name: &str) {
        self.run("mkdir", &["-p", "/usr/lib/ocf/resource.d/vm-agent"]);
        self.run("ln", &["-s", AGENT, &format!("/usr/lib/ocf/resource.d/vm-agent/{name}")]);
    }

    /// A definition of a guest, as `lab guest` prints it.
    pub fn definition(&self, name: &str, options: &[&str]) -> String {
        self.lab("guest", &[&[name], options].concat())
    }

    /// What a guest has written on its console.
    pub fn console(&self, name: &str) -> String {
        let path = self.shared().join(format!("console-{name}.log"));
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The QEMU of a domain of this host.
    pub fn qemu(&self, name: &str) -> Option<Process> {
        let argument = format!("guest={name},");
        self.processes(|args| args.iter().any(|arg| arg.starts_with(argument.as_bytes()))).into_iter().next()
    }

    /// The processes of this host with such arguments.
    pub fn processes(&self, such: impl Fn(&[Vec<u8>]) -> bool) -> Vec<Process> {
        let Some(namespace) = self.namespace() else { return Vec::new() };
        Process::all(|pid, args| {
            such(args) && std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns == namespace)
        })
    }

    /// A call of the agent on this host.
    pub fn call(&self, dialect: Dialect, action: &str) -> Call<'_> {
        Call::new(Some(self), dialect, action)
    }

    /// A guest that is wanted on this host.
    pub fn guest(&self, name: &str) -> Guest<'_> {
        Guest::new(self, name)
    }
}

impl Place for Host {
    fn agent(&self, name: &str) -> PathBuf {
        self.shared().join("bin").join(name)
    }

    fn command(&self, program: &OsStr) -> Command {
        self.command(program)
    }

    fn node(&self) -> String {
        self.node()
    }

    fn alive(&self, name: &str) -> Option<String> {
        self.qemu(name).map(|process| format!("process {}", process.pid))
    }

    fn entry(&self) -> f64 {
        0.5
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        let output = lab("down", self.0.path()).output().unwrap();
        if !output.status.success() && !std::thread::panicking() {
            panic!("lab down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
