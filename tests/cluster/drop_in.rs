// SPDX-License-Identifier: GPL-2.0-or-later
//! A resource of VirtualDomain's is taken over by vm-agent under that name, and given back, as README.md says.

use crate::bed::{Agent, Bed, Resource};
use crate::common::until;
use crate::shared::example;

const A: &str = "a";

pub fn play(nodes: usize) -> String {
    let bed = Bed::up(nodes, Agent::VirtualDomain);
    for host in bed.cluster.hosts() {
        host.has_agent_as("VirtualDomain");
    }
    bed.resource(A, &Resource::default());
    let here = bed.place(A);
    let there = bed.elsewhere(here);
    let (mark, marked) = (bed.mark(A), || bed.host(bed.place(A)).virsh(&["dumpxml", A]).contains("vm-agent.org/xmlns"));
    assert!(!marked(), "VirtualDomain's machine has our mark");

    is_given(&bed, "vm-agent", "VirtualDomain");
    is_managed_by(&bed, "ocf:vm-agent:VirtualDomain");
    bed.is_monitored();
    until(60, "mark", || marked().then_some(()));
    bed.moves(A, there);
    assert_eq!(bed.place(A), there);

    is_given(&bed, "heartbeat", "VirtualDomain");
    is_managed_by(&bed, "ocf:heartbeat:VirtualDomain");
    bed.is_monitored();
    bed.moves(A, here);
    assert_eq!(bed.place(A), here);

    // The same under our own name.
    is_given(&bed, "vm-agent", "vm");
    is_managed_by(&bed, "ocf:vm-agent:vm");
    bed.is_monitored();
    let happened = bed.since(A, &mark);
    assert_eq!((happened.boots, happened.copies, bed.fencings()), (0, 1, 0), "{happened:?}");
    assert_eq!(bed.state(A).words(), "started");
    format!("{nodes} nodes: taken over, moved, given back, moved, taken over: no boot, no second copy")
}

/// README's own lines, for this resource.
fn is_given(bed: &Bed, provider: &str, kind: &str) {
    let lines = example("maintenance-mode=true");
    let lines = lines.replace(
        "id=\"web\" provider=\"vm-agent\" type=\"vm\"",
        &format!("id=\"{A}\" provider=\"{provider}\" type=\"{kind}\""),
    );
    let lines = lines.replace("-r web", &format!("-r {A}"));
    assert!(lines.contains(&format!("provider=\"{provider}\"")) && lines.contains(&format!("-r {A} ")), "{lines}");
    for line in lines.lines() {
        let said = bed.host(1).run("sh", &["-c", line]);
        if line.starts_with("crm_simulate") {
            assert!(said.contains("Started node") && said.contains("(unmanaged)"), "it was not found: {said}");
        }
        bed.rests();
    }
}

fn is_managed_by(bed: &Bed, agent: &str) {
    let status = bed.types("crm_mon -1 --output-as=xml");
    assert!(status.contains(&format!("resource_agent=\"{agent}\"")), "{status}");
}
