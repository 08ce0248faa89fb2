// SPDX-License-Identifier: GPL-2.0-or-later
//! The small grammar of XML: characters, names, tags, references, the declaration, namespaces.
//!
//! Messages only: where in the text they belong is the caller's to say.

use std::borrow::Cow;
use std::rc::Rc;

use super::error::shortened;

/// The most attributes in one tag, and the most namespaces in force at one place: bounds on time.
const MAX_ATTRIBUTES: usize = 256;
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// An attribute of an element.
pub struct Attribute<'t> {
    /// The name without its prefix, unless nothing declares the prefix.
    pub name: &'t str,
    /// The namespace; an attribute without a prefix has none.
    pub namespace: Option<Rc<str>>,
    /// The value, references resolved.
    pub value: Cow<'t, str>,
}

/// Attributes as written: names with their prefixes, values resolved.
type Written<'t> = Vec<(&'t str, Cow<'t, str>)>;

/// What is wrong, and at which byte of the text that was handed over.
type WrongAt = (usize, String);

/// A start tag as written: names with their prefixes, values resolved.
pub(super) struct Tag<'t> {
    pub(super) name: &'t str,
    attributes: Written<'t>,
}

/// White space as XML defines it.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Whether XML allows the character at all.
pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Whether this is a name without a colon.
pub(super) fn is_ncname(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// Prefix and name; `None` when this is no name with at most one prefix.
fn split(name: &str) -> Option<(Option<&str>, &str)> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    };
    (prefix.is_none_or(is_ncname) && is_ncname(local)).then_some((prefix, local))
}

/// Line ends as XML hands them on: a line feed each.
pub(super) fn with_line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

/// The character that a reference (what stands between `&` and `;`) means.
pub(super) fn resolve(name: &str) -> Result<char, String> {
    let number = match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "apos" => return Ok('\''),
        "quot" => return Ok('"'),
        _ => name.strip_prefix('#'),
    };
    let Some(number) = number else {
        return Err(format!("the entity '&{};' is not one of XML's own five", shortened(name)));
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let value = if digits.chars().all(|c| c.is_digit(radix)) { u32::from_str_radix(digits, radix).ok() } else { None };
    match value.and_then(char::from_u32).filter(|&c| is_xml_char(c)) {
        Some(c) => Ok(c),
        None => Err(format!("the reference '&{};' means no character of XML", shortened(name))),
    }
}

/// An attribute's value: references resolved, white space as blanks. The error says where in `raw`.
fn attribute_value(raw: &str) -> Result<Cow<'_, str>, WrongAt> {
    if let Some(at) = raw.find('<') {
        return Err((at, "'<' in an attribute's value; write &lt;".into()));
    }
    if !raw.contains(['&', '\t', '\n', '\r']) {
        return Ok(raw.into());
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        let (plain, special) = rest.split_at(at);
        value.push_str(plain);
        let here = raw.len() - special.len();
        if let Some(reference) = special.strip_prefix('&') {
            let unclosed = (here, "'&' in an attribute's value begins no reference; write &amp;".to_owned());
            let (name, after) = reference.split_once(';').ok_or(unclosed)?;
            value.push(resolve(name).map_err(|what| (here, what))?);
            rest = after;
        } else {
            value.push(' ');
            rest = special.strip_prefix("\r\n").or_else(|| special.get(1..)).unwrap_or_default();
        }
    }
    value.push_str(rest);
    Ok(value.into())
}

/// Reads `<name a="b" ...>` or `<name .../>`. The error says where in `raw`.
pub(super) fn scan_tag(raw: &str) -> Result<Tag<'_>, WrongAt> {
    let inner = raw.strip_prefix('<').unwrap_or(raw);
    let inner = inner.strip_suffix("/>").or_else(|| inner.strip_suffix('>')).unwrap_or(inner);
    let name_end = inner.find(is_space).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(name_end);
    if split(name).is_none() {
        return Err((0, format!("<{}> is not a valid element name", shortened(name))));
    }
    let attributes = scan_attributes(rest).map_err(|(at, what)| (1 + name_end + at, what))?;
    Ok(Tag { name, attributes })
}

/// Reads ` a="b" c='d'`: white space before each, names valid and each once. The error says where in `raw`.
fn scan_attributes(raw: &str) -> Result<Written<'_>, WrongAt> {
    let mut attributes: Written<'_> = Vec::new();
    let mut rest = raw;
    loop {
        let begin = rest.trim_start_matches(is_space);
        let at = raw.len() - begin.len();
        if begin.is_empty() {
            return Ok(attributes);
        }
        if begin.len() == rest.len() {
            return Err((at, "white space is missing before an attribute".into()));
        }
        let expected = || (at, "an attribute is not of the form name=\"value\"".to_owned());
        let (name, after) = begin.split_once('=').ok_or_else(expected)?;
        let name = name.trim_end_matches(is_space);
        if split(name).is_none() {
            return Err(expected());
        }
        if attributes.iter().any(|(other, _)| *other == name) {
            return Err((at, format!("the attribute '{}' stands twice in one tag", shortened(name))));
        }
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err((at, format!("more than {MAX_ATTRIBUTES} attributes in one tag")));
        }
        let after = after.trim_start_matches(is_space);
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(expected)?;
        let quoted = after.get(1..).unwrap_or_default();
        let (value, after) = quoted.split_once(quote).ok_or_else(expected)?;
        let value_at = raw.len() - quoted.len();
        attributes.push((name, attribute_value(value).map_err(|(inside, what)| (value_at + inside, what))?));
        rest = after;
    }
}

/// Checks what stands between `<?` and `?>` of an XML declaration: version 1.x, UTF-8, in XML's order.
///
/// Of a text that is all ASCII another encoding may be declared in which it is the same: beyond ASCII, libxml2's versions
/// do not agree whether a declaration counts.
pub(super) fn check_declaration(raw: &str, ascii: bool) -> Result<(), String> {
    let ill = || "the XML declaration is not of the form <?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
    let attributes = scan_attributes(raw.strip_prefix("xml").unwrap_or(raw)).map_err(|_| ill())?;
    let mut attributes = attributes.iter().map(|(name, value)| (*name, value.as_ref())).peekable();
    let version = attributes.next_if(|(name, _)| *name == "version").map(|(_, value)| value);
    let minor = version.and_then(|version| version.strip_prefix("1.")).ok_or_else(ill)?;
    if minor.is_empty() || !minor.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ill());
    }
    if let Some((_, encoding)) = attributes.next_if(|(name, _)| *name == "encoding")
        && !encoding.eq_ignore_ascii_case("UTF-8")
        && !(ascii && extends_ascii(encoding))
    {
        return Err(format!("the encoding is declared as '{}'; save the file as UTF-8", shortened(encoding)));
    }
    attributes.next_if(|(name, value)| *name == "standalone" && matches!(*value, "yes" | "no"));
    if attributes.next().is_some() { Err(ill()) } else { Ok(()) }
}

/// Whether the characters of ASCII are themselves in it, and libxml2 knows it without help.
fn extends_ascii(encoding: &str) -> bool {
    ["ISO-8859-1", "US-ASCII", "ASCII"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
}

/// The namespaces in force.
#[derive(Default)]
pub(super) struct Bindings<'t>(Vec<Binding<'t>>);

struct Binding<'t> {
    depth: usize,
    prefix: Option<&'t str>,
    uri: Option<Rc<str>>,
}

type Resolved<'t> = (Option<Rc<str>>, &'t str, Vec<Attribute<'t>>);

impl<'t> Bindings<'t> {
    /// Takes in the declarations of a start tag at `depth` and resolves its names.
    pub(super) fn enter(&mut self, depth: usize, tag: &Tag<'t>) -> Result<Resolved<'t>, String> {
        for (name, value) in &tag.attributes {
            match split(name) {
                Some((Some("xmlns"), prefix)) => self.bind(depth, Some(prefix), value)?,
                Some((None, "xmlns")) => self.bind(depth, None, value)?,
                _ => {}
            }
        }
        let mut attributes: Vec<Attribute<'t>> = Vec::with_capacity(tag.attributes.len());
        for (full, value) in &tag.attributes {
            let (prefix, local) = split(full).unwrap_or((None, full));
            if prefix == Some("xmlns") || (prefix.is_none() && local == "xmlns") {
                continue;
            }
            let (namespace, name) = if prefix.is_some() { self.resolve(prefix, local, full) } else { (None, local) };
            // Equal namespaces in force at once are one allocation: see `bind`.
            let same = |a: &Attribute<'_>| match (&a.namespace, &namespace) {
                (Some(one), Some(other)) => a.name == name && Rc::ptr_eq(one, other),
                _ => false,
            };
            if attributes.iter().any(same) {
                return Err(format!("the attribute '{}' stands twice in one tag", shortened(full)));
            }
            attributes.push(Attribute { name, namespace, value: value.clone() });
        }
        let (prefix, local) = split(tag.name).unwrap_or((None, tag.name));
        let (namespace, name) = self.resolve(prefix, local, tag.name);
        Ok((namespace, name, attributes))
    }

    /// Forgets what the element at `depth` declared.
    pub(super) fn leave(&mut self, depth: usize) {
        while self.0.last().is_some_and(|binding| binding.depth >= depth) {
            self.0.pop();
        }
    }

    fn bind(&mut self, depth: usize, prefix: Option<&'t str>, uri: &str) -> Result<(), String> {
        let shown = shortened(prefix.unwrap_or("xmlns"));
        match (prefix, uri) {
            (Some("xml"), XML) => return Ok(()),
            (Some("xml" | "xmlns"), _) | (_, XML | XMLNS) => {
                return Err(format!("the namespace prefix '{shown}' is bound as XML forbids"));
            }
            (Some(_), "") => return Err(format!("the namespace prefix '{shown}' is bound to nothing")),
            _ => {}
        }
        if self.0.len() >= MAX_ATTRIBUTES {
            return Err(format!("more than {MAX_ATTRIBUTES} namespaces at one place"));
        }
        let known = self.0.iter().find_map(|binding| binding.uri.clone().filter(|known| **known == *uri));
        let uri = if uri.is_empty() { None } else { Some(known.unwrap_or_else(|| uri.into())) };
        self.0.push(Binding { depth, prefix, uri });
        Ok(())
    }

    /// The namespace and the name in it. A prefix that nothing declares is a part of the name, as for libxml2: `<x:name>`
    /// is then an element of no namespace that nobody looks for.
    fn resolve(&self, prefix: Option<&str>, local: &'t str, full: &'t str) -> (Option<Rc<str>>, &'t str) {
        if prefix == Some("xml") {
            return (Some(XML.into()), local);
        }
        match self.0.iter().rev().find(|binding| binding.prefix == prefix) {
            Some(binding) => (binding.uri.clone(), local),
            None => (None, full),
        }
    }
}
