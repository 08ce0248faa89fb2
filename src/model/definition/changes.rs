// SPDX-License-Identifier: GPL-2.0-or-later
//! What was changed in a running domain since it was created, and a definition's text with that in it. Pure.
//!
//! A running domain's XML is full of what libvirt has filled in: the host's processor, a machine type's full name,
//! addresses. So a definition's file is never replaced by it. The domain is compared section by section (an element
//! directly below `<domain>`; all devices are one) with how libvirt showed it right after its start, and only a section
//! that differs is written into the file's own text. Sections that nobody can change in a running domain are left out.

use super::devices;
use super::error::DefinitionError;
use super::facts;
use super::mark::is_ours;
use super::marking::space_before;
use super::strict::{self, Element};
use super::text::DefinitionText;
use crate::sys::text::sha256_hex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What libvirt lets be changed while a domain runs.
const SECTIONS: [&str; 18] = [
    "title",
    "description",
    "metadata",
    "memory",
    "currentMemory",
    "memtune",
    "numatune",
    "blkiotune",
    "vcpu",
    "vcpus",
    "cputune",
    "iothreads",
    "iothreadids",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "perf",
    "devices",
];
const DEVICES: &str = "devices";
/// How much of a section's hash is kept.
const SHORT: usize = 16;

/// A definition's text with what was changed in the running domain.
#[derive(Debug)]
pub struct Changed {
    /// The text.
    pub text: DefinitionText,
    /// The sections that differ.
    pub sections: Vec<&'static str>,
    /// Whether it has a password that the text did not have.
    pub has_new_secrets: bool,
}

/// How a domain is, to compare it later: a short hash of each section, as JSON. Passwords have no part in it, since every
/// user of the host may read it with the mark.
///
/// # Errors
/// The text cannot be read.
pub fn sections(xml: &str) -> Result<String, DefinitionError> {
    let text = as_definition(xml, false)?;
    Ok(serde_json::to_string(&hashes(&strict::read(&text)?)).unwrap_or_default())
}

/// `file` with each section of `now` that differs from how the domain was when `before` was told by [`sections`]; nothing,
/// where none does, or where the file says all that already. Only where the domain was started from this text does another
/// password tell of a change.
///
/// # Errors
/// A text cannot be read, or what would come of it is no definition.
pub fn with_changes(
    file: &str,
    was_started_from: bool,
    before: &str,
    now: &str,
) -> Result<Option<Changed>, DefinitionError> {
    let old = strict::read(file)?;
    let now = as_definition(now, has_backing_stores(&old))?;
    let new = strict::read(&now)?;
    let before: BTreeMap<String, String> = serde_json::from_str(before)
        .map_err(|_| DefinitionError::of_file("how it was at its start is not readable"))?;
    let after = hashes(&new);
    let secrets = was_started_from && passwords(&new) != passwords(&old);
    let differs = |name: &str| before.get(name) != after.get(name) || (name == DEVICES && secrets);
    let changed: Vec<&'static str> = SECTIONS.into_iter().filter(|name| differs(name)).collect();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for name in &changed {
        let elements = new.all(name).filter(|element| !says_nothing(element));
        let texts: Vec<&str> = elements.map(|element| now.get(element.span()).unwrap_or_default()).collect();
        let replacement = texts.join("\n  ");
        let mut places = old.all(name).map(Element::span);
        match (places.next(), replacement.is_empty()) {
            (Some(first), false) => edits.push((first, replacement)),
            (Some(first), true) => edits.push((with_space(file, first), String::new())),
            (None, false) => edits.push((old.end_tag.start..old.end_tag.start, format!("  {replacement}\n"))),
            (None, true) => {}
        }
        edits.extend(places.map(|place| (with_space(file, place), String::new())));
    }
    let text = edited(file, edits);
    strict::check_size(text.len())?;
    if text == file {
        return Ok(None);
    }
    let root = strict::read(&text)?;
    facts::facts(&text, &root)?;
    let has_new_secrets = !passwords(&root).is_subset(&passwords(&old));
    Ok(Some(Changed { text: text.into(), sections: changed, has_new_secrets }))
}

/// A running domain's XML as a definition.
///
/// # Errors
/// The text cannot be read.
pub fn without_ours(xml: &str) -> Result<DefinitionText, DefinitionError> {
    as_definition(xml, false).map(DefinitionText::from)
}

/// Whether two definitions say the same, but for our mark, what a running domain shows besides, and the space between
/// elements.
#[must_use]
pub fn say_the_same(one: &str, other: &str) -> bool {
    let said = |text: &str| {
        let text = as_definition(text, false).ok()?;
        let root = strict::read(&text).ok()?;
        Some((canonical(&root), passwords(&root).into_iter().map(str::to_owned).collect::<Vec<_>>()))
    };
    said(one).is_some_and(|one| said(other) == Some(one))
}

fn hashes(root: &Element<'_>) -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    for name in SECTIONS {
        let text: String = root.all(name).filter(|element| !says_nothing(element)).map(canonical).collect();
        if !text.is_empty() {
            let hash = sha256_hex(text.as_bytes());
            all.insert(name, hash.get(..SHORT).unwrap_or(&hash).to_owned());
        }
    }
    all
}

/// An element with all that is said in it, in one form; without its passwords, and without the images below a disk's, which
/// libvirt finds by itself.
fn canonical(element: &Element<'_>) -> String {
    let mut text = String::new();
    canonical_into(element, &mut text);
    text
}

fn canonical_into(element: &Element<'_>, text: &mut String) {
    let mut attributes: Vec<(&str, &str, &str)> = element
        .attributes
        .iter()
        .filter(|attribute| !(attribute.name == "passwd" && element.is("graphics")))
        .map(|it| (it.namespace.as_deref().unwrap_or_default(), it.name, it.value.as_ref()))
        .collect();
    attributes.sort_unstable();
    text.push_str(&format!("<{:?} {:?} {attributes:?} ", element.namespace.as_deref(), element.name));
    text.push_str(&format!("{:?}", element.text.trim()));
    let children = element.children.iter().filter(|child| !child.is("backingStore"));
    children.for_each(|child| canonical_into(child, text));
    text.push('>');
}

/// The passwords of its consoles: what libvirt does not show to everybody.
fn passwords<'a>(root: &'a Element<'_>) -> BTreeSet<&'a str> {
    devices::each(root, "graphics").filter_map(|graphics| graphics.attribute("passwd")).collect()
}

fn has_backing_stores(root: &Element<'_>) -> bool {
    devices::each(root, "disk").any(|disk| disk.first("backingStore").is_some())
}

/// Metadata in which there is nothing.
fn says_nothing(element: &Element<'_>) -> bool {
    element.is("metadata") && element.children.is_empty() && element.text.trim().is_empty()
}

/// A running domain's XML without our mark, and without what belongs to this run of it: of a transient domain libvirt shows
/// that also where the definition for the next start is asked for.
fn as_definition(xml: &str, with_chains: bool) -> Result<String, DefinitionError> {
    let root = strict::read(xml)?;
    let mut edits = Vec::new();
    of_this_run(xml, &root, with_chains, &mut edits);
    edits.extend(root.attribute("id").and_then(|_| set(xml, &root, "id", None)));
    Ok(edited(xml, edits))
}

fn of_this_run(text: &str, parent: &Element<'_>, with_chains: bool, edits: &mut Vec<(Range<usize>, String)>) {
    let overlaid = overlaid(parent);
    edits.extend(overlaid.and_then(|below| set(text, parent, "type", below.attribute("type"))));
    for child in &parent.children {
        let is_chain = child.is("backingStore") && (!with_chains || overlaid.is_some());
        if is_ours(child) || is_chain || is_of_this_run(child, parent) {
            edits.push((with_space(text, child.span()), String::new()));
            continue;
        }
        if let Some(own) = overlaid.and_then(|below| below.first("source")).filter(|_| child.is("source")) {
            edits.push((child.span(), text.get(own.span()).unwrap_or_default().to_owned()));
            continue;
        }
        edits.extend(filled_in(child, parent).iter().filter_map(|(name, value)| set(text, child, name, *value)));
        of_this_run(text, child, with_chains, edits);
    }
}

/// What a disk is whose writes are forgotten at the end: libvirt has put an overlay of this run above it.
fn overlaid<'a>(disk: &'a Element<'_>) -> Option<&'a Element<'a>> {
    disk.first("transient").filter(|_| disk.is("disk"))?;
    let overlay = disk.first("source")?.attribute("file")?;
    disk.first("backingStore").filter(|_| overlay.contains(".TRANSIENT-"))
}

/// Whether libvirt has made the element for this run of the domain, and leaves it out, or passes it by, where it reads a
/// definition.
fn is_of_this_run(element: &Element<'_>, parent: &Element<'_>) -> bool {
    let starts = |name: &str, with: &[&str]| {
        element.attribute(name).is_some_and(|value| with.iter().any(|begin| value.starts_with(begin)))
    };
    let is_pty = parent.attribute("type") == Some("pty");
    let generated = element.attribute("path").is_some_and(|path| path.contains("/libvirt/qemu/channel/"));
    match element.name {
        // Only those that begin so are an administrator's.
        "alias" => !starts("name", &["ua-"]),
        "seclabel" => element.attribute("type") == Some("dynamic"),
        "mirror" => parent.is("disk"),
        "target" => parent.is("interface") && starts("dev", &["vnet", "macvtap", "macvlan"]),
        "source" => is_pty || (parent.is("channel") && generated),
        _ => false,
    }
}

/// The attributes that libvirt has filled in for this run, and what stands there in a definition, if anything.
fn filled_in(element: &Element<'_>, parent: &Element<'_>) -> &'static [(&'static str, Option<&'static str>)] {
    let is = |name: &str, value: &str| element.attribute(name) == Some(value);
    match element.name {
        "source" if parent.is("disk") => &[("index", None)],
        "source" if parent.is("interface") && element.attribute("network").is_some() => {
            &[("portid", None), ("bridge", None), ("dev", None), ("mode", None)]
        }
        // What is behind its network.
        "interface" if element.first("source").is_some_and(|source| source.attribute("network").is_some()) => {
            &[("type", Some("network"))]
        }
        "console" | "serial" if is("type", "pty") => &[("tty", None)],
        "target" if parent.is("channel") => &[("state", None)],
        "cid" if is("auto", "yes") => &[("address", None)],
        "graphics" if is("autoport", "yes") => &[("port", Some("-1")), ("tlsPort", Some("-1"))],
        _ => &[],
    }
}

/// The edit that gives an attribute of the element another value, or none, if it has it.
fn set(text: &str, element: &Element<'_>, name: &str, value: Option<&str>) -> Option<(Range<usize>, String)> {
    element.attribute(name)?;
    let tag = text.get(element.start_tag.clone())?;
    for quote in ['\'', '"'] {
        let begin = format!(" {name}={quote}");
        let Some(at) = tag.find(&begin) else { continue };
        let end = at + begin.len() + tag.get(at + begin.len()..)?.find(quote)? + 1;
        let place = element.start_tag.start + at..element.start_tag.start + end;
        return Some((place, value.map(|value| format!("{begin}{value}{quote}")).unwrap_or_default()));
    }
    None
}

/// With the space before it.
fn with_space(text: &str, place: Range<usize>) -> Range<usize> {
    place.start - space_before(text, place.start).len()..place.end
}

/// `text` with these parts of it replaced, which do not overlap.
fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    // At one place several may be put in: these keep their order.
    edits.sort_by_key(|(place, _)| (place.start, place.end));
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for (place, new) in edits {
        out.push_str(text.get(done..place.start).unwrap_or_default());
        out.push_str(&new);
        done = place.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "<!-- web's -->\n<domain type='kvm'>\n  <name>a</name>\n  <!-- small -->\n  <memory unit='MiB'>80</memory>\n  \
        <cpu mode='host-model'/>\n  <devices>\n    <!-- its disk -->\n    <disk><source file='/a'/><target dev='vda'/></disk>\n  \
        </devices>\n</domain>\n";

    /// As libvirt shows it.
    fn live(inside: &str, devices: &str) -> String {
        let mark = "<metadata>\n    <vm-agent:managed xmlns:vm-agent=\"https://vm-agent.org/xmlns/domain/1.0\" instance=\"a\"/>\n  \
            </metadata>";
        format!(
            "<domain type='kvm'>\n  <name>a</name>\n  <uuid>u</uuid>\n  {mark}\n  <memory unit='KiB'>81920</memory>\n  {inside}\
             <cpu mode='custom'><model>Haswell</model></cpu>\n  <devices>\n    <emulator>/q</emulator>\n    \
             <disk><source file='/a'/><target dev='vda'/><address slot='3'/></disk>{devices}\n  </devices>\n</domain>\n"
        )
    }

    fn changed(file: &str, before: &str, now: &str) -> Option<Changed> {
        with_changes(file, true, &sections(before).unwrap(), now).unwrap()
    }

    #[test]
    fn nothing_is_written_where_nothing_was_changed_but_the_mark() {
        let before = live("", "");
        assert!(changed(FILE, &before, &before).is_none());
        assert!(changed(FILE, &before, &before.replace("instance=\"a\"", "instance=\"b\" base=\"x\"")).is_none());
        assert!(changed(FILE, &before, &before.replace("\n    <disk>", "<disk>")).is_none());
        // What nobody can change in a running domain is libvirt's own affair.
        assert!(changed(FILE, &before, &before.replace("Haswell", "Skylake")).is_none());
    }

    #[test]
    fn only_the_section_that_was_changed_is_written_into_the_files_text() {
        let before = live("", "");
        let now = live("<currentMemory unit='KiB'>40960</currentMemory>\n  ", "");
        let Changed { text, sections, has_new_secrets } = changed(FILE, &before, &now).unwrap();
        let expected = FILE.replace("</domain>", "  <currentMemory unit='KiB'>40960</currentMemory>\n</domain>");
        assert_eq!((text.as_str(), has_new_secrets), (expected.as_str(), false));
        assert_eq!(sections, ["currentMemory"]);
        assert!(changed(&text, &before, &now).is_none(), "it is written once");
        // And away again.
        assert_eq!(changed(&text, &now, &before).unwrap().text.as_str(), FILE);
    }

    #[test]
    fn a_disk_whose_writes_are_forgotten_is_written_as_the_image_below_its_overlay() {
        let disk = "<disk type='volume'><source pool='p' volume='v'/><target dev='vdb'/><transient/></disk>";
        let overlaid = "<disk type='file'><source file='/v.TRANSIENT-a' index='2'/><backingStore type='volume' index='1'>\
            <format type='qcow2'/><source pool='p' volume='v'/><backingStore/></backingStore><target dev='vdb'/><transient/></disk>";
        let before = live("", overlaid);
        for chain in ["", "<backingStore/>"] {
            let file = FILE.replace("<target dev='vda'/>", &format!("{chain}<target dev='vda'/>"));
            let Changed { text, .. } = changed(&file, &before, &live("", &format!("{overlaid}<watchdog/>"))).unwrap();
            assert!(text.contains(&format!("{disk}<watchdog/>")), "{}", *text);
        }
        assert!(say_the_same(&before, &live("", disk)));
    }

    #[test]
    fn a_device_that_was_attached_takes_all_devices_along_and_nothing_else() {
        let before = live("", "");
        let disk = "<disk><source file='/b'/><backingStore type='file'><source file='/c'/></backingStore><target dev='vdb'/></disk>";
        let Changed { text, sections, .. } = changed(FILE, &before, &live("", disk)).unwrap();
        assert_eq!(sections, ["devices"]);
        assert!(text.contains("<!-- small -->") && text.contains("host-model") && text.contains("/b"), "{}", *text);
        assert!(!text.contains("backingStore") && !text.contains("managed") && !text.contains("Haswell"));
    }

    #[test]
    fn a_password_is_kept_and_is_no_part_of_what_everybody_may_read() {
        let console = |passwd: &str| format!("<graphics type='vnc' passwd='{passwd}'/>");
        let file = FILE.replace("</devices>", "<graphics type='vnc' passwd='one'/></devices>");
        let before = live("", &console("one"));
        assert_eq!(sections(&before).unwrap(), sections(&live("", &console("*****"))).unwrap());
        assert!(changed(&file, &before, &before).is_none());
        let Changed { text, has_new_secrets, .. } = changed(&file, &before, &live("", &console("two"))).unwrap();
        assert!(text.contains("passwd='two'") && has_new_secrets);
        let more = format!("{}<sound model='ich6'/>", console("one"));
        let Changed { text, has_new_secrets, .. } = changed(&file, &before, &live("", &more)).unwrap();
        assert!(text.contains("passwd='one'") && text.contains("ich6") && !has_new_secrets);
        // What an administrator has put into the file since is no change of the domain.
        let edited = file.replace("passwd='one'", "passwd='three'");
        assert!(with_changes(&edited, false, &sections(&before).unwrap(), &before).unwrap().is_none());
    }

    #[test]
    fn what_belongs_to_one_run_of_the_domain_is_no_change_and_is_not_written() {
        let run = |n: u8| {
            format!(
                "<interface type='bridge'><source network='lan' portid='p{n}' bridge='br{n}'/><target dev='vnet{n}'/>\
                 <alias name='net{n}'/></interface><console type='pty' tty='/dev/pts/{n}'><source path='/dev/pts/{n}'/>\
                 </console><channel type='unix'><source mode='bind' path='/run/libvirt/qemu/channel/{n}-a/x'/>\
                 <target type='virtio' name='x' state='s{n}'/></channel><graphics type='vnc' port='590{n}' autoport='yes'/>\
                 <disk><source file='/c' index='{n}'/><mirror job='copy'/><target dev='vdc'/></disk>\
                 <vsock><cid auto='yes' address='{n}'/></vsock><sound model='ich6'><alias name='ua-loud'/></sound>"
            )
        };
        let (one, two) = (live("", &run(1)), live("", &run(2)).replace("<domain ", "<domain id='7' "));
        assert_eq!(sections(&one).unwrap(), sections(&two).unwrap());
        assert!(say_the_same(&one, &two));
        let Changed { text, .. } = changed(FILE, &live("", ""), &two).unwrap();
        for gone in
            ["portid", "bridge", "vnet2", "net2", "pts", "channel/", "state", "5902", "index", "mirror", "address='2'"]
        {
            assert!(!text.contains(gone), "{gone} in {}", *text);
        }
        let kept = [
            "<interface type='network'><source network='lan'/>",
            "port='-1' autoport='yes'",
            "ua-loud",
            "<console type='pty'>",
            "slot='3'",
        ];
        assert!(kept.iter().all(|part| text.contains(part)), "{}", *text);
        assert!(!without_ours(&two).unwrap().contains("id='7'"));
    }

    #[test]
    fn metadata_of_others_are_kept_and_ours_are_not() {
        let before = live("", "");
        let now = before.replace("</metadata>", "<x:y xmlns:x='http://x/'>z</x:y>\n  </metadata>");
        let Changed { text, sections, .. } = changed(FILE, &before, &now).unwrap();
        assert_eq!(sections, ["metadata"]);
        assert!(text.contains("<x:y xmlns:x='http://x/'>z</x:y>") && !text.contains("managed"), "{}", *text);
        let whole = without_ours(&now).unwrap();
        assert!(!whole.contains("managed") && say_the_same(&whole, &now) && !say_the_same(&whole, &before));
    }
}
