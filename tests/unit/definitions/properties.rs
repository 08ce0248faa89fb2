// SPDX-License-Identifier: GPL-2.0-or-later
//! What holds for every text and every path, over generated ones: above all that nothing panics.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use proptest::prelude::*;
use vm_agent::host::locate::in_path;
use vm_agent::model::definition::{Mark, parse, with_mark};
use vm_agent::model::params::PathSpec;

use super::facts::{FULL, facts};

/// Pieces of markup, whole and broken, that a text is made of.
const PIECES: &[&str] = &[
    "<domain type='kvm'>",
    "</domain>",
    "<name>",
    "</name>",
    "web",
    "<name/>",
    "<metadata>",
    "</metadata>",
    "<metadata/>",
    "<!--",
    "-->",
    "<!-->",
    "<!--->",
    "--",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "<??>",
    "<?xml version='1.0'?>",
    "<!",
    "<!>",
    "<!DOCTYPE d [",
    "<!ENTITY e 'x'>",
    "]>",
    "&",
    ";",
    "&amp;",
    "&e;",
    "&#65;",
    "&#x0;",
    "<",
    ">",
    "/",
    "/>",
    "'",
    "\"",
    "=",
    " ",
    "\n",
    "\r",
    "\t",
    "<a xmlns='u:1'>",
    "</a>",
    "<x:a xmlns:x='u:1' x:b='c'/>",
    "<x:a/>",
    "\u{feff}",
    "\u{0}",
    "\u{e9}",
    "\u{1f600}",
    "xmlns:x",
    "<memory unit='GiB'>",
    "</memory>",
    "<uuid>",
    "</uuid>",
    "<devices>",
    "</devices>",
    "<disk type='file'>",
    "</disk>",
    "<source file='/a'/>",
    "0",
    "-1",
    "<p:managed xmlns:p='https://vm-agent.org/xmlns/domain/1.0' instance='i'/>",
];

fn broken_markup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

/// Text as it may stand in an attribute or an element, with its escaped form.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&#60;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#x27;"),
            '\r' | '\n' | '\t' => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
        escaped
    })
}

/// Well-formed content of some depth: never a `<name>` of the root.
fn content() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-z &<>'\u{e9}]{0,8}".prop_map(|text| escaped(&text)),
        Just("<!-- <name>c</name> -->".to_owned()),
        Just("<![CDATA[<name>&x;</name>]]>".to_owned()),
        Just("<?pi <name>?>".to_owned()),
        Just("<metadata/>".to_owned()),
        Just("<x:name xmlns:x='u:1'>x</x:name>".to_owned()),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        (prop::collection::vec(inner, 0..6), prop::sample::select(&["a", "metadata", "devices", "os"][..]))
            .prop_map(|(children, name)| format!("<{name} b='c'>{}<name>nested</name></{name}>", children.concat()))
    })
}

/// A valid definition with its name.
fn definition() -> impl Strategy<Value = (String, String)> {
    ("[a-z&<>'\" .\u{e9}\u{4e2d}]{0,12}[a-z]", content(), content(), "[ \n]{0,3}").prop_map(
        |(name, before, after, end)| {
            let root = format!("<domain type='a'>{before}<name>{}</name>{after}</domain>", escaped(&name));
            (format!("<?xml version='1.0'?>{root}{end}"), name)
        },
    )
}

fn any_mark() -> impl Strategy<Value = Mark> {
    let text = || "[ -~\t\r\n\u{85}\u{e9}\u{2028}\u{1f600}]{0,20}";
    ("[!-~]{1,9}", text(), text(), text(), text()).prop_map(|(instance, source, sha256, started, node)| Mark {
        generation: started.len() as u64,
        name: node.clone(),
        instance,
        source,
        sha256,
        started,
        disks: node.clone(),
        base: node.clone(),
        first: String::new(),
        node,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_markup_makes_the_reader_panic(text in broken_markup()) {
        if let Err(error) = parse(text.as_bytes()) {
            let said = error.to_string();
            prop_assert!(!said.is_empty() && !said.contains(char::is_control), "{said}");
        }
        let _ = with_mark(&text, &Mark::default());
    }

    #[test]
    fn no_damage_to_a_definition_makes_the_reader_panic(
        edits in prop::collection::vec((0..FULL.len(), prop::sample::select(PIECES), 0_usize..20), 1..4)
    ) {
        let mut text = FULL.as_bytes().to_vec();
        for (at, piece, removed) in edits {
            let at = at.min(text.len());
            let end = (at + removed).min(text.len());
            text.splice(at..end, piece.bytes());
        }
        let text = String::from_utf8_lossy(&text);
        let read = parse(text.as_bytes());
        prop_assert_eq!(with_mark(&text, &Mark { instance: "i".into(), ..Mark::default() }).is_ok(), read.is_ok());
    }

    #[test]
    fn a_definition_gives_its_own_name_whatever_else_is_in_it((text, name) in definition()) {
        prop_assert_eq!(facts(&text).name, name);
    }

    #[test]
    fn a_definition_that_is_cut_off_is_refused((text, _) in definition(), cut in any::<prop::sample::Index>()) {
        let whole = text.trim_end();
        let end = cut.index(whole.len());
        prop_assert!(parse(&whole.as_bytes()[..end]).is_err());
    }

    #[test]
    fn a_mark_changes_no_other_fact_and_no_other_byte((text, _) in definition(), mark in any_mark()) {
        let marked = with_mark(&text, &mark).unwrap();
        let mut read = facts(&marked);
        prop_assert_eq!(read.mark.take(), Some(mark.clone()));
        prop_assert_eq!(read, facts(&text));
        prop_assert_eq!(with_mark(&marked, &mark).unwrap(), marked.clone());
        // Without the mark: in metadata that was there, in metadata made for it, in a `<metadata/>` opened for it.
        let (before, rest) = marked.split_once("<vm-agent:managed").unwrap();
        let (before, after) = (before.trim_end(), rest.split_once("/>").unwrap().1);
        let made = before.strip_suffix("<metadata>").zip(after.strip_prefix("</metadata>"));
        let opened = before.strip_suffix('>').zip(after.strip_prefix("</metadata>"));
        prop_assert!(
            format!("{before}{after}") == text
                || made.is_some_and(|(before, after)| format!("{}{after}", before.trim_end()) == text)
                || opened.is_some_and(|(before, after)| format!("{before}/>{after}") == text),
            "{}\n{}", text, marked
        );
    }

    #[test]
    fn no_path_and_no_name_makes_the_search_panic(
        spec in prop::collection::vec(any::<u8>().prop_filter("NUL", |b| *b != 0), 0..80),
        name in any::<String>()
    ) {
        // Only below a folder that does not exist: the host is not to be searched.
        let spec = [b"/nonexistent/", &spec[..]].concat().split(|b| *b == b':').map(|entry| {
            if entry.is_empty() { Vec::new() } else { [b"/nonexistent/", entry].concat() }
        }).collect::<Vec<_>>().join(&b':');
        if let Ok(spec) = PathSpec::parse(OsStr::from_bytes(&spec)) {
            let _ = in_path(&spec, &name, vm_agent::host::locate::Waits::Long).map_err(|error| error.to_string());
        }
    }

    #[test]
    fn every_entry_of_a_path_is_kept_literally(folders in prop::collection::vec("/[^:\u{0}]{0,12}", 0..6)) {
        let spec = PathSpec::parse(OsStr::new(&folders.join("::"))).unwrap();
        let read: Vec<_> = spec.folders().iter().map(|folder| folder.to_str().unwrap()).collect();
        prop_assert_eq!(read, folders);
    }
}

#[test]
fn the_full_definition_cut_off_anywhere_is_refused() {
    let whole = FULL.trim_end();
    for end in 0..whole.len() {
        assert!(parse(&whole.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    assert!(parse(whole.as_bytes()).is_ok());
}
