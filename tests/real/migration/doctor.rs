// SPDX-License-Identifier: GPL-2.0-or-later
//! doctor on a pair of hosts under Pacemaker: nothing while all is well, and each fault by its code where it is.

use crate::common::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const RESOURCE: &str = "<primitive id='a' class='ocf' provider='vm-agent' type='vm'><instance_attributes id='a-i'>\
    <nvpair id='a-name' name='name' value='a'/><nvpair id='a-path' name='path' value='/etc/vm'/></instance_attributes>\
    <meta_attributes id='a-m'><nvpair id='a-allow' name='allow-migrate' value='true'/>\
    <nvpair id='a-sticks' name='resource-stickiness' value='100'/><nvpair id='a-role' name='target-role' value='Stopped'/></meta_attributes><operations>\
    <op id='a-monitor' name='monitor' interval='10s' timeout='30s'/><op id='a-stop' name='stop' interval='0' timeout='120s'/>\
    <op id='a-move' name='migrate_to' interval='0' timeout='120s' on-fail='block'/></operations></primitive>";

/// Two hosts with a stopped machine, of which each has the definition in its own /etc/vm.
fn healthy_pair() -> Cluster {
    let cluster = Cluster::with("migration,fencing");
    let disk = cluster.host(1).file("a.raw", &"x".repeat(1 << 20));
    let interface = "<interface type='user'><mac address='52:54:00:00:00:0a'/></interface><memballoon model='none'/>";
    let guest = cluster.host(1).guest("a").option("--disk", disk.to_str().unwrap());
    let file = guest.edit("<memballoon model='none'/>", interface).written().file;
    for host in cluster.hosts() {
        host.has_agent();
        host.run("mkdir", &["/etc/vm"]);
        host.run("cp", &[file.to_str().unwrap(), "/etc/vm/a.xml"]);
        // Debian enables it, and a machine that these hosts are on may have it enabled.
        host.run("sh", &["-c", "rm -f /etc/systemd/system/*.wants/libvirt-guests.service"]);
    }
    let resource = cluster.host(1).file("a.cib", RESOURCE);
    cluster.host(1).run("cibadmin", &["-C", "-o", "resources", "--xml-file", resource.to_str().unwrap()]);
    cluster
}

/// Another QEMU, whose processor lacks something: what libvirt remembers of the one that it knows is changed.
const ANOTHER_QEMU: &str = "sed -i -e 's|<version>[0-9]*<|<version>7002000<|' -e \"/name='avx2'/s/'true'/'false'/\" /var/cache/libvirt/qemu/capabilities/*.xml";

/// What is wrong with a host itself, as it can be made without another kernel. Somebody listens at all ports for migrations,
/// and at one of a console.
const IS_SET_UP_BADLY: &str = "sed -i /host_uuid_source/d /etc/libvirt/libvirtd.conf
    echo 'migration_port_min = 49214' >>/etc/libvirt/qemu.conf
    /usr/sbin/sshd -h /etc/ssh/key_$(uname -n) -o PidFile=none -o Port=49214 -o Port=49215
    mount -t tmpfs none /sys/fs; mkdir /sys/fs/selinux; echo 1 >/sys/fs/selinux/enforce
    /usr/bin/python3 -c 'import os; os.setxattr(\"/root/.ssh/authorized_keys\", \"security.selinux\", b\"u:object_r:user_home_t:s0\")'
    rm -rf /usr/lib/systemd/system/resource-agents-deps.target.d /etc/systemd/system/resource-agents-deps.target.d
    mkdir -p /run/systemd/system
    cp /bin/sleep /run/virtqemud; setsid -f /run/virtqemud 600 >/dev/null 2>&1
    hostname node2.nowhere";

/// Puts another version of the agent onto a host, with another libvirt, an older kernel and a clock of its own; but for that it says what this
/// one does, since the hosts share a kernel.
fn has_another_version(host: &Host) {
    let says = r#"/run/this/vm-agent-by-hand "$@" |
        sed -E 's/"version":"[^"]*"/"version":"0.0.9"/; s/"clock":[0-9]+/"clock":1000/; s/"daemon_version":[0-9]+/"daemon_version":6000000/;
        s/"lacks_pidfd":null/"lacks_pidfd":"Linux 4.18.0: Function not implemented"/'"#;
    let script = host.script("another", says);
    let folder = Path::new(BY_HAND).parent().unwrap().display();
    let script = script.display();
    shell(host, &format!("mkdir /run/this; mount --bind {folder} /run/this; mount --bind {script} {BY_HAND}"));
}

/// Holds what doctor has found against codes, each with where it is mended.
#[track_caller]
fn assert_found(expected: &[&str], said: &str) {
    let all: Value = serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let text = |it: &Value| it.as_str().unwrap_or("all").to_owned();
    let findings = all["findings"].as_array().unwrap().iter();
    let found: BTreeSet<String> = findings.map(|it| format!("{} {}", text(&it["id"]), text(&it["node"]))).collect();
    assert_eq!(found, expected.iter().map(|it| (*it).to_owned()).collect(), "{said}");
}

/// Has the first host's doctor look, which must answer `code` in time, and find exactly this.
#[track_caller]
fn finds_within(cluster: &Cluster, seconds: f64, code: i32, expected: &[&str]) {
    let answer = cluster.host(1).call(Human, "doctor").named("a").arg("--json").timeout(seconds).gives(code);
    assert_found(expected, &answer.stdout);
}

#[track_caller]
fn finds(cluster: &Cluster, code: i32, expected: &[&str]) {
    finds_within(cluster, 60.0, code, expected);
}

fn shell(host: &Host, lines: &str) {
    host.run("sh", &["-ec", lines]);
}

/// Defines a machine there, from that of `a` with other words.
fn defines(host: &Host, name: &str, changes: &str) {
    shell(
        host,
        &format!(
            "sed -e 's|<name>a</name>|<name>{name}</name>|' {changes} /etc/vm/a.xml >/run/{name}.xml; virsh -q -c qemu:///system define /run/{name}.xml"
        ),
    );
}

#[test]
fn a_healthy_pair_has_no_fault_and_many_at_once_are_each_found_by_their_code() {
    const OWN_UUID: &str = "-e '/<uuid>/d'";
    const OWN_MAC: &str = "-e '/<mac /d;s|<mac [^>]*>||'";
    let cluster = healthy_pair();
    finds(&cluster, 0, &[]);
    // The machine is off, and known by its file alone.
    for (name, changes, expected) in [
        ("a", format!("{OWN_UUID} {OWN_MAC}"), "VA301 node2"),
        ("copy", OWN_MAC.to_owned(), "VA302 node2"),
        ("copy", OWN_UUID.to_owned(), "VA303 node2"),
    ] {
        defines(cluster.host(2), name, &changes);
        let code = if expected.starts_with("VA303") { 190 } else { 1 };
        finds(&cluster, code, &[expected]);
        cluster.host(2).virsh(&["undefine", name]);
    }
    // What cannot be asked is no host that is well.
    let mistyped = cluster.host(1).call(Human, "doctor").arg("--nodes").arg("node2,-oProxyCommand=x").gives(2);
    assert!(mistyped.stderr.contains("guard_nodes"), "{mistyped}");

    let (one, two) = (cluster.host(1), cluster.host(2));
    for host in [one, two] {
        defines(host, "twin", &format!("{OWN_UUID} {OWN_MAC}"));
    }
    defines(
        one,
        "copied",
        &format!("-e 's|<uuid>.*</uuid>|<uuid>11111111-0000-4000-8000-000000000000</uuid>|' {OWN_MAC}"),
    );
    defines(
        two,
        "copy",
        &format!("-e 's|<uuid>.*</uuid>|<uuid>11111111-0000-4000-8000-000000000000</uuid>|' {OWN_MAC}"),
    );
    defines(two, "neighbour", OWN_UUID);
    // Without its disk, which QEMU lets one of the two have.
    shell(one, "sed '/<disk/,/<.disk>/d' /etc/vm/a.xml >/run/running.xml");
    one.virsh(&["create", "/run/running.xml"]);
    defines(two, "a", "-e '/<disk/,/<.disk>/d'");
    two.virsh(&["autostart", "a"]);
    shell(
        two,
        "(echo '<domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime>'; virsh -q dumpxml a
         echo '</domainsnapshot>') >/run/s.xml; virsh -q snapshot-create a /run/s.xml --redefine",
    );
    two.virsh(&["start", "a"]);
    shell(two, "sed -i 's|<vcpu>1<|<vcpu>2<|' /etc/vm/a.xml");
    shell(
        two,
        "cp -p /etc/libvirt/qemu.conf /run/qemu.conf; printf 'auto_shutdown_poweroff = \"all\"\\nlock_manager = \"lockd\"\\n' >>/etc/libvirt/qemu.conf",
    );
    shell(two, "mkdir -p /etc/systemd/system/x.wants; ln -s /lib/x /etc/systemd/system/x.wants/libvirt-guests.service");
    shell(
        two,
        "chmod 775 /root/.ssh; mv /root/.ssh/known_hosts /run/known_hosts; cp -p /root/.bashrc /run/bashrc; echo 'echo hello' >/root/.bashrc",
    );
    shell(two, "iptables -A INPUT -p tcp --dport 49215 -j DROP");
    shell(
        one,
        "crm_attribute -n stonith-enabled -v false; cibadmin -M -o resources -X \"<op id='a-stop' timeout='30s'/>\"",
    );
    shell(one, "cibadmin -M -o resources -X \"<op id='a-move' on-fail='restart'/>\"");
    let all = [
        "VA103 node2",
        "VA109 node2",
        "VA113 node2",
        "VA201 all",
        "VA205 all",
        "VA208 all",
        "VA301 node2",
        "VA302 node2",
        "VA303 node2",
        "VA304 node2",
        "VA305 node2",
        "VA306 node2",
        "VA310 node2",
        "VA502 node2",
        "VA503 node2",
        "VA506 node2",
        "VA602 node2",
    ];
    finds(&cluster, 1, &all);

    two.virsh(&["snapshot-delete", "a", "s", "--metadata"]);
    for (host, machines) in [(one, ["twin", "copied"].as_slice()), (two, &["twin", "copy", "neighbour", "a"])] {
        host.virsh(&["destroy", "a"]);
        machines.iter().for_each(|name| drop(host.virsh(&["undefine", name])));
    }
    shell(
        two,
        "sed -i 's|<vcpu>2<|<vcpu>1<|' /etc/vm/a.xml; cp -p /run/qemu.conf /etc/libvirt/qemu.conf; rm -r /etc/systemd/system/x.wants",
    );
    shell(
        two,
        "chmod 700 /root/.ssh; mv /run/known_hosts /root/.ssh/known_hosts; cp -p /run/bashrc /root/.bashrc; iptables -F INPUT",
    );
    shell(
        one,
        "crm_attribute -n stonith-enabled -v true; cibadmin -M -o resources -X \"<op id='a-stop' timeout='120s'/>\"",
    );
    shell(one, "cibadmin -M -o resources -X \"<op id='a-move' on-fail='block'/>\"");
    // All is mended; but a member goes by two names, which makes more members than may be without quorum.
    one.run("crm_attribute", &["-n", "no-quorum-policy", "-v", "ignore"]);
    one.run("crm_resource", &["-r", "fence", "--set-parameter=pcmk_host_list", "-v", "node1"]);
    let by_two_names = one.call(Human, "doctor").named("a").arg("--nodes").arg("node2,node2v6").arg("--json");
    assert_found(&["VA202 node2", "VA213 all", "VA509 node2v6"], &by_two_names.timeout(60.0).gives(1).stdout);

    // What the cluster is configured with, all at once; the second resource is a clone of the predecessor's.
    let other = "<clone id='c'><meta_attributes id='c-m'><nvpair id='c-role' name='target-role' value='Stopped'/>\
        </meta_attributes><primitive id='b' class='ocf' provider='heartbeat' type='VirtualDomain'>\
        <instance_attributes id='b-i'><nvpair id='b-config' name='config' value='/etc/vm/a.xml'/></instance_attributes>\
        </primitive></clone>";
    let other = one.file("b.cib", other);
    one.run("cibadmin", &["-C", "-o", "resources", "--xml-file", other.to_str().unwrap()]);
    for (kind, name, value) in [
        ("--meta", "is-managed", "false"),
        ("--meta", "allow-migrate", "false"),
        ("--meta", "resource-stickiness", "0"),
        ("--set-parameter=migrate", "", "sideways"),
        ("--set-parameter=monitor_wait", "", "30"),
    ] {
        let named = format!("--set-parameter={name}");
        let words = if name.is_empty() { vec![kind] } else { vec![kind, &named] };
        one.run("crm_resource", &[&["-r", "a", "-v", value], words.as_slice()].concat());
    }
    shell(
        one,
        "cibadmin -M -o resources -X \"<op id='a-stop' on-fail='ignore'/>\"; cibadmin -D -X \"<primitive id='fence'/>\"",
    );
    one.run("crm_resource", &["-r", "a", "--set-parameter=config", "-v", "/etc/vm/a.xml"]);
    one.run("crm_resource", &["-r", "a", "--delete-parameter=name"]);
    one.run("crm_resource", &["-r", "a", "--delete-parameter=path"]);
    let uuid = one.virsh(&["capabilities"]);
    let uuid = uuid.split_once("<uuid>").and_then(|(_, rest)| Some(rest.split_once("</uuid>")?.0)).unwrap().to_owned();
    has_another_version(two);
    shell(
        two,
        &format!("echo 'host_uuid = \"{uuid}\"' >>/etc/libvirt/libvirtd.conf; {ANOTHER_QEMU}; {IS_SET_UP_BADLY}"),
    );
    defines(two, "a", "-e '/<disk/,/<.disk>/d'");
    two.virsh(&["start", "a"]);
    two.virsh(&["managedsave", "a"]);
    two.service("stop", "libvirtd");
    two.service("start", "libvirtd");
    let of_all = ["VA202", "VA203", "VA204", "VA207", "VA210", "VA211", "VA212", "VA214", "VA215", "VA216", "VA217"];
    let of_two = [
        "VA003", "VA004", "VA110", "VA309", "VA504", "VA505", "VA507", "VA508", "VA509", "VA510", "VA511", "VA513",
        "VA601",
    ];
    let all = of_all.map(|code| format!("{code} all")).into_iter().chain(of_two.map(|code| format!("{code} node2")));
    finds(&cluster, 1, &all.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn why_ssh_is_refused_and_what_a_member_lacks_is_told_by_its_code() {
    let cluster = healthy_pair();
    let (one, two) = (cluster.host(1), cluster.host(2));
    let keep =
        "cd /root/.ssh; cp -p id_ed25519 /run/key; cp -p id_ed25519.pub /run/key.pub; cp -p known_hosts /run/known";
    shell(two, keep);
    for (fault, expected) in [
        ("chmod 644 id_ed25519", "VA106 node2"),
        ("chown 1000 id_ed25519", "VA106 node2"),
        ("echo 'Host *' >config; chown 1000 config", "VA116 node2"),
        ("ssh-keygen -q -p -N secret -f id_ed25519", "VA107 node2"),
        ("rm id_ed25519", "VA108 node2"),
        ("rm id_ed25519; ssh-keygen -q -t ed25519 -N '' -f id_ed25519", "VA101 node2"),
        (
            "cp -p id_ed25519 mine; ssh-keygen -q -t ed25519 -N '' -f new; mv new.pub id_ed25519.pub; rm new",
            "VA114 node2",
        ),
        ("mv id_ed25519 mine; printf 'Host node1.example\\n  IdentityFile ~/.ssh/mine\\n' >config", "VA105 node2"),
        (
            "sed 's|^node1,[^ ]* [^ ]* .*|node1 '\"$(cut -d' ' -f1,2 /etc/ssh/key_node2.pub)\"'|' /run/known >known_hosts",
            "VA104 node2",
        ),
    ] {
        shell(two, &format!("cd /root/.ssh; {fault}"));
        finds(&cluster, 1, &[expected]);
        shell(
            two,
            "cd /root/.ssh; rm -f config mine; cp -p /run/key id_ed25519; cp -p /run/key.pub id_ed25519.pub; cp -p /run/known known_hosts",
        );
    }
    shell(two, "mv /usr/bin/ssh /run");
    finds(&cluster, 190, &["VA001 node2"]);
    shell(two, "mv /run/ssh /usr/bin");
    let root_logs_in = |how: &str| {
        shell(one, &format!("sed -i 's/^PermitRootLogin.*/PermitRootLogin {how}/' /etc/ssh/sshd_config"));
        one.service("stop", "sshd");
        one.service("start", "sshd");
    };
    root_logs_in("no");
    finds(&cluster, 1, &["VA115 node1"]);
    root_logs_in("prohibit-password");
    // By TLS, with a certificate of another host that ends tomorrow, and none for a client.
    shell(
        two,
        "cd /etc/pki/libvirt; cp -p servercert.pem clientcert.pem /run; rm clientcert.pem; openssl req -x509 -newkey rsa:2048 \
         -nodes -days 1 -subj /CN=other -addext subjectAltName=DNS:other -keyout /run/x.pem -out servercert.pem 2>/dev/null",
    );
    let by_tls = one.call(Human, "doctor").named("a").param("migration_transport", "tls").arg("--json").timeout(60.0);
    let certificates = ["VA603 node2", "VA604 node2", "VA605 node2"];
    assert_found(&certificates, &by_tls.gives(1).stdout);
    // The same of a resource that is moved by TLS, where no machine is named.
    one.run("crm_resource", &["-r", "a", "--set-parameter=migration_transport", "-v", "tls"]);
    let of_all = one.call(Human, "doctor").arg("--json").timeout(60.0).gives(1);
    assert_found(&certificates, &of_all.stdout);
    one.run("crm_resource", &["-r", "a", "--delete-parameter=migration_transport"]);
    shell(two, "cp -p /run/servercert.pem /run/clientcert.pem /etc/pki/libvirt/");
    let by_suffix =
        one.call(Human, "doctor").named("a").param("migration_network_suffix", "-none").arg("--json").timeout(60.0);
    assert_found(&["VA111 node1"], &by_suffix.gives(1).stdout);
    two.service("stop", "libvirtd");
    shell(two, "mv /etc/vm/a.xml /run/a.xml");
    finds(&cluster, 1, &["VA307 node2", "VA501 node2"]);
    two.service("start", "libvirtd");
    // The same path, and another file; both lack the emulator of theirs.
    let edit = "sed -e 's|<source file=[^>]*>|<source file=\"/var/a.raw\"/>|;s|/usr/bin/qemu-system-x86_64|/usr/bin/none|;s|cache=.none.|cache=\"unsafe\"|' /run/a.xml >/etc/vm/a.xml; echo >/var/a.raw";
    shell(one, &format!("cp /etc/vm/a.xml /run/a.xml; {edit}"));
    shell(two, edit);
    finds(&cluster, 1, &["VA401 node1", "VA401 node2", "VA403 node2", "VA404 all"]);
    let needs = "sed -e '/<uuid>/d;s|<on_poweroff>destroy|<on_poweroff>restart|;s|<memory unit=.MiB.>16<|<memory unit=\"TiB\">16<|' \
        -e 's|<interface type=.user.>|<interface type=\"bridge\"><source bridge=\"nobr\"/>|' -e 's|</devices>|<hostdev mode=\"subsystem\" \
        type=\"pci\"><source><address domain=\"0\" bus=\"0xfe\" slot=\"0\" function=\"0\"/></source></hostdev></devices>|' \
        -e 's|<source file=[^>]*>|<source file=\"/none.raw\"><encryption format=\"luks\"><secret type=\"passphrase\" \
        uuid=\"22222222-0000-4000-8000-000000000000\"/></encryption></source>|' \
        -e 's|<vcpu>|<cpu mode=\"custom\"><model>Nonesuch</model></cpu>&|' \
        -e 's|<devices>|&<tpm model=\"tpm-crb\"><backend type=\"emulator\" version=\"2.0\"/></tpm>\
        <graphics type=\"vnc\" port=\"5999\" autoport=\"no\"/><disk type=\"block\" device=\"disk\">\
        <source dev=\"'$disk'\"/><target dev=\"vdb\"/></disk>|' -e 's|</type>|&<loader readonly=\"yes\" \
        type=\"pflash\">/none.fd</loader><nvram>/var/lib/none.fd</nvram>|' /run/a.xml >/etc/vm/a.xml";
    let needs = format!("disk={}; {needs}", one.shared().join("a.raw").display());
    shell(two, "printf 'Host *\\n  StrictHostKeyChecking no\\n' >/root/.ssh/config; mv /usr/bin/swtpm /run");
    shell(two, "/usr/sbin/sshd -h /etc/ssh/key_node2 -o PidFile=none -o Port=5999");
    shell(one, "cibadmin -D -X \"<op id='a-monitor'/>\"");
    for host in [one, two] {
        shell(host, &needs);
    }
    let on_both = ["VA410", "VA411", "VA412", "VA413", "VA415", "VA416", "VA417", "VA419"]
        .into_iter()
        .flat_map(|code| [1, 2].map(|node| format!("{code} node{node}")));
    let once = [
        "VA112 node2",
        "VA206 all",
        "VA209 all",
        "VA308 node1",
        "VA405 all",
        "VA406 all",
        "VA407 all",
        "VA409 all",
        "VA414 node2",
        "VA418 node2",
    ]
    .map(str::to_owned);
    let all: Vec<String> = on_both.chain(once).collect();
    finds(&cluster, 1, &all.iter().map(String::as_str).collect::<Vec<_>>());
    for host in [one, two] {
        shell(
            host,
            "sed -e \"s|type='qemu'>|type='kvm'>|\" -e \"s|<vcpu>|<cpu mode='host-passthrough'/>&|\" /run/a.xml >/etc/vm/a.xml",
        );
    }
    // A member with a kernel of its own, and a processor of another maker.
    shell(
        two,
        "cat /proc/sys/kernel/random/uuid >/run/boot; mount --bind /run/boot /proc/sys/kernel/random/boot_id
         sed -i \"s/'AuthenticAMD'/'GenuineIntel'/;/name='avx2'/s/'true'/'false'/\" /var/cache/libvirt/qemu/capabilities/*.xml",
    );
    two.service("stop", "libvirtd");
    two.service("start", "libvirtd");
    let all = ["VA112 node2", "VA209 all", "VA401 node1", "VA401 node2", "VA402 node2", "VA408 node2", "VA512 all"];
    finds(&cluster, 1, &all);
    for host in [one, two] {
        shell(host, "cp /run/a.xml /etc/vm/a.xml");
    }
    shell(two, &format!("mount -t tmpfs none {}", Path::new(BY_HAND).parent().unwrap().display()));
    finds(&cluster, 190, &["VA002 node2", "VA209 all"]);
    // One that takes connections and says nothing; one that is gone.
    for what in ["freeze", "kill"] {
        two.service(what, "sshd");
        finds_within(&cluster, 8.0, 1, &["VA102 node2", "VA209 all"]);
    }
}
