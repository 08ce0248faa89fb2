// SPDX-License-Identifier: GPL-2.0-or-later
//! The one strict reader of XML: a whole, well-formed document with namespaces, or an error that says where and why.
//!
//! quick-xml cuts the text into markup and does not validate; everything that XML demands beyond that is checked here.
//! Nothing is read but the text that was handed over: no DOCTYPE but a bare name, no entities but the predefined ones, no
//! includes.
//! This file must not know what a domain is.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use quick_xml::errors::IllFormedError;
use quick_xml::events::Event;

use super::error::{DefinitionError, shortened};
use super::names::{self, Attribute, Bindings};

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// How deep elements may be nested.
pub const MAX_DEPTH: usize = 256;
/// How many elements a document may have: far more than any definition, and a bound on memory.
pub const MAX_ELEMENTS: usize = 1 << 16;

/// An element with everything in it, and where its tags stand in the text.
pub struct Element<'t> {
    /// The name without its prefix, unless nothing declares the prefix.
    pub name: &'t str,
    /// The namespace, if it has one.
    pub namespace: Option<Rc<str>>,
    /// The attributes, without the declarations of namespaces.
    pub attributes: Vec<Attribute<'t>>,
    /// The elements directly inside.
    pub children: Vec<Element<'t>>,
    /// The text directly inside: references resolved, CDATA included, comments not.
    pub text: String,
    /// The bytes of the start tag.
    pub start_tag: Range<usize>,
    /// The bytes of the end tag; empty, behind the start tag, for `<a/>`.
    pub end_tag: Range<usize>,
}

/// By its name alone: attributes and text may be passwords.
impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.name)
    }
}

impl<'t> Element<'t> {
    /// Whether this is `name` without a namespace, as all of libvirt's own elements are.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.namespace.is_none() && self.name == name
    }

    /// The elements `name`, without a namespace, directly inside.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// The first of [`Self::all`]: libvirt takes the first where it expects one.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(name))
    }

    /// The text of the first element `name` directly inside, unless it is empty.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<String> {
        self.first(name).map(|child| child.text.clone()).filter(|text| !text.is_empty())
    }

    /// The value of the attribute `name` without a namespace.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.namespace.is_none() && a.name == name).map(|a| a.value.as_ref())
    }

    /// Everything from the first byte of the start tag to the last of the end tag.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.start_tag.start..self.end_tag.end
    }
}

/// The bytes of a file as text, if they may be a document: of a size that is read, and UTF-8.
///
/// # Errors
/// Too large, or of another encoding.
pub fn decode(bytes: &[u8]) -> Result<&str, DefinitionError> {
    check_size(bytes.len())?;
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'<', 0, ..] | [0, b'<', ..]) {
        return Err(DefinitionError::of_file("it is UTF-16 or UTF-32; save it as UTF-8"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = std::str::from_utf8(before).unwrap_or_default();
        DefinitionError::at(before, before.len(), "a byte that is not UTF-8; save the file as UTF-8")
    })
}

pub(super) fn check_size(bytes: usize) -> Result<(), DefinitionError> {
    if bytes > MAX_BYTES {
        return Err(DefinitionError::of_file(format!(
            "it is too large: {bytes} bytes, at most {MAX_BYTES} (4 MiB) are read"
        )));
    }
    Ok(())
}

/// Reads a whole document and gives its root element.
///
/// # Errors
/// The document is not well-formed, is cut short, has a DOCTYPE of more than a name, or passes one of the limits.
pub fn read(text: &str) -> Result<Element<'_>, DefinitionError> {
    check_size(text.len())?;
    read_large(text, MAX_ELEMENTS)
}

/// As [`read`], with another limit for the elements, and none for the size: for what is no definition.
///
/// # Errors
/// As of [`read`].
pub fn read_large(text: &str, max_elements: usize) -> Result<Element<'_>, DefinitionError> {
    check_characters(text)?;
    // quick-xml drops a byte order mark and does not count it.
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let offset = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).saturating_add(bom);
    let mut reader = quick_xml::Reader::from_str(text);
    let mut tree = Tree {
        text,
        doctype: false,
        root: None,
        open: Vec::new(),
        bindings: Bindings::default(),
        elements: 0,
        max_elements,
    };
    loop {
        let start = offset(reader.buffer_position());
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(tree.error(offset(reader.error_position()), syntax(&error))),
        };
        let span = start..offset(reader.buffer_position());
        match event {
            Event::Start(_) => tree.start(span)?,
            Event::Empty(_) => {
                let end = span.end;
                tree.start(span)?;
                tree.end(end..end);
            }
            Event::End(_) => tree.end(span),
            Event::Text(part) => tree.characters(start, &part)?,
            Event::CData(part) => tree.cdata(start, &part)?,
            Event::GeneralRef(name) => tree.reference(start, &name)?,
            Event::Comment(part) => {
                if part.contains("--") || part.ends_with('-') {
                    return Err(tree.error(start, "a comment holds '--', which XML forbids"));
                }
            }
            Event::Decl(part) => {
                if start != bom {
                    return Err(tree.error(start, "an XML declaration stands elsewhere than at the very beginning"));
                }
                names::check_declaration(&part, text.is_ascii()).map_err(|what| tree.error(start, what))?;
            }
            Event::PI(part) => {
                let target = part.target();
                if !names::is_ncname(target) || target.eq_ignore_ascii_case("xml") {
                    return Err(tree.error(start, "a processing instruction has no valid name"));
                }
            }
            Event::DocType(_) => tree.doctype(span)?,
            Event::Eof => return tree.finish(),
        }
    }
}

/// What quick-xml found.
fn syntax(error: &quick_xml::Error) -> String {
    if let quick_xml::Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) = error {
        return format!("</{}> where </{}> is expected", shortened(found), shortened(expected));
    }
    if let quick_xml::Error::IllFormed(IllFormedError::UnmatchedEndTag(found)) = error {
        return format!("</{}> closes nothing", shortened(found));
    }
    if let quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) = error {
        return "'&' begins no reference; write &amp;".into();
    }
    if let quick_xml::Error::Syntax(error) = error {
        return error.to_string().replace('`', "'");
    }
    error.to_string()
}

/// Refuses the characters that XML forbids everywhere.
fn check_characters(text: &str) -> Result<(), DefinitionError> {
    match text.char_indices().find(|&(_, c)| !names::is_xml_char(c)) {
        None => Ok(()),
        Some((at, c)) => {
            Err(DefinitionError::at(text, at, format!("the character U+{:04X}, which XML forbids", u32::from(c))))
        }
    }
}

/// The document as far as it was read.
struct Tree<'t> {
    text: &'t str,
    /// Whether there was one.
    doctype: bool,
    root: Option<Element<'t>>,
    open: Vec<Element<'t>>,
    bindings: Bindings<'t>,
    elements: usize,
    max_elements: usize,
}

impl<'t> Tree<'t> {
    fn error(&self, at: usize, what: impl Into<String>) -> DefinitionError {
        DefinitionError::at(self.text, at, what)
    }

    fn start(&mut self, span: Range<usize>) -> Result<(), DefinitionError> {
        let at = span.start;
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let tag = names::scan_tag(raw).map_err(|(inside, what)| self.error(at.saturating_add(inside), what))?;
        if self.open.is_empty() && self.root.is_some() {
            let what = format!("a second root element <{}>; a document has one", shortened(tag.name));
            return Err(self.error(at, what));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(at, format!("elements are nested deeper than {MAX_DEPTH}")));
        }
        self.elements += 1;
        if self.elements > self.max_elements {
            return Err(self.error(at, format!("more than {} elements", self.max_elements)));
        }
        let resolved = self.bindings.enter(self.open.len(), &tag);
        let (namespace, name, attributes) = resolved.map_err(|what| self.error(at, what))?;
        self.open.push(Element {
            name,
            namespace,
            attributes,
            children: Vec::new(),
            text: String::new(),
            start_tag: span.clone(),
            end_tag: span.end..span.end,
        });
        Ok(())
    }

    /// A bare name says nothing. Declarations, here or elsewhere, could make entities and attributes.
    fn doctype(&mut self, span: Range<usize>) -> Result<(), DefinitionError> {
        let at = span.start;
        let written = self.text.get(span).unwrap_or_default();
        let name = written.strip_prefix("<!DOCTYPE").and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
        let bare = name.starts_with(names::is_space) && names::is_ncname(name.trim_matches(names::is_space));
        if !bare {
            return Err(self.error(at, "a DOCTYPE with more than a name is not accepted in a definition; remove it"));
        }
        if self.doctype || self.root.is_some() || !self.open.is_empty() {
            return Err(self.error(at, "a DOCTYPE stands elsewhere than once before the root element"));
        }
        self.doctype = true;
        Ok(())
    }

    /// quick-xml has checked that the end tag closes the last start tag.
    fn end(&mut self, span: Range<usize>) {
        let Some(mut element) = self.open.pop() else { return };
        element.end_tag = span;
        self.bindings.leave(self.open.len());
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn characters(&mut self, at: usize, part: &str) -> Result<(), DefinitionError> {
        if let Some(inside) = part.find("]]>") {
            return Err(self.error(at.saturating_add(inside), "']]>' in text, which XML forbids; write ]]&gt;"));
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(&names::with_line_feeds(part)),
            None => {
                if let Some(inside) = part.find(|c| !names::is_space(c)) {
                    return Err(self.error(at.saturating_add(inside), "text outside the root element"));
                }
            }
        }
        Ok(())
    }

    fn cdata(&mut self, at: usize, part: &str) -> Result<(), DefinitionError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(&names::with_line_feeds(part)),
            None => return Err(self.error(at, "text outside the root element")),
        }
        Ok(())
    }

    fn reference(&mut self, at: usize, name: &str) -> Result<(), DefinitionError> {
        let c = names::resolve(name).map_err(|what| self.error(at, what))?;
        match self.open.last_mut() {
            Some(element) => element.text.push(c),
            None => return Err(self.error(at, "text outside the root element")),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Element<'t>, DefinitionError> {
        if let Some(open) = self.open.last() {
            let what = format!("the text ends before </{}>; is the file complete?", shortened(open.name));
            return Err(self.error(self.text.len(), what));
        }
        self.root.take().ok_or_else(|| {
            let what: Cow<'_, str> = if self.text.trim_start_matches('\u{feff}').trim().is_empty() {
                "it is empty".into()
            } else {
                "it has no element; is the file complete?".into()
            };
            DefinitionError::of_file(what)
        })
    }
}
