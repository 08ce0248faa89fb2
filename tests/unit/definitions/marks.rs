// SPDX-License-Identifier: GPL-2.0-or-later
//! The mark: what it changes in a definition's text, and what it does not.

use vm_agent::model::definition::{MARK_NAMESPACE, MAX_BYTES, Mark, parse, sources, status_file, with_mark};

use super::facts::{FULL, facts};

pub fn mark() -> Mark {
    Mark {
        name: "web".into(),
        instance: "vm-web:0".into(),
        source: "/srv/vm \"a\"/<b>/c&d's\t\n\r\u{e9}.xml".into(),
        sha256: "0123456789abcdef".repeat(4),
        started: "2026-11-22T04:50:00Z".into(),
        node: "node1".into(),
        generation: 3,
        disks: r#"{"vda":"/a.img"}"#.into(),
        base: r#"9000000 {"devices":"0123456789abcdef"}"#.into(),
        first: "1".repeat(64),
    }
}

const ELEMENT: &str = "<vm-agent:managed xmlns:vm-agent=\"https://vm-agent.org/xmlns/domain/1.0\" \
    instance=\"i\" name=\"\" source=\"\" sha256=\"\" started=\"\" node=\"\"/>";

/// `text` inside a domain with a small mark, which is written as `[MARK]`.
fn marked(text: &str) -> String {
    let small = Mark { instance: "i".into(), ..Mark::default() };
    let text = with_mark(&format!("<domain type='a'>{text}</domain>"), &small).unwrap();
    let text = text.strip_prefix("<domain type='a'>").and_then(|text| text.strip_suffix("</domain>"));
    text.unwrap().replace(ELEMENT, "[MARK]")
}

/// The mark that is read from `text` inside a domain.
fn read(text: &str) -> Option<String> {
    facts(&format!("<domain type='a'><name>n</name>{text}</domain>")).mark.map(|mark| mark.instance)
}

#[test]
fn without_metadata_it_is_made_behind_the_name() {
    assert_eq!(marked("<name>n</name>"), "<name>n</name><metadata>[MARK]</metadata>");
    assert_eq!(
        marked("\r\n  <!-- c -->\r\n  <name>n</name>\r\n  <vcpu>1</vcpu>\r\n"),
        "\r\n  <!-- c -->\r\n  <name>n</name>\r\n  <metadata>[MARK]</metadata>\r\n  <vcpu>1</vcpu>\r\n"
    );
    assert_eq!(marked("<vcpu>1</vcpu><name>n</name >"), "<vcpu>1</vcpu><name>n</name ><metadata>[MARK]</metadata>");
}

#[test]
fn metadata_that_is_there_gets_it_beside_what_it_holds() {
    let x = "<x:y xmlns:x='u:1'>t</x:y>";
    for (before, after) in [
        ("<metadata/>", "<metadata>[MARK]</metadata>"),
        ("<metadata />", "<metadata >[MARK]</metadata>"),
        ("<metadata a='/>'/>", "<metadata a='/>'>[MARK]</metadata>"),
        ("<metadata></metadata>", "<metadata>[MARK]</metadata>"),
        ("<metadata>\n  </metadata>", "<metadata>\n  [MARK]\n  </metadata>"),
    ] {
        assert_eq!(marked(&format!("<name>n</name>{before}")), format!("<name>n</name>{after}"));
    }
    assert_eq!(
        marked(&format!("<metadata>\n    {x}\n  </metadata><name>n</name>")),
        format!("<metadata>\n    [MARK]\n    {x}\n  </metadata><name>n</name>")
    );
    assert_eq!(
        marked("<!-- <metadata/> --><name>n</name><metadata><!-- </metadata> --></metadata>"),
        "<!-- <metadata/> --><name>n</name><metadata>[MARK]<!-- </metadata> --></metadata>"
    );
}

#[test]
fn an_older_mark_is_replaced_however_it_was_written() {
    let ns = MARK_NAMESPACE;
    for old in [
        format!("<vm-agent:managed xmlns:vm-agent='{ns}' instance='old'/>"),
        format!("<p:managed xmlns:p='{ns}' instance='old'><p:x>y</p:x></p:managed>"),
        format!("<managed xmlns='{ns}' instance='old'></managed >"),
        format!("<o:other xmlns:o='{ns}'/>"),
    ] {
        let (before, after) = ("<name>n</name><metadata> <x:y xmlns:x='u:1'/>", "<x:z xmlns:x='u:2'/></metadata>");
        assert_eq!(marked(&format!("{before}{old}{after}")), format!("{before}[MARK]{after}"));
        assert_eq!(marked(&format!("{before}{old} {old}{after}")), format!("{before}[MARK] {after}"));
    }
    // Not ours: of another namespace, or not where libvirt keeps metadata.
    let other = "<vm-agent:managed xmlns:vm-agent='u:1' instance='x'/>";
    assert_eq!(
        marked(&format!("<name>n</name><metadata>{other}</metadata>")),
        format!("<name>n</name><metadata>[MARK]{other}</metadata>")
    );
}

#[test]
fn only_an_element_of_our_namespace_directly_in_metadata_is_a_mark() {
    let ours = |name: &str, attributes: &str| format!("<p:{name} xmlns:p='{MARK_NAMESPACE}' {attributes}/>");
    let good = ours("managed", "instance='i'");
    assert_eq!(read(&format!("<metadata>{good}</metadata>")), Some("i".into()));
    assert_eq!(read(&format!("<metadata/><metadata>{good}</metadata>")), None, "libvirt takes the first");
    assert_eq!(read(&format!("<metadata><a>{good}</a></metadata>")), None);
    assert_eq!(read(&format!("<metadata><!-- {good} --></metadata>")), None);
    assert_eq!(read(&good), None);
    assert_eq!(read(&format!("<metadata>{}</metadata>", ours("other", "instance='i'"))), None);
    assert_eq!(read(&format!("<metadata>{}</metadata>", ours("managed", "instance=''"))), None);
    assert_eq!(read(&format!("<metadata>{}</metadata>", ours("managed", "p:instance='i'"))), None);
    assert_eq!(read("<metadata><managed instance='i'/></metadata>"), None);
}

#[test]
fn a_mark_comes_back_as_it_went_in() {
    let text = with_mark(FULL, &mark()).unwrap();
    let mut read = facts(&text);
    assert_eq!(read.mark.take(), Some(mark()));
    assert_eq!(read, facts(FULL));
    assert_eq!(with_mark(&text, &mark()).unwrap(), text, "marking again changes nothing");
    let other = Mark { instance: "other".into(), ..Mark::default() };
    let back = with_mark(&with_mark(&text, &other).unwrap(), &mark()).unwrap();
    assert_eq!(back, text);
}

#[test]
fn every_other_byte_stays_as_it_was() {
    let text = with_mark(FULL, &mark()).unwrap();
    let start = text.find("<vm-agent:managed").unwrap();
    let end = start + text[start..].find("/>").unwrap() + 2;
    let indent = start - text[..start].trim_end().len();
    assert_eq!(format!("{}{}", &text[..start - indent], &text[end..]), FULL);
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    let text = with_mark(FULL, &mark()).unwrap();
    assert_eq!(with_mark(&format!("\u{feff}{FULL}"), &mark()).unwrap(), format!("\u{feff}{text}"));
}

#[test]
fn a_character_that_xml_cannot_hold_does_not_hinder_a_start() {
    let odd = Mark { instance: "i".into(), source: "/a\u{1}\u{0}\u{ffff}b".into(), ..Mark::default() };
    let text = with_mark("<domain type='a'><name>n</name></domain>", &odd).unwrap();
    assert_eq!(facts(&text).mark.unwrap().source, "/a\u{fffd}\u{fffd}\u{fffd}b");
}

#[test]
fn what_is_no_definition_is_not_marked() {
    for text in [
        "",
        "<network/>",
        "<domain type='a'/>",
        "<domain type='a'><name>n</name>",
        "<domain type='a'><name>a/b</name></domain>",
    ] {
        assert_eq!(with_mark(text, &mark()), parse(text.as_bytes()).map(|_| String::new()), "{text}");
    }
    let start = "<domain type='a'><name>n</name>";
    let largest = format!("{start}{}</domain>", " ".repeat(MAX_BYTES - start.len() - "</domain>".len()));
    assert!(parse(largest.as_bytes()).is_ok());
    assert!(with_mark(&largest, &mark()).unwrap_err().to_string().starts_with("it is too large"));
}

/// A disk as a definition has it, as libvirt's file about the running domain has it, and whether it was switched.
#[test]
fn only_a_disk_that_lost_what_its_definition_names_was_switched() {
    for (defined, running, switched) in [
        ("<source file='/a'/>", "<source file='/a' index='1'/>", false),
        ("<source file='/a'/>", "<source file='/b' index='2'/>", true),
        (
            "<source file='/a'/><transient/>",
            "<source file='/a.TRANSIENT-n' index='2'/><backingStore type='file'><source file='/a'/></backingStore><transient/>",
            false,
        ),
        (
            "<source pool='p' volume='v'/>",
            "<source pool='p' volume='v' actualType='file' file='/pools/p/v' index='1'/>",
            false,
        ),
    ] {
        let id = "<uuid>9a2c7b1e-0000-4000-8000-000000000001</uuid>";
        let domain = |source: &str| {
            let disk = format!("<disk device='disk'>{source}<target dev='vda'/></disk>");
            format!("<domain type='a'><name>n</name>{id}<devices>{disk}</devices></domain>")
        };
        let mark = Mark { instance: "i".into(), disks: sources(&facts(&domain(defined)).disks), ..Mark::default() };
        let text = format!("<domstatus>{}</domstatus>", with_mark(&domain(running), &mark).unwrap());
        let found = status_file(text.as_bytes()).unwrap().switched.unwrap_or_default();
        assert_eq!(!found.is_empty(), switched, "{found:?}");
    }
}
