// SPDX-License-Identifier: GPL-2.0-or-later
//! Machines that move between two dom0s: afterwards one copy runs, and it is the one that was started.

use crate::Case;
use crate::common::*;
use crate::dom0::{Dom0, Guest, Tick};
use crate::shared::parts::Share::Long;

pub const CASES: &[Case] = &[
    ("moves::a_pvh_guest_of_xl_is_moved_there_and_back", Long, || there_and_back(&["--pvh"])),
    ("moves::a_pvh_guest_of_libvirts_is_moved_there_and_back", Long, || there_and_back(&["--pvh", "--xml"])),
    ("moves::a_pv_guest_stays_where_it_cannot_be_moved_live_and_is_moved_paused", Long, paravirtual),
    ("moves::a_target_that_cannot_be_reached_leaves_it_here", Long, unreachable),
    ("moves::an_agent_that_is_killed_in_the_middle_leaves_one_copy", Long, killed),
    ("moves::libvirts_machine_is_not_started_while_xl_has_it_on_the_other_host", Long, unseen_by_libvirt),
];

/// A guest that moves: on the first host first.
struct Traveller<'a> {
    here: Guest<'a>,
    there: Guest<'a>,
    tick: Tick,
}

impl<'a> Traveller<'a> {
    /// Starts one from a file that both hosts have.
    fn departs(hosts: &'a [Dom0; 2], options: &[&'static str]) -> Self {
        // Names of their own: the console of one that ran before, and its file, are still there.
        let name = if options.contains(&"--xml") { "mail" } else { "web" };
        Self::of(hosts, options.iter().fold(hosts[0].guest(name), |guest, option| guest.option(option)))
    }

    /// Starts this guest of the first host from such a file.
    fn of(hosts: &'a [Dom0; 2], guest: Guest<'a>) -> Self {
        let here = guest.written();
        let there = here.also_on(&hosts[1]);
        here.call(Pacemaker, "start").gives(0);
        let boot = hosts[0].boots(here.name, "");
        Self { here, there, tick: (boot, 0) }
    }

    /// A call that moves it from the host where it is to that of such a name.
    fn moves(&self, dialect: Dialect, node: &str) -> Call<'a> {
        match dialect {
            Rgmanager | Human => self.here.call(dialect, "migrate").arg(node),
            Pacemaker | VirtualDomain | Ocf => self
                .here
                .call(dialect, "migrate_to")
                .var("OCF_RESKEY_CRM_meta_migrate_source", self.here.host.node())
                .var("OCF_RESKEY_CRM_meta_migrate_target", node),
        }
        .timeout(600.0)
    }

    /// Moved as this caller moves it, with such parameters.
    fn moved(self, dialect: Dialect, params: &[(&str, &str)]) -> Self {
        let node = self.there.host.node();
        let call = params.iter().fold(self.moves(dialect, &node), |call, (name, value)| call.param(name, value));
        let answer = call.gives(0);
        println!("{dialect:?} moved it to {node} in {:.1} s", answer.took.as_secs_f32());
        if dialect == Pacemaker {
            self.there
                .call(Pacemaker, "migrate_from")
                .var("OCF_RESKEY_CRM_meta_migrate_source", self.here.host.node())
                .var("OCF_RESKEY_CRM_meta_migrate_target", &node)
                .gives(0);
            // What Pacemaker does then.
            self.here.call(Pacemaker, "stop").gives(0);
        }
        let Self { here, there, tick } = self;
        Self { here: there, there: here, tick }.runs_here_only()
    }

    /// Not moved, for such a reason.
    fn refused(&self, dialect: Dialect, node: &str, seconds: f64) -> Answer {
        self.moves(dialect, node).timeout(seconds).gives(not_moved(dialect))
    }

    /// One domain on both hosts, of its own name, and it goes on.
    fn runs_here_only(mut self) -> Self {
        self.is_alone();
        self.tick = self.here.host.goes_on(self.here.name, &self.tick);
        for dialect in BOTH {
            self.here.watch(dialect).gives(0);
            self.there.watch(dialect).gives(7);
        }
        self
    }

    /// What is left of the other copy may take a moment to go.
    fn is_alone(&self) {
        let both = || (self.here.host.domains(), self.there.host.domains());
        let alone = || (both() == (vec![self.here.name.to_owned()], Vec::new())).then_some(());
        until(15, &format!("one domain, on {}", self.here.host.node()), alone);
    }
}

/// The code of a move that leaves the machine where it was.
fn not_moved(dialect: Dialect) -> i32 {
    if dialect == Rgmanager { 150 } else { 1 }
}

fn there_and_back(options: &[&'static str]) {
    let hosts = Dom0::pair();
    let guest = Traveller::departs(&hosts, options);
    guest.moved(Rgmanager, &[]).moved(Pacemaker, &[]);
}

/// Debian's hypervisor cannot move it live, as xl always does, and nothing but libvirt's pause moves it.
fn paravirtual() {
    let hosts = Dom0::pair();
    let mut guest = Traveller::departs(&hosts, &[]);
    for dialect in BOTH {
        for migrate in ["live", "pause"] {
            let call = guest.moves(dialect, &hosts[1].node()).param("migrate", migrate);
            call.gives(not_moved(dialect)).tells(&["PV guest", "use_virsh=1, migrate=pause"]);
        }
        guest = guest.runs_here_only();
    }
    guest.here.call(Pacemaker, "stop").gives(0);
    for guest in [hosts[0].guest("mail").option("--xml"), hosts[0].guest("shop").param("use_virsh", "1")] {
        let mut guest = Traveller::of(&hosts, guest);
        for dialect in BOTH {
            guest.refused(dialect, &hosts[1].node(), 120.0).tells(&["PV guest", "(migrate=pause)"]);
            guest = guest.runs_here_only();
        }
        guest = guest.moved(Rgmanager, &[("migrate", "pause")]).moved(Pacemaker, &[("migrate", "pause")]);
        guest.here.call(Pacemaker, "stop").gives(0);
    }
}

fn unreachable() {
    let hosts = Dom0::pair();
    for options in [&["--pvh"][..], &["--pvh", "--xml"]] {
        let mut guest = Traveller::departs(&hosts, options);
        for dialect in BOTH {
            // An address that nobody has.
            guest.refused(dialect, "nowhere", 60.0);
            guest = guest.runs_here_only();
        }
        // A host that takes what is sent to it, and answers nothing.
        hosts[1].lab("partition", &[]);
        guest.refused(Rgmanager, &hosts[1].node(), 60.0);
        hosts[1].lab("heal", &[]);
        guest = guest.runs_here_only();
        guest.here.call(Pacemaker, "stop").gives(0);
    }
}

/// Pacemaker kills an agent that takes too long, and stops the machine on both nodes then.
fn killed() {
    let hosts = Dom0::pair();
    let copies = || hosts.iter().map(|host| host.domains().len()).sum::<usize>();
    for options in [&["--pvh"][..], &["--pvh", "--xml"]] {
        let mut guest = Traveller::departs(&hosts, options);
        for looks_after_it in [true, false] {
            let call = guest.moves(Pacemaker, &hosts[1].node()).spawn();
            until(120, "a domain at the target", || (!hosts[1].domains().is_empty()).then_some(()));
            hosts[0].run("pkill -KILL -x vm");
            call.kill();
            if looks_after_it {
                // xl clears up and libvirt's daemons go on: the guest stands still on both hosts for a moment at most.
                let alone = || (copies() == 1).then_some(());
                until(120, "one copy", alone);
                let at = hosts.iter().find(|host| !host.domains().is_empty()).unwrap();
                at.goes_on(guest.here.name, &guest.tick);
            }
            for host in [&guest.here, &guest.there] {
                host.call(Pacemaker, "stop").gives(0);
            }
            assert_eq!(copies(), 0, "{options:?}");
            guest.here.call(Pacemaker, "start").gives(0);
            guest.tick = (hosts[0].boots(guest.here.name, &guest.tick.0), 0);
        }
        guest.here.call(Pacemaker, "stop").gives(0);
    }
}

/// libvirt on the other host knows no domain of xl's, and would deny it.
fn unseen_by_libvirt() {
    let hosts = Dom0::pair();
    let there = hosts[1].guest("web").written();
    there.call(Pacemaker, "start").gives(0);
    let boot = hosts[1].boots("web", "");
    assert!(!hosts[1].libvirt_has("web"));
    let here = hosts[0].guest("web").option("--xml").written();
    for dialect in BOTH {
        let start = here.call(dialect, "start").param("guard_nodes", hosts[1].node());
        start.gives(1).says(&["is running on node2"]);
        assert!(hosts[0].domains().is_empty());
    }
    hosts[1].goes_on("web", &(boot, 0));
    there.call(Pacemaker, "stop").gives(0);
    here.call(Pacemaker, "start").param("guard_nodes", hosts[1].node()).gives(0);
}
