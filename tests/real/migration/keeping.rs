// SPDX-License-Identifier: GPL-2.0-or-later
//! What is no memory and no disk goes along: the variables of a firmware, and the state of an emulated TPM.

use crate::common::*;

const NVRAM: &str = "/var/lib/libvirt/qemu/nvram/a_VARS.fd";

/// The first bytes of the variables that a host has.
fn variables(host: &Host) -> String {
    host.run("head", &["-c", "7", NVRAM])
}

/// Whether that is what a host has of the TPM.
fn has_tpm(host: &Host, uuid: &str, tpm: &[u8]) -> bool {
    tpm_state(host, uuid).is_some_and(|state| alike(tpm, &state) > 80)
}

/// The definition is libvirt's own, and says nothing of the TPM's state: where the machine arrives it is transient, and libvirt
/// would delete the state at its stop.
#[test]
fn a_firmwares_variables_and_a_tpms_state_go_along_and_outlive_a_stop_and_an_undefinition() {
    let cluster = Cluster::up();
    let (one, two) = (cluster.host(1), cluster.host(2));
    let vars = one.shared().join("vars.fd");
    std::fs::write(&vars, vec![7; 128 << 10]).unwrap();
    // What the guest has written is another thing than what its variables were made from.
    let write = "mkdir -p \"${2%/*}\" && cp \"$1\" \"$2\" && printf written | dd of=\"$2\" conv=notrunc status=none";
    one.run("sh", &["-c", write, "sh", vars.to_str().unwrap(), NVRAM]);
    let firmware = format!(
        "<loader readonly='yes' type='pflash'>/usr/share/seabios/bios-256k.bin</loader><nvram template='{}'/></os>",
        vars.display()
    );
    let mut guest =
        cluster.departs(one.guest("a").polite().edit("</os>", &firmware).edit("<devices>", TPM).persistent());
    let uuid = tag(&one.virsh(&["dumpxml", "a"]), "uuid");
    assert!(!one.virsh(&["dumpxml", "a"]).contains("persistent_state"));
    let tpm = tpm_state(one, &uuid).unwrap();

    let answer = guest.moves(Human, 1, 2).arg("--rehearse").gives(0);
    for words in [
        &format!("the file of its UEFI variables, {NVRAM}, is on a file system of this host's own"),
        &format!("the state of its TPM, /var/lib/libvirt/swtpm/{uuid}, is on a file system of this host's own"),
        "whether node2 has the template of its NVRAM",
    ] {
        assert!(answer.stderr.contains(words), "no '{words}' in {answer}");
    }
    guest.moved(1, 2, &[]);
    assert_eq!(variables(two), "written");
    assert!(two.virsh(&["dumpxml", "a"]).contains("persistent_state='yes'"));
    guest.call(2, Pacemaker, "stop").gives(0);
    assert!(has_tpm(two, &uuid, &tpm), "the stop has lost the state of the TPM");
    guest.call(2, Pacemaker, "start").gives(0);
    assert_eq!(variables(two), "written");
    assert!(has_tpm(two, &uuid, &tpm));
    guest.call(2, Pacemaker, "kill").gives(0);

    // virsh would delete it here as well, with the definition.
    let options = ("migrate_options", "--persistent --undefinesource");
    let mut moved = |params: &[(&str, &str)]| {
        one.call(Pacemaker, "start").named("a").gives(0);
        guest.boot = guest.new_boot();
        let answer = guest.moved(1, 2, params);
        for host in [one, two] {
            assert_eq!(variables(host), "written");
            assert!(has_tpm(host, &uuid, &tpm), "{} has lost the state of the TPM: {answer}", host.name());
        }
        guest.call(2, Pacemaker, "kill").gives(0);
        assert!(has_tpm(two, &uuid, &tpm), "the stop has lost the state of the TPM: {answer}");
    };
    moved(&[options, ("use_virsh", "yes")]);
    assert_eq!(one.state("a"), "shut off");
    moved(&[options]);
    assert_eq!(one.state("a"), "absent");
}
