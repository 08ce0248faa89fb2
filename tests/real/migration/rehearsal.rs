// SPDX-License-Identifier: GPL-2.0-or-later
//! What a rehearsal says stands in the way is what the move itself is refused for, and where it says that nothing does, the
//! move goes well.

use crate::common::*;

/// The rehearsal says so, and the move is refused; then it runs where it ran.
fn refused(guest: &Traveller<'_>, words: &[&str]) {
    guest.moves(Human, 1, 2).arg("--rehearse").gives(1).within(10.0).says(words);
    let answer = guest.moves(Pacemaker, 1, 2).timeout(20.0).gives(1);
    println!("{words:?}: {}", answer.reason);
    guest.runs_only_on(1);
}

/// A rehearsal that finds nothing, and what it says beside that.
fn would_move(guest: &Traveller<'_>) -> Answer {
    guest.moves(Human, 1, 2).arg("--rehearse").gives(0).says(&["nothing that can be asked stands in the way"])
}

#[test]
fn a_rehearsal_names_what_the_target_lacks() {
    let cluster = Cluster::up();
    let (source, target) = (cluster.host(1), cluster.host(2));
    let own = "/usr/local/bin/own-qemu";
    let link = ["-s", "/usr/bin/qemu-system-x86_64", own];
    source.run("ln", &link);
    let guest = cluster.departs(source.guest("e").polite().edit("/usr/bin/qemu-system-x86_64", own));
    refused(&guest, &["cannot run this kind of machine", own]);
    target.run("ln", &link);
    would_move(&guest);
    guest.moved(1, 2, &[]);

    let bridge = ["link", "add", "br7", "type", "bridge"];
    source.run("ip", &bridge);
    let interface = "<interface type='bridge'><source bridge='br7'/><model type='virtio'/></interface><panic model";
    let guest = cluster.departs(source.guest("b").polite().edit("<panic model", interface));
    refused(&guest, &["node2 has no bridge 'br7'"]);
    target.run("ip", &bridge);
    would_move(&guest);
    guest.moved(1, 2, &[]);

    let disk = source.shared().join("locked.img").display().to_string();
    let secret = "secret,id=s,data=open";
    let options = "key-secret=s,iter-time=10";
    // It measures the processor for that, and fails where another program has it at that moment.
    until(60, "an encrypted disk", || {
        let mut create = source.command("qemu-img");
        create.args(["create", "--object", secret, "-f", "luks", "-o", options, &disk, "1M"]).env("PATH", "/usr/bin");
        create.output().unwrap().status.success().then_some(())
    });
    let uuid = "aaaaaaaa-0000-4000-8000-000000000001";
    let text = format!(
        "<secret private='no'><uuid>{uuid}</uuid><usage type='volume'><volume>{disk}</volume></usage></secret>"
    );
    let file = source.file("secret.xml", &text).display().to_string();
    let keep = |host: &Host| {
        host.virsh(&["secret-define", &file]);
        host.virsh(&["secret-set-value", uuid, "b3Blbg=="]);
    };
    keep(source);
    let encrypted = format!(
        "<source file='{disk}'><encryption format='luks'><secret type='passphrase' uuid='{uuid}'/></encryption></source>"
    );
    let guest =
        source.guest("s").polite().option("--disk", &disk).edit(&format!("<source file='{disk}'/>"), &encrypted);
    let guest = cluster.departs(guest);
    refused(&guest, &["node2 has no secret", uuid]);
    keep(target);
    let answer = would_move(&guest);
    assert!(
        answer.stderr.contains(&format!("not checked, as libvirt cannot be asked: whether node2 can open {disk}")),
        "{answer}"
    );
    guest.moved(1, 2, &[]);
}

#[test]
fn a_rehearsal_names_a_console_port_that_another_machine_has_at_the_target() {
    let cluster = Cluster::up();
    let console = "<graphics type='vnc' port='5977' autoport='no' listen='127.0.0.1'/><panic model";
    let guest = cluster.departs(cluster.host(1).guest("v").polite().edit("<panic model", console));
    let other = cluster.host(2).guest("w").edit("<panic model", console).written().created();
    refused(&guest, &["its vnc port 5977 is in use on node2, by 'w'"]);
    other.destroy();
    let answer = would_move(&guest);
    assert!(answer.stderr.contains("whether a program on node2 uses port 5977"), "{answer}");
    guest.moved(1, 2, &[]);
}

#[test]
fn a_rehearsal_names_what_keeps_libvirt_from_letting_a_machine_go() {
    let cluster = Cluster::up();
    let source = cluster.host(1);
    let path = |name: &str| source.shared().join(name).display().to_string();
    let (disk, copy, iso) = (path("disk.img"), path("copy.img"), path("cd.iso"));
    source.run("truncate", &["-s", "64M", &disk]);
    source.run("truncate", &["-s", "1M", &iso]);
    let drive = format!(
        "<disk type='file' device='cdrom'><driver name='qemu' type='raw' cache='none'/><source file='{iso}'/>\
         <target dev='sda' bus='sata'/></disk><panic model"
    );
    let guest = cluster.departs(source.guest("a").polite().option("--disk", &disk).edit("<panic model", &drive));
    // The folder that these hosts share is none that libvirt could know for shared; a CD is only read.
    let own = "is on a file system of this host's own: unless node2 has the very same file, say --copy-storage-all";
    let answer = would_move(&guest);
    assert!(answer.stderr.contains(&format!("its disk vda, {disk}, {own}")), "{answer}");
    assert_eq!(answer.stderr.matches(own).count(), 1, "{answer}");
    let copying = guest.moves(Human, 1, 2).arg("--rehearse").param("migrate_options", "--live --copy-storage-all");
    let answer = copying.gives(0);
    assert!(!answer.stderr.contains(own), "{answer}");

    source.virsh(&["blockcopy", "a", "vda", "--dest", &copy, "--format", "raw", "--transient-job", "--bandwidth", "1"]);
    refused(&guest, &["its disk vda has a block job", "virsh blockjob a vda"]);
    source.virsh(&["blockjob", "a", "vda", "--abort"]);
    would_move(&guest);

    source.run("rm", &[&iso]);
    refused(&guest, &["the file of its disk sda", "was removed here", "eject it"]);
    source.virsh(&["change-media", "a", "sda", "--eject", "--force"]);
    would_move(&guest);

    source.virsh(&["snapshot-create-as", "a", "before", "--disk-only", "--diskspec", "sda,snapshot=no"]);
    refused(&guest, &["it has 1 snapshot(s)", "virsh snapshot-delete a"]);
    source.virsh(&["snapshot-delete", "a", "before", "--metadata"]);
    would_move(&guest);
    guest.moved(1, 2, &[]);
}

#[test]
fn a_rehearsal_names_a_target_whose_own_name_leads_nowhere() {
    let cluster = Cluster::up();
    let target = cluster.host(2);
    let guest = cluster.travels("a");
    target.run("hostname", &["localhost"]);
    refused(&guest, &["the target calls itself 'localhost'", "migration_network_suffix"]);
    target.run("hostname", &["nowhere"]);
    refused(&guest, &["the target calls itself 'nowhere', which this host does not know"]);
    // As vm.sh did, rgmanager's call says where to send it.
    guest.moved(1, 2, &[]);
}

/// What a move would do is told from the facts at both ends, and nothing is done.
#[test]
fn explain_tells_the_facts_of_both_ends_and_moves_nothing() {
    let cluster = Cluster::up();
    let guest = cluster.travels("a");
    let explain = |code: i32, words: &[&str]| {
        let call = guest.call(1, Human, "explain migrate").arg(cluster.host(2).node());
        let answer = call.gives(code);
        for word in words {
            assert!(answer.stdout.contains(word), "no '{word}' in {answer}");
        }
    };
    explain(0, &["knows 'a'", "target node2 (qemu+ssh://node2/system", "it is not running", "1. move it", "answer 0"]);
    guest.runs_only_on(1);
    // The plan ends where the machine is already.
    guest.moved(1, 2, &[]);
    explain(0, &["target node2", "it is running", "ask the target", "answer 0: it is already running on node2"]);
    guest.runs_only_on(2);
}
