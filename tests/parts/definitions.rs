// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirt's own view, by its in-process test driver: it takes marked definitions, keeps the mark, reads the same facts.

use std::process::Command;

use vm_agent::model::definition::{MARK_NAMESPACE, with_mark};

use crate::unit::definitions::facts::{FULL, facts};
use crate::unit::definitions::marks::mark;

const METADATA: &str = "<metadata><l:libosinfo xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'>\
    <l:os id='http://debian.org/debian/12'/></l:libosinfo></metadata>";

/// A definition that the test driver takes, with what is given inside.
fn definition(inside: &str) -> String {
    format!(
        "<domain type='test'>\n  <name>vm &amp; 1</name>\n  {inside}\n  \
         <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3f5e</uuid>\n  <memory unit='MB'>500</memory>\n  \
         <vcpu current='1'>2</vcpu>\n  <os>\n    <type>hvm</type>\n  </os>\n</domain>\n"
    )
}

/// What virsh prints for `commands` after `text` was defined; `[FILE]` stands for the definition.
fn virsh(text: &str, commands: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definition");
    std::fs::write(&file, text).unwrap();
    let commands = commands.replace("[FILE]", file.to_str().unwrap());
    let mut virsh = Command::new("virsh");
    virsh.args(["-q", "-c", "test:///default", &commands]).env("LC_ALL", "C");
    let output = virsh.output().unwrap_or_else(|error| panic!("virsh is needed (libvirt-clients): {error}"));
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() && said.is_empty() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(said) }
}

#[test]
fn libvirt_keeps_the_mark_and_everything_beside_it() {
    for inside in ["", "<metadata/>", "<metadata>\n  </metadata>", METADATA] {
        let marked = with_mark(&definition(inside), &mark()).unwrap();
        for take in ["define --validate [FILE]; dumpxml 'vm & 1'", "create --validate [FILE]; dumpxml 'vm & 1'"] {
            let dumped = virsh(&marked, take).unwrap();
            let kept = facts(&dumped);
            assert_eq!(kept.mark, Some(mark()), "{dumped}");
            assert_eq!(dumped.contains("<l:os id=\"http://debian.org/debian/12\"/>"), inside == METADATA, "{dumped}");
        }
    }
}

#[test]
fn libvirt_gives_the_mark_by_its_namespace() {
    let marked = with_mark(&definition(METADATA), &mark()).unwrap();
    let given = virsh(&marked, &format!("define [FILE]; metadata 'vm & 1' --uri {MARK_NAMESPACE}")).unwrap();
    assert!(given.contains("instance=\"vm-web:0\""), "{given}");
}

#[test]
fn a_mark_is_replaced_in_what_libvirt_made_of_it() {
    let marked = with_mark(&definition(METADATA), &mark()).unwrap();
    let dumped = virsh(&marked, "define [FILE]; dumpxml 'vm & 1'").unwrap();
    let mut other = mark();
    other.instance = "other".into();
    let again = with_mark(&dumped, &other).unwrap();
    assert_eq!(again.matches(MARK_NAMESPACE).count(), 1, "{again}");
    let dumped = virsh(&again, "define [FILE]; dumpxml 'vm & 1'").unwrap();
    assert_eq!(facts(&dumped).mark, Some(other));
}

#[test]
fn libvirt_reads_the_same_facts() {
    let text = definition("<title>A &lt;title&gt;</title>");
    let (read, kept) = (facts(&text), facts(&virsh(&text, "define [FILE]; dumpxml 'vm & 1'").unwrap()));
    assert_eq!((&read.name, read.uuid, &read.title), (&kept.name, kept.uuid, &kept.title));
    assert_eq!((read.vcpus_max, read.vcpus_current), (kept.vcpus_max, kept.vcpus_current));
    assert_eq!(read.memory_max_kib, Some(488_282));
    assert_eq!((read.memory_max_kib, read.memory_current_kib), (kept.memory_max_kib, kept.memory_current_kib));
}

#[test]
fn libvirt_reads_the_same_devices() {
    let text = FULL.replacen("type='kvm'", "type='test'", 1);
    let mut read = facts(&text);
    let mut kept = facts(&virsh(&text, "define [FILE]; dumpxml 4dea22b3-1d52-d8f3-2516-782e98ab3f5e").unwrap());
    // libvirt sorts the disks by their names in the guest, and invents the addresses that are left out.
    read.disks.sort_by(|a, b| a.target.cmp(&b.target));
    kept.disks.sort_by(|a, b| a.target.cmp(&b.target));
    for (read, kept) in read.interfaces.iter().zip(&mut kept.interfaces) {
        kept.mac = read.mac.clone().and(kept.mac.take());
    }
    assert_eq!(read, kept);
}

#[test]
fn libvirt_takes_the_name_that_is_read() {
    let rest = "<memory>1024</memory><os><type>hvm</type></os>";
    for name in [
        "plain",
        " with blanks ",
        "a&#98;c",
        "<![CDATA[a&b]]>",
        "a<!-- x -->b",
        "&lt;&amp;&quot;",
        "1",
        "caf\u{e9}",
        "a.b",
        "..",
        "a&#9;b",
        "a<?pi x?>b",
    ] {
        let text = format!(
            "<domain type='test' xmlns:x='u:1'><!-- <name>c</name> --><x:name>x</x:name>\
             <metadata><x:m><name>m</name></x:m></metadata><name>{name}</name>{rest}</domain>"
        );
        let uuid = "<uuid>4dea22b3-1d52-d8f3-2516-782e98ab3f5e</uuid></domain>";
        let text = text.replace("</domain>", uuid);
        let dumped = virsh(&text, "define [FILE]; dumpxml 4dea22b3-1d52-d8f3-2516-782e98ab3f5e").unwrap();
        assert_eq!(facts(&dumped).name, facts(&text).name, "{dumped}");
    }
}

/// What is unusual and well is read as libvirt reads it, and what it is marked in still is.
#[test]
fn what_libvirt_takes_is_read_in_the_same_way() {
    let title = |title: &str| definition(&format!("<title>{title}</title>"));
    let declares = |encoding: &str, text: &str| format!("<?xml version='1.0' encoding='{encoding}'?>\n{text}");
    for (text, expected) in [
        (declares("ISO-8859-1", &title("x")), "x"),
        (declares("us-ascii", &title("caf&#xe9;")), "caf\u{e9}"),
        (format!("<!DOCTYPE domain>\n{}", title("x")), "x"),
        (title("x").replace("<memory", "<metadata><x:y z:a='1'/></metadata>\n  <memory"), "x"),
    ] {
        let read = facts(&text);
        let marked = with_mark(&text, &mark()).unwrap();
        for text in [&text, &marked] {
            let dumped = facts(&virsh(text, "define [FILE]; dumpxml 'vm & 1'").unwrap());
            assert_eq!((dumped.title.as_deref(), &dumped.name), (Some(expected), &read.name), "{marked}");
            assert_eq!(read.title.as_deref(), Some(expected));
        }
    }
}
