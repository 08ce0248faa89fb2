// SPDX-License-Identifier: GPL-2.0-or-later
//! What was changed in a running machine, saved into its definition's file at a stop and at a move: what is written, what
//! never is, and that no stop fails for it.

use crate::common::*;
use std::fs::{Permissions, read_to_string, set_permissions, write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const SAVE: &str = "save_config_on_stop";
const SYNC: &str = "sync_config_on_stop";

/// A guest whose file has a comment, and for whose file a disk waits.
fn written(host: &Host) -> Vm<'_> {
    let vm = host.guest("a").edit("<memory", "<!-- small on purpose -->\n  <memory").written();
    host.run("qemu-img", &["create", "-q", "-f", "raw", disk(host).to_str().unwrap(), "1M"]);
    vm
}

fn disk(host: &Host) -> PathBuf {
    host.shared().join("more.img")
}

/// As an administrator does.
fn attach(host: &Host) {
    host.virsh(&["attach-disk", "a", disk(host).to_str().unwrap(), "vdb", "--live"]);
}

fn text(path: &Path) -> String {
    read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn beside(vm: &Vm<'_>) -> PathBuf {
    vm.folder.join("a.xml.vm-agent-new")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// libvirt puts an overlay of one run above such a disk, and takes it away at the run's end.
#[test]
fn a_disk_whose_writes_are_forgotten_is_no_switched_disk_and_its_overlay_gets_into_no_file() {
    let host = Host::up();
    let image = host.shared().join("a.qcow2");
    host.run("qemu-img", &["create", "-q", "-f", "qcow2", image.to_str().unwrap(), "8M"]);
    host.run("qemu-img", &["create", "-q", "-f", "raw", disk(&host).to_str().unwrap(), "1M"]);
    let guest = host.guest("a").option("--disk", image.to_str().unwrap());
    let vm = guest.edit("<target dev='vda'", "<transient/><target dev='vda'").written();
    let before = text(&vm.file);
    for dialect in BOTH {
        let call = |action: &str| vm.call(dialect, action).param(SAVE, "yes").param("force_stop", "yes");
        for _ in 0..2 {
            call("start").gives(0);
            assert!(host.virsh(&["domblklist", "a"]).contains("a.qcow2.TRANSIENT-a"));
            vm.watch(dialect).gives(0);
            attach(&host);
            call("stop").gives(0);
            let saved = text(&vm.file);
            let has_both = saved.contains(&format!("'{}'", image.display())) && saved.contains("vdb");
            assert!(has_both && !saved.contains("TRANSIENT"), "{saved}");
            write(&vm.file, &before).unwrap();
        }
    }
}

#[test]
fn a_stop_writes_what_was_attached_into_the_file_and_leaves_the_rest_of_it_and_a_monitor_writes_nothing() {
    let host = Host::up();
    let vm = written(&host);
    set_permissions(&vm.file, Permissions::from_mode(0o640)).unwrap();
    let before = text(&vm.file);
    for (dialect, use_virsh) in
        [(Rgmanager, "no"), (Pacemaker, "no"), (VirtualDomain, "no"), (Human, "no"), (Pacemaker, "yes")]
    {
        write(&vm.file, &before).unwrap();
        let call = |action: &str| vm.call(dialect, action).param(SAVE, "yes").param("use_virsh", use_virsh);
        let stop = || call("stop").param("force_stop", "yes").gives(0);
        call("start").gives(0);
        let silent = stop();
        assert_eq!(text(&vm.file), before, "nothing was changed: {silent}");
        assert!(!silent.stderr.contains("a.xml"), "{silent}");

        call("start").gives(0);
        attach(&host);
        if dialect != Human {
            call("monitor").recurring().gives(0);
        }
        assert_eq!(text(&vm.file), before, "a monitor saves nothing");
        stop();
        let after = text(&vm.file);
        assert!(after.contains("dev='vdb'") && after.contains("<!-- small on purpose -->"), "{after}");
        for not in ["vm-agent", "<alias", "seclabel", "backingStore", "index='1'"] {
            assert!(!after.contains(not), "{not} in {after}");
        }
        assert_eq!(tag(&after, "uuid"), tag(&before, "uuid"));
        assert_eq!((mode(&vm.file), names(&vm.folder)), (0o640, vec!["a.xml".into()]));

        // It starts with that, and is saved again only if it is changed again.
        call("start").gives(0);
        assert!(vm.live_xml().contains("dev='vdb'"));
        stop();
        assert_eq!(text(&vm.file), after);
        // Without the parameter nothing is saved.
        call("start").param(SAVE, "no").gives(0);
        host.virsh(&["detach-disk", "a", "vdb", "--live"]);
        vm.call(dialect, "stop").param("force_stop", "yes").gives(0);
        assert_eq!(text(&vm.file), after);
    }
}

/// Of a network's interface a running domain shows the bridge behind it.
#[test]
fn a_machine_on_a_network_starts_again_from_what_was_saved() {
    let host = Host::up();
    let net = host.file("net.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>");
    host.run("ip", &["link", "add", "br0", "type", "bridge"]);
    host.virsh(&["net-create", net.to_str().unwrap()]);
    let interface = "<interface type='network'><source network='lan'/></interface><console type='pty'/><panic model";
    let vm = host.guest("a").edit("<panic model", interface).written();
    host.run("qemu-img", &["create", "-q", "-f", "raw", disk(&host).to_str().unwrap(), "1M"]);
    let call = |action: &str| vm.call(Pacemaker, action).param(SAVE, "1").param("force_stop", "1").gives(0);
    call("start");
    attach(&host);
    call("stop");
    let saved = text(&vm.file);
    assert!(saved.contains("<source network='lan'/>") && !saved.contains("br0"), "{saved}");
    call("start");
    assert!(vm.live_xml().contains("bridge='br0'") && vm.live_xml().contains("dev='vdb'"));
    call("stop");
    assert_eq!(text(&vm.file), saved);
}

#[test]
fn a_restart_saves_and_starts_from_what_it_has_saved() {
    let host = Host::up();
    let vm = written(&host);
    vm.call(Pacemaker, "start").param(SAVE, "1").gives(0);
    attach(&host);
    host.virsh(&["desc", "a", "--live", "who knows"]);
    vm.call(Human, "restart").param(SAVE, "1").param("force_stop", "1").gives(0);
    let now = vm.live_xml();
    assert!(now.contains("dev='vdb'") && tag(&now, "description") == "who knows", "{now}");
    let saved = text(&vm.file);
    assert!(saved.contains("dev='vdb'") && saved.contains("<!-- small on purpose -->"), "{saved}");
    assert_eq!(tag(&saved, "description"), "who knows");
}

#[test]
fn a_file_that_was_edited_meanwhile_is_left_and_the_changes_are_put_beside_it() {
    let host = Host::up();
    let vm = written(&host);
    let before = text(&vm.file);
    for dialect in [Rgmanager, VirtualDomain] {
        write(&vm.file, &before).unwrap();
        let call = |action: &str| vm.call(dialect, action).param(SAVE, "yes").param("force_stop", "yes");
        call("start").gives(0);
        attach(&host);
        let edited = before.replace("small on purpose", "edited on Monday");
        write(&vm.file, &edited).unwrap();
        call("stop").gives(0).tells(&["a.xml is left as it is", "edited since the start", "a.xml.vm-agent-new"]);
        assert_eq!(text(&vm.file), edited);
        let new = text(&beside(&vm));
        assert!(new.contains("edited on Monday") && new.contains("dev='vdb'"), "{new}");
        assert_eq!(mode(&beside(&vm)), 0o600);
        std::fs::remove_file(beside(&vm)).unwrap();
        // An edit alone is no conflict.
        call("start").gives(0);
        write(&vm.file, &before).unwrap();
        let silent = call("stop").gives(0);
        assert_eq!((names(&vm.folder), text(&vm.file)), (vec!["a.xml".into()], before.clone()), "{silent}");
    }
}

#[test]
fn without_what_it_was_at_its_start_and_through_a_link_nothing_is_overwritten() {
    let host = Host::up();
    let vm = written(&host);
    let before = text(&vm.file);
    let stop = || vm.call(Pacemaker, "stop").param(SAVE, "yes").param("force_stop", "yes");
    // Started by virsh, or without the parameter.
    host.virsh(&["create", vm.file.to_str().unwrap()]);
    attach(&host);
    stop().gives(0).tells(&["how it was at its start is not on record", "a.xml.vm-agent-new"]);
    assert_eq!(text(&vm.file), before);
    assert!(text(&beside(&vm)).contains("dev='vdb'"));
    std::fs::remove_file(beside(&vm)).unwrap();
    // As VirtualDomain has left it: the file is what libvirt shows.
    host.virsh(&["create", vm.file.to_str().unwrap()]);
    write(&vm.file, host.virsh(&["dumpxml", "--inactive", "--security-info", "a"])).unwrap();
    let silent = stop().gives(0);
    assert!(names(&vm.folder) == ["a.xml"] && !silent.stderr.contains("not on record"), "{silent}");
    // A link is not followed.
    let elsewhere = host.file("elsewhere/a.xml", &before);
    std::fs::remove_file(&vm.file).unwrap();
    symlink(&elsewhere, &vm.file).unwrap();
    vm.call(Pacemaker, "start").param(SAVE, "yes").gives(0);
    attach(&host);
    stop().gives(0).tells(&["symbolic link"]);
    assert_eq!((text(&elsewhere), names(elsewhere.parent().unwrap())), (before.clone(), vec!["a.xml".into()]));
    assert!(text(&beside(&vm)).contains("dev='vdb'"));
    // What libvirt keeps is virsh's to change, and the file beside it is left.
    std::fs::remove_file(&vm.file).unwrap();
    write(&vm.file, &before).unwrap();
    host.virsh(&["define", vm.file.to_str().unwrap()]);
    vm.call(Pacemaker, "start").param(SAVE, "yes").gives(0);
    attach(&host);
    stop().gives(0).tells(&["a definition of its own"]);
    assert_eq!(text(&vm.file), before);
}

#[test]
fn a_password_is_kept_and_never_comes_into_a_file_that_everybody_may_read() {
    let host = Host::up();
    let console = "<devices><graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' passwd='first'/>";
    let vm = host.guest("a").edit("<devices>", console).written();
    host.run("qemu-img", &["create", "-q", "-f", "raw", disk(&host).to_str().unwrap(), "1M"]);
    set_permissions(&vm.file, Permissions::from_mode(0o644)).unwrap();
    let call = |action: &str| vm.call(Pacemaker, action).param(SAVE, "yes").param("force_stop", "yes");
    call("start").gives(0);
    // Who may only look at the mark learns nothing of the password.
    let mark = host.virsh(&["metadata", "a", "--uri", "https://vm-agent.org/xmlns/domain/1.0"]);
    assert!(mark.contains("base=") && !mark.contains("first'") && !mark.contains("passwd"), "{mark}");
    attach(&host);
    call("stop").gives(0);
    let saved = text(&vm.file);
    assert!(saved.contains("passwd='first'") && saved.contains("dev='vdb'"), "{saved}");
    assert_eq!(mode(&vm.file), 0o644, "what it had before it may have");

    call("start").gives(0);
    let other =
        host.file("console.xml", "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' passwd='second'/>");
    host.virsh(&["update-device", "a", other.to_str().unwrap(), "--live"]);
    let answer = call("stop").gives(0);
    let saved = text(&vm.file);
    assert!(saved.contains("passwd='second'") && !answer.stderr.contains("second"), "{saved}{answer}");
    assert_eq!(mode(&vm.file), 0o640);
}

#[test]
fn a_full_disk_or_a_silent_daemon_costs_the_save_and_not_the_stop() {
    let host = Host::up();
    let vm = written(&host);
    let (folder, file) = (vm.folder.to_str().unwrap(), vm.file.to_str().unwrap());
    // Its folder becomes a file system of its own, which is filled.
    let mount = "cp \"$2\" /tmp/a.xml; mount -t tmpfs -o size=64k none \"$1\"; cp /tmp/a.xml \"$2\"";
    host.run("sh", &["-c", mount, "sh", folder, file]);
    for dialect in [Rgmanager, VirtualDomain] {
        let call = |action: &str| vm.call(dialect, action).param(SAVE, "yes").param("force_stop", "yes");
        call("start").gives(0);
        attach(&host);
        host.run("sh", &["-c", "cat /dev/zero >\"$1/full\" 2>/dev/null || true", "sh", folder]);
        call("stop").gives(0).tells(&["a.xml is left as it is", "No space left on device"]);
        assert_eq!(host.run("cat", &[file]), host.run("cat", &["/tmp/a.xml"]));
        assert_eq!(host.run("ls", &["-A", folder]), "a.xml\nfull");
        host.run("rm", &[&format!("{folder}/full")]);

        call("start").gives(0);
        attach(&host);
        host.service("freeze", "libvirtd");
        let answer = call("stop").timeout(20.0).gives(0).tells(&["was not saved"]);
        host.service("thaw", "libvirtd");
        assert_eq!(host.run("cat", &[file]), host.run("cat", &["/tmp/a.xml"]), "{answer}");
        vm.becomes("absent");
    }
}

#[test]
fn csync2_copies_what_was_saved_and_one_that_is_missing_fails_or_hangs_is_a_warning() {
    let host = Host::up();
    let vm = written(&host);
    let before = text(&vm.file);
    let seen = host.shared().join("synced");
    let program = |lines: &str| {
        let script = host.script("csync2", lines);
        host.run("cp", &["--remove-destination", script.to_str().unwrap(), "/usr/sbin/csync2"]);
    };
    let round = || {
        write(&vm.file, &before).unwrap();
        let call = |action: &str| vm.call(VirtualDomain, action).param(SYNC, "yes").param("force_stop", "yes");
        call("start").gives(0);
        attach(&host);
        let answer = call("stop").timeout(24.0).gives(0);
        assert!(text(&vm.file).contains("dev='vdb'"), "{answer}");
        answer
    };
    host.run("rm", &["-f", "/usr/sbin/csync2"]);
    round().tells(&["csync2 has not copied", "not installed"]);
    program("echo 'ERROR: Connection to remote host failed.' >&2; exit 1");
    round().tells(&["csync2 has not copied", "ended with 1", "Connection to remote host failed"]);
    program("sleep 3600");
    round().tells(&["csync2 has not copied", "did not end in time"]);
    assert!(host.processes(|args| args.iter().any(|arg| arg == b"3600")).is_empty(), "it is left behind");
    program(&format!("echo \"$#,$1,$2\" >>{}", seen.display()));
    let answer = round();
    assert!(!answer.stderr.contains("has not copied"), "{answer}");
    assert_eq!(text(&seen), format!("2,-x,{}\n", vm.file.display()));
    // Where nothing was written nothing is copied.
    let call = |action: &str| vm.call(VirtualDomain, action).param(SYNC, "yes").param("force_stop", "yes");
    call("start").gives(0);
    call("stop").gives(0);
    assert_eq!(text(&seen).lines().count(), 1);
}

#[test]
fn a_move_saves_at_the_source_and_each_nodes_own_file_gets_the_changes_where_it_is_stopped() {
    let cluster = Cluster::up();
    let vm = cluster.host(1).guest("a").polite().written();
    let own = "/etc/vm/a.xml";
    for host in cluster.hosts() {
        host.run("mkdir", &["-p", "/etc/vm"]);
        host.run("cp", &[vm.file.to_str().unwrap(), own]);
    }
    let file = |number: usize| cluster.host(number).run("cat", &[own]);
    let call = |number: usize, action: &str| {
        cluster.host(number).call(Pacemaker, action).named("a").param("path", "/etc/vm").param(SAVE, "yes")
    };
    let before = file(1);
    call(1, "start").gives(0);
    let mut guest = Traveller { cluster: &cluster, name: "a".into(), folder: "/etc/vm".into(), boot: String::new() };
    guest.boot = guest.new_boot();
    cluster.host(1).run("qemu-img", &["create", "-q", "-f", "raw", disk(cluster.host(1)).to_str().unwrap(), "1M"]);
    let attach = |number: usize| {
        let image = disk(cluster.host(1));
        cluster.host(number).virsh(&["attach-disk", "a", image.to_str().unwrap(), "vdb", "--live", "--cache", "none"]);
    };
    attach(1);
    guest.moves(Pacemaker, 1, 2).param(SAVE, "yes").gives(0);
    guest.runs_only_on(2);
    assert!(file(1).contains("dev='vdb'"), "{}", file(1));
    assert_eq!(file(2), before, "it is another node's file");
    let saved = file(1);
    // Back, by rgmanager: here the file is the one that was saved, and has it all.
    guest.moves(Rgmanager, 2, 1).param(SAVE, "yes").gives(0);
    guest.runs_only_on(1);
    assert_eq!(file(1), saved);
    assert!(file(2).contains("dev='vdb'"), "the source's own file is saved: {}", file(2));
    let answer = call(1, "stop").gives(0);
    assert!(!answer.stderr.contains("a.xml"), "{answer}");
    assert_eq!(file(1), saved);
}
