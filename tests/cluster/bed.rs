// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster with fencing, in which machines are resources of one agent, and what its administrator types.

use crate::common::{Cluster, Host, until};
use crate::witness::{Happened, Mark, Witness};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Who runs the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// ocf:heartbeat:VirtualDomain, the predecessor.
    VirtualDomain,
    /// ocf:vm-agent:vm.
    Vm,
}

impl Agent {
    pub const BOTH: [Self; 2] = [Self::VirtualDomain, Self::Vm];

    pub fn words(self) -> &'static str {
        match self {
            Self::VirtualDomain => "VirtualDomain",
            Self::Vm => "vm-agent",
        }
    }
}

/// A recurring monitor of either agent comes within this time.
pub const MONITORED: Duration = Duration::from_secs(12);

pub struct Bed {
    pub agent: Agent,
    pub witness: Witness,
    pub cluster: Arc<Cluster>,
    /// The host on which the administrator types.
    desk: AtomicUsize,
}

/// How a resource differs from what its agent's page recommends.
#[derive(Default, Clone)]
pub struct Resource<'a> {
    pub params: &'a [(&'a str, &'a str)],
    /// What becomes of a move that failed; Pacemaker's own way is to stop and start.
    pub blocks: bool,
    /// Options of `lab guest`.
    pub guest: &'a [&'a str],
    /// It is not to be started yet.
    pub stopped: bool,
}

/// What the cluster says of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub role: String,
    pub blocked: bool,
    pub failed: bool,
    pub nodes: Vec<String>,
}

impl State {
    /// What a status says of a resource.
    fn told(status: &str, name: &str) -> Self {
        let begin = format!("<resource id=\"{name}\"");
        let (_, rest) = status.split_once(&begin).unwrap_or_else(|| panic!("no resource '{name}' in {status}"));
        let (head, rest) = rest.split_once('>').unwrap();
        let body = if head.ends_with('/') { "" } else { rest.split("</resource>").next().unwrap() };
        let nodes = body
            .match_indices("<node name=\"")
            .map(|(at, found)| body[at + found.len()..].split('"').next().unwrap().to_owned());
        Self {
            role: attribute(head, "role"),
            blocked: attribute(head, "blocked") == "true",
            failed: attribute(head, "failed") == "true",
            nodes: nodes.collect(),
        }
    }

    pub fn words(&self) -> String {
        let mut words = self.role.to_lowercase();
        if self.nodes.len() > 1 {
            words += &format!(" on {}", self.nodes.len());
        }
        if self.blocked {
            words += ", blocked";
        } else if self.failed {
            words += ", failed";
        }
        words
    }
}

impl Bed {
    pub fn up(nodes: usize, agent: Agent) -> Self {
        let cluster = Arc::new(Cluster::of(nodes, "migration,fencing"));
        for host in cluster.hosts() {
            host.has_agent();
            host.run("mkdir", &["-p", "/etc/vm"]);
        }
        Self { agent, witness: Witness::of(&cluster), cluster, desk: AtomicUsize::new(1) }
    }

    pub fn host(&self, number: usize) -> &Host {
        self.cluster.host(number)
    }

    /// The administrator goes to another host.
    pub fn sits_at(&self, host: usize) {
        self.desk.store(host, Ordering::Relaxed);
    }

    fn desk(&self) -> &Host {
        self.host(self.desk.load(Ordering::Relaxed))
    }

    /// Types a command that must succeed.
    pub fn types(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        self.desk().run(words[0], &words[1..])
    }

    /// Types a command, whatever comes of it; whether it succeeded.
    pub fn tries(&self, host: usize, line: &str) -> bool {
        let mut words = line.split(' ');
        let mut command = self.host(host).command(words.next().unwrap());
        command.args(words).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap().status.success()
    }

    /// Makes a resource, and waits until its machine runs where that is wanted.
    pub fn resource(&self, name: &str, wanted: &Resource<'_>) {
        self.makes(name, wanted);
        if !wanted.stopped {
            self.comes_up(name);
        }
    }

    /// Makes a resource as its agent's page recommends; its definition lies on every node.
    pub fn makes(&self, name: &str, wanted: &Resource<'_>) {
        let mut guest = vec!["--variant", "tick", "--full", "64"];
        guest.extend(wanted.guest);
        let file = self.host(1).file(&format!("{name}.xml"), &self.host(1).definition(name, &guest));
        for host in self.cluster.hosts() {
            host.run("cp", &[file.to_str().unwrap(), &format!("/etc/vm/{name}.xml")]);
        }
        let config = format!("/etc/vm/{name}.xml");
        let (provider, kind, monitor) = match self.agent {
            Agent::VirtualDomain => ("heartbeat", "VirtualDomain", ("10s", "30s")),
            Agent::Vm => ("vm-agent", "vm", ("1s", "60s")),
        };
        let mut params = vec![("config", config.as_str()), ("hypervisor", "qemu:///system")];
        match self.agent {
            Agent::VirtualDomain => params.push(("migration_transport", "ssh")),
            Agent::Vm => params.extend([("name", name), ("monitor_wait", "30")]),
        }
        params.extend(wanted.params);
        // Without it a machine goes back by itself to where its node has less to do.
        let mut meta = vec![("allow-migrate", "true"), ("resource-stickiness", "100")];
        if wanted.stopped {
            meta.push(("target-role", "Stopped"));
        }
        let op = |action: &str, interval: &str, timeout: &str, more: &str| {
            format!("<op id='{name}-{action}' name='{action}' interval='{interval}' timeout='{timeout}'{more}/>")
        };
        let block = if wanted.blocks { " on-fail='block'" } else { "" };
        let text = format!(
            "<primitive id='{name}' class='ocf' provider='{provider}' type='{kind}'>\
             <instance_attributes id='{name}-i'>{}</instance_attributes><meta_attributes id='{name}-m'>{}\
             </meta_attributes><operations>{}{}{}{}{}</operations></primitive>",
            pairs(&format!("{name}-i"), &params),
            pairs(&format!("{name}-m"), &meta),
            op("monitor", monitor.0, monitor.1, ""),
            op("start", "0", "60s", ""),
            op("stop", "0", "60s", ""),
            op("migrate_to", "0", "120s", block),
            op("migrate_from", "0", "60s", ""),
        );
        let file = self.host(1).file(&format!("{name}.cib"), &text);
        self.types(&format!("cibadmin -C -o resources --xml-file {}", file.display()));
    }

    /// Waits until the guest speaks and the cluster rests.
    pub fn comes_up(&self, name: &str) {
        self.speaks(name);
        self.rests();
    }

    /// Waits until the guest has said something more.
    pub fn speaks(&self, name: &str) {
        let before = self.witness.told(name);
        until(90, &format!("a word of '{name}'"), || (self.witness.told(name) > before + 2).then_some(()));
    }

    /// Waits until the cluster has nothing left to do, or waits for its administrator.
    pub fn rests(&self) {
        until(400, "rest of the cluster", || {
            self.tries(self.desk.load(Ordering::Relaxed), "crm_resource --wait --timeout=60s").then_some(())
        });
    }

    /// Waits until every node is a member again and ready.
    pub fn is_whole(&self) {
        let count = self.cluster.hosts().len();
        until(120, "all nodes online", || {
            let status = self.monitor_output()?;
            let ready = |line: &&str| {
                line.contains("<node name=") && line.contains("online=\"true\"") && line.contains("pending=\"false\"")
            };
            (status.lines().filter(ready).count() == count).then_some(())
        });
    }

    fn monitor_output(&self) -> Option<String> {
        let mut command = self.desk().command("crm_mon");
        command.args(["-1", "--output-as=xml"]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = command.output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn state(&self, name: &str) -> State {
        self.states(&[name]).remove(0)
    }

    /// What the cluster says of several resources at one moment.
    pub fn states(&self, names: &[&str]) -> Vec<State> {
        let status = until(60, "the cluster's word", || self.monitor_output());
        names.iter().map(|name| State::told(&status, name)).collect()
    }

    /// Where the machine runs, which must be one host.
    pub fn place(&self, name: &str) -> usize {
        until(30, &format!("one place of '{name}'"), || match self.witness.runs_on(name)[..] {
            [host] => Some(host),
            _ => None,
        })
    }

    /// Waits until one copy of the machine runs.
    pub fn runs_once(&self, name: &str, seconds: u64) {
        until(seconds, &format!("one copy of '{name}'"), || (self.witness.runs_on(name).len() == 1).then_some(()));
    }

    /// Kills the machine's QEMU.
    pub fn kills(&self, name: &str) {
        let qemu = self.host(self.place(name)).qemu(name).unwrap();
        qemu.signal(Signal::KILL);
        qemu.end();
    }

    /// A host on which it does not run.
    pub fn elsewhere(&self, host: usize) -> usize {
        if host == 1 { 2 } else { 1 }
    }

    /// How often the power switch has cut a node off.
    pub fn fencings(&self) -> usize {
        let log = self.host(1).shared().parent().unwrap().join(".lab/fence.log");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().filter(|line| line.contains(" off ") || line.contains(" reboot ")).count()
    }

    /// Does to a whole host what `lab` calls by this verb.
    pub fn lab(&self, verb: &str, host: usize) {
        self.host(host).lab(verb, &[&self.host(host).name()]);
    }

    pub fn restarts_libvirtd(&self, host: usize) {
        self.host(host).service("stop", "libvirtd");
        self.host(host).service("start", "libvirtd");
    }

    /// What an administrator does after an intervention of his own: the cluster looks anew.
    pub fn refreshes(&self, resource: &str) {
        self.types(&format!("crm_resource --refresh -r {resource}"));
    }

    /// Moves a machine behind the cluster's back.
    pub fn moves_by_virsh(&self, machine: &str, from: usize, to: usize) {
        let uri = format!("qemu+ssh://{}/system", self.host(to).node());
        self.host(from).virsh(&["migrate", "--live", machine, &uri]);
    }

    /// Sets a property of the cluster.
    pub fn property(&self, name: &str, value: &str) {
        self.types(&format!("crm_attribute -n {name} -v {value}"));
    }

    /// Sets a meta attribute of a resource.
    pub fn meta(&self, resource: &str, name: &str, value: &str) {
        self.types(&format!("crm_resource -r {resource} --meta -p {name} -v {value}"));
    }

    /// Changes a parameter of a resource in maintenance, with a new probe.
    pub fn changes(&self, resource: &str, param: &str, value: &str) {
        self.property("maintenance-mode", "true");
        self.rests();
        self.types(&format!("crm_resource -r {resource} -p {param} -v {value}"));
        self.refreshes(resource);
        self.rests();
        self.property("maintenance-mode", "false");
        self.rests();
    }

    /// Moves a resource as an administrator does.
    pub fn moves(&self, resource: &str, to: usize) {
        self.types(&format!("crm_resource -r {resource} --move -N {}", self.host(to).node()));
        self.rests();
        self.types(&format!("crm_resource -r {resource} --clear"));
        self.rests();
    }

    pub fn standby(&self, host: usize, on: bool) {
        let value = if on { "on" } else { "off" };
        self.types(&format!("crm_attribute -N {} -n standby -v {value} -l forever", self.host(host).node()));
        self.rests();
    }

    /// Only looks on.
    pub fn looks_on(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Waits until a monitor has had its say and the cluster rests.
    pub fn is_monitored(&self) {
        self.rests();
        self.looks_on(MONITORED);
        self.rests();
    }

    pub fn mark(&self, machine: &str) -> Mark {
        self.witness.mark(machine)
    }

    pub fn since(&self, machine: &str, mark: &Mark) -> Happened {
        self.witness.since(machine, mark)
    }

    /// What Pacemaker's log says on each host, for a failure's report.
    pub fn logs(&self) -> BTreeMap<String, String> {
        let folder = self.host(1).shared().parent().unwrap().to_owned();
        let log = |host: &Host| {
            let file = folder.join(host.name()).join("log/pacemaker.log");
            (host.node(), String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned())
        };
        self.cluster.hosts().iter().map(log).collect()
    }
}

/// For how long something has lasted, for a table.
pub fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

fn pairs(id: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("<nvpair id='{id}-{name}' name='{name}' value='{value}'/>")).collect()
}

fn attribute(head: &str, name: &str) -> String {
    let (_, rest) = head.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {head}"));
    rest.split('"').next().unwrap().to_owned()
}
