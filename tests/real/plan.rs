// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm-agent plan` on scratch CIBs, with the real crm_simulate: what is told is what Pacemaker's scheduler would do, and the
//! file stays as it is. tests/real/migration/pacemaker.rs asks the CIB of a cluster that runs.

use crate::installed::{Said, agent, need, said};
use std::path::PathBuf;
use std::process::Command;

/// A cluster of three nodes with two machines and an address; `web` may migrate, and its operations have `more`.
struct Scratch {
    folder: tempfile::TempDir,
    cib: PathBuf,
}

impl Scratch {
    fn of(web: &str, more: &str) -> Self {
        need(&["crm_simulate"]);
        let folder = tempfile::tempdir().unwrap();
        let (base, cib) = (folder.path().join("base"), folder.path().join("cib.xml"));
        let nodes: String = (1..4).map(|id| format!("<node id='{id}' uname='node{id}'/>")).collect();
        let machine = |id: &str, agent: &str, migrates: bool, operations: &str| {
            format!(
                "<primitive id='{id}' class='ocf' {agent}><instance_attributes id='{id}-i'><nvpair id='{id}-n' name='name' \
                 value='{id}-vm'/></instance_attributes><meta_attributes id='{id}-m'><nvpair id='{id}-a' \
                 name='allow-migrate' value='{migrates}'/><nvpair id='{id}-s' name='resource-stickiness' value='100'/>\
                 </meta_attributes><operations><op id='{id}-o' name='monitor' interval='10s' timeout='30s'/>{operations}\
                 </operations></primitive>"
            )
        };
        let times = format!(
            "<op id='p' name='stop' interval='0' timeout='180s'/><op id='t' name='migrate_to' interval='0' timeout='10min' \
             {more}/>"
        );
        let prefers =
            |id: &str, node: u8| format!("<rsc_location id='{id}-l' rsc='{id}' node='node{node}' score='50'/>");
        let text = format!(
            "<cib validate-with='pacemaker-3.0' epoch='1' num_updates='0' admin_epoch='0' have-quorum='1'><configuration>\
             <crm_config/><nodes>{nodes}</nodes>\
             <resources>{}{}<primitive id='fence' class='stonith' type='fence_x'/></resources><constraints>{}{}{}\
             </constraints></configuration><status/></cib>",
            machine("web", web, true, &times),
            machine("db", "provider='vm-agent' type='vm'", false, ""),
            prefers("web", 2),
            prefers("db", 2),
            prefers("fence", 1),
        );
        std::fs::write(&base, text).unwrap();
        let mut settle = Command::new("crm_simulate");
        settle.arg("-S").arg("-x").arg(&base).arg("-O").arg(&cib);
        settle.args(["--node-up=node1", "--node-up=node2", "--node-up=node3"]);
        said(&mut settle).ok();
        Self { folder, cib }
    }

    fn ours(more: &str) -> Self {
        Self::of("provider='vm-agent' type='vm'", more)
    }

    /// What is said of it; nothing in its folder has changed then.
    fn plan(&self, words: &[&str]) -> Said {
        let before = std::fs::read(&self.cib).unwrap();
        let mut command = Command::new(agent());
        command.args(["plan", "--cib"]).arg(&self.cib).args(words).env_clear();
        let told = said(&mut command);
        assert_eq!(std::fs::read(&self.cib).unwrap(), before);
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 2);
        told
    }

    /// The sentences, without the first line.
    fn tells(&self, words: &[&str]) -> Vec<String> {
        let text = self.plan(words).ok();
        text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
    }
}

#[test]
fn plan_tells_that_a_lost_node_is_fenced_and_where_its_machines_start() {
    let cluster = Scratch::ours("");
    assert_eq!(cluster.tells(&[]), ["nothing is done"]);
    let told = cluster.tells(&["--node-lost", "node2"]);
    assert_eq!(told[0], "node2 is fenced (peer is no longer part of the cluster)");
    for machine in ["web ends with node2, and starts on node", "db ends with node2, and starts on node"] {
        assert!(told.iter().any(|line| line.starts_with(machine)), "{told:?}");
    }
    assert_eq!(told[told.len() - 2], "The longest timeout is that of the fencing of node2: 60 s.");
    // What nobody fences stays unknown, and is started nowhere.
    let text = std::fs::read_to_string(&cluster.cib).unwrap();
    let set = "<crm_config><cluster_property_set id='n'><nvpair id='m' name='maintenance-mode' value='true'/>\
               </cluster_property_set></crm_config>";
    std::fs::write(&cluster.cib, text.replace("<crm_config/>", set)).unwrap();
    let told = cluster.tells(&["--node-lost", "node2"]);
    assert_eq!(told, ["node2 is not fenced, and what it runs is not known: nothing of that is started elsewhere"]);
    let told = Scratch::ours("").tells(&["--node-lost", "node2", "--node-lost", "node3"]);
    assert!(told.contains(&"web ends with node2, and starts on node1".to_owned()), "{told:?}");
}

#[test]
fn plan_tells_how_a_machine_moves_and_whether_a_failed_migration_would_stop_it() {
    let cluster = Scratch::ours("");
    let told = cluster.tells(&["--move", "web-vm", "--to", "node3"]);
    assert_eq!(
        told,
        [
            "web moves from node2 to node3 while it runs",
            "The longest timeout is that of the migrate_to of web on node2: 600 s.",
            "If web's migration fails, Pacemaker STOPS it and starts it anew: op migrate_to has no on-fail=block.",
        ]
    );
    let told = cluster.tells(&["--move", "db", "--to", "node3"]);
    assert_eq!(told[0], "db stops on node2, and starts on node3: not live, since allow-migrate is not set");
    let told = Scratch::ours("on-fail='block'").tells(&["--move", "web", "--to", "node3"]);
    assert_eq!(
        told[2],
        "If web's migration fails, it runs on on node2, blocked until 'crm_resource --refresh -r web'."
    );
}

#[test]
fn plan_tells_what_a_dead_libvirtd_means_to_this_agent_and_to_its_predecessor() {
    let ours = Scratch::ours("").tells(&["--libvirtd-dead", "node2"]);
    assert!(
        ours.len() == 2 && ours[0].starts_with("web: its monitor goes on answering 0, by the process on node2"),
        "{ours:?}"
    );
    let theirs = Scratch::of("provider='heartbeat' type='VirtualDomain'", "").tells(&["--libvirtd-dead", "node2"]);
    for line in [
        "web has failed on node2: it is stopped and started there",
        "VirtualDomain's stop asks libvirtd too; where it fails:",
        "node2 is fenced (web failed there)",
    ] {
        assert!(theirs.contains(&line.to_owned()), "{theirs:?}");
    }
    assert!(theirs.iter().any(|line| line.starts_with("db ends with node2, and starts on node")), "{theirs:?}");
    let dies = Scratch::ours("").tells(&["--dies", "web"]);
    assert_eq!(dies[0], "web has failed on node2: it is stopped and started there");
}

#[test]
fn plan_refuses_what_is_not_there_and_what_is_no_cib_in_words() {
    let cluster = Scratch::ours("");
    for (words, code, expected) in [
        (&["--node-lost", "node9"][..], 2, "'node9' is no node of this cluster; expected one of node1, node2, node3"),
        (&["--move", "x; id", "--to", "node1"], 2, "'x; id' is no resource of this cluster; expected one of web, db"),
        (&["--move", "web"], 2, "--to"),
        (&["--cib", "/etc/passwd"], 2, "cannot be used multiple times"),
    ] {
        let told = cluster.plan(words);
        assert!(told.code == code && told.err.contains(expected), "{told:?}");
    }
    for (file, expected) in
        [("/nowhere", "No such file or directory"), ("/dev/null", "cannot be used"), ("/root", "Is a directory")]
    {
        let told = said(Command::new(agent()).args(["plan", "--cib", file]).env_clear());
        assert!(told.code == 6 && told.err.contains(expected), "{told:?}");
    }
    let base = said(Command::new(agent()).args(["plan", "--cib"]).arg(cluster.folder.path().join("base")).env_clear());
    assert!(base.code == 6 && base.err.contains("it has no status"), "{base:?}");
}
