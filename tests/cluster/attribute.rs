// SPDX-License-Identifier: GPL-2.0-or-later
//! A move goes to the address that a node's attribute holds (node_ip_attribute).

use crate::bed::{Agent, Bed, Resource};

const A: &str = "a";

pub fn play(nodes: usize) -> String {
    let bed = Bed::up(nodes, Agent::Vm);
    bed.resource(A, &Resource { params: &[("node_ip_attribute", "address")], blocks: true, ..Resource::default() });
    let here = bed.place(A);
    let there = bed.elsewhere(here);
    let mark = bed.mark(A);
    let tells = |host: usize, address: &str| {
        bed.types(&format!("crm_attribute -N {} -n address -v {address} -l forever", bed.host(host).node()));
    };
    // A name that nobody has: were the node's own taken, the move would succeed.
    tells(there, "nobody.example");
    bed.moves(A, there);
    assert_eq!(bed.place(A), here);
    assert!(bed.state(A).blocked, "{:?}", bed.state(A));

    for host in [here, there] {
        tells(host, &format!("{}-mig", bed.host(host).node()));
    }
    bed.types(&format!("crm_resource --refresh -r {A}"));
    bed.rests();
    bed.moves(A, there);
    assert_eq!(bed.place(A), there);
    bed.moves(A, here);
    assert_eq!(bed.place(A), here);
    let happened = bed.since(A, &mark);
    assert_eq!((happened.boots, happened.copies, bed.fencings()), (0, 1, 0), "{happened:?}");
    format!("{nodes} nodes: refused to an address of nobody, moved to the right one and back: no boot, no second copy")
}
