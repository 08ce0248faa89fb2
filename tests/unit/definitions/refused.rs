// SPDX-License-Identifier: GPL-2.0-or-later
//! What is no definition, and what is said about it. Each text is refused, at a place, with words.

use vm_agent::model::definition::{MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, parse};

/// The error's sentence; the text must be refused.
fn refused(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    match parse(text) {
        Ok(facts) => panic!("accepted as '{}': {}", facts.name, String::from_utf8_lossy(text)),
        Err(error) => error.to_string(),
    }
}

/// Each text stands inside `<domain type='a'>...</domain>`, or is the whole document when it begins with `^`.
fn each_is_refused(cases: &[(&str, &str)]) {
    for (case, expected) in cases {
        let text = match case.strip_prefix('^') {
            Some(text) => text.to_owned(),
            None => format!("<domain type='a'>{case}</domain>"),
        };
        let said = refused(&text);
        assert_eq!(said, *expected, "for {text}");
        assert!(said.is_ascii() && said.len() <= 128, "{said}");
    }
}

#[test]
fn a_text_that_ends_too_early_is_refused() {
    each_is_refused(&[
        ("^", "it is empty"),
        ("^\u{feff} \n", "it is empty"),
        ("^<?xml version='1.0'?>\n", "it has no element; is the file complete?"),
        ("^<!-- x -->", "it has no element; is the file complete?"),
        (
            "^<domain type='a'><name>n</name>",
            "line 1, column 32: the text ends before </domain>; is the file complete?",
        ),
        ("^<domain type='a'>\n<name>n", "line 2, column 8: the text ends before </name>; is the file complete?"),
        ("^<domain type='a'>\n<name>n</name", "line 2, column 8: tag not closed: '>' not found before end of input"),
        ("^<domain type='a'><", "line 1, column 18: tag not closed: '>' not found before end of input"),
        ("^<domain type='a", "line 1, column 1: attribute value not closed: ''' not found before end of input"),
        (
            "^<domain><!-- <name>n</name></domain>",
            "line 1, column 9: comment not closed: '-->' not found before end of input",
        ),
        ("^<domain><![CDATA[<name>", "line 1, column 9: CDATA not closed: ']]>' not found before end of input"),
        ("^<?xml version='1.0'", "line 1, column 1: XML declaration not closed: '?>' not found before end of input"),
    ]);
}

#[test]
fn tags_that_do_not_match_are_refused() {
    each_is_refused(&[
        ("<name>n</nam>", "line 1, column 25: </nam> where </name> is expected"),
        ("<name>n</Name>", "line 1, column 25: </Name> where </name> is expected"),
        ("<a><b></a></b>", "line 1, column 24: </a> where </b> is expected"),
        ("<a></ a>", "line 1, column 21: </ a> where </a> is expected"),
        ("<a></a b='c'>", "line 1, column 21: </a b='c'> where </a> is expected"),
        ("^</domain>", "line 1, column 1: </domain> closes nothing"),
        ("^<domain type='a'><name>n</name></domain></domain>", "line 1, column 41: </domain> closes nothing"),
    ]);
}

#[test]
fn a_document_has_one_root_and_nothing_beside_it() {
    let one = "<domain type='a'><name>n</name></domain>";
    for (text, expected) in [
        (format!("{one}{one}"), "line 1, column 41: a second root element <domain>; a document has one"),
        (format!("{one}\n<x/>"), "line 2, column 1: a second root element <x>; a document has one"),
        (format!("<x/>{one}"), "line 1, column 5: a second root element <domain>; a document has one"),
        (format!("{one}\n rest"), "line 2, column 2: text outside the root element"),
        (format!("vm = 1\n{one}"), "line 1, column 1: text outside the root element"),
        (format!("{one}&amp;"), "line 1, column 41: text outside the root element"),
        (format!("&#32;{one}"), "line 1, column 1: text outside the root element"),
        (format!("{one}<![CDATA[ ]]>"), "line 1, column 41: text outside the root element"),
        (format!("\u{feff}\u{feff}{one}"), "line 1, column 1: text outside the root element"),
        (
            format!("\n<?xml version='1.0'?>{one}"),
            "line 2, column 1: an XML declaration stands elsewhere than at the very beginning",
        ),
        (
            format!("{one}<?xml version='1.0'?>"),
            "line 1, column 41: an XML declaration stands elsewhere than at the very beginning",
        ),
    ] {
        assert_eq!(refused(&text), expected, "for {text}");
    }
}

#[test]
fn entities_are_never_expanded() {
    each_is_refused(&[
        (
            "^<!DOCTYPE domain SYSTEM 'x.dtd'><domain type='a'><name>n</name></domain>",
            "line 1, column 1: a DOCTYPE with more than a name is not accepted in a definition; remove it",
        ),
        (
            "^<!DOCTYPE domain []><domain type='a'><name>n</name></domain>",
            "line 1, column 1: a DOCTYPE with more than a name is not accepted in a definition; remove it",
        ),
        (
            "^<!DOCTYPE domain><domain type='a'><name>&e;</name></domain>",
            "line 1, column 41: the entity '&e;' is not one of XML's own five",
        ),
        (
            "^<!DOCTYPE a><!DOCTYPE b><domain type='a'><name>n</name></domain>",
            "line 1, column 13: a DOCTYPE stands elsewhere than once before the root element",
        ),
        (
            "^<domain type='a'><name>n</name></domain><!DOCTYPE domain>",
            "line 1, column 41: a DOCTYPE stands elsewhere than once before the root element",
        ),
        (
            "^<!DOCTYPE d [<!ENTITY e 'n'>]><domain type='a'><name>&e;</name></domain>",
            "line 1, column 1: a DOCTYPE with more than a name is not accepted in a definition; remove it",
        ),
        (
            "^<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain type='a'><name>&e;</name></domain>",
            "line 1, column 1: a DOCTYPE with more than a name is not accepted in a definition; remove it",
        ),
        (
            "^<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'><!ENTITY c '&b;&b;&b;'>]><d>&c;</d>",
            "line 1, column 1: a DOCTYPE with more than a name is not accepted in a definition; remove it",
        ),
        (
            "^<!doctype html><domain/>",
            "line 1, column 1: a DOCTYPE with more than a name is not accepted in a definition; remove it",
        ),
        ("<!DOCTYPE x>", "line 1, column 18: a DOCTYPE stands elsewhere than once before the root element"),
        ("<name>&e;</name>", "line 1, column 24: the entity '&e;' is not one of XML's own five"),
        ("<name>&nbsp;</name>", "line 1, column 24: the entity '&nbsp;' is not one of XML's own five"),
        ("<name>&AMP;</name>", "line 1, column 24: the entity '&AMP;' is not one of XML's own five"),
        ("<name>&;</name>", "line 1, column 24: the entity '&;' is not one of XML's own five"),
        ("<name>&#;</name>", "line 1, column 24: the reference '&#;' means no character of XML"),
        ("<name>&#x;</name>", "line 1, column 24: the reference '&#x;' means no character of XML"),
        ("<name>&#0;</name>", "line 1, column 24: the reference '&#0;' means no character of XML"),
        ("<name>&#X41;</name>", "line 1, column 24: the reference '&#X41;' means no character of XML"),
        ("<name>&#+65;</name>", "line 1, column 24: the reference '&#+65;' means no character of XML"),
        ("<name>&# 65;</name>", "line 1, column 24: the reference '&# 65;' means no character of XML"),
        ("<name>&#xD800;</name>", "line 1, column 24: the reference '&#xD800;' means no character of XML"),
        ("<name>&#xFFFE;</name>", "line 1, column 24: the reference '&#xFFFE;' means no character of XML"),
        ("<name>&#x110000;</name>", "line 1, column 24: the reference '&#x110000;' means no character of XML"),
        (
            "<name>&#99999999999999999999;</name>",
            "line 1, column 24: the reference '&#99999999999999999999;' means no character of XML",
        ),
        ("<name>a & b</name>", "line 1, column 26: '&' begins no reference; write &amp;"),
        ("<name>a&b</name>", "line 1, column 25: '&' begins no reference; write &amp;"),
        ("<name>&amp</name>", "line 1, column 24: '&' begins no reference; write &amp;"),
        ("<a b='&e;'/>", "line 1, column 24: the entity '&e;' is not one of XML's own five"),
        ("<a b='&'/>", "line 1, column 24: '&' in an attribute's value begins no reference; write &amp;"),
        ("<a b='x\ny&#0;'/>", "line 2, column 2: the reference '&#0;' means no character of XML"),
    ]);
}

#[test]
fn ill_formed_markup_is_refused() {
    each_is_refused(&[
        ("<a b='1' b='2'/>", "line 1, column 27: the attribute 'b' stands twice in one tag"),
        (
            "<a xmlns:p='u:1' xmlns:q='u:1' p:b='1' q:b='2'/>",
            "line 1, column 18: the attribute 'q:b' stands twice in one tag",
        ),
        ("<a b=1/>", "line 1, column 21: an attribute is not of the form name=\"value\""),
        ("<a b/>", "line 1, column 21: an attribute is not of the form name=\"value\""),
        ("<a b='1'c='2'/>", "line 1, column 26: white space is missing before an attribute"),
        ("<a b='1' =''/>", "line 1, column 27: an attribute is not of the form name=\"value\""),
        ("<a 1='1'/>", "line 1, column 21: an attribute is not of the form name=\"value\""),
        ("<a b='<'/>", "line 1, column 24: '<' in an attribute's value; write &lt;"),
        ("<a / >", "line 1, column 21: an attribute is not of the form name=\"value\""),
        ("<a <b c='d'/>", "line 1, column 21: an attribute is not of the form name=\"value\""),
        ("< a/>", "line 1, column 18: <> is not a valid element name"),
        ("<>", "line 1, column 18: <> is not a valid element name"),
        ("</>", "line 1, column 18: </> where </domain> is expected"),
        ("<1a/>", "line 1, column 18: <1a> is not a valid element name"),
        ("<a:b:c/>", "line 1, column 18: <a:b:c> is not a valid element name"),
        ("<:a/>", "line 1, column 18: <:a> is not a valid element name"),
        ("<a:/>", "line 1, column 18: <a:> is not a valid element name"),
        ("]]>", "line 1, column 18: ']]>' in text, which XML forbids; write ]]&gt;"),
        ("<!-- a -- b -->", "line 1, column 18: a comment holds '--', which XML forbids"),
        ("<!-- a --->", "line 1, column 18: a comment holds '--', which XML forbids"),
        ("<?xml?>", "line 1, column 18: an XML declaration stands elsewhere than at the very beginning"),
        ("<?XML a?>", "line 1, column 18: a processing instruction has no valid name"),
        ("<? a?>", "line 1, column 18: a processing instruction has no valid name"),
        ("<![cdata[x]]>", "line 1, column 18: CDATA not closed: ']]>' not found before end of input"),
        ("<!ELEMENT a EMPTY>", "line 1, column 18: unknown or missed symbol in markup"),
        ("\u{1}", "line 1, column 18: the character U+0001, which XML forbids"),
        ("a\u{0}b", "line 1, column 19: the character U+0000, which XML forbids"),
        ("\u{fffe}", "line 1, column 18: the character U+FFFE, which XML forbids"),
        ("<!-- \u{b} -->", "line 1, column 23: the character U+000B, which XML forbids"),
    ]);
}

#[test]
fn namespaces_must_be_sensible() {
    each_is_refused(&[
        ("<a x:b='1' x:b='2'/>", "line 1, column 29: the attribute 'x:b' stands twice in one tag"),
        ("<x:name>n</x:name>", "line 1, column 1: <domain> has no <name>"),
        ("<a xmlns:x=''/>", "line 1, column 18: the namespace prefix 'x' is bound to nothing"),
        ("<a xmlns:xmlns='u:1'/>", "line 1, column 18: the namespace prefix 'xmlns' is bound as XML forbids"),
        ("<a xmlns:xml='u:1'/>", "line 1, column 18: the namespace prefix 'xml' is bound as XML forbids"),
        (
            "<a xmlns:y='http://www.w3.org/XML/1998/namespace'/>",
            "line 1, column 18: the namespace prefix 'y' is bound as XML forbids",
        ),
    ]);
}

#[test]
fn the_name_follows_libvirts_rules() {
    each_is_refused(&[
        ("", "line 1, column 1: <domain> has no <name>"),
        ("<name/>", "line 1, column 18: <name> is empty"),
        ("<name></name>", "line 1, column 18: <name> is empty"),
        ("<name> \t </name>", "line 1, column 18: <name> is empty"),
        ("<name><!-- n --></name>", "line 1, column 18: <name> is empty"),
        ("<name>a/b</name>", "line 1, column 18: <name> holds a '/', which libvirt refuses"),
        ("<name>a&#47;b</name>", "line 1, column 18: <name> holds a '/', which libvirt refuses"),
        ("<name>a\nb</name>", "line 1, column 18: <name> holds a line break, which libvirt refuses"),
        ("<name>\n  a\n</name>", "line 1, column 18: <name> holds a line break, which libvirt refuses"),
        ("<name>a&#10;b</name>", "line 1, column 18: <name> holds a line break, which libvirt refuses"),
        ("<name>a</name><name>b</name>", "line 1, column 32: a second <name>; a domain has one"),
        ("<name>a</name><name>a</name>", "line 1, column 32: a second <name>; a domain has one"),
        ("<name>a<b>c</b></name>", "line 1, column 25: an element inside <name>; expected text only"),
        ("<x:name xmlns:x='u:1'>n</x:name>", "line 1, column 1: <domain> has no <name>"),
        ("<name xmlns='u:1'>n</name>", "line 1, column 1: <domain> has no <name>"),
        ("<metadata><name>n</name></metadata>", "line 1, column 1: <domain> has no <name>"),
        ("<Name>n</Name>", "line 1, column 1: <domain> has no <name>"),
        ("<!-- <name>n</name> -->", "line 1, column 1: <domain> has no <name>"),
        ("<![CDATA[<name>n</name>]]>", "line 1, column 1: <domain> has no <name>"),
    ]);
}

#[test]
fn only_a_domain_is_a_definition() {
    each_is_refused(&[
        ("^<network><name>n</name></network>", "line 1, column 1: the root element is <network>; expected <domain>"),
        (
            "^<!-- c -->\n<domainsnapshot><name>n</name></domainsnapshot>",
            "line 2, column 1: the root element is <domainsnapshot>; expected <domain>",
        ),
        (
            "^<domstatus state='running'><domain type='a'><name>n</name></domain></domstatus>",
            "line 1, column 1: <domstatus> is libvirt's own status file of a running domain; expected a definition, <domain>",
        ),
        (
            "^<domain xmlns='u:1' type='a'><name>n</name></domain>",
            "line 1, column 1: <domain> is of the namespace 'u:1'; a definition's has none",
        ),
        ("^<Domain/>", "line 1, column 1: the root element is <Domain>; expected <domain>"),
        ("^<domain><name>n</name></domain>", "line 1, column 1: <domain> has no type, such as type='kvm'"),
        ("^<domain type=''><name>n</name></domain>", "line 1, column 1: <domain> has no type, such as type='kvm'"),
    ]);
}

#[test]
fn values_that_libvirt_refuses_are_refused() {
    each_is_refused(&[
        ("<name>n</name><uuid>x</uuid>", "line 1, column 32: <uuid> is not 32 hexadecimal digits"),
        (
            "<name>n</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3f5e0</uuid>",
            "line 1, column 32: <uuid> is not 32 hexadecimal digits",
        ),
        (
            "<name>n</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3f</uuid>",
            "line 1, column 32: <uuid> is not 32 hexadecimal digits",
        ),
        ("<memory>much</memory>", "line 1, column 18: <memory> holds 'much'; expected a whole number below 16 EiB"),
        ("<memory>-1</memory>", "line 1, column 18: <memory> holds '-1'; expected a whole number below 16 EiB"),
        ("<memory>1.5</memory>", "line 1, column 18: <memory> holds '1.5'; expected a whole number below 16 EiB"),
        (
            "<memory unit='E'>16</memory>",
            "line 1, column 18: <memory> holds '16'; expected a whole number below 16 EiB",
        ),
        (
            "<currentMemory unit='Byte x'>1</currentMemory>",
            "line 1, column 18: <currentMemory> has the unit 'Byte x'; expected KiB, MiB, GiB, ...",
        ),
        ("<vcpu>two</vcpu>", "line 1, column 18: <vcpu> holds 'two'; expected a number"),
        ("<vcpu current='+1'>2</vcpu>", "line 1, column 18: <vcpu> holds '+1'; expected a number"),
        ("<vcpu>4294967296</vcpu>", "line 1, column 18: <vcpu> holds '4294967296'; expected a number"),
    ]);
}

#[test]
fn other_encodings_than_utf_8_are_refused_unless_all_is_ascii() {
    let ascii = "<domain type='a'><name>n</name></domain>";
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| ascii.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let message = "it is UTF-16 or UTF-32; save it as UTF-8";
    assert_eq!(refused(utf_16(u16::to_le_bytes)), message);
    assert_eq!(refused(utf_16(u16::to_be_bytes)), message);
    assert_eq!(refused([&[0xff, 0xfe], &utf_16(u16::to_le_bytes)[..]].concat()), message);
    assert_eq!(refused([&[0xfe, 0xff], &utf_16(u16::to_be_bytes)[..]].concat()), message);
    assert_eq!(
        refused(b"<domain type='a'>\n<name>caf\xe9</name></domain>"),
        "line 2, column 10: a byte that is not UTF-8; save the file as UTF-8"
    );
    let declared = |rest: &str| refused(format!("<?xml {rest}?>{ascii}"));
    for other in ["windows-1252", "ISO-8859-15", "UTF-16", "utf8"] {
        let message = format!("line 1, column 1: the encoding is declared as '{other}'; save the file as UTF-8");
        assert_eq!(declared(&format!("version='1.0' encoding='{other}'")), message);
    }
    for encoding in ["ISO-8859-1", "us-ascii"] {
        let text =
            format!("<?xml version='1.0' encoding='{encoding}'?><domain type='a'><name>caf\u{e9}</name></domain>");
        let message = format!("line 1, column 1: the encoding is declared as '{encoding}'; save the file as UTF-8");
        assert_eq!(refused(text), message);
    }
    for rest in [
        "",
        "version='2.0'",
        "version='1.'",
        "version='1.0' encoding=UTF-8",
        "encoding='UTF-8' version='1.0'",
        "version='1.0' standalone='maybe'",
        "version='1.0' more='1'",
        "version='1.0' version='1.0'",
        "version='1.0' standalone='yes' encoding='UTF-8'",
    ] {
        let ill = "the XML declaration is not of the form <?xml version=\"1.0\" encoding=\"UTF-8\"?>";
        assert_eq!(declared(rest), format!("line 1, column 1: {ill}"), "for {rest}");
    }
}

#[test]
fn what_is_larger_than_any_definition_is_refused() {
    let inside = |inside: &str| format!("<domain type='a'><name>n</name>{inside}</domain>");
    assert_eq!(
        refused(inside(&" ".repeat(5 << 20))),
        format!("it is too large: {} bytes, at most 4194304 (4 MiB) are read", (5 << 20) + inside("").len())
    );
    assert!(parse(inside(&" ".repeat(MAX_BYTES - inside("").len())).as_bytes()).is_ok());

    let nested = |depth: usize| inside(&format!("{}{}", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1)));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(refused(nested(MAX_DEPTH + 1)), "line 1, column 797: elements are nested deeper than 256");
    assert_eq!(refused("<a>".repeat(1 << 20)), "line 1, column 769: elements are nested deeper than 256");

    assert!(parse(inside(&"<a/>".repeat(MAX_ELEMENTS - 2)).as_bytes()).is_ok());
    assert!(refused(inside(&"<a/>".repeat(MAX_ELEMENTS - 1))).ends_with("more than 65536 elements"));
    assert!(refused(inside(&"<a/>".repeat(1_000_000))).ends_with("more than 65536 elements"));

    let attributes = |count: usize| (0..count).map(|i| format!(" a{i}=''")).collect::<String>();
    assert!(parse(inside(&format!("<a{}/>", attributes(256))).as_bytes()).is_ok());
    assert!(refused(inside(&format!("<a{}/>", attributes(257)))).ends_with("more than 256 attributes in one tag"));
    assert!(refused(inside(&format!("<a{}/>", attributes(300_000)))).ends_with("more than 256 attributes in one tag"));

    let spaces = |count: usize| (0..count).map(|i| format!("<a xmlns:p{i}='u:{i}'>")).collect::<String>();
    let all: String = (0..200).map(|i| format!(" xmlns:q{i}='u:{i}'")).collect();
    assert!(refused(inside(&format!("<a{all}>{}", spaces(100)))).ends_with("more than 256 namespaces at one place"));
}

#[test]
fn messages_stay_short_and_on_one_line_whatever_the_text_holds() {
    let long = "x".repeat(1 << 20);
    for text in [
        format!("<{long}/>"),
        format!("<{long}>"),
        format!("<{long}></y>"),
        format!("<a></{long}>"),
        format!("</{long}>"),
        format!("<a>&{long};</a>"),
        format!("<a b='&{long};'/>"),
        format!("<a {long}='' {long}=''/>"),
        format!("<{long}:a/>"),
        format!("<?xml version='1.0' encoding='{long}'?>"),
        format!("<domain xmlns='{long}'/>"),
        format!("<domain type='a'><vcpu>{long}</vcpu></domain>"),
        format!("<domain type='a'><memory unit='{long}'>1</memory></domain>"),
        "<a></\n\t\r\u{85}>".to_owned(),
    ] {
        let said = refused(&text);
        assert!(said.chars().count() <= 200 && !said.contains(char::is_control), "{said}");
    }
}
