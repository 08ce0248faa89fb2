// SPDX-License-Identifier: GPL-2.0-or-later
//! What resource-agents tries VirtualDomain by, with this agent in its place: ocft, and its cases as they are installed.
//! `ocf_tester_passes_the_agent` is beside the meta-data, which it reads.

use crate::common::{AGENT, Host};

/// Where ocft's cases look for the agent, and what they are written in.
const THEIR_AGENT: &str = "/usr/lib/ocf/resource.d/heartbeat/VirtualDomain";
const THEIR_CASES: &str = "/usr/share/resource-agents/ocft/configs/VirtualDomain";

/// All cases of theirs hold, and none is left out or changed. The machine is one that libvirt keeps itself, under the name
/// and so in the file that they are written for. They are traced, as ocft offers it: that shows who answered.
#[test]
fn ocft_passes_the_agent_in_virtual_domains_place() {
    let host = Host::up();
    let cases = host.run("cat", &[THEIR_CASES]);
    let machine = cases.split("OCFT_config=/etc/libvirt/qemu/").nth(1).unwrap().split(".xml").next().unwrap();
    let names = cases.lines().filter_map(|line| line.strip_prefix("CASE \"")?.strip_suffix('"'));
    let expected: Vec<String> = names.map(|name| format!("VirtualDomain: {name} - OK.")).collect();
    assert!(expected.len() >= 9, "only {} cases in {THEIR_CASES}", expected.len());

    let vm = host.guest(machine).polite().written();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    host.run("ln", &["-sf", AGENT, THEIR_AGENT]);
    // resource-agents' own folder for what lasts until the next boot, which its service makes.
    host.run("mkdir", &["-p", "/run/resource-agents"]);
    host.run("ocft", &["make", "VirtualDomain"]);
    let mut command = host.command("ocft");
    command.args(["test", "-X", "VirtualDomain"]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().unwrap();
    // It says "OK" in green.
    let said = String::from_utf8_lossy(&output.stdout).replace("\x1b[32m", "").replace("\x1b[0m", "");
    let held: Vec<&str> = said.lines().filter(|line| line.starts_with("VirtualDomain: ")).collect();
    assert_eq!(held, expected, "{said}");

    let traces =
        "cd /var/lib/heartbeat/trace_ra/VirtualDomain && grep -h ' is asked for by ' *.start.* *.stop.* *.monitor.*";
    let traces = host.run("sh", &["-c", traces]);
    assert!(traces.lines().count() > 2 * expected.len(), "not every call left its trace:\n{traces}");
    for action in ["start", "stop", "monitor"] {
        assert!(traces.contains(&format!("{action} is asked for by ")), "no {action} in:\n{traces}");
    }
}
