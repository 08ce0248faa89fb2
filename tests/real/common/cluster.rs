// SPDX-License-Identifier: GPL-2.0-or-later
//! Several hosts, and a guest that travels between them: where it runs, and that it never stopped.

use super::{Answer, Call, Dialect, Dialect::*, Guest, Host, until};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

/// Hosts that know each other.
pub struct Cluster(Vec<Host>);

impl Cluster {
    /// Two hosts between which guests can migrate.
    pub fn up() -> Self {
        Self::with("migration")
    }

    /// Two hosts with such services.
    pub fn with(services: &str) -> Self {
        Self::of(2, services)
    }

    /// So many hosts with such services.
    pub fn of(count: usize, services: &str) -> Self {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/lab");
            let prepared = Command::new(lab).args(["prepare", "--migration"]).output().unwrap();
            assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
        });
        Self(Host::several(count, services))
    }

    /// The host of this number, from 1.
    pub fn host(&self, number: usize) -> &Host {
        &self.0[number - 1]
    }

    /// All of them.
    pub fn hosts(&self) -> &[Host] {
        &self.0
    }

    /// A guest that is started on the first host, by the agent, from a definition that both hosts know.
    pub fn travels(&self, name: &str) -> Traveller<'_> {
        self.departs(self.host(1).guest(name).polite())
    }

    /// The same for this guest, whose memory is no small matter.
    pub fn departs(&self, guest: Guest<'_>) -> Traveller<'_> {
        let vm = guest.full().written();
        if vm.persistent {
            vm.host.virsh(&["define", vm.file.to_str().unwrap()]);
            vm.host.call(Pacemaker, "start").named(&vm.name).gives(0);
        } else {
            vm.call(Pacemaker, "start").gives(0);
        }
        let mut traveller =
            Traveller { cluster: self, name: vm.name.clone(), folder: vm.folder.clone(), boot: String::new() };
        traveller.boot = traveller.new_boot();
        traveller
    }
}

/// A guest that moves between hosts.
pub struct Traveller<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
    /// The folder with its definition.
    pub folder: PathBuf,
    /// What it drew at its boot.
    pub boot: String,
}

/// One tick on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    pub boot: String,
    pub number: u64,
}

impl<'a> Traveller<'a> {
    /// A call for it on a host, with the folder of its definition as `path`.
    pub fn call(&self, on: usize, dialect: Dialect, action: &str) -> Call<'a> {
        self.cluster.host(on).call(dialect, action).named(&self.name).param("path", &self.folder)
    }

    /// The call that moves it from one host to another, as this caller makes it.
    pub fn moves(&self, dialect: Dialect, from: usize, to: usize) -> Call<'a> {
        let node = |number: usize| self.cluster.host(number).node();
        match dialect {
            Rgmanager | Human => self.call(from, dialect, "migrate").arg(node(to)),
            Pacemaker | VirtualDomain | Ocf => self
                .call(from, dialect, "migrate_to")
                .var("OCF_RESKEY_CRM_meta_migrate_source", node(from))
                .var("OCF_RESKEY_CRM_meta_migrate_target", node(to)),
        }
        .timeout(120.0)
    }

    /// The call by which Pacemaker lets the target take it in.
    pub fn arrives(&self, from: usize, to: usize) -> Call<'a> {
        let node = |number: usize| self.cluster.host(number).node();
        self.call(to, Pacemaker, "migrate_from")
            .var("OCF_RESKEY_CRM_meta_migrate_source", node(from))
            .var("OCF_RESKEY_CRM_meta_migrate_target", node(to))
    }

    /// Moves it as rgmanager does, with such parameters; afterwards it runs there, and has never stopped.
    pub fn moved(&self, from: usize, to: usize, params: &[(&str, &str)]) -> Answer {
        let call = self.moves(Rgmanager, from, to);
        let answer = params.iter().fold(call, |call, (name, value)| call.param(name, value)).gives(0);
        self.runs_only_on(to);
        answer
    }

    /// Where its console goes.
    pub fn console_file(&self) -> PathBuf {
        self.cluster.host(1).shared().join(format!("console-{}.log", self.name))
    }

    /// All that it has ticked.
    pub fn ticks(&self) -> Vec<Tick> {
        let text = std::fs::read(self.console_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        let Some((whole, _)) = text.rsplit_once('\n') else { return Vec::new() };
        whole.lines().filter_map(tick).collect()
    }

    /// The boot id of a guest that was started a moment ago: it ticks on, as no earlier one does.
    pub fn new_boot(&self) -> String {
        let before = self.ticks().len();
        until(60, &format!("tick of '{}'", self.name), || {
            let tick = self.ticks().into_iter().skip(before).next_back()?;
            (tick.boot != self.boot).then_some(tick.boot)
        })
    }

    /// It ticks on, and has never missed a tick, nor told one twice, since its start.
    pub fn never_stopped(&self) {
        let ticks = self.keeps_ticking();
        for pair in ticks.windows(2) {
            assert_eq!(pair[1].number, pair[0].number + 1, "'{}' lost or repeated a tick", self.name);
        }
    }

    /// It ticks on, and is the same that was started; gives all ticks of this boot.
    pub fn keeps_ticking(&self) -> Vec<Tick> {
        let before = self.ticks().len();
        until(30, &format!("further tick of '{}'", self.name), || (self.ticks().len() > before + 2).then_some(()));
        let ticks = self.ticks();
        assert_eq!(ticks.last().unwrap().boot, self.boot, "'{}' was started anew", self.name);
        ticks.into_iter().filter(|tick| tick.boot == self.boot).collect()
    }

    /// It has come to a standstill: a second passes without a tick.
    pub fn ticks_no_more(&self) {
        let before = self.ticks().len();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(self.ticks().len(), before, "'{}' still runs somewhere", self.name);
    }

    /// The hosts that have a QEMU for it.
    pub fn processes(&self) -> Vec<usize> {
        (1..=self.cluster.0.len()).filter(|number| self.cluster.host(*number).qemu(&self.name).is_some()).collect()
    }

    /// Waits until its memory is on the way to another host.
    pub fn is_moving(&self) {
        until(30, &format!("move of '{}'", self.name), || {
            let moving = |host: &Host| {
                let job = host.virsh(&["domjobinfo", &self.name]);
                let sent = job.lines().find_map(|line| line.strip_prefix("Memory processed:"))?;
                sent.trim().starts_with("0.000").eq(&false).then_some(())
            };
            let running = self.processes();
            if running.len() == 2 { moving(self.cluster.host(1)) } else { None }
        });
    }

    /// It runs on this host and nowhere else, and has never stopped.
    pub fn runs_only_on(&self, host: usize) {
        // libvirt ends the other QEMU a moment before or after its answer.
        until(15, &format!("end of the other copy of '{}'", self.name), || (self.processes() == [host]).then_some(()));
        self.never_stopped();
        assert_eq!(self.cluster.host(host).state(&self.name), "running");
    }
}

fn tick(line: &str) -> Option<Tick> {
    let mut words = line.strip_prefix("tick ")?.split(' ');
    let (boot, number, uptime) = (words.next()?, words.next()?, words.next()?);
    let whole = words.next().is_none() && boot.len() == 8 && uptime.contains('.');
    whole.then(|| Tick { boot: boot.to_owned(), number: number.parse().unwrap() })
}
