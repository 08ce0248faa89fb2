// SPDX-License-Identifier: GPL-2.0-or-later
//! A call of the agent with exactly what one of its callers gives it, and nothing else.

use super::{AGENT, Moment, Process};
use rustix::process::{Pid, Signal};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// rgmanager: a link named `vm.sh`, environment of rgmanager.md section 3.
    Rgmanager,
    /// Pacemaker: a link named `vm`, environment of pacemaker.md section 2.
    Pacemaker,
    /// Pacemaker, by the predecessor's name.
    VirtualDomain,
    /// An OCF caller that is not Pacemaker.
    Ocf,
    /// A person.
    Human,
}
use Dialect::*;

/// A host on which calls are made.
pub trait Place: Sync {
    /// The agent there, by one of its names.
    fn agent(&self, name: &str) -> PathBuf;
    /// A command that runs there, with the environment that it is given and no other.
    fn command(&self, program: &OsStr) -> Command;
    /// Its name in the cluster.
    fn node(&self) -> String;
    /// What is there of the machine of this name, whoever made it and in whatever state.
    fn alive(&self, name: &str) -> Option<String>;
    /// Seconds that a call may take longer than its timeout, since to enter the host takes some.
    fn entry(&self) -> f64;
}

/// A call that is being put together.
pub struct Call<'a> {
    host: Option<&'a dyn Place>,
    dialect: Dialect,
    action: String,
    more_args: Vec<OsString>,
    name: Option<OsString>,
    instance: Option<OsString>,
    params: Vec<(String, OsString)>,
    vars: Vec<(OsString, OsString)>,
    timeout: f64,
    depth: u32,
    recurring: bool,
}

impl<'a> Call<'a> {
    /// A call of `action`; without a host, on this machine.
    pub fn new(host: Option<&'a dyn Place>, dialect: Dialect, action: &str) -> Self {
        Self {
            host,
            dialect,
            action: action.into(),
            more_args: Vec::new(),
            name: None,
            instance: None,
            params: Vec::new(),
            vars: Vec::new(),
            timeout: 60.0,
            depth: 0,
            recurring: false,
        }
    }

    /// The virtual machine's name, also the resource's.
    pub fn named(mut self, name: impl Into<OsString>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The resource's name, where it is not the virtual machine's.
    pub fn instance(mut self, name: impl Into<OsString>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// A parameter; for a person an option.
    pub fn param(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.params.retain(|(known, _)| known != name);
        self.params.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// A variable of the environment beside those that the caller always sets, or instead of one of them.
    pub fn var(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// A further word of the command line.
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.more_args.push(word.into());
        self
    }

    /// The timeout that the caller tells, in seconds.
    pub fn timeout(mut self, seconds: f64) -> Self {
        self.timeout = seconds;
        self
    }

    /// OCF_CHECK_LEVEL.
    pub fn depth(mut self, level: u32) -> Self {
        self.depth = level;
        self
    }

    /// A monitor that Pacemaker repeats. rgmanager's status always is.
    pub fn recurring(mut self) -> Self {
        self.recurring = true;
        self
    }

    /// What begins the line of an exit reason.
    fn prefix(&self) -> String {
        let set = self.vars.iter().rev().find(|(name, value)| name == "OCF_EXIT_REASON_PREFIX" && !value.is_empty());
        set.map_or("ocf-exit-reason:".into(), |(_, value)| value.to_string_lossy().into_owned())
    }

    /// Whether the caller tells its timeout; else the agent takes the published one.
    fn tells_timeout(&self) -> bool {
        match self.dialect {
            Rgmanager | Pacemaker | VirtualDomain => true,
            Ocf => false,
            Human => self.name.is_some() || !self.params.is_empty(),
        }
    }

    fn program(&self) -> &'static str {
        match self.dialect {
            Rgmanager => "vm.sh",
            Pacemaker | Ocf => "vm",
            VirtualDomain => "VirtualDomain",
            Human => "vm-agent",
        }
    }

    fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.action.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect();
        if self.dialect == Human {
            args.extend(self.name.clone());
            for (name, value) in &self.params {
                let value = value.clone();
                match name.as_str() {
                    "path" | "xmlfile" => args.extend([format!("--{name}").into(), value]),
                    "hypervisor_uri" => args.extend(["-c".into(), value]),
                    _ => {
                        let mut word = OsString::from(format!("{name}="));
                        word.push(value);
                        args.extend(["-o".into(), word]);
                    }
                }
            }
            if self.depth > 0 {
                args.extend(["-o".into(), format!("OCF_CHECK_LEVEL={}", self.depth).into()]);
            }
            if self.tells_timeout() {
                args.extend(["--timeout".into(), self.timeout.to_string().into()]);
            }
        }
        args.extend(self.more_args.iter().cloned());
        args
    }

    /// The caller's environment, whole.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: &str, value: &OsStr| {
            env.retain(|(known, _)| known != name);
            env.push((name.into(), value.to_owned()));
        };
        let name = self.name.clone().unwrap_or_default();
        let instance = self.instance.clone().unwrap_or_else(|| name.clone());
        match self.dialect {
            Rgmanager => {
                for (param, default) in rgmanager_defaults() {
                    set(&format!("OCF_RESKEY_{param}"), OsStr::new(&default));
                }
                let mut service = OsString::from("vm:");
                service.push(&instance);
                set("OCF_RESKEY_name", &name);
                set("OCF_RA_VERSION_MAJOR", OsStr::new("1"));
                set("OCF_RA_VERSION_MINOR", OsStr::new("0"));
                set("OCF_ROOT", OsStr::new("/usr/share/cluster"));
                set("OCF_RESOURCE_INSTANCE", &service);
                set("OCF_RESOURCE_TYPE", OsStr::new("vm"));
                set("OCF_CHECK_LEVEL", OsStr::new(&self.depth.to_string()));
                set("OCF_RESKEY_RGMANAGER_meta_refcnt", OsStr::new("0"));
                set("OCF_RESKEY_RGMANAGER_meta_timeout", OsStr::new(&format!("{:.0}", self.timeout)));
            }
            Pacemaker | VirtualDomain | Ocf => {
                set("OCF_RA_VERSION_MAJOR", OsStr::new("1"));
                set("OCF_RA_VERSION_MINOR", OsStr::new("1"));
                set("OCF_ROOT", OsStr::new("/usr/lib/ocf"));
                set("OCF_RESOURCE_INSTANCE", &instance);
                set("OCF_RESOURCE_TYPE", OsStr::new(self.program()));
                set("OCF_RESOURCE_PROVIDER", OsStr::new("vm-agent"));
                if self.name.is_some() {
                    set("OCF_RESKEY_name", &name);
                }
                if self.depth > 0 {
                    set("OCF_CHECK_LEVEL", OsStr::new(&self.depth.to_string()));
                }
            }
            Human => {}
        }
        if matches!(self.dialect, Pacemaker | VirtualDomain) {
            set("OCF_EXIT_REASON_PREFIX", OsStr::new("ocf-exit-reason:"));
            set("OCF_OUTPUT_FORMAT", OsStr::new("text"));
            set("OCF_RESKEY_crm_feature_set", OsStr::new("3.16.2"));
            set("OCF_RESKEY_CRM_meta_on_node", OsStr::new(&self.host.map_or("node1".into(), Place::node)));
            set("OCF_RESKEY_CRM_meta_on_node_uuid", OsStr::new("1"));
            set("OCF_RESKEY_CRM_meta_timeout", OsStr::new(&format!("{:.0}", self.timeout * 1000.0)));
            if self.recurring {
                set("OCF_RESKEY_CRM_meta_interval", OsStr::new("10000"));
                set("OCF_RESKEY_CRM_meta_name", OsStr::new("monitor"));
            }
        }
        if self.dialect != Human {
            for (name, value) in &self.params {
                set(&format!("OCF_RESKEY_{name}"), value);
            }
        }
        for (name, value) in &self.vars {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        env
    }

    /// Begins the call.
    pub fn spawn(self) -> Running<'a> {
        let mut command = match self.host {
            Some(host) => host.command(host.agent(self.program()).as_os_str()),
            None => {
                let mut command = Command::new(AGENT);
                command.arg0(self.program()).env_clear();
                command
            }
        };
        command.args(self.args()).envs(self.environment());
        // A process group of its own, as both managers make one.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let began = Moment::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let process = Process::hold(child.id() as i32).unwrap();
        let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
        Running { call: self, began, child, process, stdout, stderr, early: Vec::new() }
    }

    /// Makes the call and waits for its answer.
    pub fn run(self) -> Answer {
        self.spawn().answer()
    }

    /// Makes the call, which must answer `code`.
    pub fn gives(self, code: i32) -> Answer {
        let answer = self.run();
        assert_eq!(answer.code, code, "expected {code} from {answer}");
        answer
    }
}

/// What rgmanager sets for parameters that cluster.conf does not mention: every default, empty ones too.
fn rgmanager_defaults() -> Vec<(String, String)> {
    let quoted = |text: &str, before: &str| {
        let (_, rest) = text.split_once(before)?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let (parameters, _) = vm_agent::callers::meta_data::RGMANAGER.split_once("</parameters>").unwrap();
    let parameters = parameters.split("<parameter ").skip(1);
    parameters.filter_map(|text| Some((quoted(text, "name=\"")?, quoted(text, "default=\"")?))).collect()
}

/// Reads a stream to its end in the background, and gives it in pieces.
fn drain(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let _ = sender.send(buffer[..count].to_vec());
        }
    });
    receiver
}

/// A call that was made and has not been answered yet.
pub struct Running<'a> {
    call: Call<'a>,
    began: Moment,
    child: Child,
    process: Process,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    early: Vec<u8>,
}

impl Running<'_> {
    /// Waits until it has written `word` on stderr.
    pub fn says(&mut self, word: &str) {
        while !String::from_utf8_lossy(&self.early).contains(word) {
            match self.stderr.recv_timeout(Duration::from_secs(30)) {
                Ok(piece) => self.early.extend(piece),
                Err(_) => panic!("it did not say '{word}', but: {}", String::from_utf8_lossy(&self.early)),
            }
        }
    }

    /// Whether it has not answered yet.
    pub fn runs(&self) -> bool {
        !self.process.ended_within(Duration::ZERO)
    }

    /// As Pacemaker ends an action that took too long, but for this process only.
    pub fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// As Pacemaker ends an action that took too long: SIGKILL for the whole process group.
    pub fn kill_group(mut self) {
        rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal to the agent, and to nothing that it started.
    pub fn signal(&self, signal: Signal) {
        // Between the test and the agent stands only what entered the host.
        let outer = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        let agent = children.split_whitespace().next().map_or(outer as i32, |pid| pid.parse().unwrap());
        Process::hold(agent).unwrap().signal(signal);
    }

    /// Waits for the answer.
    pub fn answer(mut self) -> Answer {
        let longest = if self.call.tells_timeout() { self.call.timeout } else { 300.0 };
        let longest = Duration::from_secs_f64(longest + 10.0);
        if !self.process.ended_within(longest) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            // Who leads into the host (ssh has one connection for all calls) may hold the stream open beyond this call's end.
            self.early.extend(self.stderr.try_iter().flatten());
            let (called, said) = (&self.call, String::from_utf8_lossy(&self.early));
            panic!("no answer within {longest:?} to {} {:?}; so far: {said}", called.action, called.params);
        }
        let (took, unhindered, ended) = (self.began.wall(), self.began.elapsed(), Moment::now());
        let status = self.child.wait().unwrap();
        let mut stderr = std::mem::take(&mut self.early);
        stderr.extend(rest(&self.stderr));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(rest(&self.stdout)), text(stderr));
        assert_eq!(status.signal(), None, "{} was killed: {stderr}", self.call.action);
        let last = |text: &str, prefix: &str| {
            text.lines().rev().find_map(|line| line.strip_prefix(prefix)).unwrap_or_default().to_owned()
        };
        let reason = match self.call.dialect {
            Human if stdout.contains("vm-agent: ") => last(&stdout, "vm-agent: "),
            Human => last(&stderr, "vm-agent: "),
            Rgmanager | Pacemaker | VirtualDomain | Ocf => last(&stderr, &self.call.prefix()),
        };
        let answer = Answer {
            call: format!("{:?} {:?} {:?}", self.call.dialect, self.call.args(), self.call.params),
            code: status.code().unwrap(),
            stdout,
            stderr,
            reason,
            took,
            unhindered,
            ended,
        };
        answer.check(&self.call);
        answer
    }
}

/// The rest of a stream, whose process has ended. Whoever else holds it open was left behind.
fn rest(stream: &Receiver<Vec<u8>>) -> Vec<u8> {
    use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
    let mut all = Vec::new();
    loop {
        match stream.recv_timeout(Duration::from_secs(2)) {
            Ok(piece) => all.extend(piece),
            Err(Disconnected) => return all,
            Err(Timeout) => {
                let said = String::from_utf8_lossy(&all);
                panic!("the call has ended, and a process that it left behind holds its output open; so far: {said}")
            }
        }
    }
}

/// What came of a call.
#[derive(Clone)]
pub struct Answer {
    call: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The exit reason; for a person the last sentence.
    pub reason: String,
    /// From the call to the answer, the entry into the host included (about 10 ms).
    pub took: Duration,
    /// The same, without the time in which the machine had too much to do.
    unhindered: Duration,
    /// When it came.
    pub ended: Moment,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, seconds) = (self.code, self.took.as_secs_f32());
        write!(f, "{}\nanswer {code} after {seconds:.3} s\nstdout:\n{}stderr:\n{}", self.call, self.stdout, self.stderr)
    }
}

impl Answer {
    /// The reason must hold each of these.
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.reason.contains(word), "no '{word}' in the reason '{}' of {self}", self.reason);
        }
        self
    }

    /// The log or the reason must hold each of these: an answer of 0 has its sentence in the log.
    pub fn tells(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no '{word}' in what is told by {self}");
        }
        self
    }

    /// What is printed must hold each of these.
    pub fn shows(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stdout.contains(word), "no '{word}' in what is printed by {self}");
        }
        self
    }

    /// The answer must have come within this time, on a machine that has time for it: it waited for nothing longer.
    pub fn within(self, seconds: f64) -> Self {
        assert!(self.unhindered.as_secs_f64() < seconds, "longer than {seconds} s: {self}");
        self
    }

    /// What is true of every answer.
    fn check(&self, call: &Call<'_>) {
        let (action, code) = (call.action.as_str(), self.code);
        note(call, code);
        assert!(!self.stderr.contains("this agent has a bug"), "a panic: {self}");
        assert!(matches!(code, 0..=7 | 150 | 190), "no code of an agent: {self}");
        let changes_or_watches = matches!(action, "stop" | "kill" | "status" | "monitor");
        assert!(!(code == 6 && changes_or_watches), "6 ends a healthy machine everywhere: {self}");
        let may_degrade = matches!(call.dialect, Pacemaker | VirtualDomain) && action == "monitor" && call.recurring;
        let by_findings = matches!(action, "whereis" | "doctor");
        assert!(code != 190 || may_degrade || by_findings, "190 to a caller that does not know it: {self}");
        let tells = |word: &str| action.starts_with(word);
        let may_tell = changes_or_watches || ["explain", "migrate", "whereis"].into_iter().any(tells);
        assert!(code != 7 || may_tell, "7 tells of a state: {self}");
        assert!(!(code == 7 && matches!(action, "stop" | "kill")), "stop knows no 7: {self}");
        if call.dialect != Human && code != 0 {
            assert!(!self.reason.is_empty(), "no exit reason: {self}");
        }
        let plain = self.reason.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(call.dialect == Human || (plain && self.reason.len() <= 120), "a reason that breaks Pacemaker: {self}");
        let entry = call.host.map_or(0.5, Place::entry);
        let too_late = call.tells_timeout() && self.unhindered.as_secs_f64() > call.timeout + entry;
        assert!(!too_late, "the caller would have killed it: {self}");
        if code == 0
            && matches!(action, "stop" | "kill")
            && let (Some(host), Some(name)) = (call.host, &call.name)
        {
            let left = host.alive(&name.to_string_lossy());
            assert_eq!(left, None, "stopped, but it lives: {self}");
        }
    }
}

/// Keeps a record of the codes that were seen, for who wants to know: `codes.txt` in the target's `tmp` folder.
fn note(call: &Call<'_>, code: i32) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codes.txt");
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        let recurring = if call.recurring { " recurring" } else { "" };
        let _ = file.write_all(format!("{:?} {}{recurring} {code} {test}\n", call.dialect, call.action).as_bytes());
    }
}
