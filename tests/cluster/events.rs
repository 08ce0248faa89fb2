// SPDX-License-Identifier: GPL-2.0-or-later
//! The cases: what a cluster, its administrator, its hosts and the guest itself do to a machine.

use crate::bed::Resource;
use crate::cases::{A, Case, Must};
use crate::common::until;
use crate::deeds::{comes_again, has_libvirtd_again, is_killed, is_noticed, is_refused, presses_the_button};
use std::time::Duration;

const RUNS_ON: Must = Must { boots: 0, fencings: 0, end: "started" };
const COMES_AGAIN: Must = Must { boots: 1, ..RUNS_ON };

const AS_USUAL: Resource<'static> = Resource { params: &[], blocks: false, guest: &[], stopped: false };

const CASE: Case =
    Case { name: "", words: "", nodes: &[2, 3], short: false, resource: AS_USUAL, play: |_, _| (), must: RUNS_ON };

pub const CASES: &[Case] = &[
    Case {
        name: "start",
        nodes: &[2],
        words: "started, and probed on every node",
        resource: Resource { stopped: true, ..AS_USUAL },
        play: |bed, _| {
            bed.meta(A, "target-role", "Started");
            bed.comes_up(A);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "stop",
        nodes: &[2],
        words: "stopped",
        play: |bed, _| {
            bed.meta(A, "target-role", "Stopped");
            bed.rests();
        },
        must: Must { end: "stopped", ..RUNS_ON },
        ..CASE
    },
    Case {
        name: "move",
        words: "moved and moved back",
        play: |bed, here| {
            bed.moves(A, bed.elsewhere(here));
            bed.moves(A, here);
        },
        ..CASE
    },
    Case {
        name: "standby",
        words: "its node goes standby and comes back",
        play: |bed, here| {
            bed.standby(here, true);
            bed.standby(here, false);
        },
        ..CASE
    },
    Case {
        name: "guest-off",
        words: "the guest powers itself off",
        nodes: &[2],
        play: |bed, here| {
            presses_the_button(bed, here);
            comes_again(bed);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "guest-off-stays",
        words: "the guest powers itself off, with `on_guest_poweroff=stopped`",
        nodes: &[2],
        resource: Resource { params: &[("on_guest_poweroff", "stopped")], ..AS_USUAL },
        play: |bed, here| {
            presses_the_button(bed, here);
            until(60, "its end", || bed.witness.runs_on(A).is_empty().then_some(()));
            is_noticed(bed);
            bed.rests();
        },
        must: Must { end: "stopped", ..RUNS_ON },
        ..CASE
    },
    Case {
        name: "guest-reboots",
        words: "the guest reboots itself",
        nodes: &[2],
        resource: Resource { guest: &["--append", "button=reboot"], ..AS_USUAL },
        play: |bed, here| {
            let qemu = bed.host(here).qemu(A).unwrap();
            presses_the_button(bed, here);
            is_noticed(bed);
            assert!(!qemu.ended_within(Duration::ZERO), "QEMU has ended, which was to boot its guest anew");
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "qemu-killed",
        words: "QEMU killed",
        short: true,
        play: |bed, _| is_killed(bed),
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "libvirtd-killed",
        words: "libvirtd killed, and started after 30 s",
        nodes: &[2],
        play: |bed, here| {
            bed.host(here).service("kill", "libvirtd");
            bed.looks_on(Duration::from_secs(30));
            has_libvirtd_again(bed, here);
        },
        ..CASE
    },
    Case {
        name: "libvirtd-hangs",
        words: "libvirtd hangs for 100 s",
        nodes: &[2],
        play: |bed, here| {
            bed.sits_at(bed.elsewhere(here));
            let fenced = bed.fencings();
            bed.host(here).service("freeze", "libvirtd");
            bed.looks_on(Duration::from_secs(100));
            if bed.fencings() == fenced {
                bed.host(here).service("thaw", "libvirtd");
            }
        },
        ..CASE
    },
    Case {
        name: "libvirtd-restarts",
        words: "libvirtd restarted",
        nodes: &[2],
        play: |bed, here| {
            bed.restarts_libvirtd(here);
        },
        ..CASE
    },
    Case {
        name: "node-crash",
        words: "its node crashes",
        short: true,
        play: |bed, here| {
            bed.sits_at(bed.elsewhere(here));
            bed.lab("kill", here);
            comes_again(bed);
        },
        must: Must { fencings: 1, ..COMES_AGAIN },
        ..CASE
    },
    Case {
        name: "partition",
        words: "its node is cut off, with fencing",
        nodes: &[3],
        play: |bed, here| {
            let fenced = bed.fencings();
            bed.sits_at(bed.elsewhere(here));
            bed.lab("partition", here);
            until(90, "fencing", || (bed.fencings() > fenced).then_some(()));
            bed.lab("heal", here);
            bed.runs_once(A, 240);
        },
        must: Must { fencings: 1, ..COMES_AGAIN },
        ..CASE
    },
    Case {
        name: "partition-unfenced",
        words: "its node is cut off for 40 s, without fencing",
        nodes: &[3],
        play: |bed, here| {
            bed.property("stonith-enabled", "false");
            bed.sits_at(bed.elsewhere(here));
            bed.lab("partition", here);
            bed.looks_on(Duration::from_secs(40));
            bed.lab("heal", here);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case { name: "refresh", words: "`crm_resource --refresh`", play: |bed, _| bed.refreshes(A), nodes: &[2], ..CASE },
    Case {
        name: "cleanup",
        words: "`crm_resource --cleanup`",
        play: |bed, _| drop(bed.types("crm_resource --cleanup -r a")),
        nodes: &[2],
        ..CASE
    },
    Case {
        name: "refresh-moved",
        words: "moved, QEMU killed, `--refresh`",
        nodes: &[2],
        play: |bed, here| {
            bed.moves(A, bed.elsewhere(here));
            is_killed(bed);
            bed.refreshes(A);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "cleanup-moved",
        words: "moved, QEMU killed, `--cleanup`, which Pacemaker 2.1.5 answers with a restart",
        nodes: &[2],
        play: |bed, here| {
            bed.moves(A, bed.elsewhere(here));
            is_killed(bed);
            bed.speaks(A);
            bed.types("crm_resource --cleanup -r a");
        },
        must: Must { boots: 2, ..RUNS_ON },
        ..CASE
    },
    Case {
        name: "reload",
        words: "a parameter of migration is changed",
        play: |bed, _| drop(bed.types("crm_resource -r a -p migration_downtime -v 500")),
        nodes: &[2],
        ..CASE
    },
    Case {
        name: "reload-refreshed",
        words: "the same after a `--refresh`, which Pacemaker 2.1.5 answers with a restart",
        nodes: &[2],
        play: |bed, _| {
            bed.refreshes(A);
            bed.rests();
            bed.types("crm_resource -r a -p migration_downtime -v 500");
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "reload-maintenance",
        words: "the same in maintenance, with a `--refresh` behind it",
        nodes: &[2],
        play: |bed, _| {
            bed.refreshes(A);
            bed.rests();
            bed.changes(A, "migration_downtime", "500");
        },
        ..CASE
    },
    Case {
        name: "unmanaged",
        words: "unmanaged, QEMU killed, managed again",
        nodes: &[2],
        play: |bed, _| {
            bed.meta(A, "is-managed", "false");
            bed.rests();
            bed.kills(A);
            is_noticed(bed);
            bed.meta(A, "is-managed", "true");
            bed.runs_once(A, 120);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "maintenance",
        words: "maintenance: libvirtd restarted, moved by virsh, refreshed",
        nodes: &[2],
        play: |bed, here| {
            bed.property("maintenance-mode", "true");
            bed.rests();
            bed.restarts_libvirtd(here);
            bed.moves_by_virsh(A, here, bed.elsewhere(here));
            bed.refreshes(A);
            bed.rests();
            bed.property("maintenance-mode", "false");
        },
        ..CASE
    },
    Case {
        name: "moved-by-virsh",
        words: "moved by the administrator's virsh",
        short: true,
        play: |bed, here| {
            bed.moves_by_virsh(A, here, bed.elsewhere(here));
            is_noticed(bed);
        },
        ..CASE
    },
    Case {
        name: "started-by-virsh",
        words: "stopped, started elsewhere by virsh, then by the cluster",
        resource: Resource { stopped: true, ..AS_USUAL },
        play: |bed, _| {
            // The cluster has looked: who finds it running in his first look stops it, as it is to be stopped.
            bed.rests();
            // The cluster would take the first.
            bed.host(2).virsh(&["create", "/etc/vm/a.xml"]);
            bed.meta(A, "target-role", "Started");
            bed.comes_up(A);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "destroyed-by-virsh",
        words: "destroyed by virsh",
        nodes: &[2],
        play: |bed, here| {
            bed.host(here).virsh(&["destroy", A]);
            comes_again(bed);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "definition-gone",
        words: "its definition is gone on its node; `--refresh`",
        play: |bed, here| {
            bed.host(here).run("rm", &["/etc/vm/a.xml"]);
            bed.refreshes(A);
            bed.rests();
        },
        ..CASE
    },
    Case {
        name: "definition-gone-stop",
        words: "its definition is gone on its node; it is stopped",
        nodes: &[2],
        play: |bed, here| {
            bed.host(here).run("rm", &["/etc/vm/a.xml"]);
            bed.meta(A, "target-role", "Stopped");
            bed.rests();
        },
        must: Must { end: "stopped", ..RUNS_ON },
        ..CASE
    },
    Case {
        name: "dead-target",
        words: "moved to a node whose libvirtd is dead",
        play: |bed, here| {
            let there = bed.elsewhere(here);
            bed.sits_at(here);
            bed.host(there).service("kill", "libvirtd");
            bed.moves(A, there);
            bed.is_whole();
            has_libvirtd_again(bed, there);
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "refused-move",
        nodes: &[2],
        words: "a move that the target refuses",
        play: |bed, here| {
            is_refused(bed, here);
            bed.moves(A, bed.elsewhere(here));
        },
        must: COMES_AGAIN,
        ..CASE
    },
    Case {
        name: "refused-move-blocks",
        nodes: &[2],
        words: "the same with on-fail=block, then `--refresh`",
        resource: Resource { blocks: true, ..AS_USUAL },
        play: |bed, here| {
            let there = bed.elsewhere(here);
            is_refused(bed, here);
            bed.moves(A, there);
            bed.host(there).virsh(&["undefine", A]);
            bed.refreshes(A);
            bed.rests();
        },
        ..CASE
    },
    Case {
        name: "ping-pong",
        words: "moved, moved back, and its target goes standby in the next move; then `--refresh`",
        resource: Resource { params: &[("migration_speed", "4")], ..AS_USUAL },
        play: |bed, here| {
            let there = bed.elsewhere(here);
            bed.moves(A, there);
            bed.moves(A, here);
            let node = bed.host(there).node();
            bed.types(&format!("crm_resource -r a --move -N {node}"));
            until(60, "move", || bed.host(there).qemu(A));
            bed.standby(there, true);
            bed.types("crm_resource -r a --clear");
            bed.rests();
            bed.standby(there, false);
            bed.refreshes(A);
            bed.rests();
        },
        ..CASE
    },
];
